/* mssql:// URIs: their parts, what is refused, and which hosts are this machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/ident.h"
#include "core/mssql/mssql.h"

static const struct {
        const char *text;
        const char *user;
        const char *host;
        uint16_t port;
        const char *database;
} sound[] = {
        { "mssql://localhost/pubs", NULL, "localhost", 1433, "pubs" },
        { "MSSql://localhost/pubs", NULL, "localhost", 1433, "pubs" },
        { "mssql://sa@localhost/pubs", "sa", "localhost", 1433, "pubs" },
        { "mssql://sa@127.0.0.1:14330/pubs", "sa", "127.0.0.1", 14330, "pubs" },
        { "mssql://sa@[::1]:1/pubs", "sa", "::1", 1, "pubs" },
        { "mssql://[fe80::1%eth0]/pubs", NULL, "fe80::1%eth0", 1433, "pubs" },
        { "mssql://host:65535", NULL, "host", 65535, NULL },
        { "mssql://host/", NULL, "host", 1433, NULL },
        { "mssql://DOMAIN\\bob@my-host.example_1.net/a b", "DOMAIN\\bob", "my-host.example_1.net", 1433, "a b" },
        { "mssql://a%40b%3Ac@h/100%25%2F%3f%23%27%5D", "a@b:c", "h", 1433, "100%/?#']" },
        { "mssql://a@b@h/d", "a@b", "h", 1433, "d" },
        { "mssql://h/\xc3\xa4\xf0\x9f\x98\x80%c3%a4", NULL, "h", 1433, "\xc3\xa4\xf0\x9f\x98\x80\xc3\xa4" },
        { "mssql://h/a:b@c", NULL, "h", 1433, "a:b@c" },
};

static const struct {
        const char *text;
        const char *words;
} refused[] = {
        { "", "no URI" },
        { "sqlite://x", "no URI" },
        { "mssq://h/d", "no URI" },
        { "mssql:/h/d", "no URI" },
        { "mssql://", "no host" },
        { "mssql:///d", "no host" },
        { "mssql://@h/d", "nothing before" },
        { "mssql://sa:secret@h/d", "--password-file" },
        { "mssql://sa:@h/d", "--password-file" },
        { "mssql://sa:se%40cret@h:1/d", "--password-file" },
        { "mssql://sa:secret@x@h/d", "--password-file" },
        { "mssql://sa:secret/x@h/d", "port" },
        { "mssql://sa:secret#x@h/d", "port" },
        { "mssql://h:/d", "port" },
        { "mssql://h:0/d", "port" },
        { "mssql://h:65536/d", "port" },
        { "mssql://h:99999999999999999999/d", "port" },
        { "mssql://h:1x/d", "port" },
        { "mssql://h:-1/d", "port" },
        { "mssql://h\\SQLEXPRESS/d", "host" },
        { "mssql://h h/d", "host" },
        { "mssql://h%20/d", "host" },
        { "mssql://h;x/d", "host" },
        { "mssql://h\n/d", "host" },
        { "mssql://::1/d", "host" },
        { "mssql://[::1/d", "host" },
        { "mssql://[]/d", "host" },
        { "mssql://[::1]x/d", "host" },
        { "mssql://h?x", "'?' behind its host" },
        { "mssql://h#x", "'#' behind its host" },
        { "mssql://h/a/b", "%2F" },
        { "mssql://h/a?b", "%3F" },
        { "mssql://h/a#b", "%23" },
        { "mssql://h/a%", "%25" },
        { "mssql://h/a%4", "%25" },
        { "mssql://h/a%4g", "%25" },
        { "mssql://h/a%00", "%25" },
        { "mssql://h/\xff", "not UTF-8" },
        { "mssql://h/%ff", "not UTF-8" },
        { "mssql://%ff@h/d", "not UTF-8" },
};

static void assert_text(const char *found, const char *expected)
{
        if (expected)
                assert_string_equal(found, expected);
        else
                assert_null(found);
}

static void test_sound(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof sound / sizeof sound[0]; i++) {
                struct error err = ERROR_INIT;
                struct mssql_uri uri;

                assert_true(mssql_uri_is(sound[i].text));
                if (mssql_uri_parse(sound[i].text, &uri, &err) < 0)
                        fail_msg("'%s': %s", sound[i].text, err.message);
                assert_text(uri.user, sound[i].user);
                assert_text(uri.host, sound[i].host);
                assert_text(uri.database, sound[i].database);
                assert_int_equal(uri.port, sound[i].port);
                mssql_uri_deinit(&uri);
        }
}

static void test_refused(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
                struct error err = ERROR_INIT;
                struct mssql_uri uri;

                if (mssql_uri_parse(refused[i].text, &uri, &err) == 0)
                        fail_msg("'%s' was taken", refused[i].text);
                mssql_uri_deinit(&uri);
                assert_int_equal(err.code, ERR_USAGE);
                if (!strstr(err.message, refused[i].words) || strstr(err.message, "secret"))
                        fail_msg("'%s': %s", refused[i].text, err.message);
        }
}

static void test_too_long(void **state)
{
        static const char head[] = "mssql://h/";
        char text[2000];
        struct error err = ERROR_INIT;
        struct mssql_uri uri;

        (void)state;
        memset(text, 'a', sizeof text);
        memcpy(text, head, sizeof head - 1);
        text[sizeof text - 1] = '\0';
        assert_int_equal(mssql_uri_parse(text, &uri, &err), -1);
        assert_non_null(strstr(err.message, "too long"));
        mssql_uri_deinit(&uri);
}

static int check_host(const char *host, struct error *err)
{
        char name[256];
        struct mssql_uri uri = { .host = name };

        *err = (struct error)ERROR_INIT;
        strcpy(name, host);
        return mssql_uri_check_local(&uri, err);
}

static void test_this_machine(void **state)
{
        static const char *const hosts[] = { "localhost", "127.0.0.1", "127.1.2.3", "::1" };
        char name[IDENT_HOST_SIZE];
        struct error err;

        (void)state;
        for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
                if (check_host(hosts[i], &err) < 0)
                        fail_msg("%s", err.message);
        ident_host(name);
        if (*name && check_host(name, &err) < 0 && !strstr(err.message, ": "))
                fail_msg("%s", err.message);
}

/* Addresses that are kept for documentation belong to nobody. */
static void test_other_machines(void **state)
{
        static const char *const hosts[] = { "192.0.2.1", "198.51.100.7", "2001:db8::1" };
        struct error err;

        (void)state;
        for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
                assert_int_equal(check_host(hosts[i], &err), -1);
                assert_int_equal(err.code, ERR_USAGE);
                assert_non_null(strstr(err.message, "another machine"));
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sound),          cmocka_unit_test(test_refused),
                cmocka_unit_test(test_too_long),       cmocka_unit_test(test_this_machine),
                cmocka_unit_test(test_other_machines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
