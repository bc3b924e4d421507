/*
 * The client's methods: the transition table of the reference (2.2) cell by cell, and the tables of return codes
 * (4.1 to 4.10) row by row.
 */
#include "tests/conformance/stage.h"

#include <stdio.h>

enum {
        DNE = STATE_NONE,
        CFG = STATE_CONFIGURABLE,
        INI = STATE_INITIALIZING,
        ACT = STATE_ACTIVE,
        TRM = STATE_TERMINATED,
        ABT = STATE_ABORT
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

#define P(state)                     \
        {                            \
                VD_E_PROTOCOL, state \
        }
#define OK(state)              \
        {                      \
                NOERROR, state \
        }
#define R(result, state)             \
        {                            \
                VD_E_##result, state \
        }
#define CELLS(dne, cfg, ini, act, trm, abt)                                                  \
        {                                                                                    \
                [DNE] = dne, [CFG] = cfg, [INI] = ini, [ACT] = act, [TRM] = trm, [ABT] = abt \
        }

/* ---- the transition table ---- */

/*
 * Configurable: the server has ended configuration, and the client has not asked yet. Active: one of two devices is
 * open, one command is held, one is queued. Abort: the server aborted an active set.
 */
/* clang-format off */
static const struct row client_table[] = {
        { "Create", { .op = OP_CREATE, .config = { .deviceCount = 2 } },
          CELLS(OK(CFG), P(CFG), P(INI), P(ACT), P(TRM), P(ABT)) },
        { "GetConfiguration", { .op = OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS },
          CELLS(P(DNE), OK(INI), OK(INI), OK(ACT), OK(TRM), R(ABORT, ABT)) },
        { "OpenDevice", { .op = OP_OPEN_DEVICE, .device = 1 },
          CELLS(P(DNE), P(CFG), OK(ACT), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "GetCommand", { .op = OP_GET_COMMAND, .slot = 1, .timeout_ms = CALL_WAIT_MS },
          CELLS(P(DNE), P(CFG), P(INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "CompleteCommand", { .op = OP_COMPLETE_COMMAND, .slot = 0 },
          CELLS(P(DNE), P(CFG), P(INI), OK(ACT), P(TRM), R(ABORT, ABT)) },
        { "SignalAbort", { .op = OP_SIGNAL_ABORT },
          CELLS(P(DNE), OK(ABT), OK(ABT), OK(ABT), OK(ABT), OK(ABT)) },
        { "Close", { .op = OP_CLOSE },
          CELLS(P(DNE), OK(DNE), OK(DNE), R(OPEN, DNE), OK(DNE), OK(DNE)) },
        { "the server's text", { .op = OP_SERVER_INFO },
          CELLS(P(DNE), P(CFG), OK(INI), OK(ACT), OK(TRM), OK(ABT)) },
        { "the verdict", { .op = OP_VERDICT },
          CELLS(P(DNE), R(TIMEOUT, CFG), R(TIMEOUT, INI), R(TIMEOUT, ACT), R(TIMEOUT, TRM), R(TIMEOUT, ABT)) },
};
/* clang-format on */

static const int states[] = { DNE, CFG, INI, ACT, TRM, ABT };

static void hold_one_and_queue_one(struct stage *stage)
{
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Write, .buffer = 1, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = 1, .code = VDC_Flush);
        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
}

static void reach(struct stage *stage, int state)
{
        if (state == DNE)
                return;
        if (state == CFG) {
                stage_begin_configuration(stage);
                EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
                return;
        }
        if (state == TRM) {
                stage_open_devices(stage);
                stage_finish_devices(stage);
                return;
        }
        stage_open_server_devices(stage);
        if (state == INI)
                return;
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
        hold_one_and_queue_one(stage);
        if (state == ABT)
                EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
}

static void check_cell(struct stage *stage, const struct row *row, const struct cell *cell)
{
        int result = stage_call(stage->user, &row->request).result;
        int next = (int)CALL(stage->user, OP_STATE).state;

        if (result != cell->result || next != cell->next)
                stage_fail(__LINE__, "%s -> %s, expected %s -> %s", vds_result_name(result), stage_state_name(next),
                           vds_result_name(cell->result), stage_state_name(cell->next));
}

static void every_cell_of_the_transition_table(void **state)
{
        for (size_t i = 0; i < sizeof client_table / sizeof client_table[0]; i++)
                for (size_t j = 0; j < sizeof states / sizeof states[0]; j++) {
                        struct stage *stage = stage_new(state);

                        stage_say("%s in %s", client_table[i].method, stage_state_name(states[j]));
                        reach(stage, states[j]);
                        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, states[j]);
                        check_cell(stage, &client_table[i], &client_table[i].cells[states[j]]);
                }
}

/* Abort is one state, whoever brought it about and wherever the client stood. */
static void abort_is_the_same_from_everywhere(void **state)
{
        static const int from[] = { CFG, INI, ACT, TRM };

        for (size_t i = 0; i < sizeof client_table / sizeof client_table[0]; i++)
                for (size_t j = 0; j < sizeof from / sizeof from[0]; j++)
                        for (int own = 0; own < 2; own++) {
                                struct stage *stage = stage_new(state);

                                stage_say("%s in Abort from %s, by the %s", client_table[i].method,
                                          stage_state_name(from[j]), own ? "client" : "server");
                                reach(stage, from[j]);
                                EXPECT(NOERROR, own ? stage->user : stage->server, OP_SIGNAL_ABORT);
                                check_cell(stage, &client_table[i], &client_table[i].cells[ABT]);
                        }
}

/* ---- tables of return codes ---- */

static void create(void **state)
{
        struct stage *stage = stage_new(state);

        EXPECT(VD_E_NOTSUPPORTED, stage->client, OP_CREATE, .config = { .deviceCount = 65 });
        EXPECT_NUMBER(CALL(stage->client, OP_STATE).state, DNE);
        EXPECT(VD_E_INVALID, stage->client, OP_CREATE, .odd = ODD_EMPTY, .config = stage->wishes);
        EXPECT(VD_E_INVALID, stage->client, OP_CREATE, .odd = ODD_NULL, .config = stage->wishes);
        EXPECT(NOERROR, stage->client, OP_CREATE, .config = stage->wishes);
        EXPECT(VD_E_PROTOCOL, stage->client, OP_CREATE, .config = stage->wishes);
        EXPECT(VD_E_PROTOCOL, stage->client, OP_CREATE, .name = "another", .config = stage->wishes);
        /* After Close the same object may create again. */
        for (int i = 0; i < 3; i++) {
                EXPECT(NOERROR, stage->client, OP_CLOSE);
                EXPECT(NOERROR, stage->client, OP_CREATE, .config = stage->wishes);
        }
}

static void get_configuration(void **state)
{
        struct stage *stage = stage_new(state);
        struct call_result result;

        EXPECT(VD_E_PROTOCOL, stage->client, OP_GET_CONFIGURATION);
        stage_create(stage);
        /* Nothing comes; a retry is allowed, and changes no state. */
        for (int64_t timeout = 0; timeout < 40; timeout += 20) {
                result = EXPECT(VD_E_TIMEOUT, stage->client, OP_GET_CONFIGURATION, .timeout_ms = timeout);
                assert_in_range(result.waited_ms, timeout, CALL_WAIT_MS);
                EXPECT_NUMBER(CALL(stage->client, OP_STATE).state, CFG);
        }
        EXPECT(NOERROR, stage->server, OP_OPEN);
        EXPECT(VD_E_TIMEOUT, stage->client, OP_GET_CONFIGURATION);
        EXPECT(NOERROR, stage->server, OP_BEGIN_CONFIGURATION, .block_size = 512, .size = STAGE_TRANSFER);
        EXPECT(VD_E_TIMEOUT, stage->client, OP_GET_CONFIGURATION);
        /* One that waits is released by EndConfiguration; negative is without limit. */
        BEGIN(stage->client, 1, OP_GET_CONFIGURATION, .timeout_ms = -1);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        EXPECT_END(NOERROR, stage->client, 1);
        result = EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION);
        EXPECT_NUMBER(result.config.blockSize, 512);
        EXPECT_NUMBER(result.config.deviceCount, 2);
}

static void an_abort_releases_get_configuration(void **state)
{
        for (int own = 0; own < 2; own++) {
                struct stage *stage = stage_new(state);

                stage_join(stage);
                BEGIN(stage->client, 1, OP_GET_CONFIGURATION, .timeout_ms = -1);
                EXPECT(NOERROR, own ? stage->client : stage->server, OP_SIGNAL_ABORT);
                EXPECT_END(VD_E_ABORT, stage->client, 1);
                EXPECT(VD_E_ABORT, stage->client, OP_GET_CONFIGURATION);
        }
}

static void open_device(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.deviceCount = 3;
        stage_open_server_devices(stage);
        EXPECT_NUMBER(EXPECT(VD_E_INVALID, stage->user, OP_OPEN_DEVICE, .name = "nobody").has_buffer, false);
        EXPECT(VD_E_INVALID, stage->user, OP_OPEN_DEVICE, .odd = ODD_NULL);
        EXPECT(VD_E_INVALID, stage->user, OP_OPEN_DEVICE, .odd = ODD_EMPTY);
        EXPECT(VD_E_INVALID, stage->user, OP_OPEN_DEVICE, .name = "SET1");
        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, INI);
        /* In any order. */
        EXPECT_NUMBER(EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE, .device = 2).has_buffer, true);
        EXPECT_NUMBER(EXPECT(VD_E_PROTOCOL, stage->user, OP_OPEN_DEVICE, .device = 2).has_buffer, false);
        EXPECT(VD_E_INVALID, stage->user, OP_OPEN_DEVICE, .name = "nobody");
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE, .device = 1);
        /* Once all are open, whatever the name. */
        EXPECT_NUMBER(EXPECT(VD_E_OPEN, stage->user, OP_OPEN_DEVICE, .device = 1).has_buffer, false);
        EXPECT(VD_E_OPEN, stage->user, OP_OPEN_DEVICE, .name = "nobody");
}

static void open_device_waits_for_the_servers(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.deviceCount = 3;
        stage_configure(stage);
        BEGIN(stage->user, 1, OP_OPEN_DEVICE, .device = 1);
        BEGIN(stage->user, 2, OP_OPEN_DEVICE, .name = "nobody");
        /* The first device's name is the set's: known from the start. */
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE);
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE, .device = 1);
        EXPECT_END(NOERROR, stage->user, 1);
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE, .device = 2);
        EXPECT_END(VD_E_INVALID, stage->user, 2);
}

static void an_abort_releases_open_device(void **state)
{
        for (int own = 0; own < 2; own++) {
                struct stage *stage = stage_new(state);

                stage_configure(stage);
                BEGIN(stage->user, 1, OP_OPEN_DEVICE, .device = 1);
                EXPECT(NOERROR, own ? stage->user : stage->server, OP_SIGNAL_ABORT);
                EXPECT_END(VD_E_ABORT, stage->user, 1);
        }
}

static void get_command(void **state)
{
        struct stage *stage = stage_new(state);
        struct call_result result;

        stage_open_devices(stage);
        for (int64_t timeout = 0; timeout < 40; timeout += 20) {
                result = EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND, .timeout_ms = timeout);
                assert_in_range(result.waited_ms, timeout, CALL_WAIT_MS);
                EXPECT_NUMBER(result.has_buffer, false);
        }
        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, ACT);
        BEGIN(stage->user, 1, OP_GET_COMMAND, .timeout_ms = -1);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Flush);
        EXPECT_NUMBER(EXPECT_END(NOERROR, stage->user, 1).code, VDC_Flush);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND);
        /* A closed device says so, again and again, until all are; then nothing is active any more. */
        BEGIN(stage->user, 1, OP_GET_COMMAND, .timeout_ms = -1);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
        EXPECT_END(VD_E_CLOSE, stage->user, 1);
        EXPECT(VD_E_CLOSE, stage->user, OP_GET_COMMAND);
        EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND, .device = 1);
        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, ACT);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE, .device = 1);
        EXPECT(VD_E_CLOSE, stage->user, OP_GET_COMMAND, .device = 1, .timeout_ms = CALL_WAIT_MS);
        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, TRM);
        EXPECT(VD_E_PROTOCOL, stage->user, OP_GET_COMMAND);
        EXPECT(VD_E_PROTOCOL, stage->user, OP_GET_COMMAND, .device = 1);
}

static void an_abort_releases_get_command(void **state)
{
        for (int own = 0; own < 2; own++) {
                struct stage *stage = stage_new(state);

                stage_open_devices(stage);
                BEGIN(stage->user, 1, OP_GET_COMMAND, .timeout_ms = -1);
                BEGIN(stage->user, 2, OP_GET_COMMAND, .device = 1, .timeout_ms = -1);
                EXPECT(NOERROR, own ? stage->user : stage->server, OP_SIGNAL_ABORT);
                EXPECT_END(VD_E_ABORT, stage->user, 1);
                EXPECT_END(VD_E_ABORT, stage->user, 2);
        }
}

/* Close ends what other threads wait in. */
static void close_releases_get_command(void **state)
{
        struct stage *stage = stage_new(state);

        stage_open_devices(stage);
        BEGIN(stage->user, 1, OP_GET_COMMAND, .timeout_ms = -1);
        EXPECT(VD_E_OPEN, stage->user, OP_CLOSE);
        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, DNE);
        /* Whether it saw the abort or the end of the set is a matter of chance. */
        if (actor_finish(stage->user, 1).result == NOERROR)
                stage_fail(__LINE__, "GetCommand found a command where none was");
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, ABT);
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_CLIENT_CLOSED);
}

static void complete_command(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        hold_one_and_queue_one(stage);
        EXPECT(VD_E_INVALID, stage->user, OP_COMPLETE_COMMAND, .odd = ODD_NULL);
        EXPECT(VD_E_INVALID, stage->user, OP_COMPLETE_COMMAND, .odd = ODD_FOREIGN);
        /* A command of another device, and one with more bytes than it asked for. */
        EXPECT(VD_E_INVALID, stage->user, OP_COMPLETE_COMMAND, .device = 1);
        EXPECT(VD_E_INVALID, stage->user, OP_COMPLETE_COMMAND, .bytes = STAGE_BLOCK + 1);
        EXPECT_NUMBER(CALL(stage->server, OP_LOOK).calls, 0);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .bytes = STAGE_BLOCK);
        EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, STAGE_BLOCK);
        EXPECT(VD_E_INVALID, stage->user, OP_COMPLETE_COMMAND, .bytes = STAGE_BLOCK);
        EXPECT_NUMBER(CALL(stage->server, OP_LOOK).calls, 1);
}

static void close_with_devices_open(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        hold_one_and_queue_one(stage);
        EXPECT(VD_E_OPEN, stage->user, OP_CLOSE);
        EXPECT(VD_E_PROTOCOL, stage->user, OP_CLOSE);
        EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
        EXPECT_CALLBACK(stage, 1, ERROR_OPERATION_ABORTED, 0);
        stage_expect_agent(stage, NOERROR);
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_CLIENT_CLOSED);
}

/* A device that its server has closed is not open, whether or not GetCommand has said so. */
static void close_with_devices_that_the_server_closed(void **state)
{
        struct stage *stage = stage_new(state);

        stage_open_devices(stage);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE, .device = 1);
        EXPECT(NOERROR, stage->user, OP_CLOSE);
        EXPECT_NUMBER(CALL(stage->server, OP_STATE).state, TRM);
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_NONE);
}

static void signal_abort(void **state)
{
        struct stage *stage = stage_new(state);

        stage_open_devices(stage);
        EXPECT(NOERROR, stage->user, OP_SIGNAL_ABORT);
        EXPECT(NOERROR, stage->user, OP_SIGNAL_ABORT);
        EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
        EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_CLIENT);
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_CLIENT);
        EXPECT(NOERROR, stage->user, OP_CLOSE);
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(every_cell_of_the_transition_table),
        IN_EVERY_MODE(abort_is_the_same_from_everywhere),
        IN_EVERY_MODE(create),
        IN_EVERY_MODE(get_configuration),
        IN_EVERY_MODE(an_abort_releases_get_configuration),
        IN_EVERY_MODE(open_device),
        IN_EVERY_MODE(open_device_waits_for_the_servers),
        IN_EVERY_MODE(an_abort_releases_open_device),
        IN_EVERY_MODE(get_command),
        IN_EVERY_MODE(an_abort_releases_get_command),
        IN_EVERY_MODE(close_releases_get_command),
        IN_EVERY_MODE(complete_command),
        IN_EVERY_MODE(close_with_devices_open),
        IN_EVERY_MODE(close_with_devices_that_the_server_closed),
        IN_EVERY_MODE(signal_abort),
};

STAGE_MAIN(tests)
