#include "cli/media/media.h"

#include "core/vds/vds.h"

/* Whether the command leaves such a medium as it is, and is answered with *ret_code. */
static bool media_is_closed_to(const struct media *media, int32_t code, long *ret_code, struct error *err)
{
        bool writes = code == VDC_Write || code == VDC_WriteMark;

        *ret_code = ERROR_SUCCESS;
        if ((!media->read_only && !media->complete) || (!writes && code != VDC_Flush && code != VDC_Complete))
                return false;
        if (writes && media->read_only) {
                *ret_code = ERROR_WRITE_PROTECT;
        } else if (writes) {
                error_raise(err, ERR_PROTOCOL, "the server sent data after it had said that all was sent");
                *ret_code = ERROR_NOT_SUPPORTED;
        }
        return true;
}

long media_execute(struct media *media, const struct VDC_Command *command, struct media_outcome *outcome,
                   struct error *err)
{
        struct media_call call = { .command = command, .outcome = outcome, .err = err };
        int32_t code = command->commandCode;
        long answer;

        *outcome = (struct media_outcome){ .bytes = 0 };
        if (code < 0 || code > VDC_Complete || !media->commands[code] || !vds_command_admitted(media->features, code))
                return ERROR_NOT_SUPPORTED;
        media->used = media->used || (code >= VDC_Read && code <= VDC_SkipBlocks && code != VDC_ClearError);
        if (media_is_closed_to(media, code, &answer, err))
                return answer;
        media->complete = media->complete || code == VDC_Complete;
        return media->commands[code](media, &call);
}

long media_nothing_to_do(struct media *media, struct media_call *call)
{
        (void)media;
        (void)call;
        return ERROR_SUCCESS;
}
