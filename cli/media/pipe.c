#include "cli/media/media.h"

#include <string.h>

static struct media_pipe *pipe_of(struct media *media)
{
        return (struct media_pipe *)media;
}

static long wrong_direction(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                            struct error *err)
{
        (void)media;
        (void)command;
        (void)outcome;
        error_raise(err, ERR_PROTOCOL, "the server asked a backup for data, or gave data to a restore");
        return ERROR_NOT_SUPPORTED;
}

static long pipe_write(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                       struct error *err)
{
        if (pipe_of(media)->complete)
                return media_refuse_late(err);
        if (stage_write(pipe_of(media)->stage, command->buffer, (size_t)command->size, err) < 0)
                return media_code_of_error(err);
        outcome->bytes = (uint64_t)command->size;
        return ERROR_SUCCESS;
}

static long pipe_flush(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                       struct error *err)
{
        (void)command;
        (void)outcome;
        if (pipe_of(media)->complete)
                return ERROR_SUCCESS;
        return stage_flush(pipe_of(media)->stage, err) < 0 ? media_code_of_error(err) : ERROR_SUCCESS;
}

static long pipe_complete(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                          struct error *err)
{
        (void)command;
        (void)outcome;
        if (pipe_of(media)->complete)
                return ERROR_SUCCESS;
        pipe_of(media)->complete = true;
        return stage_complete(pipe_of(media)->stage, err) < 0 ? media_code_of_error(err) : ERROR_SUCCESS;
}

/* A full buffer may be the last one. Only a byte behind it, or the verified end, tells; the byte is kept for the next
 * call. */
static long pipe_read(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                      struct error *err)
{
        struct media_pipe *pipe = pipe_of(media);
        size_t size = (size_t)command->size;
        size_t have = 0;
        ssize_t n;

        if (pipe->at_end)
                return ERROR_HANDLE_EOF;
        if (pipe->has_ahead)
                command->buffer[have++] = pipe->ahead;
        pipe->has_ahead = 0;
        n = source_read_full(pipe->source, command->buffer + have, size - have, err);
        if (n < 0)
                return media_code_of_error(err);
        have += (size_t)n;
        if (have == size) {
                n = source_read(pipe->source, &pipe->ahead, 1, err);
                if (n < 0)
                        return media_code_of_error(err);
                pipe->has_ahead = n == 1;
        }
        pipe->at_end = !pipe->has_ahead;
        outcome->bytes = have;
        return have == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
}

static const struct media_ops write_ops = {
        .commands = {
                [VDC_Read] = wrong_direction,
                [VDC_Write] = pipe_write,
                [VDC_ClearError] = media_nothing_to_do,
                [VDC_Flush] = pipe_flush,
                [VDC_Complete] = pipe_complete,
        },
};

static const struct media_ops read_ops = {
        .commands = {
                [VDC_Read] = pipe_read,
                [VDC_Write] = wrong_direction,
                [VDC_ClearError] = media_nothing_to_do,
                [VDC_Flush] = media_nothing_to_do,
                [VDC_Complete] = media_nothing_to_do,
        },
};

void media_pipe_init_write(struct media_pipe *pipe, uint32_t features, struct stage *stage)
{
        memset(pipe, 0, sizeof *pipe);
        pipe->media = (struct media){ .ops = &write_ops, .features = features };
        pipe->stage = stage;
}

void media_pipe_init_read(struct media_pipe *pipe, uint32_t features, struct source *source)
{
        memset(pipe, 0, sizeof *pipe);
        pipe->media = (struct media){ .ops = &read_ops, .features = features };
        pipe->source = source;
}
