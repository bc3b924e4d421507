#include "core/shm/wake.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
        SPIN_LONGEST_NS = 50000, /* about what two transfers of a megabyte take to fill */
        SPIN_SHORTEST_NS = 1500, /* less than a sleep and a wake-up cost */
        SPIN_LOOKS = 8,          /* at the cell, between looks at the clock */
        FAILURES_MAX = 5,        /* from then on the patience is the shortest */
};

static bool wake_may_spin;
static pthread_once_t wake_spin_once = PTHREAD_ONCE_INIT;

static void wake_choose_spin(void)
{
        cpu_set_t set;

        /* On one processor the peer cannot move while we spin. */
        wake_may_spin = sched_getaffinity(0, sizeof set, &set) < 0 || CPU_COUNT(&set) > 1;
}

static void wake_relax(void)
{
#if defined __x86_64__ || defined __i386__
        __builtin_ia32_pause();
#elif defined __aarch64__
        __asm__ volatile("yield");
#endif
}

uint32_t wake_key(const struct wake_cell *cell)
{
        return atomic_load(&cell->sequence);
}

/* Watches the cell until `until`. Returns true when it moved. */
static bool wake_spin(const struct wake_cell *cell, uint32_t key, int64_t until)
{
        do {
                for (int i = 0; i < SPIN_LOOKS; i++) {
                        if (atomic_load(&cell->sequence) != key)
                                return true;
                        wake_relax();
                }
        } while (monotonic_ns() < until);
        return false;
}

void wake_wait(struct wake_cell *cell, uint32_t key, struct deadline deadline, struct wake_patience *patience)
{
        int32_t failures = patience ? atomic_load_explicit(&patience->failures, memory_order_relaxed) : FAILURES_MAX;
        int64_t length = failures >= FAILURES_MAX ? SPIN_SHORTEST_NS : SPIN_LONGEST_NS >> failures;
        int64_t start = monotonic_ns();
        struct timespec slice;

        pthread_once(&wake_spin_once, wake_choose_spin);
        if (!wake_may_spin || !wake_spin(cell, key, start + length)) {
                slice = deadline_slice(deadline, WAKE_SLICE_MS);
                /* Sequentially consistent with wake_signal(): either it sees this waiter, or the kernel sees its new
                 * sequence. */
                atomic_store(&cell->waiting, 1);
                syscall(SYS_futex, &cell->sequence, FUTEX_WAIT, key, &slice, NULL, 0);
        }
        if (!patience)
                return;
        /* Also a sleep that was short says that watching would have paid. */
        if (monotonic_ns() - start < SPIN_LONGEST_NS)
                failures = 0;
        else if (failures < FAILURES_MAX)
                failures++;
        atomic_store_explicit(&patience->failures, failures, memory_order_relaxed);
}

void wake_signal(struct wake_cell *cell)
{
        atomic_fetch_add(&cell->sequence, 1);
        if (atomic_load(&cell->waiting) == 0 || atomic_exchange(&cell->waiting, 0) == 0)
                return;
        /* Whose flag was taken down may have read the sequence behind the first step and not sleep yet, and would then
         * sleep with no flag. The second step keeps it awake; whoever reads that raises the flag again. */
        atomic_fetch_add(&cell->sequence, 1);
        syscall(SYS_futex, &cell->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
