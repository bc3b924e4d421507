#include "codecs/drives/disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codecs/codecs.h"
#include "codecs/drives/frame_index.h"
#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"

enum { SQLITE_HEADER_ROOM = 512 };

struct disk {
        struct stage *sink; /* NULL: opened to be read */
        atomic_uint_fast64_t size;
        atomic_bool broken; /* a call failed, or the disk was finished or aborted: nothing is written any more */

        bool indexed;             /* a vdi stream */
        pthread_mutex_t lock;     /* protects what the index has in its cache */
        struct frame_index index; /* of a raw file: its label and where it begins */
};

static struct disk *new_disk(int fd, const atomic_bool *cancel, struct error *err)
{
        struct disk *disk = calloc(1, sizeof *disk);

        if (!disk) {
                error_no_memory(err);
                return NULL;
        }
        disk->index.fd = fd;
        disk->index.cancel = cancel;
        pthread_mutex_init(&disk->lock, NULL);
        return disk;
}

void disk_free(struct disk *disk)
{
        if (!disk)
                return;
        stage_free(disk->sink);
        frame_index_deinit(&disk->index);
        pthread_mutex_destroy(&disk->lock);
        free(disk);
}

static void disk_freep(struct disk **disk)
{
        disk_free(*disk);
        *disk = NULL;
}

int disk_create(const char *path, const char *set_id, enum file_existing existing, const atomic_bool *cancel,
                struct disk **ret_disk, struct error *err)
{
        CLEANUP(disk_freep) struct disk *disk = new_disk(-1, cancel, err);

        if (!disk || label_of_input(path, disk->index.label, err) < 0 ||
            file_sink_new(path, set_id, existing, cancel, &disk->sink, err) < 0)
                return -1;
        disk->index.fd = file_sink_fd(disk->sink);
        if (disk->index.fd < 0)
                return error_raise(err, ERR_USAGE,
                                   "%s cannot be written at positions; a disk-like device needs the name of a regular "
                                   "file",
                                   disk->index.label);
        *ret_disk = take_ptr(&disk);
        return 0;
}

/* ---- opening ---- */

static int disk_open_stream(struct disk *disk, struct reader *reader, struct error *err)
{
        if (frame_index_fill(reader, err) < 0)
                return -1;
        disk->indexed = true;
        disk->size = disk->index.end;
        return 0;
}

static int disk_open_raw(struct disk *disk, enum layer_kind kind, struct error *err)
{
        uint8_t header[SQLITE_HEADER_ROOM];
        struct stat status;
        ssize_t n = fd_pread_full(disk->index.fd, header, sizeof header, (off_t)disk->index.base);

        if (n < 0 || fstat(disk->index.fd, &status) < 0)
                return error_raise_errno(err, errno, "cannot read %s", disk->index.label);
        disk->size = (uint64_t)status.st_size > disk->index.base ? (uint64_t)status.st_size - disk->index.base : 0;
        return kind == LAYER_SQLITE ? sqlite_image_check(header, (size_t)n, disk->size, disk->index.label, err) : 0;
}

int disk_open(int fd, const struct reader_options *options, struct disk **ret_disk, struct error *err)
{
        CLEANUP(disk_freep) struct disk *disk = new_disk(fd, options->cancel, err);
        CLEANUP(reader_freep) struct reader *reader = NULL;
        enum layer_kind kind = LAYER_VDISTREAM;

        if (!disk || frame_index_open(fd, options, &disk->index, &reader, &kind, err) < 0 ||
            (reader ? disk_open_stream(disk, reader, err) : disk_open_raw(disk, kind, err)) < 0)
                return -1;
        *ret_disk = take_ptr(&disk);
        return 0;
}

const struct stream_info *disk_info(const struct disk *disk)
{
        return disk->indexed ? &disk->index.info : NULL;
}

/* ---- transfers ---- */

static int disk_look_at_cancel(const struct disk *disk, const char *doing, struct error *err)
{
        if (disk->index.cancel && atomic_load(disk->index.cancel))
                return error_raise(err, ERR_ABORTED, "%s %s was interrupted", doing, disk->index.label);
        return 0;
}

static int disk_read_raw(const struct disk *disk, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        int fault = fault_point("source-read");
        ssize_t n = -1;

        errno = fault;
        if (!fault)
                n = fd_pread_full(disk->index.fd, buffer, size, (off_t)(disk->index.base + offset));
        if (n < 0)
                return error_raise_errno(err, errno, "cannot read %s", disk->index.label);
        offset += (uint64_t)n;
        if ((size_t)n < size)
                return error_raise(err, ERR_DAMAGED, "%s ends at byte %llu: somebody has cut it", disk->index.label,
                                   (unsigned long long)offset);
        return 0;
}

int disk_read(struct disk *disk, void *buffer, size_t size, uint64_t offset, size_t *ret_bytes, struct error *err)
{
        uint64_t end = disk_size(disk);
        int result;

        *ret_bytes = 0;
        if (disk_look_at_cancel(disk, "reading", err) < 0)
                return -1;
        if (offset >= end)
                return 0;
        if (size > end - offset)
                size = (size_t)(end - offset);
        if (!disk->indexed) {
                result = disk_read_raw(disk, buffer, size, offset, err);
        } else {
                pthread_mutex_lock(&disk->lock);
                result = frame_index_read(&disk->index, offset, buffer, size, err);
                pthread_mutex_unlock(&disk->lock);
        }
        if (result == 0)
                *ret_bytes = size;
        return result;
}

/* A failed call leaves the disk fit for abort and free alone. */
static int disk_settle(struct disk *disk, int result)
{
        if (result < 0)
                atomic_store(&disk->broken, true);
        return result;
}

static int disk_check_writable(const struct disk *disk, struct error *err)
{
        if (!disk->sink)
                return error_raise(err, ERR_PROTOCOL, "%s was opened to be read", disk->index.label);
        if (atomic_load(&disk->broken))
                return error_raise(err, ERR_PROTOCOL, "%s was written after its end", disk->index.label);
        return 0;
}

static int disk_write_file(struct disk *disk, const void *data, size_t size, uint64_t offset, struct error *err)
{
        int fault = fault_point("sink-write");
        uint64_t end = offset + size;
        uint64_t known = atomic_load(&disk->size);

        if (disk_look_at_cancel(disk, "writing", err) < 0)
                return -1;
        if (offset > INT64_MAX - (uint64_t)size)
                return error_raise_errno(err, EFBIG, "cannot write %s", disk->index.label);
        errno = fault;
        if (fault || fd_pwrite_full(disk->index.fd, data, size, (off_t)offset) < 0)
                return error_raise_errno(err, errno, "cannot write %s", disk->index.label);
        while (size > 0 && known < end && !atomic_compare_exchange_weak(&disk->size, &known, end))
                ;
        return 0;
}

int disk_write(struct disk *disk, const void *data, size_t size, uint64_t offset, struct error *err)
{
        return disk_check_writable(disk, err) < 0 ? -1
                                                  : disk_settle(disk, disk_write_file(disk, data, size, offset, err));
}

uint64_t disk_size(const struct disk *disk)
{
        return atomic_load(&disk->size);
}

/* ---- the end ---- */

static int disk_cut(const struct disk *disk, struct error *err)
{
        if (ftruncate(disk->index.fd, (off_t)disk_size(disk)) < 0)
                return error_raise_errno(err, errno, "cannot cut %s", disk->index.label);
        return 0;
}

int disk_flush(struct disk *disk, struct error *err)
{
        if (disk_check_writable(disk, err) < 0)
                return -1;
        return disk_settle(disk, disk_cut(disk, err) < 0 ? -1 : stage_flush(disk->sink, err));
}

int disk_finish(struct disk *disk, struct error *err)
{
        if (disk_check_writable(disk, err) < 0)
                return -1;
        if (disk_settle(disk, disk_cut(disk, err) < 0 ? -1 : stage_finish(disk->sink, NULL, err)) < 0)
                return -1;
        atomic_store(&disk->broken, true);
        return 0;
}

void disk_abort(struct disk *disk)
{
        atomic_store(&disk->broken, true);
        if (disk->sink)
                stage_abort(disk->sink, "aborted");
}

struct stage *disk_sink(struct disk *disk)
{
        return disk->sink;
}
