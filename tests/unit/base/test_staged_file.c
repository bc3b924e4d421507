/* Staged files, and what becomes of them when their names are taken, exchanged or planted by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/staged_file.h"

#define UUID   "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a"
#define HIDDEN ".t.part-" UUID

struct folder {
        char path[32];
        int fd;
};

static int folder_setup(void **state)
{
        struct folder *folder = calloc(1, sizeof *folder);

        assert_non_null(folder);
        strcpy(folder->path, "/tmp/staged-XXXXXX");
        assert_non_null(mkdtemp(folder->path));
        folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(folder->fd >= 0);
        *state = folder;
        return 0;
}

static int folder_teardown(void **state)
{
        struct folder *folder = *state;
        CLEANUP(dir_closep) DIR *dir = fd_list(folder->fd);

        assert_non_null(dir);
        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
                unlinkat(folder->fd, entry->d_name, 0);
        assert_int_equal(rmdir(folder->path), 0);
        close(folder->fd);
        free(folder);
        return 0;
}

static void plant(const struct folder *folder, const char *name, const char *text)
{
        CLEANUP(fd_closep) int fd = openat(folder->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

        assert_int_equal(fd_pwrite_full(fd, text, strlen(text), 0), 0);
}

static bool is_there(const struct folder *folder, const char *name)
{
        return faccessat(folder->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_text(const struct folder *folder, const char *name, const char *expected)
{
        CLEANUP(freep) char *text = NULL;
        size_t size;

        assert_int_equal(fd_read_file(folder->fd, name, 100, &text, &size), 0);
        assert_string_equal(text, expected);
}

/* A staged file for "t" that holds "new". */
static void make(const struct folder *folder, struct staged *staged)
{
        assert_int_equal(staged_create(staged, folder->fd, "t", "part", UUID, NULL), 0);
        assert_int_equal(staged->lock_errno, 0);
        assert_int_equal(fd_pwrite_full(staged->fd, "new", 3, 0), 0);
        assert_true(is_there(folder, HIDDEN));
}

static void gets_a_free_name(void **state)
{
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;
        struct stat st;

        make(*state, &staged);
        assert_int_equal(fstat(staged.fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(staged_publish(&staged, "t", STAGED_NEW), 0);
        assert_int_equal(staged_sync_folder(staged.dir_fd), 0);
        staged_conclude(&staged);
        staged_drop(&staged);
        assert_text(*state, "t", "new");
        assert_false(is_there(*state, HIDDEN));
}

static void is_dropped_unless_published(void **state)
{
        struct staged staged = STAGED_INIT;

        make(*state, &staged);
        staged_deinit(&staged);
        assert_int_equal(staged.fd, -1);
        assert_false(is_there(*state, HIDDEN));
}

static void name_that_exists_is_kept(void **state)
{
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;

        plant(*state, "t", "old");
        make(*state, &staged);
        assert_int_equal(staged_publish(&staged, "t", STAGED_NEW), -1);
        assert_int_equal(errno, EEXIST);
        assert_text(*state, "t", "old");
        assert_text(*state, HIDDEN, "new");
}

static void exchanged_and_concluded(void **state)
{
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;

        make(*state, &staged);
        assert_int_equal(staged_publish(&staged, "t", STAGED_EXCHANGED), -1);
        assert_int_equal(errno, ENOENT);
        plant(*state, "t", "old");
        assert_int_equal(staged_publish(&staged, "t", STAGED_EXCHANGED), 0);
        assert_text(*state, "t", "new");
        assert_text(*state, HIDDEN, "old");
        staged_conclude(&staged);
        assert_text(*state, "t", "new");
        assert_false(is_there(*state, HIDDEN));
}

static void taken_back(void **state)
{
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;

        make(*state, &staged);
        assert_int_equal(staged_publish(&staged, "t", STAGED_NEW), 0);
        staged_take_back(&staged);
        assert_false(is_there(*state, "t"));
        assert_text(*state, HIDDEN, "new");
        plant(*state, "t", "old");
        assert_int_equal(staged_publish(&staged, "t", STAGED_EXCHANGED), 0);
        staged_take_back(&staged);
        assert_text(*state, "t", "old");
        assert_text(*state, HIDDEN, "new");
        assert_int_equal(staged_publish(&staged, "t", STAGED_OVER), 0);
        staged_take_back(&staged);
        assert_text(*state, "t", "new");
}

/* Somebody who may write to the folder puts another file under the hidden name. */
static void exchanged_under_us_is_not_used(void **state)
{
        static const enum staged_way ways[] = { STAGED_NEW, STAGED_EXCHANGED, STAGED_OVER };
        const struct folder *folder = *state;
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;

        make(folder, &staged);
        assert_int_equal(unlinkat(folder->fd, HIDDEN, 0), 0);
        plant(folder, HIDDEN, "theirs");
        for (int i = 0; i < 3; i++) {
                assert_int_equal(staged_publish(&staged, "t", ways[i]), -1);
                assert_int_equal(errno, ESTALE);
        }
        assert_null(staged_path(&staged, folder->path));
        assert_int_equal(errno, ESTALE);
        staged_drop(&staged);
        assert_text(folder, HIDDEN, "theirs");
        assert_false(is_there(folder, "t"));
}

/* The same between publishing and what follows. */
static void exchanged_after_publishing_is_left_alone(void **state)
{
        const struct folder *folder = *state;
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;

        plant(folder, "t", "old");
        make(folder, &staged);
        assert_int_equal(staged_publish(&staged, "t", STAGED_EXCHANGED), 0);
        assert_int_equal(unlinkat(folder->fd, HIDDEN, 0), 0);
        plant(folder, HIDDEN, "theirs");
        staged_take_back(&staged);
        staged_conclude(&staged);
        assert_text(folder, "t", "new");
        assert_text(folder, HIDDEN, "theirs");
}

static void planted_link_is_not_followed(void **state)
{
        const struct folder *folder = *state;
        CLEANUP(staged_deinit) struct staged staged = STAGED_INIT;

        plant(folder, "victim", "old");
        assert_int_equal(symlinkat("victim", folder->fd, HIDDEN), 0);
        assert_int_equal(staged_create(&staged, folder->fd, "t", "part", UUID, NULL), -1);
        assert_int_equal(errno, EEXIST);
        staged_sweep(folder->fd, "t", "part", NULL, NULL);
        assert_true(is_there(folder, HIDDEN));
        assert_int_equal(unlinkat(folder->fd, HIDDEN, 0), 0);
        make(folder, &staged);
        assert_int_equal(unlinkat(folder->fd, HIDDEN, 0), 0);
        assert_int_equal(symlinkat("victim", folder->fd, HIDDEN), 0);
        assert_int_equal(staged_publish(&staged, "t", STAGED_NEW), -1);
        assert_int_equal(errno, ESTALE);
        assert_text(folder, "victim", "old");
}

static void two_of_one_run_have_different_names(void **state)
{
        const struct folder *folder = *state;
        CLEANUP(staged_deinit) struct staged first = STAGED_INIT;
        CLEANUP(staged_deinit) struct staged second = STAGED_INIT;
        CLEANUP(freep) char *first_path = NULL;
        CLEANUP(freep) char *second_path = NULL;

        assert_int_equal(staged_create(&first, folder->fd, "t", "part", NULL, NULL), 0);
        assert_int_equal(staged_create(&second, folder->fd, "t", "part", NULL, NULL), 0);
        first_path = staged_path(&first, folder->path);
        second_path = staged_path(&second, folder->path);
        assert_string_not_equal(first_path, second_path);
        assert_int_equal(strncmp(first_path, folder->path, strlen(folder->path)), 0);
}

/* Long names that begin alike are told apart, by the sweep as well. */
static void long_names(void **state)
{
        const struct folder *folder = *state;
        CLEANUP(staged_deinit) struct staged first = STAGED_INIT;
        CLEANUP(staged_deinit) struct staged second = STAGED_INIT;
        char target[NAME_MAX + 1];
        char other[NAME_MAX + 1];
        CLEANUP(freep) char *path = NULL;

        memset(target, 'n', NAME_MAX);
        target[NAME_MAX] = '\0';
        memcpy(other, target, sizeof other);
        other[NAME_MAX - 1] = 'm';
        assert_int_equal(staged_create(&first, folder->fd, target, "part", UUID, NULL), 0);
        assert_int_equal(staged_create(&second, folder->fd, other, "part", UUID, NULL), 0);
        path = staged_path(&first, folder->path);
        close(first.fd);
        first.fd = -1;
        staged_sweep(folder->fd, other, "part", NULL, NULL);
        assert_int_equal(access(path, F_OK), 0);
        staged_sweep(folder->fd, target, "part", NULL, NULL);
        assert_int_equal(access(path, F_OK), -1);
}

static void sweep_removes_the_dead_alone(void **state)
{
        static const char *const others[] = { ".t.part-", ".t.part-" UUID "0", "t.part-" UUID, ".t.other-" UUID,
                                              ".part-" UUID };
        const struct folder *folder = *state;
        CLEANUP(staged_deinit) struct staged living = STAGED_INIT;

        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                plant(folder, others[i], "other");
        assert_int_equal(staged_create(&living, folder->fd, "t", "part", NULL, NULL), 0);
        plant(folder, HIDDEN, "dead");
        plant(folder, ".u.part-" UUID, "dead");
        staged_sweep(folder->fd, "t", "part", NULL, NULL);
        assert_false(is_there(folder, HIDDEN));
        assert_true(is_there(folder, ".u.part-" UUID));
        staged_sweep(folder->fd, NULL, "part", NULL, NULL);
        assert_false(is_there(folder, ".u.part-" UUID));
        assert_int_equal(staged_publish(&living, "t", STAGED_NEW), 0);
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                assert_true(is_there(folder, others[i]));
}

static bool bury_by_text(int fd, void *count)
{
        char text[8] = "";

        assert_true(fd_pread_full(fd, text, sizeof text - 1, 0) >= 0);
        ++*(int *)count;
        return strcmp(text, "keep") != 0;
}

static void whoever_buries_may_keep(void **state)
{
        const struct folder *folder = *state;
        int count = 0;

        plant(folder, HIDDEN, "keep");
        plant(folder, ".u.part-" UUID, "dead");
        staged_sweep(folder->fd, NULL, "part", bury_by_text, &count);
        assert_int_equal(count, 2);
        assert_true(is_there(folder, HIDDEN));
        assert_false(is_there(folder, ".u.part-" UUID));
}

static void claimed_if_nobody_holds_it(void **state)
{
        const struct folder *folder = *state;
        CLEANUP(fd_closep) int fd = -1;

        plant(folder, "lock", "");
        assert_int_equal(symlinkat("lock", folder->fd, "link"), 0);
        assert_int_equal(mkfifoat(folder->fd, "fifo", 0600), 0);
        assert_int_equal(staged_claim(folder->fd, "missing", false), -1);
        assert_int_equal(staged_claim(folder->fd, "link", false), -1);
        assert_int_equal(staged_claim(folder->fd, "fifo", false), -1);
        fd = staged_claim(folder->fd, "lock", true);
        assert_true(fd >= 0);
        assert_int_equal(staged_claim(folder->fd, "lock", true), -1);
        fd_closep(&fd);
        if (geteuid() != 0)
                return;
        assert_int_equal(fchownat(folder->fd, "lock", 65534, 65534, 0), 0);
        assert_int_equal(staged_claim(folder->fd, "lock", true), -1);
        fd = staged_claim(folder->fd, "lock", false);
        assert_true(fd >= 0);
}

static void another_process_publishes(void **state)
{
        struct staged staged = STAGED_INIT;

        make(*state, &staged);
        staged_disown(&staged);
        assert_int_equal(staged_publish(&staged, "t", STAGED_NEW), -1);
        staged_deinit(&staged);
        assert_text(*state, HIDDEN, "new");
}

#define FOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                FOLDER_TEST(gets_a_free_name),
                FOLDER_TEST(is_dropped_unless_published),
                FOLDER_TEST(name_that_exists_is_kept),
                FOLDER_TEST(exchanged_and_concluded),
                FOLDER_TEST(taken_back),
                FOLDER_TEST(exchanged_under_us_is_not_used),
                FOLDER_TEST(exchanged_after_publishing_is_left_alone),
                FOLDER_TEST(planted_link_is_not_followed),
                FOLDER_TEST(two_of_one_run_have_different_names),
                FOLDER_TEST(long_names),
                FOLDER_TEST(sweep_removes_the_dead_alone),
                FOLDER_TEST(whoever_buries_may_keep),
                FOLDER_TEST(claimed_if_nobody_holds_it),
                FOLDER_TEST(another_process_publishes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
