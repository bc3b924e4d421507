#include "core/sqlite/wal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/bytes.h"
#include "core/base/cleanup.h"
#include "core/base/sqlite_header.h"

enum {
        INDEX_HEADER_SIZE = 48, /* twice at the start of the wal-index; the checkpoint record follows */
        INDEX_HEADER_WORDS = INDEX_HEADER_SIZE / 4,
        INDEX_VERSION = 3007000,
        LOG_VERSION = 3007000,
        LOG_MAGIC = 0x377f0682, /* the lowest bit tells big-endian checksums */
};

/* Words of the wal-index header. */
enum {
        INDEX_WORD_VERSION = 0,
        INDEX_WORD_FLAGS = 3, /* bytes: is-initialised, big-endian checksums; then the page size in 16 bits */
        INDEX_WORD_FRAMES = 4,
        INDEX_WORD_PAGES = 5,
        INDEX_WORD_SALT = 8,
        INDEX_WORD_CHECKSUM = 10,
};

/* The log's running checksum over `size` bytes, a multiple of 8. */
static void wal_checksum(bool big_endian, const uint8_t *bytes, size_t size, uint32_t sum[2])
{
        for (size_t i = 0; i < size; i += 8) {
                sum[0] += (big_endian ? get_be32(bytes + i) : get_le32(bytes + i)) + sum[1];
                sum[1] += (big_endian ? get_be32(bytes + i + 4) : get_le32(bytes + i + 4)) + sum[0];
        }
}

void wal_map_deinit(struct wal_map *map)
{
        free(map->entries);
        *map = (struct wal_map){ 0 };
}

static int map_add(struct wal_map *map, uint32_t page, uint32_t frame, struct error *err)
{
        if (map->count == map->capacity) {
                size_t capacity = map->capacity ? map->capacity * 2 : 256;
                struct wal_entry *entries = reallocarray(map->entries, capacity, sizeof *entries);

                if (!entries)
                        return error_raise_errno(err, ENOMEM, "cannot index the write-ahead log");
                map->entries = entries;
                map->capacity = capacity;
        }
        map->entries[map->count++] = (struct wal_entry){ .page = page, .frame = frame };
        return 0;
}

static int by_page_then_frame(const void *a_at, const void *b_at)
{
        const struct wal_entry *a = a_at;
        const struct wal_entry *b = b_at;

        if (a->page != b->page)
                return a->page < b->page ? -1 : 1;
        return (a->frame > b->frame) - (a->frame < b->frame);
}

/* Sorts, and keeps of each page its newest frame. Pages past the end of the database were cut off by a later commit. */
static void map_seal(struct wal_map *map, uint32_t pages)
{
        size_t kept = 0;

        if (map->count == 0)
                return;
        qsort(map->entries, map->count, sizeof *map->entries, by_page_then_frame);
        for (size_t i = 0; i < map->count && map->entries[i].page <= pages; i++) {
                if (kept > 0 && map->entries[kept - 1].page == map->entries[i].page)
                        kept--;
                map->entries[kept++] = map->entries[i];
        }
        map->count = kept;
}

size_t wal_map_find(const struct wal_map *map, uint32_t page)
{
        size_t low = 0;
        size_t high = map->count;

        while (low < high) {
                size_t middle = low + (high - low) / 2;

                if (map->entries[middle].page < page)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

uint64_t wal_frame_offset(uint32_t page_size, uint32_t frame)
{
        return WAL_HEADER_SIZE + (uint64_t)(frame - 1) * (WAL_FRAME_HEADER_SIZE + page_size);
}

/* SQLite writes the second copy first and reads the first one first, with barriers between: equal copies are whole. */
static bool copy_index_header(const volatile uint32_t *region, uint32_t words[INDEX_HEADER_WORDS])
{
        bool equal = true;

        for (size_t i = 0; i < INDEX_HEADER_WORDS; i++)
                words[i] = __atomic_load_n(&region[i], __ATOMIC_ACQUIRE);
        for (size_t i = 0; i < INDEX_HEADER_WORDS; i++)
                equal = equal && words[i] == __atomic_load_n(&region[INDEX_HEADER_WORDS + i], __ATOMIC_ACQUIRE);
        return equal;
}

int wal_index_header(const volatile void *region, struct wal_generation *ret_generation)
{
        const volatile uint32_t *shared = region;
        uint32_t words[INDEX_HEADER_WORDS];
        uint32_t sum[2] = { 0, 0 };
        uint8_t flags[4];
        uint16_t page_size;

        if (!copy_index_header(shared, words))
                return WAL_AGAIN;
        memcpy(flags, &words[INDEX_WORD_FLAGS], sizeof flags);
        /* The index is in the machine's own byte order, its checksum too. */
        for (size_t i = 0; i < INDEX_WORD_CHECKSUM; i += 2) {
                sum[0] += words[i] + sum[1];
                sum[1] += words[i + 1] + sum[0];
        }
        if (words[INDEX_WORD_VERSION] != INDEX_VERSION || flags[0] == 0 || sum[0] != words[INDEX_WORD_CHECKSUM] ||
            sum[1] != words[INDEX_WORD_CHECKSUM + 1])
                return WAL_AGAIN;
        memcpy(&page_size, flags + 2, sizeof page_size);
        *ret_generation = (struct wal_generation){
                .page_size = (uint32_t)(page_size & 0xfe00) + ((uint32_t)(page_size & 1) << 16),
                .frames = words[INDEX_WORD_FRAMES],
                .pages = words[INDEX_WORD_PAGES],
                .backfilled = __atomic_load_n(&shared[2 * INDEX_HEADER_WORDS], __ATOMIC_ACQUIRE),
        };
        memcpy(ret_generation->salt, &words[INDEX_WORD_SALT], WAL_SALT_SIZE);
        return WAL_OK;
}

static int read_frame_header(const struct wal_bytes *log, uint32_t page_size, uint32_t frame,
                             uint8_t header[WAL_FRAME_HEADER_SIZE], struct error *err)
{
        return log->read(log->context, header, WAL_FRAME_HEADER_SIZE, wal_frame_offset(page_size, frame), err);
}

int wal_walk(const struct wal_bytes *log, const struct wal_generation *generation, struct wal_map *map,
             struct error *err)
{
        uint8_t header[WAL_FRAME_HEADER_SIZE];

        map->count = 0;
        for (uint32_t frame = 1; frame <= generation->frames; frame++) {
                if (read_frame_header(log, generation->page_size, frame, header, err) < 0)
                        return -1;
                if (memcmp(header + 8, generation->salt, WAL_SALT_SIZE) != 0)
                        return WAL_AGAIN;
                if (map_add(map, get_be32(header), frame, err) < 0)
                        return -1;
        }
        map_seal(map, generation->pages);
        return WAL_OK;
}

int wal_frame_is_current(const struct wal_bytes *log, const struct wal_generation *generation, uint32_t frame,
                         struct error *err)
{
        uint8_t header[WAL_FRAME_HEADER_SIZE];

        if (read_frame_header(log, generation->page_size, frame, header, err) < 0)
                return -1;
        return memcmp(header + 8, generation->salt, WAL_SALT_SIZE) == 0;
}

/* Checks the log's header and starts the checksum chain. */
static int recover_header(const struct wal_bytes *log, struct wal_generation *generation, bool *ret_big_endian,
                          uint32_t sum[2], struct error *err)
{
        uint8_t header[WAL_HEADER_SIZE];
        uint32_t magic;

        if (log->read(log->context, header, sizeof header, 0, err) < 0)
                return -1;
        magic = get_be32(header);
        generation->page_size = get_be32(header + 8);
        if ((magic & 0xfffffffeu) != LOG_MAGIC || get_be32(header + 4) != LOG_VERSION ||
            !sqlite_is_page_size(generation->page_size))
                return WAL_EMPTY;
        *ret_big_endian = magic & 1;
        sum[0] = sum[1] = 0;
        wal_checksum(*ret_big_endian, header, 24, sum);
        if (sum[0] != get_be32(header + 24) || sum[1] != get_be32(header + 28))
                return WAL_EMPTY;
        memcpy(generation->salt, header + 16, WAL_SALT_SIZE);
        return WAL_OK;
}

int wal_recover(const struct wal_bytes *log, uint64_t size, struct wal_generation *ret_generation, struct wal_map *map,
                struct error *err)
{
        struct wal_generation generation = { 0 };
        CLEANUP(freep) uint8_t *frame_bytes = malloc(WAL_FRAME_HEADER_SIZE + SQLITE_PAGE_SIZE_MAX);
        size_t committed = 0;
        bool big_endian = false;
        uint32_t sum[2];
        int result;

        if (!frame_bytes)
                return error_raise_errno(err, ENOMEM, "cannot read the write-ahead log");
        result = size < WAL_HEADER_SIZE ? WAL_EMPTY : recover_header(log, &generation, &big_endian, sum, err);
        if (result != WAL_OK)
                return result;
        map->count = 0;
        for (uint32_t frame = 1; wal_frame_offset(generation.page_size, frame + 1) <= size && frame < UINT32_MAX;
             frame++) {
                uint32_t page;

                if (log->read(log->context, frame_bytes, WAL_FRAME_HEADER_SIZE + generation.page_size,
                              wal_frame_offset(generation.page_size, frame), err) < 0)
                        return -1;
                page = get_be32(frame_bytes);
                wal_checksum(big_endian, frame_bytes, 8, sum);
                wal_checksum(big_endian, frame_bytes + WAL_FRAME_HEADER_SIZE, generation.page_size, sum);
                if (page == 0 || memcmp(frame_bytes + 8, generation.salt, WAL_SALT_SIZE) != 0 ||
                    sum[0] != get_be32(frame_bytes + 16) || sum[1] != get_be32(frame_bytes + 20))
                        break;
                if (map_add(map, page, frame, err) < 0)
                        return -1;
                if (get_be32(frame_bytes + 4) != 0) {
                        generation.pages = get_be32(frame_bytes + 4);
                        generation.frames = frame;
                        committed = map->count;
                }
        }
        map->count = committed;
        map_seal(map, generation.pages);
        *ret_generation = generation;
        return committed ? WAL_OK : WAL_EMPTY;
}
