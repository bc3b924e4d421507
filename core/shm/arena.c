#include "core/shm/arena.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t round_up(uint64_t value, uint64_t alignment)
{
        uint64_t rounded = (value + alignment - 1) & ~(alignment - 1);

        return rounded < value ? UINT64_MAX : rounded;
}

void arena_init(struct arena *arena, uint64_t size)
{
        *arena = (struct arena){ .size = size };
}

void arena_deinit(struct arena *arena)
{
        free(arena->blocks);
        *arena = (struct arena){ 0 };
}

uint64_t arena_block_space(uint64_t length, uint64_t alignment, uint64_t prefix)
{
        uint64_t zone = round_up(prefix, alignment);
        uint64_t data = round_up(length, alignment);

        return zone > UINT64_MAX - data ? UINT64_MAX : zone + data;
}

/* The gap in front of block `index` (behind the last one, when index is the count) as aligned space. */
static uint64_t gap_space(const struct arena *arena, size_t index, uint64_t alignment, uint64_t *ret_start)
{
        uint64_t from = index > 0 ? arena->blocks[index - 1].end : 0;
        uint64_t to = index < arena->count ? arena->blocks[index].start : arena->size;

        *ret_start = round_up(from, alignment);
        return *ret_start < to ? to - *ret_start : 0;
}

static bool reserve_entry(struct arena *arena)
{
        size_t capacity = arena->capacity ? arena->capacity * 2 : 64;
        struct arena_block *blocks;

        if (arena->count < arena->capacity)
                return true;
        blocks = realloc(arena->blocks, capacity * sizeof *blocks);
        if (!blocks)
                return false;
        arena->blocks = blocks;
        arena->capacity = capacity;
        return true;
}

enum arena_result arena_alloc(struct arena *arena, uint64_t length, uint64_t alignment, uint64_t prefix,
                              uint64_t *ret_data)
{
        uint64_t space = arena_block_space(length, alignment, prefix);
        uint64_t start = 0;
        size_t at;

        if (!reserve_entry(arena))
                return ARENA_NO_HEAP;
        for (at = 0; at <= arena->count; at++)
                if (gap_space(arena, at, alignment, &start) >= space)
                        break;
        if (at > arena->count)
                return ARENA_FULL;
        memmove(arena->blocks + at + 1, arena->blocks + at, (arena->count - at) * sizeof *arena->blocks);
        arena->blocks[at] = (struct arena_block){
                .start = start,
                .data = start + round_up(prefix, alignment),
                .length = length,
                .end = start + space,
        };
        arena->count++;
        *ret_data = arena->blocks[at].data;
        return ARENA_OK;
}

/* Index of the last block whose data begins at or before `offset`; the count when there is none. */
static size_t find_index(const struct arena *arena, uint64_t offset)
{
        size_t low = 0;
        size_t high = arena->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (arena->blocks[middle].data <= offset)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 ? low - 1 : arena->count;
}

enum arena_result arena_free(struct arena *arena, uint64_t data, uint64_t length)
{
        size_t at = find_index(arena, data);

        if (at == arena->count || arena->blocks[at].data != data || arena->blocks[at].length != length)
                return ARENA_UNKNOWN;
        arena->count--;
        memmove(arena->blocks + at, arena->blocks + at + 1, (arena->count - at) * sizeof *arena->blocks);
        return ARENA_OK;
}

const struct arena_block *arena_find(const struct arena *arena, uint64_t offset)
{
        size_t at = find_index(arena, offset);

        if (at == arena->count || offset - arena->blocks[at].data >= arena->blocks[at].length)
                return NULL;
        return &arena->blocks[at];
}

uint64_t arena_count_fit(const struct arena *arena, uint64_t length, uint64_t alignment, uint64_t prefix)
{
        uint64_t space = arena_block_space(length, alignment, prefix);
        uint64_t count = 0;
        uint64_t start;

        for (size_t at = 0; at <= arena->count; at++)
                count += gap_space(arena, at, alignment, &start) / space;
        return count;
}
