/*
 * source.h - one consistent state of a SQLite database, read as bytes under SQLite's own locks
 *
 * sqlite_source_open() begins a read transaction and fixes the state; sqlite_source_read() gives its pages from any
 * thread, from the database file and the write-ahead log; sqlite_source_close() ends the transaction. Why that state is
 * consistent is argued in core/sqlite/README.md. The database's content is never changed, and nothing is checkpointed.
 *
 * All reads go through SQLite's own handles: closing a descriptor of ours on the database would drop every lock that
 * this process holds on it. Only an immutable source, which holds no locks, has descriptors of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/sqlite/db.h"

struct sqlite_source;

/* What is known of the state from the beginning. */
struct sqlite_facts {
        char *path;         /* symbolic links resolved */
        uint32_t page_size; /* 0 for an empty database */
        uint64_t size;      /* bytes of the image */
        struct stat st;
};

/* Opens the database at the absolute `path`. `patience` bounds the wait for locks, and only that call uses it. With
 * `immutable` no lock is taken: the caller swears that nobody writes. */
int sqlite_source_open(const char *path, bool immutable, const struct db_patience *patience,
                       struct sqlite_source **ret_source, struct error *err);

/* Ends the transaction, closes and frees. Leaves no -wal or -shm behind that was not there, unless transactions wait in
 * them. For CLEANUP(). */
void sqlite_source_closep(struct sqlite_source **source);

/* The source's, as long as it is open. */
const struct sqlite_facts *sqlite_source_facts(const struct sqlite_source *source);

/* Whether the source keeps writers out for as long as it is open: true in rollback mode. */
bool sqlite_source_blocks_writers(const struct sqlite_source *source);

/* Bytes of the write-ahead log that the source's read mark keeps from being restarted; 0 where it has none. */
uint64_t sqlite_source_log_size(struct sqlite_source *source);

/* Reads whole pages: offset and size are multiples of the page size, within the image. Thread safe. */
int sqlite_source_read(struct sqlite_source *source, void *buffer, size_t size, uint64_t offset, struct error *err);

/* Pages of the image from `page` (counted from 1) on whose newest content is not in the database file: the first of
 * them, 0: none. */
uint32_t sqlite_source_next_overlaid(const struct sqlite_source *source, uint32_t page);

/* Has SQLite check the content of the state (quick_check), before other threads read. ERR_DAMAGED with what it found;
 * ERR_USAGE for an immutable source, which SQLite has not opened. */
int sqlite_source_verify(struct sqlite_source *source, struct error *err);

/* After the last read, before the source is closed: whether an immutable source, or one in rollback mode, which only
 * who knows nothing of SQLite's locks can write to, stayed as it was, as far as sizes and times tell. */
int sqlite_source_check_unchanged(struct sqlite_source *source, struct error *err);
