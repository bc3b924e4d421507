/*
 * replace.h - the last step of a restore: the staged and checked database takes its place
 *
 * One function for each way; all leave the target as it was when they fail, and the staged file where it is.
 */
#pragma once

#include "core/base/error.h"
#include "core/sqlite/db.h"
#include "core/sqlite/target.h"

/* Everything a way needs. `note` receives one line for the user. */
struct replacement {
        struct target *target;
        struct staged *staged;
        struct db_patience *patience;
        char *note; /* ERROR_MESSAGE_MAX bytes */
};

/* Renames it to the target's name, which must be free. */
int replace_new(const struct replacement *replacement, struct error *err);

/* Copies it over the existing database in one transaction. */
int replace_in_place(const struct replacement *replacement, struct error *err);

/* Renames the existing files to NAME.replaced-DATE, and it to the target's name. */
int replace_aside(const struct replacement *replacement, struct error *err);

/* Whether the target is a database that can be written in place; one that is only busy right now is. */
int replace_probe_in_place(const struct replacement *replacement, struct error *err);

/* ERR_BUSY, naming the process, when any process has the file `name` of the target's folder or one of its siblings
 * open. */
int replace_check_unused(const struct target *target, const char *name, struct error *err);
