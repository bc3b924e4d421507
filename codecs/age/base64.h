/*
 * base64.h - strict base64: canonical, complete, and nothing else
 */
#pragma once

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `padded`: with `=` at the end where there must be some; otherwise there may be none. False: malformed, or more than
 * `room` bytes. */
static inline bool age_base64_decode(uint8_t *bytes, size_t room, const char *text, size_t length, bool padded,
                                     size_t *ret_size)
{
        int variant = padded ? sodium_base64_VARIANT_ORIGINAL : sodium_base64_VARIANT_ORIGINAL_NO_PADDING;

        /* libsodium 1.0.18 takes these for letters where char is signed. */
        for (size_t i = 0; i < length; i++)
                if ((unsigned char)text[i] > '~')
                        return false;
        return sodium_base642bin(bytes, room, text, length, NULL, ret_size, NULL, variant) == 0;
}
