/*
 * origin.h - may a restore without DB go back to where the backup came from?
 */
#pragma once

#include "cli/config.h"
#include "codecs/stream/info.h"
#include "core/base/error.h"

/* Returns 0 when `info` was recorded on this machine and its origin is a database that the configuration (NULL: none)
 * names, or in an existing folder that is no system folder either a SQLite database or one of which a backup is
 * remembered (state.h). Otherwise ERR_USAGE with the command to type. `input_hint` is how that command names the input:
 * "< FILE". */
int origin_check(const struct stream_info *info, const struct config *config, const char *input_hint,
                 struct error *err);
