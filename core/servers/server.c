#include "core/servers/server.h"

#include <string.h>

#include "core/servers/session.h"
#include "core/servers/sqlite.h"
#include "core/servers/sqlite_stage.h"

/* Databases that can be driven from here; a job names its row. */
static const struct {
        const char *kind;
        int (*run[SERVER_RESTORE + 1])(struct session *session, char note[ERROR_MESSAGE_MAX], struct error *err);
} servers[] = {
        { "sqlite", { [SERVER_BACKUP] = sqlite_backup, [SERVER_RESTORE] = sqlite_restore } },
};

static int run_joined(struct session *session, char note[ERROR_MESSAGE_MAX], struct error *err)
{
        for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++)
                if (strcmp(servers[i].kind, session->job->kind) == 0)
                        return servers[i].run[session->job->verb](session, note, err);
        return error_raise(err, ERR_USAGE, "there is no server of the kind '%s'", session->job->kind);
}

int server_run(const struct server_job *job, const struct vds_options *options, struct error *err)
{
        struct session session;
        char note[ERROR_MESSAGE_MAX] = "";
        struct error failure = ERROR_INIT;
        int result = session_join(&session, job, options, &failure);

        if (result == 0)
                result = run_joined(&session, note, &failure);
        session_end(&session, &failure, note);
        if (err)
                *err = failure;
        return result;
}

void server_sweep(const struct server_job *job)
{
        if (job->verb == SERVER_RESTORE)
                stage_sweep(job->database);
}
