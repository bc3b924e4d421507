/*
 * set_options.h - what the engine is told about where a set meets and who may take part, from the options
 */
#pragma once

#include "cli/args.h"
#include "cli/options.h"
#include "core/vds/vds.h"

/* --group, for every command that makes, joins or looks at sets. */
extern const struct opt_spec options_group[];

/* The engine's options for these arguments; texts belong to *args. */
struct vds_options set_options(const struct args *args);

/* Whether a server could agree to the set's shape, and the group of --group exists: ERR_USAGE if not. */
int set_options_check(const struct args *args, struct error *err);
