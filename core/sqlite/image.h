/*
 * image.h - the image of a SQLite database that a backup sends, and the bound on the lock it costs
 *
 * image_open() fixes the state, image_size() and image_page_size() tell the shape, image_start() says which ranges will
 * be read in order by whom, then any number of threads call image_read(), each through one range from its start to its
 * end. A spooler thread watches how long writers have waited, or how far the log has grown: when the bound is met, it
 * copies what is still unread to a spool file, lets go of the database, and reading continues from there. It also lets
 * go as soon as everything has been read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/servers/server.h"
#include "core/sqlite/source.h"

struct image;

struct image_options {
        const char *path; /* absolute */
        bool immutable;
        int64_t busy_timeout_ms;
        int64_t max_lock_ms;   /* negative: no limit */
        uint64_t max_wal;      /* 0: no limit */
        const char *spool_dir; /* NULL: the database's folder */
        bool (*cancelled)(void *context);
        void *context;
};

int image_open(const struct image_options *options, struct image **ret_image, struct error *err);

/* Stops the spooler, closes the database if it is still open, frees. For CLEANUP(). */
void image_closep(struct image **image);

const struct sqlite_facts *image_facts(const struct image *image);

/* Cuts the image at page boundaries into `count` contiguous parts. */
void image_cut(const struct image *image, uint32_t count, struct server_part *ret_parts);

/* Has SQLite check the content of the very state that will be read, under the lock that holds it still, before
 * image_start(). ERR_DAMAGED with what it found. */
int image_verify(struct image *image, struct error *err);

/* Announces the parts that will be read, and starts the spooler. Once. */
int image_start(struct image *image, const struct server_part *parts, uint32_t count, struct error *err);

/* Reads whole pages inside one part, at the place where the last read of that part ended. Thread safe. */
int image_read(struct image *image, uint64_t offset, void *buffer, size_t size, struct error *err);

/* After the last read: whether the bytes can be trusted (an immutable database stayed so). */
int image_check(struct image *image, struct error *err);

/* Whether the rest was spooled. For tests and reports. */
bool image_was_spooled(struct image *image);

/* What the user should know: one line, "" if there is nothing. */
void image_note(struct image *image, char note[ERROR_MESSAGE_MAX]);
