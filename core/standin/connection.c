#include "core/standin/connection.h"

#include <string.h>
#include <strings.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/standin/answer.h"

/* ---- requests ---- */

static void session_reset(struct standin_session *session)
{
        const char *database = tds_session_login(session->tds)->database;

        standin_set_database(&session->standin->state, &session->activity, database[0] ? database : "master");
        session->no_count = false;
        session->quoted_identifiers = true;
        session->transactions = 0;
}

static int session_serve_request(struct standin_session *session, const struct tds_request *request)
{
        if (request->reset)
                session_reset(session);
        switch (request->kind) {
        case TDS_REQUEST_BATCH:
                return standin_answer(session, request);
        case TDS_REQUEST_RPC:
                standin_tell(session, 1, MESSAGE_PROCEDURE, request->text);
                return tds_send_done(session->tds, &(struct tds_done){ .error = true });
        case TDS_REQUEST_CANCEL:
                return 0;
        default:
                return -1;
        }
}

static void session_serve(struct standin_session *session)
{
        struct error err = ERROR_INIT;
        int rc;

        do {
                struct tds_request request = { 0 };

                rc = tds_next(session->tds, &request, &err);
                if (rc == 0)
                        rc = session_serve_request(session, &request);
                tds_request_deinit(&request);
        } while (rc == 0);
        standin_log(session, error_is_set(&err) ? "closed: %s" : "closed%s", err.message);
}

/* ---- login ---- */

/* Takes as long whatever the difference is. */
static bool password_fits(const char *a, const char *b)
{
        size_t length = strlen(a);
        unsigned difference = (unsigned)(length != strlen(b));

        for (size_t i = 0; i < length; i++)
                difference |= (unsigned char)a[i] ^ (unsigned char)b[difference & 1 ? 0 : i];
        return difference == 0;
}

static int authenticate(const struct tds_login *login, struct server_message *refusal, void *session_at)
{
        struct standin_session *session = session_at;
        struct standin *standin = session->standin;
        const struct standin_options *options = standin->options;
        enum server_message_id id = MESSAGE_COUNT;
        char max[16];

        snprintf(max, sizeof max, "%u", options->connections_max);
        if (atomic_load(&standin->session_count) > options->connections_max)
                id = MESSAGE_CONNECTIONS;
        else if (!login->user[0])
                id = MESSAGE_LOGIN_UNTRUSTED;
        else if (strcasecmp(login->user, options->user) != 0 || !password_fits(login->password, options->password) ||
                 options->plans[STANDIN_WRONG_PASSWORD].wanted)
                id = MESSAGE_LOGIN;
        else if (login->database[0] && !standin_system_database(login->database) &&
                 !standin_find_database(&standin->state, login->database, NULL, NULL, NULL))
                id = MESSAGE_LOGIN_DATABASE;
        if (id == MESSAGE_COUNT)
                return 0;
        server_message_make(refusal, id,
                            id == MESSAGE_CONNECTIONS      ? max
                            : id == MESSAGE_LOGIN_DATABASE ? login->database
                                                           : login->user);
        return -1;
}

static void session_settle_in(struct standin_session *session)
{
        const struct tds_login *login = tds_session_login(session->tds);
        struct standin_activity *activity = &session->activity;
        struct standin_state *state = &session->standin->state;

        pthread_mutex_lock(&state->lock);
        activity->user = strdup(login->user);
        activity->host = strdup(login->host);
        activity->application = strdup(login->application);
        standin_now(activity->login_time);
        pthread_mutex_unlock(&state->lock);
        session_reset(session);
        standin_log(session, "%s logged in from %s (%s)", login->user, login->host, login->application);
}

/* The standin may be stopping already, and then has missed this one. */
static bool session_adopt(struct standin_session *session, struct tds_session *tds)
{
        bool stopping;

        pthread_mutex_lock(&session->standin->lock);
        session->tds = tds;
        stopping = session->standin->stopping;
        pthread_mutex_unlock(&session->standin->lock);
        return !stopping;
}

void *standin_connection_main(void *session_at)
{
        static const uint64_t one = 1;
        struct standin_session *session = session_at;
        struct standin *standin = session->standin;
        struct tds_server server = standin->tds;
        struct tds_session *tds = NULL;
        struct error err = ERROR_INIT;

        server.authenticate = authenticate;
        server.context = session;
        server.session_id = (uint16_t)session->activity.session_id;
        if (tds_accept(take_fd(&session->fd), &server, &tds, &err) < 0)
                standin_log(session, "%s", err.message);
        else if (session_adopt(session, tds)) {
                session_settle_in(session);
                session_serve(session);
        }
        session_adopt(session, NULL);
        tds_free(tds);
        pthread_mutex_lock(&standin->lock);
        session->finished = true;
        pthread_mutex_unlock(&standin->lock);
        /* Can only fail when the counter is full, and then somebody has been woken. */
        (void)!write(standin->wake_fd, &one, sizeof one);
        return NULL;
}
