/*
 * Any bytes at all through the reader, and through what reads at positions, a tape and a disk: all must come to an end
 * without a fault in memory, and with bounded memory.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zstd.h>

#include "codecs/codecs.h"
#include "codecs/drives/disk.h"
#include "codecs/base/pool.h"
#include "codecs/stream/record.h"
#include "codecs/drives/tape.h"
#include "codecs/stream/stream.h"
#include "core/base/bytes.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "fuzz.h"

enum { OUTPUT_LIMIT = 64 << 20 };

/* Made once; its threads end with the process. */
static struct pool *threads(void)
{
        static struct pool *pool;

        if (!pool && pool_new(3, &pool, NULL) < 0)
                abort();
        return pool;
}

static void read_through(int fd, bool accept_unconfirmed)
{
        static uint8_t buffer[70001];
        struct reader_options options = {
                .name = "input",
                .accept_unconfirmed = accept_unconfirmed,
                .pool = accept_unconfirmed ? threads() : NULL,
        };
        CLEANUP(reader_freep) struct reader *reader = NULL;
        struct error err = ERROR_INIT;
        size_t total = 0;
        ssize_t n;

        if (lseek(fd, 0, SEEK_SET) < 0 || reader_open(fd, &options, &reader, &err) < 0)
                return;
        do {
                n = source_read(reader->source, buffer, sizeof buffer, &err);
                total += n > 0 ? (size_t)n : 0;
        } while (n > 0 && total < OUTPUT_LIMIT);
        (void)reader_tail(reader);
}

/* Forward by blocks and back by marks; a step that does not move the tape would not end. */
static void walk_tape(struct tape *tape)
{
        static uint8_t buffer[8 << 9];
        enum tape_event event = TAPE_NONE;
        struct error err = ERROR_INIT;
        uint64_t before;
        size_t size;

        do {
                before = tape_position(tape);
                if (tape_read(tape, buffer, sizeof buffer, &size, &event, &err) < 0)
                        return;
                if (event != TAPE_END_OF_DATA && tape_position(tape) <= before)
                        abort();
        } while (event != TAPE_END_OF_DATA);
        while (tape_position(tape) > 0) {
                before = tape_position(tape);
                if (tape_skip_marks(tape, -1, &event, &err) < 0 || tape_position(tape) >= before)
                        abort();
                tape_set_position(tape, before / 2, &event);
                if (tape_position(tape) >= before || tape_skip_blocks(tape, -3, &event, &err) < 0)
                        abort();
        }
}

static void read_at_positions(int fd)
{
        static uint8_t buffer[70001];
        struct reader_options options = { .name = "input", .accept_unconfirmed = true };
        struct tape *tape = NULL;
        struct disk *disk = NULL;
        struct error err = ERROR_INIT;
        size_t size;

        if (lseek(fd, 0, SEEK_SET) == 0 && tape_open(fd, &options, 512, &tape, &err) == 0)
                walk_tape(tape);
        tape_free(tape);
        if (lseek(fd, 0, SEEK_SET) == 0 && disk_open(fd, &options, &disk, &err) == 0) {
                if (disk_read(disk, buffer, sizeof buffer, disk_size(disk) / 3, &size, &err) == 0 &&
                    size > disk_size(disk))
                        abort();
        }
        disk_free(disk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(fd_closep) int fd = memfd_create("fuzz", MFD_CLOEXEC);
        struct stream_info info;
        struct stream_tail tail;

        if (fd < 0 || fd_pwrite_full(fd, data, size, 0) < 0)
                abort();
        read_through(fd, false);
        read_through(fd, true);
        read_at_positions(fd);
        if (lseek(fd, 0, SEEK_SET) == 0)
                (void)vdistream_probe(fd, "input", &info, &tail, NULL);
        stream_info_deinit(&info);
        stream_tail_deinit(&tail);
        return 0;
}

/* A record of completeness says what stands before it. */
static void repair_complete(uint8_t *data, size_t at)
{
        struct hasher *hasher = hasher_new();
        uint8_t *body = data + at + RECORD_PREFIX;

        if (!hasher)
                abort();
        hasher_stream(hasher, data, at);
        put_le64(body + 8, at);
        hasher_digest(hasher, body + 16);
        hasher_free(hasher);
}

/* Every record gets the checksum that its bytes now have. */
void fuzz_repair(uint8_t *data, size_t size)
{
        for (size_t at = 0; at + RECORD_OVERHEAD <= size; at++) {
                size_t frame;

                if (!record_is_ours(data + at, size - at))
                        continue;
                frame = 8 + (size_t)get_le32(data + at + 4);
                if (frame == RECORD_COMPLETE_SIZE && frame <= size - at && data[at + 13] == RECORD_COMPLETE)
                        repair_complete(data, at);
                if (frame >= RECORD_OVERHEAD && frame <= size - at)
                        put_le64(data + at + frame - RECORD_SUFFIX, hash_record(data + at, frame - RECORD_SUFFIX));
        }
}

/* ---- seeds ---- */

static int keep(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        (void)err;
        for (int i = 0; i < count; i++)
                fuzz_seed_append(iov[i].iov_base, iov[i].iov_len);
        (void)stage;
        return 0;
}

static void release(struct stage *stage)
{
        free(stage);
}

static const struct stage_ops keep_ops = { .name = "seed", .writev = keep, .free = release };

static struct stage *seed_writer(const struct vdistream_options *options)
{
        struct stream_info info = { .set_id = "01234567-89ab-4def-8123-456789abcdef", .device_count = 1 };
        struct stage *sink = calloc(1, sizeof *sink);
        struct stage *writer = NULL;

        if (!sink)
                abort();
        sink->ops = &keep_ops;
        if (vdistream_writer_new(&info, options, sink, &writer, NULL) < 0)
                abort();
        return writer;
}

/* Blocks of 512 bytes, a mark in front, two together, and one at the end. */
static void seed_tape(const struct vdistream_options *options)
{
        CLEANUP(stage_freep) struct stage *writer = seed_writer(options);
        uint8_t data[3 * 512];

        for (size_t i = 0; i < sizeof data; i++)
                data[i] = (uint8_t)(i / 5);
        for (uint32_t i = 0; i < 3; i++)
                if (vdistream_writer_mark(writer, 300 * i, NULL) < 0 ||
                    stage_write(writer, data, 512 * (i + 1), NULL) < 0 ||
                    (i % 2 && vdistream_writer_mark(writer, 0, NULL) < 0))
                        abort();
        if (vdistream_writer_mark(writer, 1536, NULL) < 0 || stage_finish(writer, NULL, NULL) < 0)
                abort();
        fuzz_seed_end();
}

static void seed_stream(const struct vdistream_options *options, size_t size, bool finish)
{
        CLEANUP(stage_freep) struct stage *writer = seed_writer(options);
        uint8_t data[3000];
        struct error err = ERROR_INIT;

        for (size_t i = 0; i < sizeof data; i++)
                data[i] = (uint8_t)(i / 7);
        if (stage_write(writer, data, size, &err) < 0 || stage_flush(writer, &err) < 0 ||
            stage_write(writer, data, size / 2, &err) < 0)
                abort();
        if (finish && stage_finish(writer, "{\"a\":1}", &err) < 0)
                abort();
        if (!finish)
                stage_abort(writer, "seed");
        fuzz_seed_end();
}

/* As others write: many frames, of which some say how much they hold, and some are announced as pzstd does it. */
static void seed_foreign(int frames, bool sized)
{
        static const uint8_t hint[] = { 0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 99, 0, 0, 0 };
        ZSTD_CCtx *context = ZSTD_createCCtx();
        uint8_t content[1200] = "TAPE";
        uint8_t frame[2400];

        if (!context)
                abort();
        for (int i = 0; i < frames; i++) {
                size_t size;

                for (size_t at = 8; at < sizeof content; at++)
                        content[at] = (uint8_t)(at * at >> ((size_t)i + at / 300));
                ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, sized);
                ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, i % 2);
                size = ZSTD_compress2(context, frame, sizeof frame, content, sizeof content);
                if (ZSTD_isError(size))
                        abort();
                if (!sized)
                        fuzz_seed_append(hint, sizeof hint);
                fuzz_seed_append(frame, size);
        }
        ZSTD_freeCCtx(context);
        fuzz_seed_end();
}

void fuzz_make_seeds(void)
{
        static const uint8_t image[1024] = "SQLite format 3\0\4\0\1\1\0@  \0\0\0\1\0\0\0\1";
        static const uint8_t empty_zstd[] = { 0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x38, 1, 0, 0, 0x99, 0xE9, 0xD8, 0x51 };
        struct vdistream_options stored = { 0 };
        struct vdistream_options padded = { .flush_boundary = 512 };
        struct vdistream_options compressed = { .compress = true, .zstd_level = 3 };

        seed_stream(&stored, 3000, true);
        seed_stream(&stored, 0, true);
        seed_stream(&stored, 100, false);
        seed_stream(&padded, 100, true);
        seed_stream(&compressed, 3000, true);
        seed_tape(&stored);
        seed_tape(&compressed);
        seed_foreign(7, true);
        seed_foreign(7, false);
        fuzz_seed_append(image, sizeof image);
        fuzz_seed_end();
        fuzz_seed_append(empty_zstd, sizeof empty_zstd);
        fuzz_seed_append(empty_zstd, sizeof empty_zstd);
        fuzz_seed_end();
}
