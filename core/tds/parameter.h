/*
 * parameter.h - the parameters of a procedure call, as text
 */
#pragma once

#include "core/tds/bytes.h"
#include "core/tds/tds.h"

enum tds_parameter_result {
        TDS_PARAMETER_MEMORY = -2,
        TDS_PARAMETER_BROKEN = -1, /* cut off, or of a size that its type does not have */
        TDS_PARAMETER_GOOD = 0,
        TDS_PARAMETER_UNKNOWN, /* a type that is not read here: where it ends is not known */
        TDS_PARAMETER_BAD_TEXT,
};

/* The parameter at the cursor: name, value. *ret is empty, or the caller's to free, in any case. */
enum tds_parameter_result tds_get_parameter(struct tds_cursor *cursor, struct tds_parameter *ret, uint8_t *ret_type);
