#include "core/shm/ring.h"

#include <assert.h>
#include <string.h>

static_assert(ATOMIC_INT_LOCK_FREE == 2 && ATOMIC_LLONG_LOCK_FREE == 2, "atomics between processes must be lock-free");

void ring_init(struct ring *ring, struct ring_indices *indices, void *records, uint32_t slots, uint32_t record_size)
{
        assert(slots && (slots & (slots - 1)) == 0 && record_size % 8 == 0);
        *ring = (struct ring){
                .indices = indices,
                .words = records,
                .slots = slots,
                .record_words = record_size / 8,
        };
}

static _Atomic uint64_t *ring_record_at(const struct ring *ring, uint32_t index)
{
        return ring->words + (size_t)(index & (ring->slots - 1)) * ring->record_words;
}

enum ring_result ring_push(struct ring *ring, const void *record)
{
        uint32_t used = ring->own - atomic_load_explicit(&ring->indices->head, memory_order_acquire);
        _Atomic uint64_t *words = ring_record_at(ring, ring->own);

        if (used > ring->slots)
                return RING_BROKEN;
        if (used == ring->slots)
                return RING_FULL;
        for (uint32_t i = 0; i < ring->record_words; i++) {
                uint64_t word;

                memcpy(&word, (const uint8_t *)record + (size_t)i * 8, 8);
                atomic_store_explicit(&words[i], word, memory_order_relaxed);
        }
        ring->own++;
        atomic_store_explicit(&ring->indices->tail, ring->own, memory_order_release);
        return RING_OK;
}

bool ring_is_ready(const struct ring *ring)
{
        return atomic_load_explicit(&ring->indices->tail, memory_order_acquire) != ring->own;
}

enum ring_result ring_pop(struct ring *ring, void *ret_record)
{
        uint32_t ready = atomic_load_explicit(&ring->indices->tail, memory_order_acquire) - ring->own;
        _Atomic uint64_t *words = ring_record_at(ring, ring->own);

        if (ready > ring->slots)
                return RING_BROKEN;
        if (ready == 0)
                return RING_EMPTY;
        for (uint32_t i = 0; i < ring->record_words; i++) {
                uint64_t word = atomic_load_explicit(&words[i], memory_order_relaxed);

                memcpy((uint8_t *)ret_record + (size_t)i * 8, &word, 8);
        }
        ring->own++;
        atomic_store_explicit(&ring->indices->head, ring->own, memory_order_release);
        return RING_OK;
}
