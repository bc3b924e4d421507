/*
 * age files: what we write and read, against ourselves and against stock age.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "codecs/age/fast.h"
#include "codecs/base/pool.h"

enum { CHUNK = AGE_CHUNK_SIZE, DATA_SIZE = 17 << 20 };

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
        fill_text(data, DATA_SIZE, 3);
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

static void check_content(struct outcome *outcome, size_t size)
{
        if (!outcome->ended)
                fail_msg("%s", outcome->error.message);
        assert_int_equal(outcome->content.size, size);
        if (size > 0)
                assert_memory_equal(outcome->content.data, data, size);
        outcome_free(outcome);
}

static void check_stock(const struct bytes *file, size_t size)
{
        struct bytes output = { 0 };

        assert_int_equal(shell_on("age -d -i \"$KEY\" < \"$F\"", file->data, file->size, &output), 0);
        assert_int_equal(output.size, size);
        if (size > 0)
                assert_memory_equal(output.data, data, size);
        bytes_free(&output);
}

static const size_t sizes[] = { 0,         1,          CHUNK - 1,      CHUNK,          CHUNK + 1,  2 * CHUNK,
                                3 * CHUNK, 16 * CHUNK, 16 * CHUNK + 1, 17 * CHUNK - 1, 32 * CHUNK, 5 << 20 };

static void round_trip(size_t size, size_t piece, size_t flush_every, bool armor, struct pool *with, bool stock)
{
        struct age_options options = { .recipients = recipients, .armor = armor, .pool = with };
        struct reader_options reading = { .identities = identities, .pool = with };
        struct bytes file = { 0 };
        struct outcome outcome;

        age_write_file(&file, &options, data, size, piece, flush_every);
        outcome = age_read_file(file.data, file.size, piece, &reading);
        check_content(&outcome, size);
        if (stock)
                check_stock(&file, size);
        bytes_free(&file);
}

static void every_size_is_what_stock_age_reads(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                round_trip(sizes[i], 16 << 20, 0, /* armor= */ false, NULL, /* stock= */ true);
                round_trip(sizes[i], 16 << 20, 0, /* armor= */ true, pool, /* stock= */ true);
        }
        round_trip(DATA_SIZE, 16 << 20, 0, /* armor= */ false, pool, /* stock= */ true);
        round_trip(DATA_SIZE, 16 << 20, 1, /* armor= */ true, NULL, /* stock= */ true);
}

static void every_piece_gives_the_same(void **state)
{
        static const size_t pieces[] = { 7, 4093, CHUNK - 1, CHUNK, CHUNK + 1, 1000003 };

        (void)state;
        round_trip(3 * CHUNK + 5, 1, 0, false, pool, false);
        round_trip(CHUNK, 1, 0, true, NULL, false);
        for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
                for (size_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++) {
                        round_trip(sizes[size], pieces[i], 0, i % 2, pool, false);
                        round_trip(sizes[size], pieces[i], 3, false, i % 2 ? pool : NULL, false);
                }
}

static void files_of_stock_age_are_read(void **state)
{
        static const char *const commands[] = {
                "age -r \"$TO\" < \"$F\"",
                "age -a -r \"$TO\" < \"$F\"",
                "age -e -i \"$KEY\" < \"$F\"",
                "printf '# for\\n\\n%s\\n' \"$TO\" > \"$F.to\" && age -R \"$F.to\" < \"$F\"",
        };
        struct reader_options reading = { .identities = identities, .pool = pool };

        (void)state;
        for (size_t c = 0; c < sizeof commands / sizeof commands[0]; c++)
                for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                        struct bytes file = { 0 };
                        struct outcome outcome;

                        assert_int_equal(shell_on(commands[c], data, sizes[i], &file), 0);
                        outcome = age_read_file(file.data, file.size, 70001, &reading);
                        check_content(&outcome, sizes[i]);
                        bytes_free(&file);
                }
}

/* What libcrypto makes of a chunk, if it is there, is what libsodium makes of it. */
static void both_libraries_agree(void **state)
{
        static const size_t chunk_sizes[] = { 1, 4095, 4096, 50001, CHUNK };
        static uint8_t fast[CHUNK + 16], slow[CHUNK + 16];
        const uint8_t nonce[AGE_FAST_NONCE_SIZE] = { 1, 2, 3 };
        uint8_t key[32];

        (void)state;
        fill_random(key, sizeof key, 4);
        for (size_t i = 0; i < sizeof chunk_sizes / sizeof chunk_sizes[0]; i++) {
                size_t size = chunk_sizes[i];

                memcpy(fast, data, size);
                if (age_fast_chunk(fast, size, nonce, key, /* seal= */ true) == AGE_FAST_ABSENT)
                        skip();
                crypto_aead_chacha20poly1305_ietf_encrypt_detached(slow, slow + size, NULL, data, size, NULL, 0, NULL,
                                                                   nonce, key);
                assert_memory_equal(fast, slow, size + 16);
                assert_int_equal(age_fast_chunk(fast, size, nonce, key, /* seal= */ false), AGE_FAST_OK);
                assert_memory_equal(fast, data, size);
                for (size_t at = 0; at < size + 16; at += 1 + at * 3) {
                        memcpy(fast, slow, size + 16);
                        fast[at] ^= 0x20;
                        assert_int_equal(age_fast_chunk(fast, size, nonce, key, /* seal= */ false), AGE_FAST_FAILED);
                        for (size_t byte = 0; byte < size; byte++)
                                assert_int_equal(fast[byte], 0);
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_size_is_what_stock_age_reads),
                cmocka_unit_test(every_piece_gives_the_same),
                cmocka_unit_test(files_of_stock_age_are_read),
                cmocka_unit_test(both_libraries_agree),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
