#include "core/tds/value.h"

#include <endian.h>
#include <string.h>
#include <time.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

enum wire_type {
        WIRE_GUID = 0x24,
        WIRE_INT = 0x26,
        WIRE_BIT = 0x68,
        WIRE_NUMERIC = 0x6c,
        WIRE_FLOAT = 0x6d,
        WIRE_DATETIME = 0x6f,
        WIRE_NVARCHAR = 0xe7,
};

enum {
        UNITS_MAX = 4000, /* of a text that is not nvarchar(max) */
        SIZE_UNLIMITED = 0xffff,
        SIZE_NULL = 0xffff,
        NUMERIC_PRECISION = 25,
        NUMERIC_BYTES = 12, /* behind the sign */
        GUID_BYTES = 16,
        GUID_CHARACTERS = 36,
        DATETIME_CHARACTERS = 19, /* without a fraction */
        TICKS_OF_SECOND = 300,
        TICKS_OF_DAY = 86400 * TICKS_OF_SECOND,
        DAYS_TO_1900 = 53690,  /* from 1753-01-01, the first day of a datetime */
        DAYS_TO_END = 3012154, /* from there to 9999-12-31, the last one, its day counted */
};

#define SECONDS_TO_1753 6847804800 /* back from 1970 */
#define CHUNKED_NULL    UINT64_MAX

const uint8_t tds_collation[5] = { 0x09, 0x04, 0xd0, 0x00, 0x34 };

/* Each encoder fills `bytes` (as many as the type has) and returns whether the value has the form that it must have. */
typedef bool encode_fn(const struct tds_value *value, uint8_t *bytes, size_t size);

static bool encode_integer(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        uint64_t number = htole64((uint64_t)value->number);

        memcpy(bytes, &number, size);
        return true;
}

static bool encode_bit(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        (void)size;
        bytes[0] = value->number != 0;
        return true;
}

static bool encode_real(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        float real = (float)value->real;
        uint32_t bits;

        memcpy(&bits, &real, sizeof bits);
        return encode_integer(&(struct tds_value){ .number = (int64_t)bits }, bytes, size);
}

static bool encode_numeric(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        const char *at = value->text;
        bool negative = *at == '-';
        unsigned __int128 number = 0;
        size_t digits;

        at += negative;
        digits = strspn(at, "0123456789");
        if (digits == 0 || digits > NUMERIC_PRECISION || at[digits] != '\0')
                return false;
        for (; *at; at++)
                number = number * 10 + (unsigned)(*at - '0');
        bytes[0] = !negative;
        for (size_t i = 1; i < size; i++, number >>= 8)
                bytes[i] = (uint8_t)number;
        return true;
}

/* Thousandths of ".mmm", with one digit or two as well, or of nothing; -1 when it is neither. */
static int encode_fraction(const char *text)
{
        static const int scales[] = { -1, -1, 100, 10, 1 };
        size_t length = strlen(text);

        if (length == 0)
                return 0;
        if (*text != '.' || length > 4 || strspn(text + 1, "0123456789") != length - 1)
                return -1;
        return scales[length] * (int)strtol(text + 1, NULL, 10);
}

/* Seconds since 1970 of "YYYY-MM-DD hh:mm:ss". What reads back as another text is no moment. */
static bool encode_moment(const char *text, time_t *ret_seconds)
{
        char again[DATETIME_CHARACTERS + 1];
        struct tm parts = { .tm_isdst = 0 };

        if (!strptime(text, "%Y-%m-%d %H:%M:%S", &parts))
                return false;
        *ret_seconds = timegm(&parts);
        return strftime(again, sizeof again, "%Y-%m-%d %H:%M:%S", &parts) == DATETIME_CHARACTERS &&
               strncmp(text, again, DATETIME_CHARACTERS) == 0;
}

static bool encode_datetime(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        time_t seconds;
        int64_t ticks;
        int milliseconds;

        (void)size;
        if (!encode_moment(value->text, &seconds) || seconds < -SECONDS_TO_1753)
                return false;
        milliseconds = encode_fraction(value->text + DATETIME_CHARACTERS);
        if (milliseconds < 0)
                return false;
        ticks = (seconds + SECONDS_TO_1753) * TICKS_OF_SECOND + (milliseconds * 3 + 5) / 10;
        /* Rounded up to the next day, of which the last has none. */
        if (ticks == (int64_t)DAYS_TO_END * TICKS_OF_DAY)
                ticks--;
        encode_integer(&(struct tds_value){ .number = ticks / TICKS_OF_DAY - DAYS_TO_1900 }, bytes, 4);
        return encode_integer(&(struct tds_value){ .number = ticks % TICKS_OF_DAY }, bytes + 4, 4);
}

static bool encode_guid(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        /* The first three groups are little-endian numbers. */
        static const uint8_t places[GUID_BYTES] = { 3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15 };
        const char *at = value->text;

        if (strlen(at) != GUID_CHARACTERS)
                return false;
        for (size_t i = 0; i < size; i++) {
                int high;
                int low;

                if ((i == 4 || i == 6 || i == 8 || i == 10) && *at++ != '-')
                        return false;
                high = text_hex_digit(*at++);
                low = high < 0 ? -1 : text_hex_digit(*at++);
                if (low < 0)
                        return false;
                bytes[places[i]] = (uint8_t)(16 * high + low);
        }
        return true;
}

/* What the wire has for each type; all but texts have one byte of length before a value, 0 for NULL. */
static const struct column_wire {
        uint8_t type;
        uint8_t size;
        encode_fn *encode; /* NULL: a text */
        bool needs_text;
} wires[TDS_TYPES] = {
        [TDS_TYPE_INT] = { WIRE_INT, 4, encode_integer, false },
        [TDS_TYPE_BIGINT] = { WIRE_INT, 8, encode_integer, false },
        [TDS_TYPE_BIT] = { WIRE_BIT, 1, encode_bit, false },
        [TDS_TYPE_TEXT] = { WIRE_NVARCHAR, 0, NULL, false },
        [TDS_TYPE_NUMERIC] = { WIRE_NUMERIC, 1 + NUMERIC_BYTES, encode_numeric, true },
        [TDS_TYPE_REAL] = { WIRE_FLOAT, 4, encode_real, false },
        [TDS_TYPE_DATETIME] = { WIRE_DATETIME, 8, encode_datetime, true },
        [TDS_TYPE_GUID] = { WIRE_GUID, GUID_BYTES, encode_guid, true },
};

/* Characters that a text column holds; 0 without limit, which needs TDS 7.2. */
static uint16_t column_units(uint32_t version, const struct tds_column *column)
{
        if (column->length == 0)
                return version >= TDS_VERSION_7_2 ? 0 : UNITS_MAX;
        return column->length < UNITS_MAX ? column->length : UNITS_MAX;
}

void tds_put_type(struct tds_token *token, uint32_t version, const struct tds_column *column)
{
        const struct column_wire *wire = &wires[column->type];

        tds_put_number(token, wire->type, 1);
        if (column->type == TDS_TYPE_TEXT) {
                uint16_t units = column_units(version, column);

                tds_put_number(token, units > 0 ? 2u * units : SIZE_UNLIMITED, 2);
                tds_put(token, tds_collation, sizeof tds_collation);
                return;
        }
        tds_put_number(token, wire->size, 1);
        if (column->type == TDS_TYPE_NUMERIC) {
                tds_put_number(token, NUMERIC_PRECISION, 1);
                tds_put_number(token, /* scale */ 0, 1);
        }
}

static void value_send_number(struct tds_connection *connection, uint64_t number, size_t size)
{
        uint64_t little = htole64(number);

        tds_output_bytes(connection, &little, size);
}

static void value_send_text(struct tds_connection *connection, uint16_t limit, const char *text)
{
        size_t units = 0;
        CLEANUP(freep) uint8_t *bytes = text ? tds_text_encode(text, limit > 0 ? limit : UINT32_MAX / 2, &units) : NULL;

        if (text && !bytes)
                tds_connection_shutdown(connection);
        if (limit > 0) {
                value_send_number(connection, text ? 2 * units : SIZE_NULL, 2);
                tds_output_bytes(connection, bytes, 2 * units);
                return;
        }
        value_send_number(connection, text ? 2 * units : CHUNKED_NULL, 8);
        if (units > 0) {
                value_send_number(connection, 2 * units, 4);
                tds_output_bytes(connection, bytes, 2 * units);
        }
        if (text)
                value_send_number(connection, /* no further chunk */ 0, 4);
}

void tds_send_value(struct tds_connection *connection, const struct tds_column *column, const struct tds_value *value)
{
        const struct column_wire *wire = &wires[column->type];
        uint8_t bytes[32] = { wire->size };
        bool is_null = value->is_null || (wire->needs_text && !value->text);

        if (!wire->encode)
                value_send_text(connection, column_units(connection->version, column),
                                value->is_null ? NULL : value->text);
        else if (is_null || !wire->encode(value, bytes + 1, wire->size))
                value_send_number(connection, /* NULL */ 0, 1);
        else
                tds_output_bytes(connection, bytes, 1u + wire->size);
}
