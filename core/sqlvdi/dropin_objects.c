/*
 * The objects behind the drop-in's classes, and who may touch them when. One lock for the process: it is held for a few
 * instructions at a time, and never while a call waits.
 *
 * The interface does not say who deletes a device that OpenDevice made, nor whether before or after Close, and after
 * Close a thread may still call it. So a device object is freed by whoever deletes it; those that nobody deletes are
 * kept, empty, and only the oldest of very many are given back.
 */
#include "core/sqlvdi/dropin.h"

#include <pthread.h>
#include <stdlib.h>

#include "core/base/lock.h"

enum {
        KEPT_MAX = 1024, /* device objects of closed sets: 16 sets of the largest kind */
};

/* The C++ library's, when the program has one: what it makes, the program's `delete` takes. They are called without the
 * object std::nothrow, which they do not look at. */
void *cxx_new(size_t size, const void *nothrow) __asm__("_ZnwmRKSt9nothrow_t") __attribute__((weak));
void cxx_delete(void *memory) __asm__("_ZdlPv") __attribute__((weak));

static pthread_mutex_t dropin_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t dropin_idle = PTHREAD_COND_INITIALIZER;
static pthread_once_t dropin_once = PTHREAD_ONCE_INIT;
static unsigned dropin_generation;
static struct device_object *dropin_kept[KEPT_MAX];
static unsigned dropin_kept_next; /* place of the oldest */

static void dropin_before_fork(void)
{
        pthread_mutex_lock(&dropin_lock);
}

static void dropin_in_parent(void)
{
        pthread_mutex_unlock(&dropin_lock);
}

/* Calls that other threads were in do not end here: sets of the parent are nobody's to wait for. */
static void dropin_in_child(void)
{
        dropin_generation++;
        pthread_cond_init(&dropin_idle, NULL);
        pthread_mutex_unlock(&dropin_lock);
}

static void dropin_install(void)
{
        pthread_atfork(dropin_before_fork, dropin_in_parent, dropin_in_child);
}

struct dropin_set *dropin_set_new(void)
{
        struct dropin_set *set = calloc(1, sizeof *set);
        const char *group = getenv("VDIPIPE_GROUP");
        const struct vds_options options = { .group = group && *group ? group : NULL };

        pthread_once(&dropin_once, dropin_install);
        if (!set)
                return NULL;
        set->client = vds_client_new(&options);
        if (!set->client) {
                free(set);
                return NULL;
        }
        set->unit = dropin_unit_named(getenv("VDIPIPE_TIMEOUT_UNIT"));
        set->generation = dropin_generation;
        return set;
}

void dropin_set_destroy(struct set_object *object)
{
        struct dropin_set *set;
        bool ours;

        pthread_mutex_lock(&dropin_lock);
        set = object->set;
        object->set = NULL;
        ours = set && set->generation == dropin_generation;
        pthread_mutex_unlock(&dropin_lock);
        /* What a child inherited has no threads and no memory to give back, and its locks may be held for ever. */
        if (!ours)
                return;
        dropin_close(set);
        pthread_mutex_lock(&dropin_lock);
        while (set->calls > 0)
                pthread_cond_wait(&dropin_idle, &dropin_lock);
        pthread_mutex_unlock(&dropin_lock);
        vds_client_free(set->client);
        free(set);
}

bool dropin_enter_set(const struct set_object *object, struct dropin_call *ret_call)
{
        if (!object)
                return false;
        LOCKED(&dropin_lock);
        *ret_call = (struct dropin_call){ .set = object->set };
        if (!ret_call->set)
                return false;
        ret_call->closings = ret_call->set->closings;
        ret_call->set->calls++;
        return true;
}

bool dropin_enter_device(const struct device_object *object, struct dropin_call *ret_call)
{
        struct dropin_set *set;

        if (!object)
                return false;
        LOCKED(&dropin_lock);
        if (!object->device)
                return false;
        set = object->device->set;
        *ret_call = (struct dropin_call){ .set = set, .engine = object->device->engine, .closings = set->closings };
        set->calls++;
        set->device_calls[set->closings % 2]++;
        return true;
}

int dropin_leave(const struct dropin_call *call, int result)
{
        struct dropin_set *set = call->set;
        bool last;

        LOCKED(&dropin_lock);
        last = call->engine && --set->device_calls[call->closings % 2] == 0;
        if (--set->calls == 0 || last)
                pthread_cond_broadcast(&dropin_idle);
        return result;
}

struct device_object *dropin_object_new(void)
{
        struct device_object *object = cxx_new && cxx_delete ? cxx_new(sizeof *object, "") : malloc(sizeof *object);

        if (object)
                object->device = NULL;
        return object;
}

void dropin_object_free(struct device_object *object)
{
        if (cxx_new && cxx_delete)
                cxx_delete(object);
        else
                free(object);
}

bool dropin_attach(const struct dropin_call *call, struct vds_client_device *engine, struct device_object *object)
{
        struct dropin_set *set = call->set;

        LOCKED(&dropin_lock);
        if (set->closings != call->closings || set->device_count == VDS_DEVICES_MAX)
                return false;
        object->device = &set->devices[set->device_count++];
        *object->device = (struct dropin_device){ .engine = engine, .set = set, .object = object };
        return true;
}

/* Takes their devices from all objects of the set, and keeps the objects. Returns how often it was closed before. */
static unsigned detach_all(struct dropin_set *set)
{
        struct device_object *too_old[VDS_DEVICES_MAX] = { NULL };
        unsigned closings;

        pthread_mutex_lock(&dropin_lock);
        closings = set->closings++;
        for (uint32_t i = 0; i < set->device_count; i++) {
                struct device_object *object = set->devices[i].object;

                if (!object)
                        continue;
                object->device = NULL;
                too_old[i] = dropin_kept[dropin_kept_next];
                dropin_kept[dropin_kept_next] = object;
                dropin_kept_next = (dropin_kept_next + 1) % KEPT_MAX;
        }
        set->device_count = 0;
        pthread_mutex_unlock(&dropin_lock);
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                if (too_old[i])
                        dropin_object_free(too_old[i]);
        return closings;
}

int dropin_close(struct dropin_set *set)
{
        unsigned closings = detach_all(set);
        int result = vds_client_close(set->client);

        /* The engine had nothing to close, so nobody waits in it; or this is a forked child,
         * where nobody ever leaves. */
        if (result == VD_E_PROTOCOL)
                return result;
        pthread_mutex_lock(&dropin_lock);
        while (set->device_calls[closings % 2] > 0)
                pthread_cond_wait(&dropin_idle, &dropin_lock);
        pthread_mutex_unlock(&dropin_lock);
        return result;
}

void dropin_forget(struct device_object *object)
{
        LOCKED(&dropin_lock);

        if (object->device)
                object->device->object = NULL;
        object->device = NULL;
        for (unsigned i = 0; i < KEPT_MAX; i++)
                if (dropin_kept[i] == object)
                        dropin_kept[i] = NULL;
}
