/* Abort: the first reason wins, on each side and between them; it never goes away again while the set exists. */
#include "core/base/lock.h"
#include "core/vds/set.h"

/* Remembers the reason here, whatever the peer does to the shared word from now on. */
static void abort_latch(struct vds_set *set, uint32_t shared_reason)
{
        int reason = shared_reason < VDS_ABORT_REASON_COUNT ? (int)shared_reason : VDS_ABORT_MISBEHAVED;

        LOCKED(&set->lock);
        if (atomic_load(&set->abort_reason) == VDS_ABORT_NONE) {
                atomic_store(&set->abort_reason, reason);
                state_event(&set->state, EVENT_ABORT);
        }
}

bool set_aborted(struct vds_set *set)
{
        uint32_t shared_reason;

        if (atomic_load_explicit(&set->abort_reason, memory_order_relaxed) != VDS_ABORT_NONE)
                return true;
        shared_reason = atomic_load_explicit(&set->layout->abort_reason, memory_order_acquire);
        if (shared_reason == VDS_ABORT_NONE)
                return false;
        abort_latch(set, shared_reason);
        return true;
}

void set_abort(struct vds_set *set, enum vds_abort_reason reason)
{
        uint32_t first = VDS_ABORT_NONE;

        if (atomic_compare_exchange_strong(&set->layout->abort_reason, &first, (uint32_t)reason))
                first = (uint32_t)reason;
        abort_latch(set, first);
        set_wake_all(set);
}

int set_fail(struct vds_set *set, enum vds_abort_reason reason, const struct error *err)
{
        if (err)
                set_note_error(set, err);
        set_abort(set, reason);
        return VD_E_ABORT;
}
