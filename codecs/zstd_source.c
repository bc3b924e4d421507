#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "codecs/bytes.h"
#include "codecs/frame.h"
#include "codecs/intake.h"
#include "codecs/layers.h"
#include "codecs/record.h"

#define WINDOW_LIMIT_DEFAULT ((uint64_t)8 << 20)

struct zstd_source {
        struct source source;
        char *label;
        uint64_t window_limit;
        struct intake intake;
        ZSTD_DCtx *context;
        bool in_frame;
};

static int raise_damaged(const struct zstd_source *zs, const char *what, struct error *err)
{
        return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %llu: %s", zs->label,
                           (unsigned long long)zs->intake.position, what);
}

static int raise_cut(const struct zstd_source *zs, size_t behind, struct error *err)
{
        return error_raise(err, ERR_DAMAGED, "%s ends at byte %llu inside a zstd frame: it was cut off", zs->label,
                           (unsigned long long)zs->intake.position + behind);
}

/* Skips what stands between data frames. A record of ours here means a vdi stream whose beginning is gone or damaged;
 * taking its data without its checks would be wrong. */
static int skip_frame(struct zstd_source *zs, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = intake_peek(&zs->intake, RECORD_PREFIX, &bytes, err);
        uint64_t left;

        if (n < 0)
                return -1;
        if (n < 8)
                return raise_cut(zs, (size_t)n, err);
        /* Others may use this magic number, but a vdi stream whose tags are damaged must not pass for one of theirs. */
        if (get_le32(bytes) == RECORD_MAGIC)
                return raise_damaged(zs, "a record of a vdi stream, but the stream does not begin with its header",
                                     err);
        left = 8 + (uint64_t)get_le32(bytes + 4);
        while (left > 0) {
                size_t piece = left < INTAKE_ROOM ? (size_t)left : INTAKE_ROOM;

                n = intake_peek(&zs->intake, piece, &bytes, err);
                if (n < 0)
                        return -1;
                if ((size_t)n < piece)
                        return raise_cut(zs, (size_t)n, err);
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
                                   zs->label);
        if (header->window > zs->window_limit)
                return error_raise(err, ERR_USAGE,
                                   "%s needs a window of %llu bytes to be decompressed; --memory-limit %lluM allows it",
                                   zs->label, (unsigned long long)header->window,
                                   (unsigned long long)((header->window + (1 << 20) - 1) >> 20));
        return 0;
}

/* At a frame's boundary. Returns 1 when something was begun or skipped, 0 at the end, -1. */
static int begin_frame(struct zstd_source *zs, struct error *err)
{
        struct frame_header header;
        const uint8_t *bytes;
        ssize_t n = intake_peek(&zs->intake, FRAME_HEADER_MAX, &bytes, err);

        if (n <= 0)
                return (int)n;
        if (n < FRAME_MAGIC_SIZE)
                return raise_cut(zs, (size_t)n, err);
        if (frame_is_skippable(get_le32(bytes)))
                return skip_frame(zs, err);
        if (get_le32(bytes) != FRAME_MAGIC)
                return raise_damaged(zs, "something that is no zstd frame follows", err);
        switch (frame_header_parse(bytes, (size_t)n, &header)) {
        case 0:
                return raise_cut(zs, (size_t)n, err);
        case -1:
                return raise_damaged(zs, "a zstd frame header is wrong", err);
        default:
                break;
        }
        if (check_window(zs, &header, err) < 0)
                return -1;
        ZSTD_DCtx_reset(zs->context, ZSTD_reset_session_only);
        zs->in_frame = true;
        return 1;
}

/* Inside a frame: gives bytes, 0 when none came of it yet, -1. */
static ssize_t inflate(struct zstd_source *zs, void *buffer, size_t size, struct error *err)
{
        ZSTD_outBuffer out = { .dst = buffer, .size = size };
        ZSTD_inBuffer in = { 0 };
        const uint8_t *bytes;
        size_t result;
        ssize_t n = intake_peek(&zs->intake, 1, &bytes, err);

        if (n < 0)
                return -1;
        in.src = bytes;
        in.size = n > 0 ? zs->intake.end - zs->intake.start : 0;
        result = ZSTD_decompressStream(zs->context, &out, &in);
        if (ZSTD_isError(result))
                return raise_damaged(zs, ZSTD_getErrorName(result), err);
        intake_skip(&zs->intake, in.pos);
        if (result == 0)
                zs->in_frame = false;
        else if (in.pos == 0 && out.pos == 0)
                return raise_cut(zs, 0, err);
        return (ssize_t)out.pos;
}

static ssize_t zstd_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct zstd_source *zs = (struct zstd_source *)source;

        for (;;) {
                ssize_t n;

                if (zs->in_frame) {
                        n = inflate(zs, buffer, size, err);
                        if (n != 0)
                                return n;
                        continue;
                }
                n = begin_frame(zs, err);
                if (n <= 0)
                        return n;
        }
}

static void zstd_source_free(struct source *source)
{
        struct zstd_source *zs = (struct zstd_source *)source;

        intake_deinit(&zs->intake);
        ZSTD_freeDCtx(zs->context);
        free(zs->label);
        free(zs);
}

static const struct source_ops zstd_source_ops = {
        .name = "zstd",
        .read = zstd_source_read,
        .free = zstd_source_free,
};

static int prepare(struct zstd_source *zs, const char *label, const atomic_bool *cancel, struct error *err)
{
        int window_log = 10;

        zs->label = strdup(label);
        zs->context = ZSTD_createDCtx();
        if (!zs->label || !zs->context)
                return error_raise(err, ERR_MEMORY, "out of memory");
        /* The exact limit is checked frame by frame; this one only must not be in its way. */
        while (window_log < ZSTD_dParam_getBounds(ZSTD_d_windowLogMax).upperBound &&
               (uint64_t)1 << window_log < zs->window_limit)
                window_log++;
        if (ZSTD_isError(ZSTD_DCtx_setParameter(zs->context, ZSTD_d_windowLogMax, window_log)))
                return error_raise(err, ERR_FAILED, "zstd refuses a window of 2^%d bytes", window_log);
        return intake_init(&zs->intake, zs->source.next, zs->label, cancel, err);
}

int zstd_source_new(struct source *next, const char *label, const struct reader_options *options,
                    struct source **ret_source, struct error *err)
{
        struct zstd_source *zs = calloc(1, sizeof *zs);

        if (!zs) {
                source_free(next);
                return error_raise(err, ERR_MEMORY, "out of memory");
        }
        zs->source = (struct source){ .ops = &zstd_source_ops, .next = next };
        zs->window_limit = options->memory_limit ? options->memory_limit : WINDOW_LIMIT_DEFAULT;
        if (prepare(zs, label, options->cancel, err) < 0) {
                source_free(&zs->source);
                return -1;
        }
        *ret_source = &zs->source;
        return 0;
}
