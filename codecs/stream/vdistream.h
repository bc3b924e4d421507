/*
 * vdistream.h - what the tape and the index need of the vdi stream's writer and reader beyond the chain's calls
 */
#ifndef VDIPIPE_CODECS_STREAM_VDISTREAM_H
#define VDIPIPE_CODECS_STREAM_VDISTREAM_H

#include <stdatomic.h>
#include <stdint.h>

#include "codecs/base/source.h"
#include "codecs/base/stage.h"

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

#endif
