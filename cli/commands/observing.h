/*
 * observing.h - looking at sets of other processes
 */
#pragma once

#include "cli/args.h"
#include "core/base/deadline.h"
#include "core/base/error.h"
#include "core/vds/vds.h"

/* The operand NAME of a command that has exactly one, and the group of --group: ERR_USAGE when either is wrong. */
int observing_check(const struct args *args, const char *command_name, struct error *err);

/* Raises what `result` of a vds_observe function means for the set `name`. Returns -1. */
int observing_failed(const char *name, int result, struct error *err);

/* Waits until there is a set of that name, as long as the deadline allows. Returns what vds_observe() says of it
 * (VD_E_INVALID: there is still none), and fills *ret_status when that is NOERROR. */
int observing_wait(const struct vds_options *options, const char *name, struct deadline deadline,
                   struct vds_status *ret_status);
