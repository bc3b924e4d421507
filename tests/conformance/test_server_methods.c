/*
 * The server's methods: the transition table of the reference (2.3) cell by cell, and the tables of return codes
 * (5.1 to 5.15) row by row.
 */
#include "tests/conformance/stage.h"

enum {
        DNE = STATE_NONE,
        CON = STATE_CONNECTED,
        CFG = STATE_CONFIGURABLE,
        INI = STATE_INITIALIZING,
        ACT = STATE_ACTIVE,
        TRM = STATE_TERMINATED,
        ABT = STATE_ABORT,
};

/* What a call returns, and the state it leads to. */
struct cell {
        int result;
        int next;
};

struct row {
        const char *method; /* more than the name where a method has several rows */
        struct call_request request;
        struct cell cells[STATE_COUNT];
};

/* clang-format off */
#define P(state)         { VD_E_PROTOCOL, state }
#define OK(state)        { NOERROR, state }
#define R(result, state) { VD_E_##result, state }
#define IS(truth, state) { truth, state }
#define CELLS(dne, con, cfg, ini, act, trm, abt) \
        { [DNE] = dne, [CON] = con, [CFG] = cfg, [INI] = ini, [ACT] = act, [TRM] = trm, [ABT] = abt }
#define BEGINNING .block_size = STAGE_BLOCK, .size = STAGE_TRANSFER

/* ---- the transition table ---- */

/*
 * From Initializing on, a buffer is allocated. Active: one of two devices is open at both ends, and one command is
 * outstanding. Abort: the client aborted an active set. A row that would wait, ExecuteCompletionAgent in Initializing
 * and Active, has a test of its own.
 */
static const struct row server_table[] = {
        { "Open", { .op = OP_OPEN },
          CELLS(OK(CON), P(CON), P(CFG), P(INI), P(ACT), P(TRM), P(ABT)) },
        { "GetConfiguration", { .op = OP_GET_CONFIGURATION },
          CELLS(P(DNE), OK(CON), OK(CFG), OK(INI), OK(ACT), OK(TRM), R(ABORT, ABT)) },
        { "BeginConfiguration", { .op = OP_BEGIN_CONFIGURATION, BEGINNING },
          CELLS(P(DNE), OK(CFG), P(CFG), P(INI), P(ACT), P(TRM), R(ABORT, ABT)) },
        { "RequestBuffers", { .op = OP_REQUEST_BUFFERS, .size = STAGE_BLOCK, .count = 1 },
          CELLS(P(DNE), P(CON), OK(CFG), OK(INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "QueryAvailableBuffers", { .op = OP_QUERY_AVAILABLE_BUFFERS, .size = STAGE_BLOCK },
          CELLS(P(DNE), P(CON), OK(CFG), OK(INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "EndConfiguration", { .op = OP_END_CONFIGURATION },
          CELLS(P(DNE), P(CON), OK(INI), P(INI), P(ACT), P(TRM), R(ABORT, ABT)) },
        { "OpenDevice, the first", { .op = OP_OPEN_DEVICE },
          CELLS(P(DNE), P(CON), P(CFG), OK(ACT), R(INVALID, ACT), P(TRM), R(ABORT, ABT)) },
        { "OpenDevice, the second", { .op = OP_OPEN_DEVICE, .device = 1 },
          CELLS(P(DNE), P(CON), P(CFG), R(INVALID, INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "ExecuteCompletionAgent", { .op = OP_EXECUTE_COMPLETION_AGENT },
          CELLS(P(DNE), P(CON), P(CFG), { 0 }, { 0 }, OK(TRM), R(ABORT, ABT)) },
        { "AllocateBuffer", { .op = OP_ALLOCATE_BUFFER, .buffer = 2, .size = STAGE_BLOCK },
          CELLS(P(DNE), P(CON), P(CFG), OK(INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "FreeBuffer", { .op = OP_FREE_BUFFER, .buffer = 1, .size = STAGE_BLOCK },
          CELLS(P(DNE), P(CON), P(CFG), OK(INI), OK(ACT), OK(TRM), OK(ABT)) },
        { "IsSharedBuffer", { .op = OP_IS_SHARED_BUFFER, .buffer = 1 },
          CELLS(IS(0, DNE), IS(0, CON), IS(0, CFG), IS(1, INI), IS(1, ACT), IS(1, TRM), IS(1, ABT)) },
        { "SendCommand", { .op = OP_SEND_COMMAND, .slot = 1, .code = VDC_Flush },
          CELLS(P(DNE), P(CON), P(CFG), P(INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "CloseDevice", { .op = OP_CLOSE_DEVICE },
          CELLS(P(DNE), P(CON), P(CFG), P(INI), OK(ACT), R(CLOSE, TRM), R(ABORT, ABT)) },
        { "CloseDevice, not open", { .op = OP_CLOSE_DEVICE, .device = 1 },
          CELLS(P(DNE), P(CON), P(CFG), P(INI), P(ACT), R(CLOSE, TRM), R(ABORT, ABT)) },
        { "SignalAbort", { .op = OP_SIGNAL_ABORT },
          CELLS(P(DNE), OK(ABT), OK(ABT), OK(ABT), OK(ABT), OK(ABT), OK(ABT)) },
        { "Close", { .op = OP_CLOSE },
          CELLS(P(DNE), OK(DNE), OK(DNE), OK(DNE), P(DNE), OK(DNE), OK(DNE)) },
        { "publishing a text", { .op = OP_SET_INFO, .text = "text" },
          CELLS(P(DNE), OK(CON), OK(CFG), P(INI), P(ACT), P(TRM), R(ABORT, ABT)) },
        { "the verdict", { .op = OP_VERDICT, .verdict = VDS_VERDICT_FAILED },
          CELLS(P(DNE), OK(CON), OK(CFG), OK(INI), OK(ACT), OK(TRM), OK(ABT)) },
};
/* clang-format on */

static const int states[] = { DNE, CON, CFG, INI, ACT, TRM, ABT };

static bool is_waiting_cell(const struct row *row, int state)
{
        return row->request.op == OP_EXECUTE_COMPLETION_AGENT && (state == INI || state == ACT);
}

static void allocate(struct stage *stage)
{
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK);
}

static void reach(struct stage *stage, int state)
{
        switch (state) {
        case DNE:
                stage_create(stage);
                return;
        case CON:
                stage_join(stage);
                return;
        case CFG:
                stage_begin_configuration(stage);
                return;
        case INI:
                stage_configure(stage);
                allocate(stage);
                return;
        case TRM:
                stage_open_devices(stage);
                allocate(stage);
                stage_finish_devices(stage);
                return;
        default:
                stage_configure(stage);
                allocate(stage);
                EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE);
                EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Flush);
                if (state == ABT)
                        EXPECT(NOERROR, stage->user, OP_SIGNAL_ABORT);
        }
}

static void check_cell(struct stage *stage, const struct row *row, const struct cell *cell)
{
        int result = stage_call(stage->server, &row->request).result;
        int next = (int)CALL(stage->server, OP_STATE).state;

        if (result != cell->result || next != cell->next)
                stage_fail(__LINE__, "%s -> %s, expected %s -> %s", vds_result_name(result), stage_state_name(next),
                           vds_result_name(cell->result), stage_state_name(cell->next));
        /* Refused or not, the callback is somebody's duty; refused, it has run already. */
        if (row->request.op == OP_SEND_COMMAND && result != NOERROR) {
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = 1).in_sending, true);
                EXPECT_CALLBACK(stage, 1, result == VD_E_ABORT ? ERROR_OPERATION_ABORTED : ERROR_INVALID_HANDLE, 0);
        }
}

static void every_cell_of_the_transition_table(void **state)
{
        for (size_t i = 0; i < sizeof server_table / sizeof server_table[0]; i++)
                for (size_t j = 0; j < sizeof states / sizeof states[0]; j++) {
                        struct stage *stage = stage_new(state);

                        if (is_waiting_cell(&server_table[i], states[j]))
                                continue;
                        stage_say("%s in %s", server_table[i].method, stage_state_name(states[j]));
                        reach(stage, states[j]);
                        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, states[j]);
                        check_cell(stage, &server_table[i], &server_table[i].cells[states[j]]);
                }
}

/* Abort is one state, whoever brought it about and wherever the server stood; but a buffer exists, or does not. */
static void abort_is_the_same_from_everywhere(void **state)
{
        static const int from[] = { CON, CFG, INI, ACT, TRM };

        for (size_t i = 0; i < sizeof server_table / sizeof server_table[0]; i++)
                for (size_t j = 0; j < sizeof from / sizeof from[0]; j++)
                        for (int own = 0; own < 2; own++) {
                                const struct row *row = &server_table[i];
                                struct stage *stage = stage_new(state);
                                struct cell cell = row->cells[ABT];

                                stage_say("%s in Abort from %s, by the %s", row->method, stage_state_name(from[j]),
                                          own ? "server" : "client");
                                reach(stage, from[j]);
                                EXPECT(NOERROR, own ? stage->server : stage_aborter(stage), OP_SIGNAL_ABORT);
                                if (row->request.buffer == 1 && (from[j] == CON || from[j] == CFG))
                                        cell.result = row->request.op == OP_FREE_BUFFER ? VD_E_INVALID : 0;
                                check_cell(stage, row, &cell);
                        }
}

/* ---- the completion agent ---- */

static void the_agent_moves_initializing_to_active(void **state)
{
        struct stage *stage = stage_new(state);

        stage_configure(stage);
        stage_start_agent(stage);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, ACT);
        EXPECT(VD_E_BUSY, stage->server, OP_EXECUTE_COMPLETION_AGENT);
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE);
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
        stage_pass(stage, 0, 0, VDC_Flush);
        EXPECT(VD_E_PROTOCOL, stage->server, OP_CLOSE);
        stage_expect_agent(stage, NOERROR);
}

static void the_agent_in_active(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, ACT);
        EXPECT(VD_E_BUSY, stage->server, OP_EXECUTE_COMPLETION_AGENT);
        stage_pass(stage, 1, 0, VDC_Flush);
        /* Done with the last device. */
        stage_finish_devices(stage);
        stage_expect_agent(stage, NOERROR);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, TRM);
        EXPECT(NOERROR, stage->server, OP_EXECUTE_COMPLETION_AGENT);
}

/* What is outstanding comes back even from an agent that begins too late. */
static void the_agent_in_abort(void **state)
{
        for (int own = 0; own < 2; own++) {
                struct stage *stage = stage_new(state);

                stage_open_devices(stage);
                for (uint32_t i = 0; i < 6; i++)
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = i % 2, .slot = i, .code = VDC_Flush);
                EXPECT(NOERROR, own ? stage->server : stage->user, OP_SIGNAL_ABORT);
                EXPECT(VD_E_ABORT, stage->server, OP_EXECUTE_COMPLETION_AGENT);
                for (uint32_t i = 0; i < 6; i++)
                        EXPECT_CALLBACK(stage, i, ERROR_OPERATION_ABORTED, 0);
        }
}

static void an_abort_ends_the_agent(void **state)
{
        for (int own = 0; own < 2; own++) {
                struct stage *stage = stage_new(state);

                stage_up(stage);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Flush);
                EXPECT(NOERROR, own ? stage->server : stage->user, OP_SIGNAL_ABORT);
                stage_expect_agent(stage, NOERROR);
                EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
        }
}

/* ---- tables of return codes ---- */

static void open_set(void **state)
{
        struct stage *stage = stage_new(state);

        /* Never waits for a set to appear. */
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN, .odd = ODD_NULL);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN, .odd = ODD_EMPTY);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN, .name = "a\\b");
        stage_create(stage);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN, .name = "SET");
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN, .name = "se");
        EXPECT(NOERROR, stage->server, OP_OPEN);
        EXPECT(VD_E_PROTOCOL, stage->server, OP_OPEN);
        /* One server a set. */
        EXPECT(NOERROR, stage->server, OP_CLOSE);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN);
        EXPECT(NOERROR, stage->client, OP_CLOSE);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN);
        stage_join(stage);
}

static void request_buffers(void **state)
{
        struct stage *stage = stage_new(state);

        stage->buffer_count = 0;
        stage_begin_configuration(stage);
        EXPECT(VD_E_INVALID, stage->server, OP_REQUEST_BUFFERS, .size = 0, .count = 1);
        EXPECT(VD_E_INVALID, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_BLOCK, .count = 0);
        EXPECT(VD_E_INVALID, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_BLOCK, .count = 1, .alignment = 3000);
        EXPECT(VD_E_INVALID, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_BLOCK, .count = 1, .alignment = 131072);
        /* The sum is too much for the machine: the set stays Configurable, with nothing requested. */
        EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = INT32_MAX, .count = UINT32_MAX);
        EXPECT(VD_E_MEMORY, stage->server, OP_END_CONFIGURATION);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, CFG);
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = STAGE_BLOCK).count, 0);
        EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_BLOCK, .count = 3);
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = STAGE_BLOCK).count, 3);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS);
        /* Afterwards each call makes memory at once, or says that there is none. */
        EXPECT(VD_E_MEMORY, stage->server, OP_REQUEST_BUFFERS, .size = INT32_MAX, .count = UINT32_MAX);
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = STAGE_BLOCK).count, 3);
        EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_BLOCK, .count = 4);
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = STAGE_BLOCK).count, 7);
        EXPECT(VD_E_INVALID, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = 0);
        EXPECT(VD_E_INVALID, stage->server, OP_QUERY_AVAILABLE_BUFFERS, .size = STAGE_BLOCK, .alignment = 3);
        EXPECT_NUMBER(CALL(stage->client, OP_STATE).state, INI);
}

static void open_device(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.deviceCount = 3;
        stage_configure(stage);
        /* The first device has the set's name, and each name is there once. */
        EXPECT_NUMBER(EXPECT(VD_E_INVALID, stage->server, OP_OPEN_DEVICE, .name = "other").has_buffer, false);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN_DEVICE, .odd = ODD_NULL);
        EXPECT_NUMBER(EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE).has_buffer, true);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN_DEVICE);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN_DEVICE, .odd = ODD_EMPTY);
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN_DEVICE, .name = "a\\b");
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE, .device = 1, .name = "SET");
        EXPECT(VD_E_INVALID, stage->server, OP_OPEN_DEVICE, .device = 2, .name = "SET");
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE, .device = 2);
        EXPECT_NUMBER(EXPECT(VD_E_OPEN, stage->server, OP_OPEN_DEVICE, .name = "more").has_buffer, false);
        EXPECT(VD_E_OPEN, stage->server, OP_OPEN_DEVICE);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, ACT);
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE, .device = 1, .name = "SET");
}

static void close_device(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
        EXPECT(VD_E_CLOSE, stage->server, OP_CLOSE_DEVICE);
        EXPECT(VD_E_PROTOCOL, stage->server, OP_SEND_COMMAND, .code = VDC_Flush);
        EXPECT_CALLBACK(stage, 0, ERROR_INVALID_HANDLE, 0);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, ACT);
        stage_pass(stage, 1, 1, VDC_Flush);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE, .device = 1);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, TRM);
        EXPECT(VD_E_CLOSE, stage->server, OP_CLOSE_DEVICE);
        stage_expect_agent(stage, NOERROR);
}

/* With an agent and without; delivered or not: once each, and never delivered afterwards. */
static void close_device_with_commands_outstanding(void **state)
{
        for (int with_agent = 0; with_agent < 2; with_agent++) {
                struct stage *stage = stage_new(state);

                stage_open_devices(stage);
                if (with_agent)
                        stage_start_agent(stage);
                for (uint32_t i = 0; i < 3; i++)
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = i, .code = VDC_Flush);
                EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
                EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
                for (uint32_t i = 0; i < 3; i++)
                        EXPECT_CALLBACK(stage, i, ERROR_OPERATION_ABORTED, 0);
                EXPECT(VD_E_CLOSE, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
                /* The other device goes on. */
                if (with_agent)
                        stage_pass(stage, 1, 3, VDC_Flush);
                EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_NONE);
        }
}

static void close_with_devices_open(void **state)
{
        for (int with_agent = 0; with_agent < 2; with_agent++) {
                struct stage *stage = stage_new(state);

                stage_open_devices(stage);
                if (with_agent)
                        stage_start_agent(stage);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = 0, .code = VDC_Flush);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = 1, .code = VDC_Flush, .device = 1);
                EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
                BEGIN(stage->user, 1, OP_GET_COMMAND, .slot = 1, .timeout_ms = -1);
                EXPECT(VD_E_PROTOCOL, stage->server, OP_CLOSE);
                EXPECT(VD_E_PROTOCOL, stage->server, OP_CLOSE);
                EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
                EXPECT_CALLBACK(stage, 1, ERROR_OPERATION_ABORTED, 0);
                if (with_agent)
                        stage_expect_agent(stage, NOERROR);
                EXPECT_END(VD_E_ABORT, stage->user, 1);
                EXPECT(VD_E_ABORT, stage->user, OP_COMPLETE_COMMAND);
                EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_SERVER_CLOSED);
                EXPECT(NOERROR, stage->user, OP_CLOSE);
        }
}

static void signal_abort(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
        EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
        EXPECT(NOERROR, stage->user, OP_SIGNAL_ABORT);
        EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_SERVER);
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_SERVER);
        stage_expect_agent(stage, NOERROR);
        EXPECT(NOERROR, stage->server, OP_CLOSE);
}

/* A verdict is stated once, by every way a set may end. */
static void verdict(void **state)
{
        struct stage *stage = stage_new(state);
        struct call_result result;

        stage_open_devices(stage);
        EXPECT(VD_E_INVALID, stage->server, OP_VERDICT, .verdict = VDS_VERDICT_NONE);
        EXPECT(NOERROR, stage->server, OP_VERDICT, .verdict = VDS_VERDICT_SUCCESS, .text = "all of it");
        EXPECT(VD_E_PROTOCOL, stage->server, OP_VERDICT, .verdict = VDS_VERDICT_FAILED);
        result = EXPECT(NOERROR, stage->client, OP_VERDICT, .timeout_ms = CALL_WAIT_MS);
        EXPECT_NUMBER(result.verdict, VDS_VERDICT_SUCCESS);
        assert_string_equal(result.text, "all of it");
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(every_cell_of_the_transition_table),
        IN_EVERY_MODE(abort_is_the_same_from_everywhere),
        IN_EVERY_MODE(the_agent_moves_initializing_to_active),
        IN_EVERY_MODE(the_agent_in_active),
        IN_EVERY_MODE(the_agent_in_abort),
        IN_EVERY_MODE(an_abort_ends_the_agent),
        IN_EVERY_MODE(open_set),
        IN_EVERY_MODE(request_buffers),
        IN_EVERY_MODE(open_device),
        IN_EVERY_MODE(close_device),
        IN_EVERY_MODE(close_device_with_commands_outstanding),
        IN_EVERY_MODE(close_with_devices_open),
        IN_EVERY_MODE(signal_abort),
        IN_EVERY_MODE(verdict),
};

STAGE_MAIN(tests)
