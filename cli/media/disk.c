/*
 * disk.c - a disk-like device: a file of bare data, or to read a vdi stream too, at positions
 */
#include "cli/media/volume.h"
#include "cli/media/completion_code.h"

/* ---- its commands ---- */

static struct media_disk *disk_of(struct media *media)
{
        return (struct media_disk *)media;
}

/* Whether a transfer lies among the positions that there are. */
static bool disk_has_range(const struct VDC_Command *command)
{
        return command->position >= 0 && command->size >= 0 && command->position <= INT64_MAX - command->size;
}

static long disk_run_read(struct media *media, struct media_call *call)
{
        struct media_disk *disk = disk_of(media);
        size_t size = (size_t)call->command->size;
        size_t bytes = 0;

        if (!disk_has_range(call->command))
                return ERROR_INVALID_PARAMETER;
        if (disk_read(disk->disk, call->command->buffer, size, (uint64_t)call->command->position, &bytes, call->err) <
            0)
                return completion_code_of_error(call->err);
        call->outcome->bytes = bytes;
        disk->position = (uint64_t)call->command->position + bytes;
        return bytes == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
}

static long disk_run_write(struct media *media, struct media_call *call)
{
        struct media_disk *disk = disk_of(media);
        size_t size = (size_t)call->command->size;

        if (!disk_has_range(call->command))
                return ERROR_INVALID_PARAMETER;
        if (disk_write(disk->disk, call->command->buffer, size, (uint64_t)call->command->position, call->err) < 0)
                return completion_code_of_error(call->err);
        call->outcome->bytes = size;
        disk->position = (uint64_t)call->command->position + size;
        return ERROR_SUCCESS;
}

static long disk_run_get_position(struct media *media, struct media_call *call)
{
        call->outcome->position = (int64_t)disk_of(media)->position;
        return ERROR_SUCCESS;
}

/* The origin is in the size field. A place behind the end is a place, too; one before the beginning is none. */
static long disk_run_set_position(struct media *media, struct media_call *call)
{
        struct media_disk *disk = disk_of(media);
        const uint64_t origins[] = {
                [VDC_Beginning] = 0,
                [VDC_Current] = disk->position,
                [VDC_End] = disk_size(disk->disk),
        };
        int64_t position;

        call->outcome->position = (int64_t)disk->position;
        if (call->command->size < VDC_Beginning || call->command->size > VDC_End ||
            __builtin_add_overflow((int64_t)origins[call->command->size], call->command->position, &position) ||
            position < 0)
                return ERROR_INVALID_PARAMETER;
        disk->position = (uint64_t)position;
        call->outcome->position = position;
        return ERROR_SUCCESS;
}

static long disk_run_flush(struct media *media, struct media_call *call)
{
        return disk_flush(disk_of(media)->disk, call->err) < 0 ? completion_code_of_error(call->err) : ERROR_SUCCESS;
}

static media_command *const disk_commands[VDC_Complete + 1] = {
        [VDC_Read] = disk_run_read,
        [VDC_Write] = disk_run_write,
        [VDC_ClearError] = media_nothing_to_do,
        [VDC_GetPosition] = disk_run_get_position,
        [VDC_SetPosition] = disk_run_set_position,
        [VDC_Flush] = disk_run_flush,
        [VDC_Complete] = disk_run_flush,
};

void media_disk_init(struct media_disk *media, uint32_t features, struct disk *disk, bool read_only)
{
        *media = (struct media_disk){
                .media = { .commands = disk_commands, .features = features, .read_only = read_only },
                .disk = disk,
        };
}

/* ---- what stands behind it ---- */

static int disk_volume_create(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        if (disk_create(volume->path, volume->primary->set_id, volume->existing, cancel, &volume->disk, err) < 0)
                return -1;
        volume->file = disk_sink(volume->disk);
        return 0;
}

static int disk_volume_read(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        const struct reader_options options = volume_reader_options(volume, cancel);

        if (input_open(&volume->input, volume->path, err) < 0)
                return -1;
        return disk_open(volume->input.fd, &options, &volume->disk, err);
}

static int disk_volume_configure(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                                 const atomic_bool *cancel, struct error *err)
{
        (void)info;
        (void)cancel;
        (void)err;
        volume->media = &volume->as.disk.media;
        media_disk_init(&volume->as.disk, config->features, volume->disk, !volume->writes);
        return 0;
}

static const struct stream_info *disk_volume_info(const struct volume *volume)
{
        return volume->disk ? disk_info(volume->disk) : NULL;
}

static int disk_volume_complete(struct volume *volume, struct error *err)
{
        return disk_finish(volume->disk, err);
}

/* There is no verdict in bare data. */
static int disk_volume_finish(struct volume *volume, const char *report_json, struct error *err)
{
        (void)report_json;
        return disk_finish(volume->disk, err);
}

static void disk_volume_abort(struct volume *volume, const char *reason)
{
        (void)reason;
        if (volume->disk)
                disk_abort(volume->disk);
}

static void disk_volume_free(struct volume *volume)
{
        if (volume->disk)
                disk_free(volume->disk);
        input_deinit(&volume->input);
}

const struct volume_ops volume_disk_ops = {
        .create = disk_volume_create,
        .read = disk_volume_read,
        .configure = disk_volume_configure,
        .info = disk_volume_info,
        .complete = disk_volume_complete,
        .finish = disk_volume_finish,
        .abort = disk_volume_abort,
        .free = disk_volume_free,
};
