/*
 * rendezvous.h - how a process finds another by an agreed name: a Unix socket in a folder both can reach
 *
 * The folder is the one the caller names; else $VDIPIPE_RUNTIME_DIR; else /run/vdipipe if it exists (root makes it on
 * first use, sticky and world-writable); else $XDG_RUNTIME_DIR/vdipipe if that is ours to reach; else /tmp/vdipipe-UID.
 * Owner, mode and type are checked on the open folder, and the socket is bound and reached through that descriptor, so
 * the folder that was checked is the folder that is used. Whoever listens uses the first of these; whoever connects
 * looks in all of them, and in /run/user/UID/vdipipe, so that a job of cron's finds what a login session made. A link
 * in the place of a socket is not followed.
 *
 * Files are HASH.sock and HASH.lock, HASH being 32 hex digits of the name. The listener holds a flock on the lock file
 * as long as it lives, so a socket whose lock is free is a dead one and is replaced; it removes both files in the end.
 */
#pragma once

#include "core/base/deadline.h"
#include "core/base/error.h"
#include "core/shm/folder.h"

enum {
        RENDEZVOUS_STEM = 33, /* hash in hex digits, with the NUL */
};

enum rendezvous_result {
        RENDEZVOUS_FAILED = -1,
        RENDEZVOUS_OK = 0,
        RENDEZVOUS_TAKEN,  /* listen: somebody alive has the name */
        RENDEZVOUS_NONE,   /* connect: nobody listens under the name */
        RENDEZVOUS_BUSY,   /* connect: somebody does, and lets nobody in */
        RENDEZVOUS_DENIED, /* connect: there is a socket of that name, and not for us */
};

struct rendezvous {
        int folder_fd;
        int lock_fd;
        int listen_fd;
        char stem[RENDEZVOUS_STEM];
};

#define RENDEZVOUS_INIT                                         \
        {                                                       \
                .folder_fd = -1, .lock_fd = -1, .listen_fd = -1 \
        }

/* Listens under `name`. `folder` and `group` may be NULL; members of `group` may connect besides the own user and root.
 * The folder has to be one that they can enter. Sweeps what dead listeners of this user left in the folder. The
 * descriptors are closed in forked children. On failure err->code is ERR_MEMORY when memory or descriptors ran out,
 * ERR_USAGE when the group does not exist, else the folder is at fault. */
enum rendezvous_result rendezvous_listen(const char *folder, const char *group, const char *name,
                                         struct rendezvous *ret_rendezvous, struct error *err);

/* Stops listening and removes the files. Empty is allowed, and is what is left. */
void rendezvous_close(struct rendezvous *rendezvous);

/* Connects to the listener under `name`, in the folders within `reach`. Never waits for one to appear; behind others
 * who wait to be let in, it waits until the deadline. When nobody could be reached, `err` says what stood in the way,
 * if anything did. The descriptor is non-blocking. */
enum rendezvous_result rendezvous_connect(const char *folder, const char *name, enum folder_reach reach,
                                          struct deadline deadline, int *ret_fd, struct error *err);

/* Connects to every listener within `reach` and hands the connection to `each`, which closes it or not: it is the
 * caller's. A listener that lets nobody in is left out after `wait_ms`. */
void rendezvous_connect_all(const char *folder, enum folder_reach reach, int wait_ms,
                            void (*each)(int *fd, void *context), void *context);

/* Removes what a listener of this user under `name` left, if it is dead: for whoever outlived it. */
void rendezvous_bury(const char *folder, const char *name);

/* File name stem for `name`. */
void rendezvous_stem(const char *name, char stem[RENDEZVOUS_STEM]);
