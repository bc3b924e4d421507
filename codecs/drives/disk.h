/*
 * disk.h - a seekable file as a disk: transfers at byte offsets
 *
 * What is written is the device's data and nothing around it, at its places: a raw file, which appears under its name
 * when it is published (file_sink_new). What is read is such a raw file or the data of a vdi stream in a seekable file.
 * Reads and writes may come from several threads at once; the other calls from one, with no transfer in progress.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codecs/codecs.h"

struct disk;

/* A disk to write and read, empty; `path` is a regular file or free (ERR_USAGE). */
int disk_create(const char *path, const char *set_id, enum file_existing existing, const atomic_bool *cancel,
                struct disk **ret_disk, struct error *err);

/* A disk to read, from a regular file. A vdi stream is read through and checked before this returns; its marks are left
 * out. Of a raw file nothing can be checked but what its first bytes say (reader_open), and of a SQLite image its
 * length. The descriptor stays the caller's and must outlive the disk. */
int disk_open(int fd, const struct reader_options *options, struct disk **ret_disk, struct error *err);

/* The header of a vdi stream that was opened; NULL for a raw file. */
const struct stream_info *disk_info(const struct disk *disk);

/* *ret_bytes are fewer than `size` where the data ends. Places that were never written read as zeros. After a failed
 * write, flush or finish only abort and free are left. */
int disk_read(struct disk *disk, void *buffer, size_t size, uint64_t offset, size_t *ret_bytes, struct error *err);
int disk_write(struct disk *disk, const void *data, size_t size, uint64_t offset, struct error *err);

/* Bytes from the beginning to the end of data: the highest place written, or the size of what was opened. */
uint64_t disk_size(const struct disk *disk);

/* Cuts the file at disk_size(); everything written is on disk. */
int disk_flush(struct disk *disk, struct error *err);

/* disk_flush(), and nothing is written any more; the verdict is in; the file never gets its name. */
int disk_finish(struct disk *disk, struct error *err);
void disk_abort(struct disk *disk);

/* The file sink of a created disk, for file_sink_publish(). */
struct stage *disk_sink(struct disk *disk);

void disk_free(struct disk *disk);
