/*
 * plain_host LIBRARY SET FILE - a program without any C++ library, which finds the members of libsqlvdi.so at run time
 * and keeps in FILE what a server writes. What the library makes for it, it frees as C does.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vdipipe/abi.h>

/* The members by number; each is looked up by its name. */
enum member {
        SET_CONSTRUCT,
        SET_DESTROY,
        SET_CREATE,
        SET_GET_CONFIGURATION,
        SET_OPEN_DEVICE,
        SET_CLOSE,
        DEVICE_DESTROY,
        DEVICE_GET_COMMAND,
        DEVICE_COMPLETE_COMMAND,
        MEMBER_COUNT,
};

static const char *const names[MEMBER_COUNT] = {
        [SET_CONSTRUCT] = "_ZN22ClientVirtualDeviceSetC1Ev",
        [SET_DESTROY] = "_ZN22ClientVirtualDeviceSetD1Ev",
        [SET_CREATE] = "_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig",
        [SET_GET_CONFIGURATION] = "_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig",
        [SET_OPEN_DEVICE] = "_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice",
        [SET_CLOSE] = "_ZN22ClientVirtualDeviceSet5CloseEv",
        [DEVICE_DESTROY] = "_ZN19ClientVirtualDeviceD1Ev",
        [DEVICE_GET_COMMAND] = "_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command",
        [DEVICE_COMPLETE_COMMAND] = "_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml",
};

static union {
        void *address;
        void (*structor)(void *self);
        int (*create)(void *self, char *name, struct VDConfig *config);
        int (*get_configuration)(void *self, long timeout, struct VDConfig *config);
        int (*open_device)(void *self, char *name, void **ret_device);
        int (*close)(void *self);
        int (*get_command)(void *self, long timeout, struct VDC_Command **ret_command);
        int (*complete_command)(void *self, struct VDC_Command *command, int code, unsigned long bytes,
                                int64_t position);
} members[MEMBER_COUNT];

static void find_members(const char *path)
{
        void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

        for (int i = 0; i < MEMBER_COUNT && library; i++)
                members[i].address = dlsym(library, names[i]);
        for (int i = 0; i < MEMBER_COUNT; i++)
                if (!members[i].address) {
                        fprintf(stderr, "%s\n", dlerror());
                        exit(2);
                }
}

static int serve(void *device, FILE *file)
{
        struct VDC_Command *command;
        int result;

        while ((result = members[DEVICE_GET_COMMAND].get_command(device, -1, &command)) == NOERROR) {
                size_t bytes = 0;

                if (command->commandCode == VDC_Write)
                        bytes = fwrite(command->buffer, 1, (size_t)command->size, file);
                result = members[DEVICE_COMPLETE_COMMAND].complete_command(device, command, ERROR_SUCCESS, bytes, 0);
                if (result != NOERROR)
                        break;
        }
        return result;
}

int main(int argc, char **argv)
{
        struct VDConfig config = { .deviceCount = 1 };
        void *device = NULL;
        void *set = NULL; /* of eight bytes */
        FILE *file;
        int result;

        if (argc != 4 || !(file = fopen(argv[3], "wb")))
                return 2;
        find_members(argv[1]);
        members[SET_CONSTRUCT].structor(&set);
        result = members[SET_CREATE].create(&set, argv[2], &config);
        if (result == NOERROR)
                result = members[SET_GET_CONFIGURATION].get_configuration(&set, -1, &config);
        if (result == NOERROR)
                result = members[SET_OPEN_DEVICE].open_device(&set, argv[2], &device);
        if (result == NOERROR)
                result = serve(device, file);
        if (members[SET_CLOSE].close(&set) != NOERROR)
                result = VD_E_UNEXPECTED;
        if (device) {
                members[DEVICE_DESTROY].structor(device);
                free(device);
        }
        members[SET_DESTROY].structor(&set);
        return fclose(file) == 0 && result == VD_E_CLOSE ? 0 : 1;
}
