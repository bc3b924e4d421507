/*
 * base64.h - strict base64: canonical, complete, and nothing else
 */
#ifndef VDIPIPE_CODECS_AGE_BASE64_H
#define VDIPIPE_CODECS_AGE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `padded`: with `=` at the end where there must be some; otherwise there may be none. False: malformed, or more than
 * `room` bytes. */
bool age_base64_decode(uint8_t *bytes, size_t room, const char *text, size_t length, bool padded, size_t *ret_size);

#endif
