/* Statements for a SQL Server: their text, and that what was meant is what is read back, whatever names hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/mssql/statement.h"

static const char *const odd_names[] = {
        "pubs",      "a]b",
        "]]",        "[x]",
        "it's",      "''",
        "a\"b",      "a;DROP--",
        "/* x",      "--",
        " ",         " lead",
        "tail ",     "a\nb",
        "a\r\nb",    "a\\b",
        "{devices}", "N'x'",
        "\xc3\xa4",  "\xf0\x9f\x98\x80",
        "GO",        "WITH",
        "a,b=c",     "%s%n",
        "\x01\x7f",  "\xe2\x80\xa8",
        "@var",      "$(x)",
        "tab\there", "0",
};

enum { ODD_NAMES = sizeof odd_names / sizeof odd_names[0] };

static const struct mssql_devices one = { .names = (const char *const[]){ "set" }, .count = 1 };

static void assert_backup(const struct mssql_backup *backup, const struct mssql_devices *devices, const char *expected)
{
        CLEANUP(freep) char *text = mssql_backup_statement(backup, devices);

        assert_non_null(text);
        assert_string_equal(text, expected);
}

static void assert_restore(const struct mssql_restore *restore, const struct mssql_devices *devices,
                           const char *expected)
{
        CLEANUP(freep) char *text = mssql_restore_statement(restore, devices);

        assert_non_null(text);
        assert_string_equal(text, expected);
}

static void test_backups(void **state)
{
        static const char *const names[] = { "set", "set1" };
        static const char *const files[] = { "a", "b" };
        static const char *const groups[] = { "g" };
        const struct mssql_devices two = {
                .names = names, .count = 2, .block_size = 4096, .buffer_count = 10, .max_transfer = 1 << 20
        };

        (void)state;
        assert_backup(&(struct mssql_backup){ .target.database = "pubs", .checksum = true, .copy_only = true }, &one,
                      "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'set' WITH COPY_ONLY, CHECKSUM");
        assert_backup(&(struct mssql_backup){ .type = MSSQL_DIFF,
                                              .target.database = "pubs",
                                              .copy_only = true,
                                              .name = "n",
                                              .description = "d",
                                              .stats = 5 },
                      &two,
                      "BACKUP DATABASE [pubs] TO VIRTUAL_DEVICE = N'set', VIRTUAL_DEVICE = N'set1' WITH DIFFERENTIAL, "
                      "NAME = N'n', DESCRIPTION = N'd', NO_CHECKSUM, STATS = 5, BLOCKSIZE = 4096, BUFFERCOUNT = 10, "
                      "MAXTRANSFERSIZE = 1048576");
        assert_backup(&(struct mssql_backup){ .type = MSSQL_LOG,
                                              .target.database = "p",
                                              .copy_only = true,
                                              .no_truncate = true,
                                              .norecovery = true,
                                              .checksum = true },
                      &one,
                      "BACKUP LOG [p] TO VIRTUAL_DEVICE = N'set' WITH COPY_ONLY, NO_TRUNCATE, NORECOVERY, CHECKSUM");
        assert_backup(&(struct mssql_backup){ .target.database = "p",
                                              .target.files = files,
                                              .target.file_count = 2,
                                              .target.filegroups = groups,
                                              .target.filegroup_count = 1,
                                              .no_truncate = true,
                                              .norecovery = true,
                                              .checksum = true },
                      &one,
                      "BACKUP DATABASE [p] FILE = N'a', FILE = N'b', FILEGROUP = N'g' TO VIRTUAL_DEVICE = N'set' "
                      "WITH CHECKSUM");
}

static void test_restores(void **state)
{
        static const struct mssql_move moves[] = { { "data", "/d/it's" }, { "log", "/l" } };
        static const char *const files[] = { "f" };

        (void)state;
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_RESTORE_DATABASE, .target.database = "p" }, &one,
                       "RESTORE DATABASE [p] FROM VIRTUAL_DEVICE = N'set' WITH RECOVERY");
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_RESTORE_DATABASE,
                                                .target.database = "p",
                                                .target.files = files,
                                                .target.file_count = 1,
                                                .recovery = MSSQL_NORECOVERY,
                                                .moves = moves,
                                                .move_count = 2,
                                                .replace = true,
                                                .checksum = true,
                                                .stop_at = "2026-01-02T03:04:05",
                                                .stats = 10 },
                       &one,
                       "RESTORE DATABASE [p] FILE = N'f' FROM VIRTUAL_DEVICE = N'set' WITH MOVE N'data' TO "
                       "N'/d/it''s', MOVE N'log' TO N'/l', REPLACE, NORECOVERY, STOPAT = N'2026-01-02T03:04:05', "
                       "CHECKSUM, STATS = 10");
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_RESTORE_LOG,
                                                .target.database = "p",
                                                .recovery = MSSQL_STANDBY,
                                                .standby = "/u",
                                                .replace = true },
                       &one, "RESTORE LOG [p] FROM VIRTUAL_DEVICE = N'set' WITH STANDBY = N'/u'");
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_VERIFYONLY, .checksum = true, .stats = 3 }, &one,
                       "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE = N'set' WITH CHECKSUM, STATS = 3");
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_HEADERONLY, .checksum = true, .stats = 3 }, &one,
                       "RESTORE HEADERONLY FROM VIRTUAL_DEVICE = N'set' WITH CHECKSUM");
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_FILELISTONLY }, &one,
                       "RESTORE FILELISTONLY FROM VIRTUAL_DEVICE = N'set'");
        assert_restore(&(struct mssql_restore){ .verb = STATEMENT_LABELONLY, .checksum = true }, &one,
                       "RESTORE LABELONLY FROM VIRTUAL_DEVICE = N'set'");
}

static void parse(const char *text, struct statement *statement)
{
        struct server_message message;

        if (statement_parse(text, statement, &message) < 0)
                fail_msg("'%s': %s", text, message.text);
}

/* The name of a set may have no backslash. */
static const char *device_name(const char *name)
{
        return strchr(name, '\\') ? "it's [a] set" : name;
}

static void read_backup_back(const char *name, const char *other, enum mssql_backup_type type)
{
        const char *const devices[] = { device_name(other), device_name(name) };
        const struct mssql_devices set = { .names = devices, .count = 1 + (strcmp(devices[0], devices[1]) != 0) };
        const struct mssql_backup backup = { .type = type,
                                             .target.database = name,
                                             .target.files = &other,
                                             .target.file_count = type != MSSQL_LOG,
                                             .target.filegroups = &name,
                                             .target.filegroup_count = type != MSSQL_LOG,
                                             .name = other,
                                             .description = name,
                                             .checksum = true,
                                             .copy_only = true,
                                             .stats = 7 };
        CLEANUP(freep) char *text = mssql_backup_statement(&backup, &set);
        struct statement statement;

        assert_non_null(text);
        parse(text, &statement);
        assert_int_equal(statement.verb, type == MSSQL_LOG ? STATEMENT_BACKUP_LOG : STATEMENT_BACKUP_DATABASE);
        assert_string_equal(statement.database, name);
        assert_int_equal(statement.device_count, set.count);
        for (uint32_t i = 0; i < set.count; i++)
                assert_string_equal(statement.devices[i], devices[i]);
        assert_int_equal(statement.file_count, type == MSSQL_LOG ? 0 : 2);
        if (statement.file_count) {
                assert_int_equal(statement.files[0].kind, STATEMENT_FILE);
                assert_string_equal(statement.files[0].name, other);
                assert_int_equal(statement.files[1].kind, STATEMENT_FILEGROUP);
                assert_string_equal(statement.files[1].name, name);
        }
        assert_string_equal(statement.texts[OPTION_NAME], other);
        assert_string_equal(statement.texts[OPTION_DESCRIPTION], name);
        assert_int_equal(statement.given[OPTION_DIFFERENTIAL], type == MSSQL_DIFF);
        assert_int_equal(statement.given[OPTION_COPY_ONLY], type != MSSQL_DIFF);
        assert_true(statement.given[OPTION_CHECKSUM]);
        assert_int_equal(statement.numbers[OPTION_STATS], 7);
        statement_deinit(&statement);
}

static void read_restore_back(const char *name, const char *other)
{
        const struct mssql_move moves[] = { { name, other }, { other, name } };
        const char *device = device_name(name);
        const struct mssql_devices set = { .names = &device, .count = 1, .block_size = 512 };
        const struct mssql_restore restore = { .verb = STATEMENT_RESTORE_DATABASE,
                                               .target.database = other,
                                               .recovery = MSSQL_STANDBY,
                                               .standby = name,
                                               .moves = moves,
                                               .move_count = 2,
                                               .replace = true };
        CLEANUP(freep) char *text = mssql_restore_statement(&restore, &set);
        struct statement statement;

        assert_non_null(text);
        parse(text, &statement);
        assert_string_equal(statement.database, other);
        assert_string_equal(statement.devices[0], device);
        assert_string_equal(statement.texts[OPTION_STANDBY], name);
        assert_int_equal(statement.move_count, 2);
        for (size_t i = 0; i < 2; i++) {
                assert_string_equal(statement.moves[i].logical, moves[i].logical);
                assert_string_equal(statement.moves[i].path, moves[i].path);
        }
        assert_true(statement.given[OPTION_REPLACE]);
        assert_false(statement.given[OPTION_RECOVERY]);
        assert_int_equal(statement.numbers[OPTION_BLOCKSIZE], 512);
        statement_deinit(&statement);
}

static void test_odd_names(void **state)
{
        (void)state;
        for (size_t i = 0; i < ODD_NAMES; i++) {
                for (size_t j = 0; j < ODD_NAMES; j++) {
                        read_backup_back(odd_names[i], odd_names[j], (enum mssql_backup_type)((i + j) % 3));
                        read_restore_back(odd_names[i], odd_names[j]);
                }
        }
}

/* As SQL Server reads it. */
static void test_continued_string(void **state)
{
        struct statement statement;

        (void)state;
        parse("BACKUP DATABASE [a\\\nb] TO VIRTUAL_DEVICE='s' WITH NAME='a\\\nb\\\r\nc\\\\\n\nd\\n'", &statement);
        assert_string_equal(statement.database, "a\\\nb");
        assert_string_equal(statement.texts[OPTION_NAME], "abc\\\nd\\n");
        statement_deinit(&statement);
}

static const struct {
        const char *sql;
        const char *expanded; /* NULL: refused */
} own[] = {
        { "BACKUP DATABASE a TO {devices}", "BACKUP DATABASE a TO VIRTUAL_DEVICE = N'x''', VIRTUAL_DEVICE = N'y'" },
        { "{devices}", "VIRTUAL_DEVICE = N'x''', VIRTUAL_DEVICE = N'y'" },
        { "a'{devices}'[{devices}]\"{devices}\"{devices}/*{devices}*/--{devices}",
          "a'{devices}'[{devices}]\"{devices}\"VIRTUAL_DEVICE = N'x''', VIRTUAL_DEVICE = N'y'/*{devices}*/"
          "--{devices}" },
        { "{{devices}}", "{VIRTUAL_DEVICE = N'x''', VIRTUAL_DEVICE = N'y'}" },
        { "x{devices}y", "xVIRTUAL_DEVICE = N'x''', VIRTUAL_DEVICE = N'y'y" },
        { "{device}{devices}", "{device}VIRTUAL_DEVICE = N'x''', VIRTUAL_DEVICE = N'y'" },
        { "", NULL },
        { "BACKUP", NULL },
        { "{devices} {devices}", NULL },
        { "'{devices}'", NULL },
        { "{ devices }", NULL },
        { "{Devices}", NULL },
        { "{devices", NULL },
        { "{devicesx}", NULL },
        { "{devices} 'open", NULL },
        { "{devices} /* open", NULL },
        { "{devices} [open", NULL },
};

static void test_own_statements(void **state)
{
        static const char *const names[] = { "x'", "y" };
        const struct mssql_devices set = { .names = names, .count = 2, .block_size = 512 };

        (void)state;
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
                CLEANUP(freep) char *text = NULL;
                struct error err = ERROR_INIT;
                int rc = mssql_expand_statement(own[i].sql, &set, &text, &err);

                if (own[i].expanded) {
                        assert_int_equal(rc, 0);
                        assert_string_equal(text, own[i].expanded);
                } else {
                        assert_int_equal(rc, -1);
                        assert_int_equal(err.code, ERR_USAGE);
                        assert_non_null(strstr(err.message, "the statement"));
                }
        }
}

static void test_type_names(void **state)
{
        (void)state;
        assert_string_equal(mssql_backup_type_name(MSSQL_FULL), "full");
        assert_string_equal(mssql_backup_type_name(MSSQL_DIFF), "diff");
        assert_string_equal(mssql_backup_type_name(MSSQL_LOG), "log");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_backups),    cmocka_unit_test(test_restores),
                cmocka_unit_test(test_odd_names),  cmocka_unit_test(test_own_statements),
                cmocka_unit_test(test_type_names), cmocka_unit_test(test_continued_string),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
