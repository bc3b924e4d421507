/*
 * exec_results.h - the rows of a statement's answer, on standard output
 */
#ifndef VDIPIPE_CLI_COMMANDS_EXEC_RESULTS_H
#define VDIPIPE_CLI_COMMANDS_EXEC_RESULTS_H

#include <stdio.h>

#include "core/base/error.h"
#include "core/servers/events.h"

/* A table with a line of heads; what is not known is NULL. */
int results_print_table(const struct result_set *results, FILE *out, struct error *err);

/* An array of objects. */
int results_print_json(const struct result_set *results, FILE *out, struct error *err);

#endif
