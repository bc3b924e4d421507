/*
 * media_tape.c - commands of a tape-like device: the codes are those of the tape functions of Windows
 */
#include "cli/media/media.h"

static const long code_of_event[] = {
        [TAPE_NONE] = ERROR_SUCCESS,
        [TAPE_MARK] = ERROR_FILEMARK_DETECTED,
        [TAPE_END_OF_DATA] = ERROR_NO_DATA_DETECTED,
        [TAPE_BEGINNING] = ERROR_BEGINNING_OF_MEDIA,
        [TAPE_WARNING] = ERROR_END_OF_MEDIA,
        [TAPE_FULL] = ERROR_EOM_OVERFLOW,
};

/* Most commands use the medium, after which there is no other to load. */
static struct media_tape *use(struct media *media)
{
        struct media_tape *tape = (struct media_tape *)media;

        tape->used = true;
        return tape;
}

/* What a call of the tape came to: its result, or what the drive reports. */
static long code_of(int rc, enum tape_event event, const struct error *err)
{
        return rc < 0 ? media_code_of_error(err) : code_of_event[event];
}

static long tape_run_read(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                          struct error *err)
{
        enum tape_event event = TAPE_NONE;
        size_t bytes = 0;
        int rc = tape_read(use(media)->tape, command->buffer, (size_t)command->size, &bytes, &event, err);

        outcome->bytes = rc < 0 ? 0 : bytes;
        return code_of(rc, event, err);
}

static long tape_run_write(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                           struct error *err)
{
        struct media_tape *tape = use(media);
        enum tape_event event = TAPE_NONE;
        int rc;

        if (tape->read_only)
                return ERROR_WRITE_PROTECT;
        if (tape->complete)
                return media_refuse_late(err);
        rc = tape_write(tape->tape, command->buffer, (size_t)command->size, &event, err);
        outcome->bytes = rc < 0 || event == TAPE_FULL ? 0 : (uint64_t)command->size;
        return code_of(rc, event, err);
}

static long tape_run_write_mark(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                struct error *err)
{
        struct media_tape *tape = use(media);
        enum tape_event event = TAPE_NONE;
        int rc;

        (void)command;
        (void)outcome;
        if (tape->read_only)
                return ERROR_WRITE_PROTECT;
        if (tape->complete)
                return media_refuse_late(err);
        rc = tape_write_mark(tape->tape, &event, err);
        return code_of(rc, event, err);
}

static long tape_run_skip_marks(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                struct error *err)
{
        enum tape_event event = TAPE_NONE;
        int rc = tape_skip_marks(use(media)->tape, command->size, &event, err);

        (void)outcome;
        return code_of(rc, event, err);
}

static long tape_run_skip_blocks(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                 struct error *err)
{
        enum tape_event event = TAPE_NONE;
        int rc = tape_skip_blocks(use(media)->tape, command->size, &event, err);

        (void)outcome;
        return code_of(rc, event, err);
}

static long tape_run_rewind(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                            struct error *err)
{
        (void)command;
        (void)outcome;
        (void)err;
        tape_rewind(use(media)->tape);
        return ERROR_SUCCESS;
}

static long tape_run_load(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                          struct error *err)
{
        (void)command;
        (void)outcome;
        (void)err;
        return ((struct media_tape *)media)->used ? ERROR_NO_MEDIA_IN_DRIVE : ERROR_SUCCESS;
}

static long tape_run_get_position(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                  struct error *err)
{
        (void)command;
        (void)err;
        outcome->position = (int64_t)tape_position(((struct media_tape *)media)->tape);
        return ERROR_SUCCESS;
}

static long tape_run_set_position(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                                  struct error *err)
{
        enum tape_event event = TAPE_NONE;
        struct tape *tape;

        if (command->position < 0)
                return ERROR_INVALID_PARAMETER;
        tape = use(media)->tape;
        tape_set_position(tape, (uint64_t)command->position, &event);
        outcome->position = (int64_t)tape_position(tape);
        return code_of(0, event, err);
}

static long tape_run_flush(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                           struct error *err)
{
        struct media_tape *tape = (struct media_tape *)media;

        (void)command;
        (void)outcome;
        if (tape->read_only || tape->complete)
                return ERROR_SUCCESS;
        return code_of(tape_flush(tape->tape, err), TAPE_NONE, err);
}

static long tape_run_complete(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                              struct error *err)
{
        struct media_tape *tape = (struct media_tape *)media;

        (void)command;
        (void)outcome;
        if (tape->read_only || tape->complete)
                return ERROR_SUCCESS;
        tape->complete = true;
        return code_of(tape_complete(tape->tape, err), TAPE_NONE, err);
}

static const struct media_ops tape_ops = {
        .commands = {
                [VDC_Read] = tape_run_read,
                [VDC_Write] = tape_run_write,
                [VDC_ClearError] = media_nothing_to_do,
                [VDC_Rewind] = tape_run_rewind,
                [VDC_WriteMark] = tape_run_write_mark,
                [VDC_SkipMarks] = tape_run_skip_marks,
                [VDC_SkipBlocks] = tape_run_skip_blocks,
                [VDC_Load] = tape_run_load,
                [VDC_GetPosition] = tape_run_get_position,
                [VDC_SetPosition] = tape_run_set_position,
                [VDC_Flush] = tape_run_flush,
                [VDC_Complete] = tape_run_complete,
        },
};

void media_tape_init(struct media_tape *media, uint32_t features, struct tape *tape, bool read_only)
{
        *media = (struct media_tape){
                .media = { .ops = &tape_ops, .features = features },
                .tape = tape,
                .read_only = read_only,
        };
}
