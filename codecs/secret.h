/*
 * secret.h - memory for keys and passphrases
 *
 * It is locked where the system allows it, left out of core files, stands between guard pages, and is wiped when it is
 * freed. Too dear for anything else: each piece takes several pages.
 */
#ifndef VDIPIPE_CODECS_SECRET_H
#define VDIPIPE_CODECS_SECRET_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed. NULL: out of memory. */
void *secret_new(size_t size);

/* For CLEANUP(): wipes and frees, and leaves NULL. */
void secret_freep(void *pointer_to_pointer);

#endif
