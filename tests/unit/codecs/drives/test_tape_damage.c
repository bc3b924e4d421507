/*
 * Tapes that break: what is left at any moment is refused, every failure is told, and nothing is left half done.
 */
#include "tests/unit/codecs/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codecs/stream/record.h"
#include "codecs/drives/tape.h"
#include "codecs/stream/stream.h"
#include "core/base/bytes.h"
#include "core/base/fd_io.h"

enum { BLOCK = 512, STEPS = 26 };

static char path[512];
static const char *folder; /* where everything happens; a child process is told by its argument */
static atomic_bool cancel;

static const char *at(const char *name)
{
        snprintf(path, sizeof path, "%s/%s", folder, name);
        return path;
}

static int empty_folder(void **state)
{
        char command[128];

        (void)state;
        folder = test_folder();
        atomic_store(&cancel, false);
        snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", test_folder(), test_folder());
        return system(command) == 0 ? 0 : -1;
}

static int count_entries(void)
{
        CLEANUP(dir_closep) DIR *dir = opendir(folder);
        const struct dirent *entry;
        int count = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)))
                count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        return count;
}

static struct bytes content_of(const char *name)
{
        struct bytes bytes = { 0 };
        CLEANUP(freep) char *text = NULL;
        size_t size;

        assert_int_equal(fd_read_file(AT_FDCWD, at(name), 1 << 28, &text, &size), 0);
        bytes_append(&bytes, text, size);
        return bytes;
}

static int try_create(int level, bool append, struct tape **ret_tape, struct error *err)
{
        struct vdistream_options options = { .compress = level != STORED, .zstd_level = level };
        struct tape_shape shape = { .block_size = BLOCK };
        struct tape_file file = { .path = at("t.vdi"), .set_id = TEST_SET_ID, .append = append, .cancel = &cancel };
        struct stream_info info = test_info();

        return tape_create(&file, &info, &options, &shape, ret_tape, err);
}

static struct tape *create(int level, bool append)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;

        assert_ok(try_create(level, append, &tape, &err), &err);
        return tape;
}

static int put(struct tape *tape, unsigned number, unsigned blocks, struct error *err)
{
        uint8_t data[8 * BLOCK];
        enum tape_event event;

        assert_true(blocks <= 8);
        memset(data, (int)number, sizeof data);
        return tape_write(tape, data, (size_t)blocks * BLOCK, &event, err);
}

static int put_mark(struct tape *tape, struct error *err)
{
        enum tape_event event;

        return tape_write_mark(tape, &event, err);
}

static int take(struct tape *tape, unsigned blocks, struct error *err)
{
        uint8_t data[8 * BLOCK];
        enum tape_event event;
        size_t size;

        return tape_read(tape, data, (size_t)blocks * BLOCK, &size, &event, err);
}

static void go_to(struct tape *tape, uint64_t position)
{
        enum tape_event event;

        tape_set_position(tape, position, &event);
}

static void publish(struct tape *tape)
{
        struct error err = ERROR_INIT;
        struct stage *sink = tape_sink(tape);

        assert_ok(tape_finish(tape, NULL, &err), &err);
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        tape_free(tape);
}

/* Two blocks, a mark, a block, a mark. */
static void make_tape(int level)
{
        struct tape *tape = create(level, false);
        struct error err = ERROR_INIT;

        assert_ok(put(tape, 1, 2, &err), &err);
        assert_ok(put_mark(tape, &err), &err);
        assert_ok(put(tape, 2, 1, &err), &err);
        assert_ok(put_mark(tape, &err), &err);
        publish(tape);
}

static int open_bytes(const uint8_t *data, size_t size, struct tape **ret_tape, struct error *err)
{
        struct reader_options options = { .name = "f.vdi", .cancel = &cancel };
        int fd = memfd_create("stream", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(fd_pwrite_full(fd, data, size, 0), 0);
        if (tape_open(fd, &options, 0, ret_tape, err) == 0)
                return fd;
        close(fd);
        return -1;
}

/* ---- damage ---- */

static void check_refused(const uint8_t *data, size_t size, size_t place)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;

        if (open_bytes(data, size, &tape, &err) >= 0)
                fail_msg("accepted with damage at %zu of %zu", place, size);
        if (err.code != ERR_DAMAGED && err.code != ERR_UNCONFIRMED && err.code != ERR_USAGE && err.code != ERR_FAILED)
                fail_msg("damage at %zu: %d '%s'", place, err.code, err.message);
}

static void every_cut_and_every_changed_byte(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream;

                empty_folder(NULL);
                make_tape(level);
                stream = content_of("t.vdi");
                for (size_t cut = 0; cut < stream.size; cut++)
                        check_refused(stream.data, cut, cut);
                for (size_t i = 0; i < stream.size; i++) {
                        stream.data[i] ^= 0x10;
                        check_refused(stream.data, stream.size, i);
                        stream.data[i] ^= 0x10;
                }
                bytes_free(&stream);
        }
}

/* A byte of a block that was right when the tape was opened. */
static void what_changes_after_opening(void **state)
{
        struct error err = ERROR_INIT;
        struct bytes stream;
        struct tape *tape = NULL;
        uint8_t *block;
        uint8_t other = 0xFF;
        int fd;

        (void)state;
        make_tape(STORED);
        stream = content_of("t.vdi");
        fd = open_bytes(stream.data, stream.size, &tape, &err);
        assert_ok(fd, &err);
        block = memmem(stream.data, stream.size, "\1\1\1\1\1\1\1\1", 8);
        assert_non_null(block);
        assert_int_equal(fd_pwrite_full(fd, &other, 1, block - stream.data), 0);
        go_to(tape, 1);
        err = (struct error)ERROR_INIT;
        assert_int_equal(take(tape, 1, &err), -1);
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_int_equal(tape_position(tape), 1);
        assert_int_equal(ftruncate(fd, block - stream.data), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(take(tape, 1, &err), -1);
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_non_null(strstr(err.message, "somebody has cut it"));
        tape_free(tape);
        close(fd);
        bytes_free(&stream);
}

/* ---- marks as records ---- */

static void marks_of_another_form(void **state)
{
        static const size_t sizes[] = { 0, 3, 5, 8 };
        uint8_t body[8] = { 0 };

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                CLEANUP(outcome_free) struct outcome outcome = { 0 };
                CLEANUP(bytes_free) struct bytes stream = { 0 };
                CLEANUP(freep) uint8_t *frame = NULL;
                struct error err = ERROR_INIT;
                size_t size;

                make_stream(&stream, STORED, body, 0, 1);
                stream.size = 8 + get_le32(stream.data + 4);
                assert_ok(record_build(RECORD_MARK, body, sizes[i], &frame, &size, &err), &err);
                bytes_append(&stream, frame, size);
                outcome = read_bytes(stream.data, stream.size, 4096, NULL);
                assert_int_equal(outcome.error.code, ERR_DAMAGED);
                assert_non_null(strstr(outcome.error.message, "a file mark is wrong"));
        }
}

static void mark_behind_the_data(void **state)
{
        static const uint8_t complete[] = "VDIS\1C";
        CLEANUP(outcome_free) struct outcome outcome = { 0 };
        CLEANUP(bytes_free) struct bytes stream = { 0 };
        CLEANUP(freep) uint8_t *frame = NULL;
        struct error err = ERROR_INIT;
        uint8_t *at_complete;

        (void)state;
        make_stream(&stream, STORED, complete, 0, 1);
        at_complete = memmem(stream.data, stream.size, complete, 6);
        assert_non_null(at_complete);
        stream.size = (size_t)(at_complete - stream.data) - 8 + RECORD_COMPLETE_SIZE;
        assert_ok(record_mark_build(0, &frame, &err), &err);
        bytes_append(&stream, frame, RECORD_MARK_SIZE);
        outcome = read_bytes(stream.data, stream.size, 4096, NULL);
        assert_int_equal(outcome.error.code, ERR_DAMAGED);
        assert_non_null(strstr(outcome.error.message, "out of place"));
}

/* ---- the end is inside a frame ---- */

static void assert_cut_off(const uint8_t *data, size_t size, const char *when)
{
        CLEANUP(outcome_free) struct outcome outcome = read_bytes(data, size, 4096, NULL);
        struct bytes stream = { .data = (uint8_t *)(uintptr_t)data, .size = size };

        if (outcome.ended)
                fail_msg("our reader accepts what is there %s", when);
        if (zstd_accepts(&stream))
                fail_msg("zstd accepts what is there %s", when);
}

static void after_every_write_with_marks(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                CLEANUP(bytes_free) struct bytes stream = { 0 };
                CLEANUP(stage_freep) struct stage *stage = NULL;
                struct memory_sink *sink;
                struct error err = ERROR_INIT;
                uint8_t block[BLOCK] = { 0 };

                stage = stream_writer(&stream, level, &sink);
                for (int i = 0; i < 8; i++) {
                        if (i % 3)
                                assert_ok(stage_write(stage, block, sizeof block, &err), &err);
                        if (i == 4)
                                assert_ok(stage_flush(stage, &err), &err);
                        assert_ok(vdistream_writer_mark(stage, (uint32_t)i, &err), &err);
                        assert_cut_off(stream.data, stream.size, "after a mark");
                }
                assert_ok(stage_complete(stage, &err), &err);
                for (size_t i = 0; i < sink->ends.size / sizeof(size_t); i++) {
                        size_t end;

                        memcpy(&end, sink->ends.data + i * sizeof end, sizeof end);
                        assert_cut_off(stream.data, end, "after a write");
                }
                assert_ok(stage_finish(stage, NULL, &err), &err);
                assert_true(zstd_accepts(&stream));
        }
}

static void aborted_right_after_a_mark(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                CLEANUP(outcome_free) struct outcome outcome = { 0 };
                CLEANUP(bytes_free) struct bytes stream = { 0 };
                CLEANUP(stage_freep) struct stage *stage = NULL;
                struct error err = ERROR_INIT;

                stage = stream_writer(&stream, level, NULL);
                assert_ok(vdistream_writer_mark(stage, 0, &err), &err);
                stage_abort(stage, "the reason");
                outcome = read_bytes(stream.data, stream.size, 4096, NULL);
                assert_int_equal(outcome.error.code, ERR_DAMAGED);
                assert_non_null(strstr(outcome.error.message, "aborted: the reason"));
                assert_false(zstd_accepts(&stream));
        }
}

/* One step of a fixed row in which every kind of call follows every other. */
static int take_step(struct tape *tape, unsigned step, struct error *err)
{
        switch (step * step % 13) {
        case 0:
        case 1:
                return put(tape, step, 1 + step % 8, err);
        case 3:
                return put_mark(tape, err);
        case 4:
                go_to(tape, step % 7);
                return take(tape, 3, err);
        case 9:
                go_to(tape, tape_position(tape) / 2);
                return put(tape, step, 2, err);
        case 10:
                go_to(tape, tape_position(tape) * 2 / 3);
                return put_mark(tape, err);
        default:
                return tape_flush(tape, err);
        }
}

static void partial_files_are_refused(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct tape *tape = create(level, false);
                struct error err = ERROR_INIT;

                for (unsigned step = 0; step < STEPS; step++) {
                        struct bytes stream;

                        assert_ok(take_step(tape, step, &err), &err);
                        stream = content_of(".t.vdi.partial-" TEST_SET_ID);
                        if (stream.size > 0)
                                assert_cut_off(stream.data, stream.size, "after a step");
                        bytes_free(&stream);
                }
                tape_abort(tape, "a reason");
                tape_free(tape);
                assert_int_equal(count_entries(), 1); /* the input of the shell */
        }
}

/* ---- appending ---- */

static void old_file_stays_until_publishing(void **state)
{
        struct error err = ERROR_INIT;
        struct tape *other = NULL;
        struct bytes before, now;
        struct tape *tape;

        (void)state;
        make_tape(STORED);
        before = content_of("t.vdi");
        for (int abort = 0; abort < 2; abort++) {
                tape = create(COMPRESSED, true);
                go_to(tape, 100);
                assert_int_equal(tape_position(tape), 5);
                assert_ok(put(tape, 3, 1, &err), &err);
                assert_ok(tape_complete(tape, &err), &err);
                now = content_of("t.vdi");
                assert_int_equal(now.size, before.size);
                assert_memory_equal(now.data, before.data, before.size);
                bytes_free(&now);
                err = (struct error)ERROR_INIT;
                assert_int_equal(try_create(STORED, true, &other, &err), -1);
                assert_int_equal(err.code, ERR_BUSY);
                if (abort == 0) {
                        tape_abort(tape, "no");
                        tape_free(tape);
                } else {
                        publish(tape);
                }
                assert_int_equal(count_entries(), 1);
        }
        now = content_of("t.vdi");
        assert_true(now.size != before.size || memcmp(now.data, before.data, now.size) != 0);
        bytes_free(&now);
        bytes_free(&before);
}

static void damaged_files_are_not_continued(void **state)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;
        struct bytes stream;

        (void)state;
        make_tape(STORED);
        stream = content_of("t.vdi");
        test_file("t.vdi", stream.data, stream.size - 1);
        assert_int_equal(try_create(STORED, true, &tape, &err), -1);
        assert_int_equal(err.code, ERR_DAMAGED);
        stream.data[stream.size / 2] ^= 1;
        test_file("t.vdi", stream.data, stream.size);
        err = (struct error)ERROR_INIT;
        assert_int_equal(try_create(STORED, true, &tape, &err), -1);
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_int_equal(count_entries(), 1);
        bytes_free(&stream);
}

static void appending_to_nothing_begins(void **state)
{
        struct tape *tape = create(STORED, true);
        struct error err = ERROR_INIT;

        (void)state;
        assert_ok(put(tape, 1, 1, &err), &err);
        publish(tape);
        assert_int_equal(count_entries(), 1);
}

/* ---- failures ---- */

static void cancelling(void **state)
{
        struct error err = ERROR_INIT;
        struct bytes stream;
        struct tape *tape;
        int fd;

        (void)state;
        make_tape(STORED);
        stream = content_of("t.vdi");
        fd = open_bytes(stream.data, stream.size, &tape, &err);
        assert_ok(fd, &err);
        atomic_store(&cancel, true);
        err = (struct error)ERROR_INIT;
        assert_int_equal(take(tape, 1, &err), -1);
        assert_int_equal(err.code, ERR_ABORTED);
        err = (struct error)ERROR_INIT;
        assert_int_equal(open_bytes(stream.data, stream.size, &tape, &err), -1);
        assert_int_equal(err.code, ERR_ABORTED);
        err = (struct error)ERROR_INIT;
        assert_int_equal(try_create(STORED, true, &tape, &err), -1);
        assert_int_equal(err.code, ERR_ABORTED);
        tape_free(tape);
        close(fd);
        atomic_store(&cancel, false);
        tape = create(STORED, true);
        atomic_store(&cancel, true);
        err = (struct error)ERROR_INIT;
        assert_int_equal(put(tape, 1, 1, &err), -1);
        assert_int_equal(err.code, ERR_ABORTED);
        err = (struct error)ERROR_INIT;
        assert_int_equal(put(tape, 1, 1, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        err = (struct error)ERROR_INIT;
        assert_int_equal(tape_finish(tape, NULL, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        tape_abort(tape, "cancelled");
        tape_free(tape);
        assert_int_equal(count_entries(), 1);
        bytes_free(&stream);
}

#ifdef VDIPIPE_FAULTS

enum { CHILD_UNHARMED = 0, CHILD_HARMED = 10, CHILD_WRONG = 20 };

static int finish_tape(struct tape *tape, struct error *err)
{
        return tape_complete(tape, err) < 0 || tape_finish(tape, NULL, err) < 0 ? -1 : 0;
}

/* In a child process, in which the fault is set from its start on: runs into it, and finds the tape ended. A read that
 * fails harms nothing but itself. */
static int run_into_fault(enum err_code expected)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;
        int result = try_create(COMPRESSED, true, &tape, &err);

        for (unsigned step = 0; result == 0 && step < STEPS; step++)
                result = take_step(tape, step, &err);
        if (result == 0)
                result = finish_tape(tape, &err);
        if (result == 0) {
                tape_free(tape);
                return CHILD_UNHARMED;
        }
        if (err.code != expected) {
                fprintf(stderr, "%d '%s'\n", err.code, err.message);
                return CHILD_WRONG;
        }
        if (tape && expected == ERR_NO_SPACE && finish_tape(tape, NULL) == 0)
                return CHILD_WRONG;
        if (tape)
                tape_abort(tape, "a fault");
        tape_free(tape);
        return count_entries() == 1 ? CHILD_HARMED : CHILD_WRONG;
}

/* Returns the child's end as wait() tells it. */
static int fault_in_child(const char *point, const char *action, int nth, enum err_code expected)
{
        char fault[64], code[16];
        int status;
        pid_t child;

        snprintf(fault, sizeof fault, "%s=%s@%d", point, action, nth);
        snprintf(code, sizeof code, "%d", (int)expected);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                setenv("VDIPIPE_FAULT", fault, 1);
                execl("/proc/self/exe", "test_tape_damage", folder, code, (char *)NULL);
                _exit(CHILD_WRONG);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        return status;
}

static void check_faults(const char *point, int sys_errno, enum err_code expected, int at_least)
{
        char action[32];
        int nth = 0;
        int status;

        make_tape(STORED);
        snprintf(action, sizeof action, "fail:%d", sys_errno);
        do {
                status = fault_in_child(point, action, ++nth, expected);
                assert_true(WIFEXITED(status));
                unlink(at(".t.vdi.partial-" TEST_SET_ID));
        } while (WEXITSTATUS(status) == CHILD_HARMED);
        if (WEXITSTATUS(status) != CHILD_UNHARMED || nth <= at_least)
                fail_msg("%s at %d: ended with %d", point, nth, WEXITSTATUS(status));
}

/* Whatever kills the writer, what it leaves is refused, and the tape it continued is as it was. */
static void check_kills(const char *point, int at_least)
{
        struct bytes before;
        int nth = 1;

        make_tape(STORED);
        before = content_of("t.vdi");
        for (; WIFSIGNALED(fault_in_child(point, "kill", nth, ERR_NONE)); nth++) {
                struct bytes partial = content_of(".t.vdi.partial-" TEST_SET_ID);
                struct bytes now = content_of("t.vdi");

                if (partial.size > 0)
                        assert_cut_off(partial.data, partial.size, "after a kill");
                assert_int_equal(now.size, before.size);
                assert_memory_equal(now.data, before.data, before.size);
                bytes_free(&partial);
                bytes_free(&now);
                unlink(at(".t.vdi.partial-" TEST_SET_ID));
                unlink(at("shell-input"));
        }
        assert_true(nth > at_least);
        bytes_free(&before);
}

static void killed_while_writing(void **state)
{
        (void)state;
        check_kills("sink-write", 15);
}

static void killed_while_cutting(void **state)
{
        (void)state;
        check_kills("sink-cut", 3);
}

static void no_cutting(void **state)
{
        (void)state;
        check_faults("sink-cut", ENOSPC, ERR_NO_SPACE, 3);
}

static void no_room(void **state)
{
        (void)state;
        check_faults("sink-write", ENOSPC, ERR_NO_SPACE, 15);
}

static void no_sync(void **state)
{
        (void)state;
        check_faults("sink-sync", EIO, ERR_IO, 3);
}

static void no_reading(void **state)
{
        (void)state;
        check_faults("source-read", EIO, ERR_IO, 3);
}

#endif

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(every_cut_and_every_changed_byte, empty_folder),
                cmocka_unit_test_setup(what_changes_after_opening, empty_folder),
                cmocka_unit_test_setup(marks_of_another_form, empty_folder),
                cmocka_unit_test_setup(mark_behind_the_data, empty_folder),
                cmocka_unit_test_setup(after_every_write_with_marks, empty_folder),
                cmocka_unit_test_setup(aborted_right_after_a_mark, empty_folder),
                cmocka_unit_test_setup(partial_files_are_refused, empty_folder),
                cmocka_unit_test_setup(old_file_stays_until_publishing, empty_folder),
                cmocka_unit_test_setup(damaged_files_are_not_continued, empty_folder),
                cmocka_unit_test_setup(appending_to_nothing_begins, empty_folder),
                cmocka_unit_test_setup(cancelling, empty_folder),
#ifdef VDIPIPE_FAULTS
                cmocka_unit_test_setup(no_room, empty_folder),
                cmocka_unit_test_setup(no_cutting, empty_folder),
                cmocka_unit_test_setup(no_sync, empty_folder),
                cmocka_unit_test_setup(no_reading, empty_folder),
                cmocka_unit_test_setup(killed_while_writing, empty_folder),
                cmocka_unit_test_setup(killed_while_cutting, empty_folder),
#endif
        };

#ifdef VDIPIPE_FAULTS
        if (argc == 3) {
                folder = argv[1];
                return run_into_fault((enum err_code)strtol(argv[2], NULL, 10));
        }
#endif
        (void)argc;
        (void)argv;
        return cmocka_run_group_tests_name("tape_damage", tests, test_folder_setup, test_folder_teardown);
}
