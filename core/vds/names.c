/* Words for numbers, and which command belongs to which feature. */
#include "core/vds/vds.h"

#include <stdio.h>

const char *vds_abort_text(enum vds_abort_reason reason)
{
        static const char *const texts[VDS_ABORT_REASON_COUNT] = {
                [VDS_ABORT_NONE] = "the set is not aborted",
                [VDS_ABORT_CLIENT] = "the client aborted the set",
                [VDS_ABORT_SERVER] = "the server aborted the set",
                [VDS_ABORT_CLIENT_CLOSED] = "the client closed the set before its devices were done",
                [VDS_ABORT_SERVER_CLOSED] = "the server closed the set before its devices were done",
                [VDS_ABORT_CLIENT_DIED] = "the client process died",
                [VDS_ABORT_SERVER_DIED] = "the server process died",
                [VDS_ABORT_TIMEOUT] = "the client completed no command within twice the server's time-out",
                [VDS_ABORT_MISBEHAVED] = "the peer broke the rules of the shared memory",
                [VDS_ABORT_INTERNAL] = "memory, descriptors or the connection failed",
                [VDS_ABORT_OBSERVER] = "it was aborted from outside",
                [VDS_ABORT_SECONDARY_CLOSED] = "a secondary client closed the set before its device was done",
                [VDS_ABORT_SECONDARY_DIED] = "a secondary client's process died",
        };

        return (unsigned)reason < VDS_ABORT_REASON_COUNT ? texts[reason] : "the set was aborted for an unknown reason";
}

const char *vds_result_name(int result)
{
        static _Thread_local char unknown[32];
        static const struct {
                int result;
                const char *name;
        } names[] = {
                { NOERROR, "NOERROR" },
                { VD_E_NOTOPEN, "VD_E_NOTOPEN" },
                { VD_E_TIMEOUT, "VD_E_TIMEOUT" },
                { VD_E_ABORT, "VD_E_ABORT" },
                { VD_E_SECURITY, "VD_E_SECURITY" },
                { VD_E_INVALID, "VD_E_INVALID" },
                { VD_E_INSTANCE_NAME, "VD_E_INSTANCE_NAME" },
                { VD_E_NOTSUPPORTED, "VD_E_NOTSUPPORTED" },
                { VD_E_MEMORY, "VD_E_MEMORY" },
                { VD_E_UNEXPECTED, "VD_E_UNEXPECTED" },
                { VD_E_PROTOCOL, "VD_E_PROTOCOL" },
                { VD_E_OPEN, "VD_E_OPEN" },
                { VD_E_CLOSE, "VD_E_CLOSE" },
                { VD_E_BUSY, "VD_E_BUSY" },
                { VD_E_QUEUE_FULL, "VD_E_QUEUE_FULL" },
                { VD_E_IO_ERROR, "VD_E_IO_ERROR" },
        };

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
                if (names[i].result == result)
                        return names[i].name;
        snprintf(unknown, sizeof unknown, "unknown result %d", result);
        return unknown;
}

const char *vds_command_name(int command_code)
{
        static const char *const names[] = {
                [VDC_Read] = "Read",
                [VDC_Write] = "Write",
                [VDC_ClearError] = "ClearError",
                [VDC_Rewind] = "Rewind",
                [VDC_WriteMark] = "WriteMark",
                [VDC_SkipMarks] = "SkipMarks",
                [VDC_SkipBlocks] = "SkipBlocks",
                [VDC_Load] = "Load",
                [VDC_GetPosition] = "GetPosition",
                [VDC_SetPosition] = "SetPosition",
                [VDC_Discard] = "Discard",
                [VDC_Flush] = "Flush",
                [VDC_Snapshot] = "Snapshot",
                [VDC_MountSnapshot] = "MountSnapshot",
                [VDC_PrepareToFreeze] = "PrepareToFreeze",
                [VDC_FileInfoBegin] = "FileInfoBegin",
                [VDC_FileInfoEnd] = "FileInfoEnd",
                [VDC_GetError] = "GetError",
                [VDC_Complete] = "Complete",
        };

        return command_code >= VDC_Read && command_code <= VDC_Complete ? names[command_code] : "unknown command";
}

bool vds_command_admitted(uint32_t features, int command_code)
{
        /* Any one of `any` is enough, and none of `none` may be there. */
        static const struct {
                uint32_t any;
                uint32_t none;
        } rules[] = {
                [VDC_Rewind] = { .any = VDF_Rewind },
                [VDC_WriteMark] = { .any = VDF_FileMarks },
                [VDC_SkipMarks] = { .any = VDF_FileMarks },
                [VDC_SkipBlocks] = { .any = VDF_SkipBlocks },
                [VDC_Load] = { .any = VDF_Removable },
                [VDC_GetPosition] = { .any = VDF_Position | VDF_RandomAccess },
                [VDC_SetPosition] = { .any = VDF_Position | VDF_RandomAccess },
                [VDC_Discard] = { .any = VDF_Discard },
                [VDC_Snapshot] = { .none = VDF_Position | VDF_RandomAccess },
                [VDC_MountSnapshot] = { .none = VDF_Position | VDF_RandomAccess },
                [VDC_PrepareToFreeze] = { .any = VDF_SnapshotPrepare },
                [VDC_FileInfoBegin] = { .any = VDF_EnumFrozenFiles },
                [VDC_FileInfoEnd] = { .any = VDF_EnumFrozenFiles },
                [VDC_Complete] = { .any = VDF_CompleteEnabled },
        };

        /* No bit announces GetError, and nothing says what it would answer. */
        if (command_code < VDC_Read || command_code > VDC_Complete || command_code == VDC_GetError)
                return false;
        if (rules[command_code].any && !(features & rules[command_code].any))
                return false;
        return !(features & rules[command_code].none);
}
