/*
 * volume.h - what stands behind one device of a set in this process: a file, or standard output, in one of the
 * personalities
 *
 * volume_open, volume_configure once the set is configured, then its medium serves the device; volume_finish or
 * volume_complete, volumes_publish; or volume_abort; and in any case volume_deinit.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/args.h"
#include "cli/media/inputs.h"
#include "cli/media/media.h"
#include "cli/media/primary_info.h"
#include "codecs/codecs.h"
#include "core/base/error.h"
#include "core/vds/abi.h"

struct volume;

/* What one personality does for the functions below. */
struct volume_ops {
        int (*create)(struct volume *volume, const atomic_bool *cancel, struct error *err);
        int (*read)(struct volume *volume, const atomic_bool *cancel, struct error *err);
        int (*configure)(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                         const atomic_bool *cancel, struct error *err);
        const struct stream_info *(*info)(const struct volume *volume); /* of what is read; NULL: it says nothing */
        int (*complete)(struct volume *volume, struct error *err);
        int (*finish)(struct volume *volume, const char *report_json, struct error *err);
        void (*abort)(struct volume *volume, const char *reason);
        void (*free)(struct volume *volume);
};

struct volume {
        /* set before volume_open() */
        const struct args *args;
        const struct primary_info *primary;
        uint32_t device;       /* from 0 */
        uint32_t device_count; /* of the set */
        bool writes;
        char *path; /* owned, if not borrowed; NULL: standard output; reading, it is needed */
        enum file_existing existing;

        const struct volume_ops *ops;
        struct media *media; /* valid after volume_configure() */
        struct stage *file;  /* the sink of a file that is to be published; borrowed; else NULL */

        /* of the personality */
        struct stage *chain;
        struct input input;
        bool borrowed; /* the input and the path are somebody else's */
        struct tape *tape;
        struct disk *disk;
        union {
                struct media_pipe pipe;
                struct media_tape tape;
                struct media_disk disk;
        } as;
};

/* Opens the file, or makes a new one that has no name yet. */
int volume_open(struct volume *volume, const atomic_bool *cancel, struct error *err);

/* Instead: a pipe-like volume that reads an input which was opened already, and outlives the volume. */
void volume_borrow(struct volume *volume, const struct input *input);

/* Makes the medium. `info` is the header of a stream that is to be written. */
int volume_configure(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                     const atomic_bool *cancel, struct error *err);

/* For messages: the path, or "standard output". */
const char *volume_name(const struct volume *volume);

/* The id of the backup that is being read; "" when the file does not say. */
const char *volume_source(const struct volume *volume);

/* The server has said success; everything is on disk, or where the descriptor leads. `report_json`, what the server
 * reports of the backup, stands at the stream's end; NULL: nothing. */
int volume_finish(struct volume *volume, const char *report_json, struct error *err);

/* The server has said nothing: everything is on disk, and the stream lacks the verdict. */
int volume_complete(struct volume *volume, struct error *err);

/* The files that are to be published, into `files`, which has room for all of them. Returns how many there are. */
size_t volumes_files(const struct volume *volumes, uint32_t count, struct stage **files);

void volume_abort(struct volume *volume, const char *reason);
void volume_deinit(struct volume *volume);

/* How the file is read. */
struct reader_options volume_reader_options(const struct volume *volume, const atomic_bool *cancel);

extern const struct volume_ops volume_pipe_ops;
extern const struct volume_ops volume_tape_ops;
extern const struct volume_ops volume_disk_ops;
