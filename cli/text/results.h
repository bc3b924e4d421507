/*
 * results.h - the rows that a server answers with, on standard output
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "core/base/error.h"
#include "core/servers/events.h"

/* A table with a line of heads, in which what is not known is NULL, or a JSON array of objects. */
int results_print(const struct result_set *results, bool json, FILE *out, struct error *err);
