/*
 * wake.h - how a thread waits for another thread, of this process or of the peer, to change something in shared memory
 *
 * The recipe:
 *
 *         for (;;) {
 *                 uint32_t seen = wake_key(cell);
 *                 if (the condition holds)
 *                         break;
 *                 if (deadline_passed(deadline))
 *                         return "timed out";
 *                 wake_wait(cell, seen, deadline, &patience);
 *         }
 *
 * and on the other side: make the condition true, then wake_signal(cell). A signal between wake_key() and wake_wait()
 * makes the wait return at once, so none is lost. wake_signal() costs a system call only when somebody sleeps.
 *
 * A wait returns after WAKE_SLICE_MS at the latest, and may return for no reason: a peer that scribbles over the cell
 * can delay a waiter by that much and no more. One cell may have any number of waiters; all are woken.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdint.h>

#include "core/base/deadline.h"

enum { WAKE_SLICE_MS = 1000 };

/* Zeroed when it begins. Both words are written by every process that maps the cell. */
struct wake_cell {
        alignas(64) _Atomic uint32_t sequence; /* counts signals */
        /* Not 0: threads sleep, or are about to. A flag and no count, since a count would stay wrong once somebody was
         * killed in his sleep, or had scribbled over it. */
        _Atomic uint32_t waiting;
};

/* What one waiter has learnt; private memory, zeroed when it begins. Threads may share it: it is a hint. */
struct wake_patience {
        _Atomic int32_t failures; /* waits in a row that were in vain */
};

uint32_t wake_key(const struct wake_cell *cell);

/* `patience` NULL: goes to sleep after the shortest look. */
void wake_wait(struct wake_cell *cell, uint32_t key, struct deadline deadline, struct wake_patience *patience);
void wake_signal(struct wake_cell *cell);
