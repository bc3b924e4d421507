#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/error.h"

static void raise_sets_code_and_text(void **state)
{
        struct error err = ERROR_INIT;

        (void)state;
        assert_false(error_is_set(&err));
        assert_int_equal(error_raise(&err, ERR_BUSY, "'%s' is locked", "x.db"), -1);
        assert_int_equal(err.code, ERR_BUSY);
        assert_string_equal(err.message, "'x.db' is locked");
}

static void errno_picks_the_class(void **state)
{
        static const struct {
                int sys_errno;
                enum err_code code;
        } cases[] = { { ENOSPC, ERR_NO_SPACE }, { EDQUOT, ERR_NO_SPACE }, { EPIPE, ERR_PIPE }, { ENOMEM, ERR_MEMORY },
                      { EMFILE, ERR_MEMORY },   { ENFILE, ERR_MEMORY },   { EIO, ERR_IO },     { EACCES, ERR_IO } };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct error err = ERROR_INIT;

                error_raise_errno(&err, cases[i].sys_errno, "write 'f'");
                assert_int_equal(err.code, cases[i].code);
                assert_int_equal(err.sys_errno, cases[i].sys_errno);
                assert_int_equal(strncmp(err.message, "write 'f': ", 11), 0);
        }
}

static void prefix_keeps_the_class(void **state)
{
        struct error err = ERROR_INIT;

        (void)state;
        error_raise(&err, ERR_DAMAGED, "frame 7 is damaged");
        error_prefix(&err, "'%s': ", "a.vdi");
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_string_equal(err.message, "'a.vdi': frame 7 is damaged");
}

static void the_first_error_is_kept(void **state)
{
        struct error first = ERROR_INIT;
        struct error second = ERROR_INIT;

        (void)state;
        error_raise(&second, ERR_IO, "one");
        error_keep_first(&first, &second);
        error_replace(&second, ERR_BUSY, "two");
        error_keep_first(&first, &second);
        assert_int_equal(first.code, ERR_IO);
        assert_string_equal(first.message, "one");
}

static void raising_again_keeps_what_is_there(void **state)
{
        struct error err = ERROR_INIT;

        (void)state;
        error_raise_errno(&err, EIO, "one");
        assert_int_equal(error_raise(&err, ERR_BUSY, "two"), -1);
        assert_int_equal(error_raise_errno(&err, ENOSPC, "three"), -1);
        assert_int_equal(error_no_memory(&err), -1);
        assert_int_equal(err.code, ERR_IO);
        assert_int_equal(err.sys_errno, EIO);
        assert_string_equal(err.message, "one: Input/output error");
        assert_int_equal(error_replace(&err, ERR_BUSY, "%s", "two"), -1);
        assert_int_equal(err.code, ERR_BUSY);
        assert_int_equal(err.sys_errno, 0);
        assert_string_equal(err.message, "two");
}

static void a_long_message_is_cut_not_overrun(void **state)
{
        char text[3000];
        struct error err = ERROR_INIT;

        (void)state;
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        error_raise_errno(&err, EIO, "%s", text);
        assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
        error_prefix(&err, "%s", text);
        assert_int_equal(strlen(err.message), ERROR_MESSAGE_MAX - 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(raise_sets_code_and_text),
                cmocka_unit_test(errno_picks_the_class),
                cmocka_unit_test(prefix_keeps_the_class),
                cmocka_unit_test(the_first_error_is_kept),
                cmocka_unit_test(raising_again_keeps_what_is_there),
                cmocka_unit_test(a_long_message_is_cut_not_overrun),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
