#include "core/vds/set.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/base/lock.h"
#include "core/shm/fork_guard.h"

/* The calls that this thread is in, innermost first. */
static _Thread_local struct set_call *calls_of_thread;

int set_init(struct vds_set *set, enum vds_side side, const struct vds_options *options,
             void (*release)(struct vds_set *set))
{
        set->side = side;
        set->release = release;
        set->fork_generation = fork_generation();
        set->stop_fd = -1;
        set->connection = options && options->connection > 0 ? options->connection : -1;
        fork_guard_add(set->connection);
        set->control = (struct region)REGION_INIT;
        atomic_init(&set->gate, SET_GATE_CLOSED);
        pthread_mutex_init(&set->lock, NULL);
        pthread_cond_init(&set->idle, NULL);
        if (options && options->runtime_dir && !(set->runtime_dir = strdup(options->runtime_dir)))
                return -1;
        if (options && options->group && !(set->group = strdup(options->group)))
                return -1;
        return 0;
}

void set_deinit(struct vds_set *set)
{
        fork_guard_close(&set->connection);
        free(set->runtime_dir);
        free(set->group);
        pthread_cond_destroy(&set->idle);
        pthread_mutex_destroy(&set->lock);
}

bool set_is_ours(const struct vds_set *set)
{
        return set->fork_generation == fork_generation();
}

static void set_release_now(struct vds_set *set)
{
        set->release(set);
        LOCKED(&set->lock);
        state_event(&set->state, EVENT_GONE);
        set->busy = false;
}

/* One call fewer. The last one out of a closed gate tells Close, or does its work. */
static void set_pass_out(struct vds_set *set)
{
        uint32_t gate = atomic_load(&set->gate);
        bool release = false;

        while (!(gate & SET_GATE_CLOSED))
                if (atomic_compare_exchange_weak(&set->gate, &gate, gate - 1))
                        return;
        /* Close looks at the count under the lock, so it cannot return, nor Free destroy the lock, before this is done
         * with it. */
        pthread_mutex_lock(&set->lock);
        if (atomic_fetch_sub(&set->gate, 1) == (SET_GATE_CLOSED | 1)) {
                release = set->release_by_last;
                set->release_by_last = false;
                pthread_cond_broadcast(&set->idle);
        }
        pthread_mutex_unlock(&set->lock);
        if (release)
                set_release_now(set);
}

int set_enter_any(struct vds_set *set, struct set_call *call)
{
        call->set = NULL;
        if (!set_is_ours(set))
                return VD_E_PROTOCOL;
        if (atomic_fetch_add(&set->gate, 1) & SET_GATE_CLOSED) {
                set_pass_out(set);
                return VD_E_PROTOCOL;
        }
        *call = (struct set_call){ .set = set, .outer = calls_of_thread };
        calls_of_thread = call;
        return NOERROR;
}

void set_leave(struct set_call *call)
{
        struct vds_set *set = call->set;

        if (!set)
                return;
        call->set = NULL;
        calls_of_thread = call->outer;
        set_pass_out(set);
}

int set_recheck(struct vds_set *set, enum vds_call id)
{
        set_aborted(set);
        return state_check(set->side, (enum vds_state)atomic_load(&set->state), id);
}

int set_enter(struct vds_set *set, struct set_call *call, enum vds_call id)
{
        int result = set_enter_any(set, call);

        if (result == NOERROR && (result = set_recheck(set, id)) != NOERROR)
                set_leave(call);
        return result;
}

enum vds_abort_reason set_abort_reason(struct vds_set *set)
{
        CLEANUP(set_leave) struct set_call call;

        if (set_enter_any(set, &call) == NOERROR)
                set_aborted(set);
        return (enum vds_abort_reason)atomic_load(&set->abort_reason);
}

int set_may_wait(struct vds_set *set)
{
        if (set_aborted(set))
                return VD_E_ABORT;
        return atomic_load(&set->gate) & SET_GATE_CLOSED ? VD_E_PROTOCOL : NOERROR;
}

void set_succeeded(struct vds_set *set, enum vds_call id)
{
        LOCKED(&set->lock);

        state_move(set->side, &set->state, id);
}

void set_all_closed(struct vds_set *set)
{
        LOCKED(&set->lock);

        state_event(&set->state, EVENT_ALL_CLOSED);
}

/* Makes this the thread that creates or closes the set, if `id` is legal now and nobody else does. */
static int set_claim(struct vds_set *set, enum vds_call id)
{
        int result = VD_E_PROTOCOL;

        if (!set_is_ours(set))
                return result;
        LOCKED(&set->lock);
        if (!set->busy)
                result = state_check(set->side, (enum vds_state)atomic_load(&set->state), id);
        set->busy |= result == NOERROR;
        return result;
}

int set_begin_create(struct vds_set *set, enum vds_call id)
{
        int result = set_claim(set, id);

        if (result == NOERROR) {
                LOCKED(&set->lock);

                set->error = (struct error)ERROR_INIT;
                atomic_store(&set->abort_reason, VDS_ABORT_NONE);
        }
        return result;
}

void set_end_create(struct vds_set *set, enum vds_call id, int result, const struct error *err)
{
        if (result != NOERROR) {
                set_note_error(set, err);
                set->release(set);
        }
        LOCKED(&set->lock);
        if (result == NOERROR) {
                state_move(set->side, &set->state, id);
                /* The service thread is at work already, and a peer may have come and died. */
                if (atomic_load(&set->abort_reason) != VDS_ABORT_NONE)
                        state_event(&set->state, EVENT_ABORT);
                atomic_fetch_and(&set->gate, ~SET_GATE_CLOSED);
        }
        set->busy = false;
}

int set_begin_close(struct vds_set *set)
{
        int result = set_claim(set, CALL_CLOSE);

        if (result == NOERROR)
                atomic_fetch_or(&set->gate, SET_GATE_CLOSED);
        return result;
}

static bool set_inside_a_call(const struct vds_set *set)
{
        for (const struct set_call *call = calls_of_thread; call; call = call->outer)
                if (call->set == set)
                        return true;
        return false;
}

void set_finish_close(struct vds_set *set)
{
        bool inside = set_inside_a_call(set);

        pthread_mutex_lock(&set->lock);
        if (inside)
                set->release_by_last = true;
        while (!inside && (atomic_load(&set->gate) & ~SET_GATE_CLOSED) != 0)
                pthread_cond_wait(&set->idle, &set->lock);
        pthread_mutex_unlock(&set->lock);
        if (!inside)
                set_release_now(set);
}

void set_wake_all(struct vds_set *set)
{
        struct layout *layout = set->layout;

        wake_signal(&layout->client_wake);
        wake_signal(&layout->agent_wake);
        for (uint32_t i = 0; i < set->device_count; i++) {
                wake_signal(&layout->devices[i].client_wake);
                wake_signal(&layout->devices[i].server_wake);
        }
}

void set_note_error(struct vds_set *set, const struct error *err)
{
        LOCKED(&set->lock);

        error_keep_first(&set->error, err);
}

const char *set_error_text(struct vds_set *set)
{
        static _Thread_local char shown[ERROR_MESSAGE_MAX];
        LOCKED(&set->lock);

        memcpy(shown, set->error.message, sizeof shown);
        return shown;
}

void set_copy_shared(void *destination, const void *source, size_t size)
{
        memcpy(destination, source, size);
        __asm__ volatile("" ::: "memory");
}

void set_copy_text(char *destination, const char *source, size_t capacity)
{
        set_copy_shared(destination, source, capacity);
        destination[capacity - 1] = '\0';
}

int set_start_service(struct vds_set *set, void *(*run)(void *), void *argument, struct error *err)
{
        sigset_t all;
        sigset_t old;
        int failed;

        set->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (set->stop_fd < 0)
                return error_raise_errno(err, errno, "make an event descriptor");
        fork_guard_add(set->stop_fd);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &old);
        failed = pthread_create(&set->service, NULL, run, argument);
        pthread_sigmask(SIG_SETMASK, &old, NULL);
        if (failed) {
                fork_guard_close(&set->stop_fd);
                return error_raise_errno(err, failed, "start the service thread");
        }
        set->service_running = true;
        return 0;
}

void set_stop_service(struct vds_set *set)
{
        if (set->service_running) {
                /* A full counter is readable too, so there is nothing to do about a failure. */
                eventfd_write(set->stop_fd, 1);
                pthread_join(set->service, NULL);
                set->service_running = false;
        }
        fork_guard_close(&set->stop_fd);
}

void set_watch_peer(struct vds_set *set, int fd, int pidfd, bool (*serve)(struct vds_set *set),
                    void (*left)(struct vds_set *set))
{
        for (;;) {
                struct pollfd stop = { .fd = set->stop_fd, .events = POLLIN };
                struct pollfd items[] = { stop, { .fd = fd, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };

                if (poll(items, 3, -1) < 0)
                        continue;
                /* A dead peer's last messages are read first. */
                if (items[0].revents || ((items[1].revents || items[2].revents) && serve(set)))
                        return;
                if (items[2].revents) {
                        left(set);
                        return;
                }
        }
}
