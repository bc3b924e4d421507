/*
 * json.h - strings of any bytes as members of a JSON object
 *
 * JSON holds Unicode only. A string that is valid UTF-8 is the member "x"; any other is the member "x_hex", the bytes
 * as lower-case hexadecimal digits. Never both.
 */
#ifndef VDIPIPE_CODECS_JSON_H
#define VDIPIPE_CODECS_JSON_H

#include <jansson.h>

/* Returns 0, or -1 when memory is out. */
int json_put_bytes(json_t *object, const char *name, const char *text);

/* Returns 1 with an allocation; 0 when there is no such member; -1 when it is no string of bytes without NUL (or memory
 * is out). */
int json_get_bytes(const json_t *object, const char *name, char **ret_text);

#endif
