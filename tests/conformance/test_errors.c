/*
 * Errors and ends: the rules of the IO-ERROR state (6.4) one by one, what an abort does to commands (7.3), the time-out
 * of two intervals (7.5).
 */
#include "tests/conformance/stage.h"

#include "core/base/deadline.h"

static int64_t now_ms(void)
{
        return monotonic_ns() / 1000000;
}

static struct call_result get(struct stage *stage, uint32_t slot)
{
        return EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .slot = slot, .timeout_ms = CALL_WAIT_MS);
}

static void send(struct stage *stage, uint32_t slot, int code)
{
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = slot, .code = code);
}

static void expect_nothing(struct stage *stage)
{
        EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND, .slot = CALL_SLOTS - 1);
}

static void complete(struct stage *stage, uint32_t slot, int code)
{
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .slot = slot, .code = code);
}

/* ---- IO-ERROR ---- */

/* `held` commands with the client, `queued` more in the queue; the first held one fails. All are slots from 0. */
static struct stage *fail_one(void **state, uint32_t held, uint32_t queued)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        for (uint32_t slot = 0; slot < held + queued; slot++)
                send(stage, slot, VDC_Flush);
        for (uint32_t slot = 0; slot < held; slot++)
                get(stage, slot);
        complete(stage, 0, ERROR_DISK_FULL);
        EXPECT_CALLBACK(stage, 0, ERROR_DISK_FULL, 0);
        return stage;
}

/* 6.4.1 and 6.4.4: whatever it is but ClearError, at once and from the sending thread. */
static void in_io_error_commands_are_refused(void **state)
{
        struct stage *stage = fail_one(state, 1, 0);

        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_BLOCK);
        for (int code = VDC_Read; code <= VDC_Complete; code++) {
                bool moves = code == VDC_Read || code == VDC_Write;

                if (code == VDC_ClearError)
                        continue;
                stage_say("%s", vds_command_name(code));
                EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .slot = 1, .code = code, .buffer = moves ? 1 : 0,
                       .size = moves ? STAGE_BLOCK : 0);
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = 1).in_sending, true);
                EXPECT_CALLBACK(stage, 1, ERROR_IO_DEVICE, 0);
        }
        expect_nothing(stage);
        /* The other device is not concerned. */
        stage_pass(stage, 1, 2, VDC_Flush);
}

/* 6.4.2: the client never sees them. */
static void in_io_error_the_queue_is_flushed(void **state)
{
        for (uint32_t queued = 1; queued < VDS_QUEUE_DEPTH; queued += 31) {
                struct stage *stage = fail_one(state, 1, queued);

                stage_say("%u queued", queued);
                for (uint32_t slot = 1; slot <= queued; slot++)
                        EXPECT_CALLBACK(stage, slot, ERROR_IO_DEVICE, 0);
                expect_nothing(stage);
                stage_pass(stage, 0, 70, VDC_ClearError);
                stage_pass(stage, 0, 71, VDC_Flush);
        }
}

/* 6.4.3: they stay outstanding, and each has its own end. */
static void in_io_error_held_commands_stay(void **state)
{
        struct stage *stage = fail_one(state, 4, 2);

        EXPECT_CALLBACK(stage, 4, ERROR_IO_DEVICE, 0);
        EXPECT_CALLBACK(stage, 5, ERROR_IO_DEVICE, 0);
        for (uint32_t slot = 1; slot < 4; slot++)
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = slot).calls, 0);
        complete(stage, 2, ERROR_SUCCESS);
        EXPECT_CALLBACK(stage, 2, ERROR_SUCCESS, 0);
        /* A success does not end the state. */
        EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .slot = 6, .code = VDC_Flush);
        complete(stage, 1, ERROR_IO_DEVICE);
        EXPECT_CALLBACK(stage, 1, ERROR_IO_DEVICE, 0);
        complete(stage, 3, ERROR_SUCCESS);
        EXPECT_CALLBACK(stage, 3, ERROR_SUCCESS, 0);
        EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .slot = 6, .code = VDC_Flush);
}

/* 6.4.5: until every command that the client holds is completed; whether it asks before or waits meanwhile. */
static void clear_error_is_held_back(void **state)
{
        for (int waiting = 0; waiting < 2; waiting++) {
                struct stage *stage = fail_one(state, 3, 1);

                send(stage, 10, VDC_ClearError);
                expect_nothing(stage);
                complete(stage, 2, ERROR_SUCCESS);
                expect_nothing(stage);
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = 10).calls, 0);
                if (waiting)
                        BEGIN(stage->user, 1, OP_GET_COMMAND, .slot = 10, .timeout_ms = -1);
                complete(stage, 1, ERROR_IO_DEVICE);
                EXPECT_NUMBER((waiting ? EXPECT_END(NOERROR, stage->user, 1) : get(stage, 10)).code, VDC_ClearError);
                complete(stage, 10, ERROR_SUCCESS);
                EXPECT_CALLBACK(stage, 10, ERROR_SUCCESS, 0);
                stage_pass(stage, 0, 11, VDC_Flush);
        }
}

/* A ClearError that was queued before anything failed is held back as well, and what is behind it waits. */
static void an_early_clear_error_is_held_back(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        send(stage, 0, VDC_Flush);
        send(stage, 1, VDC_Flush);
        get(stage, 0);
        get(stage, 1);
        send(stage, 2, VDC_Flush);
        send(stage, 3, VDC_ClearError);
        complete(stage, 0, ERROR_DISK_FULL);
        EXPECT_CALLBACK(stage, 0, ERROR_DISK_FULL, 0);
        EXPECT_CALLBACK(stage, 2, ERROR_IO_DEVICE, 0);
        expect_nothing(stage);
        complete(stage, 1, ERROR_SUCCESS);
        EXPECT_NUMBER(get(stage, 3).code, VDC_ClearError);
        complete(stage, 3, ERROR_SUCCESS);
        EXPECT_CALLBACK(stage, 3, ERROR_SUCCESS, 0);
        stage_pass(stage, 0, 4, VDC_Flush);
}

/* 6.4.6, and a ClearError that fails: the state stays, and another may try. */
static void clear_error_ends_the_state(void **state)
{
        struct stage *stage = fail_one(state, 1, 0);

        for (uint32_t slot = 1; slot < 4; slot++) {
                send(stage, slot, VDC_ClearError);
                EXPECT_NUMBER(get(stage, slot).code, VDC_ClearError);
                complete(stage, slot, ERROR_NOT_SUPPORTED);
                EXPECT_CALLBACK(stage, slot, ERROR_NOT_SUPPORTED, 0);
                EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .slot = 10, .code = VDC_Flush);
        }
        stage_pass(stage, 0, 4, VDC_ClearError);
        for (int code = VDC_ClearError; code <= VDC_Complete; code++)
                stage_pass(stage, 0, (uint32_t)code, code);
        /* Where there is no error, it is a command like others. */
        stage_pass(stage, 0, 30, VDC_ClearError);
}

/* 6.4.7 */
static void in_io_error_the_device_may_be_closed(void **state)
{
        struct stage *stage = fail_one(state, 2, 1);

        /* Closed sooner, the device would end this one as aborted, too. */
        EXPECT_CALLBACK(stage, 2, ERROR_IO_DEVICE, 0);
        EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
        EXPECT_CALLBACK(stage, 1, ERROR_OPERATION_ABORTED, 0);
        EXPECT(VD_E_CLOSE, stage->user, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
        EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_NONE);
        stage_pass(stage, 1, 3, VDC_Flush);
}

static void in_io_error_the_set_may_be_aborted(void **state)
{
        struct stage *stage = fail_one(state, 2, 0);

        send(stage, 2, VDC_ClearError);
        BEGIN(stage->user, 1, OP_GET_COMMAND, .slot = 2, .timeout_ms = -1);
        EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
        EXPECT_END(VD_E_ABORT, stage->user, 1);
        EXPECT_CALLBACK(stage, 1, ERROR_OPERATION_ABORTED, 0);
        EXPECT_CALLBACK(stage, 2, ERROR_OPERATION_ABORTED, 0);
        stage_expect_agent(stage, NOERROR);
}

/* ---- callbacks ---- */

/* A callback may call, whether the agent runs it or SendCommand does. */
static void a_callback_sends_a_command(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = 0, .code = VDC_Flush, .then = 1);
        get(stage, 0);
        complete(stage, 0, ERROR_SUCCESS);
        get(stage, 1);
        complete(stage, 1, ERROR_SUCCESS);
        EXPECT_CALLBACK(stage, 1, ERROR_SUCCESS, 0);
        /* Refused for what it is, and followed by one that is not. */
        EXPECT(VD_E_INVALID, stage->server, OP_SEND_COMMAND, .slot = 2, .code = 0, .then = 3);
        EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = 2).in_sending, true);
        get(stage, 3);
        /* Refused like it, one inside the other. */
        complete(stage, 3, ERROR_DISK_FULL);
        EXPECT_CALLBACK(stage, 3, ERROR_DISK_FULL, 0);
        EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .slot = 4, .code = VDC_Flush, .then = 5);
        EXPECT_CALLBACK(stage, 4, ERROR_IO_DEVICE, 0);
        EXPECT_CALLBACK(stage, 5, ERROR_IO_DEVICE, 0);
}

/* One device is meant for one thread; several come to no harm. */
static void two_threads_at_one_device(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        for (uint32_t slot = 0; slot < 60; slot += 2) {
                BEGIN(stage->user, 1, OP_GET_COMMAND, .slot = slot, .timeout_ms = -1);
                BEGIN(stage->user, 2, OP_GET_COMMAND, .slot = slot + 1, .timeout_ms = -1);
                send(stage, slot, VDC_Flush);
                send(stage, slot + 1, VDC_Flush);
                EXPECT_END(NOERROR, stage->user, 1);
                EXPECT_END(NOERROR, stage->user, 2);
                complete(stage, slot, ERROR_SUCCESS);
                complete(stage, slot + 1, ERROR_SUCCESS);
                EXPECT_CALLBACK(stage, slot, ERROR_SUCCESS, 0);
                EXPECT_CALLBACK(stage, slot + 1, ERROR_SUCCESS, 0);
        }
}

/* ---- waking ---- */

enum waker { WAKE_COMMAND = 0, WAKE_CLEAR_ERROR, WAKE_CLOSE_DEVICE, WAKE_CLIENT_ABORT, WAKE_SERVER_ABORT, WAKERS };

static const struct {
        const char *name;
        int result;
} wakers[WAKERS] = {
        [WAKE_COMMAND] = { "SendCommand", NOERROR },
        [WAKE_CLEAR_ERROR] = { "the last completion before ClearError", NOERROR },
        [WAKE_CLOSE_DEVICE] = { "CloseDevice", VD_E_CLOSE },
        [WAKE_CLIENT_ABORT] = { "the client's SignalAbort", VD_E_ABORT },
        [WAKE_SERVER_ABORT] = { "the server's SignalAbort", VD_E_ABORT },
};

static void wake(struct stage *stage, enum waker waker)
{
        switch (waker) {
        case WAKE_COMMAND:
                send(stage, 2, VDC_Flush);
                break;
        case WAKE_CLEAR_ERROR:
                complete(stage, 1, ERROR_SUCCESS);
                break;
        case WAKE_CLOSE_DEVICE:
                EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE);
                break;
        default:
                EXPECT(NOERROR, waker == WAKE_CLIENT_ABORT ? stage->user : stage->server, OP_SIGNAL_ABORT);
        }
}

/* How long a GetCommand that waited took to come back once it was woken. */
static int64_t measure_waking(void **state, enum waker waker)
{
        struct stage *stage = fail_one(state, 2, 0);
        int64_t began;

        if (waker == WAKE_CLEAR_ERROR) {
                send(stage, 2, VDC_ClearError);
        } else {
                complete(stage, 1, ERROR_SUCCESS);
                stage_pass(stage, 0, 3, VDC_ClearError);
        }
        stage_say("%s", wakers[waker].name);
        BEGIN(stage->user, 1, OP_GET_COMMAND, .slot = 2, .timeout_ms = -1);
        /* Time for it to fall asleep. */
        EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND, .device = 1, .slot = CALL_SLOTS - 1, .timeout_ms = 20);
        began = now_ms();
        wake(stage, waker);
        EXPECT_END(wakers[waker].result, stage->user, 1);
        return now_ms() - began;
}

/* A waiter looks once a second by itself, so a lost wake-up shows as a wait of nearly that, each time. */
static void waiters_are_woken(void **state)
{
        enum { PROMPT_MS = 500, TRIES = 6 };

        for (enum waker waker = WAKE_COMMAND; waker < WAKERS; waker++) {
                int tries = 0;

                while (measure_waking(state, waker) >= PROMPT_MS)
                        if (++tries == TRIES)
                                stage_fail(__LINE__, "the waiter was not woken");
        }
}

/* ---- abort ---- */

/* On all devices, delivered or not, once each; what the client then says is ignored. */
static void an_abort_gives_everything_back(void **state)
{
        for (int own = 0; own < 2; own++) {
                struct stage *stage = stage_new(state);

                stage_up(stage);
                for (uint32_t slot = 0; slot < 40; slot++)
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = slot % 2, .slot = slot,
                               .code = VDC_Flush);
                for (uint32_t slot = 0; slot < 10; slot++)
                        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = slot % 2, .slot = slot,
                               .timeout_ms = CALL_WAIT_MS);
                EXPECT(NOERROR, own ? stage->server : stage->user, OP_SIGNAL_ABORT);
                for (uint32_t slot = 0; slot < 10; slot++)
                        EXPECT(VD_E_ABORT, stage->user, OP_COMPLETE_COMMAND, .device = slot % 2, .slot = slot);
                for (uint32_t slot = 0; slot < 40; slot++)
                        EXPECT_CALLBACK(stage, slot, ERROR_OPERATION_ABORTED, 0);
                stage_expect_agent(stage, NOERROR);
                EXPECT(VD_E_ABORT, stage->server, OP_SEND_COMMAND, .slot = 41, .code = VDC_Flush);
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = 41).in_sending, true);
                EXPECT_CALLBACK(stage, 41, ERROR_OPERATION_ABORTED, 0);
                EXPECT(VD_E_ABORT, stage->user, OP_GET_COMMAND);
        }
}

/* Recorded by the client, and not yet processed when the abort came. */
static void an_abort_ignores_what_was_recorded(void **state)
{
        struct stage *stage = stage_new(state);

        stage_open_devices(stage);
        for (uint32_t slot = 0; slot < 3; slot++)
                send(stage, slot, VDC_Flush);
        get(stage, 0);
        complete(stage, 0, ERROR_SUCCESS);
        get(stage, 1);
        EXPECT(NOERROR, stage->user, OP_SIGNAL_ABORT);
        EXPECT_NUMBER(CALL(stage->server, OP_LOOK).calls, 0);
        EXPECT(VD_E_ABORT, stage->server, OP_EXECUTE_COMPLETION_AGENT);
        for (uint32_t slot = 0; slot < 3; slot++)
                EXPECT_CALLBACK(stage, slot, ERROR_OPERATION_ABORTED, 0);
}

/* Buffers stay with whoever holds them until that side's own Close. */
static void an_abort_leaves_the_buffers(void **state)
{
        struct stage *stage = stage_new(state);

        stage_up(stage);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_FILL, .buffer = 1, .seed = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Write, .buffer = 1, .size = STAGE_TRANSFER);
        get(stage, 0);
        EXPECT(NOERROR, stage->server, OP_SIGNAL_ABORT);
        EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .seed = 1, .size = STAGE_TRANSFER);
        EXPECT(1, stage->server, OP_MATCH, .buffer = 1, .seed = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_CLOSE);
        EXPECT(NOERROR, stage->user, OP_FILL, .place = PLACE_COMMAND, .seed = 2, .size = STAGE_TRANSFER);
        EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .seed = 2, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->user, OP_CLOSE);
}

/* ---- serverTimeOut ---- */

enum { INTERVAL_MS = 100 };

/* A wait of the client's, in which nothing comes. */
static void let_pass(struct stage *stage, uint32_t device, int64_t ms)
{
        EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND, .device = device, .slot = CALL_SLOTS - 1, .timeout_ms = ms);
}

static void two_silent_intervals_abort(void **state)
{
        for (int delivered = 0; delivered < 2; delivered++) {
                struct stage *stage = stage_new(state);
                int64_t began = now_ms();

                stage->wishes.serverTimeOut = INTERVAL_MS;
                stage_up(stage);
                send(stage, 0, VDC_Flush);
                if (delivered)
                        get(stage, 0);
                EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
                assert_in_range(now_ms() - began, 2 * INTERVAL_MS, CALL_WAIT_MS);
                EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_TIMEOUT);
                EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_TIMEOUT);
                stage_expect_agent(stage, NOERROR);
        }
}

/* Nothing pending, nothing counts, however long; and 0 is without limit. */
static void quiet_times_do_not_count(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.serverTimeOut = INTERVAL_MS;
        stage_up(stage);
        for (uint32_t slot = 0; slot < 2; slot++) {
                let_pass(stage, 0, 3 * INTERVAL_MS);
                EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_NONE);
                stage_pass(stage, 0, slot, VDC_Flush);
        }
        stage = stage_new(state);
        stage_up(stage);
        send(stage, 0, VDC_Flush);
        let_pass(stage, 1, 2 * INTERVAL_MS);
        EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_NONE);
        get(stage, 0);
        complete(stage, 0, ERROR_SUCCESS);
        EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, 0);
}

/* A completion on any device of the set starts the count anew. */
static void a_completion_starts_the_count_anew(void **state)
{
        enum { LONG_MS = 600 };
        struct stage *stage = stage_new(state);
        int64_t began;

        stage->wishes.serverTimeOut = LONG_MS;
        stage_up(stage);
        send(stage, 0, VDC_Flush);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .slot = 1, .code = VDC_Flush);
        get(stage, 0);
        let_pass(stage, 0, LONG_MS);
        began = now_ms();
        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = 1, .slot = 1);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .device = 1, .slot = 1);
        EXPECT_CALLBACK(stage, 1, ERROR_SUCCESS, 0);
        EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
        assert_in_range(now_ms() - began, 2 * LONG_MS, CALL_WAIT_MS);
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(in_io_error_commands_are_refused),
        IN_EVERY_MODE(in_io_error_the_queue_is_flushed),
        IN_EVERY_MODE(in_io_error_held_commands_stay),
        IN_EVERY_MODE(clear_error_is_held_back),
        IN_EVERY_MODE(an_early_clear_error_is_held_back),
        IN_EVERY_MODE(clear_error_ends_the_state),
        IN_EVERY_MODE(in_io_error_the_device_may_be_closed),
        IN_EVERY_MODE(in_io_error_the_set_may_be_aborted),
        IN_EVERY_MODE(a_callback_sends_a_command),
        IN_EVERY_MODE(two_threads_at_one_device),
        IN_EVERY_MODE(waiters_are_woken),
        IN_EVERY_MODE(an_abort_gives_everything_back),
        IN_EVERY_MODE(an_abort_ignores_what_was_recorded),
        IN_EVERY_MODE(an_abort_leaves_the_buffers),
        IN_EVERY_MODE(two_silent_intervals_abort),
        IN_EVERY_MODE(quiet_times_do_not_count),
        /* Two seconds each: where the server is, and where a secondary is. */
        STAGE_TEST(a_completion_starts_the_count_anew, MODE_ONE_PROCESS, "in one process"),
        STAGE_TEST(a_completion_starts_the_count_anew, MODE_SECONDARY, "with a secondary client"),
};

STAGE_MAIN(tests)
