/*
 * sqlcmd - as far as tests use it: one batch to a SQL Server, over FreeTDS
 *
 *   sqlcmd -S HOST[,PORT] -U USER [-P PASSWORD] -Q BATCH [-d DATABASE] [-b] [-h -1] [-W] [-s SEPARATOR] [-l SECONDS]
 *
 * The password may also be in SQLCMDPASSWORD. Rows and messages go to standard output as sqlcmd prints them. SIGINT
 * cancels the batch. The exit status is 0; with -b 1 when an error of severity 11 or more came; 2 when the connection
 * failed or broke.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sybdb.h>

static struct options {
        char *server;
        const char *user;
        const char *password;
        const char *batch;
        const char *database;
        const char *separator;
        bool fail; /* -b */
        bool bare; /* -h -1 */
        bool trim; /* -W */
        int login_timeout;
} options = { .separator = " ", .login_timeout = 10 };

static bool has_error;
static bool is_broken;
static volatile sig_atomic_t is_interrupted;

static void interrupt(int number)
{
        (void)number;
        is_interrupted = 1;
}

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text, char *server, char *procedure,
                      int line)
{
        (void)db;
        (void)procedure;
        /* What sqlcmd keeps to itself: database and language were changed. */
        if (number == 5701 || number == 5703)
                return 0;
        if (severity > 10)
                printf("Msg %d, Level %d, State %d, Server %s, Line %d\n", (int)number, severity, state, server, line);
        printf("%s\n", text);
        fflush(stdout);
        has_error = has_error || severity > 10;
        return 0;
}

static int on_error(DBPROCESS *db, int severity, int number, int os_error, char *text, char *os_text)
{
        (void)severity;
        (void)os_error;
        (void)os_text;
        if (number != SYBESMSG && !(is_interrupted && number == SYBETIME))
                printf("Sqlcmd: Error: %s (%d)\n", text, number);
        fflush(stdout);
        if (number != SYBESMSG && (!db || dbdead(db)))
                is_broken = true;
        return INT_CANCEL;
}

/* db-lib asks whether to stop waiting. */
static int on_check(void *unused)
{
        (void)unused;
        return is_interrupted;
}

static int on_interrupt(void *unused)
{
        (void)unused;
        return INT_CANCEL;
}

static void print_value(DBPROCESS *db, int column)
{
        BYTE *data = dbdata(db, column);
        char text[8192];
        DBINT size;

        if (!data) {
                fputs("NULL", stdout);
                return;
        }
        size = dbconvert(db, dbcoltype(db, column), data, dbdatlen(db, column), SYBCHAR, (BYTE *)text, sizeof text - 1);
        while (options.trim && size > 0 && text[size - 1] == ' ')
                size--;
        printf("%.*s", size < 0 ? 0 : (int)size, text);
}

static void print_header(DBPROCESS *db)
{
        for (int column = 1; column <= dbnumcols(db); column++)
                printf("%s%s", column > 1 ? options.separator : "", dbcolname(db, column));
        putchar('\n');
        for (int column = 1; column <= dbnumcols(db); column++)
                printf("%s%s", column > 1 ? options.separator : "", "---");
        putchar('\n');
}

static void print_results(DBPROCESS *db)
{
        if (dbnumcols(db) > 0 && !options.bare)
                print_header(db);
        while (dbnextrow(db) == REG_ROW) {
                for (int column = 1; column <= dbnumcols(db); column++) {
                        if (column > 1)
                                fputs(options.separator, stdout);
                        print_value(db, column);
                }
                putchar('\n');
        }
        if (dbnumcols(db) > 0 && !options.bare && DBCOUNT(db) >= 0)
                printf("\n(%d rows affected)\n", (int)DBCOUNT(db));
        fflush(stdout);
}

static DBPROCESS *log_in(void)
{
        LOGINREC *login = dblogin();
        char *comma = strchr(options.server, ',');
        DBPROCESS *db;

        /* FreeTDS has a colon there. */
        if (comma)
                *comma = ':';
        DBSETLUSER(login, options.user);
        DBSETLPWD(login, options.password);
        DBSETLAPP(login, "sqlcmd");
        DBSETLCHARSET(login, "UTF-8");
        DBSETLVERSION(login, DBVERSION_74);
        if (options.database)
                DBSETLDBNAME(login, options.database);
        dbsetlogintime(options.login_timeout);
        db = dbopen(login, options.server);
        dbloginfree(login);
        return db;
}

static void read_options(int argc, char **argv)
{
        int letter;

        while ((letter = getopt(argc, argv, "S:U:P:Q:d:bh:Ws:l:")) != -1) {
                switch (letter) {
                case 'S':
                        options.server = optarg;
                        break;
                case 'U':
                        options.user = optarg;
                        break;
                case 'P':
                        options.password = optarg;
                        break;
                case 'Q':
                        options.batch = optarg;
                        break;
                case 'd':
                        options.database = optarg;
                        break;
                case 'b':
                        options.fail = true;
                        break;
                case 'h':
                        options.bare = atoi(optarg) < 0;
                        break;
                case 'W':
                        options.trim = true;
                        break;
                case 's':
                        options.separator = optarg;
                        break;
                case 'l':
                        options.login_timeout = atoi(optarg);
                        break;
                default:
                        exit(2);
                }
        }
}

int main(int argc, char **argv)
{
        struct sigaction action = { .sa_handler = interrupt };
        DBPROCESS *db;

        options.password = getenv("SQLCMDPASSWORD");
        read_options(argc, argv);
        if (!options.server || !options.user || !options.password || !options.batch || dbinit() == FAIL) {
                fputs("usage: sqlcmd -S HOST[,PORT] -U USER -P PASSWORD -Q BATCH\n", stderr);
                return 2;
        }
        sigaction(SIGINT, &action, NULL);
        dbmsghandle(on_message);
        dberrhandle(on_error);
        db = log_in();
        if (!db)
                return options.fail && has_error ? 1 : 2;
        dbsetinterrupt(db, on_check, on_interrupt);
        /* That the first statement failed says nothing of those behind it. */
        if (dbcmd(db, options.batch) == SUCCEED && (dbsqlexec(db) == SUCCEED || has_error))
                while (!is_broken && !dbdead(db) && dbresults(db) != NO_MORE_RESULTS)
                        print_results(db);
        is_broken = is_broken || dbdead(db);
        dbexit();
        return is_broken ? 2 : options.fail && has_error ? 1 : 0;
}
