#include "core/base/text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The ranges that RFC 3629 allows for the first and second byte; the rest are 80..BF. */
static const struct utf8_shape {
        unsigned char first_from, first_to, second_from, second_to, length;
} shapes[] = {
        { 0xC2, 0xDF, 0x80, 0xBF, 2 }, { 0xE0, 0xE0, 0xA0, 0xBF, 3 }, { 0xE1, 0xEC, 0x80, 0xBF, 3 },
        { 0xED, 0xED, 0x80, 0x9F, 3 }, { 0xEE, 0xEF, 0x80, 0xBF, 3 }, { 0xF0, 0xF0, 0x90, 0xBF, 4 },
        { 0xF1, 0xF3, 0x80, 0xBF, 4 }, { 0xF4, 0xF4, 0x80, 0x8F, 4 },
};

/* Characters that a terminal acts on instead of showing them: C0 and DEL, C1, line and paragraph separators, and the
 * ones that override the direction of what follows. */
static const struct {
        uint32_t from, to;
} unfit[] = {
        { 0x00, 0x1F }, { 0x7F, 0x9F }, { 0x200E, 0x200F }, { 0x2028, 0x202E }, { 0x2066, 0x2069 },
};

/* The length in bytes of the valid UTF-8 character at `bytes` (at most `n` bytes are there), or 0 if there is none. */
static size_t text_utf8_length(const unsigned char *bytes, size_t n)
{
        if (n == 0)
                return 0;
        if (bytes[0] < 0x80)
                return 1;
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
                const struct utf8_shape *shape = &shapes[i];

                if (bytes[0] < shape->first_from || bytes[0] > shape->first_to)
                        continue;
                if (n < shape->length || bytes[1] < shape->second_from || bytes[1] > shape->second_to)
                        return 0;
                for (size_t k = 2; k < shape->length; k++) {
                        if ((bytes[k] & 0xC0) != 0x80)
                                return 0;
                }
                return shape->length;
        }
        return 0;
}

bool text_is_utf8(const char *bytes, size_t n)
{
        size_t step;

        for (size_t at = 0; at < n; at += step) {
                step = text_utf8_length((const unsigned char *)bytes + at, n - at);
                if (!step)
                        return false;
        }
        return true;
}

int text_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        c = (char)(c | 0x20);
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool fit_to_show(const unsigned char *bytes, size_t length)
{
        static const unsigned char first_bits[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
        uint32_t character = bytes[0] & first_bits[length];

        for (size_t i = 1; i < length; i++)
                character = character << 6 | (bytes[i] & 0x3F);
        for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
                if (character >= unfit[i].from && character <= unfit[i].to)
                        return false;
        }
        return true;
}

char *text_escape(const char *bytes, size_t n)
{
        static const char digits[] = "0123456789ABCDEF";
        const unsigned char *at = (const unsigned char *)bytes;
        char *text = n < SIZE_MAX / 4 ? malloc(4 * n + 1) : NULL;
        size_t used = 0;

        if (!text)
                return NULL;
        for (size_t i = 0; i < n;) {
                size_t length = text_utf8_length(at + i, n - i);
                bool fit = length > 0 && fit_to_show(at + i, length);

                for (size_t end = i + (length ? length : 1); i < end; i++) {
                        if (fit) {
                                text[used++] = bytes[i];
                                continue;
                        }
                        text[used++] = '\\';
                        text[used++] = 'x';
                        text[used++] = digits[at[i] >> 4];
                        text[used++] = digits[at[i] & 15];
                }
        }
        text[used] = '\0';
        return text;
}

static const char text_digits[] = "0123456789abcdef";

char *text_to_hex(const char *text)
{
        char *hex = malloc(2 * strlen(text) + 1);
        char *at = hex;

        if (!hex)
                return NULL;
        for (; *text; text++) {
                *at++ = text_digits[(unsigned char)*text >> 4];
                *at++ = text_digits[(unsigned char)*text & 15];
        }
        *at = '\0';
        return hex;
}

int text_from_hex(const char *hex, char **ret_text)
{
        size_t length = strlen(hex);
        char *text;

        if (length % 2 != 0 || strspn(hex, text_digits) != length)
                return -EINVAL;
        text = calloc(length / 2 + 1, 1);
        if (!text)
                return -ENOMEM;
        for (size_t i = 0; i < length / 2; i++)
                text[i] = (char)(text_hex_digit(hex[2 * i]) * 16 + text_hex_digit(hex[2 * i + 1]));
        if (strlen(text) < length / 2) { /* a NUL inside */
                free(text);
                return -EINVAL;
        }
        *ret_text = text;
        return 1;
}
