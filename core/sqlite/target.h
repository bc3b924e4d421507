/*
 * target.h - where a restored database goes, and the staged file that it comes from
 *
 * A target is a folder and a name in it; the names are used through the folder's descriptor. Beside it lie staged
 * files (core/base/staged_file.h) for the time of a run:
 *   .NAME.restore-UUID  the restored database, until it is renamed or copied into place
 *   .NAME.lock-UUID     keeps other restores of this target away, and says who is at it; its UUID is always the same
 *   .NAME.aside-UUID    holds the name that the old database is being given, so that whoever finds this file unlocked
 *                       can put the old database back
 * A run that finds a dead one finishes what that run began: target_sweep().
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/error.h"
#include "core/base/staged_file.h"
#include "core/servers/server.h"
#include "core/sqlite/db.h"
#include "core/sqlite/format.h"

struct target {
        char *path; /* absolute, symbolic links resolved */
        char *folder;
        int folder_fd;
        char name[NAME_MAX + 1];
        bool exists[FORMAT_FILES]; /* as of target_look() */
        struct stat st;            /* of the database, where it exists */
        struct staged lock;
};

#define TARGET_INIT                                  \
        {                                            \
                .folder_fd = -1, .lock = STAGED_INIT \
        }

/* Finds the folder and the name that `path` means. */
int target_open(struct target *target, const char *path, struct error *err);
void target_deinit(struct target *target);

/* NAME and the suffix of `file` (enum format_file); false when that is too long to be a name. */
bool target_sibling(const char *name, int file, char sibling[NAME_MAX + 1]);

/* Looks which of the target's files exist. */
int target_look(struct target *target, struct error *err);

/* The first of its files that exists, with its whole path in `path`; false when there is none. */
bool target_first(const struct target *target, char path[PATH_MAX]);

/* Locks the target against other restores, until target_deinit(): waits as `patience` says, then ERR_BUSY. Nobody can
 * hold this lock who may not write to it: it is a file of its own, mode 0600. Where the file system has no locks, or
 * another user has put something under that name, there is none, and that is no failure: giving the name excludes, too.
 */
int target_lock(struct target *target, const struct db_patience *patience, struct error *err);

/* Makes a staged file beside the target. `kind` is "restore" or "aside". */
int target_stage(const struct target *target, const char *kind, struct staged *staged, struct error *err);

/* The staged file's path, allocated, for SQLite to open at once. */
int target_staged_path(const struct target *target, const struct staged *staged, char **ret_path, struct error *err);

/* Puts into words why the staged file could not be used or published (errno). Returns -1. */
int target_raise_staged(const struct target *target, struct error *err);

/* Gives those of the files called `aside` and its siblings that `files` names (1 << enum format_file, or'ed) their old
 * names back, where those are free and the database was not replaced. Only for names that the run itself gave. */
void target_put_back(const struct target *target, const char *aside, unsigned files);

/* Removes what dead runs left beside the database at `path`, and puts back what they had taken away. */
void target_sweep(const char *path);
