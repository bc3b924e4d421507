/*
 * bytes.h - numbers and texts of TDS, in and out
 *
 * A cursor fails once and for all, so a parser asks at its end. Texts are UTF-8 here, and UTF-16 (of parameters also
 * code page 1252) on the wire; iconv converts. Nothing has state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tds_cursor {
        const uint8_t *at;
        size_t left;
        bool bad; /* something was asked for that is not there */
};

static inline struct tds_cursor tds_cursor_on(const uint8_t *bytes, size_t size)
{
        return (struct tds_cursor){ .at = bytes, .left = size };
}

/* The next `size` bytes; NULL when they are not all there. */
const uint8_t *tds_get(struct tds_cursor *cursor, size_t size);

/* Little-endian numbers of 1 to 8 bytes; 0 when they are not there. */
uint64_t tds_get_number(struct tds_cursor *cursor, size_t size);

static inline uint8_t tds_get_u8(struct tds_cursor *cursor)
{
        return (uint8_t)tds_get_number(cursor, 1);
}

static inline uint16_t tds_get_u16(struct tds_cursor *cursor)
{
        return (uint16_t)tds_get_number(cursor, 2);
}

static inline uint32_t tds_get_u32(struct tds_cursor *cursor)
{
        return (uint32_t)tds_get_number(cursor, 4);
}

#define TDS_UTF16    "UTF-16LE"
#define TDS_PAGE1252 "CP1252"

/* Text of one of these two as UTF-8, allocated. NULL with errno: EILSEQ for U+0000, half a character or half a
 * surrogate pair, and what the code page does not have; else as malloc() and iconv_open() set it. */
char *tds_text_decode(const char *charset, const uint8_t *bytes, size_t size);

/* The first characters of `text` as UTF-16LE, as many as fit into `max` units; allocated, with the number of units.
 * Each byte that is no UTF-8 becomes U+FFFD. NULL, and no units, when memory is short. */
uint8_t *tds_text_encode(const char *text, size_t max, size_t *ret_units);

/* One token of an answer, or a part of one. */
struct tds_token {
        size_t size;
        bool bad;            /* memory was short for a text */
        uint8_t bytes[6144]; /* the largest: a message of ERROR_MESSAGE_MAX characters with its names */
};

void tds_put(struct tds_token *token, const void *bytes, size_t size);
void tds_put_number(struct tds_token *token, uint64_t value, size_t size); /* little-endian */

/* UTF-16 with its count of characters before it, in `prefix` bytes (1 or 2); cut at `max` characters. */
void tds_put_text(struct tds_token *token, const char *text, size_t prefix, size_t max);

/* Begins a token that has its length, 16 bits, behind its first byte; tds_token_close() fills that in. */
void tds_token_open(struct tds_token *token, uint8_t kind);
void tds_token_close(struct tds_token *token);
