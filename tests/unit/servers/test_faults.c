/* Every fault point of the server, failing and killed: the verdict is no success, and the target is as it was. */
#include "tests/unit/servers/run.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"

static void make_database(const char *path, int rows)
{
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, rows, 2000);
        sqlite3_close(db);
}

static void assert_rows(const char *path, int rows)
{
        sqlite3 *db = sandbox_open(path);

        assert_int_equal(sandbox_number(db, "SELECT count(*) FROM t"), rows);
        sqlite3_close(db);
        sandbox_assert_sound(path);
}

static void fault_name(char fault[64], const char *point, int kill)
{
        snprintf(fault, 64, "%s=%s", point, kill ? "kill" : "fail");
}

static void backups(void **state)
{
        static const char *const points[] = { "backup.open",  "backup.locked",  "backup.first_write", "backup.middle",
                                              "backup.flush", "backup.verdict", "spool.begin",        "spool.done" };
        const char *from = sandbox_path(state, "from.db");

        make_database(from, 2000);
        for (size_t i = 0; i < 2 * sizeof points / sizeof points[0]; i++) {
                struct run *run = run_new(state, SERVER_BACKUP, from, 3);
                char fault[64];

                fault_name(fault, points[i / 2], i % 2);
                run->fault = fault;
                if (strncmp(points[i / 2], "spool", 5) == 0)
                        run->job.max_lock_ms = 0;
                run_go(run);
                assert_int_not_equal(run->verdict, VDS_VERDICT_SUCCESS);
                assert_int_not_equal(run->verdict, VDS_VERDICT_UNCONFIRMED);
                run_deinit(run);
                assert_rows(from, 2000);
        }
}

/* One run for each point: what stood there before must stand there afterwards. */
static void restores(void **state, enum server_replace replace, const char *const *points, size_t count)
{
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;

        make_database(from, 2000);
        if (replace != SERVER_REPLACE_NO)
                make_database(to, 7);
        backup = run_backup(state, from, 2);
        for (size_t i = 0; i < 2 * count; i++) {
                struct run *run = run_restore(state, backup, to);
                char fault[64];

                fault_name(fault, points[i / 2], i % 2);
                run->fault = fault;
                run->job.replace = replace;
                run_go(run);
                assert_int_not_equal(run->verdict, VDS_VERDICT_SUCCESS);
                run_deinit(run);
                if (replace == SERVER_REPLACE_NO)
                        assert_false(sandbox_exists(to));
                else
                        assert_rows(to, 7);
                assert_int_equal(sandbox_count(state, ".restore-"), 0);
                assert_int_equal(sandbox_count(state, ".aside-"), 0);
                assert_int_equal(sandbox_count(state, "replaced-"), 0);
        }
        run_deinit(backup);
}

/* "restore.renamed" comes apart from the others: killed there, the new database is complete and in place. */
static const char *const restore_points[] = { "restore.temp.created", "restore.data.written", "restore.synced",
                                              "restore.checked",      "aside.linked",         "aside.unlinked" };

static void restores_to_a_new_name(void **state)
{
        restores(state, SERVER_REPLACE_NO, restore_points, 4);
}

static void restores_in_place(void **state)
{
        restores(state, SERVER_REPLACE_IN_PLACE, restore_points, 4);
}

static void restores_aside(void **state)
{
        restores(state, SERVER_REPLACE_ASIDE, restore_points, 6);
}

static void renamed(void **state)
{
        static const enum server_replace ways[] = { SERVER_REPLACE_NO, SERVER_REPLACE_ASIDE };
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;

        make_database(from, 2000);
        backup = run_backup(state, from, 2);
        for (int i = 0; i < 4; i++) {
                struct run *run = run_restore(state, backup, to);

                run->fault = i % 2 ? "restore.renamed=kill" : "restore.renamed=fail";
                run->job.replace = ways[i / 2];
                if (i == 2)
                        make_database(to, 7);
                run_go(run);
                assert_int_not_equal(run->verdict, VDS_VERDICT_SUCCESS);
                assert_int_equal(sandbox_count(state, ".restore-"), 0);
                assert_int_equal(sandbox_count(state, ".aside-"), 0);
                if (i == 0)
                        assert_false(sandbox_exists(to));
                else
                        assert_rows(to, i == 2 ? 7 : 2000);
                if (i == 1)
                        assert_int_equal(unlink(to), 0);
                run_deinit(run);
        }
        run_deinit(backup);
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(backups),           SANDBOX_TEST(restores_to_a_new_name),
                SANDBOX_TEST(restores_in_place), SANDBOX_TEST(restores_aside),
                SANDBOX_TEST(renamed),
        };

        if (run_is_server(argc, argv))
                return 0;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
