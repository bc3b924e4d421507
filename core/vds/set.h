/*
 * set.h - what both ends of a set have in common: the control region, the state, calls in progress, abort
 *
 * Every public function brackets its work with set_enter() and, at the end of the scope, set_leave(). The gate they
 * pass counts the calls in progress; Close shuts it, wakes everybody, and releases the mappings when the last call has
 * left. A Close from inside a callback, that is from inside a call of the same set, cannot wait for itself: it shuts
 * the gate and returns, and whoever leaves last releases.
 *
 * Locks, in the order in which they may be taken: a server's `config_lock`, a device's `lock`, the server's
 * `buffer_lock`, the set's `lock`. No lock is held while a callback runs or while waiting.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/cleanup.h"
#include "core/base/error.h"
#include "core/shm/region.h"
#include "core/vds/layout.h"
#include "core/vds/state.h"
#include "core/vds/vds.h"

enum {
        SET_AREAS_MAX = 128, /* buffer areas: the one of EndConfiguration and later ones */

        SET_HANDSHAKE_MS = 5000,  /* being let in; and a greeting, from one who was */
        SET_ANSWER_MS = 10000,    /* a greeting's answer, behind others who have all of SET_HANDSHAKE_MS */
        SET_SEND_MS = 5000,       /* a message to a peer who does not read */
        SET_NAME_WAIT_MS = 60000, /* the client's OpenDevice for the server's */
        SET_AREA_WAIT_MS = 10000, /* a command's buffer area for its message */
};

struct vds_set {
        enum vds_side side;
        unsigned fork_generation;
        char *runtime_dir;
        char *group;
        int connection;                       /* inherited or made for a child; -1: none, or used. Guarded */
        void (*release)(struct vds_set *set); /* of the side: stops the service, unmaps */

        pthread_mutex_t lock; /* guards what follows, except the atomics' readers */
        pthread_cond_t idle;  /* the last call left a closed gate */
        bool busy;            /* Create or Close is at work */
        bool release_by_last; /* Close was called from a callback */
        struct error error;   /* first failure of this set, for error_text */

        _Atomic uint32_t gate;    /* calls in progress, and SET_GATE_CLOSED */
        _Atomic int state;        /* enum vds_state. Changed under lock */
        _Atomic int abort_reason; /* latched. Changed under lock; stays after Close for vds_*_abort_reason */

        struct region control;
        struct layout *layout; /* control.base, while the set exists */
        uint32_t device_count; /* private copy */
        char name[LAYOUT_NAME_SIZE];
        struct VDConfig wishes;
        struct VDConfig config;

        pthread_t service; /* runs while service_running */
        bool service_running;
        int stop_fd; /* eventfd that ends the service thread */
};

#define SET_GATE_CLOSED 0x80000000u

/* A call in progress, on its caller's stack: `CLEANUP(set_leave) struct set_call call;`. */
struct set_call {
        struct vds_set *set;    /* NULL: not entered */
        struct set_call *outer; /* the call of this thread from whose callback this one came */
};

/* 0, or -1 when memory is short. */
int set_init(struct vds_set *set, enum vds_side side, const struct vds_options *options,
             void (*release)(struct vds_set *set));
void set_deinit(struct vds_set *set);

/* Is this process the one that made the handle, and not its forked child? */
bool set_is_ours(const struct vds_set *set);

/* NOERROR: the call may go on, until set_leave(). Else what it returns. */
int set_enter(struct vds_set *set, struct set_call *call, enum vds_call id);

/* The same for what is legal whenever a set exists, whatever its state. */
int set_enter_any(struct vds_set *set, struct set_call *call);

/* Declared before anything that the call holds, so that it comes last. */
void set_leave(struct set_call *call);

/* What nearly every public function begins with: enters, for the rest of the scope, or returns what that was refused
 * with. */
#define SET_ENTER_OR_RETURN(set, id)              \
        CLEANUP(set_leave) struct set_call call_; \
        SET_PASS_ON(set_enter((set), &call_, (id)))
#define SET_ENTER_ANY_OR_RETURN(set)              \
        CLEANUP(set_leave) struct set_call call_; \
        SET_PASS_ON(set_enter_any((set), &call_))

/* Returns from the function what `call` returns, unless that is NOERROR. */
#define SET_PASS_ON(call)               \
        do {                            \
                int result_ = (call);   \
                if (result_ != NOERROR) \
                        return result_; \
        } while (0)

/* Why the set was aborted; also of one that is closed. */
enum vds_abort_reason set_abort_reason(struct vds_set *set);

/* Looks again, in the course of a call, whether it is still legal; for callers that hold a lock meanwhile. */
int set_recheck(struct vds_set *set, enum vds_call id);

/* The call succeeded: moves the state as the table says. */
void set_succeeded(struct vds_set *set, enum vds_call id);

void set_all_closed(struct vds_set *set);

/* Create, Open and OpenInSecondary, as `id` says: claims the handle; set_end_create() gives it back with a set, or,
 * when `result` is not NOERROR, releases what there is of one and keeps the words of `err`. */
int set_begin_create(struct vds_set *set, enum vds_call id);
void set_end_create(struct vds_set *set, enum vds_call id, int result, const struct error *err);

/* Close, in three steps. begin: VD_E_PROTOCOL unless there is a set that nobody else closes; shuts the gate. finish:
 * waits for the calls in progress and releases, or leaves that to the last of them. */
int set_begin_close(struct vds_set *set);
void set_finish_close(struct vds_set *set);

/* Is the set aborted? Latches what the peer did. Between set_enter() and set_leave(), or on the service thread. */
bool set_aborted(struct vds_set *set);

/* Is there something to wait for, of a call in progress? VD_E_ABORT: the set is aborted; VD_E_PROTOCOL: Close waits for
 * the call. */
int set_may_wait(struct vds_set *set);

/* Aborts for `reason`, unless it is aborted already, and wakes everybody on both sides. Where set_aborted() may be
 * called. */
void set_abort(struct vds_set *set, enum vds_abort_reason reason);

/* The same, and keeps the words for error_text. `err` may be NULL. Returns VD_E_ABORT. */
int set_fail(struct vds_set *set, enum vds_abort_reason reason, const struct error *err);

void set_wake_all(struct vds_set *set);

/* Raises the words of a refusal and yields its result: return SET_REFUSE(VD_E_INVALID, err, ERR_USAGE, "..."). */
#define SET_REFUSE(result, err, ...) (error_raise((err), __VA_ARGS__), (result))

void set_note_error(struct vds_set *set, const struct error *err);
const char *set_error_text(struct vds_set *set);

/* Copies what a stranger may be writing to; the compiler may not look at the source again. */
void set_copy_shared(void *destination, const void *source, size_t size);

/* Copies a text of `capacity` bytes from shared memory and ends it with a NUL. */
void set_copy_text(char *destination, const char *source, size_t capacity);

/* Runs `run` on a thread with all signals blocked. 0, or -1 with err. */
int set_start_service(struct vds_set *set, void *(*run)(void *), void *argument, struct error *err);
void set_stop_service(struct vds_set *set);

/* What the service thread of whoever has only one peer does until it is told to stop: has `serve` read what the peer
 * has sent on `fd`, until that returns true because the peer is gone; or calls `left` once `pidfd` tells so, since a
 * child of a dead process may keep its connection open. */
void set_watch_peer(struct vds_set *set, int fd, int pidfd, bool (*serve)(struct vds_set *set),
                    void (*left)(struct vds_set *set));
