/*
 * staged_file.h - a file that has not got its name yet: made under another one beside it, locked, published
 *
 * It is called `.TARGET.KIND-UUID` (a long TARGET is cut, and told by its hash). Its maker holds a flock on it, so one
 * that is not locked is what a dead run left: staged_sweep(). Calling order: staged_create(); write and sync `fd`;
 * staged_publish(); staged_sync_folder(); then staged_conclude(), or staged_take_back() if something failed; and
 * staged_deinit() at any time. Every call that uses the hidden name looks before whether it still stands for the file,
 * and leaves it alone where it does not; nothing gives the name away without that look.
 *
 * Where a call returns -1, errno tells why, ESTALE being: somebody removed or exchanged the file. Thread safe: no
 * state but the struct, which belongs to one thread at a time.
 */
#pragma once

#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* How it comes to its name. */
enum staged_way {
        STAGED_NEW,       /* which is free */
        STAGED_EXCHANGED, /* with what has the name, which is kept until staged_conclude() */
        STAGED_OVER,      /* for good over what has it: for file systems that cannot exchange */
};

struct staged {
        int fd;         /* read and write; locked; owned. -1: there is none */
        int dir_fd;     /* its folder; the caller's, who keeps it open as long */
        int lock_errno; /* why there is no lock on it; 0: there is one */

        /* Of staged_file.c alone: */
        char name[NAME_MAX + 1];
        char published[NAME_MAX + 1]; /* "": not */
        enum staged_way way;
        int old_fd; /* what it was exchanged with */
};

#define STAGED_INIT                                  \
        {                                            \
                .fd = -1, .dir_fd = -1, .old_fd = -1 \
        }

/* Makes the file with mode 0600, and locks it. With a `uuid` of the caller's EEXIST tells that a run of it is there;
 * NULL: a random one. EAGAIN: somebody keeps removing it. `cancel` (may be NULL) is looked at whenever a signal comes
 * while another run's sweep is waited for: ECANCELED. A file system without locks is no failure: see lock_errno. */
int staged_create(struct staged *staged, int dir_fd, const char *target, const char *kind, const char *uuid,
                  const atomic_bool *cancel);

/* Who holds the name that staged_create() could not have (EEXIST): the number that its file begins with, 0 if there is
 * none; -1 if it is no file of our own user's. */
long staged_holder(const struct staged *staged);

/* Its path for those who have to open it once more, allocated; `folder` is the path of its folder. */
char *staged_path(const struct staged *staged, const char *folder);

/* Gives it owner, group and mode, as far as permitted; -1: leave it. A group that it may not have loses its rights:
 * they were not meant for the one that it has instead. -1: the mode could not be set. */
int staged_dress(const struct staged *staged, uid_t uid, gid_t gid, mode_t mode);

/* The umask, without changing it under other threads. */
mode_t staged_umask(void);

/* Gives it its name. Fails as the way's system call does (EEXIST: the name is not free; EINVAL: no exchange here;
 * ENOENT: nothing to exchange with). */
int staged_publish(struct staged *staged, const char *name, enum staged_way way);

/* The published file gets its hidden name back, and the one that it was exchanged with its own. */
void staged_take_back(struct staged *staged);

/* Removes the one that it was exchanged with. */
void staged_conclude(struct staged *staged);

/* Makes the names in a folder durable, where that can be done. */
int staged_sync_folder(int dir_fd);

/* Another process publishes or removes it; only the descriptor is left. */
void staged_disown(struct staged *staged);

/* Unlinks it, unless it was published. */
void staged_drop(const struct staged *staged);

/* The same, and closes it. */
void staged_deinit(struct staged *staged);

/* Removes those of a kind that dead runs left beside `target` (NULL: beside any). `bury` (may be NULL) is called with
 * each before, and keeps it by returning false; only for files of our own, since those of others tell us nothing. */
void staged_sweep(int dir_fd, const char *target, const char *kind, bool (*bury)(int fd, void *context), void *context);

/* Locks an open file at once. 1: locked, and `name` still stands for it. 0: somebody holds it, or removed it before we
 * had the lock. */
int staged_lock(int dir_fd, const char *name, int fd);

/* Opens and locks a file that a living run would have locked: its descriptor, or -1 (no errno). `own_only`: if it is
 * ours. */
int staged_claim(int dir_fd, const char *name, bool own_only);
