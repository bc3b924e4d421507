/*
 * hash.h - the three checksums of a vdi stream, all of the xxHash family
 *
 * - the checksum of a zstd frame: the low 32 bits of XXH64 over its content (RFC 8878)
 * - the digest of a stream: XXH3-128 over its bytes, in the canonical (big endian) form
 * - the checksum of a record: XXH3-64
 *
 * They find accidents, not forgery; only encryption helps against that.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { DIGEST_SIZE = 16 };

/* Both running hashes that a data byte passes through. One belongs to one thread at a time. */
struct hasher;

struct hasher *hasher_new(void);
void hasher_free(struct hasher *hasher);

/* Bytes of the stream that are no content. */
void hasher_stream(struct hasher *hasher, const void *bytes, size_t size);
/* Bytes of the stream that are content of the current frame. Both hashes take a piece while it is in the cache. */
void hasher_both(struct hasher *hasher, const void *bytes, size_t size);

void hasher_frame_begin(struct hasher *hasher);
uint32_t hasher_frame_checksum(const struct hasher *hasher);
void hasher_digest(const struct hasher *hasher, uint8_t ret_digest[DIGEST_SIZE]);

/* What it is now, to go back to later; NULL when memory is out. */
struct hasher *hasher_copy(const struct hasher *hasher);
/* Makes the digest what an earlier copy has; NULL stands for the digest of nothing. */
void hasher_go_back(struct hasher *hasher, const struct hasher *earlier);

uint64_t hash_record(const void *bytes, size_t size);

/* One step of the hash of a sequence, to compare two sequences that are never held in memory. It begins with 0. */
uint64_t hash_next(uint64_t before, const void *bytes, size_t size);
