#include "core/shm/fork_guard.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

enum { GUARDED_MAX = 2048 };

/* Descriptors plus one, so that zero is a free place. */
static _Atomic int guarded[GUARDED_MAX];
static _Atomic unsigned fork_guard_generation;
static pthread_once_t fork_guard_once = PTHREAD_ONCE_INIT;

static void fork_guard_in_child(void)
{
        atomic_fetch_add(&fork_guard_generation, 1);
        for (size_t i = 0; i < GUARDED_MAX; i++) {
                int fd = atomic_exchange(&guarded[i], 0) - 1;

                if (fd >= 0)
                        close(fd);
        }
}

static void fork_guard_install(void)
{
        pthread_atfork(NULL, NULL, fork_guard_in_child);
}

unsigned fork_generation(void)
{
        pthread_once(&fork_guard_once, fork_guard_install);
        return atomic_load_explicit(&fork_guard_generation, memory_order_relaxed);
}

void fork_guard_add(int fd)
{
        pthread_once(&fork_guard_once, fork_guard_install);
        if (fd < 0)
                return;
        for (size_t i = 0; i < GUARDED_MAX; i++) {
                int vacant = 0;

                if (atomic_compare_exchange_strong(&guarded[i], &vacant, fd + 1))
                        return;
        }
}

void fork_guard_remove(int fd)
{
        if (fd < 0)
                return;
        for (size_t i = 0; i < GUARDED_MAX; i++) {
                int entry = fd + 1;

                if (atomic_compare_exchange_strong(&guarded[i], &entry, 0))
                        return;
        }
}
