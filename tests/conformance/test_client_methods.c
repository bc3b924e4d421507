/*
 * The client's methods: the transition table of the reference (2.2) cell by cell, and the tables of return codes
 * (4.1 to 4.10) row by row.
 */
#include "tests/conformance/stage.h"

#include <stdio.h>

/* clang-format off */
enum {
        DNE = STATE_NONE,
        CFG = STATE_CONFIGURABLE,
        INI = STATE_INITIALIZING,
        ACT = STATE_ACTIVE,
        TRM = STATE_TERMINATED,
        ABT = STATE_ABORT,
};

/*
 * The columns. Beside: another process has the set configured, and this one has no part in it yet. Configurable: the
 * server has ended configuration, and the client has not asked yet. Active: one of two devices is open, one command is
 * held, one is queued. Abort: the server aborted an active set.
 */
enum column { COLUMN_NONE = 0, COLUMN_BESIDE, COLUMN_CONFIGURABLE, COLUMN_INITIALIZING, COLUMN_ACTIVE,
              COLUMN_TERMINATED, COLUMN_ABORT, COLUMN_COUNT };

static const struct {
        const char *name;
        int state;
        bool of_secondary; /* a secondary can be there, and a primary */
        bool of_primary;
} columns[COLUMN_COUNT] = {
        [COLUMN_NONE]         = { "Does Not Exist", DNE, true, true },
        [COLUMN_BESIDE]       = { "Does Not Exist beside a configured set", DNE, true, false },
        [COLUMN_CONFIGURABLE] = { "Configurable", CFG, false, true },
        [COLUMN_INITIALIZING] = { "Initializing", INI, true, true },
        [COLUMN_ACTIVE]       = { "Active", ACT, true, true },
        [COLUMN_TERMINATED]   = { "Normally Terminated", TRM, true, true },
        [COLUMN_ABORT]        = { "Abort", ABT, true, true },
};

/* What a call returns, and the state it leads to. */
struct cell {
        int result;
        int next;
};

struct row {
        const char *method; /* more than the name where a method has several rows */
        struct call_request request;
        struct cell cells[COLUMN_COUNT];
};

#define P(state)         { VD_E_PROTOCOL, state }
#define OK(state)        { NOERROR, state }
#define R(result, state) { VD_E_##result, state }

/* ---- the transition table ---- */

static const struct row client_table[] = {
        { "Create", { .op = OP_CREATE, .config = { .deviceCount = 2 } },
          { OK(CFG), P(DNE), P(CFG), P(INI), P(ACT), P(TRM), P(ABT) } },
        { "OpenInSecondary", { .op = OP_OPEN_IN_SECONDARY },
          { P(DNE), OK(INI), P(CFG), P(INI), P(ACT), P(TRM), P(ABT) } },
        { "GetConfiguration", { .op = OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS },
          { P(DNE), P(DNE), OK(INI), OK(INI), OK(ACT), OK(TRM), R(ABORT, ABT) } },
        { "OpenDevice", { .op = OP_OPEN_DEVICE, .device = 1 },
          { P(DNE), P(DNE), P(CFG), OK(ACT), OK(ACT), P(TRM), R(ABORT, ABT) } },
        { "GetCommand", { .op = OP_GET_COMMAND, .slot = 1, .timeout_ms = CALL_WAIT_MS },
          { P(DNE), P(DNE), P(CFG), P(INI), OK(ACT), P(TRM), R(ABORT, ABT) } },
        { "CompleteCommand", { .op = OP_COMPLETE_COMMAND, .slot = 0 },
          { P(DNE), P(DNE), P(CFG), P(INI), OK(ACT), P(TRM), R(ABORT, ABT) } },
        { "GetBufferHandle", { .op = OP_GET_BUFFER_HANDLE, .slot = 0 },
          { P(DNE), P(DNE), P(CFG), R(INVALID, INI), OK(ACT), P(TRM), R(ABORT, ABT) } },
        { "MapBufferHandle", { .op = OP_MAP_BUFFER_HANDLE },
          { P(DNE), P(DNE), P(CFG), R(INVALID, INI), OK(ACT), P(TRM), R(ABORT, ABT) } },
        { "SignalAbort", { .op = OP_SIGNAL_ABORT },
          { P(DNE), P(DNE), OK(ABT), OK(ABT), OK(ABT), OK(ABT), OK(ABT) } },
        { "Close", { .op = OP_CLOSE },
          { P(DNE), P(DNE), OK(DNE), OK(DNE), R(OPEN, DNE), OK(DNE), OK(DNE) } },
        { "the server's text", { .op = OP_SERVER_INFO },
          { P(DNE), P(DNE), P(CFG), OK(INI), OK(ACT), OK(TRM), OK(ABT) } },
        { "the primary's text", { .op = OP_PRIMARY_INFO },
          { P(DNE), P(DNE), OK(CFG), OK(INI), OK(ACT), OK(TRM), OK(ABT) } },
        { "a device's name", { .op = OP_DEVICE_NAME, .device = 0 },
          { P(DNE), P(DNE), P(CFG), OK(INI), OK(ACT), OK(TRM), OK(ABT) } },
        { "the verdict", { .op = OP_VERDICT },
          { P(DNE), P(DNE), R(TIMEOUT, CFG), R(TIMEOUT, INI), R(TIMEOUT, ACT), R(TIMEOUT, TRM), R(TIMEOUT, ABT) } },
};
/* clang-format on */

static bool is_in(const struct stage *stage, enum column column)
{
        return stage->user == stage->client ? columns[column].of_primary : columns[column].of_secondary;
}

static uint32_t hold_one_and_queue_one(struct stage *stage)
{
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Write, .buffer = 1, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = 1, .code = VDC_Flush);
        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
        return EXPECT(NOERROR, stage->user, OP_GET_BUFFER_HANDLE).handle;
}

/* Configured, and this client, where it is a secondary, has not joined. */
static void reach_beside(struct stage *stage)
{
        stage_begin_configuration(stage);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS);
}

/* Returns the handle of the buffer of the command that is held, or was. */
static uint32_t reach(struct stage *stage, enum column column)
{
        uint32_t handle = 0;

        switch (column) {
        case COLUMN_NONE:
                break;
        case COLUMN_BESIDE:
                reach_beside(stage);
                break;
        case COLUMN_CONFIGURABLE:
                stage_begin_configuration(stage);
                EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
                break;
        case COLUMN_INITIALIZING:
                stage_open_server_devices(stage);
                break;
        case COLUMN_TERMINATED:
                stage_up(stage);
                handle = hold_one_and_queue_one(stage);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND);
                EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, 0);
                stage_finish_devices(stage);
                break;
        default:
                stage_open_server_devices(stage);
                EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
                handle = hold_one_and_queue_one(stage);
                if (column == COLUMN_ABORT)
                        EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
        }
        return handle;
}

static void check_cell(struct stage *stage, const struct row *row, const struct cell *cell, uint32_t handle)
{
        struct call_request request = row->request;
        int result;
        int next;

        request.handle = handle;
        result = stage_call(stage->user, &request).result;
        next = (int)CALL(stage->user, OP_STATE).state;
        if (result != cell->result || next != cell->next)
                stage_fail(__LINE__, "%s -> %s, expected %s -> %s", vds_result_name(result), stage_state_name(next),
                           vds_result_name(cell->result), stage_state_name(cell->next));
}

static void every_cell_of_the_transition_table(void **state)
{
        for (size_t i = 0; i < sizeof client_table / sizeof client_table[0]; i++)
                for (enum column column = COLUMN_NONE; column < COLUMN_COUNT; column++) {
                        struct stage *stage = stage_new(state);
                        uint32_t handle;

                        if (!is_in(stage, column))
                                continue;
                        stage_say("%s in %s", client_table[i].method, columns[column].name);
                        handle = reach(stage, column);
                        EXPECT_NUMBER(CALL(stage->user, OP_STATE).state, columns[column].state);
                        check_cell(stage, &client_table[i], &client_table[i].cells[column], handle);
                }
}

/* Abort is one state, whoever brought it about and wherever the client stood. */
static void abort_is_the_same_from_everywhere(void **state)
{
        static const enum column from[] = { COLUMN_CONFIGURABLE, COLUMN_INITIALIZING, COLUMN_ACTIVE,
                                            COLUMN_TERMINATED };

        for (size_t i = 0; i < sizeof client_table / sizeof client_table[0]; i++)
                for (size_t j = 0; j < sizeof from / sizeof from[0]; j++)
                        for (int own = 0; own < 2; own++) {
                                struct stage *stage = stage_new(state);
                                uint32_t handle;

                                if (!is_in(stage, from[j]))
                                        continue;
                                stage_say("%s in Abort from %s, by the %s", client_table[i].method,
                                          columns[from[j]].name, own ? "client" : "server");
                                handle = reach(stage, from[j]);
                                EXPECT(NOERROR, own ? stage->user : stage->server, OP_SIGNAL_ABORT);
                                check_cell(stage, &client_table[i], &client_table[i].cells[COLUMN_ABORT], handle);
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
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, stage_reason_of_close(stage));
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
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, stage_reason_of_close(stage));
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
