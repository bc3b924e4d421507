/*
 * exit_status.h - the only mapping from classes of failure to exit statuses
 */
#pragma once

#include "core/base/error.h"

/* The status for an error; for ERR_SIGNAL, 128 plus the signal's number in sys_errno. */
int exit_status(const struct error *err);

/* The statuses with their meaning, for help and the manual: "0  done\n1  failed\n...". */
extern const char exit_status_text[];
