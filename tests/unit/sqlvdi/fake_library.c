/* Compiled into shared objects; FAKE_LACKS leaves Close out, FAKE_UNFINISHED needs a symbol that nobody has. */
#include "tests/unit/sqlvdi/fake_library.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SET(name)    _ZN22ClientVirtualDeviceSet##name
#define DEVICE(name) _ZN19ClientVirtualDevice##name

void SET(C1Ev)(void *set);
void SET(C2Ev)(void *set);
void SET(D1Ev)(void *set);
void SET(D2Ev)(void *set);
void DEVICE(C1Ev)(void *device);
void DEVICE(C2Ev)(void *device);
void DEVICE(D1Ev)(void *device);
void DEVICE(D2Ev)(void *device);
int SET(6CreateEPcP8VDConfig)(void *set, char *name, struct VDConfig *config);
int SET(16GetConfigurationElP8VDConfig)(void *set, time_t timeout, struct VDConfig *config);
int SET(10OpenDeviceEPcPP19ClientVirtualDevice)(void *set, char *name, void **ret_device);
int SET(5CloseEv)(void *set);
int SET(11SignalAbortEv)(void *set);
int SET(15OpenInSecondaryEPc)(void *set, char *name);
int SET(15GetBufferHandleEPhPj)(void *set, uint8_t *buffer, unsigned *ret_handle);
int SET(15MapBufferHandleEiPPh)(void *set, int handle, uint8_t **ret_buffer);
void SET(20RegisterDeviceClosedEv)(void *set);
int DEVICE(10GetCommandElPP11VDC_Command)(void *device, time_t timeout, struct VDC_Command **ret_command);
int DEVICE(15CompleteCommandEP11VDC_Commandiml)(void *device, struct VDC_Command *command, int code,
                                                unsigned long bytes, int64_t position);

extern struct fake_library fake_library;
struct fake_library fake_library = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

static void note(char letter)
{
        size_t length = strlen(fake_library.calls);

        if (length + 1 < sizeof fake_library.calls)
                fake_library.calls[length] = letter;
}

static void lock(char letter)
{
        pthread_mutex_lock(&fake_library.lock);
        note(letter);
}

static int unlock(int result)
{
        pthread_mutex_unlock(&fake_library.lock);
        return result;
}

/* With the lock held: waits for an abort, or until the time is up in this library's unit. */
static int wait_for_abort(time_t timeout)
{
        int64_t ms = fake_library.unit == FAKE_SECONDS ? timeout * 1000 : timeout;
        struct timespec at;
        int rc = 0;

        fake_library.waits++;
        if (timeout > fake_library.longest)
                fake_library.longest = timeout;
        if (fake_library.unit == FAKE_AT_ONCE)
                return fake_library.aborted && !fake_library.deaf ? VD_E_ABORT : VD_E_TIMEOUT;
        clock_gettime(CLOCK_REALTIME, &at);
        at.tv_nsec += (ms % 1000) * 1000000;
        at.tv_sec += ms / 1000 + at.tv_nsec / 1000000000;
        at.tv_nsec %= 1000000000;
        while (rc == 0 && (fake_library.deaf || !fake_library.aborted))
                rc = pthread_cond_timedwait(&fake_library.changed, &fake_library.lock, &at);
        return rc ? VD_E_TIMEOUT : VD_E_ABORT;
}

void SET(C1Ev)(void *set)
{
        *(uintptr_t *)set = FAKE_OBJECT;
        lock('+');
        unlock(0);
}

void SET(D1Ev)(void *set)
{
        lock(*(uintptr_t *)set == FAKE_OBJECT ? '-' : '?');
        unlock(0);
}

int SET(6CreateEPcP8VDConfig)(void *set, char *name, struct VDConfig *config)
{
        (void)set;
        lock('c');
        snprintf(fake_library.set_name, sizeof fake_library.set_name, "%s", name);
        fake_library.wishes = *config;
        return unlock(fake_library.create_result);
}

int SET(16GetConfigurationElP8VDConfig)(void *set, time_t timeout, struct VDConfig *config)
{
        (void)set;
        lock('g');
        if (!fake_library.configured)
                return unlock(wait_for_abort(timeout));
        config->blockSize = 4096;
        config->maxTransferSize = (uint32_t)fake_library.transfer_max;
        return unlock(NOERROR);
}

int SET(10OpenDeviceEPcPP19ClientVirtualDevice)(void *set, char *name, void **ret_device)
{
        lock('o');
        snprintf(fake_library.device_name, sizeof fake_library.device_name, "%s", name);
        *ret_device = fake_library.opens_nothing ? NULL : set;
        return unlock(fake_library.open_result);
}

#ifndef FAKE_LACKS
int SET(5CloseEv)(void *set)
{
        (void)set;
        lock('x');
        while (fake_library.stuck)
                pthread_cond_wait(&fake_library.changed, &fake_library.lock);
        return unlock(NOERROR);
}
#endif

int SET(11SignalAbortEv)(void *set)
{
        (void)set;
        lock('a');
        fake_library.aborted = true;
        pthread_cond_broadcast(&fake_library.changed);
        while (fake_library.aborts_slowly)
                pthread_cond_wait(&fake_library.changed, &fake_library.lock);
        return unlock(NOERROR);
}

int DEVICE(10GetCommandElPP11VDC_Command)(void *device, time_t timeout, struct VDC_Command **ret_command)
{
        const struct fake_step *step;

        (void)device;
        lock('k');
        if (fake_library.steps_done == fake_library.step_count)
                return unlock(wait_for_abort(timeout));
        step = &fake_library.steps[fake_library.steps_done++];
        *ret_command = step->command;
        return unlock(step->result);
}

int DEVICE(15CompleteCommandEP11VDC_Commandiml)(void *device, struct VDC_Command *command, int code,
                                                unsigned long bytes, int64_t position)
{
        (void)device, (void)command;
        lock('d');
        fake_library.code = code;
        fake_library.bytes = bytes;
        fake_library.position = position;
        return unlock(fake_library.aborted ? VD_E_ABORT : NOERROR);
}

#ifdef FAKE_UNFINISHED
extern int symbol_that_nobody_has(void);

int SET(15OpenInSecondaryEPc)(void *set, char *name)
{
        (void)set, (void)name;
        return symbol_that_nobody_has();
}
#endif
