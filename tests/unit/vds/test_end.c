/* The ends a set can come to other than the good one: abort, Close too early,
 * time-outs; and what a verdict is worth. */
#include "tests/unit/vds/pair.h"

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/vds/internal.h"

static void send(struct pair *pair, uint32_t device, struct sent *sent, int code)
{
        sent_init(sent, code, NULL, 0);
        assert_int_equal(vds_server_device_send_command(pair->server_devices[device], &sent->command), NOERROR);
}

static void complete(struct pair *pair, uint32_t device, int command_code, int code)
{
        struct VDC_Command *command = pair_get(pair->client_devices[device], command_code);

        assert_int_equal(vds_client_device_complete_command(pair->client_devices[device], command, code, 0, 0),
                         NOERROR);
}

/* ---- abort ---- */

enum { ABORT_COMMANDS = 5 };

static void abort_with_commands_outstanding(int (*abort_it)(struct pair *pair), enum vds_abort_reason reason)
{
        struct sent sent[ABORT_COMMANDS];
        struct VDC_Command *held;
        struct VDC_Command *command;
        struct vds_client_device *device;
        struct VDConfig config;
        struct pair pair;
        uint8_t *buffer;

        pair_up(&pair, 2);
        for (int i = 0; i < ABORT_COMMANDS; i++)
                send(&pair, 0, &sent[i], VDC_Flush);
        held = pair_get(pair.client_devices[0], VDC_Flush);
        assert_int_equal(abort_it(&pair), NOERROR);
        for (int i = 0; i < ABORT_COMMANDS; i++) {
                sent_wait(&sent[i]);
                assert_int_equal(sent[i].command.completionCode, ERROR_OPERATION_ABORTED);
        }
        pair_join_agent(&pair);
        assert_int_equal(pair.agent_result, NOERROR);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], held, 0, 0, 0), VD_E_ABORT);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], -1, &command), VD_E_ABORT);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[1], -1, &command), VD_E_ABORT);
        assert_int_equal(vds_client_get_configuration(pair.client, -1, &config), VD_E_ABORT);
        assert_int_equal(vds_client_open_device(pair.client, "set", &device), VD_E_ABORT);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_BLOCK, 0), VD_E_ABORT);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), reason);
        assert_int_equal(vds_server_abort_reason(pair.server), reason);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        for (int i = 0; i < ABORT_COMMANDS; i++)
                assert_int_equal(sent_calls(&sent[i]), 1);
        pair_deinit(&pair);
}

static int abort_by_client(struct pair *pair)
{
        return vds_client_signal_abort(pair->client);
}

static int abort_by_server(struct pair *pair)
{
        return vds_server_signal_abort(pair->server);
}

static int abort_by_both(struct pair *pair)
{
        assert_int_equal(vds_server_signal_abort(pair->server), NOERROR);
        assert_int_equal(vds_client_signal_abort(pair->client), NOERROR);
        return vds_server_signal_abort(pair->server);
}

static void the_client_aborts(void **state)
{
        (void)state;
        abort_with_commands_outstanding(abort_by_client, VDS_ABORT_CLIENT);
}

static void the_server_aborts(void **state)
{
        (void)state;
        abort_with_commands_outstanding(abort_by_server, VDS_ABORT_SERVER);
}

static void the_first_reason_stays(void **state)
{
        (void)state;
        abort_with_commands_outstanding(abort_by_both, VDS_ABORT_SERVER);
}

/* ---- waiting threads ---- */

struct waiter {
        struct pair *pair;
        int (*call)(struct pair *pair);
        pthread_t thread;
        int result;
};

static void *run_waiter(void *argument)
{
        struct waiter *waiter = argument;

        waiter->result = waiter->call(waiter->pair);
        return NULL;
}

static void start(struct waiter *waiter, struct pair *pair, int (*call)(struct pair *pair))
{
        *waiter = (struct waiter){ .pair = pair, .call = call };
        assert_int_equal(pthread_create(&waiter->thread, NULL, run_waiter, waiter), 0);
}

/* Until the call is inside the gate. */
static void await_inside(struct vds_set *set)
{
        while ((atomic_load(&set->gate) & ~SET_GATE_CLOSED) == 0)
                sched_yield();
}

static int wait_configuration(struct pair *pair)
{
        struct VDConfig config;

        return vds_client_get_configuration(pair->client, -1, &config);
}

static int wait_command(struct pair *pair)
{
        struct VDC_Command *command;

        return vds_client_device_get_command(pair->client_devices[0], -1, &command);
}

static int wait_device(struct pair *pair)
{
        struct vds_client_device *device;

        return vds_client_open_device(pair->client, "set1", &device);
}

static int wait_verdict(struct pair *pair)
{
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];

        return vds_client_verdict(pair->client, -1, &verdict, text);
}

static void abort_wakes_every_waiter(void **state)
{
        static const struct {
                int (*call)(struct pair *pair);
                void (*prepare)(struct pair *pair);
        } cases[] = {
                { wait_configuration, pair_connect },
                { wait_device, pair_configure },
                { wait_command, pair_open_devices },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct waiter waiter;
                struct pair pair;

                pair_init(&pair, 2);
                cases[i].prepare(&pair);
                start(&waiter, &pair, cases[i].call);
                await_inside(&pair.client->set);
                assert_int_equal(vds_server_signal_abort(pair.server), NOERROR);
                pthread_join(waiter.thread, NULL);
                assert_int_equal(waiter.result, VD_E_ABORT);
                pair_deinit(&pair);
        }
}

static void close_waits_for_calls_and_ends_them(void **state)
{
        static const struct {
                int (*call)(struct pair *pair);
                void (*prepare)(struct pair *pair);
        } cases[] = {
                { wait_configuration, pair_create },
                { wait_device, pair_configure },
                { wait_command, pair_open_devices },
                { wait_verdict, pair_open_devices },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct waiter waiter;
                struct pair pair;

                pair_init(&pair, 2);
                cases[i].prepare(&pair);
                start(&waiter, &pair, cases[i].call);
                await_inside(&pair.client->set);
                vds_client_close(pair.client);
                pthread_join(waiter.thread, NULL);
                assert_int_not_equal(waiter.result, NOERROR);
                pair_deinit(&pair);
        }
}

/* Whoever has closed may free, though the call that Close ended has not quite returned. */
static void close_lets_nobody_touch_the_set_afterwards(void **state)
{
        (void)state;
        for (int i = 0; i < 100; i++) {
                struct waiter waiter;
                struct pair pair;

                pair_init(&pair, 1);
                pair_create(&pair);
                start(&waiter, &pair, wait_configuration);
                await_inside(&pair.client->set);
                vds_client_close(pair.client);
                pair_deinit(&pair);
                pthread_join(waiter.thread, NULL);
                assert_int_not_equal(waiter.result, NOERROR);
        }
}

/* ---- Close ---- */

static void the_client_closes_with_a_device_open(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        send(&pair, 0, &sent, VDC_Flush);
        assert_int_equal(vds_client_close(pair.client), VD_E_OPEN);
        sent_wait(&sent);
        assert_int_equal(sent.command.completionCode, ERROR_OPERATION_ABORTED);
        pair_join_agent(&pair);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_CLIENT_CLOSED);
        pair_deinit(&pair);
}

static void the_client_closes_before_it_opens_a_device(void **state)
{
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_configure(&pair);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_CLIENT_CLOSED);
        pair_deinit(&pair);
}

static void the_server_closes_with_a_device_open(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        send(&pair, 0, &sent, VDC_Flush);
        assert_int_equal(vds_server_close(pair.server), VD_E_PROTOCOL);
        /* Close has waited for the agent, and the agent for its callbacks. */
        assert_int_equal(sent_calls(&sent), 1);
        assert_int_equal(sent.command.completionCode, ERROR_OPERATION_ABORTED);
        pair_join_agent(&pair);
        assert_int_equal(wait_command(&pair), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_SERVER_CLOSED);
        pair_deinit(&pair);
}

static void without_an_agent_close_gives_back(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        send(&pair, 0, &sent, VDC_Flush);
        assert_int_equal(vds_server_close(pair.server), VD_E_PROTOCOL);
        assert_int_equal(sent_calls(&sent), 1);
        pair_deinit(&pair);
}

static void the_server_closes_before_configuration_ends(void **state)
{
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_begin(&pair);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        assert_int_equal(wait_configuration(&pair), VD_E_ABORT);
        pair_deinit(&pair);
}

static struct pair *closing_pair;
static _Atomic int closing_result;

static void close_in_callback(struct VDS_Command *command)
{
        (void)command;
        atomic_store(&closing_result, vds_server_close(closing_pair->server));
}

static void close_from_a_callback(bool with_agent)
{
        struct sent other;
        struct sent closing;
        struct pair pair;

        pair_init(&pair, 1);
        pair_open_devices(&pair);
        if (with_agent)
                pair_start_agent(&pair);
        closing_pair = &pair;
        atomic_store(&closing_result, 1);
        sent_init(&closing, VDC_Flush, NULL, 0);
        closing.command.completionRoutine = (uint8_t *)(uintptr_t)close_in_callback;
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &closing.command), NOERROR);
        send(&pair, 0, &other, VDC_Flush);
        if (with_agent)
                complete(&pair, 0, VDC_Flush, 0);
        else
                assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        pair_join_agent(&pair);
        assert_int_equal(atomic_load(&closing_result), with_agent ? VD_E_PROTOCOL : NOERROR);
        assert_int_equal(sent_calls(&other), 1);
        assert_int_equal(other.command.completionCode, ERROR_OPERATION_ABORTED);
        assert_int_equal(vds_server_close(pair.server), VD_E_PROTOCOL);
        assert_int_equal(atomic_load(&pair.server->set.state), STATE_NONE);
        pair_deinit(&pair);
}

static void close_from_the_agents_callback(void **state)
{
        (void)state;
        close_from_a_callback(true);
}

static void close_from_a_callback_inside_close_device(void **state)
{
        (void)state;
        close_from_a_callback(false);
}

/* ---- the server's time-out ---- */

static void two_silent_intervals_abort(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.wishes.serverTimeOut = 50;
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        send(&pair, 0, &sent, VDC_Flush);
        sent_wait(&sent);
        assert_int_equal(sent.command.completionCode, ERROR_OPERATION_ABORTED);
        assert_int_equal(wait_command(&pair), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_TIMEOUT);
        pair_deinit(&pair);
}

/* ---- a thread that runs the callbacks of its device ---- */

static void waiting_for_callbacks_ends(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], 0), VD_E_TIMEOUT);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], 5), VD_E_TIMEOUT);
        send(&pair, 0, &sent, VDC_Flush);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], -1), VD_E_ABORT);
        assert_int_equal(sent_calls(&sent), 1);
        assert_int_equal(sent.command.completionCode, ERROR_OPERATION_ABORTED);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], -1), VD_E_PROTOCOL);
        pair_deinit(&pair);
}

static void a_closed_device_has_no_callbacks(void **state)
{
        struct pair pair;

        (void)state;
        pair_init(&pair, 2);
        pair_open_devices(&pair);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], -1), VD_E_CLOSE);
        pair_deinit(&pair);
}

static void a_thread_that_runs_callbacks_notices_two_silent_intervals(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.wishes.serverTimeOut = 50;
        pair_open_devices(&pair);
        send(&pair, 0, &sent, VDC_Flush);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], -1), VD_E_ABORT);
        assert_int_equal(sent_calls(&sent), 1);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_TIMEOUT);
        pair_deinit(&pair);
}

/* What the client of another device has done, and its thread has not seen yet, is progress. */
static void a_slow_thread_is_no_silent_client(void **state)
{
        struct sent seen_late;
        struct sent waited_for;
        struct pair pair;

        (void)state;
        pair_init(&pair, 2);
        pair.wishes.serverTimeOut = 50;
        pair_open_devices(&pair);
        send(&pair, 0, &seen_late, VDC_Flush);
        complete(&pair, 0, VDC_Flush, 0);
        send(&pair, 1, &waited_for, VDC_Flush);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[1], 300), VD_E_TIMEOUT);
        assert_int_equal(sent_calls(&seen_late), 0);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[0], -1), NOERROR);
        assert_int_equal(vds_server_device_run_callbacks(pair.server_devices[1], -1), VD_E_ABORT);
        assert_int_equal(sent_calls(&seen_late), 1);
        assert_int_equal(seen_late.command.completionCode, ERROR_SUCCESS);
        assert_int_equal(waited_for.command.completionCode, ERROR_OPERATION_ABORTED);
        pair_deinit(&pair);
}

/* Any completion on any device starts the count anew, and with nothing to do the server may be silent for ever. */
static void progress_on_one_device_covers_the_others(void **state)
{
        enum { INTERVAL_MS = 800 }; /* twice as long may a loaded machine stand still */
        struct deadline over;
        struct sent slow;
        struct sent quick;
        struct pair pair;

        (void)state;
        pair_init(&pair, 2);
        pair.wishes.serverTimeOut = INTERVAL_MS;
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        assert_int_equal(poll(NULL, 0, 2 * INTERVAL_MS + INTERVAL_MS / 4), 0);
        send(&pair, 0, &slow, VDC_Flush);
        over = deadline_after_ms(2 * INTERVAL_MS + INTERVAL_MS / 4);
        while (!deadline_passed(over)) {
                send(&pair, 1, &quick, VDC_Flush);
                complete(&pair, 1, VDC_Flush, 0);
                sent_wait(&quick);
        }
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_NONE);
        complete(&pair, 0, VDC_Flush, 0);
        sent_wait(&slow);
        pair_deinit(&pair);
}

struct worker {
        struct pair *pair;
        _Atomic bool stop;
        pthread_t wake_thread;
        pthread_t answer_thread;
};

static void *wake_the_agent(void *argument)
{
        struct worker *worker = argument;

        while (!atomic_load(&worker->stop))
                wake_signal(&worker->pair->server->set.layout->agent_wake);
        return NULL;
}

static void *answer_everything(void *argument)
{
        struct vds_client_device *device = ((struct worker *)argument)->pair->client_devices[0];
        struct VDC_Command *command;

        while (vds_client_device_get_command(device, -1, &command) == NOERROR)
                vds_client_device_complete_command(device, command, 0, 0, 0);
        return NULL;
}

/* The agent, which looks all the time, must not count the quiet time as the first command's. */
static void a_quiet_time_does_not_count(void **state)
{
        struct worker worker = { .stop = false };
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.wishes.serverTimeOut = 60000;
        pair_open_devices(&pair);
        assert_int_not_equal(atomic_load(&pair.server->progress_ns), 0);
        pair_start_agent(&pair);
        worker.pair = &pair;
        assert_int_equal(pthread_create(&worker.wake_thread, NULL, wake_the_agent, &worker), 0);
        assert_int_equal(pthread_create(&worker.answer_thread, NULL, answer_everything, &worker), 0);
        for (int i = 0; i < 50000; i++) {
                struct sent sent;

                /* As if the last command had been long ago. */
                atomic_store(&pair.server->progress_ns, INT64_MIN / 2);
                send(&pair, 0, &sent, VDC_Flush);
                sent_wait(&sent);
                assert_int_equal(sent.command.completionCode, ERROR_SUCCESS);
        }
        atomic_store(&worker.stop, true);
        pthread_join(worker.wake_thread, NULL);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        pthread_join(worker.answer_thread, NULL);
        pair_deinit(&pair);
}

/* ---- verdict ---- */

static enum vds_verdict verdict_of(struct pair *pair)
{
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];

        assert_int_equal(vds_client_verdict(pair->client, PAIR_WAIT_MS, &verdict, text), NOERROR);
        return verdict;
}

/* Sends and answers commands on one device, closes it, ends without a word, and asks what to think of it. */
static enum vds_verdict verdict_after(const int (*steps)[2], size_t count)
{
        struct pair pair;
        enum vds_verdict verdict;
        uint8_t *buffer;

        pair_init(&pair, 1);
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_BLOCK, 0), NOERROR);
        for (size_t i = 0; i < count; i++) {
                struct sent sent;

                sent_init(&sent, steps[i][0], steps[i][0] == VDC_Write ? buffer : NULL, PAIR_BLOCK);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
                complete(&pair, 0, steps[i][0], steps[i][1]);
                sent_wait(&sent);
        }
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        assert_int_equal(wait_command(&pair), VD_E_CLOSE);
        pair_join_agent(&pair);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        verdict = verdict_of(&pair);
        pair_deinit(&pair);
        return verdict;
}

#define VERDICT_AFTER(...) \
        verdict_after((const int[][2]){ __VA_ARGS__ }, sizeof((const int[][2]){ __VA_ARGS__ }) / sizeof(int[2]))

static void a_silent_server_is_judged_by_its_flush(void **state)
{
        (void)state;
        assert_int_equal(VERDICT_AFTER({ VDC_Write, 0 }, { VDC_Flush, 0 }), VDS_VERDICT_UNCONFIRMED);
        assert_int_equal(VERDICT_AFTER({ VDC_Write, 0 }), VDS_VERDICT_FAILED);
        assert_int_equal(VERDICT_AFTER({ VDC_Flush, 0 }, { VDC_Write, 0 }), VDS_VERDICT_FAILED);
        assert_int_equal(VERDICT_AFTER({ VDC_Write, 0 }, { VDC_Flush, ERROR_DISK_FULL }), VDS_VERDICT_FAILED);
        assert_int_equal(VERDICT_AFTER({ VDC_Write, ERROR_DISK_FULL }, { VDC_ClearError, 0 }, { VDC_Write, 0 },
                                       { VDC_Flush, 0 }),
                         VDS_VERDICT_UNCONFIRMED);
        /* Complete was not granted here, so it proves nothing. */
        assert_int_equal(VERDICT_AFTER({ VDC_Write, 0 }, { VDC_Complete, 0 }), VDS_VERDICT_FAILED);
}

static void a_verdict_is_stated_once_and_also_after_abort(void **state)
{
        struct pair pair;
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];
        char long_text[2 * VDS_TEXT_MAX];

        (void)state;
        memset(long_text, 'x', sizeof long_text - 1);
        long_text[sizeof long_text - 1] = '\0';
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        assert_int_equal(vds_client_verdict(pair.client, 0, &verdict, text), VD_E_TIMEOUT);
        assert_int_equal(vds_server_signal_abort(pair.server), NOERROR);
        assert_int_equal(vds_client_verdict(pair.client, 0, &verdict, text), VD_E_TIMEOUT);
        assert_int_equal(vds_server_set_verdict(pair.server, VDS_VERDICT_NONE, ""), VD_E_INVALID);
        assert_int_equal(vds_server_set_verdict(pair.server, VDS_VERDICT_FAILED, long_text), NOERROR);
        assert_int_equal(vds_server_set_verdict(pair.server, VDS_VERDICT_SUCCESS, ""), VD_E_PROTOCOL);
        assert_int_equal(vds_client_verdict(pair.client, 0, &verdict, text), NOERROR);
        assert_int_equal(verdict, VDS_VERDICT_FAILED);
        assert_int_equal(strlen(text), VDS_TEXT_MAX - 1);
        pair_deinit(&pair);
}

static void a_set_without_server_that_is_aborted_has_failed(void **state)
{
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_create(&pair);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        assert_int_equal(verdict_of(&pair), VDS_VERDICT_FAILED);
        pair_deinit(&pair);
}

/* ---- fork ---- */

static void a_forked_child_has_no_part_in_the_set(void **state)
{
        int before = count_descriptors();
        struct VDC_Command *command;
        struct VDConfig config;
        struct pair pair;
        int status;
        pid_t child;

        (void)state;
        pair_up(&pair, 1);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                int bad = 0;

                bad += vds_client_device_get_command(pair.client_devices[0], 0, &command) != VD_E_PROTOCOL;
                bad += vds_client_get_configuration(pair.client, 0, &config) != VD_E_PROTOCOL;
                bad += vds_server_signal_abort(pair.server) != VD_E_PROTOCOL;
                bad += vds_client_close(pair.client) != VD_E_PROTOCOL;
                bad += count_descriptors() != before;
                vds_server_free(pair.server);
                vds_client_free(pair.client);
                _exit(bad);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], 0, &command), VD_E_TIMEOUT);
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_client_aborts),
                cmocka_unit_test(the_server_aborts),
                cmocka_unit_test(the_first_reason_stays),
                cmocka_unit_test(abort_wakes_every_waiter),
                cmocka_unit_test(close_waits_for_calls_and_ends_them),
                cmocka_unit_test(close_lets_nobody_touch_the_set_afterwards),
                cmocka_unit_test(the_client_closes_with_a_device_open),
                cmocka_unit_test(the_client_closes_before_it_opens_a_device),
                cmocka_unit_test(the_server_closes_with_a_device_open),
                cmocka_unit_test(without_an_agent_close_gives_back),
                cmocka_unit_test(the_server_closes_before_configuration_ends),
                cmocka_unit_test(close_from_the_agents_callback),
                cmocka_unit_test(close_from_a_callback_inside_close_device),
                cmocka_unit_test(two_silent_intervals_abort),
                cmocka_unit_test(waiting_for_callbacks_ends),
                cmocka_unit_test(a_closed_device_has_no_callbacks),
                cmocka_unit_test(a_thread_that_runs_callbacks_notices_two_silent_intervals),
                cmocka_unit_test(a_slow_thread_is_no_silent_client),
                cmocka_unit_test(progress_on_one_device_covers_the_others),
                cmocka_unit_test(a_quiet_time_does_not_count),
                cmocka_unit_test(a_silent_server_is_judged_by_its_flush),
                cmocka_unit_test(a_verdict_is_stated_once_and_also_after_abort),
                cmocka_unit_test(a_set_without_server_that_is_aborted_has_failed),
                cmocka_unit_test(a_forked_child_has_no_part_in_the_set),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
