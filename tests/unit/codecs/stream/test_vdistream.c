/*
 * The vdi stream from end to end: what the writer makes is read back, by us and by stock zstd, and no unfinished or
 * aborted stream is taken for a whole one by either.
 */
#include "tests/unit/codecs/support.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/stream/zstd_frame.h"
#include "core/base/bytes.h"

static const size_t sizes[] = {
        0,
        1,
        511,
        4095,
        (128 << 10) - 1,
        128 << 10,
        (128 << 10) + 1,
        1 << 20,
        (4 << 20) - 1,
        4 << 20,
        (4 << 20) + 1,
        9 << 20,
};

enum { SIZE_COUNT = sizeof sizes / sizeof sizes[0], SIZE_MAX_TESTED = 9 << 20 };

static uint8_t *make_data(size_t size, bool text)
{
        uint8_t *data = malloc(size + 1);

        assert_non_null(data);
        (text ? fill_text : fill_random)(data, size, size);
        return data;
}

static void check_round_trip(const struct bytes *stream, const uint8_t *data, size_t size, size_t piece)
{
        struct outcome outcome = read_bytes(stream->data, stream->size, piece, NULL);

        if (!outcome.ended)
                fail_msg("size %zu read by %zu: %s", size, piece, outcome.error.message);
        assert_int_equal(outcome.content.size, size);
        assert_true(size == 0 || memcmp(outcome.content.data, data, size) == 0);
        assert_true(outcome.has_tail && outcome.tail.confirmed);
        assert_int_equal(outcome.tail.data_bytes, size);
        assert_int_equal(outcome.tail.stream_bytes, stream->size);
        assert_string_equal(outcome.tail.report_json, "{\"lsn\":7}");
        assert_string_equal(outcome.info.database, "t\xFFst.db");
        outcome_free(&outcome);
}

static void check_stock_zstd(const struct bytes *stream, const uint8_t *data, size_t size)
{
        struct bytes output = { 0 };

        assert_true(zstd_accepts(stream));
        assert_int_equal(shell_on("zstd -dcq < \"$F\"", stream->data, stream->size, &output), 0);
        assert_int_equal(output.size, size);
        assert_true(size == 0 || memcmp(output.data, data, size) == 0);
        assert_int_equal(shell_on("cp \"$F\" \"$F.zst\" && zstd -lq \"$F.zst\"", stream->data, stream->size, NULL), 0);
        bytes_free(&output);
}

static void round_trips(int level, bool text)
{
        static const size_t pieces[] = { 1 << 20, 65537, 16 << 20 };

        for (size_t i = 0; i < SIZE_COUNT; i++) {
                uint8_t *data = make_data(sizes[i], text);

                for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
                        struct bytes stream = { 0 };

                        make_stream(&stream, level, data, sizes[i], pieces[k]);
                        check_round_trip(&stream, data, sizes[i], 1 << 20);
                        check_round_trip(&stream, data, sizes[i], 9973);
                        if (k == 0)
                                check_stock_zstd(&stream, data, sizes[i]);
                        bytes_free(&stream);
                }
                free(data);
        }
}

static void stored_random(void **state)
{
        (void)state;
        round_trips(STORED, false);
}

static void compressed_text(void **state)
{
        (void)state;
        round_trips(COMPRESSED, true);
}

static void compressed_random(void **state)
{
        (void)state;
        round_trips(COMPRESSED, false);
}

static void fast_and_thorough_levels(void **state)
{
        static const int levels[] = { ZSTD_LEVEL_MIN, 1, 19 };
        size_t size = 300000;
        uint8_t *data = make_data(size, true);

        (void)state;
        for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
                struct bytes stream = { 0 };

                make_stream(&stream, levels[i], data, size, 100001);
                check_round_trip(&stream, data, size, 65536);
                bytes_free(&stream);
        }
        free(data);
}

static void single_bytes(void **state)
{
        size_t size = 5000;
        uint8_t *data = make_data(size, true);

        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream = { 0 };

                make_stream(&stream, level, data, size, 1);
                check_round_trip(&stream, data, size, 1);
                check_stock_zstd(&stream, data, size);
                bytes_free(&stream);
        }
        free(data);
}

/* Many small pieces in one call, also empty ones, and more than a batch holds. */
static void scattered_pieces(void **state)
{
        enum { COUNT = 3000, PIECE = 700 };
        struct iovec *iov = calloc(COUNT, sizeof *iov);
        uint8_t *data = make_data((size_t)COUNT * PIECE, false);
        struct error err = ERROR_INIT;
        size_t size = 0;

        (void)state;
        assert_non_null(iov);
        for (int i = 0; i < COUNT; i++) {
                iov[i] = (struct iovec){ .iov_base = data + size, .iov_len = (size_t)(i % 3) * PIECE / 2 };
                size += iov[i].iov_len;
        }
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream = { 0 };
                struct stage *stage = stream_writer(&stream, level, NULL);

                assert_ok(stage_writev(stage, iov, COUNT, &err), &err);
                assert_ok(stage_finish(stage, "{\"lsn\":7}", &err), &err);
                stage_free(stage);
                check_round_trip(&stream, data, size, 4096);
                bytes_free(&stream);
        }
        free(iov);
        free(data);
}

/* The data of a transfer is not copied, and goes out with one call. */
static void one_write_a_transfer(void **state)
{
        struct bytes stream = { 0 };
        struct memory_sink *sink;
        struct stage *stage = stream_writer(&stream, STORED, &sink);
        uint8_t *data = make_data(1 << 20, false);
        struct error err = ERROR_INIT;

        (void)state;
        for (int i = 1; i <= 9; i++) {
                assert_ok(stage_write(stage, data, 1 << 20, &err), &err);
                assert_int_equal(sink->writes, i);
        }
        stage_free(stage);
        bytes_free(&stream);
        free(data);
}

/* ---- unfinished streams ---- */

/* Where the frame at `position` ends, by its own headers. */
static size_t next_frame(const struct bytes *stream, size_t position)
{
        struct frame_header header;
        const uint8_t *at = stream->data + position;
        uint32_t block;

        if (frame_is_skippable(get_le32(at)))
                return position + 8 + get_le32(at + 4);
        assert_int_equal(frame_header_parse(at, stream->size - position, &header), 1);
        position += header.size;
        do {
                block = get_le24(stream->data + position);
                position += 3 + ((block >> 1 & 3) == FRAME_BLOCK_RLE ? 1 : block >> 3);
        } while (!(block & 1));
        return position + FRAME_CHECKSUM_SIZE;
}

/* What stands in `stream` now is no whole stream to anybody. */
static void check_refused(const struct bytes *stream, enum err_code expected)
{
        struct outcome outcome = read_bytes(stream->data, stream->size, 65536, NULL);

        assert_false(outcome.ended);
        if (outcome.error.code != expected)
                fail_msg("refused as %d, not %d: %s", outcome.error.code, expected, outcome.error.message);
        outcome_free(&outcome);
        assert_false(zstd_accepts(stream));
}

/* The steps of a backup; `stop` of them are done. Returns false when there are no more. */
static bool do_steps(struct stage *stage, int stop, const uint8_t *data)
{
        static const size_t transfers[] = { 100, 0, (4 << 20) - 100, 5 << 20, 77 };
        enum { TRANSFERS = sizeof transfers / sizeof transfers[0] };
        struct error err = ERROR_INIT;
        int step = 0;

        for (int i = 0; i < TRANSFERS; i++) {
                if (step++ == stop)
                        return true;
                assert_ok(stage_write(stage, data, transfers[i], &err), &err);
                if (step++ == stop)
                        return true;
                if (i % 2 == 0)
                        assert_ok(stage_flush(stage, &err), &err);
        }
        if (step++ == stop)
                return true;
        assert_ok(stage_flush(stage, &err), &err);
        assert_ok(stage_flush(stage, &err), &err);
        if (step++ == stop)
                return true;
        assert_ok(stage_complete(stage, &err), &err);
        return false;
}

static void unfinished_in_every_state(int level)
{
        uint8_t *data = make_data(5 << 20, true);
        bool more = true;

        for (int stop = 1; more; stop++) {
                struct bytes stream = { 0 };
                struct memory_sink *sink;
                struct stage *stage = stream_writer(&stream, level, &sink);

                more = do_steps(stage, stop, data);
                if (stream.size > 0)
                        check_refused(&stream, more ? ERR_DAMAGED : ERR_UNCONFIRMED);
                else
                        assert_false(zstd_accepts(&stream));
                stage_free(stage);
                bytes_free(&stream);
        }
        free(data);
}

static void unfinished_stored(void **state)
{
        (void)state;
        unfinished_in_every_state(STORED);
}

static void unfinished_compressed(void **state)
{
        (void)state;
        unfinished_in_every_state(COMPRESSED);
}

/* However a transfer is cut up, no write before the verdict's ends where a frame ends: a kill between two writes must
 * not leave something that looks whole. */
static void no_write_ends_between_frames(void **state)
{
        enum { COUNT = 3000, PIECE = 3500 };
        uint8_t *data = make_data((size_t)COUNT * PIECE, false);
        struct iovec *iov = calloc(COUNT, sizeof *iov);

        (void)state;
        assert_non_null(iov);
        for (size_t i = 0; i < COUNT; i++)
                iov[i] = (struct iovec){ .iov_base = data + i * PIECE, .iov_len = PIECE };
        for (int round = 0; round < 4; round++) {
                struct vdistream_options options = { .compress = round % 2, .zstd_level = 1 };
                struct bytes stream = { 0 };
                struct memory_sink *sink = memory_sink_new(&stream);
                struct stream_info info = test_info();
                struct error err = ERROR_INIT;
                struct stage *stage = NULL;
                size_t complete, position = 0;

                options.flush_boundary = round < 2 ? 0 : 65536;
                assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
                assert_ok(stage_writev(stage, iov, COUNT, &err), &err);
                assert_ok(stage_flush(stage, &err), &err);
                assert_ok(stage_write(stage, data, (size_t)COUNT * PIECE, &err), &err);
                assert_ok(stage_complete(stage, &err), &err);
                complete = stream.size;
                assert_ok(stage_finish(stage, NULL, &err), &err);

                for (size_t end = 0; position < complete; position = end) {
                        end = next_frame(&stream, position);
                        for (size_t i = 0; i < sink->ends.size; i += sizeof end)
                                assert_true(memcmp(sink->ends.data + i, &end, sizeof end) != 0);
                }
                stage_free(stage);
                bytes_free(&stream);
        }
        free(iov);
        free(data);
}

/* Flush leaves nothing behind in the process: the data is in the stream, if only its end were there. */
static void flush_lets_everything_go(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream = { 0 };
                struct bytes output = { 0 };
                struct memory_sink *sink;
                struct stage *stage = stream_writer(&stream, level, &sink);
                uint8_t *data = make_data(70000, true);
                struct error err = ERROR_INIT;

                assert_ok(stage_write(stage, data, 70000, &err), &err);
                assert_ok(stage_flush(stage, &err), &err);
                assert_int_equal(sink->flushes, 1);
                assert_int_not_equal(shell_on("zstd -dcq < \"$F\" 2>/dev/null", stream.data, stream.size, &output), 0);
                assert_int_equal(output.size, 70000);
                assert_memory_equal(output.data, data, 70000);
                stage_free(stage);
                free(data);
                bytes_free(&stream);
                bytes_free(&output);
        }
}

/* ---- aborted streams ---- */

static void aborted_in_every_state(int level)
{
        uint8_t *data = make_data(5 << 20, true);
        bool more = true;

        for (int stop = 0; more; stop++) {
                struct bytes stream = { 0 };
                struct memory_sink *sink;
                struct stage *stage = stream_writer(&stream, level, &sink);
                struct outcome outcome;

                more = stop == 0 || do_steps(stage, stop, data);
                stage_abort(stage, "disk \x1B[2J on fire");
                assert_true(sink->hurried && sink->aborted);
                assert_false(zstd_accepts(&stream));
                outcome = read_bytes(stream.data, stream.size, 65536, NULL);
                assert_false(outcome.ended);
                assert_int_equal(outcome.error.code, ERR_DAMAGED);
                assert_string_equal(outcome.error.message, "'f.vdi': the backup was aborted: disk \\x1B[2J on fire");
                outcome_free(&outcome);
                stage_free(stage);
                bytes_free(&stream);
        }
        free(data);
}

static void aborted_stored(void **state)
{
        (void)state;
        aborted_in_every_state(STORED);
}

static void aborted_compressed(void **state)
{
        (void)state;
        aborted_in_every_state(COMPRESSED);
}

static void abort_after_finish_changes_nothing(void **state)
{
        struct bytes stream = { 0 };
        struct stage *stage = stream_writer(&stream, STORED, NULL);
        struct error err = ERROR_INIT;
        size_t size;

        (void)state;
        assert_ok(stage_write(stage, "abc", 3, &err), &err);
        assert_ok(stage_finish(stage, NULL, &err), &err);
        size = stream.size;
        stage_abort(stage, "too late");
        assert_int_equal(stream.size, size);
        assert_true(zstd_accepts(&stream));
        stage_free(stage);
        bytes_free(&stream);
}

static void abort_after_a_failed_write_is_silent(void **state)
{
        struct bytes stream = { 0 };
        struct memory_sink *sink;
        struct stage *stage = stream_writer(&stream, STORED, &sink);
        struct error err = ERROR_INIT;
        size_t size;

        (void)state;
        assert_ok(stage_write(stage, "abc", 3, &err), &err);
        sink->fail_after = sink->writes;
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_write(stage, "abc", 3, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        sink->fail_after = -1;
        size = stream.size;
        stage_abort(stage, "no space");
        assert_int_equal(stream.size, size);
        assert_true(sink->aborted);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_finish(stage, NULL, &err), -1);
        stage_free(stage);
        bytes_free(&stream);
}

/* ---- the end ---- */

static void calls_in_the_wrong_order_fail(void **state)
{
        struct bytes stream = { 0 };
        struct stage *stage = stream_writer(&stream, STORED, NULL);
        struct error err = ERROR_INIT;

        (void)state;
        assert_ok(stage_complete(stage, &err), &err);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_write(stage, "x", 1, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_flush(stage, &err), -1);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_complete(stage, &err), -1);
        assert_ok(stage_finish(stage, NULL, &err), &err);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_finish(stage, NULL, &err), -1);
        stage_free(stage);
        bytes_free(&stream);
}

/* The server must hear of it while the backup can still fail. */
static void data_that_was_not_announced_is_refused(void **state)
{
        struct vdistream_options options = { 0 };

        (void)state;
        for (uint64_t length = 4; length <= 6; length++) {
                struct bytes stream = { 0 };
                struct memory_sink *sink = memory_sink_new(&stream);
                struct stream_info info = test_info();
                struct error err = ERROR_INIT;
                struct stage *stage = NULL;

                info.has_extent = true;
                info.total_size = info.part_length = length;
                assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
                assert_ok(stage_write(stage, "12345", 5, &err), &err);
                if (length == 5) {
                        assert_ok(stage_complete(stage, &err), &err);
                        assert_ok(stage_finish(stage, NULL, &err), &err);
                } else {
                        assert_int_equal(stage_complete(stage, &err), -1);
                        assert_int_equal(err.code, ERR_PROTOCOL);
                        assert_int_equal(stage_finish(stage, NULL, &err), -1);
                        stage_abort(stage, "wrong length");
                        check_refused(&stream, ERR_DAMAGED);
                }
                stage_free(stage);
                bytes_free(&stream);
        }
}

static void complete_reserves_room_for_the_tail(void **state)
{
        struct bytes stream = { 0 };
        struct memory_sink *sink;
        struct stage *stage = stream_writer(&stream, STORED, &sink);
        struct error err = ERROR_INIT;
        size_t before;

        (void)state;
        assert_ok(stage_write(stage, "abc", 3, &err), &err);
        assert_ok(stage_complete(stage, &err), &err);
        assert_true(sink->reserved);
        before = stream.size;
        assert_ok(stage_finish(stage, "{}", &err), &err);
        assert_true(sink->finished);
        assert_true(stream.size - before <= sink->reserved_bytes);
        stage_free(stage);
        bytes_free(&stream);
}

static void unconfirmed_is_its_own_failure(void **state)
{
        struct reader_options options = { .name = "f.vdi", .accept_unconfirmed = true };
        struct bytes stream = { 0 };
        struct stage *stage = stream_writer(&stream, STORED, NULL);
        struct error err = ERROR_INIT;
        struct outcome outcome;

        (void)state;
        assert_ok(stage_write(stage, "abc", 3, &err), &err);
        assert_ok(stage_complete(stage, &err), &err);
        stage_free(stage);
        outcome = read_bytes(stream.data, stream.size, 10, NULL);
        assert_false(outcome.ended);
        assert_int_equal(outcome.error.code, ERR_UNCONFIRMED);
        assert_non_null(strstr(outcome.error.message, "--accept-unconfirmed"));
        outcome_free(&outcome);

        outcome = read_bytes(stream.data, stream.size, 10, &options);
        assert_true(outcome.ended && outcome.has_tail);
        assert_false(outcome.tail.confirmed);
        assert_int_equal(outcome.tail.data_bytes, 3);
        assert_null(outcome.tail.report_json);
        outcome_free(&outcome);
        bytes_free(&stream);
}

/* A report must not be able to spoil a backup that succeeded. */
static void any_report_is_survived(void **state)
{
        static const char *const reports[] = { NULL, "{}", "no json", "[1]", "{\"a\":", "\xFF\x01" };
        static const char *const read_back[] = { NULL,
                                                 "{}",
                                                 "{\"text\":\"no json\"}",
                                                 "{\"text\":\"[1]\"}",
                                                 "{\"text\":\"{\\\"a\\\":\"}",
                                                 "{\"text\":\"\\\\xFF\\\\x01\"}" };

        (void)state;
        for (size_t i = 0; i < sizeof reports / sizeof reports[0]; i++) {
                struct bytes stream = { 0 };
                struct stage *stage = stream_writer(&stream, STORED, NULL);
                struct error err = ERROR_INIT;
                struct outcome outcome;

                assert_ok(stage_finish(stage, reports[i], &err), &err);
                outcome = read_bytes(stream.data, stream.size, 10, NULL);
                assert_true(outcome.ended);
                if (read_back[i])
                        assert_string_equal(outcome.tail.report_json, read_back[i]);
                else
                        assert_null(outcome.tail.report_json);
                outcome_free(&outcome);
                stage_free(stage);
                bytes_free(&stream);
        }
}

/* With a boundary, everything that was flushed fills whole chunks. */
static void padding_reaches_the_boundary(void **state)
{
        struct vdistream_options options = { .flush_boundary = 65536 };
        struct stream_info info = test_info();

        (void)state;
        for (size_t size = 65100; size < 65540; size += 1 + size % 7) {
                struct bytes stream = { 0 };
                struct memory_sink *sink = memory_sink_new(&stream);
                struct error err = ERROR_INIT;
                struct stage *stage = NULL;
                uint8_t *data = make_data(size, false);
                struct outcome outcome;

                assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
                assert_ok(stage_write(stage, data, size, &err), &err);
                assert_ok(stage_flush(stage, &err), &err);
                assert_int_equal(stream.size % 65536, 0);
                assert_ok(stage_write(stage, data, size / 2, &err), &err);
                assert_ok(stage_complete(stage, &err), &err);
                assert_int_equal(stream.size % 65536, 0);
                assert_ok(stage_finish(stage, NULL, &err), &err);
                outcome = read_bytes(stream.data, stream.size, 65536, NULL);
                assert_true(outcome.ended);
                assert_int_equal(outcome.content.size, size + size / 2);
                outcome_free(&outcome);
                stage_free(stage);
                bytes_free(&stream);
                free(data);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(stored_random),
                cmocka_unit_test(compressed_text),
                cmocka_unit_test(compressed_random),
                cmocka_unit_test(fast_and_thorough_levels),
                cmocka_unit_test(single_bytes),
                cmocka_unit_test(scattered_pieces),
                cmocka_unit_test(one_write_a_transfer),
                cmocka_unit_test(unfinished_stored),
                cmocka_unit_test(unfinished_compressed),
                cmocka_unit_test(no_write_ends_between_frames),
                cmocka_unit_test(flush_lets_everything_go),
                cmocka_unit_test(aborted_stored),
                cmocka_unit_test(aborted_compressed),
                cmocka_unit_test(abort_after_finish_changes_nothing),
                cmocka_unit_test(abort_after_a_failed_write_is_silent),
                cmocka_unit_test(calls_in_the_wrong_order_fail),
                cmocka_unit_test(data_that_was_not_announced_is_refused),
                cmocka_unit_test(complete_reserves_room_for_the_tail),
                cmocka_unit_test(unconfirmed_is_its_own_failure),
                cmocka_unit_test(any_report_is_survived),
                cmocka_unit_test(padding_reaches_the_boundary),
        };

        return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
