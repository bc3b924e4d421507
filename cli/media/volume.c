#include "cli/media/volume.h"

#include <stdlib.h>
#include <string.h>

#include "cli/media/coding.h"

static const struct volume_ops *const volume_personalities[PERSONALITY_COUNT] = {
        [PERSONALITY_PIPE] = &volume_pipe_ops,
        [PERSONALITY_TAPE] = &volume_tape_ops,
        [PERSONALITY_DISK] = &volume_disk_ops,
};

/* A stream that says which device it carries can stand behind no other. */
static int volume_check_place(const struct volume *volume, struct error *err)
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
        volume->ops = volume_personalities[volume->primary->personality];
        if (!volume->path && volume->primary->personality != PERSONALITY_PIPE)
                return error_raise(err, ERR_USAGE, "a %s needs a file: -o FILE, or -i FILE",
                                   personality_name(volume->primary->personality));
        if (volume->writes && volume->args->coding->recipients && volume->primary->personality != PERSONALITY_PIPE)
                return error_raise(err, ERR_USAGE,
                                   "a %s is not encrypted: it is written and read at positions, and age has none; "
                                   "encrypt its file afterwards",
                                   personality_name(volume->primary->personality));
        if ((volume->writes ? volume->ops->create : volume->ops->read)(volume, cancel, err) < 0)
                return -1;
        return volume_check_place(volume, err);
}

void volume_borrow(struct volume *volume, const struct input *input)
{
        volume->ops = &volume_pipe_ops;
        volume->path = input->name;
        volume->input = *input;
        volume->borrowed = true;
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

int volume_finish(struct volume *volume, const char *report_json, struct error *err)
{
        return volume->writes ? volume->ops->finish(volume, report_json, err) : 0;
}

int volume_complete(struct volume *volume, struct error *err)
{
        return volume->writes ? volume->ops->complete(volume, err) : 0;
}

size_t volumes_files(const struct volume *volumes, uint32_t count, struct stage **files)
{
        size_t file_count = 0;

        for (uint32_t i = 0; i < count; i++)
                if (volumes[i].file)
                        files[file_count++] = volumes[i].file;
        return file_count;
}

void volume_abort(struct volume *volume, const char *reason)
{
        if (volume->ops && volume->writes)
                volume->ops->abort(volume, reason);
}

void volume_deinit(struct volume *volume)
{
        if (volume->ops && !volume->borrowed)
                volume->ops->free(volume);
        if (!volume->borrowed)
                free(volume->path);
        memset(volume, 0, sizeof *volume);
        volume->input.fd = -1;
}
