/*
 * exec_script.h - 'exec --script FILE NAME': a server that does what a script says
 */
#pragma once

#include "cli/args.h"
#include "cli/options.h"

extern const struct opt_spec options_script[];

/* Runs args->script against the set that the operand names, and reports. */
int exec_script(const struct args *args, struct error *err);
