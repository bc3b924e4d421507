#include "cli/databases/operation_sqlite.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/message.h"
#include "cli/run/server_process.h"
#include "core/sqlite/sqlite.h"

enum {
        BUSY_TIMEOUT_MS = 10000, /* how long the server waits for somebody else's lock */
        LAST_WORDS_MS = 1500,    /* for the verdict of a server that was aborted */
        SERVER_GRACE_MS = 3000,  /* from the end of the set to the end of the server's process */
};

struct sqlite_part {
        struct server_job job;
        struct server_process process;
        bool lost;                   /* its process ended other than well, and may have left files */
        struct server_report report; /* its last words */
};

static struct sqlite_part *part_of(const struct operation *operation)
{
        return operation->part;
}

static int64_t smaller(int64_t a, int64_t b)
{
        return a < b ? a : b;
}

static int prepare(struct operation *operation, struct error *err)
{
        struct sqlite_part *part = part_of(operation);

        return server_process_start(&part->process, &part->job, &operation->connection, err);
}

static int start(struct operation *operation, struct error *err)
{
        struct sqlite_part *part = part_of(operation);

        (void)err;
        supervisor_watch_server(operation->serving.supervisor, part->process.pidfd, server_process_ended,
                                &part->process);
        return 0;
}

/* Why a set that is aborted, or whose server failed, came to that: its own words, else how its process ended, else the
 * engine's reason. */
static int raise_failure(struct operation *operation, struct error *err)
{
        struct sqlite_part *part = part_of(operation);
        enum vds_abort_reason reason = engine_abort_reason(operation->serving.engine);
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";
        bool killed;
        int status;

        if (engine_verdict(operation->serving.engine, LAST_WORDS_MS, &verdict, text) == NOERROR && text[0]) {
                server_report_decode(text, &part->report);
                if (part->report.code != ERR_NONE && part->report.message[0])
                        return error_raise(err, part->report.code, "%s", part->report.message);
        }
        supervisor_watch_server(operation->serving.supervisor, -1, NULL, NULL);
        status = server_process_end(&part->process, LAST_WORDS_MS, &killed);
        part->lost = part->lost || status != 0;
        /* A server that never joined cannot have been heard by the engine; what it was aborted for was our noticing. */
        if (!killed &&
            (!operation->joined || WIFSIGNALED(status) || reason == VDS_ABORT_SERVER_DIED || reason == VDS_ABORT_NONE))
                return server_process_raise_end(WIFSIGNALED(status),
                                                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), err);
        if (reason == VDS_ABORT_NONE)
                return error_raise(err, ERR_TIMEOUT, "the server process did not end, and was killed");
        return serving_abort_reason(&operation->serving, err);
}

static int joined(struct operation *operation, struct error *err)
{
        char text[VDS_TEXT_MAX];
        int rc = engine_server_info(operation->serving.engine, text);

        if (rc == VD_E_ABORT)
                return raise_failure(operation, err);
        if (rc != NOERROR)
                return error_raise(err, ERR_PROTOCOL, "the server says nothing about itself: %s", vds_result_name(rc));
        if (server_info_decode(text, &operation->info, err) < 0)
                return -1;
        message_verbose("server: %s %s, process %d", operation->info.kind, operation->info.version,
                        engine_server_pid(operation->serving.engine));
        return 0;
}

static int await_success(struct operation *operation, struct error *err)
{
        struct sqlite_part *part = part_of(operation);
        char text[VDS_TEXT_MAX] = "";

        if (serving_verdict(&operation->serving, text) != VDS_VERDICT_SUCCESS)
                return raise_failure(operation, err);
        server_report_decode(text, &part->report);
        memcpy(operation->note, part->report.note, sizeof operation->note);
        return 0;
}

static void end(struct operation *operation)
{
        struct sqlite_part *part = part_of(operation);
        bool killed;
        int status = server_process_end(&part->process, SERVER_GRACE_MS, &killed);

        if (part->job.database && (status != 0 || part->lost || part->report.code != ERR_NONE))
                server_sweep(&sqlite_server, &part->job);
        server_job_deinit(&part->job);
        free(part);
        operation->part = NULL;
}

static const struct operation_server sqlite_child = {
        .prepare = prepare,
        .start = start,
        .joined = joined,
        .await_success = await_success,
        .raise_failure = raise_failure,
        .end = end,
};

static int fill_job(struct operation *operation, const char *path, struct error *err)
{
        const struct args *args = operation->serving.args;
        struct server_job *job = &part_of(operation)->job;

        job->kind = strdup("sqlite");
        job->database = strdup(path);
        job->set_name = strdup(operation->devices[0]);
        job->device_count = operation->device_count;
        for (uint32_t i = 0; i < job->device_count; i++) {
                job->devices[i] = strdup(operation->devices[i]);
                if (!job->devices[i])
                        return error_no_memory(err);
        }
        if (!job->kind || !job->database || !job->set_name)
                return error_no_memory(err);
        job->client_is_parent = true;
        job->block_size = (uint32_t)args->block_size;
        job->buffer_count = (uint32_t)args->buffer_count;
        job->max_transfer = (uint32_t)args->max_transfer;
        /* The server's own words about a lock come before the client loses patience. */
        job->busy_timeout_ms = smaller(BUSY_TIMEOUT_MS, args->open_timeout_ms / 2);
        return 0;
}

int operation_use_sqlite(struct operation *operation, const char *path, uint32_t devices, struct server_job **ret_job,
                         struct error *err)
{
        struct sqlite_part *part = calloc(1, sizeof *part);

        if (!part)
                return error_no_memory(err);
        part->process.pidfd = -1;
        operation->part = part;
        operation->server = &sqlite_child;
        if (operation_name_devices(operation, devices, err) < 0 || fill_job(operation, path, err) < 0)
                return -1;
        *ret_job = &part->job;
        return 0;
}
