/* Commands: refusals and their callbacks, the IO-ERROR state, time-outs, misuse by the client's user. */
#include "tests/unit/vds/pair.h"

#include <time.h>

#include "core/vds/internal.h"

static int send(struct pair *pair, struct sent *sent, int code)
{
        sent_init(sent, code, NULL, 0);
        return vds_server_device_send_command(pair->server_devices[0], &sent->command);
}

static void complete(struct pair *pair, struct VDC_Command *command, int code)
{
        assert_int_equal(vds_client_device_complete_command(pair->client_devices[0], command, code, 0, 0), NOERROR);
}

static void expect_nothing(struct pair *pair)
{
        struct VDC_Command *command;

        assert_int_equal(vds_client_device_get_command(pair->client_devices[0], 0, &command), VD_E_TIMEOUT);
        assert_null(command);
}

static void expect_refused(struct sent *sent, int32_t code)
{
        assert_int_equal(sent_calls(sent), 1);
        assert_true(pthread_equal(sent->thread, pthread_self()));
        assert_int_equal(sent->command.completionCode, code);
        assert_int_equal(sent->command.bytesTransferred, 0);
}

static void a_full_queue_refuses_in_the_call(void **state)
{
        struct sent sent[VDS_QUEUE_DEPTH];
        struct sent one_more;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        for (int i = 0; i < VDS_QUEUE_DEPTH; i++)
                assert_int_equal(send(&pair, &sent[i], VDC_Flush), NOERROR);
        assert_int_equal(send(&pair, &one_more, VDC_Flush), VD_E_QUEUE_FULL);
        expect_refused(&one_more, ERROR_NO_SYSTEM_RESOURCES);
        for (int i = 0; i < VDS_QUEUE_DEPTH; i++)
                complete(&pair, pair_get(pair.client_devices[0], VDC_Flush), 0);
        for (int i = 0; i < VDS_QUEUE_DEPTH; i++)
                sent_wait(&sent[i]);
        assert_int_equal(send(&pair, &one_more, VDC_Flush), NOERROR);
        complete(&pair, pair_get(pair.client_devices[0], VDC_Flush), 0);
        sent_wait(&one_more);
        pair_deinit(&pair);
}

static void commands_out_of_bounds_are_refused(void **state)
{
        uint8_t outside[PAIR_BLOCK];
        struct pair pair;
        uint8_t *buffer;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_BLOCK, 0), NOERROR);
        const struct {
                int code;
                uint8_t *buffer;
                int size;
        } cases[] = {
                { 0, NULL, 0 },
                { VDC_Complete + 1, NULL, 0 },
                { VDC_Write, NULL, PAIR_BLOCK },
                { VDC_Write, outside, PAIR_BLOCK },
                { VDC_Write, buffer, 0 },
                { VDC_Write, buffer, -1 },
                { VDC_Write, buffer, PAIR_BLOCK + 1 },
                { VDC_Write, buffer, PAIR_BLOCK - 1 },
                { VDC_Read, buffer, 777 },
                { VDC_Flush, buffer + 1, 0 },
                { VDC_Write, buffer + 1, PAIR_BLOCK },
                { VDC_Read, buffer, PAIR_TRANSFER + PAIR_BLOCK },
                { VDC_Read, buffer + PAIR_BLOCK, 1 },
        };

        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct sent sent;

                sent_init(&sent, cases[i].code, cases[i].buffer, cases[i].size);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), VD_E_INVALID);
                expect_refused(&sent, ERROR_INVALID_HANDLE);
        }
        expect_nothing(&pair);
        pair_deinit(&pair);
}

/* An address in the middle of a buffer will do, if it is a whole number of blocks from its start. */
static void a_buffer_may_be_named_by_any_of_its_blocks(void **state)
{
        struct VDC_Command *command;
        struct sent sent;
        struct pair pair;
        uint8_t *buffer;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
        buffer[3 * PAIR_BLOCK] = 'x';
        sent_init(&sent, VDC_Write, buffer + 3 * PAIR_BLOCK, PAIR_BLOCK);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
        command = pair_get(pair.client_devices[0], VDC_Write);
        assert_int_equal(command->buffer[0], 'x');
        complete(&pair, command, 0);
        sent_wait(&sent);
        sent_init(&sent, VDC_Write, buffer + PAIR_BLOCK / 2, PAIR_BLOCK);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), VD_E_INVALID);
        expect_refused(&sent, ERROR_INVALID_HANDLE);
        pair_deinit(&pair);
}

static void a_command_without_routine_is_refused(void **state)
{
        struct VDS_Command command = { .commandCode = VDC_Flush };
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &command), VD_E_INVALID);
        pair_deinit(&pair);
}

static void a_closed_device_refuses_and_delivers_nothing(void **state)
{
        struct VDC_Command *command;
        struct sent queued;
        struct sent late;
        struct pair pair;

        (void)state;
        pair_up(&pair, 2);
        assert_int_equal(send(&pair, &queued, VDC_Flush), NOERROR);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        sent_wait(&queued);
        assert_int_equal(queued.command.completionCode, ERROR_OPERATION_ABORTED);
        assert_int_equal(send(&pair, &late, VDC_Flush), VD_E_PROTOCOL);
        expect_refused(&late, ERROR_INVALID_HANDLE);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], PAIR_WAIT_MS, &command), VD_E_CLOSE);
        pair_deinit(&pair);
}

static void without_an_agent_close_device_gives_back(void **state)
{
        struct sent queued;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        assert_int_equal(send(&pair, &queued, VDC_Flush), NOERROR);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        expect_refused(&queued, ERROR_OPERATION_ABORTED);
        pair_deinit(&pair);
}

/* The story of reference section 6.4, in order. */
static void an_error_flushes_and_holds_back_clear_error(void **state)
{
        struct sent failing;
        struct sent held;
        struct sent queued[3];
        struct sent refused;
        struct sent clear;
        struct sent after;
        struct VDC_Command *first;
        struct VDC_Command *second;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(send(&pair, &failing, VDC_Flush), NOERROR);
        assert_int_equal(send(&pair, &held, VDC_Flush), NOERROR);
        first = pair_get(pair.client_devices[0], VDC_Flush);
        second = pair_get(pair.client_devices[0], VDC_Flush);
        for (int i = 0; i < 3; i++)
                assert_int_equal(send(&pair, &queued[i], VDC_Flush), NOERROR);
        complete(&pair, first, ERROR_DISK_FULL);
        /* Nobody calls GetCommand, and yet the queue comes back. */
        sent_wait(&failing);
        assert_int_equal(failing.command.completionCode, ERROR_DISK_FULL);
        for (int i = 0; i < 3; i++) {
                sent_wait(&queued[i]);
                assert_int_equal(queued[i].command.completionCode, ERROR_IO_DEVICE);
        }
        assert_int_equal(send(&pair, &refused, VDC_Flush), VD_E_IO_ERROR);
        expect_refused(&refused, ERROR_IO_DEVICE);
        assert_int_equal(send(&pair, &clear, VDC_ClearError), NOERROR);
        expect_nothing(&pair);
        assert_int_equal(sent_calls(&held), 0);
        complete(&pair, second, ERROR_IO_DEVICE);
        sent_wait(&held);
        complete(&pair, pair_get(pair.client_devices[0], VDC_ClearError), 0);
        sent_wait(&clear);
        assert_int_equal(clear.command.completionCode, 0);
        assert_int_equal(send(&pair, &after, VDC_Flush), NOERROR);
        complete(&pair, pair_get(pair.client_devices[0], VDC_Flush), 0);
        sent_wait(&after);
        assert_int_equal(after.command.completionCode, 0);
        pair_deinit(&pair);
}

static void a_failing_clear_error_changes_nothing(void **state)
{
        struct sent failing;
        struct sent clear;
        struct sent refused;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(send(&pair, &failing, VDC_Flush), NOERROR);
        complete(&pair, pair_get(pair.client_devices[0], VDC_Flush), ERROR_HANDLE_EOF);
        sent_wait(&failing);
        assert_int_equal(send(&pair, &clear, VDC_ClearError), NOERROR);
        complete(&pair, pair_get(pair.client_devices[0], VDC_ClearError), ERROR_IO_DEVICE);
        sent_wait(&clear);
        assert_int_equal(send(&pair, &refused, VDC_Flush), VD_E_IO_ERROR);
        expect_refused(&refused, ERROR_IO_DEVICE);
        assert_int_equal(send(&pair, &clear, VDC_ClearError), NOERROR);
        complete(&pair, pair_get(pair.client_devices[0], VDC_ClearError), 0);
        sent_wait(&clear);
        assert_int_equal(send(&pair, &refused, VDC_Flush), NOERROR);
        complete(&pair, pair_get(pair.client_devices[0], VDC_Flush), 0);
        sent_wait(&refused);
        pair_deinit(&pair);
}

struct getter {
        struct vds_client_device *device;
        struct VDC_Command *command;
        int result;
};

static void *get_in_thread(void *argument)
{
        struct getter *getter = argument;

        getter->result = vds_client_device_get_command(getter->device, PAIR_WAIT_MS, &getter->command);
        return NULL;
}

/* An asynchronous client waits in GetCommand while another of its threads completes. */
static void a_waiting_thread_gets_the_held_clear_error(void **state)
{
        struct sent failing;
        struct sent held;
        struct sent clear;
        struct VDC_Command *first;
        struct VDC_Command *second;
        struct getter getter;
        pthread_t thread;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(send(&pair, &failing, VDC_Flush), NOERROR);
        assert_int_equal(send(&pair, &held, VDC_Flush), NOERROR);
        first = pair_get(pair.client_devices[0], VDC_Flush);
        second = pair_get(pair.client_devices[0], VDC_Flush);
        complete(&pair, first, ERROR_DISK_FULL);
        sent_wait(&failing);
        assert_int_equal(send(&pair, &clear, VDC_ClearError), NOERROR);
        getter = (struct getter){ .device = pair.client_devices[0] };
        assert_int_equal(pthread_create(&thread, NULL, get_in_thread, &getter), 0);
        complete(&pair, second, ERROR_SUCCESS);
        pthread_join(thread, NULL);
        assert_int_equal(getter.result, NOERROR);
        assert_int_equal(getter.command->commandCode, VDC_ClearError);
        pair_deinit(&pair);
}

/* A pointer to a device outlives its set. */
static void a_device_of_the_last_set_is_not_open(void **state)
{
        struct vds_client_device *old;
        struct VDC_Command *command;
        struct sent failing;
        struct sent clear;
        struct pair pair;

        (void)state;
        pair_init(&pair, 2);
        pair_open_devices(&pair);
        old = pair.client_devices[1];
        sent_init(&failing, VDC_Flush, NULL, 0);
        sent_init(&clear, VDC_ClearError, NULL, 0);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[1], &failing.command), NOERROR);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[1], &clear.command), NOERROR);
        command = pair_get(old, VDC_Flush);
        assert_int_equal(vds_client_device_complete_command(old, command, ERROR_DISK_FULL, 0, 0), NOERROR);
        assert_int_equal(vds_client_close(pair.client), VD_E_OPEN);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        pair.wishes.deviceCount = 1;
        pair_open_devices(&pair);
        assert_null(old->shared);
        assert_int_equal(old->pending, PENDING_NONE);
        assert_int_equal(old->held, 0);
        assert_int_equal(vds_client_device_complete_command(old, command, 0, 0, 0), VD_E_PROTOCOL);
        assert_int_equal(vds_client_device_get_command(old, 0, &command), VD_E_PROTOCOL);
        pair_deinit(&pair);
}

static void completions_that_make_no_sense_are_refused(void **state)
{
        struct VDC_Command *command;
        struct VDC_Command copy;
        struct sent read;
        struct pair pair;
        uint8_t *buffer;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_BLOCK, 0), NOERROR);
        sent_init(&read, VDC_Read, buffer, PAIR_BLOCK);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &read.command), NOERROR);
        command = pair_get(pair.client_devices[0], VDC_Read);
        copy = *command;
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], NULL, 0, 0, 0), VD_E_INVALID);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], &copy, 0, 0, 0), VD_E_INVALID);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command + 1, 0, 0, 0),
                         VD_E_INVALID);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_BLOCK + 1, 0),
                         VD_E_INVALID);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, UINT64_MAX, 0),
                         VD_E_INVALID);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_BLOCK, 0),
                         NOERROR);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_BLOCK, 0),
                         VD_E_INVALID);
        sent_wait(&read);
        pair_deinit(&pair);
}

static void get_command_keeps_its_time(void **state)
{
        struct VDC_Command *command;
        struct timespec before;
        struct timespec after;
        struct pair pair;
        int64_t ms;

        (void)state;
        pair_up(&pair, 1);
        expect_nothing(&pair);
        clock_gettime(CLOCK_MONOTONIC, &before);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], 60, &command), VD_E_TIMEOUT);
        clock_gettime(CLOCK_MONOTONIC, &after);
        ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
        assert_in_range(ms, 59, 5000);
        pair_deinit(&pair);
}

static void any_completion_code_passes_through(void **state)
{
        static const int codes[] = { ERROR_END_OF_MEDIA, ERROR_FILEMARK_DETECTED, ERROR_NOT_SUPPORTED, 4711, -5 };
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
                struct sent sent;
                struct sent clear;

                assert_int_equal(send(&pair, &sent, VDC_Flush), NOERROR);
                complete(&pair, pair_get(pair.client_devices[0], VDC_Flush), codes[i]);
                sent_wait(&sent);
                assert_int_equal(sent.command.completionCode, codes[i]);
                assert_int_equal(send(&pair, &clear, VDC_ClearError), NOERROR);
                complete(&pair, pair_get(pair.client_devices[0], VDC_ClearError), 0);
                sent_wait(&clear);
        }
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_full_queue_refuses_in_the_call),
                cmocka_unit_test(commands_out_of_bounds_are_refused),
                cmocka_unit_test(a_buffer_may_be_named_by_any_of_its_blocks),
                cmocka_unit_test(a_command_without_routine_is_refused),
                cmocka_unit_test(a_closed_device_refuses_and_delivers_nothing),
                cmocka_unit_test(without_an_agent_close_device_gives_back),
                cmocka_unit_test(an_error_flushes_and_holds_back_clear_error),
                cmocka_unit_test(a_failing_clear_error_changes_nothing),
                cmocka_unit_test(a_waiting_thread_gets_the_held_clear_error),
                cmocka_unit_test(a_device_of_the_last_set_is_not_open),
                cmocka_unit_test(completions_that_make_no_sense_are_refused),
                cmocka_unit_test(get_command_keeps_its_time),
                cmocka_unit_test(any_completion_code_passes_through),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
