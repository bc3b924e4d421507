/* Observers: what they see of a set in each of its states, and that they can end it. */
#include "tests/unit/vds/pair.h"

#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/shm/peer.h"
#include "core/shm/rendezvous.h"
#include "core/vds/internal.h"
#include "core/vds/message.h"
#include "tests/support/blocked.h"

static struct vds_status look(struct pair *pair)
{
        struct vds_status status;

        memset(&status, 0xa5, sizeof status);
        assert_int_equal(vds_observe(&pair->options, pair->name, &status), NOERROR);
        assert_string_equal(status.name, pair->name);
        assert_int_equal(status.primary_pid, getpid());
        assert_int_equal(status.device_count, pair->wishes.deviceCount);
        return status;
}

static void expect_state(struct pair *pair, enum vds_set_state state)
{
        assert_int_equal(look(pair).state, state);
}

static void every_state_is_seen(void **state)
{
        struct vds_status status;
        struct VDC_Command *command;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        vds_client_free(pair.client);
        pair.options.info = "the client";
        pair.client = vds_client_new(&pair.options);
        assert_int_equal(vds_observe(&pair.options, pair.name, &status), VD_E_INVALID);
        pair_begin(&pair);
        assert_int_equal(vds_server_set_info(pair.server, "the server"), NOERROR);
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_CONFIGURABLE);
        assert_int_equal(status.config.blockSize, 0);
        assert_int_equal(status.devices[0].phase, VDS_DEVICE_UNOPENED);
        assert_string_equal(status.devices[0].name, "");
        assert_string_equal(status.server_info, "");
        assert_string_equal(status.primary_info, "the client");
        assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
        while (!atomic_load(&pair.client->configured))
                sched_yield();
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_INITIALIZING);
        assert_int_equal(status.config.blockSize, PAIR_BLOCK);
        assert_string_equal(status.server_info, "the server");
        assert_int_equal(vds_server_open_device(pair.server, "set", &pair.server_devices[0]), NOERROR);
        expect_state(&pair, VDS_SET_INITIALIZING);
        assert_int_equal(vds_client_get_configuration(pair.client, 0, &status.config), NOERROR);
        assert_int_equal(vds_client_open_device(pair.client, "set", &pair.client_devices[0]), NOERROR);
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_ACTIVE);
        assert_int_equal(status.devices[0].phase, VDS_DEVICE_OPEN);
        assert_string_equal(status.devices[0].name, "set");
        assert_int_equal(status.devices[0].client_pid, getpid());
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], PAIR_WAIT_MS, &command), VD_E_CLOSE);
        assert_int_equal(vds_server_set_verdict(pair.server, VDS_VERDICT_SUCCESS, ""), NOERROR);
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_TERMINATED);
        assert_int_equal(status.verdict, VDS_VERDICT_SUCCESS);
        assert_int_equal(status.devices[0].phase, VDS_DEVICE_CLOSED);
        assert_in_range(status.age_ms, 0, 2 * PAIR_WAIT_MS);
        assert_int_equal(status.abort_reason, VDS_ABORT_NONE);
        pair_deinit(&pair);
}

static void an_observer_aborts(void **state)
{
        struct vds_status status;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        assert_int_equal(vds_observe_abort(&pair.options, "another"), VD_E_INVALID);
        assert_int_equal(vds_observe_abort(&pair.options, ""), VD_E_INVALID);
        assert_int_equal(vds_observe_abort(&pair.options, pair.name), NOERROR);
        pair_join_agent(&pair);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_OBSERVER);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_OBSERVER);
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_ABORTED);
        assert_int_equal(status.abort_reason, VDS_ABORT_OBSERVER);
        /* Once more is no harm. */
        assert_int_equal(vds_observe_abort(&pair.options, pair.name), NOERROR);
        pair_deinit(&pair);
}

static void commands_are_counted(void **state)
{
        struct vds_device_status device;
        struct VDC_Command *command;
        struct sent sent[3];
        struct pair pair;
        uint8_t *buffer;

        (void)state;
        pair_up(&pair, 1);
        for (int i = 0; i < 3; i++) {
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
                sent_init(&sent[i], VDC_Write, buffer, PAIR_TRANSFER);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent[i].command), NOERROR);
        }
        device = look(&pair).devices[0];
        assert_int_equal(device.queued, 3);
        assert_int_equal(device.held, 0);
        assert_int_equal(device.oldest_ms, -1);
        command = pair_get(pair.client_devices[0], VDC_Write);
        pair_get(pair.client_devices[0], VDC_Write);
        device = look(&pair).devices[0];
        assert_int_equal(device.queued, 1);
        assert_int_equal(device.held, 2);
        assert_in_range(device.oldest_ms, 0, PAIR_WAIT_MS);
        assert_int_equal(device.commands, 2);
        assert_int_equal(device.completions, 0);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_BLOCK, 0),
                         NOERROR);
        sent_wait(&sent[0]);
        device = look(&pair).devices[0];
        assert_int_equal(device.held, 1);
        assert_int_equal(device.completions, 1);
        assert_int_equal(device.bytes, PAIR_BLOCK);
        /* What is still queued when the device is closed is never delivered. */
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        assert_int_equal(look(&pair).devices[0].queued, 0);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

static void all_devices_and_members_are_seen(void **state)
{
        struct vds_client *secondaries[3];
        struct vds_status status;
        char name[VDS_NAME_MAX + 1];
        struct pair pair;

        (void)state;
        pair_up(&pair, VDS_DEVICES_MAX);
        for (int i = 0; i < 3; i++) {
                secondaries[i] = vds_client_new(&pair.options);
                assert_int_equal(vds_client_open_in_secondary(secondaries[i], pair.name), NOERROR);
        }
        status = look(&pair);
        assert_int_equal(status.secondary_count, 3);
        for (uint32_t i = 0; i < 3; i++)
                assert_int_equal(status.secondary_pids[i], getpid());
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++) {
                pair_device_name(&pair, i, name);
                assert_string_equal(status.devices[i].name, name);
        }
        for (int i = 0; i < 3; i++)
                vds_client_free(secondaries[i]);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

/* ---- waiting for the configuration ---- */

struct watch {
        struct pair *pair;
        pthread_t thread;
        _Atomic pid_t tid;
        int64_t timeout_ms;
        struct VDConfig config;
        int result;
};

static void *watch(void *argument)
{
        struct watch *task = argument;

        atomic_store(&task->tid, gettid());
        task->result =
                vds_observe_configuration(&task->pair->options, task->pair->name, task->timeout_ms, &task->config);
        return NULL;
}

static void start_watches(struct pair *pair, struct watch *watches, int count)
{
        for (int i = 0; i < count; i++) {
                watches[i] = (struct watch){ .pair = pair, .timeout_ms = PAIR_WAIT_MS };
                atomic_init(&watches[i].tid, 0);
                assert_int_equal(pthread_create(&watches[i].thread, NULL, watch, &watches[i]), 0);
        }
        for (int i = 0; i < count; i++) {
                while (atomic_load(&watches[i].tid) == 0)
                        sched_yield();
                assert_true(wait_until_in(atomic_load(&watches[i].tid), SYS_poll));
        }
}

static void expect_watches(struct watch *watches, int count, int result)
{
        for (int i = 0; i < count; i++) {
                pthread_join(watches[i].thread, NULL);
                assert_int_equal(watches[i].result, result);
                if (result == NOERROR)
                        assert_int_equal(watches[i].config.maxTransferSize, PAIR_TRANSFER);
        }
}

static void the_configuration_is_waited_for(void **state)
{
        enum { WATCHES = 20 };
        struct watch watches[WATCHES];
        struct VDConfig config;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        assert_int_equal(vds_observe_configuration(&pair.options, pair.name, 1000, &config), VD_E_INVALID);
        pair_begin(&pair);
        assert_int_equal(vds_observe_configuration(&pair.options, pair.name, 1, &config), VD_E_TIMEOUT);
        start_watches(&pair, watches, WATCHES);
        expect_state(&pair, VDS_SET_CONFIGURABLE);
        assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
        expect_watches(watches, WATCHES, NOERROR);
        assert_int_equal(vds_observe_configuration(&pair.options, pair.name, 1000, &config), NOERROR);
        pair_deinit(&pair);
}

static void an_abort_ends_the_wait_for_the_configuration(void **state)
{
        struct watch watches[2];
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_connect(&pair);
        start_watches(&pair, watches, 2);
        assert_int_equal(vds_server_signal_abort(pair.server), NOERROR);
        expect_watches(watches, 2, VD_E_ABORT);
        pair_deinit(&pair);
        pair_init(&pair, 1);
        pair_create(&pair);
        start_watches(&pair, watches, 2);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        expect_watches(watches, 2, VD_E_ABORT);
        pair_deinit(&pair);
}

/* ---- many, slow and false ones ---- */

struct crowd {
        struct pair *pair;
        pthread_t thread;
        int result;
};

static void *look_often(void *argument)
{
        struct crowd *one = argument;
        struct vds_status status;

        for (int i = 0; i < 20 && one->result == NOERROR; i++)
                one->result = vds_observe(&one->pair->options, one->pair->name, &status);
        return NULL;
}

static void twenty_observers_look_at_once(void **state)
{
        enum { CROWD = 20 };
        struct crowd crowd[CROWD];
        struct pair pair;

        (void)state;
        pair_up(&pair, 4);
        for (int i = 0; i < CROWD; i++) {
                crowd[i] = (struct crowd){ .pair = &pair };
                assert_int_equal(pthread_create(&crowd[i].thread, NULL, look_often, &crowd[i]), 0);
        }
        for (int i = 0; i < CROWD; i++) {
                pthread_join(crowd[i].thread, NULL);
                assert_int_equal(crowd[i].result, NOERROR);
        }
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        pair_join_agent(&pair);
        pair_deinit(&pair);
}

/* Asks for `request` and reads nothing. Returns the connection. */
static int ask_and_sleep(struct pair *pair, enum message_request request)
{
        struct message_hello hello = {
                .kind = MESSAGE_HELLO, .version = LAYOUT_VERSION, .role = ROLE_OBSERVER, .request = request
        };
        int least = 1;
        int fd;

        assert_int_equal(
                rendezvous_connect(pair->folder, pair->name, FOLDER_REACH_OWN, deadline_after_ms(5000), &fd, NULL),
                RENDEZVOUS_OK);
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof least);
        assert_int_equal(peer_send(fd, &hello, sizeof hello, -1, deadline_after_ms(5000), NULL), PEER_OK);
        return fd;
}

/* Waits until so many of them have an answer. */
static void wait_for_answers(const int *fds, int count, int answers)
{
        struct deadline deadline = deadline_after_ms(PAIR_WAIT_MS);
        int ready;

        do {
                ready = 0;
                for (int i = 0; i < count; i++) {
                        struct pollfd item = { .fd = fds[i], .events = POLLIN };

                        ready += poll(&item, 1, 0);
                }
        } while (ready < answers && !deadline_passed(deadline));
        assert_int_equal(ready, answers);
}

static void a_slow_observer_keeps_nobody_waiting(void **state)
{
        enum { SLOW = 40 };
        int slow[SLOW];
        struct VDConfig config;
        struct pair pair;

        (void)state;
        pair_init(&pair, VDS_DEVICES_MAX);
        pair_create(&pair);
        /* More than may wait for the configuration; the rest is sent away. */
        for (int i = 0; i < SLOW; i++)
                slow[i] = ask_and_sleep(&pair, i % 10 == 0 ? REQUEST_STATUS : REQUEST_CONFIGURATION);
        wait_for_answers(slow, SLOW, SLOW - CLIENT_WATCHERS_MAX);
        expect_state(&pair, VDS_SET_CONFIGURABLE);
        assert_int_equal(vds_observe_configuration(&pair.options, pair.name, PAIR_WAIT_MS, &config), VD_E_TIMEOUT);
        for (int i = 0; i < SLOW; i++)
                close(slow[i]);
        pair_deinit(&pair);
}

static void hostile_words_are_shown_within_bounds(void **state)
{
        struct layout_device *shared;
        struct vds_device_status device;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        shared = &pair.server->set.layout->devices[0];
        atomic_store(&shared->command_indices.tail, 4711);
        atomic_store(&shared->client_pid, UINT32_MAX);
        for (int i = 0; i < VDS_QUEUE_DEPTH; i++)
                atomic_store(&shared->slots[i].held_since, i % 2 ? UINT64_MAX : 1);
        memset(shared->name, 'n', sizeof shared->name);
        atomic_store(&pair.server->set.layout->verdict, 99);
        device = look(&pair).devices[0];
        assert_int_equal(device.queued, VDS_QUEUE_DEPTH);
        assert_int_equal(device.held, VDS_QUEUE_DEPTH);
        assert_true(device.oldest_ms > 0);
        assert_int_equal(strlen(device.name), VDS_NAME_MAX);
        assert_int_equal(look(&pair).verdict, VDS_VERDICT_UNCONFIRMED);
        assert_int_equal(vds_client_signal_abort(pair.client), NOERROR);
        pair_deinit(&pair);
}

struct false_primary {
        struct rendezvous rendezvous;
        const struct message_status *answer;
        size_t size;
};

/* Answers an observer with what it was given. */
static void *answer(void *argument)
{
        struct false_primary *primary = argument;
        struct message_hello hello;
        size_t size;
        int pass;
        int fd;

        while ((fd = accept(primary->rendezvous.listen_fd, NULL, NULL)) < 0)
                sched_yield();
        peer_receive(fd, &hello, sizeof hello, &size, &pass, deadline_after_ms(5000), NULL);
        peer_send(fd, primary->answer, primary->size, -1, deadline_after_ms(5000), NULL);
        close(fd);
        return NULL;
}

/* What an observer makes of such an answer. */
static int look_at_false(const struct message_status *message, size_t size, struct vds_status *status)
{
        struct false_primary primary = { .rendezvous = RENDEZVOUS_INIT, .answer = message, .size = size };
        struct pair pair;
        pthread_t thread;
        int result;

        pair_init(&pair, 1);
        assert_int_equal(rendezvous_listen(pair.folder, NULL, "set", &primary.rendezvous, NULL), RENDEZVOUS_OK);
        assert_int_equal(pthread_create(&thread, NULL, answer, &primary), 0);
        result = vds_observe(&pair.options, "set", status);
        pthread_join(thread, NULL);
        rendezvous_close(&primary.rendezvous);
        pair_deinit(&pair);
        return result;
}

static void a_false_primary_is_not_believed(void **state)
{
        struct message_status good = { .kind = MESSAGE_STATUS, .status = { .device_count = 1, .name = "set" } };
        struct message_status bad;
        struct vds_status status;

        (void)state;
        good.status.abort_reason = (enum vds_abort_reason)UINT32_MAX;
        good.status.verdict = (enum vds_verdict)UINT32_MAX;
        good.status.secondary_count = UINT32_MAX;
        good.status.age_ms = INT64_MIN;
        memset(good.status.primary_info, 't', sizeof good.status.primary_info);
        memset(good.status.server_info, 't', sizeof good.status.server_info);
        for (int i = 0; i < VDS_DEVICES_MAX; i++) {
                struct vds_device_status *device = &good.status.devices[i];

                memset(device->name, 'd', sizeof device->name);
                device->queued = device->held = UINT32_MAX;
                device->phase = (enum vds_device_phase)77;
                device->oldest_ms = INT64_MIN;
        }
        assert_int_equal(look_at_false(&good, sizeof good, &status), NOERROR);
        assert_int_equal(status.abort_reason, VDS_ABORT_REASON_COUNT - 1);
        assert_int_equal(status.verdict, VDS_VERDICT_UNCONFIRMED);
        assert_int_equal(status.secondary_count, VDS_DEVICES_MAX);
        assert_int_equal(status.age_ms, 0);
        assert_int_equal(status.primary_pid, getpid());
        assert_int_equal(status.devices[0].phase, VDS_DEVICE_CLOSED);
        assert_int_equal(status.devices[0].held, VDS_QUEUE_DEPTH);
        assert_int_equal(status.devices[0].queued, VDS_QUEUE_DEPTH);
        assert_int_equal(status.devices[0].oldest_ms, -1);
        assert_int_equal(strlen(status.devices[0].name), VDS_NAME_MAX);
        assert_int_equal(strlen(status.primary_info), VDS_TEXT_MAX - 1);
        assert_int_equal(strlen(status.server_info), VDS_TEXT_MAX - 1);
        assert_int_equal(look_at_false(&good, sizeof good - 1, &status), VD_E_INVALID);
        assert_int_equal(look_at_false(&good, offsetof(struct message_status, status.devices), &status), VD_E_INVALID);
        bad = good;
        bad.status.device_count = VDS_DEVICES_MAX;
        assert_int_equal(look_at_false(&bad, sizeof bad, &status), NOERROR);
        assert_int_equal(strlen(status.devices[VDS_DEVICES_MAX - 1].name), VDS_NAME_MAX);
        bad.status.device_count = VDS_DEVICES_MAX + 1;
        assert_int_equal(look_at_false(&bad, sizeof bad, &status), VD_E_INVALID);
        bad.status.device_count = 0;
        assert_int_equal(look_at_false(&bad, sizeof bad, &status), VD_E_INVALID);
        bad = good;
        bad.status.state = (enum vds_set_state)(VDS_SET_ABORTED + 1);
        assert_int_equal(look_at_false(&bad, sizeof bad, &status), VD_E_INVALID);
        bad = good;
        bad.kind = MESSAGE_CONFIGURED;
        assert_int_equal(look_at_false(&bad, sizeof bad, &status), VD_E_INVALID);
        bad = good;
        bad.status.name[0] = '\0';
        assert_int_equal(look_at_false(&bad, sizeof bad, &status), VD_E_INVALID);
}

/* ---- all sets ---- */

struct found {
        const char *prefix;
        char names[4][VDS_NAME_MAX + 1];
        int count;
};

static void note(const struct vds_status *status, void *context)
{
        struct found *found = context;

        /* Other sets of this user may live beside the test's. */
        if (strncmp(status->name, found->prefix, strlen(found->prefix)) == 0 && found->count < 4)
                snprintf(found->names[found->count++], sizeof found->names[0], "%s", status->name);
}

static void sets_of_several_folders_are_listed(void **state)
{
        struct found found = { .count = 0 };
        struct pair pairs[2];
        char prefix[64];

        (void)state;
        snprintf(prefix, sizeof prefix, "list-%d-", (int)getpid());
        found.prefix = prefix;
        for (int i = 0; i < 2; i++) {
                pair_init(&pairs[i], 1);
                snprintf(pairs[i].name, sizeof pairs[i].name, "%s%c", prefix, 'b' - i);
                pair_create(&pairs[i]);
        }
        assert_int_equal(setenv("VDIPIPE_RUNTIME_DIR", pairs[1].folder, 1), 0);
        assert_int_equal(vds_observe_all(&pairs[0].options, note, &found), NOERROR);
        unsetenv("VDIPIPE_RUNTIME_DIR");
        assert_int_equal(found.count, 2);
        for (int i = 0; i < 2; i++) {
                assert_string_equal(found.names[i], pairs[1 - i].name);
                pair_deinit(&pairs[i]);
        }
}

/* The place is said before any set is made there, and so is what is wrong with it. */
static void the_folder_is_said(void **state)
{
        struct vds_options options = { 0 };
        char folder[] = "/tmp/vdipipe-test-XXXXXX";
        char text[VDS_TEXT_MAX];
        char path[64];

        (void)state;
        assert_non_null(mkdtemp(folder));
        snprintf(path, sizeof path, "%s/made", folder);
        options.runtime_dir = path;
        assert_int_equal(vds_runtime_folder(&options, text), NOERROR);
        assert_string_equal(text, path);
        assert_int_equal(chmod(path, 0777), 0);
        assert_int_equal(vds_runtime_folder(&options, text), VD_E_SECURITY);
        assert_non_null(strstr(text, "is writable by others"));
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(setenv("VDIPIPE_RUNTIME_DIR", folder, 1), 0);
        assert_int_equal(vds_runtime_folder(NULL, text), NOERROR);
        assert_string_equal(text, folder);
        assert_int_equal(rmdir(folder), 0);
        assert_int_equal(unsetenv("VDIPIPE_RUNTIME_DIR"), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_folder_is_said),
                cmocka_unit_test(every_state_is_seen),
                cmocka_unit_test(an_observer_aborts),
                cmocka_unit_test(commands_are_counted),
                cmocka_unit_test(all_devices_and_members_are_seen),
                cmocka_unit_test(the_configuration_is_waited_for),
                cmocka_unit_test(an_abort_ends_the_wait_for_the_configuration),
                cmocka_unit_test(twenty_observers_look_at_once),
                cmocka_unit_test(a_slow_observer_keeps_nobody_waiting),
                cmocka_unit_test(hostile_words_are_shown_within_bounds),
                cmocka_unit_test(a_false_primary_is_not_believed),
                cmocka_unit_test(sets_of_several_folders_are_listed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
