/*
 * ends.h - the ends of chains: descriptors, files, and raw images, which end by themselves
 *
 * `label` names the input in messages ("'f.vdi'") and is copied.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/source.h"
#include "codecs/base/stage.h"

/* ---- writing ---- */

/* Writes to `fd`, which stays the caller's. `name` is for messages. When *cancel turns true and the writing thread gets
 * a signal, the write fails with ERR_ABORTED. flush, complete
 * and finish sync where the descriptor is a regular file. */
int fd_sink_new(int fd, const char *name, const atomic_bool *cancel, struct stage **ret_stage, struct error *err);

/* What becomes of an existing regular file. */
enum file_existing {
        FILE_EXISTING_KEPT,             /* refused (ERR_USAGE) */
        FILE_EXISTING_KEPT_FORCE_HELPS, /* refused, and the message says that --force would replace it */
        FILE_EXISTING_REPLACED,
};

/* A file that appears under its name only when published: written as `.NAME.partial-SETID` in the same folder, with a
 * lock held on it, after removing the unlocked partials that dead runs left there. Symbolic links to a file are
 * followed, and what they point to is replaced.
 *
 * Two kinds of path are written directly, and publishing does nothing for them: an existing device, fifo or other
 * special file; and a name of a descriptor of this process (/dev/stdout, /dev/fd/N, /proc/self/fd/N, or a link there),
 * which is written like that descriptor, also where it is a regular file. Other links that the kernel makes below /proc
 * are refused (ERR_USAGE) when they lead to a regular file. */
int file_sink_new(const char *path, const char *set_id, enum file_existing existing, const atomic_bool *cancel,
                  struct stage **ret_stage, struct error *err);

/* The descriptor of the file at the end of a chain, for a caller that reads and writes at positions; it stays the
 * sink's, and is open for both. -1 where the path is written directly. */
int file_sink_fd(struct stage *chain);

/* Leaves the name, and the removal of the file should it get none, to the process that this one was copied to: the
 * folder's descriptor is closed. What is written still goes to the file. */
void file_sink_disown(struct stage *chain);

/* After every chain of a set was finished: renames all files of `sinks` (each made by file_sink_new) to their names and
 * syncs their folders. Either all appear, or none: on failure the ones already renamed are taken back. */
int file_sink_publish(struct stage *const *sinks, size_t count, struct error *err);

/* ---- reading ---- */

/* A descriptor, which stays the caller's. */
int fd_source_new(int fd, const char *label, const atomic_bool *cancel, struct source **ret_source, struct error *err);

/* Bytes already taken from `next`, and then the rest of it. At most PEEK_MAX. */
enum { PEEK_MAX = 512 };
int peek_source_new(struct source *next, const uint8_t *bytes, size_t size, struct source **ret_source,
                    struct error *err);

/* A raw SQLite image: as many bytes as its header says. Owns `next` from here on, also on failure. */
int sqlite_source_new(struct source *next, const char *label, struct source **ret_source, struct error *err);

/* The same rules for an image whose first bytes and length are known: `head` is its first 100 bytes at least, or all of
 * them. */
int sqlite_image_check(const uint8_t *head, size_t head_size, uint64_t size, const char *label, struct error *err);
