/*
 * test_hostile_server.c - servers that break the rules, and the client in another process that has to see through them
 *
 * The test is the server. In each scene it behaves until the client has come as far as the scene wants, then plays its
 * trick; the client has two seconds to abort the set, with words that name the trick, and to leave nothing behind.
 */
#include "tests/peer/honest.h"

#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/set.h"
#include "tests/peer/raw.h"

static char folder[] = "/tmp/vdipipe-hostile-XXXXXX";
static const char set_name[] = "hostile";
static struct honest client;

/* How far the set has come when the trick is played. */
enum stage { JOINED, CONFIGURED, OPENED };

struct trick {
        const char *name;
        enum stage stage;
        void (*play)(struct raw *raw, const struct trick *trick);
        enum vds_abort_reason reason;
        const char *text; /* in the client's words; NULL: it need not have any */
        struct command_record record;
        enum offer offer;
        uint64_t size;
};

static uint32_t devices = 1; /* of the next set */

static void order_client(const char *what, int wait_ms)
{
        struct order order = honest_order_for(HONEST_CLIENT, set_name);

        order.wishes.deviceCount = devices;
        order.wait_ms = wait_ms;
        honest_order(&client, &order);
        honest_expect(&client, REPORT_CREATED, HONEST_PATIENCE_MS, what);
}

static void come_to(struct raw *raw, enum stage stage)
{
        raw_init(raw);
        raw_join(raw, set_name, ROLE_SERVER);
        if (stage >= CONFIGURED)
                raw_configure(raw);
        if (stage >= OPENED)
                raw_open_device(raw, set_name);
}

static void begin(struct raw *raw, enum stage stage, const char *what, int wait_ms)
{
        order_client(what, wait_ms);
        come_to(raw, stage);
        if (stage >= OPENED)
                honest_expect(&client, REPORT_OPENED, HONEST_PATIENCE_MS, what);
}

static void expect_end(const char *what, int result, enum vds_abort_reason reason, const char *text)
{
        struct report report = honest_done(&client, what);

        if (report.result != result || report.reason != reason || (text && !strstr(report.text, text)) ||
            (text && !report.text[0]))
                fail_msg("%s: the client says %s: %s: %s", what, vds_result_name(report.result),
                         vds_abort_text(report.reason), report.text);
}

static void play(const struct trick *trick)
{
        struct raw raw;

        begin(&raw, trick->stage, trick->name, -1);
        trick->play(&raw, trick);
        expect_end(trick->name, VD_E_ABORT, trick->reason, trick->text);
        raw_deinit(&raw);
}

static void play_all(const struct trick *tricks, size_t count)
{
        for (size_t i = 0; i < count; i++)
                play(&tricks[i]);
}

/* One that is called misbehaviour. What follows `words_` are further fields. */
#define TRICK(name_, stage_, play_, words_, ...)                                                               \
        {                                                                                                      \
                .name = name_, .stage = stage_, .play = play_, .text = words_, .reason = VDS_ABORT_MISBEHAVED, \
                __VA_ARGS__                                                                                    \
        }
#define PLAY_ALL(tricks) play_all(tricks, sizeof(tricks) / sizeof(tricks)[0])

/* ---- messages ---- */

static void send_bytes(struct raw *raw, const struct trick *trick)
{
        static const char bytes[sizeof(union message) + 1];

        raw_send(raw, bytes, trick->size, trick->offer, RAW_AREA);
}

static void send_kind(struct raw *raw, const struct trick *trick)
{
        union message message = { .kind = (uint32_t)trick->record.code };

        raw_send(raw, &message, trick->size, OFFER_NONE, 0);
}

static void send_area(struct raw *raw, const struct trick *trick)
{
        struct message_area area = { .kind = MESSAGE_AREA, .index = trick->record.area, .size = trick->size };

        raw_send(raw, &area, sizeof area, OFFER_GOOD, RAW_AREA);
}

static void flood_with_areas(struct raw *raw, const struct trick *trick)
{
        (void)trick;
        for (uint32_t i = 0; i <= SET_AREAS_MAX; i++) {
                const struct message_area area = { .kind = MESSAGE_AREA, .index = i, .size = 4096 };

                raw_send(raw, &area, sizeof area, OFFER_GOOD, 4096);
        }
}

static void configure_again(struct raw *raw, const struct trick *trick)
{
        struct message_configured message;

        raw_configuration(&message);
        raw_send(raw, &message, sizeof message, trick->offer, RAW_AREA);
}

static void messages_that_nobody_should_send(void **state)
{
        static const char none[] = "the server sent a message that is none";
        static const struct trick tricks[] = {
                TRICK("one byte", JOINED, send_bytes, none, .offer = OFFER_NONE, .size = 1),
                TRICK("a byte with memory", JOINED, send_bytes, none, .size = 1),
                TRICK("a long message", JOINED, send_bytes, "too long", .offer = OFFER_NONE,
                      .size = sizeof(union message) + 1),
                TRICK("a message of no kind", JOINED, send_bytes, none, .offer = OFFER_NONE,
                      .size = sizeof(struct message_configured)),
                /* Nothing at all looks like the end of the connection. */
                { .name = "an empty message",
                  .stage = JOINED,
                  .play = send_bytes,
                  .reason = VDS_ABORT_SERVER_DIED,
                  .text = NULL,
                  .offer = OFFER_NONE,
                  .size = 0 },
                TRICK("a greeting too many", JOINED, send_kind, none, .record.code = MESSAGE_HELLO,
                      .size = sizeof(struct message_hello)),
                TRICK("a welcome", JOINED, send_kind, none, .record.code = MESSAGE_WELCOME,
                      .size = sizeof(struct message_welcome)),
                TRICK("a farewell", OPENED, send_kind, none, .record.code = MESSAGE_LEAVE,
                      .size = sizeof(struct message_leave)),
                TRICK("half a configuration", JOINED, send_kind, none, .record.code = MESSAGE_CONFIGURED,
                      .size = sizeof(struct message_configured) / 2),
                TRICK("a status", OPENED, send_kind, none, .record.code = MESSAGE_STATUS,
                      .size = sizeof(struct message_status)),
                TRICK("an area out of order", JOINED, send_area, "buffer area 1, and 0 was next", .record.area = 1,
                      .size = RAW_AREA),
                TRICK("the last area there is", JOINED, send_area, "and 0 was next", .record.area = UINT32_MAX,
                      .size = RAW_AREA),
                TRICK("an area again", OPENED, send_area, "buffer area 0, and 1 was next", .size = RAW_AREA),
                TRICK("an area of no size", JOINED, send_area, "bytes of shared memory", .size = 0),
                TRICK("an area beyond counting", JOINED, send_area, "bytes of shared memory", .size = UINT64_MAX),
                TRICK("an area of a negative size", JOINED, send_area, "bytes of shared memory",
                      .size = UINT64_C(1) << 63),
                TRICK("areas without end", JOINED, flood_with_areas, "more than 128 buffer areas"),
                TRICK("areas without end, later", OPENED, flood_with_areas, "and 1 was next"),
                TRICK("a second configuration", OPENED, configure_again, "ended configuration twice",
                      .offer = OFFER_NONE),
                TRICK("a configuration with memory", JOINED, configure_again, none, .offer = OFFER_GOOD),
        };

        (void)state;
        PLAY_ALL(tricks);
}

static void configurations_that_cannot_be(void **state)
{
        (void)state;
        for (size_t field = 0; field < sizeof(struct VDConfig) / sizeof(uint32_t); field++) {
                static const uint32_t lies[] = { UINT32_MAX, 0x80000000u, 3 };

                for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
                        struct message_configured message;
                        uint32_t words[sizeof message.config / sizeof(uint32_t)];
                        struct raw raw;
                        char what[64];

                        /* The size of the area is for display, and the server's to choose. */
                        if (field * sizeof(uint32_t) == offsetof(struct VDConfig, bufferAreaSize))
                                continue;
                        snprintf(what, sizeof what, "field %zu is %u", field, lies[i]);
                        begin(&raw, JOINED, what, -1);
                        raw_configuration(&message);
                        memcpy(words, &message.config, sizeof words);
                        words[field] = lies[i];
                        memcpy(&message.config, words, sizeof words);
                        raw_send(&raw, &message, sizeof message, OFFER_NONE, 0);
                        expect_end(what, VD_E_ABORT, VDS_ABORT_MISBEHAVED, "");
                        raw_deinit(&raw);
                }
        }
}

static void descriptors_that_are_no_memory(void **state)
{
        (void)state;
        for (int offer = OFFER_NONE; offer < OFFER_COUNT; offer++) {
                const struct message_area area = { .kind = MESSAGE_AREA, .size = RAW_AREA };
                const char *text = offer == OFFER_NONE ? "sent no descriptor" : offer_complaints[offer];
                struct raw raw;

                begin(&raw, JOINED, offer_names[offer], -1);
                if (raw_send(&raw, &area, sizeof area, (enum offer)offer, RAW_AREA)) {
                        expect_end(offer_names[offer], VD_E_ABORT, VDS_ABORT_MISBEHAVED, text);
                        raw_deinit(&raw);
                } else {
                        printf("          this machine has no %s\n", offer_names[offer]);
                        raw_deinit(&raw);
                        expect_end(offer_names[offer], VD_E_ABORT, VDS_ABORT_SERVER_DIED, NULL);
                }
        }
}

/* ---- memory ---- */

static void push(struct raw *raw, const struct trick *trick)
{
        raw_push(raw, &trick->record);
}

static void push_twice(struct raw *raw, const struct trick *trick)
{
        raw->layout->devices[0].commands_ring[1] = raw->layout->devices[0].commands_ring[0] = trick->record;
        atomic_store(&raw->layout->devices[0].command_indices.tail, 2);
        /* No place for a completion, so the first stays under way. */
        atomic_store(&raw->layout->devices[0].completion_indices.head, 0u - VDS_QUEUE_DEPTH);
        wake_signal(&raw->layout->devices[0].client_wake);
}

static void set_tail(struct raw *raw, const struct trick *trick)
{
        atomic_store(&raw->layout->devices[0].command_indices.tail, (uint32_t)trick->size);
        wake_signal(&raw->layout->devices[0].client_wake);
}

static void set_head(struct raw *raw, const struct trick *trick)
{
        atomic_store(&raw->layout->devices[0].completion_indices.head, (uint32_t)trick->size);
        raw_push(raw, &trick->record);
}

/* Commands faster than anybody can take them, and never a completion left where it was put. */
static void flood_with_commands(struct raw *raw, const struct trick *trick)
{
        struct layout_device *device = &raw->layout->devices[0];

        for (uint32_t i = 0; i < VDS_QUEUE_DEPTH; i++)
                device->commands_ring[i] = trick->record;
        while (!honest_has_reported(&client)) {
                atomic_store(&device->completion_indices.head, atomic_load(&device->completion_indices.tail));
                atomic_store(&device->command_indices.tail,
                             atomic_load(&device->command_indices.head) + VDS_QUEUE_DEPTH + 1);
                wake_signal(&device->client_wake);
        }
}

/* Of the second device: the first has the set's name, whatever its server says. */
static void name_device(struct raw *raw, const struct trick *trick)
{
        struct layout_device *device = &raw->layout->devices[1];

        raw_open_device(raw, set_name);
        snprintf(device->name, sizeof device->name, "%s", trick->name);
        atomic_store(&device->phase, DEVICE_OPENED);
        wake_signal(&raw->layout->client_wake);
}

static void set_abort_word(struct raw *raw, const struct trick *trick)
{
        atomic_store(&raw->layout->abort_reason, (uint32_t)trick->size);
        wake_signal(&raw->layout->devices[0].client_wake);
}

static void commands_that_make_no_sense(void **state)
{
        static const char impossible[] = "the server left the device's queue in an impossible state";
        static const struct trick tricks[] = {
                TRICK("no command", OPENED, push, "command 0, which is none", .record = { .code = 0 }),
                TRICK("the command after the last", OPENED, push, "command 20, which is none",
                      .record = { .code = VDC_Complete + 1 }),
                TRICK("a negative command", OPENED, push, "which is none", .record = { .code = INT32_MIN }),
                TRICK("a slot beyond the last", OPENED, push, "slot 64",
                      .record = { .code = VDC_Flush, .slot = VDS_QUEUE_DEPTH }),
                TRICK("a slot in use", OPENED, push_twice, "", .record = { .code = VDC_Flush, .slot = 5 }),
                TRICK("a write without a buffer", OPENED, push, "that takes a buffer",
                      .record = { .code = VDC_Write, .size = RAW_BLOCK }),
                TRICK("a write of nothing", OPENED, push, "Write of 0 bytes",
                      .record = { .code = VDC_Write, .has_buffer = 1 }),
                TRICK("a read of less than nothing", OPENED, push, "Read of -512 bytes",
                      .record = { .code = VDC_Read, .size = -RAW_BLOCK, .has_buffer = 1 }),
                TRICK("a write too large", OPENED, push, "up to 65536",
                      .record = { .code = VDC_Write, .size = VDS_TRANSFER_UNIT + RAW_BLOCK, .has_buffer = 1 }),
                TRICK("half a block", OPENED, push, "blocks of 512",
                      .record = { .code = VDC_Write, .size = RAW_BLOCK / 2, .has_buffer = 1 }),
                TRICK("a buffer behind its area", OPENED, push, "outside its area",
                      .record = { .code = VDC_Write, .size = RAW_BLOCK, .has_buffer = 1, .offset = RAW_AREA }),
                TRICK("a buffer across the end of its area", OPENED, push, "outside its area",
                      .record = { .code = VDC_Write,
                                  .size = 2 * RAW_BLOCK,
                                  .has_buffer = 1,
                                  .offset = RAW_AREA - RAW_BLOCK }),
                TRICK("a buffer around the world", OPENED, push, "outside its area",
                      .record = { .code = VDC_Write,
                                  .size = RAW_BLOCK,
                                  .has_buffer = 1,
                                  .offset = 0u - (uint64_t)RAW_BLOCK }),
                TRICK("a buffer between blocks", OPENED, push, "not aligned",
                      .record = { .code = VDC_Flush, .has_buffer = 1, .offset = 1 }),
                TRICK("an area beyond the last", OPENED, push, "buffer area 128",
                      .record = { .code = VDC_Write, .size = RAW_BLOCK, .has_buffer = 1, .area = SET_AREAS_MAX }),
                TRICK("an index too far", OPENED, set_tail, impossible, .size = VDS_QUEUE_DEPTH + 1),
                TRICK("an index of -1", OPENED, set_tail, impossible, .size = UINT32_MAX),
                TRICK("completions taken before they came", OPENED, set_head, impossible,
                      .record = { .code = VDC_Flush }, .size = 1),
                TRICK("commands without end", OPENED, flood_with_commands, impossible,
                      .record = { .code = VDC_Flush, .slot = 1 }),
                TRICK("an abort for no reason there is", OPENED, set_abort_word, NULL, .size = VDS_ABORT_REASON_COUNT),
                { .name = "an abort in our own name",
                  .stage = OPENED,
                  .play = set_abort_word,
                  .reason = VDS_ABORT_CLIENT,
                  .text = NULL,
                  .size = VDS_ABORT_CLIENT },
        };

        (void)state;
        PLAY_ALL(tricks);
}

static void names_that_no_device_may_have(void **state)
{
        static const struct trick tricks[] = {
                TRICK("a\\b", CONFIGURED, name_device, "a name that it may not have"),
                TRICK("", CONFIGURED, name_device, "a name that it may not have"),
                TRICK("hostile", CONFIGURED, name_device, "a name that it may not have"),
        };

        (void)state;
        devices = 2;
        PLAY_ALL(tricks);
        devices = 1;
}

/* ---- time ---- */

static void a_server_that_never_goes_on_is_waited_for_as_long_as_the_caller_wants(void **state)
{
        (void)state;
        for (int stage = JOINED; stage <= OPENED; stage += OPENED) {
                const char *what = stage == JOINED ? "no configuration" : "no command";
                struct raw raw;

                begin(&raw, (enum stage)stage, what, 300);
                expect_end(what, VD_E_TIMEOUT, VDS_ABORT_CLIENT, NULL);
                raw_deinit(&raw);
        }
}

static void wake_ups_without_end_do_not_stretch_a_time_out(void **state)
{
        struct deadline deadline;
        struct wake_cell *cell;
        struct raw raw;

        (void)state;
        begin(&raw, OPENED, "wake-ups", 500);
        cell = &raw.layout->devices[0].client_wake;
        deadline = deadline_after_ms(honest_notice_ms);
        while (!honest_has_reported(&client) && !deadline_passed(deadline)) {
                atomic_fetch_add(&cell->sequence, 1);
                syscall(SYS_futex, &cell->sequence, FUTEX_WAKE, 1000, NULL, NULL, 0);
        }
        expect_end("wake-ups", VD_E_TIMEOUT, VDS_ABORT_CLIENT, NULL);
        raw_deinit(&raw);
}

/* ---- processes; the server is a child of the test here, without a thread ---- */

/* Forks a server that comes to `stage`, acts, and kills itself. */
static pid_t fork_server(const char *what, enum stage stage, void (*act)(struct raw *raw))
{
        struct raw raw;
        pid_t pid;

        order_client(what, -1);
        pid = fork();
        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        come_to(&raw, stage);
        act(&raw);
        raise(SIGKILL);
        _exit(1);
}

static void reap(pid_t pid)
{
        int status = 0;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Moves the sleeper to a word that nobody will ever wake. */
static void requeue(struct raw *raw)
{
        raw_requeue(&raw->layout->devices[0].client_wake, &raw->layout->agent_wake);
}

static int grandchild_pipe[2];

/* A grandchild keeps the connection open until the test ends. */
static void give_connection_away(struct raw *raw)
{
        char byte;

        (void)raw;
        if (fork() != 0)
                return;
        close(grandchild_pipe[1]);
        _exit(read(grandchild_pipe[0], &byte, 1) < 0);
}

static void do_nothing(struct raw *raw)
{
        (void)raw;
}

static void push_and_leave(struct raw *raw)
{
        const struct command_record record = { .code = VDC_Flush, .slot = 9 };

        raw_push(raw, &record);
}

static void the_end_of_a_server_cannot_be_hidden(void **state)
{
        static const struct {
                const char *name;
                enum stage stage;
                void (*act)(struct raw *raw);
        } scenes[] = {
                { "dead when joined", JOINED, do_nothing },
                { "dead when configured", CONFIGURED, do_nothing },
                { "dead in mid-command", OPENED, push_and_leave },
                { "dead after moving the sleeper", OPENED, requeue },
                { "dead, and a child has the connection", JOINED, give_connection_away },
                { "dead, and a child has the connection, later", OPENED, give_connection_away },
        };

        (void)state;
        assert_int_equal(pipe(grandchild_pipe), 0);
        for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
                pid_t pid = fork_server(scenes[i].name, scenes[i].stage, scenes[i].act);

                reap(pid);
                expect_end(scenes[i].name, VD_E_ABORT, VDS_ABORT_SERVER_DIED, NULL);
        }
        close(grandchild_pipe[0]);
        close(grandchild_pipe[1]);
}

static void a_connection_closed_in_mid_talk_is_a_death(void **state)
{
        (void)state;
        for (int stage = JOINED; stage <= OPENED; stage++) {
                struct raw raw;

                begin(&raw, (enum stage)stage, "hanging up", -1);
                raw_deinit(&raw);
                expect_end("hanging up", VD_E_ABORT, VDS_ABORT_SERVER_DIED, NULL);
        }
}

static int set_up(void **state)
{
        (void)state;
        if (!mkdtemp(folder) || setenv("VDIPIPE_RUNTIME_DIR", folder, 1) < 0)
                return -1;
        honest_start(&client);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        honest_end(&client);
        /* Nothing lies in it any more, or this fails. */
        return rmdir(folder);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(messages_that_nobody_should_send),
                cmocka_unit_test(configurations_that_cannot_be),
                cmocka_unit_test(descriptors_that_are_no_memory),
                cmocka_unit_test(commands_that_make_no_sense),
                cmocka_unit_test(names_that_no_device_may_have),
                cmocka_unit_test(a_server_that_never_goes_on_is_waited_for_as_long_as_the_caller_wants),
                cmocka_unit_test(wake_ups_without_end_do_not_stretch_a_time_out),
                cmocka_unit_test(the_end_of_a_server_cannot_be_hidden),
                cmocka_unit_test(a_connection_closed_in_mid_talk_is_a_death),
        };

        if (argc > 1 && strcmp(argv[1], "honest") == 0)
                return honest_main();
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
