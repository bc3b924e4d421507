#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/servers/report.h"
#include "core/servers/sqlite.h"
#include "core/servers/sqlite_check.h"
#include "core/servers/sqlite_replace.h"
#include "core/servers/sqlite_stage.h"

struct restore {
        const struct server_job *job;
        struct target target;
        struct stage stage;
        uint64_t sizes[VDS_DEVICES_MAX]; /* bytes that came, by device; each is its device thread's until the join */
};

static int fault(const char *point, const struct server_job *job, struct error *err)
{
        int sys_errno = fault_point(point);

        return sys_errno ? error_raise_errno(err, sys_errno, "restore of '%s' failed", job->database) : 0;
}

/* ---- before any data ---- */

static void restore_deinit(struct restore *restore)
{
        if (restore->target.folder_fd >= 0)
                stage_remove(&restore->target, &restore->stage);
        target_deinit(&restore->target);
}

/* Refuses what could not be put into place at the end. Nothing has been read yet, so nothing is lost but the attempt.
 */
static int check_target(struct restore *restore, struct error *err)
{
        struct target *target = &restore->target;
        const struct replacement replacement = { .target = target };
        char path[PATH_MAX];

        if (target_look(target, err) < 0)
                return -1;
        if (!target_first(target, path))
                return 0;
        switch (restore->job->replace) {
        case SERVER_REPLACE_ASIDE:
                return replace_check_unused(target, target->name, err);
        case SERVER_REPLACE_IN_PLACE:
                if (target->exists[0])
                        return replace_probe_in_place(&replacement, err);
                return error_raise(err, ERR_USAGE, "'%s' exists without its database: use --replace=aside", path);
        default:
                return error_raise(err, ERR_USAGE, "'%s' exists: use --replace to write over the database", path);
        }
}

static int check_job(const struct server_job *job, struct error *err)
{
        if (job->device_count > 1 && !job->has_parts)
                return error_raise(err, ERR_USAGE,
                                   "nobody knows which part of '%s' each of the %u streams carries: give one stream",
                                   job->database, job->device_count);
        return 0;
}

static int configure(struct session *session, struct error *err)
{
        const struct server_job *job = session->job;
        const struct session_shape shape = {
                .features = (session->config.features & SQLITE_FEATURES & ~VDF_RequestComplete) | VDF_ReadMedia,
                .block_size = job->block_size ? job->block_size : VDS_BLOCK_SIZE_MIN,
                .max_transfer = job->max_transfer ? job->max_transfer : SQLITE_TRANSFER_DEFAULT,
                .buffer_count = job->buffer_count,
        };
        struct server_info info = { .kind = "sqlite" };
        char text[VDS_TEXT_MAX];

        snprintf(info.version, sizeof info.version, "%s", sqlite3_libversion());
        if (server_info_encode(&info, text, err) < 0)
                return -1;
        return session_configure(session, &shape, text, err);
}

/* ---- the data ---- */

/* A read that ends the device's data; bytes may come with it. */
static bool is_end(int32_t completion_code)
{
        return completion_code == ERROR_HANDLE_EOF || completion_code == ERROR_NO_DATA_DETECTED ||
               completion_code == ERROR_FILEMARK_DETECTED;
}

static int store(struct restore *restore, uint32_t device, const struct VDS_Command *command, struct error *err)
{
        const struct server_part *part = &restore->job->parts[device];
        uint64_t at = restore->sizes[device];
        uint64_t size = (uint64_t)command->bytesTransferred;

        if (restore->job->has_parts && size > part->length - at)
                return error_raise(err, ERR_DAMAGED, "device %u carries more than its part of '%s'", device + 1,
                                   restore->job->database);
        if (fd_pwrite_full(restore->stage.fd, command->buffer, size, (off_t)(part->offset + at)) < 0)
                return error_raise_errno(err, errno, "cannot write the restored database in the folder '%s'",
                                         restore->target.folder);
        restore->sizes[device] += size;
        return 0;
}

/* Looks at one completed read. 1: more to come, 0: that was the end, negative: failed. */
static int take_read(struct channel *channel, struct restore *restore, const struct VDS_Command *command,
                     struct error *err)
{
        bool positioned = channel->session->shape.features & VDF_RandomAccess;

        if (command->completionCode != ERROR_SUCCESS && !is_end(command->completionCode))
                return channel_raise(channel, command, err);
        if (command->bytesTransferred < 0 || command->bytesTransferred > command->size ||
            (command->bytesTransferred == 0 && command->completionCode == ERROR_SUCCESS) ||
            (positioned && command->bytesTransferred > 0 &&
             command->inPosition != (int64_t)restore->sizes[channel->index]))
                return error_raise(err, ERR_PROTOCOL,
                                   "the client answered a read with an impossible number of bytes (%d)",
                                   (int)command->bytesTransferred);
        if (store(restore, channel->index, command, err) < 0)
                return -1;
        return is_end(command->completionCode) ? 0 : 1;
}

static int check_part(const struct restore *restore, uint32_t device, struct error *err)
{
        const struct server_job *job = restore->job;

        if (job->has_parts && restore->sizes[device] != job->parts[device].length)
                return error_raise(err, ERR_DAMAGED, "device %u ends early: %llu of %llu bytes of '%s' came",
                                   device + 1, (unsigned long long)restore->sizes[device],
                                   (unsigned long long)job->parts[device].length, job->database);
        return 0;
}

/* Keeps as many reads outstanding as there are buffers; they come back in order. */
static int serve(struct channel *channel, struct restore *restore, struct error *err)
{
        uint32_t size = channel->session->shape.max_transfer;
        uint64_t asked = 0;
        int more = 1;

        for (uint32_t i = 0; i < channel->depth; i++, asked += size)
                channel_send(channel, &channel->slots[channel->next], VDC_Read, size, asked);
        while (more > 0) {
                struct slot *slot = channel_next(channel);

                if (session_is_failing(channel->session))
                        return 0;
                more = take_read(channel, restore, &slot->command, err);
                if (more > 0) {
                        channel_send(channel, slot, VDC_Read, size, asked);
                        asked += size;
                }
        }
        if (more < 0)
                return -1;
        /* Behind the end the device is in IO-ERROR, and the other reads come back unserved; closing it is the orderly
         * answer. */
        channel_drain(channel);
        return check_part(restore, channel->index, err);
}

static void serve_device(struct channel *channel, void *restore_at)
{
        struct error err = ERROR_INIT;

        if (serve(channel, restore_at, &err) < 0)
                session_fail(channel->session, &err);
}

/* ---- after the data ---- */

/* As recorded, as far as permitted: only root may give a file away. Else as the old database was, or as files are made
 * here. */
static void dress(const struct restore *restore)
{
        const struct server_job *job = restore->job;
        const struct stat *old = restore->target.exists[0] ? &restore->target.st : NULL;
        uid_t uid = job->has_owner ? job->uid : old ? old->st_uid : geteuid();
        gid_t gid = job->has_owner ? job->gid : old ? old->st_gid : (gid_t)-1;
        mode_t mask = umask(077);
        mode_t mode = job->has_owner ? job->mode : old ? old->st_mode : 0644 & ~mask;

        umask(mask);
        stage_dress(&restore->stage, uid, gid, mode);
}

static int settle(struct restore *restore, struct session *session, struct db_patience *patience, struct error *err)
{
        const struct server_job *job = restore->job;

        if (fault("restore.data.written", job, err) < 0)
                return -1;
        dress(restore);
        if (fsync(restore->stage.fd) < 0)
                return error_raise_errno(err, errno, "cannot write the restored database in the folder '%s'",
                                         restore->target.folder);
        if (fault("restore.synced", job, err) < 0 ||
            check_database(restore->stage.path, restore->stage.fd, job->check, patience, job->database, err) < 0)
                return -1;
        if (session_is_aborted(session))
                return session_raise(session, VD_E_ABORT, "finish", err);
        return fault("restore.checked", job, err);
}

/* The way into place. A target that appeared since the first look is refused as it would have been then. */
static int put_into_place(struct restore *restore, const struct replacement *replacement, struct error *err)
{
        static int (*const ways[])(const struct replacement *replacement, struct error *err) = {
                [SERVER_REPLACE_NO] = replace_new,
                [SERVER_REPLACE_IN_PLACE] = replace_in_place,
                [SERVER_REPLACE_ASIDE] = replace_aside,
        };
        char path[PATH_MAX];

        if (check_target(restore, err) < 0)
                return -1;
        return (target_first(&restore->target, path) ? ways[restore->job->replace] : replace_new)(replacement, err);
}

int sqlite_restore(struct session *session, char note[ERROR_MESSAGE_MAX], struct error *err)
{
        CLEANUP(restore_deinit)
        struct restore restore = { .job = session->job, .target = TARGET_INIT, .stage = STAGE_INIT };
        struct db_patience patience = { .cancelled = session_is_aborted, .context = session };
        const struct replacement replacement = {
                .target = &restore.target, .stage = &restore.stage, .patience = &patience, .note = note
        };

        stage_sweep(session->job->database);
        if (check_job(session->job, err) < 0 || target_open(&restore.target, session->job->database, err) < 0 ||
            check_target(&restore, err) < 0 || stage_create(&restore.target, "restore", &restore.stage, err) < 0 ||
            fault("restore.temp.created", session->job, err) < 0 || configure(session, err) < 0 ||
            session_transfer(session, serve_device, &restore, err) < 0 || settle(&restore, session, &patience, err) < 0)
                return -1;
        patience.deadline = deadline_after_ms(session->job->busy_timeout_ms);
        return put_into_place(&restore, &replacement, err);
}
