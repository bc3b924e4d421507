/*
 * Secondary clients: several clients serving the devices of one set. Here all of them live in one process, each with a
 * handle, a service thread and a mapping of its own; tests/peer/test_members.c has real processes.
 */
#include "tests/unit/vds/pair.h"

#include <sched.h>
#include <stdio.h>

#include "core/vds/internal.h"

/* A secondary client of the pair's set. */
static struct vds_client *join(struct pair *pair)
{
        struct vds_client *client = vds_client_new(&pair->options);

        assert_non_null(client);
        assert_int_equal(vds_client_open_in_secondary(client, pair->name), NOERROR);
        return client;
}

static void leave(struct vds_client *client)
{
        assert_int_equal(vds_client_close(client), NOERROR);
        vds_client_free(client);
}

/* Configured, and the server has opened its devices; no client has. */
static void up_to_devices(struct pair *pair, uint32_t device_count)
{
        char name[VDS_NAME_MAX + 1];

        pair_init(pair, device_count);
        pair_configure(pair);
        for (uint32_t i = 0; i < device_count; i++) {
                pair_device_name(pair, i, name);
                assert_int_equal(vds_server_open_device(pair->server, name, &pair->server_devices[i]), NOERROR);
        }
        pair_start_agent(pair);
}

static struct vds_client_device *open_nth(struct pair *pair, struct vds_client *client, uint32_t index)
{
        struct vds_client_device *device;
        char name[VDS_NAME_MAX + 1];

        pair_device_name(pair, index, name);
        assert_int_equal(vds_client_open_device(client, name, &device), NOERROR);
        return device;
}

/* Waits until the primary's count, which `pick` takes, has reached `count`. */
static void wait_for_count(struct vds_client *client, size_t pick, uint32_t count)
{
        struct deadline deadline = deadline_after_ms(PAIR_WAIT_MS);
        struct vds_secondaries now;
        uint32_t value;

        do {
                vds_client_secondaries(client, &now);
                memcpy(&value, (const uint8_t *)&now + pick, sizeof value);
                sched_yield();
        } while (value < count && !deadline_passed(deadline));
        assert_int_equal(value, count);
}

#define WAIT_FOR(client, field, count) wait_for_count(client, offsetof(struct vds_secondaries, field), count)

/* One command from the server through a client's device. */
static void pass_one(struct pair *pair, uint32_t index, struct vds_client_device *device, int code, uint8_t *buffer)
{
        int size = buffer ? PAIR_TRANSFER : 0;
        struct VDC_Command *command;
        struct sent sent;

        sent_init(&sent, code, buffer, size);
        assert_int_equal(vds_server_device_send_command(pair->server_devices[index], &sent.command), NOERROR);
        command = pair_get(device, code);
        assert_int_equal(command->size, size);
        if (buffer)
                assert_memory_equal(command->buffer, buffer, PAIR_TRANSFER);
        assert_int_equal(vds_client_device_complete_command(device, command, 0, (uint64_t)size, 0), NOERROR);
        sent_wait(&sent);
        assert_int_equal(sent.command.completionCode, 0);
        assert_int_equal(sent.command.bytesTransferred, size);
}

static void expect_closed(struct vds_client_device *device)
{
        struct VDC_Command *command;

        assert_int_equal(vds_client_device_get_command(device, PAIR_WAIT_MS, &command), VD_E_CLOSE);
}

static void secondaries_serve_devices(void **state)
{
        struct vds_client *secondaries[2];
        struct vds_client_device *devices[3];
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];
        struct VDConfig config;
        uint8_t *buffer;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 3);
        for (int i = 0; i < 2; i++) {
                secondaries[i] = join(&pair);
                assert_int_equal(vds_client_get_configuration(secondaries[i], 0, &config), NOERROR);
                assert_int_equal(config.blockSize, PAIR_BLOCK);
        }
        for (uint32_t i = 0; i < 3; i++)
                devices[i] = open_nth(&pair, i == 0 ? pair.client : secondaries[i - 1], i);
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
                memset(buffer, 'a' + (int)i, PAIR_TRANSFER);
                pass_one(&pair, i, devices[i], VDC_Write, buffer);
                /* An area that is made now comes to everybody. */
                assert_int_equal(vds_server_request_buffers(pair.server, PAIR_TRANSFER, 0, 1), NOERROR);
        }
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(vds_server_device_close(pair.server_devices[i]), NOERROR);
        for (uint32_t i = 0; i < 3; i++)
                expect_closed(devices[i]);
        assert_int_equal(vds_server_set_verdict(pair.server, VDS_VERDICT_SUCCESS, "done"), NOERROR);
        pair_join_agent(&pair);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        WAIT_FOR(pair.client, joined, 2);
        leave(secondaries[0]);
        WAIT_FOR(pair.client, left, 1);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        /* The other one can still read how it went. */
        assert_int_equal(vds_client_verdict(secondaries[1], PAIR_WAIT_MS, &verdict, text), NOERROR);
        assert_int_equal(verdict, VDS_VERDICT_SUCCESS);
        assert_string_equal(text, "done");
        assert_int_equal(vds_client_abort_reason(secondaries[1]), VDS_ABORT_NONE);
        leave(secondaries[1]);
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(secondaries_serve_devices),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
