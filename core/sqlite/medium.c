#include <stdio.h>

#include "core/sqlite/sqlite.h"

enum { SETS_MAX = 1 << 20 }; /* a medium of nothing but marks ends, too */

bool sqlite_is_tape(const struct server_side *side)
{
        return side->config.features & VDF_FileMarks;
}

bool sqlite_is_end(int32_t completion_code)
{
        return completion_code == ERROR_HANDLE_EOF || completion_code == ERROR_NO_DATA_DETECTED ||
               completion_code == ERROR_FILEMARK_DETECTED;
}

int sqlite_raise_no_set(struct server_side *side, const char *device, struct error *err)
{
        uint32_t file = side->job->file;
        char shown[16];

        snprintf(shown, sizeof shown, "%u", file);
        if (file <= 1) {
                side_explain(side, MESSAGE_EMPTY, device);
                return error_raise(err, ERR_DAMAGED, "there is no backup set on the device '%s'", device);
        }
        side_explain(side, MESSAGE_NO_SET, shown, device);
        return error_raise(err, ERR_USAGE, "there is no backup set %s on the device '%s'", shown, device);
}

int sqlite_check_file(struct server_side *side, struct error *err)
{
        if (side->job->file <= 1 || sqlite_is_tape(side))
                return 0;
        return sqlite_raise_no_set(side, side->job->set_name, err);
}

static int rewind_tape(struct channel *channel, struct error *err)
{
        if (!(channel->side->shape.features & VDF_Rewind))
                return 0;
        return channel_control(channel, VDC_Rewind, err);
}

/* Where the tape stands; 0 where it cannot tell. */
static int get_position(struct channel *channel, int64_t *ret_position, struct error *err)
{
        const struct VDS_Command *command;

        *ret_position = 0;
        if (!(channel->side->shape.features & VDF_Position))
                return 0;
        command = channel_execute(channel, VDC_GetPosition, /* size= */ 0);
        if (command->completionCode != ERROR_SUCCESS)
                return channel_raise(channel, command, err);
        *ret_position = command->outPosition;
        return 0;
}

static int raise_unfinished(struct channel *channel, struct error *err)
{
        side_explain(channel->side, MESSAGE_UNFINISHED, channel_name(channel));
        return error_raise(err, ERR_FAILED,
                           "the last backup set on the device '%s' is incomplete, and nothing can be appended to it",
                           channel_name(channel));
}

/* Passes mark after mark, to count them. What lies behind the last one was never finished. */
static int go_to_end(struct channel *channel, uint32_t *ret_sets, struct error *err)
{
        int64_t behind_mark;
        int64_t end;

        for (*ret_sets = 0; *ret_sets < SETS_MAX; ++*ret_sets) {
                const struct VDS_Command *command;

                if (get_position(channel, &behind_mark, err) < 0)
                        return -1;
                command = channel_execute(channel, VDC_SkipMarks, /* size= */ 1);
                if (command->completionCode == ERROR_SUCCESS)
                        continue;
                if (!sqlite_is_end(command->completionCode))
                        return channel_raise(channel, command, err);
                if (channel_control(channel, VDC_ClearError, err) < 0 || get_position(channel, &end, err) < 0)
                        return -1;
                return end == behind_mark ? 0 : raise_unfinished(channel, err);
        }
        return raise_unfinished(channel, err);
}

/* Every device of a set holds the same number of backup sets. */
static int agree_on_file(struct channel *channel, uint32_t sets, struct error *err)
{
        struct server_side *side = channel->side;
        uint32_t file;

        pthread_mutex_lock(&side->lock);
        if (!side->file_is_known)
                side->file = sets + 1;
        side->file_is_known = true;
        file = side->file;
        pthread_mutex_unlock(&side->lock);
        if (file == sets + 1)
                return 0;
        side_explain(side, MESSAGE_SETS_DIFFER, channel_name(channel));
        return error_raise(err, ERR_FAILED, "the device '%s' holds %u backup sets, another one %u",
                           channel_name(channel), sets, file - 1);
}

int sqlite_seek_write(struct channel *channel, struct error *err)
{
        uint32_t sets = 0;

        if (!sqlite_is_tape(channel->side))
                return 0;
        if (rewind_tape(channel, err) < 0)
                return -1;
        if (!channel->side->job->overwrite && go_to_end(channel, &sets, err) < 0)
                return -1;
        return agree_on_file(channel, sets, err);
}

int sqlite_seek_read(struct channel *channel, struct error *err)
{
        struct server_side *side = channel->side;
        uint32_t file = side->job->file;
        const struct VDS_Command *command;

        if (!sqlite_is_tape(side))
                return 0;
        if (rewind_tape(channel, err) < 0)
                return -1;
        if (file <= 1)
                return 0;
        command = channel_execute(channel, VDC_SkipMarks, (int32_t)(file - 1));
        if (command->completionCode == ERROR_SUCCESS)
                return agree_on_file(channel, file - 1, err);
        if (sqlite_is_end(command->completionCode))
                return sqlite_raise_no_set(side, channel_name(channel), err);
        return channel_raise(channel, command, err);
}

int sqlite_write_mark(struct channel *channel, struct error *err)
{
        const struct VDS_Command *command;

        if (!sqlite_is_tape(channel->side))
                return 0;
        command = channel_execute(channel, VDC_WriteMark, /* size= */ 0);
        if (command->completionCode == ERROR_END_OF_MEDIA)
                return channel_control(channel, VDC_ClearError, err);
        return command->completionCode == ERROR_SUCCESS ? 0 : channel_raise(channel, command, err);
}
