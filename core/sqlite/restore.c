#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"
#include "core/servers/report.h"
#include "core/sqlite/sqlite.h"
#include "core/sqlite/check.h"
#include "core/sqlite/input.h"
#include "core/sqlite/replace.h"
#include "core/sqlite/target.h"

struct restore_run {
        const struct server_job *job;
        struct target target;
        struct staged staged;
        struct server_side *side;
        struct sqlite_input input;
};

static int restore_fault(const char *point, const struct server_job *job, struct error *err)
{
        int sys_errno = fault_point(point);

        return sys_errno ? error_raise_errno(err, sys_errno, "restore of '%s' failed", job->database) : 0;
}

/* ---- before any data ---- */

static void restore_deinit(struct restore_run *restore)
{
        staged_deinit(&restore->staged);
        target_deinit(&restore->target);
}

/* Refuses what could not be put into place at the end.
 * Nothing has been read yet, so nothing is lost but the attempt. */
static int restore_check_target(struct restore_run *restore, struct error *err)
{
        struct target *target = &restore->target;
        const struct replacement replacement = { .target = target };
        char path[PATH_MAX];

        if (target_look(target, err) < 0)
                return -1;
        if (!target_first(target, path))
                return 0;
        if (restore->job->replace == SERVER_REPLACE_NO)
                side_explain(restore->side, MESSAGE_FILE_EXISTS, server_job_logical_name(restore->job), path);
        switch (restore->job->replace) {
        case SERVER_REPLACE_ASIDE:
                return replace_check_unused(target, target->name, err);
        case SERVER_REPLACE_IN_PLACE:
                if (target->exists[0])
                        return replace_probe_in_place(&replacement, err);
                return error_raise(
                        err, ERR_USAGE,
                        "'%s' exists without its database: move it away, or use vdipipe restore --replace=aside", path);
        default:
                return error_raise(
                        err, ERR_USAGE,
                        "'%s' exists: only RESTORE ... WITH REPLACE (vdipipe restore --replace) writes over it", path);
        }
}

int sqlite_configure_read(struct server_side *side, struct error *err)
{
        const struct server_job *job = side->job;
        const struct side_shape shape = {
                .features = (side->config.features & SQLITE_FEATURES & ~VDF_RequestComplete) | VDF_ReadMedia,
                .block_size = job->block_size ? job->block_size : VDS_BLOCK_SIZE_MIN,
                .max_transfer = job->max_transfer ? job->max_transfer : SQLITE_TRANSFER_DEFAULT,
                .buffer_count = job->buffer_count,
        };
        struct server_info info = { .kind = "sqlite" };
        char text[VDS_TEXT_MAX];

        snprintf(info.version, sizeof info.version, "%s", sqlite3_libversion());
        if (server_info_encode(&info, text, err) < 0)
                return -1;
        return side_configure(side, &shape, text, err);
}

/* ---- the data ---- */

static int restore_store(void *restore_at, uint64_t offset, const void *data, size_t size, struct error *err)
{
        const struct restore_run *restore = restore_at;

        if (fd_pwrite_full(restore->staged.fd, data, size, (off_t)offset) < 0)
                return error_raise_errno(err, errno, "cannot write the restored database in the folder '%s'",
                                         restore->target.folder);
        return 0;
}

static int restore_transfer(struct restore_run *restore, struct error *err)
{
        sqlite_input_init(&restore->input, restore->side);
        restore->input.store = restore_store;
        restore->input.context = restore;
        return sqlite_input_run(&restore->input, err);
}

/* ---- after the data ---- */

static int restore_check(const struct restore_run *restore, enum server_check check, const struct db_patience *patience,
                         const char *shown, struct error *err)
{
        CLEANUP(freep) char *path = NULL;

        if (target_staged_path(&restore->target, &restore->staged, &path, err) < 0)
                return -1;
        return check_database(path, restore->staged.fd, check, patience, shown, err);
}

/* As recorded, as far as permitted: only root may give a file away. Else as the old database was, or as files are made
 * here. */
static void restore_dress(const struct restore_run *restore)
{
        const struct server_job *job = restore->job;
        const struct stat *old = restore->target.exists[0] ? &restore->target.st : NULL;
        uid_t uid = job->has_owner ? job->uid : old ? old->st_uid : geteuid();
        gid_t gid = job->has_owner ? job->gid : old ? old->st_gid : (gid_t)-1;
        mode_t mode = job->has_owner ? job->mode : old ? old->st_mode : 0644 & ~staged_umask();

        staged_dress(&restore->staged, uid, gid, mode);
}

static int restore_finish(struct restore_run *restore, struct server_side *side, struct db_patience *patience,
                          struct error *err)
{
        const struct server_job *job = restore->job;

        if (restore_fault("restore.data.written", job, err) < 0)
                return -1;
        restore_dress(restore);
        if (fsync(restore->staged.fd) < 0)
                return error_raise_errno(err, errno, "cannot write the restored database in the folder '%s'",
                                         restore->target.folder);
        if (restore_fault("restore.synced", job, err) < 0 ||
            restore_check(restore, job->check, patience, job->database, err) < 0)
                return -1;
        if (side_is_aborted(side))
                return side_raise(side, VD_E_ABORT, "finish", err);
        return restore_fault("restore.checked", job, err);
}

/* Root's restore by another user cannot give the file away. */
static void restore_note_owner(const struct restore_run *restore, char note[ERROR_MESSAGE_MAX])
{
        const struct server_job *job = restore->job;
        struct stat st;

        if (!job->as_uid || !job->has_owner || note[0] || stat(restore->target.path, &st) < 0 ||
            (st.st_uid == job->uid && st.st_gid == job->gid))
                return;
        snprintf(note, ERROR_MESSAGE_MAX, "'%s' belongs to %lu:%lu now; when it was backed up it did to %lu:%lu",
                 restore->target.path, (unsigned long)st.st_uid, (unsigned long)st.st_gid, (unsigned long)job->uid,
                 (unsigned long)job->gid);
}

/* The way into place. A target that appeared since the first look is refused as it would have been then. */
static int restore_put_into_place(struct restore_run *restore, const struct replacement *replacement, struct error *err)
{
        static int (*const ways[])(const struct replacement *replacement, struct error *err) = {
                [SERVER_REPLACE_NO] = replace_new,
                [SERVER_REPLACE_IN_PLACE] = replace_in_place,
                [SERVER_REPLACE_ASIDE] = replace_aside,
        };
        char path[PATH_MAX];

        if (restore_check_target(restore, err) < 0)
                return -1;
        return (target_first(&restore->target, path) ? ways[restore->job->replace] : replace_new)(replacement, err);
}

int sqlite_restore(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err)
{
        CLEANUP(restore_deinit)
        struct restore_run restore = { .job = side->job, .target = TARGET_INIT, .staged = STAGED_INIT, .side = side };
        struct db_patience patience = { .cancelled = side_is_aborted, .context = side };
        const struct replacement replacement = {
                .target = &restore.target, .staged = &restore.staged, .patience = &patience, .note = note
        };

        target_sweep(side->job->database);
        patience.deadline = deadline_after_ms(side->job->busy_timeout_ms);
        if (sqlite_check_file(side, err) < 0 || target_open(&restore.target, side->job->database, err) < 0 ||
            target_lock(&restore.target, &patience, err) < 0 || restore_check_target(&restore, err) < 0 ||
            target_stage(&restore.target, "restore", &restore.staged, err) < 0 ||
            restore_fault("restore.temp.created", side->job, err) < 0 || sqlite_configure_read(side, err) < 0 ||
            restore_transfer(&restore, err) < 0 || restore_finish(&restore, side, &patience, err) < 0)
                return -1;
        patience.deadline = deadline_after_ms(side->job->busy_timeout_ms);
        if (restore_put_into_place(&restore, &replacement, err) < 0)
                return -1;
        restore_note_owner(&restore, note);
        return 0;
}

/* ---- the same without a database ---- */

/* What the header says, against what came. */
static int verify_check_length(const struct sqlite_input *input, struct error *err)
{
        uint64_t size = sqlite_input_size(input);
        uint64_t want = input->pages * input->page_size;

        if (size == 0 || (input->pages == 0 && size % input->page_size == 0) || size == want)
                return 0;
        return error_raise(err, ERR_DAMAGED, "the backup set on '%s' has %llu bytes, and its header speaks of %llu",
                           input->shown, (unsigned long long)size, (unsigned long long)want);
}

/* With CHECKSUM the database is put together in the spool folder for SQLite to look at. */
static int verify_content(struct restore_run *restore, struct error *err)
{
        struct db_patience patience = { .cancelled = side_is_aborted, .context = restore->side };

        if (restore_check(restore, SERVER_CHECK_QUICK, &patience, restore->job->set_name, err) < 0)
                return -1;
        return side_is_aborted(restore->side) ? side_raise(restore->side, VD_E_ABORT, "finish", err) : 0;
}

static int verify_open_spool(struct restore_run *restore, struct error *err)
{
        CLEANUP(freep) char *path = NULL;

        if (asprintf(&path, "%s/vdipipe-verify", restore->job->spool_dir) < 0)
                return error_no_memory(err);
        target_sweep(path);
        if (target_open(&restore->target, path, err) < 0)
                return -1;
        return target_stage(&restore->target, "restore", &restore->staged, err);
}

int sqlite_verify(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err)
{
        CLEANUP(restore_deinit)
        struct restore_run restore = { .job = side->job, .target = TARGET_INIT, .staged = STAGED_INIT, .side = side };
        bool content = side->job->checksum;

        (void)note;
        if (sqlite_check_file(side, err) < 0 || (content && verify_open_spool(&restore, err) < 0) ||
            sqlite_configure_read(side, err) < 0)
                return -1;
        sqlite_input_init(&restore.input, side);
        restore.input.store = content ? restore_store : NULL;
        restore.input.context = &restore;
        if (sqlite_input_run(&restore.input, err) < 0 || verify_check_length(&restore.input, err) < 0)
                return -1;
        return content ? verify_content(&restore, err) : 0;
}
