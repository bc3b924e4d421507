/*
 * bech32.h - how keys are written: Bech32 (BIP 173) without its limit of length
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Characters of `size` bytes with a prefix of `prefix` characters, the NUL not counted. */
#define BECH32_LENGTH(prefix, size) ((prefix) + 1 + ((size)*8 + 4) / 5 + 6)

/* `prefix` is all upper or all lower case, and so is what is written to `text`,
 * BECH32_LENGTH() characters and a NUL. */
void bech32_encode(const char *prefix, const uint8_t *data, size_t size, char *text);

/* Takes exactly `size` bytes under exactly that prefix, in its case. Returns NULL, or what is wrong with the text, in
 * words that show nothing of it. Leaves no copy of the data but in `data`. */
const char *bech32_decode(const char *text, size_t length, const char *prefix, uint8_t *data, size_t size);
