#include "cli/databases/statement_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "cli/message.h"
#include "core/base/cleanup.h"
#include "core/base/deadline.h"

enum {
        LOOK_MS = 500,       /* between two looks at what moved here */
        SILENCE_MS = 4000,   /* after which the server is asked */
        ASK_EVERY_MS = 4000, /* and then again */
        ASK_LOGIN_MS = 5000, /* for the second connection */
        CLOSE_MS = 10000,    /* from the statement's success to the end of the devices */
};

struct statement_watch {
        struct member *member;    /* borrowed */
        struct mssql_login login; /* the password is borrowed */
        int session;
        pthread_t thread;
        _Atomic uint64_t signs;
        _Atomic int64_t ended_ns; /* when the statement succeeded; 0: it has not */

        struct mssql *connection; /* the second one, the watching thread's own; NULL: none yet */
        bool hopeless;            /* it could not be had */

        int stop_fd; /* readable once it is to stop */
        atomic_bool stopping;
        pthread_mutex_t lock; /* of the words */
        char words[MEMBER_WORDS_MAX];
};

/* What the watching thread remembers. */
struct silence {
        uint64_t bytes;
        uint64_t signs;
        double percent;
        int64_t since_ns;
        int64_t asked_ns;
};

static void watch_set_words(struct statement_watch *watch, const char *words)
{
        bool new_words;

        pthread_mutex_lock(&watch->lock);
        new_words = strcmp(watch->words, words) != 0;
        snprintf(watch->words, sizeof watch->words, "%s", words);
        pthread_mutex_unlock(&watch->lock);
        if (!new_words)
                return;
        progress_set_note(&watch->member->progress, words);
        if (*words)
                message_verbose("the server is silent; %s", words);
}

static void watch_describe(const struct statement_watch *watch, const struct mssql_activity *activity,
                           char words[MEMBER_WORDS_MAX])
{
        char blocked[64] = "";

        if (!activity->found) {
                snprintf(words, MEMBER_WORDS_MAX, "session %d has no request that this login may see", watch->session);
                return;
        }
        if (activity->blocked_by)
                snprintf(blocked, sizeof blocked, ", blocked by session %d", activity->blocked_by);
        snprintf(words, MEMBER_WORDS_MAX, "session %d is %s in %s%s%s%s", watch->session, activity->status,
                 activity->command, activity->wait_type[0] ? ", waiting for " : "", activity->wait_type, blocked);
}

static struct mssql *watch_connect(struct statement_watch *watch)
{
        struct error err = ERROR_INIT;

        if (watch->connection || watch->hopeless)
                return watch->connection;
        watch->hopeless = mssql_open(&watch->login, /* events= */ NULL, &watch->connection, &err) < 0;
        if (watch->hopeless)
                message_verbose("what the silent server does cannot be asked: %s", err.message);
        return watch->hopeless ? NULL : watch->connection;
}

static void watch_ask(struct statement_watch *watch, struct silence *silence)
{
        struct mssql *connection = watch_connect(watch);
        struct mssql_activity activity;
        char words[MEMBER_WORDS_MAX];
        struct error err = ERROR_INIT;

        if (!connection)
                return;
        if (mssql_activity(connection, watch->session, &activity, &err) < 0) {
                message_verbose("what the silent server does cannot be asked: %s", err.message);
                watch->hopeless = true;
                watch->connection = NULL;
                mssql_close(connection);
                return;
        }
        watch_describe(watch, &activity, words);
        watch_set_words(watch, words);
        if (activity.found && activity.percent > silence->percent) {
                silence->percent = activity.percent;
                silence->since_ns = monotonic_ns();
        }
}

static void watch_give_up(struct statement_watch *watch)
{
        struct error reason = ERROR_INIT;
        char words[MEMBER_WORDS_MAX];

        statement_watch_words(watch, words);
        error_raise(&reason, ERR_TIMEOUT, "nothing was heard of the server for %g s (--server-timeout)%s%s",
                    (double)watch->member->args->server_timeout_ms / 1000, words[0] ? "; " : "", words);
        supervisor_cancel(watch->member->supervisor, &reason);
}

static void watch_look_for_end(struct statement_watch *watch)
{
        struct error reason = ERROR_INIT;
        int64_t ended_ns = atomic_load(&watch->ended_ns);

        if (!ended_ns || monotonic_ns() - ended_ns < (int64_t)CLOSE_MS * 1000000)
                return;
        error_raise(&reason, ERR_PROTOCOL, "the server said success without having closed the devices");
        supervisor_cancel(watch->member->supervisor, &reason);
}

static void watch_look(struct statement_watch *watch, struct silence *silence)
{
        uint64_t bytes = atomic_load(&watch->member->progress.done);
        uint64_t signs = atomic_load(&watch->signs);
        int64_t now = monotonic_ns();

        if (bytes != silence->bytes || signs != silence->signs || supervisor_is_busy(watch->member->supervisor)) {
                silence->bytes = bytes;
                silence->signs = signs;
                silence->since_ns = now;
                watch_set_words(watch, "");
                return;
        }
        if (now - silence->since_ns >= (int64_t)SILENCE_MS * 1000000 &&
            now - silence->asked_ns >= (int64_t)ASK_EVERY_MS * 1000000) {
                watch_ask(watch, silence);
                silence->asked_ns = monotonic_ns();
        }
        if (watch->member->args->server_timeout_ms &&
            monotonic_ns() - silence->since_ns >= watch->member->args->server_timeout_ms * 1000000) {
                /* An answer that is not the newest is better than none. */
                if (silence->asked_ns < silence->since_ns)
                        watch_ask(watch, silence);
                watch_give_up(watch);
        }
}

static void *watch_main(void *context)
{
        struct statement_watch *watch = context;
        struct pollfd stop = { .fd = watch->stop_fd, .events = POLLIN };
        struct silence silence = { .since_ns = monotonic_ns() };

        while (poll(&stop, 1, LOOK_MS) <= 0) {
                watch_look_for_end(watch);
                watch_look(watch, &silence);
        }
        return NULL;
}

static void watch_free(struct statement_watch *watch)
{
        mssql_close(watch->connection);
        fd_closep(&watch->stop_fd);
        pthread_mutex_destroy(&watch->lock);
        free(watch);
}

int statement_watch_start(const struct mssql_login *login, int session, struct member *member,
                          struct statement_watch **ret_watch, struct error *err)
{
        struct statement_watch *watch = calloc(1, sizeof *watch);
        int rc;

        if (!watch)
                return error_no_memory(err);
        watch->login = *login;
        if (watch->login.timeout_ms > ASK_LOGIN_MS)
                watch->login.timeout_ms = ASK_LOGIN_MS;
        watch->login.end = &watch->stopping;
        watch->session = session;
        watch->member = member;
        pthread_mutex_init(&watch->lock, NULL);
        watch->stop_fd = eventfd(0, EFD_CLOEXEC);
        rc = watch->stop_fd < 0 ? errno : pthread_create(&watch->thread, NULL, watch_main, watch);
        if (rc) {
                watch_free(watch);
                return error_raise_errno(err, rc, "starting the thread that watches the session");
        }
        *ret_watch = watch;
        return 0;
}

void statement_watch_stop(struct statement_watch *watch)
{
        if (!watch)
                return;
        atomic_store(&watch->stopping, true);
        eventfd_write(watch->stop_fd, 1);
        pthread_join(watch->thread, NULL);
        progress_set_note(&watch->member->progress, "");
        watch_free(watch);
}

void statement_watch_ended(struct statement_watch *watch)
{
        atomic_store(&watch->ended_ns, monotonic_ns());
}

void statement_watch_note(struct statement_watch *watch)
{
        atomic_fetch_add(&watch->signs, 1);
}

void statement_watch_words(struct statement_watch *watch, char words[MEMBER_WORDS_MAX])
{
        words[0] = '\0';
        if (!watch)
                return;
        pthread_mutex_lock(&watch->lock);
        memcpy(words, watch->words, MEMBER_WORDS_MAX);
        pthread_mutex_unlock(&watch->lock);
}
