/* The server's side of vds.h: buffer areas, and the buffers in them. */
#include "core/vds/internal.h"

#include "core/base/fault.h"
#include "core/vds/message.h"

static bool add_up(uint64_t *total, uint64_t count, uint64_t each)
{
        uint64_t product;

        return !__builtin_mul_overflow(count, each, &product) && !__builtin_add_overflow(*total, product, total);
}

/* The alignment to use for a wish. 0: the wish is not allowed. */
static uint32_t effective_alignment(const struct vds_server *server, uint32_t wish)
{
        uint32_t basic = server->set.config.alignment;

        if (wish == 0)
                return basic;
        if (!config_is_power_of_two(wish) || wish > VDS_ALIGNMENT_MAX)
                return 0;
        return wish > basic ? wish : basic;
}

static bool add_request(struct server_requests *requests, uint64_t space, uint32_t alignment, uint32_t count)
{
        if (!add_up(&requests->space, count, space) || !add_up(&requests->alignment_sum, count, alignment))
                return false;
        requests->count += count;
        if (requests->alignment_least == 0 || alignment < requests->alignment_least)
                requests->alignment_least = alignment;
        return true;
}

/* Bytes that hold all requested blocks in any order: a block of a strict alignment may follow one of a loose alignment,
 * and then wastes at most the difference. 0 with nothing requested; UINT64_MAX when the sum is beyond counting. */
static uint64_t space_of(const struct server_requests *requests)
{
        uint64_t waste = requests->alignment_sum - requests->count * requests->alignment_least;
        uint64_t total;

        return __builtin_add_overflow(requests->space, waste, &total) ? UINT64_MAX : total;
}

/* Tells the client of a new area and adds it to the set. Under config_lock. NOERROR, VD_E_MEMORY, or VD_E_ABORT. */
static int add_area(struct vds_server *server, uint64_t size)
{
        struct message_area message = { .kind = MESSAGE_AREA, .size = size };
        struct error err = ERROR_INIT;
        struct region region;
        struct server_area *area;
        int result;

        if (server->area_count == SET_AREAS_MAX)
                return VD_E_MEMORY;
        if (region_create("vdipipe-buffers", size, &region, &err) < 0) {
                set_note_error(&server->set, &err);
                return VD_E_MEMORY;
        }
        message.index = server->area_count;
        fault_point("server.area.made");
        /* Before any thread can allocate in it and send a command that names it. */
        result = server_tell(server, &message, sizeof message, region.fd);
        if (result != NOERROR) {
                region_deinit(&region);
                return result;
        }
        region_close_fd(&region);
        LOCKED(&server->buffer_lock);
        area = &server->areas[server->area_count++];
        area->region = region;
        arena_init(&area->arena, size);
        return NOERROR;
}

int vds_server_request_buffers(struct vds_server *server, uint32_t size, uint32_t alignment, uint32_t count)
{
        struct server_requests sum = { 0 };
        bool configurable;
        uint64_t space;

        /* The lock keeps the areas in the order of their messages. */
        SERVER_CONFIGURE_OR_RETURN(server, CALL_REQUEST_BUFFERS);
        alignment = effective_alignment(server, alignment);
        if (size == 0 || size > INT32_MAX || count == 0 || alignment == 0)
                return VD_E_INVALID;
        space = arena_block_space(size, alignment, server->set.wishes.prefixZoneSize);
        configurable = atomic_load(&server->set.state) == STATE_CONFIGURABLE;
        if (configurable)
                sum = server->requests;
        if (!add_request(&sum, space, alignment, count))
                return VD_E_MEMORY;
        if (!configurable)
                return add_area(server, space_of(&sum));
        server->requests = sum;
        return NOERROR;
}

static uint64_t count_available(struct vds_server *server, uint32_t size, uint32_t alignment)
{
        uint64_t prefix = server->set.wishes.prefixZoneSize;
        uint64_t count = 0;

        if (atomic_load(&server->set.state) == STATE_CONFIGURABLE) {
                const struct arena planned = { .size = space_of(&server->requests) };

                return arena_count_fit(&planned, size, alignment, prefix);
        }
        LOCKED(&server->buffer_lock);
        for (uint32_t i = 0; i < server->area_count; i++)
                count += arena_count_fit(&server->areas[i].arena, size, alignment, prefix);
        return count;
}

int vds_server_query_available_buffers(struct vds_server *server, uint32_t size, uint32_t alignment,
                                       uint32_t *ret_count)
{
        uint64_t count;

        *ret_count = 0;
        SET_ENTER_OR_RETURN(&server->set, CALL_QUERY_BUFFERS);
        alignment = effective_alignment(server, alignment);
        if (size == 0 || size > INT32_MAX || alignment == 0)
                return VD_E_INVALID;
        LOCKED(&server->config_lock);
        count = count_available(server, size, alignment);
        *ret_count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
        return NOERROR;
}

int server_make_first_area(struct vds_server *server)
{
        uint64_t space = space_of(&server->requests);
        int result = NOERROR;

        if (space > 0)
                result = add_area(server, space);
        /* After a failure the requests start again from nothing. */
        server->requests = (struct server_requests){ 0 };
        if (result == NOERROR)
                server->set.config.bufferAreaSize = space > UINT32_MAX ? UINT32_MAX : (uint32_t)space;
        return result;
}

int vds_server_allocate_buffer(struct vds_server *server, uint8_t **ret_buffer, uint32_t size, uint32_t alignment)
{
        enum arena_result found = ARENA_FULL;

        *ret_buffer = NULL;
        SET_ENTER_OR_RETURN(&server->set, CALL_ALLOCATE_BUFFER);
        alignment = effective_alignment(server, alignment);
        if (size == 0 || size > INT32_MAX || alignment == 0)
                return VD_E_INVALID;
        LOCKED(&server->buffer_lock);
        for (uint32_t i = 0; i < server->area_count && found == ARENA_FULL; i++) {
                uint64_t offset;

                found = arena_alloc(&server->areas[i].arena, size, alignment, server->set.wishes.prefixZoneSize,
                                    &offset);
                if (found == ARENA_OK)
                        *ret_buffer = server->areas[i].region.base + offset;
        }
        return found == ARENA_OK ? NOERROR : VD_E_MEMORY;
}

/* The area that an address lies in, or NULL. Under buffer_lock. */
static struct server_area *find_area(struct vds_server *server, const uint8_t *address, uint64_t *ret_offset)
{
        for (uint32_t i = 0; i < server->area_count; i++) {
                uintptr_t from_base = (uintptr_t)address - (uintptr_t)server->areas[i].region.base;

                if (from_base < server->areas[i].region.size) {
                        *ret_offset = from_base;
                        return &server->areas[i];
                }
        }
        return NULL;
}

bool server_find_buffer(struct vds_server *server, const uint8_t *address, struct server_buffer *ret_buffer)
{
        const struct arena_block *block;
        const struct server_area *area;
        uint64_t offset = 0;

        LOCKED(&server->buffer_lock);
        area = find_area(server, address, &offset);
        block = area ? arena_find(&area->arena, offset) : NULL;
        if (!block)
                return false;
        *ret_buffer = (struct server_buffer){
                .area = (uint32_t)(area - server->areas),
                .offset = offset,
                .left = block->length - (offset - block->data),
        };
        return true;
}

int vds_server_free_buffer(struct vds_server *server, uint8_t *buffer, uint32_t size)
{
        struct server_area *area;
        uint64_t offset = 0;

        SET_ENTER_OR_RETURN(&server->set, CALL_FREE_BUFFER);
        LOCKED(&server->buffer_lock);
        area = find_area(server, buffer, &offset);
        return area && arena_free(&area->arena, offset, size) == ARENA_OK ? NOERROR : VD_E_INVALID;
}

int vds_server_is_shared_buffer(struct vds_server *server, const uint8_t *buffer)
{
        struct server_buffer ignored;
        CLEANUP(set_leave) struct set_call call;

        return set_enter_any(&server->set, &call) == NOERROR && server_find_buffer(server, buffer, &ignored);
}
