/*
 * Frames whose content is small enough, by their header or by the size that pzstd writes in front of each, are
 * decompressed ahead by the pool. Every other frame is decompressed as its bytes come, by the thread that reads; so is
 * one that turns out to be cut, longer than was thought, or damaged, from its first byte on. So what is there before a
 * fault is handed out, and the fault is named, as without threads.
 */
#include <stdlib.h>
#include <zstd.h>

#include "codecs/base/intake.h"
#include "codecs/base/label.h"
#include "codecs/base/pool.h"
#include "codecs/stream/zstd_frame.h"
#include "codecs/stream/frame_queue.h"
#include "codecs/stream/record.h"
#include "codecs/stream/stream.h"
#include "core/base/bytes.h"

#define WINDOW_LIMIT_DEFAULT ((uint64_t)8 << 20)
#define WINDOW_MAX           ((uint64_t)1 << WINDOW_LOG_MAX)

enum {
        WINDOW_LOG_MAX = 31, /* libzstd's, with 64 bits */
        SKIPPABLE_HEADER = 8,
        HINT_SIZE = SKIPPABLE_HEADER + 4, /* pzstd: a skippable frame with the size of the frame behind it */
        HINT_WINDOWS = 4,                 /* the content of a frame of pzstd is at most so many windows */
};

struct zstd_source {
        struct source source;
        uint64_t window_limit;
        struct intake intake;
        ZSTD_DCtx *context;
        bool in_frame;         /* one that is decompressed as it comes */
        const uint8_t *loaded; /* what the queue has loaded of it and is left, in front of the intake's bytes */
        size_t loaded_size;
        uint64_t loaded_end; /* its position in the input */

        struct pool *pool;
        uint64_t memory_limit;
        bool begun;                /* the first frame */
        struct frame_queue *queue; /* made for the first frame that goes there */
        bool hinted;               /* pzstd's size was just in front */
};

static uint64_t zstd_position(const struct zstd_source *zs)
{
        return zs->loaded_size > 0 ? zs->loaded_end - zs->loaded_size : zs->intake.position;
}

static int zstd_raise_damaged(const struct zstd_source *zs, const char *what, struct error *err)
{
        return raise_damaged_at(zs->source.label, zstd_position(zs), what, err);
}

static int zstd_raise_cut(const struct zstd_source *zs, size_t behind, struct error *err)
{
        return raise_cut_at(zs->source.label, zstd_position(zs) + behind, "a zstd frame", err);
}

/* ---- frames ahead ---- */

static bool is_hint(const uint8_t *bytes)
{
        return get_le32(bytes) == SKIPPABLE_MAGIC && get_le32(bytes + 4) == HINT_SIZE - SKIPPABLE_HEADER;
}

/* What is held of each frame in the queue is its bytes and its content. */
static uint64_t content_limit(const struct zstd_source *zs)
{
        uint64_t limit = zs->memory_limit / (2 * (uint64_t)pool_ahead(zs->pool));

        return zs->memory_limit == 0 || limit > FRAME_CONTENT_LIMIT ? FRAME_CONTENT_LIMIT : limit;
}

static int zstd_begin_ahead(struct source *source, struct error *err);

/* Begins the frame in the queue, if it is one for that. Returns whether it is. The first one is not: how many streams
 * share the pool is known when all were opened, and that looks into the first frame. */
static int begin_queued(struct zstd_source *zs, struct frame_header *header, struct error *err)
{
        bool hinted = zs->hinted;
        bool first = !zs->begun;

        zs->begun = true;
        zs->hinted = false;
        if (!header->has_content_size)
                header->content_size = hinted ? HINT_WINDOWS * header->window : 0;
        if (first || pool_threads(zs->pool) == 1 || header->dictionary || header->window > zs->window_limit ||
            header->content_size == 0 || header->content_size > content_limit(zs))
                return 0;
        if (!zs->queue && frame_queue_new(&zs->intake, zs->pool, zstd_begin_ahead, &zs->source, &zs->queue, err) < 0)
                return -1;
        return frame_queue_begin(zs->queue, header, err) < 0 ? -1 : 1;
}

/* What is there may be a hint, and a frame for the queue. Anything else is looked at again when its turn has come. */
static int zstd_begin_ahead(struct source *source, struct error *err)
{
        struct zstd_source *zs = (struct zstd_source *)source;
        struct frame_header header;
        const uint8_t *bytes;
        ssize_t n = intake_glance(&zs->intake, FRAME_HEADER_MAX, &bytes, err);

        if (n >= HINT_SIZE && is_hint(bytes)) {
                intake_skip(&zs->intake, HINT_SIZE);
                zs->hinted = true;
                n = intake_glance(&zs->intake, FRAME_HEADER_MAX, &bytes, err);
        }
        if (n < 0)
                return -1;
        if (frame_header_parse(bytes, (size_t)n, &header) != 1)
                return 0;
        return begin_queued(zs, &header, err);
}

/* Decompresses a frame as its bytes come, of which the first `size` were loaded. */
static void go_on_from(struct zstd_source *zs, const uint8_t *bytes, uint64_t start, size_t size)
{
        ZSTD_DCtx_reset(zs->context, ZSTD_reset_session_only);
        zs->in_frame = true;
        zs->loaded = bytes;
        zs->loaded_size = size;
        zs->loaded_end = start + size;
}

static int step_queue(struct zstd_source *zs, struct error *err)
{
        struct queued_frame frame;
        int taken = frame_queue_step(zs->queue, &frame, err);
        const uint8_t *bytes;

        if (taken > 0 && frame.result != FRAME_OK)
                go_on_from(zs, frame.bytes, frame.start, frame.size);
        if (taken != 0 || frame_queue_stop(zs->queue) == FRAME_STOP_NONE)
                return taken < 0 ? -1 : 0;
        bytes = frame_queue_give_up(zs->queue, &frame.start, &frame.size);
        if (bytes)
                go_on_from(zs, bytes, frame.start, frame.size);
        else if (frame_queue_stop(zs->queue) == FRAME_STOP_FAILED)
                return frame_queue_raise(zs->queue, err);
        return 0;
}

/* ---- one frame after another ---- */

/* Skips what stands between data frames. A record of ours here means a vdi stream whose beginning is gone or damaged;
 * taking its data without its checks would be wrong. */
static int skip_frame(struct zstd_source *zs, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = intake_peek(&zs->intake, RECORD_PREFIX, &bytes, err);
        uint64_t left;

        if (n < 0)
                return -1;
        if (n < SKIPPABLE_HEADER)
                return zstd_raise_cut(zs, (size_t)n, err);
        /* Others may use this magic number, but a vdi stream whose tags are damaged must not pass for one of theirs. */
        if (get_le32(bytes) == RECORD_MAGIC)
                return zstd_raise_damaged(zs, "a record of a vdi stream, but the stream does not begin with its header",
                                          err);
        zs->hinted = is_hint(bytes);
        left = SKIPPABLE_HEADER + (uint64_t)get_le32(bytes + 4);
        while (left > 0) {
                size_t piece = left < INTAKE_ROOM ? (size_t)left : INTAKE_ROOM;

                n = intake_peek(&zs->intake, piece, &bytes, err);
                if (n < 0)
                        return -1;
                if ((size_t)n < piece)
                        return zstd_raise_cut(zs, (size_t)n, err);
                intake_skip(&zs->intake, piece);
                left -= piece;
        }
        return 1;
}

static int check_window(const struct zstd_source *zs, const struct frame_header *header, struct error *err)
{
        if (header->dictionary)
                return error_raise(err, ERR_USAGE,
                                   "%s was compressed with a dictionary; pipe it through `zstd -dc -D DICTIONARY`",
                                   zs->source.label);
        if (header->window > WINDOW_MAX)
                return error_raise(err, ERR_DAMAGED,
                                   "%s is damaged at byte %llu: a zstd frame asks for a window of %llu bytes, and no "
                                   "zstd takes more than %llu",
                                   zs->source.label, (unsigned long long)zstd_position(zs),
                                   (unsigned long long)header->window, (unsigned long long)WINDOW_MAX);
        if (header->window > zs->window_limit)
                return error_raise(err, ERR_USAGE,
                                   "%s needs a window of %llu bytes to be decompressed; --memory-limit %lluM allows it",
                                   zs->source.label, (unsigned long long)header->window,
                                   (unsigned long long)((header->window + (1 << 20) - 1) >> 20));
        return 0;
}

/* At a frame's boundary. Returns 1 when something was begun or skipped, 0 at the end, -1. */
static int begin_frame(struct zstd_source *zs, struct error *err)
{
        struct frame_header header;
        const uint8_t *bytes;
        ssize_t n = intake_peek(&zs->intake, FRAME_HEADER_MAX, &bytes, err);
        int queued;

        if (n <= 0)
                return (int)n;
        if (n < FRAME_MAGIC_SIZE)
                return zstd_raise_cut(zs, (size_t)n, err);
        if (frame_is_skippable(get_le32(bytes)))
                return skip_frame(zs, err);
        if (get_le32(bytes) != FRAME_MAGIC)
                return zstd_raise_damaged(zs, "something that is no zstd frame follows", err);
        switch (frame_header_parse(bytes, (size_t)n, &header)) {
        case 0:
                return zstd_raise_cut(zs, (size_t)n, err);
        case -1:
                return zstd_raise_damaged(zs, "a zstd frame header is wrong", err);
        default:
                break;
        }
        if (check_window(zs, &header, err) < 0)
                return -1;
        queued = begin_queued(zs, &header, err);
        if (queued == 0)
                go_on_from(zs, /* bytes= */ NULL, zs->intake.position, 0);
        return queued < 0 ? -1 : 1;
}

/* The bytes of the frame that come next. */
static int next_bytes(struct zstd_source *zs, ZSTD_inBuffer *in, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n;

        if (intake_look_at_cancel(&zs->intake, err) < 0)
                return -1;
        if (zs->loaded_size > 0) {
                *in = (ZSTD_inBuffer){ .src = zs->loaded, .size = zs->loaded_size };
                return 0;
        }
        if (zs->queue && frame_queue_stop(zs->queue) == FRAME_STOP_FAILED)
                return frame_queue_raise(zs->queue, err);
        n = intake_peek(&zs->intake, 1, &bytes, err);
        if (n < 0)
                return -1;
        *in = (ZSTD_inBuffer){ .src = bytes, .size = n > 0 ? zs->intake.end - zs->intake.start : 0 };
        return 0;
}

static void skip_bytes(struct zstd_source *zs, size_t size)
{
        if (zs->loaded_size == 0) {
                intake_skip(&zs->intake, size);
                return;
        }
        zs->loaded += size;
        zs->loaded_size -= size;
}

/* Inside a frame: gives bytes, 0 when none came of it yet, -1. */
static ssize_t inflate(struct zstd_source *zs, void *buffer, size_t size, struct error *err)
{
        ZSTD_outBuffer out = { .dst = buffer, .size = size };
        ZSTD_inBuffer in;
        size_t result;

        if (next_bytes(zs, &in, err) < 0)
                return -1;
        result = ZSTD_decompressStream(zs->context, &out, &in);
        if (ZSTD_isError(result))
                return zstd_raise_damaged(zs, ZSTD_getErrorName(result), err);
        skip_bytes(zs, in.pos);
        if (result == 0)
                zs->in_frame = false;
        else if (in.pos == 0 && out.pos == 0)
                return zstd_raise_cut(zs, 0, err);
        if (!zs->in_frame && zs->loaded_size > 0)
                return zstd_raise_damaged(zs, "a zstd frame ends before its last block", err);
        return (ssize_t)out.pos;
}

static ssize_t zstd_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct zstd_source *zs = (struct zstd_source *)source;
        ssize_t n = 0;

        while (n == 0) {
                if (zs->in_frame) {
                        n = inflate(zs, buffer, size, err);
                } else if (frame_queue_is_used(zs->queue)) {
                        n = (ssize_t)frame_queue_read(zs->queue, buffer, size);
                        if (n == 0)
                                n = step_queue(zs, err);
                } else {
                        int begun = begin_frame(zs, err);

                        if (begun <= 0)
                                return begun;
                }
        }
        return n;
}

static void zstd_source_free(struct source *source)
{
        struct zstd_source *zs = (struct zstd_source *)source;

        frame_queue_free(zs->queue);
        intake_deinit(&zs->intake);
        ZSTD_freeDCtx(zs->context);
        free(zs);
}

static const struct source_ops zstd_source_ops = {
        .name = "zstd",
        .read = zstd_source_read,
        .free = zstd_source_free,
};

static int zstd_source_prepare(struct zstd_source *zs, const struct reader_options *options, struct error *err)
{
        int window_log = 10;

        zs->context = ZSTD_createDCtx();
        if (!zs->context)
                return error_no_memory(err);
        /* The exact limit is checked frame by frame; this one only must not be in its way. */
        while (window_log < WINDOW_LOG_MAX && (uint64_t)1 << window_log < zs->window_limit)
                window_log++;
        if (ZSTD_isError(ZSTD_DCtx_setParameter(zs->context, ZSTD_d_windowLogMax, window_log)))
                return error_raise(err, ERR_FAILED, "zstd refuses a window of 2^%d bytes", window_log);
        zs->pool = options->pool;
        zs->memory_limit = options->memory_limit;
        return intake_init(&zs->intake, zs->source.next, zs->source.label, options->cancel, err);
}

int zstd_source_new(struct source *next, const char *label, const struct reader_options *options,
                    struct source **ret_source, struct error *err)
{
        struct zstd_source *zs = source_make(sizeof *zs, &zstd_source_ops, next, label, err);

        if (!zs)
                return -1;
        zs->window_limit = options->memory_limit ? options->memory_limit : WINDOW_LIMIT_DEFAULT;
        if (zstd_source_prepare(zs, options, err) < 0) {
                source_free(&zs->source);
                return -1;
        }
        *ret_source = &zs->source;
        return 0;
}
