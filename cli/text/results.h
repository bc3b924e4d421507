/*
 * results.h - the rows that a server answers with, on standard output
 */
#ifndef VDIPIPE_CLI_TEXT_RESULTS_H
#define VDIPIPE_CLI_TEXT_RESULTS_H

#include <stdbool.h>
#include <stdio.h>

#include "core/base/error.h"
#include "core/servers/events.h"

/* A table with a line of heads, in which what is not known is NULL, or a JSON array of objects. */
int results_print(const struct result_set *results, bool json, FILE *out, struct error *err);

#endif
