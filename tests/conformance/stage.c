#include "tests/conformance/stage.h"

#include <dirent.h>
#include <stdio.h>
#include <unistd.h>

enum mode stage_modes[MODE_COUNT] = { MODE_ONE_PROCESS, MODE_SERVER_APART, MODE_CLIENT_APART, MODE_SECONDARY };

static const struct {
        const char *name;
        enum part part;
        bool apart;
} players[] = {
        { "client", PART_CLIENT, false },
        { "client apart", PART_CLIENT, true },
        { "second client apart", PART_CLIENT, true },
        { "server", PART_SERVER, false },
        { "server apart", PART_SERVER, true },
};
enum { CLIENT_HERE, CLIENT_APART, SECOND_CLIENT_APART, SERVER_HERE, SERVER_APART, PLAYERS };

static const struct {
        const char *name;
        int client;
        int user;
        int server;
        int other;
        int other_server;
} arrangements[MODE_COUNT] = {
        [MODE_ONE_PROCESS] = { "one process", CLIENT_HERE, CLIENT_HERE, SERVER_HERE, CLIENT_APART, SERVER_APART },
        [MODE_SERVER_APART] = { "a server apart", CLIENT_HERE, CLIENT_HERE, SERVER_APART, CLIENT_APART, SERVER_HERE },
        [MODE_CLIENT_APART] = { "a client apart", CLIENT_APART, CLIENT_APART, SERVER_HERE, CLIENT_HERE, SERVER_APART },
        [MODE_SECONDARY] = { "a secondary client", CLIENT_HERE, CLIENT_APART, SERVER_APART, SECOND_CLIENT_APART,
                             SERVER_HERE },
};

static char folder[] = "/tmp/vdipipe-conformance-XXXXXX";
static struct actor actors[PLAYERS];
static struct stage the_stage;
static char words[256];

/* ---- messages ---- */

void stage_say(const char *format, ...)
{
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(words, sizeof words, format, arguments);
        va_end(arguments);
}

void stage_fail(int line, const char *format, ...)
{
        char text[512];
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        fail_msg("line %d, %s%s%s: %s", line, arrangements[the_stage.mode].name, words[0] ? ", " : "", words, text);
        abort();
}

const char *stage_state_name(int state)
{
        static const char *const names[STATE_COUNT] = {
                [STATE_NONE] = "Does Not Exist",
                [STATE_CONNECTED] = "Connected",
                [STATE_CONFIGURABLE] = "Configurable",
                [STATE_INITIALIZING] = "Initializing",
                [STATE_ACTIVE] = "Active",
                [STATE_TERMINATED] = "Normally Terminated",
                [STATE_ABORT] = "Abort",
        };

        return state >= 0 && state < STATE_COUNT ? names[state] : "no state";
}

/* ---- calls ---- */

struct call_result stage_call(struct actor *actor, const struct call_request *request)
{
        actor_begin(actor, 0, request);
        return actor_finish(actor, 0);
}

struct call_result stage_expect_end(int line, struct actor *actor, int hand, int expected)
{
        enum op op = actor->op[hand];
        struct call_result result = actor_finish(actor, hand);

        if (result.result == expected)
                return result;
        /* Truth values and counts have no names. */
        if (result.result >= 0 && expected >= 0)
                stage_fail(line, "%s of the %s gave %d, expected %d", call_name(op), actor->name, result.result,
                           expected);
        stage_fail(line, "%s of the %s gave %s, expected %s", call_name(op), actor->name,
                   vds_result_name(result.result), vds_result_name(expected));
}

struct call_result stage_expect(int line, struct actor *actor, int expected, const struct call_request *request)
{
        actor_begin(actor, 0, request);
        return stage_expect_end(line, actor, 0, expected);
}

void stage_expect_number(int line, const char *what, int64_t got, int64_t expected)
{
        if (got != expected)
                stage_fail(line, "%s is %lld, expected %lld", what, (long long)got, (long long)expected);
}

void stage_expect_callback(int line, struct stage *stage, uint32_t slot, int code, int bytes)
{
        struct call_result result = CALL(stage->server, OP_AWAIT_CALLBACK, .slot = slot);

        if (result.calls != 1 || result.code != code || result.bytes != bytes)
                stage_fail(line, "command %u: %u callbacks with code %d and %d bytes, expected 1 with code %d and %d",
                           slot, result.calls, result.code, result.bytes, code, bytes);
}

/* ---- a set, step by step ---- */

static int count_files(void)
{
        DIR *dir = opendir(folder);
        int count = 0;

        assert_non_null(dir);
        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
                count += entry->d_name[0] != '.';
        closedir(dir);
        return count;
}

static struct actor *actor_of(int player)
{
        if (!actors[player].name)
                actor_start(&actors[player], players[player].name, players[player].part, players[player].apart, folder);
        return &actors[player];
}

/* Servers go first, so that the last one out is who owns the files. */
static int clear(void)
{
        int wrong = 0;

        for (int i = PLAYERS - 1; i >= 0; i--)
                if (actors[i].name)
                        wrong += actor_renew(&actors[i], &(const struct call_request){ .op = OP_NEW });
        return wrong;
}

struct stage *stage_new(void **state)
{
        enum mode mode = *(const enum mode *)*state;
        int wrong = clear();

        if (wrong > 0)
                stage_fail(__LINE__, "%d commands were not called back exactly once", wrong);
        words[0] = '\0';
        the_stage = (struct stage){
                .mode = mode,
                .client = actor_of(arrangements[mode].client),
                .server = actor_of(arrangements[mode].server),
                .user = actor_of(arrangements[mode].user),
                .other = actor_of(arrangements[mode].other),
                .other_server = actor_of(arrangements[mode].other_server),
                .wishes = { .deviceCount = 2 },
                .block_size = STAGE_BLOCK,
                .transfer_size = STAGE_TRANSFER,
                .buffer_count = 6,
        };
        return &the_stage;
}

int stage_teardown(void **state)
{
        int wrong = clear();
        int files = count_files();

        (void)state;
        words[0] = '\0';
        if (wrong > 0)
                print_error("%d commands were not called back exactly once\n", wrong);
        if (files > 0)
                print_error("%d files are left in %s\n", files, folder);
        return wrong > 0 || files > 0 ? -1 : 0;
}

void stage_create(struct stage *stage)
{
        EXPECT(NOERROR, stage->client, OP_CREATE, .config = stage->wishes);
}

void stage_join(struct stage *stage)
{
        stage_create(stage);
        EXPECT(NOERROR, stage->server, OP_OPEN);
}

void stage_begin_configuration(struct stage *stage)
{
        stage_join(stage);
        EXPECT(NOERROR, stage->server, OP_BEGIN_CONFIGURATION,
               .features = stage->wishes.features | stage->features | VDF_WriteMedia, .block_size = stage->block_size,
               .alignment = stage->alignment, .size = (int32_t)stage->transfer_size);
        if (stage->buffer_count)
                EXPECT(NOERROR, stage->server, OP_REQUEST_BUFFERS, .size = (int32_t)stage->transfer_size,
                       .count = stage->buffer_count);
}

void stage_configure(struct stage *stage)
{
        stage_begin_configuration(stage);
        EXPECT(NOERROR, stage->server, OP_END_CONFIGURATION);
        stage->config = EXPECT(NOERROR, stage->client, OP_GET_CONFIGURATION, .timeout_ms = CALL_WAIT_MS).config;
        if (stage->user == stage->client)
                return;
        EXPECT(NOERROR, stage->user, OP_OPEN_IN_SECONDARY);
        stage->config = EXPECT(NOERROR, stage->user, OP_GET_CONFIGURATION).config;
}

struct actor *stage_aborter(struct stage *stage)
{
        return CALL(stage->user, OP_STATE).state == STATE_NONE ? stage->client : stage->user;
}

enum vds_abort_reason stage_reason_of_close(const struct stage *stage)
{
        return stage->user == stage->client ? VDS_ABORT_CLIENT_CLOSED : VDS_ABORT_SECONDARY_CLOSED;
}

void stage_open_server_devices(struct stage *stage)
{
        stage_configure(stage);
        for (uint32_t i = 0; i < stage->wishes.deviceCount; i++)
                EXPECT(NOERROR, stage->server, OP_OPEN_DEVICE, .device = i);
}

void stage_open_devices(struct stage *stage)
{
        stage_open_server_devices(stage);
        for (uint32_t i = 0; i < stage->wishes.deviceCount; i++)
                EXPECT(NOERROR, stage->user, OP_OPEN_DEVICE, .device = i);
}

void stage_start_agent(struct stage *stage)
{
        BEGIN(stage->server, AGENT_HAND, OP_EXECUTE_COMPLETION_AGENT);
        EXPECT(NOERROR, stage->server, OP_AWAIT_AGENT);
}

void stage_up(struct stage *stage)
{
        stage_open_devices(stage);
        stage_start_agent(stage);
}

void stage_expect_agent(struct stage *stage, int result)
{
        EXPECT_END(result, stage->server, AGENT_HAND);
}

void stage_pass(struct stage *stage, uint32_t device, uint32_t slot, int code)
{
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = device, .slot = slot, .code = code);
        EXPECT_NUMBER(
                EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = device, .slot = slot, .timeout_ms = CALL_WAIT_MS)
                        .code,
                code);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .device = device, .slot = slot);
        EXPECT_CALLBACK(stage, slot, ERROR_SUCCESS, 0);
}

void stage_finish_devices(struct stage *stage)
{
        for (uint32_t i = 0; i < stage->wishes.deviceCount; i++) {
                EXPECT(NOERROR, stage->server, OP_CLOSE_DEVICE, .device = i);
                EXPECT(VD_E_CLOSE, stage->user, OP_GET_COMMAND, .device = i, .timeout_ms = CALL_WAIT_MS);
        }
}

/* ---- the program ---- */

int stage_open(void **state)
{
        (void)state;
        return mkdtemp(folder) ? 0 : -1;
}

int stage_shut(void **state)
{
        bool fine = true;

        (void)state;
        for (int i = 0; i < PLAYERS; i++)
                fine &= actor_stop(&actors[i]);
        return rmdir(folder) == 0 && fine ? 0 : -1;
}
