#include "core/sqlite/input.h"

#include <string.h>

#include "core/base/sqlite_header.h"
#include "core/sqlite/sqlite.h"
#include "core/sqlite/format.h"

void sqlite_input_init(struct sqlite_input *input, struct server_side *side)
{
        const struct server_job *job = side->job;

        *input = (struct sqlite_input){ .side = side, .shown = job->database ? job->database : job->set_name };
        input->told = job->has_parts;
        input->known = job->has_parts || job->device_count == 1;
        memcpy(input->parts, job->parts, sizeof input->parts);
        if (!job->has_parts)
                input->parts[0].length = UINT64_MAX;
}

uint64_t sqlite_input_size(const struct sqlite_input *input)
{
        uint64_t size = 0;

        for (uint32_t i = 0; i < input->side->channel_count; i++)
                size += input->sizes[i];
        return size;
}

/* ---- the parts ---- */

/* Looks at the first bytes of the first device that has any. Under the lock. */
static int input_learn_header(struct sqlite_input *input, const struct VDS_Command *command, struct error *err)
{
        struct server_side *side = input->side;
        struct sqlite_header header;

        if (command->bytesTransferred < SQLITE_HEADER_SIZE || !sqlite_header_parse(command->buffer, &header))
                return error_raise(err, ERR_DAMAGED, "what was to be restored to '%s' is not a SQLite database",
                                   input->shown);
        input->page_size = header.page_size;
        input->pages = header.pages;
        side_set_total(side, (uint64_t)header.pages * header.page_size, header.page_size);
        if (input->known)
                return 0;
        if (header.pages == 0)
                return error_raise(err, ERR_DAMAGED,
                                   "nobody knows which part of '%s' each of the %u streams carries: its header does "
                                   "not tell how many pages there are",
                                   input->shown, side->job->device_count);
        format_cut(header.pages, header.page_size, side->job->device_count, input->parts);
        return 0;
}

/* Whether the bytes that this device begins with are the image's first. Under the lock. */
static bool input_is_first(const struct sqlite_input *input, uint32_t device)
{
        for (uint32_t i = 0; i < device; i++)
                if (input->told ? input->parts[i].length > 0 : !input->empty[i])
                        return false;
        return true;
}

static bool input_others_are_empty(const struct sqlite_input *input)
{
        for (uint32_t i = 0; i < input->side->channel_count; i++)
                if (!input->empty[i])
                        return false;
        return true;
}

/* With a device's first read: learns the parts from it, or waits until another device has. */
static int input_meet(struct sqlite_input *input, uint32_t device, const struct VDS_Command *command, struct error *err)
{
        struct server_side *side = input->side;
        bool header_is_here;
        int rc = 0;

        pthread_mutex_lock(&side->lock);
        input->empty[device] = command->bytesTransferred == 0;
        pthread_cond_broadcast(&side->met);
        while (!input->known && !side_is_failing(side) &&
               !(command->bytesTransferred && input_is_first(input, device)) && !input_others_are_empty(input))
                pthread_cond_wait(&side->met, &side->lock);
        header_is_here = command->bytesTransferred > 0 && input->page_size == 0 && input_is_first(input, device);
        if (header_is_here && !side_is_failing(side))
                rc = input_learn_header(input, command, err);
        if (rc == 0)
                input->known = true;
        pthread_cond_broadcast(&side->met);
        pthread_mutex_unlock(&side->lock);
        return rc;
}

/* ---- one device ---- */

static int input_store(struct sqlite_input *input, uint32_t device, const struct VDS_Command *command,
                       struct error *err)
{
        const struct server_part *part = &input->parts[device];
        uint64_t at = input->sizes[device];
        uint64_t size = (uint64_t)command->bytesTransferred;

        if (size > part->length - at)
                return error_raise(err, ERR_DAMAGED, "device %u carries more than its part of '%s'", device + 1,
                                   input->shown);
        if (input->store && input->store(input->context, part->offset + at, command->buffer, size, err) < 0)
                return -1;
        input->sizes[device] += size;
        side_progress(input->side, size);
        return 0;
}

/* Looks at one completed read. 1: more to come, 0: that was the end, negative: failed. */
static int input_take_read(struct channel *channel, struct sqlite_input *input, const struct VDS_Command *command,
                           struct error *err)
{
        bool positioned = channel->side->shape.features & VDF_RandomAccess;
        uint64_t *size = &input->sizes[channel->index];

        if (command->completionCode != ERROR_SUCCESS && !sqlite_is_end(command->completionCode))
                return channel_raise(channel, command, err);
        if (command->bytesTransferred < 0 || command->bytesTransferred > command->size ||
            (command->bytesTransferred == 0 && command->completionCode == ERROR_SUCCESS) ||
            (positioned && command->bytesTransferred > 0 && command->inPosition != (int64_t)*size))
                return error_raise(err, ERR_PROTOCOL,
                                   "the client answered a read with an impossible number of bytes (%d)",
                                   (int)command->bytesTransferred);
        if (*size == 0 && input_meet(input, channel->index, command, err) < 0)
                return -1;
        if (side_is_failing(channel->side))
                return 0;
        if (input_store(input, channel->index, command, err) < 0)
                return -1;
        return sqlite_is_end(command->completionCode) ? 0 : 1;
}

/* On a medium of several sets nothing at all is no empty set but the end of the medium. */
static int input_check_part(const struct channel *channel, const struct sqlite_input *input, int32_t last_code,
                            struct error *err)
{
        const struct server_part *part = &input->parts[channel->index];
        uint64_t size = input->sizes[channel->index];

        if (size == 0 && sqlite_is_tape(channel->side) && last_code != ERROR_FILEMARK_DETECTED)
                return sqlite_raise_no_set(channel->side, channel_name(channel), err);
        if (part->length != UINT64_MAX && size != part->length)
                return error_raise(err, ERR_DAMAGED, "device %u ends early: %llu of %llu bytes of '%s' came",
                                   channel->index + 1, (unsigned long long)size, (unsigned long long)part->length,
                                   input->shown);
        return 0;
}

/* Keeps as many reads outstanding as there are buffers; they come back in order. */
static int input_serve(struct channel *channel, struct sqlite_input *input, struct error *err)
{
        uint32_t size = channel->side->shape.max_transfer;
        struct slot *slot = NULL;
        uint64_t asked = 0;
        int more = 1;

        if (sqlite_seek_read(channel, err) < 0)
                return -1;
        for (uint32_t i = 0; i < channel->depth; i++, asked += size)
                channel_send(channel, &channel->slots[channel->next], VDC_Read, size, asked);
        while (more > 0) {
                slot = channel_next(channel);
                if (side_is_failing(channel->side))
                        return 0;
                more = input_take_read(channel, input, &slot->command, err);
                if (more > 0) {
                        channel_send(channel, slot, VDC_Read, size, asked);
                        asked += size;
                }
        }
        if (more < 0)
                return -1;
        /* Behind the end the device is in IO-ERROR, and the other reads come back unserved; closing it is the orderly
         * answer, but a drive is left ready for more. */
        channel_drain(channel);
        if (side_is_failing(channel->side))
                return 0;
        if (input_check_part(channel, input, slot->command.completionCode, err) < 0)
                return -1;
        return sqlite_is_tape(channel->side) ? channel_control(channel, VDC_ClearError, err) : 0;
}

static void input_serve_device(struct channel *channel, void *input_at)
{
        struct error err = ERROR_INIT;

        if (input_serve(channel, input_at, &err) < 0)
                side_fail(channel->side, &err);
}

int sqlite_input_run(struct sqlite_input *input, struct error *err)
{
        if (side_transfer(input->side, input_serve_device, input, err) < 0)
                return -1;
        side_set_total(input->side, sqlite_input_size(input), input->page_size);
        return 0;
}
