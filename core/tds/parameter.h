/*
 * parameter.h - the parameters of a procedure call, as text
 *
 * One table knows every type: how its TYPE_INFO and its values are laid out, and how a value reads. Nothing has state.
 */
#ifndef VDIPIPE_CORE_TDS_PARAMETER_H
#define VDIPIPE_CORE_TDS_PARAMETER_H

#include "core/tds/internal.h"

struct tds_type_info {
        uint8_t type;
        uint8_t scale;
        bool utf8; /* the collation of a varchar */
};

enum tds_parameter_result {
        TDS_PARAMETER_MEMORY = -2,
        TDS_PARAMETER_BROKEN = -1, /* cut off, or of a size that its type does not have */
        TDS_PARAMETER_GOOD = 0,
        TDS_PARAMETER_UNKNOWN, /* a type that is not read here: where it ends is not known */
        TDS_PARAMETER_BAD_TEXT,
};

/* The parameter at the cursor: name, value. *ret is empty, or the caller's to free, in any case. */
enum tds_parameter_result tds_get_parameter(struct tds_cursor *cursor, struct tds_parameter *ret, uint8_t *ret_type);

/* A value as text: the table's second half, in reading.c. Allocated; NULL with errno: EINVAL for a size that the
 * type does not have, EILSEQ for what is no text, ENOMEM. */
typedef char *tds_reader_fn(const struct tds_type_info *info, const uint8_t *bytes, size_t size);

tds_reader_fn tds_read_integer;
tds_reader_fn tds_read_bit;
tds_reader_fn tds_read_float;
tds_reader_fn tds_read_money;
tds_reader_fn tds_read_decimal;
tds_reader_fn tds_read_datetime;
tds_reader_fn tds_read_date;
tds_reader_fn tds_read_time;
tds_reader_fn tds_read_datetime2;
tds_reader_fn tds_read_datetimeoffset;
tds_reader_fn tds_read_guid;
tds_reader_fn tds_read_binary;
tds_reader_fn tds_read_varchar;
tds_reader_fn tds_read_nvarchar;

#endif
