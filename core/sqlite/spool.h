/*
 * spool.h - an unlinked file that takes over the rest of an image, so that the database's lock can be let go
 *
 * The file has no name from the start where the file system can do that, so nothing is left behind whoever is killed.
 * Bytes lie at the offsets they have in the image; what the devices had read already stays a hole. A clone shares the
 * database's blocks on file systems that can, and takes no time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct spool {
        int fd;
        int clone_fd; /* our own descriptor on the database: closed after SQLite's, or this process would lose its locks
                       */
        const char *folder;
};

#define SPOOL_INIT                       \
        {                                \
                .fd = -1, .clone_fd = -1 \
        }

/* Makes the file in `folder`, which must live as long as the spool. */
int spool_create(struct spool *spool, const char *folder, struct error *err);

/* Tries to share the blocks of the file at `path`. False where that cannot be done: copy instead. */
bool spool_clone(struct spool *spool, const char *path);

/* Takes the room for a range, so that a full disk is met before anything is copied. */
int spool_reserve(struct spool *spool, uint64_t offset, uint64_t size, struct error *err);

int spool_write(struct spool *spool, const void *buffer, size_t size, uint64_t offset, struct error *err);
int spool_read(const struct spool *spool, void *buffer, size_t size, uint64_t offset, struct error *err);

void spool_deinit(struct spool *spool);
