#include "core/standin/catalog.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/standin/functions.h"
#include "core/standin/tables.h"

enum {
        QUERY_TIMEOUT_MS = 10000,
        PROGRESS_STEPS = 10, /* of SQLite's machine, between two looks at the time: each may search a whole text */
        CELLS_MAX = 200000,
        CELL_MAX = 1 << 17,    /* bytes; a batch fits */
        RESULT_MAX = 16 << 20, /* bytes */
        SQL_MAX = 1 << 20,     /* bytes */
};

struct catalog {
        struct standin_session *session;
        const struct batch_statement *statement;
        sqlite3 *db;
        bool trusted; /* what is prepared is no client's */
        sqlite3_stmt *select;
        struct deadline deadline;
        char denied[64];       /* a table that may not be read; "": none */
        sqlite3_value **cells; /* row by row */
        size_t cell_count;
        size_t bytes;
        size_t columns;
};

#define catalog_tell(catalog, id, ...) \
        standin_tell((catalog)->session, (catalog)->statement->line, (id)__VA_OPT__(, ) __VA_ARGS__)

/* ---- what may be done ---- */

static int catalog_look_at_time(void *catalog_at)
{
        struct catalog *catalog = catalog_at;

        return deadline_passed(catalog->deadline) || standin_session_end(catalog->session) != STANDIN_END_NONE;
}

static bool catalog_may_read(struct catalog *catalog, const char *table)
{
        const struct standin_plan *plans = catalog->session->standin->options->plans;
        enum catalog_table kind = catalog_find_table(table);

        if (kind != CATALOG_NO_TABLE && !(kind == CATALOG_HISTORY && plans[STANDIN_DENY_HISTORY].wanted) &&
            !(kind == CATALOG_STATE && plans[STANDIN_DENY_STATE].wanted))
                return true;
        snprintf(catalog->denied, sizeof catalog->denied, "%s", table);
        return false;
}

static int catalog_authorize(void *catalog_at, int action, const char *first, const char *second, const char *database,
                             const char *view)
{
        const struct catalog *catalog = catalog_at;

        (void)database;
        (void)view;
        if (catalog->trusted)
                return SQLITE_OK;
        switch (action) {
        case SQLITE_SELECT:
        case SQLITE_RECURSIVE:
                return SQLITE_OK;
        case SQLITE_FUNCTION:
                return catalog_may_call(second) ? SQLITE_OK : SQLITE_DENY;
        case SQLITE_READ:
                return catalog_may_read(catalog_at, first) ? SQLITE_OK : SQLITE_DENY;
        default:
                return SQLITE_DENY;
        }
}

static void catalog_bound(struct catalog *catalog)
{
        static const struct {
                int what;
                int most;
        } limits[] = {
                { SQLITE_LIMIT_LENGTH, CELL_MAX },         { SQLITE_LIMIT_SQL_LENGTH, SQL_MAX },
                { SQLITE_LIMIT_EXPR_DEPTH, 200 },          { SQLITE_LIMIT_COMPOUND_SELECT, 50 },
                { SQLITE_LIMIT_FUNCTION_ARG, 64 },         { SQLITE_LIMIT_ATTACHED, 0 },
                { SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 250 }, { SQLITE_LIMIT_WORKER_THREADS, 0 },
        };

        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
                sqlite3_limit(catalog->db, limits[i].what, limits[i].most);
        /* A name that is not found is an error, and no string. */
        sqlite3_db_config(catalog->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
        sqlite3_set_authorizer(catalog->db, catalog_authorize, catalog);
        catalog->deadline = deadline_after_ms(QUERY_TIMEOUT_MS);
        sqlite3_progress_handler(catalog->db, PROGRESS_STEPS, catalog_look_at_time, catalog);
}

static int catalog_open(struct catalog *catalog)
{
        int rc = sqlite3_open_v2(":memory:", &catalog->db,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

        if (rc == SQLITE_OK)
                rc = catalog_fill(catalog->db, catalog->session);
        if (rc == SQLITE_OK)
                rc = catalog_define_functions(catalog->db, &catalog->trusted);
        if (rc != SQLITE_OK)
                return catalog_tell(catalog, MESSAGE_MEMORY);
        catalog_bound(catalog);
        return 0;
}

/* ---- failures ---- */

/* SQLite's words, and the message that says the same. */
static const struct {
        const char *begins;
        enum server_message_id id;
} sqlite_failures[] = {
        { "no such table: ", MESSAGE_OBJECT },
        { "no such column: ", MESSAGE_COLUMN },
        { "no such function: ", MESSAGE_FUNCTION },
        { "not authorized to use function: ", MESSAGE_FUNCTION },
        { "ambiguous column name: ", MESSAGE_AMBIGUOUS },
        { "wrong number of arguments to function ", MESSAGE_FUNCTION },
};

static int catalog_tell_denied(const struct catalog *catalog)
{
        switch (catalog_find_table(catalog->denied)) {
        case CATALOG_HISTORY:
                return catalog_tell(catalog, MESSAGE_NO_SELECT, catalog->denied, "msdb", "dbo");
        case CATALOG_STATE:
                return catalog_tell(catalog, MESSAGE_NO_VIEW_STATE);
        default:
                return catalog_tell(catalog, MESSAGE_OBJECT, catalog->denied);
        }
}

/* near "x": syntax error */
static int catalog_tell_syntax(const struct catalog *catalog, const char *words)
{
        CLEANUP(freep) char *near = NULL;
        const char *quote = strchr(words, '"');
        const char *end = quote ? strrchr(quote + 1, '"') : NULL;

        if (end)
                near = strndup(quote + 1, (size_t)(end - quote - 1));
        return catalog_tell(catalog, MESSAGE_SYNTAX, near ? near : "");
}

static int catalog_tell_failure(const struct catalog *catalog)
{
        const char *words = sqlite3_errmsg(catalog->db);
        int rc = sqlite3_errcode(catalog->db);

        if (catalog->denied[0])
                return catalog_tell_denied(catalog);
        if (rc == SQLITE_INTERRUPT)
                return catalog_tell(catalog, MESSAGE_WORDS, "The query takes too long for the stand-in server.");
        if (rc == SQLITE_NOMEM)
                return catalog_tell(catalog, MESSAGE_MEMORY);
        for (size_t i = 0; i < sizeof sqlite_failures / sizeof sqlite_failures[0]; i++) {
                size_t length = strlen(sqlite_failures[i].begins);

                if (strncmp(words, sqlite_failures[i].begins, length) != 0)
                        continue;
                return catalog_tell(catalog,
                                    sqlite_failures[i].id == MESSAGE_COLUMN && strchr(words + length, '.')
                                            ? MESSAGE_UNBOUND
                                            : sqlite_failures[i].id,
                                    words + length);
        }
        if (strstr(words, "syntax error") || strstr(words, "incomplete input"))
                return catalog_tell_syntax(catalog, words);
        return catalog_tell(catalog, MESSAGE_WORDS, words);
}

/* ---- rows ---- */

static int catalog_keep_row(struct catalog *catalog)
{
        sqlite3_value **grown;

        if (catalog->cell_count + catalog->columns > CELLS_MAX || catalog->bytes > RESULT_MAX)
                return catalog_tell(catalog, MESSAGE_WORDS, "The result is too large for the stand-in server.");
        grown = reallocarray(catalog->cells, catalog->cell_count + catalog->columns, sizeof(sqlite3_value *));
        if (!grown)
                return catalog_tell(catalog, MESSAGE_MEMORY);
        catalog->cells = grown;
        for (size_t i = 0; i < catalog->columns; i++) {
                sqlite3_value *value = sqlite3_value_dup(sqlite3_column_value(catalog->select, (int)i));

                if (!value)
                        return catalog_tell(catalog, MESSAGE_MEMORY);
                catalog->bytes += (size_t)sqlite3_value_bytes(value);
                grown[catalog->cell_count++] = value;
        }
        return 0;
}

static int catalog_run(struct catalog *catalog)
{
        int rc;

        while ((rc = sqlite3_step(catalog->select)) == SQLITE_ROW)
                if (catalog_keep_row(catalog) < 0)
                        return -1;
        return rc == SQLITE_DONE ? 0 : catalog_tell_failure(catalog);
}

static int catalog_bind_parameters(struct catalog *catalog, const struct tds_request *request)
{
        int count = sqlite3_bind_parameter_count(catalog->select);

        for (int i = 0; i < count && (size_t)i < request->parameter_count; i++) {
                const char *text = request->parameters[i].text;

                if (text && sqlite3_bind_text(catalog->select, i + 1, text, -1, SQLITE_STATIC) != SQLITE_OK)
                        return catalog_tell_failure(catalog);
        }
        return 0;
}

static int catalog_prepare(struct catalog *catalog, const char *sql, const struct tds_request *request)
{
        if (sqlite3_prepare_v2(catalog->db, sql, -1, &catalog->select, NULL) != SQLITE_OK)
                return catalog_tell_failure(catalog);
        if (!catalog->select || sqlite3_column_count(catalog->select) == 0)
                return catalog_tell(catalog, MESSAGE_SYNTAX, "SELECT");
        catalog->columns = (size_t)sqlite3_column_count(catalog->select);
        if (catalog->columns > TDS_COLUMNS_MAX)
                return catalog_tell(catalog, MESSAGE_WORDS,
                                    "The stand-in server gives 64 columns at most: name those wanted.");
        return catalog_bind_parameters(catalog, request);
}

/* ---- what is sent ---- */

/* What a column was declared as. */
static const struct {
        const char *begins;
        enum tds_type type;
} declared_types[] = {
        { "INT", TDS_TYPE_INT },       { "BIGINT", TDS_TYPE_BIGINT },     { "BIT", TDS_TYPE_BIT },
        { "NVARCHAR", TDS_TYPE_TEXT }, { "NCHAR", TDS_TYPE_TEXT },        { "NUMERIC", TDS_TYPE_NUMERIC },
        { "REAL", TDS_TYPE_REAL },     { "DATETIME", TDS_TYPE_DATETIME }, { "UNIQUEIDENTIFIER", TDS_TYPE_GUID },
};

/* Of an expression: what can hold all its values. */
static enum tds_type column_type_of_values(const struct catalog *catalog, size_t column)
{
        enum tds_type type = TDS_TYPE_INT;

        for (size_t i = column; i < catalog->cell_count; i += catalog->columns) {
                sqlite3_value *value = catalog->cells[i];
                int64_t number = sqlite3_value_type(value) == SQLITE_INTEGER ? sqlite3_value_int64(value) : 0;

                if (sqlite3_value_type(value) == SQLITE_TEXT || sqlite3_value_type(value) == SQLITE_BLOB)
                        return TDS_TYPE_TEXT;
                if (sqlite3_value_type(value) == SQLITE_FLOAT)
                        type = TDS_TYPE_REAL;
                else if (type == TDS_TYPE_INT && (number > INT32_MAX || number < INT32_MIN))
                        type = TDS_TYPE_BIGINT;
        }
        return type;
}

/* SQLite names an expression by its text; SQL Server leaves it without a name. */
static bool name_is_expression(const char *name)
{
        if (strpbrk(name, "()'?+|=<>\"") || isdigit((unsigned char)*name))
                return true;
        return strcasecmp(name, "NULL") == 0;
}

static void column_describe(const struct catalog *catalog, size_t column, struct tds_column *described)
{
        const char *declared = sqlite3_column_decltype(catalog->select, (int)column);
        const char *name = sqlite3_column_name(catalog->select, (int)column);

        *described = (struct tds_column){ .name = name ? name : "", .type = TDS_TYPES };
        if (!declared && name_is_expression(described->name))
                described->name = "";
        for (size_t i = 0; declared && i < sizeof declared_types / sizeof declared_types[0]; i++)
                if (strncmp(declared, declared_types[i].begins, strlen(declared_types[i].begins)) == 0)
                        described->type = declared_types[i].type;
        if (described->type == TDS_TYPES)
                described->type = column_type_of_values(catalog, column);
        /* Drivers show unlimited text otherwise than what has a bound. */
        if (described->type == TDS_TYPE_TEXT)
                described->length = declared && strchr(declared, '(')
                                            ? (uint16_t)strtoul(strchr(declared, '(') + 1, NULL, 10)
                                            : 4000;
}

static int catalog_send_row(const struct catalog *catalog, size_t first, const struct tds_column *columns)
{
        struct tds_value values[TDS_COLUMNS_MAX];

        for (size_t i = 0; i < catalog->columns; i++) {
                sqlite3_value *value = catalog->cells[first + i];

                values[i] = (struct tds_value){ .is_null = sqlite3_value_type(value) == SQLITE_NULL };
                if (columns[i].type == TDS_TYPE_REAL)
                        values[i].real = sqlite3_value_double(value);
                else if (columns[i].type <= TDS_TYPE_BIT)
                        values[i].number = sqlite3_value_int64(value);
                else
                        values[i].text = (const char *)sqlite3_value_text(value);
                values[i].is_null = values[i].is_null || (columns[i].type > TDS_TYPE_BIT &&
                                                          columns[i].type != TDS_TYPE_REAL && !values[i].text);
        }
        return tds_send_row(catalog->session->tds, values);
}

static int catalog_send(const struct catalog *catalog, int64_t *ret_rows)
{
        struct tds_column columns[TDS_COLUMNS_MAX];

        for (size_t i = 0; i < catalog->columns; i++)
                column_describe(catalog, i, &columns[i]);
        if (tds_send_columns(catalog->session->tds, columns, catalog->columns) < 0)
                return -1;
        *ret_rows = 0;
        for (size_t i = 0; i < catalog->cell_count; i += catalog->columns, ++*ret_rows)
                if (catalog_send_row(catalog, i, columns) < 0)
                        return -1;
        return 0;
}

int catalog_answer(struct standin_session *session, const struct batch_statement *statement, const char *sql,
                   const struct tds_request *request, int64_t *ret_rows)
{
        struct catalog catalog = { .session = session, .statement = statement };
        int rc;

        standin_begin_activity(&session->standin->state, &session->activity, "SELECT", statement->text);
        rc = catalog_open(&catalog);
        if (rc == 0)
                rc = catalog_prepare(&catalog, sql, request);
        if (rc == 0)
                rc = catalog_run(&catalog);
        if (rc == 0)
                rc = catalog_send(&catalog, ret_rows);
        for (size_t i = 0; i < catalog.cell_count; i++)
                sqlite3_value_free(catalog.cells[i]);
        free(catalog.cells);
        sqlite3_finalize(catalog.select);
        sqlite3_close_v2(catalog.db);
        return rc;
}
