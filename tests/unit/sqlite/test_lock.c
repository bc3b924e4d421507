/* What a backup costs others: writers wait no longer than the bound, and the image is consistent whatever they do. */
#include "tests/unit/sqlite/sandbox.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"

enum { MAX_LOCK_MS = 150, ITERATIONS = 40 };

/* Reads one part of the image with everything that is in it. */
static void read_part(struct image *image, const struct server_part *part, uint8_t *bytes)
{
        struct error err = ERROR_INIT;
        uint64_t end = part->offset + part->length;

        for (uint64_t at = part->offset; at < end; at += 65536)
                if (image_read(image, at, bytes + at, end - at < 65536 ? end - at : 65536, &err) < 0)
                        fail_msg("%s", err.message);
}

/* A consumer that stops reading in the middle until a writer has got through. */
static void writers_get_through_a_slow_backup(void **state)
{
        const char *path = sandbox_path(state, "slow.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        CLEANUP(freep) uint8_t *seen = NULL;
        CLEANUP(freep) uint8_t *bytes = NULL;
        struct error err = ERROR_INIT;
        struct server_part parts[3];
        sqlite3 *db = sandbox_open(path);
        size_t size;
        int64_t start;
        int64_t waited_ms;

        sandbox_fill(db, 4000, 1000);
        seen = sandbox_serialize(db, &size);
        bytes = calloc(1, size);
        options.max_lock_ms = MAX_LOCK_MS;
        assert_int_equal(image_open(&options, &image, &err), 0);
        image_cut(image, 3, parts);
        assert_int_equal(image_start(image, parts, 3, &err), 0);
        read_part(image, &parts[1], bytes);
        assert_int_equal(image_read(image, 0, bytes, 65536, &err), 0);

        start = monotonic_ns();
        sandbox_exec(db, "UPDATE t SET body=zeroblob(1000)");
        waited_ms = (monotonic_ns() - start) / 1000000;
        assert_true(waited_ms < MAX_LOCK_MS + 5000);

        assert_true(image_was_spooled(image));
        parts[0].offset += 65536;
        parts[0].length -= 65536;
        read_part(image, &parts[0], bytes);
        read_part(image, &parts[2], bytes);
        assert_int_equal(image_check(image, &err), 0);
        assert_memory_equal(bytes, seen, size);
        assert_int_equal(sandbox_count(state, "spool"), 0);
        sqlite3_close(db);
}

static void the_lock_is_let_go_once_all_is_read(void **state)
{
        const char *path = sandbox_path(state, "quick.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        CLEANUP(freep) uint8_t *bytes = NULL;
        struct error err = ERROR_INIT;
        struct server_part part;
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, 100, 1000);
        assert_int_equal(image_open(&options, &image, &err), 0);
        bytes = malloc(image_facts(image)->size);
        image_cut(image, 1, &part);
        assert_int_equal(image_start(image, &part, 1, &err), 0);
        read_part(image, &part, bytes);
        /* Waits for the spooler, at most; fails if the lock stays. */
        sandbox_exec(db, "DELETE FROM t");
        assert_false(image_was_spooled(image));
        sqlite3_close(db);
}

static void growing_log_is_spooled(void **state)
{
        const char *path = sandbox_path(state, "grow.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        CLEANUP(freep) uint8_t *seen = NULL;
        CLEANUP(freep) uint8_t *bytes = NULL;
        struct error err = ERROR_INIT;
        struct server_part parts[2];
        struct deadline deadline = deadline_after_ms(30000);
        sqlite3 *db = sandbox_open(path);
        size_t size;

        sandbox_exec(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
        sandbox_fill(db, 500, 1000);
        sandbox_exec(db, "PRAGMA wal_checkpoint(PASSIVE); UPDATE t SET body=randomblob(1000) WHERE id < 50");
        seen = sandbox_serialize(db, &size);
        bytes = malloc(size);
        options.max_wal = 1 << 20;
        assert_int_equal(image_open(&options, &image, &err), 0);
        image_cut(image, 2, parts);
        assert_int_equal(image_start(image, parts, 2, &err), 0);
        read_part(image, &parts[1], bytes);
        while (!image_was_spooled(image) && !deadline_passed(deadline))
                sandbox_exec(db, "UPDATE t SET body=randomblob(1000)");
        assert_true(image_was_spooled(image));
        /* Nothing holds the log any more: it can be emptied, and the image does not change. */
        sandbox_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
        sandbox_exec(db, "UPDATE t SET body=zeroblob(10)");
        read_part(image, &parts[0], bytes);
        assert_memory_equal(bytes, seen, size);
        sqlite3_close(db);
}

static void no_folder_for_the_spool(void **state)
{
        const char *path = sandbox_path(state, "nowhere.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        struct error err = ERROR_INIT;
        struct server_part part;
        sqlite3 *db = sandbox_open(path);
        uint8_t page[4096];

        sandbox_fill(db, 100, 1000);
        options.max_lock_ms = 0;
        options.spool_dir = sandbox_path(state, "missing");
        assert_int_equal(image_open(&options, &image, &err), 0);
        image_cut(image, 1, &part);
        assert_int_equal(image_start(image, &part, 1, &err), 0);
        sandbox_exec(db, "DELETE FROM t");
        err = (struct error)ERROR_INIT;
        assert_int_equal(image_read(image, 0, page, sizeof page, &err), -1);
        assert_non_null(strstr(err.message, "--spool-dir"));
        sqlite3_close(db);
}

/* Commits as fast as it can, moving a value between two tables whose sum stays, and checkpoints in every way. */
static void write_for_ever(const char *path, int ready)
{
        static const char *const checkpoints[] = { "PASSIVE", "RESTART", "TRUNCATE", "FULL" };
        sqlite3 *db;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        db = sandbox_open(path);
        sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=0", NULL, NULL, NULL);
        sqlite3_busy_timeout(db, 5);
        for (unsigned i = 0;; i++) {
                char sql[400];

                snprintf(sql, sizeof sql,
                         "BEGIN IMMEDIATE; UPDATE a SET n=n+1, pad=randomblob(300) WHERE id=%u;"
                         "UPDATE b SET n=n-1, pad=randomblob(300) WHERE id=%u;"
                         "INSERT INTO log(pad) VALUES(randomblob(%u)); DELETE FROM log WHERE id < %d; COMMIT",
                         i % 97 + 1, i * 31 % 97 + 1, i % 3000, (int)i - 50);
                if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
                        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
                if (i % 7 == 0) {
                        snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s)", checkpoints[i / 7 % 4]);
                        sqlite3_exec(db, sql, NULL, NULL, NULL);
                }
                if (i == 100 && write(ready, "r", 1) != 1)
                        _exit(1);
        }
}

static pid_t start_writer(const char *path)
{
        int ready[2];
        char byte;
        pid_t pid;

        assert_int_equal(pipe(ready), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                write_for_ever(path, ready[1]);
        close(ready[1]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        close(ready[0]);
        return pid;
}

static void images_under_a_busy_writer_are_consistent(void **state)
{
        const char *path = sandbox_path(state, "writer.db");
        const char *copy = sandbox_path(state, "copy.db");
        struct image_options options = sandbox_options(path);
        sqlite3 *db = sandbox_open(path);
        pid_t writer;

        sandbox_exec(db,
                     "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; CREATE TABLE a(id INTEGER PRIMARY KEY, n, pad);"
                     "CREATE TABLE b(id INTEGER PRIMARY KEY, n, pad); CREATE TABLE log(id INTEGER PRIMARY KEY, pad);"
                     "CREATE INDEX ai ON a(n); CREATE INDEX bi ON b(pad)");
        sandbox_exec(db, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 97) "
                         "INSERT INTO a SELECT i, 1000, randomblob(300) FROM n");
        sandbox_exec(db, "INSERT INTO b SELECT * FROM a");
        sqlite3_close(db);
        writer = start_writer(path);
        options.busy_timeout_ms = 10000;
        for (int i = 0; i < ITERATIONS; i++) {
                size_t size;
                CLEANUP(freep) uint8_t *bytes = sandbox_image(&options, &size);
                FILE *file = fopen(copy, "w");

                assert_int_equal(fwrite(bytes, 1, size, file), size);
                fclose(file);
                sandbox_assert_sound(copy);
                db = sandbox_open(copy);
                assert_int_equal(sandbox_number(db, "SELECT (SELECT sum(n) FROM a) + (SELECT sum(n) FROM b)"), 194000);
                sqlite3_close(db);
        }
        kill(writer, SIGKILL);
        waitpid(writer, NULL, 0);
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(void)
{
        /* The writer is forked: before any thread. */
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(images_under_a_busy_writer_are_consistent),
                SANDBOX_TEST(writers_get_through_a_slow_backup),
                SANDBOX_TEST(the_lock_is_let_go_once_all_is_read),
                SANDBOX_TEST(growing_log_is_spooled),
                SANDBOX_TEST(no_folder_for_the_spool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
