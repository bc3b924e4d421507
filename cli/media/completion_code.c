#include "cli/media/completion_code.h"

#include "core/vds/abi.h"

/* Win32's name for a reader that went away; not among the codes that the interface's pages list. */
#define ERROR_BROKEN_PIPE 109L

long completion_code_of_error(const struct error *err)
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
