#include "core/shm/region.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/shm/fork_guard.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* Memory the kernel could hand out, or UINT64_MAX when it does not say. A memfd has no limit of its own: without this
 * question a request beyond the machine's memory would be answered by the out-of-memory killer. */
static uint64_t memory_available(void)
{
        uint64_t kib;

        return fd_find_number("/proc/meminfo", "MemAvailable:", 10, &kib) ? kib * 1024 : UINT64_MAX;
}

/* Finds room for one unit more than is needed, places the mapping at the first boundary inside, and gives the rest
 * back. `populate`: 0, or MAP_POPULATE. */
static int map_aligned(struct region *region, int populate)
{
        uint64_t length = (region->size + 4095) & ~UINT64_C(4095);
        uint64_t room = length + REGION_ALIGNMENT;
        uint8_t *reserved;
        uint8_t *base;

        if (room < region->size || room > SIZE_MAX) {
                errno = ENOMEM;
                return -1;
        }
        reserved = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (reserved == MAP_FAILED)
                return -1;
        base = reserved + (-(uintptr_t)reserved & (REGION_ALIGNMENT - 1));
        if (mmap(base, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | populate, region->fd, 0) ==
            MAP_FAILED) {
                int saved = errno;

                munmap(reserved, room);
                errno = saved;
                return -1;
        }
        if (base > reserved)
                munmap(reserved, (size_t)(base - reserved));
        munmap(base + length, room - length - (size_t)(base - reserved));
        /* A forked child must not write to the memory, nor keep it alive; for which the descriptor is guarded too. */
        madvise(base, length, MADV_DONTFORK);
        region->base = base;
        return 0;
}

int region_create(const char *label, uint64_t size, struct region *ret_region, struct error *err)
{
        CLEANUP(region_deinit) struct region region = REGION_INIT;
        int fault = fault_point("region.create");

        if (fault)
                return error_raise_errno(err, fault, "allocate %" PRIu64 " bytes of shared memory", size);
        if (size == 0 || size > INT64_MAX || size > memory_available())
                return error_raise_errno(err, ENOMEM, "allocate %" PRIu64 " bytes of shared memory", size);
        region.size = size;
        region.fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (region.fd < 0)
                return error_raise_errno(err, errno, "create shared memory");
        fork_guard_add(region.fd);
        if (ftruncate(region.fd, (off_t)size) < 0 || fd_allocate(region.fd, 0, 0, (off_t)size) < 0)
                return error_raise_errno(err, errno == ENOSPC ? ENOMEM : errno,
                                         "allocate %" PRIu64 " bytes of shared memory", size);
        if (fcntl(region.fd, F_ADD_SEALS, SEALS) < 0)
                return error_raise_errno(err, errno, "seal shared memory");
        /* The pages are there, and one call for all of them is cheaper than a fault for each. */
        if (map_aligned(&region, MAP_POPULATE) < 0)
                return error_raise_errno(err, errno, "map %" PRIu64 " bytes of shared memory", size);
        *ret_region = region;
        region = (struct region)REGION_INIT;
        return 0;
}

static int check_offered(int fd, uint64_t size, struct error *err)
{
        /* Asked first, for only memory answers: a file system may be the peer's own, and never answer. */
        int seals = fcntl(fd, F_GET_SEALS);
        struct statfs fs;
        struct stat st;

        if (seals < 0)
                return error_raise(err, ERR_PROTOCOL, "the peer offers something that is not shared memory");
        if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
                return error_raise_errno(err, errno, "examine the memory that the peer offers");
        /* Huge pages have another magic: they are accounted for when touched, so a seal does not keep SIGBUS away. */
        if (!S_ISREG(st.st_mode) || fs.f_type != TMPFS_MAGIC)
                return error_raise(err, ERR_PROTOCOL, "the peer offers something that is not shared memory");
        if ((seals & SEALS) != SEALS)
                return error_raise(err, ERR_PROTOCOL, "the peer offers shared memory that is not sealed");
        if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) || (fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDWR)
                return error_raise(err, ERR_PROTOCOL, "the peer offers shared memory that cannot be written to");
        if (size == 0 || st.st_size < 0 || (uint64_t)st.st_size != size)
                return error_raise(err, ERR_PROTOCOL,
                                   "the peer offers %lld bytes of shared memory and announces %" PRIu64,
                                   (long long)st.st_size, size);
        return 0;
}

int region_attach(int *fd, uint64_t size, struct region *ret_region, struct error *err)
{
        CLEANUP(region_deinit) struct region region = REGION_INIT;

        region.fd = fork_guard_take(fd);
        region.size = size;
        if (check_offered(region.fd, size, err) < 0)
                return -1;
        /* Not populated: what is offered may have holes, and filling them is the offerer's. */
        if (map_aligned(&region, /* populate= */ 0) < 0)
                return error_raise_errno(err, errno, "map %" PRIu64 " bytes of shared memory", size);
        *ret_region = region;
        region = (struct region)REGION_INIT;
        return 0;
}

void region_close_fd(struct region *region)
{
        fork_guard_close(&region->fd);
}

void region_deinit(struct region *region)
{
        if (region->base)
                munmap(region->base, (size_t)((region->size + 4095) & ~UINT64_C(4095)));
        region_close_fd(region);
        *region = (struct region)REGION_INIT;
}
