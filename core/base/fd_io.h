/*
 * fd_io.h - descriptors: whole reads and writes, and the few Linux calls that have no wrapper
 *
 * Everything opened here is close-on-exec. Thread safe: no state.
 */
#pragma once

#include <dirent.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/base/error.h"

/* Reads until `size` bytes are there or the input ends. `some` is an expression that reads at most `size - done` bytes
 * behind the first `done` (size_t, the macro's), and yields how many it read, 0 at the end or -1. Yields the bytes in
 * all, or -1. */
#define READ_FULL(size, some)                          \
        ({                                             \
                size_t done = 0;                       \
                ssize_t step_ = 1;                     \
                while (done < (size) && step_ > 0) {   \
                        step_ = (some);                \
                        if (step_ > 0)                 \
                                done += (size_t)step_; \
                }                                      \
                step_ < 0 ? -1 : (ssize_t)done;        \
        })

/* Reads until `size` bytes are there or the input ends. Returns the number of bytes (short only at the end), or -1 with
 * errno set. `cancel`, if not NULL, is looked at whenever the call is interrupted by a signal: once true, errno is
 * ECANCELED. That is how a thread blocked on a pipe is got out: set the flag, then send it a signal. */
ssize_t fd_read_full(int fd, void *buffer, size_t size, const atomic_bool *cancel);

/* One read, retried only when interrupted. Returns bytes, 0 at the end, or -1 with errno set. */
ssize_t fd_read_some(int fd, void *buffer, size_t size, const atomic_bool *cancel);

/* pread and pwrite of the whole range. fd_pread_full returns the bytes read, short at the end of the file. */
ssize_t fd_pread_full(int fd, void *buffer, size_t size, off_t offset);
int fd_pwrite_full(int fd, const void *buffer, size_t size, off_t offset);

/* Writes everything. The array is used up: its entries are advanced. Returns 0, or -1 with errno set; *written, if not
 * NULL, is raised by the bytes that left even when it fails. */
int fd_writev_full(int fd, struct iovec *iov, int count, const atomic_bool *cancel, uint64_t *written);
int fd_write_full(int fd, const void *buffer, size_t size, const atomic_bool *cancel);

/* fallocate(2), retried when interrupted: older kernels do not begin with what is there. */
int fd_allocate(int fd, int mode, off_t offset, off_t size);

/* pidfd_open(2). Returns the descriptor or -1 with errno set. */
int fd_pidfd_open(pid_t pid);

/* renameat2(2) with RENAME_NOREPLACE; where the file system does not know the flag, link and unlink. Returns 0, or -1
 * with errno set (EEXIST: the new name exists). */
int fd_rename_noreplace(int old_dir, const char *old_name, int new_dir, const char *new_name);

/* Whether `name` in the folder stands for the file that `fd` is open on; a link is not followed. After locking a file
 * this tells whether somebody removed or replaced it before the lock was held. */
bool fd_has_name(int dir_fd, const char *name, int fd);

/* A folder that is open, to be listed from its beginning; dir_closep() closes it. NULL with errno set. */
DIR *fd_list(int dir_fd);

/* Reads a whole small file into a NUL-terminated allocation; refuses more than `limit` bytes (errno EFBIG). */
int fd_read_file(int dir_fd, const char *path, size_t limit, char **ret_text, size_t *ret_size);

/* The number behind `key` in one of the kernel's files of names and numbers. False: it is not there. */
bool fd_find_number(const char *path, const char *key, int base, uint64_t *ret_number);
