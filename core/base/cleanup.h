/*
 * cleanup.h - locals that release themselves
 *
 * CLEANUP(fn) runs fn(&local) when the local leaves its scope. Ownership is handed over by clearing the local:
 * `*ret_fd = take_fd(&fd);` or `*ret_thing = take_ptr(&thing);`. Every release function accepts an empty local.
 */
#pragma once

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Hand over a pointer: yields its value and leaves NULL behind. */
#define take_ptr(pointer)                                      \
        ({                                                     \
                __typeof__(pointer) take_at_ = (pointer);      \
                __typeof__(*take_at_) take_value_ = *take_at_; \
                *take_at_ = NULL;                              \
                take_value_;                                   \
        })

static inline int take_fd(int *fd)
{
        int value = *fd;
        *fd = -1;
        return value;
}

/* Closes *fd unless it is negative, and leaves -1. errno is preserved, so that an error path reports its own cause. */
void fd_closep(int *fd);

static inline void freep(void *pointer_to_pointer)
{
        void **at = pointer_to_pointer;
        free(*at);
        *at = NULL;
}

static inline void dir_closep(DIR **dir)
{
        if (*dir)
                closedir(*dir);
        *dir = NULL;
}
