#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/media/outputs.h"

static const struct output_words words = { .db = "app.db", .type = "full", .date = "20260131T235959Z" };

static void placeholders(void **state)
{
        static const struct {
                const char *pattern;
                const char *name;
        } cases[] = {
                { "plain", "plain" },
                { "{db}-{date}.{device}", "app.db-20260131T235959Z.7" },
                { "{type}{type}", "fullfull" },
                { "a}b", "a}b" },
                { "100%", "100%" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char *name = NULL;
                struct error err = ERROR_INIT;

                assert_int_equal(outputs_expand(cases[i].pattern, &words, 7, &name, &err), 0);
                assert_string_equal(name, cases[i].name);
                free(name);
        }
}

static void what_is_no_placeholder_is_named(void **state)
{
        static const char *const cases[][2] = {
                { "x-{host}", "'{host}'" },
                { "{db}{date", "'{date'" },
                { "a{", "'{'" },
                { "{}", "'{}'" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct error err = ERROR_INIT;
                char *name = NULL;

                assert_int_equal(outputs_expand(cases[i][0], &words, 1, &name, &err), -1);
                assert_int_equal(err.code, ERR_USAGE);
                assert_non_null(strstr(err.message, cases[i][1]));
                assert_null(name);
        }
}

static void impossible_combinations(void **state)
{
        struct args args;
        struct error err = ERROR_INIT;

        (void)state;
        args_init(&args);
        args.devices = 2;
        assert_int_equal(outputs_check(&args, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        args.output = "same-name";
        err = (struct error)ERROR_INIT;
        assert_int_equal(outputs_check(&args, &err), -1);
        assert_non_null(strstr(err.message, "same-name.{device}"));
        args.output = "name.{device}";
        assert_int_equal(outputs_check(&args, &err), 0);
        args.force = true;
        err = (struct error)ERROR_INIT;
        assert_int_equal(outputs_check(&args, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        args_deinit(&args);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(placeholders),
                cmocka_unit_test(what_is_no_placeholder_is_named),
                cmocka_unit_test(impossible_combinations),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
