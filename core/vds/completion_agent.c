/*
 * The completion agent, threads that serve one device instead, and everything else that ends a command on the server's
 * side.
 *
 * Whoever takes a command out of its slot, under the device's lock, is the one who runs its callback, without any lock;
 * so each callback runs once, and may call anything.
 */
#include "core/vds/internal.h"

#include "core/base/fault.h"

void server_call_back(struct VDS_Command *command, int32_t code, int32_t bytes)
{
        vds_completion_routine routine = (vds_completion_routine)(uintptr_t)command->completionRoutine;

        command->completionCode = code;
        command->bytesTransferred = bytes;
        routine(command);
}

/* Empties a slot. Under the device's lock. */
static struct VDS_Command *server_take_slot(struct vds_server_device *device, struct server_slot *slot)
{
        struct VDS_Command *command = slot->command;

        slot->command = NULL;
        slot->generation++;
        device->outstanding--;
        atomic_fetch_sub(&device->server->outstanding, 1);
        return command;
}

/* Any outstanding command, taken out; NULL when there is none. */
static struct VDS_Command *server_take_any(struct vds_server_device *device, bool dead)
{
        LOCKED(&device->lock);

        device->dead |= dead;
        for (uint32_t i = 0; i < VDS_QUEUE_DEPTH && device->outstanding > 0; i++)
                if (device->slots[i].command)
                        return server_take_slot(device, &device->slots[i]);
        return NULL;
}

void server_drain_device(struct vds_server_device *device, int32_t code, bool dead)
{
        struct VDS_Command *command;

        while ((command = server_take_any(device, dead)) != NULL)
                server_call_back(command, code, 0);
}

enum completion_take {
        TAKE_COMPLETION = 0,
        TAKE_NOTHING,
        TAKE_BROKEN,
};

/* The slot that a completion names, if the completion can be believed. */
static struct server_slot *believed_slot(struct vds_server_device *device, const struct completion_record *record)
{
        struct server_slot *slot;

        if (record->slot >= VDS_QUEUE_DEPTH)
                return NULL;
        slot = &device->slots[record->slot];
        if (!slot->command || slot->generation != record->generation)
                return NULL;
        if (record->bytes > (command_moves_data(slot->code) ? (uint32_t)slot->size : 0))
                return NULL;
        return slot;
}

/* Takes the next completion and the command it ends. The device's error state follows before anybody hears of it. */
static enum completion_take take_completion(struct vds_server_device *device, struct VDS_Command **ret_command,
                                            struct completion_record *ret_record)
{
        struct server_slot *slot;

        LOCKED(&device->lock);
        if (!device->opened || device->closed || device->dead)
                return TAKE_NOTHING;
        switch (ring_pop(&device->completions, ret_record)) {
        case RING_OK:
                break;
        case RING_EMPTY:
                return TAKE_NOTHING;
        case RING_FULL:
        case RING_BROKEN:
                return TAKE_BROKEN;
        }
        slot = believed_slot(device, ret_record);
        if (!slot)
                return TAKE_BROKEN;
        if (ret_record->code != ERROR_SUCCESS)
                device->io_error = true;
        else if (slot->code == VDC_ClearError)
                device->io_error = false;
        if (slot->code == VDC_GetPosition || slot->code == VDC_SetPosition)
                slot->command->outPosition = ret_record->position;
        *ret_command = server_take_slot(device, slot);
        /* Before another thread can find the ring empty: what was taken is progress. */
        atomic_store_explicit(&device->server->progress_ns, monotonic_ns(), memory_order_relaxed);
        return TAKE_COMPLETION;
}

static bool server_device_is_closed(struct vds_server_device *device)
{
        LOCKED(&device->lock);

        return device->closed;
}

/* Must the agent leave now, giving everything back? */
static bool agent_is_over(struct vds_server *server)
{
        return set_may_wait(&server->set) != NOERROR;
}

/* Runs the callbacks that are due on one device. Returns true when there were any. */
static bool agent_serve_device(struct vds_server_device *device)
{
        struct vds_server *server = device->server;
        struct completion_record record;
        struct VDS_Command *command;
        bool moved = false;

        while (!agent_is_over(server)) {
                struct error err = ERROR_INIT;

                switch (take_completion(device, &command, &record)) {
                case TAKE_COMPLETION:
                        fault_point("server.completion.taken");
                        server_call_back(command, record.code, (int32_t)record.bytes);
                        moved = true;
                        continue;
                case TAKE_BROKEN:
                        error_raise(&err, ERR_PROTOCOL, "the client completed a command that is not outstanding");
                        set_fail(&server->set, VDS_ABORT_MISBEHAVED, &err);
                        return true;
                case TAKE_NOTHING:
                        break;
                }
                if (server_device_is_closed(device))
                        server_drain_device(device, ERROR_OPERATION_ABORTED, /* dead= */ false);
                break;
        }
        return moved;
}

/* Has the client let more than two intervals pass with work before it and nothing done?
 * Else says when to look again. */
static bool agent_is_stalled(struct vds_server *server, struct deadline *ret_next)
{
        int64_t interval_ms = server->set.wishes.serverTimeOut;
        int64_t limit;

        *ret_next = DEADLINE_NEVER;
        if (interval_ms == 0)
                return false;
        *ret_next = deadline_after_ms(interval_ms);
        if (atomic_load(&server->outstanding) == 0)
                return false;
        limit = atomic_load_explicit(&server->progress_ns, memory_order_relaxed) + 2 * interval_ms * 1000000;
        if (monotonic_ns() > limit)
                return true;
        *ret_next = deadline_earlier(*ret_next, (struct deadline){ .at_ns = limit + 1000000 });
        return false;
}

/* All devices closed and every command given back? */
static bool agent_is_done(struct vds_server *server)
{
        return atomic_load(&server->closed_count) == server->set.device_count && atomic_load(&server->outstanding) == 0;
}

/* Runs what is due on `count` devices. Returns true when there was something. */
static bool agent_serve_devices(struct vds_server_device *devices, uint32_t count)
{
        bool moved = false;

        for (uint32_t i = 0; i < count; i++)
                moved |= agent_serve_device(&devices[i]);
        return moved;
}

/* Has a client completed what nobody here has looked at yet? */
static bool agent_is_late(struct vds_server *server)
{
        for (uint32_t i = 0; i < server->set.device_count; i++) {
                struct vds_server_device *device = &server->devices[i];

                LOCKED(&device->lock);
                if (device->opened && !device->closed && !device->dead && ring_is_ready(&device->completions))
                        return true;
        }
        return false;
}

/* Sleeps until something may be due, or aborts a set that has stalled. Where each device has a thread, one that is slow
 * to see what its client has done is no stall. */
static void agent_wait(struct vds_server *server, struct wake_cell *cell, uint32_t seen, struct deadline deadline,
                       struct wake_patience *patience)
{
        struct deadline next;

        /* Asked again behind the look at the rings: a thread may have taken the last completion in between. */
        if (agent_is_stalled(server, &next) && !agent_is_late(server) && agent_is_stalled(server, &next))
                set_abort(&server->set, VDS_ABORT_TIMEOUT);
        else
                wake_wait(cell, seen, deadline_earlier(deadline, next), patience);
}

static void agent_run(struct vds_server *server)
{
        struct wake_cell *cell = &server->set.layout->agent_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);

                if (agent_is_over(server) || agent_is_done(server))
                        break;
                if (!agent_serve_devices(server->devices, server->set.device_count))
                        agent_wait(server, cell, seen, DEADLINE_NEVER, NULL);
        }
        if (agent_is_over(server))
                for (uint32_t i = 0; i < server->set.device_count; i++)
                        server_drain_device(&server->devices[i], ERROR_OPERATION_ABORTED, /* dead= */ true);
}

int vds_server_execute_completion_agent(struct vds_server *server)
{
        int result;

        SET_ENTER_ANY_OR_RETURN(&server->set);
        result = set_recheck(&server->set, CALL_EXECUTE_AGENT);
        /* After an abort there may be commands to give back, whatever the agent then returns. */
        if (result != NOERROR && result != VD_E_ABORT)
                return result;
        if (atomic_exchange(&server->agent_running, true))
                return VD_E_BUSY;
        if (result == NOERROR)
                set_succeeded(&server->set, CALL_EXECUTE_AGENT);
        fault_point("server.agent.running");
        agent_run(server);
        atomic_store(&server->agent_running, false);
        return result;
}

static bool server_device_is_opened(struct vds_server_device *device)
{
        LOCKED(&device->lock);

        return device->opened;
}

static int run_callbacks(struct vds_server_device *device, struct deadline deadline)
{
        struct vds_server *server = device->server;
        struct wake_cell *cell = &device->shared->server_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);
                bool late = deadline_passed(deadline);

                SET_PASS_ON(set_may_wait(&server->set));
                if (agent_serve_device(device))
                        return NOERROR;
                if (server_device_is_closed(device))
                        return VD_E_CLOSE;
                if (late)
                        return VD_E_TIMEOUT;
                agent_wait(server, cell, seen, deadline, &device->patience);
        }
}

int vds_server_device_run_callbacks(struct vds_server_device *device, int64_t timeout_ms)
{
        struct vds_set *set = &device->server->set;
        int result;

        SET_ENTER_ANY_OR_RETURN(set);
        result = set_recheck(set, CALL_EXECUTE_AGENT);
        if (result == NOERROR && !server_device_is_opened(device))
                result = VD_E_PROTOCOL;
        if (result == NOERROR)
                result = run_callbacks(device, deadline_after_ms(timeout_ms));
        /* Whatever ended the set, the commands come back. */
        if (result == VD_E_ABORT)
                server_drain_device(device, ERROR_OPERATION_ABORTED, /* dead= */ true);
        return result;
}
