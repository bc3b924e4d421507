/*
 * seektable.h - the seek table at the end of a vdi stream (zstd's published seekable format)
 *
 * One entry for every frame before it, skippable ones with a content of 0. The writer keeps the entries as runs of
 * equal ones, because stored frames are nearly all alike; the reader keeps none and compares hashes.
 */
#ifndef VDIPIPE_CODECS_SEEKTABLE_H
#define VDIPIPE_CODECS_SEEKTABLE_H

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

struct seektable_run {
        uint32_t count;
        uint32_t compressed;
        uint32_t content;
};

struct seektable {
        struct seektable_run *runs;
        size_t run_count;
        size_t run_room;
        uint32_t frames;
};

void seektable_deinit(struct seektable *table);

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

#endif
