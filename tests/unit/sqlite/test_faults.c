/* Every fault point of the server, failing and killed: the verdict is no success, and the target is as it was. */
#include "tests/unit/sqlite/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
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
static const char *const in_place_points[] = { "restore.temp.created", "restore.data.written", "restore.synced",
                                               "restore.checked",      "replace.begun",        "replace.copied" };

static void restores_to_a_new_name(void **state)
{
        restores(state, SERVER_REPLACE_NO, restore_points, 4);
}

static void restores_in_place(void **state)
{
        restores(state, SERVER_REPLACE_IN_PLACE, in_place_points, 6);
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

/* A client whose server stops at the point. */
static void play_client(void **state, const struct run *backup, const char *to, const char *point)
{
        struct run *run = run_restore(state, backup, to);
        char fault[64];

        snprintf(fault, sizeof fault, "%s=stop", point);
        run->fault = fault;
        run->job.replace = SERVER_REPLACE_IN_PLACE;
        run_go(run);
}

/* All devices are closed by then, and nobody is left to hear the verdict: the server takes back what it began. */
static void client_killed_while_the_database_is_replaced(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");
        struct run *backup;

        make_database(from, 2000);
        make_database(to, 7);
        backup = run_backup(state, from, 2);
        assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
        for (int i = 4; i < 6; i++) {
                int reached[2];
                char text[64];
                int status;
                pid_t client;
                pid_t server;

                assert_int_equal(pipe(reached), 0);
                snprintf(text, sizeof text, "%d", reached[1]);
                client = fork();
                assert_true(client >= 0);
                if (client == 0) {
                        setenv("VDIPIPE_FAULT_FD", text, 1);
                        play_client(state, backup, to, in_place_points[i]);
                        _exit(0);
                }
                close(reached[1]);
                assert_true(read(reached[0], text, sizeof text) > 0);
                assert_int_equal(kill(client, SIGKILL), 0);
                assert_int_equal(waitpid(client, NULL, 0), client);
                server = waitpid(-1, &status, WUNTRACED);
                assert_true(server > 0 && WIFSTOPPED(status));
                assert_int_equal(kill(server, SIGCONT), 0);
                assert_int_equal(waitpid(server, &status, 0), server);
                close(reached[0]);
                assert_int_equal(sandbox_count(state, "-journal") + sandbox_count(state, ".restore-"), 0);
                assert_rows(to, 7);
        }
        run_deinit(backup);
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(backups),           SANDBOX_TEST(restores_to_a_new_name),
                SANDBOX_TEST(restores_in_place), SANDBOX_TEST(restores_aside),
                SANDBOX_TEST(renamed),           SANDBOX_TEST(client_killed_while_the_database_is_replaced),
        };

        if (run_is_server(argc, argv))
                return 0;
        return cmocka_run_group_tests(tests, NULL, NULL);
}
