#include "core/sqlvdi/library.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Where a symbol's address goes; functions and objects have addresses of one size here, as dlsym() demands. */
static const struct {
        const char *symbol;
        size_t offset;
} members[] = {
        { "_ZN22ClientVirtualDeviceSetC1Ev", offsetof(struct sqlvdi_members, set_construct) },
        { "_ZN22ClientVirtualDeviceSetD1Ev", offsetof(struct sqlvdi_members, set_destroy) },
        { "_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig", offsetof(struct sqlvdi_members, set_create) },
        { "_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig",
          offsetof(struct sqlvdi_members, set_get_configuration) },
        { "_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice",
          offsetof(struct sqlvdi_members, set_open_device) },
        { "_ZN22ClientVirtualDeviceSet5CloseEv", offsetof(struct sqlvdi_members, set_close) },
        { "_ZN22ClientVirtualDeviceSet11SignalAbortEv", offsetof(struct sqlvdi_members, set_signal_abort) },
        { "_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command",
          offsetof(struct sqlvdi_members, device_get_command) },
        { "_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml",
          offsetof(struct sqlvdi_members, device_complete_command) },
};

static int find_members(struct sqlvdi_library *library, const char *path, struct error *err)
{
        for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
                void *address = dlsym(library->handle, members[i].symbol);

                if (!address)
                        return error_raise(
                                err, ERR_FAILED,
                                "'%s' lacks the symbol %s; it is not Microsoft's libsqlvdi.so, or of another "
                                "version; name the right one with --sqlvdi",
                                path, members[i].symbol);
                memcpy((char *)&library->members + members[i].offset, &address, sizeof address);
        }
        return 0;
}

int sqlvdi_library_open(const char *path, struct sqlvdi_library **ret_library, struct error *err)
{
        struct sqlvdi_library *library = calloc(1, sizeof *library);

        if (!library)
                return error_raise(err, ERR_MEMORY, "out of memory");
        library->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!library->handle) {
                error_raise(err, ERR_FAILED, "'%s' cannot be loaded: %s", path, dlerror());
                sqlvdi_library_close(library);
                return -1;
        }
        if (find_members(library, path, err) < 0) {
                sqlvdi_library_close(library);
                return -1;
        }
        *ret_library = library;
        return 0;
}

void sqlvdi_library_close(struct sqlvdi_library *library)
{
        free(library);
}
