/*
 * text.h - text that came from outside, made fit to show
 *
 * Names, labels and reasons out of a stream or from a peer may hold anything. What reaches a terminal or a log passes
 * through here first, so that it can neither move the cursor nor forge a line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A copy of `n` bytes with every control character (C0, DEL, C1), every character that reorders or breaks a line, and
 * every byte that is not part of valid UTF-8 written as \xNN. Everything else stays as it is. Returns a NUL-terminated
 * allocation, or NULL when memory is out. */
char *text_escape(const char *bytes, size_t n);

/* Whether `n` bytes are valid UTF-8 throughout. */
bool text_is_utf8(const char *bytes, size_t n);

/* The value of a hexadecimal digit in either letter case; -1 when it is none. */
int text_hex_digit(char c);

/* The bytes of a string as lower-case hexadecimal digits, allocated; NULL when memory is out. */
char *text_to_hex(const char *text);

/* The way back. Returns 1 with an allocation; -EINVAL when it is nothing that text_to_hex() makes; -ENOMEM. */
int text_from_hex(const char *hex, char **ret_text);
