#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/servers/json_text.h"
#include "core/servers/report.h"
#include "core/sqlite/sqlite.h"
#include "core/sqlite/image.h"
#include "core/sqlite/target.h"

struct backup_run {
        const struct server_job *job;
        struct image *image;
        struct server_info info;
};

static int backup_fault(const char *point, const struct server_job *job, struct error *err)
{
        int sys_errno = fault_point(point);

        return sys_errno ? error_raise_errno(err, sys_errno, "backup of '%s' failed", job->database) : 0;
}

static void copy_words(char words[SERVER_WORDS_MAX], const char *text)
{
        if (text)
                json_text_printable(text, words, SERVER_WORDS_MAX);
}

static void backup_describe(struct backup_run *backup, uint32_t devices)
{
        const struct server_job *job = backup->job;
        const struct sqlite_facts *facts = image_facts(backup->image);

        backup->info = (struct server_info){
                .kind = "sqlite",
                .page_size = facts->page_size,
                .size = facts->size,
                .part_count = devices,
                .uid = facts->st.st_uid,
                .gid = facts->st.st_gid,
                .mode = facts->st.st_mode & 07777,
        };
        snprintf(backup->info.version, sizeof backup->info.version, "%s", sqlite3_libversion());
        if (strlen(job->database) < sizeof backup->info.origin)
                snprintf(backup->info.origin, sizeof backup->info.origin, "%s", job->database);
        copy_words(backup->info.backup_name, job->backup_name);
        copy_words(backup->info.description, job->description);
        copy_words(backup->info.media_name, job->media_name);
        copy_words(backup->info.media_description, job->media_description);
        image_cut(backup->image, devices, backup->info.parts);
}

static int raise_block_size(const struct backup_run *backup, struct server_side *side, uint32_t block_size,
                            struct error *err)
{
        char block[16];
        char page[16];

        snprintf(block, sizeof block, "%u", block_size);
        snprintf(page, sizeof page, "%u", backup->info.page_size);
        side_explain(side, MESSAGE_BLOCK_SIZE_DIVIDES, block, page, backup->job->database);
        return error_raise(
                err, ERR_USAGE,
                "a block size of %s does not divide the page size %s of '%s': use a --block-size of %s or less", block,
                page, backup->job->database, page);
}

static int backup_configure(struct backup_run *backup, struct server_side *side, struct error *err)
{
        const struct server_job *job = backup->job;
        /* Restores ask a tape for its smallest blocks, and other databases may follow on it. */
        bool small = backup->info.page_size == 0 || sqlite_is_tape(side);
        uint32_t block_size = small ? VDS_BLOCK_SIZE_MIN : backup->info.page_size;
        struct side_shape shape = {
                .features = (side->config.features & SQLITE_FEATURES) | VDF_WriteMedia,
                .block_size = job->block_size ? job->block_size : block_size,
                .max_transfer = job->max_transfer ? job->max_transfer : SQLITE_TRANSFER_DEFAULT,
                .buffer_count = job->buffer_count,
        };
        char text[VDS_TEXT_MAX];

        if (shape.features & VDF_RequestComplete)
                shape.features |= VDF_CompleteEnabled;
        if (backup->info.page_size && backup->info.page_size % shape.block_size != 0)
                return raise_block_size(backup, side, shape.block_size, err);
        if (server_info_encode(&backup->info, text, err) < 0) {
                side_explain(side, MESSAGE_DESCRIPTOR_SIZE, "4096");
                return -1;
        }
        return side_configure(side, &shape, text, err);
}

/* ---- the data ---- */

/* Writes what is left of a buffer with nothing else outstanding, past any number of warnings: in the warning zone of
 * the medium what a completion says was written is written, and there may be room for more. */
static int write_alone(struct channel *channel, uint8_t *buffer, uint32_t size, struct error *err)
{
        while (size > 0) {
                const struct VDS_Command *command = channel_write(channel, buffer, size);
                uint32_t written = (uint32_t)command->bytesTransferred;

                if (command->completionCode != ERROR_SUCCESS && command->completionCode != ERROR_END_OF_MEDIA)
                        return channel_raise(channel, command, err);
                if (command->bytesTransferred < 0 || written > size ||
                    (command->completionCode == ERROR_SUCCESS && written != size) ||
                    written % channel->side->shape.block_size != 0)
                        return error_raise(err, ERR_IO, "the client took %u of %u bytes of a write", written, size);
                if (command->completionCode == ERROR_END_OF_MEDIA && channel_control(channel, VDC_ClearError, err) < 0)
                        return -1;
                buffer += written;
                size -= written;
        }
        return 0;
}

/* What became of the last write of a slot. A slot that carried none yet is all zeros. */
static int check_write(struct channel *channel, const struct VDS_Command *command, struct error *err)
{
        if (command->completionCode != ERROR_SUCCESS)
                return channel_raise(channel, command, err);
        if (command->bytesTransferred != command->size)
                return error_raise(err, ERR_IO, "the client took %d of %d bytes of a write",
                                   (int)command->bytesTransferred, (int)command->size);
        side_progress(channel->side, (uint64_t)command->size);
        return 0;
}

/* A write met the warning zone, so the device refuses those behind it. Sees that all of them are written, in order, and
 * empties the slots. From here on every write goes alone. */
static int pass_warning(struct channel *channel, struct error *err)
{
        channel_drain(channel);
        if (channel_control(channel, VDC_ClearError, err) < 0)
                return -1;
        for (uint32_t i = 0; i < channel->depth; i++) {
                struct VDS_Command *command = &channel->slots[(channel->next + i) % channel->depth].command;
                uint32_t size = (uint32_t)command->size;
                uint32_t written = (uint32_t)command->bytesTransferred;

                if (command->completionCode == ERROR_IO_DEVICE)
                        written = 0;
                else if (command->completionCode != ERROR_SUCCESS && command->completionCode != ERROR_END_OF_MEDIA)
                        return channel_raise(channel, command, err);
                if (command->bytesTransferred < 0 || written > size || written % channel->side->shape.block_size != 0)
                        return error_raise(err, ERR_IO, "the client took %u of %u bytes of a write", written, size);
                if (write_alone(channel, command->buffer + written, size - written, err) < 0)
                        return -1;
                side_progress(channel->side, size);
                command->completionCode = ERROR_SUCCESS;
                command->size = 0;
                command->bytesTransferred = 0;
        }
        return 0;
}

/* Looks at the completion of a slot's last write, and frees the slot for the next. */
static int settle_write(struct channel *channel, struct slot *slot, bool *alone, struct error *err)
{
        bool positioned = channel->side->shape.features & VDF_RandomAccess;

        if (slot->command.completionCode == ERROR_END_OF_MEDIA && !positioned) {
                *alone = true;
                return pass_warning(channel, err);
        }
        if (check_write(channel, &slot->command, err) < 0)
                return -1;
        slot->command.size = 0;
        slot->command.bytesTransferred = 0;
        return 0;
}

/* Fills the next buffers with the device's part and sends them, until everything is sent or something fails. */
static int write_part(struct channel *channel, struct backup_run *backup, struct error *err)
{
        const struct server_part *part = &backup->info.parts[channel->index];
        uint32_t max = channel->side->shape.max_transfer;
        bool alone = false;
        uint64_t at = 0;

        while (at < part->length) {
                uint32_t size = part->length - at < max ? (uint32_t)(part->length - at) : max;
                struct slot *slot = channel_next(channel);

                if (side_is_failing(channel->side))
                        return 0;
                if (settle_write(channel, slot, &alone, err) < 0)
                        return -1;
                if ((at == 0 && backup_fault("backup.first_write", backup->job, err) < 0) ||
                    (at < part->length / 2 && at + size >= part->length / 2 &&
                     backup_fault("backup.middle", backup->job, err) < 0))
                        return -1;
                if (image_read(backup->image, part->offset + at, slot->command.buffer, size, err) < 0)
                        return -1;
                if (!alone)
                        channel_send(channel, slot, VDC_Write, size, at);
                else if (write_alone(channel, slot->command.buffer, size, err) < 0)
                        return -1;
                else
                        side_progress(channel->side, size);
                at += size;
        }
        return 0;
}

/* Looks at the completions that write_part() left. */
static int finish_writes(struct channel *channel, struct error *err)
{
        bool alone;

        channel_drain(channel);
        for (uint32_t i = 0; i < channel->depth; i++)
                if (settle_write(channel, &channel->slots[(channel->next + i) % channel->depth], &alone, err) < 0)
                        return -1;
        return 0;
}

/* Complete says that the whole backup has been sent, so it waits until every device has flushed. */
static int backup_serve(struct channel *channel, struct backup_run *backup, struct error *err)
{
        struct server_side *side = channel->side;

        if (sqlite_seek_write(channel, err) < 0 || write_part(channel, backup, err) < 0 ||
            finish_writes(channel, err) < 0)
                return -1;
        if (side_is_failing(side))
                return 0;
        if (sqlite_write_mark(channel, err) < 0)
                return -1;
        if (backup_fault("backup.flush", backup->job, err) < 0 || channel_control(channel, VDC_Flush, err) < 0)
                return -1;
        if (!side_meet(side))
                return 0;
        if (side->shape.features & VDF_CompleteEnabled)
                return channel_control(channel, VDC_Complete, err);
        return 0;
}

static void backup_serve_device(struct channel *channel, void *backup_at)
{
        struct error err = ERROR_INIT;

        if (backup_serve(channel, backup_at, &err) < 0)
                side_fail(channel->side, &err);
}

int sqlite_backup(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err)
{
        CLEANUP(image_closep) struct image *image = NULL;
        const struct server_job *job = side->job;
        const struct image_options options = {
                .path = job->database,
                .immutable = job->immutable,
                .busy_timeout_ms = job->busy_timeout_ms,
                .max_lock_ms = job->max_lock_ms,
                .max_wal = job->max_wal,
                .spool_dir = job->spool_dir,
                .cancelled = side_is_aborted,
                .context = side,
        };
        struct backup_run backup = { .job = job };

        /* A restore that died may have taken the database away. */
        target_sweep(job->database);
        if (backup_fault("backup.open", job, err) < 0 || image_open(&options, &image, err) < 0 ||
            backup_fault("backup.locked", job, err) < 0)
                return -1;
        backup.image = image;
        backup_describe(&backup, job->device_count);
        side_set_total(side, backup.info.size, backup.info.page_size);
        if (job->checksum && image_verify(image, err) < 0)
                return -1;
        if (backup_configure(&backup, side, err) < 0 ||
            image_start(image, backup.info.parts, job->device_count, err) < 0 ||
            side_transfer(side, backup_serve_device, &backup, err) < 0)
                return -1;
        image_note(image, note);
        if (image_check(image, err) < 0)
                return -1;
        if (side_is_aborted(side))
                return side_raise(side, VD_E_ABORT, "finish", err);
        return backup_fault("backup.verdict", job, err);
}
