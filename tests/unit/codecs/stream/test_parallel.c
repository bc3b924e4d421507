/*
 * What threads change: nothing. Writers and readers with a pool are compared with those without.
 */
#include "tests/unit/codecs/support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/base/pool.h"
#include "core/base/fd_io.h"

enum { THREADS = 3, SMALL_FRAMES = 40, SMALL_FRAME = 3000, HANG_SECONDS = 60 };

static struct pool *pool;

static struct stage *writer_into(struct bytes *out, int level, bool is_long, struct pool *with,
                                 struct memory_sink **ret_sink)
{
        struct vdistream_options options = {
                .compress = true, .zstd_level = level, .zstd_long = is_long, .pool = with
        };
        struct memory_sink *sink = memory_sink_new(out);
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;

        assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
        if (ret_sink)
                *ret_sink = sink;
        return stage;
}

static void write_stream(struct bytes *out, bool is_long, struct pool *with, const uint8_t *data, size_t size,
                         size_t piece, size_t flush_every)
{
        CLEANUP(stage_freep) struct stage *stage = writer_into(out, 1, is_long, with, NULL);
        struct error err = ERROR_INIT;
        size_t since = 0;

        for (size_t at = 0, n; at < size; at += n) {
                n = size - at < piece ? size - at : piece;
                assert_ok(stage_write(stage, data + at, n, &err), &err);
                since += n;
                if (flush_every && since >= flush_every) {
                        assert_ok(stage_flush(stage, &err), &err);
                        since = 0;
                }
        }
        assert_ok(stage_finish(stage, NULL, &err), &err);
}

static void assert_same(const struct bytes *a, const struct bytes *b)
{
        assert_int_equal(a->size, b->size);
        assert_memory_equal(a->data, b->data, a->size);
}

static void assert_reads_as(const struct bytes *stream, const uint8_t *data, size_t size, size_t piece)
{
        struct reader_options options = { .name = "f.vdi", .pool = pool };
        struct outcome outcome = read_bytes(stream->data, stream->size, piece, &options);

        if (!outcome.ended)
                fail_msg("%s", outcome.error.message);
        assert_int_equal(outcome.content.size, size);
        assert_memory_equal(outcome.content.data, data, size);
        outcome_free(&outcome);
}

/* Several frames, and a part of one. */
static void pieces_make_no_difference(void **state)
{
        static const size_t pieces[] = { 1, 4093, 65537, 1 << 20, 16 << 20 };
        size_t size = (33u << 20) + 12345;
        CLEANUP(freep) uint8_t *data = malloc(size);

        (void)state;
        assert_non_null(data);
        fill_text(data, size, 3);
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
                size_t part = pieces[i] == 1 ? 300000 : pieces[i] < 1 << 20 ? 9u << 20 : size;
                struct bytes alone = { 0 }, together = { 0 }, content = { 0 };

                write_stream(&alone, false, NULL, data, part, pieces[i], 0);
                write_stream(&together, false, pool, data, part, pieces[i], 0);
                assert_same(&alone, &together);
                assert_reads_as(&together, data, part, pieces[i] == 1 ? 1 : pieces[i]);
                assert_int_equal(shell_on("zstd -dcq < \"$F\"", together.data, together.size, &content), 0);
                assert_int_equal(content.size, part);
                assert_memory_equal(content.data, data, part);
                bytes_free(&alone);
                bytes_free(&together);
                bytes_free(&content);
        }
}

static void long_frames(void **state)
{
        size_t size = (70u << 20) + 7;
        CLEANUP(freep) uint8_t *data = malloc(size);
        struct bytes usual = { 0 }, far = { 0 }, content = { 0 };

        (void)state;
        assert_non_null(data);
        fill_random(data, 20u << 20, 1);
        memcpy(data + (20u << 20), data, 20u << 20);
        memcpy(data + (40u << 20), data, 20u << 20);
        memcpy(data + (60u << 20), data, size - (60u << 20));
        write_stream(&usual, false, pool, data, size, 1 << 20, 0);
        write_stream(&far, true, pool, data, size, 1 << 20, 0);
        assert_true(far.size < usual.size * 9 / 10);
        assert_reads_as(&far, data, size, 1 << 20);
        assert_int_equal(shell_on("zstd -dcq < \"$F\"", far.data, far.size, &content), 0);
        assert_int_equal(content.size, size);
        assert_memory_equal(content.data, data, size);
        bytes_free(&usual);
        bytes_free(&far);
        bytes_free(&content);
}

static void make_small_frames(struct bytes *stream, struct bytes *content)
{
        uint8_t data[SMALL_FRAME];

        for (int i = 0; i < SMALL_FRAMES; i++) {
                if (i % 2)
                        fill_text(data, sizeof data, (uint64_t)i);
                else
                        fill_random(data, sizeof data, (uint64_t)i);
                bytes_append(content, data, i % 5 == 4 ? 100 : sizeof data);
        }
        write_stream(stream, false, pool, content->data, content->size, 500, SMALL_FRAME / 2);
}

/* The same data before the same fault. */
static void assert_same_outcome(const uint8_t *stream, size_t size, size_t at)
{
        struct reader_options with = { .name = "f.vdi", .pool = pool };
        struct outcome a = read_bytes(stream, size, 1000, NULL);
        struct outcome b = read_bytes(stream, size, 1000, &with);

        if (strcmp(a.error.message, b.error.message) != 0)
                fail_msg("at %zu: '%s' and '%s'", at, a.error.message, b.error.message);
        assert_int_equal(a.opened, b.opened);
        assert_int_equal(a.ended, b.ended);
        assert_int_equal(a.error.code, b.error.code);
        assert_same(&a.content, &b.content);
        outcome_free(&a);
        outcome_free(&b);
}

static void faults_are_found_at_the_same_place(void **state)
{
        struct bytes stream = { 0 }, content = { 0 };

        (void)state;
        make_small_frames(&stream, &content);
        assert_reads_as(&stream, content.data, content.size, 777);
        for (size_t at = 0; at < stream.size; at += 47) {
                stream.data[at] ^= 0x10;
                assert_same_outcome(stream.data, stream.size, at);
                stream.data[at] ^= 0x10;
                assert_same_outcome(stream.data, at, at);
        }
        bytes_free(&stream);
        bytes_free(&content);
}

/* Abort at any time, with work under way: the reason is found behind what was written. */
static void aborted_while_working(void **state)
{
        size_t size = 21u << 20;
        CLEANUP(freep) uint8_t *data = malloc(size);

        (void)state;
        assert_non_null(data);
        fill_text(data, size, 9);
        for (size_t part = 0; part < size; part += 3u << 20) {
                struct reader_options options = { .name = "f.vdi", .pool = pool };
                struct bytes out = { 0 };
                struct stage *stage = writer_into(&out, 1, false, pool, NULL);
                struct error err = ERROR_INIT;
                struct outcome outcome;

                assert_ok(stage_write(stage, data, part, &err), &err);
                stage_abort(stage, "enough");
                stage_free(stage);
                outcome = read_bytes(out.data, out.size, 1 << 20, &options);
                assert_true(outcome.opened);
                assert_false(outcome.ended);
                assert_string_equal(outcome.error.message, "'f.vdi': the backup was aborted: enough");
                assert_false(zstd_accepts(&out));
                outcome_free(&outcome);
                bytes_free(&out);
        }
}

/* A writer that fails says so with a later call, and is freed with work under way. */
static void a_write_error_comes_up(void **state)
{
        size_t size = 4u << 20;
        CLEANUP(freep) uint8_t *data = calloc(1, size);
        struct memory_sink *sink;
        struct bytes out = { 0 };
        CLEANUP(stage_freep) struct stage *stage = writer_into(&out, 1, false, pool, &sink);
        struct error err = ERROR_INIT;
        int calls = 0;

        (void)state;
        assert_non_null(data);
        assert_ok(stage_write(stage, data, 100, &err), &err);
        sink->fail_after = 0;
        while (calls < 4 * THREADS && stage_write(stage, data, size, &err) == 0)
                calls++;
        assert_in_range(calls, 0, THREADS + 2);
        assert_true(error_is_set(&err));
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_flush(stage, &err), -1);
        bytes_free(&out);
}

/* What a flush sent is read although more is awaited. */
static void an_open_pipe_is_read_up_to_its_last_flush(void **state)
{
        struct reader_options options = { .name = "pipe", .pool = pool };
        CLEANUP(reader_freep) struct reader *reader = NULL;
        struct bytes out = { 0 };
        CLEANUP(stage_freep) struct stage *stage = writer_into(&out, 1, false, pool, NULL);
        struct error err = ERROR_INIT;
        uint8_t data[SMALL_FRAME], got[SMALL_FRAME];
        size_t sent = 0;
        int ends[2];

        (void)state;
        alarm(HANG_SECONDS);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        for (int i = 0; i < SMALL_FRAMES; i++) {
                fill_random(data, sizeof data, (uint64_t)i);
                assert_ok(stage_write(stage, data, sizeof data, &err), &err);
                assert_ok(stage_flush(stage, &err), &err);
                assert_int_equal(fd_write_full(ends[1], out.data + sent, out.size - sent, NULL), 0);
                sent = out.size;
                if (!reader)
                        assert_ok(reader_open(ends[0], &options, &reader, &err), &err);
                assert_int_equal(source_read_full(reader->source, got, sizeof got, &err), sizeof got);
                assert_memory_equal(got, data, sizeof got);
        }
        alarm(0);
        close(ends[0]);
        close(ends[1]);
        bytes_free(&out);
}

static int set_up(void **state)
{
        struct error err = ERROR_INIT;

        return pool_new(THREADS, &pool, &err) < 0 ? -1 : test_folder_setup(state);
}

static int tear_down(void **state)
{
        pool_free(pool);
        return test_folder_teardown(state);
}

/* ---- frames of other tools ---- */

#define SPLIT "cd \"${F%/*}\" && split -b 300000 \"$F\" piece. && "

/* Each makes many frames, whose sizes are in their headers, in front of them, or not known. */
static const char mixed[] = SPLIT "zstd -qc piece.* && cat \"$F\" | pzstd -qc -1 && rm piece.* && zstd -qc < \"$F\" && "
                                  "pzstd -qc -1 \"$F\"";
static const char *const foreign_frames[] = {
        "pzstd -qc -1 -p 3 \"$F\"",
        "pzstd -qc -1 -p 3 < \"$F\" | cat",
        "pzstd -qc -1 --no-check -p 3 \"$F\"",
        SPLIT "zstd -qc piece.* && rm piece.*",
        SPLIT "for p in piece.*; do zstd -qc < $p; done && rm piece.*",
        mixed,
};

static void make_foreign(const char *command, size_t size, struct bytes *compressed)
{
        static const uint8_t head[] = { 'T', 'A', 'P', 'E', 0, 0, 3, 0 };
        CLEANUP(freep) uint8_t *data = calloc(1, size);

        assert_non_null(data);
        for (size_t i = 0; i < size; i += 2048)
                fill_random(data + i, size - i < 1024 ? size - i : 1024, i + 1);
        memcpy(data, head, sizeof head);
        assert_int_equal(shell_on(command, data, size, compressed), 0);
}

/* Both ways of reading agree: on the content where it is whole, on the fault and on what is before it where not. */
static void assert_reads_alike(const struct bytes *input, size_t size)
{
        struct reader_options one = { .name = "f" }, many = { .name = "f", .pool = pool };
        struct outcome with = read_bytes(input->data, size, 65521, &many);
        struct outcome without = read_bytes(input->data, size, 65521, &one);
        size_t common = with.content.size < without.content.size ? with.content.size : without.content.size;

        assert_int_equal(with.ended, without.ended);
        assert_int_equal(with.error.code, without.error.code);
        if (without.ended || strstr(without.error.message, "cut off")) {
                assert_string_equal(with.error.message, without.error.message);
                assert_int_equal(with.content.size, without.content.size);
        }
        if (common > 0)
                assert_memory_equal(with.content.data, without.content.data, common);
        outcome_free(&with);
        outcome_free(&without);
}

static void foreign_frames_are_read_alike(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof foreign_frames / sizeof foreign_frames[0]; i++) {
                struct bytes input = { 0 };
                struct outcome outcome;

                make_foreign(foreign_frames[i], 9 << 20, &input);
                outcome = read_bytes(input.data, input.size, 1 << 20,
                                     &(struct reader_options){ .pool = pool, .name = "f" });
                if (!outcome.ended || outcome.content.size % (9 << 20))
                        fail_msg("%s: %zu bytes, %s", foreign_frames[i], outcome.content.size, outcome.error.message);
                outcome_free(&outcome);
                assert_reads_alike(&input, input.size);
                for (size_t cut = 1; cut < 12; cut += 3)
                        assert_reads_alike(&input, input.size * cut / 12 + cut);
                for (size_t at = 1; at < 24; at += 4) {
                        input.data[input.size * at / 24] ^= 0x10;
                        assert_reads_alike(&input, input.size);
                        input.data[input.size * at / 24] ^= 0x10;
                }
                bytes_free(&input);
        }
}

/* A frame that says it holds little, or is announced as small, and holds much more. */
static void a_frame_longer_than_announced(void **state)
{
        static const char *const commands[] = {
                "head -c 99 \"$F\" | zstd -qc && printf '\\120\\052\\115\\030\\004\\000\\000\\000\\100\\000\\000\\000' "
                "&& "
                "zstd -qc -1 < \"$F\"",
                "head -c 99 \"$F\" | zstd -qc && printf '\\120\\052\\115\\030\\004\\000\\000\\000\\100\\000\\000\\000' "
                "&& "
                "head -c 60000000 /dev/zero | zstd -qc -1",
        };

        (void)state;
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                struct bytes input = { 0 };

                make_foreign(commands[i], 9 << 20, &input);
                assert_reads_alike(&input, input.size);
                assert_reads_alike(&input, input.size - 9);
                bytes_free(&input);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(pieces_make_no_difference),
                cmocka_unit_test(long_frames),
                cmocka_unit_test(faults_are_found_at_the_same_place),
                cmocka_unit_test(aborted_while_working),
                cmocka_unit_test(a_write_error_comes_up),
                cmocka_unit_test(an_open_pipe_is_read_up_to_its_last_flush),
                cmocka_unit_test(foreign_frames_are_read_alike),
                cmocka_unit_test(a_frame_longer_than_announced),
        };

        return cmocka_run_group_tests(tests, set_up, tear_down);
}
