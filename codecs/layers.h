/*
 * layers.h - the sources of a reading chain, as detect.c and reader.c put them together
 *
 * Each constructor owns `next` from the call on, also on failure. `label` names the input in messages ("'f.vdi'") and
 * is copied.
 */
#ifndef VDIPIPE_CODECS_LAYERS_H
#define VDIPIPE_CODECS_LAYERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/codecs.h"
#include "codecs/base/source.h"

/* A descriptor, which stays the caller's. */
int fd_source_new(int fd, const char *label, const atomic_bool *cancel, struct source **ret_source, struct error *err);

/* Bytes already taken from `next`, and then the rest of it. At most PEEK_MAX. */
enum { PEEK_MAX = 512 };
int peek_source_new(struct source *next, const uint8_t *bytes, size_t size, struct source **ret_source,
                    struct error *err);

/* Of the options below the name is not used: `label` says what the layers around make of it. */

/* A vdi stream: reads and checks the header at once. */
int vdistream_source_new(struct source *next, const char *label, const struct reader_options *options,
                         struct stream_info *ret_info, struct source **ret_source, struct error *err);
/* Its end, or NULL before it was reached. */
const struct stream_tail *vdistream_source_tail(const struct source *source);

/* zstd frames that are no vdi stream. */
int zstd_source_new(struct source *next, const char *label, const struct reader_options *options,
                    struct source **ret_source, struct error *err);

/* A raw SQLite image: as many bytes as its header says. */
int sqlite_source_new(struct source *next, const char *label, struct source **ret_source, struct error *err);

/* The same rules for an image whose first bytes and length are known: `head` is its first 100 bytes at least, or all of
 * them. */
int sqlite_image_check(const uint8_t *head, size_t head_size, uint64_t size, const char *label, struct error *err);

#endif
