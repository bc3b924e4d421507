#include <endian.h>
#include <string.h>

#include "core/base/text.h"
#include "core/tds/internal.h"

enum { REPLACEMENT = 0xfffd, SURROGATES = 0xd800, LOW_SURROGATES = 0xdc00, SURROGATES_END = 0xe000 };

const uint8_t *tds_get(struct tds_cursor *cursor, size_t size)
{
        const uint8_t *bytes = cursor->at;

        if (size > cursor->left) {
                cursor->bad = true;
                cursor->left = 0;
                return NULL;
        }
        cursor->at += size;
        cursor->left -= size;
        return bytes;
}

uint64_t tds_get_number(struct tds_cursor *cursor, size_t size)
{
        const uint8_t *bytes = tds_get(cursor, size);
        uint64_t value = 0;

        for (size_t i = size; bytes && i > 0; i--)
                value = value << 8 | bytes[i - 1];
        return value;
}

/* The character at the cursor; 0 when there is none that may stand in a text. */
static uint32_t get_character(struct tds_cursor *cursor)
{
        uint32_t unit = tds_get_u16(cursor);
        uint32_t low;

        if (unit < SURROGATES || unit >= SURROGATES_END)
                return unit;
        low = tds_get_u16(cursor);
        if (unit >= LOW_SURROGATES || low < LOW_SURROGATES || low >= SURROGATES_END)
                return 0;
        return 0x10000 + ((unit - SURROGATES) << 10) + (low - LOW_SURROGATES);
}

/* UTF-8 of a character: up to 4 bytes, returned is how many. */
static size_t put_character(char *out, uint32_t character)
{
        static const uint8_t firsts[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
        size_t size = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;

        for (size_t i = size - 1; i > 0; i--) {
                out[i] = (char)(0x80 | (character & 0x3f));
                character >>= 6;
        }
        out[0] = (char)(firsts[size] | character);
        return size;
}

enum tds_text_result tds_text_decode(const uint8_t *bytes, size_t size, char **ret_text)
{
        struct tds_cursor cursor = tds_cursor_on(bytes, size);
        CLEANUP(freep) char *text = malloc(size / 2 * 3 + 4);
        size_t used = 0;

        *ret_text = NULL;
        if (!text)
                return TDS_TEXT_MEMORY;
        while (cursor.left > 0) {
                uint32_t character = get_character(&cursor);

                if (character == 0 || cursor.bad) {
                        explicit_bzero(text, used);
                        return TDS_TEXT_BAD;
                }
                used += put_character(text + used, character);
        }
        text[used] = '\0';
        *ret_text = take_ptr(&text);
        return TDS_TEXT_GOOD;
}

/* The character at *text, which moves on. */
static uint32_t next_character(const char **text)
{
        static const uint8_t masks[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        const unsigned char *at = (const unsigned char *)*text;
        size_t length = text_utf8_length(at, strnlen(*text, 4));
        uint32_t character;

        *text += length > 0 ? length : 1;
        if (length == 0)
                return REPLACEMENT;
        character = at[0] & masks[length];
        for (size_t i = 1; i < length; i++)
                character = character << 6 | (at[i] & 0x3fu);
        return character;
}

size_t tds_text_units(const char *text, size_t max)
{
        size_t units = 0;

        while (*text) {
                size_t wanted = next_character(&text) > 0xffff ? 2 : 1;

                if (wanted > max - units)
                        break;
                units += wanted;
        }
        return units;
}

static void put_unit(uint8_t *out, uint32_t unit)
{
        out[0] = (uint8_t)unit;
        out[1] = (uint8_t)(unit >> 8);
}

size_t tds_text_encode(const char **text, uint8_t *out, size_t max)
{
        size_t units = 0;

        while (**text) {
                const char *after = *text;
                uint32_t character = next_character(&after);

                if ((character > 0xffff ? 2u : 1u) > max - units)
                        break;
                *text = after;
                if (character > 0xffff) {
                        put_unit(out + 2 * units++, SURROGATES + ((character - 0x10000) >> 10));
                        character = LOW_SURROGATES + ((character - 0x10000) & 0x3ff);
                }
                put_unit(out + 2 * units++, character);
        }
        return units;
}

void tds_put(struct tds_token *token, const void *bytes, size_t size)
{
        if (size > sizeof token->bytes - token->size)
                abort();
        if (size > 0)
                memcpy(token->bytes + token->size, bytes, size);
        token->size += size;
}

void tds_put_number(struct tds_token *token, uint64_t value, size_t size)
{
        uint64_t little = htole64(value);

        tds_put(token, &little, size);
}

void tds_put_text(struct tds_token *token, const char *text, size_t prefix, size_t max)
{
        size_t units = tds_text_units(text, max);

        tds_put_number(token, units, prefix);
        if (2 * units > sizeof token->bytes - token->size)
                abort();
        token->size += 2 * tds_text_encode(&text, token->bytes + token->size, units);
}

void tds_token_open(struct tds_token *token, uint8_t kind)
{
        token->size = 0;
        tds_put_number(token, kind, 1);
        tds_put_number(token, 0, 2);
}

void tds_token_close(struct tds_token *token)
{
        uint16_t length = htole16((uint16_t)(token->size - 3));

        memcpy(token->bytes + 1, &length, sizeof length);
}
