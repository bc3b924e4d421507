/*
 * library.h - a libsqlvdi.so opened at run time: its C++ members, called by their mangled names from C
 *
 * The two classes have no virtual functions, so a member is a function whose first argument is the object. Their
 * objects hold a pointer at offset 0 and nothing else that the published header shows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "core/base/error.h"
#include "core/vds/abi.h"

#define SQLVDI_LIBRARY_DEFAULT "/opt/mssql/lib/libsqlvdi.so"

/* The unit of `timeout` is in doubt; engine_library.c is right under milliseconds and under seconds. */
struct sqlvdi_members {
        void (*set_construct)(void *set);
        void (*set_destroy)(void *set);
        int (*set_create)(void *set, char *name, struct VDConfig *config);
        int (*set_get_configuration)(void *set, time_t timeout, struct VDConfig *config);
        int (*set_open_device)(void *set, char *name, void **ret_device);
        int (*set_close)(void *set);
        int (*set_signal_abort)(void *set);
        int (*device_get_command)(void *device, time_t timeout, struct VDC_Command **ret_command);
        int (*device_complete_command)(void *device, struct VDC_Command *command, int completion_code,
                                       unsigned long bytes_transferred, int64_t position);
};

struct sqlvdi_library {
        void *handle;
        struct sqlvdi_members members;
};

/* Opens the library at `path`, having looked at the file before any code of it runs. The drop-in of ours is a mistake
 * unless `dropin_wanted`: no SQL Server is at its other end. *ret_library stays the caller's, sqlvdi_library_close()
 * ends it. Errors: ERR_USAGE where another path is the remedy (nothing there, no ELF file, another processor's, the
 * drop-in, a symbol that it lacks, which is named), ERR_FAILED where the file is right but cannot be read or loaded. */
int sqlvdi_library_open(const char *path, bool dropin_wanted, struct sqlvdi_library **ret_library, struct error *err);

/* Frees what was made here. The code stays loaded until the process ends, since threads of the library's own may run in
 * it. NULL is allowed. */
void sqlvdi_library_close(struct sqlvdi_library *library);
