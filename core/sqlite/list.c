#include <sqlite3.h>
#include <stdlib.h>

#include "core/base/cleanup.h"
#include "core/base/sqlite_header.h"
#include "core/sqlite/sqlite.h"

enum {
        SETS_MAX = 4096, /* that HEADERONLY lists */
        CELLS_MAX = 64,
        DEVICE_TYPE_VIRTUAL = 7,
        BACKUP_TYPE_DATABASE = 1,
};

/* What the first bytes of a backup set say. Numbers that are negative, and texts that are NULL, are not known. */
struct found_set {
        bool ended; /* reading went over its mark */
        int64_t position;
        int64_t page_size;
        int64_t size;    /* bytes */
        int64_t library; /* 3040001: SQLite 3.40.1 */
        int64_t library_major;
        int64_t library_minor;
        int64_t library_build;
        const char *encoding;
};

/* One column: its name, and where its values come from. */
struct column {
        const char *name;
        enum { COLUMN_UNKNOWN, COLUMN_NUMBER, COLUMN_WORDS, COLUMN_FOUND_NUMBER, COLUMN_FOUND_WORDS } from;
        int64_t number;
        const char *words;
        size_t at; /* in struct found_set */
};

/* ---- SQL Server's columns, in its order ---- */

#define UNKNOWN(name)                            \
        {                                        \
                name, COLUMN_UNKNOWN, 0, NULL, 0 \
        }
#define NUMBER(name, value)                         \
        {                                           \
                name, COLUMN_NUMBER, value, NULL, 0 \
        }
#define WORDS(name, value)                      \
        {                                       \
                name, COLUMN_WORDS, 0, value, 0 \
        }
#define FOUND(name, member)                                                            \
        {                                                                              \
                name, COLUMN_FOUND_NUMBER, 0, NULL, offsetof(struct found_set, member) \
        }
#define FOUND_WORDS(name, member)                                                     \
        {                                                                             \
                name, COLUMN_FOUND_WORDS, 0, NULL, offsetof(struct found_set, member) \
        }

static const struct column header_columns[] = {
        UNKNOWN("BackupName"),
        UNKNOWN("BackupDescription"),
        NUMBER("BackupType", BACKUP_TYPE_DATABASE),
        UNKNOWN("ExpirationDate"),
        NUMBER("Compressed", 0),
        FOUND("Position", position),
        NUMBER("DeviceType", DEVICE_TYPE_VIRTUAL),
        UNKNOWN("UserName"),
        UNKNOWN("ServerName"),
        UNKNOWN("DatabaseName"),
        FOUND("DatabaseVersion", library),
        UNKNOWN("DatabaseCreationDate"),
        FOUND("BackupSize", size),
        UNKNOWN("FirstLSN"),
        UNKNOWN("LastLSN"),
        UNKNOWN("CheckpointLSN"),
        UNKNOWN("DatabaseBackupLSN"),
        UNKNOWN("BackupStartDate"),
        UNKNOWN("BackupFinishDate"),
        UNKNOWN("SortOrder"),
        UNKNOWN("CodePage"),
        UNKNOWN("UnicodeLocaleId"),
        UNKNOWN("UnicodeComparisonStyle"),
        UNKNOWN("CompatibilityLevel"),
        UNKNOWN("SoftwareVendorId"),
        FOUND("SoftwareVersionMajor", library_major),
        FOUND("SoftwareVersionMinor", library_minor),
        FOUND("SoftwareVersionBuild", library_build),
        UNKNOWN("MachineName"),
        NUMBER("Flags", 0),
        UNKNOWN("BindingID"),
        UNKNOWN("RecoveryForkID"),
        FOUND_WORDS("Collation", encoding),
        UNKNOWN("FamilyGUID"),
        NUMBER("HasBulkLoggedData", 0),
        NUMBER("IsSnapshot", 0),
        UNKNOWN("IsReadOnly"),
        NUMBER("IsSingleUser", 0),
        NUMBER("HasBackupChecksums", 0),
        NUMBER("IsDamaged", 0),
        NUMBER("BeginsLogChain", 0),
        NUMBER("HasIncompleteMetaData", 0),
        NUMBER("IsForceOffline", 0),
        UNKNOWN("IsCopyOnly"),
        UNKNOWN("FirstRecoveryForkID"),
        UNKNOWN("ForkPointLSN"),
        WORDS("RecoveryModel", "SIMPLE"),
        UNKNOWN("DifferentialBaseLSN"),
        UNKNOWN("DifferentialBaseGUID"),
        WORDS("BackupTypeDescription", "Database"),
        UNKNOWN("BackupSetGUID"),
        FOUND("CompressedBackupSize", size),
        NUMBER("Containment", 0),
};

static const struct column file_columns[] = {
        WORDS("LogicalName", "main"),
        UNKNOWN("PhysicalName"),
        WORDS("Type", "D"),
        WORDS("FileGroupName", "PRIMARY"),
        FOUND("Size", size),
        UNKNOWN("MaxSize"),
        NUMBER("FileId", 1),
        UNKNOWN("CreateLSN"),
        UNKNOWN("DropLSN"),
        UNKNOWN("UniqueId"),
        UNKNOWN("ReadOnlyLSN"),
        UNKNOWN("ReadWriteLSN"),
        FOUND("BackupSizeInBytes", size),
        FOUND("SourceBlockSize", page_size),
        NUMBER("FileGroupId", 1),
        UNKNOWN("LogGroupGUID"),
        UNKNOWN("DifferentialBaseLSN"),
        UNKNOWN("DifferentialBaseGUID"),
        NUMBER("IsReadOnly", 0),
        NUMBER("IsPresent", 1),
        UNKNOWN("TDEThumbprint"),
        UNKNOWN("SnapshotUrl"),
};

static const struct column label_columns[] = {
        UNKNOWN("MediaName"),
        UNKNOWN("MediaSetId"),
        NUMBER("FamilyCount", 1),
        NUMBER("FamilySequenceNumber", 1),
        UNKNOWN("MediaFamilyId"),
        NUMBER("MediaSequenceNumber", 1),
        NUMBER("MediaLabelPresent", 0),
        UNKNOWN("MediaDescription"),
        WORDS("SoftwareName", "SQLite"),
        UNKNOWN("SoftwareVendorId"),
        UNKNOWN("MediaDate"),
        NUMBER("MirrorCount", 1),
        NUMBER("IsCompressed", 0),
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static const struct {
        const struct column *columns;
        size_t count;
} listing_tables[SERVER_VERBS] = {
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
        static const char *const encodings[] = { NULL, "UTF-8", "UTF-16le", "UTF-16be" };
        struct sqlite_header header;

        if (command->completionCode != ERROR_SUCCESS && !sqlite_is_end(command->completionCode))
                return channel_raise(channel, command, err);
        if (command->bytesTransferred == 0) {
                set->size = 0;
                return command->completionCode == ERROR_FILEMARK_DETECTED || !sqlite_is_tape(channel->side);
        }
        if (command->bytesTransferred < SQLITE_HEADER_SIZE || command->bytesTransferred > command->size ||
            !sqlite_header_parse(command->buffer, &header)) {
                side_explain(channel->side, MESSAGE_DAMAGED_SET, channel_name(channel));
                return error_raise(err, ERR_DAMAGED, "what is on the device '%s' is not a SQLite database",
                                   channel_name(channel));
        }
        set->page_size = header.page_size;
        if (header.pages > 0)
                set->size = (int64_t)header.pages * header.page_size;
        if (header.encoding < sizeof encodings / sizeof encodings[0])
                set->encoding = encodings[header.encoding];
        if (header.library > 0) {
                set->library = header.library;
                set->library_major = header.library / 1000000;
                set->library_minor = header.library / 1000 % 1000;
                set->library_build = header.library % 1000;
        }
        return 1;
}

/* Reads the beginning of the set that the device stands at. */
static int listing_read_set(struct channel *channel, struct listing *listing, uint32_t file, struct error *err)
{
        struct slot *slot = channel_next(channel);
        uint32_t size = channel->side->shape.block_size;
        struct found_set set = {
                .position = file,
                .page_size = -1,
                .size = -1,
                .library = -1,
                .library_major = -1,
                .library_minor = -1,
                .library_build = -1,
        };
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

static struct result_cell column_cell(const struct column *column, const struct found_set *set)
{
        const void *at = (const char *)set + column->at;
        int64_t number = column->from == COLUMN_FOUND_NUMBER ? *(const int64_t *)at : column->number;
        const char *words = column->from == COLUMN_FOUND_WORDS ? *(const char *const *)at : column->words;

        if (words)
                return (struct result_cell){ .kind = RESULT_TEXT, .text = words };
        if (number < 0 || column->from == COLUMN_UNKNOWN || column->from == COLUMN_FOUND_WORDS)
                return (struct result_cell){ .kind = RESULT_NULL };
        return (struct result_cell){ .kind = RESULT_NUMBER, .number = number };
}

static int listing_publish(struct server_side *side, const struct listing *listing, struct error *err)
{
        const struct column *columns = listing_tables[side->job->verb].columns;
        size_t count = listing_tables[side->job->verb].count;
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
                        cells[row * count + i] = column_cell(&columns[i], &listing->sets[row]);
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
