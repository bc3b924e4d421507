#include "core/servers/server.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/deadline.h"
#include "core/servers/side.h"
#include "core/tsql/statement.h"

/* ---- what is told at the end; the side's threads are gone, and its verdict is out ---- */

static const char *verb_name(enum server_verb verb)
{
        return statement_verb_name(server_statement_verb(verb));
}

#define TELL(events, id, ...)                                                   \
        do {                                                                    \
                struct server_message message_;                                 \
                server_message_make(&message_, (id)__VA_OPT__(, ) __VA_ARGS__); \
                (events)->message(&message_, (events)->context);                \
        } while (0)

static void server_tell_failure(const struct server_job *job, const struct server_events *events, bool explained,
                                const struct error *failure)
{
        struct server_message message;

        if (!explained && server_message_of_class(&message, failure->code, job->verb == SERVER_BACKUP, job->set_name))
                events->message(&message, events->context);
        if (!explained)
                TELL(events, MESSAGE_WORDS, failure->message);
        TELL(events, MESSAGE_TERMINATED, verb_name(job->verb));
}

static void server_tell_success(const struct server_side *side, const struct server_events *events, const char *note)
{
        const struct server_job *job = side->job;
        double seconds = (double)(monotonic_ns() - side->began_ns) / 1e9;
        uint64_t pages = side->page_size ? side->total / side->page_size : 0;
        char count[24];
        char file[16];
        char time[32];
        char rate[32];

        snprintf(count, sizeof count, "%" PRIu64, pages);
        snprintf(file, sizeof file, "%u", side->file);
        snprintf(time, sizeof time, "%.3f", seconds);
        snprintf(rate, sizeof rate, "%.3f", (double)side->total / 1048576 / seconds);
        if (note[0])
                TELL(events, MESSAGE_NOTE, note);
        if (job->verb == SERVER_VERIFYONLY)
                TELL(events, MESSAGE_VALID, file);
        if (job->verb > SERVER_RESTORE)
                return;
        TELL(events, MESSAGE_PAGES, count, job->shown_database ? job->shown_database : job->database,
             server_job_logical_name(job), file);
        TELL(events, MESSAGE_DONE, verb_name(job->verb), count, time, rate);
}

int server_run(const struct server_kind *kind, const struct server_job *job, const struct vds_options *options,
               const struct server_events *events, struct error *err)
{
        struct server_side side;
        char note[ERROR_MESSAGE_MAX] = "";
        struct error failure = ERROR_INIT;
        int result = side_join(&side, job, options, events, &failure);

        if (result == 0 && strcmp(kind->name, job->kind) != 0)
                result = error_raise(&failure, ERR_USAGE, "there is no server of the kind '%s'", job->kind);
        if (result == 0)
                result = kind->run[job->verb](&side, note, &failure);
        if (result == 0 && events && events->concluding)
                result = events->concluding(events->context, &failure);
        side_end(&side, &failure, note);
        if (events && events->message) {
                if (result == 0)
                        server_tell_success(&side, events, note);
                else
                        server_tell_failure(job, events, side.explained, &failure);
        }
        if (err)
                *err = failure;
        return result;
}

void server_sweep(const struct server_kind *kind, const struct server_job *job)
{
        if (job->verb == SERVER_RESTORE)
                kind->sweep(job->database);
}
