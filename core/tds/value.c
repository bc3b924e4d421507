#include <string.h>

#include "core/base/text.h"
#include "core/tds/value.h"

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
        CHUNK_UNITS = 1024,
        TICKS_OF_SECOND = 300,
        TICKS_OF_DAY = 86400 * TICKS_OF_SECOND,
        EPOCH_OF_DATETIME = 693961, /* 1900-01-01, in days since the first day of the year 0 */
        LAST_DAY = 3652424,         /* 9999-12-31 */
};

#define CHUNKED_NULL UINT64_MAX

const uint8_t tds_collation[5] = { 0x09, 0x04, 0xd0, 0x00, 0x34 };

/* What the wire has for each type; all but texts have one byte of length before a value, 0 for NULL. */
static const struct wire {
        uint8_t type;
        uint8_t size;
} wires[TDS_TYPES] = {
        [TDS_TYPE_INT] = { WIRE_INT, 4 },
        [TDS_TYPE_BIGINT] = { WIRE_INT, 8 },
        [TDS_TYPE_BIT] = { WIRE_BIT, 1 },
        [TDS_TYPE_TEXT] = { WIRE_NVARCHAR, 0 },
        [TDS_TYPE_NUMERIC] = { WIRE_NUMERIC, 1 + NUMERIC_BYTES },
        [TDS_TYPE_REAL] = { WIRE_FLOAT, 4 },
        [TDS_TYPE_DATETIME] = { WIRE_DATETIME, 8 },
        [TDS_TYPE_GUID] = { WIRE_GUID, GUID_BYTES },
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
        const struct wire *wire = &wires[column->type];

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

static void send_number(struct tds_session *session, uint64_t number, size_t size)
{
        struct tds_token token = { .size = 0 };

        tds_put_number(&token, number, size);
        tds_output_token(session, &token);
}

static void send_units(struct tds_session *session, const char *text, size_t units)
{
        uint8_t chunk[2 * CHUNK_UNITS];

        while (units > 0) {
                size_t n = tds_text_encode(&text, chunk, units < CHUNK_UNITS ? units : CHUNK_UNITS);

                tds_output_bytes(session, chunk, 2 * n);
                units -= n;
        }
}

static void send_text(struct tds_session *session, const struct tds_column *column, const char *text)
{
        uint16_t limit = column_units(session->version, column);
        size_t units = text ? tds_text_units(text, limit > 0 ? limit : UINT32_MAX / 2) : 0;

        if (limit > 0) {
                send_number(session, text ? 2 * units : SIZE_NULL, 2);
                send_units(session, text, units);
                return;
        }
        send_number(session, text ? 2 * units : CHUNKED_NULL, 8);
        if (units > 0) {
                send_number(session, 2 * units, 4);
                send_units(session, text, units);
        }
        if (text)
                send_number(session, /* no further chunk */ 0, 4);
}

/* Each encoder fills `bytes` (as many as the type has) and returns whether the value has the form that it must have. */

static bool encode_integer(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        uint64_t number = (uint64_t)value->number;

        for (size_t i = 0; i < size; i++)
                bytes[i] = (uint8_t)(number >> (8 * i));
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

/* Days since the first day of the year 0 of the Gregorian calendar; -1 when there is no such day. */
static int64_t day_number(int year, int month, int day)
{
        static const int before[] = { 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365 };
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        int past = year - 1;

        if (month < 1 || month > 12 || day < 1 || day > before[month] - before[month - 1] + (leap && month == 2))
                return -1;
        return 366 + 365 * (int64_t)past + past / 4 - past / 100 + past / 400 + before[month - 1] +
               (leap && month > 2) + day - 1;
}

/* `count` digits at *text, which moves on; -1 when they are not there. */
static int digits(const char **text, int count)
{
        int number = 0;

        for (int i = 0; i < count; i++, (*text)++) {
                if (**text < '0' || **text > '9')
                        return -1;
                number = 10 * number + (**text - '0');
        }
        return number;
}

/* Milliseconds of ".mmm", with one digit or two as well, or of nothing; -1 when it is neither. */
static int fraction(const char *text)
{
        size_t length = strlen(text);
        int number;

        if (length == 0)
                return 0;
        if (*text++ != '.' || length < 2 || length > 4)
                return -1;
        number = digits(&text, (int)length - 1);
        return number < 0 ? -1 : length == 2 ? number * 100 : length == 3 ? number * 10 : number;
}

/* A number in each place of "YYYY-MM-DD hh:mm:ss", and what follows. */
static const char *split_datetime(const char *text, int parts[6])
{
        static const char separators[6] = { '-', '-', ' ', ':', ':', '\0' };

        for (int i = 0; i < 6; i++) {
                parts[i] = digits(&text, i == 0 ? 4 : 2);
                if (parts[i] < 0 || (separators[i] != '\0' && *text++ != separators[i]))
                        return NULL;
        }
        return text;
}

static bool encode_datetime(const struct tds_value *value, uint8_t *bytes, size_t size)
{
        enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND };
        int at[6];
        const char *rest = split_datetime(value->text, at);
        int milliseconds;
        int64_t days;
        int64_t ticks;

        (void)size;
        if (!rest || at[YEAR] < 1753 || at[HOUR] > 23 || at[MINUTE] > 59 || at[SECOND] > 59)
                return false;
        days = day_number(at[YEAR], at[MONTH], at[DAY]);
        milliseconds = fraction(rest);
        if (days < 0 || milliseconds < 0)
                return false;
        ticks = (at[HOUR] * 3600 + at[MINUTE] * 60 + at[SECOND]) * (int64_t)TICKS_OF_SECOND +
                (milliseconds * 3 + 5) / 10;
        /* Rounded up to the next day, of which the last has none. */
        if (ticks == TICKS_OF_DAY && days == LAST_DAY) {
                ticks--;
        } else if (ticks == TICKS_OF_DAY) {
                ticks = 0;
                days++;
        }
        encode_integer(&(struct tds_value){ .number = days - EPOCH_OF_DATETIME }, bytes, 4);
        encode_integer(&(struct tds_value){ .number = ticks }, bytes + 4, 4);
        return true;
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

static bool (*const encoders[TDS_TYPES])(const struct tds_value *value, uint8_t *bytes, size_t size) = {
        [TDS_TYPE_INT] = encode_integer,     [TDS_TYPE_BIGINT] = encode_integer, [TDS_TYPE_BIT] = encode_bit,
        [TDS_TYPE_NUMERIC] = encode_numeric, [TDS_TYPE_REAL] = encode_real,      [TDS_TYPE_DATETIME] = encode_datetime,
        [TDS_TYPE_GUID] = encode_guid,
};

static bool needs_text(enum tds_type type)
{
        return type == TDS_TYPE_NUMERIC || type == TDS_TYPE_DATETIME || type == TDS_TYPE_GUID;
}

void tds_send_value(struct tds_session *session, const struct tds_column *column, const struct tds_value *value)
{
        const struct wire *wire = &wires[column->type];
        uint8_t bytes[32] = { wire->size };
        bool is_null = value->is_null || (needs_text(column->type) && !value->text);

        if (column->type == TDS_TYPE_TEXT) {
                send_text(session, column, value->is_null ? NULL : value->text);
                return;
        }
        if (is_null || !encoders[column->type](value, bytes + 1, wire->size)) {
                send_number(session, /* NULL */ 0, 1);
                return;
        }
        tds_output_bytes(session, bytes, 1u + wire->size);
}
