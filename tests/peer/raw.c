#include "tests/peer/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/shm/peer.h"

enum { PATIENCE_MS = 30000, OFFERED_MAX = 8 };

#define NOT_MEMORY "something that is not shared memory"

const char *const offer_names[OFFER_COUNT] = {
        [OFFER_GOOD] = "memory as it should be",
        [OFFER_NONE] = "no descriptor",
        [OFFER_TWO] = "two descriptors",
        [OFFER_MANY] = "more descriptors than anybody receives",
        [OFFER_PIPE] = "a pipe",
        [OFFER_SOCKET] = "a socket",
        [OFFER_FILE] = "a file",
        [OFFER_FOLDER] = "a folder",
        [OFFER_DEVICE] = "a device",
        [OFFER_SHM_FILE] = "a file in memory",
        [OFFER_UNSEALED] = "memory without seals",
        [OFFER_HALF_SEALED] = "memory sealed by half",
        [OFFER_SMALL] = "too little memory",
        [OFFER_LARGE] = "too much memory",
        [OFFER_EMPTY] = "empty memory",
        [OFFER_READ_ONLY] = "memory opened for reading",
        [OFFER_WRITE_SEALED] = "memory sealed against writing",
        [OFFER_HUGE_PAGES] = "huge pages",
};

const char *const offer_complaints[OFFER_COUNT] = {
        [OFFER_NONE] = "", /* the receiver's own words */
        [OFFER_TWO] = "several descriptors",
        [OFFER_MANY] = "several descriptors",
        [OFFER_PIPE] = NOT_MEMORY,
        [OFFER_SOCKET] = NOT_MEMORY,
        [OFFER_FILE] = NOT_MEMORY,
        [OFFER_FOLDER] = NOT_MEMORY,
        [OFFER_DEVICE] = NOT_MEMORY,
        [OFFER_SHM_FILE] = "not sealed",
        [OFFER_UNSEALED] = "not sealed",
        [OFFER_HALF_SEALED] = "not sealed",
        [OFFER_SMALL] = "bytes of shared memory and announces",
        [OFFER_LARGE] = "bytes of shared memory and announces",
        [OFFER_EMPTY] = "bytes of shared memory and announces",
        [OFFER_READ_ONLY] = "cannot be written to",
        [OFFER_WRITE_SEALED] = "cannot be written to",
        [OFFER_HUGE_PAGES] = NOT_MEMORY,
};

/* Ends the process unless `fine`. */
static void need(bool fine, const char *what)
{
        if (fine)
                return;
        fprintf(stderr, "hostile process: %s: %s\n", what, strerror(errno));
        abort();
}

void raw_init(struct raw *raw)
{
        *raw = (struct raw){ .rendezvous = RENDEZVOUS_INIT, .fd = -1, .control = REGION_INIT, .area = REGION_INIT };
}

static void close_fd(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

void raw_deinit(struct raw *raw)
{
        close_fd(&raw->fd);
        rendezvous_close(&raw->rendezvous);
        region_deinit(&raw->control);
        region_deinit(&raw->area);
}

/* ---- offers ---- */

static int memory(uint64_t size, unsigned flags, int seals)
{
        int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

        if (fd < 0 && (flags & MFD_HUGETLB))
                return -1;
        need(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0, "make memory");
        return fd;
}

static int reopened(int fd, int flags)
{
        char path[64];
        int again;

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        again = open(path, flags | O_CLOEXEC);
        need(again >= 0, "open memory again");
        close(fd);
        return again;
}

/* A file of the size, without a name. */
static int file_in(const char *folder, uint64_t size)
{
        char path[64];
        int fd;

        snprintf(path, sizeof path, "%s/vdipipe-hostile-XXXXXX", folder);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd < 0)
                return -1;
        unlink(path);
        need(ftruncate(fd, (off_t)size) == 0, "make a file");
        return fd;
}

static int one_of_two(int ends[2])
{
        close(ends[1]);
        return ends[0];
}

enum { SEALED = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

/* One descriptor; -1: this machine has none of the kind. */
static int offered(enum offer offer, uint64_t size)
{
        int ends[2];

        switch (offer) {
        case OFFER_PIPE:
                need(pipe2(ends, O_CLOEXEC) == 0, "make a pipe");
                return one_of_two(ends);
        case OFFER_SOCKET:
                need(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "make a socket");
                return one_of_two(ends);
        case OFFER_FILE:
                return file_in("/var/tmp", size);
        case OFFER_SHM_FILE:
                return file_in("/dev/shm", size);
        case OFFER_FOLDER:
                return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        case OFFER_DEVICE:
                return open("/dev/zero", O_RDWR | O_CLOEXEC);
        case OFFER_UNSEALED:
                return memory(size, 0, 0);
        case OFFER_HALF_SEALED:
                return memory(size, 0, F_SEAL_SHRINK | F_SEAL_SEAL);
        case OFFER_SMALL:
                return memory(size - 1, 0, SEALED);
        case OFFER_LARGE:
                return memory(size + 65536, 0, SEALED);
        case OFFER_EMPTY:
                return memory(0, 0, SEALED);
        case OFFER_READ_ONLY:
                return reopened(memory(size, 0, SEALED), O_RDONLY);
        case OFFER_WRITE_SEALED:
                return memory(size, 0, SEALED | F_SEAL_WRITE);
        case OFFER_HUGE_PAGES:
                return memory(2097152, MFD_HUGETLB, SEALED);
        default:
                return memory(size, 0, SEALED);
        }
}

static void send_packet(int fd, const void *message, size_t size, const int *fds, size_t count)
{
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(OFFERED_MAX * sizeof(int))];
        } control = { .space = { 0 } };
        struct iovec iov = { .iov_base = (void *)(uintptr_t)message, .iov_len = size };
        struct msghdr packet = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (count > 0) {
                packet.msg_control = control.space;
                packet.msg_controllen = CMSG_SPACE(count * sizeof(int));
                control.header = (struct cmsghdr){
                        .cmsg_len = CMSG_LEN(count * sizeof(int)),
                        .cmsg_level = SOL_SOCKET,
                        .cmsg_type = SCM_RIGHTS,
                };
                memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
        }
        /* The other side may have hung up on what came before. */
        need(sendmsg(fd, &packet, MSG_NOSIGNAL) >= 0 || errno == EPIPE || errno == ECONNRESET || errno == EAGAIN,
             "send a packet");
}

bool raw_send(struct raw *raw, const void *message, size_t size, enum offer offer, uint64_t memory_size)
{
        size_t count = offer == OFFER_NONE ? 0 : offer == OFFER_TWO ? 2 : offer == OFFER_MANY ? OFFERED_MAX : 1;
        int fds[OFFERED_MAX];
        bool made = true;

        for (size_t i = 0; i < count; i++) {
                fds[i] = offered(offer, memory_size);
                made = made && fds[i] >= 0;
        }
        if (made)
                send_packet(raw->fd, message, size, fds, count);
        for (size_t i = 0; i < count; i++)
                close_fd(&fds[i]);
        return made;
}

/* ---- who connects ---- */

void raw_connect(struct raw *raw, const char *name)
{
        struct error err = ERROR_INIT;

        need(rendezvous_connect(NULL, name, FOLDER_REACH_OWN, deadline_after_ms(PATIENCE_MS), &raw->fd, &err) ==
                     RENDEZVOUS_OK,
             "connect");
}

void raw_hello(struct raw *raw, const char *name, enum message_role role, enum message_request request)
{
        struct message_hello hello = {
                .kind = MESSAGE_HELLO, .version = LAYOUT_VERSION, .role = role, .request = request
        };

        snprintf(hello.set_name, sizeof hello.set_name, "%s", name);
        send_packet(raw->fd, &hello, sizeof hello, NULL, 0);
}

/* Maps what the other side shares, as it should be. */
static void attach(int *fd, uint64_t size, struct region *region)
{
        struct error err = ERROR_INIT;

        need(region_attach(fd, size, region, &err) == 0, err.message);
}

static void use_layout(struct raw *raw)
{
        struct layout_device *device;

        raw->layout = (struct layout *)(void *)raw->control.base;
        device = &raw->layout->devices[0];
        ring_init(&raw->commands, &device->command_indices, device->commands_ring, VDS_QUEUE_DEPTH,
                  sizeof(struct command_record));
        ring_init(&raw->completions, &device->completion_indices, device->completions_ring, VDS_QUEUE_DEPTH,
                  sizeof(struct completion_record));
}

void raw_hear_welcome(struct raw *raw)
{
        size_t size = 0;
        int pass = -1;

        need(peer_receive(raw->fd, &raw->welcome, sizeof raw->welcome, &size, &pass, deadline_after_ms(PATIENCE_MS),
                          NULL) == PEER_OK &&
                     size == sizeof raw->welcome,
             "hear the welcome");
        if (pass < 0)
                return;
        attach(&pass, raw->welcome.control_size, &raw->control);
        use_layout(raw);
}

void raw_join(struct raw *raw, const char *name, enum message_role role)
{
        raw_connect(raw, name);
        raw_hello(raw, name, role, REQUEST_NONE);
        raw_hear_welcome(raw);
        need(raw->layout != NULL, raw->welcome.text);
}

void raw_configuration(struct message_configured *message)
{
        *message = (struct message_configured){
                .kind = MESSAGE_CONFIGURED,
                .config = { .deviceCount = 1,
                            .alignment = RAW_BLOCK,
                            .blockSize = RAW_BLOCK,
                            .maxIODepth = VDS_IO_DEPTH,
                            .maxTransferSize = VDS_TRANSFER_UNIT,
                            .bufferAreaSize = RAW_AREA },
        };
}

void raw_configure(struct raw *raw)
{
        const struct message_area area = { .kind = MESSAGE_AREA, .size = RAW_AREA };
        struct message_configured message;

        raw_configuration(&message);
        message.config.serverTimeOut = raw->welcome.wishes.serverTimeOut;
        message.config.deviceCount = raw->welcome.wishes.deviceCount;
        raw_send(raw, &area, sizeof area, OFFER_GOOD, RAW_AREA);
        atomic_store(&raw->layout->server_phase, SERVER_CONFIGURED);
        raw_send(raw, &message, sizeof message, OFFER_NONE, 0);
}

void raw_open_device(struct raw *raw, const char *name)
{
        struct layout_device *device = &raw->layout->devices[0];

        snprintf(device->name, sizeof device->name, "%s", name);
        atomic_store(&device->phase, DEVICE_OPENED);
        wake_signal(&raw->layout->client_wake);
}

void raw_push(struct raw *raw, const struct command_record *record)
{
        need(ring_push(&raw->commands, record) == RING_OK, "push a command");
        wake_signal(&raw->layout->devices[0].client_wake);
}

/* ---- who listens ---- */

void raw_listen(struct raw *raw, const char *name)
{
        struct error err = ERROR_INIT;

        need(rendezvous_listen(NULL, NULL, name, &raw->rendezvous, &err) == RENDEZVOUS_OK, err.message);
}

void raw_accept(struct raw *raw)
{
        struct pollfd item = { .fd = raw->rendezvous.listen_fd, .events = POLLIN };
        union message hello;
        size_t size = 0;
        int pass = -1;

        need(poll(&item, 1, PATIENCE_MS) == 1, "wait for somebody");
        raw->fd = accept4(raw->rendezvous.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        need(raw->fd >= 0, "accept");
        need(peer_receive(raw->fd, &hello, sizeof hello, &size, &pass, deadline_after_ms(PATIENCE_MS), NULL) == PEER_OK,
             "hear the greeting");
}

void raw_make_welcome(struct raw *raw)
{
        raw->welcome = (struct message_welcome){
                .kind = MESSAGE_WELCOME,
                .wishes = { .deviceCount = 1 },
                .control_size = (uint32_t)layout_size(1),
                .member = MEMBER_PRIMARY + 1,
        };
}

void raw_welcome(struct raw *raw)
{
        struct error err = ERROR_INIT;

        need(region_create("vdipipe-control", raw->welcome.control_size, &raw->control, &err) == 0, err.message);
        use_layout(raw);
        raw->layout->magic = LAYOUT_MAGIC;
        raw->layout->version = LAYOUT_VERSION;
        raw->layout->size = raw->welcome.control_size;
        raw->layout->device_count = 1;
        send_packet(raw->fd, &raw->welcome, sizeof raw->welcome, &raw->control.fd, 1);
}

void raw_hear_configuration(struct raw *raw)
{
        for (;;) {
                union message message;
                size_t size = 0;
                int pass = -1;

                need(peer_receive(raw->fd, &message, sizeof message, &size, &pass, deadline_after_ms(PATIENCE_MS),
                                  NULL) == PEER_OK,
                     "hear the configuration");
                if (message.kind == MESSAGE_CONFIGURED)
                        return;
                if (message.area.index == 0)
                        attach(&pass, message.area.size, &raw->area);
                close_fd(&pass);
        }
}

struct command_record raw_pop(struct raw *raw)
{
        struct command_record record = { 0 };
        struct deadline deadline = deadline_after_ms(PATIENCE_MS);
        struct wake_cell *cell = &raw->layout->devices[0].client_wake;

        for (;;) {
                uint32_t seen = wake_key(cell);

                if (ring_pop(&raw->commands, &record) == RING_OK)
                        return record;
                need(!deadline_passed(deadline), "take a command");
                wake_wait(cell, seen, deadline, NULL);
        }
}

void raw_complete(struct raw *raw, const struct completion_record *record)
{
        need(ring_push(&raw->completions, record) == RING_OK, "push a completion");
        wake_signal(&raw->layout->agent_wake);
}

void raw_requeue(struct wake_cell *from, struct wake_cell *to)
{
        struct deadline deadline = deadline_after_ms(PATIENCE_MS);

        /* The fourth argument is a number, where a wait has its time-out. */
        while (syscall(SYS_futex, &from->sequence, FUTEX_CMP_REQUEUE, 0, (void *)(uintptr_t)INT_MAX, &to->sequence,
                       atomic_load(&from->sequence)) <= 0) {
                need(!deadline_passed(deadline), "find somebody asleep");
                sched_yield();
        }
}
