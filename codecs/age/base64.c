#include "codecs/age/base64.h"

#include <sodium.h>

bool age_base64_decode(uint8_t *bytes, size_t room, const char *text, size_t length, bool padded, size_t *ret_size)
{
        /* libsodium 1.0.18 takes these for letters where char is signed. */
        for (size_t i = 0; i < length; i++)
                if ((unsigned char)text[i] > '~')
                        return false;
        return sodium_base642bin(bytes, room, text, length, NULL, ret_size, NULL,
                                 padded ? sodium_base64_VARIANT_ORIGINAL : sodium_base64_VARIANT_ORIGINAL_NO_PADDING) ==
               0;
}
