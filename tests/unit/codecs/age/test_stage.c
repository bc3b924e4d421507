/*
 * The age stage as a stage: what flush and complete let go, reserve, abort in every state; around a vdi stream; and
 * with a passphrase, against stock age.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/base/pool.h"

enum { CHUNK = AGE_CHUNK_SIZE, SEALED = CHUNK + 16, NONCE = 16, DATA_SIZE = 3 << 20 };

static uint8_t *data;
static struct age_pair pair;
static struct age_recipients *recipients;
static struct age_identities *identities;
static struct pool *pool;

static int setup(void **state)
{
        if (test_folder_setup(state) < 0)
                return -1;
        data = malloc(DATA_SIZE);
        if (!data)
                return -1;
        fill_random(data, DATA_SIZE, 9);
        pair = age_make_pair("key");
        recipients = age_for(pair.recipient);
        identities = age_with(pair.path);
        return pool_new(3, &pool, NULL);
}

static int teardown(void **state)
{
        pool_free(pool);
        age_recipients_free(recipients);
        age_identities_free(identities);
        free(data);
        return test_folder_teardown(state);
}

static struct stage *writer(struct bytes *out, bool always_more, bool armor, struct memory_sink **ret_sink)
{
        struct age_options options = {
                .recipients = recipients, .pool = pool, .always_more = always_more, .armor = armor
        };
        struct memory_sink *sink = memory_sink_new(out);
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;

        assert_ok(age_writer_new(&options, &sink->stage, &stage, &err), &err);
        *ret_sink = sink;
        return stage;
}

/* Where the payload's first chunk is. */
static size_t prefix_size(const struct bytes *file)
{
        const uint8_t *mac = memmem(file->data, file->size, "\n--- ", 5);

        assert_non_null(mac);
        return (size_t)(mac - file->data) + 1 + 48 + NONCE;
}

static bool stock_takes(const struct bytes *file)
{
        return shell_on("age -d -i \"$KEY\" < \"$F\" > /dev/null 2>&1", file->data, file->size, NULL) == 0;
}

static void check_refused(const struct bytes *file)
{
        struct reader_options reading = { .identities = identities };
        struct outcome outcome = age_read_file(file->data, file->size, 4096, &reading);

        assert_false(outcome.ended);
        assert_int_equal(outcome.error.code, ERR_DAMAGED);
        outcome_free(&outcome);
        assert_false(stock_takes(file));
}

static void flush_lets_whole_chunks_go(void **state)
{
        static const struct {
                size_t size;
                bool always_more;
                size_t chunks; /* that leave */
        } cases[] = {
                { 0, false, 0 },
                { 1, false, 0 },
                { CHUNK, false, 0 },
                { CHUNK, true, 1 },
                { CHUNK + 1, false, 1 },
                { CHUNK + 1, true, 1 },
                { 2 * CHUNK, false, 1 },
                { 2 * CHUNK, true, 2 },
                { 16 * CHUNK, false, 15 },
                { 16 * CHUNK, true, 16 },
                { 16 * CHUNK + 9, true, 16 },
                { 40 * CHUNK, true, 40 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct bytes file = { 0 };
                struct memory_sink *sink;
                CLEANUP(stage_freep) struct stage *stage = writer(&file, cases[i].always_more, false, &sink);
                struct error err = ERROR_INIT;

                assert_ok(stage_write(stage, data, cases[i].size, &err), &err);
                assert_ok(stage_flush(stage, &err), &err);
                assert_int_equal(sink->flushes, 1);
                assert_int_equal(file.size, prefix_size(&file) + cases[i].chunks * SEALED);
                check_refused(&file);
                bytes_free(&file);
        }
}

static void something_must_follow_the_last_flush(void **state)
{
        struct bytes file = { 0 };
        struct memory_sink *sink;
        CLEANUP(stage_freep) struct stage *stage = writer(&file, /* always_more= */ true, false, &sink);
        struct error err = ERROR_INIT;

        (void)state;
        assert_ok(stage_write(stage, data, CHUNK, &err), &err);
        assert_ok(stage_complete(stage, &err), &err);
        err = (struct error)ERROR_INIT;
        assert_int_equal(stage_finish(stage, NULL, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_false(sink->finished);
        check_refused(&file);
        bytes_free(&file);
}

static void complete_reserves_what_finish_writes(void **state)
{
        (void)state;
        for (int armor = 0; armor < 2; armor++)
                for (size_t rest = 0; rest < 3 * CHUNK; rest += 9973) {
                        struct bytes file = { 0 };
                        struct memory_sink *sink;
                        CLEANUP(stage_freep) struct stage *stage = writer(&file, true, armor, &sink);
                        struct error err = ERROR_INIT;
                        size_t before;

                        assert_ok(stage_write(stage, data, CHUNK + rest / 2, &err), &err);
                        assert_ok(stage_reserve(stage, rest + 1, &err), &err);
                        assert_ok(stage_complete(stage, &err), &err);
                        assert_true(sink->reserved);
                        before = file.size;
                        assert_ok(stage_write(stage, data, rest + 1, &err), &err);
                        assert_ok(stage_finish(stage, NULL, &err), &err);
                        assert_true(sink->reserved_bytes >= file.size - before);
                        assert_true(sink->reserved_bytes < file.size - before + 400);
                        bytes_free(&file);
                }
}

static void an_abort_in_any_state_is_refused(void **state)
{
        (void)state;
        for (int armor = 0; armor < 2; armor++)
                for (int step = 0; step < 4; step++) {
                        struct bytes file = { 0 };
                        struct memory_sink *sink;
                        CLEANUP(stage_freep) struct stage *stage = writer(&file, step == 3, armor, &sink);
                        struct error err = ERROR_INIT;

                        if (step > 0)
                                assert_ok(stage_write(stage, data, DATA_SIZE, &err), &err);
                        if (step > 1)
                                assert_ok(stage_flush(stage, &err), &err);
                        if (step > 2)
                                assert_ok(stage_complete(stage, &err), &err);
                        stage_hurry(stage);
                        stage_abort(stage, "test");
                        assert_true(sink->hurried);
                        assert_true(sink->aborted);
                        check_refused(&file);
                        assert_int_equal(stage_write(stage, data, 1, &err), -1);
                        assert_int_equal(stage_finish(stage, NULL, &err), -1);
                        bytes_free(&file);
                }
}

static void a_failed_write_is_the_end(void **state)
{
        (void)state;
        for (int fail_after = 0; fail_after < 4; fail_after++) {
                struct bytes file = { 0 };
                struct memory_sink *sink;
                CLEANUP(stage_freep) struct stage *stage = writer(&file, false, false, &sink);
                struct error err = ERROR_INIT;

                sink->fail_after = fail_after;
                if (stage_write(stage, data, DATA_SIZE, &err) == 0)
                        assert_int_equal(stage_finish(stage, NULL, &err), -1);
                assert_int_equal(err.code, ERR_NO_SPACE);
                err = (struct error)ERROR_INIT;
                assert_int_equal(stage_write(stage, data, 1, &err), -1);
                assert_int_equal(err.code, ERR_PROTOCOL);
                stage_abort(stage, "test");
                assert_false(sink->finished);
                bytes_free(&file);
        }
}

static void make_layered(struct bytes *file, int level, bool armor, bool finish)
{
        struct vdistream_options options = {
                .compress = level != STORED, .zstd_level = level, .flush_boundary = AGE_CHUNK_SIZE, .pool = pool
        };
        struct stream_info info = test_info();
        struct memory_sink *sink;
        struct stage *age = writer(file, /* always_more= */ true, armor, &sink);
        struct stage *stage = NULL;
        struct error err = ERROR_INIT;
        size_t before;

        assert_ok(vdistream_writer_new(&info, &options, age, &stage, &err), &err);
        for (size_t at = 0; at < DATA_SIZE; at += 100003) {
                size_t piece = DATA_SIZE - at < 100003 ? DATA_SIZE - at : 100003;

                assert_ok(stage_write(stage, data + at, piece, &err), &err);
                if (at % 3 == 0)
                        assert_ok(stage_flush(stage, &err), &err);
        }
        assert_ok(stage_complete(stage, &err), &err);
        before = file->size;
        if (finish)
                assert_ok(stage_finish(stage, "{\"lsn\":7}", &err), &err);
        else
                stage_abort(stage, "test");
        assert_true(sink->reserved_bytes >= file->size - before);
        stage_free(stage);
}

static void a_vdi_stream_inside_leaves_whole(void **state)
{
        struct reader_options reading = { .name = "f.vdi", .identities = identities, .pool = pool };

        (void)state;
        for (int level = 0; level <= COMPRESSED; level += COMPRESSED)
                for (int armor = 0; armor < 2; armor++) {
                        struct bytes file = { 0 }, output = { 0 };
                        struct outcome outcome;

                        make_layered(&file, level, armor, /* finish= */ true);
                        outcome = read_bytes(file.data, file.size, 70001, &reading);
                        if (!outcome.ended)
                                fail_msg("%s", outcome.error.message);
                        assert_int_equal(outcome.layer_count, 2);
                        assert_int_equal(outcome.layers[0], LAYER_AGE);
                        assert_int_equal(outcome.layers[1], LAYER_VDISTREAM);
                        assert_int_equal(outcome.content.size, DATA_SIZE);
                        assert_memory_equal(outcome.content.data, data, DATA_SIZE);
                        outcome_free(&outcome);
                        assert_int_equal(
                                shell_on("age -d -i \"$KEY\" < \"$F\" | zstd -dc", file.data, file.size, &output), 0);
                        assert_int_equal(output.size, DATA_SIZE);
                        assert_memory_equal(output.data, data, DATA_SIZE);
                        bytes_free(&output);
                        bytes_free(&file);
                        make_layered(&file, level, armor, /* finish= */ false);
                        outcome = read_bytes(file.data, file.size, 70001, &reading);
                        assert_false(outcome.ended);
                        assert_int_equal(outcome.error.code, ERR_DAMAGED);
                        outcome_free(&outcome);
                        assert_false(stock_takes(&file));
                        bytes_free(&file);
                }
}

static void without_a_key_nothing_is_read(void **state)
{
        struct reader_options reading = { .name = "f.vdi" };
        struct age_pair other = age_make_pair("other");
        struct age_identities *wrong = age_with(other.path);
        struct bytes file = { 0 };
        struct outcome outcome;

        (void)state;
        make_layered(&file, STORED, false, true);
        outcome = read_bytes(file.data, file.size, 100, &reading);
        assert_int_equal(outcome.error.code, ERR_KEY);
        assert_string_equal(outcome.error.message,
                            "'f.vdi' is encrypted for 1 recipient; --identity FILE gives the key");
        outcome_free(&outcome);
        reading.identities = wrong;
        /* The payload may be missing altogether. */
        outcome = read_bytes(file.data, prefix_size(&file) - NONCE, 100, &reading);
        assert_int_equal(outcome.error.code, ERR_KEY);
        assert_string_equal(outcome.error.message, "'f.vdi' is encrypted for 1 recipient, and no identity given fits");
        outcome_free(&outcome);
        age_identities_free(wrong);
        assert_int_equal(setenv("KEY", pair.path, 1), 0);
        assert_int_equal(setenv("TO", pair.recipient, 1), 0);
        bytes_free(&file);
}

static void one_of_several_recipients_suffices(void **state)
{
        struct age_recipients *several = age_recipients_new();
        struct age_options options = { .recipients = several };
        struct age_pair pairs[3] = { age_make_pair("a"), age_make_pair("b"), age_make_pair("c") };
        struct bytes file = { 0 };
        struct error err = ERROR_INIT;

        (void)state;
        for (int i = 0; i < 3; i++)
                assert_ok(age_recipients_add(several, pairs[i].recipient, &err), &err);
        age_write_file(&file, &options, data, 1000, 1000, 0);
        for (int i = 0; i < 3; i++) {
                struct age_identities *with = age_with(pair.path);
                struct reader_options reading = { .identities = with };
                struct outcome outcome;
                bool exposed;

                assert_ok(age_identities_add_file(with, pairs[i].path, &exposed, &err), &err);
                outcome = age_read_file(file.data, file.size, 77, &reading);
                assert_true(outcome.ended);
                assert_int_equal(outcome.content.size, 1000);
                outcome_free(&outcome);
                age_identities_free(with);
                assert_int_equal(setenv("KEY", pairs[i].path, 1), 0);
                assert_true(stock_takes(&file));
        }
        assert_int_equal(setenv("KEY", pair.path, 1), 0);
        assert_false(stock_takes(&file));
        age_recipients_free(several);
        bytes_free(&file);
}

static void passphrases_are_those_of_stock_age(void **state)
{
        struct age_recipients *with = age_for_passphrase(AGE_TEST_PASSPHRASE);
        struct age_identities *phrase = age_with_passphrase(AGE_TEST_PASSPHRASE);
        struct age_identities *wrong = age_with_passphrase("incorrect horse");
        struct age_options options = { .recipients = with };
        struct reader_options reading = { .identities = phrase };
        struct bytes file = { 0 };
        struct outcome outcome;

        (void)state;
        age_write_file(&file, &options, data, 1000, 1000, 0);
        assert_non_null(memmem(file.data, file.size, " 18\n", 4));
        assert_int_equal(shell_on("echo '" AGE_TEST_PASSPHRASE "' | timeout 60 script -qec \"age -d -o '$F.out' '$F'\" "
                                  "/dev/null > /dev/null && cmp -n 1000 \"$F.out\" \"$F.out\" && test $(wc -c < "
                                  "\"$F.out\") = 1000",
                                  file.data, file.size, NULL),
                         0);
        file.size = 0;
        assert_int_equal(shell_on("rm -f \"$F.age\"; printf '%s\\n%s\\n' '" AGE_TEST_PASSPHRASE
                                  "' '" AGE_TEST_PASSPHRASE
                                  "' | timeout 60 script -qec \"age -p -o '$F.age' '$F'\" /dev/null > /dev/null && cat "
                                  "\"$F.age\"",
                                  data, 5000, &file),
                         0);
        outcome = age_read_file(file.data, file.size, 77, &reading);
        if (!outcome.ended)
                fail_msg("%s", outcome.error.message);
        assert_int_equal(outcome.content.size, 5000);
        assert_memory_equal(outcome.content.data, data, 5000);
        outcome_free(&outcome);
        reading.identities = wrong;
        outcome = age_read_file(file.data, file.size, 77, &reading);
        assert_int_equal(outcome.error.code, ERR_KEY);
        assert_non_null(strstr(outcome.error.message, "the one given is wrong"));
        outcome_free(&outcome);
        bytes_free(&file);
        age_recipients_free(with);
        age_identities_free(phrase);
        age_identities_free(wrong);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(flush_lets_whole_chunks_go),
                cmocka_unit_test(something_must_follow_the_last_flush),
                cmocka_unit_test(complete_reserves_what_finish_writes),
                cmocka_unit_test(an_abort_in_any_state_is_refused),
                cmocka_unit_test(a_failed_write_is_the_end),
                cmocka_unit_test(a_vdi_stream_inside_leaves_whole),
                cmocka_unit_test(without_a_key_nothing_is_read),
                cmocka_unit_test(one_of_several_recipients_suffices),
                cmocka_unit_test(passphrases_are_those_of_stock_age),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
