/*
 * region.h - a piece of memory that two processes share: a sealed memfd and its mapping
 *
 * The creator seals its region against shrinking and growing before anybody else sees the descriptor, and whoever
 * attaches checks that: an unsealed region could be cut short under the reader's feet, which would be a SIGBUS. The
 * memory is allocated, not promised, so that a shortage is an error of region_create() and not a signal later.
 *
 * What lies in the region is hostile input to both sides. This file hands out the bytes; who reads them copies once and
 * checks the copy.
 *
 * Forked children have no part in a region: they inherit neither the mapping nor the descriptor.
 *
 * Not thread safe: a region belongs to one thread until it is published by means of the caller's own.
 */
#pragma once

#include <stdint.h>

#include "core/base/error.h"

/* Mappings begin at a multiple of this, so that an alignment inside the region holds for addresses in every process. */
enum { REGION_ALIGNMENT = 65536 };

struct region {
        int fd;        /* the memfd; the region owns it. -1 after region_close_fd() */
        uint8_t *base; /* NULL: no region */
        uint64_t size; /* as announced; the mapping is whole pages */
};

#define REGION_INIT      \
        {                \
                .fd = -1 \
        }

/* Makes, allocates, seals and maps a zeroed region of `size` bytes. `label` shows in /proc/PID/maps. */
int region_create(const char *label, uint64_t size, struct region *ret_region, struct error *err);

/* Maps the region behind a descriptor that came from a peer, who announced `size` bytes. Refuses (ERR_PROTOCOL)
 * anything but a sealed memfd of ordinary pages and of that size. *fd is taken over, also on failure. */
int region_attach(int *fd, uint64_t size, struct region *ret_region, struct error *err);

/* Closes the descriptor once nobody is to be given it any more; the mapping stays. */
void region_close_fd(struct region *region);

/* Unmaps and closes. An empty region is allowed; the region is empty afterwards. */
void region_deinit(struct region *region);
