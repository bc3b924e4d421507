#include <errno.h>
#include <float.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"
#include "core/tds/parameter.h"

enum {
        MONEY_SCALE = 4,
        GUID_BYTES = 16,
        DECIMAL_DIGITS = 40, /* more than 16 bytes can say */
        DATE_BYTES = 3,
        OFFSET_BYTES = 2,
        TICKS_OF_SECOND = 300, /* of a datetime */
        DAYS_TO_1900 = 693595, /* from 0001-01-01 */
        OFFSET_MAX = 14 * 60,  /* minutes */
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

static uint64_t number_of(const uint8_t *bytes, size_t size)
{
        struct tds_cursor cursor = tds_cursor_on(bytes, size);

        return tds_get_number(&cursor, size);
}

static int64_t signed_number_of(const uint8_t *bytes, size_t size)
{
        unsigned shift = 64 - 8 * (unsigned)size;

        return (int64_t)(number_of(bytes, size) << shift) >> shift;
}

char *tds_read_integer(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        (void)info;
        if (size == 1) /* tinyint has no sign */
                return printed("%u", bytes[0]);
        if (size != 2 && size != 4 && size != 8)
                return wrong_size();
        return printed("%lld", (long long)signed_number_of(bytes, size));
}

char *tds_read_bit(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        (void)info;
        if (size != 1)
                return wrong_size();
        return printed("%d", bytes[0] != 0);
}

char *tds_read_float(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        uint64_t bits = size == 4 || size == 8 ? number_of(bytes, size) : 0;
        uint32_t low_bits = (uint32_t)bits;
        double number;
        float real;

        (void)info;
        if (size == 4) {
                memcpy(&real, &low_bits, sizeof real);
                return printed("%.*g", FLT_DIG, (double)real);
        }
        if (size != 8)
                return wrong_size();
        memcpy(&number, &bits, sizeof number);
        return printed("%.*g", DBL_DIG, number);
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

char *tds_read_money(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        int64_t number;

        (void)info;
        if (size == 4)
                number = signed_number_of(bytes, 4);
        else if (size == 8) /* the high half comes first */
                number = (int64_t)(number_of(bytes, 4) << 32 | number_of(bytes + 4, 4));
        else
                return wrong_size();
        return scaled(number < 0, number < 0 ? -(unsigned __int128)number : (unsigned __int128)number, MONEY_SCALE);
}

char *tds_read_decimal(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        unsigned __int128 number = 0;

        if (size < 2 || size > 17)
                return wrong_size();
        for (size_t i = size - 1; i > 0; i--)
                number = number << 8 | bytes[i];
        return scaled(bytes[0] == 0, number, info->scale);
}

struct day {
        int year;
        int month;
        int day;
};

/* The day so many days after 0001-01-01 of the Gregorian calendar. */
static struct day day_of(int64_t days)
{
        /* Years begin in March here, so that a leap day is a year's last: day 0 is 0000-03-01. */
        int64_t from_march = days + 306;
        int64_t era = from_march / 146097;
        int64_t day_of_era = from_march % 146097;
        int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        int64_t month = (5 * day_of_year + 2) / 153;
        bool next_year = month >= 10;

        return (struct day){
                .year = (int)(400 * era + year_of_era + next_year),
                .month = (int)(next_year ? month - 9 : month + 3),
                .day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
        };
}

static bool is_day(int64_t days)
{
        return days >= 0 && days <= 3652058; /* 9999-12-31 */
}

char *tds_read_datetime(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        int64_t days;
        uint64_t milliseconds;
        struct day day;

        (void)info;
        if (size == 4) { /* days and minutes */
                days = DAYS_TO_1900 + (int64_t)number_of(bytes, 2);
                milliseconds = number_of(bytes + 2, 2) * 60000;
        } else if (size == 8) {
                days = DAYS_TO_1900 + signed_number_of(bytes, 4);
                milliseconds = (number_of(bytes + 4, 4) * 1000 + TICKS_OF_SECOND / 2) / TICKS_OF_SECOND;
        } else {
                return wrong_size();
        }
        if (!is_day(days) || milliseconds >= 86400000)
                return wrong_size();
        day = day_of(days);
        return printed("%04d-%02d-%02d %02d:%02d:%02d.%03d", day.year, day.month, day.day,
                       (int)(milliseconds / 3600000), (int)(milliseconds / 60000 % 60), (int)(milliseconds / 1000 % 60),
                       (int)(milliseconds % 1000));
}

char *tds_read_date(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        struct day day;

        (void)info;
        if (size != DATE_BYTES || !is_day((int64_t)number_of(bytes, size)))
                return wrong_size();
        day = day_of((int64_t)number_of(bytes, size));
        return printed("%04d-%02d-%02d", day.year, day.month, day.day);
}

static size_t time_bytes(const struct tds_type_info *info)
{
        return info->scale <= 2 ? 3 : info->scale <= 4 ? 4 : 5;
}

static uint64_t unit_of(const struct tds_type_info *info)
{
        uint64_t unit = 1;

        for (int i = 0; i < info->scale; i++)
                unit *= 10;
        return unit;
}

/* hh:mm:ss with as many digits as the type has; `count` is in its units. False: more than a day. */
static bool print_time(const struct tds_type_info *info, uint64_t count, char *out, size_t size)
{
        uint64_t seconds = count / unit_of(info);
        int length;

        if (seconds >= 86400)
                return false;
        length = snprintf(out, size, "%02d:%02d:%02d", (int)(seconds / 3600), (int)(seconds / 60 % 60),
                          (int)(seconds % 60));
        if (info->scale > 0)
                snprintf(out + length, size - (size_t)length, ".%0*llu", (int)info->scale,
                         (unsigned long long)(count % unit_of(info)));
        return true;
}

char *tds_read_time(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        char time[32];

        if (size != time_bytes(info) || !print_time(info, number_of(bytes, size), time, sizeof time))
                return wrong_size();
        return printed("%s", time);
}

char *tds_read_datetime2(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        size_t time_size = time_bytes(info);
        char time[32];
        struct day day;

        if (size != time_size + DATE_BYTES || !is_day((int64_t)number_of(bytes + time_size, DATE_BYTES)) ||
            !print_time(info, number_of(bytes, time_size), time, sizeof time))
                return wrong_size();
        day = day_of((int64_t)number_of(bytes + time_size, DATE_BYTES));
        return printed("%04d-%02d-%02d %s", day.year, day.month, day.day, time);
}

/* The wire has the moment in UTC; the text, as everywhere, has the local time and its offset. */
char *tds_read_datetimeoffset(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        size_t time_size = time_bytes(info);
        int64_t day_units = 86400 * (int64_t)unit_of(info);
        int64_t days;
        int64_t offset;
        int64_t count;
        char time[32];
        struct day day;

        if (size != time_size + DATE_BYTES + OFFSET_BYTES)
                return wrong_size();
        days = (int64_t)number_of(bytes + time_size, DATE_BYTES);
        offset = signed_number_of(bytes + time_size + DATE_BYTES, OFFSET_BYTES);
        count = (int64_t)number_of(bytes, time_size);
        if (offset < -OFFSET_MAX || offset > OFFSET_MAX || count >= day_units)
                return wrong_size();
        count += offset * 60 * (int64_t)unit_of(info);
        days += count < 0 ? -1 : count >= day_units ? 1 : 0;
        count += count < 0 ? day_units : count >= day_units ? -day_units : 0;
        if (!is_day(days) || !print_time(info, (uint64_t)count, time, sizeof time))
                return wrong_size();
        day = day_of(days);
        return printed("%04d-%02d-%02d %s %c%02d:%02d", day.year, day.month, day.day, time, offset < 0 ? '-' : '+',
                       abs((int)offset) / 60, abs((int)offset) % 60);
}

char *tds_read_guid(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        (void)info;
        if (size != GUID_BYTES)
                return wrong_size();
        return printed("%08X-%04X-%04X-%02X%02X-%02X%02X%02X%02X%02X%02X", (unsigned)number_of(bytes, 4),
                       (unsigned)number_of(bytes + 4, 2), (unsigned)number_of(bytes + 6, 2), bytes[8], bytes[9],
                       bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]);
}

char *tds_read_binary(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        static const char digits[] = "0123456789ABCDEF";
        char *text = malloc(2 * size + 3);

        (void)info;
        if (!text)
                return NULL;
        text[0] = '0';
        text[1] = 'x';
        for (size_t i = 0; i < size; i++) {
                text[2 + 2 * i] = digits[bytes[i] >> 4];
                text[3 + 2 * i] = digits[bytes[i] & 0x0f];
        }
        text[2 + 2 * size] = '\0';
        return text;
}

static char *decoded(const uint8_t *units, size_t size)
{
        char *text = NULL;
        enum tds_text_result result = tds_text_decode(units, size, &text);

        if (result != TDS_TEXT_GOOD)
                errno = result == TDS_TEXT_MEMORY ? ENOMEM : EILSEQ;
        return text;
}

char *tds_read_nvarchar(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        (void)info;
        if (size % 2 != 0)
                return wrong_size();
        return decoded(bytes, size);
}

/* What code page 1252 has in place of the second set of control characters; 0: nothing. */
static const uint16_t page_1252[32] = {
        0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0,      0x017d, 0,      0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178,
};

static char *utf8_copy(const uint8_t *bytes, size_t size)
{
        char *text = malloc(size + 1);

        if (!text)
                return NULL;
        memcpy(text, bytes, size);
        text[size] = '\0';
        for (size_t at = 0, length; at < size; at += length) {
                length = bytes[at] == 0 ? 0 : text_utf8_length(bytes + at, size - at);
                if (length == 0) {
                        free(text);
                        errno = EILSEQ;
                        return NULL;
                }
        }
        return text;
}

/* Other collations than UTF-8 are taken for the one that the login announced, of code page 1252. */
char *tds_read_varchar(const struct tds_type_info *info, const uint8_t *bytes, size_t size)
{
        CLEANUP(freep) uint8_t *units = NULL;

        if (info->utf8)
                return utf8_copy(bytes, size);
        units = malloc(2 * size + 1);
        if (!units)
                return NULL;
        for (size_t i = 0; i < size; i++) {
                uint16_t unit = bytes[i] >= 0x80 && bytes[i] < 0xa0 ? page_1252[bytes[i] - 0x80] : bytes[i];

                units[2 * i] = (uint8_t)unit;
                units[2 * i + 1] = (uint8_t)(unit >> 8);
        }
        return decoded(units, 2 * size);
}
