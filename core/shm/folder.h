/*
 * folder.h - the folders where sockets may lie, opened only if they are safe
 *
 * Safe: a real folder, not a link; owned by root or the own user; writable by others only if it is sticky. Whoever only
 * looks for a socket takes a folder that was named to it whosever that is, and root those of all users, each its own.
 */
#pragma once

#include "core/base/error.h"

enum folder_place {
        FOLDER_GIVEN = 0, /* by the caller */
        FOLDER_ENVIRONMENT,
        FOLDER_SYSTEM,
        FOLDER_SESSION,
        FOLDER_LOGIN, /* where FOLDER_SESSION leads in a login session; only to look in */
        FOLDER_TEMPORARY,
        FOLDER_PLACES,
};

enum folder_result {
        FOLDER_FAILED = -1, /* it is there, or should be, and cannot be used */
        FOLDER_OK = 0,
        FOLDER_ABSENT,
};

/* Opens one place. With `create` a missing folder is made where that is ours to do. */
enum folder_result folder_open(enum folder_place place, const char *given, int create, int *ret_fd, struct error *err);

/* Opens the place to listen in: the first that applies, made if need be. */
int folder_open_own(const char *given, int *ret_fd, struct error *err);

/* Whose folders to look in. */
enum folder_reach {
        FOLDER_REACH_OWN = 0,
        FOLDER_REACH_ALL, /* those of all users, if we are root: for looking only */
};

/* Calls `visit` with every folder where sockets may lie, each once, until it returns non-zero, which is then the
 * result; else 0. `err` (may be NULL) says why the first one that is there cannot be used, if there is such a one. */
int folder_visit(const char *given, enum folder_reach reach, int (*visit)(int folder_fd, void *context), void *context,
                 struct error *err);
