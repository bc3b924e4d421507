#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

static void check(const char *bytes, const char *expected)
{
        CLEANUP(freep) char *escaped = text_escape(bytes, strlen(bytes));

        assert_string_equal(escaped, expected);
}

static void ordinary_text_stays(void **state)
{
        (void)state;
        check("", "");
        check("C:\\data\\a b.db", "C:\\data\\a b.db");
        check("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80");
}

static void what_a_terminal_acts_on_is_shown(void **state)
{
        (void)state;
        check("a\x1B[2Jb\n\r\t\x7F", "a\\x1B[2Jb\\x0A\\x0D\\x09\\x7F");
        check("\xC2\x9B"
              "31m",
              "\\xC2\\x9B31m");
        check("\xE2\x80\xAE", "\\xE2\\x80\\xAE");
        check("\xE2\x81\xA6", "\\xE2\\x81\\xA6");
}

static void invalid_utf8_is_shown(void **state)
{
        (void)state;
        check("\xFF", "\\xFF");
        check("\xC3", "\\xC3");
        check("\xC0\xAF", "\\xC0\\xAF");
        check("\xED\xA0\x80", "\\xED\\xA0\\x80");
        check("\xE2\x82", "\\xE2\\x82");
        check("\xF4\x90\x80\x80", "\\xF4\\x90\\x80\\x80");
        check("\xE2\x82x", "\\xE2\\x82x");
}

static void nul_is_shown(void **state)
{
        CLEANUP(freep) char *escaped = text_escape("a\0b", 3);

        (void)state;
        assert_string_equal(escaped, "a\\x00b");
}

static void whole_texts_are_utf8_or_not(void **state)
{
        (void)state;
        assert_true(text_is_utf8("", 0));
        assert_true(text_is_utf8("a\xC3\xA4", 3));
        assert_false(text_is_utf8("a\xC3\xA4", 2));
        assert_false(text_is_utf8("\xFF"
                                  "a",
                                  2));
}

static void hexadecimal_digits_have_values(void **state)
{
        static const char digits[] = "0123456789abcdefABCDEF";

        (void)state;
        for (int c = 0; c < 256; c++) {
                const char *at = c ? strchr(digits, c) : NULL;
                int place = at ? (int)(at - digits) : -1;

                assert_int_equal(text_hex_digit((char)c), place < 16 ? place : place - 6);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(ordinary_text_stays),         cmocka_unit_test(what_a_terminal_acts_on_is_shown),
                cmocka_unit_test(invalid_utf8_is_shown),       cmocka_unit_test(nul_is_shown),
                cmocka_unit_test(whole_texts_are_utf8_or_not), cmocka_unit_test(hexadecimal_digits_have_values),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
