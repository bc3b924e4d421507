/*
 * test_death.c - one of two processes is killed at a fault point, and the other must notice
 *
 * The test starts itself twice: `test_death client` makes a set and serves it, `test_death server` joins it and writes.
 * Each says in one line how it ended. The victim kills itself at the point under test; the survivor has two seconds to
 * end, in the way the table says, and the runtime folder must be clean once a new set of the same name has come and
 * gone. Needs a build with VDIPIPE_FAULTS; without it only the undisturbed run is made.
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
        TRANSFERS = 40,
        BUFFERS = 4,
        PATIENCE_MS = 20000, /* for what happens in any case */
        NOTICE_MS = 2000,    /* for a survivor to notice */
        HURRY_MS = 700,      /* a client's wait for a server that never gets as far as to join */
};

static const char set_name[] = "death";

/* ---- the two programs ---- */

/* Ends the program with its one line. */
static _Noreturn void report(const char *how)
{
        printf("%s\n", how);
        fflush(stdout);
        exit(0);
}

static _Noreturn void report_result(int result)
{
        report(vds_result_name(result));
}

static _Noreturn void client_ended(struct vds_client *client, int result)
{
        static const char *const verdicts[] = { "none", "success", "failed", "unconfirmed" };
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX];
        char line[128];

        if (result == VD_E_CLOSE) {
                vds_client_verdict(client, PATIENCE_MS, &verdict, text);
                snprintf(line, sizeof line, "closed, verdict %s", verdicts[verdict]);
        } else {
                snprintf(line, sizeof line, "%s: %s", vds_result_name(result),
                         vds_abort_text(vds_client_abort_reason(client)));
        }
        vds_client_close(client);
        vds_client_free(client);
        report(line);
}

static _Noreturn void run_client(void)
{
        const struct VDConfig wishes = { .deviceCount = 1 };
        struct vds_client *client = vds_client_new(NULL);
        struct vds_client_device *device;
        struct VDC_Command *command;
        struct VDConfig config;
        int result;

        fault_role("client");
        result = vds_client_create(client, set_name, &wishes);
        if (result != NOERROR)
                report_result(result);
        printf("created\n");
        fflush(stdout);
        result = vds_client_get_configuration(client, getenv("DEATH_CLIENT_HURRIES") ? HURRY_MS : PATIENCE_MS, &config);
        if (result == NOERROR)
                result = vds_client_open_device(client, set_name, &device);
        while (result == NOERROR) {
                result = vds_client_device_get_command(device, -1, &command);
                if (result == NOERROR && getenv("DEATH_CLIENT_ABORTS"))
                        result = vds_client_signal_abort(client);
                if (result == NOERROR)
                        result = vds_client_device_complete_command(device, command, 0, (uint64_t)command->size, 0);
        }
        client_ended(client, result);
}

static sem_t free_buffers;
static _Atomic int callbacks;

static void on_completion(struct VDS_Command *command)
{
        (void)command;
        atomic_fetch_add(&callbacks, 1);
        sem_post(&free_buffers);
}

static void *run_agent(void *server)
{
        vds_server_execute_completion_agent(server);
        return NULL;
}

static int configure(struct vds_server *server, struct vds_server_device **ret_device, struct VDS_Command *commands)
{
        int result = vds_server_open(server, set_name);

        if (result == NOERROR)
                result = vds_server_begin_configuration(server, VDF_WriteMedia, 512, 0, TRANSFER, 0);
        if (result == NOERROR)
                result = vds_server_request_buffers(server, TRANSFER, 0, BUFFERS);
        if (result == NOERROR)
                result = vds_server_end_configuration(server);
        if (result == NOERROR)
                result = vds_server_open_device(server, set_name, ret_device);
        for (int i = 0; i < BUFFERS && result == NOERROR; i++) {
                commands[i].commandCode = VDC_Write;
                commands[i].size = TRANSFER;
                commands[i].completionRoutine = (uint8_t *)(uintptr_t)on_completion;
                result = vds_server_allocate_buffer(server, &commands[i].buffer, TRANSFER, 0);
        }
        return result;
}

static int write_all(struct vds_server *server, struct vds_server_device *device, struct VDS_Command *commands)
{
        int result = NOERROR;
        int sent = 0;

        sem_init(&free_buffers, 0, BUFFERS);
        while (sent < TRANSFERS && result == NOERROR) {
                sem_wait(&free_buffers);
                if (getenv("DEATH_SERVER_ABORTS") && sent == TRANSFERS / 2)
                        vds_server_signal_abort(server);
                result = vds_server_device_send_command(device, &commands[sent++ % BUFFERS]);
        }
        for (int i = 0; i < BUFFERS; i++)
                sem_wait(&free_buffers);
        if (atomic_load(&callbacks) != sent)
                report("a callback is missing");
        return result == NOERROR ? vds_server_device_close(device) : result;
}

static _Noreturn void run_server(void)
{
        struct vds_server *server = vds_server_new(NULL);
        struct VDS_Command commands[BUFFERS] = { 0 };
        struct vds_server_device *device;
        char line[128];
        pthread_t agent;
        int result;

        fault_role("server");
        result = configure(server, &device, commands);
        if (result == NOERROR) {
                pthread_create(&agent, NULL, run_agent, server);
                result = write_all(server, device, commands);
                pthread_join(agent, NULL);
        }
        vds_server_set_verdict(server, result == NOERROR ? VDS_VERDICT_SUCCESS : VDS_VERDICT_FAILED, "");
        snprintf(line, sizeof line, "%s: %s", vds_result_name(result), vds_abort_text(vds_server_abort_reason(server)));
        vds_server_close(server);
        vds_server_free(server);
        report(line);
}

/* ---- starting and watching them ---- */

static char folder[] = "/tmp/vdipipe-death-XXXXXX";

static void start(struct program *program, const char *role)
{
        char *argv[] = { (char[]){ "test_death" }, (char *)(uintptr_t)role, NULL };

        assert_true(program_start(program, argv));
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

static void undisturbed_both_end_well(void **state)
{
        struct program client;
        struct program server;

        (void)state;
        start(&client, "client");
        assert_true(program_read_line(&client, PATIENCE_MS));
        assert_string_equal(client.line, "created");
        start(&server, "server");
        assert_true(program_read_line(&server, PATIENCE_MS));
        assert_string_equal(server.line, "NOERROR: the set is not aborted");
        assert_true(program_read_line(&client, PATIENCE_MS));
        assert_string_equal(client.line, "closed, verdict success");
        assert_int_equal(program_reap(&client), 0);
        assert_int_equal(program_reap(&server), 0);
        assert_int_equal(count_files(), 0);
}

#ifdef VDIPIPE_FAULTS

/* The name is free again at once, and whoever takes it leaves a clean folder. */
static void expect_name_reusable(void)
{
        const struct VDConfig wishes = { .deviceCount = 1 };
        struct vds_client *client = vds_client_new(NULL);

        assert_int_equal(vds_client_create(client, set_name, &wishes), NOERROR);
        vds_client_free(client);
        assert_int_equal(count_files(), 0);
}

struct scene {
        const char *victim; /* "client" or "server" */
        const char *point;
        const char *survivor; /* its line; NULL: it never starts */
        const char *wish;     /* an environment variable that has one of them do something else than usual */
        int at;               /* the how-manieth time the point is reached; 0: the first */
        const char *or_else;  /* another line the survivor may say */
};

static void play(const struct scene *scene)
{
        bool client_dies = strcmp(scene->victim, "client") == 0;
        struct program client;
        struct program server;
        char fault[128];
        int status;

        snprintf(fault, sizeof fault, "%s=kill@%d#%s", scene->point, scene->at ? scene->at : 1, scene->victim);
        setenv("VDIPIPE_FAULT", fault, 1);
        if (scene->wish)
                setenv(scene->wish, "1", 1);
        start(&client, "client");
        assert_true(program_read_line(&client, PATIENCE_MS));
        if (scene->survivor) {
                assert_string_equal(client.line, "created");
                start(&server, "server");
                /* The victim's output ends with it, without a line. */
                assert_true(program_read_line(client_dies ? &client : &server, PATIENCE_MS));
                if (!program_read_line(client_dies ? &server : &client, NOTICE_MS))
                        fail_msg("%s: the survivor does not notice", scene->point);
                if (strcmp(client_dies ? server.line : client.line, scene->survivor) != 0 &&
                    (!scene->or_else || strcmp(client_dies ? server.line : client.line, scene->or_else) != 0))
                        fail_msg("%s: the survivor says '%s', expected '%s'", scene->point,
                                 client_dies ? server.line : client.line, scene->survivor);
                status = program_reap(&server);
                assert_int_equal(client_dies ? status == 0 : WIFSIGNALED(status), 1);
        }
        status = program_reap(&client);
        assert_int_equal(client_dies ? WIFSIGNALED(status) : status == 0, 1);
        unsetenv("VDIPIPE_FAULT");
        if (scene->wish)
                unsetenv(scene->wish);
        if (!client_dies)
                assert_int_equal(count_files(), 0);
        expect_name_reusable();
}

#define SERVER_DIED "VD_E_ABORT: the server process died"
#define CLIENT_DIED "VD_E_ABORT: the client process died"

static void the_server_dies(void **state)
{
        static const struct scene scenes[] = {
                { "server", "server.open.connected", "VD_E_TIMEOUT: the set is not aborted", "DEATH_CLIENT_HURRIES", 0,
                  NULL },
                /* Dead before the welcome could be sent it never was the set's server; dead after it, it was. */
                { "server", "server.open.greeted", SERVER_DIED, "DEATH_CLIENT_HURRIES", 0,
                  "VD_E_TIMEOUT: the set is not aborted" },
                { "server", "server.open.done", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.begin_configuration.done", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.area.made", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.end_configuration.area", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.end_configuration.sent", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.open_device.done", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.agent.running", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.send_command", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.send_command.done", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.send_command", SERVER_DIED, NULL, 20, NULL },
                { "server", "server.completion.taken", SERVER_DIED, NULL, 0, NULL },
                { "server", "server.close_device", SERVER_DIED, NULL, 0, NULL },
                /* Dead with all devices closed and nothing said: the data has arrived, success has not. */
                { "server", "server.close_device.done", "closed, verdict failed", NULL, 0, SERVER_DIED },
                { "server", "server.set_verdict.done", "closed, verdict success", NULL, 0, NULL },
                { "server", "server.close", "closed, verdict success", NULL, 0, NULL },
                { "server", "server.close.said", "closed, verdict success", NULL, 0, NULL },
                { "server", "server.close.stopped", "closed, verdict success", NULL, 0, NULL },
                { "server", "server.close.released", "closed, verdict success", NULL, 0, NULL },
                { "server", "server.abort", SERVER_DIED, "DEATH_SERVER_ABORTS", 0, NULL },
                { "server", "server.abort.done", "VD_E_ABORT: the server aborted the set", "DEATH_SERVER_ABORTS", 0,
                  NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++)
                play(&scenes[i]);
}

static void the_client_dies(void **state)
{
        static const struct scene scenes[] = {
                { "client", "region.create", NULL, NULL, 0, NULL },
                { "client", "client.create.region", NULL, NULL, 0, NULL },
                { "client", "rendezvous.listen", NULL, NULL, 0, NULL },
                { "client", "client.create.listen", NULL, NULL, 0, NULL },
                { "client", "client.create.done", NULL, NULL, 0, NULL },
                { "client", "client.service.welcomed", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.service.configured", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.get_configuration.done", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.open_device.done", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.get_command.done", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.get_command.done", CLIENT_DIED, NULL, 20, NULL },
                { "client", "client.complete_command", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.complete_command.done", CLIENT_DIED, NULL, 0, NULL },
                { "client", "client.complete_command.done", CLIENT_DIED, NULL, 20, NULL },
                { "client", "client.close", "NOERROR: the set is not aborted", NULL, 0, NULL },
                { "client", "client.close.said", "NOERROR: the set is not aborted", NULL, 0, NULL },
                { "client", "client.close.stopped", "NOERROR: the set is not aborted", NULL, 0, NULL },
                { "client", "client.close.released", "NOERROR: the set is not aborted", NULL, 0, NULL },
                { "client", "client.abort", CLIENT_DIED, "DEATH_CLIENT_ABORTS", 0, NULL },
                { "client", "client.abort.done", "VD_E_ABORT: the client aborted the set", "DEATH_CLIENT_ABORTS", 0,
                  NULL },
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
                cmocka_unit_test(undisturbed_both_end_well),
#ifdef VDIPIPE_FAULTS
                cmocka_unit_test(the_server_dies),
                cmocka_unit_test(the_client_dies),
#endif
        };

        if (argc > 1 && strcmp(argv[1], "client") == 0)
                run_client();
        if (argc > 1 && strcmp(argv[1], "server") == 0)
                run_server();
        return cmocka_run_group_tests(tests, setup, teardown);
}
