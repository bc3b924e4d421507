/*
 * json.h - JSON as commands print it: one value a line
 *
 * Thread safe, but for what `out` is.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/error.h"

/* A text from outside as a JSON string: one that is not UTF-8 as text_escape() shows it, NULL as "". NULL when memory
 * is short. */
json_t *json_shown(const char *text);

/* A member more: a text as json_shown() has it, a number. Left out when memory is short. */
void json_add_shown(json_t *object, const char *key, const char *text);
void json_add_number(json_t *object, const char *key, uint64_t number);

/* Prints the value, and takes its reference. NULL stands for a value that memory was too short for. ERR_MEMORY. */
int json_print(json_t *value, FILE *out, struct error *err);
