/*
 * segment.h - chunks of the payload on their way through the pool: what encrypting and decrypting keep in their rings
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/age/age.h"
#include "codecs/age/crypto.h"
#include "codecs/base/pool_ring.h"

enum {
        SEGMENT_CHUNKS = 16,
        SEALED_SIZE = AGE_CHUNK_SIZE + AGE_TAG_SIZE, /* of all chunks but the last */
        SEGMENT_SEALED = SEGMENT_CHUNKS * SEALED_SIZE,
        SEGMENT_PLAIN = SEGMENT_CHUNKS * AGE_CHUNK_SIZE,
};

enum segment_fault {
        SEGMENT_OK,
        SEGMENT_UNSEALED, /* could not be encrypted */
        SEGMENT_FORGED,   /* not authentic */
        SEGMENT_CUT,      /* authentic as a chunk that others follow, but nothing does */
};

struct age_segment {
        struct pool_job job; /* first: what the pool sees */
        const uint8_t *key;
        uint8_t *bytes; /* SEGMENT_SEALED, and one byte more */
        size_t size;    /* of what the job is given: plaintext when encrypting, ciphertext when decrypting */
        uint64_t counter;
        bool final; /* the last chunk is the payload's last */
        enum segment_fault fault;
        size_t opened; /* plaintext before the first chunk that could not be opened */
        size_t handed; /* of that, how much was handed out */
};

/* A ring of `count` segments. After a failure it is to be released, too. */
int age_segments_init(struct pool_ring *ring, struct pool *pool, unsigned count, const uint8_t *key,
                      void (*run)(struct pool_job *job), struct error *err);
void age_segments_deinit(struct pool_ring *ring);
