/*
 * json_text.h - strings on their way through JSON
 *
 * Paths and names are bytes, JSON strings are UTF-8: a string that is not goes as {"hex": "..."}, so that the other
 * side gets the same bytes. Messages are for people: what is not printable is escaped instead.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The JSON value of a string of bytes; null for NULL. NULL when memory is short. */
json_t *json_text_make(const char *text);

/* The bytes of such a value, allocated; NULL for null or a missing value. False when the value is anything else. */
bool json_text_get(const json_t *value, char **ret_text);

/* Copies `text` as text_escape() makes it fit to show, cut to `size` at a whole character. */
void json_text_printable(const char *text, char *ret_text, size_t size);
