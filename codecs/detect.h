/*
 * detect.h - which layer is this, from its first bytes
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codecs/codecs.h"

/* As many bytes as a decision can need. */
enum { DETECT_SIZE = 64 };

/* Returns 0 with *ret_kind, or -1 with an error that says what the bytes are, as far as that is known, and what to do.
 * `size` is less than DETECT_SIZE only where the input is shorter. */
int detect_layer(const uint8_t *bytes, size_t size, const char *label, enum layer_kind *ret_kind, struct error *err);
