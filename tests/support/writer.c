/*
 * writer.c - commits to a database without a pause, keeping an invariant that a torn image would break
 *
 *     writer DB init [JOURNAL-MODE [FILLER-MB]]    makes the database
 *     writer DB MODE [COMMITS]                     writes until SIGTERM, or that many commits
 *
 * MODE is wal-passive, wal-restart, wal-truncate (which checkpoint is run every now and then) or rollback. Each commit
 * moves an amount between the tables `left_side` and `right_side`, appends to `history`, and counts itself in
 * `counter`; at any commit the two sums add up to what `init` gave out, and `history` has as many rows as `counter`
 * says. Prints "running" after the first commit, and in the end "commits N errors N longest_wait_ms N". Exits 1 if
 * there were errors.
 */
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
        ACCOUNTS = 200,
        AMOUNT = 1000,
        BUSY_NAP_US = 1000,
        BUSY_LIMIT_MS = 120000,
        CHECKPOINT_LIMIT_MS = 20, /* a checkpoint that meets a reader is not worth a wait */
        COMMITS_PER_CHECKPOINT = 40,
        FILLER_ROW = 100000,
};

static volatile sig_atomic_t stop;

static void on_term(int signal_number)
{
        (void)signal_number;
        stop = 1;
}

static long long now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static long long busy_since_ms;
static long long busy_limit_ms = BUSY_LIMIT_MS;

/* Asks again every millisecond, so that waits are measured to that grain. */
static int on_busy(void *context, int count)
{
        struct timespec nap = { .tv_nsec = BUSY_NAP_US * 1000L };

        (void)context;
        if (count == 0)
                busy_since_ms = now_ms();
        if (now_ms() - busy_since_ms > busy_limit_ms)
                return 0;
        nanosleep(&nap, NULL);
        return 1;
}

static int run(sqlite3 *db, const char *sql)
{
        return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int init(sqlite3 *db, const char *journal_mode, int filler_mb)
{
        char sql[1024];
        int rc;

        snprintf(sql, sizeof sql,
                 "pragma journal_mode=%s; pragma synchronous=off; begin;"
                 "create table left_side(id integer primary key, amount integer);"
                 "create table filler(data blob);"
                 "create table right_side(id integer primary key, amount integer);"
                 "create table history(n integer primary key, words text);"
                 "create table counter(n integer); insert into counter values(0);"
                 "with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < %d)"
                 " insert into left_side select i, %d from n;"
                 "insert into right_side select id, amount from left_side;",
                 journal_mode, ACCOUNTS, AMOUNT);
        rc = run(db, sql);
        snprintf(sql, sizeof sql, "insert into filler values(randomblob(%d))", FILLER_ROW);
        for (int i = 0; rc == SQLITE_OK && i < filler_mb * 10; i++)
                rc = run(db, sql);
        if (rc == SQLITE_OK)
                rc = run(db, "commit");
        if (rc != SQLITE_OK)
                fprintf(stderr, "writer: %s\n", sqlite3_errmsg(db));
        return rc == SQLITE_OK ? 0 : 1;
}

static int commit_one(sqlite3 *db)
{
        char sql[512];
        int from = rand() % ACCOUNTS;
        int to = rand() % ACCOUNTS;
        int amount = rand() % 10;
        int rc;

        snprintf(sql, sizeof sql,
                 "begin immediate;"
                 "update left_side set amount = amount - %d where id = %d;"
                 "update right_side set amount = amount + %d where id = %d;"
                 "insert into history values(null, 'moved %d from %d to %d');"
                 "update counter set n = n + 1",
                 amount, from, amount, to, amount, from, to);
        rc = run(db, sql);
        if (rc == SQLITE_OK)
                rc = run(db, "commit");
        if (rc != SQLITE_OK) {
                fprintf(stderr, "writer: %s\n", sqlite3_errmsg(db));
                run(db, "rollback");
        }
        return rc;
}

static int checkpoint_mode(const char *mode)
{
        if (strcmp(mode, "wal-restart") == 0)
                return SQLITE_CHECKPOINT_RESTART;
        if (strcmp(mode, "wal-truncate") == 0)
                return SQLITE_CHECKPOINT_TRUNCATE;
        return SQLITE_CHECKPOINT_PASSIVE;
}

static int write_on(sqlite3 *db, const char *mode, long limit)
{
        int wal = strncmp(mode, "wal", 3) == 0;
        long long longest = 0;
        long commits = 0;
        long errors = 0;

        run(db, "pragma synchronous=off; pragma wal_autocheckpoint=0");
        while (!stop && (limit == 0 || commits < limit)) {
                long long start = now_ms();
                int rc = commit_one(db);
                long long took = now_ms() - start;

                longest = took > longest ? took : longest;
                if (rc == SQLITE_OK && ++commits == 1) {
                        puts("running");
                        fflush(stdout);
                }
                errors += rc != SQLITE_OK;
                if (wal && commits % COMMITS_PER_CHECKPOINT == 0) {
                        busy_limit_ms = CHECKPOINT_LIMIT_MS;
                        rc = sqlite3_wal_checkpoint_v2(db, NULL, checkpoint_mode(mode), NULL, NULL);
                        busy_limit_ms = BUSY_LIMIT_MS;
                        errors += rc != SQLITE_OK && rc != SQLITE_BUSY;
                }
        }
        printf("commits %ld errors %ld longest_wait_ms %lld\n", commits, errors, longest);
        return errors ? 1 : 0;
}

int main(int argc, char **argv)
{
        struct sigaction action = { .sa_handler = on_term };
        sqlite3 *db;
        int rc;

        if (argc < 3 || sqlite3_open(argv[1], &db) != SQLITE_OK)
                return 2;
        sqlite3_busy_handler(db, on_busy, NULL);
        sigaction(SIGTERM, &action, NULL);
        if (strcmp(argv[2], "init") == 0)
                rc = init(db, argc > 3 ? argv[3] : "wal", argc > 4 ? atoi(argv[4]) : 0);
        else
                rc = write_on(db, argv[2], argc > 3 ? atol(argv[3]) : 0);
        sqlite3_close(db);
        return rc;
}
