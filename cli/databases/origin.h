/*
 * origin.h - may a restore without DB go back to where the backup came from?
 */
#pragma once

#include "cli/config.h"
#include "codecs/stream/info.h"
#include "core/base/error.h"

/* Returns 0 when `info` was recorded on this machine and its origin is an existing database, or a free name in an
 * existing folder that is no system folder, or a database that the configuration (NULL: none) names. Otherwise
 * ERR_USAGE with the command to type. `input_hint` is how that command names the input: "< FILE". */
int origin_check(const struct stream_info *info, const struct config *config, const char *input_hint,
                 struct error *err);
