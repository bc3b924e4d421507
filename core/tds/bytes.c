#include "core/tds/bytes.h"

#include <endian.h>
#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "core/base/cleanup.h"

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

        if (bytes)
                memcpy(&value, bytes, size);
        return le64toh(value);
}

/* Leaves errno as it is. */
static void converter_closep(iconv_t *converter)
{
        int saved = errno;

        if (*converter != (iconv_t)-1)
                iconv_close(*converter);
        errno = saved;
}

char *tds_text_decode(const char *charset, const uint8_t *bytes, size_t size)
{
        CLEANUP(converter_closep) iconv_t converter = iconv_open("UTF-8", charset);
        size_t room = 3 * size; /* what a byte of either charset comes to at most */
        CLEANUP(freep) char *text = malloc(room + 1);
        char *in = (char *)(uintptr_t)bytes;
        char *end = text;

        if (converter == (iconv_t)-1 || !text)
                return NULL;
        if (iconv(converter, &in, &size, &end, &room) == (size_t)-1 || memchr(text, '\0', (size_t)(end - text))) {
                explicit_bzero(text, (size_t)(end - text));
                errno = EILSEQ;
                return NULL;
        }
        *end = '\0';
        return take_ptr(&text);
}

uint8_t *tds_text_encode(const char *text, size_t max, size_t *ret_units)
{
        static const uint8_t replacement[] = { 0xfd, 0xff };
        CLEANUP(converter_closep) iconv_t converter = iconv_open(TDS_UTF16, "UTF-8");
        size_t left = strlen(text);
        size_t room = 2 * (left < max ? left : max); /* no character has more units than bytes */
        CLEANUP(freep) uint8_t *units = malloc(room + 1);
        char *in = (char *)(uintptr_t)text;
        char *end = (char *)units;

        *ret_units = 0;
        if (converter == (iconv_t)-1 || !units)
                return NULL;
        while (iconv(converter, &in, &left, &end, &room) == (size_t)-1 && errno != E2BIG &&
               room >= sizeof replacement) {
                end = mempcpy(end, replacement, sizeof replacement);
                room -= sizeof replacement;
                in++;
                left--;
        }
        *ret_units = (size_t)(end - (char *)units) / 2;
        return take_ptr(&units);
}

void tds_put(struct tds_token *token, const void *bytes, size_t size)
{
        if (size > sizeof token->bytes - token->size)
                abort();
        if (bytes && size > 0)
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
        size_t units;
        CLEANUP(freep) uint8_t *bytes = tds_text_encode(text, max, &units);

        token->bad = token->bad || !bytes;
        tds_put_number(token, units, prefix);
        tds_put(token, bytes, 2 * units);
}

void tds_token_open(struct tds_token *token, uint8_t kind)
{
        token->size = 0;
        token->bad = false;
        tds_put_number(token, kind, 1);
        tds_put_number(token, 0, 2);
}

void tds_token_close(struct tds_token *token)
{
        uint16_t length = htole16((uint16_t)(token->size - 3));

        memcpy(token->bytes + 1, &length, sizeof length);
}
