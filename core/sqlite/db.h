/*
 * db.h - opening SQLite databases and putting SQLite's failures into words
 *
 * Every database handle of the server comes from here, so that a path is never taken for a URI, every wait for
 * somebody else's lock is bounded, and every failure names the database and the remedy.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/deadline.h"
#include "core/base/error.h"

/* How long somebody else's lock is waited for. Belongs to the caller and must outlive the handle it is given to. */
struct db_patience {
        struct deadline deadline;
        bool (*cancelled)(void *context); /* looked at before every new attempt; NULL: never */
        void *context;
};

enum db_mode {
        DB_READ_WRITE, /* an existing database; SQLite itself falls back to reading where writing is not permitted */
        DB_IMMUTABLE,  /* read only, without locks, logs and journals: nobody else writes to the file */
};

/* Opens the existing database at the absolute `path`. `patience` may be NULL for DB_IMMUTABLE. */
int db_open(const char *path, enum db_mode mode, struct db_patience *patience, sqlite3 **ret_db, struct error *err);

/* Closes *db if it is open; for CLEANUP(). */
void db_closep(sqlite3 **db);

/* Runs a statement and throws its rows away. Returns SQLite's extended result code. */
int db_exec(sqlite3 *db, const char *sql);

/* The first column of the first row, as a number or as text (cut to `size`). Returns SQLite's extended result code. */
int db_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret_number);
int db_text(sqlite3 *db, const char *sql, char *text, size_t size);

/* Waits a moment before a lock is tried again, longer with every `attempt` (from 0). False when patience is over. */
bool db_wait(const struct db_patience *patience, int attempt);

bool db_is_cancelled(const struct db_patience *patience);

/* Whether a result code means that somebody else holds a lock. */
bool db_is_busy(int result);

/* Whether a result code means that the bytes are no sound database. */
bool db_is_damaged(int result);

/* Raises the error that fits SQLite's result code for the database at `path`. Returns -1. */
int db_raise(struct error *err, sqlite3 *db, int result, const char *path);
