#include "core/standin/functions.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/cleanup.h"
#include "core/tsql/lexer.h"

/* A function of SQL: its `count` arguments are in `values`; NULL unless it sets a result of `call`. */
#define SQL_FUNCTION(name)                                                         \
        static void name(sqlite3_context *call, __attribute__((unused)) int count, \
                         __attribute__((unused)) sqlite3_value **values)

static struct standin_session *call_session(sqlite3_context *call)
{
        return sqlite3_user_data(call);
}

static const char *value_text(sqlite3_value *value)
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

/* Instead of a number. */
#define GIVES_NAME INT64_MIN

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

static const struct property global_variables[] = {
        { "DATEFIRST", NULL, 7 },
        { "ERROR", NULL, 0 },
        { "LANGUAGE", "us_english", 0 },
        { "LOCK_TIMEOUT", NULL, -1 },
        { "MAX_CONNECTIONS", NULL, 32767 },
        { "MICROSOFTVERSION", NULL, STANDIN_VERSION },
        { "NESTLEVEL", NULL, 0 },
        { "OPTIONS", NULL, 0 },
        { "ROWCOUNT", NULL, 0 },
        { "SERVERNAME", NULL, GIVES_NAME },
        { "SERVICENAME", "MSSQLSERVER", 0 },
        { "SPID", NULL, 0 }, /* of the session, as the next one */
        { "TEXTSIZE", NULL, 2147483647 },
        { "TRANCOUNT", NULL, 0 },
        { "VERSION",
          "Microsoft SQL Server 2019 (vdipipe serve, a stand-in) - " STANDIN_PRODUCT_VERSION
          " (X64)\n\tvdipipe " VDIPIPE_VERSION " on Linux",
          0 },
};

enum { GLOBALS = sizeof global_variables / sizeof global_variables[0] };

static void give_property(sqlite3_context *call, const struct property *properties, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++) {
                if (strcasecmp(properties[i].name, name) != 0)
                        continue;
                if (properties[i].text)
                        give_text(call, properties[i].text);
                else if (properties[i].number == GIVES_NAME)
                        give_text(call, call_session(call)->standin->options->name);
                else
                        sqlite3_result_int64(call, properties[i].number);
                return;
        }
        sqlite3_result_null(call);
}

SQL_FUNCTION(serverproperty)
{
        give_property(call, server_properties, sizeof server_properties / sizeof server_properties[0],
                      value_text(values[0]));
}

SQL_FUNCTION(tsql_global)
{
        const char *name = value_text(values[0]);

        if (strcasecmp(name, "SPID") == 0)
                sqlite3_result_int(call, call_session(call)->activity.session_id);
        else if (strcasecmp(name, "TRANCOUNT") == 0)
                sqlite3_result_int(call, call_session(call)->transactions);
        else
                give_property(call, global_variables, GLOBALS, name);
}

SQL_FUNCTION(suser_sname)
{
        give_text(call, call_session(call)->activity.user);
}

SQL_FUNCTION(host_name)
{
        give_text(call, call_session(call)->activity.host);
}

SQL_FUNCTION(app_name)
{
        give_text(call, call_session(call)->activity.application);
}

/* The only login may do everything. */
SQL_FUNCTION(allowed)
{
        sqlite3_result_int(call, 1);
}

SQL_FUNCTION(schema_name)
{
        give_text(call, "dbo");
}

/* ---- databases ---- */

SQL_FUNCTION(db_name)
{
        struct standin_session *session = call_session(call);
        struct standin_state *state = &session->standin->state;
        int64_t id = count ? sqlite3_value_int64(values[0]) : 0;

        if (count == 0) {
                give_text(call, session->activity.database);
                return;
        }
        if (id >= 1 && id < STANDIN_FIRST_DATABASE)
                give_text(call, standin_system_databases[id - 1]);
        pthread_mutex_lock(&state->lock);
        for (size_t i = 0; i < state->database_count; i++)
                if (state->databases[i].id == id)
                        give_text(call, state->databases[i].name);
        pthread_mutex_unlock(&state->lock);
}

SQL_FUNCTION(db_id)
{
        struct standin_session *session = call_session(call);
        struct standin_state *state = &session->standin->state;
        const char *name = count ? value_text(values[0]) : session->activity.database;
        int id = standin_system_database(name);

        pthread_mutex_lock(&state->lock);
        for (size_t i = 0; i < state->database_count; i++)
                if (strcasecmp(state->databases[i].name, name) == 0)
                        id = state->databases[i].id;
        pthread_mutex_unlock(&state->lock);
        if (id)
                sqlite3_result_int(call, id);
}

SQL_FUNCTION(databasepropertyex)
{
        struct standin_state *state = &call_session(call)->standin->state;
        enum standin_db_state db_state = STANDIN_ONLINE;

        if (!standin_find_database(state, value_text(values[0]), NULL, NULL, &db_state) &&
            !standin_system_database(value_text(values[0])))
                return;
        give_property(call,
                      (const struct property[]){
                              { "Collation", "SQL_Latin1_General_CP1_CI_AS", 0 },
                              { "IsInStandBy", NULL, db_state == STANDIN_STANDBY },
                              { "Recovery", state->full_recovery ? "FULL" : "SIMPLE", 0 },
                              { "Status", db_state == STANDIN_RESTORING ? "RESTORING" : "ONLINE", 0 },
                              { "Updateability", db_state == STANDIN_STANDBY ? "READ_ONLY" : "READ_WRITE", 0 },
                              { "UserAccess", "MULTI_USER", 0 },
                      },
                      6, value_text(values[1]));
}

SQL_FUNCTION(has_dbaccess)
{
        const char *name = value_text(values[0]);

        if (standin_system_database(name) ||
            standin_find_database(&call_session(call)->standin->state, name, NULL, NULL, NULL))
                sqlite3_result_int(call, 1);
}

/* ---- texts ---- */

/* Behind so many characters of UTF-8, or all of them. */
static const char *skip_characters(const char *text, int64_t count)
{
        for (; *text && count > 0; count--)
                do
                        text++;
                while (((unsigned char)*text & 0xc0) == 0x80);
        return text;
}

static int64_t count_characters(const char *text)
{
        int64_t count = 0;

        for (; *text; text = skip_characters(text, 1))
                count++;
        return count;
}

SQL_FUNCTION(tsql_left)
{
        const char *text = value_text(values[0]);
        const char *end = skip_characters(text, sqlite3_value_int64(values[1]));

        if (sqlite3_value_type(values[0]) != SQLITE_NULL)
                sqlite3_result_text(call, text, (int)(end - text), SQLITE_TRANSIENT);
}

SQL_FUNCTION(tsql_right)
{
        const char *text = value_text(values[0]);
        int64_t wanted = sqlite3_value_int64(values[1]);

        if (sqlite3_value_type(values[0]) != SQLITE_NULL)
                give_text(call, skip_characters(text, count_characters(text) - (wanted > 0 ? wanted : 0)));
}

SQL_FUNCTION(charindex)
{
        const char *text = value_text(values[1]);
        int64_t from = count > 2 ? sqlite3_value_int64(values[2]) - 1 : 0;
        const char *found;

        if (from < 0 || from > (int64_t)strlen(text))
                from = 0;
        found = strcasestr(text + from, value_text(values[0]));
        sqlite3_result_int64(call, found ? found - text + 1 : 0);
}

SQL_FUNCTION(concat)
{
        CLEANUP(freep) char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out) {
                sqlite3_result_error_nomem(call);
                return;
        }
        for (int i = 0; i < count; i++)
                fputs(value_text(values[i]), out);
        fclose(out);
        give_text(call, text);
}

SQL_FUNCTION(quotename)
{
        CLEANUP(freep) char *quoted = sql_quote_name(value_text(values[0]));

        if (sqlite3_value_type(values[0]) != SQLITE_NULL)
                give_text(call, quoted);
}

SQL_FUNCTION(newid)
{
        char uuid[IDENT_UUID_SIZE];

        ident_uuid(uuid);
        give_text(call, uuid);
}

/* ---- dates: "YYYY-MM-DD[ hh:mm:ss[.mmm]]" ---- */

enum {
        WEEK = 7 * 86400,
        FIRST_SUNDAY = 3 * 86400, /* of CLOCK_REALTIME, in seconds: weeks begin on Sundays */
};

struct moment {
        struct tm tm;
        int ms;
};

static bool read_moment(sqlite3_value *value, struct moment *moment)
{
        static const char form[] = "0000-00-00 00:00:00.000";
        const char *text = value_text(value);
        size_t length = strlen(text);
        struct tm *tm = &moment->tm;

        *moment = (struct moment){ .ms = 0 };
        if (length != 10 && length != 19 && length != 23)
                return false;
        for (size_t i = 0; i < length; i++)
                if (form[i] == '0' ? !isdigit((unsigned char)text[i])
                                   : text[i] != form[i] && (i != 10 || text[i] != 'T'))
                        return false;
        sscanf(text, "%4d-%2d-%2d%*c%2d:%2d:%2d.%3d", &tm->tm_year, &tm->tm_mon, &tm->tm_mday, &tm->tm_hour,
               &tm->tm_min, &tm->tm_sec, &moment->ms);
        tm->tm_year -= 1900;
        tm->tm_mon -= 1;
        return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31;
}

#define MOMENT_FORMAT "%Y-%m-%d %H:%M:%S"

/* The formats are those of the tables below. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static size_t write_moment(char *text, size_t size, const char *format, const struct moment *moment)
{
        return strftime(text, size, format, &moment->tm);
}
#pragma GCC diagnostic pop

static void give_moment(sqlite3_context *call, const char *format, const struct moment *moment, bool with_ms)
{
        char text[64];
        size_t used = write_moment(text, sizeof text, format, moment);

        if (with_ms)
                snprintf(text + used, sizeof text - used, ".%03d", moment->ms);
        give_text(call, text);
}

SQL_FUNCTION(tsql_getdate)
{
        char now[STANDIN_TIME_MAX];

        standin_now(now);
        give_text(call, now);
}

SQL_FUNCTION(getutcdate)
{
        struct moment moment = { .ms = 0 };
        struct timespec now;

        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &moment.tm);
        moment.ms = (int)(now.tv_nsec / 1000000);
        give_moment(call, MOMENT_FORMAT, &moment, /* with_ms= */ true);
}

/* Parts of a date by SQL Server's names; `seconds` 0: those of the calendar. */
static const struct date_part {
        const char *names[3];
        int64_t seconds;
        int months;
        const char *format; /* as strftime() writes it; NULL: otherwise */
} date_parts[] = {
        { { "year", "yy", "yyyy" }, 0, 12, "%Y" }, { { "quarter", "qq", "q" }, 0, 3, NULL },
        { { "month", "mm", "m" }, 0, 1, "%m" },    { { "week", "wk", "ww" }, WEEK, 0, NULL },
        { { "day", "dd", "d" }, 86400, 0, "%d" },  { { "hour", "hh", "hh" }, 3600, 0, "%H" },
        { { "minute", "mi", "n" }, 60, 0, "%M" },  { { "second", "ss", "s" }, 1, 0, "%S" },
};

static const struct date_part *find_part(sqlite3_context *call, sqlite3_value *value)
{
        for (size_t i = 0; i < sizeof date_parts / sizeof date_parts[0]; i++)
                for (int j = 0; j < 3; j++)
                        if (strcasecmp(date_parts[i].names[j], value_text(value)) == 0)
                                return &date_parts[i];
        sqlite3_result_error(call, "only year, quarter, month, week, day, hour, minute and second are known here", -1);
        return NULL;
}

static int64_t months_of(const struct moment *moment)
{
        return (int64_t)moment->tm.tm_year * 12 + moment->tm.tm_mon;
}

SQL_FUNCTION(tsql_dateadd)
{
        static const int64_t most = INT64_C(10000) * 366 * 86400; /* seconds: as far as dates go */
        const struct date_part *part = find_part(call, values[0]);
        int64_t number = sqlite3_value_int64(values[1]);
        struct moment moment;
        time_t seconds;

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
        give_moment(call, MOMENT_FORMAT, &moment, /* with_ms= */ true);
}

/* How many of them there have been, of those with a length. */
static int64_t part_number(const struct date_part *part, const struct moment *moment)
{
        struct tm tm = moment->tm;
        int64_t seconds = timegm(&tm) - (part->seconds == WEEK ? FIRST_SUNDAY : 0);

        return seconds / part->seconds - (seconds % part->seconds < 0);
}

/* Counts the boundaries between the two, as SQL Server does. */
SQL_FUNCTION(tsql_datediff)
{
        const struct date_part *part = find_part(call, values[0]);
        struct moment from;
        struct moment to;

        if (!part || !read_moment(values[1], &from) || !read_moment(values[2], &to))
                return;
        if (part->months)
                sqlite3_result_int64(call, months_of(&to) / part->months - months_of(&from) / part->months);
        else
                sqlite3_result_int64(call, part_number(part, &to) - part_number(part, &from));
}

/* Week 1 begins on New Year's Day, and each other one on a Sunday. */
static int week_of_year(struct tm *tm)
{
        (void)timegm(tm); /* works out the days of the year and of the week */
        return (tm->tm_yday + (tm->tm_wday + 371 - tm->tm_yday) % 7) / 7 + 1;
}

SQL_FUNCTION(tsql_datepart)
{
        const struct date_part *part = find_part(call, values[0]);
        struct moment moment;
        char text[16];

        if (!part || !read_moment(values[1], &moment))
                return;
        if (part->format && write_moment(text, sizeof text, part->format, &moment) > 0)
                sqlite3_result_int(call, (int)strtol(text, NULL, 10));
        else
                sqlite3_result_int(call, part->months ? moment.tm.tm_mon / 3 + 1 : week_of_year(&moment.tm));
}

/* ---- CAST and CONVERT ---- */

/* How a date is written in a style of CONVERT, as strftime() has it. */
static const struct {
        int style;
        const char *format;
        bool with_ms;
} date_styles[] = {
        { 0, "%b %e %Y %l:%M%p", false },    { 100, "%b %e %Y %l:%M%p", false },
        { 101, "%m/%d/%Y", false },          { 103, "%d/%m/%Y", false },
        { 104, "%d.%m.%Y", false },          { 8, "%H:%M:%S", false },
        { 108, "%H:%M:%S", false },          { 112, "%Y%m%d", false },
        { 23, "%Y-%m-%d", false },           { 20, "%Y-%m-%d %H:%M:%S", false },
        { 120, "%Y-%m-%d %H:%M:%S", false }, { 21, "%Y-%m-%d %H:%M:%S", true },
        { 121, "%Y-%m-%d %H:%M:%S", true },  { 126, "%Y-%m-%dT%H:%M:%S", true },
        { 127, "%Y-%m-%dT%H:%M:%S", true },
};

/* False: the style is none of dates, or the value is no date. */
static bool give_styled(sqlite3_context *call, sqlite3_value *value, int style)
{
        struct moment moment;
        size_t i = 0;

        while (i < sizeof date_styles / sizeof date_styles[0] && date_styles[i].style != style)
                i++;
        if (i == sizeof date_styles / sizeof date_styles[0] || sqlite3_value_type(value) != SQLITE_TEXT ||
            !read_moment(value, &moment))
                return false;
        give_moment(call, date_styles[i].format, &moment, date_styles[i].with_ms);
        return true;
}

enum conversion { TO_TEXT, TO_INTEGER, TO_BIT, TO_REAL, TO_DATE, TO_SAME };

static const struct {
        const char *name;
        enum conversion to;
} cast_types[] = {
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
        for (size_t i = 0; i < sizeof cast_types / sizeof cast_types[0]; i++) {
                if (strlen(cast_types[i].name) != length || strncasecmp(cast_types[i].name, type, length) != 0)
                        continue;
                *ret_to = cast_types[i].to;
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
                sqlite3_result_text(call, value_text(value), (int)strnlen(value_text(value), 10), SQLITE_TRANSIENT);
        else if (to == TO_SAME)
                sqlite3_result_value(call, value);
        else
                sqlite3_result_text(call, value_text(value),
                                    length < 0 ? -1 : (int)strnlen(value_text(value), (size_t)length),
                                    SQLITE_TRANSIENT);
}

SQL_FUNCTION(tsql_cast)
{
        convert(call, values[0], value_text(values[1]));
}

SQL_FUNCTION(tsql_convert)
{
        enum conversion to;
        int64_t length;

        if (count < 2) {
                sqlite3_result_error(call, "CONVERT takes a type and an expression", -1);
                return;
        }
        if (count > 2 && find_type(value_text(values[0]), &to, &length) && to == TO_TEXT &&
            give_styled(call, values[1], sqlite3_value_int(values[2])))
                return;
        convert(call, values[1], value_text(values[0]));
}

/* ---- the table ---- */

static const struct {
        const char *name;
        int arguments; /* -1: any number */
        void (*run)(sqlite3_context *call, int count, sqlite3_value **values);
} sql_functions[] = {
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
        for (size_t i = 0; i < sizeof sql_functions / sizeof sql_functions[0]; i++)
                if (strcasecmp(sql_functions[i].name, name) == 0)
                        return true;
        return false;
}

bool catalog_has_global(const char *name)
{
        for (size_t i = 0; i < GLOBALS; i++)
                if (strcasecmp(global_variables[i].name, name) == 0)
                        return true;
        return false;
}

int catalog_define_functions(sqlite3 *db, struct standin_session *session)
{
        int rc = SQLITE_OK;

        for (size_t i = 0; rc == SQLITE_OK && i < sizeof sql_functions / sizeof sql_functions[0]; i++)
                rc = sqlite3_create_function_v2(db, sql_functions[i].name, sql_functions[i].arguments, SQLITE_UTF8,
                                                session, sql_functions[i].run, NULL, NULL, NULL);
        return rc;
}
