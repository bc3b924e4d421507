/*
 * tape.c - a tape-like device: a vdi stream in a file, written and read at positions; the codes are those of the tape
 * functions of Windows
 */
#include <sys/stat.h>
#include <unistd.h>

#include "cli/media/chain.h"
#include "cli/media/completion_code.h"
#include "cli/media/volume.h"
#include "core/base/cleanup.h"

/* ---- its commands ---- */

static const long tape_event_codes[] = {
        [TAPE_NONE] = ERROR_SUCCESS,
        [TAPE_MARK] = ERROR_FILEMARK_DETECTED,
        [TAPE_END_OF_DATA] = ERROR_NO_DATA_DETECTED,
        [TAPE_BEGINNING] = ERROR_BEGINNING_OF_MEDIA,
        [TAPE_WARNING] = ERROR_END_OF_MEDIA,
        [TAPE_FULL] = ERROR_EOM_OVERFLOW,
};

static struct tape *tape_of(struct media *media)
{
        return ((struct media_tape *)media)->tape;
}

/* What a call of the tape came to: its result, or what the drive reports. */
static long tape_code(int rc, enum tape_event event, const struct error *err)
{
        return rc < 0 ? completion_code_of_error(err) : tape_event_codes[event];
}

static long tape_run_read(struct media *media, struct media_call *call)
{
        const struct VDC_Command *command = call->command;
        enum tape_event event = TAPE_NONE;
        size_t bytes = 0;
        int rc = tape_read(tape_of(media), command->buffer, (size_t)command->size, &bytes, &event, call->err);

        call->outcome->bytes = rc < 0 ? 0 : bytes;
        return tape_code(rc, event, call->err);
}

static long tape_run_write(struct media *media, struct media_call *call)
{
        const struct VDC_Command *command = call->command;
        enum tape_event event = TAPE_NONE;
        int rc = tape_write(tape_of(media), command->buffer, (size_t)command->size, &event, call->err);

        call->outcome->bytes = rc < 0 || event == TAPE_FULL ? 0 : (uint64_t)command->size;
        return tape_code(rc, event, call->err);
}

static long tape_run_write_mark(struct media *media, struct media_call *call)
{
        enum tape_event event = TAPE_NONE;
        int rc = tape_write_mark(tape_of(media), &event, call->err);

        return tape_code(rc, event, call->err);
}

static long tape_run_skip(struct media *media, struct media_call *call)
{
        bool marks = call->command->commandCode == VDC_SkipMarks;
        enum tape_event event = TAPE_NONE;
        int rc = (marks ? tape_skip_marks : tape_skip_blocks)(tape_of(media), call->command->size, &event, call->err);

        return tape_code(rc, event, call->err);
}

static long tape_run_rewind(struct media *media, struct media_call *call)
{
        (void)call;
        tape_rewind(tape_of(media));
        return ERROR_SUCCESS;
}

static long tape_run_load(struct media *media, struct media_call *call)
{
        (void)call;
        return media->used ? ERROR_NO_MEDIA_IN_DRIVE : ERROR_SUCCESS;
}

static long tape_run_get_position(struct media *media, struct media_call *call)
{
        call->outcome->position = (int64_t)tape_position(tape_of(media));
        return ERROR_SUCCESS;
}

static long tape_run_set_position(struct media *media, struct media_call *call)
{
        enum tape_event event = TAPE_NONE;

        if (call->command->position < 0)
                return ERROR_INVALID_PARAMETER;
        media->used = true;
        tape_set_position(tape_of(media), (uint64_t)call->command->position, &event);
        call->outcome->position = (int64_t)tape_position(tape_of(media));
        return tape_code(0, event, call->err);
}

static long tape_run_flush(struct media *media, struct media_call *call)
{
        return tape_code(tape_flush(tape_of(media), call->err), TAPE_NONE, call->err);
}

static long tape_run_complete(struct media *media, struct media_call *call)
{
        return tape_code(tape_complete(tape_of(media), call->err), TAPE_NONE, call->err);
}

static media_command *const tape_commands[VDC_Complete + 1] = {
        [VDC_Read] = tape_run_read,
        [VDC_Write] = tape_run_write,
        [VDC_ClearError] = media_nothing_to_do,
        [VDC_Rewind] = tape_run_rewind,
        [VDC_WriteMark] = tape_run_write_mark,
        [VDC_SkipMarks] = tape_run_skip,
        [VDC_SkipBlocks] = tape_run_skip,
        [VDC_Load] = tape_run_load,
        [VDC_GetPosition] = tape_run_get_position,
        [VDC_SetPosition] = tape_run_set_position,
        [VDC_Flush] = tape_run_flush,
        [VDC_Complete] = tape_run_complete,
};

void media_tape_init(struct media_tape *media, uint32_t features, struct tape *tape, bool read_only)
{
        *media = (struct media_tape){
                .media = { .commands = tape_commands, .features = features, .read_only = read_only },
                .tape = tape,
        };
}

/* ---- what stands behind it ---- */

/* What is there has to be a tape, or nothing. */
static int tape_check_appendable(const struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        CLEANUP(input_deinit) struct input input = { .fd = -1 };

        if (access(volume->path, F_OK) < 0)
                return 0;
        if (input_take(&input, volume->path, volume->args, cancel, err) < 0)
                return -1;
        if (!input.reader->has_info)
                return error_raise(err, ERR_USAGE, "'%s' is no tape, and nothing can be appended to it", volume->path);
        return 0;
}

/* The tape is made when its block size is known. What would keep it from its name is found now, while nobody waits. */
static int tape_check_output(struct volume *volume, const atomic_bool *cancel, struct error *err)
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
        if (volume->args->append && tape_check_appendable(volume, cancel, err) < 0)
                return -1;
        if (file_sink_new(volume->path, volume->primary->set_id, existing, cancel, &sink, err) < 0)
                return -1;
        stage_free(sink);
        return 0;
}

/* The server says how large its blocks are when the set is configured; until then the header's size does. */
static int tape_volume_read(struct volume *volume, const atomic_bool *cancel, struct error *err)
{
        const struct reader_options options = volume_reader_options(volume, cancel);

        if (input_open(&volume->input, volume->path, err) < 0)
                return -1;
        return tape_open(volume->input.fd, &options, /* block_size= */ 0, &volume->tape, err);
}

static int tape_volume_make(struct volume *volume, const struct VDConfig *config, const struct stream_info *info,
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
        int rc = volume->writes ? tape_volume_make(volume, config, info, cancel, err)
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
        return volume->media->complete ? 0 : tape_complete(volume->tape, err);
}

static int tape_volume_finish(struct volume *volume, const char *report_json, struct error *err)
{
        return tape_finish(volume->tape, report_json, err);
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
        .create = tape_check_output,
        .read = tape_volume_read,
        .configure = tape_volume_configure,
        .info = tape_volume_info,
        .complete = tape_volume_complete,
        .finish = tape_volume_finish,
        .abort = tape_volume_abort,
        .free = tape_volume_free,
};
