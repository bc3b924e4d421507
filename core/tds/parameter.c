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
        UNLIMITED = 0xffff,
};

/* What of each layout stands before a value. */
static const struct layout_row {
        uint8_t info_size;   /* bytes behind the type */
        uint8_t scale_max;   /* the last of them is a scale; 0: none is */
        uint8_t length_size; /* bytes of the value's length; 0: it has none */
        uint32_t null;       /* the length that says NULL */
} layouts[] = {
        [TDS_LAYOUT_FIXED] = { 0, 0, 0, 0 },      [TDS_LAYOUT_BYTE] = { 1, 0, 1, 0 },
        [TDS_LAYOUT_BARE] = { 0, 0, 1, 0 },       [TDS_LAYOUT_SCALE] = { 1, 7, 1, 0 },
        [TDS_LAYOUT_DECIMAL] = { 3, 38, 1, 0 },   [TDS_LAYOUT_CHARS] = { 1, 0, 1, 0xff },
        [TDS_LAYOUT_SHORT] = { 2, 0, 2, 0xffff }, [TDS_LAYOUT_LONG] = { 4, 0, 4, 0xffffffff },
        [TDS_LAYOUT_XML] = { 1, 0, 0, 0 },
};

/* A value on its way. */
struct wire {
        uint8_t type;
        const struct tds_type_row *row;
        bool chunked;
        bool is_null;
        uint8_t *joined; /* what came in chunks */
        struct tds_wire_value value;
};

/* False: the type is not read here. */
static bool wire_get_type(struct tds_cursor *cursor, struct wire *wire)
{
        const struct layout_row *layout;
        uint32_t info;

        wire->type = tds_get_u8(cursor);
        wire->row = tds_find_type(wire->type);
        if (!wire->row)
                return cursor->bad;
        layout = &layouts[wire->row->layout];
        info = (uint32_t)tds_get_number(cursor, layout->info_size);
        if (layout->scale_max > 0) {
                wire->value.scale = (uint8_t)(info >> 8 * (layout->info_size - 1));
                cursor->bad |= wire->value.scale > layout->scale_max;
        }
        wire->chunked =
                wire->row->layout == TDS_LAYOUT_XML || (wire->row->layout == TDS_LAYOUT_SHORT && info == UNLIMITED);
        if (wire->row->collated) {
                const uint8_t *collation = tds_get(cursor, COLLATION_SIZE);

                wire->value.utf8 = collation && (collation[3] & COLLATION_UTF8) != 0;
        }
        /* XML with a schema is not read. */
        return wire->row->layout != TDS_LAYOUT_XML || info == 0;
}

static bool wire_get_chunks(struct tds_cursor *cursor, struct wire *wire)
{
        uint64_t total = tds_get_number(cursor, 8);
        size_t size;

        wire->is_null = total == UINT64_MAX;
        if (wire->is_null || cursor->bad)
                return true;
        /* What all chunks have cannot be more than what is left. */
        wire->joined = malloc(cursor->left + 1);
        if (!wire->joined)
                return false;
        wire->value.bytes = wire->joined;
        while ((size = tds_get_u32(cursor)) > 0) {
                const uint8_t *chunk = tds_get(cursor, size);

                if (!chunk)
                        break;
                memcpy(wire->joined + wire->value.size, chunk, size);
                wire->value.size += size;
        }
        return true;
}

/* False: out of memory. */
static bool wire_get_value(struct tds_cursor *cursor, struct wire *wire)
{
        const struct layout_row *layout = &layouts[wire->row->layout];

        if (wire->chunked)
                return wire_get_chunks(cursor, wire);
        wire->value.size = layout->length_size > 0 ? tds_get_number(cursor, layout->length_size) : wire->row->size;
        wire->is_null = !wire->row->read || (layout->length_size > 0 && wire->value.size == layout->null);
        if (!wire->is_null)
                wire->value.bytes = tds_get(cursor, wire->value.size);
        return true;
}

static enum tds_parameter_result parameter_result_of_errno(void)
{
        return errno == ENOMEM ? TDS_PARAMETER_MEMORY : errno == EILSEQ ? TDS_PARAMETER_BAD_TEXT : TDS_PARAMETER_BROKEN;
}

static enum tds_parameter_result wire_get_text(struct tds_cursor *cursor, struct wire *wire, bool is_default,
                                               char **ret_text)
{
        bool has_memory = wire_get_value(cursor, wire);
        CLEANUP(freep) uint8_t *joined = wire->joined;

        (void)joined;
        if (!has_memory)
                return TDS_PARAMETER_MEMORY;
        if (cursor->bad)
                return TDS_PARAMETER_BROKEN;
        if (wire->is_null || is_default)
                return TDS_PARAMETER_GOOD;
        *ret_text = wire->row->read(&wire->value);
        return *ret_text ? TDS_PARAMETER_GOOD : parameter_result_of_errno();
}

enum tds_parameter_result tds_get_parameter(struct tds_cursor *cursor, struct tds_parameter *ret, uint8_t *ret_type)
{
        struct wire wire = { .row = NULL };
        size_t name_size = 2 * (size_t)tds_get_u8(cursor);
        const uint8_t *name = tds_get(cursor, name_size);
        uint8_t status = tds_get_u8(cursor);
        bool known = wire_get_type(cursor, &wire);

        *ret = (struct tds_parameter){ .name = NULL };
        *ret_type = wire.type;
        if (cursor->bad)
                return TDS_PARAMETER_BROKEN;
        if (!known || (status & STATUS_ENCRYPTED))
                return TDS_PARAMETER_UNKNOWN;
        ret->name = tds_text_decode(TDS_UTF16, name, name_size);
        if (!ret->name)
                return parameter_result_of_errno();
        return wire_get_text(cursor, &wire, (status & STATUS_DEFAULT) != 0, &ret->text);
}
