/*
 * The client's side of vds.h: commands in the hands of the user as other processes see them, and the handles of their
 * buffers.
 *
 * A handle is [device][slot][tag]; what it stands for lies in the layout's record of that slot, as long as the command
 * is held. The tag grows with each command of the slot, from a start that differs between sets, so a handle that is
 * stale or another set's finds another tag, or none.
 */
#include "core/vds/internal.h"

#include "core/base/deadline.h"

enum {
        TAG_BITS = 19,
        SLOT_BITS = 6,
        TAG_COUNT = (1 << TAG_BITS) - 1, /* 0 stands for no handle */
};

static_assert(VDS_QUEUE_DEPTH == 1 << SLOT_BITS, "a slot's number has SLOT_BITS bits");
static_assert((uint64_t)VDS_DEVICES_MAX << (SLOT_BITS + TAG_BITS) <= UINT64_C(1) << 31, "handles are below 2^31");

void client_begin_held(struct vds_client_device *device, uint32_t slot)
{
        atomic_store_explicit(&device->shared->slots[slot].held_since, (uint64_t)monotonic_ns(), memory_order_relaxed);
}

void client_end_held(struct vds_client_device *device, uint32_t slot)
{
        atomic_store_explicit(&device->shared->slots[slot].held_since, 0, memory_order_relaxed);
        if (device->slots[slot].tag == 0)
                return;
        device->slots[slot].tag = 0;
        atomic_store_explicit(&device->shared->slots[slot].tag, 0, memory_order_relaxed);
        /* No reader may find a later command's place under this tag. */
        atomic_thread_fence(memory_order_release);
}

uint8_t *client_resolve(struct vds_client *client, uint32_t area, uint64_t offset, uint64_t length)
{
        const struct region *region = &client->areas[area];

        if (offset < client->set.wishes.prefixZoneSize || offset > region->size || length > region->size - offset ||
            offset % client->set.config.blockSize)
                return NULL;
        return region->base + offset;
}

static uint32_t handle_make_tag(const struct vds_client *client, uint32_t device, uint32_t slot)
{
        uint64_t mixed = ((uint64_t)client->secret << 16 | device << SLOT_BITS | slot) * UINT64_C(0x9e3779b97f4a7c15);

        return 1 + ((uint32_t)(mixed >> 40) + client->devices[device].slots[slot].deliveries) % TAG_COUNT;
}

/* Gives the buffer of a held command its tag, for all to see. Under the device's lock. */
static void handle_publish(struct vds_client *client, uint32_t device, uint32_t slot)
{
        struct client_slot *held = &client->devices[device].slots[slot];
        struct layout_slot *shared = &client->devices[device].shared->slots[slot];

        if (held->tag != 0)
                return;
        held->tag = handle_make_tag(client, device, slot);
        atomic_store_explicit(&shared->area, held->record.area, memory_order_relaxed);
        atomic_store_explicit(&shared->offset, held->record.offset, memory_order_relaxed);
        atomic_store_explicit(&shared->length, (uint32_t)command_length(&held->record), memory_order_relaxed);
        atomic_store_explicit(&shared->tag, held->tag, memory_order_release);
}

/* The handle of a buffer that a command of the device names. */
static bool handle_make_for(struct vds_client *client, uint32_t index, const uint8_t *buffer, uint32_t *ret_handle)
{
        struct vds_client_device *device = &client->devices[index];

        LOCKED(&device->lock);
        for (uint32_t i = 0; i < VDS_QUEUE_DEPTH && device->held > 0; i++) {
                if (!device->slots[i].busy || device->slots[i].command.buffer != buffer)
                        continue;
                handle_publish(client, index, i);
                *ret_handle = (index << SLOT_BITS | i) << TAG_BITS | device->slots[i].tag;
                return true;
        }
        return false;
}

int vds_client_get_buffer_handle(struct vds_client *client, const uint8_t *buffer, uint32_t *ret_handle)
{
        *ret_handle = 0;
        SET_ENTER_OR_RETURN(&client->set, CALL_GET_HANDLE);
        for (uint32_t i = 0; i < client->set.device_count && buffer; i++)
                if (handle_make_for(client, i, buffer, ret_handle))
                        return NOERROR;
        return VD_E_INVALID;
}

struct handle_place {
        uint32_t area;
        uint32_t length;
        uint64_t offset;
};

/* What the handle stands for now. False: nothing. */
static bool handle_look_up(struct vds_client *client, uint32_t handle, struct handle_place *ret_place)
{
        uint32_t tag = handle & TAG_COUNT;
        uint32_t slot = (handle >> TAG_BITS) % VDS_QUEUE_DEPTH;
        uint32_t device = handle >> (TAG_BITS + SLOT_BITS);
        struct layout_slot *shared;

        if (tag == 0 || device >= client->set.device_count)
                return false;
        shared = &client->set.layout->devices[device].slots[slot];
        if (atomic_load_explicit(&shared->tag, memory_order_acquire) != tag)
                return false;
        ret_place->area = atomic_load_explicit(&shared->area, memory_order_relaxed);
        ret_place->offset = atomic_load_explicit(&shared->offset, memory_order_relaxed);
        ret_place->length = atomic_load_explicit(&shared->length, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        return atomic_load_explicit(&shared->tag, memory_order_relaxed) == tag;
}

/* Waits for the area, whose message may be on its way. NOERROR: it is mapped. */
static int handle_wait_for_area(struct vds_client *client, uint32_t area)
{
        struct wake_cell *cell = &client->set.layout->client_wake;
        struct deadline deadline = deadline_after_ms(SET_AREA_WAIT_MS);

        for (;;) {
                uint32_t seen = wake_key(cell);

                if (area < atomic_load_explicit(&client->area_count, memory_order_acquire))
                        return NOERROR;
                SET_PASS_ON(set_may_wait(&client->set));
                if (area >= SET_AREAS_MAX || deadline_passed(deadline))
                        return VD_E_INVALID;
                wake_wait(cell, seen, deadline, NULL);
        }
}

static int handle_map(struct vds_client *client, uint32_t handle, uint8_t **ret_buffer)
{
        struct handle_place place;

        if (!handle_look_up(client, handle, &place))
                return VD_E_INVALID;
        SET_PASS_ON(handle_wait_for_area(client, place.area));
        *ret_buffer = client_resolve(client, place.area, place.offset, place.length);
        return *ret_buffer ? NOERROR : VD_E_INVALID;
}

int vds_client_map_buffer_handle(struct vds_client *client, uint32_t handle, uint8_t **ret_buffer)
{
        *ret_buffer = NULL;
        SET_ENTER_OR_RETURN(&client->set, CALL_MAP_HANDLE);
        return handle_map(client, handle, ret_buffer);
}
