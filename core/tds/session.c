#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "core/tds/internal.h"

enum {
        LOGIN_FAILED = 18456,
        LOGIN_UNTRUSTED = 18452,
        LINGER_MS = 1000, /* until the refused client has read why */
};

void tds_shutdown(struct tds_session *session)
{
        static const uint64_t one = 1;

        atomic_store(&session->ended, true);
        /* Can only fail when the counter is full, and then it is readable already. */
        (void)!write(session->wake_fd, &one, sizeof one);
}

void tds_break(struct tds_session *session)
{
        tds_shutdown(session);
        shutdown(session->fd, SHUT_RDWR);
}

void tds_free(struct tds_session *session)
{
        if (!session)
                return;
        session->rest.left = 0;
        tds_forget_request(session);
        tds_input_drop(session);
        for (size_t i = 0; i < TDS_PREPARED_MAX; i++) {
                free(session->prepared[i].text);
                free(session->prepared[i].declarations);
        }
        tds_login_deinit(&session->login);
        fd_closep(&session->fd);
        fd_closep(&session->wake_fd);
        free(session->database);
        free(session->name);
        free(session);
}

static void freep_session(struct tds_session **session)
{
        tds_free(*session);
}

const struct tds_login *tds_session_login(const struct tds_session *session)
{
        return &session->login;
}

static struct tds_session *session_new(int fd, const struct tds_server *server)
{
        struct tds_session *session = calloc(1, sizeof *session);
        int on = 1;

        if (!session) {
                close(fd);
                return NULL;
        }
        session->fd = fd;
        session->id = server->session_id;
        session->input.limit = TDS_LOGIN_MESSAGE_MAX;
        session->output.packet_size = TDS_PACKET_DEFAULT;
        session->output.size = TDS_HEADER;
        session->deadline = deadline_after_ms(server->login_timeout_ms);
        session->name = strdup(server->name);
        session->database = strdup("");
        session->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (!session->name || !session->database || session->wake_fd < 0) {
                tds_free(session);
                return NULL;
        }
        /* Not every connection is TCP. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return session;
}

/* The next message of a login; NULL when none comes. */
static struct tds_message *receive_login(struct tds_session *session, struct error *err)
{
        for (;;) {
                switch (tds_input_step(session, err)) {
                case TDS_INPUT_MESSAGE:
                        return tds_input_take(session);
                case TDS_INPUT_NOTHING:
                        break;
                case TDS_INPUT_FAILED:
                        return NULL;
                case TDS_INPUT_ATTENTION:
                case TDS_INPUT_CLOSED:
                        error_raise(err, ERR_PEER_DIED, "TDS client hung up before it had logged in");
                        return NULL;
                }
                switch (tds_wait(session, POLLIN, -1)) {
                case TDS_WAIT_PASSED:
                        error_raise(err, ERR_TIMEOUT, "TDS client connected, but did not log in in time");
                        return NULL;
                case TDS_WAIT_ENDED:
                        error_raise(err, ERR_ABORTED, "a login was cut off, as the server stops");
                        return NULL;
                case TDS_WAIT_READY:
                case TDS_WAIT_OTHER:
                        break;
                }
        }
}

static void freep_message(struct tds_message **message)
{
        tds_message_free(*message);
}

/* Pre-login, which a client may leave out, and the login. */
static int receive_wishes(struct tds_session *session, const struct tds_server *server,
                          struct tds_login_wishes *ret_wishes, struct error *err)
{
        CLEANUP(freep_message) struct tds_message *first = receive_login(session, err);
        CLEANUP(freep_message) struct tds_message *second = NULL;

        if (!first)
                return -1;
        if (first->type == TDS_PACKET_LOGIN7)
                return tds_login_parse(first, &session->login, ret_wishes, err);
        if (tds_prelogin_answer(session, server, first, err) < 0)
                return -1;
        second = receive_login(session, err);
        if (!second)
                return -1;
        if (second->type != TDS_PACKET_LOGIN7)
                return error_raise(err, ERR_PROTOCOL,
                                   "TDS client insists on encryption, which is not offered here: let it connect with "
                                   "encryption off");
        return tds_login_parse(second, &session->login, ret_wishes, err);
}

/* A version that we answer with: the client's, but at most 7.4. */
static uint32_t agreed_version(uint32_t wanted)
{
        return wanted > TDS_VERSION_7_4 ? TDS_VERSION_7_4 | 4 : wanted;
}

/* What of a login cannot be served, whoever asks; NULL when all can. */
static const char *unserved(const struct tds_session *session, const struct tds_login_wishes *wishes)
{
        if (wishes->version < TDS_VERSION_7_1)
                return "The client speaks TDS before 7.1; set its TDS version to 7.4.";
        /* Told that there is no encryption, it logs in nevertheless: its user would not know. */
        if (session->wants_encryption)
                return "Encryption is not offered here; connect with encryption off.";
        if (wishes->foreign_numbers)
                return "The client wants numbers in another form than little-endian and IEEE.";
        if (wishes->integrated)
                return "Integrated authentication is not offered here; give a user and a password.";
        return NULL;
}

static int judge(const struct tds_session *session, const struct tds_server *server,
                 const struct tds_login_wishes *wishes, struct server_message *refusal)
{
        const char *why = unserved(session, wishes);

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
        snprintf(refusal->text, sizeof refusal->text, "Login failed for user '%.200s'.", session->login.user);
        return server->authenticate(&session->login, refusal, server->context);
}

/* Lets the client read what was sent last: closing with bytes of it unread would take that away from it. */
static void linger(struct tds_session *session)
{
        session->deadline = deadline_earlier(session->deadline, deadline_after_ms(LINGER_MS));
        shutdown(session->fd, SHUT_WR);
        while (!deadline_passed(session->deadline)) {
                ssize_t n = recv(session->fd, session->input.packet, sizeof session->input.packet, MSG_DONTWAIT);

                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
                        return;
                if (n < 0 && tds_wait(session, POLLIN, -1) != TDS_WAIT_READY)
                        return;
        }
}

static int refuse_login(struct tds_session *session, const struct server_message *refusal, struct error *err)
{
        tds_send_message(session, refusal);
        tds_send_done(session, &(struct tds_done){ .error = true });
        linger(session);
        return error_raise(err, ERR_SKIPPED, "login refused with message %d: %s", refusal->number, refusal->text);
}

static size_t agreed_packet_size(uint32_t wanted)
{
        if (wanted == 0)
                return TDS_PACKET_DEFAULT;
        return wanted < TDS_PACKET_MIN ? TDS_PACKET_MIN : wanted > TDS_PACKET_MAX ? TDS_PACKET_MAX : wanted;
}

int tds_accept(int fd, const struct tds_server *server, struct tds_session **ret_session, struct error *err)
{
        CLEANUP(freep_session) struct tds_session *session = session_new(fd, server);
        struct tds_login_wishes wishes = { .version = 0 };
        struct server_message refusal;
        int verdict;

        *ret_session = NULL;
        if (!session)
                return error_raise_errno(err, errno, "cannot serve a TDS client");
        if (receive_wishes(session, server, &wishes, err) < 0)
                return -1;
        session->version = agreed_version(wishes.version);
        verdict = judge(session, server, &wishes, &refusal);
        explicit_bzero(session->login.password, strlen(session->login.password));
        freep(&session->login.password);
        if (verdict < 0)
                return refuse_login(session, &refusal, err);
        tds_send_login_answer(session, server, agreed_packet_size(wishes.packet_size));
        if (tds_output_result(session) < 0)
                return error_raise(err, ERR_PEER_DIED, "TDS client hung up while its login was answered");
        session->deadline = DEADLINE_NEVER;
        session->input.limit = TDS_REQUEST_MAX;
        *ret_session = take_ptr(&session);
        return 0;
}

enum tds_event tds_watch(struct tds_session *session, int done_fd)
{
        for (;;) {
                bool has_room = tds_input_has_room(session);
                struct error err = ERROR_INIT;

                /* Without room only the end of the connection is looked for. */
                switch (tds_wait(session, has_room ? POLLIN : POLLRDHUP, done_fd)) {
                case TDS_WAIT_OTHER:
                        return TDS_EVENT_DONE;
                case TDS_WAIT_ENDED:
                case TDS_WAIT_PASSED:
                        return TDS_EVENT_CLOSED;
                case TDS_WAIT_READY:
                        break;
                }
                switch (has_room ? tds_input_step(session, &err) : TDS_INPUT_CLOSED) {
                case TDS_INPUT_NOTHING:
                case TDS_INPUT_MESSAGE:
                        break;
                case TDS_INPUT_ATTENTION:
                        if (!atomic_exchange(&session->unacked, true))
                                return TDS_EVENT_ATTENTION;
                        break;
                case TDS_INPUT_CLOSED:
                case TDS_INPUT_FAILED:
                        tds_shutdown(session);
                        return TDS_EVENT_CLOSED;
                }
        }
}
