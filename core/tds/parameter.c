#include <errno.h>
#include <string.h>

#include "core/tds/parameter.h"

enum layout {
        LAYOUT_NULL,  /* no value at all */
        LAYOUT_FIXED, /* `size` bytes */
        LAYOUT_BYTE,  /* maximum in a byte, value's length in a byte, 0 for NULL */
        LAYOUT_BARE,  /* no maximum */
        LAYOUT_SCALE, /* a scale in place of the maximum */
        LAYOUT_DECIMAL,
        LAYOUT_CHARS, /* maximum and length in a byte, 255 for NULL: types of old */
        LAYOUT_SHORT, /* 2 bytes each, 0xffff for NULL; a maximum of 0xffff says that the value comes in chunks */
        LAYOUT_LONG,  /* 4 bytes each, 0xffffffff for NULL */
        LAYOUT_XML,   /* chunks */
};

enum {
        STATUS_DEFAULT = 0x02,
        STATUS_ENCRYPTED = 0x08,
        COLLATION_SIZE = 5,
        COLLATION_UTF8 = 0x04, /* in its fourth byte */
        SCALE_MAX = 38,
        TIME_SCALE_MAX = 7,
        UNLIMITED = 0xffff,
};

static const struct type_row {
        uint8_t type;
        uint8_t layout;
        uint8_t size;
        bool collated;
        tds_reader_fn *read;
} types[] = {
        { 0x1f, LAYOUT_NULL, 0, false, NULL },
        { 0x22, LAYOUT_LONG, 0, false, tds_read_binary },          /* image */
        { 0x23, LAYOUT_LONG, 0, true, tds_read_varchar },          /* text */
        { 0x24, LAYOUT_BYTE, 0, false, tds_read_guid },            /* uniqueidentifier */
        { 0x25, LAYOUT_CHARS, 0, false, tds_read_binary },         /* varbinary of old */
        { 0x26, LAYOUT_BYTE, 0, false, tds_read_integer },         /* any integer */
        { 0x27, LAYOUT_CHARS, 0, false, tds_read_varchar },        /* varchar of old */
        { 0x28, LAYOUT_BARE, 0, false, tds_read_date },            /* date */
        { 0x29, LAYOUT_SCALE, 0, false, tds_read_time },           /* time */
        { 0x2a, LAYOUT_SCALE, 0, false, tds_read_datetime2 },      /* datetime2 */
        { 0x2b, LAYOUT_SCALE, 0, false, tds_read_datetimeoffset }, /* datetimeoffset */
        { 0x2d, LAYOUT_CHARS, 0, false, tds_read_binary },         /* binary of old */
        { 0x2f, LAYOUT_CHARS, 0, false, tds_read_varchar },        /* char of old */
        { 0x30, LAYOUT_FIXED, 1, false, tds_read_integer },        /* tinyint */
        { 0x32, LAYOUT_FIXED, 1, false, tds_read_bit },            /* bit */
        { 0x34, LAYOUT_FIXED, 2, false, tds_read_integer },        /* smallint */
        { 0x38, LAYOUT_FIXED, 4, false, tds_read_integer },        /* int */
        { 0x3a, LAYOUT_FIXED, 4, false, tds_read_datetime },       /* smalldatetime */
        { 0x3b, LAYOUT_FIXED, 4, false, tds_read_float },          /* real */
        { 0x3c, LAYOUT_FIXED, 8, false, tds_read_money },          /* money */
        { 0x3d, LAYOUT_FIXED, 8, false, tds_read_datetime },       /* datetime */
        { 0x3e, LAYOUT_FIXED, 8, false, tds_read_float },          /* float */
        { 0x63, LAYOUT_LONG, 0, true, tds_read_nvarchar },         /* ntext */
        { 0x68, LAYOUT_BYTE, 0, false, tds_read_bit },             /* bit that may be NULL */
        { 0x6a, LAYOUT_DECIMAL, 0, false, tds_read_decimal },      /* decimal */
        { 0x6c, LAYOUT_DECIMAL, 0, false, tds_read_decimal },      /* numeric */
        { 0x6d, LAYOUT_BYTE, 0, false, tds_read_float },           /* real or float */
        { 0x6e, LAYOUT_BYTE, 0, false, tds_read_money },           /* smallmoney or money */
        { 0x6f, LAYOUT_BYTE, 0, false, tds_read_datetime },        /* smalldatetime or datetime */
        { 0x7a, LAYOUT_FIXED, 4, false, tds_read_money },          /* smallmoney */
        { 0x7f, LAYOUT_FIXED, 8, false, tds_read_integer },        /* bigint */
        { 0xa5, LAYOUT_SHORT, 0, false, tds_read_binary },         /* varbinary */
        { 0xa7, LAYOUT_SHORT, 0, true, tds_read_varchar },         /* varchar */
        { 0xad, LAYOUT_SHORT, 0, false, tds_read_binary },         /* binary */
        { 0xaf, LAYOUT_SHORT, 0, true, tds_read_varchar },         /* char */
        { 0xe7, LAYOUT_SHORT, 0, true, tds_read_nvarchar },        /* nvarchar */
        { 0xef, LAYOUT_SHORT, 0, true, tds_read_nvarchar },        /* nchar */
        { 0xf1, LAYOUT_XML, 0, false, tds_read_nvarchar },         /* xml */
};

/* What follows the type of a value, up to the value. */
struct wire_type {
        const struct type_row *row;
        struct tds_type_info info;
        bool chunked;
};

static const struct type_row *find_row(uint8_t type)
{
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
                if (types[i].type == type)
                        return &types[i];
        return NULL;
}

static void get_collation(struct tds_cursor *cursor, struct wire_type *type)
{
        const uint8_t *collation = tds_get(cursor, COLLATION_SIZE);

        type->info.utf8 = collation && (collation[3] & COLLATION_UTF8) != 0;
}

/* False: the type is not read here. */
static bool get_type(struct tds_cursor *cursor, struct wire_type *type)
{
        type->info.type = tds_get_u8(cursor);
        type->row = find_row(type->info.type);
        if (!type->row)
                return cursor->bad;
        switch (type->row->layout) {
        case LAYOUT_BYTE:
        case LAYOUT_CHARS:
                tds_get_u8(cursor);
                break;
        case LAYOUT_DECIMAL:
                tds_get_u8(cursor);
                tds_get_u8(cursor);
                type->info.scale = tds_get_u8(cursor);
                cursor->bad |= type->info.scale > SCALE_MAX;
                break;
        case LAYOUT_SCALE:
                type->info.scale = tds_get_u8(cursor);
                cursor->bad |= type->info.scale > TIME_SCALE_MAX;
                break;
        case LAYOUT_SHORT:
                type->chunked = tds_get_u16(cursor) == UNLIMITED;
                break;
        case LAYOUT_LONG:
                tds_get_u32(cursor);
                break;
        case LAYOUT_XML:
                type->chunked = true;
                /* A schema is not read. */
                return tds_get_u8(cursor) == 0;
        default:
                break;
        }
        if (type->row->collated)
                get_collation(cursor, type);
        return true;
}

/* A value: bytes in the message, or put together from chunks in `joined`. */
struct wire_value {
        bool is_null;
        const uint8_t *bytes;
        size_t size;
        uint8_t *joined;
};

static bool get_chunks(struct tds_cursor *cursor, struct wire_value *value)
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

static void get_counted(struct tds_cursor *cursor, struct wire_value *value, size_t prefix, uint64_t null)
{
        uint64_t size = tds_get_number(cursor, prefix);

        value->is_null = size == null;
        if (value->is_null)
                return;
        value->bytes = tds_get(cursor, size);
        value->size = size;
}

/* False: out of memory. */
static bool get_value(struct tds_cursor *cursor, const struct wire_type *type, struct wire_value *value)
{
        if (type->chunked)
                return get_chunks(cursor, value);
        switch (type->row->layout) {
        case LAYOUT_NULL:
                value->is_null = true;
                break;
        case LAYOUT_FIXED:
                value->size = type->row->size;
                value->bytes = tds_get(cursor, value->size);
                break;
        case LAYOUT_CHARS:
                get_counted(cursor, value, 1, 0xff);
                break;
        case LAYOUT_SHORT:
                get_counted(cursor, value, 2, 0xffff);
                break;
        case LAYOUT_LONG:
                get_counted(cursor, value, 4, 0xffffffff);
                break;
        default:
                get_counted(cursor, value, 1, 0);
                break;
        }
        return true;
}

static enum tds_parameter_result result_of_errno(void)
{
        return errno == ENOMEM ? TDS_PARAMETER_MEMORY : errno == EILSEQ ? TDS_PARAMETER_BAD_TEXT : TDS_PARAMETER_BROKEN;
}

static enum tds_parameter_result get_text(struct tds_cursor *cursor, const struct wire_type *type, bool is_default,
                                          char **ret_text)
{
        struct wire_value value = { .is_null = false };
        bool has_memory = get_value(cursor, type, &value);
        CLEANUP(freep) uint8_t *joined = value.joined;

        if (!has_memory)
                return TDS_PARAMETER_MEMORY;
        if (cursor->bad)
                return TDS_PARAMETER_BROKEN;
        if (value.is_null || is_default)
                return TDS_PARAMETER_GOOD;
        *ret_text = type->row->read(&type->info, joined ? joined : value.bytes, value.size);
        return *ret_text ? TDS_PARAMETER_GOOD : result_of_errno();
}

enum tds_parameter_result tds_get_parameter(struct tds_cursor *cursor, struct tds_parameter *ret, uint8_t *ret_type)
{
        struct wire_type type = { .row = NULL };
        size_t name_size = 2 * (size_t)tds_get_u8(cursor);
        const uint8_t *name = tds_get(cursor, name_size);
        uint8_t status = tds_get_u8(cursor);
        enum tds_text_result result;
        bool known = get_type(cursor, &type);

        *ret = (struct tds_parameter){ .name = NULL };
        *ret_type = type.info.type;
        if (cursor->bad)
                return TDS_PARAMETER_BROKEN;
        if (!known || (status & STATUS_ENCRYPTED))
                return TDS_PARAMETER_UNKNOWN;
        result = tds_text_decode(name, name_size, &ret->name);
        if (result == TDS_TEXT_MEMORY)
                return TDS_PARAMETER_MEMORY;
        if (result == TDS_TEXT_BAD)
                return TDS_PARAMETER_BAD_TEXT;
        return get_text(cursor, &type, (status & STATUS_DEFAULT) != 0, &ret->text);
}
