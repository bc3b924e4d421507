/*
 * blocked.h - waiting until another thread of the test is inside a certain system call
 */
#pragma once

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "core/base/deadline.h"

static inline bool thread_is_in(pid_t thread, long system_call)
{
        char path[64];
        char line[256] = "";
        FILE *file;

        snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)thread);
        file = fopen(path, "re");
        if (!file)
                return false;
        if (!fgets(line, sizeof line, file))
                line[0] = '\0';
        fclose(file);
        /* "running", or the number of the call the thread sleeps in and its arguments. */
        return line[0] >= '0' && line[0] <= '9' && strtol(line, NULL, 10) == system_call;
}

/* Returns whether it got there within ten seconds. */
static inline bool wait_until_in(pid_t thread, long system_call)
{
        struct deadline deadline = deadline_after_ms(10000);

        while (!thread_is_in(thread, system_call)) {
                if (deadline_passed(deadline))
                        return false;
                sched_yield();
        }
        return true;
}
