/*
 * Secondary clients: several clients serving the devices of one set. Here all of them live in one process, each with a
 * handle, a service thread and a mapping of its own; tests/peer/test_members.c has real processes.
 */
#include "tests/unit/vds/pair.h"

#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/vds/internal.h"
#include "core/vds/message.h"

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

static void expect_unserved(struct pair *pair, struct vds_client *secondary, int index)
{
        struct vds_client *const clients[] = { pair->client, secondary };

        for (size_t i = 0; i < 2; i++) {
                uint32_t found = UINT32_MAX;

                assert_int_equal(vds_client_unserved(clients[i], &found), index >= 0);
                assert_int_equal(found, (uint32_t)index);
        }
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

static void *leave_on_a_thread(void *client)
{
        leave(client);
        return NULL;
}

/* The primary may be passing an area on at that moment, and find nobody to take it. */
static void who_leaves_while_an_area_comes_has_not_died(void **state)
{
        enum { ROUNDS = 100 };
        struct vds_secondaries now;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        for (uint32_t round = 1; round <= ROUNDS; round++) {
                struct vds_client *secondary = join(&pair);
                pthread_t thread;

                assert_int_equal(pthread_create(&thread, NULL, leave_on_a_thread, secondary), 0);
                assert_int_equal(vds_server_request_buffers(pair.server, PAIR_TRANSFER, 0, 1), NOERROR);
                pthread_join(thread, NULL);
                do
                        vds_client_secondaries(pair.client, &now);
                while (now.left + now.died < round && sched_yield() == 0);
                assert_int_equal(now.died, 0);
        }
        pair_deinit(&pair);
}

/* ---- getting in ---- */

static void a_secondary_gets_in_when_the_set_is_configured(void **state)
{
        struct vds_client *secondary;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        secondary = vds_client_new(&pair.options);
        assert_int_equal(vds_client_open_in_secondary(secondary, pair.name), VD_E_PROTOCOL);
        assert_string_equal(vds_client_error_text(secondary), "there is no device set 'set'");
        assert_int_equal(vds_client_open_in_secondary(secondary, ""), VD_E_PROTOCOL);
        pair_begin(&pair);
        assert_int_equal(vds_client_open_in_secondary(secondary, pair.name), VD_E_PROTOCOL);
        assert_string_equal(vds_client_error_text(secondary), "the set is not configured yet");
        assert_int_equal(vds_client_open_in_secondary(secondary, "SET"), VD_E_PROTOCOL);
        assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
        while (!atomic_load(&pair.client->configured))
                sched_yield();
        assert_int_equal(vds_client_open_in_secondary(secondary, pair.name), NOERROR);
        /* Handles that have a set. */
        assert_int_equal(vds_client_open_in_secondary(secondary, pair.name), VD_E_PROTOCOL);
        assert_int_equal(vds_client_open_in_secondary(pair.client, pair.name), VD_E_PROTOCOL);
        assert_int_equal(vds_client_create(secondary, "other", &pair.wishes), VD_E_PROTOCOL);
        /* Closed, it may come again, and become a primary. */
        assert_int_equal(vds_client_close(secondary), NOERROR);
        assert_int_equal(vds_client_open_in_secondary(secondary, pair.name), NOERROR);
        assert_int_equal(vds_client_server_pid(secondary), vds_client_server_pid(pair.client));
        assert_int_equal(vds_client_close(secondary), NOERROR);
        assert_int_equal(vds_client_create(secondary, "other", &pair.wishes), NOERROR);
        assert_int_equal(vds_client_close(secondary), NOERROR);
        WAIT_FOR(pair.client, left, 2);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        assert_int_equal(vds_client_open_in_secondary(secondary, pair.name), VD_E_ABORT);
        vds_client_free(secondary);
        pair_deinit(&pair);
}

static void there_is_room_for_as_many_as_devices(void **state)
{
        struct vds_client *secondaries[VDS_DEVICES_MAX];
        struct vds_secondaries counted;
        struct vds_client *extra;
        struct pair pair;
        int before;

        (void)state;
        up_to_devices(&pair, 1);
        before = count_descriptors();
        for (int i = 0; i < VDS_DEVICES_MAX; i++)
                secondaries[i] = join(&pair);
        extra = vds_client_new(&pair.options);
        assert_int_equal(vds_client_open_in_secondary(extra, pair.name), VD_E_PROTOCOL);
        assert_string_equal(vds_client_error_text(extra),
                            "the set has as many secondary clients as it can have devices");
        leave(secondaries[0]);
        WAIT_FOR(pair.client, left, 1);
        assert_int_equal(vds_client_open_in_secondary(extra, pair.name), NOERROR);
        leave(extra);
        for (int i = 1; i < VDS_DEVICES_MAX; i++)
                leave(secondaries[i]);
        WAIT_FOR(pair.client, left, VDS_DEVICES_MAX + 1);
        vds_client_secondaries(pair.client, &counted);
        assert_int_equal(counted.joined, VDS_DEVICES_MAX + 1);
        assert_int_equal(counted.died, 0);
        assert_int_equal(count_descriptors(), before);
        pair_deinit(&pair);
}

static void texts_and_names_reach_secondaries(void **state)
{
        struct vds_client *secondary;
        char name[VDS_NAME_MAX + 1];
        char text[VDS_TEXT_MAX];
        struct pair pair;

        (void)state;
        pair_init(&pair, 2);
        vds_client_free(pair.client);
        pair.options.info = "{\"who\":\"the test\"}";
        pair.client = vds_client_new(&pair.options);
        pair_begin(&pair);
        assert_int_equal(vds_server_set_info(pair.server, "a server"), NOERROR);
        assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
        while (!atomic_load(&pair.client->configured))
                sched_yield();
        secondary = join(&pair);
        assert_int_equal(vds_client_primary_info(secondary, text), NOERROR);
        assert_string_equal(text, pair.options.info);
        assert_int_equal(vds_client_primary_info(pair.client, text), NOERROR);
        assert_string_equal(text, pair.options.info);
        assert_int_equal(vds_client_server_info(secondary, text), NOERROR);
        assert_string_equal(text, "a server");
        assert_int_equal(vds_client_device_name(secondary, 0, 0, name), NOERROR);
        assert_string_equal(name, "set");
        assert_int_equal(vds_client_device_name(secondary, 2, 0, name), VD_E_INVALID);
        assert_int_equal(vds_client_device_name(secondary, 1, 1, name), VD_E_TIMEOUT);
        assert_int_equal(vds_server_open_device(pair.server, "set", &pair.server_devices[0]), NOERROR);
        assert_int_equal(vds_server_open_device(pair.server, "second", &pair.server_devices[1]), NOERROR);
        assert_int_equal(vds_client_device_name(secondary, 1, PAIR_WAIT_MS, name), NOERROR);
        assert_string_equal(name, "second");
        vds_client_free(secondary);
        assert_int_equal(vds_client_primary_info(pair.client, text), NOERROR);
        pair_deinit(&pair);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
        static char text[VDS_TEXT_MAX + 1];
        struct vds_client *client;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        memset(text, 'x', VDS_TEXT_MAX);
        pair.options.info = text;
        client = vds_client_new(&pair.options);
        assert_int_equal(vds_client_create(client, pair.name, &pair.wishes), VD_E_INVALID);
        vds_client_free(client);
        pair_deinit(&pair);
}

/* ---- devices ---- */

static void a_device_has_one_owner(void **state)
{
        struct vds_client_device *device;
        struct vds_client *secondary;
        struct VDC_Command *command;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 2);
        secondary = join(&pair);
        device = open_nth(&pair, secondary, 1);
        assert_int_equal(vds_client_open_device(pair.client, "set1", &device), VD_E_PROTOCOL);
        assert_null(device);
        assert_int_equal(vds_client_open_device(secondary, "set1", &device), VD_E_PROTOCOL);
        assert_int_equal(vds_client_open_device(secondary, "set2", &device), VD_E_INVALID);
        open_nth(&pair, pair.client, 0);
        assert_int_equal(vds_client_open_device(secondary, "set", &device), VD_E_OPEN);
        assert_int_equal(vds_client_open_device(pair.client, "set", &device), VD_E_OPEN);
        /* A device that is another's serves nothing here. */
        assert_int_equal(vds_client_device_get_command(&pair.client->devices[1], 0, &command), VD_E_PROTOCOL);
        assert_int_equal(vds_client_signal_abort(secondary), NOERROR);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_CLIENT);
        leave(secondary);
        pair_deinit(&pair);
}

static int state_of(struct vds_client *client)
{
        return atomic_load(&client->set.state);
}

/* Each process is done when it has seen the end of its own devices, and the others' are closed. */
static void terminated_is_when_all_are_closed(void **state)
{
        struct vds_client_device *devices[2];
        struct vds_client *secondary;
        struct VDC_Command *command;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 2);
        secondary = join(&pair);
        devices[0] = open_nth(&pair, pair.client, 0);
        devices[1] = open_nth(&pair, secondary, 1);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        expect_closed(devices[0]);
        expect_closed(devices[0]);
        assert_int_equal(state_of(pair.client), STATE_ACTIVE);
        assert_int_equal(state_of(secondary), STATE_ACTIVE);
        assert_int_equal(vds_server_device_close(pair.server_devices[1]), NOERROR);
        expect_closed(devices[1]);
        assert_int_equal(state_of(secondary), STATE_TERMINATED);
        expect_closed(devices[0]);
        assert_int_equal(state_of(pair.client), STATE_TERMINATED);
        assert_int_equal(vds_client_device_get_command(devices[0], 0, &command), VD_E_PROTOCOL);
        assert_int_equal(vds_client_device_get_command(devices[1], 0, &command), VD_E_PROTOCOL);
        pair_join_agent(&pair);
        leave(secondary);
        pair_deinit(&pair);
}

/* The service thread does it all: between Create and Close this primary makes no call but for the configuration. */
static void a_primary_without_device_closes_in_order(void **state)
{
        struct vds_client_device *device;
        struct vds_client *secondary;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        secondary = join(&pair);
        device = open_nth(&pair, secondary, 0);
        pass_one(&pair, 0, device, VDC_Flush, NULL);
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        expect_closed(device);
        pair_join_agent(&pair);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        assert_int_equal(vds_client_abort_reason(secondary), VDS_ABORT_NONE);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_NONE);
        leave(secondary);
        pair_deinit(&pair);
}

static void a_primary_that_closes_too_soon_aborts_them(void **state)
{
        struct vds_client_device *device;
        struct vds_client *secondary;
        struct VDC_Command *command;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        secondary = join(&pair);
        device = open_nth(&pair, secondary, 0);
        assert_int_equal(vds_client_close(pair.client), VD_E_OPEN);
        assert_int_equal(vds_client_device_get_command(device, PAIR_WAIT_MS, &command), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(secondary), VDS_ABORT_CLIENT_CLOSED);
        pair_join_agent(&pair);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_CLIENT_CLOSED);
        leave(secondary);
        pair_deinit(&pair);
}

static void a_secondary_that_closes_too_soon_aborts(void **state)
{
        struct vds_secondaries counted;
        struct vds_client *secondary;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 2);
        secondary = join(&pair);
        open_nth(&pair, secondary, 1);
        assert_int_equal(vds_client_close(secondary), VD_E_OPEN);
        assert_int_equal(vds_client_abort_reason(secondary), VDS_ABORT_SECONDARY_CLOSED);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_SECONDARY_CLOSED);
        pair_join_agent(&pair);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_SECONDARY_CLOSED);
        WAIT_FOR(pair.client, left, 1);
        vds_client_secondaries(pair.client, &counted);
        assert_int_equal(counted.died, 0);
        vds_client_free(secondary);
        pair_deinit(&pair);
}

/* ---- death, which for the primary is a connection that ends without a word ---- */

static void die(struct vds_client *secondary)
{
        set_stop_service(&secondary->set);
        assert_int_equal(shutdown(secondary->primary_fd, SHUT_RDWR), 0);
}

static void a_death_is_counted(void **state)
{
        struct vds_secondaries counted;
        struct vds_client *secondary;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        secondary = join(&pair);
        open_nth(&pair, secondary, 0);
        die(secondary);
        WAIT_FOR(pair.client, died, 1);
        vds_client_secondaries(pair.client, &counted);
        assert_int_equal(counted.joined, 1);
        assert_int_equal(counted.left, 0);
        assert_int_equal(counted.last_died_pid, getpid());
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_NONE);
        vds_client_free(secondary);
        pair_deinit(&pair);
}

static void a_death_with_an_open_device_may_abort(void **state)
{
        struct vds_client *secondary;
        struct vds_client *idle;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        vds_client_free(pair.client);
        pair.options.abort_when_secondary_dies = true;
        pair.client = vds_client_new(&pair.options);
        pair_configure(&pair);
        assert_int_equal(vds_server_open_device(pair.server, "set", &pair.server_devices[0]), NOERROR);
        pair_start_agent(&pair);
        idle = join(&pair);
        secondary = join(&pair);
        open_nth(&pair, secondary, 0);
        die(idle);
        WAIT_FOR(pair.client, died, 1);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_NONE);
        die(secondary);
        pair_join_agent(&pair);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_SECONDARY_DIED);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_SECONDARY_DIED);
        vds_client_free(idle);
        vds_client_free(secondary);
        pair_deinit(&pair);
}

static void a_message_that_is_none_is_a_death(void **state)
{
        const struct message_area lie = { .kind = MESSAGE_AREA };
        struct vds_client *secondary;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        secondary = join(&pair);
        assert_int_equal(send(secondary->primary_fd, &lie, sizeof lie, 0), sizeof lie);
        WAIT_FOR(pair.client, died, 1);
        vds_client_free(secondary);
        pair_deinit(&pair);
}

/* The two intervals are the set's: a secondary that keeps a command runs into them, and one that works keeps the set
 * alive. */
static void the_servers_time_out_covers_secondaries(void **state)
{
        enum { TIME_OUT_MS = 300, LONG_MS = 3 * TIME_OUT_MS };
        struct vds_client_device *devices[2];
        struct vds_client *secondary;
        struct deadline deadline;
        struct VDC_Command *command;
        struct sent kept;
        struct pair pair;

        (void)state;
        pair_init(&pair, 2);
        pair.wishes.serverTimeOut = TIME_OUT_MS;
        pair_configure(&pair);
        assert_int_equal(vds_server_open_device(pair.server, "set", &pair.server_devices[0]), NOERROR);
        assert_int_equal(vds_server_open_device(pair.server, "set1", &pair.server_devices[1]), NOERROR);
        pair_start_agent(&pair);
        secondary = join(&pair);
        devices[0] = open_nth(&pair, pair.client, 0);
        devices[1] = open_nth(&pair, secondary, 1);
        sent_init(&kept, VDC_Flush, NULL, 0);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &kept.command), NOERROR);
        pair_get(devices[0], VDC_Flush);
        for (deadline = deadline_after_ms(LONG_MS); !deadline_passed(deadline);)
                pass_one(&pair, 1, devices[1], VDC_Flush, NULL);
        assert_int_equal(vds_client_device_get_command(devices[1], PAIR_WAIT_MS, &command), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(secondary), VDS_ABORT_TIMEOUT);
        sent_wait(&kept);
        assert_int_equal(kept.command.completionCode, ERROR_OPERATION_ABORTED);
        pair_join_agent(&pair);
        leave(secondary);
        pair_deinit(&pair);
}

/* ---- verdict ---- */

/* A server that says nothing is judged by all devices, also those that were served elsewhere. */
static void expect_verdict(bool flushed, bool error, enum vds_verdict expected)
{
        struct vds_client_device *devices[2];
        struct vds_client *secondary;
        enum vds_verdict verdict;
        struct VDC_Command *command;
        char text[VDS_TEXT_MAX];
        struct sent sent;
        struct pair pair;

        up_to_devices(&pair, 2);
        secondary = join(&pair);
        devices[0] = open_nth(&pair, pair.client, 0);
        devices[1] = open_nth(&pair, secondary, 1);
        pass_one(&pair, 0, devices[0], VDC_Flush, NULL);
        if (flushed)
                pass_one(&pair, 1, devices[1], VDC_Flush, NULL);
        if (error) {
                sent_init(&sent, VDC_Flush, NULL, 0);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[1], &sent.command), NOERROR);
                command = pair_get(devices[1], VDC_Flush);
                assert_int_equal(vds_client_device_complete_command(devices[1], command, ERROR_DISK_FULL, 0, 0),
                                 NOERROR);
                sent_wait(&sent);
        }
        for (uint32_t i = 0; i < 2; i++) {
                assert_int_equal(vds_server_device_close(pair.server_devices[i]), NOERROR);
                expect_closed(devices[i]);
        }
        pair_join_agent(&pair);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        assert_int_equal(vds_client_verdict(pair.client, PAIR_WAIT_MS, &verdict, text), NOERROR);
        assert_int_equal(verdict, expected);
        assert_int_equal(vds_client_verdict(secondary, PAIR_WAIT_MS, &verdict, text), NOERROR);
        assert_int_equal(verdict, expected);
        leave(secondary);
        pair_deinit(&pair);
}

static void a_silent_server_is_judged_by_all_devices(void **state)
{
        (void)state;
        expect_verdict(true, false, VDS_VERDICT_UNCONFIRMED);
        expect_verdict(false, false, VDS_VERDICT_FAILED);
        expect_verdict(true, true, VDS_VERDICT_FAILED);
}

/* ---- buffer handles ---- */

/* A write with a buffer of its own, in the hands of the device's client. */
static struct VDC_Command *hold(struct pair *pair, uint32_t index, struct vds_client_device *device, struct sent *sent,
                                int fill)
{
        uint8_t *buffer;

        assert_int_equal(vds_server_allocate_buffer(pair->server, &buffer, PAIR_TRANSFER, 0), NOERROR);
        memset(buffer, fill, PAIR_TRANSFER);
        sent_init(sent, VDC_Write, buffer, PAIR_TRANSFER);
        assert_int_equal(vds_server_device_send_command(pair->server_devices[index], &sent->command), NOERROR);
        return pair_get(device, VDC_Write);
}

static void handles_lead_to_the_same_bytes(void **state)
{
        struct vds_client *secondary;
        struct vds_client_device *device;
        struct VDC_Command *command;
        struct sent sent;
        uint32_t handle;
        uint32_t again;
        uint8_t *buffer;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        secondary = join(&pair);
        device = open_nth(&pair, secondary, 0);
        command = hold(&pair, 0, device, &sent, 'h');
        assert_int_equal(vds_client_get_buffer_handle(secondary, command->buffer, &handle), NOERROR);
        assert_true(handle != 0 && handle < UINT32_C(1) << 31);
        assert_int_equal(vds_client_get_buffer_handle(secondary, command->buffer, &again), NOERROR);
        assert_int_equal(again, handle);
        /* Only who has the command can name its buffer; but everybody can find it. */
        assert_int_equal(vds_client_get_buffer_handle(pair.client, command->buffer, &again), VD_E_INVALID);
        assert_int_equal(vds_client_get_buffer_handle(secondary, command->buffer + 1, &again), VD_E_INVALID);
        assert_int_equal(vds_client_get_buffer_handle(secondary, NULL, &again), VD_E_INVALID);
        assert_int_equal(vds_client_map_buffer_handle(pair.client, handle, &buffer), NOERROR);
        assert_ptr_not_equal(buffer, command->buffer);
        assert_memory_equal(buffer, command->buffer, PAIR_TRANSFER);
        memset(buffer, 'w', PAIR_TRANSFER);
        assert_int_equal(command->buffer[PAIR_TRANSFER - 1], 'w');
        assert_int_equal(vds_client_map_buffer_handle(secondary, handle, &buffer), NOERROR);
        assert_ptr_equal(buffer, command->buffer);
        assert_int_equal(vds_client_device_complete_command(device, command, 0, PAIR_TRANSFER, 0), NOERROR);
        assert_int_equal(vds_client_map_buffer_handle(pair.client, handle, &buffer), VD_E_INVALID);
        assert_null(buffer);
        sent_wait(&sent);
        /* The next command of the same slot, of the same buffer, has another. */
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
        command = pair_get(device, VDC_Write);
        assert_int_equal(vds_client_get_buffer_handle(secondary, command->buffer, &again), NOERROR);
        assert_int_not_equal(again, handle);
        assert_int_equal(vds_client_map_buffer_handle(pair.client, handle, &buffer), VD_E_INVALID);
        assert_int_equal(vds_client_map_buffer_handle(pair.client, again, &buffer), NOERROR);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        assert_int_equal(vds_client_map_buffer_handle(pair.client, again, &buffer), VD_E_ABORT);
        leave(secondary);
        pair_deinit(&pair);
}

static void every_held_command_has_its_own_handle(void **state)
{
        enum { HELD = 60 };
        struct vds_client *secondary;
        uint32_t handles[HELD];
        struct sent sent[HELD];
        uint8_t *buffer;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.buffer_count = HELD;
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        secondary = join(&pair);
        for (int i = 0; i < HELD; i++) {
                struct VDC_Command *command = hold(&pair, 0, pair.client_devices[0], &sent[i], i);

                assert_int_equal(vds_client_get_buffer_handle(pair.client, command->buffer, &handles[i]), NOERROR);
        }
        for (int i = 0; i < HELD; i++) {
                assert_int_equal(vds_client_map_buffer_handle(secondary, handles[i], &buffer), NOERROR);
                assert_int_equal(buffer[0], i);
                assert_int_equal(buffer[PAIR_TRANSFER - 1], i);
        }
        leave(secondary);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

static void handles_of_another_set_are_invalid(void **state)
{
        struct VDC_Command *commands[2];
        struct sent sent[2];
        struct pair pairs[2];
        uint32_t handles[2];
        uint8_t *buffer;

        (void)state;
        for (int i = 0; i < 2; i++) {
                pair_up(&pairs[i], 1);
                commands[i] = hold(&pairs[i], 0, pairs[i].client_devices[0], &sent[i], 'a' + i);
                assert_int_equal(vds_client_get_buffer_handle(pairs[i].client, commands[i]->buffer, &handles[i]),
                                 NOERROR);
        }
        /* One set in half a million has the other's numbers. */
        assert_int_not_equal(handles[0], handles[1]);
        assert_int_equal(vds_client_map_buffer_handle(pairs[0].client, handles[1], &buffer), VD_E_INVALID);
        assert_int_equal(vds_client_map_buffer_handle(pairs[1].client, handles[0], &buffer), VD_E_INVALID);
        for (uint32_t bit = 0; bit < 32; bit++)
                assert_int_equal(
                        vds_client_map_buffer_handle(pairs[0].client, handles[0] ^ (UINT32_C(1) << bit), &buffer),
                        VD_E_INVALID);
        assert_int_equal(vds_client_map_buffer_handle(pairs[0].client, 0, &buffer), VD_E_INVALID);
        assert_int_equal(vds_client_map_buffer_handle(pairs[0].client, UINT32_MAX, &buffer), VD_E_INVALID);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(vds_client_signal_abort(pairs[i].client), NOERROR);
                pair_join_agent(&pairs[i]);
                pair_deinit(&pairs[i]);
        }
}

/* What a hostile member of the set writes behind a handle. */
static void a_handle_to_nowhere_is_invalid(void **state)
{
        static const struct {
                uint32_t area;
                uint32_t length;
                uint64_t offset;
        } lies[] = {
                { .area = SET_AREAS_MAX, .length = 1 },
                { .area = UINT32_MAX, .length = 1 },
                { .length = PAIR_TRANSFER, .offset = 3 * PAIR_TRANSFER },
                { .length = PAIR_TRANSFER, .offset = UINT64_MAX - PAIR_BLOCK + 1 },
                { .length = UINT32_MAX },
                { .length = 1, .offset = 1 },
                { .length = 1, .offset = PAIR_BLOCK / 2 },
        };
        struct VDC_Command *command;
        struct layout_slot *shared;
        struct sent sent;
        uint32_t handle;
        uint8_t *buffer;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        command = hold(&pair, 0, pair.client_devices[0], &sent, 'x');
        assert_int_equal(vds_client_get_buffer_handle(pair.client, command->buffer, &handle), NOERROR);
        shared = &pair.server->set.layout->devices[0].slots[handle >> 19 & 63];
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                atomic_store(&shared->area, lies[i].area);
                atomic_store(&shared->length, lies[i].length);
                atomic_store(&shared->offset, lies[i].offset);
                assert_int_equal(vds_client_map_buffer_handle(pair.client, handle, &buffer), VD_E_INVALID);
                assert_null(buffer);
        }
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_NONE);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

static void two_that_pop_one_ring_abort(void **state)
{
        struct vds_client_device *device;
        struct vds_client *secondary;
        struct VDC_Command *command;
        struct sent sent[2];
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 1);
        secondary = join(&pair);
        open_nth(&pair, pair.client, 0);
        /* The claim has been wiped away. */
        atomic_store(&pair.server->set.layout->devices[0].client_opened, 0);
        device = open_nth(&pair, secondary, 0);
        for (int i = 0; i < 2; i++) {
                sent_init(&sent[i], VDC_Flush, NULL, 0);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent[i].command), NOERROR);
        }
        command = pair_get(&pair.client->devices[0], VDC_Flush);
        assert_int_equal(vds_client_device_complete_command(&pair.client->devices[0], command, 0, 0, 0), NOERROR);
        sent_wait(&sent[0]);
        command = pair_get(device, VDC_Flush);
        /* The server has taken one completion, and this client has queued none. */
        assert_int_equal(vds_client_device_complete_command(device, command, 0, 0, 0), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(secondary), VDS_ABORT_MISBEHAVED);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_MISBEHAVED);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_MISBEHAVED);
        sent_wait(&sent[1]);
        assert_int_equal(sent[1].command.completionCode, ERROR_OPERATION_ABORTED);
        pair_join_agent(&pair);
        leave(secondary);
        pair_deinit(&pair);
}

static void the_first_device_without_a_client_is_told(void **state)
{
        struct vds_client_device *devices[3];
        struct vds_client *secondary;
        struct pair pair;

        (void)state;
        up_to_devices(&pair, 3);
        secondary = join(&pair);
        expect_unserved(&pair, secondary, 0);
        devices[0] = open_nth(&pair, secondary, 0);
        expect_unserved(&pair, secondary, 1);
        devices[2] = open_nth(&pair, pair.client, 2);
        expect_unserved(&pair, secondary, 1);
        devices[1] = open_nth(&pair, pair.client, 1);
        expect_unserved(&pair, secondary, -1);
        for (uint32_t i = 0; i < 3; i++) {
                assert_int_equal(vds_server_device_close(pair.server_devices[i]), NOERROR);
                expect_closed(devices[i]);
        }
        expect_unserved(&pair, secondary, -1);
        leave(secondary);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

static void a_device_that_the_server_has_not_opened_needs_no_client(void **state)
{
        uint32_t found = UINT32_MAX;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        assert_false(vds_client_unserved(pair.client, &found));
        pair_configure(&pair);
        assert_false(vds_client_unserved(pair.client, &found));
        assert_int_equal(found, UINT32_MAX);
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(secondaries_serve_devices),
                cmocka_unit_test(who_leaves_while_an_area_comes_has_not_died),
                cmocka_unit_test(a_secondary_gets_in_when_the_set_is_configured),
                cmocka_unit_test(there_is_room_for_as_many_as_devices),
                cmocka_unit_test(texts_and_names_reach_secondaries),
                cmocka_unit_test(a_text_that_is_too_long_is_refused),
                cmocka_unit_test(a_device_has_one_owner),
                cmocka_unit_test(terminated_is_when_all_are_closed),
                cmocka_unit_test(a_primary_without_device_closes_in_order),
                cmocka_unit_test(a_primary_that_closes_too_soon_aborts_them),
                cmocka_unit_test(a_secondary_that_closes_too_soon_aborts),
                cmocka_unit_test(a_death_is_counted),
                cmocka_unit_test(a_death_with_an_open_device_may_abort),
                cmocka_unit_test(a_message_that_is_none_is_a_death),
                cmocka_unit_test(the_servers_time_out_covers_secondaries),
                cmocka_unit_test(a_silent_server_is_judged_by_all_devices),
                cmocka_unit_test(handles_lead_to_the_same_bytes),
                cmocka_unit_test(every_held_command_has_its_own_handle),
                cmocka_unit_test(handles_of_another_set_are_invalid),
                cmocka_unit_test(a_handle_to_nowhere_is_invalid),
                cmocka_unit_test(the_first_device_without_a_client_is_told),
                cmocka_unit_test(a_device_that_the_server_has_not_opened_needs_no_client),
                cmocka_unit_test(two_that_pop_one_ring_abort),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
