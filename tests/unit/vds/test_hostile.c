/*
 * A peer that breaks the rules. Each test scribbles over what the other side owns, or sends what nobody should, and
 * expects the set to be aborted for misbehaviour: no crash, no hang, no wrong address.
 */
#include "tests/unit/vds/pair.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/shm/peer.h"
#include "core/vds/internal.h"
#include "core/vds/message.h"
#include "tests/support/blocked.h"

static struct layout_device *shared_device(struct pair *pair)
{
        return &pair->client->set.layout->devices[0];
}

static int get(struct pair *pair)
{
        struct VDC_Command *command;

        return vds_client_device_get_command(pair->client_devices[0], PAIR_WAIT_MS, &command);
}

static void expect_client_aborts(struct pair *pair)
{
        assert_int_equal(get(pair), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair->client), VDS_ABORT_MISBEHAVED);
        assert_true(vds_client_error_text(pair->client)[0]);
}

/* ---- a hostile server's memory ---- */

/* Pushes a record as a server would that checks nothing. */
static void push_raw(struct pair *pair, const struct command_record *record)
{
        assert_int_equal(ring_push(&pair->server->devices[0].commands, record), RING_OK);
        wake_signal(&shared_device(pair)->client_wake);
}

static void the_client_believes_no_record(void **state)
{
        static const struct command_record lies[] = {
                { .code = 0 },
                { .code = VDC_Complete + 1 },
                { .code = -1 },
                { .code = VDC_Flush, .slot = VDS_QUEUE_DEPTH },
                { .code = VDC_Flush, .slot = UINT32_MAX },
                { .code = VDC_Write, .size = PAIR_BLOCK },
                { .code = VDC_Write, .size = 0, .has_buffer = 1 },
                { .code = VDC_Write, .size = -1, .has_buffer = 1 },
                { .code = VDC_Read, .size = INT32_MIN, .has_buffer = 1 },
                { .code = VDC_Write, .size = PAIR_TRANSFER + 1, .has_buffer = 1 },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = 3 * PAIR_TRANSFER },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = 3 * PAIR_TRANSFER - 1 },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = UINT64_MAX },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = UINT64_MAX - PAIR_BLOCK + 1 },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .area = SET_AREAS_MAX },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .area = UINT32_MAX },
                { .code = VDC_Write, .size = PAIR_BLOCK - 1, .has_buffer = 1 },
                { .code = VDC_Read, .size = PAIR_BLOCK + 512, .has_buffer = 1 },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = 1 },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = PAIR_BLOCK / 2 },
                { .code = VDC_Flush, .has_buffer = 1, .offset = PAIR_BLOCK - 1 },
                { .code = VDC_Flush, .size = INT32_MAX, .has_buffer = 1 },
                { .code = VDC_Flush, .size = -7, .has_buffer = 1, .offset = 3 * PAIR_TRANSFER },
        };

        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                struct pair pair;

                pair_up(&pair, 1);
                push_raw(&pair, &lies[i]);
                expect_client_aborts(&pair);
                pair_join_agent(&pair);
                pair_deinit(&pair);
        }
}

/* What lies in front of a buffer is the client's to write, so it has to be there. */
static void a_buffer_has_its_prefix_zone_in_the_area(void **state)
{
        static const struct command_record lies[] = {
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1 },
                { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .offset = PAIR_BLOCK },
                { .code = VDC_Flush, .has_buffer = 1 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                struct pair pair;

                pair_init(&pair, 1);
                pair.wishes.prefixZoneSize = 2 * PAIR_BLOCK;
                pair_open_devices(&pair);
                push_raw(&pair, &lies[i]);
                expect_client_aborts(&pair);
                pair_deinit(&pair);
        }
}

struct feeder {
        struct layout_device *shared;
        _Atomic bool stop;
};

/* Takes completions and sends commands faster than anybody can count them. */
static void *feed(void *argument)
{
        struct feeder *feeder = argument;
        struct layout_device *shared = feeder->shared;

        while (!atomic_load(&feeder->stop)) {
                atomic_store(&shared->completion_indices.head, atomic_load(&shared->completion_indices.tail));
                atomic_store(&shared->command_indices.tail,
                             atomic_load(&shared->command_indices.head) + VDS_QUEUE_DEPTH - 4);
                wake_signal(&shared->client_wake);
        }
        return NULL;
}

static void a_queue_without_end_is_left(void **state)
{
        struct feeder feeder = { .stop = false };
        pthread_t thread;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        feeder.shared = shared_device(&pair);
        for (int i = 0; i < VDS_QUEUE_DEPTH; i++)
                feeder.shared->commands_ring[i] = (struct command_record){ .code = VDC_Flush, .slot = 1 };
        pair.client_devices[0]->io_error = true;
        assert_int_equal(pthread_create(&thread, NULL, feed, &feeder), 0);
        expect_client_aborts(&pair);
        atomic_store(&feeder.stop, true);
        pthread_join(thread, NULL);
        pair_deinit(&pair);
}

/* An area may be on its way still, so the command waits for it; but not for ever. */
static void an_area_that_never_comes_is_waited_for_with_an_end(void **state)
{
        const struct command_record record = { .code = VDC_Write, .size = PAIR_BLOCK, .has_buffer = 1, .area = 7 };
        struct VDC_Command *command;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        push_raw(&pair, &record);
        assert_int_equal(vds_client_device_get_command(pair.client_devices[0], 20, &command), VD_E_TIMEOUT);
        assert_int_equal(pair.client_devices[0]->pending, PENDING_AREA);
        pair.client_devices[0]->pending_deadline = deadline_after_ms(30);
        expect_client_aborts(&pair);
        pair_deinit(&pair);
}

static void a_slot_is_not_used_twice(void **state)
{
        const struct command_record record = { .code = VDC_Flush, .slot = 5 };
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        push_raw(&pair, &record);
        pair_get(pair.client_devices[0], VDC_Flush);
        push_raw(&pair, &record);
        expect_client_aborts(&pair);
        pair_deinit(&pair);
}

static void the_client_believes_no_index(void **state)
{
        struct VDC_Command *command;
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        atomic_store(&shared_device(&pair)->command_indices.tail, 12345);
        expect_client_aborts(&pair);
        pair_deinit(&pair);
        pair_up(&pair, 1);
        sent_init(&sent, VDC_Flush, NULL, 0);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
        command = pair_get(pair.client_devices[0], VDC_Flush);
        atomic_store(&shared_device(&pair)->completion_indices.head, 999);
        assert_int_equal(vds_client_device_complete_command(pair.client_devices[0], command, 0, 0, 0), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_MISBEHAVED);
        sent_wait(&sent);
        pair_deinit(&pair);
}

static void the_client_believes_no_name(void **state)
{
        static const char *const names[] = { "", "a\\b", "set" };

        (void)state;
        for (size_t i = 0; i <= sizeof names / sizeof names[0]; i++) {
                struct vds_client_device *device;
                struct layout_device *shared;
                struct pair pair;

                pair_init(&pair, 2);
                pair_configure(&pair);
                shared = &pair.client->set.layout->devices[1];
                /* The last has no end, and is cut to the longest name, which nobody asks for. */
                memset(shared->name, 'n', sizeof shared->name);
                if (i < sizeof names / sizeof names[0])
                        snprintf(shared->name, sizeof shared->name, "%s", names[i]);
                atomic_store(&shared->phase, 0xFFFFFFFFu);
                assert_int_equal(vds_client_open_device(pair.client, "wanted", &device),
                                 i < sizeof names / sizeof names[0] ? VD_E_ABORT : VD_E_INVALID);
                pair_deinit(&pair);
        }
}

static void strange_words_have_harmless_meanings(void **state)
{
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        memset(pair.client->set.layout->verdict_text, 'x', VDS_TEXT_MAX);
        atomic_store(&pair.client->set.layout->verdict, 0xDEADBEEF);
        assert_int_equal(vds_client_verdict(pair.client, 0, &verdict, text), NOERROR);
        assert_int_equal(verdict, VDS_VERDICT_FAILED);
        assert_int_equal(strlen(text), VDS_TEXT_MAX - 1);
        atomic_store(&pair.client->set.layout->abort_reason, 0xDEADBEEF);
        assert_int_equal(get(&pair), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_MISBEHAVED);
        /* An abort is not taken back. */
        atomic_store(&pair.client->set.layout->abort_reason, 0);
        assert_int_equal(get(&pair), VD_E_ABORT);
        pair_deinit(&pair);
}

/* ---- a hostile client's memory ---- */

static void expect_server_aborts(struct pair *pair)
{
        pair_join_agent(pair);
        assert_int_equal(vds_server_abort_reason(pair->server), VDS_ABORT_MISBEHAVED);
        assert_true(vds_server_error_text(pair->server)[0]);
}

static void the_server_believes_no_completion(void **state)
{
        static const struct completion_record lies[] = {
                { .slot = 1 },
                { .slot = VDS_QUEUE_DEPTH },
                { .slot = UINT32_MAX },
                { .slot = 0, .generation = 1 },
                { .slot = 0, .bytes = PAIR_BLOCK + 1 },
                { .slot = 0, .bytes = UINT32_MAX },
        };

        (void)state;
        for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                struct sent sent;
                struct pair pair;
                uint8_t *buffer;

                pair_up(&pair, 1);
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
                sent_init(&sent, VDC_Write, buffer, PAIR_BLOCK);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
                assert_int_equal(ring_push(&pair.client->devices[0].completions, &lies[i]), RING_OK);
                wake_signal(&pair.client->set.layout->agent_wake);
                sent_wait(&sent);
                assert_int_equal(sent.command.completionCode, ERROR_OPERATION_ABORTED);
                expect_server_aborts(&pair);
                pair_deinit(&pair);
        }
}

static void the_server_believes_no_index(void **state)
{
        struct sent sent;
        struct pair pair;

        (void)state;
        pair_up(&pair, 1);
        atomic_store(&shared_device(&pair)->completion_indices.tail, 0x40000000);
        wake_signal(&pair.client->set.layout->agent_wake);
        expect_server_aborts(&pair);
        pair_deinit(&pair);
        pair_up(&pair, 1);
        atomic_store(&shared_device(&pair)->command_indices.head, 0x40000000);
        sent_init(&sent, VDC_Flush, NULL, 0);
        assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), VD_E_ABORT);
        assert_int_equal(sent_calls(&sent), 1);
        assert_int_equal(sent.command.completionCode, ERROR_OPERATION_ABORTED);
        expect_server_aborts(&pair);
        pair_deinit(&pair);
}

/* ---- both sides at work while a third scribbles over everything they share ---- */

struct scribbler {
        void *region;
        size_t size;
        unsigned seed;
};

static void *scribble(void *argument)
{
        struct scribbler *scribbler = argument;
        /* A length of zero makes a second mapping of the same memory. */
        uint32_t *words = mremap(scribbler->region, 0, scribbler->size, MREMAP_MAYMOVE);
        size_t count = scribbler->size / sizeof *words;

        if (words == MAP_FAILED)
                abort();
        for (int i = 0; i < 3000; i++) {
                size_t at = (size_t)rand_r(&scribbler->seed) % count;

                words[at] = rand_r(&scribbler->seed) % 4 ? (uint32_t)rand_r(&scribbler->seed) % 70
                                                         : (uint32_t)rand_r(&scribbler->seed) * 3;
                if (i % 16 == 0)
                        sched_yield();
        }
        munmap(words, scribbler->size);
        return NULL;
}

static void *client_work(void *argument)
{
        struct pair *pair = argument;
        struct VDC_Command *command;
        int left = 2000;

        while (left-- > 0 && vds_client_device_get_command(pair->client_devices[0], 2000, &command) == NOERROR) {
                if (command->buffer)
                        memset(command->buffer, left, (size_t)command->size % PAIR_TRANSFER);
                vds_client_device_complete_command(pair->client_devices[0], command, 0, 0, 0);
        }
        vds_client_signal_abort(pair->client);
        return NULL;
}

static void everything_survives_a_scribbler(void **state)
{
        (void)state;
        for (unsigned round = 0; round < 60; round++) {
                struct scribbler scribbler;
                struct pair pair;
                struct sent sent[2];
                pthread_t worker;
                pthread_t vandal;
                uint8_t *buffer;

                pair_up(&pair, 1);
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
                scribbler = (struct scribbler){
                        .region = pair.client->set.control.base,
                        .size = (size_t)pair.client->set.control.size,
                        .seed = round + 1,
                };
                assert_int_equal(pthread_create(&worker, NULL, client_work, &pair), 0);
                assert_int_equal(pthread_create(&vandal, NULL, scribble, &scribbler), 0);
                for (int i = 0; i < 1000; i++) {
                        struct sent *one = &sent[i % 2];

                        if (i >= 2)
                                sent_wait(one);
                        sent_init(one, i % 3 ? VDC_Write : VDC_Flush, i % 3 ? buffer : NULL, PAIR_BLOCK);
                        vds_server_device_send_command(pair.server_devices[0], &one->command);
                        if (vds_server_abort_reason(pair.server) != VDS_ABORT_NONE && i >= 2)
                                break;
                }
                pthread_join(vandal, NULL);
                vds_server_signal_abort(pair.server);
                pthread_join(worker, NULL);
                pair_join_agent(&pair);
                pair_deinit(&pair);
        }
}

/* ---- messages ---- */

static int memfd(size_t size, int seals)
{
        int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
        return fd;
}

enum { SEALED = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static enum rendezvous_result reach(const struct pair *pair, int *ret_fd)
{
        return rendezvous_connect(pair->folder, pair->name, FOLDER_REACH_OWN, deadline_after_ms(5000), ret_fd, NULL);
}

/* Joins the pair's set as a server made of nothing but its socket. */
static int join_by_hand(struct pair *pair)
{
        struct message_hello hello = { .kind = MESSAGE_HELLO, .version = LAYOUT_VERSION, .role = ROLE_SERVER };
        struct message_welcome welcome;
        size_t size;
        int pass;
        int fd;

        pair_create(pair);
        snprintf(hello.set_name, sizeof hello.set_name, "%s", pair->name);
        assert_int_equal(reach(pair, &fd), RENDEZVOUS_OK);
        assert_int_equal(peer_send(fd, &hello, sizeof hello, -1, DEADLINE_NEVER, NULL), PEER_OK);
        assert_int_equal(peer_receive(fd, &welcome, sizeof welcome, &size, &pass, deadline_after_ms(5000), NULL),
                         PEER_OK);
        assert_int_equal(welcome.result, NOERROR);
        close(pass);
        return fd;
}

static void configured(struct message_configured *message)
{
        *message = (struct message_configured){
                .kind = MESSAGE_CONFIGURED,
                .config = { .deviceCount = 1,
                            .alignment = PAIR_BLOCK,
                            .blockSize = PAIR_BLOCK,
                            .maxIODepth = VDS_IO_DEPTH,
                            .maxTransferSize = PAIR_TRANSFER },
        };
}

static void expect_message_refused(const void *message, size_t size, int pass, bool twice)
{
        struct VDConfig config;
        struct pair pair;
        int fd;

        pair_init(&pair, 1);
        fd = join_by_hand(&pair);
        if (twice)
                assert_int_equal(peer_send(fd, message, size, pass, DEADLINE_NEVER, NULL), PEER_OK);
        assert_int_equal(peer_send(fd, message, size, pass, DEADLINE_NEVER, NULL), PEER_OK);
        while (!atomic_load(&pair.client->set.layout->abort_reason))
                sched_yield();
        assert_int_equal(vds_client_get_configuration(pair.client, PAIR_WAIT_MS, &config), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_MISBEHAVED);
        close(fd);
        if (pass >= 0)
                close(pass);
        pair_deinit(&pair);
}

static void messages_that_are_none_are_refused(void **state)
{
        struct message_area area = { .kind = MESSAGE_AREA, .size = 4096 };
        struct message_configured message;
        char junk[sizeof(union message) + 1] = { 0 };

        (void)state;
        expect_message_refused(junk, 1, -1, false);
        expect_message_refused(junk, sizeof junk, -1, false);
        expect_message_refused(&area, sizeof area, -1, false);
        expect_message_refused(&area, sizeof area - 1, memfd(4096, SEALED), false);
        expect_message_refused(&area, sizeof area, memfd(4096, 0), false);
        expect_message_refused(&area, sizeof area, memfd(4096, SEALED | F_SEAL_WRITE), false);
        expect_message_refused(&area, sizeof area, memfd(8192, SEALED), false);
        expect_message_refused(&area, sizeof area, open("/dev/null", O_RDWR), false);
        expect_message_refused(&area, sizeof area, memfd(4096, SEALED), /* twice= */ true);
        area.index = 1;
        expect_message_refused(&area, sizeof area, memfd(4096, SEALED), false);
        configured(&message);
        expect_message_refused(&message, sizeof message, -1, /* twice= */ true);
        expect_message_refused(&message, sizeof message, memfd(4096, SEALED), false);
        message.config.deviceCount = 2;
        expect_message_refused(&message, sizeof message, -1, false);
        configured(&message);
        message.config.maxTransferSize = 4096;
        expect_message_refused(&message, sizeof message, -1, false);
        configured(&message);
        message.config.alignment = 512;
        expect_message_refused(&message, sizeof message, -1, false);
        configured(&message);
        message.config.features = VDF_Discard;
        expect_message_refused(&message, sizeof message, -1, false);
}

static void greetings_that_are_none_are_turned_away(void **state)
{
        struct message_hello hello = { .kind = MESSAGE_HELLO, .version = LAYOUT_VERSION, .role = ROLE_SERVER };
        struct message_welcome welcome;
        struct pair pair;
        size_t size;
        int idle[4];
        int pass;
        int fd;

        (void)state;
        pair_init(&pair, 1);
        pair_create(&pair);
        for (int i = 0; i < 4; i++)
                assert_int_equal(reach(&pair, &idle[i]), RENDEZVOUS_OK);
        for (int i = 0; i < 4; i++) {
                snprintf(hello.set_name, sizeof hello.set_name, "%s", i == 0 ? "another" : pair.name);
                hello.version = i == 1 ? LAYOUT_VERSION + 1 : LAYOUT_VERSION;
                hello.role = i == 2 ? 99 : ROLE_SERVER;
                if (i == 3)
                        memset(hello.set_name, 'x', sizeof hello.set_name);
                assert_int_equal(reach(&pair, &fd), RENDEZVOUS_OK);
                assert_int_equal(peer_send(fd, &hello, sizeof hello, -1, DEADLINE_NEVER, NULL), PEER_OK);
                assert_int_equal(
                        peer_receive(fd, &welcome, sizeof welcome, &size, &pass, deadline_after_ms(5000), NULL),
                        PEER_OK);
                assert_int_equal(welcome.result, VD_E_INVALID);
                assert_int_equal(pass, -1);
                close(fd);
        }
        assert_int_equal(reach(&pair, &fd), RENDEZVOUS_OK);
        assert_int_equal(peer_send(fd, "junk", 4, -1, DEADLINE_NEVER, NULL), PEER_OK);
        assert_int_equal(peer_receive(fd, &welcome, sizeof welcome, &size, &pass, deadline_after_ms(5000), NULL),
                         PEER_ENDED);
        close(fd);
        /* Those who never greet stand in nobody's way. */
        assert_int_equal(vds_server_open(pair.server, pair.name), NOERROR);
        for (int i = 0; i < 4; i++)
                close(idle[i]);
        pair_deinit(&pair);
}

struct opener {
        struct pair *pair;
        _Atomic pid_t thread; /* 0 until it runs */
        int result;
};

static void *open_set(void *argument)
{
        struct opener *opener = argument;

        atomic_store(&opener->thread, gettid());
        opener->result = vds_server_open(opener->pair->server, opener->pair->name);
        return NULL;
}

static void a_server_waits_until_the_silent_have_gone(void **state)
{
        int idle[2 * CLIENT_HALF_OPEN_MAX];
        struct opener opener;
        pthread_t thread;
        struct pair pair;
        pid_t tid;

        (void)state;
        pair_init(&pair, 1);
        pair_create(&pair);
        for (int i = 0; i < 2 * CLIENT_HALF_OPEN_MAX; i++)
                assert_int_equal(reach(&pair, &idle[i]), RENDEZVOUS_OK);
        opener.pair = &pair;
        opener.result = 1;
        atomic_init(&opener.thread, 0);
        assert_int_equal(pthread_create(&thread, NULL, open_set, &opener), 0);
        while ((tid = atomic_load(&opener.thread)) == 0)
                sched_yield();
        assert_true(wait_until_in(tid, SYS_poll));
        for (int i = 0; i < 2 * CLIENT_HALF_OPEN_MAX; i++)
                close(idle[i]);
        pthread_join(thread, NULL);
        assert_int_equal(opener.result, NOERROR);
        pair_deinit(&pair);
}

/* ---- a hostile primary ---- */

struct false_primary {
        struct rendezvous rendezvous;
        struct message_welcome welcome;
        int pass;
        bool silent;
        const void *more; /* a second message */
        size_t more_size; /* 0: none */
        int more_pass;
};

static void *answer_once(void *argument)
{
        struct false_primary *primary = argument;
        struct message_hello hello;
        size_t size;
        int pass;
        int fd;

        while ((fd = accept(primary->rendezvous.listen_fd, NULL, NULL)) < 0)
                sched_yield();
        peer_receive(fd, &hello, sizeof hello, &size, &pass, deadline_after_ms(5000), NULL);
        if (!primary->silent)
                peer_send(fd, &primary->welcome, sizeof primary->welcome, primary->pass, DEADLINE_NEVER, NULL);
        if (primary->more_size > 0)
                peer_send(fd, primary->more, primary->more_size, primary->more_pass, DEADLINE_NEVER, NULL);
        close(fd);
        return NULL;
}

static void expect_not_joined(struct false_primary primary, bool as_secondary)
{
        struct pair pair;
        pthread_t thread;

        pair_init(&pair, 1);
        primary.rendezvous = (struct rendezvous)RENDEZVOUS_INIT;
        assert_int_equal(rendezvous_listen(pair.folder, NULL, "set", &primary.rendezvous, NULL), RENDEZVOUS_OK);
        assert_int_equal(pthread_create(&thread, NULL, answer_once, &primary), 0);
        if (as_secondary) {
                assert_int_equal(vds_client_open_in_secondary(pair.client, "set"), VD_E_PROTOCOL);
                assert_true(vds_client_error_text(pair.client)[0]);
        } else {
                assert_int_equal(vds_server_open(pair.server, "set"), VD_E_INVALID);
                assert_true(vds_server_error_text(pair.server)[0]);
        }
        pthread_join(thread, NULL);
        rendezvous_close(&primary.rendezvous);
        pair_deinit(&pair);
}

static void expect_primary_refused(struct message_welcome welcome, int pass, bool silent)
{
        const struct false_primary primary = { .welcome = welcome, .pass = pass, .silent = silent };

        expect_not_joined(primary, false);
        expect_not_joined(primary, true);
        if (pass >= 0)
                close(pass);
}

static void a_primary_that_lies_is_not_joined(void **state)
{
        const uint32_t size = (uint32_t)layout_size(1);
        const struct message_welcome good = { .kind = MESSAGE_WELCOME,
                                              .wishes = { .deviceCount = 1 },
                                              .control_size = size };
        struct message_welcome welcome;

        (void)state;
        expect_primary_refused(good, -1, /* silent= */ true);
        expect_primary_refused(good, -1, false);
        expect_primary_refused(good, memfd(size, 0), false);
        expect_primary_refused(good, memfd(size - 1, SEALED), false);
        expect_primary_refused(good, memfd(size, SEALED), false); /* no magic in it */
        welcome = good;
        welcome.kind = MESSAGE_HELLO;
        expect_primary_refused(welcome, memfd(size, SEALED), false);
        welcome = good;
        welcome.control_size = 10;
        expect_primary_refused(welcome, memfd(10, SEALED), false);
        welcome = good;
        welcome.wishes.deviceCount = 1000;
        expect_primary_refused(welcome, memfd(size, SEALED), false);
        welcome = good;
        welcome.wishes.prefixZoneSize = UINT32_MAX;
        expect_primary_refused(welcome, memfd(size, SEALED), false);
        welcome = good;
        welcome.result = VD_E_MEMORY;
        memset(welcome.text, 'x', sizeof welcome.text);
        expect_primary_refused(welcome, -1, false);
}

/* A set that a secondary believes in, but for what it is told next. */
static void a_secondary_believes_no_news(void **state)
{
        const struct VDConfig wishes = { .deviceCount = 1 };
        const struct config_shape shape = { .block_size = 512, .max_transfer_size = VDS_TRANSFER_UNIT };
        struct message_configured configured = { .kind = MESSAGE_CONFIGURED };
        const struct message_leave leave = { .kind = MESSAGE_LEAVE };
        struct message_area area = { .kind = MESSAGE_AREA, .size = 4096 };
        struct region region = REGION_INIT;
        struct false_primary primary = { .welcome = { .kind = MESSAGE_WELCOME, .wishes = wishes, .member = 2 } };
        struct layout *layout;
        int descriptors = count_descriptors();
        int sealed = memfd(4096, SEALED);

        (void)state;
        assert_int_equal(config_merge(&wishes, &shape, &configured.config, NULL), 0);
        assert_int_equal(region_create("test", layout_size(1), &region, NULL), 0);
        layout = (struct layout *)(void *)region.base;
        layout->magic = LAYOUT_MAGIC;
        layout->version = LAYOUT_VERSION;
        layout->device_count = 1;
        primary.welcome.control_size = (uint32_t)region.size;
        primary.pass = region.fd;
        /* Nothing; what it is not; something with a descriptor too many, or too few, or a false one. */
        expect_not_joined(primary, true);
        primary = (struct false_primary){ .welcome = primary.welcome, .pass = region.fd, .more = &leave };
        primary.more_size = sizeof leave;
        primary.more_pass = -1;
        expect_not_joined(primary, true);
        primary.more = &configured;
        primary.more_size = sizeof configured;
        primary.more_pass = sealed;
        expect_not_joined(primary, true);
        primary.more_size = sizeof configured - 1;
        primary.more_pass = -1;
        expect_not_joined(primary, true);
        primary.more = &area;
        primary.more_size = sizeof area;
        expect_not_joined(primary, true);
        area.index = 1;
        primary.more_pass = sealed;
        expect_not_joined(primary, true);
        area.index = 0;
        area.size = 8192;
        expect_not_joined(primary, true);
        primary.more = &configured;
        primary.more_size = sizeof configured;
        primary.more_pass = -1;
        configured.config.blockSize = 7;
        expect_not_joined(primary, true);
        configured.config.blockSize = 512;
        /* Nobody is a secondary under the primary's number. */
        primary.welcome.member = MEMBER_PRIMARY;
        expect_not_joined(primary, true);
        region_deinit(&region);
        close(sealed);
        assert_int_equal(count_descriptors(), descriptors);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_client_believes_no_record),
                cmocka_unit_test(a_buffer_has_its_prefix_zone_in_the_area),
                cmocka_unit_test(a_queue_without_end_is_left),
                cmocka_unit_test(an_area_that_never_comes_is_waited_for_with_an_end),
                cmocka_unit_test(a_slot_is_not_used_twice),
                cmocka_unit_test(the_client_believes_no_index),
                cmocka_unit_test(the_client_believes_no_name),
                cmocka_unit_test(strange_words_have_harmless_meanings),
                cmocka_unit_test(the_server_believes_no_completion),
                cmocka_unit_test(the_server_believes_no_index),
                cmocka_unit_test(everything_survives_a_scribbler),
                cmocka_unit_test(messages_that_are_none_are_refused),
                cmocka_unit_test(greetings_that_are_none_are_turned_away),
                cmocka_unit_test(a_server_waits_until_the_silent_have_gone),
                cmocka_unit_test(a_primary_that_lies_is_not_joined),
                cmocka_unit_test(a_secondary_believes_no_news),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
