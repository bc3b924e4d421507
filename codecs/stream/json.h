/*
 * json.h - JSON objects of outside bytes, and strings of any bytes as their members
 *
 * JSON holds Unicode only. A string that is valid UTF-8 is the member "x"; any other is the member "x_hex", the bytes
 * as lower-case hexadecimal digits. Never both.
 */
#pragma once

#include <jansson.h>

/* Parses `size` bytes that must be one object without a member given twice. Returns 1 with a reference; 0 when they are
 * not, or hold NUL; -1 when memory is out, which jansson takes for a fault of the text, or drops characters over. */
int json_parse_object(const char *text, size_t size, json_t **ret_object);

/* Returns 0, or -1 when memory is out. */
int json_put_bytes(json_t *object, const char *name, const char *text);

/* Returns 1 with an allocation; 0 when there is no such member; -EINVAL when it is no string of bytes without NUL;
 * -ENOMEM. */
int json_get_bytes(const json_t *object, const char *name, char **ret_text);
