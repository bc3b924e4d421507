/*
 * volume_disk.c - a disk-like device: a file of bare data, or to read a vdi stream too, at positions
 */
#include "cli/media/volume.h"

static int open_output(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        if (disk_create(volume->path, volume->primary->set_id, volume->existing, cancel, &volume->disk, err) < 0)
                return -1;
        volume->file = disk_sink(volume->disk);
        return 0;
}

static int open_input(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        const struct reader_options options = volume_reader_options(volume, cancel);

        if (input_open(&volume->input, volume->path, err) < 0)
                return -1;
        return disk_open(volume->input.fd, &options, &volume->disk, err);
}

static int disk_volume_open(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        return volume->writes ? open_output(volume, cancel, err) : open_input(volume, cancel, err);
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

/* There is no verdict in bare data. */
static int disk_volume_finish(struct volume *volume, struct error *err)
{
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
        .open = disk_volume_open,
        .configure = disk_volume_configure,
        .info = disk_volume_info,
        .complete = disk_volume_finish,
        .finish = disk_volume_finish,
        .abort = disk_volume_abort,
        .free = disk_volume_free,
};
