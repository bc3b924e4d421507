#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/command.h"
#include "cli/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Parses `words` (NULL-terminated, the first is the command's name) with that command's tables. */
static int parse(const char *const *words, struct args *args, struct error *err)
{
        const struct command *command = command_find(words[0]);
        int argc = 0;

        while (words[argc])
                argc++;
        args_init(args);
        return options_parse(command->options, argc, words, args, err);
}

static void sizes(void **state)
{
        static const struct {
                const char *text;
                int rc;
                int64_t bytes;
        } cases[] = {
                { "0", 0, 0 },
                { "512", 0, 512 },
                { "64K", 0, 65536 },
                { "64k", 0, 65536 },
                { "1M", 0, 1048576 },
                { "1.5M", 0, 1572864 },
                { "1MiB", 0, 1048576 },
                { "1T", 0, 1099511627776 },
                { "", -1, 0 },
                { "K", -1, 0 },
                { "1X", -1, 0 },
                { "-1", -1, 0 },
                { "1 K", -1, 0 },
                { "0.3", -1, 0 },
                { "99999999999T", -1, 0 },
                { "1KK", -1, 0 },
                { "1.", -1, 0 },
                { "0x10", -1, 0 },
                { "9223372036854775808", -1, 0 },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                int64_t bytes = 0;

                assert_int_equal(options_parse_size(cases[i].text, &bytes), cases[i].rc);
                if (cases[i].rc == 0)
                        assert_int_equal(bytes, cases[i].bytes);
        }
}

static void seconds(void **state)
{
        static const struct {
                const char *text;
                int rc;
                int64_t ms;
        } cases[] = {
                { "5", 0, 5000 },    { "0.5", 0, 500 }, { "0.001", 0, 1 }, { "2s", 0, 2000 },
                { "0.0001", -1, 0 }, { "", -1, 0 },     { "1m", -1, 0 },   { "-1", -1, 0 },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                int64_t ms = 0;

                assert_int_equal(options_parse_seconds(cases[i].text, &ms), cases[i].rc);
                if (cases[i].rc == 0)
                        assert_int_equal(ms, cases[i].ms);
        }
}

static void every_form_of_an_option(void **state)
{
        static const char *const forms[][8] = {
                { "backup", "db", "--output", "f", NULL },  { "backup", "--output=f", "db", NULL },
                { "backup", "-o", "f", "db", NULL },        { "backup", "-of", "db", NULL },
                { "backup", "-fo", "f", "--", "db", NULL },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(forms); i++) {
                struct args args;
                struct error err = ERROR_INIT;

                assert_int_equal(parse(forms[i], &args, &err), 0);
                assert_string_equal(args.output, "f");
                assert_int_equal(args.operands.count, 1);
                assert_string_equal(args.operands.items[0], "db");
                args_deinit(&args);
        }
}

static void optional_values(void **state)
{
        static const char *const plain[] = { "backup", "--zstd", "19", NULL };
        static const char *const given[] = { "backup", "--zstd=19", NULL };
        static const char *const aside[] = { "restore", "--replace=aside", NULL };
        static const char *const in_place[] = { "restore", "--replace", "aside", NULL };
        struct args args;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(parse(plain, &args, &err), 0);
        assert_true(args.zstd);
        assert_int_equal(args.zstd_level, 3);
        assert_string_equal(args.operands.items[0], "19");
        args_deinit(&args);
        assert_int_equal(parse(given, &args, &err), 0);
        assert_int_equal(args.zstd_level, 19);
        args_deinit(&args);
        assert_int_equal(parse(aside, &args, &err), 0);
        assert_int_equal(args.replace, SERVER_REPLACE_ASIDE);
        args_deinit(&args);
        assert_int_equal(parse(in_place, &args, &err), 0);
        assert_int_equal(args.replace, SERVER_REPLACE_IN_PLACE);
        args_deinit(&args);
}

static void mistakes_are_named(void **state)
{
        static const struct {
                const char *words[6];
                const char *message;
        } cases[] = {
                { { "backup", "--nonsense", NULL }, "unknown option '--nonsense'" },
                { { "backup", "-Z", NULL }, "unknown option '-Z'" },
                { { "backup", "--output", NULL }, "--output needs a value: --output FILE" },
                { { "backup", "--output=", NULL }, "--output is empty; it takes FILE" },
                { { "backup", "--raw=1", NULL }, "--raw takes no value" },
                { { "backup", "--devices=65", NULL }, "--devices is 65, outside 1 to 64" },
                { { "backup", "--devices=x", NULL }, "--devices takes a whole number, not 'x'" },
                { { "backup", "--devices= 3", NULL }, "--devices takes a whole number, not ' 3'" },
                { { "backup", "--zstd=23", NULL }, "--zstd is 23, outside -7 to 22" },
                { { "backup", "--max-transfer=5M", NULL }, "--max-transfer is 5M, outside 65536 to 4194304" },
                { { "backup", "--max-lock=soon", NULL }, "--max-lock takes a number of seconds, not 'soon'" },
                { { "restore", "--check=slow", NULL },
                  "--check does not take 'slow'; it takes one of: none, quick, full" },
                { { "restore", "--raw", NULL }, "unknown option '--raw'" },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                struct args args;
                struct error err = ERROR_INIT;

                assert_int_equal(parse(cases[i].words, &args, &err), -1);
                assert_int_equal(err.code, ERR_USAGE);
                assert_string_equal(err.message, cases[i].message);
                args_deinit(&args);
        }
}

static void the_nearest_word_is_offered(void **state)
{
        static const struct {
                const char *words[6];
                const char *message;
        } cases[] = {
                { { "backup", "--ouptut=f", NULL }, "unknown option '--ouptut' (did you mean '--output'?)" },
                { { "backup", "--zst", NULL }, "unknown option '--zst' (did you mean '--zstd'?)" },
                { { "backup", "--stall-time", "1", NULL },
                  "unknown option '--stall-time' (did you mean '--stall-timeout'?)" },
                { { "backup", "--ra", NULL }, "unknown option '--ra'" },
                { { "backup", "--thread-count-of-a-name-that-is-much-too-long", NULL },
                  "unknown option '--thread-count-of-a-name-that-is-much-too-long'" },
                { { "restore", "--check=quik", NULL },
                  "--check does not take 'quik'; it takes one of: none, quick, full (did you mean 'quick'?)" },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                struct args args;
                struct error err = ERROR_INIT;

                assert_int_equal(parse(cases[i].words, &args, &err), -1);
                assert_string_equal(err.message, cases[i].message);
                args_deinit(&args);
        }
}

static void words_are_near_when_few_letters_differ(void **state)
{
        static const struct {
                const char *typed;
                const char *word;
                bool near;
        } cases[] = {
                { "restor", "restore", true },  { "rsetore", "restore", true },  { "restorex", "restore", true },
                { "rextora", "restore", true }, { "rextara", "restore", false }, { "res", "restore", true },
                { "re", "restore", false },     { "", "restore", false },        { "abc", "abd", true },
                { "abc", "ade", false },        { "list", "lst", true },         { "xyz", "restore", false },
        };

        (void)state;
        for (size_t i = 0; i < COUNT(cases); i++) {
                struct nearest nearest = nearest_to(cases[i].typed, strlen(cases[i].typed));

                nearest_try(&nearest, cases[i].word);
                if (cases[i].near)
                        assert_string_equal(nearest.word, cases[i].word);
                else
                        assert_null(nearest.word);
        }
}

/* Two options of one command with the same name or letter, or without words, would be a mistake in a table. */
static void tables_are_sound(void **state)
{
        (void)state;
        for (const struct command *const *command = commands; *command; command++) {
                const struct opt_spec *all[64];
                size_t count = 0;

                OPTIONS_EACH((*command)->options)
                        all[count++] = spec;
                for (size_t i = 0; i < count; i++) {
                        assert_non_null(all[i]->help);
                        assert_true((all[i]->type == OPT_FLAG) == (all[i]->value == NULL));
                        assert_true(all[i]->offset < sizeof(struct args));
                        assert_in_range(all[i]->group, 0, OPT_GROUPS - 1);
                        for (size_t j = 0; j < i; j++) {
                                assert_string_not_equal(all[i]->name, all[j]->name);
                                assert_true(!all[i]->letter || all[i]->letter != all[j]->letter);
                        }
                }
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(sizes),
                cmocka_unit_test(seconds),
                cmocka_unit_test(every_form_of_an_option),
                cmocka_unit_test(optional_values),
                cmocka_unit_test(mistakes_are_named),
                cmocka_unit_test(the_nearest_word_is_offered),
                cmocka_unit_test(words_are_near_when_few_letters_differ),
                cmocka_unit_test(tables_are_sound),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
