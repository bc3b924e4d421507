/*
 * media.h - what a device's commands are executed against: a table of commands for each personality
 *
 * A medium answers each command with a completion code of the interface. A code other than ERROR_SUCCESS is not by
 * itself a failure of ours: the end of data, a file mark or the warning zone is what a drive reports. Only when the
 * medium cannot be trusted any more *err is raised, too. A medium belongs to its device's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/drives/disk.h"
#include "codecs/base/source.h"
#include "codecs/base/stage.h"
#include "codecs/drives/tape.h"
#include "core/base/error.h"
#include "core/vds/abi.h"

/* Win32's names for what a medium has to say beyond the codes that the interface's pages list. */
#define ERROR_WRITE_PROTECT     19L
#define ERROR_INVALID_PARAMETER 87L
#define ERROR_NO_MEDIA_IN_DRIVE 1112L

struct media;

/* What a command came to, besides its completion code. */
struct media_outcome {
        uint64_t bytes;
        int64_t position; /* of GetPosition and SetPosition */
};

/* A command, and what it comes to. */
struct media_call {
        const struct VDC_Command *command;
        struct media_outcome *outcome; /* zero at entry */
        struct error *err;
};

/* Executes a command; returns its completion code. */
typedef long media_command(struct media *media, struct media_call *call);

struct media {
        media_command *const *commands; /* by command code, up to VDC_Complete; NULL: not supported */
        uint32_t features;              /* as negotiated: a command that they do not admit is not supported, either */
        bool read_only;
        bool used;     /* transferred to or from, or positioned */
        bool complete; /* the server has said that all was sent; nothing is written any more */
};

/* Executes what the medium knows and the negotiated features admit; ERROR_NOT_SUPPORTED for the rest, which is no
 * failure. A medium that is read only refuses to be written to, and so does one that is complete, where it is a failure
 * of the server's. */
long media_execute(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                   struct error *err);

/* The pipe-like personality over a chain of the codecs layer. One direction only. */
struct media_pipe {
        struct media media;
        struct stage *stage;   /* backup; borrowed */
        struct source *source; /* restore; borrowed */
        uint8_t ahead;         /* restore: the byte after those handed out, read to learn whether the end has come */
        int has_ahead;
        int at_end;
};

/* `features` are the negotiated ones, here and below. */
void media_pipe_init_write(struct media_pipe *pipe, uint32_t features, struct stage *stage);

/* The last bytes are handed out only after the source has verified its end. */
void media_pipe_init_read(struct media_pipe *pipe, uint32_t features, struct source *source);

/* The tape-like personality. One volume: Load finds it in the drive as long as nothing has been done with it. */
struct media_tape {
        struct media media;
        struct tape *tape; /* borrowed */
};

void media_tape_init(struct media_tape *media, uint32_t features, struct tape *tape, bool read_only);

/* The disk-like personality. The current position is behind the last transfer, or where SetPosition put it. */
struct media_disk {
        struct media media;
        struct disk *disk; /* borrowed */
        uint64_t position;
};

void media_disk_init(struct media_disk *media, uint32_t features, struct disk *disk, bool read_only);

/* A command that succeeds by itself. */
media_command media_nothing_to_do;
