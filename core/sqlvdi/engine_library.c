/*
 * The calls of engine.h on a library. It is trusted as far as code in our own process has to be, and no further:
 * whatever it does with a time-out, no wait of ours spins, and none goes on for more than a second after an abort.
 */
#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/deadline.h"
#include "core/sqlvdi/engine_library.h"
#include "core/sqlvdi/library.h"

enum {
        OBJECT_SIZE = 256,   /* bytes for an object of the library's; the published header shows 8 */
        LEAVE_MS = 3000,     /* for Close */
        ABORT_MS = 1000,     /* for SignalAbort */
        PACE_MAX = 128,      /* units of one wait, once they are known to be milliseconds */
        PACE_SECONDS = 500,  /* a wait that took so many milliseconds, and much more than it was asked for ... */
        PACE_SECONDS_BY = 4, /* ... so many times, was counted in seconds */
};

/* How long the next wait of one thread is, in the library's units. It begins with one, which is short in either, and
 * grows as long as waits turn out to last milliseconds. */
struct pace {
        time_t units;
};

struct library_device {
        void *object; /* the library's, valid until its set is closed */
        struct pace pace;
        bool closed; /* the server has closed it in order */
        struct library_device *next;
};

/* A call in progress, on its thread's stack. */
struct visit {
        int64_t since_ns;
        struct visit *next;
};

struct library_engine {
        struct engine engine;
        struct sqlvdi_members members; /* a copy: an abandoned engine outlives the library */
        alignas(16) unsigned char set[OBJECT_SIZE];
        atomic_bool created;
        _Atomic uint32_t transfer_max; /* bytes of a command; 0: not known */
        uint32_t device_count;
        char *name;
        struct pace pace; /* of GetConfiguration */
        char error_text[256];
        _Atomic int reason; /* an enum vds_abort_reason */

        pthread_mutex_t lock;   /* what follows */
        pthread_cond_t changed; /* an abort, and the ends of SignalAbort and of leaving */
        struct visit *visits;
        bool aborting; /* the thread below was started */
        bool aborted;  /* and has come back */
        pthread_t aborter;
        bool left;
        bool abandoned; /* by engine_free(): who leaves disposes */
        struct library_device *devices;
};

static struct library_engine *self_of(struct engine *engine)
{
        return (struct library_engine *)engine;
}

/* The first reason stays. */
static void note_abort(struct library_engine *self, enum vds_abort_reason reason)
{
        int none = VDS_ABORT_NONE;

        pthread_mutex_lock(&self->lock);
        atomic_compare_exchange_strong(&self->reason, &none, (int)reason);
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
}

static int note_result(struct library_engine *self, int result)
{
        if (result == VD_E_ABORT)
                note_abort(self, VDS_ABORT_SERVER);
        return result;
}

/* ---- calls that may not come back ---- */

static void visit_begin(struct library_engine *self, struct visit *visit)
{
        visit->since_ns = monotonic_ns();
        pthread_mutex_lock(&self->lock);
        visit->next = self->visits;
        self->visits = visit;
        pthread_mutex_unlock(&self->lock);
}

static void visit_end(struct library_engine *self, const struct visit *visit)
{
        pthread_mutex_lock(&self->lock);
        for (struct visit **at = &self->visits; *at; at = &(*at)->next) {
                if (*at == visit) {
                        *at = visit->next;
                        break;
                }
        }
        pthread_mutex_unlock(&self->lock);
}

int64_t library_inside_ms(struct engine *engine)
{
        struct library_engine *self = self_of(engine);
        int64_t now = monotonic_ns();
        int64_t since = now;

        pthread_mutex_lock(&self->lock);
        for (const struct visit *visit = self->visits; visit; visit = visit->next)
                if (visit->since_ns < since)
                        since = visit->since_ns;
        pthread_mutex_unlock(&self->lock);
        return (now - since) / 1000000;
}

/* With the lock held: waits until *flag is set, which `changed` tells. */
static bool await_flag(struct library_engine *self, const bool *flag, int64_t timeout_ms)
{
        struct deadline deadline = deadline_after_ms(timeout_ms);
        const struct timespec at = { .tv_sec = deadline.at_ns / 1000000000, .tv_nsec = deadline.at_ns % 1000000000 };
        int rc = 0;

        while (rc == 0 && !*flag)
                rc = pthread_cond_timedwait(&self->changed, &self->lock, &at);
        return *flag;
}

/* ---- waiting ---- */

static void pace_learn(struct pace *pace, int64_t took_ms)
{
        if (took_ms >= PACE_SECONDS && took_ms > pace->units * PACE_SECONDS_BY)
                pace->units = 1;
        else if (pace->units < PACE_MAX)
                pace->units *= 2;
}

/* Sits out what a library that came back early left of a wait. */
static void library_rest(struct library_engine *self, int64_t rest_ms)
{
        int64_t until = monotonic_ns() + rest_ms * 1000000;
        const struct timespec at = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
        int rc = 0;

        pthread_mutex_lock(&self->lock);
        while (rc == 0 && atomic_load(&self->reason) == VDS_ABORT_NONE)
                rc = pthread_cond_timedwait(&self->changed, &self->lock, &at);
        pthread_mutex_unlock(&self->lock);
}

/* A wait of either kind. */
struct wait {
        struct pace *pace;
        struct library_device *device; /* GetCommand's */
        struct VDC_Command **ret_command;
        struct VDConfig *config; /* GetConfiguration's */
};

static int library_call(struct library_engine *self, const struct wait *wait, time_t timeout)
{
        struct visit visit;
        int rc;

        visit_begin(self, &visit);
        if (wait->device)
                rc = self->members.device_get_command(wait->device->object, timeout, wait->ret_command);
        else
                rc = self->members.set_get_configuration(self->set, timeout, wait->config);
        visit_end(self, &visit);
        return rc;
}

static int wait_until(struct library_engine *self, const struct wait *wait, struct deadline deadline)
{
        while (atomic_load(&self->reason) == VDS_ABORT_NONE) {
                int left = deadline_left_ms(deadline);
                time_t units = left < 0 || left > wait->pace->units ? wait->pace->units : left;
                int64_t began = monotonic_ns();
                int64_t took_ms;
                int rc = library_call(self, wait, units);

                if (rc != VD_E_TIMEOUT)
                        return note_result(self, rc);
                if (left == 0)
                        return rc;
                took_ms = (monotonic_ns() - began) / 1000000;
                if (took_ms < units / 2)
                        library_rest(self, units - took_ms);
                pace_learn(wait->pace, took_ms);
        }
        return VD_E_ABORT;
}

/* ---- the set ---- */

static const char *words_of_refusal(int result)
{
        switch (result) {
        case VD_E_PROTOCOL:
                return "a set of that name exists already";
        case VD_E_NOTSUPPORTED:
                return "the library does not support this number of devices or these features";
        case VD_E_SECURITY:
                return "access to the server's shared memory was denied; run as its user (--run-as mssql)";
        case VD_E_MEMORY:
                return "memory or /dev/shm is full";
        default:
                return "the library refused it";
        }
}

int library_create(struct engine *engine, const char *name, const struct VDConfig *wishes)
{
        struct library_engine *self = self_of(engine);
        struct VDConfig config = *wishes;
        char *copy = strdup(name);
        struct visit visit;
        int rc;

        if (!copy || strlen(name) > VDS_NAME_MAX) {
                free(copy);
                return copy ? VD_E_INVALID : VD_E_MEMORY;
        }
        free(self->name);
        self->name = copy;
        visit_begin(self, &visit);
        rc = self->members.set_create(self->set, self->name, &config);
        visit_end(self, &visit);
        self->device_count = wishes->deviceCount;
        atomic_store(&self->created, rc == NOERROR);
        snprintf(self->error_text, sizeof self->error_text, "%s", rc == NOERROR ? "" : words_of_refusal(rc));
        return rc;
}

int library_get_configuration(struct engine *engine, int64_t timeout_ms, struct VDConfig *config)
{
        struct library_engine *self = self_of(engine);
        const struct wait wait = { .pace = &self->pace, .config = config };
        int rc = wait_until(self, &wait, deadline_after_ms(timeout_ms));

        if (rc == NOERROR)
                atomic_store(&self->transfer_max, config->maxTransferSize);
        return rc;
}

static void *abort_main(void *argument)
{
        struct library_engine *self = argument;

        self->members.set_signal_abort(self->set);
        pthread_mutex_lock(&self->lock);
        self->aborted = true;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        return NULL;
}

/* Once for a set, and by a thread of its own: whoever aborts, signals are among them, is not to be lost in it. */
int library_signal_abort(struct engine *engine)
{
        struct library_engine *self = self_of(engine);
        bool first;

        note_abort(self, VDS_ABORT_CLIENT);
        if (!atomic_load(&self->created))
                return VD_E_PROTOCOL;
        pthread_mutex_lock(&self->lock);
        first = !self->aborting;
        if (first)
                self->aborting = pthread_create(&self->aborter, NULL, abort_main, self) == 0;
        if (first && self->aborting)
                await_flag(self, &self->aborted, ABORT_MS);
        first = !self->aborting;
        pthread_mutex_unlock(&self->lock);
        return first ? self->members.set_signal_abort(self->set) : NOERROR;
}

static bool all_closed(const struct library_engine *self)
{
        uint32_t closed = 0;

        for (const struct library_device *device = self->devices; device; device = device->next)
                closed += device->closed;
        return closed >= self->device_count;
}

static void library_dispose(struct library_engine *self)
{
        while (self->devices) {
                struct library_device *device = self->devices;

                self->devices = device->next;
                free(device);
        }
        pthread_cond_destroy(&self->changed);
        pthread_mutex_destroy(&self->lock);
        free(self->name);
        free(self);
}

/* The devices' objects are the library's, and end with the set. */
static void library_leave(struct library_engine *self)
{
        if (self->aborting)
                pthread_join(self->aborter, NULL);
        else if (atomic_load(&self->created) && !all_closed(self))
                self->members.set_signal_abort(self->set);
        if (atomic_load(&self->created))
                self->members.set_close(self->set);
        self->members.set_destroy(self->set);
}

static void *leave_main(void *argument)
{
        struct library_engine *self = argument;
        bool abandoned;

        library_leave(self);
        pthread_mutex_lock(&self->lock);
        self->left = true;
        abandoned = self->abandoned;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        if (abandoned)
                library_dispose(self);
        return NULL;
}

static bool await_leaving(struct library_engine *self)
{
        bool left;

        pthread_mutex_lock(&self->lock);
        left = await_flag(self, &self->left, LEAVE_MS);
        self->abandoned = !left;
        pthread_mutex_unlock(&self->lock);
        return left;
}

/* A library that does not come back from Close keeps nobody: what is its own is left to it. */
void library_free(struct engine *engine)
{
        struct library_engine *self = self_of(engine);
        pthread_t thread;

        if (!atomic_load(&self->created) || pthread_create(&thread, NULL, leave_main, self) != 0) {
                library_leave(self);
                library_dispose(self);
                return;
        }
        if (!await_leaving(self)) {
                pthread_detach(thread);
                return;
        }
        pthread_join(thread, NULL);
        library_dispose(self);
}

/* ---- devices ---- */

int library_open_device(struct engine *engine, const char *name, struct engine_device **ret_device)
{
        struct library_engine *self = self_of(engine);
        struct library_device *device = calloc(1, sizeof *device);
        char copy[VDS_NAME_MAX + 1];
        struct visit visit;
        int rc;

        *ret_device = NULL;
        if (!device)
                return VD_E_MEMORY;
        device->pace.units = 1;
        snprintf(copy, sizeof copy, "%s", name);
        visit_begin(self, &visit);
        rc = note_result(self, self->members.set_open_device(self->set, copy, &device->object));
        visit_end(self, &visit);
        if (rc == NOERROR && !device->object)
                rc = VD_E_UNEXPECTED;
        if (rc != NOERROR) {
                free(device);
                return rc;
        }
        pthread_mutex_lock(&self->lock);
        device->next = self->devices;
        self->devices = device;
        pthread_mutex_unlock(&self->lock);
        *ret_device = (struct engine_device *)device;
        return NOERROR;
}

/* What is wrong here would be taken for a buffer's address or length. */
static bool library_is_sound(const struct VDC_Command *command, uint32_t transfer_max)
{
        bool transfers = command && (command->commandCode == VDC_Read || command->commandCode == VDC_Write);

        if (!command || !transfers || command->size == 0)
                return command;
        return command->size > 0 && command->buffer && (!transfer_max || (uint32_t)command->size <= transfer_max);
}

int library_get_command(struct engine *engine, struct engine_device *opaque, struct VDC_Command **ret_command)
{
        struct library_device *device = (struct library_device *)opaque;
        const struct wait wait = { .pace = &device->pace, .device = device, .ret_command = ret_command };
        struct library_engine *self = self_of(engine);
        int rc;

        *ret_command = NULL;
        rc = wait_until(self, &wait, DEADLINE_NEVER);
        device->closed = device->closed || rc == VD_E_CLOSE;
        return rc == NOERROR && !library_is_sound(*ret_command, atomic_load(&self->transfer_max)) ? VD_E_UNEXPECTED
                                                                                                  : rc;
}

int library_complete_command(struct engine *engine, struct engine_device *opaque, struct VDC_Command *command,
                             int completion_code, uint64_t bytes_transferred, int64_t position)
{
        struct library_engine *self = self_of(engine);
        struct library_device *device = (struct library_device *)opaque;
        struct visit visit;
        int rc;

        visit_begin(self, &visit);
        rc = self->members.device_complete_command(device->object, command, completion_code, bytes_transferred,
                                                   position);
        visit_end(self, &visit);
        return note_result(self, rc);
}

int library_device_name(struct engine *engine, uint32_t index, char *name)
{
        struct library_engine *self = self_of(engine);

        if (index > 0 || !self->name)
                return VD_E_INVALID;
        snprintf(name, VDS_NAME_MAX + 1, "%s", self->name);
        return NOERROR;
}

/* ---- words ---- */

enum vds_abort_reason library_abort_reason(struct engine *engine)
{
        return (enum vds_abort_reason)atomic_load(&self_of(engine)->reason);
}

const char *library_error_text(struct engine *engine)
{
        return self_of(engine)->error_text;
}

struct engine *engine_library_new(const struct sqlvdi_library *library)
{
        struct library_engine *self = calloc(1, sizeof *self);
        pthread_condattr_t attributes;

        if (!self)
                return NULL;
        self->members = library->members;
        self->pace.units = 1;
        pthread_mutex_init(&self->lock, NULL);
        pthread_condattr_init(&attributes);
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        pthread_cond_init(&self->changed, &attributes);
        pthread_condattr_destroy(&attributes);
        self->members.set_construct(self->set);
        return &self->engine;
}
