/* The image of a database is byte for byte what SQLite sees in it, and databases that cannot be read are refused in
 * words. */
#include "tests/unit/sqlite/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"

/* Runs in a process of its own, so that locks are somebody else's.
 * `ready` and `go` are pipe ends: one byte each way. */
struct other {
        pid_t pid;
        int ready;
        int go;
};

static struct other start_other(const char *path, void (*act)(sqlite3 *db))
{
        struct other other;
        int ready[2];
        int go[2];
        char byte;

        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(go), 0);
        other.pid = fork();
        assert_true(other.pid >= 0);
        if (other.pid == 0) {
                close(go[1]);
                close(ready[0]);
                act(sandbox_open(path));
                if (write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) < 0)
                        _exit(1);
                _exit(0);
        }
        close(ready[1]);
        close(go[0]);
        assert_int_equal(read(ready[0], &byte, 1), 1);
        other.ready = ready[0];
        other.go = go[1];
        return other;
}

static void end_other(struct other *other)
{
        int status;

        close(other->go);
        close(other->ready);
        waitpid(other->pid, &status, 0);
        assert_int_equal(status, 0);
}

static void every_shape_of_database(void **state)
{
        static const int page_sizes[] = { 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536 };
        static const char *const modes[] = { "DELETE", "WAL", "PERSIST", "TRUNCATE" };
        static const char *const encodings[] = { "UTF-8", "UTF-16le", "UTF-16be" };
        char name[64];

        for (int i = 0; i < 8; i++) {
                for (int vacuum = 0; vacuum < 3; vacuum++) {
                        sqlite3 *db;

                        snprintf(name, sizeof name, "%d-%d.db", page_sizes[i], vacuum);
                        db = sandbox_open(sandbox_path(state, name));
                        sandbox_exec(db, "PRAGMA page_size=%d; PRAGMA auto_vacuum=%d; PRAGMA encoding='%s'",
                                     page_sizes[i], vacuum, encodings[vacuum]);
                        sandbox_exec(db, "PRAGMA journal_mode=%s", modes[(i + vacuum) % 4]);
                        sandbox_fill(db, 200, 700);
                        sandbox_exec(db, "DELETE FROM t WHERE id %% 3 = 0");
                        sandbox_assert_image(sandbox_path(state, name), db);
                        sqlite3_close(db);
                        db = sandbox_open(sandbox_path(state, name));
                        sandbox_assert_image(sandbox_path(state, name), db);
                        sqlite3_close(db);
                }
        }
}

static void empty_database(void **state)
{
        const char *path = sandbox_path(state, "empty.db");
        struct image_options options = sandbox_options(path);
        size_t size = 1;

        close(open(path, O_CREAT | O_WRONLY, 0644));
        free(sandbox_image(&options, &size));
        assert_int_equal(size, 0);
        options.immutable = true;
        free(sandbox_image(&options, &size));
        assert_int_equal(size, 0);
}

static void file_longer_than_its_header_says(void **state)
{
        const char *path = sandbox_path(state, "long.db");
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, 50, 1000);
        sqlite3_close(db);
        assert_int_equal(truncate(path, 1 << 20), 0);
        db = sandbox_open(path);
        sandbox_assert_image(path, db);
        sqlite3_close(db);
}

static void file_that_ends_within_its_last_page(void **state)
{
        const char *path = sandbox_path(state, "short.db");
        sqlite3 *db = sandbox_open(path);
        struct stat st;

        sandbox_fill(db, 50, 1000);
        sqlite3_close(db);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(truncate(path, st.st_size - 100), 0);
        db = sandbox_open(path);
        sandbox_assert_image(path, db);
        sqlite3_close(db);
}

static sqlite3 *wal_database(const char *path)
{
        sqlite3 *db = sandbox_open(path);

        sandbox_exec(db, "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0");
        sandbox_fill(db, 300, 900);
        return db;
}

static void log_with_pending_frames(void **state)
{
        const char *path = sandbox_path(state, "wal.db");
        sqlite3 *db = wal_database(path);
        struct stat before;
        struct stat after;

        assert_int_equal(stat(path, &before), 0);
        sandbox_assert_image(path, db);
        sandbox_exec(db, "UPDATE t SET body=zeroblob(500) WHERE id %% 7 = 0; DELETE FROM t WHERE id > 250");
        sandbox_assert_image(path, db);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(before.st_size, after.st_size);
        sqlite3_close(db);
}

static void log_checkpointed_in_part(void **state)
{
        const char *path = sandbox_path(state, "part.db");
        sqlite3 *db = wal_database(path);
        sqlite3 *reader = sandbox_open(path);

        /* The reader's mark lets the checkpoint go only so far. */
        sandbox_exec(reader, "BEGIN");
        sandbox_number(reader, "SELECT count(*) FROM t");
        sandbox_exec(db, "UPDATE t SET body=randomblob(400) WHERE id %% 5 = 0");
        sandbox_exec(db, "PRAGMA wal_checkpoint(PASSIVE)");
        sandbox_assert_image(path, db);
        sandbox_exec(reader, "COMMIT");
        sqlite3_close(reader);
        sqlite3_close(db);
}

static void log_restarted(void **state)
{
        const char *path = sandbox_path(state, "restart.db");
        sqlite3 *db = wal_database(path);

        sandbox_exec(db, "PRAGMA wal_checkpoint(RESTART)");
        sandbox_assert_image(path, db);
        sandbox_exec(db, "UPDATE t SET body=randomblob(100) WHERE id < 20");
        sandbox_assert_image(path, db);
        sandbox_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
        sandbox_assert_image(path, db);
        sqlite3_close(db);
}

/* Copies database and log while they are open: what a crash leaves. */
static sqlite3 *crashed_wal(void **state, const char *name)
{
        const char *path = sandbox_path(state, "running.db");
        char wal[600];
        char to_wal[600];
        sqlite3 *db = wal_database(path);

        sandbox_exec(db, "PRAGMA wal_checkpoint(PASSIVE)");
        sandbox_exec(db, "UPDATE t SET body=randomblob(100) WHERE id < 20; DELETE FROM t WHERE id > 200; VACUUM");
        snprintf(wal, sizeof wal, "%s-wal", path);
        snprintf(to_wal, sizeof to_wal, "%s-wal", name);
        sandbox_copy(path, name);
        sandbox_copy(wal, to_wal);
        return db;
}

static void log_without_its_index(void **state)
{
        const char *path = sandbox_path(state, "crashed.db");
        sqlite3 *running = crashed_wal(state, path);
        char wal[600];

        sandbox_assert_image(path, running);
        /* The frames are pending still: closing the image moved nothing. */
        snprintf(wal, sizeof wal, "%s-wal", path);
        assert_true(sandbox_exists(wal));
        sandbox_assert_image(path, running);
        sqlite3_close(running);
}

static void opening_leaves_no_files(void **state)
{
        const char *path = sandbox_path(state, "clean.db");
        struct image_options options = sandbox_options(path);
        size_t size;

        sqlite3_close(wal_database(path));
        assert_int_equal(sandbox_count(state, "clean.db"), 1);
        free(sandbox_image(&options, &size));
        assert_int_equal(sandbox_count(state, "clean.db"), 1);
}

static void immutable_reads_the_log_itself(void **state)
{
        const char *path = sandbox_path(state, "frozen.db");
        sqlite3 *running = crashed_wal(state, path);
        struct image_options options = sandbox_options(path);
        size_t image_bytes;
        size_t seen_bytes;
        CLEANUP(freep) uint8_t *image = NULL;
        CLEANUP(freep) uint8_t *seen = sandbox_serialize(running, &seen_bytes);

        options.immutable = true;
        image = sandbox_image(&options, &image_bytes);
        assert_int_equal(image_bytes, seen_bytes);
        assert_memory_equal(image, seen, seen_bytes);
        assert_int_equal(sandbox_count(state, "frozen.db"), 2);
        sqlite3_close(running);
}

static void immutable_ignores_a_torn_transaction(void **state)
{
        const char *path = sandbox_path(state, "torn.db");
        sqlite3 *running = crashed_wal(state, path);
        struct image_options options = sandbox_options(path);
        char wal[600];
        struct stat st;
        size_t image_bytes;
        size_t seen_bytes;
        CLEANUP(freep) uint8_t *image = NULL;
        CLEANUP(freep) uint8_t *seen = NULL;
        sqlite3 *db;

        snprintf(wal, sizeof wal, "%s-wal", path);
        assert_int_equal(stat(wal, &st), 0);
        assert_int_equal(truncate(wal, st.st_size - 5000), 0);
        options.immutable = true;
        image = sandbox_image(&options, &image_bytes);
        db = sandbox_open(path);
        seen = sandbox_serialize(db, &seen_bytes);
        assert_int_equal(image_bytes, seen_bytes);
        assert_memory_equal(image, seen, seen_bytes);
        sqlite3_close(db);
        sqlite3_close(running);
}

/* Leaves "hot.db" with the journal of a transaction that was cut off, and returns what it was before. */
static sqlite3 *hot_journal(void **state)
{
        const char *path = sandbox_path(state, "busy.db");
        sqlite3 *before;
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, 500, 900);
        sandbox_copy(path, sandbox_path(state, "before.db"));
        sandbox_exec(db, "PRAGMA cache_size=5; PRAGMA cache_spill=5; BEGIN; UPDATE t SET body=randomblob(900)");
        sandbox_copy(sandbox_path(state, "busy.db"), sandbox_path(state, "hot.db"));
        sandbox_copy(sandbox_path(state, "busy.db-journal"), sandbox_path(state, "hot.db-journal"));
        sandbox_exec(db, "ROLLBACK");
        sqlite3_close(db);
        before = sandbox_open(sandbox_path(state, "before.db"));
        return before;
}

static void hot_journal_is_rolled_back(void **state)
{
        sqlite3 *before = hot_journal(state);
        struct image_options options = sandbox_options(sandbox_path(state, "hot.db"));
        size_t image_bytes;
        size_t seen_bytes;
        CLEANUP(freep) uint8_t *image = NULL;
        CLEANUP(freep) uint8_t *seen = sandbox_serialize(before, &seen_bytes);

        options.immutable = true;
        sandbox_assert_refused(&options, ERR_FAILED, "without --immutable");
        options.immutable = false;
        image = sandbox_image(&options, &image_bytes);
        assert_int_equal(image_bytes, seen_bytes);
        assert_memory_equal(image, seen, seen_bytes);
        sqlite3_close(before);
}

static void hold_exclusively(sqlite3 *db)
{
        sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; CREATE TABLE x(a)", NULL, NULL, NULL);
}

static void hold_wal_exclusively(sqlite3 *db)
{
        sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE x(a)", NULL, NULL, NULL);
}

static void exclusive_holder_is_busy(void **state)
{
        void (*const holders[])(sqlite3 *) = { hold_exclusively, hold_wal_exclusively };

        for (int i = 0; i < 2; i++) {
                const char *path = sandbox_path(state, i ? "held-wal.db" : "held.db");
                struct image_options options = sandbox_options(path);
                struct other other = start_other(path, holders[i]);

                options.busy_timeout_ms = 30;
                sandbox_assert_refused(&options, ERR_BUSY, "is locked by another process");
                end_other(&other);
        }
}

static bool always(void *context)
{
        (void)context;
        return true;
}

static void waiting_ends_when_cancelled(void **state)
{
        const char *path = sandbox_path(state, "held.db");
        struct image_options options = sandbox_options(path);
        struct other other = start_other(path, hold_exclusively);
        int64_t start = monotonic_ns();

        options.busy_timeout_ms = 60000;
        options.cancelled = always;
        sandbox_assert_refused(&options, ERR_BUSY, "is locked by another process");
        assert_true(monotonic_ns() - start < INT64_C(10000000000));
        end_other(&other);
}

static void write_file(const char *path, const char *bytes, size_t size)
{
        FILE *file = fopen(path, "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        fclose(file);
}

static void what_is_no_database(void **state)
{
        static const char text[4096] = "This is a letter, not a database.";
        const char *path = sandbox_path(state, "letter.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        struct error err = ERROR_INIT;

        sandbox_assert_refused(&options, ERR_IO, "No such file");
        write_file(path, text, sizeof text);
        sandbox_assert_refused(&options, ERR_FAILED, "is not a SQLite database (or is encrypted)");
        options.immutable = true;
        sandbox_assert_refused(&options, ERR_FAILED, "is not a SQLite database (or is encrypted)");
        write_file(path, "SQLite format 3", 16);
        sandbox_assert_refused(&options, ERR_FAILED, "is not a SQLite database (or is encrypted)");
        options.immutable = false;
        assert_int_equal(image_open(&options, &image, &err), -1);
        options.path = *state;
        sandbox_assert_refused(&options, ERR_FAILED, "is not a regular file");
        options.path = "relative.db";
        sandbox_assert_refused(&options, ERR_USAGE, "is not an absolute path");
}

static void names_that_look_like_something_else(void **state)
{
        static const char *const names[] = { "new\nline.db",    "quote'\".db", "100%41.db",
                                             "what?mode=ro.db", "hash#1.db",   "file:x?immutable=1",
                                             "sp ace\\.db",     "\xff\xfe.db", "-leading.db",
                                             ":memory:" };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                const char *path = sandbox_path(state, names[i]);
                struct image_options options = sandbox_options(path);
                sqlite3 *db = sandbox_open(path);
                size_t size;

                sandbox_fill(db, 20, 500);
                sandbox_assert_image(path, db);
                sqlite3_close(db);
                options.immutable = true;
                free(sandbox_image(&options, &size));
                assert_true(size > 0);
        }
}

static void symbolic_link_finds_the_log(void **state)
{
        const char *path = sandbox_path(state, "real.db");
        const char *link = sandbox_path(state, "link.db");
        sqlite3 *db = wal_database(path);

        assert_int_equal(symlink(path, link), 0);
        sandbox_assert_image(link, db);
        sqlite3_close(db);
}

/* A gibibyte and more, most of it a hole: the page that holds SQLite's lock bytes lies at one gibibyte. */
static void past_the_lock_byte_page(void **state)
{
        const char *path = sandbox_path(state, "large.db");
        const struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        CLEANUP(freep) uint8_t *bytes = malloc(1 << 20);
        struct error err = ERROR_INIT;
        struct server_part parts[2];
        uint32_t page_size = 65536;
        uint32_t pages = 17600;
        sqlite3 *db = sandbox_open(path);
        uint8_t count[4] = { (uint8_t)(pages >> 24), (uint8_t)(pages >> 16), (uint8_t)(pages >> 8), (uint8_t)pages };
        int fd;

        sandbox_exec(db, "PRAGMA page_size=65536");
        sandbox_fill(db, 10, 1000);
        sqlite3_close(db);
        fd = open(path, O_RDWR);
        assert_int_equal(pwrite(fd, count, 4, 28), 4);
        assert_int_equal(ftruncate(fd, (off_t)pages * page_size), 0);
        assert_int_equal(pwrite(fd, "behind", 6, (INT64_C(1) << 30) + page_size), 6);
        assert_int_equal(image_open(&options, &image, &err), 0);
        assert_int_equal(image_facts(image)->size, (uint64_t)pages * page_size);
        parts[0] = (struct server_part){ .offset = 0, .length = page_size };
        parts[1] = (struct server_part){ .offset = (UINT64_C(1) << 30) - page_size, .length = 16 * page_size };
        assert_int_equal(image_start(image, parts, 2, &err), 0);
        assert_int_equal(image_read(image, parts[1].offset, bytes, 16 * page_size, &err), 0);
        assert_memory_equal(bytes + 2 * page_size, "behind", 6);
        /* Our lock is still there: reading that place did not open and close the file. */
        db = sandbox_open(path);
        sqlite3_busy_timeout(db, 0);
        assert_int_equal(sqlite3_exec(db, "CREATE TABLE y(a)", NULL, NULL, NULL), SQLITE_BUSY);
        sqlite3_close(db);
        close(fd);
}

static void enter_as_nobody(const char *folder)
{
        assert_int_equal(chmod(folder, 0555), 0);
        assert_int_equal(setegid(65534), 0);
        assert_int_equal(seteuid(65534), 0);
}

static void leave_nobody(void)
{
        assert_int_equal(seteuid(0), 0);
        assert_int_equal(setegid(0), 0);
}

static void folder_that_cannot_be_written_to(void **state)
{
        const char *path = sandbox_path(state, "ro.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        struct error err = ERROR_INIT;
        size_t size = 0;

        if (geteuid() != 0)
                skip();
        sqlite3_close(wal_database(path));
        enter_as_nobody(*state);
        assert_int_equal(image_open(&options, &image, &err), -1);
        options.immutable = true;
        free(sandbox_image(&options, &size));
        leave_nobody();
        assert_non_null(strstr(err.message, "--immutable"));
        assert_true(size > 0);
}

static void immutable_notices_a_broken_promise(void **state)
{
        const char *path = sandbox_path(state, "written.db");
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        struct error err = ERROR_INIT;
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, 100, 1000);
        options.immutable = true;
        assert_int_equal(image_open(&options, &image, &err), 0);
        sandbox_fill(db, 100, 1000);
        err = (struct error)ERROR_INIT;
        assert_int_equal(image_check(image, &err), -1);
        assert_non_null(strstr(err.message, "was written to while it was read"));
        sqlite3_close(db);
}

/* Whether what was read of a database in rollback mode passes once `harm` was done to its file. */
static int check_after(void **state, const char *name, void (*harm)(const char *path), struct error *err)
{
        const char *path = sandbox_path(state, name);
        struct image_options options = sandbox_options(path);
        CLEANUP(image_closep) struct image *image = NULL;
        struct server_part whole = { 0 };
        CLEANUP(freep) uint8_t *bytes = NULL;
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, 100, 1000);
        sqlite3_close(db);
        assert_int_equal(image_open(&options, &image, err), 0);
        whole.length = image_facts(image)->size;
        bytes = malloc(whole.length);
        assert_non_null(bytes);
        assert_int_equal(image_start(image, &whole, 1, err), 0);
        harm(path);
        assert_int_equal(image_read(image, 0, bytes, whole.length, err), 0);
        return image_check(image, err);
}

static void do_nothing(const char *path)
{
        (void)path;
}

static void cut(const char *path)
{
        assert_int_equal(truncate(path, 4096), 0);
}

static void take_away(const char *path)
{
        assert_int_equal(unlink(path), 0);
}

static void files_that_others_write_past_the_locks(void **state)
{
        struct error err = ERROR_INIT;

        assert_int_equal(check_after(state, "kept.db", do_nothing, &err), 0);
        assert_int_equal(check_after(state, "gone.db", take_away, &err), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(check_after(state, "cut.db", cut, &err), -1);
        assert_non_null(strstr(err.message, "was written to past SQLite's locks"));
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(every_shape_of_database),
                SANDBOX_TEST(empty_database),
                SANDBOX_TEST(file_longer_than_its_header_says),
                SANDBOX_TEST(file_that_ends_within_its_last_page),
                SANDBOX_TEST(log_with_pending_frames),
                SANDBOX_TEST(log_checkpointed_in_part),
                SANDBOX_TEST(log_restarted),
                SANDBOX_TEST(log_without_its_index),
                SANDBOX_TEST(opening_leaves_no_files),
                SANDBOX_TEST(immutable_reads_the_log_itself),
                SANDBOX_TEST(immutable_ignores_a_torn_transaction),
                SANDBOX_TEST(immutable_notices_a_broken_promise),
                SANDBOX_TEST(files_that_others_write_past_the_locks),
                SANDBOX_TEST(hot_journal_is_rolled_back),
                SANDBOX_TEST(exclusive_holder_is_busy),
                SANDBOX_TEST(waiting_ends_when_cancelled),
                SANDBOX_TEST(what_is_no_database),
                SANDBOX_TEST(names_that_look_like_something_else),
                SANDBOX_TEST(symbolic_link_finds_the_log),
                SANDBOX_TEST(past_the_lock_byte_page),
                SANDBOX_TEST(folder_that_cannot_be_written_to),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
