/*
 * crypto.h - the derivations and the two uses of ChaCha20-Poly1305 of age-encryption.org/v1
 *
 * Secrets are given and taken in the caller's memory (secret.h); intermediate ones are wiped before a call returns.
 * Thread safe: no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
        AGE_FILE_KEY_SIZE = 16,
        AGE_KEY_SIZE = 32, /* X25519 keys and shares, wrap keys, payload keys */
        AGE_MAC_SIZE = 32,
        AGE_NONCE_SIZE = 16,
        AGE_TAG_SIZE = 16,
        AGE_WRAPPED_SIZE = AGE_FILE_KEY_SIZE + AGE_TAG_SIZE,
};

/* HKDF-SHA-256 to one key. */
void age_hkdf(uint8_t key[AGE_KEY_SIZE], const uint8_t *secret, size_t secret_size, const uint8_t *salt,
              size_t salt_size, const char *info);

void age_header_mac(uint8_t mac[AGE_MAC_SIZE], const uint8_t file_key[AGE_FILE_KEY_SIZE], const uint8_t *text,
                    size_t size);
void age_payload_key(uint8_t key[AGE_KEY_SIZE], const uint8_t file_key[AGE_FILE_KEY_SIZE],
                     const uint8_t nonce[AGE_NONCE_SIZE]);

void age_wrap(uint8_t wrapped[AGE_WRAPPED_SIZE], const uint8_t file_key[AGE_FILE_KEY_SIZE],
              const uint8_t wrap_key[AGE_KEY_SIZE]);
bool age_unwrap(uint8_t file_key[AGE_FILE_KEY_SIZE], const uint8_t wrapped[AGE_WRAPPED_SIZE],
                const uint8_t wrap_key[AGE_KEY_SIZE]);

/* A chunk of the payload, in place. `size` is that of the plaintext; the tag stands behind it. False: it could not be
 * sealed, or is not authentic; the bytes are lost. */
bool age_chunk_seal(uint8_t *chunk, size_t size, uint64_t counter, bool final, const uint8_t key[AGE_KEY_SIZE]);
bool age_chunk_open(uint8_t *chunk, size_t size, uint64_t counter, bool final, const uint8_t key[AGE_KEY_SIZE]);
/* Only looks: a chunk that cannot be opened is lost. */
bool age_chunk_is_authentic(const uint8_t *chunk, size_t size, uint64_t counter, bool final,
                            const uint8_t key[AGE_KEY_SIZE]);
