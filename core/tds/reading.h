/*
 * reading.h - the types of parameters, and their values as text
 *
 * One table knows every type: how its TYPE_INFO and its values are laid out, and how a value reads. Nothing has state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How a value, and what is said of it before, stands on the wire. */
enum tds_layout {
        TDS_LAYOUT_FIXED,   /* `size` bytes */
        TDS_LAYOUT_BYTE,    /* maximum in a byte, value's length in a byte, 0 for NULL */
        TDS_LAYOUT_BARE,    /* no maximum */
        TDS_LAYOUT_SCALE,   /* a scale in place of the maximum */
        TDS_LAYOUT_DECIMAL, /* maximum, precision, scale */
        TDS_LAYOUT_CHARS,   /* maximum and length in a byte, 255 for NULL: types of old */
        TDS_LAYOUT_SHORT,   /* 2 bytes each, 0xffff for NULL; a maximum of 0xffff says that the value comes in chunks */
        TDS_LAYOUT_LONG,    /* 4 bytes each, 0xffffffff for NULL */
        TDS_LAYOUT_XML,     /* chunks */
};

struct tds_wire_value {
        const uint8_t *bytes;
        size_t size;
        uint8_t scale; /* digits behind the point: of time at most 7 */
        bool utf8;     /* the collation of a varchar */
};

/* A value as text, allocated. NULL with errno: EINVAL for a size that the type does not have, or a moment that is none;
 * EILSEQ for what is no text; else memory is short. */
typedef char *tds_reader_fn(const struct tds_wire_value *value);

struct tds_type_row {
        uint8_t type; /* on the wire */
        enum tds_layout layout;
        uint8_t size;
        bool collated;
        tds_reader_fn *read; /* NULL: there never is a value */
};

/* NULL: a type that is not read here. */
const struct tds_type_row *tds_find_type(uint8_t type);
