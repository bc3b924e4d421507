/*
 * volume_pipe.c - a pipe-like device: one stream, written or read from its beginning to its end
 */
#include <unistd.h>

#include "cli/media/chain.h"
#include "cli/media/volume.h"

static int open_output(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        if (!volume->path)
                return fd_sink_new(STDOUT_FILENO, volume_name(volume), cancel, &volume->chain, err);
        if (file_sink_new(volume->path, volume->primary->set_id, volume->existing, cancel, &volume->chain, err) < 0)
                return -1;
        volume->file = volume->chain;
        return 0;
}

static const struct stream_info *pipe_info(const struct volume *volume)
{
        const struct reader *reader = volume->input.reader;

        return reader && reader->has_info ? &reader->info : NULL;
}

static int pipe_open(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        return volume->writes ? open_output(volume, cancel, err)
                              : input_take(&volume->input, volume->path, volume->args, cancel, err);
}

static int pipe_configure(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                          const atomic_bool *cancel, struct error *err)
{
        struct stage *sink = volume->chain;

        (void)cancel;
        volume->media = &volume->as.pipe.media;
        if (!volume->writes) {
                media_pipe_init_read(&volume->as.pipe, config->features, volume->input.reader->source);
                return 0;
        }
        volume->chain = NULL;
        if (chain_new(volume->args, info, sink, &volume->chain, err) < 0) {
                volume->file = NULL;
                return -1;
        }
        media_pipe_init_write(&volume->as.pipe, config->features, volume->chain);
        return 0;
}

static int pipe_complete(struct volume *volume, struct error *err)
{
        return volume->as.pipe.complete ? 0 : stage_complete(volume->chain, err);
}

static int pipe_finish(struct volume *volume, struct error *err)
{
        return stage_finish(volume->chain, /* report_json= */ NULL, err);
}

static void pipe_abort(struct volume *volume, const char *reason)
{
        if (volume->chain)
                stage_abort(volume->chain, reason);
}

static void pipe_free(struct volume *volume)
{
        stage_free(volume->chain);
        input_deinit(&volume->input);
}

const struct volume_ops volume_pipe_ops = {
        .open = pipe_open,
        .configure = pipe_configure,
        .info = pipe_info,
        .complete = pipe_complete,
        .finish = pipe_finish,
        .abort = pipe_abort,
        .free = pipe_free,
};
