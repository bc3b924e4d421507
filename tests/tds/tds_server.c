/*
 * A server that speaks TDS and nothing else: fixed answers to batches of one word and its arguments. Prints the port
 * that it listens on, serves connections until its input ends, and prints one line on each as it ends.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/tds/tds.h"

enum { CONNECTIONS_MAX = 256, ROWS_OF_A_FLOOD = 100000000 };

static int64_t login_timeout_ms = 5000;

/* One request's answer, which a thread of its own gives. */
struct answer {
        struct tds_session *session;
        const struct tds_request *request;
        int done_fd;
        int stop_fd; /* readable: cancelled */
};

static bool stopped(const struct answer *answer, int wait_ms)
{
        struct pollfd polled = { .fd = answer->stop_fd, .events = POLLIN };

        return poll(&polled, 1, wait_ms) > 0;
}

static void message(struct tds_session *session, int number, int severity, int state, uint32_t line, const char *text)
{
        struct server_message made = { .number = number, .severity = severity, .state = state, .line = line };

        snprintf(made.text, sizeof made.text, "%s", text);
        tds_send_message(session, &made);
}

static void done(struct tds_session *session, bool has_count, uint64_t rows)
{
        tds_send_done(session, &(struct tds_done){ .has_count = has_count, .rows = rows });
}

static void one_text(struct tds_session *session, const char *text, uint16_t length)
{
        static const char name[] = "text";

        tds_send_columns(session, &(struct tds_column){ .name = name, .type = TDS_TYPE_TEXT, .length = length }, 1);
        tds_send_row(session, &(struct tds_value){ .text = text });
        done(session, true, 1);
}

static void answer_types(const struct answer *answer, const char *arguments)
{
        static const struct tds_column columns[] = {
                { "i", TDS_TYPE_INT, 0 },      { "b", TDS_TYPE_BIGINT, 0 },  { "f", TDS_TYPE_BIT, 0 },
                { "t", TDS_TYPE_TEXT, 0 },     { "n", TDS_TYPE_NUMERIC, 0 }, { "r", TDS_TYPE_REAL, 0 },
                { "d", TDS_TYPE_DATETIME, 0 }, { "g", TDS_TYPE_GUID, 0 },    { "s", TDS_TYPE_TEXT, 20 },
        };
        enum { COUNT = sizeof columns / sizeof columns[0] };
        static const struct tds_value rows[][COUNT] = {
                { { .number = 2147483647 },
                  { .number = INT64_MAX },
                  { .number = 1 },
                  { .text = "gr\u00fc\u00df \U0001f600" },
                  { .text = "9999999999999999999999999" },
                  { .real = 37.5 },
                  { .text = "2026-11-21 14:05:06.123" },
                  { .text = "0E984725-C51C-4BF4-9960-E1C80E27ABA0" },
                  { .text = "short" } },
                { { .number = INT32_MIN },
                  { .number = INT64_MIN },
                  { .number = 0 },
                  { .text = "" },
                  { .text = "-42" },
                  { .real = -0.25 },
                  { .text = "1753-01-01 00:00:00" },
                  { .text = "00000000-0000-0000-0000-000000000001" },
                  { .text = "" } },
                { { .is_null = true },
                  { .is_null = true },
                  { .is_null = true },
                  { .is_null = true },
                  { .is_null = true },
                  { .is_null = true },
                  { .is_null = true },
                  { .is_null = true },
                  { .is_null = true } },
        };

        (void)arguments;
        tds_send_columns(answer->session, columns, COUNT);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                tds_send_row(answer->session, rows[i]);
        done(answer->session, true, sizeof rows / sizeof rows[0]);
}

/* NUMBER SEVERITY STATE LINE TEXT */
static void answer_raise(const struct answer *answer, const char *arguments)
{
        unsigned line = 0;
        int number = 0;
        int severity = 0;
        int state = 0;
        int at = 0;

        sscanf(arguments, "%d %d %d %u %n", &number, &severity, &state, &line, &at);
        message(answer->session, number, severity, state, line, arguments + at);
        tds_send_done(answer->session, &(struct tds_done){ .error = severity > 10 });
}

/* Information, rows, information, more rows. */
static void answer_mixed(const struct answer *answer, const char *arguments)
{
        static const struct tds_column column = { .name = "", .type = TDS_TYPE_INT };

        (void)arguments;
        for (int i = 1; i <= 2; i++) {
                message(answer->session, 3211, 0, 1, 1, i == 1 ? "50 percent processed." : "100 percent processed.");
                tds_send_columns(answer->session, &column, 1);
                tds_send_row(answer->session, &(struct tds_value){ .number = i });
                tds_send_done(answer->session, &(struct tds_done){ .has_count = true, .rows = 1, .more = true });
        }
        message(answer->session, 3014, 0, 1, 1, "BACKUP DATABASE successfully processed 1 pages.");
        done(answer->session, false, 0);
}

static void answer_echo(const struct answer *answer, const char *arguments)
{
        one_text(answer->session, arguments, 0);
}

static void answer_short(const struct answer *answer, const char *arguments)
{
        one_text(answer->session, arguments, 10);
}

/* COUNT: a text of so many characters, each its place modulo 10. */
static void answer_long(const struct answer *answer, const char *arguments)
{
        size_t count = strtoul(arguments, NULL, 10);
        CLEANUP(freep) char *text = malloc(count + 1);

        if (!text)
                abort();
        for (size_t i = 0; i < count; i++)
                text[i] = (char)('0' + i % 10);
        text[count] = '\0';
        one_text(answer->session, text, 0);
}

static void answer_use(const struct answer *answer, const char *arguments)
{
        tds_send_database(answer->session, arguments);
        done(answer->session, false, 0);
}

/* Says so, and then nothing until it is cancelled. */
static void answer_hang(const struct answer *answer, const char *arguments)
{
        (void)arguments;
        message(answer->session, 50000, 0, 1, 1, "hanging");
        stopped(answer, -1);
}

/* Nothing at all until it is cancelled. */
static void answer_silent(const struct answer *answer, const char *arguments)
{
        (void)arguments;
        stopped(answer, -1);
}

/* Rows without end. */
static void answer_flood(const struct answer *answer, const char *arguments)
{
        static const struct tds_column column = { .name = "n", .type = TDS_TYPE_INT };

        (void)arguments;
        tds_send_columns(answer->session, &column, 1);
        for (int i = 0; i < ROWS_OF_A_FLOOD && !stopped(answer, 0); i++)
                if (tds_send_row(answer->session, &(struct tds_value){ .number = i }) < 0)
                        return;
}

static void answer_die(const struct answer *answer, const char *arguments)
{
        (void)arguments;
        tds_break(answer->session);
}

static void answer_parameters(const struct answer *answer, const char *arguments)
{
        static const struct tds_column columns[] = { { "name", TDS_TYPE_TEXT, 128 }, { "text", TDS_TYPE_TEXT, 0 } };
        const struct tds_request *request = answer->request;

        (void)arguments;
        tds_send_columns(answer->session, columns, 2);
        for (size_t i = 0; i < request->parameter_count; i++) {
                const struct tds_parameter *parameter = &request->parameters[i];
                const struct tds_value values[] = { { .text = parameter->name },
                                                    { .text = parameter->text, .is_null = !parameter->text } };

                tds_send_row(answer->session, values);
        }
        done(answer->session, true, request->parameter_count);
}

static void answer_login(const struct answer *answer, const char *arguments)
{
        static const struct tds_column columns[] = {
                { "user", TDS_TYPE_TEXT, 128 },
                { "password", TDS_TYPE_TEXT, 128 },
                { "application", TDS_TYPE_TEXT, 128 },
                { "database", TDS_TYPE_TEXT, 128 },
        };
        const struct tds_login *login = tds_session_login(answer->session);
        const struct tds_value values[] = { { .text = login->user },
                                            { .text = login->password, .is_null = !login->password },
                                            { .text = login->application },
                                            { .text = login->database } };

        (void)arguments;
        tds_send_columns(answer->session, columns, 4);
        tds_send_row(answer->session, values);
        done(answer->session, true, 1);
}

static void answer_set(const struct answer *answer, const char *arguments)
{
        (void)arguments;
        done(answer->session, false, 0);
}

static const struct word {
        const char *word;
        void (*answer)(const struct answer *answer, const char *arguments);
} words[] = {
        { "types", answer_types }, { "raise", answer_raise }, { "mixed", answer_mixed },
        { "echo", answer_echo },   { "short", answer_short }, { "long", answer_long },
        { "use", answer_use },     { "hang", answer_hang },   { "silent", answer_silent },
        { "flood", answer_flood }, { "die", answer_die },     { "login", answer_login },
        { "set", answer_set },     { "SET", answer_set },     { "parameters", answer_parameters },
};

static void answer_words(const struct answer *answer)
{
        char *text = answer->request->text;
        size_t length = strcspn(text, " \n");

        for (size_t end = strlen(text); end > 0 && (text[end - 1] == '\n' || text[end - 1] == ' '); end--)
                text[end - 1] = '\0';
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
                if (strlen(words[i].word) == length && strncmp(words[i].word, text, length) == 0) {
                        words[i].answer(answer, text[length] ? text + length + 1 : "");
                        return;
                }
        }
        message(answer->session, 2812, 16, 62, 1, text);
        tds_send_done(answer->session, &(struct tds_done){ .error = true });
}

static void *answer_thread(void *context)
{
        struct answer *answer = context;
        static const uint64_t one = 1;

        if (answer->request->kind == TDS_REQUEST_RPC && strcmp(answer->request->text, "parameters") != 0) {
                message(answer->session, 2812, 16, 62, 1, "Could not find stored procedure.");
                tds_send_done(answer->session, &(struct tds_done){ .error = true });
        } else {
                answer_words(answer);
        }
        if (write(answer->done_fd, &one, sizeof one) < 0)
                abort();
        return NULL;
}

static const char *serve_request(struct tds_session *session, const struct tds_request *request)
{
        CLEANUP(fd_closep) int done_fd = eventfd(0, EFD_CLOEXEC);
        CLEANUP(fd_closep) int stop_fd = eventfd(0, EFD_CLOEXEC);
        struct answer answer = { .session = session, .request = request, .done_fd = done_fd, .stop_fd = stop_fd };
        static const uint64_t one = 1;
        enum tds_event event;
        pthread_t thread;

        if (pthread_create(&thread, NULL, answer_thread, &answer) != 0)
                abort();
        event = tds_watch(session, done_fd);
        if (write(stop_fd, &one, sizeof one) < 0)
                abort();
        pthread_join(thread, NULL);
        if (event == TDS_EVENT_ATTENTION)
                tds_send_done(session, &(struct tds_done){ .attention = true });
        return event == TDS_EVENT_CLOSED ? "vanished" : event == TDS_EVENT_ATTENTION ? "cancelled" : NULL;
}

static int authenticate(const struct tds_login *login, struct server_message *refusal, void *context)
{
        (void)refusal;
        (void)context;
        return strcmp(login->user, "sa") == 0 && strcmp(login->password, "S\u00e4cret1") == 0 ? 0 : -1;
}

static void *connection_thread(void *context)
{
        static const struct tds_server server = {
                .name = "STANDIN",
                .program = "Microsoft SQL Server",
                .version = 0x0f0007d0,
                .authenticate = authenticate,
                .session_id = 51,
        };
        struct tds_server own = server;
        struct error err = ERROR_INIT;
        struct tds_session *session;
        struct tds_request request;
        int fd = (int)(intptr_t)context;
        bool open = true;

        own.login_timeout_ms = login_timeout_ms;
        if (tds_accept(fd, &own, &session, &err) < 0) {
                printf("refused: %s\n", err.message);
                return NULL;
        }
        while (open) {
                const char *end = NULL;

                if (tds_next(session, &request, &err) < 0) {
                        printf("failed: %s\n", err.message);
                        open = false;
                } else if (request.kind == TDS_REQUEST_CLOSED) {
                        printf("closed\n");
                        open = false;
                } else if (request.kind == TDS_REQUEST_CANCEL) {
                        printf("cancelled when idle\n");
                } else {
                        end = serve_request(session, &request);
                        if (end)
                                printf("%s\n", end);
                }
                tds_request_deinit(&request);
        }
        tds_free(session);
        return NULL;
}

static void serve(int listener)
{
        struct pollfd polled[] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .fd = listener, .events = POLLIN } };
        static pthread_t threads[CONNECTIONS_MAX];
        size_t count = 0;

        while (poll(polled, 2, -1) >= 0 && !polled[0].revents && count < CONNECTIONS_MAX) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

                if (fd < 0 || pthread_create(&threads[count++], NULL, connection_thread, (void *)(intptr_t)fd) != 0)
                        abort();
        }
        for (size_t i = 0; i < count; i++)
                pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
        CLEANUP(fd_closep) int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof address;

        if (argc > 1)
                login_timeout_ms = strtoll(argv[1], NULL, 10);
        setvbuf(stdout, NULL, _IOLBF, 0);
        if (bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 16) < 0 ||
            getsockname(listener, (struct sockaddr *)&address, &size) < 0) {
                perror("tds_server");
                return 1;
        }
        printf("%d\n", ntohs(address.sin_port));
        serve(listener);
        return 0;
}
