#include "core/standin/standin.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/address.h"
#include "core/base/cleanup.h"
#include "core/standin/connection.h"

enum {
        LOGIN_TIMEOUT_MS = 15000,
        BACKLOG = 64,
        RETRY_MS = 100,         /* between two tries of what memory or descriptors were too few for */
        SPARE_CONNECTIONS = 16, /* beyond the limit, to be told of it; more are closed unheard */
};

/* ---- making one ---- */

static int standin_add_databases(struct standin *standin, struct error *err)
{
        const struct standin_options *options = standin->options;

        for (size_t i = 0; i < options->database_count; i++) {
                const struct standin_database *database = &options->databases[i];

                if (!*database->name || strlen(database->name) > STANDIN_NAME_MAX)
                        return error_raise(err, ERR_USAGE, "'%s' is no name for a database: give it 1 to %d characters",
                                           database->name, STANDIN_NAME_MAX);
                if (standin_system_database(database->name))
                        return error_raise(err, ERR_USAGE, "the name '%s' is one of the server's own; choose another",
                                           database->name);
                if (standin_add_database(&standin->state, database->name, database->path) < 0)
                        return error_raise(err, ERR_USAGE, "too many databases, or out of memory; %d are possible",
                                           STANDIN_DATABASES_MAX);
        }
        return 0;
}

int standin_new(const struct standin_options *options, struct standin **ret_standin, struct error *err)
{
        struct standin *standin = calloc(1, sizeof *standin);

        *ret_standin = NULL;
        if (!standin)
                return error_no_memory(err);
        standin->options = options;
        standin->tds = (struct tds_server){
                .name = options->name,
                .program = "Microsoft SQL Server",
                .version = STANDIN_VERSION,
                .login_timeout_ms = LOGIN_TIMEOUT_MS,
        };
        standin_state_init(&standin->state);
        standin->state.full_recovery = options->script != NULL;
        pthread_mutex_init(&standin->lock, NULL);
        standin->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (standin->wake_fd < 0 || standin_add_databases(standin, err) < 0) {
                if (standin->wake_fd < 0)
                        error_raise_errno(err, errno, "cannot make the server");
                standin_free(standin);
                return -1;
        }
        *ret_standin = standin;
        return 0;
}

void standin_free(struct standin *standin)
{
        if (!standin)
                return;
        fd_closep(&standin->wake_fd);
        pthread_mutex_destroy(&standin->lock);
        standin_state_deinit(&standin->state);
        free(standin);
}

/* ---- the address ---- */

/* "host:port", "[host]:port", ":port", "port". `host` has room for all of the text. */
static void address_split(const char *text, char *host, const char **ret_port)
{
        const char *colon = strrchr(text, ':');

        *ret_port = colon ? colon + 1 : text;
        if (!colon || colon == text)
                memcpy(host, "127.0.0.1", sizeof "127.0.0.1");
        else if (text[0] == '[' && colon[-1] == ']')
                snprintf(host, (size_t)(colon - text - 1), "%s", text + 1);
        else
                snprintf(host, (size_t)(colon - text + 1), "%s", text);
}

/* getaddrinfo() takes what is too large, and cuts it. */
static bool address_is_port(const char *text)
{
        size_t digits = strspn(text, "0123456789");

        return digits > 0 && digits <= 5 && !text[digits] && strtoul(text, NULL, 10) <= UINT16_MAX;
}

static int address_resolve(const char *text, struct addrinfo **ret_found, struct error *err)
{
        const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
        CLEANUP(freep) char *host = malloc(strlen(text) + sizeof "127.0.0.1");
        const char *port;
        int result;

        if (!host)
                return error_no_memory(err);
        address_split(text, host, &port);
        result = address_is_port(port) ? getaddrinfo(address_spell_host(host), port, &hints, ret_found) : EAI_SERVICE;
        if (result)
                return error_raise(err, ERR_USAGE, "cannot listen on '%s': %s; such as 127.0.0.1:1433", text,
                                   gai_strerror(result));
        return 0;
}

static int socket_show_address(int fd, char **ret_shown, struct error *err)
{
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t size = sizeof address;
        char host[NI_MAXHOST];
        char port[NI_MAXSERV];
        bool is_v6;

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0 ||
            getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0)
                return error_raise_errno(err, errno, "cannot tell the address of a socket");
        is_v6 = address.ss_family == AF_INET6;
        if (asprintf(ret_shown, "%s%s%s:%s", is_v6 ? "[" : "", host, is_v6 ? "]" : "", port) >= 0)
                return 0;
        *ret_shown = NULL;
        return error_no_memory(err);
}

static int socket_listen(int fd, const struct addrinfo *found, const char *address, struct error *err)
{
        int on = 1;

        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
                return 0;
        error_raise_errno(err, errno, "cannot listen on %s", address);
        if (err && err->sys_errno == EADDRINUSE)
                err->code = ERR_BUSY;
        return -1;
}

int standin_listen(const char *address, bool allow_remote, int *ret_fd, char **ret_shown, struct error *err)
{
        CLEANUP(fd_closep) int fd = -1;
        struct addrinfo *found = NULL;
        int rc;

        *ret_shown = NULL;
        if (address_resolve(address, &found, err) < 0 || !found)
                return -1;
        if (!allow_remote && !address_is_loopback(found->ai_addr)) {
                freeaddrinfo(found);
                return error_raise(err, ERR_USAGE,
                                   "'%s' is reached from other machines, and nothing is encrypted; listen on "
                                   "127.0.0.1, or give --allow-remote",
                                   address);
        }
        fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        rc = fd < 0 ? error_raise_errno(err, errno, "cannot make a socket") : socket_listen(fd, found, address, err);
        freeaddrinfo(found);
        if (rc < 0 || socket_show_address(fd, ret_shown, err) < 0)
                return -1;
        *ret_fd = take_fd(&fd);
        return 0;
}

/* ---- connections ---- */

static void standin_session_free(struct standin_session *session)
{
        standin_unlist_activity(&session->standin->state, &session->activity);
        fd_closep(&session->fd);
        fd_closep(&session->stop_fd);
        pthread_cond_destroy(&session->changed);
        pthread_mutex_destroy(&session->lock);
        atomic_fetch_sub(&session->standin->session_count, 1);
        free(session);
}

/* Joins the threads that have ended; with `all`, all threads. */
static void standin_reap(struct standin *standin, bool all)
{
        struct standin_session **at = &standin->sessions;

        while (*at) {
                struct standin_session *session = *at;
                bool finished;

                pthread_mutex_lock(&standin->lock);
                finished = session->finished;
                if (finished || all)
                        *at = session->next;
                pthread_mutex_unlock(&standin->lock);
                if (!finished && !all) {
                        at = &session->next;
                        continue;
                }
                pthread_join(session->thread, NULL);
                standin_session_free(session);
        }
}

static struct standin_session *standin_session_new(struct standin *standin, int fd)
{
        struct standin_session *session = calloc(1, sizeof *session);

        if (!session) {
                close(fd);
                return NULL;
        }
        session->standin = standin;
        session->fd = fd;
        session->stop_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        pthread_mutex_init(&session->lock, NULL);
        pthread_cond_init(&session->changed, NULL);
        atomic_fetch_add(&standin->session_count, 1);
        standin_list_activity(&standin->state, &session->activity);
        return session;
}

/* False: there is no descriptor or memory for it, so that it stays where it is. */
static bool standin_take_connection(struct standin *standin, int listen_fd)
{
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
        struct standin_session *session;

        if (fd < 0)
                return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
        if (atomic_load(&standin->session_count) >= standin->options->connections_max + SPARE_CONNECTIONS) {
                close(fd);
                return true;
        }
        session = standin_session_new(standin, fd);
        if (!session)
                return true;
        if (session->stop_fd < 0 || pthread_create(&session->thread, NULL, standin_connection_main, session) != 0) {
                standin_session_free(session);
                return true;
        }
        session->next = standin->sessions;
        standin->sessions = session;
        return true;
}

static void standin_stop_sessions(struct standin *standin)
{
        pthread_mutex_lock(&standin->lock);
        standin->stopping = true;
        for (struct standin_session *session = standin->sessions; session; session = session->next) {
                standin_interrupt(session, STANDIN_END_CLOSED);
                if (session->tds)
                        tds_shutdown(session->tds);
                else
                        shutdown(session->stop_fd, SHUT_RDWR);
        }
        pthread_mutex_unlock(&standin->lock);
}

int standin_serve(struct standin *standin, int listen_fd, int stop_fd, struct error *err)
{
        struct pollfd fds[] = {
                { .fd = stop_fd, .events = POLLIN },
                { .fd = standin->wake_fd, .events = POLLIN },
                { .fd = listen_fd, .events = POLLIN },
        };
        int rc = 0;

        while (rc == 0 && !fds[0].revents) {
                uint64_t count;

                /* What was too much is tried again when a session has ended, or after a while. */
                if (poll(fds, 3, fds[2].fd < 0 ? RETRY_MS : -1) < 0 && errno != EINTR)
                        rc = error_raise_errno(err, errno, "cannot wait for connections");
                if (fds[1].revents)
                        (void)!read(standin->wake_fd, &count, sizeof count);
                standin_reap(standin, /* all= */ false);
                if (fds[2].fd < 0)
                        fds[2].fd = listen_fd;
                else if (fds[2].revents && !standin_take_connection(standin, listen_fd))
                        fds[2].fd = -1;
        }
        standin_stop_sessions(standin);
        standin_reap(standin, /* all= */ true);
        return rc;
}
