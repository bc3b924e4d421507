/*
 * Any bytes at all from a client: before a login, and after one. Whatever comes, every request that is read is
 * answered, each attention signal is acknowledged once, and the connection ends.
 *
 * The first byte of an input says how: bit 0, whether a sound login goes before the rest; bit 1, whether answers are
 * watched for attention signals; bits 2 and 3, the version of that login.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/tds/tds.h"
#include "fuzz.h"

enum { INPUT_MAX = 3072, REQUESTS_MAX = 64, LOGIN_MAX = 256, LOGIN_TIMEOUT_MS = 20000 };

static void insist(bool holds)
{
        if (!holds)
                abort();
}

static int authenticate(const struct tds_login *login, struct server_message *refusal, void *context)
{
        (void)refusal;
        (void)context;
        insist(login->user && login->password && login->database);
        return login->user[0] == 'x' ? -1 : 0;
}

static const struct tds_server server = {
        .name = "fuzz",
        .program = "Microsoft SQL Server",
        .authenticate = authenticate,
        .login_timeout_ms = LOGIN_TIMEOUT_MS,
};

static void put_number(uint8_t *at, uint64_t value, size_t size)
{
        for (size_t i = 0; i < size; i++)
                at[i] = (uint8_t)(value >> (8 * i));
}

static void put_header(uint8_t *at, uint8_t type, size_t size)
{
        at[0] = type;
        at[1] = 1;
        at[2] = (uint8_t)(size >> 8);
        at[3] = (uint8_t)size;
}

/* A login as user 's' without a password. */
static size_t make_login(uint8_t *packet, unsigned which)
{
        static const uint32_t versions[] = { 0x74000004, 0x71000001, 0x72090002, 0x730b0003 };
        size_t fixed = which == 1 ? 86 : 94;

        memset(packet, 0, LOGIN_MAX);
        put_header(packet, 0x10, 8 + fixed + 2);
        put_number(packet + 8, fixed + 2, 4);
        put_number(packet + 12, versions[which], 4);
        put_number(packet + 8 + 40, fixed, 2);
        put_number(packet + 8 + 42, 1, 2);
        packet[8 + fixed] = 's';
        return 8 + fixed + 2;
}

/* Reads what the server sends and forgets it, so that it never waits. */
static void discard_answers(int fd)
{
        uint8_t bytes[4096];

        while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
                continue;
}

static void check_request(const struct tds_request *request)
{
        bool has_text = request->kind == TDS_REQUEST_BATCH || request->kind == TDS_REQUEST_RPC;

        insist(has_text == (request->text != NULL));
        insist(request->parameter_count <= TDS_PARAMETERS_MAX);
        insist(has_text || request->parameter_count == 0);
        for (size_t i = 0; i < request->parameter_count; i++)
                insist(request->parameters[i].name != NULL);
}

/* An answer with everything in it, the request's own words among it. */
static void answer(struct tds_session *session, const struct tds_request *request)
{
        static const struct tds_column columns[] = { { "t", TDS_TYPE_TEXT, 0 },
                                                     { "n", TDS_TYPE_NUMERIC, 0 },
                                                     { "d", TDS_TYPE_DATETIME, 0 },
                                                     { "g", TDS_TYPE_GUID, 0 },
                                                     { "s", TDS_TYPE_TEXT, 7 } };
        struct tds_value values[5];
        struct server_message message = { .number = 1, .severity = 16 };

        strncpy(message.text, request->text, sizeof message.text - 1);
        for (size_t i = 0; i < 5; i++)
                values[i] =
                        (struct tds_value){ .text = request->parameter_count > i ? request->parameters[i].text
                                                                                 : request->text,
                                            .is_null = request->parameter_count > i && !request->parameters[i].text };
        tds_send_message(session, &message);
        tds_send_columns(session, columns, 5);
        tds_send_row(session, values);
        tds_send_done(session, &(struct tds_done){ .has_count = true, .rows = 1, .more = true });
}

static void serve(struct tds_session *session, int client, bool watched)
{
        for (int i = 0; i < REQUESTS_MAX; i++) {
                struct tds_request request;
                struct error err = ERROR_INIT;
                bool attention = false;
                int r = tds_next(session, &request, &err);

                insist((r < 0) == (err.code != ERR_NONE));
                if (r < 0 || request.kind == TDS_REQUEST_CLOSED) {
                        check_request(&request);
                        tds_request_deinit(&request);
                        return;
                }
                check_request(&request);
                if (request.text) {
                        CLEANUP(fd_closep) int done_fd = eventfd(!watched, EFD_CLOEXEC);

                        answer(session, &request);
                        attention = tds_watch(session, done_fd) == TDS_EVENT_ATTENTION;
                        tds_send_done(session, &(struct tds_done){ .attention = attention });
                }
                tds_request_deinit(&request);
                discard_answers(client);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        uint8_t login[LOGIN_MAX];
        struct tds_session *session;
        struct error err = ERROR_INIT;
        int ends[2];
        int room = 1 << 20;

        if (size == 0 || size > INPUT_MAX || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return 0;
        /* All answers to an input fit. */
        setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        if (data[0] & 1)
                insist(fd_write_full(ends[0], login, make_login(login, (data[0] >> 2) % 4u), NULL) == 0);
        insist(fd_write_full(ends[0], data + 1, size - 1, NULL) == 0);
        shutdown(ends[0], SHUT_WR);
        if (tds_accept(ends[1], &server, &session, &err) == 0) {
                insist(tds_session_login(session)->password == NULL);
                discard_answers(ends[0]);
                serve(session, ends[0], (data[0] & 2) != 0);
                tds_free(session);
        } else {
                insist(!session && err.code != ERR_NONE && err.code != ERR_TIMEOUT);
        }
        close(ends[0]);
        return 0;
}

/* Lengths of packets, so that what is in them is reached. */
void fuzz_repair(uint8_t *data, size_t size)
{
        size_t at = 1;

        while (at + 8 <= size) {
                size_t length = (size_t)(data[at + 2] << 8 | data[at + 3]);

                if (length < 8 || length > size - at) {
                        length = size - at < 32767 ? size - at : 32767;
                        data[at + 2] = (uint8_t)(length >> 8);
                        data[at + 3] = (uint8_t)length;
                }
                at += length;
        }
}

/* ---- seeds ---- */

static void append_headers(void)
{
        static const uint8_t headers[22] = { 22, 0, 0, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 };

        fuzz_seed_append(headers, sizeof headers);
}

static void append_packet(uint8_t type, bool headers, const char *body, size_t size)
{
        uint8_t header[8] = { 0 };

        put_header(header, type, (headers ? 30u : 8u) + size);
        fuzz_seed_append(header, sizeof header);
        if (headers)
                append_headers();
        fuzz_seed_append(body, size);
}

#define APPEND(type, headers, text) append_packet((type), (headers), (text), sizeof(text) - 1)

#define COLLATION       "\x09\x04\xd0\x00\x34"
#define NVARCHAR(chars) "\0\0\xe7\x40\x1f" COLLATION chars

static void make_logins(void)
{
        static const char *const flags[] = { "\0", "\x10" };

        for (size_t i = 0; i < 2; i++) {
                uint8_t login[LOGIN_MAX];
                size_t size = make_login(login, 0);

                fuzz_seed_append(flags[i], 1);
                APPEND(0x12, false, "\0\0\x0b\0\x06\1\0\x11\0\1\xff\x09\0\0\0\0\0\0");
                login[8 + 94] = i == 0 ? 's' : 'x';
                fuzz_seed_append(login, size);
                APPEND(1, true, "q\0");
                fuzz_seed_end();
        }
}

static void make_calls(void)
{
        static const uint8_t flags[] = { 1, 3, 5, 7, 9, 13 };

        for (size_t i = 0; i < sizeof flags; i++) {
                bool headers = (flags[i] >> 2) % 4 != 1;

                fuzz_seed_append(&flags[i], 1);
                APPEND(1, headers, "S\0E\0L\0E\0C\0T\0 \0\x3d\xd8\x00\xde");
                APPEND(3, headers,
                       "\xff\xff\x0a\0\0\0" NVARCHAR("\2\0q\0")
                               NVARCHAR("\6\0@\0a\0,\0") "\0\0\x26\4\4\1\0\0\0"
                                                         "\0\0\x6c\x09\x05\x02\x05\1\5\0\0\0\0\0\x2b\7\x0a\0\0\0\0\0\1"
                                                         "\0\0\x3c\0\0\0\x6f\x08\4\1\0\2\0");
                APPEND(3, headers,
                       "\xff\xff\x0d\0\0\0\0\1\x26\4\0" NVARCHAR("\0\0")
                               NVARCHAR("\2\0q\0") "\xff"
                                                   "\xff\xff\x0c\0\0\0\0\0\x26\4\4\1\0\0\0\xff\xff\xff\x0f\0\0\0\0\0"
                                                   "\x26\4\4\1\0\0\0");
                APPEND(3, headers,
                       "\1\0p\0\0\0\0\0\xe7\xff\xff" COLLATION "\4\0\0\0\0\0\0\0\4\0\0\0a\0b\0\0\0\0\0"
                       "\0\0\xa7\x0a\0" COLLATION "\2\0ab\0\0\x24\x10\x10"
                       "0123456789abcdef\0\0\x63\2\0\0\0" COLLATION "\2\0\0\0n\0");
                APPEND(6, false, "");
                APPEND(14, headers, "\5\0\0\0");
                APPEND(14, headers, "\7\0\0\1\0\0");
                APPEND(7, false, "\x81");
                APPEND(1, headers, "q\0");
                APPEND(6, false, "");
                fuzz_seed_end();
        }
}

void fuzz_make_seeds(void)
{
        make_logins();
        make_calls();
}
