#define XXH_INLINE_ALL

#include <xxhash.h>

#include "codecs/base/hash_avx2.h"

XXH_errorcode hash_avx2_update(XXH3_state_t *state, const void *bytes, size_t size)
{
        return XXH3_128bits_update(state, bytes, size);
}
