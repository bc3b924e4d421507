#include "core/tds/reading.h"

#include <endian.h>
#include <errno.h>
#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"
#include "core/tds/bytes.h"

enum {
        MONEY_SCALE = 4,
        GUID_BYTES = 16,
        DECIMAL_DIGITS = 40, /* more than 16 bytes can say */
        DATE_BYTES = 3,
        OFFSET_BYTES = 2,
        TICKS_OF_SECOND = 300, /* of a datetime */
        DAYS_TO_1900 = 693595, /* from 0001-01-01 */
        DAYS_TO_1970 = 719162,
        LAST_DAY = 3652058, /* 9999-12-31 */
        DAY_SIZE = 32,
        TIME_SIZE = 32,
        OFFSET_MAX = 14 * 60, /* minutes */
};

static char *wrong_size(void)
{
        errno = EINVAL;
        return NULL;
}

static char *printed(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *printed(const char *format, ...)
{
        char *text = NULL;
        va_list args;
        int length;

        va_start(args, format);
        length = vasprintf(&text, format, args);
        va_end(args);
        if (length >= 0)
                return text;
        errno = ENOMEM;
        return NULL;
}

static uint64_t wire_number(const uint8_t *bytes, size_t size)
{
        struct tds_cursor cursor = tds_cursor_on(bytes, size);

        return tds_get_number(&cursor, size);
}

static int64_t wire_signed(const uint8_t *bytes, size_t size)
{
        unsigned shift = 64 - 8 * (unsigned)size;

        return (int64_t)(wire_number(bytes, size) << shift) >> shift;
}

static char *read_integer(const struct tds_wire_value *value)
{
        if (value->size == 1) /* tinyint has no sign */
                return printed("%u", value->bytes[0]);
        if (value->size != 2 && value->size != 4 && value->size != 8)
                return wrong_size();
        return printed("%lld", (long long)wire_signed(value->bytes, value->size));
}

static char *read_bit(const struct tds_wire_value *value)
{
        if (value->size != 1)
                return wrong_size();
        return printed("%d", value->bytes[0] != 0);
}

static char *read_float(const struct tds_wire_value *value)
{
        uint64_t bits = value->size <= sizeof bits ? wire_number(value->bytes, value->size) : 0;
        uint32_t low_bits = (uint32_t)bits;
        double number;
        float real;

        memcpy(&number, &bits, sizeof number);
        memcpy(&real, &low_bits, sizeof real);
        if (value->size == sizeof real)
                return printed("%.*g", FLT_DIG, (double)real);
        return value->size == sizeof number ? printed("%.*g", DBL_DIG, number) : wrong_size();
}

/* A whole number with its last `scale` digits behind a point. */
static char *scaled(bool negative, unsigned __int128 number, unsigned scale)
{
        char digits[DECIMAL_DIGITS + 2];
        char *at = digits + sizeof digits - 1;
        unsigned count = 0;

        *at = '\0';
        do {
                *--at = (char)('0' + (unsigned)(number % 10));
                number /= 10;
        } while (++count <= scale || number > 0);
        return printed("%s%.*s%s%s", negative ? "-" : "", (int)(count - scale), at, scale > 0 ? "." : "",
                       at + (count - scale));
}

static char *read_money(const struct tds_wire_value *value)
{
        int64_t number;

        if (value->size == 4)
                number = wire_signed(value->bytes, 4);
        else if (value->size == 8) /* the high half comes first */
                number = (int64_t)(wire_number(value->bytes, 4) << 32 | wire_number(value->bytes + 4, 4));
        else
                return wrong_size();
        return scaled(number < 0, number < 0 ? -(unsigned __int128)number : (unsigned __int128)number, MONEY_SCALE);
}

static char *read_decimal(const struct tds_wire_value *value)
{
        unsigned __int128 number = 0;

        if (value->size < 2 || value->size > 17)
                return wrong_size();
        for (size_t i = value->size - 1; i > 0; i--)
                number = number << 8 | value->bytes[i];
        return scaled(value->bytes[0] == 0, number, value->scale);
}

/* "YYYY-MM-DD" of the day so many days after 0001-01-01. False: there is none. */
static bool print_day(int64_t days, char out[static DAY_SIZE])
{
        time_t seconds = (days - DAYS_TO_1970) * 86400;
        struct tm parts;

        if (days < 0 || days > LAST_DAY)
                return false;
        gmtime_r(&seconds, &parts);
        snprintf(out, DAY_SIZE, "%04d-%02d-%02d", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday);
        return true;
}

static unsigned time_unit(unsigned scale)
{
        return scale == 0 ? 1 : 10 * time_unit(scale - 1);
}

/* hh:mm:ss with `scale` digits behind it; `count` is in units of the last one. False: more than a day. */
static bool print_time(unsigned scale, uint64_t count, char out[static TIME_SIZE])
{
        uint64_t seconds = count / time_unit(scale);
        int length;

        if (seconds >= 86400)
                return false;
        length = snprintf(out, TIME_SIZE, "%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                          (int)(seconds % 60));
        if (scale > 0)
                snprintf(out + length, TIME_SIZE - (size_t)length, ".%0*u", (int)scale,
                         (unsigned)(count % time_unit(scale)));
        return true;
}

static char *print_moment(int64_t days, unsigned scale, uint64_t count)
{
        char day[DAY_SIZE];
        char time[TIME_SIZE];

        if (!print_day(days, day) || !print_time(scale, count, time))
                return wrong_size();
        return printed("%s %s", day, time);
}

static char *read_datetime(const struct tds_wire_value *value)
{
        if (value->size == 4) /* days and minutes */
                return print_moment(DAYS_TO_1900 + (int64_t)wire_number(value->bytes, 2), 3,
                                    wire_number(value->bytes + 2, 2) * 60000);
        if (value->size != 8)
                return wrong_size();
        return print_moment(DAYS_TO_1900 + wire_signed(value->bytes, 4), 3,
                            (wire_number(value->bytes + 4, 4) * 1000 + TICKS_OF_SECOND / 2) / TICKS_OF_SECOND);
}

static char *read_date(const struct tds_wire_value *value)
{
        char day[DAY_SIZE];

        if (value->size != DATE_BYTES || !print_day((int64_t)wire_number(value->bytes, value->size), day))
                return wrong_size();
        return printed("%s", day);
}

static size_t time_bytes(unsigned scale)
{
        return scale <= 2 ? 3 : scale <= 4 ? 4 : 5;
}

static char *read_time(const struct tds_wire_value *value)
{
        char time[TIME_SIZE];

        if (value->size != time_bytes(value->scale) ||
            !print_time(value->scale, wire_number(value->bytes, value->size), time))
                return wrong_size();
        return printed("%s", time);
}

static char *read_datetime2(const struct tds_wire_value *value)
{
        size_t time_size = time_bytes(value->scale);

        if (value->size != time_size + DATE_BYTES)
                return wrong_size();
        return print_moment((int64_t)wire_number(value->bytes + time_size, DATE_BYTES), value->scale,
                            wire_number(value->bytes, time_size));
}

/* The wire has the moment in UTC; the text, as everywhere, has the local time and its offset. */
static char *read_datetimeoffset(const struct tds_wire_value *value)
{
        size_t time_size = time_bytes(value->scale);
        int64_t day_units = 86400 * (int64_t)time_unit(value->scale);
        int64_t days;
        int64_t offset;
        int64_t count;
        CLEANUP(freep) char *moment = NULL;

        if (value->size != time_size + DATE_BYTES + OFFSET_BYTES)
                return wrong_size();
        days = (int64_t)wire_number(value->bytes + time_size, DATE_BYTES);
        offset = wire_signed(value->bytes + time_size + DATE_BYTES, OFFSET_BYTES);
        count = (int64_t)wire_number(value->bytes, time_size);
        if (offset < -OFFSET_MAX || offset > OFFSET_MAX || count >= day_units)
                return wrong_size();
        count += offset * 60 * (int64_t)time_unit(value->scale);
        days += count < 0 ? -1 : count >= day_units ? 1 : 0;
        count += count < 0 ? day_units : count >= day_units ? -day_units : 0;
        moment = print_moment(days, value->scale, (uint64_t)count);
        if (!moment)
                return NULL;
        return printed("%s %c%02d:%02d", moment, offset < 0 ? '-' : '+', abs((int)offset) / 60, abs((int)offset) % 60);
}

static char *read_guid(const struct tds_wire_value *value)
{
        if (value->size != GUID_BYTES)
                return wrong_size();
        return printed("%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", (unsigned)wire_number(value->bytes, 4),
                       (unsigned)wire_number(value->bytes + 4, 2), (unsigned)wire_number(value->bytes + 6, 2),
                       value->bytes[8], value->bytes[9], value->bytes[10], value->bytes[11], value->bytes[12],
                       value->bytes[13], value->bytes[14], value->bytes[15]);
}

static char *read_binary(const struct tds_wire_value *value)
{
        char *text = malloc(2 * value->size + 3);
        char *end = text;

        if (!text)
                return NULL;
        end = stpcpy(end, "0x");
        for (size_t i = 0; i < value->size; i++)
                end += snprintf(end, 3, "%02X", value->bytes[i]);
        return text;
}

static char *read_nvarchar(const struct tds_wire_value *value)
{
        return value->size % 2 == 0 ? tds_text_decode(TDS_UTF16, value->bytes, value->size) : wrong_size();
}

/* Other collations than UTF-8 are taken for the one that the login announced, of code page 1252. */
static char *read_varchar(const struct tds_wire_value *value)
{
        if (!value->utf8)
                return tds_text_decode(TDS_PAGE1252, value->bytes, value->size);
        if (text_is_utf8((const char *)value->bytes, value->size) && !memchr(value->bytes, '\0', value->size))
                return strndup((const char *)value->bytes, value->size);
        errno = EILSEQ;
        return NULL;
}

static const struct tds_type_row parameter_types[] = {
        { 0x1f, TDS_LAYOUT_FIXED, 0, false, NULL },
        { 0x22, TDS_LAYOUT_LONG, 0, false, read_binary },          /* image */
        { 0x23, TDS_LAYOUT_LONG, 0, true, read_varchar },          /* text */
        { 0x24, TDS_LAYOUT_BYTE, 0, false, read_guid },            /* uniqueidentifier */
        { 0x25, TDS_LAYOUT_CHARS, 0, false, read_binary },         /* varbinary of old */
        { 0x26, TDS_LAYOUT_BYTE, 0, false, read_integer },         /* any integer */
        { 0x27, TDS_LAYOUT_CHARS, 0, false, read_varchar },        /* varchar of old */
        { 0x28, TDS_LAYOUT_BARE, 0, false, read_date },            /* date */
        { 0x29, TDS_LAYOUT_SCALE, 0, false, read_time },           /* time */
        { 0x2a, TDS_LAYOUT_SCALE, 0, false, read_datetime2 },      /* datetime2 */
        { 0x2b, TDS_LAYOUT_SCALE, 0, false, read_datetimeoffset }, /* datetimeoffset */
        { 0x2d, TDS_LAYOUT_CHARS, 0, false, read_binary },         /* binary of old */
        { 0x2f, TDS_LAYOUT_CHARS, 0, false, read_varchar },        /* char of old */
        { 0x30, TDS_LAYOUT_FIXED, 1, false, read_integer },        /* tinyint */
        { 0x32, TDS_LAYOUT_FIXED, 1, false, read_bit },            /* bit */
        { 0x34, TDS_LAYOUT_FIXED, 2, false, read_integer },        /* smallint */
        { 0x38, TDS_LAYOUT_FIXED, 4, false, read_integer },        /* int */
        { 0x3a, TDS_LAYOUT_FIXED, 4, false, read_datetime },       /* smalldatetime */
        { 0x3b, TDS_LAYOUT_FIXED, 4, false, read_float },          /* real */
        { 0x3c, TDS_LAYOUT_FIXED, 8, false, read_money },          /* money */
        { 0x3d, TDS_LAYOUT_FIXED, 8, false, read_datetime },       /* datetime */
        { 0x3e, TDS_LAYOUT_FIXED, 8, false, read_float },          /* float */
        { 0x63, TDS_LAYOUT_LONG, 0, true, read_nvarchar },         /* ntext */
        { 0x68, TDS_LAYOUT_BYTE, 0, false, read_bit },             /* bit that may be NULL */
        { 0x6a, TDS_LAYOUT_DECIMAL, 0, false, read_decimal },      /* decimal */
        { 0x6c, TDS_LAYOUT_DECIMAL, 0, false, read_decimal },      /* numeric */
        { 0x6d, TDS_LAYOUT_BYTE, 0, false, read_float },           /* real or float */
        { 0x6e, TDS_LAYOUT_BYTE, 0, false, read_money },           /* smallmoney or money */
        { 0x6f, TDS_LAYOUT_BYTE, 0, false, read_datetime },        /* smalldatetime or datetime */
        { 0x7a, TDS_LAYOUT_FIXED, 4, false, read_money },          /* smallmoney */
        { 0x7f, TDS_LAYOUT_FIXED, 8, false, read_integer },        /* bigint */
        { 0xa5, TDS_LAYOUT_SHORT, 0, false, read_binary },         /* varbinary */
        { 0xa7, TDS_LAYOUT_SHORT, 0, true, read_varchar },         /* varchar */
        { 0xad, TDS_LAYOUT_SHORT, 0, false, read_binary },         /* binary */
        { 0xaf, TDS_LAYOUT_SHORT, 0, true, read_varchar },         /* char */
        { 0xe7, TDS_LAYOUT_SHORT, 0, true, read_nvarchar },        /* nvarchar */
        { 0xef, TDS_LAYOUT_SHORT, 0, true, read_nvarchar },        /* nchar */
        { 0xf1, TDS_LAYOUT_XML, 0, false, read_nvarchar },         /* xml */
};

const struct tds_type_row *tds_find_type(uint8_t type)
{
        for (size_t i = 0; i < sizeof parameter_types / sizeof parameter_types[0]; i++)
                if (parameter_types[i].type == type)
                        return &parameter_types[i];
        return NULL;
}
