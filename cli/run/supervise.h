/*
 * supervise.h - one thread that watches while the others work: signals, the server's process, stalled input and output,
 * progress
 *
 * Threads that may block on a descriptor register as workers. When the operation is to end early, the supervisor sets
 * the cancel flag, aborts the device set, and interrupts every registered worker until all have left; a worker's
 * blocked system call then returns with ECANCELED (fd_io.h). The main thread is a worker, too. A worker that a library
 * of others does not give back within five seconds is the end of the process, with the exit status of the reason.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "cli/run/progress.h"
#include "core/base/error.h"
#include "core/sqlvdi/engine.h"

struct supervisor;

struct worker {
        pthread_t thread;
        const char *doing;          /* for the message about a stall: "writing to" */
        const char *what;           /* "standard output", or "" */
        _Atomic int64_t busy_since; /* CLOCK_MONOTONIC when our side's turn began; 0 while it is the server's */
        struct worker *next;
};

/* Blocks the signals that end the program, in this thread and those it starts, and begins to watch for them. `progress`
 * outlives the supervisor. */
int supervisor_start(int64_t stall_timeout_ms, struct progress *progress, struct supervisor **ret_supervisor,
                     struct error *err);

/* Ends the watch. NULL is allowed. */
void supervisor_stop(struct supervisor *supervisor);

/* True from the moment the operation is to end early. */
const atomic_bool *supervisor_cancel_flag(const struct supervisor *supervisor);

/* The set to abort when cancelled; NULL to forget it, after which it is not touched any more. */
void supervisor_watch_engine(struct supervisor *supervisor, struct engine *engine);

/* While devices are served, an abort of the set by others cancels the operation with ERR_ABORTED if a worker is still
 * busy half a second later: it may be blocked on a file. */
void supervisor_set_serving(struct supervisor *supervisor, bool serving);

/* Whether a server whose descriptor became readable ended other than well; then *reason says how. */
typedef bool supervised_end(void *context, struct error *reason);

/* The server: its process, or its statement. `fd` becomes readable at its end, which aborts the set until the server
 * has joined (the engine cannot notice it so early); an end other than well cancels the operation with ERR_PEER_DIED at
 * any time. -1: none, or no longer of interest. `ended` is called on the supervisor's thread. */
void supervisor_watch_server(struct supervisor *supervisor, int fd, supervised_end *ended, void *context);
void supervisor_server_joined(struct supervisor *supervisor);

/* The keeper of run_as.h: when `fd`, its pidfd, becomes readable, the operation is cancelled with ERR_FAILED. -1:
 * none, or no longer of interest. */
void supervisor_watch_keeper(struct supervisor *supervisor, int fd);

/* Called by the thread itself. supervisor_leave() must follow before the thread ends. */
void supervisor_enter(struct supervisor *supervisor, struct worker *worker, const char *doing, const char *what);
void supervisor_leave(struct supervisor *supervisor, struct worker *worker);

/* Our side's turn begins, ends: between the two the stall clock runs. */
void worker_begin(struct worker *worker);
void worker_end(struct worker *worker);

/* Whether it is our side's turn: a worker is at its input or output. */
bool supervisor_is_busy(struct supervisor *supervisor);

/* Ends the operation early, for that reason unless there is one already. */
void supervisor_cancel(struct supervisor *supervisor, const struct error *reason);

/* Returns 0 while nothing cancelled the operation, else -1 with the reason (ERR_SIGNAL, ERR_TIMEOUT, ERR_PEER_DIED,
 * ERR_ABORTED). */
int supervisor_check(const struct supervisor *supervisor, struct error *err);
