/*
 * Thousands of random operations on a tape, each compared with what a plain array of blocks and marks says.
 */
#include "tests/unit/codecs/support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/drives/tape.h"
#include "core/base/fd_io.h"

enum { ITEMS_MAX = 1 << 16, TRANSFER_BLOCKS = 24, BLOCK_MAX = 64 << 10 };

/* ---- the model ---- */

struct item {
        bool is_mark;
        uint32_t span; /* blocks it counts as */
        uint64_t seed; /* of a block's content */
};

struct model {
        struct item items[ITEMS_MAX];
        size_t count;
        size_t at; /* the item that the tape stands before */
};

static uint64_t position_of(const struct model *model, size_t item)
{
        uint64_t position = 0;

        for (size_t i = 0; i < item; i++)
                position += model->items[i].span;
        return position;
}

static void model_append(struct model *model, struct item item)
{
        assert_true(model->at < ITEMS_MAX);
        model->items[model->at++] = item;
        model->count = model->at;
}

static enum tape_event model_move(struct model *model, int32_t blocks)
{
        for (; blocks > 0; blocks--) {
                if (model->at == model->count)
                        return TAPE_END_OF_DATA;
                if (model->items[model->at++].is_mark)
                        return TAPE_MARK;
        }
        for (; blocks < 0; blocks++) {
                if (model->at == 0)
                        return TAPE_BEGINNING;
                if (model->items[--model->at].is_mark)
                        return TAPE_MARK;
        }
        return TAPE_NONE;
}

static enum tape_event model_skip_marks(struct model *model, int32_t marks)
{
        while (marks > 0) {
                if (model->at == model->count)
                        return TAPE_END_OF_DATA;
                marks -= model->items[model->at++].is_mark;
        }
        while (marks < 0) {
                if (model->at == 0)
                        return TAPE_BEGINNING;
                marks += model->items[--model->at].is_mark;
        }
        return TAPE_NONE;
}

/* The item at a position, or the one that it lies in. */
static enum tape_event model_set_position(struct model *model, uint64_t position)
{
        uint64_t reached = 0;

        for (model->at = 0; model->at < model->count; model->at++) {
                if (position < reached + model->items[model->at].span)
                        return TAPE_NONE;
                reached += model->items[model->at].span;
        }
        return position > reached ? TAPE_END_OF_DATA : TAPE_NONE;
}

/* ---- a run ---- */

struct plan {
        uint64_t seed;
        uint32_t block_size;
        uint32_t soft_mark_size;
        int level;
        int operations;
};

struct run {
        const struct plan *plan;
        struct tape *tape;
        struct model *model;
        bool read_only;
        uint64_t random;
        uint64_t next_block;
};

static uint64_t draw(struct run *run, uint64_t below)
{
        run->random ^= run->random << 13;
        run->random ^= run->random >> 7;
        run->random ^= run->random << 17;
        return (run->random >> 11) % below;
}

static void fill_block(const struct run *run, uint8_t *data, uint64_t seed)
{
        if (run->plan->level == STORED)
                fill_random(data, run->plan->block_size, seed);
        else
                fill_text(data, run->plan->block_size, seed);
}

static uint8_t transfer[TRANSFER_BLOCKS * BLOCK_MAX], expected_block[BLOCK_MAX];

/* Mostly: writing at an earlier place loses everything behind it. */
static void go_to_end(struct run *run)
{
        enum tape_event event;

        if (draw(run, 12) == 0)
                return;
        model_set_position(run->model, UINT64_MAX);
        tape_set_position(run->tape, UINT64_MAX, &event);
}

static void do_write(struct run *run)
{
        uint64_t count = draw(run, TRANSFER_BLOCKS + 1);
        enum tape_event event;
        struct error err = ERROR_INIT;

        if (run->read_only)
                return;
        go_to_end(run);
        for (uint64_t i = 0; i < count; i++) {
                struct item item = { .span = 1, .seed = run->next_block++ };

                fill_block(run, transfer + i * run->plan->block_size, item.seed);
                model_append(run->model, item);
        }
        assert_ok(tape_write(run->tape, transfer, count * run->plan->block_size, &event, &err), &err);
        assert_int_equal(event, TAPE_NONE);
}

static void do_write_mark(struct run *run)
{
        uint32_t blocks = run->plan->soft_mark_size / run->plan->block_size;
        struct item item = { .is_mark = true, .span = blocks > 0 ? blocks : 1 };
        enum tape_event event;
        struct error err = ERROR_INIT;

        if (run->read_only)
                return;
        go_to_end(run);
        model_append(run->model, item);
        assert_ok(tape_write_mark(run->tape, &event, &err), &err);
        assert_int_equal(event, TAPE_NONE);
}

static void do_read(struct run *run)
{
        uint64_t count = draw(run, TRANSFER_BLOCKS + 1);
        size_t from = run->model->at;
        enum tape_event expected = model_move(run->model, (int32_t)count);
        enum tape_event event;
        struct error err = ERROR_INIT;
        size_t size, blocks;

        assert_ok(tape_read(run->tape, transfer, count * run->plan->block_size, &size, &event, &err), &err);
        assert_int_equal(event, expected);
        blocks = run->model->at - from - (expected == TAPE_MARK);
        assert_int_equal(size, blocks * run->plan->block_size);
        for (size_t i = 0; i < blocks; i++) {
                fill_block(run, expected_block, run->model->items[from + i].seed);
                assert_memory_equal(transfer + i * run->plan->block_size, expected_block, run->plan->block_size);
        }
}

static void do_skip_blocks(struct run *run)
{
        int32_t count = (int32_t)draw(run, 61) - 30;
        enum tape_event expected = model_move(run->model, count);
        enum tape_event event;
        struct error err = ERROR_INIT;

        assert_ok(tape_skip_blocks(run->tape, count, &event, &err), &err);
        assert_int_equal(event, expected);
}

static void do_skip_marks(struct run *run)
{
        int32_t count = (int32_t)draw(run, 9) - 4;
        enum tape_event expected = model_skip_marks(run->model, count);
        enum tape_event event;
        struct error err = ERROR_INIT;

        assert_ok(tape_skip_marks(run->tape, count, &event, &err), &err);
        assert_int_equal(event, expected);
}

static void do_set_position(struct run *run)
{
        uint64_t position = draw(run, position_of(run->model, run->model->count) + 3);
        enum tape_event expected = model_set_position(run->model, position);
        enum tape_event event;

        tape_set_position(run->tape, position, &event);
        assert_int_equal(event, expected);
}

static void do_rewind(struct run *run)
{
        run->model->at = 0;
        tape_rewind(run->tape);
}

static void do_flush(struct run *run)
{
        struct error err = ERROR_INIT;

        if (!run->read_only)
                assert_ok(tape_flush(run->tape, &err), &err);
}

static void operate(struct run *run, int operations)
{
        static void (*const choices[])(struct run *) = {
                do_write, do_write,  do_write,       do_write,       do_write,      do_write_mark,
                do_read,  do_read,   do_read,        do_skip_marks,  do_skip_marks, do_set_position,
                do_flush, do_rewind, do_skip_blocks, do_skip_blocks,
        };

        while (operations-- > 0) {
                choices[draw(run, sizeof choices / sizeof choices[0])](run);
                assert_int_equal(tape_position(run->tape), position_of(run->model, run->model->at));
        }
}

/* ---- the files ---- */

static const char *tape_path(void)
{
        static char path[256];

        snprintf(path, sizeof path, "%s/t.vdi", test_folder());
        return path;
}

static void start(struct run *run, bool append)
{
        const struct plan *plan = run->plan;
        struct vdistream_options options = { .compress = plan->level != STORED, .zstd_level = plan->level };
        struct tape_shape shape = { .block_size = plan->block_size, .soft_mark_size = plan->soft_mark_size };
        struct tape_file file = { .path = tape_path(), .set_id = TEST_SET_ID, .append = append };
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;

        assert_ok(tape_create(&file, &info, &options, &shape, &run->tape, &err), &err);
        run->read_only = false;
        run->model->at = 0;
}

static void publish(struct run *run)
{
        struct stage *sink = tape_sink(run->tape);
        struct error err = ERROR_INIT;

        assert_ok(tape_finish(run->tape, NULL, &err), &err);
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        tape_free(run->tape);
}

static void expect_content(const struct run *run, const struct bytes *content)
{
        size_t at = 0;

        for (size_t i = 0; i < run->model->count; i++) {
                if (run->model->items[i].is_mark)
                        continue;
                fill_block(run, expected_block, run->model->items[i].seed);
                assert_true(content->size - at >= run->plan->block_size);
                assert_memory_equal(content->data + at, expected_block, run->plan->block_size);
                at += run->plan->block_size;
        }
        assert_int_equal(at, content->size);
}

static uint64_t probe_marks(void)
{
        CLEANUP(fd_closep) int fd = open(tape_path(), O_RDONLY | O_CLOEXEC);
        CLEANUP(stream_info_deinit) struct stream_info info;
        CLEANUP(stream_tail_deinit) struct stream_tail tail;
        struct error err = ERROR_INIT;

        assert_true(fd >= 0);
        assert_int_equal(vdistream_probe(fd, "t.vdi", &info, &tail, &err), 1);
        return tail.marks;
}

/* Every other reader finds all blocks in order, and counts the marks. */
static void check_file(const struct run *run)
{
        CLEANUP(freep) char *file = NULL;
        CLEANUP(outcome_free) struct outcome outcome = { 0 };
        CLEANUP(bytes_free) struct bytes output = { 0 };
        uint64_t marks = 0;
        size_t size;

        assert_int_equal(fd_read_file(AT_FDCWD, tape_path(), 1 << 30, &file, &size), 0);
        assert_int_equal(shell_on("zstd -dcq < \"$F\"", (const uint8_t *)file, size, &output), 0);
        expect_content(run, &output);
        outcome = read_bytes((const uint8_t *)file, size, 70001, NULL);
        assert_true(outcome.ended);
        expect_content(run, &outcome.content);
        for (size_t i = 0; i < run->model->count; i++)
                marks += run->model->items[i].is_mark;
        assert_int_equal(outcome.tail.marks, marks);
        assert_int_equal(probe_marks(), marks);
        assert_true(marks > 0);
}

static void read_again(struct run *run)
{
        struct reader_options options = { .name = "t.vdi" };
        CLEANUP(fd_closep) int fd = open(tape_path(), O_RDONLY | O_CLOEXEC);
        struct error err = ERROR_INIT;

        assert_true(fd >= 0);
        assert_ok(tape_open(fd, &options, 0, &run->tape, &err), &err);
        run->read_only = true;
        run->model->at = 0;
        operate(run, run->plan->operations / 4);
        tape_free(run->tape);
}

static void carry_out(const struct plan *plan)
{
        struct run run = { .plan = plan, .random = plan->seed * 0x9E3779B97F4A7C15u + 1 };

        run.model = calloc(1, sizeof *run.model);
        assert_non_null(run.model);
        for (int round = 0; round < 2; round++) {
                start(&run, /* append= */ round > 0);
                operate(&run, plan->operations);
                do_write_mark(&run);
                publish(&run);
                check_file(&run);
                read_again(&run);
        }
        unlink(tape_path());
        free(run.model);
}

static void small_blocks(void **state)
{
        static const uint32_t marks[] = { 0, 1, 3000 };

        (void)state;
        for (uint64_t seed = 1; seed <= 6; seed++)
                carry_out(&(struct plan){ .seed = seed,
                                          .block_size = seed % 2 ? 512 : 4096,
                                          .soft_mark_size = marks[seed % 3],
                                          .level = seed % 4 < 2 ? STORED : COMPRESSED,
                                          .operations = 2000 });
}

static void large_blocks(void **state)
{
        (void)state;
        carry_out(&(struct plan){ .seed = 11, .block_size = BLOCK_MAX, .level = STORED, .operations = 300 });
        carry_out(&(struct plan){ .seed = 12,
                                  .block_size = BLOCK_MAX,
                                  .soft_mark_size = 3 * BLOCK_MAX,
                                  .level = COMPRESSED,
                                  .operations = 300 });
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(small_blocks),
                cmocka_unit_test(large_blocks),
        };

        return cmocka_run_group_tests_name("tape_model", tests, test_folder_setup, test_folder_teardown);
}
