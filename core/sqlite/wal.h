/*
 * wal.h - SQLite's write-ahead log as bytes: which of its frames holds a page's newest content
 *
 * The log is a header and frames; a frame is a header (page number, database size after a commit, salt, checksum) and
 * one page. A log is used again from its start once everything in it has reached the database ("restart"); the salt,
 * which every frame repeats, tells the generations apart. The wal-index, in shared memory, says how many frames count.
 *
 * Two ways to learn a generation: wal_index_header() and wal_walk() beside a running SQLite, wal_recover() from the
 * file alone. Both fill a wal_map. No state of its own; a sealed map may be read by any number of threads.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum {
        WAL_HEADER_SIZE = 32,
        WAL_FRAME_HEADER_SIZE = 24,
        WAL_SALT_SIZE = 8,
        WAL_INDEX_REGION_SIZE = 32768, /* the unit in which the wal-index is mapped */
};

enum wal_result {
        WAL_OK = 0,
        WAL_AGAIN, /* it changed under us: take the wal-index header anew */
        WAL_EMPTY, /* wal_recover() only: nothing in the file counts */
};

/* What the wal-index header says, as of one moment. */
struct wal_generation {
        uint32_t page_size;          /* bytes */
        uint32_t frames;             /* frames 1 to this one are committed */
        uint32_t pages;              /* size of the database after the last of them */
        uint32_t backfilled;         /* frames up to this one are in the database file too */
        uint8_t salt[WAL_SALT_SIZE]; /* as in the file */
};

/* Where bytes come from. read() gives zeros for what lies past the end. */
struct wal_bytes {
        int (*read)(void *context, void *buffer, size_t size, uint64_t offset, struct error *err);
        void *context;
};

struct wal_entry {
        uint32_t page;
        uint32_t frame;
};

/* Pages that have a frame, ascending, each once with its newest frame. Zero-initialised is empty. */
struct wal_map {
        struct wal_entry *entries;
        size_t count;
        size_t capacity;
};

void wal_map_deinit(struct wal_map *map);

/* Index of the first entry whose page is not below `page`; map->count when there is none. */
size_t wal_map_find(const struct wal_map *map, uint32_t page);

/* Place of a frame's header in the log; its page follows. */
uint64_t wal_frame_offset(uint32_t page_size, uint32_t frame);

/* Copies the header from the wal-index's first region. WAL_AGAIN while SQLite is changing it. */
int wal_index_header(const volatile void *region, struct wal_generation *ret_generation);

/* Fills *map with the frames of the generation. WAL_AGAIN when the log was restarted meanwhile. */
int wal_walk(const struct wal_bytes *log, const struct wal_generation *generation, struct wal_map *map,
             struct error *err);

/* Whether frame number `frame` still belongs to the generation: 1 or 0, negative with `err` set. */
int wal_frame_is_current(const struct wal_bytes *log, const struct wal_generation *generation, uint32_t frame,
                         struct error *err);

/* Reads a log of `size` bytes that no process uses, as SQLite's recovery does: frames count up to the last commit
 * before the first one whose salt or checksum is wrong. */
int wal_recover(const struct wal_bytes *log, uint64_t size, struct wal_generation *ret_generation, struct wal_map *map,
                struct error *err);
