/*
 * stage.h - where a restored database goes, and the temporary file that it comes from
 *
 * A target is a folder and a name in it; the names are used through the folder's descriptor. Beside it lie, for the
 * time of a run, files that are locked with flock() for as long as their run lives:
 *   .NAME.restore-UUID  the restored database, until it is renamed or copied into place
 *   .NAME.aside-UUID    holds the name that the old database is being given, so that whoever finds this file unlocked
 *                       can put the old database back
 * A run that finds an unlocked one finishes what the dead run began: stage_sweep().
 */
#ifndef VDIPIPE_CORE_SQLITE_STAGE_H
#define VDIPIPE_CORE_SQLITE_STAGE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "core/base/error.h"
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
};

struct stage {
        int fd; /* locked */
        char *path;
        char name[NAME_MAX + 1];
};

#define TARGET_INIT             \
        {                       \
                .folder_fd = -1 \
        }
#define STAGE_INIT       \
        {                \
                .fd = -1 \
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

/* Locks the target's folder, so that of several runs one at a time looks at the names there and moves them: waits as
 * `patience` says, then ERR_BUSY. The lock lies on the descriptor, and ends with its process. A file system that has no
 * locks for folders gives none, and that is no failure. */
int target_lock(const struct target *target, const struct db_patience *patience, struct error *err);
void target_unlock(const struct target *target);

/* Makes, locks and opens a file of this run. `kind` is "restore" or "aside". */
int stage_create(const struct target *target, const char *kind, struct stage *stage, struct error *err);

/* Gives the file owner, group and mode, as far as permitted. A group it may not have loses its rights: they were not
 * meant for the one that it has instead. */
void stage_dress(const struct stage *stage, uid_t uid, gid_t gid, mode_t mode);

/* Unlinks the file if it still has its name, and closes it. */
void stage_remove(const struct target *target, struct stage *stage);

/* Gives those of the files called `aside` and its siblings that `files` names (1 << enum format_file, or'ed) their old
 * names back, where those are free and the database was not replaced. Only for names that the run itself gave. */
void stage_put_back(const struct target *target, const char *aside, unsigned files);

/* Removes what dead runs left beside the database at `path`, and puts back what they had taken away. */
void stage_sweep(const char *path);

#endif
