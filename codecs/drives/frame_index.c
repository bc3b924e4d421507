#include "codecs/drives/frame_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codecs/base/room.h"
#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"

/* The writer puts at most FRAME_CONTENT_MAX into a stored frame, in blocks of one byte at worst, which makes four times
 * as much; a compressed one of FRAME_CONTENT_MAX_LONG that does not compress takes more. */
enum { ENCODED_MAX = FRAME_CONTENT_MAX_LONG + (1 << 20), READ_PIECE = 256 << 10 };

/* ---- filling ---- */

void frame_index_deinit(struct frame_index *index)
{
        stream_info_deinit(&index->info);
        free(index->frames);
        free(index->marks);
        free(index->content);
        free(index->encoded);
        ZSTD_freeDCtx(index->decoder);
        *index = (struct frame_index){ .fd = -1 };
}

static int index_check_count(const struct frame_index *index, struct error *err)
{
        if (index->frame_count + index->mark_count < FRAME_INDEX_MAX)
                return 0;
        return error_raise(err, ERR_FAILED, "%s has more than %d frames, too many to be read at positions",
                           index->label, FRAME_INDEX_MAX);
}

static int index_add_frame(void *context, uint64_t offset, uint32_t size, uint32_t content, struct error *err)
{
        struct frame_index *index = context;

        if (size > ENCODED_MAX)
                return error_raise(err, ERR_FAILED,
                                   "%s cannot be read at positions: the data frame at byte %llu takes %u bytes",
                                   index->label, (unsigned long long)offset, size);
        if (index_check_count(index, err) < 0 ||
            room_grow(&index->frames, &index->frame_room, index->frame_count + 1, sizeof *index->frames, err) < 0)
                return -1;
        index->frames[index->frame_count++] =
                (struct index_frame){ .offset = offset, .address = index->end, .size = size, .content = content };
        index->end += content;
        return 0;
}

/* The data before a mark. */
static int check_whole_blocks(const struct frame_index *index, uint64_t offset, struct error *err)
{
        if (index->end % index->block_size == 0)
                return 0;
        return error_raise(err, ERR_USAGE,
                           "%s: the data before the file mark at byte %llu is not whole blocks of %u bytes",
                           index->label, (unsigned long long)offset, index->block_size);
}

static int index_add_mark(void *context, uint64_t offset, uint32_t mark_size, struct error *err)
{
        struct frame_index *index = context;

        if (index->block_size == 0)
                return 0;
        if (check_whole_blocks(index, offset, err) < 0 || index_check_count(index, err) < 0 ||
            room_grow(&index->marks, &index->mark_room, index->mark_count + 1, sizeof *index->marks, err) < 0)
                return -1;
        index->marks[index->mark_count++] =
                (struct index_mark){ .offset = offset, .address = index->end, .mark_size = mark_size };
        index->end += frame_index_span(index, mark_size);
        return 0;
}

struct vdistream_watcher frame_index_watcher(struct frame_index *index)
{
        return (struct vdistream_watcher){ .context = index, .data = index_add_frame, .mark = index_add_mark };
}

int frame_index_set_block_size(struct frame_index *index, uint32_t block_size, struct error *err)
{
        size_t frame = 0, mark = 0;

        index->block_size = block_size;
        index->end = 0;
        while (frame < index->frame_count || mark < index->mark_count) {
                struct index_mark *at = mark < index->mark_count ? &index->marks[mark] : NULL;

                if (!at || (frame < index->frame_count && index->frames[frame].offset < at->offset)) {
                        index->frames[frame].address = index->end;
                        index->end += index->frames[frame++].content;
                        continue;
                }
                if (check_whole_blocks(index, at->offset, err) < 0)
                        return -1;
                at->address = index->end;
                index->end += frame_index_span(index, at->mark_size);
                mark++;
        }
        return 0;
}

void frame_index_cut(struct frame_index *index, size_t frame_count, size_t mark_count, uint64_t end)
{
        index->frame_count = frame_count;
        index->mark_count = mark_count;
        index->end = end;
        index->cached = false;
}

/* ---- looking up ---- */

uint64_t frame_index_span(const struct frame_index *index, uint32_t mark_size)
{
        uint32_t blocks = mark_size / index->block_size;

        return (uint64_t)(blocks > 0 ? blocks : 1) * index->block_size;
}

size_t frame_index_mark_from(const struct frame_index *index, uint64_t address)
{
        size_t low = 0, high = index->mark_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (index->marks[middle].address < address)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

size_t frame_index_frame_at(const struct frame_index *index, uint64_t address)
{
        size_t low = 0, high = index->frame_count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (index->frames[middle].address + index->frames[middle].content <= address)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

/* ---- opening ---- */

static int check_regular(struct frame_index *index, struct error *err)
{
        off_t here = lseek(index->fd, 0, SEEK_CUR);
        struct stat status;

        index->base = here > 0 ? (uint64_t)here : 0;
        if (fstat(index->fd, &status) < 0)
                return error_raise_errno(err, errno, "cannot read %s", index->label);
        if (!S_ISREG(status.st_mode) || here < 0)
                return error_raise(err, ERR_USAGE,
                                   "%s is no regular file and cannot be read at positions; copy it to one",
                                   index->label);
        return 0;
}

int frame_index_open(int fd, const struct reader_options *options, struct frame_index *index,
                     struct reader **ret_reader, enum layer_kind *raw_kind, struct error *err)
{
        CLEANUP(reader_freep) struct reader *reader = NULL;
        struct vdistream_watcher watcher = frame_index_watcher(index);
        enum layer_kind kind;

        *ret_reader = NULL;
        index->fd = fd;
        index->cancel = options->cancel;
        if (label_of_input(options->name, index->label, err) < 0 || check_regular(index, err) < 0 ||
            reader_open(fd, options, &reader, err) < 0)
                return -1;
        kind = reader->layers[0];
        if (kind == LAYER_VDISTREAM) {
                if (stream_info_copy(&index->info, &reader->info, err) < 0)
                        return -1;
                vdistream_source_watch(reader->source, &watcher);
                *ret_reader = take_ptr(&reader);
                return 0;
        }
        if (raw_kind && (kind == LAYER_SQLITE || kind == LAYER_MTF || kind == LAYER_BARE)) {
                *raw_kind = kind;
                return 0;
        }
        if (kind == LAYER_ZSTD || kind == LAYER_AGE)
                return error_raise(err, ERR_USAGE,
                                   "%s cannot be read at positions inside the layer '%s'; take that off first: "
                                   "vdipipe extract --layer %s",
                                   index->label, layer_name(kind), layer_name(kind));
        return error_raise(err, ERR_USAGE, "%s is a raw %s, not a vdi stream as a tape-like device needs it",
                           index->label, layer_name(kind));
}

int frame_index_fill(struct reader *reader, struct error *err)
{
        CLEANUP(freep) uint8_t *bytes = malloc(READ_PIECE);
        ssize_t n;

        if (!bytes)
                return error_no_memory(err);
        do
                n = source_read(reader->source, bytes, READ_PIECE, err);
        while (n > 0);
        return (int)n;
}

/* ---- content ---- */

static int load_frame(struct frame_index *index, const struct index_frame *frame, struct error *err)
{
        int fault = fault_point("source-read");
        ssize_t n = -1;

        if (index->cancel && atomic_load(index->cancel))
                return error_raise(err, ERR_ABORTED, "reading %s was interrupted", index->label);
        errno = fault;
        if (!fault)
                n = fd_pread_full(index->fd, index->encoded, frame->size, (off_t)(index->base + frame->offset));
        if (n < 0)
                return error_raise_errno(err, errno, "cannot read %s", index->label);
        if ((size_t)n < frame->size)
                return error_raise(err, ERR_DAMAGED, "%s ends inside the data frame at byte %llu: somebody has cut it",
                                   index->label, (unsigned long long)frame->offset);
        return 0;
}

static int bring_in_frame(struct frame_index *index, const struct index_frame *frame, struct error *err)
{
        size_t size = frame->content;
        const char *fault;

        if (index->cached && index->cached_offset == frame->offset)
                return 0;
        index->cached = false;
        if (!index->decoder)
                index->decoder = ZSTD_createDCtx();
        if (!index->decoder)
                return error_no_memory(err);
        if (room_renew(&index->encoded, &index->encoded_room, frame->size, err) < 0 ||
            room_renew(&index->content, &index->content_room, frame->content, err) < 0 ||
            load_frame(index, frame, err) < 0)
                return -1;
        if (frame_decode(index->decoder, index->encoded, frame->size, index->content, &size, /* exact= */ true,
                         &fault) != FRAME_OK)
                return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %llu: a data frame has changed: %s",
                                   index->label, (unsigned long long)frame->offset, fault);
        index->cached = true;
        index->cached_offset = frame->offset;
        return 0;
}

int frame_index_read(struct frame_index *index, uint64_t address, void *buffer, size_t size, struct error *err)
{
        uint8_t *to = buffer;

        for (size_t i = frame_index_frame_at(index, address); size > 0; i++) {
                const struct index_frame *frame = &index->frames[i];
                size_t from, piece;

                if (i >= index->frame_count || address < frame->address)
                        return error_raise(err, ERR_PROTOCOL, "%s has no data at %llu", index->label,
                                           (unsigned long long)address);
                if (bring_in_frame(index, frame, err) < 0)
                        return -1;
                from = (size_t)(address - frame->address);
                piece = frame->content - from < size ? frame->content - from : size;
                memcpy(to, index->content + from, piece);
                to += piece;
                address += piece;
                size -= piece;
        }
        return 0;
}
