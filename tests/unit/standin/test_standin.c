/* The stand-in server's pure parts: batches, rewritten queries, the chain of backups, faults, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/standin/standin.h"
#include "core/standin/batch.h"
#include "core/standin/query.h"
#include "core/standin/state.h"

/* ---- batches ---- */

static void batches_fall_into_statements(void **state)
{
        static const struct {
                const char *text;
                size_t count;
                enum batch_kind kinds[4];
        } rows[] = {
                { "", 0, { 0 } },
                { ";; -- nothing", 0, { 0 } },
                { "SELECT 1", 1, { BATCH_QUERY } },
                { "use [a b] select 1 backup database x to virtual_device='y' with stats restore headeronly from z",
                  4,
                  { BATCH_USE, BATCH_QUERY, BATCH_TRANSFER, BATCH_TRANSFER } },
                { "SELECT (SELECT 1) UNION ALL SELECT 2; SET NOCOUNT ON", 2, { BATCH_QUERY, BATCH_SET } },
                { "WITH a AS (SELECT 1 x) SELECT * FROM a SELECT 2", 2, { BATCH_QUERY, BATCH_QUERY } },
                { "SELECT 'use x', [set], \"print\"", 1, { BATCH_QUERY } },
                { "sp_who 'active'", 1, { BATCH_PROCEDURE } },
                { "DROP DATABASE x PRINT 'x'", 2, { BATCH_OTHER, BATCH_PRINT } },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct server_message message;
                struct batch batch;

                assert_int_equal(batch_parse(&batch, rows[i].text, &message), 0);
                assert_int_equal(batch.statement_count, rows[i].count);
                for (size_t j = 0; j < rows[i].count; j++)
                        assert_int_equal(batch.statements[j].kind, rows[i].kinds[j]);
                batch_deinit(&batch);
        }
}

static void statements_know_their_text_and_line(void **state)
{
        struct server_message message;
        struct batch batch;

        (void)state;
        assert_int_equal(batch_parse(&batch, "USE a;\n\n  SELECT 1,\n 2 ;", &message), 0);
        assert_string_equal(batch.statements[0].text, "USE a");
        assert_string_equal(batch.statements[1].text, "SELECT 1,\n 2");
        assert_int_equal(batch.statements[1].line, 3);
        batch_deinit(&batch);
}

static void what_begins_no_statement_is_refused(void **state)
{
        struct server_message message;
        struct batch batch;

        (void)state;
        assert_int_equal(batch_parse(&batch, "SELECT 1;\nsp_who", &message), -1);
        assert_int_equal(message.number, 102);
        assert_int_equal(message.line, 2);
        assert_string_equal(message.text, "Incorrect syntax near 'sp_who'.");
        batch_deinit(&batch);
}

/* ---- queries ---- */

static char name_p[] = "@p";
static char value_p[] = "5";
static const struct tds_parameter parameters[] = { { name_p, value_p } };

/* The number of the message, 0 when it could be rewritten. */
static int rewrite(const char *text, const char *database, bool quoted, char **ret_sql)
{
        const struct query_context context = {
                .parameters = parameters, .parameter_count = 1, .database = database, .quoted_identifiers = quoted
        };
        struct server_message message = { .number = 0 };
        struct batch batch;
        int rc;

        *ret_sql = NULL;
        rc = batch_parse(&batch, text, &message);
        if (rc == 0) {
                assert_int_equal(batch.statement_count, 1);
                rc = query_rewrite(&batch, &batch.statements[0], &context, ret_sql, &message);
        }
        batch_deinit(&batch);
        assert_true((rc == 0) == (*ret_sql != NULL));
        return rc == 0 ? 0 : message.number;
}

static void queries_become_those_of_sqlite(void **state)
{
        static const struct {
                const char *text;
                const char *sql;
        } rows[] = {
                { "SELECT @@VERSION", " SELECT tsql_global( 'VERSION' )" },
                { "SELECT N'it''s', [a\"b], \"c\"", " SELECT 'it''s' , \"a\"\"b\" , \"c\"" },
                { "SELECT 1.5, -1, 1e5 <> 2", " SELECT 1.5 , -1 , 1e5 <> 2" },
                { "SELECT name FROM master.sys.databases WHERE database_id >= @P",
                  " SELECT name FROM \"databases\" WHERE database_id >= ?1" },
                { "SELECT sys.databases.name FROM sys.databases", " SELECT databases . name FROM \"databases\"" },
                { "SELECT TOP (3) b.* FROM msdb..backupset AS b WITH (NOLOCK), sys.databases ORDER BY 1",
                  " SELECT b . * FROM \"backupset\" AS b , \"databases\" ORDER BY 1 LIMIT 3" },
                { "SELECT * FROM (SELECT TOP 1 name FROM sys.databases) x",
                  " SELECT * FROM ( SELECT name FROM \"databases\" LIMIT 1 ) x" },
                { "SELECT 1 ORDER BY 1 OFFSET 2 ROWS FETCH NEXT @p ROWS ONLY",
                  " SELECT 1 ORDER BY 1 LIMIT ?1 OFFSET 2" },
                { "SELECT CAST(1 AS decimal(10, 2)), CONVERT(varchar(30), GETDATE(), 126), ISNULL(a, b)",
                  " SELECT tsql_cast ( 1 , 'decimal(10)' ) , tsql_convert ( 'varchar(30)' , GETDATE ( ) , 126 ) , "
                  "ifnull ( a , b )" },
                { "SELECT 'a' + name + x, 1 + 2", " SELECT 'a' || name || x , 1 + 2" },
                { "SELECT n = COUNT_BIG(*), limit FROM sys.databases",
                  " SELECT count ( * ) AS \"n\" , \"limit\" FROM \"databases\"" },
                { "SELECT t.text FROM sys.dm_exec_requests r OUTER APPLY sys.dm_exec_sql_text(r.sql_handle) t",
                  " SELECT t . text FROM \"dm_exec_requests\" r LEFT JOIN \"dm_exec_sql_text\" AS t ON t.of_handle =  "
                  "( r . sql_handle )" },
                { "SELECT DATEADD(day, -1, CURRENT_TIMESTAMP) COLLATE Latin1_General_BIN OPTION (RECOMPILE)",
                  " SELECT tsql_dateadd ( 'day' , -1 , getdate() )" },
                { "WITH a AS (SELECT 1 x) SELECT * FROM a", " WITH a AS ( SELECT 1 x ) SELECT * FROM \"a\"" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                CLEANUP(freep) char *sql = NULL;

                assert_int_equal(rewrite(rows[i].text, "master", /* quoted= */ true, &sql), 0);
                assert_string_equal(sql, rows[i].sql);
        }
}

static void double_quotes_are_what_the_session_says(void **state)
{
        CLEANUP(freep) char *sql = NULL;

        (void)state;
        assert_int_equal(rewrite("SELECT \"x\" + a", "master", /* quoted= */ false, &sql), 0);
        assert_string_equal(sql, " SELECT 'x' || a");
}

static void history_is_in_msdb(void **state)
{
        CLEANUP(freep) char *sql = NULL;

        (void)state;
        assert_int_equal(rewrite("SELECT * FROM backupset", "master", true, &sql), 208);
        assert_int_equal(rewrite("SELECT * FROM backupset", "msdb", true, &sql), 0);
}

static void what_cannot_be_rewritten_is_refused(void **state)
{
        static const struct {
                const char *text;
                int number;
        } rows[] = {
                { "SELECT @x", 137 },
                { "SELECT @@NOSUCH", 137 },
                { "SELECT * FROM sys.nosuch", 208 },
                { "SELECT * FROM sqlite_master", 208 },
                { "SELECT * FROM other.dbo.backupset", 208 },
                { "SELECT (1", 102 },
                { "SELECT 1)", 102 },
                { "SELECT ?1", 102 },
                { "SELECT :a", 102 },
                { "SELECT `a`", 102 },
                { "SELECT 1@p", 102 },
                { "SELECT a.b.c.d.e", 102 },
                { "SELECT TOP 5 PERCENT 1", 102 },
                { "SELECT TOP 1 1 UNION SELECT 2", 102 },
                { "SELECT CAST(1 AS varchar(", 102 },
                { "SELECT 1 OFFSET 5", 102 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                CLEANUP(freep) char *sql = NULL;

                assert_int_equal(rewrite(rows[i].text, "master", true, &sql), rows[i].number);
        }
}

/* ---- the chain ---- */

static struct standin_state make_state(void)
{
        struct standin_state state;

        standin_state_init(&state);
        assert_int_equal(standin_add_database(&state, "app", "/srv/app.db"), 0);
        return state;
}

static const struct standin_backup *back_up(struct standin_state *state, const char *text)
{
        struct statement statement;
        struct server_message message;
        struct standin_deed deed = { .statement = &statement, .user = "sa", .size = 42 };

        assert_int_equal(statement_parse(text, &statement, &message), 0);
        standin_now(deed.started);
        standin_record_backup(state, &deed);
        statement_deinit(&statement);
        return &state->backups[state->backup_count - 1];
}

static enum server_message_id check(struct standin_state *state, const char *text)
{
        struct statement statement;
        struct server_message message;
        enum server_message_id id;

        assert_int_equal(statement_parse(text, &statement, &message), 0);
        id = standin_check_sequence(state, &statement);
        statement_deinit(&statement);
        return id;
}

#define FULL "BACKUP DATABASE app TO VIRTUAL_DEVICE='x'"
#define COPY FULL " WITH COPY_ONLY"
#define DIFF FULL " WITH DIFFERENTIAL"
#define LOG  "BACKUP LOG app TO VIRTUAL_DEVICE='x'"

static void nothing_builds_on_nothing(void **unused)
{
        struct standin_state state = make_state();

        (void)unused;
        assert_int_equal(check(&state, DIFF), MESSAGE_DIFFERENTIAL);
        assert_int_equal(check(&state, LOG), MESSAGE_NO_LOG_CHAIN);
        assert_int_equal(check(&state, FULL), MESSAGE_COUNT);
        back_up(&state, COPY);
        assert_int_equal(check(&state, DIFF), MESSAGE_DIFFERENTIAL);
        assert_int_equal(check(&state, LOG), MESSAGE_COUNT);
        back_up(&state, FULL);
        assert_int_equal(check(&state, DIFF), MESSAGE_COUNT);
        standin_state_deinit(&state);
}

static void backups_form_a_chain(void **unused)
{
        struct standin_state state = make_state();
        struct standin_backup full = *back_up(&state, FULL);
        struct standin_backup log = *back_up(&state, LOG);
        struct standin_backup copy = *back_up(&state, COPY);
        struct standin_backup diff = *back_up(&state, DIFF);
        struct standin_backup next = *back_up(&state, LOG);

        (void)unused;
        assert_int_equal(full.type, 'D');
        assert_int_equal(diff.type, 'I');
        assert_int_equal(log.type, 'L');
        assert_true(copy.copy_only && !full.copy_only);
        assert_true(full.first_lsn == full.checkpoint_lsn && full.first_lsn < full.last_lsn);
        assert_true(full.database_lsn == 0 && copy.database_lsn == full.checkpoint_lsn);
        assert_true(log.first_lsn == full.first_lsn && log.last_lsn > full.last_lsn);
        assert_true(next.first_lsn == log.last_lsn && next.last_lsn > diff.last_lsn);
        assert_true(diff.base_lsn == full.checkpoint_lsn);
        assert_string_equal(diff.base, full.uuid);
        assert_string_equal(diff.family, full.family);
        assert_string_not_equal(diff.uuid, full.uuid);
        standin_state_deinit(&state);
}

static void a_family_is_that_of_the_place(void **unused)
{
        struct standin_state one = make_state();
        struct standin_state two = make_state();

        (void)unused;
        assert_true(ident_is_uuid(one.databases[0].family));
        assert_string_equal(one.databases[0].family, two.databases[0].family);
        assert_string_not_equal(one.databases[0].fork, two.databases[0].fork);
        standin_add_database(&one, "other", "/srv/app.db");
        assert_string_not_equal(one.databases[0].family, one.databases[1].family);
        standin_state_deinit(&one);
        standin_state_deinit(&two);
}

static void a_restored_database_begins_anew(void **unused)
{
        struct standin_state state = make_state();
        struct statement statement;
        struct server_message message;
        const struct standin_deed deed = { .statement = &statement, .user = "sa", .path = "/srv/app.db" };
        int64_t lsn = back_up(&state, FULL)->last_lsn;

        (void)unused;
        assert_int_equal(
                statement_parse("RESTORE DATABASE app FROM VIRTUAL_DEVICE='x' WITH NORECOVERY", &statement, &message),
                0);
        standin_record_restore(&state, &deed);
        statement_deinit(&statement);
        assert_int_equal(state.databases[0].state, STANDIN_RESTORING);
        assert_int_equal(check(&state, FULL), MESSAGE_RESTORING);
        assert_string_not_equal(state.databases[0].fork, state.backups[0].fork);
        assert_true(state.databases[0].lsn > lsn);
        assert_int_equal(state.restore_count, 1);
        standin_state_deinit(&state);
}

static void the_oldest_restores_are_forgotten(void **unused)
{
        struct standin_state state = make_state();
        struct statement statement;
        struct server_message message;
        const struct standin_deed deed = { .statement = &statement, .user = "sa", .path = "/srv/app.db" };

        (void)unused;
        assert_int_equal(statement_parse("RESTORE DATABASE app FROM VIRTUAL_DEVICE='x'", &statement, &message), 0);
        for (int i = 0; i < STANDIN_HISTORY_MAX + 2; i++)
                standin_record_restore(&state, &deed);
        statement_deinit(&statement);
        assert_int_equal(state.restore_count, STANDIN_HISTORY_MAX);
        assert_int_equal(state.restores[0].id, 3);
        assert_int_equal(state.restores[STANDIN_HISTORY_MAX - 1].id, STANDIN_HISTORY_MAX + 2);
        standin_state_deinit(&state);
}

/* ---- options ---- */

static void faults_have_names_and_bytes(void **state)
{
        struct standin_plan plans[STANDIN_FAULTS] = { 0 };
        struct error err = ERROR_INIT;
        static const char *const wrong[] = { "",        "nosuch",   "hang:",     "hang:x",       "hang:1T",
                                             "hang:-1", "hang: 1K", "crash:1Kx", "never-open:1", "hangs" };

        (void)state;
        assert_int_equal(standin_parse_fault("hang:64K", plans, &err), 0);
        assert_true(plans[STANDIN_HANG].wanted && plans[STANDIN_HANG].has_bytes);
        assert_int_equal(plans[STANDIN_HANG].bytes, 65536);
        assert_int_equal(standin_parse_fault("wrong-password", plans, &err), 0);
        assert_true(plans[STANDIN_WRONG_PASSWORD].wanted && !plans[STANDIN_WRONG_PASSWORD].has_bytes);
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                err = (struct error)ERROR_INIT;
                assert_int_equal(standin_parse_fault(wrong[i], plans, &err), -1);
                assert_int_equal(err.code, ERR_USAGE);
        }
}

static void only_the_own_machine_is_listened_to(void **state)
{
        static const struct {
                const char *address;
                bool allow_remote;
                enum err_code code;
                const char *shown; /* its beginning */
        } rows[] = {
                { "127.0.0.1:0", false, ERR_NONE, "127.0.0.1:" }, { ":0", false, ERR_NONE, "127.0.0.1:" },
                { "0", false, ERR_NONE, "127.0.0.1:" },           { "localhost:0", false, ERR_NONE, "" },
                { "0.0.0.0:0", false, ERR_USAGE, NULL },          { "0.0.0.0:0", true, ERR_NONE, "0.0.0.0:" },
                { "127.0.0.1:", false, ERR_USAGE, NULL },         { "127.0.0.1:x", false, ERR_USAGE, NULL },
                { "127.0.0.1:99999", false, ERR_USAGE, NULL },    { "", false, ERR_USAGE, NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                CLEANUP(fd_closep) int fd = -1;
                CLEANUP(freep) char *shown = NULL;
                struct error err = ERROR_INIT;
                int rc = standin_listen(rows[i].address, rows[i].allow_remote, &fd, &shown, &err);

                assert_int_equal(err.code, rows[i].code);
                assert_true((rc == 0) == (rows[i].code == ERR_NONE));
                if (rc == 0)
                        assert_true(strncmp(shown, rows[i].shown, strlen(rows[i].shown)) == 0);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(batches_fall_into_statements),
                cmocka_unit_test(statements_know_their_text_and_line),
                cmocka_unit_test(what_begins_no_statement_is_refused),
                cmocka_unit_test(queries_become_those_of_sqlite),
                cmocka_unit_test(double_quotes_are_what_the_session_says),
                cmocka_unit_test(history_is_in_msdb),
                cmocka_unit_test(what_cannot_be_rewritten_is_refused),
                cmocka_unit_test(nothing_builds_on_nothing),
                cmocka_unit_test(backups_form_a_chain),
                cmocka_unit_test(a_family_is_that_of_the_place),
                cmocka_unit_test(a_restored_database_begins_anew),
                cmocka_unit_test(the_oldest_restores_are_forgotten),
                cmocka_unit_test(faults_have_names_and_bytes),
                cmocka_unit_test(only_the_own_machine_is_listened_to),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
