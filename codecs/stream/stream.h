/*
 * stream.h - the vdi stream (FORMAT.md): written, read, looked at; and foreign zstd frames, read
 *
 * Each constructor owns `next` from the call on, also on failure. `label` names the input in messages ("'f.vdi'") and
 * is copied.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "codecs/base/reading.h"
#include "codecs/base/source.h"
#include "codecs/base/stage.h"
#include "codecs/stream/info.h"

/* ---- writing ---- */

enum { ZSTD_LEVEL_MIN = -7, ZSTD_LEVEL_MAX = 22, ZSTD_LEVEL_DEFAULT = 3 };

struct vdistream_options {
        bool compress;           /* false: stored frames */
        int zstd_level;          /* ZSTD_LEVEL_MIN .. ZSTD_LEVEL_MAX, not 0 */
        bool zstd_long;          /* frames of more content, with long-distance matching */
        struct pool *pool;       /* what compresses; borrowed until the stage is freed; NULL: no threads */
        uint32_t flush_boundary; /* flush and complete pad the stream to a multiple of this, for a next stage that can
                                  * only let whole chunks go; 0 or 1: no padding */
};

/* Writes a vdi stream (FORMAT.md) into `next`, which it owns from here on, also on failure. The header frame leaves
 * with the first call. */
int vdistream_writer_new(const struct stream_info *info, const struct vdistream_options *options, struct stage *next,
                         struct stage **ret_stage, struct error *err);

/* Bytes that left the writer so far (of any stage: what it handed to its next). */
uint64_t vdistream_writer_bytes_out(const struct stage *stage);

/* ---- reading ---- */

/* What the end of a vdi stream said; known once source_read() returned 0. */
struct stream_tail {
        uint64_t data_bytes;   /* content */
        uint64_t stream_bytes; /* the vdi stream itself, header to seek table */
        uint64_t marks;        /* file marks */
        bool confirmed;        /* the verdict is there */
        char *report_json;     /* what the server reported; NULL when nothing; belongs to the reader */
};
/* A vdi stream: reads and checks the header at once. *ret_info must outlive the source. */
int vdistream_source_new(struct source *next, const char *label, const struct reader_options *options,
                         struct stream_info *ret_info, struct source **ret_source, struct error *err);
/* Its end, or NULL before it was reached. */
const struct stream_tail *vdistream_source_tail(const struct source *source);

/* zstd frames that are no vdi stream. */
int zstd_source_new(struct source *next, const char *label, const struct reader_options *options,
                    struct source **ret_source, struct error *err);

/* Looks at the front and the end of a seekable file that is a bare vdi stream, without reading what lies between.
 * Returns 1 when header and end were read and agree; 0 when the file is something else (not seekable, another layer
 * outside): read it through; -1 when it is a vdi stream whose header or end is damaged or missing (ERR_DAMAGED, or
 * ERR_UNCONFIRMED with *ret_info filled). The file position is left where it was. */
int vdistream_probe(int fd, const char *name, struct stream_info *ret_info, struct stream_tail *ret_tail,
                    struct error *err);
void stream_tail_deinit(struct stream_tail *tail);

/* ---- for a tape and an index, beyond the calls of a chain ---- */

/* Is told of every data frame that has content, and of every mark, in order, as soon as it is whole: where it begins in
 * the stream, its bytes there, its bytes of content. A failure is that of the call which wrote or read the frame. */
struct vdistream_watcher {
        void *context;
        int (*data)(void *context, uint64_t offset, uint32_t size, uint32_t content, struct error *err);
        int (*mark)(void *context, uint64_t offset, uint32_t mark_size, struct error *err);
};

/* `stage` is a writer, `source` a reader of a vdi stream; the first call after it was made. */
void vdistream_writer_watch(struct stage *stage, const struct vdistream_watcher *watcher);
void vdistream_source_watch(struct source *source, const struct vdistream_watcher *watcher);

/* Writes a mark: a soft one of so many bytes, or 0 for a hard one. */
int vdistream_writer_mark(struct stage *stage, uint32_t mark_size, struct error *err);

/* Hands on all that was written as whole frames, so that it can be read from the file; it need not be on disk. */
int vdistream_writer_push(struct stage *stage, struct error *err);

struct vdistream_cut {
        uint64_t offset; /* where a data frame or a mark begins */
        int fd;          /* the file at the end of the chain, open for reading, too */
        const char *label;
        const atomic_bool *cancel; /* may be NULL */
};

/* Forgets what was written from a frame's beginning on. The stream must be watched, and must begin where the file
 * begins. */
int vdistream_writer_cut(struct stage *stage, const struct vdistream_cut *cut, struct error *err);
