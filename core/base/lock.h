/*
 * lock.h - a mutex that is held to the end of a scope
 *
 * `LOCKED(&object->lock);` is a declaration: it takes the mutex, and leaving its scope, by whatever way, gives it back.
 * What a return yields is evaluated before that.
 */
#pragma once

#include <pthread.h>

#include "core/base/cleanup.h"

static inline pthread_mutex_t *lock_take(pthread_mutex_t *mutex)
{
        pthread_mutex_lock(mutex);
        return mutex;
}

static inline void lock_give(pthread_mutex_t **held)
{
        pthread_mutex_unlock(*held);
}

/* One to a scope. */
#define LOCKED(mutex) CLEANUP(lock_give) pthread_mutex_t *locked_ __attribute__((unused)) = lock_take(mutex)
