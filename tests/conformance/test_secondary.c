/*
 * Secondary clients (4.6, 8.1, 8.2): several processes at one set; buffer handles between them (4.7, 4.8, 8.4); what
 * the end of one means for the others. Here the user of the stage is the first secondary, `other` the second, wherever
 * the mode has them.
 */
#include "tests/conformance/stage.h"

#include <sched.h>

#include "core/base/deadline.h"

enum { SLOTS = VDS_QUEUE_DEPTH };

static void join(struct actor *actor)
{
        EXPECT(NOERROR, actor, OP_OPEN_IN_SECONDARY);
}

/* Three devices, a primary, two secondaries; every server device is open. */
static struct stage *three_clients(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.deviceCount = 3;
        stage_open_server_devices(stage);
        stage_start_agent(stage);
        join(stage->other);
        return stage;
}

/* Device 0 with the primary, 1 and 2 with the secondaries. */
static struct actor *owner_of(const struct stage *stage, uint32_t device)
{
        struct actor *const owners[] = { stage->client, stage->user, stage->other };

        return owners[device];
}

static void open_one_each(struct stage *stage)
{
        for (uint32_t i = 0; i < 3; i++)
                EXPECT(NOERROR, owner_of(stage, i), OP_OPEN_DEVICE, .device = i);
}

/* The primary in between: the order does not matter. */
static void close_all(struct stage *stage)
{
        EXPECT(NOERROR, stage->other, OP_CLOSE);
        EXPECT(NOERROR, stage->client, OP_CLOSE);
        if (stage->user != stage->client)
                EXPECT(NOERROR, stage->user, OP_CLOSE);
}

/* ---- OpenInSecondary ---- */

static void open_in_secondary(void **state)
{
        struct stage *stage = stage_new(state);
        struct actor *secondary = stage->other;

        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY, .odd = ODD_NULL);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY, .odd = ODD_EMPTY);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY, .name = "a\\b");
        stage_create(stage);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT(NOERROR, stage->server, OP_OPEN);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT(NOERROR, stage->server, OP_BEGIN_CONFIGURATION, .block_size = 512, .size = STAGE_TRANSFER);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY, .name = "Set");
        EXPECT(NOERROR, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT_NUMBER(EXPECT(NOERROR, secondary, OP_GET_CONFIGURATION).config.blockSize, 512);
        /* A handle serves one set after another, and as often as it likes. */
        for (int i = 0; i < 3; i++) {
                EXPECT(NOERROR, secondary, OP_CLOSE);
                EXPECT(NOERROR, secondary, OP_OPEN_IN_SECONDARY);
        }
        EXPECT(NOERROR, stage->client, OP_SIGNAL_ABORT);
        EXPECT_NUMBER(CALL(secondary, OP_STATE).state, STATE_ABORT);
        EXPECT(NOERROR, secondary, OP_CLOSE);
        EXPECT(VD_E_ABORT, secondary, OP_OPEN_IN_SECONDARY);
        EXPECT_NUMBER(CALL(secondary, OP_STATE).state, STATE_NONE);
        EXPECT(NOERROR, stage->client, OP_CLOSE);
        EXPECT(VD_E_PROTOCOL, secondary, OP_OPEN_IN_SECONDARY);
}

/* The texts of the two ends, and the names of the devices, are there for every client. */
static void a_secondary_is_told(void **state)
{
        struct stage *stage = stage_new(state);
        struct call_result result;

        EXPECT(0, stage->client, OP_NEW, .text = "about the primary");
        stage_join(stage);
        EXPECT(NOERROR, stage->server, OP_SET_INFO, .text = "about the server");
        EXPECT(NOERROR, stage->server, OP_BEGIN_CONFIGURATION, .block_size = 512, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS);
        join(stage->other);
        assert_string_equal(EXPECT(NOERROR, stage->other, OP_PRIMARY_INFO).text, "about the primary");
        assert_string_equal(EXPECT(NOERROR, stage->other, OP_SERVER_INFO).text, "about the server");
        EXPECT(VD_E_TIMEOUT, stage->other, OP_DEVICE_NAME, .device = 1);
        EXPECT(VD_E_INVALID, stage->other, OP_DEVICE_NAME, .device = 2);
        BEGIN(stage->other, 1, OP_DEVICE_NAME, .device = 1, .timeout_ms = CALL_WAIT_MS);
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE);
        EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE, .device = 1, .name = "second");
        assert_string_equal(EXPECT_END(NOERROR, stage->other, 1).name, "second");
        EXPECT(NOERROR, stage->server, OP_VERDICT, .verdict = VDS_VERDICT_SUCCESS, .text = "fine");
        result = EXPECT(NOERROR, stage->other, OP_VERDICT, .timeout_ms = CALL_WAIT_MS);
        EXPECT_NUMBER(result.verdict, VDS_VERDICT_SUCCESS);
        assert_string_equal(result.text, "fine");
}

/* ---- devices ---- */

/* A device belongs to the first client that opens it, and VD_E_OPEN tells any of them that all are taken. */
static void a_device_has_one_client(void **state)
{
        struct stage *stage = three_clients(state);

        open_one_each(stage);
        for (uint32_t i = 0; i < 3; i++)
                EXPECT(VD_E_OPEN, owner_of(stage, i), OP_OPEN_DEVICE, .device = (i + 1) % 3);
        stage = three_clients(state);
        EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 1);
        for (uint32_t i = 0; i < 3; i++)
                EXPECT(VD_E_PROTOCOL, owner_of(stage, i), OP_OPEN_DEVICE, .device = 1);
        EXPECT(VD_E_INVALID, stage->user, OP_OPEN_DEVICE, .name = "nobody");
        EXPECT(VD_E_PROTOCOL, stage->user, OP_GET_COMMAND, .device = 1);
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
}

static void three_clients_serve_one_set(void **state)
{
        struct stage *stage = three_clients(state);

        open_one_each(stage);
        for (uint32_t i = 0; i < 3; i++) {
                struct actor *owner = owner_of(stage, i);

                EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = i + 1, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, stage->server, OP_FILL, .buffer = i + 1, .seed = i, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = i, .slot = i, .code = VDC_Write,
                       .buffer = i + 1, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, owner, OP_GET_COMMAND, .device = i, .timeout_ms = CALL_WAIT_MS);
                EXPECT(1, owner, OP_MATCH, .place = PLACE_COMMAND, .seed = i, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, owner, OP_COMPLETE_COMMAND, .device = i, .bytes = STAGE_TRANSFER);
                EXPECT_CALLBACK(stage, i, ERROR_SUCCESS, STAGE_TRANSFER);
        }
        for (uint32_t i = 0; i < 3; i++) {
                EXPECT_NUMBER(CALL(owner_of(stage, i), OP_STATE).state, STATE_ACTIVE);
                EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE, .device = i);
        }
        stage_expect_agent(stage, NOERROR);
        for (uint32_t i = 0; i < 3; i++)
                EXPECT(VD_E_CLOSE, owner_of(stage, i), OP_GET_COMMAND, .device = i, .timeout_ms = CALL_WAIT_MS);
        for (uint32_t i = 0; i < 3; i++) {
                EXPECT_NUMBER(CALL(owner_of(stage, i), OP_STATE).state, STATE_TERMINATED);
                EXPECT_NUMBER(CALL(owner_of(stage, i), OP_REASON).result, VDS_ABORT_NONE);
        }
        EXPECT(NOERROR, stage->server, OP_CLOSE);
        close_all(stage);
}

/* IO-ERROR is of a device, whoever serves it. */
static void an_error_stays_with_its_client(void **state)
{
        struct stage *stage = three_clients(state);

        open_one_each(stage);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 2, .slot = 0, .code = VDC_Flush);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 2, .slot = 1, .code = VDC_Flush);
        EXPECT(NOERROR, stage->other, OP_GET_COMMAND, .device = 2, .timeout_ms = CALL_WAIT_MS);
        EXPECT(NOERROR, stage->other, OP_COMPLETE_COMMAND, .device = 2, .code = ERROR_DISK_FULL);
        EXPECT_CALLBACK(stage, 0, ERROR_DISK_FULL, 0);
        EXPECT_CALLBACK(stage, 1, ERROR_IO_DEVICE, 0);
        EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .device = 2, .slot = 2, .code = VDC_Flush);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .slot = 3, .code = VDC_Flush);
        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = 1, .timeout_ms = CALL_WAIT_MS);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .device = 1);
        EXPECT_CALLBACK(stage, 3, ERROR_SUCCESS, 0);
}

/* ---- buffer handles ---- */

/* The whole of 8.4, with the prefix zone: one client has the command, another one moves the data. */
static void another_client_moves_the_data(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.deviceCount = 3;
        stage->wishes.prefixZoneSize = 512;
        stage_open_server_devices(stage);
        stage_start_agent(stage);
        join(stage->other);
        open_one_each(stage);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        for (uint32_t i = 0; i < 9; i++) {
                struct actor *holder = owner_of(stage, i % 3);
                struct actor *mover = owner_of(stage, i / 3);
                uint32_t handle;

                stage_say("held by the %s, moved by the %s", holder->name, mover->name);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = i % 3, .slot = i, .code = VDC_Read,
                       .buffer = 1, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, holder, OP_GET_COMMAND, .device = i % 3, .timeout_ms = CALL_WAIT_MS);
                handle = EXPECT(NOERROR, holder, OP_GET_BUFFER_HANDLE).handle;
                EXPECT_NUMBER(handle >> 31, 0);
                EXPECT_NUMBER(EXPECT(NOERROR, holder, OP_GET_BUFFER_HANDLE).handle, handle);
                EXPECT_NUMBER(EXPECT(NOERROR, mover, OP_MAP_BUFFER_HANDLE, .handle = handle).address % STAGE_BLOCK, 0);
                EXPECT(NOERROR, mover, OP_FILL, .place = PLACE_MAPPED, .seed = i, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, mover, OP_FILL, .place = PLACE_MAPPED, .seed = 50 + i, .offset = -512, .size = 512);
                EXPECT(1, holder, OP_MATCH, .place = PLACE_COMMAND, .seed = 50 + i, .offset = -512, .size = 512);
                EXPECT(NOERROR, holder, OP_COMPLETE_COMMAND, .device = i % 3, .bytes = STAGE_TRANSFER);
                EXPECT_CALLBACK(stage, i, ERROR_SUCCESS, STAGE_TRANSFER);
                EXPECT(1, stage->server, OP_MATCH, .buffer = 1, .seed = i, .size = STAGE_TRANSFER);
                EXPECT(VD_E_INVALID, mover, OP_MAP_BUFFER_HANDLE, .handle = handle);
                EXPECT(VD_E_INVALID, holder, OP_GET_BUFFER_HANDLE);
        }
}

static void get_buffer_handle(void **state)
{
        struct stage *stage = three_clients(state);

        open_one_each(stage);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .code = VDC_Write, .buffer = 1,
               .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .slot = 1, .code = VDC_Flush);
        EXPECT(VD_E_INVALID, stage->user, OP_GET_BUFFER_HANDLE, .odd = ODD_NULL);
        EXPECT(VD_E_INVALID, stage->user, OP_GET_BUFFER_HANDLE, .odd = ODD_FOREIGN);
        for (uint32_t slot = 0; slot < 2; slot++)
                EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = 1, .slot = slot, .timeout_ms = CALL_WAIT_MS);
        EXPECT(VD_E_INVALID, stage->user, OP_GET_BUFFER_HANDLE, .odd = ODD_NULL);
        EXPECT(VD_E_INVALID, stage->user, OP_GET_BUFFER_HANDLE, .odd = ODD_FOREIGN);
        EXPECT(VD_E_INVALID, stage->user, OP_GET_BUFFER_HANDLE, .offset = 1);
        EXPECT(VD_E_INVALID, stage->user, OP_GET_BUFFER_HANDLE, .offset = STAGE_BLOCK);
        EXPECT(NOERROR, stage->user, OP_GET_BUFFER_HANDLE);
        /* A process that does not hold the command has no address of it to ask about. */
        EXPECT(VD_E_INVALID, stage->other, OP_GET_BUFFER_HANDLE, .odd = ODD_FOREIGN);
}

/* A handle names one command of one set, while it is held. */
static void map_buffer_handle(void **state)
{
        struct stage *stage = three_clients(state);
        uint32_t handles[SLOTS];

        open_one_each(stage);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        for (uint32_t round = 0; round < 2; round++) {
                uint32_t stale = round ? handles[0] : 0;

                for (uint32_t slot = 0; slot < SLOTS; slot++) {
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .slot = slot, .code = VDC_Write,
                               .buffer = 1, .offset = (int32_t)(slot % 16) * STAGE_BLOCK, .size = STAGE_BLOCK);
                        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = 1, .slot = slot,
                               .timeout_ms = CALL_WAIT_MS);
                }
                for (uint32_t slot = 0; slot < 16; slot++) {
                        handles[slot] = EXPECT(NOERROR, stage->user, OP_GET_BUFFER_HANDLE, .slot = slot).handle;
                        EXPECT(NOERROR, stage->user, OP_FILL, .place = PLACE_COMMAND, .slot = slot, .seed = slot,
                               .size = STAGE_BLOCK);
                }
                for (uint32_t slot = 0; slot < 16; slot++) {
                        EXPECT(NOERROR, stage->other, OP_MAP_BUFFER_HANDLE, .slot = slot, .handle = handles[slot]);
                        EXPECT(1, stage->other, OP_MATCH, .place = PLACE_MAPPED, .slot = slot, .seed = slot,
                               .size = STAGE_BLOCK);
                        EXPECT(VD_E_INVALID, stage->other, OP_MAP_BUFFER_HANDLE, .handle = handles[slot] + 1);
                        EXPECT(VD_E_INVALID, stage->other, OP_MAP_BUFFER_HANDLE, .handle = handles[slot] | 1u << 31);
                }
                EXPECT(VD_E_INVALID, stage->other, OP_MAP_BUFFER_HANDLE, .handle = stale);
                EXPECT(VD_E_INVALID, stage->other, OP_MAP_BUFFER_HANDLE, .handle = UINT32_MAX);
                for (uint32_t slot = 0; slot < SLOTS; slot++) {
                        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .device = 1, .slot = slot);
                        EXPECT_CALLBACK(stage, slot, ERROR_SUCCESS, 0);
                }
                for (uint32_t slot = 0; slot < 16; slot++)
                        EXPECT(VD_E_INVALID, stage->other, OP_MAP_BUFFER_HANDLE, .handle = handles[slot]);
        }
}

static void a_handle_is_worth_nothing_in_another_set(void **state)
{
        struct stage *stage = stage_new(state);
        struct actor *client = stage->other;
        struct actor *server = stage->other_server;
        uint32_t handles[2];

        stage_up(stage);
        EXPECT(NOERROR, client, OP_CREATE, .name = "b", .config = stage->wishes);
        EXPECT(NOERROR, server, OP_OPEN, .name = "b");
        EXPECT(NOERROR, server, OP_BEGIN_CONFIGURATION, .block_size = STAGE_BLOCK, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, server, OP_REQUEST_BUFFERS, .size = STAGE_TRANSFER, .count = 6);
        EXPECT(NOERROR, server, OP_END_CONFIGURATION);
        EXPECT(NOERROR, client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS);
        EXPECT(NOERROR, server, OP_OPEN_DEVICE, .name = "b");
        EXPECT(NOERROR, client, OP_OPEN_DEVICE, .name = "b");
        for (int i = 0; i < 2; i++) {
                struct actor *sender = i ? server : stage->server;
                struct actor *holder = i ? client : stage->user;

                EXPECT(NOERROR, sender, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
                EXPECT(NOERROR, sender, OP_SEND_COMMAND, .code = VDC_Write, .buffer = 1, .size = STAGE_BLOCK);
                EXPECT(NOERROR, holder, OP_GET_COMMAND, .timeout_ms = CALL_WAIT_MS);
                handles[i] = EXPECT(NOERROR, holder, OP_GET_BUFFER_HANDLE).handle;
        }
        EXPECT(NOERROR, stage->user, OP_MAP_BUFFER_HANDLE, .handle = handles[0]);
        EXPECT(NOERROR, client, OP_MAP_BUFFER_HANDLE, .handle = handles[1]);
        EXPECT(VD_E_INVALID, stage->user, OP_MAP_BUFFER_HANDLE, .handle = handles[1]);
        EXPECT(VD_E_INVALID, client, OP_MAP_BUFFER_HANDLE, .handle = handles[0]);
}

/* ---- areas ---- */

/* Those of before it joined, and those that come afterwards. */
static void every_area_reaches_a_secondary(void **state)
{
        enum { BEFORE = 60, AFTER = 40 };
        struct stage *stage = stage_new(state);

        stage->buffer_count = 1;
        stage_open_server_devices(stage);
        stage_start_agent(stage);
        for (uint32_t i = 1; i <= BEFORE + AFTER; i++) {
                if (i == BEFORE) {
                        join(stage->other);
                        EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 1);
                }
                if (i > 1)
                        EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = STAGE_TRANSFER, .count = 1);
                EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = i, .size = STAGE_TRANSFER);
        }
        for (uint32_t i = 1; i <= BEFORE + AFTER; i++) {
                stage_say("area %u", i - 1);
                EXPECT(NOERROR, stage->server, OP_FILL, .buffer = i, .seed = i, .size = STAGE_BLOCK);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .code = VDC_Write, .buffer = i,
                       .size = STAGE_BLOCK);
                EXPECT(NOERROR, stage->other, OP_GET_COMMAND, .device = 1, .timeout_ms = CALL_WAIT_MS);
                EXPECT(1, stage->other, OP_MATCH, .place = PLACE_COMMAND, .seed = i, .size = STAGE_BLOCK);
                EXPECT(NOERROR, stage->other, OP_COMPLETE_COMMAND, .device = 1, .bytes = STAGE_BLOCK);
                EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, STAGE_BLOCK);
        }
}

/* ---- ends ---- */

/* Waits until the primary knows of so many who joined, left and died. */
static void expect_members(struct stage *stage, uint32_t joined, uint32_t left, uint32_t died)
{
        struct deadline deadline = deadline_after_ms(CALL_WAIT_MS);
        struct vds_secondaries now;

        do {
                now = CALL(stage->client, OP_SECONDARIES).secondaries;
                sched_yield();
        } while ((now.left < left || now.died < died) && !deadline_passed(deadline));
        EXPECT_NUMBER(now.joined, joined);
        EXPECT_NUMBER(now.left, left);
        EXPECT_NUMBER(now.died, died);
        EXPECT_NUMBER(now.last_died_pid != 0, died != 0);
}

static void expect_aborted(struct actor *actor, enum vds_abort_reason reason)
{
        struct deadline deadline = deadline_after_ms(CALL_WAIT_MS);

        while (CALL(actor, OP_REASON).result == VDS_ABORT_NONE && !deadline_passed(deadline))
                sched_yield();
        EXPECT_NUMBER(CALL(actor, OP_REASON).result, reason);
}

static uint32_t secondaries_of(const struct stage *stage)
{
        return stage->user == stage->client ? 1 : 2;
}

static void a_secondary_without_devices_may_leave(void **state)
{
        struct stage *stage = three_clients(state);
        uint32_t before = secondaries_of(stage);

        EXPECT(NOERROR, stage->other, OP_CLOSE);
        EXPECT(VD_E_PROTOCOL, stage->other, OP_CLOSE);
        expect_members(stage, before, 1, 0);
        EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
        stage_pass(stage, 0, 0, VDC_Flush);
        join(stage->other);
        expect_members(stage, before + 1, 1, 0);
        EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 2);
}

static void a_secondary_that_closes_early_aborts(void **state)
{
        struct stage *stage = three_clients(state);

        open_one_each(stage);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 2, .code = VDC_Flush);
        BEGIN(stage->user, 1, OP_GET_COMMAND, .device = 1, .timeout_ms = -1);
        EXPECT(VD_E_OPEN, stage->other, OP_CLOSE);
        EXPECT_END(VD_E_ABORT, stage->user, 1);
        EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
        stage_expect_agent(stage, NOERROR);
        expect_aborted(stage->client, VDS_ABORT_SECONDARY_CLOSED);
        expect_aborted(stage->server, VDS_ABORT_SECONDARY_CLOSED);
}

/* From whichever client, it is one abort for all. */
static void anybody_aborts_for_everybody(void **state)
{
        for (uint32_t from = 0; from < 3; from++) {
                struct stage *stage = three_clients(state);

                open_one_each(stage);
                for (uint32_t i = 0; i < 3; i++)
                        if (i != from)
                                BEGIN(owner_of(stage, i), 1 + (int)i, OP_GET_COMMAND, .device = i, .timeout_ms = -1);
                EXPECT(NOERROR, owner_of(stage, from), OP_SIGNAL_ABORT);
                for (uint32_t i = 0; i < 3; i++) {
                        if (i != from)
                                EXPECT_END(VD_E_ABORT, owner_of(stage, i), 1 + (int)i);
                        EXPECT_NUMBER(CALL(owner_of(stage, i), OP_REASON).result, VDS_ABORT_CLIENT);
                }
                stage_expect_agent(stage, NOERROR);
                EXPECT_NUMBER(CALL(stage->server, OP_REASON).result, VDS_ABORT_CLIENT);
                close_all(stage);
        }
}

/* The primary's Close ends the set, if anybody still has a device open. */
static void the_primary_closes_early(void **state)
{
        struct stage *stage = three_clients(state);

        EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 2);
        BEGIN(stage->other, 1, OP_GET_COMMAND, .device = 2, .timeout_ms = -1);
        EXPECT(VD_E_OPEN, stage->client, OP_CLOSE);
        EXPECT_END(VD_E_ABORT, stage->other, 1);
        expect_aborted(stage->other, VDS_ABORT_CLIENT_CLOSED);
        expect_aborted(stage->server, VDS_ABORT_CLIENT_CLOSED);
        stage_expect_agent(stage, NOERROR);
        EXPECT(NOERROR, stage->other, OP_CLOSE);
}

/* What a killed secondary means is the primary's to say: it is told, or the set is aborted. */
static void a_secondary_dies(void **state)
{
        for (uint32_t aborts = 0; aborts < 2; aborts++) {
                struct stage *stage = stage_new(state);

                EXPECT(0, stage->client, OP_NEW, .count = aborts);
                stage_open_server_devices(stage);
                stage_start_agent(stage);
                join(stage->other);
                EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 1);
                EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = 1, .code = VDC_Flush);
                EXPECT(NOERROR, stage->other, OP_GET_COMMAND, .device = 1, .timeout_ms = CALL_WAIT_MS);
                actor_kill(stage->other);
                expect_members(stage, secondaries_of(stage), 0, 1);
                if (!aborts) {
                        EXPECT_NUMBER(CALL(stage->client, OP_REASON).result, VDS_ABORT_NONE);
                        stage_pass(stage, 0, 1, VDC_Flush);
                        EXPECT(NOERROR, stage->client, OP_SIGNAL_ABORT);
                } else {
                        expect_aborted(stage->client, VDS_ABORT_SECONDARY_DIED);
                        expect_aborted(stage->server, VDS_ABORT_SECONDARY_DIED);
                }
                EXPECT_CALLBACK(stage, 0, ERROR_OPERATION_ABORTED, 0);
                stage_expect_agent(stage, NOERROR);
        }
}

static void the_primary_dies(void **state)
{
        struct stage *stage = three_clients(state);

        EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 2);
        BEGIN(stage->other, 1, OP_GET_COMMAND, .device = 2, .timeout_ms = -1);
        actor_kill(stage->client);
        EXPECT_END(VD_E_ABORT, stage->other, 1);
        expect_aborted(stage->other, VDS_ABORT_CLIENT_DIED);
        expect_aborted(stage->server, VDS_ABORT_CLIENT_DIED);
        stage_expect_agent(stage, NOERROR);
}

/* Every secondary learns of it, though only the primary is connected to the server. */
static void the_server_dies(void **state)
{
        struct stage *stage = three_clients(state);

        EXPECT(NOERROR, stage->other, OP_OPEN_DEVICE, .device = 2);
        BEGIN(stage->other, 1, OP_GET_COMMAND, .device = 2, .timeout_ms = -1);
        actor_kill(stage->server);
        EXPECT_END(VD_E_ABORT, stage->other, 1);
        expect_aborted(stage->other, VDS_ABORT_SERVER_DIED);
        expect_aborted(stage->client, VDS_ABORT_SERVER_DIED);
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(open_in_secondary),
        IN_EVERY_MODE(a_secondary_is_told),
        IN_EVERY_MODE(a_device_has_one_client),
        IN_EVERY_MODE(three_clients_serve_one_set),
        IN_EVERY_MODE(an_error_stays_with_its_client),
        IN_EVERY_MODE(another_client_moves_the_data),
        IN_EVERY_MODE(get_buffer_handle),
        IN_EVERY_MODE(map_buffer_handle),
        IN_EVERY_MODE(a_handle_is_worth_nothing_in_another_set),
        IN_EVERY_MODE(every_area_reaches_a_secondary),
        IN_EVERY_MODE(a_secondary_without_devices_may_leave),
        IN_EVERY_MODE(a_secondary_that_closes_early_aborts),
        IN_EVERY_MODE(anybody_aborts_for_everybody),
        IN_EVERY_MODE(the_primary_closes_early),
        STAGE_TEST(a_secondary_dies, MODE_ONE_PROCESS, "in one process"),
        STAGE_TEST(a_secondary_dies, MODE_SECONDARY, "with a secondary client"),
        STAGE_TEST(the_primary_dies, MODE_CLIENT_APART, "with a client apart"),
        STAGE_TEST(the_server_dies, MODE_SERVER_APART, "with a server apart"),
        STAGE_TEST(the_server_dies, MODE_SECONDARY, "with a secondary client"),
};

STAGE_MAIN(tests)
