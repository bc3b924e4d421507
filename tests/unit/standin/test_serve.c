/* The stand-in server behind a socket, and what a client of FreeTDS cannot be made to do: bytes by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/standin/standin.h"
#include "tests/unit/tds/client.h"
#include "tests/unit/tds/fixture.h"

struct server {
        struct standin_options options;
        struct standin *standin;
        int listen_fd;
        int stop_fd;
        pthread_t thread;
        int client;
};

static const struct standin_database databases[] = { { .name = "pubs", .path = "/nowhere/pubs.db" } };

static void *serve(void *server_at)
{
        struct server *server = server_at;

        assert_int_equal(standin_serve(server->standin, server->listen_fd, server->stop_fd, NULL), 0);
        return NULL;
}

static void start(struct server *server)
{
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        CLEANUP(freep) char *shown = NULL;

        *server = (struct server){
                .options = { .name = "HERE",
                             .user = "sa",
                             .password = "secret",
                             .databases = databases,
                             .database_count = 1,
                             .connections_max = 4 },
                .stop_fd = eventfd(0, EFD_CLOEXEC),
        };
        assert_int_equal(standin_new(&server->options, &server->standin, NULL), 0);
        assert_int_equal(standin_listen("127.0.0.1:0", false, &server->listen_fd, &shown, NULL), 0);
        assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
        assert_int_equal(getsockname(server->listen_fd, (struct sockaddr *)&address, &size), 0);
        server->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(server->client, (struct sockaddr *)&address, size), 0);
}

static void stop(struct server *server)
{
        const uint64_t one = 1;

        assert_int_equal(write(server->stop_fd, &one, sizeof one), sizeof one);
        pthread_join(server->thread, NULL);
        fd_closep(&server->client);
        fd_closep(&server->listen_fd);
        fd_closep(&server->stop_fd);
        standin_free(server->standin);
}

/* What comes back for a batch whose packets have this status, as text; allocated. */
static char *ask(struct server *server, uint8_t status, const char *batch)
{
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        CLEANUP(bytes_free) struct bytes out = { .data = NULL };
        CLEANUP(bytes_free) struct bytes answer = { .data = NULL };

        put_headers(&body);
        put_utf16(&body, batch);
        put_message(&out, 1, status, &body, 4096);
        assert_int_equal(send(server->client, out.data, out.size, MSG_NOSIGNAL), (ssize_t)out.size);
        receive_message(server->client, &answer, TDS_PACKET_MAX);
        return show_tokens(&answer, V74);
}

static void log_in_here(struct server *server)
{
        CLEANUP(bytes_free) struct bytes out = { .data = NULL };
        CLEANUP(bytes_free) struct bytes prelogin = { .data = NULL };
        CLEANUP(bytes_free) struct bytes login = { .data = NULL };

        put_login(&out, &usual_login);
        assert_int_equal(send(server->client, out.data, out.size, MSG_NOSIGNAL), (ssize_t)out.size);
        receive_message(server->client, &prelogin, TDS_PACKET_MAX);
        receive_message(server->client, &login, TDS_PACKET_MAX);
}

/* A pool gives the connection to somebody else, who finds it as after the login. */
static void a_reset_forgets_the_former_user(void **state)
{
        enum { RESET = 8 };
        static const char question[] = "SELECT DB_NAME() AS d, @@TRANCOUNT AS n";
        CLEANUP(freep) char *fresh = NULL;
        CLEANUP(freep) char *used = NULL;
        CLEANUP(freep) char *reset = NULL;
        CLEANUP(freep) char *again = NULL;
        struct server server;

        (void)state;
        start(&server);
        log_in_here(&server);
        fresh = ask(&server, 0, question);
        free(ask(&server, 0, "USE master; BEGIN TRAN; SET NOCOUNT ON"));
        used = ask(&server, 0, question);
        reset = ask(&server, RESET, question);
        again = ask(&server, 0, question);
        assert_non_null(strstr(fresh, "pubs"));
        assert_non_null(strstr(used, "master"));
        assert_non_null(strstr(reset, fresh));
        assert_string_equal(again, fresh);
        stop(&server);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_reset_forgets_the_former_user),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
