#include "fixture.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

static int authenticate(const struct tds_login *login, struct server_message *refusal, void *context)
{
        if (context)
                strcpy(refusal->text, context);
        return strcmp(login->user, "sa") == 0 && strcmp(login->password, "secret") == 0 ? 0 : -1;
}

int set_up(void **state)
{
        struct fixture *fixture = calloc(1, sizeof *fixture);
        int ends[2];

        assert_non_null(fixture);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        fixture->client = ends[0];
        fixture->server_fd = ends[1];
        fixture->server = (struct tds_server){
                .name = "HERE",
                .program = "Microsoft SQL Server",
                .version = 0x0f0007d0,
                .authenticate = authenticate,
                .login_timeout_ms = LOGIN_TIMEOUT_MS,
                .session_id = 51,
        };
        *state = fixture;
        return 0;
}

int tear_down(void **state)
{
        struct fixture *fixture = *state;

        tds_free(fixture->session);
        fd_closep(&fixture->server_fd);
        fd_closep(&fixture->client);
        bytes_free(&fixture->out);
        free(fixture);
        return 0;
}

void send_out(struct fixture *fixture)
{
        assert_int_equal(fd_write_full(fixture->client, fixture->out.data, fixture->out.size, NULL), 0);
        bytes_free(&fixture->out);
}

int accept_it(struct fixture *fixture)
{
        return tds_accept(take_fd(&fixture->server_fd), &fixture->server, &fixture->session, &fixture->err);
}

void skip_message(struct fixture *fixture)
{
        CLEANUP(bytes_free) struct bytes payload = { .data = NULL };

        receive_message(fixture->client, &payload, TDS_PACKET_MAX);
}

void log_in_as(struct fixture *fixture, const struct login *login)
{
        put_login(&fixture->out, login);
        send_out(fixture);
        assert_int_equal(accept_it(fixture), 0);
        skip_message(fixture);
        skip_message(fixture);
}

void log_in(struct fixture *fixture)
{
        log_in_as(fixture, &usual_login);
}

void expect_next(struct fixture *fixture, enum tds_request_kind kind, const char *text)
{
        struct tds_request request;

        assert_int_equal(tds_next(fixture->session, &request, &fixture->err), 0);
        assert_int_equal(request.kind, kind);
        if (text)
                assert_string_equal(request.text, text);
        else
                assert_null(request.text);
        tds_request_deinit(&request);
}

void expect_failure(struct fixture *fixture, const char *words)
{
        struct tds_request request;

        assert_int_equal(tds_next(fixture->session, &request, &fixture->err), -1);
        assert_int_equal(fixture->err.code, ERR_PROTOCOL);
        assert_non_null(strstr(fixture->err.message, words));
        tds_request_deinit(&request);
}

void send_done(struct fixture *fixture)
{
        assert_int_equal(tds_send_done(fixture->session, &(struct tds_done){ .error = false }), 0);
}

void expect_silence_of_server(const struct fixture *fixture)
{
        struct pollfd polled = { .fd = fixture->client, .events = POLLIN };

        assert_int_equal(poll(&polled, 1, 0), 0);
}

void expect_end(const struct fixture *fixture)
{
        char byte;

        assert_int_equal(recv(fixture->client, &byte, 1, 0), 0);
}
