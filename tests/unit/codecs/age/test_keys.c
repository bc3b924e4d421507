/*
 * Recipients, identities, passphrases and the files they come from; and that no trace of a secret is left in memory.
 */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codecs/age/bech32.h"
#include "codecs/age/keys.h"
#include "core/base/fd_io.h"

#define SPEC_RECIPIENT "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
#define SPEC_SECRET    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define SSH_KEY        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN a@b"

static void check_words(struct error *err, enum err_code code, const char *words)
{
        if (err->code != code || !strstr(err->message, words))
                fail_msg("expected %d '%s', got %d '%s'", code, words, err->code, err->message);
        *err = (struct error)ERROR_INIT;
}

static void recipients_are_checked(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } wrong[] = {
                { "", "does not begin" },
                { "age", "does not begin" },
                { "age1", "wrong length" },
                { "AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQUNUJWJ", "does not begin" },
                { "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwJ", "cannot be in it" },
                { "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwb", "cannot be in it" },
                { "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwk", "wrong checksum" },
                { "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujw", "wrong length" },
                { "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj ", "wrong length" },
                { "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
                  "plugins are not supported" },
                { "age1pq1x34nzsv", "post-quantum" },
                { SSH_KEY, "SSH key, which is not supported" },
                { "ecdsa-sha2-nistp256 AAAA", "SSH key" },
                { "sk-ssh-ed25519@openssh.com AAAA", "SSH key" },
                { "AGE-PLUGIN-YUBIKEY-1QQQ", "plugins are not supported" },
                { "bob\x1B[m", "recipient 'bob\\x1B[m': " },
        };
        struct age_recipients *recipients = age_recipients_new();
        struct error err = ERROR_INIT;
        int fd;

        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                err = (struct error)ERROR_INIT;
                assert_int_equal(age_recipients_add(recipients, wrong[i].text, &err), -1);
                check_words(&err, ERR_USAGE, wrong[i].words);
        }
        err = (struct error)ERROR_INIT;
        assert_int_equal(age_recipients_add(recipients, SPEC_SECRET, &err), -1);
        check_words(&err, ERR_USAGE, "is a secret key");
        assert_null(strstr(err.message, "GFPYY"));
        assert_int_equal(age_recipients_count(recipients), 0);
        assert_ok(age_recipients_add(recipients, SPEC_RECIPIENT, &err), &err);
        assert_ok(age_recipients_add(recipients, SPEC_RECIPIENT, &err), &err);
        assert_int_equal(age_recipients_count(recipients), 1);
        assert_string_equal(age_recipients_text(recipients, 0), SPEC_RECIPIENT);
        fd = age_passphrase_fd("x");
        err = (struct error)ERROR_INIT;
        assert_int_equal(age_recipients_set_passphrase(recipients, fd, "x", &err), -1);
        close(fd);
        check_words(&err, ERR_USAGE, "not both");
        age_recipients_free(recipients);
}

static void keys_of_low_order_are_refused(void **state)
{
        struct age_recipients *recipients = age_recipients_new();
        uint8_t zero[32] = { 0 };
        struct error err = ERROR_INIT;
        char text[AGE_RECIPIENT_SIZE];

        (void)state;
        bech32_encode("age", zero, sizeof zero, text);
        assert_int_equal(age_recipients_add(recipients, text, &err), -1);
        check_words(&err, ERR_USAGE, "keeps nothing secret");
        age_recipients_free(recipients);
}

static void bech32_round_trips(void **state)
{
        uint8_t key[32], back[32];
        char text[BECH32_LENGTH(15, 32) + 1];

        (void)state;
        assert_null(bech32_decode(SPEC_SECRET, strlen(SPEC_SECRET), "AGE-SECRET-KEY-", key, sizeof key));
        for (size_t i = 0; i < sizeof key; i++)
                assert_int_equal(key[i], 0x42);
        for (uint64_t seed = 0; seed < 200; seed++) {
                fill_random(key, sizeof key, seed);
                bech32_encode("AGE-SECRET-KEY-", key, sizeof key, text);
                assert_int_equal(strlen(text), sizeof text - 1);
                assert_null(bech32_decode(text, strlen(text), "AGE-SECRET-KEY-", back, sizeof back));
                assert_memory_equal(key, back, sizeof key);
                for (size_t at = 16; at < sizeof text - 1; at += 7) {
                        char kept = text[at];

                        text[at] = kept == 'Q' ? 'P' : 'Q';
                        assert_non_null(bech32_decode(text, strlen(text), "AGE-SECRET-KEY-", back, sizeof back));
                        text[at] = kept;
                }
        }
}

static void recipients_come_from_files(void **state)
{
        static const char good[] = "# ours\r\n\n" SPEC_RECIPIENT "\r\n\n#" SPEC_SECRET "\n";
        struct age_recipients *recipients = age_recipients_new();
        struct error err = ERROR_INIT;

        (void)state;
        assert_ok(age_recipients_add_file(recipients, test_file("to", good, sizeof good - 1), &err), &err);
        assert_int_equal(age_recipients_count(recipients), 1);
        assert_int_equal(
                age_recipients_add_file(recipients, test_file("ssh", "# x\n" SSH_KEY, 4 + strlen(SSH_KEY)), &err), -1);
        check_words(&err, ERR_USAGE, "/ssh', line 2: this is an SSH key");
        err = (struct error)ERROR_INIT;
        assert_int_equal(age_recipients_add_file(recipients, test_file("none", "# x\n\n", 5), &err), -1);
        check_words(&err, ERR_USAGE, "/none' holds no key");
        err = (struct error)ERROR_INIT;
        assert_int_equal(age_recipients_add_file(recipients, "/nonexistent/file", &err), -1);
        check_words(&err, ERR_USAGE, "cannot read '/nonexistent/file'");
        err = (struct error)ERROR_INIT;
        assert_int_equal(age_recipients_add_file(recipients, "/dev/zero", &err), -1);
        check_words(&err, ERR_USAGE, "more than 1 MiB");
        age_recipients_free(recipients);
}

static void identities_come_from_files(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } wrong[] = {
                { "", "holds no key" },
                { "# only\n", "holds no key" },
                { SPEC_SECRET "x\n", "line 1: this has the wrong length" },
                { "# a\n\n age\n", "line 3: this does not begin" },
                { "age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex", "does not begin" },
                { SPEC_RECIPIENT "\n", "is a recipient" },
                { "AGE-PLUGIN-YUBIKEY-1QQQ\n", "plugins are not supported" },
                { "AGE-SECRET-KEY-PQ-1QQQ\n", "post-quantum" },
                { "-----BEGIN OPENSSH PRIVATE KEY-----\n", "SSH or PEM key" },
                { "age-encryption.org/v1\n", "is an encrypted identity" },
        };
        struct age_identities *identities = age_identities_new();
        struct error err = ERROR_INIT;
        const char *path;
        bool exposed = true;

        (void)state;
        for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
                path = test_file("wrong", wrong[i].text, strlen(wrong[i].text));
                err = (struct error)ERROR_INIT;
                assert_int_equal(age_identities_add_file(identities, path, &exposed, &err), -1);
                check_words(&err, ERR_USAGE, wrong[i].words);
                assert_null(strstr(err.message, "GFPYY"));
        }
        path = test_file("key", "# x\n" SPEC_SECRET, 4 + strlen(SPEC_SECRET));
        assert_ok(age_identities_add_file(identities, path, &exposed, &err), &err);
        assert_false(exposed);
        assert_int_equal(chmod(path, 0640), 0);
        assert_ok(age_identities_add_file(identities, path, &exposed, &err), &err);
        assert_true(exposed);
        age_identities_free(identities);
}

static void keygen_makes_what_age_keygen_makes(void **state)
{
        struct age_pair pair = age_make_pair("made");
        struct bytes output = { 0 };

        (void)state;
        assert_int_equal(shell_on("age-keygen -y \"$KEY\"", NULL, 0, &output), 0);
        assert_int_equal(output.size, AGE_RECIPIENT_SIZE);
        assert_memory_equal(output.data, pair.recipient, AGE_RECIPIENT_SIZE - 1);
        bytes_free(&output);
        assert_int_equal(shell_on("test $(wc -l < \"$KEY\") = 3 && head -1 \"$KEY\" | grep -Eqx '# created: "
                                  "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[+-][0-9]{2}:[0-9]{2}' && grep -qx \"# public "
                                  "key: $TO\" \"$KEY\"",
                                  NULL, 0, NULL),
                         0);
}

static int try_passphrase(const char *text, size_t size, struct age_identities *identities, int *ret_fd,
                          struct error *err)
{
        CLEANUP(fd_closep) int fd = open(test_file("phrase", text, size), O_RDONLY | O_CLOEXEC);
        int result;

        assert_true(fd >= 0);
        result = age_identities_set_passphrase(identities, fd, "phrase", err);
        *ret_fd = (int)lseek(fd, 0, SEEK_CUR);
        return result;
}

static void passphrases_end_at_the_line(void **state)
{
        struct age_identities *identities = age_identities_new();
        struct error err = ERROR_INIT;
        static char lengthy[AGE_PASSPHRASE_MAX + 1];
        int position;

        (void)state;
        memset(lengthy, 'a', sizeof lengthy);
        assert_int_equal(try_passphrase("", 0, identities, &position, &err), -1);
        check_words(&err, ERR_USAGE, "'phrase' holds no passphrase");
        err = (struct error)ERROR_INIT;
        assert_int_equal(try_passphrase("\nabc", 4, identities, &position, &err), -1);
        check_words(&err, ERR_USAGE, "first line is empty");
        err = (struct error)ERROR_INIT;
        assert_int_equal(try_passphrase(lengthy, sizeof lengthy, identities, &position, &err), -1);
        check_words(&err, ERR_USAGE, "longer than 1024 bytes");
        assert_ok(try_passphrase(lengthy, sizeof lengthy - 1, identities, &position, &err), &err);
        assert_int_equal(identities->passphrase->size, AGE_PASSPHRASE_MAX);
        assert_ok(try_passphrase(" two words \nrest", 16, identities, &position, &err), &err);
        assert_int_equal(position, 12);
        assert_int_equal(identities->passphrase->size, 11);
        assert_memory_equal(identities->passphrase->bytes, " two words ", 11);
        age_identities_free(identities);
}

/* ---- traces in memory ---- */

/* Looks for bytes, given as their complement, in all memory of this process that can be read. */
static size_t count_traces(const uint8_t *complement, size_t size)
{
        enum { WINDOW = 1 << 20, SHADOW = 1 << 30 };
        CLEANUP(fd_closep) int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
        FILE *maps = fopen("/proc/self/maps", "re");
        static uint8_t window[WINDOW];
        unsigned long from, to;
        char line[512];
        size_t found = 0;

        assert_true(memory >= 0 && maps);
        while (fgets(line, sizeof line, maps)) {
                /* What is larger is a sanitizer's shadow. */
                if (sscanf(line, "%lx-%lx r", &from, &to) != 2 || strstr(line, "[v") || to - from > SHADOW)
                        continue;
                for (unsigned long at = from; at < to; at += WINDOW - size) {
                        ssize_t n = pread(memory, window, to - at < WINDOW ? to - at : WINDOW, (off_t)at);

                        if (at <= (unsigned long)window + WINDOW && at + WINDOW > (unsigned long)window)
                                continue;
                        for (ssize_t i = 0; n > 0 && i + (ssize_t)size <= n; i++) {
                                size_t same = 0;

                                while (same < size && (window[i + (ssize_t)same] ^ complement[same]) == 0xFF)
                                        same++;
                                found += same == size;
                        }
                }
        }
        fclose(maps);
        memset(window, 0, sizeof window);
        return found;
}

struct trace {
        uint8_t complement[80];
        size_t size;
};

static void note(struct trace *trace, const void *bytes, size_t size)
{
        trace->size = size;
        for (size_t i = 0; i < size; i++)
                trace->complement[i] = (uint8_t) ~((const uint8_t *)bytes)[i];
}

static size_t traces_of(const struct trace *trace)
{
        return count_traces(trace->complement, trace->size);
}

static void use_key(const char *path, const char *recipient, struct trace *secret, struct trace *text)
{
        struct age_identities *identities = age_with(path);
        struct age_recipients *recipients = age_for(recipient);
        struct age_options options = { .recipients = recipients };
        struct reader_options reading = { .identities = identities };
        char written[BECH32_LENGTH(15, 32) + 1];
        struct bytes file = { 0 };
        struct outcome outcome;

        age_write_file(&file, &options, (const uint8_t *)"hello", 5, 5, 0);
        outcome = age_read_file(file.data, file.size, 100, &reading);
        assert_true(outcome.ended);
        outcome_free(&outcome);
        bytes_free(&file);
        note(secret, identities->first->secret, 32);
        bech32_encode("AGE-SECRET-KEY-", identities->first->secret, 32, written);
        note(text, written + 15, 58);
        assert_true(traces_of(secret) >= 1); /* the search finds what is there */
        assert_true(traces_of(text) >= 1);
        memset(written, 0, sizeof written);
        __asm__ volatile("" : : "r"(written) : "memory");
        age_recipients_free(recipients);
        age_identities_free(identities);
}

static void use_passphrase(struct trace *trace)
{
        static const uint8_t masked[] = { 'p' ^ 1, 'a' ^ 1, 's' ^ 1, 's' ^ 1, '-' ^ 1, 'q' ^ 1, '7' ^ 1,
                                          'w' ^ 1, 'z' ^ 1, '-' ^ 1, '4' ^ 1, 'k' ^ 1, 'j' ^ 1, '2' ^ 1 };
        struct age_identities *identities = age_identities_new();
        struct age_recipients *recipients = age_recipients_new();
        struct age_options options = { .recipients = recipients, .scrypt_work_factor = AGE_TEST_WORK_FACTOR };
        struct reader_options reading = { .identities = identities };
        struct bytes file = { 0 };
        struct error err = ERROR_INIT;
        struct outcome outcome;
        uint8_t phrase[sizeof masked + 1];
        int ends[2];

        for (size_t i = 0; i < sizeof masked; i++)
                phrase[i] = masked[i] ^ 1;
        phrase[sizeof masked] = '\n';
        note(trace, phrase, sizeof masked);
        assert_int_equal(pipe(ends), 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(fd_write_full(ends[1], phrase, sizeof phrase, NULL), 0);
                assert_ok(i ? age_identities_set_passphrase(identities, ends[0], "p", &err)
                            : age_recipients_set_passphrase(recipients, ends[0], "p", &err),
                          &err);
        }
        memset(phrase, 0, sizeof phrase);
        __asm__ volatile("" : : "r"(phrase) : "memory");
        close(ends[0]);
        close(ends[1]);
        age_write_file(&file, &options, (const uint8_t *)"hello", 5, 5, 0);
        outcome = age_read_file(file.data, file.size, 100, &reading);
        assert_true(outcome.ended);
        outcome_free(&outcome);
        bytes_free(&file);
        assert_int_equal(traces_of(trace), 2);
        age_recipients_free(recipients);
        age_identities_free(identities);
}

static void no_trace_of_a_secret_is_left(void **state)
{
        struct age_pair pair = age_make_pair("traced");
        struct trace secret, text, phrase;

        (void)state;
        use_key(pair.path, pair.recipient, &secret, &text);
        assert_int_equal(traces_of(&secret), 0);
        assert_int_equal(traces_of(&text), 0);
        use_passphrase(&phrase);
        assert_int_equal(traces_of(&phrase), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(recipients_are_checked),      cmocka_unit_test(keys_of_low_order_are_refused),
                cmocka_unit_test(bech32_round_trips),          cmocka_unit_test(recipients_come_from_files),
                cmocka_unit_test(identities_come_from_files),  cmocka_unit_test(keygen_makes_what_age_keygen_makes),
                cmocka_unit_test(passphrases_end_at_the_line), cmocka_unit_test(no_trace_of_a_secret_is_left),
        };

        return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
