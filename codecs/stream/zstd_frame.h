/*
 * zstd_frame.h - the data frames of a vdi stream, as bytes (RFC 8878)
 *
 * A stored frame begins with FRAME_STORED_HEADER and holds raw blocks only; its last block is empty. Any other frame is
 * compressed. One frame is the unit of work: encoder and decoder (zstd's context) take whole frames, keep nothing
 * between them, and may run in as many threads as there are encoders or decoders.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

#include "core/base/error.h"

#define FRAME_MAGIC          0xFD2FB528u
#define SKIPPABLE_MAGIC      0x184D2A50u /* the first of 16 */
#define SKIPPABLE_MAGIC_MASK 0xFFFFFFF0u

enum {
        FRAME_CONTENT_MAX = 4 << 20,       /* what the writer puts into a frame */
        FRAME_CONTENT_MAX_LONG = 32 << 20, /* the same with long-distance matching */
        FRAME_WINDOW_LOG_LONG = 25,
        FRAME_CONTENT_LIMIT = 32 << 20, /* what the reader accepts */
        FRAME_BLOCK_MAX = 128 << 10,
        FRAME_MAGIC_SIZE = 4,
        FRAME_STORED_HEADER_SIZE = 2,
        FRAME_HEADER_MAX = 18, /* magic included */
        FRAME_BLOCK_HEADER_SIZE = 3,
        FRAME_CHECKSUM_SIZE = 4,
        FRAME_STORED_TAIL_SIZE = FRAME_BLOCK_HEADER_SIZE + FRAME_CHECKSUM_SIZE,
};

/* Frame_Header_Descriptor: checksum, nothing else. Window_Descriptor: 128 KiB. */
#define FRAME_STORED_DESCRIPTOR 0x04
#define FRAME_STORED_WINDOW     0x38

enum frame_block { FRAME_BLOCK_RAW = 0, FRAME_BLOCK_RLE = 1, FRAME_BLOCK_COMPRESSED = 2, FRAME_BLOCK_RESERVED = 3 };

static inline bool frame_is_skippable(uint32_t magic)
{
        return (magic & SKIPPABLE_MAGIC_MASK) == SKIPPABLE_MAGIC;
}

static inline uint32_t frame_block_header(enum frame_block type, uint32_t size, bool last)
{
        return size << 3 | (uint32_t)type << 1 | (last ? 1u : 0u);
}

struct frame_header {
        size_t size; /* magic included */
        bool stored;
        bool has_checksum;
        bool has_content_size;
        uint64_t content_size;
        uint64_t window; /* bytes a decoder must keep */
        uint32_t dictionary;
};

/* Reads the header of a data frame, magic included. Returns 1 when it is there, 0 when `size` is too little
 * (FRAME_HEADER_MAX always is enough), -1 when a reserved bit is set or the magic is another. */
int frame_header_parse(const uint8_t *bytes, size_t size, struct frame_header *ret_header);

/* The end of a stored frame: the empty last block and the checksum. */
void frame_stored_tail(uint8_t tail[FRAME_STORED_TAIL_SIZE], uint32_t checksum);

struct frame_settings {
        int zstd_level;
        bool zstd_long; /* frames of more content, with long-distance matching */
};

/* Room that a frame of so much content can need. */
size_t frame_bound(size_t content_size);

/* Compresses at least one byte into one frame, magic and checksum included. *encoder is zstd's context,
 * made where it is NULL, and given back where it is too large to be kept for the next frame. */
int frame_encode(ZSTD_CCtx **encoder, const struct frame_settings *settings, const void *content, size_t content_size,
                 void *frame, size_t room, size_t *ret_size, struct error *err);

enum frame_result { FRAME_OK = 0, FRAME_WRONG_CHECKSUM, FRAME_CORRUPT };

/* Decompresses one whole frame into at most *content_size bytes (`exact`: neither more nor less), and says how many
 * there are. *ret_fault is a static sentence when it cannot. */
enum frame_result frame_decode(ZSTD_DCtx *decoder, const void *frame, size_t size, void *content, size_t *content_size,
                               bool exact, const char **ret_fault);
