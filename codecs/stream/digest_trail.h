/*
 * digest_trail.h - what a running digest was at earlier places, so that a stream can be cut without reading all of it
 *
 * Short streams keep a place every 64 KiB. When there are many, every other one is dropped, until they are 1 GiB apart:
 * so much, or a thirty-second of the stream, is read at most, and 16 TB take 10 MB of memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codecs/base/hash.h"
#include "codecs/stream/stream.h"

struct digest_place {
        uint64_t at;           /* bytes that the digest covers */
        struct hasher *hasher; /* as it was then */
};

/* All 0 is an empty one. */
struct digest_trail {
        struct digest_place *places;
        size_t count, room;
        uint64_t spacing;
};

void digest_trail_deinit(struct digest_trail *trail);

/* The digest covers `at` bytes now; remembered if the last place is far enough. */
int digest_trail_note(struct digest_trail *trail, const struct hasher *hasher, uint64_t at, struct error *err);

/* Makes the digest what it was at cut->offset, by reading from the file what lies behind the nearest place. */
int digest_trail_go_back(struct digest_trail *trail, struct hasher *hasher, const struct vdistream_cut *cut,
                         struct error *err);
