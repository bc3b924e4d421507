/* Whole backups and restores: a client of memory buffers and the embedded server, each on threads of this process. */
#include "tests/unit/sqlite/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/sqlite/sqlite.h"

enum { DEVICES = 5 };

static void make_database(const char *path, const char *mode, int rows)
{
        sqlite3 *db = sandbox_open(path);

        sandbox_exec(db, "PRAGMA journal_mode=%s", mode);
        sandbox_fill(db, rows, 3000);
        sqlite3_close(db);
}

static void assert_same(const char *a, const char *b)
{
        sqlite3 *db_a = sandbox_open(a);
        sqlite3 *db_b = sandbox_open(b);
        size_t size_a;
        size_t size_b;
        CLEANUP(freep) uint8_t *bytes_a = sandbox_serialize(db_a, &size_a);
        CLEANUP(freep) uint8_t *bytes_b = sandbox_serialize(db_b, &size_b);

        assert_int_equal(size_a, size_b);
        assert_memory_equal(bytes_a, bytes_b, size_a);
        sqlite3_close(db_a);
        sqlite3_close(db_b);
}

static void there_and_back(void **state)
{
        static const uint32_t counts[] = { 1, 2, DEVICES, VDS_DEVICES_MAX };
        const char *from = sandbox_path(state, "from.db");

        make_database(from, "WAL", 3000);
        assert_int_equal(chmod(from, 0640), 0);
        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                const char *to = sandbox_path(state, "to.db");
                struct run *backup = run_backup(state, from, counts[i]);
                struct run *restore = run_restore(state, backup, to);
                struct stat st;

                assert_true(backup->agreed.features & VDF_WriteMedia);
                assert_int_equal(backup->info.part_count, counts[i]);
                restore->job.has_owner = true;
                restore->job.uid = backup->info.uid;
                restore->job.gid = backup->info.gid;
                restore->job.mode = backup->info.mode;
                run_go(restore);
                if (restore->verdict != VDS_VERDICT_SUCCESS)
                        fail_msg("%s", restore->report.message);
                assert_int_equal(restore->server_result, 0);
                assert_true(restore->agreed.features & VDF_ReadMedia);
                assert_int_equal(stat(to, &st), 0);
                assert_int_equal(st.st_mode & 0777, 0640);
                assert_same(from, to);
                assert_int_equal(sandbox_count(state, ".restore-"), 0);
                assert_int_equal(unlink(to), 0);
                run_deinit(backup);
                run_deinit(restore);
        }
}

static void empty_there_and_back(void **state)
{
        const char *from = sandbox_path(state, "empty.db");
        const char *to = sandbox_path(state, "to.db");
        FILE *file = fopen(from, "w");
        struct run *backup;
        struct run *restore;
        struct stat st;

        fclose(file);
        backup = run_backup(state, from, 2);
        restore = run_restore(state, backup, to);
        run_go(restore);
        assert_int_equal(restore->verdict, VDS_VERDICT_SUCCESS);
        assert_int_equal(stat(to, &st), 0);
        assert_int_equal(st.st_size, 0);
        run_deinit(backup);
        run_deinit(restore);
}

static void positions_for_a_disk_and_complete(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct run *backup = run_new(state, SERVER_BACKUP, from, 2);

        make_database(from, "DELETE", 3000);
        backup->features = VDF_LikeDisk | VDF_RequestComplete;
        run_go(backup);
        assert_int_equal(backup->verdict, VDS_VERDICT_SUCCESS);
        assert_true(backup->agreed.features & VDF_CompleteEnabled);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(backup->media[i].flushes, 1);
                assert_int_equal(backup->media[i].completes, 1);
        }
        run_deinit(backup);
}

static void client_that_cannot_write(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct run *backup = run_new(state, SERVER_BACKUP, from, DEVICES);

        make_database(from, "DELETE", 6000);
        backup->job.max_transfer = 65536;
        backup->media[3].fail_at = 7;
        backup->media[3].fail_code = ERROR_DISK_FULL;
        run_go(backup);
        assert_int_equal(backup->verdict, VDS_VERDICT_FAILED);
        assert_int_equal(backup->report.code, ERR_NO_SPACE);
        assert_string_equal(backup->report.message, "the client could not write: disk full (112)");
        run_deinit(backup);
}

static void client_that_cannot_read(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;
        struct run *restore;

        make_database(from, "DELETE", 3000);
        backup = run_backup(state, from, 2);
        restore = run_restore(state, backup, to);
        restore->job.max_transfer = 65536;
        restore->media[1].fail_at = 5;
        restore->media[1].fail_code = ERROR_IO_DEVICE;
        run_go(restore);
        assert_int_equal(restore->verdict, VDS_VERDICT_FAILED);
        assert_int_equal(restore->report.code, ERR_IO);
        assert_false(sandbox_exists(to));
        assert_int_equal(sandbox_count(state, ".restore-"), 0);
        run_deinit(backup);
        run_deinit(restore);
}

static void restore_of_too_little_or_too_much(void **state)
{
        static const struct {
                int cut;
                const char *words;
        } cases[] = { { 4096, "ends early" }, { -1, "carries more than its part" } };
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;

        make_database(from, "DELETE", 1000);
        backup = run_backup(state, from, 2);
        for (int i = 0; i < 2; i++) {
                struct run *restore = run_restore(state, backup, to);

                restore->media[0].size -= (size_t)cases[i].cut;
                run_go(restore);
                assert_int_equal(restore->verdict, VDS_VERDICT_FAILED);
                assert_int_equal(restore->report.code, ERR_DAMAGED);
                assert_non_null(strstr(restore->report.message, cases[i].words));
                assert_false(sandbox_exists(to));
                run_deinit(restore);
        }
        run_deinit(backup);
}

/* A part of no bytes is as well known as any other; parts that nobody tells follow from the image's header. */
static void restore_of_parts_that_are_not_what_was_said(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;
        struct run *restore;

        make_database(from, "DELETE", 300);
        backup = run_backup(state, from, 1);
        restore = run_restore(state, backup, to);
        restore->job.parts[0].length = 0;
        run_go(restore);
        assert_int_equal(restore->verdict, VDS_VERDICT_FAILED);
        assert_int_equal(restore->report.code, ERR_DAMAGED);
        assert_non_null(strstr(restore->report.message, "carries more than its part"));
        run_deinit(restore);
        restore = run_restore(state, backup, to);
        restore->job.parts[0].length = 0;
        restore->job.has_parts = false;
        run_go(restore);
        assert_int_equal(restore->verdict, VDS_VERDICT_SUCCESS);
        assert_same(from, to);
        assert_int_equal(unlink(to), 0);
        run_deinit(restore);
        run_deinit(backup);

        backup = run_backup(state, from, 2);
        restore = run_restore(state, backup, to);
        restore->job.has_parts = false;
        run_go(restore);
        assert_int_equal(restore->verdict, VDS_VERDICT_SUCCESS);
        assert_same(from, to);
        run_deinit(restore);
        run_deinit(backup);
}

/* Both processes of a restore died after the old name was gone: the next backup finds the database all the same. */
static void backup_of_what_a_dead_restore_took(void **state)
{
        static const char aside[] = "from.db.replaced-20260102T030405Z";
        const char *from = sandbox_path(state, "from.db");
        const char *marker = sandbox_path(state, ".from.db.aside-0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a");
        FILE *file;

        make_database(from, "DELETE", 300);
        assert_int_equal(rename(from, sandbox_path(state, aside)), 0);
        file = fopen(marker, "w");
        fputs(aside, file);
        fclose(file);
        run_deinit(run_backup(state, from, 2));
        sandbox_assert_sound(from);
        assert_int_equal(sandbox_count(state, "replaced-") + sandbox_count(state, ".aside-"), 0);
}

/* Refusals come before the client is asked for any data: its GetConfiguration is released by the abort. */
static void refusals_come_first(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct run *backup;
        struct run *restore;

        make_database(from, "DELETE", 100);
        backup = run_backup(state, from, 1);
        restore = run_restore(state, backup, from);
        run_go(restore);
        assert_false(restore->configured);
        assert_int_equal(restore->verdict, VDS_VERDICT_FAILED);
        assert_int_equal(restore->report.code, ERR_USAGE);
        assert_non_null(strstr(restore->report.message, "WITH REPLACE"));
        run_deinit(restore);
        run_deinit(backup);

        backup = run_new(state, SERVER_BACKUP, from, 1);
        backup->job.block_size = 8192;
        run_go(backup);
        assert_false(backup->configured);
        assert_int_equal(backup->report.code, ERR_USAGE);
        assert_non_null(strstr(backup->report.message, "does not divide the page size 4096"));
        run_deinit(backup);

        backup = run_new(state, SERVER_BACKUP, sandbox_path(state, "missing.db"), 1);
        run_go(backup);
        assert_int_equal(backup->verdict, VDS_VERDICT_FAILED);
        run_deinit(backup);
}

static void replacing(void **state)
{
        static const enum server_replace ways[] = { SERVER_REPLACE_IN_PLACE, SERVER_REPLACE_ASIDE };
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;

        make_database(from, "DELETE", 500);
        backup = run_backup(state, from, DEVICES);
        for (int i = 0; i < 2; i++) {
                struct run *restore = run_restore(state, backup, to);
                sqlite3 *db;

                make_database(to, "DELETE", 10);
                restore->job.replace = ways[i];
                run_go(restore);
                if (restore->verdict != VDS_VERDICT_SUCCESS)
                        fail_msg("%s", restore->report.message);
                db = sandbox_open(to);
                assert_int_equal(sandbox_number(db, "SELECT count(*) FROM t"), 500);
                sqlite3_close(db);
                sandbox_assert_sound(to);
                assert_int_equal(restore->report.note[0] != '\0', ways[i] == SERVER_REPLACE_ASIDE);
                assert_int_equal(sandbox_count(state, "to.db.replaced-"), i);
                run_deinit(restore);
        }
        run_deinit(backup);
}

static void no_set_of_that_name(void **state)
{
        struct run *run = run_new(state, SERVER_BACKUP, "/nowhere", 1);
        struct error err = ERROR_INIT;

        assert_int_equal(server_run(&sqlite_server, &run->job, &run->options, run->events, &err), -1);
        assert_non_null(strstr(err.message, "there is no device set"));
        run_deinit(run);
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(there_and_back),
                SANDBOX_TEST(empty_there_and_back),
                SANDBOX_TEST(positions_for_a_disk_and_complete),
                SANDBOX_TEST(client_that_cannot_write),
                SANDBOX_TEST(client_that_cannot_read),
                SANDBOX_TEST(restore_of_too_little_or_too_much),
                SANDBOX_TEST(restore_of_parts_that_are_not_what_was_said),
                SANDBOX_TEST(backup_of_what_a_dead_restore_took),
                SANDBOX_TEST(refusals_come_first),
                SANDBOX_TEST(replacing),
                SANDBOX_TEST(no_set_of_that_name),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
