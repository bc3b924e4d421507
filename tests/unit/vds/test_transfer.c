/* Data through a whole set: every byte arrives, on every device at once, and nothing is left behind. */
#include "tests/unit/vds/pair.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRANSFERS = 200, DEPTH = 2 };

static uint64_t mix(uint64_t state)
{
        state ^= state << 13;
        state ^= state >> 7;
        return state ^ (state << 17);
}

static uint64_t fill(uint8_t *buffer, size_t size, uint64_t state)
{
        for (size_t i = 0; i < size; i += 8) {
                state = mix(state);
                memcpy(buffer + i, &state, 8);
        }
        return state;
}

struct lane {
        struct pair *pair;
        uint32_t index;
        pthread_t client_thread;
        pthread_t server_thread;
        uint64_t client_bytes;
        int client_end; /* what ended the client's loop */
        int bad;        /* transfers that arrived changed */
};

static void *client_lane(void *argument)
{
        struct lane *lane = argument;
        struct vds_client_device *device = lane->pair->client_devices[lane->index];
        uint64_t state = lane->index + 1;
        uint8_t *expected = malloc(PAIR_TRANSFER);
        struct VDC_Command *command;

        while ((lane->client_end = vds_client_device_get_command(device, PAIR_WAIT_MS, &command)) == NOERROR) {
                uint64_t bytes = 0;

                if (command->commandCode == VDC_Write) {
                        state = fill(expected, (size_t)command->size, state);
                        lane->bad += memcmp(expected, command->buffer, (size_t)command->size) != 0;
                        bytes = (uint64_t)command->size;
                        lane->client_bytes += bytes;
                }
                if (vds_client_device_complete_command(device, command, ERROR_SUCCESS, bytes, 0) != NOERROR)
                        break;
        }
        free(expected);
        return NULL;
}

/* By the agent, or where there is none on this thread. */
static void await(const struct lane *lane, struct sent *sent)
{
        struct vds_server_device *device = lane->pair->server_devices[lane->index];

        while (!lane->pair->agent_started && sent_calls(sent) == 0)
                assert_int_equal(vds_server_device_run_callbacks(device, PAIR_WAIT_MS), NOERROR);
        sent_wait(sent);
        if (!lane->pair->agent_started)
                assert_true(pthread_equal(sent->thread, pthread_self()));
}

static void *server_lane(void *argument)
{
        struct lane *lane = argument;
        struct vds_server_device *device = lane->pair->server_devices[lane->index];
        struct sent sent[DEPTH];
        struct sent flush;
        uint64_t state = lane->index + 1;
        uint8_t *buffers[DEPTH];

        for (int i = 0; i < DEPTH; i++)
                if (vds_server_allocate_buffer(lane->pair->server, &buffers[i], PAIR_TRANSFER, 0) != NOERROR)
                        return NULL;
        for (int i = 0; i < TRANSFERS; i++) {
                struct sent *one = &sent[i % DEPTH];
                int size = PAIR_BLOCK * (1 + i % (PAIR_TRANSFER / PAIR_BLOCK));

                if (i >= DEPTH)
                        await(lane, one);
                state = fill(buffers[i % DEPTH], (size_t)size, state);
                sent_init(one, VDC_Write, buffers[i % DEPTH], size);
                vds_server_device_send_command(device, &one->command);
        }
        for (int i = 0; i < DEPTH; i++)
                await(lane, &sent[i]);
        sent_init(&flush, VDC_Flush, NULL, 0);
        vds_server_device_send_command(device, &flush.command);
        await(lane, &flush);
        for (int i = 0; i < DEPTH; i++)
                vds_server_free_buffer(lane->pair->server, buffers[i], PAIR_TRANSFER);
        vds_server_device_close(device);
        return NULL;
}

static void move_data(uint32_t device_count, bool with_agent)
{
        struct pair pair;
        struct lane lanes[VDS_DEVICES_MAX];
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];

        pair_init(&pair, device_count);
        pair_open_devices(&pair);
        if (with_agent)
                pair_start_agent(&pair);
        for (uint32_t i = 0; i < device_count; i++) {
                lanes[i] = (struct lane){ .pair = &pair, .index = i };
                assert_int_equal(pthread_create(&lanes[i].client_thread, NULL, client_lane, &lanes[i]), 0);
                assert_int_equal(pthread_create(&lanes[i].server_thread, NULL, server_lane, &lanes[i]), 0);
        }
        for (uint32_t i = 0; i < device_count; i++) {
                struct vds_device_counters counters;

                pthread_join(lanes[i].server_thread, NULL);
                pthread_join(lanes[i].client_thread, NULL);
                assert_int_equal(lanes[i].client_end, VD_E_CLOSE);
                assert_int_equal(lanes[i].bad, 0);
                vds_client_device_counters(pair.client_devices[i], &counters);
                assert_int_equal(counters.bytes, lanes[i].client_bytes);
                assert_int_equal(counters.commands, TRANSFERS + 1);
                assert_int_equal(counters.completions, TRANSFERS + 1);
        }
        pair_join_agent(&pair);
        assert_int_equal(pair.agent_result, NOERROR);
        assert_int_equal(vds_server_set_verdict(pair.server, VDS_VERDICT_SUCCESS, "fine"), NOERROR);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        assert_int_equal(vds_client_verdict(pair.client, PAIR_WAIT_MS, &verdict, text), NOERROR);
        assert_int_equal(verdict, VDS_VERDICT_SUCCESS);
        assert_string_equal(text, "fine");
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_NONE);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        pair_deinit(&pair);
}

static void one_device(void **state)
{
        (void)state;
        move_data(1, /* with_agent= */ true);
}

static void all_devices_at_once(void **state)
{
        (void)state;
        move_data(VDS_DEVICES_MAX, /* with_agent= */ true);
}

static void each_thread_runs_the_callbacks_of_its_device(void **state)
{
        (void)state;
        move_data(1, /* with_agent= */ false);
        move_data(VDS_DEVICES_MAX, /* with_agent= */ false);
}

static void reads_carry_data_back(void **state)
{
        struct pair pair;
        struct sent read;
        struct VDC_Command *command;
        uint8_t *buffer;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
        sent_init(&read, VDC_Read, buffer, 2 * PAIR_BLOCK);
        read.command.inPosition = 77;
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &read.command), NOERROR);
        command = pair_get(pair.client_devices[0], VDC_Read);
        assert_int_equal(command->position, 77);
        assert_int_equal(command->size, 2 * PAIR_BLOCK);
        memset(command->buffer, 0x5A, (size_t)command->size);
        assert_int_equal(
                vds_client_device_complete_command(pair.client_devices[0], command, ERROR_HANDLE_EOF, PAIR_BLOCK, 0),
                NOERROR);
        sent_wait(&read);
        assert_int_equal(read.command.completionCode, ERROR_HANDLE_EOF);
        assert_int_equal(read.command.bytesTransferred, PAIR_BLOCK);
        assert_int_equal(buffer[PAIR_BLOCK], 0x5A);
        assert_true(pthread_equal(read.thread, pair.agent));
        pair_deinit(&pair);
}

/* The engine carries every command of the interface, and the position where the interface has one. */
static void every_command_passes(void **state)
{
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        for (int code = VDC_ClearError; code <= VDC_Complete; code++) {
                struct VDC_Command *command;
                struct sent sent;
                bool positions = code == VDC_GetPosition || code == VDC_SetPosition;

                sent_init(&sent, code, NULL, -3);
                sent.command.inPosition = -5;
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
                command = pair_get(pair.client_devices[0], code);
                assert_int_equal(command->size, -3);
                assert_int_equal(command->position, -5);
                assert_null(command->buffer);
                assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, 9, 1234),
                                 NOERROR);
                sent_wait(&sent);
                assert_int_equal(sent.command.completionCode, ERROR_SUCCESS);
                assert_int_equal(sent.command.bytesTransferred, 0);
                assert_int_equal(sent.command.outPosition, positions ? 1234 : 0);
        }
        pair_deinit(&pair);
}

static void no_descriptor_is_left(void **state)
{
        int before = count_descriptors();

        (void)state;
        for (int i = 0; i < 3; i++)
                move_data(2, /* with_agent= */ true);
        assert_int_equal(count_descriptors(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(one_device),
                cmocka_unit_test(all_devices_at_once),
                cmocka_unit_test(each_thread_runs_the_callbacks_of_its_device),
                cmocka_unit_test(reads_carry_data_back),
                cmocka_unit_test(every_command_passes),
                cmocka_unit_test(no_descriptor_is_left),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
