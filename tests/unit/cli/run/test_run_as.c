/* Becoming another user. Each case is a process of its own, since there is no way back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/run/run_as.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

#define USER   "nobody"
#define SET_ID "01234567-89ab-4cde-8f01-23456789abcd"

enum { WAIT_MS = 20000 };

/* What a case says before it is over goes to stderr; the exit status says whether it failed. */
#define CHECK(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #condition); \
                        _exit(1);                                                       \
                }                                                                       \
        } while (0)

static char folder[] = "/tmp/vdipipe-test-XXXXXX";

struct scene {
        struct args args;
        struct coding coding;
        struct stage *files[2];
        struct run_as *run_as;
        struct error err;
};

static void scene_init(struct scene *scene, enum file_existing existing)
{
        memset(scene, 0, sizeof *scene);
        args_init(&scene->args);
        scene->args.coding = &scene->coding;
        scene->args.run_as = USER;
        CHECK(chdir(folder) == 0);
        CHECK(file_sink_new("one", SET_ID, existing, NULL, &scene->files[0], &scene->err) == 0);
        CHECK(file_sink_new("two", SET_ID, existing, NULL, &scene->files[1], &scene->err) == 0);
        CHECK(stage_write(scene->files[0], "first", 5, &scene->err) == 0);
}

/* A way into the folder, past its mode. */
static bool has_folder_open(const struct stat *of)
{
        struct stat st;

        for (int fd = 0; fd < 1024; fd++)
                if (fstat(fd, &st) == 0 && st.st_dev == of->st_dev && st.st_ino == of->st_ino)
                        return true;
        return false;
}

static void begin(struct scene *scene)
{
        struct stat st;

        CHECK(stat(".", &st) == 0 && has_folder_open(&st));
        CHECK(run_as_begin(&scene->args, NULL, scene->files, 2, &scene->run_as, &scene->err) == 0);
        CHECK(scene->run_as);
        /* The folder is root's alone. */
        CHECK(access("one", F_OK) < 0 && errno == EACCES);
        CHECK(!has_folder_open(&st));
        CHECK(file_sink_fd(scene->files[0]) >= 0 && file_sink_fd(scene->files[1]) >= 0);
}

static int publish(struct scene *scene)
{
        return run_as_publish(scene->run_as, scene->files, 2, &scene->err);
}

static void end(struct scene *scene)
{
        run_as_end(scene->run_as);
        for (int i = 0; i < 2; i++)
                stage_free(scene->files[i]);
        args_deinit(&scene->args);
}

/* ---- the cases ---- */

static void case_becomes_the_user(void)
{
        const struct passwd *user = getpwnam(USER);
        uid_t uids[3];
        gid_t gids[3];
        gid_t groups[64];
        struct scene scene;
        int count;

        scene_init(&scene, FILE_EXISTING_KEPT);
        begin(&scene);
        CHECK(getresuid(&uids[0], &uids[1], &uids[2]) == 0 && getresgid(&gids[0], &gids[1], &gids[2]) == 0);
        for (int i = 0; i < 3; i++)
                CHECK(uids[i] == user->pw_uid && gids[i] == user->pw_gid);
        count = getgroups(64, groups);
        for (int i = 0; i < count; i++)
                CHECK(groups[i] != 0);
        CHECK(setuid(0) < 0 && setgid(0) < 0);
        CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
        end(&scene);
}

/* What was opened before can be written, and gets its name in a folder that the user cannot enter. */
static void case_publishes(void)
{
        struct scene scene;

        scene_init(&scene, FILE_EXISTING_KEPT);
        begin(&scene);
        CHECK(stage_write(scene.files[1], "second", 6, &scene.err) == 0);
        CHECK(publish(&scene) == 0);
        end(&scene);
}

static void case_publishes_over_a_file(void)
{
        struct scene scene;

        scene_init(&scene, FILE_EXISTING_REPLACED);
        begin(&scene);
        CHECK(publish(&scene) == 0);
        end(&scene);
}

/* The test has made the second one meanwhile. */
static void case_is_refused(void)
{
        struct scene scene;
        int fd;

        scene_init(&scene, FILE_EXISTING_KEPT);
        fd = open("two", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        CHECK(fd >= 0);
        begin(&scene);
        CHECK(publish(&scene) == -1);
        CHECK(scene.err.code == ERR_USAGE);
        CHECK(strcmp(scene.err.message, "'two' has come into being meanwhile; choose another name") == 0);
        end(&scene);
        close(fd);
}

static void case_gives_up(void)
{
        struct scene scene;

        scene_init(&scene, FILE_EXISTING_KEPT);
        begin(&scene);
        end(&scene);
}

static void case_is_killed(void)
{
        struct scene scene;

        scene_init(&scene, FILE_EXISTING_KEPT);
        begin(&scene);
        raise(SIGKILL);
}

/* The only child of this process. */
static pid_t keeper_of_mine(void)
{
        CLEANUP(freep) char *text = NULL;
        char path[64];
        size_t size;

        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)gettid());
        CHECK(fd_read_file(AT_FDCWD, path, 4096, &text, &size) == 0);
        return (pid_t)strtol(text, NULL, 10);
}

static void case_loses_its_keeper(void)
{
        struct scene scene;
        pid_t keeper;

        scene_init(&scene, FILE_EXISTING_KEPT);
        CHECK(run_as_begin(&scene.args, NULL, scene.files, 2, &scene.run_as, &scene.err) == 0);
        keeper = keeper_of_mine();
        CHECK(keeper > 0);
        printf("%d\n", (int)keeper);
        fflush(stdout);
        /* The test kills it, and then lets us go on. */
        CHECK(getchar() == '\n');
        CHECK(publish(&scene) == -1);
        CHECK(scene.err.code == ERR_PEER_DIED);
        CHECK(strcmp(scene.err.message, "the process that puts the files in place for --run-as was killed; look "
                                        "whether they are there") == 0);
        end(&scene);
}

static void case_needs_root(void)
{
        struct scene scene;
        const struct passwd *user = getpwnam(USER);

        memset(&scene, 0, sizeof scene);
        scene.args.run_as = USER;
        CHECK(setgid(user->pw_gid) == 0 && setuid(user->pw_uid) == 0);
        /* Who is that user already needs nothing. */
        CHECK(run_as_check(&scene.args, &scene.err) == 0);
        CHECK(run_as_begin(&scene.args, NULL, NULL, 0, &scene.run_as, &scene.err) == 0 && !scene.run_as);
        scene.args.run_as = "games";
        CHECK(run_as_check(&scene.args, &scene.err) == -1);
        CHECK(scene.err.code == ERR_USAGE);
        CHECK(strcmp(scene.err.message,
                     "--run-as games needs root; run this as root, or as games and without --run-as") == 0);
        CHECK(run_as_begin(&scene.args, NULL, NULL, 0, &scene.run_as, &scene.err) == -1);
}

/* ---- the tests ---- */

struct play {
        pid_t pid;
        int status;
        int in;  /* of the case */
        int out; /* read by us; ends when the case and its keeper have ended */
};

static void start(struct play *play, void (*run)(void))
{
        int in[2];
        int out[2];

        assert_int_equal(pipe2(in, O_CLOEXEC), 0);
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        play->pid = fork();
        assert_true(play->pid >= 0);
        if (play->pid == 0) {
                dup2(in[0], STDIN_FILENO);
                dup2(out[1], STDOUT_FILENO);
                run();
                _exit(0);
        }
        close(in[0]);
        close(out[1]);
        play->in = in[1];
        play->out = out[0];
}

/* Waits for the case's end, and its keeper's: the write end of `out` is open in both. */
static void finish(struct play *play)
{
        struct pollfd pollfd = { .fd = play->out, .events = 0 };

        assert_int_equal(waitpid(play->pid, &play->status, 0), play->pid);
        assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
        assert_true(pollfd.revents & POLLHUP);
        close(play->in);
        close(play->out);
}

static void run(void (*run_case)(void))
{
        struct play play;

        start(&play, run_case);
        finish(&play);
        assert_int_equal(play.status, 0);
}

static void check_file(const char *name, const char *content)
{
        CLEANUP(freep) char *text = NULL;
        struct stat st;
        size_t size;

        assert_int_equal(fd_read_file(AT_FDCWD, name, 4096, &text, &size), 0);
        assert_string_equal(text, content);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_uid, 0);
}

static int count_files(void)
{
        CLEANUP(dir_closep) DIR *dir = opendir(".");
        const struct dirent *entry;
        int count = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)))
                count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        return count;
}

static void test_the_process_is_the_user(void **state)
{
        (void)state;
        run(case_becomes_the_user);
        assert_int_equal(count_files(), 0);
}

static void test_files_get_their_names(void **state)
{
        (void)state;
        run(case_publishes);
        check_file("one", "first");
        check_file("two", "second");
        run(case_publishes_over_a_file);
        check_file("two", "");
        assert_int_equal(count_files(), 2);
}

static void test_a_file_that_is_there_stays(void **state)
{
        (void)state;
        run(case_is_refused);
        check_file("two", "");
        assert_int_equal(count_files(), 1);
}

static void test_nothing_is_left(void **state)
{
        struct play play;

        (void)state;
        run(case_gives_up);
        assert_int_equal(count_files(), 0);
        start(&play, case_is_killed);
        finish(&play);
        assert_true(WIFSIGNALED(play.status));
        assert_int_equal(count_files(), 0);
}

/* Then there is nobody who could remove the partial files; the next run does. */
static void test_a_keeper_that_is_killed(void **state)
{
        struct play play;
        char text[16] = "";

        (void)state;
        start(&play, case_loses_its_keeper);
        assert_true(read(play.out, text, sizeof text - 1) > 0);
        assert_int_equal(kill((pid_t)strtol(text, NULL, 10), SIGKILL), 0);
        assert_int_equal(write(play.in, "\n", 1), 1);
        finish(&play);
        assert_int_equal(play.status, 0);
        run(case_gives_up);
        assert_int_equal(count_files(), 0);
}

static void test_only_root_can(void **state)
{
        (void)state;
        run(case_needs_root);
}

static void test_there_is_no_such_user(void **state)
{
        struct args args = { .run_as = "no-such-user" };
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(run_as_check(&args, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_string_equal(err.message,
                            "--run-as: there is no user 'no-such-user'; the package mssql-server makes mssql");
        args.run_as = NULL;
        assert_int_equal(run_as_check(&args, &err), 0);
}

static int make_folder(void **state)
{
        (void)state;
        memcpy(folder, "/tmp/vdipipe-test-XXXXXX", sizeof folder);
        return mkdtemp(folder) ? chdir(folder) : -1;
}

static int remove_folder(void **state)
{
        (void)state;
        unlink("one");
        unlink("two");
        return chdir("/") < 0 ? -1 : rmdir(folder);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_the_process_is_the_user),    TEST(test_files_get_their_names),
                TEST(test_a_file_that_is_there_stays), TEST(test_nothing_is_left),
                TEST(test_a_keeper_that_is_killed),    TEST(test_only_root_can),
        };
        const struct CMUnitTest everybodys[] = { cmocka_unit_test(test_there_is_no_such_user) };
        int failed = cmocka_run_group_tests(everybodys, NULL, NULL);

        /* Nobody else can become another user. */
        if (geteuid() == 0 && getpwnam(USER) && getpwnam("games"))
                failed += cmocka_run_group_tests(tests, NULL, NULL);
        return failed;
}
