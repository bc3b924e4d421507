/*
 * xxHash is compiled in: the states then are ordinary structs, and XXH3 exists a second time, for processors with AVX2,
 * where it is three times as fast as with what every x86-64 processor has.
 */
#define XXH_INLINE_ALL

#include "codecs/base/hash.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "codecs/base/hash_avx2.h"

enum {
        /* Small enough for the second hash to find the piece in the cache that the first one brought it into. */
        HASH_PIECE = 32 << 10,
        STATE_ALIGNMENT = 64,
};

typedef XXH_errorcode (*update_function)(XXH3_state_t *state, const void *bytes, size_t size);

struct hasher {
        XXH3_state_t stream;
        XXH64_state_t frame;
        update_function update;
};

static update_function choose_update(void)
{
#ifdef HASH_AVX2
        if (__builtin_cpu_supports("avx2"))
                return hash_avx2_update;
#endif
        return XXH3_128bits_update;
}

void hasher_free(struct hasher *hasher)
{
        free(hasher);
}

struct hasher *hasher_new(void)
{
        size_t size = (sizeof(struct hasher) + STATE_ALIGNMENT - 1) / STATE_ALIGNMENT * STATE_ALIGNMENT;
        struct hasher *hasher = aligned_alloc(STATE_ALIGNMENT, size);

        if (!hasher)
                return NULL;
        memset(hasher, 0, sizeof *hasher);
        hasher->update = choose_update();
        XXH3_128bits_reset(&hasher->stream);
        XXH64_reset(&hasher->frame, 0);
        return hasher;
}

void hasher_stream(struct hasher *hasher, const void *bytes, size_t size)
{
        hasher->update(&hasher->stream, bytes, size);
}

void hasher_both(struct hasher *hasher, const void *bytes, size_t size)
{
        const uint8_t *at = bytes;

        while (size > 0) {
                size_t piece = size < HASH_PIECE ? size : HASH_PIECE;

                hasher->update(&hasher->stream, at, piece);
                XXH64_update(&hasher->frame, at, piece);
                at += piece;
                size -= piece;
        }
}

void hasher_frame_begin(struct hasher *hasher)
{
        XXH64_reset(&hasher->frame, 0);
}

uint32_t hasher_frame_checksum(const struct hasher *hasher)
{
        return (uint32_t)XXH64_digest(&hasher->frame);
}

void hasher_digest(const struct hasher *hasher, uint8_t ret_digest[DIGEST_SIZE])
{
        XXH128_canonical_t canonical;

        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&hasher->stream));
        for (size_t i = 0; i < DIGEST_SIZE; i++)
                ret_digest[i] = canonical.digest[i];
}

struct hasher *hasher_copy(const struct hasher *hasher)
{
        struct hasher *copy = hasher_new();

        if (copy)
                XXH3_copyState(&copy->stream, &hasher->stream);
        return copy;
}

void hasher_go_back(struct hasher *hasher, const struct hasher *earlier)
{
        if (earlier)
                XXH3_copyState(&hasher->stream, &earlier->stream);
        else
                XXH3_128bits_reset(&hasher->stream);
}

uint64_t hash_record(const void *bytes, size_t size)
{
        return XXH3_64bits(bytes, size);
}

uint64_t hash_next(uint64_t before, const void *bytes, size_t size)
{
        return XXH3_64bits_withSeed(bytes, size, before);
}
