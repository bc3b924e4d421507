/*
 * program.h - a test that starts itself as other programs, each of which says in lines how it goes
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"

extern char **environ;

struct program {
        pid_t pid;
        int input; /* of the program: what is written here it can read */
        int output;
        char line[256]; /* the last that was read */
};

/* Starts this executable with these arguments, of which the first is its name and the last is followed by NULL. */
static inline bool program_start(struct program *program, char *const *argv)
{
        posix_spawn_file_actions_t actions;
        int output[2];
        int input[2];
        bool started;

        if (pipe2(output, O_CLOEXEC) < 0 || pipe2(input, O_CLOEXEC) < 0)
                return false;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, input[0], STDIN_FILENO);
        posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
        started = posix_spawn(&program->pid, "/proc/self/exe", &actions, NULL, argv, environ) == 0;
        posix_spawn_file_actions_destroy(&actions);
        close(output[1]);
        close(input[0]);
        program->output = output[0];
        program->input = input[1];
        program->line[0] = '\0';
        return started;
}

/* Reads one line, or what there is at the end of the output. Returns false when it takes longer. */
static inline bool program_read_line(struct program *program, int timeout_ms)
{
        struct deadline deadline = deadline_after_ms(timeout_ms);
        size_t used = 0;

        for (;;) {
                struct pollfd item = { .fd = program->output, .events = POLLIN };

                program->line[used] = '\0';
                if (poll(&item, 1, deadline_left_ms(deadline)) <= 0)
                        return false;
                if (used + 1 == sizeof program->line || read(program->output, program->line + used, 1) != 1)
                        return true;
                if (program->line[used] == '\n') {
                        program->line[used] = '\0';
                        return true;
                }
                used++;
        }
}

/* Waits for its end. Returns its status, as of waitpid(). */
static inline int program_reap(struct program *program)
{
        int status = -1;

        close(program->input);
        if (waitpid(program->pid, &status, 0) != program->pid)
                status = -1;
        close(program->output);
        return status;
}
