#include "cli/run/member.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/message.h"
#include "cli/run/describe.h"
#include "cli/run/tracing.h"
#include "cli/run/transfer.h"
#include "codecs/base/pool.h"

int member_open(struct member *member, const struct args *args, const char *verb, struct error *err)
{
        memset(member, 0, sizeof *member);
        member->args = args;
        member->writes = !args->inputs.count;
        ident_uuid(member->primary.set_id);
        describe_time(member->primary.time);
        if (progress_init(&member->progress, args, verb, err) < 0 ||
            tracing_open(args->trace, "client", &member->trace, err) < 0 ||
            supervisor_start(args->stall_timeout_ms, &member->progress, &member->supervisor, err) < 0)
                return -1;
        supervisor_enter(member->supervisor, &member->worker, verb, "");
        return 0;
}

static const atomic_bool *member_cancel_flag(const struct member *member)
{
        return supervisor_cancel_flag(member->supervisor);
}

/* ---- volumes ---- */

/* All streams that are read are one backup's. */
static int member_check_source(struct member *member, const struct volume *volume, struct error *err)
{
        const char *source = volume_source(volume);

        if (!source[0] || strcmp(source, member->primary.source) == 0)
                return 0;
        if (member->primary.source[0])
                return error_raise(err, ERR_USAGE, "'%s' belongs to another backup than the others (set %s, not %s)",
                                   volume->path, source, member->primary.source);
        memcpy(member->primary.source, source, strlen(source) + 1);
        return 0;
}

int member_add_volume(struct member *member, uint32_t device, uint32_t device_count, char *path, struct error *err)
{
        const struct args *args = member->args;
        struct volume *volume = &member->volumes[member->volume_count++];

        *volume = (struct volume){
                .args = args,
                .primary = &member->primary,
                .device = device,
                .device_count = device_count,
                .writes = member->writes,
                .path = path,
                .existing = args->force         ? FILE_EXISTING_REPLACED
                            : device_count == 1 ? FILE_EXISTING_KEPT_FORCE_HELPS
                                                : FILE_EXISTING_KEPT,
        };
        pool_share(args->pool, member->volume_count);
        if (volume_open(volume, member_cancel_flag(member), err) < 0 || member_check_source(member, volume, err) < 0)
                return member_fail(member, err);
        return 0;
}

int member_add_output(struct member *member, uint32_t device, uint32_t device_count, const char *pattern,
                      const struct output_words *words, struct error *err)
{
        char *path;

        if (outputs_name(pattern, words, device + 1, &path, err) == 0)
                return member_add_volume(member, device, device_count, path, err);
        free(path);
        return member_fail(member, err);
}

void member_set_inputs(struct member *member, const struct inputs *inputs, uint32_t count)
{
        member->writes = false;
        member->volume_count = count;
        for (uint32_t i = 0; i < count; i++) {
                member->volumes[i] = (struct volume){ .args = member->args, .primary = &member->primary, .device = i };
                volume_borrow(&member->volumes[i], &inputs->items[i]);
        }
}

/* ---- serving ---- */

/* The direction is the statement's, and the server says it with the configuration. */
static int member_check_direction(const struct member *member, struct error *err)
{
        uint32_t features = member->config.features;

        if (!member->volume_count || !member->server->foreign)
                return 0;
        if (member->writes && !(features & VDF_WriteMedia))
                return error_raise(err, ERR_USAGE,
                                   "the server wants to read, its statement is a RESTORE; give it what to read with "
                                   "-i FILE");
        if (!member->writes && !(features & VDF_ReadMedia))
                return error_raise(err, ERR_USAGE,
                                   "the server wants to write, its statement is a BACKUP; say where to with -o FILE");
        return 0;
}

static int member_configure_volume(struct member *member, struct volume *volume, struct stream_info *info,
                                   struct error *err)
{
        /* A passphrase takes a second for each. */
        if (supervisor_check(member->supervisor, err) < 0)
                return -1;
        if (member->writes) {
                describe_device(member, volume->device, info);
                atomic_fetch_add(&member->progress.total, info->has_extent ? info->part_length : 0);
        }
        if (volume_configure(volume, &member->config, info, member_cancel_flag(member), err) < 0)
                return -1;
        return member_check_source(member, volume, err);
}

static int member_configure_volumes(struct member *member, struct error *err)
{
        struct stream_info info = { .features = 0 };
        int rc = 0;

        if (member->writes)
                rc = describe_backup(member, &info, err);
        for (uint32_t i = 0; rc == 0 && i < member->volume_count; i++)
                rc = member_configure_volume(member, &member->volumes[i], &info, err);
        stream_info_deinit(&info);
        if (!member->keeps_keys)
                coding_forget(member->args);
        return rc;
}

/* Joins all. The first failure of our own is the cause of whatever the server says afterwards; who was merely
 * interrupted has none. */
static int member_join_transfers(struct member *member, struct error *err)
{
        struct error own = ERROR_INIT;
        bool closed = true;
        bool opened = false;

        for (uint32_t i = 0; i < member->volume_count; i++) {
                struct device_transfer *transfer = &member->transfers[i];
                bool interrupted;

                transfer_join(transfer);
                interrupted = transfer->err.code == ERR_ABORTED;
                closed = closed && transfer->closed && !interrupted;
                opened = opened || transfer->opened;
                if (!interrupted)
                        error_keep_first(&own, &transfer->err);
        }
        supervisor_set_serving(member->supervisor, false);
        if (!error_is_set(&own))
                return closed ? 0 : -1;
        if (opened || !member->secondary)
                engine_signal_abort(member->engine);
        error_keep_first(err, &own);
        return -1;
}

static int member_transfer(struct member *member, struct error *err)
{
        int rc = 0;

        member->transfers = calloc(member->volume_count + 1, sizeof *member->transfers);
        if (!member->transfers)
                return error_no_memory(err);
        for (uint32_t i = 0; i < member->volume_count; i++) {
                member->transfers[i].member = member;
                member->transfers[i].volume = &member->volumes[i];
        }
        supervisor_set_serving(member->supervisor, true);
        for (uint32_t i = 1; rc == 0 && i < member->volume_count; i++)
                rc = transfer_start(&member->transfers[i], err);
        if (rc < 0)
                engine_signal_abort(member->engine);
        else if (member->volume_count)
                transfer_run(&member->transfers[0]);
        return member_join_transfers(member, err) < 0 ? -1 : rc;
}

/* The server has said success: the verdict enters the streams, and the files get their names. */
static int member_finish(struct member *member, struct error *err)
{
        struct stage *files[VDS_DEVICES_MAX];
        size_t file_count = volumes_files(member->volumes, member->volume_count, files);
        int rc = 0;

        if (!member->writes)
                return 0;
        worker_begin(&member->worker);
        for (uint32_t i = 0; rc == 0 && i < member->volume_count; i++)
                rc = member->unconfirmed ? volume_complete(&member->volumes[i], err)
                                         : volume_finish(&member->volumes[i], member->report_json, err);
        if (rc == 0)
                rc = supervisor_check(member->supervisor, err);
        supervisor_watch_keeper(member->supervisor, -1);
        if (rc == 0 && file_count)
                rc = run_as_publish(member->run_as, files, file_count, err);
        worker_end(&member->worker);
        if (rc == 0)
                return 0;
        member_fail(member, err);
        return error_prefix(err, "the server counts this backup as taken, but it is not complete: ");
}

int member_serve(struct member *member, struct error *err)
{
        if (member_check_direction(member, err) < 0 || member_configure_volumes(member, err) < 0 ||
            member_transfer(member, err) < 0 || member->server->await_success(member, err) < 0)
                return member_fail(member, err);
        /* It has said success; how it ends matters no more. */
        supervisor_watch_server(member->supervisor, -1, NULL, NULL);
        if (member_finish(member, err) < 0)
                return -1;
        if (member->report.note[0])
                message_warning("%s", member->report.note);
        return 0;
}

/* ---- the end ---- */

void member_close(struct member *member, const struct error *err)
{
        for (uint32_t i = 0; error_is_set(err) && i < member->volume_count; i++)
                volume_abort(&member->volumes[i], err->message);
        member_leave(member);
        if (member->server && member->server->end)
                member->server->end(member);
        if (member->supervisor)
                supervisor_leave(member->supervisor, &member->worker);
        supervisor_stop(member->supervisor);
        tracing_close(member->trace);
        run_as_end(member->run_as);
        for (uint32_t i = 0; i < member->volume_count; i++)
                volume_deinit(&member->volumes[i]);
        for (uint32_t i = 0; i < member->device_count; i++)
                free(member->devices[i]);
        if (member->connection)
                close(member->connection);
        free(member->primary_text);
        free(member->report_json);
        memset(member, 0, sizeof *member);
}
