/* A build without FreeTDS says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/mssql/mssql.h"

static void test_says_so(void **state)
{
        const struct mssql_login login = { .host = "localhost", .port = 1433, .user = "sa", .password = "secret" };
        struct error err = ERROR_INIT;
        struct mssql *connection = NULL;

        (void)state;
        assert_null(mssql_library_version());
        assert_int_equal(mssql_open(&login, NULL, &connection, &err), -1);
        assert_null(connection);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, "built without FreeTDS"));
        mssql_close(connection);
}

int main(void)
{
        const struct CMUnitTest tests[] = { cmocka_unit_test(test_says_so) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
