/*
 * ring.h - queue of fixed records in shared memory, for one producer and one consumer
 *
 * `tail` is written by the producer with release order and read by the consumer with acquire order; `head` the other
 * way round. Both only count up and wrap at 2^32. Each side keeps its own index in private memory and never reads it
 * back; the other's is copied once per call and the copy is checked, and so is every record: it is copied out word by
 * word, so that a peer who writes meanwhile can spoil the contents, which the caller checks, but not what was checked.
 *
 * Waiting is the caller's business: see the recipe in wake.h. A side is not thread safe: its caller locks.
 */
#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum ring_result {
        RING_BROKEN = -1, /* the other side's index is impossible: the peer misbehaves */
        RING_OK = 0,
        RING_FULL,  /* push only: try again after a wake-up */
        RING_EMPTY, /* pop only: try again after a wake-up */
};

/* The shared part, in front of the records. Each index has a cache line of its own. */
struct ring_indices {
        alignas(64) _Atomic uint32_t tail; /* producer */
        alignas(64) _Atomic uint32_t head; /* consumer */
};

/* One side's private view. */
struct ring {
        struct ring_indices *indices;
        _Atomic uint64_t *words; /* the records */
        uint32_t slots;          /* a power of two */
        uint32_t record_words;
        uint32_t own; /* this side's index */
};

/* `record_size` is a multiple of 8. The shared memory is zeroed when both sides begin. */
void ring_init(struct ring *ring, struct ring_indices *indices, void *records, uint32_t slots, uint32_t record_size);

/* Producer: appends *record. */
enum ring_result ring_push(struct ring *ring, const void *record);

/* Consumer: is there a record to take, as the other side says? */
bool ring_is_ready(const struct ring *ring);

/* Consumer: takes the oldest record. */
enum ring_result ring_pop(struct ring *ring, void *ret_record);
