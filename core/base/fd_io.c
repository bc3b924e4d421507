#include "core/base/fd_io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/cleanup.h"

enum { KERNEL_FILE_MAX = 64 << 10 };

void fd_closep(int *fd)
{
        int saved = errno;

        if (*fd >= 0)
                close(*fd);
        *fd = -1;
        errno = saved;
}

static bool interrupted(const atomic_bool *cancel)
{
        if (errno != EINTR)
                return false;
        if (cancel && atomic_load(cancel)) {
                errno = ECANCELED;
                return false;
        }
        return true;
}

ssize_t fd_read_some(int fd, void *buffer, size_t size, const atomic_bool *cancel)
{
        ssize_t n;

        do
                n = read(fd, buffer, size);
        while (n < 0 && interrupted(cancel));
        return n;
}

ssize_t fd_read_full(int fd, void *buffer, size_t size, const atomic_bool *cancel)
{
        return READ_FULL(size, fd_read_some(fd, (char *)buffer + done, size - done, cancel));
}

static ssize_t pread_some(int fd, void *buffer, size_t size, off_t offset)
{
        ssize_t n;

        do
                n = pread(fd, buffer, size, offset);
        while (n < 0 && errno == EINTR);
        return n;
}

ssize_t fd_pread_full(int fd, void *buffer, size_t size, off_t offset)
{
        return READ_FULL(size, pread_some(fd, (char *)buffer + done, size - done, offset + (off_t)done));
}

int fd_pwrite_full(int fd, const void *buffer, size_t size, off_t offset)
{
        size_t done = 0;

        while (done < size) {
                ssize_t n = pwrite(fd, (const char *)buffer + done, size - done, offset + (off_t)done);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0) {
                        if (n == 0)
                                errno = EIO;
                        return -1;
                }
                done += (size_t)n;
        }
        return 0;
}

int fd_writev_full(int fd, struct iovec *iov, int count, const atomic_bool *cancel, uint64_t *written)
{
        while (count > 0) {
                ssize_t n;

                if (iov->iov_len == 0) {
                        iov++;
                        count--;
                        continue;
                }
                n = writev(fd, iov, count > IOV_MAX ? IOV_MAX : count);
                if (n < 0 && interrupted(cancel))
                        continue;
                if (n <= 0) {
                        if (n == 0)
                                errno = EIO;
                        return -1;
                }
                if (written)
                        *written += (uint64_t)n;
                while (n > 0 && count > 0) {
                        size_t step = (size_t)n < iov->iov_len ? (size_t)n : iov->iov_len;

                        iov->iov_base = (char *)iov->iov_base + step;
                        iov->iov_len -= step;
                        n -= (ssize_t)step;
                        if (iov->iov_len == 0) {
                                iov++;
                                count--;
                        }
                }
        }
        return 0;
}

int fd_write_full(int fd, const void *buffer, size_t size, const atomic_bool *cancel)
{
        struct iovec iov = { .iov_base = (void *)(uintptr_t)buffer, .iov_len = size };

        return fd_writev_full(fd, &iov, 1, cancel, /* written= */ NULL);
}

int fd_allocate(int fd, int mode, off_t offset, off_t size)
{
        int rc;

        do
                rc = fallocate(fd, mode, offset, size);
        while (rc < 0 && errno == EINTR);
        return rc;
}

int fd_pidfd_open(pid_t pid)
{
        return (int)syscall(SYS_pidfd_open, pid, 0);
}

int fd_rename_noreplace(int old_dir, const char *old_name, int new_dir, const char *new_name)
{
        if (renameat2(old_dir, old_name, new_dir, new_name, RENAME_NOREPLACE) == 0)
                return 0;
        if (errno != EINVAL && errno != ENOSYS)
                return -1;
        if (linkat(old_dir, old_name, new_dir, new_name, 0) < 0)
                return -1;
        return unlinkat(old_dir, old_name, 0);
}

bool fd_has_name(int dir_fd, const char *name, int fd)
{
        struct stat by_name, by_fd;

        return fstatat(dir_fd, name, &by_name, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &by_fd) == 0 &&
               by_name.st_dev == by_fd.st_dev && by_name.st_ino == by_fd.st_ino;
}

DIR *fd_list(int dir_fd)
{
        CLEANUP(fd_closep) int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

        if (dir)
                (void)take_fd(&fd);
        return dir;
}

int fd_read_file(int dir_fd, const char *path, size_t limit, char **ret_text, size_t *ret_size)
{
        CLEANUP(fd_closep) int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        CLEANUP(freep) char *text = NULL;
        ssize_t n;

        if (fd < 0)
                return -1;
        text = malloc(limit + 2);
        if (!text)
                return -1;
        n = fd_read_full(fd, text, limit + 1, /* cancel= */ NULL);
        if (n < 0)
                return -1;
        if ((size_t)n > limit) {
                errno = EFBIG;
                return -1;
        }
        text[n] = '\0';
        *ret_size = (size_t)n;
        *ret_text = take_ptr(&text);
        return 0;
}

bool fd_find_number(const char *path, const char *key, int base, uint64_t *ret_number)
{
        CLEANUP(freep) char *text = NULL;
        const char *at;
        size_t size;

        if (fd_read_file(AT_FDCWD, path, KERNEL_FILE_MAX, &text, &size) < 0 || !(at = strstr(text, key)))
                return false;
        *ret_number = strtoull(at + strlen(key), NULL, base);
        return true;
}
