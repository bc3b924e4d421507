#include "core/sqlite/db.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cleanup.h"

/* What to say of a result code: its class, and the words behind "'PATH' ". A row without words is worded by SQLite. */
struct db_failure {
        int result;
        enum err_code code;
        const char *words;
};

/* Extended codes first: the first row that matches the code, or its low byte, is taken. */
static const struct db_failure db_failures[] = {
        { SQLITE_READONLY_ROLLBACK, ERR_FAILED,
          "has an interrupted transaction to roll back, which needs write access: run this as its owner" },
        { SQLITE_READONLY_RECOVERY, ERR_FAILED,
          "has a write-ahead log to recover, which needs write access: run this as its owner, or use --immutable if "
          "nobody writes to it" },
        { SQLITE_READONLY_CANTLOCK, ERR_FAILED,
          "is in WAL mode and its -shm file cannot be used: run this as its owner, or use --immutable if nobody writes "
          "to it" },
        { SQLITE_READONLY_CANTINIT, ERR_FAILED,
          "is in WAL mode and its -shm file cannot be made: run this as its owner, or use --immutable if nobody writes "
          "to it" },
        { SQLITE_READONLY_DIRECTORY, ERR_FAILED,
          "lies in a folder that cannot be written to: run this as its owner, or use --immutable if nobody writes to "
          "it" },
        { SQLITE_BUSY, ERR_BUSY, "is locked by another process: try again later" },
        { SQLITE_LOCKED, ERR_BUSY, "is locked by another process: try again later" },
        { SQLITE_PROTOCOL, ERR_BUSY, "is locked by another process: try again later" },
        { SQLITE_NOTADB, ERR_FAILED, "is not a SQLite database (or is encrypted)" },
        { SQLITE_CORRUPT, ERR_FAILED, "is damaged: run 'PRAGMA integrity_check' on it" },
        { SQLITE_FULL, ERR_NO_SPACE, "cannot grow: no space left on device" },
        { SQLITE_NOMEM, ERR_MEMORY, "cannot be opened: out of memory" },
        { SQLITE_READONLY, ERR_FAILED, "cannot be written to: run this as its owner" },
        { SQLITE_CANTOPEN, ERR_FAILED,
          "cannot be opened: if it is in WAL mode in a folder that cannot be written to, run this as its owner, or use "
          "--immutable if nobody writes to it" },
        { SQLITE_INTERRUPT, ERR_ABORTED, "was left alone because the device set was aborted" },
};

int db_raise(struct error *err, sqlite3 *db, int result, const char *path)
{
        int sys_errno = db ? sqlite3_system_errno(db) : 0;

        /* SQLite has one code for whatever keeps it from opening a file; the plain reason is the better message. */
        if ((result & 0xff) == SQLITE_CANTOPEN && access(path, R_OK) < 0)
                return error_raise_errno(err, errno, "cannot open the database '%s'", path);
        for (size_t i = 0; i < sizeof db_failures / sizeof db_failures[0]; i++)
                if (db_failures[i].result == result || db_failures[i].result == (result & 0xff))
                        return error_raise(err, db_failures[i].code, "'%s' %s", path, db_failures[i].words);
        if ((result & 0xff) == SQLITE_IOERR && sys_errno)
                return error_raise_errno(err, sys_errno, "input or output on '%s' failed", path);
        return error_raise(err, (result & 0xff) == SQLITE_IOERR ? ERR_IO : ERR_FAILED, "SQLite fails on '%s': %s", path,
                           db ? sqlite3_errmsg(db) : sqlite3_errstr(result));
}

bool db_is_busy(int result)
{
        int primary = result & 0xff;

        return primary == SQLITE_BUSY || primary == SQLITE_LOCKED || primary == SQLITE_PROTOCOL;
}

bool db_is_damaged(int result)
{
        int primary = result & 0xff;

        return primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT;
}

bool db_is_cancelled(const struct db_patience *patience)
{
        return patience->cancelled && patience->cancelled(patience->context);
}

/* SQLite's locks can only be tried, not waited for: so try, and wait a little longer each time. */
bool db_wait(const struct db_patience *patience, int attempt)
{
        static const int delays_ms[] = { 1, 2, 5, 10, 15, 20, 25, 25, 50 };
        enum { DELAYS = sizeof delays_ms / sizeof delays_ms[0] };
        struct timespec pause;

        if (db_is_cancelled(patience) || deadline_passed(patience->deadline))
                return false;
        pause = deadline_slice(patience->deadline, delays_ms[attempt < DELAYS ? attempt : DELAYS - 1]);
        nanosleep(&pause, NULL);
        return true;
}

static int on_busy(void *patience, int attempt)
{
        return db_wait(patience, attempt);
}

/* "file:" + the path with everything unusual percent-encoded + "?immutable=1". */
static char *immutable_uri(const char *path)
{
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
        static const char tail[] = "?immutable=1";
        char *uri = malloc(5 + 3 * strlen(path) + sizeof tail);
        char *at = uri;

        if (!uri)
                return NULL;
        at += sprintf(at, "file:");
        for (const unsigned char *c = (const unsigned char *)path; *c; c++)
                at += sprintf(at, strchr(plain, *c) ? "%c" : "%%%02x", *c);
        memcpy(at, tail, sizeof tail);
        return uri;
}

static int check_is_file(const char *path, struct error *err)
{
        struct stat st;

        if (path[0] != '/')
                return error_raise(err, ERR_USAGE, "'%s' is not an absolute path", path);
        if (stat(path, &st) < 0)
                return error_raise_errno(err, errno, "cannot open the database '%s'", path);
        if (!S_ISREG(st.st_mode))
                return error_raise(err, ERR_FAILED, "'%s' is not a regular file, so it is no database", path);
        return 0;
}

int db_open(const char *path, enum db_mode mode, struct db_patience *patience, sqlite3 **ret_db, struct error *err)
{
        const int flags[] = {
                [DB_READ_WRITE] = SQLITE_OPEN_READWRITE,
                [DB_IMMUTABLE] = SQLITE_OPEN_READONLY | SQLITE_OPEN_URI,
        };
        CLEANUP(db_closep) sqlite3 *db = NULL;
        CLEANUP(freep) char *uri = mode == DB_IMMUTABLE ? immutable_uri(path) : NULL;
        int result;

        if (check_is_file(path, err) < 0)
                return -1;
        if (mode == DB_IMMUTABLE && !uri)
                return error_raise_errno(err, ENOMEM, "cannot open '%s'", path);
        result = sqlite3_open_v2(uri ? uri : path, &db, flags[mode] | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_EXRESCODE,
                                 /* vfs= */ NULL);
        if (result != SQLITE_OK)
                return db_raise(err, db, result, path);
        /* The schema comes from whoever made the database: it shall not call functions that have side effects. */
        sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
        if (patience)
                sqlite3_busy_handler(db, on_busy, patience);
        *ret_db = take_ptr(&db);
        return 0;
}

void db_closep(sqlite3 **db)
{
        sqlite3_close_v2(*db);
        *db = NULL;
}

int db_exec(sqlite3 *db, const char *sql)
{
        return sqlite3_exec(db, sql, /* callback= */ NULL, /* context= */ NULL, /* errmsg= */ NULL);
}

static int db_first_row(sqlite3 *db, const char *sql, sqlite3_stmt **ret_statement)
{
        int result = sqlite3_prepare_v2(db, sql, -1, ret_statement, /* tail= */ NULL);

        if (result != SQLITE_OK)
                return result;
        result = sqlite3_step(*ret_statement);
        return result == SQLITE_DONE ? SQLITE_ERROR : result;
}

int db_number(sqlite3 *db, const char *sql, sqlite3_int64 *ret_number)
{
        sqlite3_stmt *statement = NULL;
        int result = db_first_row(db, sql, &statement);

        if (result == SQLITE_ROW)
                *ret_number = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        return result == SQLITE_ROW ? SQLITE_OK : result;
}

int db_text(sqlite3 *db, const char *sql, char *text, size_t size)
{
        sqlite3_stmt *statement = NULL;
        int result = db_first_row(db, sql, &statement);

        if (result == SQLITE_ROW) {
                const unsigned char *column = sqlite3_column_text(statement, 0);

                snprintf(text, size, "%s", column ? (const char *)column : "");
        }
        sqlite3_finalize(statement);
        return result == SQLITE_ROW ? SQLITE_OK : result;
}
