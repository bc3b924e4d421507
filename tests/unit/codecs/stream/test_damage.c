/*
 * Damage: whatever is done to a stream, its reader never reaches the verified end.
 */
#include "tests/unit/codecs/support.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/stream/zstd_frame.h"
#include "codecs/stream/seektable.h"
#include "core/base/bytes.h"

enum { FRAMES_TESTED = 4, PIECE = 37 };

/* A small stream of several data frames, alike in size. */
static void make_small(struct bytes *stream, int level, uint32_t device)
{
        struct vdistream_options options = { .compress = level != STORED, .zstd_level = level };
        struct memory_sink *sink = memory_sink_new(stream);
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;
        uint8_t data[PIECE];

        info.device = device;
        assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
        for (uint64_t i = 0; i < FRAMES_TESTED; i++) {
                fill_random(data, sizeof data, i);
                assert_ok(stage_write(stage, data, sizeof data, &err), &err);
                if (i + 1 < FRAMES_TESTED)
                        assert_ok(stage_flush(stage, &err), &err);
        }
        assert_ok(stage_finish(stage, "{\"lsn\":7}", &err), &err);
        stage_free(stage);
}

static void check_damaged(const uint8_t *data, size_t size, const char *what, size_t at)
{
        struct outcome outcome = read_bytes(data, size, 4096, NULL);

        if (outcome.ended)
                fail_msg("%s at %zu was not noticed", what, at);
        if (outcome.error.code != ERR_DAMAGED && outcome.error.code != ERR_UNCONFIRMED &&
            outcome.error.code != ERR_USAGE && outcome.error.code != ERR_FAILED)
                fail_msg("%s at %zu: odd class %d: %s", what, at, outcome.error.code, outcome.error.message);
        outcome_free(&outcome);
}

static void cut_at_every_length(void **state)
{
        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream = { 0 };

                make_small(&stream, level, 1);
                for (size_t cut = 0; cut < stream.size; cut++)
                        check_damaged(stream.data, cut, "a cut", cut);
                bytes_free(&stream);
        }
}

/* A cut behind 'C' is put up with on request, and then nothing is missing. A cut before it never is. */
static void cut_and_unconfirmed_accepted(void **state)
{
        struct reader_options options = { .name = "f.vdi", .accept_unconfirmed = true };
        struct bytes stream = { 0 };
        bool confirmed = false;
        size_t accepted = 0;

        (void)state;
        make_small(&stream, STORED, 1);
        for (size_t cut = 1; cut < stream.size; cut++) {
                struct outcome outcome = read_bytes(stream.data, cut, 4096, &options);

                assert_true(outcome.ended || accepted == 0);
                if (outcome.ended) {
                        accepted++;
                        assert_int_equal(outcome.content.size, FRAMES_TESTED * PIECE);
                        assert_true(outcome.tail.confirmed || !confirmed);
                        confirmed = outcome.tail.confirmed;
                }
                outcome_free(&outcome);
        }
        assert_true(accepted > 0 && confirmed);
        bytes_free(&stream);
}

static void every_byte_changed(void **state)
{
        static const uint8_t patterns[] = { 0x01, 0x80, 0xFF };

        (void)state;
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream = { 0 };

                make_small(&stream, level, 1);
                for (size_t at = 0; at < stream.size; at++) {
                        for (size_t i = 0; i < sizeof patterns; i++) {
                                stream.data[at] ^= patterns[i];
                                check_damaged(stream.data, stream.size, "a changed byte", at);
                                stream.data[at] ^= patterns[i];
                        }
                }
                bytes_free(&stream);
        }
}

/* Where the frames of a stream begin, by its seek table; starts[count] is the table. */
static size_t split(const struct bytes *stream, size_t *starts, size_t room)
{
        size_t count = get_le32(stream->data + stream->size - SEEKTABLE_FOOTER);
        size_t table = stream->size - seektable_size(count);

        assert_true(count < room);
        starts[0] = 0;
        for (size_t i = 0; i < count; i++)
                starts[i + 1] = starts[i] + get_le32(stream->data + table + SEEKTABLE_PREFIX + i * SEEKTABLE_ENTRY);
        assert_int_equal(starts[count], table);
        return count;
}

static void append_frame(struct bytes *to, const struct bytes *from, const size_t *starts, size_t frame)
{
        bytes_append(to, from->data + starts[frame], starts[frame + 1] - starts[frame]);
}

/* `order` lists the frames that the new stream has; the table stays as it was. */
static void check_reordered(const struct bytes *stream, const size_t *starts, size_t count, const size_t *order,
                            size_t order_count, const char *what, size_t at)
{
        struct bytes other = { 0 };

        for (size_t i = 0; i < order_count; i++)
                append_frame(&other, stream, starts, order[i]);
        bytes_append(&other, stream->data + starts[count], stream->size - starts[count]);
        check_damaged(other.data, other.size, what, at);
        bytes_free(&other);
}

static void frames_swapped_dropped_repeated(void **state)
{
        struct bytes stream = { 0 };
        size_t starts[16], order[17];
        size_t count;

        (void)state;
        make_small(&stream, STORED, 1);
        count = split(&stream, starts, 16);
        assert_int_equal(count, FRAMES_TESTED + 3);
        for (size_t a = 0; a < count; a++) {
                for (size_t b = a + 1; b < count; b++) {
                        for (size_t i = 0; i < count; i++)
                                order[i] = i == a ? b : i == b ? a : i;
                        check_reordered(&stream, starts, count, order, count, "a swap", a);
                }
                for (size_t i = 0; i + 1 < count; i++)
                        order[i] = i < a ? i : i + 1;
                check_reordered(&stream, starts, count, order, count - 1, "a drop", a);
                for (size_t i = 0; i <= count; i++)
                        order[i] = i <= a ? i : i - 1;
                check_reordered(&stream, starts, count, order, count + 1, "a repetition", a);
        }
        bytes_free(&stream);
}

static void verdict_of_another_device(void **state)
{
        struct bytes one = { 0 }, two = { 0 }, mixed = { 0 };
        size_t starts[16], others[16];
        size_t count;

        (void)state;
        make_small(&one, STORED, 1);
        make_small(&two, STORED, 2);
        count = split(&one, starts, 16);
        assert_int_equal(split(&two, others, 16), count);
        for (size_t i = 0; i < count; i++)
                append_frame(&mixed, i == count - 1 ? &two : &one, i == count - 1 ? others : starts, i);
        bytes_append(&mixed, one.data + starts[count], one.size - starts[count]);
        assert_int_equal(mixed.size, one.size);
        check_damaged(mixed.data, mixed.size, "a foreign verdict", 0);
        bytes_free(&one);
        bytes_free(&two);
        bytes_free(&mixed);
}

static void something_behind_the_end(void **state)
{
        struct bytes stream = { 0 };
        size_t size;

        (void)state;
        make_small(&stream, STORED, 1);
        size = stream.size;
        bytes_append(&stream, "\0", 1);
        check_damaged(stream.data, stream.size, "trailing garbage", 0);
        stream.size = size;
        bytes_append(&stream, stream.data, size);
        check_damaged(stream.data, stream.size, "a second stream", 0);
        bytes_free(&stream);
}

static void messages_name_the_byte(void **state)
{
        struct bytes stream = { 0 };
        struct outcome outcome;
        size_t starts[16];

        (void)state;
        make_small(&stream, STORED, 1);
        split(&stream, starts, 16);
        outcome = read_bytes(stream.data, starts[2] + 20, 4096, NULL);
        assert_int_equal(outcome.error.code, ERR_DAMAGED);
        assert_non_null(strstr(outcome.error.message, "inside a data frame: the backup was cut off"));
        assert_non_null(strstr(outcome.error.message, "'f.vdi' ends at byte "));
        outcome_free(&outcome);

        stream.data[starts[2] + 12] ^= 1;
        outcome = read_bytes(stream.data, stream.size, 4096, NULL);
        assert_non_null(strstr(outcome.error.message, "'f.vdi' is damaged at byte "));
        assert_non_null(strstr(outcome.error.message, "checksum"));
        outcome_free(&outcome);
        bytes_free(&stream);
}

/* A larger stream with real frame sizes, damaged at a few hundred places. */
static void sampled_damage_of_a_large_stream(void **state)
{
        size_t size = 5 << 20;
        uint8_t *data = malloc(size);

        (void)state;
        assert_non_null(data);
        fill_text(data, size, 3);
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                struct bytes stream = { 0 };

                make_stream(&stream, level, data, size, 1 << 20);
                for (size_t i = 0; i < 40; i++) {
                        size_t at = (size_t)(i * 0x9E3779B97F4A7C15u % stream.size);

                        stream.data[at] ^= 0x10;
                        check_damaged(stream.data, stream.size, "a changed byte", at);
                        stream.data[at] ^= 0x10;
                        check_damaged(stream.data, at, "a cut", at);
                }
                bytes_free(&stream);
        }
        free(data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(cut_at_every_length),       cmocka_unit_test(cut_and_unconfirmed_accepted),
                cmocka_unit_test(every_byte_changed),        cmocka_unit_test(frames_swapped_dropped_repeated),
                cmocka_unit_test(verdict_of_another_device), cmocka_unit_test(something_behind_the_end),
                cmocka_unit_test(messages_name_the_byte),    cmocka_unit_test(sampled_damage_of_a_large_stream),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
