/*
 * What the end of one side means for the other, wherever the set stands: Close (4.4, 5.15), and the death of a process
 * (7.4).
 */
#include "tests/conformance/stage.h"

#include <sched.h>

#include "core/base/deadline.h"

/* How far a set has come. */
enum step {
        STEP_CONNECTED = 0, /* the server has opened it */
        STEP_CONFIGURABLE,
        STEP_ENDED,        /* the server has ended configuration; the client has not asked */
        STEP_INITIALIZING, /* both know; no device is open */
        STEP_HALF_OPEN,    /* the devices are open at the server only */
        STEP_OPEN,         /* the devices are open; a command is held, another one is queued */
        STEP_CLOSED,       /* the server has closed the devices; the client has not asked */
        STEP_TERMINATED,   /* GetCommand has said so */
        STEP_STATED,       /* and the server has stated its verdict */
        STEP_COUNT,
};

#define NONE VDS_ABORT_NONE

/* For each step, the reason that the other side finds. */
/* clang-format off */
static const struct {
        const char *name;
        int server_close;
        enum vds_abort_reason server_closes;
        int client_close;
        enum vds_abort_reason client_closes;
        enum vds_abort_reason server_dies;
        enum vds_abort_reason client_dies;
} steps[STEP_COUNT] = {
        [STEP_CONNECTED] = { "Connected",
                NOERROR, VDS_ABORT_SERVER_CLOSED, NOERROR, VDS_ABORT_CLIENT_CLOSED, VDS_ABORT_SERVER_DIED, VDS_ABORT_CLIENT_DIED },
        [STEP_CONFIGURABLE] = { "Configurable",
                NOERROR, VDS_ABORT_SERVER_CLOSED, NOERROR, VDS_ABORT_CLIENT_CLOSED, VDS_ABORT_SERVER_DIED, VDS_ABORT_CLIENT_DIED },
        [STEP_ENDED] = { "after EndConfiguration",
                NOERROR, VDS_ABORT_SERVER_CLOSED, NOERROR, VDS_ABORT_CLIENT_CLOSED, VDS_ABORT_SERVER_DIED, VDS_ABORT_CLIENT_DIED },
        [STEP_INITIALIZING] = { "Initializing",
                NOERROR, VDS_ABORT_SERVER_CLOSED, NOERROR, VDS_ABORT_CLIENT_CLOSED, VDS_ABORT_SERVER_DIED, VDS_ABORT_CLIENT_DIED },
        [STEP_HALF_OPEN] = { "with devices open at the server",
                VD_E_PROTOCOL, VDS_ABORT_SERVER_CLOSED, NOERROR, VDS_ABORT_CLIENT_CLOSED, VDS_ABORT_SERVER_DIED, VDS_ABORT_CLIENT_DIED },
        [STEP_OPEN] = { "Active",
                VD_E_PROTOCOL, VDS_ABORT_SERVER_CLOSED, VD_E_OPEN, VDS_ABORT_CLIENT_CLOSED, VDS_ABORT_SERVER_DIED, VDS_ABORT_CLIENT_DIED },
        [STEP_CLOSED] = { "with closed devices", NOERROR, NONE, NOERROR, NONE, VDS_ABORT_SERVER_DIED, NONE },
        [STEP_TERMINATED] = { "Normally Terminated", NOERROR, NONE, NOERROR, NONE, VDS_ABORT_SERVER_DIED, NONE },
        [STEP_STATED] = { "after the verdict", NOERROR, NONE, NOERROR, NONE, NONE, NONE },
};
/* clang-format on */

static void reach(struct stage *stage, enum step step)
{
        if (step == STEP_CONNECTED) {
                stage_join(stage);
        } else if (step <= STEP_ENDED) {
                stage_begin_configuration(stage);
                if (step == STEP_ENDED)
                        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        } else if (step == STEP_INITIALIZING) {
                stage_configure(stage);
        } else if (step == STEP_HALF_OPEN) {
                stage_open_server_devices(stage);
        } else {
                stage_up(stage);
        }
        if (step == STEP_OPEN) {
                for (uint32_t slot = 0; slot < 2; slot++)
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = slot, .code = VDC_Flush);
                EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
        }
        if (step == STEP_CLOSED) {
                EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
                EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE, .device = 1);
        }
        if (step > STEP_CLOSED)
                stage_finish_devices(stage);
        if (step == STEP_STATED)
                EXPECT(NOERROR, stage->server, OP_VERDICT, .verdict = VDS_VERDICT_SUCCESS);
}

/* Waits for an abort, if one is to come. */
static void expect_reason(struct actor *actor, enum vds_abort_reason reason)
{
        struct deadline deadline = deadline_after_ms(CALL_WAIT_MS);

        while (reason != NONE && CALL(actor, OP_REASON).result == NONE && !deadline_passed(deadline))
                sched_yield();
        EXPECT_NUMBER(CALL(actor, OP_REASON).result, reason);
}

static void expect_given_back(struct stage *stage, enum step step)
{
        for (uint32_t slot = 0; slot < 2 && step == STEP_OPEN; slot++)
                EXPECT_CALLBACK(stage, slot, ERROR_OPERATION_ABORTED, 0);
}

static void the_server_closes(void **state)
{
        for (enum step step = STEP_CONNECTED; step < STEP_COUNT; step++) {
                struct stage *stage = stage_new(state);

                stage_say("%s", steps[step].name);
                reach(stage, step);
                EXPECT(steps[step].server_close, stage->server, OP_CLOSE);
                expect_given_back(stage, step);
                /* The verdict waits for the server's end, so afterwards there is nothing more to come. */
                EXPECT(NOERROR, stage->client, OP_VERDICT, .timeout_ms = CALL_WAIT_MS);
                expect_reason(stage->client, steps[step].server_closes);
                if (stage->user != stage->client && step >= STEP_INITIALIZING)
                        expect_reason(stage->user, steps[step].server_closes);
                EXPECT(NOERROR, stage->client, OP_CLOSE);
        }
}

static void the_client_closes(void **state)
{
        for (enum step step = STEP_CONNECTED; step < STEP_COUNT; step++) {
                struct stage *stage = stage_new(state);

                stage_say("%s", steps[step].name);
                reach(stage, step);
                EXPECT(steps[step].client_close, stage->client, OP_CLOSE);
                EXPECT_NUMBER(CALL(stage->client, OP_STATE).state, STATE_NONE);
                expect_reason(stage->server, steps[step].client_closes);
                expect_given_back(stage, step);
                EXPECT(NOERROR, stage->server, OP_CLOSE);
        }
}

static void the_server_dies(void **state)
{
        for (enum step step = STEP_CONNECTED; step < STEP_COUNT; step++) {
                struct stage *stage = stage_new(state);

                stage_say("%s", steps[step].name);
                reach(stage, step);
                actor_kill(stage->server);
                EXPECT(NOERROR, stage->client, OP_VERDICT, .timeout_ms = CALL_WAIT_MS);
                expect_reason(stage->client, steps[step].server_dies);
                if (stage->user != stage->client && step >= STEP_INITIALIZING)
                        expect_reason(stage->user, steps[step].server_dies);
        }
}

static void the_client_dies(void **state)
{
        for (enum step step = STEP_CONNECTED; step < STEP_COUNT; step++) {
                struct stage *stage = stage_new(state);

                stage_say("%s", steps[step].name);
                reach(stage, step);
                actor_kill(stage->client);
                expect_reason(stage->server, steps[step].client_dies);
                expect_given_back(stage, step);
                EXPECT(NOERROR, stage->server, OP_CLOSE);
        }
}

/* A secondary matters as long as it has a device that is not closed. */
static void a_secondary_closes(void **state)
{
        for (enum step step = STEP_INITIALIZING; step < STEP_COUNT; step++) {
                enum vds_abort_reason reason = step == STEP_OPEN ? VDS_ABORT_SECONDARY_CLOSED : NONE;
                struct stage *stage = stage_new(state);

                stage_say("%s", steps[step].name);
                reach(stage, step);
                EXPECT(step == STEP_OPEN ? VD_E_OPEN : NOERROR, stage->user, OP_CLOSE);
                expect_reason(stage->server, reason);
                expect_reason(stage->client, reason);
                expect_given_back(stage, step);
                if (step <= STEP_HALF_OPEN) {
                        EXPECT(NOERROR, stage->client, OP_OPEN_DEVICE);
                        EXPECT(VD_E_OPEN, stage->client, OP_CLOSE);
                } else {
                        EXPECT(NOERROR, stage->client, OP_CLOSE);
                }
        }
}

static void a_secondary_dies(void **state)
{
        for (enum step step = STEP_INITIALIZING; step < STEP_COUNT; step++) {
                enum vds_abort_reason reason = step == STEP_OPEN ? VDS_ABORT_SECONDARY_DIED : NONE;
                struct stage *stage = stage_new(state);
                struct deadline deadline = deadline_after_ms(CALL_WAIT_MS);

                stage_say("%s", steps[step].name);
                EXPECT(0, stage->client, OP_NEW, .count = 1);
                reach(stage, step);
                actor_kill(stage->user);
                while (CALL(stage->client, OP_SECONDARIES).secondaries.died == 0 && !deadline_passed(deadline))
                        sched_yield();
                EXPECT_NUMBER(CALL(stage->client, OP_SECONDARIES).secondaries.died, 1);
                expect_reason(stage->client, reason);
                expect_reason(stage->server, reason);
                expect_given_back(stage, step);
        }
}

/* ---- the verdict on a server that says nothing ---- */

static const struct {
        const char *what;
        uint32_t answer; /* feature bits beyond the client's */
        int commands[5];
        int end; /* the completion code of the last one */
        enum vds_verdict verdict;
} silences[] = {
        { "no command", 0, { 0 }, 0, VDS_VERDICT_FAILED },
        { "a write", 0, { VDC_Rewind, VDC_Write }, 0, VDS_VERDICT_FAILED },
        { "a flush", 0, { VDC_Write, VDC_Flush }, 0, VDS_VERDICT_UNCONFIRMED },
        { "a flush that failed", 0, { VDC_Write, VDC_Flush }, ERROR_DISK_FULL, VDS_VERDICT_FAILED },
        { "a write behind the flush", 0, { VDC_Write, VDC_Flush, VDC_Write }, 0, VDS_VERDICT_FAILED },
        { "a flush and no Complete", VDF_CompleteEnabled, { VDC_Write, VDC_Flush }, 0, VDS_VERDICT_UNCONFIRMED },
        { "a Complete", VDF_CompleteEnabled, { VDC_Write, VDC_Flush, VDC_Complete }, 0, VDS_VERDICT_UNCONFIRMED },
        { "a Complete that failed",
          VDF_CompleteEnabled,
          { VDC_Write, VDC_Flush, VDC_Complete },
          ERROR_DISK_FULL,
          VDS_VERDICT_FAILED },
};

static void run_device(struct stage *stage, uint32_t device, const int *codes, int end)
{
        for (int i = 0; codes[i]; i++) {
                bool moves = codes[i] == VDC_Write;
                int code = codes[i + 1] ? ERROR_SUCCESS : end;

                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = device, .code = codes[i],
                       .buffer = moves ? 1 : 0, .size = moves ? STAGE_BLOCK : 0);
                EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = device, .timeout_ms = CALL_WAIT_MS);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .device = device, .code = code,
                       .bytes = moves ? STAGE_BLOCK : 0);
                EXPECT_CALLBACK(stage, 0, code, moves ? STAGE_BLOCK : 0);
        }
}

/* One device is enough to fail; the primary and a secondary judge alike. */
static void a_silent_server_is_judged(void **state)
{
        static const int flushed[] = { VDC_Write, VDC_Flush, VDC_Complete, 0 };

        for (size_t i = 0; i < sizeof silences / sizeof silences[0]; i++)
                for (uint32_t device = 0; device < 2; device++) {
                        struct stage *stage = stage_new(state);
                        struct actor *const clients[] = { stage->client, stage->user };

                        stage_say("%s on device %u", silences[i].what, device);
                        stage->wishes.features = VDF_RequestComplete;
                        stage->features = silences[i].answer;
                        stage_up(stage);
                        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK);
                        run_device(stage, device, silences[i].commands, silences[i].end);
                        run_device(stage, 1 - device, flushed, ERROR_SUCCESS);
                        stage_finish_devices(stage);
                        EXPECT(NOERROR, stage->server, OP_CLOSE);
                        for (int j = 0; j < 2; j++)
                                EXPECT_NUMBER(
                                        EXPECT(NOERROR, clients[j], OP_VERDICT, .timeout_ms = CALL_WAIT_MS).verdict,
                                        silences[i].verdict);
                }
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(the_server_closes),
        IN_EVERY_MODE(a_silent_server_is_judged),
        STAGE_TEST(the_client_closes, MODE_ONE_PROCESS, "in one process"),
        STAGE_TEST(the_client_closes, MODE_SERVER_APART, "with a server apart"),
        STAGE_TEST(the_client_closes, MODE_CLIENT_APART, "with a client apart"),
        STAGE_TEST(the_server_dies, MODE_SERVER_APART, "with a server apart"),
        STAGE_TEST(the_server_dies, MODE_SECONDARY, "with a secondary client"),
        STAGE_TEST(the_client_dies, MODE_CLIENT_APART, "with a client apart"),
        STAGE_TEST(a_secondary_closes, MODE_SECONDARY, "with a secondary client"),
        STAGE_TEST(a_secondary_dies, MODE_SECONDARY, "with a secondary client"),
};

STAGE_MAIN(tests)
