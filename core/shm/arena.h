/*
 * arena.h - hands out pieces of an area of memory by offset
 *
 * The bookkeeping is private memory of the one process that allocates; nothing of it lies in the area, so a peer who
 * writes there cannot disturb it. A block is [prefix zone][data zone]; offsets name the start of the data zone, which
 * is what the alignment is measured at. Both zones take whole multiples of the alignment, so that any mix of blocks of
 * one alignment packs without loss.
 *
 * Blocks are kept sorted by offset and the gaps between them are implied: freeing coalesces by itself, and an arena
 * with nothing allocated is always as good as new. Allocation is first fit.
 *
 * Not thread safe: the caller locks.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum arena_result {
        ARENA_OK = 0,
        ARENA_FULL,    /* no gap is large enough */
        ARENA_UNKNOWN, /* no such block */
        ARENA_NO_HEAP, /* the bookkeeping could not grow */
};

struct arena_block {
        uint64_t start;  /* of the prefix zone */
        uint64_t data;   /* of the data zone */
        uint64_t length; /* bytes of data asked for */
        uint64_t end;    /* of the space taken */
};

struct arena {
        uint64_t size;
        struct arena_block *blocks;
        size_t count;
        size_t capacity;
};

void arena_init(struct arena *arena, uint64_t size);
void arena_deinit(struct arena *arena);

/* Space that one block takes. UINT64_MAX when the sum has no room in 64 bits. */
uint64_t arena_block_space(uint64_t length, uint64_t alignment, uint64_t prefix);

/* Takes `length` (> 0) bytes at a multiple of `alignment` (a power of two) behind a prefix zone of `prefix` bytes. */
enum arena_result arena_alloc(struct arena *arena, uint64_t length, uint64_t alignment, uint64_t prefix,
                              uint64_t *ret_data);

/* Gives back the block whose data zone begins at `data` and has `length` bytes. */
enum arena_result arena_free(struct arena *arena, uint64_t data, uint64_t length);

/* The block in whose data zone `offset` lies, or NULL. Valid until the next call that allocates or frees. */
const struct arena_block *arena_find(const struct arena *arena, uint64_t offset);

/* How many such blocks would fit now. */
uint64_t arena_count_fit(const struct arena *arena, uint64_t length, uint64_t alignment, uint64_t prefix);
