#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/sqlite_header.h"
#include "core/sqlite/sqlite.h"

enum {
        SETS_MAX = 4096, /* that HEADERONLY lists */
        CELLS_MAX = 64,
        DEVICE_TYPE_VIRTUAL = 7,
        BACKUP_TYPE_DATABASE = 1,
};

/* What the first bytes of a backup set say. */
struct found_set {
        uint32_t position;
        bool empty; /* a database of no pages */
        bool ended; /* reading went over its mark */
        uint32_t page_size;
        uint64_t size; /* bytes; 0 with pages: not known */
        uint32_t encoding;
        uint32_t library; /* 3040001: SQLite 3.40.1 */
};

/* One column: its name, and how it is filled. NULL: nothing is known of it. */
struct column {
        const char *name;
        struct result_cell (*value)(const struct found_set *set);
};

/* ---- values ---- */

static struct result_cell number(int64_t value)
{
        return (struct result_cell){ .kind = RESULT_NUMBER, .number = value };
}

static struct result_cell text(const char *value)
{
        return (struct result_cell){ .kind = RESULT_TEXT, .text = value };
}

static struct result_cell nothing(void)
{
        return (struct result_cell){ .kind = RESULT_NULL };
}

static struct result_cell zero(const struct found_set *set)
{
        (void)set;
        return number(0);
}

static struct result_cell one(const struct found_set *set)
{
        (void)set;
        return number(1);
}

static struct result_cell position(const struct found_set *set)
{
        return number(set->position);
}

static struct result_cell device_type(const struct found_set *set)
{
        (void)set;
        return number(DEVICE_TYPE_VIRTUAL);
}

static struct result_cell backup_type(const struct found_set *set)
{
        (void)set;
        return number(BACKUP_TYPE_DATABASE);
}

static struct result_cell backup_type_words(const struct found_set *set)
{
        (void)set;
        return text("Database");
}

static struct result_cell size(const struct found_set *set)
{
        return set->size || set->empty ? number((int64_t)set->size) : nothing();
}

static struct result_cell page_size(const struct found_set *set)
{
        return set->page_size ? number(set->page_size) : nothing();
}

static struct result_cell library(const struct found_set *set)
{
        return set->library ? number(set->library) : nothing();
}

static struct result_cell library_major(const struct found_set *set)
{
        return set->library ? number(set->library / 1000000) : nothing();
}

static struct result_cell library_minor(const struct found_set *set)
{
        return set->library ? number(set->library / 1000 % 1000) : nothing();
}

static struct result_cell library_build(const struct found_set *set)
{
        return set->library ? number(set->library % 1000) : nothing();
}

static struct result_cell encoding(const struct found_set *set)
{
        static const char *const names[] = { NULL, "UTF-8", "UTF-16le", "UTF-16be" };

        return set->encoding >= 1 && set->encoding <= 3 ? text(names[set->encoding]) : nothing();
}

static struct result_cell recovery_model(const struct found_set *set)
{
        (void)set;
        return text("SIMPLE");
}

static struct result_cell logical_name(const struct found_set *set)
{
        (void)set;
        return text("main");
}

static struct result_cell file_type(const struct found_set *set)
{
        (void)set;
        return text("D");
}

static struct result_cell filegroup(const struct found_set *set)
{
        (void)set;
        return text("PRIMARY");
}

static struct result_cell software(const struct found_set *set)
{
        (void)set;
        return text("SQLite");
}

/* ---- SQL Server's columns, in its order ---- */

static const struct column header_columns[] = {
        { "BackupName", NULL },
        { "BackupDescription", NULL },
        { "BackupType", backup_type },
        { "ExpirationDate", NULL },
        { "Compressed", zero },
        { "Position", position },
        { "DeviceType", device_type },
        { "UserName", NULL },
        { "ServerName", NULL },
        { "DatabaseName", NULL },
        { "DatabaseVersion", library },
        { "DatabaseCreationDate", NULL },
        { "BackupSize", size },
        { "FirstLSN", NULL },
        { "LastLSN", NULL },
        { "CheckpointLSN", NULL },
        { "DatabaseBackupLSN", NULL },
        { "BackupStartDate", NULL },
        { "BackupFinishDate", NULL },
        { "SortOrder", NULL },
        { "CodePage", NULL },
        { "UnicodeLocaleId", NULL },
        { "UnicodeComparisonStyle", NULL },
        { "CompatibilityLevel", NULL },
        { "SoftwareVendorId", NULL },
        { "SoftwareVersionMajor", library_major },
        { "SoftwareVersionMinor", library_minor },
        { "SoftwareVersionBuild", library_build },
        { "MachineName", NULL },
        { "Flags", zero },
        { "BindingID", NULL },
        { "RecoveryForkID", NULL },
        { "Collation", encoding },
        { "FamilyGUID", NULL },
        { "HasBulkLoggedData", zero },
        { "IsSnapshot", zero },
        { "IsReadOnly", NULL },
        { "IsSingleUser", zero },
        { "HasBackupChecksums", zero },
        { "IsDamaged", zero },
        { "BeginsLogChain", zero },
        { "HasIncompleteMetaData", zero },
        { "IsForceOffline", zero },
        { "IsCopyOnly", NULL },
        { "FirstRecoveryForkID", NULL },
        { "ForkPointLSN", NULL },
        { "RecoveryModel", recovery_model },
        { "DifferentialBaseLSN", NULL },
        { "DifferentialBaseGUID", NULL },
        { "BackupTypeDescription", backup_type_words },
        { "BackupSetGUID", NULL },
        { "CompressedBackupSize", size },
        { "Containment", zero },
};

static const struct column file_columns[] = {
        { "LogicalName", logical_name },
        { "PhysicalName", NULL },
        { "Type", file_type },
        { "FileGroupName", filegroup },
        { "Size", size },
        { "MaxSize", NULL },
        { "FileId", one },
        { "CreateLSN", NULL },
        { "DropLSN", NULL },
        { "UniqueId", NULL },
        { "ReadOnlyLSN", NULL },
        { "ReadWriteLSN", NULL },
        { "BackupSizeInBytes", size },
        { "SourceBlockSize", page_size },
        { "FileGroupId", one },
        { "LogGroupGUID", NULL },
        { "DifferentialBaseLSN", NULL },
        { "DifferentialBaseGUID", NULL },
        { "IsReadOnly", zero },
        { "IsPresent", one },
        { "TDEThumbprint", NULL },
        { "SnapshotUrl", NULL },
};

static const struct column label_columns[] = {
        { "MediaName", NULL },           { "MediaSetId", NULL },       { "FamilyCount", one },
        { "FamilySequenceNumber", one }, { "MediaFamilyId", NULL },    { "MediaSequenceNumber", one },
        { "MediaLabelPresent", zero },   { "MediaDescription", NULL }, { "SoftwareName", software },
        { "SoftwareVendorId", NULL },    { "MediaDate", NULL },        { "MirrorCount", one },
        { "IsCompressed", zero },
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct {
        const struct column *columns;
        size_t count;
} tables[SERVER_VERBS] = {
        [SERVER_HEADERONLY] = { header_columns, COUNT(header_columns) },
        [SERVER_FILELISTONLY] = { file_columns, COUNT(file_columns) },
        [SERVER_LABELONLY] = { label_columns, COUNT(label_columns) },
};

/* ---- reading what they need ---- */

struct listing {
        struct found_set sets[SETS_MAX];
        size_t count;
};

/* What the first read of a set brought. 1: a set, 0: nothing was there, negative: failed. */
static int found_set_look(struct channel *channel, const struct VDS_Command *command, struct found_set *set,
                          struct error *err)
{
        struct sqlite_header header;

        if (command->completionCode != ERROR_SUCCESS && !sqlite_is_end(command->completionCode))
                return channel_raise(channel, command, err);
        if (command->bytesTransferred == 0) {
                set->empty = true;
                return command->completionCode == ERROR_FILEMARK_DETECTED || !sqlite_is_tape(channel->side);
        }
        if (command->bytesTransferred < SQLITE_HEADER_SIZE || command->bytesTransferred > command->size ||
            !sqlite_header_parse(command->buffer, &header)) {
                side_explain(channel->side, MESSAGE_DAMAGED_SET, channel_name(channel));
                return error_raise(err, ERR_DAMAGED, "what is on the device '%s' is not a SQLite database",
                                   channel_name(channel));
        }
        set->page_size = header.page_size;
        set->size = (uint64_t)header.pages * header.page_size;
        set->encoding = header.encoding;
        set->library = header.library;
        return 1;
}

/* Reads the beginning of the set that the device stands at. */
static int listing_read_set(struct channel *channel, struct listing *listing, uint32_t file, struct error *err)
{
        struct slot *slot = channel_next(channel);
        uint32_t size = channel->side->shape.block_size;
        struct found_set set = { .position = file };
        int rc;

        channel_send(channel, slot, VDC_Read, size, /* position= */ 0);
        channel_drain(channel);
        set.ended = slot->command.completionCode == ERROR_FILEMARK_DETECTED;
        rc = found_set_look(channel, &slot->command, &set, err);
        if (rc > 0)
                listing->sets[listing->count++] = set;
        if (rc < 0 || slot->command.completionCode == ERROR_SUCCESS)
                return rc;
        return channel_control(channel, VDC_ClearError, err) < 0 ? -1 : rc;
}

/* To the next set, unless reading has gone over the mark already. 1: there, 0: there is none. */
static int listing_next_set(struct channel *channel, bool mark_was_read, struct error *err)
{
        const struct VDS_Command *command;

        if (mark_was_read)
                return 1;
        command = channel_execute(channel, VDC_SkipMarks, /* size= */ 1);
        if (command->completionCode == ERROR_SUCCESS)
                return 1;
        if (sqlite_is_end(command->completionCode))
                return channel_control(channel, VDC_ClearError, err);
        return channel_raise(channel, command, err);
}

static int listing_read(struct channel *channel, struct listing *listing, struct error *err)
{
        const struct server_job *job = channel->side->job;
        bool all = job->verb == SERVER_HEADERONLY && job->file == 0 && sqlite_is_tape(channel->side);
        uint32_t file = job->file ? job->file : 1;
        int rc;

        if (sqlite_seek_read(channel, err) < 0)
                return -1;
        do {
                rc = listing_read_set(channel, listing, file++, err);
                if (rc > 0 && all)
                        rc = listing_next_set(channel, listing->sets[listing->count - 1].ended, err);
        } while (all && rc > 0 && listing->count < SETS_MAX);
        if (rc < 0)
                return -1;
        if (listing->count > 0)
                return 0;
        return sqlite_raise_no_set(channel->side, channel_name(channel), err);
}

static void listing_serve_device(struct channel *channel, void *listing_at)
{
        struct error err = ERROR_INIT;

        if (listing_read(channel, listing_at, &err) < 0)
                side_fail(channel->side, &err);
}

static int listing_publish(struct server_side *side, const struct listing *listing, struct error *err)
{
        const struct column *columns = tables[side->job->verb].columns;
        size_t count = tables[side->job->verb].count;
        const char *names[CELLS_MAX];
        CLEANUP(freep) struct result_cell *cells = calloc(count * listing->count, sizeof *cells);
        const struct result_set results = {
                .columns = names, .column_count = count, .cells = cells, .row_count = listing->count
        };

        if (!cells)
                return error_no_memory(err);
        for (size_t i = 0; i < count; i++)
                names[i] = columns[i].name;
        for (size_t row = 0; row < listing->count; row++)
                for (size_t i = 0; i < count; i++)
                        if (columns[i].value)
                                cells[row * count + i] = columns[i].value(&listing->sets[row]);
        if (side->events->results)
                side->events->results(&results, side->events->context);
        return 0;
}

int sqlite_list(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err)
{
        CLEANUP(freep) struct listing *listing = calloc(1, sizeof *listing);

        (void)note;
        if (!listing)
                return error_no_memory(err);
        if (sqlite_check_file(side, err) < 0 || sqlite_configure_read(side, err) < 0 ||
            side_transfer(side, listing_serve_device, listing, err) < 0)
                return -1;
        return listing_publish(side, listing, err);
}
