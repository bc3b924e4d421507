#include "core/tsql/messages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"
#include "core/vds/abi.h"

/* %1, %2, ... stand for the words given. */
static const struct message_row {
        int number;
        int severity;
        int state;
        enum err_code class;
        const char *text;
} rows[MESSAGE_COUNT] = {
        [MESSAGE_SYNTAX] = { 102, 15, 1, ERR_USAGE, "Incorrect syntax near '%1'." },
        [MESSAGE_TOO_LONG] = { 103, 15, 4, ERR_USAGE,
                               "The %1 that starts with '%2' is too long. Maximum length is %3." },
        [MESSAGE_UNCLOSED_QUOTE] = { 105, 15, 1, ERR_USAGE,
                                     "Unclosed quotation mark after the character string '%1'." },
        [MESSAGE_UNCLOSED_COMMENT] = { 113, 15, 1, ERR_USAGE, "Missing end comment mark '*/'." },
        [MESSAGE_VARIABLE] = { 137, 15, 2, ERR_USAGE, "Must declare the scalar variable \"%1\"." },
        [MESSAGE_OPTION] = { 155, 15, 1, ERR_USAGE, "'%1' is not a recognized %2 option." },
        [MESSAGE_KEYWORD] = { 156, 15, 1, ERR_USAGE, "Incorrect syntax near the keyword '%1'." },
        [MESSAGE_NO_NAME] = { 1038, 15, 4, ERR_USAGE,
                              "An object or column name is missing or empty: a name of no characters is not allowed." },
        [MESSAGE_NO_DATABASE] = { 911, 16, 1, ERR_USAGE,
                                  "Database '%1' does not exist. Make sure that the name is entered correctly: one "
                                  "with a "
                                  "'/' in it is a path, such as [./app.db]; any other is a section of the "
                                  "configuration "
                                  "file." },
        [MESSAGE_NO_SUCH_DATABASE] = { 911, 16, 1, ERR_USAGE,
                                       "Database '%1' does not exist. Make sure that the name is entered correctly." },
        [MESSAGE_NAME_MISSING] = { 3025, 16, 1, ERR_USAGE,
                                   "Missing database name. Reissue the statement specifying a valid database name." },

        [MESSAGE_FUNCTION] = { 195, 15, 10, ERR_USAGE, "'%1' is not a recognized built-in function name." },
        [MESSAGE_SET_OPTION] = { 195, 15, 5, ERR_USAGE, "'%1' is not a recognized SET option." },
        [MESSAGE_COLUMN] = { 207, 16, 1, ERR_USAGE, "Invalid column name '%1'." },
        [MESSAGE_OBJECT] = { 208, 16, 1, ERR_USAGE, "Invalid object name '%1'." },
        [MESSAGE_AMBIGUOUS] = { 209, 16, 1, ERR_USAGE, "Ambiguous column name '%1'." },
        [MESSAGE_PROCEDURE] = { 2812, 16, 62, ERR_USAGE, "Could not find stored procedure '%1'." },
        [MESSAGE_UNBOUND] = { 4104, 16, 1, ERR_USAGE, "The multi-part identifier \"%1\" could not be bound." },
        [MESSAGE_IN_TRANSACTION] = { 3021, 16, 1, ERR_USAGE,
                                     "Cannot perform a backup or restore operation within a transaction." },
        [MESSAGE_NO_TRANSACTION] = { 3902, 16, 1, ERR_USAGE,
                                     "The %1 TRANSACTION request has no corresponding BEGIN TRANSACTION." },

        [MESSAGE_LOGIN] = { 18456, 14, 1, ERR_FAILED, "Login failed for user '%1'." },
        [MESSAGE_LOGIN_UNTRUSTED] = { 18452, 14, 1, ERR_FAILED,
                                      "Login failed. The login is from an untrusted domain and cannot be used with "
                                      "Integrated authentication." },
        [MESSAGE_LOGIN_DATABASE] = { 4060, 11, 1, ERR_FAILED,
                                     "Cannot open database \"%1\" requested by the login. The login failed." },
        [MESSAGE_CONNECTIONS] = { 17809, 20, 1, ERR_BUSY,
                                  "Could not connect because the maximum number of '%1' user connections has already "
                                  "been reached. The system administrator can raise it with --max-connections." },
        [MESSAGE_NOT_PERMITTED] = { 262, 14, 1, ERR_FAILED, "%1 permission denied in database '%2'." },
        [MESSAGE_NO_SELECT] = { 229, 14, 5, ERR_FAILED,
                                "The SELECT permission was denied on the object '%1', database '%2', schema '%3'." },
        [MESSAGE_NO_VIEW_STATE] = { 300, 14, 1, ERR_FAILED,
                                    "VIEW SERVER STATE permission was denied on object 'server', database 'master'." },
        [MESSAGE_SHUTDOWN] = { 6005, 10, 1, ERR_NONE, "SHUTDOWN is in progress." },

        [MESSAGE_CONFLICT] = { 3031, 16, 1, ERR_USAGE,
                               "Option '%1' conflicts with option(s) '%2'. Remove the conflicting option and reissue "
                               "the statement." },
        [MESSAGE_UNSUPPORTED] = { 3032, 16, 2, ERR_USAGE,
                                  "One or more of the options (%1) are not supported for this statement. Review the "
                                  "documentation for supported options." },
        [MESSAGE_RANGE] = { 3250, 16, 1, ERR_USAGE, "The value '%1' is not within range for the %2 parameter." },
        [MESSAGE_BLOCK_SIZE] = { 3253, 16, 1, ERR_USAGE,
                                 "The block size parameter must supply a value that is a power of 2." },
        [MESSAGE_BLOCK_SIZE_DIVIDES] = { 3272, 16, 1, ERR_USAGE,
                                         "The block size parameter specifies %1, which does not divide the page size "
                                         "%2 of the database '%3'. Reissue the statement using a compatible block "
                                         "size." },
        [MESSAGE_DIFFERENTIAL] = { 3035, 16, 1, ERR_USAGE,
                                   "Cannot perform a differential backup for database \"%1\", because a current "
                                   "database backup does not exist. Perform a full database backup by reissuing "
                                   "BACKUP DATABASE, omitting the WITH DIFFERENTIAL option." },
        [MESSAGE_SIMPLE_RECOVERY] = { 4208, 16, 1, ERR_USAGE,
                                      "The statement %1 is not allowed while the recovery model is SIMPLE. Use BACKUP "
                                      "DATABASE instead." },
        [MESSAGE_NO_LOG_CHAIN] = { 4214, 16, 1, ERR_USAGE,
                                   "BACKUP LOG cannot be performed because there is no current database backup." },
        [MESSAGE_NO_ROLLFORWARD] = { 3117, 16, 1, ERR_USAGE,
                                     "The log or differential backup cannot be restored because no files are ready to "
                                     "rollforward." },
        [MESSAGE_STAYS_RECOVERED] = { 3117, 16, 2, ERR_USAGE,
                                      "%1 is not possible: no log or differential backup could be restored afterwards. "
                                      "Reissue the statement WITH RECOVERY." },
        [MESSAGE_STOPAT] = { 3145, 16, 1, ERR_USAGE,
                             "The STOPAT option is not supported for databases that use the SIMPLE recovery model." },
        [MESSAGE_DESCRIPTOR_SIZE] = { 3244, 16, 1, ERR_USAGE,
                                      "Descriptor block size exceeds %1 bytes. Use a shorter name and/or description "
                                      "string and retry the operation." },
        [MESSAGE_MIRROR] = { 3218, 16, 1, ERR_USAGE, "Backup mirroring is not available here." },

        [MESSAGE_PRIMARY_AS_FILE] = { 3004, 16, 1, ERR_USAGE,
                                      "The primary filegroup cannot be backed up as a file backup because the database "
                                      "is using the SIMPLE recovery model. Use BACKUP DATABASE." },
        [MESSAGE_NO_FILEGROUP] = { 3027, 16, 1, ERR_USAGE, "The filegroup \"%1\" is not part of database \"%2\"." },
        [MESSAGE_NO_FILE] = { 3235, 16, 1, ERR_USAGE,
                              "The file \"%1\" is not part of database \"%2\". You can only list files that are "
                              "members of this database." },
        [MESSAGE_SUBSET] = { 3115, 16, 1, ERR_USAGE,
                             "The database is using the simple recovery model. It is not possible to restore a subset "
                             "of the read-write data." },
        [MESSAGE_NO_FILE_IN_SET] = { 3234, 16, 2, ERR_USAGE,
                                     "Logical file '%1' is not part of database '%2'. Use RESTORE FILELISTONLY to list "
                                     "the logical file names." },
        [MESSAGE_NO_FILEGROUP_IN_SET] = { 3190, 16, 1, ERR_USAGE,
                                          "Filegroup '%1' cannot be restored because it does not exist in the backup "
                                          "set." },
        [MESSAGE_BAD_PLACE] = { 3156, 16, 1, ERR_USAGE,
                                "File '%1' cannot be restored to '%2'. Use WITH MOVE to identify a valid location for "
                                "the file." },
        [MESSAGE_FILE_EXISTS] = { 3142, 16, 1, ERR_USAGE,
                                  "File \"%1\" cannot be restored over the existing \"%2\". Reissue the RESTORE "
                                  "statement using WITH REPLACE to overwrite pre-existing files, or WITH MOVE to "
                                  "identify an alternate location." },

        [MESSAGE_DEVICE_CLASSES] = { 3011, 16, 1, ERR_USAGE,
                                     "All backup or restore devices must be of the same general class (for example, "
                                     "DISK and TAPE)." },
        [MESSAGE_DEVICE_KIND] = { 3032, 16, 1, ERR_USAGE,
                                  "One or more of the options (%1) are not supported for this statement: backup "
                                  "devices are VIRTUAL_DEVICE = 'name' here." },
        [MESSAGE_DEVICE_NAME] = { 3038, 16, 1, ERR_USAGE,
                                  "The file name \"%1\" is invalid as a backup device name. Reissue the statement with "
                                  "a valid file name." },
        [MESSAGE_DEVICE_NAME_EMPTY] = { 3044, 16, 1, ERR_USAGE,
                                        "Invalid zero-length device name. Reissue the statement with a valid device "
                                        "name." },
        [MESSAGE_DEVICE_NAME_LENGTH] = { 3057, 16, 1, ERR_USAGE,
                                         "Invalid device name. The length of the device name provided exceeds "
                                         "supported limit (maximum length is:%1). Reissue the statement with a valid "
                                         "device name." },
        [MESSAGE_DEVICE_TWICE] = { 3201, 16, 4, ERR_USAGE,
                                   "Cannot open backup device '%1'. Operating system error 32(The process cannot "
                                   "access the file because it is being used by another process.)." },
        [MESSAGE_DEVICE_UNKNOWN] = { 3206, 16, 1, ERR_USAGE,
                                     "Backup device '%1' does not exist. Devices are VIRTUAL_DEVICE = 'name' here." },
        [MESSAGE_DEVICES_TOO_MANY] = { 3205, 16, 1, ERR_USAGE,
                                       "Too many backup devices specified for backup or restore; only %1 are "
                                       "allowed." },
        [MESSAGE_DEVICE_OPEN] = { 3201, 16, 1, ERR_FAILED,
                                  "Cannot open backup device '%1'. Operating system error %2." },
        [MESSAGE_SET_OPEN] = { 18210, 16, 1, ERR_FAILED,
                               "BackupVirtualDeviceSet::Initialize: Open failure on backup device '%1'. Operating "
                               "system error %2." },
        [MESSAGE_DEVICE_COUNT] = { 3132, 16, 1, ERR_USAGE,
                                   "The media set has %1 media families but only %2 are provided. All members must be "
                                   "provided." },

        [MESSAGE_BUSY] = { 3101, 16, 1, ERR_BUSY,
                           "Exclusive access could not be obtained because the database is in use." },
        [MESSAGE_IN_USE_HERE] = { 3102, 16, 1, ERR_BUSY,
                                  "RESTORE cannot process database '%1' because it is in use by this session. It is "
                                  "recommended that the master database be used when performing this operation." },
        [MESSAGE_RESTORING] = { 927, 14, 2, ERR_BUSY,
                                "Database '%1' cannot be opened. It is in the middle of a restore." },
        [MESSAGE_CANCELLED] = { 3204, 16, 1, ERR_ABORTED, "The backup or restore was aborted." },
        [MESSAGE_WRITE] = { 3202, 16, 2, ERR_IO, "Write on \"%1\" failed: %2" },
        [MESSAGE_READ] = { 3203, 16, 1, ERR_IO, "Read on \"%1\" failed: %2" },
        [MESSAGE_COMMAND] = { 18210, 16, 2, ERR_IO,
                              "BackupVirtualDeviceFile::%1: failure on backup device '%2'. Operating system error "
                              "%3." },
        [MESSAGE_ABORTED] = { 18210, 16, 1, ERR_ABORTED,
                              "BackupVirtualDeviceFile::RequestDurableMedia: Flush failure on backup device '%1'. "
                              "Operating system error %2." },
        [MESSAGE_TIMEOUT] = { 3229, 16, 1, ERR_TIMEOUT, "Request for device '%1' timed out." },
        [MESSAGE_DAMAGED_SET] = { 3241, 16, 1, ERR_DAMAGED,
                                  "The media family on device '%1' is incorrectly formed. SQL Server cannot process "
                                  "this media family." },
        [MESSAGE_PAGE_ERROR] = { 3043, 16, 1, ERR_DAMAGED, "BACKUP '%1' detected an error: %2" },
        [MESSAGE_UNFINISHED] = { 3266, 16, 1, ERR_FAILED,
                                 "The backup data at the end of \"%1\" is incorrectly formatted: the last backup set "
                                 "there is incomplete. To overwrite the media, use BACKUP WITH FORMAT, which destroys "
                                 "all the backup sets." },
        [MESSAGE_EMPTY] = { 3254, 16, 1, ERR_DAMAGED, "The volume on device '%1' is empty." },
        [MESSAGE_NO_SET] = { 4038, 16, 1, ERR_USAGE, "Cannot find file ID %1 on device '%2'." },
        [MESSAGE_SETS_DIFFER] = { 3258, 16, 1, ERR_FAILED,
                                  "The volume on the device \"%1\" is not part of the media set that is currently "
                                  "being "
                                  "processed: it holds another number of backup sets than the first one." },
        [MESSAGE_NO_ROOM] = { 3257, 16, 1, ERR_NO_SPACE,
                              "There is insufficient free space on disk volume '%1' to create the database." },
        [MESSAGE_MEMORY] = { 701, 17, 1, ERR_MEMORY, "There is insufficient system memory to run this statement." },
        [MESSAGE_WORDS] = { 50000, 16, 1, ERR_FAILED, "%1" },

        [MESSAGE_PERCENT] = { 3211, 10, 1, ERR_NONE, "%1 percent processed." },
        [MESSAGE_PAGES] = { 4035, 10, 1, ERR_NONE, "Processed %1 pages for database '%2', file '%3' on file %4." },
        [MESSAGE_DONE] = { 3014, 10, 1, ERR_NONE, "%1 successfully processed %2 pages in %3 seconds (%4 MB/sec)." },
        [MESSAGE_VALID] = { 3262, 10, 1, ERR_NONE, "The backup set on file %1 is valid." },
        [MESSAGE_NOTE] = { 50000, 10, 1, ERR_NONE, "%1" },
        [MESSAGE_TERMINATED] = { 3013, 16, 1, ERR_FAILED, "%1 is terminating abnormally." },
};

static size_t count_words(const char *const *words)
{
        size_t count = 0;

        while (words[count])
                count++;
        return count;
}

void server_message_fill(struct server_message *message, enum server_message_id id, const char *const *words)
{
        const struct message_row *row = &rows[id];
        size_t count = count_words(words);
        size_t used = 0;

        *message = (struct server_message){
                .number = row->number, .severity = row->severity, .state = row->state, .class = row->class, .line = 1
        };
        for (const char *c = row->text; *c && used + 1 < sizeof message->text; c++) {
                size_t word = c[0] == '%' && c[1] >= '1' && c[1] <= '9' ? (size_t)(c[1] - '0') : 0;

                if (word == 0) {
                        message->text[used++] = *c;
                        continue;
                }
                used += (size_t)snprintf(message->text + used, sizeof message->text - used, "%s",
                                         word <= count ? words[word - 1] : "");
                if (used >= sizeof message->text)
                        used = sizeof message->text - 1;
                c++;
        }
        message->text[used] = '\0';
}

enum err_code server_message_class(enum server_message_id id)
{
        return rows[id].class;
}

const char *server_message_os_error(int32_t number)
{
        static const struct {
                int32_t number;
                const char *text;
        } errors[] = {
                { VD_E_INVALID, "0x80770006(The device set does not exist: its client has to create it first.)" },
                { ERROR_HANDLE_EOF, "38(Reached the end of the file.)" },
                { ERROR_HANDLE_DISK_FULL, "39(The disk is full.)" },
                { ERROR_NOT_SUPPORTED, "50(The request is not supported.)" },
                { ERROR_DISK_FULL, "112(There is not enough space on the disk.)" },
                { ERROR_OPERATION_ABORTED, "995(The I/O operation has been aborted because of either a thread exit or "
                                           "an application request.)" },
                { ERROR_END_OF_MEDIA, "1100(The physical end of the tape has been reached.)" },
                { ERROR_IO_DEVICE, "1117(The request could not be performed because of an I/O device error.)" },
                { ERROR_EOM_OVERFLOW, "1129(The physical end of the tape has been reached.)" },
        };

        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
                if (errors[i].number == number)
                        return errors[i].text;
        return "31(A device attached to the system is not functioning.)";
}

/* What a class of failure is called. `os_error` 0: the message has no place for one. */
static const struct {
        enum err_code class;
        bool backup;
        enum server_message_id id;
        int32_t os_error;
} classes[] = {
        { ERR_NO_SPACE, true, MESSAGE_WRITE, ERROR_DISK_FULL },
        { ERR_IO, true, MESSAGE_WRITE, ERROR_IO_DEVICE },
        { ERR_DAMAGED, true, MESSAGE_PAGE_ERROR, 0 },
        { ERR_BUSY, true, MESSAGE_BUSY, 0 },
        { ERR_TIMEOUT, true, MESSAGE_TIMEOUT, 0 },
        { ERR_ABORTED, true, MESSAGE_ABORTED, ERROR_OPERATION_ABORTED },
        { ERR_PEER_DIED, true, MESSAGE_ABORTED, ERROR_OPERATION_ABORTED },
        { ERR_MEMORY, true, MESSAGE_MEMORY, 0 },
        { ERR_NO_SPACE, false, MESSAGE_NO_ROOM, 0 },
        { ERR_IO, false, MESSAGE_READ, ERROR_IO_DEVICE },
        { ERR_DAMAGED, false, MESSAGE_DAMAGED_SET, 0 },
        { ERR_BUSY, false, MESSAGE_BUSY, 0 },
        { ERR_TIMEOUT, false, MESSAGE_TIMEOUT, 0 },
        { ERR_ABORTED, false, MESSAGE_ABORTED, ERROR_OPERATION_ABORTED },
        { ERR_PEER_DIED, false, MESSAGE_ABORTED, ERROR_OPERATION_ABORTED },
        { ERR_MEMORY, false, MESSAGE_MEMORY, 0 },
};

bool server_message_of_class(struct server_message *message, enum err_code code, bool backup, const char *device)
{
        for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
                if (classes[i].class != code || classes[i].backup != backup)
                        continue;
                server_message_make(message, classes[i].id, device,
                                    classes[i].os_error ? server_message_os_error(classes[i].os_error) : "");
                return true;
        }
        return false;
}

char *server_message_render(const struct server_message *message)
{
        CLEANUP(freep) char *safe = text_escape(message->text, strlen(message->text));
        char *line = NULL;

        if (!safe)
                return NULL;
        if (!server_message_is_error(message))
                return take_ptr(&safe);
        if (asprintf(&line, "Msg %d, Level %d, State %d, Line %u\n%s", message->number, message->severity,
                     message->state, message->line, safe) < 0)
                return NULL;
        return line;
}
