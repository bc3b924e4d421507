/* Observers: what they see of a set in each of its states, and that they can end it. */
#include "tests/unit/vds/pair.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/vds/internal.h"

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

static void every_state_is_seen(void **state)
{
        struct vds_status status;
        struct VDC_Command *command;
        struct sent sent;
        uint8_t *buffer;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        assert_int_equal(vds_observe(&pair.options, pair.name, &status), VD_E_INVALID);
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
        sent_init(&sent, VDC_Write, buffer, PAIR_TRANSFER);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_ACTIVE);
        assert_int_equal(status.server_pid, getpid());
        assert_int_equal(status.config.blockSize, PAIR_BLOCK);
        assert_int_equal(status.devices[0].queued, 1);
        assert_int_equal(status.devices[0].held, 0);
        assert_int_equal(status.devices[0].oldest_ms, -1);
        command = pair_get(pair.client_devices[0], VDC_Write);
        status = look(&pair);
        assert_int_equal(status.devices[0].queued, 0);
        assert_int_equal(status.devices[0].held, 1);
        assert_in_range(status.devices[0].oldest_ms, 0, PAIR_WAIT_MS);
        assert_int_equal(status.devices[0].commands, 1);
        assert_int_equal(status.devices[0].client_pid, getpid());
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_TRANSFER, 0),
                         NOERROR);
        sent_wait(&sent);
        status = look(&pair);
        assert_int_equal(status.devices[0].bytes, PAIR_TRANSFER);
        assert_int_equal(vds_observe_abort(&pair.options, pair.name), NOERROR);
        pair_join_agent(&pair);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_OBSERVER);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_OBSERVER);
        status = look(&pair);
        assert_int_equal(status.state, VDS_SET_ABORTED);
        assert_int_equal(status.abort_reason, VDS_ABORT_OBSERVER);
        pair_deinit(&pair);
}

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

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_state_is_seen),
                cmocka_unit_test(sets_of_several_folders_are_listed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
