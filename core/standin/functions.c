#include "core/standin/functions.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/base/ident.h"
#include "core/standin/batch.h"
#include "core/standin/state.h"

/* ---- functions that are a SELECT ---- */

#define OWN(name)   "SELECT value FROM known WHERE kind = 'own' AND name = '" name "'"
#define OF_DATABASE " FROM every_database WHERE name = ?1 COLLATE NOCASE"

/* The part of a date that the first argument names; nothing else is one. */
#define OF_PART " FROM date_part WHERE instr(' ' || names || ' ', ' ' || lower(?1) || ' ')"

#define MOMENT         "'%Y-%m-%d %H:%M:%f'"
#define IS_DATE(value) value " GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'"
#define DATE(value)    "iif(" IS_DATE(value) ", " value ", NULL)"

/* How many of a part have begun since the year 0 or 1: what SQL Server counts are the boundaries between two dates. */
#define MONTHS(value) "(strftime('%Y', " DATE(value) ") * 12 + strftime('%m', " DATE(value) ") - 1) / factor"
#define UNITS(value) \
        "(strftime('%s', " DATE(value) ") + 62135596800 + iif(seconds = 604800, 86400, 0)) / seconds" /* Sundays */

/* A value as the type that `type` names: 'int', 'varchar(30)', 'varchar(max)'. */
#define CONVERTED(value)                                                                                      \
        "CASE kind WHEN 'text' THEN substr(" value ", 1, length) WHEN 'int' THEN CAST(" value " AS INTEGER) " \
        "WHEN 'bit' THEN CAST(" value " AS INTEGER) <> 0 WHEN 'real' THEN CAST(" value " AS REAL) "           \
        "WHEN 'date' THEN substr(" value ", 1, 10) ELSE " value " END"
#define OF_TYPE(type)                                                                                        \
        " FROM data_type, (SELECT substr(" type ", 1, instr(" type " || '(', '(') - 1) AS base, "            \
        "iif(" type " GLOB '*([0-9]*', substr(" type ", instr(" type ", '(') + 1) + 0, 1 << 30) AS length) " \
        "WHERE instr(' ' || names || ' ', ' ' || lower(base) || ' ')"

/* How CONVERT writes a date; NULL: the style is none of dates, or the value is no date. What stands in braces is what
 * strftime() cannot write. */
#define STYLED(value)                                                                                              \
        "(SELECT replace(replace(replace(strftime(format, day), '{month}', "                                       \
        "substr('JanFebMarAprMayJunJulAugSepOctNovDec', 3 * strftime('%m', day) - 2, 3)), "                        \
        "'{day}', printf('%2d', strftime('%d', day))), '{time}', printf('%2d:%s%s', "                              \
        "(strftime('%H', day) + 11) % 12 + 1, strftime('%M', day), iif(strftime('%H', day) < '12', 'AM', 'PM'))) " \
        "FROM date_style, (SELECT " DATE(value) " AS day) WHERE style = ?3)"

/* A function: what it gives is the first column of `sql`, where its arguments are ?1, ?2 and so on. Without a row it is
 * NULL, or a failure with the words `missing`. */
struct sql_function {
        const char *name;
        int arguments; /* -1: any number, none of which is looked at */
        const char *sql;
        const char *missing;
};

static const char no_part[] = "only year, quarter, month, week, day, hour, minute and second are known here";
static const char no_type[] = "a type is not known here";

static const struct sql_function sql_functions[] = {
        { "serverproperty", 1, "SELECT value FROM known WHERE kind = 'server' AND name = ?1", NULL },
        { "tsql_global", 1, "SELECT value FROM known WHERE kind = '@@' AND name = ?1", NULL },
        { "suser_sname", -1, OWN("user"), NULL },
        { "host_name", 0, OWN("host"), NULL },
        { "app_name", 0, OWN("program"), NULL },
        { "program_name", 0, OWN("program"), NULL },
        /* The only login may do everything. */
        { "is_srvrolemember", 1, "SELECT 1", NULL },
        { "is_srvrolemember", 2, "SELECT 1", NULL },
        { "is_member", 1, "SELECT 1", NULL },
        { "has_perms_by_name", 3, "SELECT 1", NULL },
        { "has_dbaccess", 1, "SELECT 1" OF_DATABASE, NULL },
        { "schema_name", -1, "SELECT 'dbo'", NULL },
        { "db_name", 0, OWN("database"), NULL },
        { "db_name", 1, "SELECT name FROM every_database WHERE id = CAST(?1 AS INTEGER)", NULL },
        { "db_id", 0, "SELECT id FROM every_database WHERE name = (" OWN("database") ") COLLATE NOCASE", NULL },
        { "db_id", 1, "SELECT id" OF_DATABASE, NULL },
        { "databasepropertyex", 2,
          "SELECT CASE lower(?2) WHEN 'status' THEN state WHEN 'recovery' THEN recovery "
          "WHEN 'isinstandby' THEN standby WHEN 'updateability' THEN iif(standby, 'READ_ONLY', 'READ_WRITE') "
          "WHEN 'useraccess' THEN 'MULTI_USER' WHEN 'collation' THEN '" STANDIN_COLLATION "' END" OF_DATABASE,
          NULL },
        { "tsql_left", 2, "SELECT substr(?1, 1, max(CAST(?2 AS INTEGER), 0))", NULL },
        { "tsql_right", 2, "SELECT iif(CAST(?2 AS INTEGER) > 0, substr(?1, -CAST(?2 AS INTEGER)), substr(?1, 1, 0))",
          NULL },
        { "charindex", 2, "SELECT instr(lower(ifnull(?2, '')), lower(ifnull(?1, '')))", NULL },
        { "charindex", 3,
          "SELECT ifnull(nullif(instr(lower(substr(ifnull(?2, ''), start)), lower(ifnull(?1, ''))), 0) + start - 1, 0) "
          "FROM (SELECT max(CAST(?3 AS INTEGER), 1) AS start)",
          NULL },
        { "quotename", 1, "SELECT '[' || replace(?1, ']', ']]') || ']'", NULL },
        { "getdate", 0, "SELECT strftime(" MOMENT ", 'now', 'localtime')", NULL },
        { "getutcdate", 0, "SELECT strftime(" MOMENT ", 'now')", NULL },
        { "tsql_dateadd", 3,
          "SELECT coalesce(strftime(" MOMENT ", day, (CAST(ifnull(?2, 0) AS INTEGER) * factor) || ' ' || unit), "
          "iif(strftime('%s', day) IS NULL, NULL, "
          "tsql_raise('adding a value to a ''datetime'' column caused an overflow'))) "
          "FROM (SELECT *, " DATE("?3") " AS day" OF_PART ")",
          no_part },
        { "tsql_datediff", 3,
          "SELECT iif(unit = 'months', " MONTHS("?3") " - " MONTHS("?2") ", " UNITS("?3") " - " UNITS("?2") ")" OF_PART,
          no_part },
        { "tsql_datepart", 2,
          "SELECT CASE part WHEN 'quarter' THEN (strftime('%m', day) + 2) / 3 "
          /* Week 1 begins on New Year's Day, and each other one on a Sunday. */
          "WHEN 'week' THEN (strftime('%j', day) - 1 + strftime('%w', day, 'start of year')) / 7 + 1 "
          "ELSE CAST(strftime(field, day) AS INTEGER) END FROM (SELECT *, " DATE("?2") " AS day" OF_PART ")",
          no_part },
        { "tsql_cast", 2, "SELECT " CONVERTED("?1") OF_TYPE("?2"), no_type },
        { "tsql_convert", 1, "SELECT tsql_raise('CONVERT takes a type and an expression')", NULL },
        { "tsql_convert", 2, "SELECT " CONVERTED("?2") OF_TYPE("?1"), no_type },
        { "tsql_convert", 3,
          "SELECT coalesce(iif(kind = 'text' AND typeof(?2) = 'text', " STYLED("?2") ", NULL), " CONVERTED(
                  "?2") ")" OF_TYPE("?1"),
          no_type },
};

/* A function that is known to a database, for as long as that lives. */
struct bound_function {
        const struct sql_function *function;
        bool *trusted;
};

/* Gives what the function's SELECT gives. The authorizer lets it pass, since its text is ours. */
static void call_selected(sqlite3_context *call, int count, sqlite3_value **values)
{
        const struct bound_function *bound = sqlite3_user_data(call);
        sqlite3 *db = sqlite3_context_db_handle(call);
        sqlite3_stmt *select = NULL;
        int rc;

        *bound->trusted = true;
        rc = sqlite3_prepare_v2(db, bound->function->sql, -1, &select, NULL);
        *bound->trusted = false;
        for (int i = 0; rc == SQLITE_OK && i < count && i < sqlite3_bind_parameter_count(select); i++)
                rc = sqlite3_bind_value(select, i + 1, values[i]);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(select);
        if (rc == SQLITE_ROW)
                sqlite3_result_value(call, sqlite3_column_value(select, 0));
        else if (rc != SQLITE_DONE)
                sqlite3_result_error(call, sqlite3_errmsg(db), -1);
        else if (bound->function->missing)
                sqlite3_result_error(call, bound->function->missing, -1);
        sqlite3_finalize(select);
}

/* ---- functions in C ---- */

static const char *argument_text(sqlite3_value *value)
{
        const char *text = (const char *)sqlite3_value_text(value);

        return text ? text : "";
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
                fputs(argument_text(values[i]), out);
        fclose(out);
        sqlite3_result_text(call, text, -1, SQLITE_TRANSIENT);
}

static void newid(sqlite3_context *call, int count, sqlite3_value **values)
{
        char uuid[IDENT_UUID_SIZE];

        (void)count;
        (void)values;
        ident_uuid(uuid);
        sqlite3_result_text(call, uuid, -1, SQLITE_TRANSIENT);
}

/* For the functions above: a failure. */
static void tsql_raise(sqlite3_context *call, int count, sqlite3_value **values)
{
        (void)count;
        sqlite3_result_error(call, argument_text(values[0]), -1);
}

static const struct {
        const char *name;
        int arguments; /* -1: any number */
        void (*run)(sqlite3_context *call, int count, sqlite3_value **values);
} c_functions[] = { { "concat", -1, concat }, { "newid", 0, newid }, { "tsql_raise", 1, tsql_raise } };

/* ---- all of them ---- */

/* SQLite's functions that T-SQL has as well. The others are of no use here, and some do harm: fts3_tokenizer() takes
 * the address of code. */
static const char shared_functions[] =
        "abs avg ceiling char coalesce count dense_rank exp first_value floor ifnull iif lag last_value lead length "
        "like log log10 lower ltrim max min ntile nullif percent_rank pi power rank replace round row_number rtrim "
        "sign sqrt string_agg substr substring sum trim unicode upper concat_ws cume_dist";

enum {
        SQL_FUNCTIONS = sizeof sql_functions / sizeof sql_functions[0],
        C_FUNCTIONS = sizeof c_functions / sizeof c_functions[0],
};

bool catalog_may_call(const char *name)
{
        bool found = words_have(shared_functions, name);

        for (size_t i = 0; i < SQL_FUNCTIONS; i++)
                found = found || strcasecmp(sql_functions[i].name, name) == 0;
        for (size_t i = 0; i < C_FUNCTIONS; i++)
                found = found || strcasecmp(c_functions[i].name, name) == 0;
        return found;
}

static int define_function(sqlite3 *db, const char *name, int arguments, const struct bound_function *binding,
                           void (*run)(sqlite3_context *call, int count, sqlite3_value **values))
{
        struct bound_function *bound = malloc(sizeof *bound);

        if (!bound)
                return SQLITE_NOMEM;
        *bound = *binding;
        return sqlite3_create_function_v2(db, name, arguments, SQLITE_UTF8, bound, run, NULL, NULL, free);
}

int catalog_define_functions(sqlite3 *db, bool *trusted)
{
        struct bound_function bound = { .trusted = trusted };
        int rc = SQLITE_OK;

        for (size_t i = 0; rc == SQLITE_OK && i < C_FUNCTIONS; i++)
                rc = define_function(db, c_functions[i].name, c_functions[i].arguments, &bound, c_functions[i].run);
        for (size_t i = 0; rc == SQLITE_OK && i < SQL_FUNCTIONS; i++) {
                bound.function = &sql_functions[i];
                rc = define_function(db, sql_functions[i].name, sql_functions[i].arguments, &bound, call_selected);
        }
        return rc;
}
