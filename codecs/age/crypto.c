#include "codecs/age/crypto.h"

#include <string.h>

#include <sodium.h>

#include "codecs/age/fast.h"

enum {
        CHUNK_NONCE_SIZE = AGE_FAST_NONCE_SIZE,
        FAST_MIN = 4096, /* for less than this, setting libcrypto up takes longer than it saves */
};

static void hmac(uint8_t mac[AGE_MAC_SIZE], const uint8_t *key, size_t key_size, const void *text, size_t size,
                 const void *more, size_t more_size)
{
        crypto_auth_hmacsha256_state state;

        crypto_auth_hmacsha256_init(&state, key, key_size);
        crypto_auth_hmacsha256_update(&state, text, size);
        crypto_auth_hmacsha256_update(&state, more, more_size);
        crypto_auth_hmacsha256_final(&state, mac);
        sodium_memzero(&state, sizeof state);
}

void age_hkdf(uint8_t key[AGE_KEY_SIZE], const uint8_t *secret, size_t secret_size, const uint8_t *salt,
              size_t salt_size, const char *info)
{
        static const uint8_t first_block = 1;
        uint8_t extracted[AGE_KEY_SIZE];

        hmac(extracted, salt, salt_size, secret, secret_size, "", 0);
        hmac(key, extracted, sizeof extracted, info, strlen(info), &first_block, 1);
        sodium_memzero(extracted, sizeof extracted);
}

void age_header_mac(uint8_t mac[AGE_MAC_SIZE], const uint8_t file_key[AGE_FILE_KEY_SIZE], const uint8_t *text,
                    size_t size)
{
        uint8_t key[AGE_KEY_SIZE];

        age_hkdf(key, file_key, AGE_FILE_KEY_SIZE, (const uint8_t *)"", 0, "header");
        hmac(mac, key, sizeof key, text, size, "", 0);
        sodium_memzero(key, sizeof key);
}

void age_payload_key(uint8_t key[AGE_KEY_SIZE], const uint8_t file_key[AGE_FILE_KEY_SIZE],
                     const uint8_t nonce[AGE_NONCE_SIZE])
{
        age_hkdf(key, file_key, AGE_FILE_KEY_SIZE, nonce, AGE_NONCE_SIZE, "payload");
}

void age_wrap(uint8_t wrapped[AGE_WRAPPED_SIZE], const uint8_t file_key[AGE_FILE_KEY_SIZE],
              const uint8_t wrap_key[AGE_KEY_SIZE])
{
        static const uint8_t nonce[CHUNK_NONCE_SIZE];

        crypto_aead_chacha20poly1305_ietf_encrypt(wrapped, NULL, file_key, AGE_FILE_KEY_SIZE, NULL, 0, NULL, nonce,
                                                  wrap_key);
}

bool age_unwrap(uint8_t file_key[AGE_FILE_KEY_SIZE], const uint8_t wrapped[AGE_WRAPPED_SIZE],
                const uint8_t wrap_key[AGE_KEY_SIZE])
{
        static const uint8_t nonce[CHUNK_NONCE_SIZE];

        return crypto_aead_chacha20poly1305_ietf_decrypt(file_key, NULL, NULL, wrapped, AGE_WRAPPED_SIZE, NULL, 0,
                                                         nonce, wrap_key) == 0;
}

/* 11 bytes of counter, of which 64 bits are used: 2^80 bytes of payload. */
static void chunk_nonce(uint8_t nonce[CHUNK_NONCE_SIZE], uint64_t counter, bool final)
{
        memset(nonce, 0, CHUNK_NONCE_SIZE);
        nonce[CHUNK_NONCE_SIZE - 1] = final;
        for (size_t i = 0; i < sizeof counter; i++)
                nonce[CHUNK_NONCE_SIZE - 2 - i] = (uint8_t)(counter >> 8 * i);
}

static enum age_fast_result fast_chunk(uint8_t *chunk, size_t size, const uint8_t *nonce, const uint8_t *key, bool seal)
{
        return size < FAST_MIN ? AGE_FAST_ABSENT : age_fast_chunk(chunk, size, nonce, key, seal);
}

bool age_chunk_seal(uint8_t *chunk, size_t size, uint64_t counter, bool final, const uint8_t key[AGE_KEY_SIZE])
{
        enum age_fast_result fast;
        uint8_t nonce[CHUNK_NONCE_SIZE];

        chunk_nonce(nonce, counter, final);
        fast = fast_chunk(chunk, size, nonce, key, /* seal= */ true);
        if (fast != AGE_FAST_ABSENT)
                return fast == AGE_FAST_OK;
        crypto_aead_chacha20poly1305_ietf_encrypt_detached(chunk, chunk + size, NULL, chunk, size, NULL, 0, NULL, nonce,
                                                           key);
        return true;
}

/* To `plain`; NULL: only looks. */
static bool open_chunk(uint8_t *plain, const uint8_t *chunk, size_t size, const uint8_t *nonce, const uint8_t *key)
{
        return crypto_aead_chacha20poly1305_ietf_decrypt_detached(plain, NULL, chunk, size, chunk + size, NULL, 0,
                                                                  nonce, key) == 0;
}

bool age_chunk_open(uint8_t *chunk, size_t size, uint64_t counter, bool final, const uint8_t key[AGE_KEY_SIZE])
{
        enum age_fast_result fast;
        uint8_t nonce[CHUNK_NONCE_SIZE];

        chunk_nonce(nonce, counter, final);
        fast = fast_chunk(chunk, size, nonce, key, /* seal= */ false);
        return fast != AGE_FAST_ABSENT ? fast == AGE_FAST_OK : open_chunk(chunk, chunk, size, nonce, key);
}

bool age_chunk_is_authentic(const uint8_t *chunk, size_t size, uint64_t counter, bool final,
                            const uint8_t key[AGE_KEY_SIZE])
{
        uint8_t nonce[CHUNK_NONCE_SIZE];

        chunk_nonce(nonce, counter, final);
        return open_chunk(NULL, chunk, size, nonce, key);
}
