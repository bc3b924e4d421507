#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/shm/peer.h"
#include "core/shm/region.h"

enum { SIZE = 100000, SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static void both_mappings_are_the_same_memory(void **state)
{
        struct error err = ERROR_INIT;
        struct region mine;
        struct region yours;
        int fd;

        (void)state;
        assert_int_equal(region_create("test", SIZE, &mine, &err), 0);
        fd = dup(mine.fd);
        assert_int_equal(region_attach(&fd, SIZE, &yours, &err), 0);
        assert_int_equal(fd, -1);
        assert_ptr_not_equal(mine.base, yours.base);
        assert_int_equal((uintptr_t)mine.base % REGION_ALIGNMENT, 0);
        assert_int_equal((uintptr_t)yours.base % REGION_ALIGNMENT, 0);
        assert_int_equal(mine.base[SIZE - 1], 0);
        mine.base[SIZE - 1] = 42;
        assert_int_equal(yours.base[SIZE - 1], 42);
        assert_int_equal(ftruncate(yours.fd, 10), -1);
        assert_int_equal(ftruncate(yours.fd, 2 * SIZE), -1);
        region_deinit(&mine);
        assert_int_equal(yours.base[SIZE - 1], 42);
        region_deinit(&yours);
        assert_int_equal(yours.fd, -1);
}

/* Asserts that a descriptor is refused, and that it is closed all the same. */
static void expect_refused(int fd, uint64_t size, const char *words)
{
        struct error err = ERROR_INIT;
        struct region region;
        int offered = fd;

        assert_true(fd >= 0);
        assert_int_equal(region_attach(&fd, size, &region, &err), -1);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_non_null(strstr(err.message, words));
        assert_int_equal(fd, -1);
        assert_int_equal(fcntl(offered, F_GETFD), -1);
}

static int memfd(unsigned flags, int seals)
{
        int fd = memfd_create("test", MFD_ALLOW_SEALING | flags);

        if (fd < 0 || ftruncate(fd, flags & MFD_HUGETLB ? 2 << 20 : SIZE) < 0) {
                close(fd);
                return -1;
        }
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

static void anything_but_sealed_memory_is_refused(void **state)
{
        char path[] = "/dev/shm/vdipipe-test-XXXXXX";
        int pipes[2];
        int huge;

        (void)state;
        expect_refused(memfd(0, 0), SIZE, "not sealed");
        expect_refused(memfd(0, F_SEAL_SHRINK | F_SEAL_SEAL), SIZE, "not sealed");
        expect_refused(memfd(0, F_SEAL_GROW | F_SEAL_SHRINK), SIZE, "not sealed");
        expect_refused(memfd(0, SEALS), SIZE + 1, "announces");
        expect_refused(memfd(0, SEALS), 0, "announces");
        expect_refused(memfd(0, SEALS), UINT64_MAX, "announces");
        expect_refused(open("/dev/zero", O_RDWR), SIZE, "not shared memory");
        expect_refused(open("/etc/passwd", O_RDONLY), SIZE, "not shared memory");
        assert_int_equal(pipe(pipes), 0);
        close(pipes[1]);
        expect_refused(pipes[0], SIZE, "not shared memory");
        expect_refused(mkstemp(path), 0, "not sealed");
        unlink(path);
        huge = memfd(MFD_HUGETLB, SEALS);
        if (huge >= 0)
                expect_refused(huge, 2 << 20, "not shared memory");
}

static void more_than_there_is_is_an_error(void **state)
{
        static const uint64_t sizes[] = { 0, UINT64_C(1) << 50, INT64_MAX, UINT64_MAX };
        struct region region = REGION_INIT;

        (void)state;
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                struct error err = ERROR_INIT;

                assert_int_equal(region_create("test", sizes[i], &region, &err), -1);
                assert_int_equal(err.code, ERR_MEMORY);
                assert_null(region.base);
        }
}

static void messages_carry_at_most_one_descriptor(void **state)
{
        struct deadline soon = deadline_after_ms(2000);
        struct error err = ERROR_INIT;
        char buffer[16];
        size_t size = 0;
        int ends[2];
        int pass;
        pid_t pid;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        assert_int_equal(peer_check(ends[0], NULL, &pid, &err), 0);
        assert_int_equal(pid, getpid());
        assert_int_equal(peer_receive(ends[1], buffer, sizeof buffer, &size, &pass, deadline_after_ms(0), &err),
                         PEER_NOTHING);
        assert_int_equal(peer_send(ends[0], "12345678", 8, STDIN_FILENO, soon, &err), PEER_OK);
        assert_int_equal(peer_receive(ends[1], buffer, sizeof buffer, &size, &pass, soon, &err), PEER_OK);
        assert_int_equal(size, 8);
        assert_true(pass >= 0);
        assert_int_equal(fcntl(pass, F_GETFD), FD_CLOEXEC);
        close(pass);
        assert_int_equal(peer_send(ends[0], "12345678", 8, -1, soon, &err), PEER_OK);
        err = (struct error)ERROR_INIT;
        assert_int_equal(peer_receive(ends[1], buffer, 7, &size, &pass, soon, &err), PEER_FAILED);
        assert_int_equal(err.code, ERR_PROTOCOL);
        close(ends[0]);
        assert_int_equal(peer_receive(ends[1], buffer, sizeof buffer, &size, &pass, soon, &err), PEER_ENDED);
        err = (struct error)ERROR_INIT;
        assert_int_equal(peer_send(ends[1], "x", 1, -1, soon, &err), PEER_FAILED);
        assert_int_equal(err.code, ERR_PIPE);
        close(ends[1]);
}

static void a_descriptor_without_room_is_a_shortage(void **state)
{
        struct rlimit usual;
        struct rlimit tight;
        struct error err = ERROR_INIT;
        enum peer_result result;
        char buffer[16];
        size_t size = 0;
        int fillers[64];
        int count = 0;
        int ends[2];
        int pass;

        (void)state;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        assert_int_equal(peer_send(ends[0], "12345678", 8, STDIN_FILENO, deadline_after_ms(2000), &err), PEER_OK);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
        tight = usual;
        tight.rlim_cur = (rlim_t)ends[1] + 1;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        while (count < 64 && (fillers[count] = dup(ends[0])) >= 0)
                count++;
        result = peer_receive(ends[1], buffer, sizeof buffer, &size, &pass, deadline_after_ms(2000), &err);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        while (count > 0)
                close(fillers[--count]);
        close(ends[0]);
        close(ends[1]);
        assert_int_equal(result, PEER_FAILED);
        assert_int_equal(pass, -1);
        assert_int_equal(err.code, ERR_MEMORY);
}

static int count_descriptors(void)
{
        int count = 0;

        for (int fd = 0; fd < 1024; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

static void a_forked_child_inherits_nothing_of_a_region(void **state)
{
        int before = count_descriptors();
        struct region region;
        int status;
        pid_t child;

        (void)state;
        assert_int_equal(region_create("test", SIZE, &region, NULL), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
                _exit(count_descriptors() - before);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_true(fcntl(region.fd, F_GETFD) >= 0);
        region_close_fd(&region);
        assert_int_equal(region.fd, -1);
        region.base[SIZE - 1] = 1;
        region_deinit(&region);
        assert_int_equal(count_descriptors(), before);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(both_mappings_are_the_same_memory),
                cmocka_unit_test(anything_but_sealed_memory_is_refused),
                cmocka_unit_test(more_than_there_is_is_an_error),
                cmocka_unit_test(messages_carry_at_most_one_descriptor),
                cmocka_unit_test(a_descriptor_without_room_is_a_shortage),
                cmocka_unit_test(a_forked_child_inherits_nothing_of_a_region),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
