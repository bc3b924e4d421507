/*
 * Tapes: every operation against a plain model of blocks and marks, and every event of every call.
 */
#include "tests/unit/codecs/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codecs/drives/tape.h"
#include "core/base/fd_io.h"

enum { BLOCK = 512, ITEMS_MAX = 1 << 16, TRANSFER_BLOCKS = 24 };

static char path[512];

static const char *at(const char *name)
{
        snprintf(path, sizeof path, "%s/%s", test_folder(), name);
        return path;
}

static int empty_folder(void **state)
{
        char command[128];

        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", test_folder(), test_folder());
        return system(command) == 0 ? 0 : -1;
}

/* ---- tapes ---- */

static const struct tape_shape plain = { .block_size = BLOCK };

static int try_create(const char *name, int level, const struct tape_shape *shape, bool append, struct tape **ret_tape,
                      struct error *err)
{
        struct vdistream_options options = { .compress = level != STORED, .zstd_level = level };
        struct tape_file file = {
                .path = at(name), .set_id = TEST_SET_ID, .existing = FILE_EXISTING_KEPT_FORCE_HELPS, .append = append
        };
        struct stream_info info = test_info();

        return tape_create(&file, &info, &options, shape, ret_tape, err);
}

static struct tape *create(const char *name, int level, const struct tape_shape *shape)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;

        assert_ok(try_create(name, level, shape, false, &tape, &err), &err);
        return tape;
}

static void publish(struct tape *tape)
{
        struct error err = ERROR_INIT;
        struct stage *sink = tape_sink(tape);

        assert_ok(tape_finish(tape, "{\"lsn\":7}", &err), &err);
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        tape_free(tape);
}

static int try_open(const char *name, uint32_t block_size, struct tape **ret_tape, struct error *err)
{
        struct reader_options options = { .name = "f.vdi" };
        int fd = open(at(name), O_RDONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        if (tape_open(fd, &options, block_size, ret_tape, err) == 0)
                return fd;
        close(fd);
        return -1;
}

static struct tape *reopen(const char *name, int *ret_fd)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;

        *ret_fd = try_open(name, 0, &tape, &err);
        assert_ok(*ret_fd, &err);
        return tape;
}

static void assert_refused(int result, struct error *err, enum err_code code, const char *words)
{
        assert_true(result < 0);
        if (err->code != code || !strstr(err->message, words))
                fail_msg("expected %d '%s', got %d '%s'", code, words, err->code, err->message);
        err->code = ERR_NONE; /* else the next failure would be kept out */
}

/* Blocks numbered from `first` on. */
static enum tape_event write_blocks(struct tape *tape, unsigned first, unsigned count)
{
        uint8_t data[TRANSFER_BLOCKS * BLOCK];
        enum tape_event event;
        struct error err = ERROR_INIT;

        for (unsigned i = 0; i < count; i++)
                memset(data + (size_t)i * BLOCK, (int)(first + i), BLOCK);
        assert_ok(tape_write(tape, data, (size_t)count * BLOCK, &event, &err), &err);
        return event;
}

static enum tape_event write_mark(struct tape *tape)
{
        enum tape_event event;
        struct error err = ERROR_INIT;

        assert_ok(tape_write_mark(tape, &event, &err), &err);
        return event;
}

/* Reads `count` blocks and expects `expected` of them, numbered from `first` on. */
static void expect_read(struct tape *tape, unsigned count, unsigned first, unsigned expected, enum tape_event event)
{
        uint8_t data[TRANSFER_BLOCKS * BLOCK];
        enum tape_event got;
        struct error err = ERROR_INIT;
        size_t size;

        assert_ok(tape_read(tape, data, (size_t)count * BLOCK, &size, &got, &err), &err);
        assert_int_equal(got, event);
        assert_int_equal(size, expected * BLOCK);
        for (unsigned i = 0; i < expected; i++) {
                assert_int_equal(data[(size_t)i * BLOCK], (uint8_t)(first + i));
                assert_int_equal(data[(size_t)i * BLOCK + BLOCK - 1], (uint8_t)(first + i));
        }
}

static void expect_skip_marks(struct tape *tape, int32_t count, enum tape_event event, uint64_t position)
{
        enum tape_event got;
        struct error err = ERROR_INIT;

        assert_ok(tape_skip_marks(tape, count, &got, &err), &err);
        assert_int_equal(got, event);
        assert_int_equal(tape_position(tape), position);
}

static void expect_skip_blocks(struct tape *tape, int32_t count, enum tape_event event, uint64_t position)
{
        enum tape_event got;
        struct error err = ERROR_INIT;

        assert_ok(tape_skip_blocks(tape, count, &got, &err), &err);
        assert_int_equal(got, event);
        assert_int_equal(tape_position(tape), position);
}

static void expect_set(struct tape *tape, uint64_t to, enum tape_event event, uint64_t position)
{
        enum tape_event got;

        tape_set_position(tape, to, &got);
        assert_int_equal(got, event);
        assert_int_equal(tape_position(tape), position);
}

/* ---- the events, cell by cell ---- */

/* 0 1 2 | 3 4 | | 5: hard marks at the positions 3, 6 and 7, end at 9. */
static void record_sample(struct tape *tape)
{
        assert_int_equal(write_blocks(tape, 0, 3), TAPE_NONE);
        assert_int_equal(write_mark(tape), TAPE_NONE);
        assert_int_equal(write_blocks(tape, 3, 2), TAPE_NONE);
        assert_int_equal(write_mark(tape), TAPE_NONE);
        assert_int_equal(write_mark(tape), TAPE_NONE);
        assert_int_equal(write_blocks(tape, 5, 1), TAPE_NONE);
        assert_int_equal(tape_position(tape), 9);
}

static void check_reads(struct tape *tape)
{
        tape_rewind(tape);
        assert_int_equal(tape_position(tape), 0);
        expect_read(tape, 0, 0, 0, TAPE_NONE);
        expect_read(tape, 2, 0, 2, TAPE_NONE);
        assert_int_equal(tape_position(tape), 2);
        expect_read(tape, 1, 2, 1, TAPE_NONE);
        assert_int_equal(tape_position(tape), 3);
        expect_read(tape, 1, 0, 0, TAPE_MARK);
        assert_int_equal(tape_position(tape), 4);
        expect_read(tape, 5, 3, 2, TAPE_MARK);
        assert_int_equal(tape_position(tape), 7);
        expect_read(tape, 5, 0, 0, TAPE_MARK);
        expect_read(tape, 0, 0, 0, TAPE_NONE);
        expect_read(tape, 5, 5, 1, TAPE_END_OF_DATA);
        assert_int_equal(tape_position(tape), 9);
        expect_read(tape, 1, 0, 0, TAPE_END_OF_DATA);
}

static void check_mark_skips(struct tape *tape)
{
        tape_rewind(tape);
        expect_skip_marks(tape, 0, TAPE_NONE, 0);
        expect_skip_marks(tape, 1, TAPE_NONE, 4);
        expect_skip_marks(tape, 2, TAPE_NONE, 8);
        expect_skip_marks(tape, 1, TAPE_END_OF_DATA, 9);
        expect_skip_marks(tape, -1, TAPE_NONE, 7);
        expect_skip_marks(tape, -2, TAPE_NONE, 3);
        expect_skip_marks(tape, -1, TAPE_BEGINNING, 0);
        expect_skip_marks(tape, 3, TAPE_NONE, 8);
        expect_skip_marks(tape, -4, TAPE_BEGINNING, 0);
        expect_skip_marks(tape, 4, TAPE_END_OF_DATA, 9);
        expect_skip_marks(tape, INT32_MIN, TAPE_BEGINNING, 0);
        expect_skip_marks(tape, INT32_MAX, TAPE_END_OF_DATA, 9);
}

static void check_block_skips(struct tape *tape)
{
        tape_rewind(tape);
        expect_skip_blocks(tape, 0, TAPE_NONE, 0);
        expect_skip_blocks(tape, 3, TAPE_NONE, 3);
        expect_skip_blocks(tape, 1, TAPE_MARK, 4);
        expect_skip_blocks(tape, 3, TAPE_MARK, 7);
        expect_skip_blocks(tape, 1, TAPE_MARK, 8);
        expect_skip_blocks(tape, 1, TAPE_NONE, 9);
        expect_skip_blocks(tape, 1, TAPE_END_OF_DATA, 9);
        expect_skip_blocks(tape, -1, TAPE_NONE, 8);
        expect_skip_blocks(tape, -1, TAPE_MARK, 7);
        expect_skip_blocks(tape, -7, TAPE_MARK, 6);
        expect_skip_blocks(tape, -1, TAPE_NONE, 5);
        expect_skip_blocks(tape, INT32_MIN, TAPE_MARK, 3);
        expect_skip_blocks(tape, -4, TAPE_BEGINNING, 0);
        expect_skip_blocks(tape, -1, TAPE_BEGINNING, 0);
        expect_skip_blocks(tape, INT32_MAX, TAPE_MARK, 4);
}

static void check_positions(struct tape *tape)
{
        expect_set(tape, 9, TAPE_NONE, 9);
        expect_set(tape, 10, TAPE_END_OF_DATA, 9);
        expect_set(tape, UINT64_MAX, TAPE_END_OF_DATA, 9);
        expect_set(tape, 4, TAPE_NONE, 4);
        expect_read(tape, 1, 3, 1, TAPE_NONE);
        expect_set(tape, 3, TAPE_NONE, 3);
        expect_read(tape, 1, 0, 0, TAPE_MARK);
        expect_set(tape, 0, TAPE_NONE, 0);
        expect_read(tape, 1, 0, 1, TAPE_NONE);
}

static void every_event_while_writing_and_reading(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct tape *tape = create("t.vdi", level, &plain);
                int fd;

                record_sample(tape);
                check_reads(tape);
                check_mark_skips(tape);
                check_block_skips(tape);
                check_positions(tape);
                publish(tape);
                tape = reopen("t.vdi", &fd);
                assert_int_equal(tape_info(tape)->block_size, BLOCK);
                check_reads(tape);
                check_mark_skips(tape);
                check_block_skips(tape);
                check_positions(tape);
                tape_free(tape);
                close(fd);
                unlink(at("t.vdi"));
        }
}

static void empty_tape(void **state)
{
        struct tape *tape = create("t.vdi", STORED, &plain);
        int fd;

        (void)state;
        expect_read(tape, 1, 0, 0, TAPE_END_OF_DATA);
        expect_skip_marks(tape, 1, TAPE_END_OF_DATA, 0);
        expect_skip_marks(tape, -1, TAPE_BEGINNING, 0);
        expect_skip_blocks(tape, 1, TAPE_END_OF_DATA, 0);
        expect_skip_blocks(tape, -1, TAPE_BEGINNING, 0);
        expect_set(tape, 1, TAPE_END_OF_DATA, 0);
        publish(tape);
        tape = reopen("t.vdi", &fd);
        expect_read(tape, 1, 0, 0, TAPE_END_OF_DATA);
        tape_free(tape);
        close(fd);
}

/* A soft mark takes whole blocks, one at least; a position inside one is that of its beginning. */
static void soft_marks_take_room(void **state)
{
        struct tape_shape shape = { .block_size = BLOCK, .soft_mark_size = 4 * BLOCK + 1 };
        struct tape_shape small = { .block_size = BLOCK, .soft_mark_size = 1 };
        struct tape *tape = create("t.vdi", STORED, &shape);
        struct error err = ERROR_INIT;
        int fd;

        (void)state;
        write_blocks(tape, 0, 1);
        write_mark(tape);
        assert_int_equal(tape_position(tape), 5);
        write_blocks(tape, 1, 1);
        publish(tape);
        assert_ok(try_create("t.vdi", STORED, &small, true, &tape, &err), &err);
        expect_skip_marks(tape, 1, TAPE_NONE, 5);
        expect_skip_blocks(tape, 2, TAPE_END_OF_DATA, 6);
        write_mark(tape);
        assert_int_equal(tape_position(tape), 7);
        publish(tape);
        tape = reopen("t.vdi", &fd);
        assert_int_equal(tape_info(tape)->soft_mark_size, 1);
        for (uint64_t i = 1; i < 5; i++)
                expect_set(tape, i, TAPE_NONE, 1);
        expect_read(tape, 1, 0, 0, TAPE_MARK);
        assert_int_equal(tape_position(tape), 5);
        expect_skip_blocks(tape, -1, TAPE_MARK, 1);
        expect_set(tape, 6, TAPE_NONE, 6);
        expect_read(tape, 1, 0, 0, TAPE_MARK);
        assert_int_equal(tape_position(tape), 7);
        tape_free(tape);
        close(fd);
}

static void medium_ends(void **state)
{
        struct tape_shape shape = { .block_size = BLOCK, .media_size = 8 * BLOCK, .warning_size = 3 * BLOCK };
        struct tape *tape = create("t.vdi", STORED, &shape);

        (void)state;
        assert_int_equal(write_blocks(tape, 0, 9), TAPE_FULL);
        assert_int_equal(tape_position(tape), 0);
        assert_int_equal(write_blocks(tape, 0, 5), TAPE_NONE);
        assert_int_equal(write_blocks(tape, 5, 1), TAPE_WARNING);
        assert_int_equal(write_mark(tape), TAPE_WARNING);
        assert_int_equal(write_blocks(tape, 6, 2), TAPE_FULL);
        assert_int_equal(tape_position(tape), 7);
        assert_int_equal(write_blocks(tape, 6, 1), TAPE_WARNING);
        assert_int_equal(write_mark(tape), TAPE_FULL);
        assert_int_equal(write_blocks(tape, 7, 1), TAPE_FULL);
        assert_int_equal(write_blocks(tape, 7, 0), TAPE_NONE);
        /* What is refused ends no data; what is in use is counted from the position. */
        expect_set(tape, 1, TAPE_NONE, 1);
        assert_int_equal(write_blocks(tape, 0, 8), TAPE_FULL);
        expect_read(tape, 1, 1, 1, TAPE_NONE);
        assert_int_equal(write_blocks(tape, 9, 3), TAPE_NONE);
        expect_read(tape, 1, 0, 0, TAPE_END_OF_DATA);
        assert_int_equal(tape_position(tape), 5);
        tape_free(tape);
}

static void writing_ends_the_data(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                for (uint64_t position = 0; position <= 9; position++) {
                        for (int with_mark = 0; with_mark < 2; with_mark++) {
                                struct tape *tape = create("t.vdi", level, &plain);

                                record_sample(tape);
                                expect_set(tape, position, TAPE_NONE, position);
                                if (with_mark)
                                        write_mark(tape);
                                else
                                        write_blocks(tape, 100, 1);
                                assert_int_equal(tape_position(tape), position + 1);
                                expect_read(tape, 1, 0, 0, TAPE_END_OF_DATA);
                                expect_set(tape, position, TAPE_NONE, position);
                                expect_read(tape, 1, 100, with_mark ? 0 : 1, with_mark ? TAPE_MARK : TAPE_NONE);
                                tape_rewind(tape);
                                if (position > 0)
                                        expect_read(tape, 1, 0, 1, TAPE_NONE);
                                publish(tape);
                                unlink(at("t.vdi"));
                        }
                }
        }
}

/* ---- refusals ---- */

static void calls_in_wrong_states(void **state)
{
        struct tape *tape = create("t.vdi", STORED, &plain);
        uint8_t data[2 * BLOCK] = { 0 };
        enum tape_event event;
        struct error err = ERROR_INIT;
        size_t size;
        int fd;

        (void)state;
        assert_refused(tape_write(tape, data, BLOCK + 1, &event, &err), &err, ERR_PROTOCOL, "whole blocks of 512");
        assert_refused(tape_read(tape, data, 1, &size, &event, &err), &err, ERR_PROTOCOL, "whole blocks of 512");
        write_blocks(tape, 0, 2);
        assert_ok(tape_flush(tape, &err), &err);
        assert_ok(tape_complete(tape, &err), &err);
        assert_refused(tape_write(tape, data, BLOCK, &event, &err), &err, ERR_PROTOCOL, "complete");
        assert_refused(tape_write_mark(tape, &event, &err), &err, ERR_PROTOCOL, "complete");
        assert_refused(tape_flush(tape, &err), &err, ERR_PROTOCOL, "complete");
        assert_refused(tape_complete(tape, &err), &err, ERR_PROTOCOL, "complete");
        tape_rewind(tape);
        expect_read(tape, 2, 0, 2, TAPE_NONE);
        publish(tape);

        tape = reopen("t.vdi", &fd);
        assert_refused(tape_write(tape, data, BLOCK, &event, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_refused(tape_write_mark(tape, &event, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_refused(tape_flush(tape, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_refused(tape_complete(tape, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_refused(tape_finish(tape, NULL, &err), &err, ERR_PROTOCOL, "opened to be read");
        tape_abort(tape, "none");
        assert_refused(tape_read(tape, data, BLOCK, &size, &event, &err), &err, ERR_PROTOCOL, "after its end");
        assert_refused(tape_skip_marks(tape, 1, &event, &err), &err, ERR_PROTOCOL, "after its end");
        assert_refused(tape_skip_blocks(tape, 1, &event, &err), &err, ERR_PROTOCOL, "after its end");
        tape_free(tape);
        close(fd);
}

static void files_that_are_no_place_for_a_tape(void **state)
{
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;

        (void)state;
        assert_int_equal(mkfifo(at("fifo"), 0600), 0);
        close(open("/dev/null", O_RDONLY | O_CLOEXEC));
        assert_int_equal(symlink("/dev/null", at("null")), 0);
        assert_refused(try_create("null", STORED, &plain, false, &tape, &err), &err, ERR_USAGE, "regular file");
        assert_refused(try_create("null", STORED, &plain, true, &tape, &err), &err, ERR_USAGE, "regular file");
        test_file("t.vdi", "x", 1);
        assert_refused(try_create("t.vdi", STORED, &plain, false, &tape, &err), &err, ERR_USAGE, "--force");
        assert_refused(try_create("t.vdi", STORED, &plain, true, &tape, &err), &err, ERR_DAMAGED, "no backup");
        assert_refused(try_create("none/t.vdi", STORED, &plain, false, &tape, &err), &err, ERR_USAGE, "no folder");
}

static void inputs_that_are_no_tape(void **state)
{
        static const char age[] = "age-encryption.org/v1\n"
                                  "-> X25519 XEl0dJ6y3C7KZkgmgWUicg63EyXJiwBJW8PdYJ/cYBE\n"
                                  "qRS0AMjdjPvZ/WT08U2KL4G+PIooA3hy38SvLpvaC1E\n"
                                  "--- HK2NmOBN9Dpq0Gw6xMCuhFcQlQLvZ/wQUi/2scLG75s\n";
        static const uint8_t image[1024] = "SQLite format 3\0\4\0\1\1\0@  \0\0\0\1\0\0\0\1";
        struct reader_options options = { .name = "f.vdi" };
        struct bytes stream = { 0 };
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;
        int pipe_fds[2];

        (void)state;
        test_file("t.vdi", image, sizeof image);
        assert_refused(try_open("t.vdi", BLOCK, &tape, &err), &err, ERR_USAGE, "raw SQLite database");
        test_file("t.vdi", "TAPE....", 8);
        assert_refused(try_open("t.vdi", BLOCK, &tape, &err), &err, ERR_USAGE, "raw SQL Server backup");
        assert_int_equal(shell_on("zstd -q < \"$F\"", image, sizeof image, &stream), 0);
        test_file("t.vdi", stream.data, stream.size);
        assert_refused(try_open("t.vdi", BLOCK, &tape, &err), &err, ERR_USAGE, "extract --layer zstd");
        test_file("t.vdi", age, sizeof age - 1);
        assert_refused(try_open("t.vdi", BLOCK, &tape, &err), &err, ERR_KEY, "--identity");
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        assert_refused(tape_open(pipe_fds[0], &options, BLOCK, &tape, &err), &err, ERR_USAGE, "no regular file");
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        bytes_free(&stream);
}

/* 3 blocks of 512 bytes, a mark, 2 blocks, a mark, a mark, 1 block: in halves of blocks. */
static void check_halves(struct tape *tape)
{
        expect_skip_marks(tape, 1, TAPE_NONE, 7);
        expect_skip_marks(tape, 2, TAPE_NONE, 13);
        expect_skip_blocks(tape, 3, TAPE_END_OF_DATA, 15);
        expect_set(tape, 7, TAPE_NONE, 7);
}

static void blocks_of_another_size(void **state)
{
        struct tape *tape = create("t.vdi", STORED, &plain);
        struct error err = ERROR_INIT;
        int fd;

        (void)state;
        record_sample(tape);
        assert_refused(tape_set_block_size(tape, BLOCK, &err), &err, ERR_PROTOCOL, "cannot be changed to 512");
        publish(tape);
        fd = try_open("t.vdi", BLOCK / 2, &tape, &err);
        assert_ok(fd, &err);
        check_halves(tape);
        tape_free(tape);
        close(fd);
        tape = reopen("t.vdi", &fd);
        expect_skip_marks(tape, 1, TAPE_NONE, 4);
        assert_ok(tape_set_block_size(tape, BLOCK / 2, &err), &err);
        assert_int_equal(tape_position(tape), 0);
        check_halves(tape);
        assert_ok(tape_set_block_size(tape, BLOCK, &err), &err);
        check_reads(tape);
        check_mark_skips(tape);
        check_block_skips(tape);
        assert_refused(tape_set_block_size(tape, 0, &err), &err, ERR_PROTOCOL, "cannot be changed to 0");
        assert_refused(tape_set_block_size(tape, 2 * BLOCK, &err), &err, ERR_USAGE, "before the file mark at byte");
        assert_refused(tape_read(tape, NULL, 0, &(size_t){ 0 }, &(enum tape_event){ 0 }, &err), &err, ERR_PROTOCOL,
                       "after its end");
        tape_free(tape);
        close(fd);
}

static void blocks_that_do_not_fit(void **state)
{
        struct tape_shape larger = { .block_size = 2 * BLOCK };
        struct tape_shape none = { 0 };
        struct tape *tape = create("t.vdi", STORED, &plain);
        uint8_t data[3 * BLOCK + 1] = { 0 };
        struct bytes stream = { 0 };
        struct error err = ERROR_INIT;
        int fd;

        (void)state;
        assert_refused(try_create("u.vdi", STORED, &none, false, &tape, &err), &err, ERR_USAGE, "give a block size");
        record_sample(tape);
        publish(tape);
        assert_refused(try_open("t.vdi", 2 * BLOCK, &tape, &err), &err, ERR_USAGE, "before the file mark at byte");
        assert_refused(try_create("t.vdi", STORED, &larger, true, &tape, &err), &err, ERR_USAGE, "1024");
        make_stream(&stream, STORED, data, 3 * BLOCK, 100);
        test_file("t.vdi", stream.data, stream.size);
        assert_refused(try_open("t.vdi", 2 * BLOCK, &tape, &err), &err, ERR_USAGE, "before its end is not whole");
        assert_refused(try_create("t.vdi", STORED, &larger, true, &tape, &err), &err, ERR_USAGE,
                       "blocks of 512 bytes, not of 1024");
        fd = try_open("t.vdi", 3 * BLOCK, &tape, &err);
        assert_ok(fd, &err);
        assert_int_equal(tape_position(tape), 0);
        expect_skip_blocks(tape, 2, TAPE_END_OF_DATA, 1);
        tape_free(tape);
        close(fd);
        stream.size = 0;
        make_stream(&stream, STORED, data, sizeof data, 100);
        test_file("t.vdi", stream.data, stream.size);
        assert_refused(try_open("t.vdi", 0, &tape, &err), &err, ERR_USAGE, "whole blocks of 512");
        bytes_free(&stream);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(every_event_while_writing_and_reading, empty_folder),
                cmocka_unit_test_setup(empty_tape, empty_folder),
                cmocka_unit_test_setup(soft_marks_take_room, empty_folder),
                cmocka_unit_test_setup(medium_ends, empty_folder),
                cmocka_unit_test_setup(writing_ends_the_data, empty_folder),
                cmocka_unit_test_setup(calls_in_wrong_states, empty_folder),
                cmocka_unit_test_setup(files_that_are_no_place_for_a_tape, empty_folder),
                cmocka_unit_test_setup(inputs_that_are_no_tape, empty_folder),
                cmocka_unit_test_setup(blocks_of_another_size, empty_folder),
                cmocka_unit_test_setup(blocks_that_do_not_fit, empty_folder),
        };

        return cmocka_run_group_tests_name("tape", tests, test_folder_setup, test_folder_teardown);
}
