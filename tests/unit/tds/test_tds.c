/* The server's half of TDS against bytes written by hand. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "fixture.h"

/* ---- login ---- */

static const char login_answer[] =
        "change 1 'pubs' ''\n"
        "info 5701 state 1 severity 0 'Changed database context to 'pubs'.' from 'HERE' '' line 1\n"
        "change 7 0904d00034 \n"
        "change 2 'us_english' ''\n"
        "info 5703 state 1 severity 0 'Changed language setting to us_english.' from 'HERE' '' line 1\n"
        "ack 74000004 'Microsoft SQL Server' 0f0007d0\n"
        "change 4 '4096' '4096'\n"
        "done 00 0\n";

static void expect_prelogin_answer(struct fixture *fixture)
{
        static const uint8_t expected[] = { 0, 0, 26, 0, 6,  1, 0, 32,   0,  1, 2,    0,    33, 0, 1, 3, 0, 34,
                                            0, 0, 4,  0, 34, 0, 1, 0xff, 15, 0, 0x07, 0xd0, 0,  0, 2, 0, 0 };
        CLEANUP(bytes_free) struct bytes payload = { .data = NULL };

        assert_int_equal(receive_message(fixture->client, &payload, 4096), 1);
        assert_int_equal(payload.size, sizeof expected);
        assert_memory_equal(payload.data, expected, sizeof expected);
}

static void test_login(void **state)
{
        struct fixture *fixture = *state;
        const struct tds_login *login;

        put_login(&fixture->out, &usual_login);
        send_out(fixture);
        assert_int_equal(accept_it(fixture), 0);
        expect_prelogin_answer(fixture);
        expect_answer(fixture->client, V74, login_answer);
        login = tds_session_login(fixture->session);
        assert_string_equal(login->user, "sa");
        assert_null(login->password);
        assert_string_equal(login->host, "host");
        assert_string_equal(login->application, "app");
        assert_string_equal(login->server, "server");
        assert_string_equal(login->library, "library");
        assert_string_equal(login->database, "pubs");
}

static void test_login_without_prelogin_and_database(void **state)
{
        struct fixture *fixture = *state;
        struct login login = usual_login;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        CLEANUP(bytes_free) struct bytes payload = { .data = NULL };
        CLEANUP(freep) char *text = NULL;

        login.database = "";
        put_login_body(&body, &login);
        put_message(&fixture->out, 0x10, 0, &body, 4096);
        send_out(fixture);
        assert_int_equal(accept_it(fixture), 0);
        receive_message(fixture->client, &payload, 4096);
        text = show_tokens(&payload, V74);
        assert_non_null(strstr(text, "change 1 'master' ''\n"));
}

static void test_versions(void **state)
{
        static const struct {
                uint32_t version;
                const char *ack;
        } rows[] = {
                { 0x71000001, "ack 71000001 " }, { 0x72090002, "ack 72090002 " }, { 0x730a0003, "ack 730a0003 " },
                { 0x730b0003, "ack 730b0003 " }, { 0x74000004, "ack 74000004 " }, { 0x75000000, "ack 74000004 " },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;
                struct login login = usual_login;
                CLEANUP(bytes_free) struct bytes payload = { .data = NULL };
                CLEANUP(freep) char *text = NULL;

                set_up(&own);
                fixture = own;
                login.version = rows[i].version;
                put_login(&fixture->out, &login);
                send_out(fixture);
                assert_int_equal(accept_it(fixture), 0);
                skip_message(fixture);
                receive_message(fixture->client, &payload, 4096);
                text = show_tokens(&payload, rows[i].version);
                assert_non_null(strstr(text, rows[i].ack));
                tear_down(&own);
        }
}

static void test_packet_size_is_agreed_on(void **state)
{
        static const struct {
                uint32_t wanted;
                size_t agreed;
        } rows[] = { { 0, 4096 }, { 1, 512 }, { 512, 512 }, { 8000, 8000 }, { 32767, 32767 }, { UINT32_MAX, 32767 } };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;
                struct login login = usual_login;
                static char text[40001];
                CLEANUP(bytes_free) struct bytes payload = { .data = NULL };
                size_t packets;

                set_up(&own);
                fixture = own;
                login.packet_size = rows[i].wanted;
                log_in_as(fixture, &login);
                memset(text, 'x', sizeof text - 1);
                put_batch(&fixture->out, "q");
                send_out(fixture);
                expect_next(fixture, TDS_REQUEST_BATCH, "q");
                tds_send_columns(fixture->session, &(struct tds_column){ .name = "", .type = TDS_TYPE_TEXT }, 1);
                tds_send_row(fixture->session, &(struct tds_value){ .text = text });
                send_done(fixture);
                packets = receive_message(fixture->client, &payload, rows[i].agreed);
                assert_int_equal(packets, (payload.size + rows[i].agreed - 9) / (rows[i].agreed - 8));
                tear_down(&own);
        }
}

static void expect_refusal(struct fixture *fixture, const char *expected)
{
        send_out(fixture);
        shutdown(fixture->client, SHUT_WR);
        assert_int_equal(accept_it(fixture), -1);
        assert_int_equal(fixture->err.code, ERR_SKIPPED);
        assert_null(fixture->session);
        skip_message(fixture);
        expect_answer(fixture->client, V74, expected);
        expect_end(fixture);
}

static void test_wrong_password(void **state)
{
        struct fixture *fixture = *state;
        struct login login = usual_login;

        login.password = "Secret";
        put_login(&fixture->out, &login);
        expect_refusal(
                fixture,
                "error 18456 state 1 severity 14 'Login failed for user 'sa'.' from 'HERE' '' line 1\ndone 02 0\n");
}

static void test_refusal_in_words_of_the_caller(void **state)
{
        struct fixture *fixture = *state;
        struct login login = usual_login;
        char words[] = "no";

        fixture->server.context = words;
        login.user = "bob";
        put_login(&fixture->out, &login);
        expect_refusal(fixture, "error 18456 state 1 severity 14 'no' from 'HERE' '' line 1\ndone 02 0\n");
}

static void test_logins_that_are_not_served(void **state)
{
        static const struct {
                struct login login;
                const char *answer;
        } rows[] = {
                { { V74, 0, "sa", "secret", "", 0, 0x80, 0 },
                  "error 18452 state 1 severity 14 'Login failed. Integrated authentication is not offered here; give "
                  "a user and "
                  "a password.' from 'HERE' '' line 1\ndone 02 0\n" },
                { { V74, 0, "sa", "secret", "", 1, 0, 0 },
                  "error 18456 state 1 severity 14 'Login failed. The client wants numbers in another form than "
                  "little-endian and "
                  "IEEE.' from 'HERE' '' line 1\ndone 02 0\n" },
                { { V74, 0, "sa", "secret", "", 0, 0, 1 },
                  "error 18456 state 1 severity 14 'Login failed. Encryption is not offered here; connect with "
                  "encryption "
                  "off.' from 'HERE' '' line 1\ndone 02 0\n" },
                { { V74, 0, "sa", "secret", "", 0, 0, 3 },
                  "error 18456 state 1 severity 14 'Login failed. Encryption is not offered here; connect with "
                  "encryption "
                  "off.' from 'HERE' '' line 1\ndone 02 0\n" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;

                set_up(&own);
                fixture = own;
                put_login(&fixture->out, &rows[i].login);
                expect_refusal(fixture, rows[i].answer);
                tear_down(&own);
        }
}

static void test_version_before_7_1(void **state)
{
        struct fixture *fixture = *state;
        struct login login = usual_login;

        login.version = 0x70000000;
        put_login(&fixture->out, &login);
        send_out(fixture);
        shutdown(fixture->client, SHUT_WR);
        assert_int_equal(accept_it(fixture), -1);
        skip_message(fixture);
        expect_answer(fixture->client, 0x70000000,
                      "error 18456 state 1 severity 14 'Login failed. The client speaks TDS before 7.1; set its TDS "
                      "version to "
                      "7.4.' from 'HERE' '' line 1\ndone 02 0\n");
}

/* Every byte in a packet of its own, where the protocol has packets. */
static void test_packets_of_one_byte(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        CLEANUP(bytes_free) struct bytes batch = { .data = NULL };

        put_prelogin(&fixture->out, 0);
        put_login_body(&body, &usual_login);
        put_message(&fixture->out, 0x10, 0, &body, 9);
        send_out(fixture);
        assert_int_equal(accept_it(fixture), 0);
        put_headers(&batch);
        put_utf16(&batch, "select 1");
        put_message(&fixture->out, 1, 0, &batch, 9);
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "select 1");
}

static void *send_slowly(void *context)
{
        struct fixture *fixture = context;

        for (size_t i = 0; i < fixture->out.size; i++)
                if (send(fixture->client, fixture->out.data + i, 1, MSG_NOSIGNAL) != 1)
                        abort();
        return NULL;
}

static void test_bytes_that_come_one_by_one(void **state)
{
        struct fixture *fixture = *state;
        pthread_t thread;

        put_login(&fixture->out, &usual_login);
        put_batch(&fixture->out, "select 1");
        assert_int_equal(pthread_create(&thread, NULL, send_slowly, fixture), 0);
        assert_int_equal(accept_it(fixture), 0);
        expect_next(fixture, TDS_REQUEST_BATCH, "select 1");
        pthread_join(thread, NULL);
}

static void expect_no_login(struct fixture *fixture, enum err_code code, const char *words)
{
        send_out(fixture);
        assert_int_equal(accept_it(fixture), -1);
        assert_int_equal(fixture->err.code, code);
        assert_non_null(strstr(fixture->err.message, words));
        assert_null(fixture->session);
}

static void test_what_is_no_login(void **state)
{
        static const struct {
                uint8_t bytes[16];
                const char *words;
        } rows[] = {
                { { 0x16, 3, 1, 2, 0, 1, 0, 1 }, "wants encryption from the first byte" },
                { { 0x02, 0, 2, 0 }, "logs in with a version before 7" },
                { { 'G', 'E', 'T', ' ', '/' }, "begins with a packet of type 0x47" },
                { { 0x01, 1, 0, 10 }, "begins with a packet of type 0x01" },
                { { 0x06, 1, 0, 8 }, "begins with a packet of type 0x06" },
                { { 0x12, 1, 0, 7 }, "packet of 7 bytes" },
                { { 0x12, 1, 0x80, 0 }, "packet of 32768 bytes" },
                { { 0x12, 1, 0, 8 }, "pre-login message that cannot be read" },
                { { 0x12, 1, 0, 16, 0, 0, 0, 0, 0, 0, 6, 0, 8, 0xff }, "pre-login message that cannot be read" },
                { { 0x10, 1, 0, 12, 0, 0, 0, 0, 4 }, "login of 4 bytes" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;

                set_up(&own);
                fixture = own;
                put(&fixture->out, rows[i].bytes, sizeof rows[i].bytes);
                expect_no_login(fixture, ERR_PROTOCOL, rows[i].words);
                tear_down(&own);
        }
}

static void test_tls_inside_of_prelogin(void **state)
{
        struct fixture *fixture = *state;

        put_prelogin(&fixture->out, 1);
        put_prelogin(&fixture->out, 1);
        expect_no_login(fixture, ERR_PROTOCOL, "insists on encryption");
}

/* One field of a sound login is changed. */
static void test_login_fields(void **state)
{
        static const struct {
                size_t at;
                uint16_t value;
                const char *words;
        } rows[] = {
                { 0, 93, "says it has 93" },              /* its length */
                { 36, 93, "host name lies outside" },     /* inside of the fixed part */
                { 36, 0xffff, "host name lies outside" }, /* behind the end */
                { 42, 129, "user name lies outside of it or is too long" },
                { 70, 0xffff, "database name lies outside" },
                { 68, 94 + 1, NULL }, /* overlapping, by half a character: still a text */
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;
                CLEANUP(bytes_free) struct bytes body = { .data = NULL };

                set_up(&own);
                fixture = own;
                put_login_body(&body, &usual_login);
                body.data[rows[i].at] = (uint8_t)rows[i].value;
                body.data[rows[i].at + 1] = (uint8_t)(rows[i].value >> 8);
                put_message(&fixture->out, 0x10, 0, &body, 4096);
                if (rows[i].words) {
                        expect_no_login(fixture, ERR_PROTOCOL, rows[i].words);
                } else {
                        send_out(fixture);
                        assert_int_equal(accept_it(fixture), 0);
                }
                tear_down(&own);
        }
}

static void test_login_with_half_a_surrogate_pair(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        put_login_body(&body, &usual_login);
        body.data[94] = 0x00;
        body.data[95] = 0xd8; /* the host's first character */
        put_message(&fixture->out, 0x10, 0, &body, 4096);
        expect_no_login(fixture, ERR_PROTOCOL, "host name is no text");
}

static void test_login_that_is_too_long(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        pthread_t thread;

        while (body.size < 128 << 10)
                put(&body, "0123456789abcdef", 16);
        put_message(&fixture->out, 0x10, 0, &body, 32767);
        send_out(fixture);
        (void)thread;
        assert_int_equal(accept_it(fixture), -1);
        assert_non_null(strstr(fixture->err.message, "message of more than 131071 bytes"));
}

static void test_silent_clients(void **state)
{
        (void)state;
        for (int sent = 0; sent < 3; sent++) {
                void *own;
                struct fixture *fixture;

                set_up(&own);
                fixture = own;
                fixture->server.login_timeout_ms = 30;
                if (sent == 1)
                        put_prelogin(&fixture->out, 0);
                if (sent == 2)
                        put(&fixture->out, "\x12\x01\x00", 3);
                expect_no_login(fixture, ERR_TIMEOUT, "did not log in in time");
                tear_down(&own);
        }
}

static void test_a_client_that_hangs_up(void **state)
{
        struct fixture *fixture = *state;

        put_prelogin(&fixture->out, 0);
        send_out(fixture);
        fd_closep(&fixture->client);
        assert_int_equal(accept_it(fixture), -1);
        assert_true(fixture->err.code == ERR_PEER_DIED);
}

/* ---- requests ---- */

static void test_batches(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        put_batch(&fixture->out, "one");
        put_batch(&fixture->out, "two");
        put_batch(&fixture->out, "");
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "one");
        send_done(fixture);
        expect_answer(fixture->client, V74, "done 00 0\n");
        expect_next(fixture, TDS_REQUEST_BATCH, "two");
        send_done(fixture);
        expect_answer(fixture->client, V74, "done 00 0\n");
        expect_next(fixture, TDS_REQUEST_BATCH, "");
        send_done(fixture);
        fd_closep(&fixture->client);
        expect_next(fixture, TDS_REQUEST_CLOSED, NULL);
}

static void put_units(struct fixture *fixture, const uint16_t *units, size_t count, size_t extra)
{
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        put_headers(&body);
        for (size_t i = 0; i < count; i++)
                put_number(&body, units[i], 2);
        put_number(&body, 0, extra);
        put_message(&fixture->out, 1, 0, &body, 4096);
        send_out(fixture);
}

static void test_characters(void **state)
{
        static const uint16_t good[] = { 'a', 0x00fc, 0x20ac, 0xd83d, 0xde00, 0xffff, 0xe000 };
        static const uint16_t bad[][3] = {
                { 'a', 0xd83d, 'b' }, { 'a', 'b', 0xd83d },       { 0xde00, 0xd83d, 'a' },
                { 'a', 0, 'b' },      { 0xd83d, 0xd83d, 0xde00 },
        };
        struct fixture *fixture = *state;

        log_in(fixture);
        put_units(fixture, good, 7, 0);
        expect_next(fixture, TDS_REQUEST_BATCH, "a\u00fc\u20ac\U0001f600\xef\xbf\xbf\xee\x80\x80");
        send_done(fixture);
        skip_message(fixture);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                put_units(fixture, bad[i], 3, 0);
                put_batch(&fixture->out, "next");
                send_out(fixture);
                expect_next(fixture, TDS_REQUEST_BATCH, "next");
                expect_answer(fixture->client, V74,
                              "error 50000 state 1 severity 16 'The batch holds U+0000 or half of a surrogate pair.' "
                              "from 'HERE' "
                              "'' line 1\ndone 02 0\n");
                send_done(fixture);
                skip_message(fixture);
        }
        put_units(fixture, good, 1, 1);
        expect_failure(fixture, "half a character");
}

static void test_damaged_headers(void **state)
{
        static const struct {
                uint32_t total;
                uint32_t first;
        } rows[] = { { 3, 18 }, { 0, 18 }, { 1000, 18 },       { 22, 19 },
                     { 22, 5 }, { 22, 0 }, { 0xffffffff, 18 }, { 22, 0xffffffff } };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;
                CLEANUP(bytes_free) struct bytes body = { .data = NULL };

                set_up(&own);
                fixture = own;
                log_in(fixture);
                put_number(&body, rows[i].total, 4);
                put_number(&body, rows[i].first, 4);
                put_number(&body, 2, 2);
                put_number(&body, 0, 12);
                put_message(&fixture->out, 1, 0, &body, 4096);
                send_out(fixture);
                expect_failure(fixture, "header");
                tear_down(&own);
        }
}

static void test_packets_that_break_the_protocol(void **state)
{
        static const struct {
                uint8_t bytes[24];
                size_t size;
                const char *words;
        } rows[] = {
                { { 0x10, 1, 0, 8 }, 8, "type 0x10, which is no request" },
                { { 0x12, 1, 0, 8 }, 8, "type 0x12, which is no request" },
                { { 0x01, 1, 0, 0 }, 8, "packet of 0 bytes" },
                { { 0x01, 1, 0xff, 0xff }, 8, "packet of 65535 bytes" },
                { { 0x01, 0, 0, 8, 0, 0, 0, 0, 0x03, 1, 0, 8 }, 16, "mixed packets of type 0x03" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;

                set_up(&own);
                fixture = own;
                log_in(fixture);
                put(&fixture->out, rows[i].bytes, rows[i].size);
                send_out(fixture);
                expect_failure(fixture, rows[i].words);
                tear_down(&own);
        }
}

static void *send_all(void *context)
{
        struct fixture *fixture = context;

        for (size_t at = 0; at < fixture->out.size;) {
                ssize_t n = send(fixture->client, fixture->out.data + at, fixture->out.size - at, MSG_NOSIGNAL);

                if (n < 0)
                        break;
                at += (size_t)n;
        }
        return NULL;
}

static void test_a_request_that_is_too_long(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        struct tds_request request;
        pthread_t thread;

        log_in(fixture);
        put_headers(&body);
        body.data = realloc(body.data, TDS_REQUEST_MAX + 2);
        assert_non_null(body.data);
        memset(body.data + body.size, 'a', TDS_REQUEST_MAX + 2 - body.size);
        body.size = TDS_REQUEST_MAX + 2;
        put_message(&fixture->out, 1, 0, &body, 32767);
        assert_int_equal(pthread_create(&thread, NULL, send_all, fixture), 0);
        assert_int_equal(tds_next(fixture->session, &request, &fixture->err), -1);
        assert_non_null(strstr(fixture->err.message, "message of more than 4194304 bytes"));
        tds_free(fixture->session);
        fixture->session = NULL;
        pthread_join(thread, NULL);
}

static void test_a_request_that_the_client_gives_up(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        log_in(fixture);
        put_number(&body, 1, 1);
        put_message(&fixture->out, 1, 2, &body, 4096);
        put_batch(&fixture->out, "next");
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "next");
        expect_answer(fixture->client, V74, "done 02 0\n");
        expect_silence_of_server(fixture);
}

static void test_what_is_refused_and_survived(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        log_in(fixture);
        put_number(&body, 0x81, 1);
        put_message(&fixture->out, 7, 0, &body, 4096);
        put_batch(&fixture->out, "next");
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "next");
        expect_answer(fixture->client, V74,
                      "error 50000 state 1 severity 16 'Bulk loads are not offered here.' from 'HERE' '' line 1\ndone "
                      "02 0\n");
}

static void put_transaction(struct fixture *fixture, uint16_t kind, const char *rest, size_t size)
{
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        put_headers(&body);
        put_number(&body, kind, 2);
        put(&body, rest, size);
        put_message(&fixture->out, 14, 0, &body, 4096);
}

static void test_transactions(void **state)
{
        struct fixture *fixture = *state;
        struct tds_request request;

        log_in(fixture);
        put_transaction(fixture, 5, "\0\0", 2);
        put_transaction(fixture, 5, "\0\0", 2);
        put_batch(&fixture->out, "inside");
        put_transaction(fixture, 7, "\0\1\0\0", 4);
        put_transaction(fixture, 8, "\0\0", 2);
        put_transaction(fixture, 8, "\0\0", 2);
        put_transaction(fixture, 7, "\0\0", 2);
        put_batch(&fixture->out, "outside");
        send_out(fixture);
        assert_int_equal(tds_next(fixture->session, &request, &fixture->err), 0);
        assert_true(request.in_transaction);
        assert_string_equal(request.text, "inside");
        tds_request_deinit(&request);
        expect_answer(fixture->client, V74, "change 8 0100000000000000 \ndone 00 0\n");
        expect_answer(
                fixture->client, V74,
                "error 50000 state 1 severity 16 'Nested and distributed transactions and savepoints are not offered "
                "here.' from 'HERE' '' line 1\ndone 02 0\n");
        send_done(fixture);
        skip_message(fixture);
        assert_int_equal(tds_next(fixture->session, &request, &fixture->err), 0);
        assert_false(request.in_transaction);
        tds_request_deinit(&request);
        expect_answer(fixture->client, V74, "change 9  0100000000000000\nchange 8 0200000000000000 \ndone 00 0\n");
        expect_answer(fixture->client, V74, "change 10  0200000000000000\ndone 00 0\n");
        expect_answer(fixture->client, V74,
                      "error 3903 state 1 severity 16 'The ROLLBACK TRANSACTION request has no corresponding BEGIN "
                      "TRANSACTION.' from 'HERE' '' line 1\ndone 02 0\n");
        expect_answer(fixture->client, V74,
                      "error 3902 state 1 severity 16 'The COMMIT TRANSACTION request has no corresponding BEGIN "
                      "TRANSACTION.' from 'HERE' '' line 1\ndone 02 0\n");
}

static void test_reset(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        struct tds_request request;

        log_in(fixture);
        put_batch(&fixture->out, "use other");
        put_headers(&body);
        put_utf16(&body, "q");
        put_message(&fixture->out, 1, 8, &body, 4096);
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "use other");
        tds_send_database(fixture->session, "other");
        send_done(fixture);
        expect_answer(fixture->client, V74,
                      "change 1 'other' 'pubs'\n"
                      "info 5701 state 1 severity 0 'Changed database context to 'other'.' from 'HERE' '' line 1\ndone "
                      "00 0\n");
        assert_int_equal(tds_next(fixture->session, &request, &fixture->err), 0);
        assert_true(request.reset);
        tds_request_deinit(&request);
        tds_send_database(fixture->session, "third");
        send_done(fixture);
        expect_answer(fixture->client, V74,
                      "change 18  \nchange 1 'third' 'pubs'\n"
                      "info 5701 state 1 severity 0 'Changed database context to 'third'.' from 'HERE' '' line 1\ndone "
                      "00 0\n");
}

/* ---- answers ---- */

static void ask(struct fixture *fixture)
{
        put_batch(&fixture->out, "q");
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "q");
}

static void test_messages_leave_at_once(void **state)
{
        struct fixture *fixture = *state;
        struct server_message message = { .number = 3211, .state = 1, .line = 7, .text = "10 percent \xff processed." };
        uint8_t header[8];

        log_in(fixture);
        ask(fixture);
        assert_int_equal(tds_send_message(fixture->session, &message), 0);
        assert_int_equal(recv(fixture->client, header, sizeof header, MSG_PEEK), 8);
        assert_int_equal(header[1], 0);
        assert_int_equal(header[5], 51);
        message.severity = 16;
        message.number = 3013;
        tds_send_message(fixture->session, &message);
        assert_int_equal(tds_send_done(fixture->session, &(struct tds_done){ .error = true }), 0);
        expect_answer(
                fixture->client, V74,
                "info 3211 state 1 severity 0 '10 percent \\ufffd processed.' from 'HERE' '' line 7\n"
                "error 3013 state 1 severity 16 '10 percent \\ufffd processed.' from 'HERE' '' line 7\ndone 02 0\n");
}

static void test_every_type(void **state)
{
        static const struct tds_column columns[] = {
                { "i", TDS_TYPE_INT, 0 },      { "b", TDS_TYPE_BIGINT, 0 },  { "f", TDS_TYPE_BIT, 0 },
                { "t", TDS_TYPE_TEXT, 0 },     { "n", TDS_TYPE_NUMERIC, 0 }, { "r", TDS_TYPE_REAL, 0 },
                { "d", TDS_TYPE_DATETIME, 0 }, { "g", TDS_TYPE_GUID, 0 },    { "s", TDS_TYPE_TEXT, 3 },
        };
        static const struct tds_value rows[][9] = {
                { { .number = -2 },
                  { .number = INT64_MIN },
                  { .number = 5 },
                  { .text = "\u20ac\U0001f600" },
                  { .text = "-258" },
                  { .real = 1.5 },
                  { .text = "1900-01-02 00:00:01.010" },
                  { .text = "0E984725-c51c-4bf4-9960-e1c80e27aba0" },
                  { .text = "ab\U0001f600" } },
                { { .number = 0 },
                  { .number = 1 },
                  { .number = 0 },
                  { .text = "" },
                  { .text = "9999999999999999999999999" },
                  { .real = 0 },
                  { .text = "1899-12-31 23:59:59.999" },
                  { .text = "none" },
                  { .text = "" } },
        };
        struct fixture *fixture = *state;
        struct tds_value nulls[9];

        log_in(fixture);
        ask(fixture);
        assert_int_equal(tds_send_columns(fixture->session, columns, 9), 0);
        for (size_t i = 0; i < 2; i++)
                assert_int_equal(tds_send_row(fixture->session, rows[i]), 0);
        for (size_t i = 0; i < 9; i++)
                nulls[i] = (struct tds_value){ .is_null = true };
        tds_send_row(fixture->session, nulls);
        tds_send_done(fixture->session, &(struct tds_done){ .has_count = true, .rows = 3 });
        expect_answer(
                fixture->client, V74,
                "columns 26(4)'i' 26(8)'b' 68(1)'f' e7(65535)'t' 6c(13,25,0)'n' 6d(4)'r' 6f(8)'d' 24(16)'g' e7(6)'s'\n"
                "row feffffff 0000000000000080 01 '\\u20ac\\ud83d\\ude00' 00020100000000000000000000 0000c03f "
                "010000002f010000 2547980e1cc5f44b9960e1c80e27aba0 'ab'\n"
                "row 00000000 0100000000000000 00  01ffffff494801141695450800 00000000 0000000000000000 NULL ''\n"
                "row NULL NULL NULL NULL NULL NULL NULL NULL NULL\n"
                "done 10 3\n");
}

/* The text of one column of `type` as it comes out. */
static void expect_wire(struct fixture *fixture, enum tds_type type, const char *text, const char *expected)
{
        char answer[256];

        ask(fixture);
        tds_send_columns(fixture->session, &(struct tds_column){ .name = "", .type = type }, 1);
        tds_send_row(fixture->session, &(struct tds_value){ .text = text });
        send_done(fixture);
        snprintf(answer, sizeof answer, "columns %s''\nrow %s\ndone 00 0\n",
                 type == TDS_TYPE_DATETIME ? "6f(8)"
                 : type == TDS_TYPE_GUID   ? "24(16)"
                                           : "6c(13,25,0)",
                 expected);
        expect_answer(fixture->client, V74, answer);
}

static void test_values_at_their_limits(void **state)
{
        static const struct {
                enum tds_type type;
                const char *text;
                const char *wire;
        } rows[] = {
                { TDS_TYPE_DATETIME, "1753-01-01 00:00:00", "462effff00000000" },
                { TDS_TYPE_DATETIME, "1752-12-31 23:59:59", "NULL" },
                { TDS_TYPE_DATETIME, "2000-02-29 12:00:00.5", "e78e000096c1c500" },
                { TDS_TYPE_DATETIME, "2000-02-30 12:00:00", "NULL" },
                { TDS_TYPE_DATETIME, "1900-02-29 12:00:00", "NULL" },
                { TDS_TYPE_DATETIME, "2026-11-21 24:00:00", "NULL" },
                { TDS_TYPE_DATETIME, "2026-11-21 00:00:00.1234", "NULL" },
                { TDS_TYPE_DATETIME, "2026-11-21T00:00:00", "NULL" },
                { TDS_TYPE_DATETIME, "2026-11-21", "NULL" },
                { TDS_TYPE_DATETIME, "9999-12-31 23:59:59.997", "7f242d00ff818b01" },
                { TDS_TYPE_DATETIME, "9999-12-31 23:59:59.999", "7f242d00ff818b01" },
                { TDS_TYPE_NUMERIC, "", "NULL" },
                { TDS_TYPE_NUMERIC, "-", "NULL" },
                { TDS_TYPE_NUMERIC, "1.5", "NULL" },
                { TDS_TYPE_NUMERIC, "10000000000000000000000000", "NULL" },
                { TDS_TYPE_NUMERIC, "0", "01000000000000000000000000" },
                { TDS_TYPE_GUID, "0E984725-C51C-4BF4-9960-E1C80E27ABAG", "NULL" },
                { TDS_TYPE_GUID, "0E984725-C51C-4BF4-9960E-1C80E27ABA0", "NULL" },
                { TDS_TYPE_GUID, NULL, "NULL" },
        };
        struct fixture *fixture = *state;

        log_in(fixture);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                expect_wire(fixture, rows[i].type, rows[i].text, rows[i].wire);
}

static void test_old_clients_get_narrow_numbers(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };
        struct login login = usual_login;
        struct server_message message = { .number = 1, .line = 65537, .text = "m" };
        static char text[5001];

        login.version = 0x71000001;
        log_in_as(fixture, &login);
        put_utf16(&body, "q");
        put_message(&fixture->out, 1, 0, &body, 4096);
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "q");
        memset(text, 'x', sizeof text - 1);
        tds_send_message(fixture->session, &message);
        tds_send_columns(fixture->session, &(struct tds_column){ .name = "c", .type = TDS_TYPE_TEXT }, 1);
        tds_send_row(fixture->session, &(struct tds_value){ .text = "short" });
        tds_send_done(fixture->session, &(struct tds_done){ .has_count = true, .rows = 1 });
        expect_answer(
                fixture->client, login.version,
                "info 1 state 0 severity 0 'm' from 'HERE' '' line 1\ncolumns e7(8000)'c'\nrow 'short'\ndone 10 1\n");
}

/* ---- attention and ends ---- */

static void test_attention_between_requests(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        put_attention(&fixture->out);
        put_batch(&fixture->out, "q");
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_CANCEL, NULL);
        expect_answer(fixture->client, V74, "done 20 0\n");
        expect_next(fixture, TDS_REQUEST_BATCH, "q");
        expect_silence_of_server(fixture);
}

static enum tds_event watch(struct fixture *fixture, bool done)
{
        CLEANUP(fd_closep) int done_fd = eventfd(done, EFD_CLOEXEC);

        return tds_watch(fixture->session, done_fd);
}

static void test_attention_while_answering(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        tds_send_columns(fixture->session, &(struct tds_column){ .name = "c", .type = TDS_TYPE_INT }, 1);
        put_attention(&fixture->out);
        send_out(fixture);
        assert_int_equal(watch(fixture, false), TDS_EVENT_ATTENTION);
        /* It is told once. */
        assert_int_equal(watch(fixture, true), TDS_EVENT_DONE);
        tds_send_done(fixture->session, &(struct tds_done){ .attention = true });
        expect_answer(fixture->client, V74, "columns 26(4)'c'\ndone 02 0\n");
        expect_answer(fixture->client, V74, "done 20 0\n");
        ask(fixture);
        expect_silence_of_server(fixture);
}

static void test_attention_that_the_answer_outran(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        put_attention(&fixture->out);
        send_out(fixture);
        assert_int_equal(watch(fixture, false), TDS_EVENT_ATTENTION);
        send_done(fixture);
        tds_send_done(fixture->session, &(struct tds_done){ .attention = true });
        expect_answer(fixture->client, V74, "done 00 0\n");
        expect_answer(fixture->client, V74, "done 20 0\n");
        ask(fixture);
        expect_silence_of_server(fixture);
}

/* Whoever answers forgets about it: the next request acknowledges. */
static void test_attention_that_nobody_acknowledged(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        put_attention(&fixture->out);
        put_attention(&fixture->out);
        send_out(fixture);
        assert_int_equal(watch(fixture, false), TDS_EVENT_ATTENTION);
        assert_int_equal(watch(fixture, true), TDS_EVENT_DONE);
        send_done(fixture);
        expect_answer(fixture->client, V74, "done 00 0\n");
        put_batch(&fixture->out, "next");
        send_out(fixture);
        /* The second signal is one of its own, since it is received after the first was answered. */
        expect_next(fixture, TDS_REQUEST_CANCEL, NULL);
        expect_answer(fixture->client, V74, "done 20 0\n");
        expect_answer(fixture->client, V74, "done 20 0\n");
        expect_next(fixture, TDS_REQUEST_BATCH, "next");
        expect_silence_of_server(fixture);
}

static void test_attention_cancels_what_came_before(void **state)
{
        struct fixture *fixture = *state;
        const uint8_t part[] = { 1, 0, 0, 9, 0, 0, 0, 0, 'x' };

        log_in(fixture);
        ask(fixture);
        put_batch(&fixture->out, "queued");
        put(&fixture->out, part, sizeof part);
        put_attention(&fixture->out);
        put_batch(&fixture->out, "after");
        send_out(fixture);
        assert_int_equal(watch(fixture, false), TDS_EVENT_ATTENTION);
        tds_send_done(fixture->session, &(struct tds_done){ .attention = true });
        expect_answer(fixture->client, V74, "done 02 0\n");
        expect_answer(fixture->client, V74, "done 20 0\n");
        expect_next(fixture, TDS_REQUEST_BATCH, "after");
}

static void test_done_with_attention_that_nobody_asked_for(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        tds_send_done(fixture->session, &(struct tds_done){ .attention = true });
        expect_answer(fixture->client, V74, "done 00 0\n");
        expect_silence_of_server(fixture);
}

static void test_a_client_that_vanishes(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        put_batch(&fixture->out, "queued");
        send_out(fixture);
        fd_closep(&fixture->client);
        assert_int_equal(watch(fixture, false), TDS_EVENT_CLOSED);
        assert_int_equal(tds_send_done(fixture->session, &(struct tds_done){ .error = false }), -1);
        expect_next(fixture, TDS_REQUEST_CLOSED, NULL);
}

/* So many requests that no more are received: the end is noticed nevertheless. */
static void test_a_client_that_floods_and_vanishes(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        for (int i = 0; i < 100; i++)
                put_batch(&fixture->out, "queued");
        send_out(fixture);
        fd_closep(&fixture->client);
        assert_int_equal(watch(fixture, false), TDS_EVENT_CLOSED);
}

static void *shut_down(void *context)
{
        tds_shutdown(context);
        return NULL;
}

static void test_shutdown_from_another_thread(void **state)
{
        struct fixture *fixture = *state;
        pthread_t thread;

        log_in(fixture);
        assert_int_equal(pthread_create(&thread, NULL, shut_down, fixture->session), 0);
        expect_next(fixture, TDS_REQUEST_CLOSED, NULL);
        pthread_join(thread, NULL);
        assert_int_equal(watch(fixture, false), TDS_EVENT_CLOSED);
}

struct flood {
        int client;
        int done_fd;
};

/* Writes packets without bytes and without an end until the connection breaks; amid them the answer is complete. */
static void *flood(void *flood_at)
{
        enum { PACKETS = 1024, COMPLETE = 64 };
        static const uint8_t packet[8] = { 1, 0, 0, 8, 0, 0, 1, 0 };
        const struct flood *flood = flood_at;
        const uint64_t one = 1;
        uint8_t packets[PACKETS * sizeof packet];

        for (size_t i = 0; i < PACKETS; i++)
                memcpy(packets + i * sizeof packet, packet, sizeof packet);
        for (int i = 0; send(flood->client, packets, sizeof packets, MSG_NOSIGNAL) == sizeof packets; i++)
                if (i == COMPLETE)
                        (void)!write(flood->done_fd, &one, sizeof one);
        return NULL;
}

/* A message that never ends keeps nobody from seeing that an answer is complete, or that the server stops. */
static void test_a_message_without_end(void **state)
{
        struct fixture *fixture = *state;
        CLEANUP(fd_closep) int done_fd = eventfd(0, EFD_CLOEXEC);
        struct flood to = { .client = fixture->client, .done_fd = done_fd };
        pthread_t thread;

        log_in(fixture);
        ask(fixture);
        assert_int_equal(pthread_create(&thread, NULL, flood, &to), 0);
        assert_int_equal(tds_watch(fixture->session, done_fd), TDS_EVENT_DONE);
        tds_shutdown(fixture->session);
        expect_next(fixture, TDS_REQUEST_CLOSED, NULL);
        shutdown(fixture->client, SHUT_RDWR);
        pthread_join(thread, NULL);
}

static void *send_rows(void *context)
{
        struct tds_session *session = context;
        int r = 0;

        tds_send_columns(session, &(struct tds_column){ .name = "c", .type = TDS_TYPE_INT }, 1);
        while (r == 0)
                r = tds_send_row(session, &(struct tds_value){ .number = 1 });
        return NULL;
}

/* A client that reads nothing blocks whoever answers, until it goes. */
static void test_a_client_that_does_not_read(void **state)
{
        struct fixture *fixture = *state;
        struct pollfd polled;
        pthread_t thread;

        log_in(fixture);
        ask(fixture);
        assert_int_equal(pthread_create(&thread, NULL, send_rows, fixture->session), 0);
        polled = (struct pollfd){ .fd = fixture->client, .events = POLLIN };
        assert_int_equal(poll(&polled, 1, -1), 1);
        fd_closep(&fixture->client);
        assert_int_equal(watch(fixture, false), TDS_EVENT_CLOSED);
        pthread_join(thread, NULL);
}

static void test_break(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        ask(fixture);
        tds_send_columns(fixture->session, &(struct tds_column){ .name = "c", .type = TDS_TYPE_INT }, 1);
        tds_break(fixture->session);
        expect_end(fixture);
        expect_next(fixture, TDS_REQUEST_CLOSED, NULL);
}

int main(void)
{
#define WITH_CONNECTION(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                WITH_CONNECTION(test_login),
                WITH_CONNECTION(test_login_without_prelogin_and_database),
                cmocka_unit_test(test_versions),
                cmocka_unit_test(test_packet_size_is_agreed_on),
                WITH_CONNECTION(test_wrong_password),
                WITH_CONNECTION(test_refusal_in_words_of_the_caller),
                cmocka_unit_test(test_logins_that_are_not_served),
                WITH_CONNECTION(test_version_before_7_1),
                WITH_CONNECTION(test_packets_of_one_byte),
                WITH_CONNECTION(test_bytes_that_come_one_by_one),
                cmocka_unit_test(test_what_is_no_login),
                WITH_CONNECTION(test_tls_inside_of_prelogin),
                cmocka_unit_test(test_login_fields),
                WITH_CONNECTION(test_login_with_half_a_surrogate_pair),
                WITH_CONNECTION(test_login_that_is_too_long),
                cmocka_unit_test(test_silent_clients),
                WITH_CONNECTION(test_a_client_that_hangs_up),
                WITH_CONNECTION(test_batches),
                WITH_CONNECTION(test_characters),
                cmocka_unit_test(test_damaged_headers),
                cmocka_unit_test(test_packets_that_break_the_protocol),
                WITH_CONNECTION(test_a_request_that_is_too_long),
                WITH_CONNECTION(test_a_request_that_the_client_gives_up),
                WITH_CONNECTION(test_what_is_refused_and_survived),
                WITH_CONNECTION(test_transactions),
                WITH_CONNECTION(test_reset),
                WITH_CONNECTION(test_messages_leave_at_once),
                WITH_CONNECTION(test_every_type),
                WITH_CONNECTION(test_values_at_their_limits),
                WITH_CONNECTION(test_old_clients_get_narrow_numbers),
                WITH_CONNECTION(test_attention_between_requests),
                WITH_CONNECTION(test_attention_while_answering),
                WITH_CONNECTION(test_attention_that_the_answer_outran),
                WITH_CONNECTION(test_attention_that_nobody_acknowledged),
                WITH_CONNECTION(test_attention_cancels_what_came_before),
                WITH_CONNECTION(test_done_with_attention_that_nobody_asked_for),
                WITH_CONNECTION(test_a_client_that_vanishes),
                WITH_CONNECTION(test_a_client_that_floods_and_vanishes),
                WITH_CONNECTION(test_a_message_without_end),
                WITH_CONNECTION(test_shutdown_from_another_thread),
                WITH_CONNECTION(test_a_client_that_does_not_read),
                WITH_CONNECTION(test_break),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
