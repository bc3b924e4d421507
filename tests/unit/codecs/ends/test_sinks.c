/*
 * Where a chain ends: descriptors, and files that appear only when they are whole.
 */
#include "tests/unit/codecs/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/base/fd_io.h"

#define OTHER_SET_ID "fedcba98-7654-4321-8fed-cba987654321"

static char path[512];

static const char *at(const char *name)
{
        snprintf(path, sizeof path, "%s/%s", test_folder(), name);
        return path;
}

static int count_entries(void)
{
        CLEANUP(dir_closep) DIR *dir = opendir(test_folder());
        const struct dirent *entry;
        int count = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)))
                count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        return count;
}

static int empty_folder(void **state)
{
        char command[128];

        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", test_folder(), test_folder());
        return system(command) == 0 ? 0 : -1;
}

static void assert_content(const char *name, const char *expected)
{
        CLEANUP(freep) char *text = NULL;
        size_t size;

        assert_int_equal(fd_read_file(AT_FDCWD, at(name), 1 << 20, &text, &size), 0);
        assert_string_equal(text, expected);
}

static mode_t mode_of(const char *name)
{
        struct stat status;

        assert_int_equal(stat(at(name), &status), 0);
        return status.st_mode & 07777;
}

static enum file_existing existing(bool force)
{
        return force ? FILE_EXISTING_REPLACED : FILE_EXISTING_KEPT_FORCE_HELPS;
}

static struct stage *open_sink(const char *name, bool force)
{
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;

        assert_ok(file_sink_new(at(name), TEST_SET_ID, existing(force), NULL, &sink, &err), &err);
        return sink;
}

static void write_and_finish(struct stage *sink, const char *text)
{
        struct error err = ERROR_INIT;

        assert_ok(stage_write(sink, text, strlen(text), &err), &err);
        assert_ok(stage_flush(sink, &err), &err);
        assert_ok(stage_reserve(sink, 100000, &err), &err);
        assert_ok(stage_complete(sink, &err), &err);
        assert_ok(stage_finish(sink, NULL, &err), &err);
}

static void assert_open_fails(const char *name, bool force, enum err_code code, const char *words)
{
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;

        assert_int_equal(file_sink_new(at(name), TEST_SET_ID, existing(force), NULL, &sink, &err), -1);
        if (err.code != code || !strstr(err.message, words))
                fail_msg("expected %d '%s', got %d '%s'", code, words, err.code, err.message);
}

/* ---- publishing ---- */

static void appears_only_when_published(void **state)
{
        mode_t mask = umask(027);
        struct stage *sink = open_sink("a.vdi", false);
        struct error err = ERROR_INIT;

        (void)state;
        write_and_finish(sink, "whole");
        assert_int_equal(access(at("a.vdi"), F_OK), -1);
        assert_int_equal(access(at(".a.vdi.partial-" TEST_SET_ID), F_OK), 0);
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
        assert_content("a.vdi", "whole");
        assert_int_equal(mode_of("a.vdi"), 0640);
        assert_int_equal(count_entries(), 1);
        umask(mask);
}

static void found_at_the_end_of_a_chain(void **state)
{
        struct vdistream_options options = { 0 };
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;

        (void)state;
        assert_ok(vdistream_writer_new(&info, &options, open_sink("a.vdi", false), &stage, &err), &err);
        write_and_finish(stage, "whole");
        assert_ok(file_sink_publish(&stage, 1, &err), &err);
        stage_free(stage);
        assert_int_equal(access(at("a.vdi"), F_OK), 0);
}

static void unpublished_leaves_nothing(void **state)
{
        struct stage *sink = open_sink("a.vdi", false);

        (void)state;
        write_and_finish(sink, "whole");
        stage_free(sink);
        assert_int_equal(count_entries(), 0);
        sink = open_sink("a.vdi", false);
        stage_abort(sink, "no reason");
        assert_int_equal(count_entries(), 0);
        stage_free(sink);
}

static void existing_file_needs_force(void **state)
{
        struct stage *sink;
        struct error err = ERROR_INIT;

        (void)state;
        test_file("a.vdi", "old", 3);
        assert_int_equal(chmod(at("a.vdi"), 0604), 0);
        assert_open_fails("a.vdi", false, ERR_USAGE, "--force");
        sink = open_sink("a.vdi", true);
        write_and_finish(sink, "new");
        assert_content("a.vdi", "old");
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
        assert_content("a.vdi", "new");
        assert_int_equal(mode_of("a.vdi"), 0604);
        assert_int_equal(count_entries(), 1);
}

static void file_that_came_into_being_is_kept(void **state)
{
        struct stage *sink = open_sink("a.vdi", false);
        struct error err = ERROR_INIT;

        (void)state;
        write_and_finish(sink, "new");
        test_file("a.vdi", "theirs", 6);
        assert_int_equal(file_sink_publish(&sink, 1, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        stage_free(sink);
        assert_content("a.vdi", "theirs");
        assert_int_equal(count_entries(), 1);
}

/* Where --force would be refused as well, it is not recommended. */
static void existing_file_of_several(void **state)
{
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;

        (void)state;
        test_file("a.vdi", "old", 3);
        assert_int_equal(file_sink_new(at("a.vdi"), TEST_SET_ID, FILE_EXISTING_KEPT, NULL, &sink, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, "a.vdi' exists; choose another name"));
        assert_int_equal(unlink(at("a.vdi")), 0);

        assert_ok(file_sink_new(at("a.vdi"), TEST_SET_ID, FILE_EXISTING_KEPT, NULL, &sink, &err), &err);
        write_and_finish(sink, "new");
        test_file("a.vdi", "theirs", 6);
        err = (struct error)ERROR_INIT;
        assert_int_equal(file_sink_publish(&sink, 1, &err), -1);
        assert_non_null(strstr(err.message, "has come into being meanwhile; choose another name"));
        stage_free(sink);
        assert_content("a.vdi", "theirs");
}

static void links_are_followed(void **state)
{
        struct stage *sink;
        struct error err = ERROR_INIT;
        struct stat status;

        (void)state;
        assert_int_equal(symlink("real.vdi", at("link.vdi")), 0);
        sink = open_sink("link.vdi", false);
        write_and_finish(sink, "first");
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
        assert_content("real.vdi", "first");
        assert_open_fails("link.vdi", false, ERR_USAGE, "--force");
        sink = open_sink("link.vdi", true);
        write_and_finish(sink, "second");
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
        assert_content("real.vdi", "second");
        assert_int_equal(lstat(at("link.vdi"), &status), 0);
        assert_true(S_ISLNK(status.st_mode));
}

static void several_appear_together_or_not_at_all(void **state)
{
        struct stage *sinks[3];
        struct error err = ERROR_INIT;

        (void)state;
        for (int round = 0; round < 2; round++) {
                sinks[0] = open_sink("1.vdi", false);
                sinks[1] = open_sink("2.vdi", false);
                sinks[2] = open_sink("3.vdi", false);
                for (int i = 0; i < 3; i++)
                        write_and_finish(sinks[i], "x");
                if (round == 0) {
                        test_file("3.vdi", "theirs", 6);
                        assert_int_equal(file_sink_publish(sinks, 3, &err), -1);
                } else {
                        assert_ok(file_sink_publish(sinks, 3, &err), &err);
                }
                for (int i = 0; i < 3; i++)
                        stage_free(sinks[i]);
                assert_int_equal(count_entries(), round == 0 ? 1 : 3);
                unlink(at("3.vdi"));
        }
}

static void several_replaced_together_or_not_at_all(void **state)
{
        (void)state;
        for (int round = 0; round < 2; round++) {
                struct stage *sinks[2];
                struct error err = ERROR_INIT;

                test_file("1.vdi", "old 1", 5);
                test_file("2.vdi", "old 2", 5);
                sinks[0] = open_sink("1.vdi", true);
                sinks[1] = open_sink("2.vdi", true);
                write_and_finish(sinks[0], "new 1");
                write_and_finish(sinks[1], "new 2");
                if (round == 0)
                        assert_int_equal(unlink(at(".2.vdi.partial-" TEST_SET_ID)), 0);
                assert_int_equal(file_sink_publish(sinks, 2, &err), round == 0 ? -1 : 0);
                stage_free(sinks[0]);
                stage_free(sinks[1]);
                assert_content("1.vdi", round == 0 ? "old 1" : "new 1");
                assert_content("2.vdi", round == 0 ? "old 2" : "new 2");
                assert_int_equal(count_entries(), 2);
        }
}

static void same_file_twice_in_a_set(void **state)
{
        struct stage *sink = open_sink("a.vdi", false);

        (void)state;
        assert_open_fails("a.vdi", false, ERR_BUSY, "already");
        stage_free(sink);
}

static void very_long_names(void **state)
{
        char name[NAME_MAX + 1];
        struct stage *sink;
        struct error err = ERROR_INIT;

        (void)state;
        memset(name, 'n', sizeof name - 1);
        name[NAME_MAX] = '\0';
        sink = open_sink(name, false);
        write_and_finish(sink, "long");
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
        assert_int_equal(count_entries(), 1);
}

/* ---- what cannot be written ---- */

static void bad_targets(void **state)
{
        (void)state;
        assert_open_fails("", false, ERR_USAGE, "is a directory");
        assert_open_fails(".", false, ERR_USAGE, "is a directory");
        assert_open_fails("none/a.vdi", false, ERR_USAGE, "there is no folder");
        assert_open_fails("new/", false, ERR_USAGE, "is a directory");
        assert_int_equal(symlink("loop", at("loop")), 0);
        assert_open_fails("loop", false, ERR_IO, "Too many levels");
}

/* ---- partial files of dead runs ---- */

static void sweep_removes_only_the_dead(void **state)
{
        CLEANUP(fd_closep) int live = -1;
        struct stage *sink;

        (void)state;
        test_file(".dead.vdi.partial-" OTHER_SET_ID, "x", 1);
        test_file(".odd.vdi.partial-" OTHER_SET_ID "0", "x", 1);
        test_file("visible.partial-" OTHER_SET_ID, "x", 1);
        assert_int_equal(mkdir(at(".folder.partial-" OTHER_SET_ID), 0700), 0);
        assert_int_equal(symlink("visible.partial-" OTHER_SET_ID, at(".link.partial-" OTHER_SET_ID)), 0);
        live = open(test_file(".live.vdi.partial-" OTHER_SET_ID, "x", 1), O_RDWR | O_CLOEXEC);
        assert_int_equal(flock(live, LOCK_EX), 0);

        sink = open_sink("a.vdi", false);
        assert_int_equal(access(at(".dead.vdi.partial-" OTHER_SET_ID), F_OK), -1);
        assert_int_equal(access(at(".live.vdi.partial-" OTHER_SET_ID), F_OK), 0);
        assert_int_equal(count_entries(), 6);
        stage_free(sink);
        assert_int_equal(count_entries(), 5);
}

/* ---- special files and failures ---- */

static void devices_are_written_directly(void **state)
{
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;

        (void)state;
        assert_ok(file_sink_new("/dev/null", TEST_SET_ID, FILE_EXISTING_KEPT, NULL, &sink, &err), &err);
        write_and_finish(sink, "gone");
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);

        assert_ok(file_sink_new("/dev/full", TEST_SET_ID, FILE_EXISTING_KEPT, NULL, &sink, &err), &err);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_write(sink, "x", 1, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_non_null(strstr(err.message, "/dev/full"));
        stage_abort(sink, "no space");
        stage_free(sink);
        assert_int_equal(access("/dev/full", F_OK), 0);
}

static struct stage *open_path(const char *name)
{
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;

        assert_ok(file_sink_new(name, TEST_SET_ID, FILE_EXISTING_KEPT, NULL, &sink, &err), &err);
        return sink;
}

static void publish_and_free(struct stage *sink)
{
        struct error err = ERROR_INIT;

        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
}

/* What a shell's >(COMMAND) is. Each name is a link whose text, "pipe:[123]", names nothing. */
static void pipes_by_the_name_of_their_descriptor(void **state)
{
        static const char *const folders[] = { "/dev/fd", "/proc/self/fd", "/proc/thread-self/fd" };
        int ends[2];

        (void)state;
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
                char name[64], got[8] = "";
                struct stage *sink;

                snprintf(name, sizeof name, "%s/%d", folders[i], ends[1]);
                sink = open_path(name);
                write_and_finish(sink, "through");
                publish_and_free(sink);
                assert_int_equal(read(ends[0], got, sizeof got - 1), 7);
                assert_string_equal(got, "through");
        }
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(count_entries(), 0);
}

/* As with a redirection: what follows goes where the descriptor stands, and the file stays the same one. */
static void files_by_the_name_of_their_descriptor(void **state)
{
        CLEANUP(fd_closep) int fd = open(test_file("a.vdi", "old ", 4), O_RDWR | O_CLOEXEC);
        char name[64];

        (void)state;
        assert_int_equal(lseek(fd, 0, SEEK_END), 4);
        snprintf(name, sizeof name, "/dev/fd/%d", fd);
        for (int i = 0; i < 2; i++) {
                struct stage *sink = open_path(i == 0 ? name : at("link"));

                write_and_finish(sink, "new ");
                publish_and_free(sink);
                if (i == 0)
                        assert_int_equal(symlink(name, at("link")), 0);
        }
        assert_content("a.vdi", "old new new ");
        assert_true(fd_has_name(AT_FDCWD, at("a.vdi"), fd));
        assert_int_equal(count_entries(), 2);
}

static void kernel_links_to_files_are_refused(void **state)
{
        CLEANUP(fd_closep) int fd = open(test_file("a.vdi", "old", 3), O_RDONLY | O_CLOEXEC);
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;
        char name[64];

        (void)state;
        snprintf(name, sizeof name, "/proc/thread-self/fd/%d", fd);
        assert_int_equal(file_sink_new(name, TEST_SET_ID, FILE_EXISTING_REPLACED, NULL, &sink, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, "by way of /proc"));
        snprintf(name, sizeof name, "/dev/fd/%d", fd);
        err = (struct error)ERROR_INIT;
        assert_int_equal(file_sink_new(name, TEST_SET_ID, FILE_EXISTING_REPLACED, NULL, &sink, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, "not open for writing"));
        assert_content("a.vdi", "old");
        assert_int_equal(count_entries(), 1);
}

static void size_limit_is_a_clean_error(void **state)
{
        struct rlimit old, limit;
        struct stage *sink = open_sink("a.vdi", false);
        struct error err = ERROR_INIT;
        char data[10000] = { 0 };

        (void)state;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = (struct rlimit){ .rlim_cur = 15000, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_ok(stage_write(sink, data, sizeof data, &err), &err);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_write(sink, data, sizeof data, &err), -1);
        assert_int_equal(err.sys_errno, EFBIG);
        stage_abort(sink, "too large");
        stage_free(sink);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(count_entries(), 0);
}

static void reserved_room_is_given_back(void **state)
{
        struct stage *sink = open_sink("a.vdi", false);
        struct error err = ERROR_INIT;
        struct stat status;

        (void)state;
        assert_ok(stage_write(sink, "abc", 3, &err), &err);
        assert_ok(stage_reserve(sink, 8 << 20, &err), &err);
        assert_ok(stage_finish(sink, NULL, &err), &err);
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        stage_free(sink);
        assert_int_equal(stat(at("a.vdi"), &status), 0);
        assert_int_equal(status.st_size, 3);
        assert_true(status.st_blocks < 1024);
}

static struct stage *pipe_sink(int ends[2], const atomic_bool *cancel)
{
        struct error err = ERROR_INIT;
        struct stage *sink = NULL;

        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_ok(fd_sink_new(ends[1], "pipe", cancel, &sink, &err), &err);
        return sink;
}

static void reader_that_went_away(void **state)
{
        int ends[2];
        struct stage *sink = pipe_sink(ends, NULL);
        struct error err = ERROR_INIT;

        (void)state;
        signal(SIGPIPE, SIG_IGN);
        close(ends[0]);
        assert_int_equal(stage_write(sink, "x", 1, &err), -1);
        assert_int_equal(err.code, ERR_PIPE);
        assert_string_equal(err.message, "'pipe': whoever read it went away");
        stage_free(sink);
        close(ends[1]);
}

/* An abort must not wait for a reader that does not read, and must arrive where there is room. */
static void abort_into_a_full_pipe_gives_up(void **state)
{
        static char data[64 << 10];
        struct vdistream_options options = { 0 };
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;
        int ends[2];
        int64_t begun;

        (void)state;
        assert_ok(vdistream_writer_new(&info, &options, pipe_sink(ends, NULL), &stage, &err), &err);
        assert_ok(stage_write(stage, data, sizeof data, &err), &err);
        assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        while (write(ends[1], data, sizeof data) > 0)
                ;
        assert_int_equal(fcntl(ends[1], F_SETFL, 0), 0);
        begun = monotonic_ns();
        stage_abort(stage, "nobody reads");
        assert_true(monotonic_ns() - begun < (int64_t)3 * 1000000000);
        stage_free(stage);
        close(ends[0]);
        close(ends[1]);
}

struct blocked {
        struct stage *sink;
        struct error error;
        int result;
};

static void *write_much(void *argument)
{
        struct blocked *blocked = argument;
        char *data = calloc(1, 4 << 20);

        blocked->result = stage_write(blocked->sink, data, 4 << 20, &blocked->error);
        free(data);
        return NULL;
}

static void wake(int number)
{
        (void)number;
}

static void cancel_ends_a_blocked_write(void **state)
{
        static atomic_bool cancel;
        struct blocked blocked = { .error = ERROR_INIT };
        struct sigaction action = { .sa_handler = wake };
        struct timespec pause = { .tv_nsec = 5000000 };
        pthread_t thread;
        int ends[2];

        (void)state;
        assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
        blocked.sink = pipe_sink(ends, &cancel);
        assert_int_equal(pthread_create(&thread, NULL, write_much, &blocked), 0);
        atomic_store(&cancel, true);
        /* The signal must come while the write waits, so it is repeated until the thread has ended. */
        while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
                pthread_kill(thread, SIGUSR1);
                nanosleep(&pause, NULL);
        }
        assert_int_equal(blocked.result, -1);
        assert_int_equal(blocked.error.code, ERR_ABORTED);
        stage_free(blocked.sink);
        close(ends[0]);
        close(ends[1]);
}

/* Whoever shares the pipe may have made it non-blocking; nothing is lost by that. */
static void nonblocking_pipes(void **state)
{
        struct bytes stream = { 0 }, moved = { 0 };
        struct reader_options options = { .name = "pipe" };
        struct reader *reader = NULL;
        struct error err = ERROR_INIT;
        struct blocked blocked = { .error = ERROR_INIT };
        uint8_t buffer[4096];
        pthread_t thread;
        int ends[2];
        ssize_t n;

        (void)state;
        blocked.sink = pipe_sink(ends, NULL);
        assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(pthread_create(&thread, NULL, write_much, &blocked), 0);
        while (moved.size < 4 << 20) {
                n = read(ends[0], buffer, sizeof buffer);
                assert_true(n > 0);
                bytes_append(&moved, buffer, (size_t)n);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_int_equal(blocked.result, 0);
        stage_free(blocked.sink);

        make_stream(&stream, STORED, moved.data, 3000, 1000);
        assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(fd_write_full(ends[1], stream.data, stream.size, NULL), 0);
        close(ends[1]);
        assert_ok(reader_open(ends[0], &options, &reader, &err), &err);
        assert_int_equal(source_read_full(reader->source, buffer, sizeof buffer, &err), 3000);
        reader_free(reader);
        close(ends[0]);
        bytes_free(&stream);
        bytes_free(&moved);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, empty_folder)
        const struct CMUnitTest tests[] = {
                TEST(appears_only_when_published),
                TEST(found_at_the_end_of_a_chain),
                TEST(unpublished_leaves_nothing),
                TEST(existing_file_needs_force),
                TEST(file_that_came_into_being_is_kept),
                TEST(existing_file_of_several),
                TEST(links_are_followed),
                TEST(several_appear_together_or_not_at_all),
                TEST(several_replaced_together_or_not_at_all),
                TEST(same_file_twice_in_a_set),
                TEST(very_long_names),
                TEST(bad_targets),
                TEST(sweep_removes_only_the_dead),
                TEST(devices_are_written_directly),
                TEST(pipes_by_the_name_of_their_descriptor),
                TEST(files_by_the_name_of_their_descriptor),
                TEST(kernel_links_to_files_are_refused),
                TEST(size_limit_is_a_clean_error),
                TEST(reserved_room_is_given_back),
                TEST(reader_that_went_away),
                TEST(abort_into_a_full_pipe_gives_up),
                TEST(cancel_ends_a_blocked_write),
                TEST(nonblocking_pipes),
        };

        return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
