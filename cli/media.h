/*
 * media.h - what a device's commands are executed against
 *
 * Each call returns a completion code of the interface. With any code but ERROR_SUCCESS, and ERROR_HANDLE_EOF from
 * read, *err says why. A medium belongs to its device's thread.
 */
#ifndef VDIPIPE_CLI_MEDIA_H
#define VDIPIPE_CLI_MEDIA_H

#include <stddef.h>
#include <stdint.h>

#include "codecs/source.h"
#include "codecs/stage.h"
#include "core/base/error.h"

struct media;

struct media_ops {
        long (*read)(struct media *media, uint8_t *buffer, size_t size, size_t *ret_bytes, struct error *err);
        long (*write)(struct media *media, const uint8_t *buffer, size_t size, struct error *err);
        long (*flush)(struct media *media, struct error *err);
        long (*complete)(struct media *media, struct error *err);
};

struct media {
        const struct media_ops *ops;
};

/* The pipe-like personality over a chain of the codecs layer. One direction only. */
struct media_pipe {
        struct media media;
        struct stage *stage;   /* backup; borrowed */
        struct source *source; /* restore; borrowed */
        uint8_t ahead;         /* restore: the byte after those handed out, read to learn whether the end has come */
        int has_ahead;
        int at_end;
};

void media_pipe_init_write(struct media_pipe *pipe, struct stage *stage);

/* The last bytes are handed out only after the source has verified its end. */
void media_pipe_init_read(struct media_pipe *pipe, struct source *source);

/* The completion code that stands for an error of ours. */
long media_code_of_error(const struct error *err);

#endif
