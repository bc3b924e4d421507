/*
 * hash_avx2.h - the part of XXH3 that takes the time, compiled for AVX2
 *
 * To be called only where the processor has AVX2. Included after xxhash.h with XXH_INLINE_ALL, whose state it works on.
 */
#pragma once

#include <stddef.h>
#include <xxhash.h>

XXH_errorcode hash_avx2_update(XXH3_state_t *state, const void *bytes, size_t size);
