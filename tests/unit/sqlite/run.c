#include "tests/unit/sqlite/run.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/sqlite/sqlite.h"

static int carry_write(struct medium *medium, const struct VDC_Command *command)
{
        medium->bytes = realloc(medium->bytes, medium->size + (size_t)command->size);
        memcpy(medium->bytes + medium->size, command->buffer, (size_t)command->size);
        medium->size += (size_t)command->size;
        return 0;
}

static void serve(struct medium *medium, struct VDC_Command *command)
{
        size_t left = medium->size - medium->at;
        size_t size = left < (size_t)command->size ? left : (size_t)command->size;
        int code = ERROR_SUCCESS;
        uint64_t bytes = 0;
        int64_t position = 0;

        if (medium->execute) {
                code = medium->execute(medium, command, &bytes, &position);
        } else if ((command->commandCode == VDC_Write || command->commandCode == VDC_Read) &&
                   ++medium->commands == medium->fail_at) {
                code = medium->fail_code;
        } else if (command->commandCode == VDC_Write) {
                carry_write(medium, command);
                bytes = (uint64_t)command->size;
        } else if (command->commandCode == VDC_Read) {
                memcpy(command->buffer, medium->bytes + medium->at, size);
                medium->at += size;
                bytes = size;
                code = size < (size_t)command->size ? (int)ERROR_HANDLE_EOF : 0;
        }
        medium->flushes += command->commandCode == VDC_Flush;
        medium->completes += command->commandCode == VDC_Complete;
        vds_client_device_complete_command(medium->device, command, code, bytes, position);
}

static void *medium_main(void *medium_at)
{
        struct medium *medium = medium_at;
        struct VDC_Command *command;

        while (vds_client_device_get_command(medium->device, 60000, &command) == NOERROR)
                serve(medium, command);
        return NULL;
}

static void *server_main(void *run_at)
{
        struct run *run = run_at;

        run->server_result = server_run(&sqlite_server, &run->job, &run->options, run->events, &run->server_error);
        return NULL;
}

static void run_init(struct run *run, void **state, enum server_verb verb, const char *database, uint32_t devices)
{
        static int number;
        char name[64];

        run->options.runtime_dir = *state;
        snprintf(name, sizeof name, "set-%d", number++);
        run->job = (struct server_job){
                .verb = verb,
                .kind = strdup("sqlite"),
                .database = strdup(database),
                .set_name = strdup(name),
                .device_count = devices,
                .busy_timeout_ms = 2000,
                .max_lock_ms = 5000,
                .check = verb == SERVER_RESTORE ? SERVER_CHECK_FULL : SERVER_CHECK_NONE,
        };
        for (uint32_t i = 0; i < devices; i++) {
                snprintf(name, sizeof name, "%s-dev%u", run->job.set_name, i);
                run->job.devices[i] = strdup(i == 0 ? run->job.set_name : name);
        }
}

/* A server may die before all its devices are open: then the rest of them is not served. */
static void serve_devices(struct run *run)
{
        pthread_t threads[VDS_DEVICES_MAX];
        uint32_t count = 0;

        for (; count < run->job.device_count; count++) {
                struct medium *medium = &run->media[count];
                int result = vds_client_open_device(run->client, run->job.devices[count], &medium->device);

                if (run->fault && result == (int)VD_E_ABORT)
                        break;
                assert_int_equal(result, NOERROR);
                assert_int_equal(pthread_create(&threads[count], NULL, medium_main, medium), 0);
        }
        for (uint32_t i = 0; i < count; i++)
                pthread_join(threads[i], NULL);
}

/* A fresh process, as the real one is: it parses its own faults, and gets the job as text. It waits until the set is
 * there. */
static void start_process(struct run *run)
{
        CLEANUP(freep) char *json = NULL;
        struct error err = ERROR_INIT;
        int go[2];

        assert_int_equal(server_job_encode(&run->job, &json, &err), 0);
        assert_int_equal(pipe2(go, O_CLOEXEC), 0);
        run->server_pid = fork();
        assert_true(run->server_pid >= 0);
        if (run->server_pid == 0) {
                dup2(go[0], STDIN_FILENO);
                setenv("VDIPIPE_FAULT", run->fault, 1);
                execl("/proc/self/exe", "server", json, run->options.runtime_dir, (char *)NULL);
                _exit(1);
        }
        close(go[0]);
        run->go_fd = go[1];
}

int run_is_server(int argc, char **argv)
{
        struct server_job job;
        struct error err = ERROR_INIT;
        char byte;

        if (argc != 3 || strcmp(argv[0], "server") != 0)
                return 0;
        if (read(STDIN_FILENO, &byte, 1) == 1 && server_job_decode(argv[1], &job, &err) == 0) {
                job.client_is_parent = true;
                server_run(&sqlite_server, &job, &(struct vds_options){ .runtime_dir = argv[2] }, /* events= */ NULL,
                           &err);
                server_job_deinit(&job);
        }
        return 1;
}

static void start_server(struct run *run)
{
        if (run->fault)
                assert_int_equal(write(run->go_fd, "g", 1), 1);
        else
                assert_int_equal(pthread_create(&run->server, NULL, server_main, run), 0);
}

/* A server that was killed has said nothing, and what it left is swept. */
static void end_server(struct run *run)
{
        if (!run->fault) {
                pthread_join(run->server, NULL);
                return;
        }
        close(run->go_fd);
        waitpid(run->server_pid, NULL, 0);
        server_sweep(&sqlite_server, &run->job);
}

void run_go(struct run *run)
{
        const struct VDConfig wishes = { .deviceCount = run->job.device_count, .features = run->features };
        char text[VDS_TEXT_MAX];
        struct error err = ERROR_INIT;

        if (run->fault)
                start_process(run);
        run->client = vds_client_new(&run->options);
        if (vds_client_create(run->client, run->job.set_name, &wishes) != NOERROR)
                fail_msg("%s", vds_client_error_text(run->client));
        start_server(run);
        run->configured = vds_client_get_configuration(run->client, 60000, &run->agreed) == NOERROR;
        if (run->configured) {
                assert_int_equal(vds_client_server_info(run->client, text), NOERROR);
                assert_int_equal(server_info_decode(text, &run->info, &err), 0);
                serve_devices(run);
        }
        assert_int_equal(vds_client_verdict(run->client, 60000, &run->verdict, text), NOERROR);
        server_report_decode(text, &run->report);
        end_server(run);
        vds_client_close(run->client);
        vds_client_free(run->client);
}

void run_deinit(struct run *run)
{
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                free(run->media[i].bytes);
        server_job_deinit(&run->job);
        free(run);
}

struct run *run_new(void **state, enum server_verb verb, const char *database, uint32_t devices)
{
        struct run *run = calloc(1, sizeof *run);

        run_init(run, state, verb, database, devices);
        return run;
}

struct run *run_backup(void **state, const char *database, uint32_t devices)
{
        struct run *run = run_new(state, SERVER_BACKUP, database, devices);

        run_go(run);
        if (run->verdict != VDS_VERDICT_SUCCESS)
                fail_msg("%s", run->report.message);
        return run;
}

struct run *run_restore(void **state, const struct run *backup, const char *database)
{
        struct run *run = run_new(state, SERVER_RESTORE, database, backup->job.device_count);

        run->job.has_parts = true;
        for (uint32_t i = 0; i < run->job.device_count; i++) {
                run->job.parts[i] = backup->info.parts[i];
                run->media[i].size = backup->media[i].size;
                run->media[i].bytes = malloc(run->media[i].size + 1);
                if (run->media[i].size)
                        memcpy(run->media[i].bytes, backup->media[i].bytes, run->media[i].size);
        }
        return run;
}
