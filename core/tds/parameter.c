#include "core/tds/parameter.h"

#include <errno.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/tds/reading.h"

enum {
        STATUS_DEFAULT = 0x02,
        STATUS_ENCRYPTED = 0x08,
        COLLATION_SIZE = 5,
        COLLATION_UTF8 = 0x04, /* in its fourth byte */
        DECIMAL_SCALE_MAX = 38,
        TIME_SCALE_MAX = 7,
        UNLIMITED = 0xffff,
};

/* What follows the type of a value, up to the value. */
struct wire_type {
        uint8_t id;
        const struct tds_type_row *row;
        struct tds_type_info info;
        bool chunked;
};

static void type_get_collation(struct tds_cursor *cursor, struct wire_type *type)
{
        const uint8_t *collation = tds_get(cursor, COLLATION_SIZE);

        type->info.utf8 = collation && (collation[3] & COLLATION_UTF8) != 0;
}

/* False: the type is not read here. */
static bool type_get(struct tds_cursor *cursor, struct wire_type *type)
{
        type->id = tds_get_u8(cursor);
        type->row = tds_find_type(type->id);
        if (!type->row)
                return cursor->bad;
        switch (type->row->layout) {
        case TDS_LAYOUT_BYTE:
        case TDS_LAYOUT_CHARS:
                tds_get_u8(cursor);
                break;
        case TDS_LAYOUT_DECIMAL:
                tds_get_u8(cursor);
                tds_get_u8(cursor);
                type->info.scale = tds_get_u8(cursor);
                cursor->bad |= type->info.scale > DECIMAL_SCALE_MAX;
                break;
        case TDS_LAYOUT_SCALE:
                type->info.scale = tds_get_u8(cursor);
                cursor->bad |= type->info.scale > TIME_SCALE_MAX;
                break;
        case TDS_LAYOUT_SHORT:
                type->chunked = tds_get_u16(cursor) == UNLIMITED;
                break;
        case TDS_LAYOUT_LONG:
                tds_get_u32(cursor);
                break;
        case TDS_LAYOUT_XML:
                type->chunked = true;
                /* A schema is not read. */
                return tds_get_u8(cursor) == 0;
        default:
                break;
        }
        if (type->row->collated)
                type_get_collation(cursor, type);
        return true;
}

/* A value: bytes in the message, or put together from chunks in `joined`. */
struct wire_value {
        bool is_null;
        const uint8_t *bytes;
        size_t size;
        uint8_t *joined;
};

static bool value_get_chunks(struct tds_cursor *cursor, struct wire_value *value)
{
        uint64_t total = tds_get_number(cursor, 8);
        size_t size;

        value->is_null = total == UINT64_MAX;
        if (value->is_null || cursor->bad)
                return true;
        /* What all chunks have cannot be more than what is left. */
        value->joined = malloc(cursor->left + 1);
        if (!value->joined)
                return false;
        while ((size = tds_get_u32(cursor)) > 0) {
                const uint8_t *chunk = tds_get(cursor, size);

                if (!chunk)
                        break;
                memcpy(value->joined + value->size, chunk, size);
                value->size += size;
        }
        return true;
}

static void value_get_counted(struct tds_cursor *cursor, struct wire_value *value, size_t prefix, uint64_t null)
{
        uint64_t size = tds_get_number(cursor, prefix);

        value->is_null = size == null;
        if (value->is_null)
                return;
        value->bytes = tds_get(cursor, size);
        value->size = size;
}

/* False: out of memory. */
static bool value_get(struct tds_cursor *cursor, const struct wire_type *type, struct wire_value *value)
{
        if (type->chunked)
                return value_get_chunks(cursor, value);
        switch (type->row->layout) {
        case TDS_LAYOUT_NULL:
                value->is_null = true;
                break;
        case TDS_LAYOUT_FIXED:
                value->size = type->row->size;
                value->bytes = tds_get(cursor, value->size);
                break;
        case TDS_LAYOUT_CHARS:
                value_get_counted(cursor, value, 1, 0xff);
                break;
        case TDS_LAYOUT_SHORT:
                value_get_counted(cursor, value, 2, 0xffff);
                break;
        case TDS_LAYOUT_LONG:
                value_get_counted(cursor, value, 4, 0xffffffff);
                break;
        default:
                value_get_counted(cursor, value, 1, 0);
                break;
        }
        return true;
}

static enum tds_parameter_result parameter_result_of_errno(void)
{
        return errno == ENOMEM ? TDS_PARAMETER_MEMORY : errno == EILSEQ ? TDS_PARAMETER_BAD_TEXT : TDS_PARAMETER_BROKEN;
}

static enum tds_parameter_result value_get_text(struct tds_cursor *cursor, const struct wire_type *type,
                                                bool is_default, char **ret_text)
{
        struct wire_value value = { .is_null = false };
        bool has_memory = value_get(cursor, type, &value);
        CLEANUP(freep) uint8_t *joined = value.joined;

        if (!has_memory)
                return TDS_PARAMETER_MEMORY;
        if (cursor->bad)
                return TDS_PARAMETER_BROKEN;
        if (value.is_null || is_default)
                return TDS_PARAMETER_GOOD;
        *ret_text = type->row->read(type->info, joined ? joined : value.bytes, value.size);
        return *ret_text ? TDS_PARAMETER_GOOD : parameter_result_of_errno();
}

enum tds_parameter_result tds_get_parameter(struct tds_cursor *cursor, struct tds_parameter *ret, uint8_t *ret_type)
{
        struct wire_type type = { .row = NULL };
        size_t name_size = 2 * (size_t)tds_get_u8(cursor);
        const uint8_t *name = tds_get(cursor, name_size);
        uint8_t status = tds_get_u8(cursor);
        bool known = type_get(cursor, &type);

        *ret = (struct tds_parameter){ .name = NULL };
        *ret_type = type.id;
        if (cursor->bad)
                return TDS_PARAMETER_BROKEN;
        if (!known || (status & STATUS_ENCRYPTED))
                return TDS_PARAMETER_UNKNOWN;
        ret->name = tds_text_decode(TDS_UTF16, name, name_size);
        if (!ret->name)
                return parameter_result_of_errno();
        return value_get_text(cursor, &type, (status & STATUS_DEFAULT) != 0, &ret->text);
}
