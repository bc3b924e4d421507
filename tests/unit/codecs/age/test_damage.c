/*
 * Every form of an age file that the specification rules out, under a header MAC that is right: refused, and for what
 * it is; and every cut and every changed bit.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/age/stanza.h"
#include "codecs/codecs.h"

enum { CHUNK = AGE_CHUNK_SIZE, SEALED = CHUNK + AGE_TAG_SIZE, LINE_ROOM = 128 };

#define V1   "age-encryption.org/v1\n"
#define MAC  "--- {M}\n"
#define FULL "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
#define ZERO "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const uint8_t file_key[AGE_FILE_KEY_SIZE] = "sixteen bytes ok";
static struct age_pair pair;
static struct age_identities *identities;
static struct age_identities *phrase;
static char share[LINE_ROOM], body[LINE_ROOM];   /* of an X25519 stanza */
static char salt[LINE_ROOM], wrapped[LINE_ROOM]; /* of a scrypt one */

/* Line `number` of a header, from column `column` on. */
static void copy_line(char to[LINE_ROOM], const struct age_header *header, int number, size_t column)
{
        const char *at = header->text;
        size_t length;

        while (number-- > 0)
                at = strchr(at, '\n') + 1;
        length = strcspn(at + column, " \n");
        assert_true(length < LINE_ROOM);
        memcpy(to, at + column, length);
        to[length] = '\0';
}

static int setup(void **state)
{
        struct age_header x25519 = { 0 }, scrypt = { 0 };
        struct age_recipients *recipients;

        if (test_folder_setup(state) < 0)
                return -1;
        pair = age_make_pair("key");
        identities = age_with(pair.path);
        phrase = age_with_passphrase(AGE_TEST_PASSPHRASE);
        recipients = age_for(pair.recipient);
        assert_int_equal(age_stanza_wrap_x25519(&x25519, recipients->keys[0].key, file_key, NULL), 0);
        assert_int_equal(age_stanza_wrap_scrypt(&scrypt, phrase->passphrase, AGE_TEST_WORK_FACTOR, file_key, NULL), 0);
        copy_line(share, &x25519, 1, strlen("-> X25519 "));
        copy_line(body, &x25519, 2, 0);
        copy_line(salt, &scrypt, 1, strlen("-> scrypt "));
        copy_line(wrapped, &scrypt, 2, 0);
        age_header_deinit(&x25519);
        age_header_deinit(&scrypt);
        age_recipients_free(recipients);
        return 0;
}

static int teardown(void **state)
{
        age_identities_free(identities);
        age_identities_free(phrase);
        return test_folder_teardown(state);
}

/* ---- files out of templates ---- */

static void append_text(struct bytes *to, const char *text)
{
        bytes_append(to, text, strlen(text));
}

/* The MAC over everything up to and with the last "---". */
static void append_mac(struct bytes *file)
{
        struct age_header header = { .text = (char *)file->data, .size = file->size, .room = file->room };
        size_t covers = file->size;
        uint8_t mac[AGE_MAC_SIZE];
        struct age_header line = { 0 };

        while (covers > 3 && memcmp(file->data + covers - 3, "---", 3) != 0)
                covers--;
        age_header_mac(mac, file_key, (const uint8_t *)header.text, covers);
        assert_int_equal(age_header_add(&line, "x", mac, sizeof mac, NULL), 0);
        bytes_append(file, line.text + line.size - 44, 43);
        age_header_deinit(&line);
}

/* {S} an X25519 stanza, {A} its share, {B} its body, {C} salt and {D} body of a scrypt stanza, {M} the MAC. A payload
 * of five bytes follows. */
static void expand(struct bytes *file, const char *template)
{
        uint8_t nonce[AGE_NONCE_SIZE] = { 1 }, key[AGE_KEY_SIZE], chunk[5 + AGE_TAG_SIZE] = "hello";

        for (const char *at = template; *at; at++) {
                if (*at != '{') {
                        bytes_append(file, at, 1);
                        continue;
                }
                if (at[1] == 'S') {
                        append_text(file, "-> X25519 ");
                        append_text(file, share);
                        append_text(file, "\n");
                        append_text(file, body);
                        append_text(file, "\n");
                } else if (at[1] == 'M') {
                        append_mac(file);
                } else {
                        append_text(file, at[1] == 'A' ? share : at[1] == 'B' ? body : at[1] == 'C' ? salt : wrapped);
                }
                at += 2;
        }
        age_payload_key(key, file_key, nonce);
        assert_true(age_chunk_seal(chunk, 5, 0, true, key));
        bytes_append(file, nonce, sizeof nonce);
        bytes_append(file, chunk, sizeof chunk);
}

struct form {
        const char *template;
        const char *words; /* NULL: taken */
        enum err_code code;
};

static void check_outcome(struct outcome *outcome, const struct form *form)
{
        if (!form->words) {
                if (!outcome->ended || outcome->content.size != 5 || memcmp(outcome->content.data, "hello", 5) != 0)
                        fail_msg("%s: %s", form->template, outcome->error.message);
        } else if (outcome->ended || outcome->error.code != form->code ||
                   !strstr(outcome->error.message, form->words)) {
                fail_msg("%s: expected %d '%s', got %d '%s'", form->template, form->code, form->words,
                         outcome->error.code, outcome->error.message);
        }
        assert_true(outcome->ended || outcome->content.size == 0);
        outcome_free(outcome);
}

static void check_forms(const struct form *forms, size_t count, const struct age_identities *with)
{
        struct reader_options options = { .identities = with };

        for (size_t i = 0; i < count; i++) {
                struct bytes file = { 0 };
                struct outcome outcome;

                expand(&file, forms[i].template);
                outcome = age_read_file(file.data, file.size, 100, &options);
                check_outcome(&outcome, &forms[i]);
                bytes_free(&file);
        }
}

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
#define DAMAGED(template, words)             \
        {                                    \
                template, words, ERR_DAMAGED \
        }
#define TAKEN(template)                  \
        {                                \
                template, NULL, ERR_NONE \
        }

static void forms_of_headers(void **state)
{
        static const struct form forms[] = {
                TAKEN(V1 "{S}" MAC),
                TAKEN(V1 "-> other\n\n{S}" MAC),
                TAKEN(V1 "{S}-> other.example/x !~ +\n" FULL FULL "\n" MAC),
                TAKEN(V1 "-> x25519 a\nYWJj\n{S}{S}" MAC),
                DAMAGED("age-encryption.org/v2\n{S}" MAC, "version 'v2'"),
                DAMAGED("age-encryption.org/v1\r\n{S}" MAC, "version 'v1\\x0D'"),
                DAMAGED("age-encryption.org/\n{S}" MAC, "version ''"),
                DAMAGED("age-encryption.org\n{S}" MAC, "no age header"),
                DAMAGED("Age-encryption.org/v1\n{S}" MAC, "no age header"),
                DAMAGED("\n" V1 "{S}" MAC, "no age header"),
                DAMAGED(V1 MAC, "names no recipient"),
                DAMAGED(V1 "\n{S}" MAC, "none that age writes"),
                DAMAGED(V1 "{S}\n" MAC, "none that age writes"),
                DAMAGED(V1 "->\n\n{S}" MAC, "none that age writes"),
                DAMAGED(V1 "-> \n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "->  other\n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> other  two\n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> other \n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> other\ttwo\n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> other\r\n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> oth\x7F\n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> oth\xC3\xA4\n\n{S}" MAC, "arguments"),
                DAMAGED(V1 "-> other\nYWJ\xC3\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYWI=\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYWJ\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYWJjY\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYW Jj\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYWJj\r\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYW-_\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\n" FULL "{S}" MAC, "body"),
                DAMAGED(V1 "-> other\n" FULL MAC, "body"),
                DAMAGED(V1 "-> other\nA" FULL "\n{S}" MAC, "body"),
                DAMAGED(V1 "-> other\nYWJj\nYWJj\n{S}" MAC, "none that age writes"),
                DAMAGED(V1 "-> other\n{S}" MAC, "body"),
                DAMAGED(V1 "{S}---\n", "last line"),
                DAMAGED(V1 "{S}--- \n", "last line"),
                DAMAGED(V1 "{S}---  {M}\n", "last line"),
                DAMAGED(V1 "{S}---{M}\n", "last line"),
                DAMAGED(V1 "{S}---- {M}\n", "last line"),
                DAMAGED(V1 "{S}--- {M} \n", "last line"),
                DAMAGED(V1 "{S}--- {M}=\n", "last line"),
                DAMAGED(V1 "{S}--- {M}\r\n", "last line"),
                DAMAGED(V1 "{S}--- AAAA\n", "last line"),
                DAMAGED(V1 "{S}--- " ZERO "\n", "header was changed"),
                DAMAGED(V1 "{S}--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\n", "last line"),
                DAMAGED(V1 "{S}" MAC "\n", "not authentic"),
        };

        (void)state;
        check_forms(forms, COUNT(forms), identities);
}

static void forms_of_x25519_stanzas(void **state)
{
        static const struct form forms[] = {
                TAKEN(V1 "-> X25519 {A}\n{B}\n" MAC),
                DAMAGED(V1 "-> X25519\n{B}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A} x\n{B}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A}=\n{B}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A}A\n{B}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {C}\n{B}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB\n{B}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A}\n\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A}\n{C}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A}\n{B}A\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 {A}\n" FULL "\n" MAC, "malformed X25519"),
                DAMAGED(V1 "{S}-> X25519 {A}\n{C}\n" MAC, "malformed X25519"),
                DAMAGED(V1 "-> X25519 " ZERO "\n{B}\n" MAC, "low order"),
                DAMAGED(V1 "-> X25519 " ZERO "\n{B}\n{S}" MAC, "low order"),
                { V1 "-> x25519 {A}\n{B}\n" MAC, "not supported", ERR_KEY },
                { V1 "-> X25519 {A}\n" ZERO "\n" MAC, "no identity given fits", ERR_KEY },
                { V1 "-> ssh-ed25519 AAAA\n" ZERO "\n" MAC, "not supported", ERR_KEY },
                { V1 "-> scrypt {C} 4\n{D}\n" MAC, "--passphrase-file", ERR_KEY },
        };

        (void)state;
        check_forms(forms, COUNT(forms), identities);
}

static void forms_of_scrypt_stanzas(void **state)
{
        static const struct form forms[] = {
                TAKEN(V1 "-> scrypt {C} 4\n{D}\n" MAC),
                DAMAGED(V1 "-> scrypt {C} 04\n{D}\n" MAC, "malformed work factor"),
                DAMAGED(V1 "-> scrypt {C} 0\n{D}\n" MAC, "malformed work factor"),
                DAMAGED(V1 "-> scrypt {C} +4\n{D}\n" MAC, "malformed work factor"),
                DAMAGED(V1 "-> scrypt {C} -4\n{D}\n" MAC, "malformed work factor"),
                DAMAGED(V1 "-> scrypt {C} 0x4\n{D}\n" MAC, "malformed work factor"),
                DAMAGED(V1 "-> scrypt {C} 4a\n{D}\n" MAC, "malformed work factor"),
                DAMAGED(V1 "-> scrypt {C} 23\n{D}\n" MAC, "above 22"),
                DAMAGED(V1 "-> scrypt {C} 18446744073709551620\n{D}\n" MAC, "above 22"),
                DAMAGED(V1 "-> scrypt {C}\n{D}\n" MAC, "malformed scrypt"),
                DAMAGED(V1 "-> scrypt {C} 4 4\n{D}\n" MAC, "malformed scrypt"),
                DAMAGED(V1 "-> scrypt {C}A 4\n{D}\n" MAC, "malformed scrypt"),
                DAMAGED(V1 "-> scrypt {C}AA 4\n{D}\n" MAC, "malformed scrypt"),
                DAMAGED(V1 "-> scrypt AAAAAAAAAAAAAAAAAAAAAB 4\n{D}\n" MAC, "malformed scrypt"),
                DAMAGED(V1 "-> scrypt {C} 4\n{C}\n" MAC, "malformed scrypt"),
                DAMAGED(V1 "-> scrypt {C} 4\n{D}\n-> scrypt {C} 4\n{D}\n" MAC, "beside that of a passphrase"),
                DAMAGED(V1 "-> scrypt {C} 4\n{D}\n{S}" MAC, "beside that of a passphrase"),
                DAMAGED(V1 "{S}-> scrypt {C} 4\n{D}\n" MAC, "beside that of a passphrase"),
                DAMAGED(V1 "-> other\n\n-> scrypt {C} 4\n{D}\n" MAC, "beside that of a passphrase"),
                { V1 "-> scrypt {C} 5\n{D}\n" MAC, "the one given is wrong", ERR_KEY },
                { V1 "-> scrypt {C} 19\n{D}\n" MAC, "--memory-limit 512M", ERR_USAGE },
                { V1 "{S}" MAC, "--identity", ERR_KEY },
        };

        (void)state;
        check_forms(forms, COUNT(forms), phrase);
}

static void headers_are_bounded(void **state)
{
        struct reader_options options = { .identities = identities };
        struct form many = DAMAGED("1001 stanzas", "more than 1000");
        struct form lengthy = DAMAGED("a long header", "longer than 1 MiB");
        struct form endless = DAMAGED("a long line", "no end in sight");
        struct bytes file = { 0 };
        struct outcome outcome;

        (void)state;
        append_text(&file, V1);
        for (int i = 0; i < 1001; i++)
                append_text(&file, "-> other\n\n");
        outcome = age_read_file(file.data, file.size, 100, &options);
        check_outcome(&outcome, &many);
        file.size = strlen(V1);
        append_text(&file, "-> other\n");
        while (file.size < 2 << 20)
                append_text(&file, FULL);
        outcome = age_read_file(file.data, file.size, 100, &options);
        check_outcome(&outcome, &lengthy);
        memset(file.data + strlen(V1) + 3, 'a', file.size - strlen(V1) - 3);
        outcome = age_read_file(file.data, file.size, 100, &options);
        check_outcome(&outcome, &endless);
        bytes_free(&file);
}

/* ---- armor ---- */

#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----\n"
#define END   "-----END AGE ENCRYPTED FILE-----\n"
#define LINE  "YWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJjYWJj\n"

static void forms_of_armor(void **state)
{
        static const struct form forms[] = {
                DAMAGED(BEGIN LINE "\n" END, "not written as age writes it"),
                DAMAGED(BEGIN "\n" LINE END, "not written as age writes it"),
                DAMAGED(BEGIN "YWJj\n" LINE END, "a line follows the last"),
                DAMAGED(BEGIN "YWI\n" END, "not written as age writes it"),
                DAMAGED(BEGIN "YWJ=\n" END, "not written as age writes it"),
                DAMAGED(BEGIN "YW==\n" END, "not written as age writes it"),
                DAMAGED(BEGIN " YWJj\n" END, "not written as age writes it"),
                DAMAGED(BEGIN "YWJj \n" END, "not written as age writes it"),
                DAMAGED(BEGIN "A" LINE END, "not written as age writes it"),
                DAMAGED(BEGIN "AAA" LINE END, "too long"),
                DAMAGED(BEGIN LINE, "inside its age armor"),
                DAMAGED(BEGIN LINE "-----END AGE ENCRYPTED FILE----", "inside its age armor"),
                DAMAGED(BEGIN LINE "-----END AGE ENCRYPTED FILE-----x\n", "not written as age writes it"),
                DAMAGED(BEGIN LINE "-----END AGE FILE-----\n", "not written as age writes it"),
                DAMAGED(BEGIN LINE END "x", "something follows the end of its age armor"),
                DAMAGED(BEGIN LINE END BEGIN, "something follows the end of its age armor"),
                DAMAGED("-----BEGIN AGE FILE-----\n" LINE END, "no line with which age armor begins"),
                DAMAGED("----- BEGIN AGE ENCRYPTED FILE-----\n" LINE END, "no line with which age armor begins"),
                DAMAGED("-----BEGIN AGE ENCRYPTED FILE-----\r\n" LINE END, "now so, now so"),
                DAMAGED(BEGIN "YWJj\r\n" END, "not written as age writes it"),
        };
        struct reader_options options = { .identities = identities };

        (void)state;
        for (size_t i = 0; i < COUNT(forms); i++) {
                const char *text = forms[i].template;
                struct outcome outcome = age_read_file((const uint8_t *)text, strlen(text), 100, &options);

                check_outcome(&outcome, &forms[i]);
        }
}

/* ---- cuts and flips ---- */

static void make_small(struct bytes *file, bool armor)
{
        struct age_recipients *recipients = age_for(pair.recipient);
        struct age_options options = { .recipients = recipients, .armor = armor };

        age_write_file(file, &options, (const uint8_t *)"hello", 5, 5, 0);
        age_recipients_free(recipients);
}

static void check_refused(const uint8_t *bytes, size_t size, size_t at)
{
        struct reader_options options = { .identities = identities };
        struct outcome outcome = age_read_file(bytes, size, 100, &options);

        if (outcome.ended || outcome.content.size > 0)
                fail_msg("taken with byte %zu of %zu", at, size);
        if (outcome.error.code != ERR_DAMAGED && outcome.error.code != ERR_KEY)
                fail_msg("byte %zu: %d '%s'", at, outcome.error.code, outcome.error.message);
        outcome_free(&outcome);
}

static void every_cut_is_refused(void **state)
{
        (void)state;
        for (int armor = 0; armor < 2; armor++) {
                struct bytes file = { 0 };

                make_small(&file, armor);
                /* The last newline of armor may be missing. */
                for (size_t at = 0; at < file.size - (size_t)armor; at++)
                        check_refused(file.data, at, at);
                bytes_append(&file, "x", 1);
                check_refused(file.data, file.size, file.size);
                bytes_free(&file);
        }
}

static void every_changed_bit_is_refused(void **state)
{
        (void)state;
        for (int armor = 0; armor < 2; armor++) {
                struct bytes file = { 0 };

                make_small(&file, armor);
                for (size_t at = 0; at < file.size; at++)
                        for (int bit = 0; bit < 8; bit++) {
                                file.data[at] ^= (uint8_t)(1 << bit);
                                check_refused(file.data, file.size, at);
                                file.data[at] ^= (uint8_t)(1 << bit);
                        }
                bytes_free(&file);
        }
}

/* ---- payloads of several chunks ---- */

struct layout {
        const char *name;
        const char *chunks; /* a letter each: n not final, f final, e final and empty, s short and not final; its
                               counter is its place, but for x: the one before */
        const char *words;
        size_t handed; /* authentic chunks before the fault */
};

static void append_chunk(struct bytes *file, char kind, uint64_t counter, const uint8_t *key)
{
        CLEANUP(freep) uint8_t *chunk = calloc(1, SEALED);
        size_t size = kind == 'e' ? 0 : kind == 's' ? 100 : CHUNK;

        assert_non_null(chunk);
        assert_true(age_chunk_seal(chunk, size, kind == 'x' ? counter - 1 : counter, kind == 'f' || kind == 'e', key));
        bytes_append(file, chunk, size + AGE_TAG_SIZE);
}

static void chunks_stand_in_order_and_end_once(void **state)
{
        static const struct layout layouts[] = {
                { "one", "f", NULL, 1 },
                { "empty", "e", NULL, 0 },
                { "three", "nnf", NULL, 3 },
                { "a segment", "nnnnnnnnnnnnnnnf", NULL, 16 },
                { "more", "nnnnnnnnnnnnnnnnf", NULL, 17 },
                { "none", "", "cut off", 0 },
                { "no final one", "nn", "final part is missing", 1 },
                { "a segment, no final one", "nnnnnnnnnnnnnnnn", "final part is missing", 15 },
                { "empty behind others", "ne", "not authentic", 1 },
                { "empty behind a segment", "nnnnnnnnnnnnnnnne", "not authentic", 16 },
                { "two ends", "ff", "not authentic", 0 },
                { "short inside", "sf", "not authentic", 0 },
                { "a repeated one", "nxf", "not authentic", 1 },
        };
        struct reader_options options = { .identities = identities };
        struct bytes header = { 0 };
        uint8_t key[AGE_KEY_SIZE];
        size_t prefix;

        (void)state;
        expand(&header, V1 "{S}" MAC);
        prefix = header.size - 5 - AGE_TAG_SIZE;
        age_payload_key(key, file_key, header.data + prefix - AGE_NONCE_SIZE);
        for (size_t i = 0; i < COUNT(layouts); i++) {
                struct outcome outcome;

                header.size = prefix;
                for (size_t at = 0; layouts[i].chunks[at]; at++)
                        append_chunk(&header, layouts[i].chunks[at], at, key);
                outcome = age_read_file(header.data, header.size, 100000, &options);
                if (outcome.ended != !layouts[i].words ||
                    (layouts[i].words && !strstr(outcome.error.message, layouts[i].words)) ||
                    outcome.content.size != layouts[i].handed * CHUNK)
                        fail_msg("%s: %zu bytes, '%s'", layouts[i].name, outcome.content.size, outcome.error.message);
                outcome_free(&outcome);
        }
        bytes_free(&header);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(forms_of_headers),
                cmocka_unit_test(forms_of_x25519_stanzas),
                cmocka_unit_test(forms_of_scrypt_stanzas),
                cmocka_unit_test(headers_are_bounded),
                cmocka_unit_test(forms_of_armor),
                cmocka_unit_test(every_cut_is_refused),
                cmocka_unit_test(every_changed_bit_is_refused),
                cmocka_unit_test(chunks_stand_in_order_and_end_once),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
