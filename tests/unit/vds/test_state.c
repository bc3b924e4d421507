/*
 * The life-cycle tables, cell by cell. A cell says what a call returns in a state and which state it leads to; the test
 * brings a real pair to the state, calls, and compares both. It does not look at state.c's table.
 */
#include "tests/unit/vds/pair.h"

#include <sched.h>
#include <stdio.h>

#include "core/vds/internal.h"

enum {
        N = STATE_NONE,
        C = STATE_CONNECTED,
        F = STATE_CONFIGURABLE,
        I = STATE_INITIALIZING,
        V = STATE_ACTIVE,
        T = STATE_TERMINATED,
        A = STATE_ABORT
};

struct cell {
        int result;
        int next;
};

/* ---- client ---- */

static struct vds_client_device *device_of_client(struct pair *pair)
{
        return &pair->client->devices[0];
}

static int client_create(struct pair *pair)
{
        return vds_client_create(pair->client, pair->name, &pair->wishes);
}

static int client_get_configuration(struct pair *pair)
{
        struct VDConfig config;

        return vds_client_get_configuration(pair->client, PAIR_WAIT_MS, &config);
}

static int client_open_device(struct pair *pair)
{
        struct vds_client_device *device;

        return vds_client_open_device(pair->client, "set1", &device);
}

/* The one command that is outstanding where commands can be, see to_client_state(). */
static int client_get_command(struct pair *pair)
{
        struct VDC_Command *command;

        return vds_client_device_get_command(device_of_client(pair), PAIR_WAIT_MS, &command);
}

static int client_complete(struct pair *pair)
{
        struct VDC_Command *command;
        int result = vds_client_device_get_command(device_of_client(pair), PAIR_WAIT_MS, &command);

        /* Where there is no command to get, any address does: the state comes first. */
        if (result != NOERROR)
                command = &device_of_client(pair)->slots[0].command;
        return vds_client_device_complete_command(device_of_client(pair), command, ERROR_SUCCESS, 0, 0);
}

static int client_abort(struct pair *pair)
{
        return vds_client_signal_abort(pair->client);
}

static int client_close(struct pair *pair)
{
        return vds_client_close(pair->client);
}

static int client_info(struct pair *pair)
{
        char text[VDS_TEXT_MAX];

        return vds_client_server_info(pair->client, text);
}

static int client_verdict(struct pair *pair)
{
        char text[VDS_TEXT_MAX];
        enum vds_verdict verdict;

        return vds_client_verdict(pair->client, 0, &verdict, text);
}

static int client_open_in_secondary(struct pair *pair)
{
        return vds_client_open_in_secondary(pair->client, "no such set");
}

static int client_get_handle(struct pair *pair)
{
        uint8_t byte = 0;
        uint32_t handle;

        return vds_client_get_buffer_handle(pair->client, &byte, &handle);
}

static int client_map_handle(struct pair *pair)
{
        uint8_t *buffer;

        return vds_client_map_buffer_handle(pair->client, 1, &buffer);
}

static int client_device_name(struct pair *pair)
{
        char name[VDS_NAME_MAX + 1];

        return vds_client_device_name(pair->client, 0, 0, name);
}

static int client_primary_info(struct pair *pair)
{
        char text[VDS_TEXT_MAX];

        return vds_client_primary_info(pair->client, text);
}

/* Columns: NONE, CONFIGURABLE, INITIALIZING, ACTIVE (one of two devices open, a command queued), TERMINATED, ABORT. */
static const int client_states[] = { N, F, I, V, T, A };
enum { CLIENT_STATES = sizeof client_states / sizeof client_states[0] };

#define PROTOCOL(state)              \
        {                            \
                VD_E_PROTOCOL, state \
        }
#define OK(state)              \
        {                      \
                NOERROR, state \
        }
#define ABORTED               \
        {                     \
                VD_E_ABORT, A \
        }

static const struct {
        const char *name;
        int (*call)(struct pair *pair);
        struct cell cells[CLIENT_STATES];
} client_rows[] = {
        { "Create", client_create, { OK(F), PROTOCOL(F), PROTOCOL(I), PROTOCOL(V), PROTOCOL(T), PROTOCOL(A) } },
        { "GetConfiguration", client_get_configuration, { PROTOCOL(N), OK(I), OK(I), OK(V), OK(T), ABORTED } },
        { "OpenDevice", client_open_device, { PROTOCOL(N), PROTOCOL(F), OK(V), OK(V), PROTOCOL(T), ABORTED } },
        { "GetCommand", client_get_command, { PROTOCOL(N), PROTOCOL(F), PROTOCOL(I), OK(V), PROTOCOL(T), ABORTED } },
        { "CompleteCommand", client_complete, { PROTOCOL(N), PROTOCOL(F), PROTOCOL(I), OK(V), PROTOCOL(T), ABORTED } },
        /* There is no such set; but that is not why it is refused where there is one already. */
        { "OpenInSecondary",
          client_open_in_secondary,
          { PROTOCOL(N), PROTOCOL(F), PROTOCOL(I), PROTOCOL(V), PROTOCOL(T), PROTOCOL(A) } },
        { "GetBufferHandle",
          client_get_handle,
          { PROTOCOL(N), PROTOCOL(F), { VD_E_INVALID, I }, { VD_E_INVALID, V }, PROTOCOL(T), ABORTED } },
        { "MapBufferHandle",
          client_map_handle,
          { PROTOCOL(N), PROTOCOL(F), { VD_E_INVALID, I }, { VD_E_INVALID, V }, PROTOCOL(T), ABORTED } },
        { "device name", client_device_name, { PROTOCOL(N), PROTOCOL(F), OK(I), OK(V), OK(T), OK(A) } },
        { "primary info", client_primary_info, { PROTOCOL(N), OK(F), OK(I), OK(V), OK(T), OK(A) } },
        { "SignalAbort", client_abort, { PROTOCOL(N), OK(A), OK(A), OK(A), OK(A), OK(A) } },
        { "Close", client_close, { PROTOCOL(N), OK(N), OK(N), { VD_E_OPEN, N }, OK(N), OK(N) } },
        { "server info", client_info, { PROTOCOL(N), PROTOCOL(F), OK(I), OK(V), OK(T), OK(A) } },
        { "verdict",
          client_verdict,
          { PROTOCOL(N),
            { VD_E_TIMEOUT, F },
            { VD_E_TIMEOUT, I },
            { VD_E_TIMEOUT, V },
            { VD_E_TIMEOUT, T },
            { VD_E_TIMEOUT, A } } },
};

static void expect_close(struct vds_client_device *device)
{
        struct VDC_Command *command;

        assert_int_equal(vds_client_device_get_command(device, PAIR_WAIT_MS, &command), VD_E_CLOSE);
}

static void open_server_devices(struct pair *pair)
{
        assert_int_equal(vds_server_open_device(pair->server, "set", &pair->server_devices[0]), NOERROR);
        assert_int_equal(vds_server_open_device(pair->server, "set1", &pair->server_devices[1]), NOERROR);
}

static void to_client_state(struct pair *pair, int state, struct sent *sent)
{
        struct VDConfig config;

        pair_init(pair, 2);
        if (state == N)
                return;
        pair_begin(pair);
        assert_int_equal(vds_server_end_configuration(pair->server), NOERROR);
        if (state == F)
                return;
        assert_int_equal(vds_client_get_configuration(pair->client, PAIR_WAIT_MS, &config), NOERROR);
        open_server_devices(pair);
        if (state == I)
                return;
        assert_int_equal(vds_client_open_device(pair->client, "set", &pair->client_devices[0]), NOERROR);
        if (state == V) {
                sent_init(sent, VDC_Flush, NULL, 0);
                assert_int_equal(vds_server_device_send_command(pair->server_devices[0], &sent->command), NOERROR);
        }
        if (state == T) {
                assert_int_equal(vds_client_open_device(pair->client, "set1", &pair->client_devices[1]), NOERROR);
                for (int i = 0; i < 2; i++) {
                        assert_int_equal(vds_server_device_close(pair->server_devices[i]), NOERROR);
                        expect_close(pair->client_devices[i]);
                }
        }
        if (state == A)
                assert_int_equal(vds_server_signal_abort(pair->server), NOERROR);
}

static void client_table(void **unused)
{
        (void)unused;
        for (size_t row = 0; row < sizeof client_rows / sizeof client_rows[0]; row++)
                for (int column = 0; column < CLIENT_STATES; column++) {
                        const struct cell *cell = &client_rows[row].cells[column];
                        struct pair pair;
                        struct sent sent;
                        int result;
                        int state;

                        to_client_state(&pair, client_states[column], &sent);
                        result = client_rows[row].call(&pair);
                        /* Asking has this side notice what the other did. */
                        vds_client_abort_reason(pair.client);
                        state = atomic_load(&pair.client->set.state);
                        if (result != cell->result || state != cell->next)
                                fail_msg("%s in state %d: %s -> %d, expected %s -> %d", client_rows[row].name,
                                         client_states[column], vds_result_name(result), state,
                                         vds_result_name(cell->result), cell->next);
                        pair_deinit(&pair);
                }
}

/* ---- server ---- */

static struct sent server_sent;

static int server_open(struct pair *pair)
{
        return vds_server_open(pair->server, pair->name);
}

static int server_get_configuration(struct pair *pair)
{
        struct VDConfig config;

        return vds_server_get_configuration(pair->server, &config);
}

static int server_begin(struct pair *pair)
{
        return vds_server_begin_configuration(pair->server, 0, PAIR_BLOCK, 0, PAIR_TRANSFER, 0);
}

static int server_request(struct pair *pair)
{
        return vds_server_request_buffers(pair->server, PAIR_BLOCK, 0, 1);
}

static int server_query(struct pair *pair)
{
        uint32_t count;

        return vds_server_query_available_buffers(pair->server, PAIR_BLOCK, 0, &count);
}

static int server_end(struct pair *pair)
{
        return vds_server_end_configuration(pair->server);
}

static int server_open_device(struct pair *pair)
{
        struct vds_server_device *device;
        /* In ACTIVE the first is open. */
        const char *name = atomic_load(&pair->server->set.state) == V ? "set1" : "set";

        return vds_server_open_device(pair->server, name, &device);
}

static void *close_soon(void *argument)
{
        struct pair *pair = argument;

        while (!atomic_load(&pair->server->agent_running))
                sched_yield();
        vds_server_close(pair->server);
        return NULL;
}

/* An agent that must wait is ended by Close. */
static int server_agent(struct pair *pair)
{
        int state = vds_server_abort_reason(pair->server) ? A : atomic_load(&pair->server->set.state);
        pthread_t closer;
        int result;

        if (state != I && state != V)
                return vds_server_execute_completion_agent(pair->server);
        pthread_create(&closer, NULL, close_soon, pair);
        result = vds_server_execute_completion_agent(pair->server);
        pthread_join(closer, NULL);
        return result;
}

static int server_allocate(struct pair *pair)
{
        uint8_t *buffer;

        return vds_server_allocate_buffer(pair->server, &buffer, PAIR_BLOCK, 0);
}

static int server_free(struct pair *pair)
{
        /* Where buffers can be had, one was: see to_server_state(). */
        return vds_server_free_buffer(pair->server, (uint8_t *)pair->server_devices[2], PAIR_BLOCK);
}

static int server_send(struct pair *pair)
{
        int result;

        sent_init(&server_sent, VDC_Flush, NULL, 0);
        result = vds_server_device_send_command(&pair->server->devices[0], &server_sent.command);
        /* Refused or not, the callback is somebody's duty; refused, it has run already. */
        assert_int_equal(server_sent.calls, result == NOERROR ? 0 : 1);
        if (result != NOERROR)
                assert_int_equal(server_sent.command.completionCode,
                                 result == VD_E_ABORT ? ERROR_OPERATION_ABORTED : ERROR_INVALID_HANDLE);
        return result;
}

static int server_close_device(struct pair *pair)
{
        return vds_server_device_close(&pair->server->devices[0]);
}

static int server_abort(struct pair *pair)
{
        return vds_server_signal_abort(pair->server);
}

static int server_close(struct pair *pair)
{
        return vds_server_close(pair->server);
}

static int server_info(struct pair *pair)
{
        return vds_server_set_info(pair->server, "x");
}

static int server_verdict(struct pair *pair)
{
        return vds_server_set_verdict(pair->server, VDS_VERDICT_FAILED, "x");
}

/* Columns: NONE, CONNECTED, CONFIGURABLE, INITIALIZING, ACTIVE (one of two devices open), TERMINATED, ABORT. */
static const int server_states[] = { N, C, F, I, V, T, A };
enum { SERVER_STATES = sizeof server_states / sizeof server_states[0] };

static const struct {
        const char *name;
        int (*call)(struct pair *pair);
        struct cell cells[SERVER_STATES];
} server_rows[] = {
        { "Open",
          server_open,
          { OK(C), PROTOCOL(C), PROTOCOL(F), PROTOCOL(I), PROTOCOL(V), PROTOCOL(T), PROTOCOL(A) } },
        { "GetConfiguration", server_get_configuration, { PROTOCOL(N), OK(C), OK(F), OK(I), OK(V), OK(T), ABORTED } },
        { "BeginConfiguration",
          server_begin,
          { PROTOCOL(N), OK(F), PROTOCOL(F), PROTOCOL(I), PROTOCOL(V), PROTOCOL(T), ABORTED } },
        { "RequestBuffers", server_request, { PROTOCOL(N), PROTOCOL(C), OK(F), OK(I), OK(V), PROTOCOL(T), ABORTED } },
        { "QueryAvailableBuffers",
          server_query,
          { PROTOCOL(N), PROTOCOL(C), OK(F), OK(I), OK(V), PROTOCOL(T), ABORTED } },
        { "EndConfiguration",
          server_end,
          { PROTOCOL(N), PROTOCOL(C), OK(I), PROTOCOL(I), PROTOCOL(V), PROTOCOL(T), ABORTED } },
        { "OpenDevice",
          server_open_device,
          { PROTOCOL(N), PROTOCOL(C), PROTOCOL(F), OK(V), OK(V), PROTOCOL(T), ABORTED } },
        /* Ended by Close where it waits, so the state is NONE then. */
        { "ExecuteCompletionAgent",
          server_agent,
          { PROTOCOL(N), PROTOCOL(C), PROTOCOL(F), OK(N), OK(N), OK(T), ABORTED } },
        { "AllocateBuffer",
          server_allocate,
          { PROTOCOL(N), PROTOCOL(C), PROTOCOL(F), OK(I), OK(V), PROTOCOL(T), ABORTED } },
        { "FreeBuffer", server_free, { PROTOCOL(N), PROTOCOL(C), PROTOCOL(F), OK(I), OK(V), OK(T), OK(A) } },
        { "SendCommand",
          server_send,
          { PROTOCOL(N), PROTOCOL(C), PROTOCOL(F), PROTOCOL(I), OK(V), PROTOCOL(T), ABORTED } },
        { "CloseDevice",
          server_close_device,
          { PROTOCOL(N), PROTOCOL(C), PROTOCOL(F), PROTOCOL(I), OK(V), { VD_E_CLOSE, T }, ABORTED } },
        { "SignalAbort", server_abort, { PROTOCOL(N), OK(A), OK(A), OK(A), OK(A), OK(A), OK(A) } },
        { "Close", server_close, { PROTOCOL(N), OK(N), OK(N), OK(N), PROTOCOL(N), OK(N), OK(N) } },
        { "set info", server_info, { PROTOCOL(N), OK(C), OK(F), PROTOCOL(I), PROTOCOL(V), PROTOCOL(T), ABORTED } },
        { "set verdict", server_verdict, { PROTOCOL(N), OK(C), OK(F), OK(I), OK(V), OK(T), OK(A) } },
};

static void to_server_state(struct pair *pair, int state)
{
        uint8_t *buffer;

        pair_init(pair, 2);
        pair_create(pair);
        if (state == N)
                return;
        assert_int_equal(vds_server_open(pair->server, pair->name), NOERROR);
        if (state == C)
                return;
        assert_int_equal(server_begin(pair), NOERROR);
        assert_int_equal(vds_server_request_buffers(pair->server, PAIR_TRANSFER, 0, 4), NOERROR);
        if (state == F)
                return;
        assert_int_equal(vds_server_end_configuration(pair->server), NOERROR);
        assert_int_equal(vds_server_allocate_buffer(pair->server, &buffer, PAIR_BLOCK, 0), NOERROR);
        pair->server_devices[2] = (struct vds_server_device *)(void *)buffer;
        if (state == I)
                return;
        assert_int_equal(vds_server_open_device(pair->server, "set", &pair->server_devices[0]), NOERROR);
        if (state == T) {
                assert_int_equal(vds_server_open_device(pair->server, "set1", &pair->server_devices[1]), NOERROR);
                assert_int_equal(vds_server_device_close(pair->server_devices[0]), NOERROR);
                assert_int_equal(vds_server_device_close(pair->server_devices[1]), NOERROR);
        }
        if (state == A)
                assert_int_equal(vds_client_signal_abort(pair->client), NOERROR);
}

static void server_table(void **unused)
{
        (void)unused;
        for (size_t row = 0; row < sizeof server_rows / sizeof server_rows[0]; row++)
                for (int column = 0; column < SERVER_STATES; column++) {
                        const struct cell *cell = &server_rows[row].cells[column];
                        struct pair pair;
                        int result;
                        int state;

                        to_server_state(&pair, server_states[column]);
                        result = server_rows[row].call(&pair);
                        vds_server_abort_reason(pair.server);
                        state = atomic_load(&pair.server->set.state);
                        if (result != cell->result || state != cell->next)
                                fail_msg("%s in state %d: %s -> %d, expected %s -> %d", server_rows[row].name,
                                         server_states[column], vds_result_name(result), state,
                                         vds_result_name(cell->result), cell->next);
                        pair_deinit(&pair);
                }
}

/* ---- what a table of states cannot say ---- */

static void the_last_open_device_is_told_from_one_more(void **unused)
{
        struct vds_client_device *device;
        struct vds_server_device *server_device;
        struct pair pair;

        (void)unused;
        pair_init(&pair, 2);
        pair_configure(&pair);
        assert_int_equal(vds_server_open_device(pair.server, "other", &server_device), VD_E_INVALID);
        assert_int_equal(vds_client_open_device(pair.client, "set", &device), NOERROR);
        assert_int_equal(vds_client_open_device(pair.client, "set", &device), VD_E_PROTOCOL);
        assert_null(device);
        open_server_devices(&pair);
        assert_int_equal(vds_server_open_device(pair.server, "set2", &server_device), VD_E_OPEN);
        assert_int_equal(vds_client_open_device(pair.client, "nobody", &device), VD_E_INVALID);
        assert_int_equal(vds_client_open_device(pair.client, "set1", &device), NOERROR);
        assert_int_equal(vds_client_open_device(pair.client, "set1", &device), VD_E_OPEN);
        pair_deinit(&pair);
}

static void a_closed_device_says_so_until_all_are(void **unused)
{
        struct VDC_Command *command;
        struct pair pair;

        (void)unused;
        pair_init(&pair, 2);
        pair_open_devices(&pair);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), VD_E_CLOSE);
        expect_close(pair.client_devices[0]);
        expect_close(pair.client_devices[0]);
        assert_int_equal(vds_server_device_close(pair.server_devices[1]), NOERROR);
        expect_close(pair.client_devices[1]);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], 0, &command), VD_E_PROTOCOL);
        pair_deinit(&pair);
}

static void a_handle_serves_one_set_after_another(void **unused)
{
        struct pair pair;

        (void)unused;
        pair_init(&pair, 1);
        for (int i = 0; i < 3; i++) {
                pair_open_devices(&pair);
                pair_start_agent(&pair);
                assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
                expect_close(pair.client_devices[0]);
                pair_join_agent(&pair);
                assert_int_equal(vds_client_close(pair.client), NOERROR);
                assert_int_equal(vds_server_close(pair.server), NOERROR);
                assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_NONE);
                assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_NONE);
        }
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(client_table),
                cmocka_unit_test(server_table),
                cmocka_unit_test(the_last_open_device_is_told_from_one_more),
                cmocka_unit_test(a_closed_device_says_so_until_all_are),
                cmocka_unit_test(a_handle_serves_one_set_after_another),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
