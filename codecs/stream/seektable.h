/*
 * seektable.h - the seek table at the end of a vdi stream (zstd's published seekable format)
 *
 * One entry for every frame before it, skippable ones with a content of 0. The writer keeps the entries as runs of
 * equal ones, because stored frames are nearly all alike, and 4 bytes for each compressed frame: 16 MiB for 16 TiB. The
 * reader keeps none and compares hashes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define SEEKTABLE_MAGIC        0x184D2A5Eu
#define SEEKTABLE_FOOTER_MAGIC 0x8F92EAB1u

enum {
        SEEKTABLE_PREFIX = 8,
        SEEKTABLE_ENTRY = 8,
        SEEKTABLE_FOOTER = 9,
        SEEKTABLE_FRAMES_MAX = 0x8000000, /* what the seekable format allows */
};

/* A run of equal frames is one word, its compressed size, when it is one frame with the usual content; else four, the
 * size with SEEKTABLE_LONG_RUN set before and behind {count, content}, so that it can be read from either end. */
#define SEEKTABLE_LONG_RUN 0x80000000u

struct seektable {
        uint32_t *words;
        size_t word_count;
        size_t word_room;
        uint32_t frames;
};

void seektable_deinit(struct seektable *table);

/* `compressed` is below SEEKTABLE_LONG_RUN. */
int seektable_add(struct seektable *table, uint32_t compressed, uint32_t content, struct error *err);

/* Takes the last entry back. Returns false when there is none. */
bool seektable_drop(struct seektable *table, uint32_t *ret_compressed, uint32_t *ret_content);

/* Bytes of the whole skippable frame. */
uint64_t seektable_size(uint64_t frames);

void seektable_prefix(uint64_t frames, uint8_t ret_prefix[SEEKTABLE_PREFIX]);
void seektable_entry(uint32_t compressed, uint32_t content, uint8_t ret_entry[SEEKTABLE_ENTRY]);
void seektable_footer(uint64_t frames, uint8_t ret_footer[SEEKTABLE_FOOTER]);

/* Writes the frame through `put`, in pieces. */
int seektable_write(const struct seektable *table, int (*put)(void *to, const void *bytes, size_t n, struct error *err),
                    void *to, struct error *err);
