/*
 * media_disk.c - commands of a disk-like device: transfers at the positions that they name
 */
#include "cli/media/media.h"

static struct media_disk *disk_of(struct media *media)
{
        return (struct media_disk *)media;
}

/* Whether a transfer lies among the positions that there are. */
static bool in_range(const struct VDC_Command *command)
{
        return command->position >= 0 && command->size >= 0 && command->position <= INT64_MAX - command->size;
}

static long disk_run_read(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                          struct error *err)
{
        struct media_disk *disk = disk_of(media);
        size_t size = (size_t)command->size;
        size_t bytes = 0;

        if (!in_range(command))
                return ERROR_INVALID_PARAMETER;
        if (disk_read(disk->disk, command->buffer, size, (uint64_t)command->position, &bytes, err) < 0)
                return media_code_of_error(err);
        outcome->bytes = bytes;
        disk->position = (uint64_t)command->position + bytes;
        return bytes == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
}

static long disk_run_write(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                           struct error *err)
{
        struct media_disk *disk = disk_of(media);
        size_t size = (size_t)command->size;

        if (disk->read_only)
                return ERROR_WRITE_PROTECT;
        if (disk->complete)
                return media_refuse_late(err);
        if (!in_range(command))
                return ERROR_INVALID_PARAMETER;
        if (disk_write(disk->disk, command->buffer, size, (uint64_t)command->position, err) < 0)
                return media_code_of_error(err);
        outcome->bytes = size;
        disk->position = (uint64_t)command->position + size;
        return ERROR_SUCCESS;
}

static long disk_run_get_position(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                  struct error *err)
{
        (void)command;
        (void)err;
        outcome->position = (int64_t)disk_of(media)->position;
        return ERROR_SUCCESS;
}

/* The origin is in the size field. A place behind the end is a place, too; one before the beginning is none. */
static long disk_run_set_position(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                  struct error *err)
{
        struct media_disk *disk = disk_of(media);
        const uint64_t origins[] = {
                [VDC_Beginning] = 0,
                [VDC_Current] = disk->position,
                [VDC_End] = disk_size(disk->disk),
        };
        int64_t position;

        (void)err;
        outcome->position = (int64_t)disk->position;
        if (command->size < VDC_Beginning || command->size > VDC_End ||
            __builtin_add_overflow((int64_t)origins[command->size], command->position, &position) || position < 0)
                return ERROR_INVALID_PARAMETER;
        disk->position = (uint64_t)position;
        outcome->position = position;
        return ERROR_SUCCESS;
}

static long disk_run_flush(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                           struct error *err)
{
        struct media_disk *disk = disk_of(media);

        (void)command;
        (void)outcome;
        if (disk->read_only || disk->complete)
                return ERROR_SUCCESS;
        return disk_flush(disk->disk, err) < 0 ? media_code_of_error(err) : ERROR_SUCCESS;
}

static long disk_run_complete(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                              struct error *err)
{
        long code = disk_run_flush(media, command, outcome, err);

        disk_of(media)->complete = true;
        return code;
}

static const struct media_ops disk_ops = {
        .commands = {
                [VDC_Read] = disk_run_read,
                [VDC_Write] = disk_run_write,
                [VDC_ClearError] = media_nothing_to_do,
                [VDC_GetPosition] = disk_run_get_position,
                [VDC_SetPosition] = disk_run_set_position,
                [VDC_Flush] = disk_run_flush,
                [VDC_Complete] = disk_run_complete,
        },
};

void media_disk_init(struct media_disk *media, uint32_t features, struct disk *disk, bool read_only)
{
        *media = (struct media_disk){
                .media = { .ops = &disk_ops, .features = features },
                .disk = disk,
                .read_only = read_only,
        };
}
