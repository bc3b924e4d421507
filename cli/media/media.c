#include "cli/media/media.h"

/* Win32's name for a reader that went away; not among the codes that the interface's pages list. */
#define ERROR_BROKEN_PIPE 109L

/* Any of these negotiated features admits the command; one that is not here needs none. */
static const uint32_t admitted_by[VDC_Complete + 1] = {
        [VDC_Rewind] = VDF_Rewind,
        [VDC_WriteMark] = VDF_FileMarks,
        [VDC_SkipMarks] = VDF_FileMarks,
        [VDC_SkipBlocks] = VDF_SkipBlocks,
        [VDC_Load] = VDF_Removable,
        [VDC_GetPosition] = VDF_Position | VDF_RandomAccess,
        [VDC_SetPosition] = VDF_Position | VDF_RandomAccess,
        [VDC_Discard] = VDF_Discard,
        [VDC_PrepareToFreeze] = VDF_SnapshotPrepare,
        [VDC_Complete] = VDF_CompleteEnabled,
};

long media_execute(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                   struct error *err)
{
        int32_t code = command->commandCode;

        *outcome = (struct media_outcome){ .bytes = 0 };
        if (code < 0 || code > VDC_Complete || !media->ops->commands[code])
                return ERROR_NOT_SUPPORTED;
        if (admitted_by[code] && !(media->features & admitted_by[code]))
                return ERROR_NOT_SUPPORTED;
        return media->ops->commands[code](media, command, outcome, err);
}

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

long media_nothing_to_do(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                         struct error *err)
{
        (void)media;
        (void)command;
        (void)outcome;
        (void)err;
        return ERROR_SUCCESS;
}

long media_refuse_late(struct error *err)
{
        error_raise(err, ERR_PROTOCOL, "the server sent data after it had said that all was sent");
        return ERROR_NOT_SUPPORTED;
}
