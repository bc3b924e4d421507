#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/sqlite/replace.h"

/* Which inodes to look for. */
struct inode_set {
        dev_t dev;
        ino_t ino[FORMAT_FILES];
        int count;
};

static int target_raise_used(const struct target *target, long pid, struct error *err)
{
        char comm_path[64];
        CLEANUP(freep) char *comm = NULL;
        size_t size = 0;

        if (pid <= 0)
                return error_raise(err, ERR_BUSY, "'%s' is open in another process: close it there first",
                                   target->path);
        snprintf(comm_path, sizeof comm_path, "/proc/%ld/comm", pid);
        if (fd_read_file(AT_FDCWD, comm_path, 64, &comm, &size) < 0 || size == 0)
                return error_raise(err, ERR_BUSY, "'%s' is open in process %ld: close it there first", target->path,
                                   pid);
        comm[strcspn(comm, "\n")] = '\0';
        return error_raise(err, ERR_BUSY, "'%s' is open in process %ld (%s): close it there first", target->path, pid,
                           comm);
}

static bool process_has(const char *pid, const struct inode_set *wanted)
{
        CLEANUP(dir_closep) DIR *dir = NULL;
        char path[64];

        snprintf(path, sizeof path, "/proc/%.20s/fd", pid);
        dir = opendir(path);
        for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
                struct stat st;

                if (fstatat(dirfd(dir), entry->d_name, &st, 0) < 0 || st.st_dev != wanted->dev)
                        continue;
                for (int i = 0; i < wanted->count; i++)
                        if (st.st_ino == wanted->ino[i])
                                return true;
        }
        return false;
}

/* Another process that has one of the files open, as far as we may look; 0 when none is seen. */
static long find_process(const struct inode_set *wanted)
{
        CLEANUP(dir_closep) DIR *dir = opendir("/proc");
        long own = (long)getpid();

        for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
                long pid = isdigit((unsigned char)entry->d_name[0]) ? strtol(entry->d_name, NULL, 10) : 0;

                if (pid > 0 && pid != own && process_has(entry->d_name, wanted))
                        return pid;
        }
        return 0;
}

/* Processes of other users hide their descriptors, but not their locks; and a lease is granted on a file only while
 * nobody else has it open. 0: unused; a process id, or -1 for an unknown one. */
static long find_holder(int fd)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        long holder = 0;

        if (fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK)
                return lock.l_pid > 0 ? lock.l_pid : -1;
        /* Somebody who opens the file right now breaks the lease, and the signal of that must not end us. */
        if (fcntl(fd, F_SETSIG, SIGURG) < 0)
                return 0;
        if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
                fcntl(fd, F_SETLEASE, F_UNLCK);
        else if (errno == EAGAIN)
                holder = -1;
        return holder;
}

int replace_check_unused(const struct target *target, const char *name, struct error *err)
{
        struct inode_set wanted = { 0 };
        long holder;

        for (int i = 0; i < FORMAT_FILES; i++) {
                char sibling[NAME_MAX + 1];
                struct stat st;

                if (!target_sibling(name, i, sibling) ||
                    fstatat(target->folder_fd, sibling, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                        continue;
                wanted.dev = st.st_dev;
                wanted.ino[wanted.count++] = st.st_ino;
        }
        holder = find_process(&wanted);
        if (holder > 0)
                return target_raise_used(target, holder, err);
        for (int i = 0; i < FORMAT_FILES; i++) {
                char sibling[NAME_MAX + 1];
                CLEANUP(fd_closep) int fd = -1;

                if (!target_sibling(name, i, sibling))
                        continue;
                fd = openat(target->folder_fd, sibling, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
                holder = fd >= 0 ? find_holder(fd) : 0;
                if (holder != 0)
                        return target_raise_used(target, holder, err);
        }
        return 0;
}
