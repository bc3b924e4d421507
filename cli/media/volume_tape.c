/*
 * volume_tape.c - a tape-like device: a vdi stream in a file, written and read at positions
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/media/chain.h"
#include "cli/media/volume.h"

/* What is there has to be a tape, or nothing. */
static int check_appendable(const struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        struct input input;
        int rc;

        if (access(volume->path, F_OK) < 0)
                return 0;
        rc = input_take(&input, volume->path, volume->args, cancel, err);
        if (rc == 0 && !input.reader->has_info)
                rc = error_raise(err, ERR_USAGE, "'%s' is no tape, and nothing can be appended to it", volume->path);
        input_deinit(&input);
        return rc;
}

/* The tape is made when its block size is known. What would keep it from its name is found now, while nobody waits. */
static int check_output(const struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        enum file_existing existing = volume->args->append ? FILE_EXISTING_REPLACED : volume->existing;
        struct stage *sink = NULL;
        struct stat st;

        if (volume->args->zstd_long)
                return error_raise(err, ERR_USAGE,
                                   "--zstd-long does not go with a tape, which is read back frame by frame");
        if (stat(volume->path, &st) == 0 && !S_ISREG(st.st_mode))
                return error_raise(err, ERR_USAGE, "'%s' is no regular file, and a tape is written at positions",
                                   volume->path);
        if (volume->args->append && check_appendable(volume, cancel, err) < 0)
                return -1;
        if (file_sink_new(volume->path, volume->primary->set_id, existing, cancel, &sink, err) < 0)
                return -1;
        stage_free(sink);
        return 0;
}

/* The server says how large its blocks are when the set is configured; until then the header's size does. */
static int open_input(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        const struct reader_options options = volume_reader_options(volume, cancel);

        if (input_open(&volume->input, volume->path, err) < 0)
                return -1;
        return tape_open(volume->input.fd, &options, /* block_size= */ 0, &volume->tape, err);
}

static int tape_volume_open(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        return volume->writes ? check_output(volume, cancel, err) : open_input(volume, cancel, err);
}

static int make_tape(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                     const atomic_bool *cancel, struct error *err)
{
        const struct vdistream_options options = chain_stream_options(volume->args);
        const struct tape_shape shape = {
                .block_size = config->blockSize,
                .soft_mark_size = config->softFileMarkBlockSize,
                .media_size = volume->primary->media_size,
                .warning_size = config->EOMWarningSize,
        };
        const struct tape_file file = {
                .path = volume->path,
                .set_id = volume->primary->set_id,
                .existing = volume->existing,
                .append = volume->args->append,
                .cancel = cancel,
        };
        struct stream_info header = *info;
        enum tape_event ignored;

        /* How much a tape will hold, and of what, nobody can announce. */
        header.has_extent = false;
        if (tape_create(&file, &header, &options, &shape, &volume->tape, err) < 0)
                return -1;
        /* A server that writes without having positioned the tape is to lose nothing that is on it. */
        if (volume->args->append)
                tape_set_position(volume->tape, INT64_MAX, &ignored);
        volume->file = tape_sink(volume->tape);
        return 0;
}

static int tape_volume_configure(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
                                 const atomic_bool *cancel, struct error *err)
{
        int rc = volume->writes ? make_tape(volume, config, info, cancel, err)
                                : tape_set_block_size(volume->tape, config->blockSize, err);

        if (rc < 0)
                return -1;
        volume->media = &volume->as.tape.media;
        media_tape_init(&volume->as.tape, config->features, volume->tape, !volume->writes);
        return 0;
}

static const struct stream_info *tape_volume_info(const struct volume *volume)
{
        return volume->tape ? tape_info(volume->tape) : NULL;
}

static int tape_volume_complete(struct volume *volume, struct error *err)
{
        return volume->as.tape.complete ? 0 : tape_complete(volume->tape, err);
}

static int tape_volume_finish(struct volume *volume, struct error *err)
{
        return tape_finish(volume->tape, /* report_json= */ NULL, err);
}

static void tape_volume_abort(struct volume *volume, const char *reason)
{
        if (volume->tape)
                tape_abort(volume->tape, reason);
}

static void tape_volume_free(struct volume *volume)
{
        if (volume->tape)
                tape_free(volume->tape);
        input_deinit(&volume->input);
}

const struct volume_ops volume_tape_ops = {
        .open = tape_volume_open,
        .configure = tape_volume_configure,
        .info = tape_volume_info,
        .complete = tape_volume_complete,
        .finish = tape_volume_finish,
        .abort = tape_volume_abort,
        .free = tape_volume_free,
};
