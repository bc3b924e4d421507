/*
 * run_as.h - --run-as USER: what root alone may do is done by root, all else by USER
 *
 * SQL Server opens only what its own account, or its group, has made. Keys and outputs are often root's. So outputs are
 * opened first; then this process becomes USER for good, and a *keeper* stays behind as root. The keeper knows the
 * files that were opened and has one thing to do with them: give them their names when it is told to, or remove them
 * when it is not, however this process ends.
 *
 * From the main thread.
 */
#pragma once

#include <stddef.h>

#include "cli/args.h"
#include "codecs/base/stage.h"
#include "core/base/error.h"

struct run_as;

/* Before anything is started: whether --run-as, if it is given, can be honoured (ERR_USAGE): this is root, or USER
 * already, and there is such a user. */
int run_as_check(const struct args *args, struct error *err);

/* Once the outputs are open and the keys loaded, and before the set is made. `files` are the chains of `count` outputs
 * as volumes_files() has them (none for a restore), which stay the caller's. Afterwards this process is USER, and what
 * it creates is for USER and his group, and the files' folders are the keeper's. The keeper forgets the keys and
 * *secret, of secret_new(); NULL: there is none. *ret_run_as is NULL where --run-as is not given or is the present
 * user. */
int run_as_begin(const struct args *args, const char **secret, struct stage *const *files, size_t count,
                 struct run_as **ret_run_as, struct error *err);

/* Becomes readable when the keeper ends; it stays run_as's. -1: there is none. */
int run_as_keeper_fd(const struct run_as *run_as);

/* file_sink_publish() for these files, by the keeper; by this process where `run_as` is NULL. */
int run_as_publish(struct run_as *run_as, struct stage *const *files, size_t count, struct error *err);

/* Has the keeper remove what was not published, and waits until it has ended. NULL is allowed. */
void run_as_end(struct run_as *run_as);
