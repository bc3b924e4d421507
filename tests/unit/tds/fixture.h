/*
 * fixture.h - a connection of a test: it is the client at one end, and calls the server's functions on the other
 */
#pragma once

#include "client.h"

enum { LOGIN_TIMEOUT_MS = 20000, V74 = 0x74000004 };

struct fixture {
        int client;
        int server_fd;
        struct tds_session *session;
        struct tds_server server;
        struct bytes out;
        struct error err;
};

int set_up(void **state);
int tear_down(void **state);

/* Sends what was put to `out`. */
void send_out(struct fixture *fixture);
int accept_it(struct fixture *fixture);
void skip_message(struct fixture *fixture);
void log_in_as(struct fixture *fixture, const struct login *login);
void log_in(struct fixture *fixture);
void expect_next(struct fixture *fixture, enum tds_request_kind kind, const char *text);
void expect_failure(struct fixture *fixture, const char *words);
void send_done(struct fixture *fixture);

/* Nothing has been sent that was not read yet. */
void expect_silence_of_server(const struct fixture *fixture);
void expect_end(const struct fixture *fixture);
