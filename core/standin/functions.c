#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/cleanup.h"
#include "core/standin/catalog.h"

static struct standin_session *session_of(sqlite3_context *call)
{
        return sqlite3_user_data(call);
}

static const char *text_of(sqlite3_value *value)
{
        const char *text = (const char *)sqlite3_value_text(value);

        return text ? text : "";
}

static void give_text(sqlite3_context *call, const char *text)
{
        if (text)
                sqlite3_result_text(call, text, -1, SQLITE_TRANSIENT);
        else
                sqlite3_result_null(call);
}

/* ---- who and where ---- */

enum { GIVES_NAME = -1 };

/* A name, and what it stands for: the server's name, or a text, or a number. */
struct property {
        const char *name;
        const char *text;
        int64_t number;
};

static const struct property server_properties[] = {
        { "BuildClrVersion", "v4.0.30319", 0 },
        { "Collation", "SQL_Latin1_General_CP1_CI_AS", 0 },
        { "ComputerNamePhysicalNetBIOS", NULL, GIVES_NAME },
        { "Edition", "Developer Edition (64-bit)", 0 },
        { "EditionID", NULL, -2117995310 },
        { "EngineEdition", NULL, 3 },
        { "HostPlatform", "Linux", 0 },
        { "IsClustered", NULL, 0 },
        { "IsFullTextInstalled", NULL, 0 },
        { "IsHadrEnabled", NULL, 0 },
        { "IsIntegratedSecurityOnly", NULL, 0 },
        { "IsSingleUser", NULL, 0 },
        { "MachineName", NULL, GIVES_NAME },
        { "ProductBuild", "2000", 0 },
        { "ProductLevel", "RTM", 0 },
        { "ProductMajorVersion", "15", 0 },
        { "ProductMinorVersion", "0", 0 },
        { "ProductVersion", STANDIN_PRODUCT_VERSION, 0 },
        { "ServerName", NULL, GIVES_NAME },
};

static const struct property globals[] = {
        { "DATEFIRST", NULL, 7 },
        { "ERROR", NULL, 0 },
        { "LANGUAGE", "us_english", 0 },
        { "LOCK_TIMEOUT", NULL, GIVES_NAME },
        { "MAX_CONNECTIONS", NULL, 32767 },
        { "MICROSOFTVERSION", NULL, STANDIN_VERSION },
        { "NESTLEVEL", NULL, 0 },
        { "OPTIONS", NULL, 0 },
        { "ROWCOUNT", NULL, 0 },
        { "SERVERNAME", NULL, GIVES_NAME },
        { "SERVICENAME", "MSSQLSERVER", 0 },
        { "TEXTSIZE", NULL, 2147483647 },
        { "VERSION",
          "Microsoft SQL Server 2019 (vdipipe serve, a stand-in) - " STANDIN_PRODUCT_VERSION
          " (X64)\n\tvdipipe " VDIPIPE_VERSION " on Linux",
          0 },
};

static void give_property(sqlite3_context *call, const struct property *properties, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++) {
                if (strcasecmp(properties[i].name, name) != 0)
                        continue;
                if (properties[i].text)
                        give_text(call, properties[i].text);
                else if (properties[i].number == GIVES_NAME)
                        give_text(call, session_of(call)->standin->options->name);
                else
                        sqlite3_result_int64(call, properties[i].number);
                return;
        }
        sqlite3_result_null(call);
}

static void serverproperty(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        give_property(call, server_properties, sizeof server_properties / sizeof server_properties[0],
                      text_of(values[0]));
}

static void tsql_global(sqlite3_context *call, int count, sqlite3_value **values)
{
        const char *name = text_of(values[0]);

        (void)count;
        if (strcasecmp(name, "SPID") == 0)
                sqlite3_result_int(call, session_of(call)->activity.session_id);
        else if (strcasecmp(name, "TRANCOUNT") == 0)
                sqlite3_result_int(call, session_of(call)->transactions);
        else if (strcasecmp(name, "LOCK_TIMEOUT") == 0)
                sqlite3_result_int(call, -1);
        else
                give_property(call, globals, sizeof globals / sizeof globals[0], name);
}

static void suser_sname(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        (void)values;
        give_text(call, session_of(call)->activity.user);
}

static void host_name(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        (void)values;
        give_text(call, session_of(call)->activity.host);
}

static void app_name(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        (void)values;
        give_text(call, session_of(call)->activity.application);
}

/* The only login may do everything. */
static void allowed(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        (void)values;
        sqlite3_result_int(call, 1);
}

static void schema_name(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        (void)values;
        give_text(call, "dbo");
}

/* ---- databases ---- */

static const char *const system_databases[] = { "master", "tempdb", "model", "msdb" };

static void db_name(sqlite3_context *call, int count, sqlite3_value **values)
{
        struct standin_session *session = session_of(call);
        struct standin_state *state = &session->standin->state;
        int64_t id = count ? sqlite3_value_int64(values[0]) : 0;

        if (count == 0) {
                give_text(call, session->activity.database);
                return;
        }
        if (id >= 1 && id < STANDIN_FIRST_DATABASE)
                give_text(call, system_databases[id - 1]);
        pthread_mutex_lock(&state->lock);
        for (size_t i = 0; i < state->database_count; i++)
                if (state->databases[i].id == id)
                        give_text(call, state->databases[i].name);
        pthread_mutex_unlock(&state->lock);
}

static void db_id(sqlite3_context *call, int count, sqlite3_value **values)
{
        struct standin_session *session = session_of(call);
        struct standin_state *state = &session->standin->state;
        const char *name = count ? text_of(values[0]) : session->activity.database;
        int id = standin_system_database(name);

        pthread_mutex_lock(&state->lock);
        for (size_t i = 0; i < state->database_count; i++)
                if (strcasecmp(state->databases[i].name, name) == 0)
                        id = state->databases[i].id;
        pthread_mutex_unlock(&state->lock);
        if (id)
                sqlite3_result_int(call, id);
}

static void databasepropertyex(sqlite3_context *call, int count, sqlite3_value **values)
{
        struct standin_state *state = &session_of(call)->standin->state;
        const char *name = text_of(values[1]);
        enum standin_db_state db_state = STANDIN_ONLINE;

        (void)count;
        if (!standin_find_database(state, text_of(values[0]), NULL, NULL, &db_state) &&
            !standin_system_database(text_of(values[0])))
                return;
        if (strcasecmp(name, "Status") == 0)
                give_text(call, db_state == STANDIN_RESTORING ? "RESTORING" : "ONLINE");
        else if (strcasecmp(name, "Recovery") == 0)
                give_text(call, state->full_recovery ? "FULL" : "SIMPLE");
        else if (strcasecmp(name, "Updateability") == 0)
                give_text(call, db_state == STANDIN_STANDBY ? "READ_ONLY" : "READ_WRITE");
        else if (strcasecmp(name, "UserAccess") == 0)
                give_text(call, "MULTI_USER");
        else if (strcasecmp(name, "Collation") == 0)
                give_text(call, "SQL_Latin1_General_CP1_CI_AS");
        else if (strcasecmp(name, "IsInStandBy") == 0)
                sqlite3_result_int(call, db_state == STANDIN_STANDBY);
}

static void has_dbaccess(sqlite3_context *call, int count, sqlite3_value **values)
{
        const char *name = text_of(values[0]);

        (void)count;
        if (standin_system_database(name) ||
            standin_find_database(&session_of(call)->standin->state, name, NULL, NULL, NULL))
                sqlite3_result_int(call, 1);
}

/* ---- texts ---- */

static void tsql_left(sqlite3_context *call, int count, sqlite3_value **values)
{
        const char *text = text_of(values[0]);
        int64_t wanted = sqlite3_value_int64(values[1]);
        size_t size = 0;

        (void)count;
        if (sqlite3_value_type(values[0]) == SQLITE_NULL)
                return;
        for (; text[size] && wanted > 0; wanted--)
                do
                        size++;
                while (((unsigned char)text[size] & 0xc0) == 0x80);
        sqlite3_result_text(call, text, (int)size, SQLITE_TRANSIENT);
}

static void tsql_right(sqlite3_context *call, int count, sqlite3_value **values)
{
        const char *text = text_of(values[0]);
        int64_t wanted = sqlite3_value_int64(values[1]);
        size_t at = strlen(text);

        (void)count;
        if (sqlite3_value_type(values[0]) == SQLITE_NULL)
                return;
        for (; at > 0 && wanted > 0; wanted--)
                do
                        at--;
                while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80);
        give_text(call, text + at);
}

static void charindex(sqlite3_context *call, int count, sqlite3_value **values)
{
        const char *text = text_of(values[1]);
        int64_t from = count > 2 ? sqlite3_value_int64(values[2]) - 1 : 0;
        const char *found;

        if (from < 0 || from > (int64_t)strlen(text))
                from = 0;
        found = strcasestr(text + from, text_of(values[0]));
        sqlite3_result_int64(call, found ? found - text + 1 : 0);
}

static void concat(sqlite3_context *call, int count, sqlite3_value **values)
{
        CLEANUP(freep) char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out) {
                sqlite3_result_error_nomem(call);
                return;
        }
        for (int i = 0; i < count; i++)
                fputs(text_of(values[i]), out);
        fclose(out);
        give_text(call, text);
}

static void quotename(sqlite3_context *call, int count, sqlite3_value **values)
{
        CLEANUP(freep) char *quoted = sql_quote_name(text_of(values[0]));

        (void)count;
        if (sqlite3_value_type(values[0]) != SQLITE_NULL)
                give_text(call, quoted);
}

static void newid(sqlite3_context *call, int count, sqlite3_value **values)
{
        char uuid[IDENT_UUID_SIZE];

        (void)count;
        (void)values;
        ident_uuid(uuid);
        give_text(call, uuid);
}

/* ---- dates: "YYYY-MM-DD[ hh:mm:ss[.mmm]]" ---- */

struct moment {
        struct tm tm;
        int ms;
};

/* So many digits behind one of the signs; the signs of the first field are none. */
static bool read_field(const char **at, const char *signs, int digits, int *ret_value)
{
        const char *text = *at;

        if (*signs && (!*text || !strchr(signs, *text++)))
                return false;
        *ret_value = 0;
        for (; digits > 0; digits--, text++) {
                if (!isdigit((unsigned char)*text))
                        return false;
                *ret_value = *ret_value * 10 + (*text - '0');
        }
        *at = text;
        return true;
}

static bool read_moment(sqlite3_value *value, struct moment *moment)
{
        const char *at = text_of(value);
        struct tm *tm = &moment->tm;

        *moment = (struct moment){ .ms = 0 };
        if (!read_field(&at, "", 4, &tm->tm_year) || !read_field(&at, "-", 2, &tm->tm_mon) ||
            !read_field(&at, "-", 2, &tm->tm_mday))
                return false;
        if (*at && (!read_field(&at, " T", 2, &tm->tm_hour) || !read_field(&at, ":", 2, &tm->tm_min) ||
                    !read_field(&at, ":", 2, &tm->tm_sec)))
                return false;
        if (*at && !read_field(&at, ".", 3, &moment->ms))
                return false;
        tm->tm_year -= 1900;
        tm->tm_mon -= 1;
        return !*at && tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31;
}

static void give_moment(sqlite3_context *call, const struct moment *moment)
{
        char text[64];
        size_t used = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &moment->tm);

        snprintf(text + used, sizeof text - used, ".%03d", moment->ms % 1000);
        give_text(call, text);
}

static void tsql_getdate(sqlite3_context *call, int count, sqlite3_value **values)
{
        char now[STANDIN_TIME_MAX];

        (void)count;
        (void)values;
        standin_now(now);
        give_text(call, now);
}

static void getutcdate(sqlite3_context *call, int count, sqlite3_value **values)
{
        struct moment moment = { .ms = 0 };
        struct timespec now;

        (void)count;
        (void)values;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &moment.tm);
        moment.ms = (int)(now.tv_nsec / 1000000);
        give_moment(call, &moment);
}

/* Parts of a date by SQL Server's names; `seconds` 0: those of the calendar. */
static const struct date_part {
        const char *names[3];
        int64_t seconds;
        int months;
} date_parts[] = {
        { { "year", "yy", "yyyy" }, 0, 12 },   { { "quarter", "qq", "q" }, 0, 3 }, { { "month", "mm", "m" }, 0, 1 },
        { { "week", "wk", "ww" }, 604800, 0 }, { { "day", "dd", "d" }, 86400, 0 }, { { "hour", "hh", "hh" }, 3600, 0 },
        { { "minute", "mi", "n" }, 60, 0 },    { { "second", "ss", "s" }, 1, 0 },
};

static const struct date_part *find_part(sqlite3_context *call, sqlite3_value *value)
{
        for (size_t i = 0; i < sizeof date_parts / sizeof date_parts[0]; i++)
                for (int j = 0; j < 3; j++)
                        if (strcasecmp(date_parts[i].names[j], text_of(value)) == 0)
                                return &date_parts[i];
        sqlite3_result_error(call, "only year, quarter, month, week, day, hour, minute and second are known here", -1);
        return NULL;
}

static int64_t months_of(const struct moment *moment)
{
        return (int64_t)moment->tm.tm_year * 12 + moment->tm.tm_mon;
}

static void tsql_dateadd(sqlite3_context *call, int count, sqlite3_value **values)
{
        static const int64_t most = INT64_C(10000) * 366 * 86400; /* seconds: as far as dates go */
        const struct date_part *part = find_part(call, values[0]);
        int64_t number = sqlite3_value_int64(values[1]);
        struct moment moment;
        time_t seconds;

        (void)count;
        if (!part || !read_moment(values[2], &moment))
                return;
        if (number > most || number < -most || number * part->seconds > most || number * part->seconds < -most ||
            number * part->months > 120000 || number * part->months < -120000) {
                sqlite3_result_error(call, "adding a value to a 'datetime' column caused an overflow", -1);
                return;
        }
        moment.tm.tm_mon += (int)(number * part->months);
        seconds = timegm(&moment.tm) + number * part->seconds;
        gmtime_r(&seconds, &moment.tm);
        give_moment(call, &moment);
}

/* Counts the boundaries between the two, as SQL Server does. */
static void tsql_datediff(sqlite3_context *call, int count, sqlite3_value **values)
{
        const struct date_part *part = find_part(call, values[0]);
        struct moment from;
        struct moment to;

        (void)count;
        if (!part || !read_moment(values[1], &from) || !read_moment(values[2], &to))
                return;
        if (part->months)
                sqlite3_result_int64(call, months_of(&to) / part->months - months_of(&from) / part->months);
        else
                sqlite3_result_int64(call, timegm(&to.tm) / part->seconds - timegm(&from.tm) / part->seconds);
}

static void tsql_datepart(sqlite3_context *call, int count, sqlite3_value **values)
{
        const struct date_part *part = find_part(call, values[0]);
        struct moment moment;

        (void)count;
        if (!part || !read_moment(values[1], &moment))
                return;
        if (part->months == 12)
                sqlite3_result_int(call, moment.tm.tm_year + 1900);
        else if (part->months == 3)
                sqlite3_result_int(call, moment.tm.tm_mon / 3 + 1);
        else if (part->months == 1)
                sqlite3_result_int(call, moment.tm.tm_mon + 1);
        else if (part->seconds == 86400)
                sqlite3_result_int(call, moment.tm.tm_mday);
        else if (part->seconds == 3600)
                sqlite3_result_int(call, moment.tm.tm_hour);
        else if (part->seconds == 60)
                sqlite3_result_int(call, moment.tm.tm_min);
        else
                sqlite3_result_int(call, moment.tm.tm_sec);
}

/* ---- CAST and CONVERT ---- */

/* How a date is written in a style of CONVERT. Y, M, D, h, m, s, i stand for numbers (i: milliseconds), N for the name
 * of the month, d for a day without a zero, H for the hour of twelve with AM or PM behind the minutes that
 * follow it. */
static const struct {
        int style;
        const char *format;
} styles[] = {
        { 0, "N d Y H" },         { 100, "N d Y H" },       { 101, "M/D/Y" },         { 103, "D/M/Y" },
        { 104, "D.M.Y" },         { 8, "h:m:s" },           { 108, "h:m:s" },         { 112, "YMD" },
        { 23, "Y-M-D" },          { 20, "Y-M-D h:m:s" },    { 120, "Y-M-D h:m:s" },   { 21, "Y-M-D h:m:s.i" },
        { 121, "Y-M-D h:m:s.i" }, { 126, "Y-M-DTh:m:s.i" }, { 127, "Y-M-DTh:m:s.i" },
};

static void write_field(FILE *out, char field, const struct moment *moment)
{
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        const struct tm *tm = &moment->tm;
        const struct {
                char field;
                int digits;
                int value;
        } numbers[] = {
                { 'Y', 4, tm->tm_year + 1900 }, { 'M', 2, tm->tm_mon + 1 }, { 'D', 2, tm->tm_mday },
                { 'h', 2, tm->tm_hour },        { 'm', 2, tm->tm_min },     { 's', 2, tm->tm_sec },
                { 'i', 3, moment->ms },
        };

        for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
                if (numbers[i].field == field) {
                        fprintf(out, "%0*d", numbers[i].digits, numbers[i].value);
                        return;
                }
        if (field == 'N')
                fprintf(out, "%.3s", months + 3 * tm->tm_mon);
        else if (field == 'd')
                fprintf(out, "%2d", tm->tm_mday);
        else if (field == 'H')
                fprintf(out, "%2d:%02d%s", (tm->tm_hour + 11) % 12 + 1, tm->tm_min, tm->tm_hour < 12 ? "AM" : "PM");
        else
                fputc(field, out);
}

/* False: the style is none of dates, or the value is no date. */
static bool give_styled(sqlite3_context *call, sqlite3_value *value, int style)
{
        struct moment moment;
        char text[64] = "";

        if (sqlite3_value_type(value) != SQLITE_TEXT || !read_moment(value, &moment))
                return false;
        for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++) {
                FILE *out = styles[i].style == style ? fmemopen(text, sizeof text, "w") : NULL;

                if (!out)
                        continue;
                for (const char *field = styles[i].format; *field; field++)
                        write_field(out, *field, &moment);
                fclose(out);
                give_text(call, text);
                return true;
        }
        return false;
}

enum conversion { TO_TEXT, TO_INTEGER, TO_BIT, TO_REAL, TO_DATE, TO_SAME };

static const struct {
        const char *name;
        enum conversion to;
} types[] = {
        { "char", TO_TEXT },          { "nchar", TO_TEXT },
        { "varchar", TO_TEXT },       { "nvarchar", TO_TEXT },
        { "sysname", TO_TEXT },       { "int", TO_INTEGER },
        { "bigint", TO_INTEGER },     { "smallint", TO_INTEGER },
        { "tinyint", TO_INTEGER },    { "bit", TO_BIT },
        { "float", TO_REAL },         { "real", TO_REAL },
        { "decimal", TO_SAME },       { "numeric", TO_SAME },
        { "money", TO_SAME },         { "date", TO_DATE },
        { "datetime", TO_SAME },      { "datetime2", TO_SAME },
        { "smalldatetime", TO_SAME }, { "uniqueidentifier", TO_SAME },
        { "sql_variant", TO_SAME },   { "varbinary", TO_SAME },
};

/* "varchar(30)" gives the row of varchar, and 30; -1: (max), or not said. */
static bool find_type(const char *type, enum conversion *ret_to, int64_t *ret_length)
{
        size_t length = strcspn(type, "(");

        *ret_length =
                type[length] && isdigit((unsigned char)type[length + 1]) ? strtoll(type + length + 1, NULL, 10) : -1;
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
                if (strlen(types[i].name) != length || strncasecmp(types[i].name, type, length) != 0)
                        continue;
                *ret_to = types[i].to;
                return true;
        }
        return false;
}

static void convert(sqlite3_context *call, sqlite3_value *value, const char *type)
{
        enum conversion to;
        int64_t length;

        if (!find_type(type, &to, &length)) {
                sqlite3_result_error(call, "a type is not known here", -1);
                return;
        }
        if (sqlite3_value_type(value) == SQLITE_NULL)
                return;
        if (to == TO_INTEGER)
                sqlite3_result_int64(call, sqlite3_value_int64(value));
        else if (to == TO_BIT)
                sqlite3_result_int(call, sqlite3_value_int64(value) != 0);
        else if (to == TO_REAL)
                sqlite3_result_double(call, sqlite3_value_double(value));
        else if (to == TO_DATE)
                sqlite3_result_text(call, text_of(value), (int)strnlen(text_of(value), 10), SQLITE_TRANSIENT);
        else if (to == TO_SAME)
                sqlite3_result_value(call, value);
        else
                sqlite3_result_text(call, text_of(value),
                                    length < 0 ? -1 : (int)strnlen(text_of(value), (size_t)length), SQLITE_TRANSIENT);
}

static void tsql_cast(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        convert(call, values[0], text_of(values[1]));
}

static void tsql_convert(sqlite3_context *call, int count, sqlite3_value **values)
{
        enum conversion to;
        int64_t length;

        if (count < 2) {
                sqlite3_result_error(call, "CONVERT takes a type and an expression", -1);
                return;
        }
        if (count > 2 && find_type(text_of(values[0]), &to, &length) && to == TO_TEXT &&
            give_styled(call, values[1], sqlite3_value_int(values[2])))
                return;
        convert(call, values[1], text_of(values[0]));
}

/* ---- the table ---- */

static const struct {
        const char *name;
        int arguments; /* -1: any number */
        void (*run)(sqlite3_context *call, int count, sqlite3_value **values);
} functions[] = {
        { "serverproperty", 1, serverproperty },
        { "tsql_global", 1, tsql_global },
        { "suser_sname", -1, suser_sname },
        { "host_name", 0, host_name },
        { "app_name", 0, app_name },
        { "program_name", 0, app_name },
        { "is_srvrolemember", 1, allowed },
        { "is_srvrolemember", 2, allowed },
        { "is_member", 1, allowed },
        { "has_perms_by_name", 3, allowed },
        { "has_dbaccess", 1, has_dbaccess },
        { "schema_name", -1, schema_name },
        { "db_name", 0, db_name },
        { "db_name", 1, db_name },
        { "db_id", 0, db_id },
        { "db_id", 1, db_id },
        { "databasepropertyex", 2, databasepropertyex },
        { "tsql_left", 2, tsql_left },
        { "tsql_right", 2, tsql_right },
        { "charindex", 2, charindex },
        { "charindex", 3, charindex },
        { "concat", -1, concat },
        { "quotename", 1, quotename },
        { "newid", 0, newid },
        { "getdate", 0, tsql_getdate },
        { "getutcdate", 0, getutcdate },
        { "tsql_dateadd", 3, tsql_dateadd },
        { "tsql_datediff", 3, tsql_datediff },
        { "tsql_datepart", 2, tsql_datepart },
        { "tsql_cast", 2, tsql_cast },
        { "tsql_convert", -1, tsql_convert },
};

/* SQLite's functions that T-SQL has as well. The others are of no use here, and some do harm: fts3_tokenizer() takes
 * the address of code. */
static const char *const shared_functions[] = {
        "abs",    "avg",       "ceiling", "char",  "coalesce",   "count", "dense_rank", "exp",          "first_value",
        "floor",  "ifnull",    "iif",     "lag",   "last_value", "lead",  "length",     "like",         "log",
        "log10",  "lower",     "ltrim",   "max",   "min",        "ntile", "nullif",     "percent_rank", "pi",
        "power",  "rank",      "replace", "round", "row_number", "rtrim", "sign",       "sqrt",         "string_agg",
        "substr", "substring", "sum",     "trim",  "unicode",    "upper", "concat_ws",  "cume_dist",
};

bool catalog_may_call(const char *name)
{
        for (size_t i = 0; i < sizeof shared_functions / sizeof shared_functions[0]; i++)
                if (strcasecmp(shared_functions[i], name) == 0)
                        return true;
        for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
                if (strcasecmp(functions[i].name, name) == 0)
                        return true;
        return false;
}

int catalog_define_functions(sqlite3 *db, struct standin_session *session)
{
        int rc = SQLITE_OK;

        for (size_t i = 0; rc == SQLITE_OK && i < sizeof functions / sizeof functions[0]; i++)
                rc = sqlite3_create_function_v2(db, functions[i].name, functions[i].arguments, SQLITE_UTF8, session,
                                                functions[i].run, NULL, NULL, NULL);
        return rc;
}
