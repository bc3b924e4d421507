/*
 * frame_index.h - where the data and the marks of a vdi stream are in its file, for reading at positions
 *
 * Content and marks have addresses: the bytes of content before them, and of the room that marks take. Data frames and
 * marks lie in two arrays, in order; looking up is a binary search. 24 bytes a frame: 16 TB take 100 MB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/label.h"
#include "codecs/codecs.h"
#include "codecs/stream/zstd_frame.h"
#include "codecs/stream/stream.h"

enum { FRAME_INDEX_MAX = 16 << 20 }; /* frames and marks */

struct index_frame {
        uint64_t offset;  /* in the stream */
        uint64_t address; /* of its first byte of content */
        uint32_t size;    /* bytes in the stream */
        uint32_t content; /* 1 .. FRAME_CONTENT_LIMIT */
};

struct index_mark {
        uint64_t offset;
        uint64_t address;
        uint32_t mark_size; /* 0: a hard one */
};

/* All 0 but for fd is an empty one. The content of one frame is kept until that of another is needed. */
struct frame_index {
        char label[LABEL_MAX]; /* what messages call the stream */
        int fd;                /* its file, not owned */
        uint64_t base;         /* where in the file it begins */
        const atomic_bool *cancel;
        struct stream_info info; /* its header */
        uint32_t block_size;     /* 0: marks take no room and are not kept */
        struct index_frame *frames;
        size_t frame_count, frame_room;
        struct index_mark *marks;
        size_t mark_count, mark_room;
        uint64_t end; /* address behind the last */

        bool cached;
        uint64_t cached_offset; /* the frame's in the stream */
        uint8_t *content;
        size_t content_room;
        uint8_t *encoded;
        size_t encoded_room;
        ZSTD_DCtx *decoder;
};

void frame_index_deinit(struct frame_index *index);

/* To have the index filled while the stream is written or read. Data between marks must be whole blocks (ERR_USAGE). */
struct vdistream_watcher frame_index_watcher(struct frame_index *index);

/* Gives all frames and marks the addresses that they have with blocks of another size. After a failure the index is of
 * no use. */
int frame_index_set_block_size(struct frame_index *index, uint32_t block_size, struct error *err);

/* The room a mark takes: whole blocks, one at least. */
uint64_t frame_index_span(const struct frame_index *index, uint32_t mark_size);

/* The first mark at or behind an address; mark_count when there is none. */
size_t frame_index_mark_from(const struct frame_index *index, uint64_t address);

/* The frame with the content at an address, or the first one behind it; frame_count when there is none. */
size_t frame_index_frame_at(const struct frame_index *index, uint64_t address);

/* Forgets frames and marks from these on. */
void frame_index_cut(struct frame_index *index, size_t frame_count, size_t mark_count, uint64_t end);

/* Opens a bare vdi stream in a regular file to read it at positions. `index` is empty but for its block size; its
 * label, file and base are set in any case, its info where it is a stream. *ret_reader has read the header, and reports
 * to the index from there on; NULL when the file holds a raw image, for a caller that takes one (`raw_kind` not NULL).
 * Other layers are refused by name (ERR_USAGE). */
int frame_index_open(int fd, const struct reader_options *options, struct frame_index *index,
                     struct reader **ret_reader, enum layer_kind *raw_kind, struct error *err);

/* Reads the stream to its verified end. */
int frame_index_fill(struct reader *reader, struct error *err);

/* Content from an address on, which must be there: no mark and no end within `size` bytes. The checksum of every frame
 * is checked when it is brought in. One thread at a time. */
int frame_index_read(struct frame_index *index, uint64_t address, void *buffer, size_t size, struct error *err);
