#include "core/sqlite/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

/* File systems whose files can share blocks. The database is opened a second time on these only. */
static const unsigned long sharing[] = { BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC, 0xca451a4e /* bcachefs */,
                                         OCFS2_SUPER_MAGIC };

static int spool_raise(const struct spool *spool, int sys_errno, struct error *err)
{
        return error_raise_errno(err, sys_errno,
                                 "cannot spool the rest of the database in '%s' (name another folder with --spool-dir)",
                                 spool->folder);
}

/* A file with a name, which is taken away at once. */
static int create_and_unlink(const char *folder)
{
        CLEANUP(freep) char *path = NULL;
        int fd;

        if (asprintf(&path, "%s/.vdipipe-spool-XXXXXX", folder) < 0)
                return -1;
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
                unlink(path);
        return fd;
}

int spool_create(struct spool *spool, const char *folder, struct error *err)
{
        spool->folder = folder;
        spool->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (spool->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
                spool->fd = create_and_unlink(folder);
        if (spool->fd < 0)
                return spool_raise(spool, errno, err);
        return 0;
}

bool spool_clone(struct spool *spool, const char *path)
{
        struct statfs fs;
        bool can = false;

        if (statfs(path, &fs) < 0)
                return false;
        for (size_t i = 0; i < sizeof sharing / sizeof sharing[0]; i++)
                can = can || (unsigned long)fs.f_type == sharing[i];
        if (!can)
                return false;
        spool->clone_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        return spool->clone_fd >= 0 && ioctl(spool->fd, FICLONE, spool->clone_fd) == 0;
}

int spool_reserve(struct spool *spool, uint64_t offset, uint64_t size, struct error *err)
{
        if (size == 0 || fd_allocate(spool->fd, 0, (off_t)offset, (off_t)size) == 0)
                return 0;
        if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
                return spool_raise(spool, errno == EFBIG ? ENOSPC : errno, err);
        return 0;
}

int spool_write(struct spool *spool, const void *buffer, size_t size, uint64_t offset, struct error *err)
{
        if (fd_pwrite_full(spool->fd, buffer, size, (off_t)offset) < 0)
                return spool_raise(spool, errno, err);
        return 0;
}

int spool_read(const struct spool *spool, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        ssize_t n = fd_pread_full(spool->fd, buffer, size, (off_t)offset);

        if (n < 0)
                return error_raise_errno(err, errno, "cannot read the spool file in '%s'", spool->folder);
        memset((char *)buffer + n, 0, size - (size_t)n);
        return 0;
}

void spool_deinit(struct spool *spool)
{
        fd_closep(&spool->fd);
        fd_closep(&spool->clone_fd);
}
