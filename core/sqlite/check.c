#include "core/sqlite/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/sqlite_header.h"

enum { PROGRESS_STEPS = 100000 }; /* of SQLite's machine between two looks at an abort */

static int check_database_shape(int fd, const char *shown, bool *ret_empty, struct error *err)
{
        uint8_t bytes[SQLITE_HEADER_SIZE] = { 0 };
        struct sqlite_header header;
        struct stat st;

        if (fstat(fd, &st) < 0 || fd_pread_full(fd, bytes, sizeof bytes, 0) < 0)
                return error_raise_errno(err, errno, "cannot check the restored database '%s'", shown);
        *ret_empty = st.st_size == 0;
        if (st.st_size == 0)
                return 0;
        if (!sqlite_header_parse(bytes, &header))
                return error_raise(err, ERR_DAMAGED, "what was to be restored to '%s' is not a SQLite database", shown);
        if ((uint64_t)st.st_size % header.page_size != 0)
                return error_raise(err, ERR_DAMAGED, "the restored database '%s' ends within a page", shown);
        if ((uint64_t)st.st_size < (uint64_t)header.pages * header.page_size)
                return error_raise(err, ERR_DAMAGED, "the restored database '%s' ends early: %llu of %u pages came",
                                   shown, (unsigned long long)((uint64_t)st.st_size / header.page_size), header.pages);
        return 0;
}

static int on_progress(void *patience_at)
{
        return db_is_cancelled(patience_at);
}

/* Collects the check's rows in one line. "ok" alone means that nothing was found. */
static int run_check(sqlite3 *db, const char *sql, const char *what, const char *shown, struct error *err)
{
        sqlite3_stmt *statement = NULL;
        char findings[512] = "";
        size_t used = 0;
        int result = sqlite3_prepare_v2(db, sql, -1, &statement, /* tail= */ NULL);

        while (result == SQLITE_OK || result == SQLITE_ROW) {
                result = sqlite3_step(statement);
                if (result == SQLITE_ROW && used < sizeof findings)
                        used += (size_t)snprintf(findings + used, sizeof findings - used, "%s%s", used ? "; " : "",
                                                 (const char *)sqlite3_column_text(statement, 0));
        }
        sqlite3_finalize(statement);
        for (char *c = findings; *c; c++)
                if (*c == '\n')
                        *c = ' ';
        if (result == SQLITE_DONE && strcmp(findings, "ok") == 0)
                return 0;
        if (result == SQLITE_DONE)
                return error_raise(err, ERR_DAMAGED, "%s '%s' is damaged: %s", what, shown, findings);
        if (db_is_damaged(result))
                return error_raise(err, ERR_DAMAGED, "%s '%s' is damaged: %s", what, shown, sqlite3_errmsg(db));
        if ((result & 0xff) == SQLITE_ERROR)
                return error_raise(err, ERR_FAILED, "%s '%s' cannot be checked here (%s): use --check none", what,
                                   shown, sqlite3_errmsg(db));
        return db_raise(err, db, result, shown);
}

int check_content(sqlite3 *db, enum server_check check, const struct db_patience *patience, const char *what,
                  const char *shown, struct error *err)
{
        static const char *const statements[] = {
                [SERVER_CHECK_QUICK] = "PRAGMA quick_check(5)",
                [SERVER_CHECK_FULL] = "PRAGMA integrity_check(5)",
        };
        int rc;

        if (patience)
                sqlite3_progress_handler(db, PROGRESS_STEPS, on_progress, (void *)(uintptr_t)patience);
        rc = run_check(db, statements[check], what, shown, err);
        sqlite3_progress_handler(db, 0, NULL, NULL);
        return rc;
}

int check_database(const char *path, int fd, enum server_check check, const struct db_patience *patience,
                   const char *shown, struct error *err)
{
        CLEANUP(db_closep) sqlite3 *db = NULL;
        bool empty = false;

        if (check_database_shape(fd, shown, &empty, err) < 0)
                return -1;
        if (check == SERVER_CHECK_NONE || empty)
                return 0;
        if (db_open(path, DB_IMMUTABLE, /* patience= */ NULL, &db, err) < 0)
                return -1;
        return check_content(db, check, patience, "the restored database", shown, err);
}
