/*
 * A library of virtual devices that goes wrong in the middle: it hands calls on to the drop-in that
 * VDIPIPE_FAULTY_BEHIND names, until the third command; then it does what VDIPIPE_FAULTY says. One that hangs says so
 * on standard output.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/vds/abi.h"

#define SET(name)    _ZN22ClientVirtualDeviceSet##name
#define DEVICE(name) _ZN19ClientVirtualDevice##name

enum { COMMANDS_IN_ORDER = 2 };

void SET(C1Ev)(void *set);
void SET(D1Ev)(void *set);
int SET(6CreateEPcP8VDConfig)(void *set, char *name, struct VDConfig *config);
int SET(16GetConfigurationElP8VDConfig)(void *set, time_t timeout, struct VDConfig *config);
int SET(10OpenDeviceEPcPP19ClientVirtualDevice)(void *set, char *name, void **ret_device);
int SET(5CloseEv)(void *set);
int SET(11SignalAbortEv)(void *set);
int DEVICE(10GetCommandElPP11VDC_Command)(void *device, time_t timeout, struct VDC_Command **ret_command);
int DEVICE(15CompleteCommandEP11VDC_Commandiml)(void *device, struct VDC_Command *command, int code,
                                                unsigned long bytes, int64_t position);

static bool is(const char *fault)
{
        const char *wanted = getenv("VDIPIPE_FAULTY");

        return wanted && strcmp(wanted, fault) == 0;
}

static _Noreturn void never_return(void)
{
        puts("hanging");
        fflush(stdout);
        for (;;)
                pause();
}

static __attribute__((constructor)) void load(void)
{
        if (is("crash-in-load"))
                abort();
        if (is("exit-in-load"))
                _exit(EXIT_SUCCESS);
        if (is("hang-in-load"))
                never_return();
}

/* The drop-in's member of this name. */
static void find(const char *name, void *ret_member)
{
        static void *behind;
        void *address;

        if (!behind)
                behind = dlopen(getenv("VDIPIPE_FAULTY_BEHIND"), RTLD_NOW | RTLD_LOCAL);
        address = behind ? dlsym(behind, name) : NULL;
        if (!address)
                abort();
        memcpy(ret_member, &address, sizeof address);
}

void SET(C1Ev)(void *set)
{
        void (*member)(void *);

        find("_ZN22ClientVirtualDeviceSetC1Ev", &member);
        member(set);
}

void SET(D1Ev)(void *set)
{
        void (*member)(void *);

        find("_ZN22ClientVirtualDeviceSetD1Ev", &member);
        member(set);
}

int SET(6CreateEPcP8VDConfig)(void *set, char *name, struct VDConfig *config)
{
        int (*member)(void *, char *, struct VDConfig *);

        if (is("hang-in-create"))
                never_return();
        find("_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig", &member);
        return member(set, name, config);
}

int SET(16GetConfigurationElP8VDConfig)(void *set, time_t timeout, struct VDConfig *config)
{
        int (*member)(void *, time_t, struct VDConfig *);

        if (is("refuse-configuration"))
                return 4711;
        find("_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig", &member);
        return member(set, timeout, config);
}

int SET(10OpenDeviceEPcPP19ClientVirtualDevice)(void *set, char *name, void **ret_device)
{
        int (*member)(void *, char *, void **);

        find("_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice", &member);
        return member(set, name, ret_device);
}

int SET(5CloseEv)(void *set)
{
        int (*member)(void *);

        find("_ZN22ClientVirtualDeviceSet5CloseEv", &member);
        return member(set);
}

int SET(11SignalAbortEv)(void *set)
{
        int (*member)(void *);

        if (is("hang"))
                never_return();
        find("_ZN22ClientVirtualDeviceSet11SignalAbortEv", &member);
        return member(set);
}

int DEVICE(10GetCommandElPP11VDC_Command)(void *device, time_t timeout, struct VDC_Command **ret_command)
{
        static struct VDC_Command large;
        static int commands;
        int (*member)(void *, time_t, struct VDC_Command **);
        int rc;

        find("_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command", &member);
        rc = member(device, timeout, ret_command);
        if (rc != NOERROR || ++commands <= COMMANDS_IN_ORDER)
                return rc;
        if (is("hang"))
                never_return();
        if (is("exit"))
                exit(EXIT_SUCCESS);
        if (is("large-command")) {
                large = **ret_command;
                large.size = INT32_MAX;
                *ret_command = &large;
        }
        return rc;
}

int DEVICE(15CompleteCommandEP11VDC_Commandiml)(void *device, struct VDC_Command *command, int code,
                                                unsigned long bytes, int64_t position)
{
        int (*member)(void *, struct VDC_Command *, int, unsigned long, int64_t);

        find("_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml", &member);
        return member(device, command, code, bytes, position);
}
