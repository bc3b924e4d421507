#include "core/tds/session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/cleanup.h"
#include "core/tds/login.h"
#include "core/tds/request.h"
#include "core/tds/token.h"

enum { LOGIN_FAILED = 18456, LOGIN_UNTRUSTED = 18452 };

void tds_shutdown(struct tds_session *session)
{
        tds_connection_shutdown(&session->connection);
}

void tds_break(struct tds_session *session)
{
        tds_shutdown(session);
        shutdown(session->connection.fd, SHUT_RDWR);
}

void tds_free(struct tds_session *session)
{
        if (!session)
                return;
        session->rest.left = 0;
        tds_forget_request(session);
        tds_forget_prepared(session);
        tds_login_deinit(&session->login);
        tds_connection_deinit(&session->connection);
        free(session->database);
        free(session->name);
        free(session);
}

static void session_freep(struct tds_session **session)
{
        tds_free(*session);
}

const struct tds_login *tds_session_login(const struct tds_session *session)
{
        return &session->login;
}

static struct tds_session *session_allocate(int fd, const struct tds_server *server)
{
        CLEANUP(session_freep) struct tds_session *session = calloc(1, sizeof *session);

        if (!session) {
                close(fd);
                return NULL;
        }
        if (tds_connection_init(&session->connection, fd, server->session_id,
                                deadline_after_ms(server->login_timeout_ms)) < 0)
                return NULL;
        session->name = strdup(server->name);
        session->database = strdup("");
        return session->name && session->database ? take_ptr(&session) : NULL;
}

/* The next message of a login; NULL when none comes. */
static struct tds_message *login_receive(struct tds_connection *connection, struct error *err)
{
        switch (tds_input_await(connection, err)) {
        case TDS_INPUT_MESSAGE:
                return tds_input_take(connection);
        case TDS_INPUT_PASSED:
                error_raise(err, ERR_TIMEOUT, "TDS client connected, but did not log in in time");
                break;
        case TDS_INPUT_ENDED:
                error_raise(err, ERR_ABORTED, "a login was cut off, as the server stops");
                break;
        case TDS_INPUT_FAILED:
                break;
        default:
                error_raise(err, ERR_PEER_DIED, "TDS client hung up before it had logged in");
                break;
        }
        return NULL;
}

static void login_message_freep(struct tds_message **message)
{
        tds_message_free(*message);
}

/* Pre-login, which a client may leave out, and the login. */
static int login_receive_wishes(struct tds_session *session, const struct tds_server *server,
                                struct tds_login_wishes *wishes, struct error *err)
{
        struct tds_connection *connection = &session->connection;
        CLEANUP(login_message_freep) struct tds_message *message = login_receive(connection, err);

        if (message && message->type == TDS_PACKET_PRELOGIN) {
                if (tds_prelogin_answer(connection, server->version, message, &wishes->encryption, err) < 0)
                        return -1;
                tds_message_free(message);
                message = login_receive(connection, err);
        }
        if (!message)
                return -1;
        if (message->type != TDS_PACKET_LOGIN7)
                return error_raise(err, ERR_PROTOCOL,
                                   "TDS client insists on encryption, which is not offered here: let it connect with "
                                   "encryption off");
        return tds_login_parse(message, &session->login, wishes, err);
}

/* A version that we answer with: the client's, but at most 7.4. */
static uint32_t login_agreed_version(uint32_t wanted)
{
        return wanted > TDS_VERSION_7_4 ? TDS_VERSION_7_4 | 4 : wanted;
}

/* What of a login cannot be served, whoever asks; NULL when all can. */
static const char *login_unserved(const struct tds_login_wishes *wishes)
{
        if (wishes->version < TDS_VERSION_7_1)
                return "The client speaks TDS before 7.1; set its TDS version to 7.4.";
        /* Told that there is no encryption, it logs in nevertheless: its user would not know. */
        if (wishes->encryption)
                return "Encryption is not offered here; connect with encryption off.";
        if (wishes->foreign_numbers)
                return "The client wants numbers in another form than little-endian and IEEE.";
        if (wishes->integrated)
                return "Integrated authentication is not offered here; give a user and a password.";
        return NULL;
}

static int login_judge(const struct tds_login *login, const struct tds_server *server,
                       const struct tds_login_wishes *wishes, struct server_message *refusal)
{
        const char *why = login_unserved(wishes);

        *refusal = (struct server_message){
                .number = wishes->integrated ? LOGIN_UNTRUSTED : LOGIN_FAILED,
                .severity = 14,
                .state = 1,
                .class = ERR_USAGE,
                .line = 1,
        };
        if (why) {
                snprintf(refusal->text, sizeof refusal->text, "Login failed. %s", why);
                return -1;
        }
        snprintf(refusal->text, sizeof refusal->text, "Login failed for user '%.200s'.", login->user);
        return server->authenticate(login, refusal, server->context);
}

static int login_refuse(struct tds_session *session, const struct server_message *refusal, struct error *err)
{
        tds_send_message(session, refusal);
        tds_send_done(session, &(struct tds_done){ .error = true });
        tds_connection_linger(&session->connection);
        return error_raise(err, ERR_SKIPPED, "login refused with message %d: %s", refusal->number, refusal->text);
}

static size_t login_agreed_packet_size(uint32_t wanted)
{
        if (wanted == 0)
                return TDS_PACKET_DEFAULT;
        return wanted < TDS_PACKET_MIN ? TDS_PACKET_MIN : wanted > TDS_PACKET_MAX ? TDS_PACKET_MAX : wanted;
}

int tds_accept(int fd, const struct tds_server *server, struct tds_session **ret_session, struct error *err)
{
        CLEANUP(session_freep) struct tds_session *session = session_allocate(fd, server);
        struct tds_login_wishes wishes = { .version = 0 };
        struct server_message refusal;
        int verdict;

        *ret_session = NULL;
        if (!session)
                return error_raise_errno(err, errno, "cannot serve a TDS client");
        if (login_receive_wishes(session, server, &wishes, err) < 0)
                return -1;
        session->connection.version = login_agreed_version(wishes.version);
        verdict = login_judge(&session->login, server, &wishes, &refusal);
        explicit_bzero(session->login.password, strlen(session->login.password));
        freep(&session->login.password);
        if (verdict < 0)
                return login_refuse(session, &refusal, err);
        tds_send_login_answer(session, server, login_agreed_packet_size(wishes.packet_size));
        if (tds_output_result(&session->connection) < 0)
                return error_raise(err, ERR_PEER_DIED, "TDS client hung up while its login was answered");
        tds_connection_open(&session->connection);
        *ret_session = take_ptr(&session);
        return 0;
}

enum tds_event tds_watch(struct tds_session *session, int done_fd)
{
        struct tds_connection *connection = &session->connection;

        for (;;) {
                bool has_room = tds_input_has_room(connection);
                struct error err = ERROR_INIT;

                /* Without room only the end of the connection is looked for. */
                switch (tds_wait(connection, has_room ? POLLIN : POLLRDHUP, done_fd)) {
                case TDS_WAIT_OTHER:
                        return TDS_EVENT_DONE;
                case TDS_WAIT_ENDED:
                case TDS_WAIT_PASSED:
                        return TDS_EVENT_CLOSED;
                case TDS_WAIT_READY:
                        break;
                }
                switch (has_room ? tds_input_step(connection, &err) : TDS_INPUT_CLOSED) {
                case TDS_INPUT_NOTHING:
                case TDS_INPUT_MESSAGE:
                        break;
                case TDS_INPUT_ATTENTION:
                        if (!atomic_exchange(&session->unacked, true))
                                return TDS_EVENT_ATTENTION;
                        break;
                default:
                        tds_connection_shutdown(connection);
                        return TDS_EVENT_CLOSED;
                }
        }
}
