/*
 * test_hostile_client.c - clients that break the rules: the server, the secondary client and the observer in another
 * process have to see through a primary, the primary through secondaries and observers
 *
 * The test is the hostile side; the honest one has two seconds to end as the scene says, with words that name what was
 * done, and to leave nothing behind.
 */
#include "tests/peer/honest.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/set.h"
#include "tests/peer/raw.h"

static char folder[] = "/tmp/vdipipe-hostile-XXXXXX";
static const char set_name[] = "hostile";
static struct honest subject; /* whom the hostile side plays with */
static struct honest other;   /* another honest one, where a set needs it */

static void expect_end(const char *what, int result, enum vds_abort_reason reason, const char *text)
{
        struct report report = honest_done(&subject, what);

        /* An abort may come before the agent begins. */
        if (result == NOERROR && report.result == VD_E_ABORT && reason != VDS_ABORT_NONE)
                result = VD_E_ABORT;
        if (report.result != result || report.reason != reason || (text && !strstr(report.text, text)) ||
            (text && !report.text[0]))
                fail_msg("%s: the honest side says %s: %s: %s", what, vds_result_name(report.result),
                         vds_abort_text(report.reason), report.text);
}

/* ---- a primary that lies in its welcome ---- */

static const struct {
        enum honest_role role;
        const char *name;
        int refused; /* what its way in returns when the primary makes no sense */
} joiners[] = {
        { HONEST_SERVER, "server", VD_E_INVALID },
        { HONEST_SECONDARY, "secondary", VD_E_PROTOCOL },
};

enum { JOINERS = sizeof joiners / sizeof joiners[0] };

/* The primary listens, and somebody of that role has greeted it. */
static void meet(struct raw *raw, enum honest_role role)
{
        struct order order = honest_order_for(role, set_name);

        raw_init(raw);
        raw_listen(raw, set_name);
        honest_order(&subject, &order);
        raw_accept(raw);
        raw_make_welcome(raw);
}

struct lie {
        const char *name;
        const char *text;
        struct message_welcome change; /* words that differ from 0 are put in place of the true ones */
        size_t size;                   /* of the message; 0: as it should be */
};

static void overlay(struct message_welcome *welcome, const struct message_welcome *change)
{
        uint32_t words[sizeof *welcome / sizeof(uint32_t)];
        uint32_t others[sizeof *welcome / sizeof(uint32_t)];

        memcpy(words, welcome, sizeof words);
        memcpy(others, change, sizeof others);
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (others[i] != 0)
                        words[i] = others[i];
        memcpy(welcome, words, sizeof words);
}

static void welcomes_that_make_no_sense(void **state)
{
        static const struct lie lies[] = {
                { .name = "another kind", .text = "left", .change.kind = MESSAGE_HELLO },
                { .name = "no kind", .text = "left", .change.kind = UINT32_MAX },
                { .name = "half a message", .text = "left", .size = sizeof(struct message_welcome) / 2 },
                { .name = "one byte", .text = "left", .size = 1 },
                { .name = "a refusal", .text = "go away", .change = { .result = VD_E_INVALID, .text = "go away" } },
                { .name = "a refusal without a reason", .text = NULL, .change.result = VD_E_INVALID },
                { .name = "a refusal that is none", .text = NULL, .change.result = 7 },
                { .name = "too many devices", .text = "devices: a set has 1 to 64", .change.wishes.deviceCount = 65 },
                { .name = "devices without number", .text = "devices", .change.wishes.deviceCount = UINT32_MAX },
                { .name = "a prefix zone beyond bounds", .text = "prefix", .change.wishes.prefixZoneSize = UINT32_MAX },
                { .name = "a crooked alignment", .text = "alignment", .change.wishes.alignment = 3 },
                { .name = "features that are none", .text = "feature", .change.wishes.features = UINT32_MAX },
                { .name = "a small region", .text = "strange size", .change.control_size = 10 },
                { .name = "a large region", .text = "strange size", .change.control_size = UINT32_MAX },
                { .name = "a region without a heading", .text = "none of this version" },
        };

        (void)state;
        for (size_t i = 0; i < JOINERS * sizeof lies / sizeof lies[0]; i++) {
                const struct lie *lie = &lies[i / JOINERS];
                struct raw raw;

                meet(&raw, joiners[i % JOINERS].role);
                overlay(&raw.welcome, &lie->change);
                raw_send(&raw, &raw.welcome, lie->size ? lie->size : sizeof raw.welcome, OFFER_GOOD, layout_size(1));
                expect_end(lie->name, joiners[i % JOINERS].refused, VDS_ABORT_NONE, lie->text);
                raw_deinit(&raw);
        }
}

static void control_regions_that_are_none(void **state)
{
        (void)state;
        for (int i = JOINERS * OFFER_NONE; i < JOINERS * OFFER_COUNT; i++) {
                int offer = i / JOINERS;
                const char *text = offer == OFFER_NONE                         ? "strange size"
                                   : offer == OFFER_TWO || offer == OFFER_MANY ? "left"
                                                                               : offer_complaints[offer];
                struct raw raw;

                meet(&raw, joiners[i % JOINERS].role);
                if (!raw_send(&raw, &raw.welcome, sizeof raw.welcome, (enum offer)offer, layout_size(1)))
                        text = "left";
                raw_deinit(&raw);
                expect_end(offer_names[offer], joiners[i % JOINERS].refused, VDS_ABORT_NONE, text);
        }
}

static void a_primary_that_hangs_up(void **state)
{
        (void)state;
        for (int i = 0; i < JOINERS; i++) {
                struct raw raw;

                meet(&raw, joiners[i].role);
                raw_deinit(&raw);
                expect_end(joiners[i].name, joiners[i].refused, VDS_ABORT_NONE, "left");
        }
}

/* ---- a primary that lies to its server ---- */

struct trick {
        const char *name;
        void (*play)(struct raw *raw, const struct trick *trick);
        enum vds_abort_reason reason;
        const char *text;
        struct completion_record record; /* slot and generation are those of a command that is outstanding, plus this */
        uint64_t size;
        uint32_t patience_ms; /* serverTimeOut */
};

#define TRICK(name_, play_, words_, ...)                                                                  \
        {                                                                                                 \
                .name = name_, .play = play_, .text = words_, .reason = VDS_ABORT_MISBEHAVED, __VA_ARGS__ \
        }

/* The server has all its commands on their way. */
static void serve(struct raw *raw, uint32_t patience_ms)
{
        meet(raw, HONEST_SERVER);
        raw->welcome.wishes.serverTimeOut = patience_ms;
        raw_welcome(raw);
        raw_hear_configuration(raw);
        honest_expect(&subject, REPORT_OPENED, HONEST_PATIENCE_MS, "serve");
}

static void play_all(const struct trick *tricks, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct raw raw;

                serve(&raw, tricks[i].patience_ms);
                tricks[i].play(&raw, &tricks[i]);
                /* Which is what the completion agent says. */
                expect_end(tricks[i].name, NOERROR, tricks[i].reason, tricks[i].text);
                raw_deinit(&raw);
        }
}

/* Completes the first command, in another way than one may. */
static void complete(struct raw *raw, const struct trick *trick)
{
        struct command_record command = raw_pop(raw);
        struct completion_record record = trick->record;

        record.slot += command.slot;
        record.generation += command.generation;
        raw_complete(raw, &record);
}

static void complete_twice(struct raw *raw, const struct trick *trick)
{
        struct command_record command = raw_pop(raw);
        const struct completion_record record = { .slot = command.slot,
                                                  .generation = command.generation,
                                                  .bytes = (uint32_t)trick->size };

        raw_complete(raw, &record);
        raw_complete(raw, &record);
}

static void complete_flush_with_bytes(struct raw *raw, const struct trick *trick)
{
        struct command_record command;
        struct completion_record record = { 0 };

        for (;;) {
                command = raw_pop(raw);
                record.slot = command.slot;
                record.generation = command.generation;
                record.bytes = command.code == VDC_Flush ? (uint32_t)trick->size : (uint32_t)command.size;
                raw_complete(raw, &record);
                if (command.code == VDC_Flush)
                        return;
        }
}

static void set_completion_tail(struct raw *raw, const struct trick *trick)
{
        atomic_store(&raw->layout->devices[0].completion_indices.tail, (uint32_t)trick->size);
        wake_signal(&raw->layout->agent_wake);
}

static void set_command_head(struct raw *raw, const struct trick *trick)
{
        struct command_record command = raw_pop(raw);
        const struct completion_record record = { .slot = command.slot,
                                                  .generation = command.generation,
                                                  .bytes = (uint32_t)command.size };

        atomic_store(&raw->layout->devices[0].command_indices.head, (uint32_t)trick->size);
        /* The server finds out when it sends the next one. */
        raw_complete(raw, &record);
}

static void flood_with_completions(struct raw *raw, const struct trick *trick)
{
        struct layout_device *device = &raw->layout->devices[0];

        (void)trick;
        while (!honest_has_reported(&subject)) {
                atomic_store(&device->completion_indices.tail, atomic_load(&device->completion_indices.head) + 1);
                wake_signal(&raw->layout->agent_wake);
        }
}

static void flood_with_wakes(struct raw *raw, const struct trick *trick)
{
        struct deadline deadline = deadline_after_ms(HONEST_PATIENCE_MS);

        (void)trick;
        while (!honest_has_reported(&subject) && !deadline_passed(deadline))
                wake_signal(&raw->layout->agent_wake);
}

static void send_bytes(struct raw *raw, const struct trick *trick)
{
        static const char bytes[sizeof(union message)];

        raw_send(raw, bytes, trick->size, trick->record.code ? OFFER_GOOD : OFFER_NONE, RAW_AREA);
}

static void flood_with_bytes(struct raw *raw, const struct trick *trick)
{
        for (int i = 0; i < 10000; i++)
                send_bytes(raw, trick);
}

static void set_abort_word(struct raw *raw, const struct trick *trick)
{
        atomic_store(&raw->layout->abort_reason, (uint32_t)trick->size);
        wake_signal(&raw->layout->agent_wake);
}

static void do_nothing(struct raw *raw, const struct trick *trick)
{
        (void)raw;
        (void)trick;
}

static void take_and_hold(struct raw *raw, const struct trick *trick)
{
        (void)trick;
        for (int i = 0; i < HONEST_BUFFERS; i++)
                raw_pop(raw);
}

static void hang_up(struct raw *raw, const struct trick *trick)
{
        if (trick->size) {
                atomic_store(&raw->layout->client_closed, (uint32_t)trick->size);
                wake_signal(&raw->layout->agent_wake);
        }
        raw_deinit(raw);
}

static void completions_that_make_no_sense(void **state)
{
        static const char unknown[] = "the client completed a command that is not outstanding";
        static const char impossible[] = "the client left the device's queue in an impossible state";
        static const struct trick tricks[] = {
                TRICK("a slot that is free", complete, unknown, .record.slot = HONEST_BUFFERS),
                TRICK("a slot beyond the last", complete, unknown, .record.slot = VDS_QUEUE_DEPTH),
                TRICK("the last slot of all", complete, unknown, .record.slot = UINT32_MAX - 8),
                TRICK("an old generation", complete, unknown, .record.generation = UINT32_MAX),
                TRICK("a generation to come", complete, unknown, .record.generation = 1),
                TRICK("more bytes than asked for", complete, unknown, .record.bytes = HONEST_TRANSFER + 1),
                TRICK("bytes without number", complete, unknown, .record.bytes = UINT32_MAX),
                TRICK("bytes of a Flush", complete_flush_with_bytes, unknown, .size = 1),
                TRICK("a command twice", complete_twice, unknown, .size = HONEST_TRANSFER),
                TRICK("completions without end", flood_with_completions, unknown, .size = 0),
                TRICK("an index too far", set_completion_tail, unknown, .size = VDS_QUEUE_DEPTH + 1),
                TRICK("an index of -1", set_completion_tail, unknown, .size = UINT32_MAX),
                TRICK("commands taken before they came", set_command_head, impossible, .size = 0x40000000),
                TRICK("commands given back", set_command_head, impossible, .size = UINT32_MAX - VDS_QUEUE_DEPTH),
        };

        (void)state;
        play_all(tricks, sizeof tricks / sizeof tricks[0]);
}

static void everything_else_that_a_client_should_not_do(void **state)
{
        static const char none[] = "the client sent a message that is none";
        static const struct trick tricks[] = {
                TRICK("a byte", send_bytes, none, .size = 1),
                TRICK("a byte with memory", send_bytes, none, .size = 1, .record.code = 1),
                TRICK("a long message", send_bytes, "", .size = sizeof(union message)),
                TRICK("messages without end", flood_with_bytes, none, .size = 1),
                TRICK("an abort for no reason there is", set_abort_word, NULL, .size = UINT32_MAX),
                { .name = "an abort in the server's name",
                  .play = set_abort_word,
                  .reason = VDS_ABORT_SERVER,
                  .size = VDS_ABORT_SERVER },
                { .name = "nothing is taken", .play = do_nothing, .reason = VDS_ABORT_TIMEOUT, .patience_ms = 200 },
                { .name = "nothing is completed",
                  .play = take_and_hold,
                  .reason = VDS_ABORT_TIMEOUT,
                  .patience_ms = 200 },
                { .name = "wake-ups without end",
                  .play = flood_with_wakes,
                  .reason = VDS_ABORT_TIMEOUT,
                  .patience_ms = 200 },
                { .name = "an empty message", .play = send_bytes, .reason = VDS_ABORT_CLIENT_DIED, .size = 0 },
                { .name = "hanging up", .play = hang_up, .reason = VDS_ABORT_CLIENT_DIED },
                { .name = "closing", .play = hang_up, .reason = VDS_ABORT_CLIENT_CLOSED, .size = 1 },
                { .name = "closing by a strange word", .play = hang_up, .reason = VDS_ABORT_CLIENT_DIED, .size = 99 },
        };

        (void)state;
        play_all(tricks, sizeof tricks / sizeof tricks[0]);
}

/* ---- a primary that lies to a secondary ---- */

static void expect_secondary(const char *what, int result, enum vds_abort_reason reason, const char *text)
{
        expect_end(what, result, reason, text);
}

/* While it joins: each message in place of the configuration. */
static void secondaries_are_told_nonsense(void **state)
{
        static const struct {
                const char *name;
                const char *text;
                uint32_t kind;
                size_t size;
                uint32_t index;
                enum offer offer;
        } messages[] = {
                { "a byte", "a message that is none", 0, 1, 0, OFFER_NONE },
                { "a farewell", "a message that is none", MESSAGE_LEAVE, sizeof(struct message_leave), 0, OFFER_NONE },
                { "an area out of order", "and 0 was next", MESSAGE_AREA, sizeof(struct message_area), 1, OFFER_GOOD },
                { "no memory", "no descriptor", MESSAGE_AREA, sizeof(struct message_area), 0, OFFER_NONE },
                { "two memories", "several descriptors", MESSAGE_AREA, sizeof(struct message_area), 0, OFFER_TWO },
                { "a pipe", "not shared memory", MESSAGE_AREA, sizeof(struct message_area), 0, OFFER_PIPE },
                { "no seals", "not sealed", MESSAGE_AREA, sizeof(struct message_area), 0, OFFER_UNSEALED },
                { "a configuration of zeros", "", MESSAGE_CONFIGURED, sizeof(struct message_configured), 0,
                  OFFER_NONE },
        };

        (void)state;
        for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
                union message message = { .kind = messages[i].kind };
                struct raw raw;

                if (messages[i].kind == MESSAGE_AREA) {
                        message.area.index = messages[i].index;
                        message.area.size = RAW_AREA;
                }
                meet(&raw, HONEST_SECONDARY);
                raw_welcome(&raw);
                raw_send(&raw, &message, messages[i].size, messages[i].offer, RAW_AREA);
                expect_secondary(messages[i].name, VD_E_PROTOCOL, VDS_ABORT_NONE, messages[i].text);
                raw_deinit(&raw);
        }
}

/* A secondary that serves the only device of a set made by the test, which is primary and server at once. */
static void have_secondary(struct raw *raw)
{
        meet(raw, HONEST_SECONDARY);
        raw_welcome(raw);
        raw_configure(raw);
        honest_expect(&subject, REPORT_CREATED, HONEST_PATIENCE_MS, "a secondary");
        raw_open_device(raw, set_name);
        honest_expect(&subject, REPORT_OPENED, HONEST_PATIENCE_MS, "a secondary");
}

static void secondaries_watch_their_primary(void **state)
{
        const struct message_area area = { .kind = MESSAGE_AREA, .index = 7, .size = RAW_AREA };
        const struct command_record record = { .code = VDC_Write, .size = 3, .has_buffer = 1 };
        const struct message_leave leave = { .kind = MESSAGE_LEAVE };
        struct raw raw;

        (void)state;
        have_secondary(&raw);
        raw_send(&raw, &leave, sizeof leave, OFFER_NONE, 0);
        expect_secondary("a farewell", VD_E_ABORT, VDS_ABORT_MISBEHAVED,
                         "the primary client sent a message that is none");
        raw_deinit(&raw);
        have_secondary(&raw);
        raw_send(&raw, &area, sizeof area, OFFER_GOOD, RAW_AREA);
        expect_secondary("an area", VD_E_ABORT, VDS_ABORT_MISBEHAVED, "the primary client announced buffer area 7");
        raw_deinit(&raw);
        have_secondary(&raw);
        raw_push(&raw, &record);
        expect_secondary("a command", VD_E_ABORT, VDS_ABORT_MISBEHAVED, "a Write of 3 bytes");
        raw_deinit(&raw);
        have_secondary(&raw);
        raw_deinit(&raw);
        expect_secondary("hanging up", VD_E_ABORT, VDS_ABORT_CLIENT_DIED, NULL);
}

/* ---- secondaries that lie to their primary ---- */

/* An honest client of two devices and its honest server, and the test as secondary. */
static void be_secondary(struct raw *raw)
{
        struct order order = honest_order_for(HONEST_CLIENT, set_name);

        order.wishes.deviceCount = order.device_count = 2;
        order.wishes.serverTimeOut = 200;
        honest_order(&subject, &order);
        honest_expect(&subject, REPORT_CREATED, HONEST_PATIENCE_MS, "a primary");
        order.role = HONEST_SERVER;
        order.wait_for_go = true;
        honest_order(&other, &order);
        honest_expect(&other, REPORT_OPENED, HONEST_PATIENCE_MS, "a server");
        honest_expect(&subject, REPORT_OPENED, HONEST_PATIENCE_MS, "a primary");
        raw_init(raw);
        raw_join(raw, set_name, ROLE_SECONDARY);
}

static void steal_commands(struct raw *raw)
{
        struct layout_device *device = &raw->layout->devices[0];

        atomic_store(&device->client_opened, 77);
        atomic_store(&device->command_indices.head, 1);
}

static void spoil_handles(struct raw *raw)
{
        memset(raw->layout->devices[0].slots, 0xff, sizeof raw->layout->devices[0].slots);
}

static void spoil_everything(struct raw *raw)
{
        memset((uint8_t *)raw->layout + offsetof(struct layout, server_phase), 0xa5,
               (size_t)(layout_size(2) - offsetof(struct layout, server_phase)));
}

static void primaries_and_servers_survive_a_secondary_that_writes_where_it_may_not(void **state)
{
        static void (*const spoils[])(struct raw * raw) = { steal_commands, spoil_handles, spoil_everything };

        (void)state;
        for (size_t i = 0; i < sizeof spoils / sizeof spoils[0]; i++) {
                struct report ends[2];
                struct raw raw;

                be_secondary(&raw);
                spoils[i](&raw);
                honest_go(&other);
                ends[0] = honest_done(&other, "a server");
                ends[1] = honest_done(&subject, "a primary");
                assert_true(ends[0].result == NOERROR || ends[0].result == VD_E_ABORT);
                assert_true(ends[1].result == VD_E_CLOSE || ends[1].result == VD_E_ABORT);
                raw_deinit(&raw);
        }
}

struct packet {
        const char *name;
        size_t size;
        enum offer offer;
        int count;
        uint32_t kind;
};

static void secondaries_that_say_what_they_should_not(void **state)
{
        static const char none[] = "a secondary client sent a message that is none";
        static const struct packet packets[] = {
                { "a byte", 1, OFFER_NONE, 1, 0 },
                { "an area", sizeof(struct message_area), OFFER_GOOD, 1, MESSAGE_AREA },
                { "a configuration", sizeof(struct message_configured), OFFER_NONE, 1, MESSAGE_CONFIGURED },
                { "farewells without end", sizeof(struct message_leave), OFFER_NONE, 1000, MESSAGE_LEAVE },
        };

        (void)state;
        for (size_t i = 0; i < sizeof packets / sizeof packets[0]; i++) {
                union message message = { .kind = packets[i].kind };
                struct raw raw;

                be_secondary(&raw);
                for (int k = 0; k < packets[i].count; k++)
                        raw_send(&raw, &message, packets[i].size, packets[i].offer, RAW_AREA);
                expect_end(packets[i].name, VD_E_ABORT, VDS_ABORT_MISBEHAVED, none);
                honest_go(&other);
                honest_done(&other, packets[i].name);
                raw_deinit(&raw);
        }
}

/* Who says nothing, or goes without a word, is missed by nobody. */
static void silent_secondaries_disturb_nobody(void **state)
{
        (void)state;
        for (int hangs_up = 0; hangs_up < 2; hangs_up++) {
                struct report report;
                struct raw raw;

                be_secondary(&raw);
                if (hangs_up)
                        raw_deinit(&raw);
                honest_go(&other);
                report = honest_done(&other, "a server");
                assert_int_equal(report.reason, VDS_ABORT_NONE);
                expect_end("a primary", VD_E_CLOSE, VDS_ABORT_NONE, NULL);
                raw_deinit(&raw);
        }
}

/* ---- observers, both ways ---- */

static void observers_believe_no_primary(void **state)
{
        static const struct {
                uint32_t kind;
                size_t size;
        } answers[] = {
                { 0, 1 },
                { MESSAGE_STATUS, sizeof(struct message_status) }, /* of zeros: no devices */
                { MESSAGE_STATUS, sizeof(struct message_status) - 4 },
                { MESSAGE_STATUS, sizeof(uint32_t) },
                { MESSAGE_CONFIGURED, sizeof(struct message_configured) },
                { MESSAGE_WELCOME, sizeof(struct message_welcome) },
                { MESSAGE_AREA, sizeof(struct message_area) },
        };

        (void)state;
        for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
                struct order order = honest_order_for(HONEST_OBSERVER, set_name);
                union message message = { .kind = answers[i].kind };
                struct raw raw;

                raw_init(&raw);
                raw_listen(&raw, set_name);
                honest_order(&subject, &order);
                raw_accept(&raw);
                raw_send(&raw, &message, answers[i].size, OFFER_GOOD, RAW_AREA);
                expect_end("an observer", VD_E_INVALID, VDS_ABORT_NONE, NULL);
                raw_deinit(&raw);
        }
}

/* Every word of the answer is all ones, or texts have no end. */
static void observers_bound_what_they_hear(void **state)
{
        struct message_status answer;
        struct report report;
        struct raw raw;

        (void)state;
        memset(&answer, 0xff, sizeof answer);
        answer.kind = MESSAGE_STATUS;
        answer.status.state = VDS_SET_ACTIVE;
        answer.status.device_count = VDS_DEVICES_MAX;
        raw_init(&raw);
        raw_listen(&raw, set_name);
        honest_order(&subject, &(struct order){ .role = HONEST_OBSERVER, .name = "hostile" });
        raw_accept(&raw);
        raw_send(&raw, &answer, sizeof answer, OFFER_NONE, 0);
        report = honest_done(&subject, "bounds");
        assert_int_equal(report.result, NOERROR);
        assert_string_equal(report.text, "");
        raw_deinit(&raw);
}

/* Questions that are none, asked a thousand times while the set is at work. */
static void observers_without_end_disturb_nobody(void **state)
{
        struct report report;
        struct raw set;

        (void)state;
        be_secondary(&set);
        for (uint32_t i = 0; i < 1000; i++) {
                struct raw raw;

                raw_init(&raw);
                raw_connect(&raw, set_name);
                if (i % 4)
                        raw_hello(&raw, i % 3 ? "" : set_name, ROLE_OBSERVER,
                                  (enum message_request)(i % 2 ? i % 7 == 3 ? 99 : REQUEST_STATUS
                                                               : REQUEST_CONFIGURATION));
                raw_deinit(&raw);
        }
        honest_go(&other);
        report = honest_done(&other, "observers");
        assert_int_equal(report.reason, VDS_ABORT_NONE);
        expect_end("observers", VD_E_CLOSE, VDS_ABORT_NONE, NULL);
        raw_deinit(&set);
}

/* ---- processes; the client is a child of the test here ---- */

static int grandchild_pipe[2];

static void give_connection_away(void)
{
        char byte;

        if (fork() != 0)
                return;
        close(grandchild_pipe[1]);
        _exit(read(grandchild_pipe[0], &byte, 1) < 0);
}

static void die_as_client(int scene)
{
        static const struct trick nothing = { .name = "" };
        struct raw raw;

        raw_init(&raw);
        raw_listen(&raw, set_name);
        /* The test orders the server when it can get in. */
        kill(getppid(), SIGUSR1);
        raw_accept(&raw);
        raw_make_welcome(&raw);
        raw_welcome(&raw);
        raw_hear_configuration(&raw);
        take_and_hold(&raw, &nothing);
        if (scene == 1)
                raw_requeue(&raw.layout->agent_wake, &raw.layout->client_wake);
        if (scene == 2)
                give_connection_away();
        raise(SIGKILL);
        _exit(1);
}

static void the_end_of_a_client_cannot_be_hidden(void **state)
{
        sigset_t listening;

        (void)state;
        sigemptyset(&listening);
        sigaddset(&listening, SIGUSR1);
        sigprocmask(SIG_BLOCK, &listening, NULL);
        assert_int_equal(pipe(grandchild_pipe), 0);
        for (int scene = 0; scene < 3; scene++) {
                struct order order = honest_order_for(HONEST_SERVER, set_name);
                int status = 0;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        die_as_client(scene);
                assert_int_equal(sigwaitinfo(&listening, NULL), SIGUSR1);
                honest_order(&subject, &order);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                expect_end("a dead client", NOERROR, VDS_ABORT_CLIENT_DIED, NULL);
        }
        close(grandchild_pipe[0]);
        close(grandchild_pipe[1]);
}

static int set_up(void **state)
{
        (void)state;
        if (!mkdtemp(folder) || setenv("VDIPIPE_RUNTIME_DIR", folder, 1) < 0)
                return -1;
        honest_start(&subject);
        honest_start(&other);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        honest_end(&subject);
        honest_end(&other);
        /* Nothing lies in it any more, or this fails. */
        return rmdir(folder);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(welcomes_that_make_no_sense),
                cmocka_unit_test(control_regions_that_are_none),
                cmocka_unit_test(a_primary_that_hangs_up),
                cmocka_unit_test(completions_that_make_no_sense),
                cmocka_unit_test(everything_else_that_a_client_should_not_do),
                cmocka_unit_test(secondaries_are_told_nonsense),
                cmocka_unit_test(secondaries_watch_their_primary),
                cmocka_unit_test(primaries_and_servers_survive_a_secondary_that_writes_where_it_may_not),
                cmocka_unit_test(secondaries_that_say_what_they_should_not),
                cmocka_unit_test(silent_secondaries_disturb_nobody),
                cmocka_unit_test(observers_believe_no_primary),
                cmocka_unit_test(observers_bound_what_they_hear),
                cmocka_unit_test(observers_without_end_disturb_nobody),
                cmocka_unit_test(the_end_of_a_client_cannot_be_hidden),
        };

        if (argc > 1 && strcmp(argv[1], "honest") == 0)
                return honest_main();
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
