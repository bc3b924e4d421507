/* The ways of a restored database into its place, and what is left when they fail or their process dies. */
#include "tests/unit/sqlite/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/sqlite/check.h"
#include "core/sqlite/replace.h"
#include "core/sqlite/target.h"

struct scene {
        struct target target;
        struct staged staged;
        struct db_patience patience;
        char note[ERROR_MESSAGE_MAX];
        struct replacement replacement;
};

/* A target called NAME, and a staged database with `rows` rows and the page size. */
static void scene_set(struct scene *scene, void **state, const char *name, int rows, int page_size)
{
        const char *made = sandbox_path(state, "made.db");
        struct error err = ERROR_INIT;
        char *path;
        sqlite3 *db;

        *scene = (struct scene){ .target = TARGET_INIT, .staged = STAGED_INIT };
        unlink(made);
        db = sandbox_open(made);
        sandbox_exec(db, "PRAGMA page_size=%d", page_size);
        sandbox_fill(db, rows, 800);
        sqlite3_close(db);
        assert_int_equal(target_open(&scene->target, sandbox_path(state, name), &err), 0);
        assert_int_equal(target_look(&scene->target, &err), 0);
        assert_int_equal(target_stage(&scene->target, "restore", &scene->staged, &err), 0);
        assert_int_equal(target_staged_path(&scene->target, &scene->staged, &path, &err), 0);
        sandbox_copy(made, path);
        free(path);
        scene->patience.deadline = deadline_after_ms(100);
        scene->replacement = (struct replacement){
                .target = &scene->target, .staged = &scene->staged, .patience = &scene->patience, .note = scene->note
        };
}

static void scene_clear(struct scene *scene, void **state)
{
        staged_deinit(&scene->staged);
        target_deinit(&scene->target);
        assert_int_equal(sandbox_count(state, ".restore-"), 0);
        assert_int_equal(sandbox_count(state, ".aside-"), 0);
}

static void make_old(const char *path, const char *mode, int rows)
{
        sqlite3 *db = sandbox_open(path);

        sandbox_exec(db, "PRAGMA page_size=4096; PRAGMA journal_mode=%s", mode);
        sandbox_fill(db, rows, 500);
        sqlite3_close(db);
}

static sqlite3_int64 count_rows(const char *path)
{
        sqlite3 *db = sandbox_open(path);
        sqlite3_int64 rows = sandbox_number(db, "SELECT count(*) FROM t");

        sqlite3_close(db);
        return rows;
}

static void into_a_free_name(void **state)
{
        const char *path = sandbox_path(state, "new.db");
        struct scene scene;
        struct error err = ERROR_INIT;

        scene_set(&scene, state, "new.db", 30, 4096);
        assert_int_equal(replace_new(&scene.replacement, &err), 0);
        scene_clear(&scene, state);
        assert_int_equal(count_rows(path), 30);
}

static void never_beside_an_old_log(void **state)
{
        static const char *const names[] = { "n.db", "n.db-wal", "n.db-journal", "n.db-shm" };

        for (int i = 0; i < 4; i++) {
                struct scene scene;
                struct error err = ERROR_INIT;
                int fd;

                scene_set(&scene, state, "n.db", 30, 4096);
                fd = open(sandbox_path(state, names[i]), O_CREAT | O_RDWR, 0600);
                close(fd);
                err = (struct error)ERROR_INIT;
                assert_int_equal(replace_new(&scene.replacement, &err), -1);
                assert_non_null(strstr(err.message, names[i]));
                scene_clear(&scene, state);
                assert_int_equal(unlink(sandbox_path(state, names[i])), 0);
        }
}

static void in_place_keeps_readers_of_the_old(void **state)
{
        static const char *const modes[] = { "DELETE", "WAL" };

        for (int i = 0; i < 2; i++) {
                const char *path = sandbox_path(state, i ? "w.db" : "d.db");
                struct scene scene;
                struct error err = ERROR_INIT;
                sqlite3 *other;

                make_old(path, modes[i], 10);
                other = sandbox_open(path);
                assert_int_equal(sandbox_number(other, "SELECT count(*) FROM t"), 10);
                if (i == 1)
                        sandbox_exec(other, "BEGIN; SELECT count(*) FROM t");
                scene_set(&scene, state, i ? "w.db" : "d.db", 700, 4096);
                if (replace_in_place(&scene.replacement, &err) < 0)
                        fail_msg("%s", err.message);
                if (i == 1) {
                        assert_int_equal(sandbox_number(other, "SELECT count(*) FROM t"), 10);
                        sandbox_exec(other, "COMMIT");
                }
                assert_int_equal(sandbox_number(other, "SELECT count(*) FROM t"), 700);
                sandbox_fill(other, 5, 100);
                sqlite3_close(other);
                scene_clear(&scene, state);
                sandbox_assert_sound(path);
        }
}

static void in_place_with_another_page_size(void **state)
{
        const char *path = sandbox_path(state, "ps.db");
        struct scene scene;
        struct error err = ERROR_INIT;
        char mode[16];
        sqlite3 *other;

        make_old(path, "WAL", 10);
        other = sandbox_open(path);
        assert_int_equal(sandbox_number(other, "SELECT count(*) FROM t"), 10);
        scene_set(&scene, state, "ps.db", 300, 1024);
        assert_int_equal(replace_in_place(&scene.replacement, &err), -1);
        assert_int_equal(err.code, ERR_BUSY);
        assert_non_null(strstr(err.message, "another page size"));
        assert_int_equal(sandbox_number(other, "SELECT count(*) FROM t"), 10);
        sqlite3_close(other);
        assert_int_equal(replace_in_place(&scene.replacement, &err), 0);
        scene_clear(&scene, state);
        assert_int_equal(count_rows(path), 300);
        other = sandbox_open(path);
        assert_int_equal(db_text(other, "PRAGMA journal_mode", mode, sizeof mode), SQLITE_OK);
        assert_string_equal(mode, "wal");
        assert_int_equal(sandbox_number(other, "PRAGMA page_size"), 1024);
        sqlite3_close(other);
        sandbox_assert_sound(path);
}

static void in_place_of_a_busy_database(void **state)
{
        const char *path = sandbox_path(state, "busy.db");
        struct scene scene;
        struct error err = ERROR_INIT;
        sqlite3 *other;

        make_old(path, "DELETE", 10);
        other = sandbox_open(path);
        sandbox_exec(other, "BEGIN IMMEDIATE; DELETE FROM t");
        scene_set(&scene, state, "busy.db", 300, 4096);
        assert_int_equal(replace_probe_in_place(&scene.replacement, &err), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(replace_in_place(&scene.replacement, &err), -1);
        assert_int_equal(err.code, ERR_BUSY);
        sandbox_exec(other, "ROLLBACK");
        assert_int_equal(sandbox_number(other, "SELECT count(*) FROM t"), 10);
        sqlite3_close(other);
        scene_clear(&scene, state);
}

static void in_place_of_no_database_names_aside(void **state)
{
        const char *path = sandbox_path(state, "junk.db");
        struct scene scene;
        struct error err = ERROR_INIT;
        FILE *file = fopen(path, "w");

        fprintf(file, "%04096d", 1);
        fclose(file);
        scene_set(&scene, state, "junk.db", 300, 4096);
        assert_int_equal(replace_probe_in_place(&scene.replacement, &err), -1);
        assert_int_equal(err.code, ERR_FAILED);
        assert_non_null(strstr(err.message, "--replace=aside"));
        scene_clear(&scene, state);
}

/* Plays an abort at the `at`-th look, and a second connection that looks in between. */
struct watcher {
        const char *path;
        int looks;
        int at;
};

static bool watch(void *watcher_at)
{
        struct watcher *watcher = watcher_at;
        sqlite3 *db = NULL;
        sqlite3_int64 rows = 0;
        int result;

        assert_int_equal(sqlite3_open_v2(watcher->path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
        result = db_number(db, "SELECT count(*) FROM t", &rows);
        if (!db_is_busy(result)) {
                assert_int_equal(result, SQLITE_OK);
                assert_int_equal(rows, 10);
        }
        sqlite3_close(db);
        return ++watcher->looks == watcher->at;
}

static void in_place_ends_when_it_is_told_to(void **state)
{
        static const char *const modes[] = { "DELETE", "WAL" };

        for (int i = 0; i < 2; i++) {
                const char *path = sandbox_path(state, i ? "w.db" : "d.db");
                struct watcher watcher = { .path = path };
                struct scene scene;
                struct error err = ERROR_INIT;

                make_old(path, modes[i], 10);
                scene_set(&scene, state, i ? "w.db" : "d.db", 4000, 4096);
                scene.patience.cancelled = watch;
                scene.patience.context = &watcher;
                for (watcher.at = 1;; watcher.at++) {
                        watcher.looks = 0;
                        if (replace_in_place(&scene.replacement, &err) == 0)
                                break;
                        assert_int_equal(err.code, ERR_ABORTED);
                        assert_int_equal(count_rows(path), 10);
                        sandbox_assert_sound(path);
                        assert_int_equal(sandbox_count(state, "-journal"), 0);
                }
                /* Begun, three pieces of pages, the last page. */
                assert_true(watcher.at > 5);
                assert_int_equal(count_rows(path), 4000);
                sandbox_assert_sound(path);
                scene_clear(&scene, state);
        }
}

/* A file system of our own, in the sandbox; false where that is not permitted. */
static bool mount_small(const char *folder, const char *options)
{
        assert_int_equal(mkdir(folder, 0700), 0);
        return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("none", folder, "tmpfs", 0, options) == 0;
}

static void in_place_where_the_disk_fills_up(void **state)
{
        const char *folder = sandbox_path(state, "small");
        const char *path = sandbox_path(state, "small/f.db");
        const char *before = sandbox_path(state, "before.db");
        CLEANUP(freep) char *old_bytes = NULL;
        CLEANUP(freep) char *new_bytes = NULL;
        struct scene scene;
        struct error err = ERROR_INIT;
        size_t old_size;
        size_t new_size;

        /* The staged file, the old database and its journal fit, the new pages do not. */
        if (!mount_small(folder, "size=13m"))
                skip();
        make_old(path, "DELETE", 6000);
        sandbox_copy(path, before);
        scene_set(&scene, state, "small/f.db", 7000, 4096);
        assert_int_equal(replace_in_place(&scene.replacement, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_false(sandbox_exists(sandbox_path(state, "small/f.db-journal")));
        assert_int_equal(fd_read_file(AT_FDCWD, before, 64 << 20, &old_bytes, &old_size), 0);
        assert_int_equal(fd_read_file(AT_FDCWD, path, 64 << 20, &new_bytes, &new_size), 0);
        assert_int_equal(new_size, old_size);
        assert_memory_equal(new_bytes, old_bytes, old_size);
        scene_clear(&scene, state);
        assert_int_equal(umount(folder), 0);
}

static void aside_keeps_the_old_database(void **state)
{
        const char *path = sandbox_path(state, "old.db");
        struct scene scene;
        struct error err = ERROR_INIT;
        FILE *file;

        make_old(path, "DELETE", 10);
        file = fopen(sandbox_path(state, "old.db-wal"), "w");
        fprintf(file, "stale");
        fclose(file);
        scene_set(&scene, state, "old.db", 300, 4096);
        if (replace_aside(&scene.replacement, &err) < 0)
                fail_msg("%s", err.message);
        assert_non_null(strstr(scene.note, "old.db.replaced-"));
        scene_clear(&scene, state);
        assert_int_equal(sandbox_count(state, "old.db.replaced-"), 2);
        assert_false(sandbox_exists(sandbox_path(state, "old.db-wal")));
        assert_int_equal(count_rows(path), 300);
}

struct aside_run {
        struct scene scene;
        struct error err;
        int result;
};

static void *aside_main(void *run_at)
{
        struct aside_run *run = run_at;

        run->result = target_lock(&run->scene.target, &run->scene.patience, &run->err);
        if (run->result == 0)
                run->result = replace_aside(&run->scene.replacement, &run->err);
        staged_deinit(&run->scene.target.lock);
        return NULL;
}

/* Rows of the database that the run has put aside. */
static sqlite3_int64 count_taken(struct aside_run *run)
{
        char *path = strchr(run->scene.note, '/');

        path[strcspn(path, "'")] = '\0';
        return count_rows(path);
}

/* One comes first; the other one finds a new database, which its run has open still, or takes that away in its turn.
 * Nothing is lost either way. */
static void asides_at_the_same_time(void **state)
{
        for (int round = 0; round < 20; round++) {
                struct aside_run runs[2] = { 0 };
                sqlite3_int64 wanted = 10;
                sqlite3_int64 found;
                pthread_t threads[2];
                int succeeded = 0;
                char name[32];
                char aside[64];

                snprintf(name, sizeof name, "twice-%d.db", round);
                snprintf(aside, sizeof aside, "%s.replaced-", name);
                make_old(sandbox_path(state, name), "DELETE", 10);
                for (int i = 0; i < 2; i++) {
                        scene_set(&runs[i].scene, state, name, 20 + i, 4096);
                        runs[i].scene.patience.deadline = deadline_after_ms(60000);
                }
                for (int i = 0; i < 2; i++)
                        assert_int_equal(pthread_create(&threads[i], NULL, aside_main, &runs[i]), 0);
                for (int i = 0; i < 2; i++)
                        pthread_join(threads[i], NULL);
                found = count_rows(sandbox_path(state, name));
                for (int i = 0; i < 2; i++) {
                        staged_deinit(&runs[i].scene.staged);
                        target_deinit(&runs[i].scene.target);
                        if (runs[i].result < 0) {
                                assert_int_equal(runs[i].err.code, ERR_BUSY);
                                continue;
                        }
                        succeeded++;
                        wanted += 20 + i;
                        found += count_taken(&runs[i]);
                }
                assert_true(succeeded > 0);
                assert_int_equal(found, wanted);
                assert_int_equal(sandbox_count(state, aside), succeeded);
        }
}

static void a_locked_target_is_waited_for_and_its_holder_named(void **state)
{
        struct scene first;
        struct scene second;
        struct error err = ERROR_INIT;
        char holder[32];
        int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        /* Whoever may only read the folder can hold this. */
        assert_int_equal(flock(fd, LOCK_EX), 0);
        scene_set(&first, state, "l.db", 30, 4096);
        scene_set(&second, state, "l.db", 31, 4096);
        assert_int_equal(target_lock(&first.target, &first.patience, &err), 0);
        assert_int_equal(sandbox_count(state, ".l.db.lock-"), 1);
        assert_int_equal(target_lock(&second.target, &second.patience, &err), -1);
        assert_int_equal(err.code, ERR_BUSY);
        snprintf(holder, sizeof holder, "process %ld", (long)getpid());
        assert_non_null(strstr(err.message, holder));
        assert_non_null(strstr(err.message, "l.db"));
        err = (struct error)ERROR_INIT;
        staged_deinit(&first.staged);
        target_deinit(&first.target);
        assert_int_equal(target_lock(&second.target, &second.patience, &err), 0);
        scene_clear(&second, state);
        assert_int_equal(sandbox_count(state, ".l.db.lock-"), 0);
        close(fd);
}

/* Nobody holds what a dead run left, and a sweep removes it. */
static void the_lock_of_a_dead_run_is_taken(void **state)
{
        char path[PATH_MAX];
        struct scene scene;
        struct error err = ERROR_INIT;

        snprintf(path, sizeof path, "%s", sandbox_path(state, ".d.db.lock-00000000-0000-4000-8000-000000000000"));
        for (int i = 0; i < 2; i++) {
                close(open(path, O_RDWR | O_CREAT, 0600));
                scene_set(&scene, state, "d.db", 30, 4096);
                if (i == 0)
                        assert_int_equal(target_lock(&scene.target, &scene.patience, &err), 0);
                else
                        target_sweep(scene.target.path);
                scene_clear(&scene, state);
                assert_false(sandbox_exists(path));
        }
}

/* What a run finds under the name that it wanted to give is not its own, and stays. */
static void only_names_that_were_given_are_taken_back(void **state)
{
        const char *path = sandbox_path(state, "k.db");
        struct target target = TARGET_INIT;
        struct error err = ERROR_INIT;

        make_old(path, "DELETE", 10);
        assert_int_equal(link(path, sandbox_path(state, "k.db.replaced-x")), 0);
        assert_int_equal(target_open(&target, path, &err), 0);
        target_put_back(&target, "k.db.replaced-x", 0);
        assert_true(sandbox_exists(sandbox_path(state, "k.db.replaced-x")));
        target_put_back(&target, "k.db.replaced-x", 1u << FORMAT_DATABASE);
        assert_false(sandbox_exists(sandbox_path(state, "k.db.replaced-x")));
        assert_true(sandbox_exists(path));
        target_deinit(&target);
}

/* As somebody who may not give files away: to root's group, and to a group that he is in. */
static int dress_as_nobody(const struct staged *staged, gid_t gid, mode_t mode, mode_t wanted)
{
        struct stat st;
        int status = 0;
        pid_t pid = fork();

        if (pid == 0) {
                if (setgid(65534) < 0 || setuid(65534) < 0)
                        _exit(1);
                staged_dress(staged, 0, gid, mode);
                _exit(fstat(staged->fd, &st) < 0 || (st.st_mode & 07777) != wanted);
        }
        waitpid(pid, &status, 0);
        return status;
}

static void group_that_is_not_permitted_loses_its_rights(void **state)
{
        struct scene scene;

        if (geteuid() != 0)
                skip();
        scene_set(&scene, state, "g.db", 3, 4096);
        assert_int_equal(fchown(scene.staged.fd, 65534, 65534), 0);
        assert_int_equal(dress_as_nobody(&scene.staged, 4, 0660, 0600), 0);
        assert_int_equal(dress_as_nobody(&scene.staged, 4, 06664, 0604), 0);
        assert_int_equal(dress_as_nobody(&scene.staged, 4, 0604, 0600), 0);
        assert_int_equal(dress_as_nobody(&scene.staged, 65534, 06660, 0660), 0);
        scene_clear(&scene, state);
}

/* Whoever owns the folder can put another file under the staged one's name. */
static void exchanged_file_is_not_published(void **state)
{
        static int (*const ways[])(const struct replacement *, struct error *) = { replace_new, replace_in_place,
                                                                                   replace_aside };
        const char *target = sandbox_path(state, "e.db");

        for (int i = 0; i < 3; i++) {
                struct scene scene;
                struct error err = ERROR_INIT;
                char *path;

                if (i == 1)
                        make_old(target, "DELETE", 10);
                scene_set(&scene, state, "e.db", 30, 4096);
                assert_int_equal(target_staged_path(&scene.target, &scene.staged, &path, &err), 0);
                assert_int_equal(unlink(path), 0);
                sandbox_copy(sandbox_path(state, "made.db"), path);
                err = (struct error)ERROR_INIT;
                assert_int_equal(ways[i](&scene.replacement, &err), -1);
                assert_int_equal(err.code, ERR_FAILED);
                assert_non_null(strstr(err.message, "somebody removed its staged file"));
                assert_int_equal(unlink(path), 0);
                free(path);
                scene_clear(&scene, state);
                if (i == 0)
                        assert_false(sandbox_exists(target));
                else
                        assert_int_equal(count_rows(target), 10);
        }
}

static void aside_refuses_an_open_database(void **state)
{
        const char *path = sandbox_path(state, "open.db");
        struct scene scene;
        struct error err = ERROR_INIT;
        char pid_text[32];
        int ready[2];
        int go[2];
        char byte;
        pid_t pid;

        make_old(path, "DELETE", 10);
        assert_int_equal(pipe(ready), 0);
        assert_int_equal(pipe(go), 0);
        pid = fork();
        if (pid == 0) {
                int fd = open(path, O_RDONLY);

                close(go[1]);
                _exit(write(ready[1], "r", 1) != 1 || read(go[0], &byte, 1) < 0 || fd < 0);
        }
        assert_int_equal(read(ready[0], &byte, 1), 1);
        scene_set(&scene, state, "open.db", 300, 4096);
        assert_int_equal(replace_aside(&scene.replacement, &err), -1);
        close(go[1]);
        waitpid(pid, NULL, 0);
        assert_int_equal(err.code, ERR_BUSY);
        snprintf(pid_text, sizeof pid_text, "process %d", (int)pid);
        assert_non_null(strstr(err.message, pid_text));
        scene_clear(&scene, state);
        assert_int_equal(count_rows(path), 10);
        assert_int_equal(sandbox_count(state, "replaced"), 0);
        close(ready[0]);
        close(ready[1]);
        close(go[0]);
}

/* The places where a process that puts a database aside can die: what the next one finds, and makes of it. */
static void sweep_puts_back_what_a_dead_run_took(void **state)
{
        const char *path = sandbox_path(state, "s.db");
        const char *aside = "s.db.replaced-20260102T030405Z";

        for (int step = 0; step < 4; step++) {
                struct target target = TARGET_INIT;
                struct staged marker = STAGED_INIT;
                struct error err = ERROR_INIT;
                char *marker_path;
                char old_wal[600];
                char aside_path[600];
                char aside_wal[600];

                snprintf(old_wal, sizeof old_wal, "%s-wal", path);
                snprintf(aside_path, sizeof aside_path, "%s/%s", (char *)*state, aside);
                snprintf(aside_wal, sizeof aside_wal, "%s-wal", aside_path);
                make_old(path, "DELETE", 10);
                close(open(old_wal, O_CREAT | O_RDWR, 0600));
                assert_int_equal(target_open(&target, path, &err), 0);
                assert_int_equal(target_stage(&target, "aside", &marker, &err), 0);
                assert_int_equal(target_staged_path(&target, &marker, &marker_path, &err), 0);
                assert_int_equal(fd_pwrite_full(marker.fd, aside, strlen(aside), 0), 0);
                if (step >= 1)
                        assert_int_equal(link(path, aside_path) + link(old_wal, aside_wal), 0);
                if (step >= 2)
                        assert_int_equal(unlink(path), 0);
                if (step >= 3)
                        assert_int_equal(unlink(old_wal), 0);
                target_sweep(path);
                /* The lock says that the run lives: nothing has changed. */
                assert_int_equal(sandbox_exists(marker_path), 1);
                close(marker.fd);
                free(marker_path);
                target_sweep(path);
                assert_int_equal(sandbox_count(state, "aside-"), 0);
                assert_int_equal(sandbox_count(state, "replaced"), 0);
                assert_true(sandbox_exists(old_wal));
                assert_int_equal(unlink(old_wal), 0);
                assert_int_equal(count_rows(path), 10);
                assert_int_equal(unlink(path), 0);
                target_deinit(&target);
        }
}

static void sweep_takes_only_what_is_ours(void **state)
{
        static const char *const kept[] = { ".x.db.restore-", ".x.db.restore-123",
                                            ".y.db.restore-0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a",
                                            "x.db.restore-0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a" };
        const char *dead = sandbox_path(state, ".x.db.restore-0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a");

        for (int i = 0; i < 4; i++)
                close(open(sandbox_path(state, kept[i]), O_CREAT | O_RDWR, 0600));
        dead = sandbox_path(state, ".x.db.restore-0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a");
        close(open(dead, O_CREAT | O_RDWR, 0600));
        target_sweep(sandbox_path(state, "x.db"));
        assert_int_equal(sandbox_count(state, "restore-"), 4);
        for (int i = 0; i < 4; i++)
                assert_true(sandbox_exists(sandbox_path(state, kept[i])));
}

static void check_names_the_damage(void **state)
{
        const char *path = sandbox_path(state, "bad.db");
        struct error err = ERROR_INIT;
        uint8_t garbage[600];
        int fd;

        make_old(path, "DELETE", 400);
        fd = open(path, O_RDWR);
        assert_int_equal(check_database(path, fd, SERVER_CHECK_FULL, NULL, "shown.db", &err), 0);
        memset(garbage, 0x5a, sizeof garbage);
        assert_int_equal(pwrite(fd, garbage, sizeof garbage, 3 * 4096), (ssize_t)sizeof garbage);
        assert_int_equal(check_database(path, fd, SERVER_CHECK_NONE, NULL, "shown.db", &err), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(check_database(path, fd, SERVER_CHECK_QUICK, NULL, "shown.db", &err), -1);
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_non_null(strstr(err.message, "'shown.db' is damaged"));
        assert_null(strchr(err.message, '\n'));
        assert_int_equal(ftruncate(fd, 8192), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(check_database(path, fd, SERVER_CHECK_NONE, NULL, "shown.db", &err), -1);
        assert_non_null(strstr(err.message, "ends early"));
        assert_int_equal(pwrite(fd, garbage, 20, 0), 20);
        err = (struct error)ERROR_INIT;
        assert_int_equal(check_database(path, fd, SERVER_CHECK_NONE, NULL, "shown.db", &err), -1);
        assert_non_null(strstr(err.message, "is not a SQLite database"));
        close(fd);
}

static void links_and_folders(void **state)
{
        struct target target = TARGET_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(symlink("nothing.db", sandbox_path(state, "dangling.db")), 0);
        assert_int_equal(target_open(&target, sandbox_path(state, "dangling.db"), &err), -1);
        assert_non_null(strstr(err.message, "symbolic link to nothing"));
        target_deinit(&target);
        make_old(sandbox_path(state, "real.db"), "DELETE", 3);
        assert_int_equal(symlink("real.db", sandbox_path(state, "good.db")), 0);
        assert_int_equal(target_open(&target, sandbox_path(state, "good.db"), &err), 0);
        assert_string_equal(target.name, "real.db");
        target_deinit(&target);
        err = (struct error)ERROR_INIT;
        assert_int_equal(target_open(&target, "/", &err), -1);
        err = (struct error)ERROR_INIT;
        assert_int_equal(target_open(&target, "relative", &err), -1);
        target_deinit(&target);
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(into_a_free_name),
                SANDBOX_TEST(never_beside_an_old_log),
                SANDBOX_TEST(in_place_keeps_readers_of_the_old),
                SANDBOX_TEST(in_place_with_another_page_size),
                SANDBOX_TEST(in_place_of_a_busy_database),
                SANDBOX_TEST(in_place_of_no_database_names_aside),
                SANDBOX_TEST(in_place_ends_when_it_is_told_to),
                SANDBOX_TEST(aside_keeps_the_old_database),
                SANDBOX_TEST(asides_at_the_same_time),
                SANDBOX_TEST(a_locked_target_is_waited_for_and_its_holder_named),
                SANDBOX_TEST(the_lock_of_a_dead_run_is_taken),
                SANDBOX_TEST(only_names_that_were_given_are_taken_back),
                SANDBOX_TEST(group_that_is_not_permitted_loses_its_rights),
                SANDBOX_TEST(exchanged_file_is_not_published),
                SANDBOX_TEST(aside_refuses_an_open_database),
                SANDBOX_TEST(sweep_puts_back_what_a_dead_run_took),
                SANDBOX_TEST(sweep_takes_only_what_is_ours),
                SANDBOX_TEST(check_names_the_damage),
                SANDBOX_TEST(links_and_folders),
                /* Last: from here on this process has mounts of its own. */
                SANDBOX_TEST(in_place_where_the_disk_fills_up),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
