/*
 * fast.h - ChaCha20-Poly1305 by libcrypto, where that can be opened
 *
 * libsodium is what age is built on here, and does all there is to do. Its ChaCha20 is a third as fast as libcrypto's
 * on processors with AVX2 or AVX-512, and the payload of a backup is nothing but that. So chunks of the payload may go
 * through here. The library is opened by the first of them, so that only who encrypts pays for it. Keys are given for
 * one call, and wiped at its end. Thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AGE_FAST_NONCE_SIZE = 12 };

enum age_fast_result {
        AGE_FAST_OK,
        AGE_FAST_ABSENT, /* it cannot be had; the bytes are untouched */
        AGE_FAST_FAILED, /* not authentic, or it gave up; the bytes are worth nothing */
};

/* Encrypts (`seal`) or decrypts in place; the tag stands behind the `size` bytes. */
enum age_fast_result age_fast_chunk(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                    const uint8_t *key, bool seal);

/* "3.0.19"; NULL: it cannot be had. */
const char *age_fast_version(void);
