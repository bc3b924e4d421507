/*
 * recording.h - a source that keeps what was read of it, to give it out once more
 *
 * For input that cannot be read twice: a server first looks at the beginning of a backup, then reads all of it.
 */
#pragma once

#include <stddef.h>

#include "codecs/base/source.h"
#include "core/base/error.h"

/* Puts a recording before *source, which it owns from here on; on failure all is as it was. Reading more than `limit`
 * bytes before recording_replay() is an error (ERR_USAGE), for which `name` names the input. */
int recording_begin(struct source **source, const char *name, size_t limit, struct error *err);

/* From now on `source`, made by recording_begin(), begins anew, and keeps nothing any more. */
void recording_replay(struct source *source);
