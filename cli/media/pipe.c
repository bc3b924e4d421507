/*
 * pipe.c - a pipe-like device: one stream, written or read from its beginning to its end
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/media/chain.h"
#include "cli/media/completion_code.h"
#include "cli/media/volume.h"

/* ---- its commands ---- */

static struct media_pipe *pipe_of(struct media *media)
{
        return (struct media_pipe *)media;
}

static long pipe_refuse_direction(struct media *media, struct media_call *call)
{
        (void)media;
        error_raise(call->err, ERR_PROTOCOL, "the server asked a backup for data, or gave data to a restore");
        return ERROR_NOT_SUPPORTED;
}

static long pipe_write(struct media *media, struct media_call *call)
{
        if (stage_write(pipe_of(media)->stage, call->command->buffer, (size_t)call->command->size, call->err) < 0)
                return completion_code_of_error(call->err);
        call->outcome->bytes = (uint64_t)call->command->size;
        return ERROR_SUCCESS;
}

static long pipe_flush(struct media *media, struct media_call *call)
{
        return stage_flush(pipe_of(media)->stage, call->err) < 0 ? completion_code_of_error(call->err) : ERROR_SUCCESS;
}

static long pipe_run_complete(struct media *media, struct media_call *call)
{
        return stage_complete(pipe_of(media)->stage, call->err) < 0 ? completion_code_of_error(call->err)
                                                                    : ERROR_SUCCESS;
}

/* A full buffer may be the last one. Only a byte behind it, or the verified end, tells; the byte is kept for the next
 * call. */
static long pipe_read(struct media *media, struct media_call *call)
{
        struct media_pipe *pipe = pipe_of(media);
        size_t size = (size_t)call->command->size;
        size_t have = 0;
        ssize_t n;

        if (pipe->at_end)
                return ERROR_HANDLE_EOF;
        if (pipe->has_ahead)
                call->command->buffer[have++] = pipe->ahead;
        pipe->has_ahead = 0;
        n = source_read_full(pipe->source, call->command->buffer + have, size - have, call->err);
        if (n < 0)
                return completion_code_of_error(call->err);
        have += (size_t)n;
        if (have == size) {
                n = source_read(pipe->source, &pipe->ahead, 1, call->err);
                if (n < 0)
                        return completion_code_of_error(call->err);
                pipe->has_ahead = n == 1;
        }
        pipe->at_end = !pipe->has_ahead;
        call->outcome->bytes = have;
        return have == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
}

static media_command *const pipe_writing[VDC_Complete + 1] = {
        [VDC_Read] = pipe_refuse_direction, [VDC_Write] = pipe_write,           [VDC_ClearError] = media_nothing_to_do,
        [VDC_Flush] = pipe_flush,           [VDC_Complete] = pipe_run_complete,
};

static media_command *const pipe_reading[VDC_Complete + 1] = {
        [VDC_Read] = pipe_read,
        [VDC_Write] = pipe_refuse_direction,
        [VDC_ClearError] = media_nothing_to_do,
        [VDC_Flush] = media_nothing_to_do,
        [VDC_Complete] = media_nothing_to_do,
};

void media_pipe_init_write(struct media_pipe *pipe, uint32_t features, struct stage *stage)
{
        memset(pipe, 0, sizeof *pipe);
        pipe->media = (struct media){ .commands = pipe_writing, .features = features };
        pipe->stage = stage;
}

void media_pipe_init_read(struct media_pipe *pipe, uint32_t features, struct source *source)
{
        memset(pipe, 0, sizeof *pipe);
        pipe->media = (struct media){ .commands = pipe_reading, .features = features };
        pipe->source = source;
}

/* ---- what stands behind it ---- */

/* A stream behind something, or over its beginning, nobody finds. */
static int pipe_check_empty(const struct volume *volume, struct error *err)
{
        struct stat st;

        if ((volume->path ? stat(volume->path, &st) : fstat(STDOUT_FILENO, &st)) < 0 || !S_ISREG(st.st_mode) ||
            st.st_size == 0)
                return 0;
        return error_raise(err, ERR_USAGE,
                           "'%s' is a file that holds something already, and nobody would find a backup in it; give an "
                           "empty one ('>', not '>>')",
                           volume_name(volume));
}

static int pipe_volume_create(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        if (!volume->path && pipe_check_empty(volume, err) < 0)
                return -1;
        if (!volume->path)
                return fd_sink_new(STDOUT_FILENO, volume_name(volume), cancel, &volume->chain, err);
        if (file_sink_new(volume->path, volume->primary->set_id, volume->existing, cancel, &volume->chain, err) < 0)
                return -1;
        volume->file = volume->chain;
        return file_sink_fd(volume->chain) >= 0 ? 0 : pipe_check_empty(volume, err);
}

static const struct stream_info *pipe_volume_info(const struct volume *volume)
{
        const struct reader *reader = volume->input.reader;

        return reader && reader->has_info ? &reader->info : NULL;
}

static int pipe_volume_read(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        return input_take(&volume->input, volume->path, volume->args, cancel, err);
}

static int pipe_volume_configure(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
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

static int pipe_volume_complete(struct volume *volume, struct error *err)
{
        return volume->media->complete ? 0 : stage_complete(volume->chain, err);
}

static int pipe_volume_finish(struct volume *volume, const char *report_json, struct error *err)
{
        return stage_finish(volume->chain, report_json, err);
}

static void pipe_volume_abort(struct volume *volume, const char *reason)
{
        if (volume->chain)
                stage_abort(volume->chain, reason);
}

static void pipe_volume_free(struct volume *volume)
{
        stage_free(volume->chain);
        input_deinit(&volume->input);
}

const struct volume_ops volume_pipe_ops = {
        .create = pipe_volume_create,
        .read = pipe_volume_read,
        .configure = pipe_volume_configure,
        .info = pipe_volume_info,
        .complete = pipe_volume_complete,
        .finish = pipe_volume_finish,
        .abort = pipe_volume_abort,
        .free = pipe_volume_free,
};
