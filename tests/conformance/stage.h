/*
 * stage.h - a client and a server of one set, as actors, in every arrangement of processes
 *
 * A test is a function of a mode. It builds the set step by step with the functions below, makes the calls that it is
 * about with EXPECT(), and leaves: the teardown gives all actors new handles, sees that each command was called back
 * exactly once, and that nothing is left in the runtime folder.
 */
#pragma once

#include "core/vds/state.h"
#include "tests/conformance/actor.h"

enum mode {
        MODE_ONE_PROCESS = 0,
        MODE_SERVER_APART, /* the server in a process of its own */
        MODE_CLIENT_APART, /* the client likewise */
        MODE_SECONDARY,    /* server apart, and a secondary apart, which serves the devices while the primary is idle */
        MODE_COUNT,
};

enum { STAGE_BLOCK = 4096, STAGE_TRANSFER = 65536, AGENT_HAND = PLAYER_HANDS - 1 };

struct stage {
        enum mode mode;
        struct actor *client; /* the one that makes the set */
        struct actor *user;   /* the client that serves its devices */
        struct actor *server;
        struct actor *other; /* a client with no part in it, in another process than `client` and `user` */
        struct actor *other_server;

        /* What a test may change before it builds. stage_new() gives: two devices, blocks of STAGE_BLOCK, transfers of
         * STAGE_TRANSFER, six buffers of that. */
        struct VDConfig wishes;
        uint32_t features; /* of BeginConfiguration, beyond the wishes */
        uint32_t block_size;
        uint32_t alignment;
        uint32_t transfer_size;
        uint32_t buffer_count; /* 0: none is requested */

        struct VDConfig config; /* the final one, as the user got it */
};

/* The stage of this test's mode, empty.
 * Also in the middle of a test: ends what is there, checks it, and starts again. */
struct stage *stage_new(void **state);

/* Each step begins with the ones before it. */
void stage_create(struct stage *stage);
void stage_join(struct stage *stage);                /* Open */
void stage_begin_configuration(struct stage *stage); /* and RequestBuffers */
void stage_configure(struct stage *stage);           /* EndConfiguration, GetConfiguration, OpenInSecondary */
void stage_open_server_devices(struct stage *stage);
void stage_open_devices(struct stage *stage);
void stage_up(struct stage *stage); /* with the completion agent */

void stage_start_agent(struct stage *stage);
void stage_expect_agent(struct stage *stage, int result); /* waits for its return */

/* The client that is to abort the set: the one that serves it, or will. */
struct actor *stage_aborter(struct stage *stage);

/* The reason of an abort that came from the Close of the client that serves the devices. */
enum vds_abort_reason stage_reason_of_close(const struct stage *stage);

/* One command, there and back: sent, got, completed with success, called back. */
void stage_pass(struct stage *stage, uint32_t device, uint32_t slot, int code);

/* Closes every device, and sees the client told. */
void stage_finish_devices(struct stage *stage);

/* Words that go before every message of a failure, until they are changed: the row of a table. */
void stage_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Fails the test with the mode, the words of stage_say(), and these. */
_Noreturn void stage_fail(int line, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct call_result stage_call(struct actor *actor, const struct call_request *request);
struct call_result stage_expect(int line, struct actor *actor, int expected, const struct call_request *request);
void stage_expect_number(int line, const char *what, int64_t got, int64_t expected);
void stage_expect_callback(int line, struct stage *stage, uint32_t slot, int code, int bytes);

/* CALL(actor, OP_GET_COMMAND, .device = 1): makes the call and returns what came of it. */
#define CALL(actor, ...) stage_call((actor), &(const struct call_request){ .op = __VA_ARGS__ })

/* EXPECT(NOERROR, actor, OP_GET_COMMAND, .device = 1): the same, and the result must be this. */
#define EXPECT(expected, actor, ...) \
        stage_expect(__LINE__, (actor), (expected), &(const struct call_request){ .op = __VA_ARGS__ })

/* BEGIN(actor, hand, OP_GET_COMMAND, .device = 1): another hand makes the call; EXPECT_END(result, actor, hand) ends
 * it. */
#define BEGIN(actor, hand, ...)           actor_begin((actor), (hand), &(const struct call_request){ .op = __VA_ARGS__ })
#define EXPECT_END(expected, actor, hand) stage_expect_end(__LINE__, (actor), (hand), (expected))
struct call_result stage_expect_end(int line, struct actor *actor, int hand, int expected);

#define EXPECT_NUMBER(got, expected) stage_expect_number(__LINE__, #got, (int64_t)(got), (int64_t)(expected))

/* Waits for a slot's callback, which must be the only one and bring this code and this count of bytes. */
#define EXPECT_CALLBACK(stage, slot, code, bytes) stage_expect_callback(__LINE__, (stage), (slot), (code), (bytes))

/* "Active" and the like, of enum vds_state. */
const char *stage_state_name(int state);

/* ---- the program ---- */

#define STAGE_TEST(function, mode_index, text)                                               \
        {                                                                                    \
#function " " text, function, NULL, stage_teardown, &stage_modes[mode_index] \
        }
#define IN_EVERY_MODE(function)                                                 \
        STAGE_TEST(function, MODE_ONE_PROCESS, "in one process"),               \
                STAGE_TEST(function, MODE_SERVER_APART, "with a server apart"), \
                STAGE_TEST(function, MODE_CLIENT_APART, "with a client apart"), \
                STAGE_TEST(function, MODE_SECONDARY, "with a secondary client")
#define IN_ONE_PROCESS(function) STAGE_TEST(function, MODE_ONE_PROCESS, "in one process")

extern enum mode stage_modes[MODE_COUNT];
int stage_teardown(void **state);

/* For cmocka_run_group_tests(): the runtime folder, and the end of the players. */
int stage_open(void **state);
int stage_shut(void **state);

#define STAGE_MAIN(tests)                                                     \
        int main(int argc, char **argv)                                       \
        {                                                                     \
                if (player_is_wanted(argc, argv))                             \
                        return player_main(argv);                             \
                return cmocka_run_group_tests(tests, stage_open, stage_shut); \
        }
