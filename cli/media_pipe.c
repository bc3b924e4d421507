#include "cli/media.h"

#include <string.h>

#include "core/vds/abi.h"

/* Win32's name for a reader that went away; not among the codes that the interface's pages list. */
#define ERROR_BROKEN_PIPE 109L

long media_code_of_error(const struct error *err)
{
        switch (err->code) {
        case ERR_NONE:
                return ERROR_SUCCESS;
        case ERR_NO_SPACE:
                return ERROR_DISK_FULL;
        case ERR_PIPE:
                return ERROR_BROKEN_PIPE;
        case ERR_ABORTED:
                return ERROR_OPERATION_ABORTED;
        default:
                return ERROR_IO_DEVICE;
        }
}

static struct media_pipe *pipe_of(struct media *media)
{
        return (struct media_pipe *)media;
}

static long refuse(struct media *media, struct error *err)
{
        (void)media;
        error_raise(err, ERR_PROTOCOL, "the server asked a backup for data, or gave data to a restore");
        return ERROR_NOT_SUPPORTED;
}

static long write_refused(struct media *media, const uint8_t *buffer, size_t size, struct error *err)
{
        (void)buffer;
        (void)size;
        return refuse(media, err);
}

static long read_refused(struct media *media, uint8_t *buffer, size_t size, size_t *ret_bytes, struct error *err)
{
        (void)buffer;
        (void)size;
        *ret_bytes = 0;
        return refuse(media, err);
}

static long pipe_write(struct media *media, const uint8_t *buffer, size_t size, struct error *err)
{
        return stage_write(pipe_of(media)->stage, buffer, size, err) < 0 ? media_code_of_error(err) : ERROR_SUCCESS;
}

static long pipe_flush(struct media *media, struct error *err)
{
        return stage_flush(pipe_of(media)->stage, err) < 0 ? media_code_of_error(err) : ERROR_SUCCESS;
}

static long pipe_complete(struct media *media, struct error *err)
{
        return stage_complete(pipe_of(media)->stage, err) < 0 ? media_code_of_error(err) : ERROR_SUCCESS;
}

/* A full buffer may be the last one. Only a byte behind it, or the verified end, tells; the byte is kept for the next
 * call. */
static long pipe_read(struct media *media, uint8_t *buffer, size_t size, size_t *ret_bytes, struct error *err)
{
        struct media_pipe *pipe = pipe_of(media);
        size_t have = 0;
        ssize_t n;

        *ret_bytes = 0;
        if (pipe->at_end)
                return ERROR_HANDLE_EOF;
        if (pipe->has_ahead)
                buffer[have++] = pipe->ahead;
        pipe->has_ahead = 0;
        n = source_read_full(pipe->source, buffer + have, size - have, err);
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
        *ret_bytes = have;
        return have == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
}

static long nothing_to_flush(struct media *media, struct error *err)
{
        (void)media;
        (void)err;
        return ERROR_SUCCESS;
}

static const struct media_ops write_ops = {
        .read = read_refused,
        .write = pipe_write,
        .flush = pipe_flush,
        .complete = pipe_complete,
};

static const struct media_ops read_ops = {
        .read = pipe_read,
        .write = write_refused,
        .flush = nothing_to_flush,
        .complete = nothing_to_flush,
};

void media_pipe_init_write(struct media_pipe *pipe, struct stage *stage)
{
        memset(pipe, 0, sizeof *pipe);
        pipe->media.ops = &write_ops;
        pipe->stage = stage;
}

void media_pipe_init_read(struct media_pipe *pipe, struct source *source)
{
        memset(pipe, 0, sizeof *pipe);
        pipe->media.ops = &read_ops;
        pipe->source = source;
}
