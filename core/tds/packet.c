#include "core/tds/packet.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "core/base/cleanup.h"

enum {
        TDS_HEADER = 8,
        LOGIN_MESSAGE_MAX = (128 << 10) - 1, /* bytes, as the protocol has it */
        LINGER_MS = 1000,                    /* until the refused client has read why */
};

void tds_message_free(struct tds_message *message)
{
        if (!message)
                return;
        /* A login carries a password. */
        if (message->body)
                explicit_bzero(message->body, message->size);
        free(message->body);
        free(message);
}

/* Forgets all messages, complete or not. */
static void input_drop(struct tds_connection *connection)
{
        struct tds_message *message;

        tds_message_free(take_ptr(&connection->input.partial));
        while ((message = tds_input_take(connection)))
                tds_message_free(message);
}

int tds_connection_init(struct tds_connection *connection, int fd, uint16_t session_id, struct deadline deadline)
{
        int on = 1;

        connection->fd = fd;
        connection->session_id = session_id;
        connection->deadline = deadline;
        connection->input.limit = LOGIN_MESSAGE_MAX;
        connection->output.packet_size = TDS_PACKET_DEFAULT;
        connection->output.size = TDS_HEADER;
        connection->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        /* Not every connection is TCP. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return connection->wake_fd < 0 ? -1 : 0;
}

void tds_connection_deinit(struct tds_connection *connection)
{
        input_drop(connection);
        fd_closep(&connection->fd);
        fd_closep(&connection->wake_fd);
}

void tds_connection_open(struct tds_connection *connection)
{
        connection->deadline = DEADLINE_NEVER;
        connection->input.limit = TDS_REQUEST_MAX;
}

void tds_connection_shutdown(struct tds_connection *connection)
{
        atomic_store(&connection->ended, true);
        /* Can only fail when the counter is full, and then it is readable already. */
        (void)eventfd_write(connection->wake_fd, 1);
}

bool tds_input_has_room(const struct tds_connection *connection)
{
        const struct tds_input *input = &connection->input;
        size_t bytes = 0;

        for (size_t i = 0; i < input->count; i++)
                bytes += input->queue[i]->size;
        return input->count < TDS_QUEUE_MAX && bytes <= TDS_REQUEST_MAX;
}

struct tds_message *tds_input_take(struct tds_connection *connection)
{
        struct tds_input *input = &connection->input;
        struct tds_message *oldest = input->queue[0];

        if (input->count == 0)
                return NULL;
        input->count--;
        memmove(input->queue, input->queue + 1, input->count * sizeof(struct tds_message *));
        return oldest;
}

static size_t packet_length(const uint8_t *packet)
{
        return (size_t)(packet[2] << 8 | packet[3]);
}

/* What else than TDS 7 may begin a connection, so that the reason is told rather than a number. */
static int packet_refuse_first(uint8_t type, struct error *err)
{
        if (type == TDS_PACKET_TLS)
                return error_raise(
                        err, ERR_PROTOCOL,
                        "TDS client wants encryption from the first byte (TDS 8.0), which is not offered here: "
                        "let it connect with encryption off");
        if (type == TDS_PACKET_OLD_LOGIN)
                return error_raise(err, ERR_PROTOCOL,
                                   "TDS client logs in with a version before 7, which is not spoken here: set its TDS "
                                   "version to 7.4");
        return error_raise(err, ERR_PROTOCOL, "TDS client begins with a packet of type 0x%02x, which is no login",
                           type);
}

static bool packet_may_come(const struct tds_connection *connection, uint8_t type)
{
        if (connection->version == 0)
                return type == TDS_PACKET_PRELOGIN || type == TDS_PACKET_LOGIN7;
        return type == TDS_PACKET_BATCH || type == TDS_PACKET_RPC || type == TDS_PACKET_ATTENTION ||
               type == TDS_PACKET_BULK || type == TDS_PACKET_TRANSACTION;
}

static int packet_check_header(const struct tds_connection *connection, struct error *err)
{
        const struct tds_input *input = &connection->input;
        uint8_t type = input->packet[0];
        size_t length = packet_length(input->packet);

        if (!packet_may_come(connection, type)) {
                if (connection->version == 0)
                        return packet_refuse_first(type, err);
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a packet of type 0x%02x, which is no request",
                                   type);
        }
        if (length < TDS_HEADER || length > TDS_PACKET_MAX)
                return error_raise(err, ERR_PROTOCOL,
                                   "TDS client sent a packet of %zu bytes, where %d to %d are allowed", length,
                                   TDS_HEADER, TDS_PACKET_MAX);
        if (input->partial && type != input->partial->type && type != TDS_PACKET_ATTENTION)
                return error_raise(err, ERR_PROTOCOL,
                                   "TDS client mixed packets of type 0x%02x into a message of type 0x%02x", type,
                                   input->partial->type);
        return 0;
}

static int message_grow(struct tds_message *message, size_t size, size_t limit, struct error *err)
{
        size_t room = message->room > 0 ? message->room : 512;
        uint8_t *body;

        if (message->size + size > limit)
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a message of more than %zu bytes", limit);
        while (room < message->size + size)
                room *= 2;
        if (room == message->room)
                return 0;
        body = malloc(room);
        if (!body)
                return error_no_memory(err);
        if (message->size > 0) {
                memcpy(body, message->body, message->size);
                explicit_bzero(message->body, message->size);
        }
        free(message->body);
        message->body = body;
        message->room = room;
        return 0;
}

static enum tds_input_event input_finish_packet(struct tds_connection *connection, struct error *err)
{
        struct tds_input *input = &connection->input;
        uint8_t status = input->packet[1];
        size_t size = packet_length(input->packet) - TDS_HEADER;

        input->have = 0;
        if (input->packet[0] == TDS_PACKET_ATTENTION) {
                input_drop(connection);
                return TDS_INPUT_ATTENTION;
        }
        if (!input->partial) {
                input->partial = calloc(1, sizeof *input->partial);
                if (!input->partial) {
                        error_no_memory(err);
                        return TDS_INPUT_FAILED;
                }
                input->partial->type = input->packet[0];
                input->partial->status = status;
        }
        if (message_grow(input->partial, size, input->limit, err) < 0)
                return TDS_INPUT_FAILED;
        memcpy(input->partial->body + input->partial->size, input->packet + TDS_HEADER, size);
        input->partial->size += size;
        if (connection->version == 0)
                explicit_bzero(input->packet + TDS_HEADER, size);
        if (!(status & TDS_STATUS_END))
                return TDS_INPUT_NOTHING;
        input->partial->status |= status & TDS_STATUS_IGNORE;
        input->queue[input->count++] = take_ptr(&input->partial);
        return TDS_INPUT_MESSAGE;
}

static size_t input_wanted(const struct tds_input *input)
{
        return input->have < TDS_HEADER ? TDS_HEADER : packet_length(input->packet);
}

enum tds_input_event tds_input_step(struct tds_connection *connection, struct error *err)
{
        struct tds_input *input = &connection->input;

        for (;;) {
                ssize_t n = recv(connection->fd, input->packet + input->have, input_wanted(input) - input->have,
                                 MSG_DONTWAIT);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                        return TDS_INPUT_NOTHING;
                if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
                        return TDS_INPUT_CLOSED;
                if (n < 0) {
                        error_raise_errno(err, errno, "cannot receive from a TDS client");
                        return TDS_INPUT_FAILED;
                }
                input->have += (size_t)n;
                if (input->have == TDS_HEADER && packet_check_header(connection, err) < 0)
                        return TDS_INPUT_FAILED;
                /* Packets may come without an end: after each the caller looks for what else has happened. */
                if (input->have >= TDS_HEADER && input->have == input_wanted(input))
                        return input_finish_packet(connection, err);
        }
}

enum tds_wait_result tds_wait(struct tds_connection *connection, short events, int other_fd)
{
        struct pollfd polled[] = {
                { .fd = connection->wake_fd, .events = POLLIN },
                { .fd = other_fd, .events = POLLIN },
                { .fd = connection->fd, .events = events },
        };

        for (;;) {
                int n = poll(polled, sizeof polled / sizeof polled[0], deadline_left_ms(connection->deadline));

                if (atomic_load(&connection->ended) || polled[0].revents)
                        return TDS_WAIT_ENDED;
                if (n < 0 && errno != EINTR && errno != EAGAIN)
                        return TDS_WAIT_ENDED;
                if (n == 0 || deadline_passed(connection->deadline))
                        return TDS_WAIT_PASSED;
                if (n > 0)
                        return polled[1].revents ? TDS_WAIT_OTHER : TDS_WAIT_READY;
        }
}

enum tds_input_event tds_input_await(struct tds_connection *connection, struct error *err)
{
        for (;;) {
                enum tds_input_event event = tds_input_step(connection, err);
                enum tds_wait_result waited;

                if (event != TDS_INPUT_NOTHING)
                        return event;
                waited = tds_wait(connection, POLLIN, -1);
                if (waited != TDS_WAIT_READY)
                        return waited == TDS_WAIT_PASSED ? TDS_INPUT_PASSED : TDS_INPUT_ENDED;
        }
}

static void output_send(struct tds_connection *connection, size_t size)
{
        size_t sent = 0;

        while (sent < size && !atomic_load(&connection->ended)) {
                ssize_t n = send(connection->fd, connection->output.packet + sent, size - sent,
                                 MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n > 0)
                        sent += (size_t)n;
                else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
                        if (tds_wait(connection, POLLOUT, -1) != TDS_WAIT_READY)
                                tds_connection_shutdown(connection);
                } else if (n == 0 || errno != EINTR)
                        tds_connection_shutdown(connection);
        }
}

void tds_output_flush(struct tds_connection *connection, bool end)
{
        struct tds_output *output = &connection->output;

        if (output->size == TDS_HEADER && !end)
                return;
        output->packet[0] = TDS_PACKET_ANSWER;
        output->packet[1] = end ? TDS_STATUS_END : 0;
        output->packet[2] = (uint8_t)(output->size >> 8);
        output->packet[3] = (uint8_t)output->size;
        output->packet[4] = (uint8_t)(connection->session_id >> 8);
        output->packet[5] = (uint8_t)connection->session_id;
        output->packet[6] = ++output->id;
        output->packet[7] = 0;
        output_send(connection, output->size);
        output->size = TDS_HEADER;
        if (end)
                output->id = 0;
}

void tds_output_bytes(struct tds_connection *connection, const void *bytes, size_t size)
{
        struct tds_output *output = &connection->output;
        const uint8_t *at = bytes;

        while (size > 0 && !atomic_load(&connection->ended)) {
                size_t step;

                if (output->size == output->packet_size)
                        tds_output_flush(connection, /* end= */ false);
                step = output->packet_size - output->size;
                if (step > size)
                        step = size;
                memcpy(output->packet + output->size, at, step);
                output->size += step;
                at += step;
                size -= step;
        }
}

void tds_output_token(struct tds_connection *connection, const struct tds_token *token)
{
        if (token->bad)
                tds_connection_shutdown(connection);
        tds_output_bytes(connection, token->bytes, token->size);
}

int tds_output_result(const struct tds_connection *connection)
{
        return atomic_load(&connection->ended) ? -1 : 0;
}

void tds_connection_linger(struct tds_connection *connection)
{
        connection->deadline = deadline_earlier(connection->deadline, deadline_after_ms(LINGER_MS));
        shutdown(connection->fd, SHUT_WR);
        while (!deadline_passed(connection->deadline)) {
                ssize_t n =
                        recv(connection->fd, connection->input.packet, sizeof connection->input.packet, MSG_DONTWAIT);

                if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
                        return;
                if (n < 0 && tds_wait(connection, POLLIN, -1) != TDS_WAIT_READY)
                        return;
        }
}
