#include "core/sqlite/replace.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"

enum { COPY_PAGES = 256 }; /* between two looks at an abort */

static int replace_fault(const char *point, const struct target *target, struct error *err)
{
        int sys_errno = fault_point(point);

        return sys_errno ? error_raise_errno(err, sys_errno, "cannot put '%s' into place", target->path) : 0;
}

/* ---- a free name ---- */

int replace_new(const struct replacement *replacement, struct error *err)
{
        struct target *target = replacement->target;
        char path[PATH_MAX];
        int result;

        if (target_look(target, err) < 0)
                return -1;
        if (target_first(target, path))
                return error_raise(err, ERR_BUSY, "'%s' appeared while '%s' was restored: try again", path,
                                   target->path);
        if (db_is_cancelled(replacement->patience))
                return db_raise(err, NULL, SQLITE_INTERRUPT, target->path);
        if (staged_publish(replacement->staged, target->name, STAGED_NEW) < 0)
                return target_raise_staged(target, err);
        result = replace_fault("restore.renamed", target, err);
        if (result == 0 && staged_sync_folder(target->folder_fd) < 0)
                result = error_raise_errno(err, errno, "cannot write the folder '%s'", target->folder);
        /* Back, so that the caller finds its file and the target is as it was. */
        if (result < 0)
                staged_take_back(replacement->staged);
        return result;
}

/* ---- in place ---- */

static int in_place_raise(sqlite3 *db, int result, const struct target *target, struct error *err)
{
        if (db_is_busy(result))
                return error_raise(err, ERR_BUSY, "'%s' is in use, so it cannot be replaced now: try again later",
                                   target->path);
        if (db_is_damaged(result))
                return error_raise(err, ERR_FAILED,
                                   "'%s' is %s, so it cannot be replaced in place: use --replace=aside", target->path,
                                   (result & 0xff) == SQLITE_NOTADB ? "not a SQLite database" : "damaged");
        return db_raise(err, db, result, target->path);
}

static int in_place_open(const struct replacement *replacement, sqlite3 **ret_db, struct error *err)
{
        const struct target *target = replacement->target;
        CLEANUP(db_closep) sqlite3 *db = NULL;
        sqlite3_int64 ignored;
        int result;

        if (db_open(target->path, DB_READ_WRITE, replacement->patience, &db, err) < 0)
                return -1;
        if (sqlite3_db_readonly(db, "main") == 1)
                return error_raise(err, ERR_FAILED, "'%s' cannot be written to: run this as its owner", target->path);
        result = db_number(db, "PRAGMA schema_version", &ignored);
        if (result != SQLITE_OK)
                return in_place_raise(db, result, target, err);
        *ret_db = take_ptr(&db);
        return 0;
}

int replace_probe_in_place(const struct replacement *replacement, struct error *err)
{
        struct db_patience none = { .deadline = deadline_after_ms(0) };
        const struct replacement at_once = { .target = replacement->target, .patience = &none };
        CLEANUP(db_closep) sqlite3 *db = NULL;
        struct error own = ERROR_INIT;

        if (in_place_open(&at_once, &db, &own) == 0 || own.code == ERR_BUSY)
                return 0;
        error_keep_first(err, &own);
        return -1;
}

/* In WAL mode the page size is fixed. Leaving it needs the database for ourselves. */
static int in_place_leave_wal(sqlite3 *db, const struct replacement *replacement, struct error *err)
{
        char mode[16] = "";
        int attempt = 0;
        int result;

        do {
                result = db_text(db, "PRAGMA journal_mode=DELETE", mode, sizeof mode);
                if (result == SQLITE_OK && strcmp(mode, "delete") == 0)
                        return 0;
        } while ((result == SQLITE_OK || db_is_busy(result)) && db_wait(replacement->patience, attempt++));
        if (result != SQLITE_OK && !db_is_busy(result))
                return in_place_raise(db, result, replacement->target, err);
        return error_raise(
                err, ERR_BUSY,
                "'%s' is open elsewhere and in WAL mode with another page size than the backup's: close it there "
                "first",
                replacement->target->path);
}

/* A failure at a fault point, as SQLite would have it. */
static int in_place_fault(const char *point)
{
        int sys_errno = fault_point(point);

        return !sys_errno ? SQLITE_OK : sys_errno == ENOSPC ? SQLITE_FULL : SQLITE_IOERR;
}

/* Copies the pages, all in one transaction that the first step begins. The step that copies the last page commits, so
 * that one has nothing else to do, and an abort is heard right before it. Returns SQLITE_DONE, or what went wrong. */
static int in_place_copy_pages(sqlite3_backup *backup, const struct db_patience *patience)
{
        int pages = 0;

        for (int attempt = 0;;) {
                int result = db_is_cancelled(patience) ? SQLITE_INTERRUPT : sqlite3_backup_step(backup, pages);
                int left = sqlite3_backup_remaining(backup);

                if (db_is_busy(result) && db_wait(patience, attempt++))
                        continue;
                if (db_is_busy(result) && db_is_cancelled(patience))
                        result = SQLITE_INTERRUPT;
                if (result == SQLITE_OK && pages == 0)
                        result = in_place_fault("replace.begun");
                if (result == SQLITE_OK && left <= 1)
                        result = in_place_fault("replace.copied");
                if (result != SQLITE_OK)
                        return result;
                pages = left <= 1 ? 1 : left - 1 < COPY_PAGES ? left - 1 : COPY_PAGES;
        }
}

static int in_place_copy(sqlite3 *from, sqlite3 *to, const struct replacement *replacement, struct error *err)
{
        sqlite3_backup *backup = sqlite3_backup_init(to, "main", from, "main");
        sqlite3_int64 ignored;
        int result;

        if (!backup)
                return in_place_raise(to, sqlite3_extended_errcode(to), replacement->target, err);
        result = in_place_copy_pages(backup, replacement->patience);
        /* Finishing what is not done rolls back: other connections never see a part of it. */
        sqlite3_backup_finish(backup);
        if (result == SQLITE_DONE)
                return 0;
        in_place_raise(to, result, replacement->target, err);
        /* Except after a failed write: then SQLite trusts its memory no more, and the next read, of whatever
         * connection, plays the journal back. Nobody else may come for long, so that is us. */
        db_number(to, "PRAGMA schema_version", &ignored);
        return -1;
}

int replace_in_place(const struct replacement *replacement, struct error *err)
{
        CLEANUP(db_closep) sqlite3 *from = NULL;
        CLEANUP(db_closep) sqlite3 *to = NULL;
        CLEANUP(freep) char *path = NULL;
        sqlite3_int64 from_size = 0;
        sqlite3_int64 to_size = 0;
        char mode[16] = "";
        bool rejoin = false;
        int result;

        if (in_place_open(replacement, &to, err) < 0 ||
            target_staged_path(replacement->target, replacement->staged, &path, err) < 0 ||
            db_open(path, DB_IMMUTABLE, /* patience= */ NULL, &from, err) < 0)
                return -1;
        result = db_number(to, "PRAGMA page_size", &to_size);
        if (result == SQLITE_OK)
                result = db_text(to, "PRAGMA journal_mode", mode, sizeof mode);
        if (result != SQLITE_OK)
                return in_place_raise(to, result, replacement->target, err);
        result = db_number(from, "PRAGMA page_size", &from_size);
        if (result != SQLITE_OK)
                return db_raise(err, from, result, path);
        if (strcmp(mode, "wal") == 0 && from_size != to_size) {
                if (in_place_leave_wal(to, replacement, err) < 0)
                        return -1;
                rejoin = true;
        }
        db_exec(to, "PRAGMA synchronous=FULL");
        result = in_place_copy(from, to, replacement, err);
        /* What it was before, whether the copy succeeded or not.
         * A busy database can be switched by its owner as well. */
        if (rejoin)
                db_exec(to, "PRAGMA journal_mode=WAL");
        return result;
}

/* ---- aside ---- */

/* Notes the old database's coming name where a sweep will find it. */
static int aside_mark(const struct target *target, const char *aside, struct staged *marker, struct error *err)
{
        if (target_stage(target, "aside", marker, err) < 0)
                return -1;
        if (fd_pwrite_full(marker->fd, aside, strlen(aside), 0) < 0 || fsync(marker->fd) < 0 ||
            fsync(target->folder_fd) < 0)
                return error_raise_errno(err, errno, "cannot write in the folder '%s'", target->folder);
        return 0;
}

/* Does `act` for each of the target's files, and notes in *done which ones it was done for. */
static int aside_each_file(const struct target *target, const char *aside,
                           int (*act)(const struct target *target, const char *old_name, const char *aside_name),
                           unsigned *done)
{
        for (int i = 0; i < FORMAT_FILES; i++) {
                char old_name[NAME_MAX + 1];
                char aside_name[NAME_MAX + 1];

                if (!target->exists[i] || !target_sibling(target->name, i, old_name) ||
                    !target_sibling(aside, i, aside_name))
                        continue;
                if (act(target, old_name, aside_name) < 0)
                        return -1;
                *done |= 1u << i;
        }
        return 0;
}

static int aside_link(const struct target *target, const char *old_name, const char *aside_name)
{
        return linkat(target->folder_fd, old_name, target->folder_fd, aside_name, 0);
}

/* Only while the file is still the one that was linked: somebody who takes no notice of our lock may have put another
 * one there, and that has no second name. */
static int aside_unlink(const struct target *target, const char *old_name, const char *aside_name)
{
        struct stat old_st;
        struct stat aside_st;

        if (fstatat(target->folder_fd, old_name, &old_st, AT_SYMLINK_NOFOLLOW) < 0 ||
            fstatat(target->folder_fd, aside_name, &aside_st, AT_SYMLINK_NOFOLLOW) < 0)
                return -1;
        if (old_st.st_dev != aside_st.st_dev || old_st.st_ino != aside_st.st_ino) {
                errno = EBUSY;
                return -1;
        }
        return unlinkat(target->folder_fd, old_name, 0);
}

static int aside_rename(const struct target *target, const char *old_name, const char *aside_name)
{
        return fd_rename_noreplace(target->folder_fd, old_name, target->folder_fd, aside_name);
}

/* The old names go in the order of the files, the database first: nobody shall find it without its log. *made tells
 * which of the new names are ours. */
static int aside_move(const struct target *target, const char *aside, unsigned *made, struct error *err)
{
        bool linked = aside_each_file(target, aside, aside_link, made) == 0;
        unsigned unlinked = 0;

        if (!linked && errno != EPERM && errno != EOPNOTSUPP && errno != EMLINK && errno != ENOSYS && errno != EINVAL)
                return error_raise_errno(err, errno, "cannot rename '%s' to '%s'", target->path, aside);
        if (!linked) {
                target_put_back(target, aside, *made);
                *made = 0;
        }
        if (replace_fault("aside.linked", target, err) < 0)
                return -1;
        if ((linked ? aside_each_file(target, aside, aside_unlink, &unlinked)
                    : aside_each_file(target, aside, aside_rename, made)) < 0)
                return error_raise_errno(err, errno, "cannot rename '%s' to '%s'", target->path, aside);
        return replace_fault("aside.unlinked", target, err);
}

static bool aside_is_free(const struct target *target, const char *name)
{
        for (int i = 0; i < FORMAT_FILES; i++) {
                char sibling[NAME_MAX + 1];
                struct stat st;

                if (target_sibling(name, i, sibling) &&
                    fstatat(target->folder_fd, sibling, &st, AT_SYMLINK_NOFOLLOW) == 0)
                        return false;
        }
        return true;
}

/* NAME.replaced-DATE, or with a number behind it where that exists. */
static int aside_choose_name(const struct target *target, char aside[NAME_MAX + 1], struct error *err)
{
        char date[32];
        time_t now = time(NULL);
        struct tm utc;

        strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
        for (int i = 1; i < 1000; i++) {
                char name[NAME_MAX + 64];
                int length = snprintf(name, sizeof name, "%s.replaced-%s", target->name, date);

                if (i > 1)
                        length += snprintf(name + length, sizeof name - (size_t)length, ".%d", i);
                if ((size_t)length + strlen(format_suffixes[FORMAT_JOURNAL]) > NAME_MAX)
                        return error_raise_errno(err, ENAMETOOLONG, "cannot rename '%s'", target->path);
                if (!aside_is_free(target, name))
                        continue;
                memcpy(aside, name, (size_t)length + 1);
                return 0;
        }
        return error_raise_errno(err, EEXIST, "cannot rename '%s'", target->path);
}

static int aside_exchange(const struct replacement *replacement, const char *aside, struct error *err)
{
        struct target *target = replacement->target;
        unsigned made = 0;
        int result = aside_move(target, aside, &made, err);

        /* Whoever opened it since the first look has it open still. */
        if (result == 0)
                result = replace_check_unused(target, aside, err);
        if (result == 0)
                result = replace_new(replacement, err);
        if (result < 0 && made)
                target_put_back(target, aside, made);
        return result;
}

int replace_aside(const struct replacement *replacement, struct error *err)
{
        struct target *target = replacement->target;
        struct staged marker = STAGED_INIT;
        char aside[NAME_MAX + 1];
        char path[PATH_MAX];
        int result = -1;

        if (target_look(target, err) < 0)
                return -1;
        if (!target_first(target, path))
                return replace_new(replacement, err);
        if (replace_check_unused(target, target->name, err) < 0 || aside_choose_name(target, aside, err) < 0)
                return -1;
        if (aside_mark(target, aside, &marker, err) == 0)
                result = aside_exchange(replacement, aside, err);
        staged_deinit(&marker);
        if (result == 0)
                snprintf(replacement->note, ERROR_MESSAGE_MAX, "the database that was there is now '%.700s/%s'",
                         target->folder, aside);
        return result;
}
