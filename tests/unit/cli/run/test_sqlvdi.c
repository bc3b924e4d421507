/* By which engine a server's devices are served. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>
#include <string.h>

#include "cli/run/sqlvdi.h"

static struct args arguments(const char *path)
{
        struct args args;

        args_init(&args);
        args.sqlvdi = path;
        args.quiet = true;
        return args;
}

static void check_refused(const char *path, bool stand_in, enum err_code code, const char *words)
{
        struct args args = arguments(path);
        struct sqlvdi_library *library = NULL;
        struct error err = ERROR_INIT;

        args.run_as = "somebody";
        assert_int_equal(sqlvdi_choose(&args, stand_in, &library, &err), -1);
        assert_int_equal(err.code, code);
        assert_non_null(strstr(err.message, words));
        assert_null(library);
        args_deinit(&args);
}

static void check_taken(const char *path, bool stand_in)
{
        struct args args = arguments(path);
        struct sqlvdi_library *library = NULL;

        args.run_as = "somebody";
        assert_int_equal(sqlvdi_choose(&args, stand_in, &library, NULL), 0);
        assert_non_null(library);
        sqlvdi_library_close(library);
        args_deinit(&args);
}

static void test_the_stand_in_has_our_engine(void **state)
{
        struct args args = arguments(NULL);
        struct sqlvdi_library *library = (struct sqlvdi_library *)&args;

        (void)state;
        assert_int_equal(sqlvdi_choose(&args, /* stand_in= */ true, &library, NULL), 0);
        assert_null(library);
        assert_string_equal(sqlvdi_path(&args), "/opt/mssql/lib/libsqlvdi.so");
        args_deinit(&args);
}

static void test_the_stand_in_has_the_library_that_is_named(void **state)
{
        (void)state;
        check_taken(DROPIN, /* stand_in= */ true);
        check_taken(FAKE_WHOLE, /* stand_in= */ true);
        check_refused(FAKE_LACKING, /* stand_in= */ true, ERR_USAGE, "lacks the symbol");
        check_refused("/nowhere.so", /* stand_in= */ true, ERR_USAGE, "there is no library '/nowhere.so'");
}

static void test_sql_server_has_a_library_that_is_not_ours(void **state)
{
        (void)state;
        check_taken(FAKE_WHOLE, /* stand_in= */ false);
        check_refused(DROPIN, /* stand_in= */ false, ERR_USAGE, "is vdipipe's own drop-in library");
        check_refused("/nowhere.so", /* stand_in= */ false, ERR_USAGE, "--sqlvdi PATH");
}

/* Where there is such an account, it is the scenario of doctor's that knows who is running. */
static void test_nothing_is_said_of_users_without_an_account(void **state)
{
        (void)state;
        if (getpwnam(SQLVDI_ACCOUNT))
                skip();
        assert_int_equal(sqlvdi_check_user(NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_the_stand_in_has_our_engine),
                cmocka_unit_test(test_the_stand_in_has_the_library_that_is_named),
                cmocka_unit_test(test_sql_server_has_a_library_that_is_not_ours),
                cmocka_unit_test(test_nothing_is_said_of_users_without_an_account),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
