/*
 * rights.h - acting for whoever could have put something else in the way
 *
 * A process of root's that opens a path follows what others own on it: a folder, a link, the file. Whoever owns the
 * first of them that is not root's may put there what he likes, so nobody but he is to profit from what is found.
 */
#pragma once

#include <sys/types.h>

#include "core/base/error.h"

/* Follows a path from the root on, with the links on it, to its end, or to the folder in which its last part is
 * missing. Yields who owns the first thing on it that is not root's; 0 where all is root's. Returns 0, or -1 with errno
 * set. */
int rights_find_owner(const char *path, uid_t *ret_uid);

/* Becomes that user for good, with his groups, in every thread of the process. All of his rights and none of root's:
 * where a way back is left open, that is a failure. No program that this thread starts has more. */
int rights_become(uid_t uid, struct error *err);
