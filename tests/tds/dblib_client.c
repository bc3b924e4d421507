/*
 * FreeTDS's db-lib against tds_server: `dblib_client PORT VERSION`. Prints the name of each test that passed, and ends
 * with 1 at the first that did not. VERSION is 71 to 74.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sybfront.h>
#include <sybdb.h>

static const char password[] = "S\u00e4cret1";
static int version;
static char where[64];

/* What the server said last. */
static struct said {
        int count;
        int number;
        int state;
        int severity;
        int line;
        char text[1024];
        char server[64];
        char procedure[64];
} said;
static int last_error;

#define check(condition)                                                                \
        do {                                                                            \
                if (!(condition)) {                                                     \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
                        exit(1);                                                        \
                }                                                                       \
        } while (0)

static int on_message(DBPROCESS *process, DBINT number, int state, int severity, char *text, char *server,
                      char *procedure, int line)
{
        (void)process;
        said = (struct said){
                .count = said.count + 1, .number = number, .state = state, .severity = severity, .line = line
        };
        snprintf(said.text, sizeof said.text, "%s", text);
        snprintf(said.server, sizeof said.server, "%s", server);
        snprintf(said.procedure, sizeof said.procedure, "%s", procedure ? procedure : "");
        return 0;
}

static int on_error(DBPROCESS *process, int severity, int number, int os_number, char *words, char *os_words)
{
        (void)process;
        (void)severity;
        (void)os_number;
        (void)words;
        (void)os_words;
        last_error = number;
        return INT_CANCEL;
}

static DBPROCESS *open_as(const char *user, const char *its_password)
{
        static const BYTE versions[] = { DBVERSION_71, DBVERSION_72, DBVERSION_73, DBVERSION_74 };
        LOGINREC *login = dblogin();
        DBPROCESS *process;

        check(login);
        DBSETLUSER(login, user);
        DBSETLPWD(login, its_password);
        DBSETLAPP(login, "db-lib \U0001f600");
        DBSETLCHARSET(login, "UTF-8");
        DBSETLDBNAME(login, "pubs");
        check(dbsetlversion(login, versions[version - 71]) == SUCCEED);
        process = dbopen(login, where);
        dbloginfree(login);
        return process;
}

static void ask(DBPROCESS *process, const char *batch)
{
        said.count = 0;
        check(dbcmd(process, batch) == SUCCEED);
        check(dbsqlexec(process) == SUCCEED);
        check(dbresults(process) == SUCCEED);
}

static void expect_end(DBPROCESS *process)
{
        check(dbnextrow(process) == NO_MORE_ROWS);
        check(dbresults(process) == NO_MORE_RESULTS);
}

static bool column_is(DBPROCESS *process, int column, const void *expected, size_t size)
{
        return dbdata(process, column) && (size_t)dbdatlen(process, column) == size &&
               memcmp(dbdata(process, column), expected, size) == 0;
}

static bool text_is(DBPROCESS *process, int column, const char *expected)
{
        /* An empty text has no data, but is not NULL, which db-lib tells apart by a length of 0 alone. */
        if (expected[0] == '\0')
                return dbdatlen(process, column) == 0;
        return column_is(process, column, expected, strlen(expected));
}

static void test_login(DBPROCESS *process)
{
        check(strcmp(dbname(process), "pubs") == 0);
        ask(process, "login");
        check(dbnextrow(process) == REG_ROW);
        check(text_is(process, 1, "sa"));
        check(dbdata(process, 2) == NULL);
        check(text_is(process, 3, "db-lib \U0001f600"));
        check(text_is(process, 4, "pubs"));
        check(strcmp(dbcolname(process, 3), "application") == 0);
        expect_end(process);
        check(DBCOUNT(process) == 1);
}

static void expect_row(DBPROCESS *process, DBINT number, DBBIGINT large, DBBIT bit, const char *text,
                       const char *numeric, DBREAL real, const DBDATETIME *datetime, const BYTE *guid,
                       const char *shorter)
{
        char converted[64] = "";

        check(dbnextrow(process) == REG_ROW);
        check(column_is(process, 1, &number, sizeof number));
        check(column_is(process, 2, &large, sizeof large));
        check(column_is(process, 3, &bit, sizeof bit));
        check(text_is(process, 4, text));
        check(dbcoltype(process, 5) == SYBNUMERIC);
        check(dbconvert(process, SYBNUMERIC, dbdata(process, 5), dbdatlen(process, 5), SYBCHAR, (BYTE *)converted, -1) >
              0);
        check(strcmp(converted, numeric) == 0);
        check(column_is(process, 6, &real, sizeof real));
        check(column_is(process, 7, datetime, sizeof *datetime));
        check(column_is(process, 8, guid, 16));
        check(text_is(process, 9, shorter));
}

static void test_every_type(DBPROCESS *process)
{
        static const int types[] = { SYBINT4, SYBINT8, SYBBIT, 0, SYBNUMERIC, SYBREAL, SYBDATETIME, 0x24 };
        /* 2026-11-21 14:05:06.123 and 1753-01-01. */
        static const DBDATETIME times[] = { { 46345, 15211837 }, { -53690, 0 } };
        static const BYTE guids[][16] = { { 0x25, 0x47, 0x98, 0x0e, 0x1c, 0xc5, 0xf4, 0x4b, 0x99, 0x60, 0xe1, 0xc8,
                                            0x0e, 0x27, 0xab, 0xa0 },
                                          { [15] = 1 } };

        ask(process, "types");
        for (int i = 0; i < 8; i++)
                check(types[i] == 0 || dbcoltype(process, i + 1) == types[i]);
        expect_row(process, 2147483647, INT64_MAX, 1, "gr\u00fc\u00df \U0001f600", "9999999999999999999999999", 37.5f,
                   &times[0], guids[0], "short");
        expect_row(process, INT32_MIN, INT64_MIN, 0, "", "-42", -0.25f, &times[1], guids[1], "");
        check(dbnextrow(process) == REG_ROW);
        for (int i = 1; i <= 9; i++)
                check(dbdata(process, i) == NULL && dbdatlen(process, i) == 0);
        expect_end(process);
        check(DBCOUNT(process) == 3);
}

static void test_messages(DBPROCESS *process)
{
        check(dbcmd(process, "raise 3013 16 3 7 BACKUP DATABASE is terminating abnormally.") == SUCCEED);
        said.count = 0;
        check(dbsqlexec(process) == FAIL);
        check(said.count == 1 && said.number == 3013 && said.severity == 16 && said.state == 3 && said.line == 7);
        check(strcmp(said.text, "BACKUP DATABASE is terminating abnormally.") == 0);
        check(strcmp(said.server, "STANDIN") == 0 && strcmp(said.procedure, "") == 0);
        check(dbresults(process) == NO_MORE_RESULTS);
        ask(process, "raise 4035 0 1 1 Processed 8 pages \U0001f600.");
        check(said.count == 1 && said.number == 4035 && said.severity == 0);
        check(strcmp(said.text, "Processed 8 pages \U0001f600.") == 0);
        check(dbresults(process) == NO_MORE_RESULTS);
}

static void test_messages_between_results(DBPROCESS *process)
{
        ask(process, "mixed");
        for (int i = 1; i <= 2; i++) {
                check(said.count >= i && said.number == 3211);
                check(dbnextrow(process) == REG_ROW);
                check(column_is(process, 1, &(DBINT){ i }, sizeof(DBINT)));
                check(dbnextrow(process) == NO_MORE_ROWS);
                check(dbresults(process) == SUCCEED);
        }
        check(said.count == 3 && said.number == 3014);
        check(dbresults(process) == NO_MORE_RESULTS);
}

static void test_long_texts(DBPROCESS *process)
{
        int length = version == 71 ? 4000 : 100001;
        char batch[64];

        snprintf(batch, sizeof batch, "long %d", length);
        ask(process, batch);
        check(dbnextrow(process) == REG_ROW);
        check(dbdatlen(process, 1) == length);
        for (int i = 0; i < length; i++)
                check(dbdata(process, 1)[i] == '0' + i % 10);
        expect_end(process);
}

static void test_long_batches(DBPROCESS *process)
{
        enum { LENGTH = 50000 };
        char *batch = malloc(LENGTH + 6);

        check(batch);
        memcpy(batch, "echo ", 5);
        memset(batch + 5, 'y', LENGTH);
        batch[LENGTH + 5] = '\0';
        ask(process, batch);
        check(dbnextrow(process) == REG_ROW);
        check(dbdatlen(process, 1) == (version == 71 ? 4000 : LENGTH));
        check(memcmp(dbdata(process, 1), batch + 5, (size_t)dbdatlen(process, 1)) == 0);
        free(batch);
        expect_end(process);
}

static void test_characters(DBPROCESS *process)
{
        ask(process, "echo \u00e9\u4e2d\U0001f600\U0010ffff");
        check(dbnextrow(process) == REG_ROW);
        check(text_is(process, 1, "\u00e9\u4e2d\U0001f600\U0010ffff"));
        expect_end(process);
}

static void test_database(DBPROCESS *process)
{
        ask(process, "use master");
        check(said.number == 5701);
        check(strcmp(dbname(process), "master") == 0);
        check(dbresults(process) == NO_MORE_RESULTS);
        ask(process, "use pubs");
        check(dbresults(process) == NO_MORE_RESULTS);
}

static void test_procedures(DBPROCESS *process)
{
        DBINT number = -5;
        char text[] = "text";

        check(dbrpcinit(process, "parameters", 0) == SUCCEED);
        check(dbrpcparam(process, "@n", 0, SYBINT4, -1, -1, (BYTE *)&number) == SUCCEED);
        check(dbrpcparam(process, "@t", 0, SYBVARCHAR, -1, 4, (BYTE *)text) == SUCCEED);
        check(dbrpcparam(process, "@z", 0, SYBVARCHAR, -1, 0, NULL) == SUCCEED);
        check(dbrpcsend(process) == SUCCEED);
        check(dbsqlok(process) == SUCCEED);
        check(dbresults(process) == SUCCEED);
        check(dbnextrow(process) == REG_ROW && text_is(process, 1, "@n") && text_is(process, 2, "-5"));
        check(dbnextrow(process) == REG_ROW && text_is(process, 1, "@t") && text_is(process, 2, "text"));
        check(dbnextrow(process) == REG_ROW && text_is(process, 1, "@z") && dbdata(process, 2) == NULL);
        expect_end(process);
        check(dbhasretstat(process) && dbretstatus(process) == 0);

        check(dbrpcinit(process, "nothing", 0) == SUCCEED);
        check(dbrpcsend(process) == SUCCEED);
        check(dbsqlok(process) == FAIL);
        check(said.number == 2812 && strcmp(said.procedure, "nothing") == 0);
        check(dbresults(process) == NO_MORE_RESULTS);
}

static void test_cancel_while_it_hangs(DBPROCESS *process)
{
        check(dbcmd(process, "silent") == SUCCEED);
        check(dbsqlsend(process) == SUCCEED);
        check(dbcancel(process) == SUCCEED);
        test_login(process);
}

static void test_cancel_while_rows_flow(DBPROCESS *process)
{
        ask(process, "flood");
        for (int i = 0; i < 1000; i++)
                check(dbnextrow(process) == REG_ROW);
        check(dbcancel(process) == SUCCEED);
        test_login(process);
}

static void test_cancel_after_the_answer(DBPROCESS *process)
{
        ask(process, "login");
        check(dbcancel(process) == SUCCEED);
        test_login(process);
        check(dbcancel(process) == SUCCEED);
        test_login(process);
}

static void test_a_server_that_dies(DBPROCESS *process)
{
        check(dbcmd(process, "die") == SUCCEED);
        check(dbsqlexec(process) == FAIL);
        check(dbdead(process));
        check(last_error == SYBESEOF || last_error == SYBEREAD);
}

static void test_wrong_password(void)
{
        said.count = 0;
        check(!open_as("sa", "wrong"));
        check(said.count == 1 && said.number == 18456 && said.severity == 14 && said.state == 1);
        check(strcmp(said.text, "Login failed for user 'sa'.") == 0);
}

static const struct test {
        const char *name;
        void (*run)(DBPROCESS *process);
} tests[] = {
        { "login", test_login },
        { "every type", test_every_type },
        { "messages", test_messages },
        { "messages between results", test_messages_between_results },
        { "long texts", test_long_texts },
        { "long batches", test_long_batches },
        { "characters", test_characters },
        { "database", test_database },
        { "procedures", test_procedures },
        { "cancel while it hangs", test_cancel_while_it_hangs },
        { "cancel while rows flow", test_cancel_while_rows_flow },
        { "cancel after the answer", test_cancel_after_the_answer },
        { "a server that dies", test_a_server_that_dies },
};

int main(int argc, char **argv)
{
        DBPROCESS *process;

        check(argc == 3);
        snprintf(where, sizeof where, "127.0.0.1:%s", argv[1]);
        version = atoi(argv[2]);
        check(version >= 71 && version <= 74);
        check(dbinit() == SUCCEED);
        dbmsghandle(on_message);
        dberrhandle(on_error);
        test_wrong_password();
        printf("wrong password\n");
        process = open_as("sa", password);
        check(process);
        check(dbtds(process) == DBTDS_7_1 + version - 71);
        for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++) {
                tests[i].run(process);
                printf("%s\n", tests[i].name);
                fflush(stdout);
        }
        dbclose(process);
        dbexit();
        return 0;
}
