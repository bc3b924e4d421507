#include "cli/media/volume.h"

#include <string.h>

#include "cli/media/coding.h"

static const struct volume_ops *const personalities[PERSONALITY_COUNT] = {
        [PERSONALITY_PIPE] = &volume_pipe_ops,
        [PERSONALITY_TAPE] = &volume_tape_ops,
        [PERSONALITY_DISK] = &volume_disk_ops,
};

/* A stream that says which device it carries can stand behind no other. */
static int check_place(const struct volume *volume, struct error *err)
{
        const struct stream_info *info = volume->writes ? NULL : volume->ops->info(volume);

        if (!info || (info->device == volume->device && info->device_count == volume->device_count))
                return 0;
        return error_raise(err, ERR_USAGE, "'%s' carries device %u of %u and cannot be device %u of %u", volume->path,
                           info->device + 1, info->device_count, volume->device + 1, volume->device_count);
}

int volume_open(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        volume->input.fd = -1;
        volume->ops = personalities[volume->primary->personality];
        if (!volume->path && volume->primary->personality != PERSONALITY_PIPE)
                return error_raise(err, ERR_USAGE, "a %s needs a file: -o FILE, or -i FILE",
                                   personality_name(volume->primary->personality));
        if (volume->writes && volume->args->coding->recipients && volume->primary->personality != PERSONALITY_PIPE)
                return error_raise(err, ERR_USAGE,
                                   "a %s is not encrypted: it is written and read at positions, and age has none; "
                                   "encrypt its file afterwards",
                                   personality_name(volume->primary->personality));
        if (volume->ops->open(volume, cancel, err) < 0)
                return -1;
        return check_place(volume, err);
}

int volume_configure(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                     const atomic_bool *cancel, struct error *err)
{
        return volume->ops->configure(volume, config, info, cancel, err);
}

const char *volume_name(const struct volume *volume)
{
        return volume->path ? volume->path : "standard output";
}

const char *volume_source(const struct volume *volume)
{
        const struct stream_info *info = volume->writes ? NULL : volume->ops->info(volume);

        return info ? info->set_id : "";
}

struct reader_options volume_reader_options(const struct volume *volume, const atomic_bool *cancel)
{
        return (struct reader_options){
                .name = volume->path,
                .cancel = cancel,
                .accept_unconfirmed = volume->args->accept_unconfirmed,
                .bare = volume->args->raw,
                .memory_limit = (uint64_t)volume->args->memory_limit,
                .identities = volume->args->coding->identities,
                .pool = volume->args->pool,
        };
}

int volume_finish(struct volume *volume, struct error *err)
{
        return volume->writes ? volume->ops->finish(volume, err) : 0;
}

int volume_complete(struct volume *volume, struct error *err)
{
        return volume->writes ? volume->ops->complete(volume, err) : 0;
}

int volumes_publish(struct volume *volumes, uint32_t count, struct error *err)
{
        struct stage *files[VDS_DEVICES_MAX];
        size_t file_count = 0;

        for (uint32_t i = 0; i < count; i++)
                if (volumes[i].file)
                        files[file_count++] = volumes[i].file;
        return file_count ? file_sink_publish(files, file_count, err) : 0;
}

void volume_abort(struct volume *volume, const char *reason)
{
        if (volume->ops && volume->writes)
                volume->ops->abort(volume, reason);
}

void volume_deinit(struct volume *volume)
{
        if (volume->ops)
                volume->ops->free(volume);
        memset(volume, 0, sizeof *volume);
        volume->input.fd = -1;
}
