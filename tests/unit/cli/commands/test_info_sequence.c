/* Files of SQL Server backups, gathered by set and database, and how `info --chain` shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/commands/info_sequence.h"
#include "core/base/cleanup.h"
#include "core/mssql/history.h"

/* A file: a device of a backup, of which `number` is the identity. */
struct file {
        const char *name;
        char type;
        unsigned number;
        const char *first;
        const char *last;
        const char *database;
        uint32_t device;
        uint32_t device_count;
};

/* With a family and a time of its own. */
static int add_odd(struct backup_sequence *sequence, const struct file *file, const char *family, const char *started,
                   struct error *err)
{
        struct mssql_backup_record record = { .type = file->type };
        struct stream_info info = { .device = file->device, .device_count = file->device_count };
        CLEANUP(freep) char *json = NULL;

        snprintf(record.backup_set, sizeof record.backup_set, "%08u-0000-0000-0000-000000000000", file->number);
        snprintf(record.database, sizeof record.database, "%s", file->database);
        snprintf(record.server, sizeof record.server, "HOST");
        snprintf(record.started, sizeof record.started, "%s", started);
        snprintf(record.family, sizeof record.family, "%s", family);
        snprintf(record.first_lsn, sizeof record.first_lsn, "%s", file->first);
        snprintf(record.last_lsn, sizeof record.last_lsn, "%s", file->last);
        json = mssql_record_encode(&record);
        assert_non_null(json);
        return backup_sequence_add(sequence, file->name, file->device_count ? &info : NULL, json, err);
}

static int add(struct backup_sequence *sequence, const struct file *file, struct error *err)
{
        char started[32];

        snprintf(started, sizeof started, "2026-01-02 03:04:%02u.000", file->number);
        return add_odd(sequence, file, "", started, err);
}

static char *print_chain(const struct backup_sequence *sequence, bool json, struct error *ret_err)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        *ret_err = (struct error)ERROR_INIT;
        backup_sequence_print(sequence, json, out, ret_err);
        fclose(out);
        return text;
}

/* What is printed, allocated; *ret_err is how it ended. */
static char *print(const struct file *files, size_t count, bool json, struct error *ret_err)
{
        struct backup_sequence *sequence = backup_sequence_new();
        char *text;

        *ret_err = (struct error)ERROR_INIT;
        for (size_t i = 0; i < count; i++)
                if (add(sequence, &files[i], ret_err) < 0)
                        fail_msg("%s", ret_err->message);
        text = print_chain(sequence, json, ret_err);
        backup_sequence_free(sequence);
        return text;
}

#define COUNT(files) (sizeof(files) / sizeof(files)[0])

static void assert_table(const char *text, const char *const *lines)
{
        for (; *lines; lines++) {
                size_t length = strcspn(text, "\n");

                while (length > 0 && text[length - 1] == ' ')
                        length--;
                if (strlen(*lines) != length || strncmp(text, *lines, length) != 0)
                        fail_msg("'%.*s' is not '%s'", (int)length, text, *lines);
                text = strchr(text, '\n') + 1;
        }
        assert_string_equal(text, "");
}

static void test_table(void **state)
{
        static const struct file files[] = {
                { "log 2", 'L', 4, "200", "300", "pubs", 0, 1 },  { "full.2", 'D', 1, "100", "150", "pubs", 1, 2 },
                { "full.1", 'D', 1, "100", "150", "pubs", 0, 2 }, { "log 1", 'L', 3, "140", "200", "pubs", 0, 1 },
                { "old\n", 'L', 2, "50", "140", "pubs", 0, 1 },
        };
        static const char *const lines[] = {
                "database pubs of server HOST",
                "STEP  TYPE  STARTED                  FIRST LSN  LAST LSN  FILES          REMARK",
                "   1  full  2026-01-02 03:04:01.000        100       150  full.2 full.1",
                "   2  log   2026-01-02 03:04:03.000        140       200  log 1",
                "   3  log   2026-01-02 03:04:04.000        200       300  log 2",
                "   -  log   2026-01-02 03:04:02.000         50       140  old\\x0A        not needed",
                "restores to LSN 300",
                "",
                NULL,
        };
        struct error err;
        CLEANUP(freep) char *text = print(files, COUNT(files), false, &err);

        (void)state;
        assert_int_equal(err.code, ERR_NONE);
        assert_table(text, lines);
}

static void test_gap(void **state)
{
        static const struct file files[] = {
                { "full", 'D', 1, "100", "150", "pubs", 0, 1 },
                { "log", 'L', 2, "200", "300", "pubs", 0, 1 },
        };
        struct error err;
        CLEANUP(freep) char *text = print(files, COUNT(files), false, &err);

        (void)state;
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(err.message, "there is a gap before 'log': it needs the log from LSN 150 to LSN 200");
        assert_non_null(strstr(text, "GAP: needs the log from LSN 150 to LSN 200"));
        assert_non_null(strstr(text, "restores to LSN 150"));
}

static void test_no_full_backup(void **state)
{
        static const struct file files[] = { { "log", 'L', 2, "200", "300", "pubs", 0, 1 } };
        struct error err;
        CLEANUP(freep) char *text = print(files, COUNT(files), false, &err);

        (void)state;
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(err.message, "database 'pubs' has no full backup here");
        assert_non_null(strstr(text, "nothing can be restored"));
}

static void test_missing_device(void **state)
{
        static const struct file files[] = {
                { "full", 'D', 1, "100", "150", "pubs", 0, 1 },
                { "new.1", 'D', 2, "300", "350", "pubs", 0, 3 },
                { "new.1 again", 'D', 2, "300", "350", "pubs", 0, 3 },
                { "new.3", 'D', 2, "300", "350", "pubs", 2, 3 },
        };
        struct error err;
        CLEANUP(freep) char *text = print(files, COUNT(files), false, &err);

        (void)state;
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(err.message, "'new.1' is one of 3 devices, and not all are given");
        assert_non_null(strstr(text, "new.1 new.1 again new.3  INCOMPLETE: has 2 of 3 devices"));
        assert_non_null(strstr(text, "restores to LSN 150"));
}

static void test_two_databases(void **state)
{
        static const struct file files[] = {
                { "a", 'D', 1, "100", "150", "pubs", 0, 1 },
                { "b", 'D', 2, "100", "150", "sales", 0, 1 },
                { "c", 'L', 3, "150", "200", "sales", 0, 1 },
                { "d", 'L', 4, "150", "250", "pubs", 0, 1 },
        };
        struct error err;
        CLEANUP(freep) char *text = print(files, COUNT(files), true, &err);

        (void)state;
        assert_int_equal(err.code, ERR_NONE);
        assert_ptr_equal(strstr(text, "{\"database\":\"pubs\",\"server\":\"HOST\",\"lsn\":\"250\","), text);
        assert_non_null(strstr(text, "}\n{\"database\":\"sales\",\"server\":\"HOST\",\"lsn\":\"200\","));
        assert_int_equal(text[strlen(text) - 1], '\n');
}

static void test_json(void **state)
{
        static const struct file files[] = {
                { "full", 'D', 1, "100", "150", "pubs", 0, 1 },
                { "l\xff", 'L', 2, "200", "300", "pubs", 0, 0 },
        };
        struct error err;
        CLEANUP(freep) char *text = print(files, COUNT(files), true, &err);

        (void)state;
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(
                text,
                "{\"database\":\"pubs\",\"server\":\"HOST\",\"lsn\":\"150\",\"backups\":["
                "{\"state\":\"applies\",\"type\":\"full\",\"backup_set\":\"00000001-0000-0000-0000-000000000000\","
                "\"copy_only\":false,\"started\":\"2026-01-02 03:04:01.000\",\"finished\":\"\",\"first_lsn\":\"100\","
                "\"last_lsn\":\"150\",\"files\":[\"full\"],\"step\":1},"
                "{\"state\":\"gap\",\"type\":\"log\",\"backup_set\":\"00000002-0000-0000-0000-000000000000\","
                "\"copy_only\":false,\"started\":\"2026-01-02 03:04:02.000\",\"finished\":\"\",\"first_lsn\":\"200\","
                "\"last_lsn\":\"300\",\"files\":[\"l\\\\xFF\"],\"missing\":\"the log from LSN 150 to LSN 200\"}]}\n");
}

/* What names no family belongs to whoever bears its name; it hides nobody. */
static void test_families(void **state)
{
        static const struct file files[] = {
                { "a.vdi", 'D', 1, "10", "11", "pubs", 0, 1 },
                { "old.vdi", 'D', 2, "20", "21", "pubs", 0, 1 },
                { "b.vdi", 'L', 3, "30", "31", "pubs", 0, 1 },
        };
        static const char *const families[] = { "aaaaaaaa-0000-0000-0000-000000000000", "",
                                                "bbbbbbbb-0000-0000-0000-000000000000" };
        struct backup_sequence *sequence = backup_sequence_new();
        CLEANUP(freep) char *text = NULL;
        struct error err = ERROR_INIT;

        (void)state;
        for (size_t i = 0; i < COUNT(files); i++)
                assert_int_equal(add_odd(sequence, &files[i], families[i], "2026-01-02", &err), 0);
        text = print_chain(sequence, /* json= */ false, &err);
        backup_sequence_free(sequence);
        assert_non_null(strstr(text, "b.vdi"));
        assert_int_equal(err.code, ERR_FAILED);
}

static void test_a_time_that_is_no_text(void **state)
{
        static const struct file file = { "a.vdi", 'D', 1, "10", "11", "pubs", 0, 1 };
        struct backup_sequence *sequence = backup_sequence_new();
        CLEANUP(freep) char *text = NULL;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(add_odd(sequence, &file, "", "\xff", &err), 0);
        text = print_chain(sequence, /* json= */ true, &err);
        backup_sequence_free(sequence);
        assert_non_null(strstr(text, "a.vdi"));
}

static void test_no_record(void **state)
{
        struct backup_sequence *sequence = backup_sequence_new();
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(backup_sequence_add(sequence, "f", NULL, NULL, &err), -1);
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(err.message, "'f': there is no record of a SQL Server's backup");
        backup_sequence_free(sequence);
        backup_sequence_free(NULL);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),          cmocka_unit_test(test_gap),
                cmocka_unit_test(test_no_full_backup), cmocka_unit_test(test_missing_device),
                cmocka_unit_test(test_two_databases),  cmocka_unit_test(test_json),
                cmocka_unit_test(test_families),       cmocka_unit_test(test_a_time_that_is_no_text),
                cmocka_unit_test(test_no_record),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
