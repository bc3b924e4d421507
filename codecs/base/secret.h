/*
 * secret.h - memory for keys and passphrases
 *
 * It is locked where the system allows it, left out of core files, stands between guard pages, and is wiped when it is
 * freed. Too dear for anything else: each piece takes several pages.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Zeroed. NULL: out of memory. */
void *secret_new(size_t size);

/* For CLEANUP(): wipes and frees, and leaves NULL. */
void secret_freep(void *pointer_to_pointer);

/* Reads up to a newline (LF or CRLF) or the end into `line`, which has room for `max` + 1 bytes, without the newline
 * and with a NUL behind; what follows the newline stays in the descriptor. Returns the number of bytes, or -1 with
 * errno set (EMSGSIZE: more than `max`). */
ssize_t secret_read_line(int fd, void *line, size_t max);
