/*
 * state.h - what this machine remembers of its backups: a small file for each database, beside nobody's data
 *
 * In /var/lib/vdipipe for root, in $XDG_STATE_HOME/vdipipe (~/.local/state/vdipipe) for others; VDIPIPE_STATE_DIR names
 * another folder. The files say which origins are ours. Missing or damaged they cost nothing but that.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct state_backup {
        const char *origin; /* of the stream's header: path or URI */
        const char *set_id;
        const char *time;
        const char *output; /* NULL: standard output */
        uint64_t bytes;     /* of the database */
};

/* Remembers a backup that has succeeded. That it cannot be remembered is said with -v. */
void state_remember(const struct state_backup *backup);

/* Whether a backup of that origin is remembered. */
bool state_remembers(const char *origin);
