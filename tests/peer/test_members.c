/*
 * test_members.c - a set of four processes: a primary that makes no call, a server, and two secondary clients that
 * serve a device each. One of them is killed, at a fault point or in the middle of the work, and the others must
 * notice.
 *
 * The test starts itself as `test_members primary`, `server`, `first` and `second`. Each says in one line how it ended.
 * The scenes that kill at a fault point need a build with VDIPIPE_FAULTS.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "core/base/fault.h"
#include "core/vds/vds.h"
#include "tests/support/program.h"

enum {
        TRANSFER = 65536,
        TRANSFERS = 60,
        BUFFERS = 4, /* of a device */
        DEVICES = 2,
        SERVING = 10,        /* commands after which a secondary says that it serves */
        PATIENCE_MS = 20000, /* for what happens in any case */
        NOTICE_MS = 2000,    /* for a survivor to notice */
        LOOK_MS = 20,        /* between a primary's looks at its secondaries */
};

static const char set_name[] = "members";
static const char *const device_names[DEVICES] = { set_name, "the second" };

/* ---- the programs ---- */

static void say(const char *line)
{
        printf("%s\n", line);
        fflush(stdout);
}

static _Noreturn void report(const char *what, enum vds_abort_reason reason)
{
        printf("%s: %s\n", what, vds_abort_text(reason));
        fflush(stdout);
        exit(0);
}

/* Waits for the verdict, and for the end of a secondary, which it takes for the end of the matter. */
static _Noreturn void run_primary(void)
{
        static const char *const verdicts[] = { "none", "success", "failed", "unconfirmed" };
        const struct vds_options options = { .abort_when_secondary_dies = !getenv("MEMBERS_TOLERANT") };
        const struct VDConfig wishes = { .deviceCount = DEVICES };
        struct vds_client *client = vds_client_new(&options);
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        enum vds_abort_reason reason;
        struct vds_secondaries members;
        char text[VDS_TEXT_MAX];
        struct VDConfig config;

        fault_role("primary");
        if (vds_client_create(client, set_name, &wishes) != NOERROR)
                report("not created", VDS_ABORT_NONE);
        say("created");
        if (vds_client_get_configuration(client, PATIENCE_MS, &config) == NOERROR) {
                say("configured");
                while (vds_client_verdict(client, LOOK_MS, &verdict, text) == VD_E_TIMEOUT) {
                        vds_client_secondaries(client, &members);
                        if (members.died > 0)
                                vds_client_signal_abort(client);
                }
        }
        reason = vds_client_abort_reason(client);
        vds_client_close(client);
        vds_client_free(client);
        report(verdicts[verdict], reason);
}

/* With MEMBERS_HANDLES it does not look at a buffer itself, but asks whoever reads its output to. */
static int execute(struct vds_client *client, const struct VDC_Command *command, int index)
{
        uint32_t handle;
        char line[16];

        for (int i = 0; i < command->size && !getenv("MEMBERS_HANDLES"); i++)
                if (command->buffer[i] != 'a' + index)
                        return ERROR_ARENA_TRASHED;
        if (getenv("MEMBERS_HANDLES") && command->commandCode == VDC_Write) {
                if (vds_client_get_buffer_handle(client, command->buffer, &handle) != NOERROR)
                        return ERROR_INVALID_HANDLE;
                printf("%u\n", handle);
                fflush(stdout);
                if (!fgets(line, sizeof line, stdin) || command->buffer[0] != 'X')
                        return ERROR_ARENA_TRASHED;
        }
        return ERROR_SUCCESS;
}

static int serve(struct vds_client *client, const char *role, int index)
{
        const char *keepers = getenv("MEMBERS_KEEP");
        bool keeps = keepers && strstr(keepers, role);
        struct vds_client_device *device = NULL;
        struct VDC_Command *command;
        int result = vds_client_open_device(client, device_names[index], &device);
        int served = 0;

        while (result == NOERROR) {
                result = vds_client_device_get_command(device, -1, &command);
                if (result == NOERROR && ++served == SERVING)
                        say("serving");
                /* From then on it may have to keep what it gets, so that the work does not end before a death. */
                if (result == NOERROR && (served < SERVING || !keeps))
                        result = vds_client_device_complete_command(device, command, execute(client, command, index),
                                                                    (uint64_t)command->size, 0);
        }
        return result;
}

static _Noreturn void run_secondary(const char *role, int index)
{
        struct vds_client *client = vds_client_new(NULL);
        enum vds_abort_reason reason;
        int result;

        fault_role(role);
        result = vds_client_open_in_secondary(client, set_name);
        if (result == NOERROR) {
                say("joined");
                result = serve(client, role, index);
        }
        reason = vds_client_abort_reason(client);
        vds_client_close(client);
        vds_client_free(client);
        report(vds_result_name(result), reason);
}

struct stream {
        struct vds_server *server;
        struct vds_server_device *device;
        struct VDS_Command commands[BUFFERS];
        sem_t vacant;
        _Atomic int failed; /* first completion code but 0 */
        int index;
        int result;
};

static void on_completion(struct VDS_Command *command)
{
        struct stream *stream = (struct stream *)(void *)command->completionContext;
        int none = 0;

        if (command->completionCode != ERROR_SUCCESS)
                atomic_compare_exchange_strong(&stream->failed, &none, command->completionCode);
        sem_post(&stream->vacant);
}

/* Writes to one device, in buffers of an area that is made now. */
static void *write_stream(void *argument)
{
        struct stream *stream = argument;
        int sent = 0;

        sem_init(&stream->vacant, 0, BUFFERS);
        stream->result = vds_server_request_buffers(stream->server, TRANSFER, 0, BUFFERS);
        for (int i = 0; i < BUFFERS && stream->result == NOERROR; i++) {
                struct VDS_Command *command = &stream->commands[i];

                command->commandCode = VDC_Write;
                command->size = TRANSFER;
                command->completionRoutine = (uint8_t *)(uintptr_t)on_completion;
                command->completionContext = (uint8_t *)stream;
                stream->result = vds_server_allocate_buffer(stream->server, &command->buffer, TRANSFER, 0);
        }
        while (sent < TRANSFERS && stream->result == NOERROR && atomic_load(&stream->failed) == 0) {
                struct VDS_Command *command = &stream->commands[sent++ % BUFFERS];

                sem_wait(&stream->vacant);
                memset(command->buffer, 'a' + stream->index, TRANSFER);
                stream->result = vds_server_device_send_command(stream->device, command);
        }
        for (int i = 0; i < BUFFERS && sent > 0; i++)
                sem_wait(&stream->vacant);
        if (stream->result == NOERROR && atomic_load(&stream->failed) == 0)
                stream->result = vds_server_device_close(stream->device);
        else if (stream->result == NOERROR)
                stream->result = VD_E_IO_ERROR;
        return NULL;
}

static int configure(struct vds_server *server, struct stream streams[DEVICES])
{
        int result = vds_server_open(server, set_name);

        if (result == NOERROR)
                result = vds_server_begin_configuration(server, VDF_WriteMedia, 512, 0, TRANSFER, 0);
        if (result == NOERROR)
                result = vds_server_end_configuration(server);
        for (int i = 0; i < DEVICES && result == NOERROR; i++) {
                streams[i].server = server;
                streams[i].index = i;
                result = vds_server_open_device(server, device_names[i], &streams[i].device);
        }
        return result;
}

static void *run_agent(void *server)
{
        vds_server_execute_completion_agent(server);
        return NULL;
}

static _Noreturn void run_server(void)
{
        static struct stream streams[DEVICES];
        struct vds_server *server = vds_server_new(NULL);
        pthread_t threads[DEVICES];
        enum vds_abort_reason reason;
        pthread_t agent;
        int result;

        fault_role("server");
        result = configure(server, streams);
        if (result == NOERROR) {
                pthread_create(&agent, NULL, run_agent, server);
                for (int i = 0; i < DEVICES; i++)
                        pthread_create(&threads[i], NULL, write_stream, &streams[i]);
                for (int i = 0; i < DEVICES; i++) {
                        pthread_join(threads[i], NULL);
                        result = result == NOERROR ? streams[i].result : result;
                }
                if (result != NOERROR)
                        vds_server_signal_abort(server);
                pthread_join(agent, NULL);
        }
        vds_server_set_verdict(server, result == NOERROR ? VDS_VERDICT_SUCCESS : VDS_VERDICT_FAILED, "");
        reason = vds_server_abort_reason(server);
        vds_server_close(server);
        vds_server_free(server);
        report(vds_result_name(result), reason);
}

/* ---- starting and watching them ---- */

static char folder[] = "/tmp/vdipipe-members-XXXXXX";

enum member { PRIMARY = 0, SERVER, FIRST, SECOND, MEMBERS };

static const char *const roles[MEMBERS] = { "primary", "server", "first", "second" };

static void start(struct program *program, enum member member)
{
        char *argv[] = { (char[]){ "test_members" }, (char *)(uintptr_t)roles[member], NULL };

        assert_true(program_start(program, argv));
}

static void expect_line(struct program *program, const char *line)
{
        assert_true(program_read_line(program, PATIENCE_MS));
        assert_string_equal(program->line, line);
}

/* All but the first secondary. */
static void start_three(struct program programs[MEMBERS])
{
        start(&programs[PRIMARY], PRIMARY);
        expect_line(&programs[PRIMARY], "created");
        start(&programs[SERVER], SERVER);
        expect_line(&programs[PRIMARY], "configured");
        start(&programs[SECOND], SECOND);
        expect_line(&programs[SECOND], "joined");
}

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

static void undisturbed_all_end_well(void **state)
{
        static const char *const lines[MEMBERS] = {
                "success: the set is not aborted",
                "NOERROR: the set is not aborted",
                "VD_E_CLOSE: the set is not aborted",
                "VD_E_CLOSE: the set is not aborted",
        };
        struct program programs[MEMBERS];

        (void)state;
        start_three(programs);
        start(&programs[FIRST], FIRST);
        expect_line(&programs[FIRST], "joined");
        for (int i = FIRST; i < MEMBERS; i++)
                expect_line(&programs[i], "serving");
        for (int i = 0; i < MEMBERS; i++) {
                expect_line(&programs[i], lines[i]);
                assert_int_equal(program_reap(&programs[i]), 0);
        }
        assert_int_equal(count_files(), 0);
}

/* What one process finds in the buffer of another's command, the other finds changed. */
static void a_buffer_is_found_from_another_process(void **state)
{
        struct program programs[MEMBERS];
        struct vds_client *client;

        (void)state;
        setenv("MEMBERS_HANDLES", "1", 1);
        start_three(programs);
        start(&programs[FIRST], FIRST);
        expect_line(&programs[FIRST], "joined");
        unsetenv("MEMBERS_HANDLES");
        client = vds_client_new(NULL);
        assert_int_equal(vds_client_open_in_secondary(client, set_name), NOERROR);
        for (int i = 0; i < TRANSFERS * DEVICES; i++) {
                struct program *program = &programs[FIRST + i % DEVICES];
                uint8_t *buffer;
                uint32_t handle;

                assert_true(program_read_line(program, PATIENCE_MS));
                if (strcmp(program->line, "serving") == 0)
                        assert_true(program_read_line(program, PATIENCE_MS));
                handle = (uint32_t)strtoul(program->line, NULL, 10);
                assert_int_equal(vds_client_map_buffer_handle(client, handle, &buffer), NOERROR);
                for (int at = 0; at < TRANSFER; at++)
                        if (buffer[at] != 'a' + i % DEVICES)
                                fail_msg("byte %d of a buffer is %d", at, buffer[at]);
                buffer[0] = 'X';
                assert_int_equal(write(program->input, "\n", 1), 1);
        }
        assert_int_equal(vds_client_close(client), NOERROR);
        vds_client_free(client);
        for (int i = FIRST; i < MEMBERS; i++)
                expect_line(&programs[i], "VD_E_CLOSE: the set is not aborted");
        expect_line(&programs[PRIMARY], "success: the set is not aborted");
        for (int i = 0; i < MEMBERS; i++)
                assert_int_equal(program_reap(&programs[i]), 0);
        assert_int_equal(count_files(), 0);
}

/* ---- deaths ---- */

struct scene {
        enum member victim;
        const char *point; /* NULL: when the first secondary serves */
        int at;
        const char *lines[MEMBERS]; /* of the survivors */
        const char *wish;           /* an environment variable */
};

#define SERVER_DIED                                                                             \
        {                                                                                       \
                "failed: the server process died", NULL, "VD_E_ABORT: the server process died", \
                        "VD_E_ABORT: the server process died",                                  \
        }
#define PRIMARY_DIED                                                                                \
        {                                                                                           \
                NULL, "VD_E_ABORT: the client process died", "VD_E_ABORT: the client process died", \
                        "VD_E_ABORT: the client process died",                                      \
        }
/* With a device open, or before that, when it is the primary that gives up. */
#define FIRST_DIED                                                                                                  \
        {                                                                                                           \
                "failed: a secondary client's process died", "VD_E_ABORT: a secondary client's process died", NULL, \
                        "VD_E_ABORT: a secondary client's process died",                                            \
        }
#define FIRST_MISSED                                                                                  \
        {                                                                                             \
                "failed: the client aborted the set", "VD_E_ABORT: the client aborted the set", NULL, \
                        "VD_E_ABORT: the client aborted the set",                                     \
        }

static void expect_survivor(const struct scene *scene, struct program *program, enum member member)
{
        const char *point = scene->point ? scene->point : "serving";

        do
                if (!program_read_line(program, NOTICE_MS))
                        fail_msg("%s dies at %s: %s does not notice", roles[scene->victim], point, roles[member]);
        while (strcmp(program->line, "serving") == 0 || strcmp(program->line, "joined") == 0);
        if (strcmp(program->line, scene->lines[member]) != 0)
                fail_msg("%s dies at %s: %s says '%s', expected '%s'", roles[scene->victim], point, roles[member],
                         program->line, scene->lines[member]);
        assert_int_equal(program_reap(program), 0);
}

static void play(const struct scene *scene)
{
        struct program programs[MEMBERS];
        struct program *victim = &programs[scene->victim];
        char fault[128];
        int status;

        if (scene->point) {
                snprintf(fault, sizeof fault, "%s=kill@%d#%s", scene->point, scene->at ? scene->at : 1,
                         roles[scene->victim]);
                setenv("VDIPIPE_FAULT", fault, 1);
        }
        setenv("MEMBERS_KEEP", scene->point ? "second" : "first second", 1);
        if (scene->wish)
                setenv(scene->wish, "1", 1);
        start_three(programs);
        start(&programs[FIRST], FIRST);
        if (!scene->point) {
                expect_line(&programs[FIRST], "joined");
                expect_line(&programs[FIRST], "serving");
                assert_int_equal(kill(victim->pid, SIGKILL), 0);
        }
        /* The victim's output ends with it, without a line of its own. */
        do
                assert_true(program_read_line(victim, PATIENCE_MS));
        while (victim->line[0]);
        status = program_reap(victim);
        assert_true(WIFSIGNALED(status));
        for (int i = 0; i < MEMBERS; i++)
                if (i != (int)scene->victim)
                        expect_survivor(scene, &programs[i], (enum member)i);
        unsetenv("VDIPIPE_FAULT");
        unsetenv("MEMBERS_KEEP");
        if (scene->wish)
                unsetenv(scene->wish);
        /* A killed primary's are cleared away by the server. */
        assert_int_equal(count_files(), 0);
}

static void one_is_killed_in_the_middle(void **state)
{
        static const struct scene scenes[] = {
                { .victim = PRIMARY, .lines = PRIMARY_DIED },
                { .victim = SERVER, .lines = SERVER_DIED },
                { .victim = FIRST, .lines = FIRST_DIED },
                { .victim = FIRST, .lines = FIRST_MISSED, .wish = "MEMBERS_TOLERANT" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
                play(&scenes[i]);
}

#ifdef VDIPIPE_FAULTS

/* While it lets the first one in, the second being there. */
static void the_primary_dies_at_the_door(void **state)
{
        const struct scene scene = {
                .victim = PRIMARY,
                .point = "client.service.secondary",
                .at = 2,
                .lines = { NULL, "VD_E_ABORT: the client process died", "VD_E_PROTOCOL: the set is not aborted",
                           "VD_E_ABORT: the client process died" },
        };

        (void)state;
        play(&scene);
}

static void a_secondary_dies(void **state)
{
        static const struct scene scenes[] = {
                { FIRST, "secondary.open.greeted", 0, FIRST_MISSED, NULL },
                { FIRST, "secondary.open.told", 0, FIRST_MISSED, NULL },
                { FIRST, "secondary.open.done", 0, FIRST_MISSED, NULL },
                { FIRST, "client.open_device.done", 0, FIRST_DIED, NULL },
                { FIRST, "client.get_command.done", 0, FIRST_DIED, NULL },
                { FIRST, "client.get_command.done", 20, FIRST_DIED, NULL },
                { FIRST, "client.complete_command", 20, FIRST_DIED, NULL },
                { FIRST, "client.complete_command.done", 20, FIRST_DIED, NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
                play(&scenes[i]);
}

#endif

static int setup(void **state)
{
        (void)state;
        assert_non_null(mkdtemp(folder));
        return setenv("VDIPIPE_RUNTIME_DIR", folder, 1);
}

static int teardown(void **state)
{
        (void)state;
        return rmdir(folder);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(undisturbed_all_end_well),
                cmocka_unit_test(a_buffer_is_found_from_another_process),
                cmocka_unit_test(one_is_killed_in_the_middle),
#ifdef VDIPIPE_FAULTS
                cmocka_unit_test(the_primary_dies_at_the_door),
                cmocka_unit_test(a_secondary_dies),
#endif
        };

        for (int i = 0; argc > 1 && i < MEMBERS; i++) {
                if (strcmp(argv[1], roles[i]) != 0)
                        continue;
                if (i == PRIMARY)
                        run_primary();
                if (i == SERVER)
                        run_server();
                run_secondary(roles[i], i - FIRST);
        }
        return cmocka_run_group_tests(tests, setup, teardown);
}
