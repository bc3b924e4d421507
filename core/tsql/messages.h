/*
 * messages.h - what SQL Server would say, with its numbers
 *
 * One table holds every message: number, severity, state, class of failure, and the words. Where the published words
 * say what happened here, they are used, since scripts read them; else the number is kept and the words are our own.
 * Nothing here has state; every function is thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* id, number, severity, state, class, words; %1, %2, ... stand for the words given */
#define SERVER_MESSAGES(X)                                                                                             \
        /* the statement's text */                                                                                     \
        X(MESSAGE_SYNTAX, 102, 15, 1, ERR_USAGE, "Incorrect syntax near '%1'.")                                        \
        X(MESSAGE_TOO_LONG, 103, 15, 4, ERR_USAGE, "The %1 that starts with '%2' is too long. Maximum length is %3.")  \
        X(MESSAGE_UNCLOSED_QUOTE, 105, 15, 1, ERR_USAGE, "Unclosed quotation mark after the character string '%1'.")   \
        X(MESSAGE_UNCLOSED_COMMENT, 113, 15, 1, ERR_USAGE, "Missing end comment mark '*/'.")                           \
        X(MESSAGE_VARIABLE, 137, 15, 2, ERR_USAGE, "Must declare the scalar variable \"%1\".")                         \
        X(MESSAGE_OPTION, 155, 15, 1, ERR_USAGE, "'%1' is not a recognized %2 option.")                                \
        X(MESSAGE_KEYWORD, 156, 15, 1, ERR_USAGE, "Incorrect syntax near the keyword '%1'.")                           \
        X(MESSAGE_NO_NAME, 1038, 15, 4, ERR_USAGE,                                                                     \
          "An object or column name is missing or empty: a name of no characters is not allowed.")                     \
        X(MESSAGE_NO_DATABASE, 911, 16, 1, ERR_USAGE,                                                                  \
          "Database '%1' does not exist. Make sure that the name is entered correctly: one with a '/' in it is a "     \
          "path, such as [./app.db]; any other is a section of the configuration file.")                               \
        X(MESSAGE_NO_SUCH_DATABASE, 911, 16, 1, ERR_USAGE,                                                             \
          "Database '%1' does not exist. Make sure that the name is entered correctly.")                               \
        /* other statements */                                                                                         \
        X(MESSAGE_FUNCTION, 195, 15, 10, ERR_USAGE, "'%1' is not a recognized built-in function name.")                \
        X(MESSAGE_SET_OPTION, 195, 15, 5, ERR_USAGE, "'%1' is not a recognized SET option.")                           \
        X(MESSAGE_COLUMN, 207, 16, 1, ERR_USAGE, "Invalid column name '%1'.")                                          \
        X(MESSAGE_OBJECT, 208, 16, 1, ERR_USAGE, "Invalid object name '%1'.")                                          \
        X(MESSAGE_AMBIGUOUS, 209, 16, 1, ERR_USAGE, "Ambiguous column name '%1'.")                                     \
        X(MESSAGE_PROCEDURE, 2812, 16, 62, ERR_USAGE, "Could not find stored procedure '%1'.")                         \
        X(MESSAGE_UNBOUND, 4104, 16, 1, ERR_USAGE, "The multi-part identifier \"%1\" could not be bound.")             \
        X(MESSAGE_IN_TRANSACTION, 3021, 16, 1, ERR_USAGE,                                                              \
          "Cannot perform a backup or restore operation within a transaction.")                                        \
        X(MESSAGE_NO_TRANSACTION, 3902, 16, 1, ERR_USAGE,                                                              \
          "The %1 TRANSACTION request has no corresponding BEGIN TRANSACTION.")                                        \
        /* who may what */                                                                                             \
        X(MESSAGE_LOGIN, 18456, 14, 1, ERR_FAILED, "Login failed for user '%1'.")                                      \
        X(MESSAGE_LOGIN_UNTRUSTED, 18452, 14, 1, ERR_FAILED,                                                           \
          "Login failed. The login is from an untrusted domain and cannot be used with Integrated authentication.")    \
        X(MESSAGE_LOGIN_DATABASE, 4060, 11, 1, ERR_FAILED,                                                             \
          "Cannot open database \"%1\" requested by the login. The login failed.")                                     \
        X(MESSAGE_CONNECTIONS, 17809, 20, 1, ERR_BUSY,                                                                 \
          "Could not connect because the maximum number of '%1' user connections has already been reached. The "       \
          "system administrator can raise it with --max-connections.")                                                 \
        X(MESSAGE_NOT_PERMITTED, 262, 14, 1, ERR_FAILED, "%1 permission denied in database '%2'.")                     \
        X(MESSAGE_NO_SELECT, 229, 14, 5, ERR_FAILED,                                                                   \
          "The SELECT permission was denied on the object '%1', database '%2', schema '%3'.")                          \
        X(MESSAGE_NO_VIEW_STATE, 300, 14, 1, ERR_FAILED,                                                               \
          "VIEW SERVER STATE permission was denied on object 'server', database 'master'.")                            \
        /* options */                                                                                                  \
        X(MESSAGE_CONFLICT, 3031, 16, 1, ERR_USAGE,                                                                    \
          "Option '%1' conflicts with option(s) '%2'. Remove the conflicting option and reissue the statement.")       \
        X(MESSAGE_UNSUPPORTED, 3032, 16, 2, ERR_USAGE,                                                                 \
          "One or more of the options (%1) are not supported for this statement. Review the documentation for "        \
          "supported options.")                                                                                        \
        X(MESSAGE_RANGE, 3250, 16, 1, ERR_USAGE, "The value '%1' is not within range for the %2 parameter.")           \
        X(MESSAGE_BLOCK_SIZE, 3253, 16, 1, ERR_USAGE,                                                                  \
          "The block size parameter must supply a value that is a power of 2.")                                        \
        X(MESSAGE_BLOCK_SIZE_DIVIDES, 3272, 16, 1, ERR_USAGE,                                                          \
          "The block size parameter specifies %1, which does not divide the page size %2 of the database '%3'. "       \
          "Reissue the statement using a compatible block size.")                                                      \
        X(MESSAGE_DIFFERENTIAL, 3035, 16, 1, ERR_USAGE,                                                                \
          "Cannot perform a differential backup for database \"%1\", because a current database backup does not "      \
          "exist. Perform a full database backup by reissuing BACKUP DATABASE, omitting the WITH DIFFERENTIAL "        \
          "option.")                                                                                                   \
        X(MESSAGE_SIMPLE_RECOVERY, 4208, 16, 1, ERR_USAGE,                                                             \
          "The statement %1 is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE instead.")          \
        X(MESSAGE_NO_LOG_CHAIN, 4214, 16, 1, ERR_USAGE,                                                                \
          "BACKUP LOG cannot be performed because there is no current database backup.")                               \
        X(MESSAGE_NO_ROLLFORWARD, 3117, 16, 1, ERR_USAGE,                                                              \
          "The log or differential backup cannot be restored because no files are ready to rollforward.")              \
        X(MESSAGE_STAYS_RECOVERED, 3117, 16, 2, ERR_USAGE,                                                             \
          "%1 is not possible: no log or differential backup could be restored afterwards. Reissue the statement "     \
          "WITH RECOVERY.")                                                                                            \
        X(MESSAGE_STOPAT, 3145, 16, 1, ERR_USAGE,                                                                      \
          "The STOPAT option is not supported for databases that use the SIMPLE recovery model.")                      \
        X(MESSAGE_DESCRIPTOR_SIZE, 3244, 16, 1, ERR_USAGE,                                                             \
          "Descriptor block size exceeds %1 bytes. Use a shorter name and/or description string and retry the "        \
          "operation.")                                                                                                \
        X(MESSAGE_MIRROR, 3218, 16, 1, ERR_USAGE, "Backup mirroring is not available here.")                           \
        /* files */                                                                                                    \
        X(MESSAGE_PRIMARY_AS_FILE, 3004, 16, 1, ERR_USAGE,                                                             \
          "The primary filegroup cannot be backed up as a file backup because the database is using the SIMPLE "       \
          "recovery model. Use BACKUP DATABASE.")                                                                      \
        X(MESSAGE_NO_FILEGROUP, 3027, 16, 1, ERR_USAGE, "The filegroup \"%1\" is not part of database \"%2\".")        \
        X(MESSAGE_SUBSET, 3115, 16, 1, ERR_USAGE,                                                                      \
          "The database is using the simple recovery model. It is not possible to restore a subset of the read-write " \
          "data.")                                                                                                     \
        X(MESSAGE_NO_FILE_IN_SET, 3234, 16, 2, ERR_USAGE,                                                              \
          "Logical file '%1' is not part of database '%2'. Use RESTORE FILELISTONLY to list the logical file names.")  \
        X(MESSAGE_NO_FILEGROUP_IN_SET, 3190, 16, 1, ERR_USAGE,                                                         \
          "Filegroup '%1' cannot be restored because it does not exist in the backup set.")                            \
        X(MESSAGE_BAD_PLACE, 3156, 16, 1, ERR_USAGE,                                                                   \
          "File '%1' cannot be restored to '%2'. Use WITH MOVE to identify a valid location for the file.")            \
        X(MESSAGE_FILE_EXISTS, 3142, 16, 1, ERR_USAGE,                                                                 \
          "File \"%1\" cannot be restored over the existing \"%2\". Reissue the RESTORE statement using WITH REPLACE " \
          "to overwrite pre-existing files, or WITH MOVE to identify an alternate location.")                          \
        /* devices */                                                                                                  \
        X(MESSAGE_DEVICE_CLASSES, 3011, 16, 1, ERR_USAGE,                                                              \
          "All backup or restore devices must be of the same general class (for example, DISK and TAPE).")             \
        X(MESSAGE_DEVICE_KIND, 3032, 16, 1, ERR_USAGE,                                                                 \
          "One or more of the options (%1) are not supported for this statement: backup devices are VIRTUAL_DEVICE = " \
          "'name' here.")                                                                                              \
        X(MESSAGE_DEVICE_NAME, 3038, 16, 1, ERR_USAGE,                                                                 \
          "The file name \"%1\" is invalid as a backup device name. Reissue the statement with a valid file name.")    \
        X(MESSAGE_DEVICE_NAME_EMPTY, 3044, 16, 1, ERR_USAGE,                                                           \
          "Invalid zero-length device name. Reissue the statement with a valid device name.")                          \
        X(MESSAGE_DEVICE_NAME_LENGTH, 3057, 16, 1, ERR_USAGE,                                                          \
          "Invalid device name. The length of the device name provided exceeds supported limit (maximum length "       \
          "is:%1). Reissue the statement with a valid device name.")                                                   \
        X(MESSAGE_DEVICE_TWICE, 3201, 16, 4, ERR_USAGE,                                                                \
          "Cannot open backup device '%1'. Operating system error 32(The process cannot access the file because it "   \
          "is being used by another process.).")                                                                       \
        X(MESSAGE_DEVICE_UNKNOWN, 3206, 16, 1, ERR_USAGE,                                                              \
          "Backup device '%1' does not exist. Devices are VIRTUAL_DEVICE = 'name' here.")                              \
        X(MESSAGE_DEVICES_TOO_MANY, 3205, 16, 1, ERR_USAGE,                                                            \
          "Too many backup devices specified for backup or restore; only %1 are allowed.")                             \
        X(MESSAGE_DEVICE_OPEN, 3201, 16, 1, ERR_FAILED, "Cannot open backup device '%1'. Operating system error %2.")  \
        X(MESSAGE_SET_OPEN, 18210, 16, 1, ERR_FAILED,                                                                  \
          "BackupVirtualDeviceSet::Initialize: Open failure on backup device '%1'. Operating system error %2.")        \
        X(MESSAGE_DEVICE_COUNT, 3132, 16, 1, ERR_USAGE,                                                                \
          "The media set has %1 media families but only %2 are provided. All members must be provided.")               \
        /* the run */                                                                                                  \
        X(MESSAGE_BUSY, 3101, 16, 1, ERR_BUSY,                                                                         \
          "Exclusive access could not be obtained because the database is in use.")                                    \
        X(MESSAGE_IN_USE_HERE, 3102, 16, 1, ERR_BUSY,                                                                  \
          "RESTORE cannot process database '%1' because it is in use by this session. It is recommended that the "     \
          "master database be used when performing this operation.")                                                   \
        X(MESSAGE_RESTORING, 927, 14, 2, ERR_BUSY,                                                                     \
          "Database '%1' cannot be opened. It is in the middle of a restore.")                                         \
        X(MESSAGE_CANCELLED, 3204, 16, 1, ERR_ABORTED, "The backup or restore was aborted.")                           \
        X(MESSAGE_WRITE, 3202, 16, 2, ERR_IO, "Write on \"%1\" failed: %2")                                            \
        X(MESSAGE_READ, 3203, 16, 1, ERR_IO, "Read on \"%1\" failed: %2")                                              \
        X(MESSAGE_COMMAND, 18210, 16, 2, ERR_IO,                                                                       \
          "BackupVirtualDeviceFile::%1: failure on backup device '%2'. Operating system error %3.")                    \
        X(MESSAGE_ABORTED, 18210, 16, 1, ERR_ABORTED,                                                                  \
          "BackupVirtualDeviceFile::RequestDurableMedia: Flush failure on backup device '%1'. Operating system error " \
          "%2.")                                                                                                       \
        X(MESSAGE_TIMEOUT, 3229, 16, 1, ERR_TIMEOUT, "Request for device '%1' timed out.")                             \
        X(MESSAGE_DAMAGED_SET, 3241, 16, 1, ERR_DAMAGED,                                                               \
          "The media family on device '%1' is incorrectly formed. SQL Server cannot process this media family.")       \
        X(MESSAGE_PAGE_ERROR, 3043, 16, 1, ERR_DAMAGED, "BACKUP '%1' detected an error: %2")                           \
        X(MESSAGE_UNFINISHED, 3266, 16, 1, ERR_FAILED,                                                                 \
          "The backup data at the end of \"%1\" is incorrectly formatted: the last backup set there is incomplete. "   \
          "To overwrite the media, use BACKUP WITH FORMAT, which destroys all the backup sets.")                       \
        X(MESSAGE_EMPTY, 3254, 16, 1, ERR_DAMAGED, "The volume on device '%1' is empty.")                              \
        X(MESSAGE_NO_SET, 4038, 16, 1, ERR_USAGE, "Cannot find file ID %1 on device '%2'.")                            \
        X(MESSAGE_SETS_DIFFER, 3258, 16, 1, ERR_FAILED,                                                                \
          "The volume on the device \"%1\" is not part of the media set that is currently being processed: it holds "  \
          "another number of backup sets than the first one.")                                                         \
        X(MESSAGE_NO_ROOM, 3257, 16, 1, ERR_NO_SPACE,                                                                  \
          "There is insufficient free space on disk volume '%1' to create the database.")                              \
        X(MESSAGE_MEMORY, 701, 17, 1, ERR_MEMORY, "There is insufficient system memory to run this statement.")        \
        X(MESSAGE_WORDS, 50000, 16, 1, ERR_FAILED, "%1")                                                               \
        /* how it ended */                                                                                             \
        X(MESSAGE_PERCENT, 3211, 10, 1, ERR_NONE, "%1 percent processed.")                                             \
        X(MESSAGE_PAGES, 4035, 10, 1, ERR_NONE, "Processed %1 pages for database '%2', file '%3' on file %4.")         \
        X(MESSAGE_DONE, 3014, 10, 1, ERR_NONE, "%1 successfully processed %2 pages in %3 seconds (%4 MB/sec).")        \
        X(MESSAGE_VALID, 3262, 10, 1, ERR_NONE, "The backup set on file %1 is valid.")                                 \
        X(MESSAGE_NOTE, 50000, 10, 1, ERR_NONE, "%1")                                                                  \
        X(MESSAGE_TERMINATED, 3013, 16, 1, ERR_FAILED, "%1 is terminating abnormally.")

#define SERVER_MESSAGE_ID(id, ...) id,
enum server_message_id { SERVER_MESSAGES(SERVER_MESSAGE_ID) MESSAGE_COUNT };
#undef SERVER_MESSAGE_ID

struct server_message {
        int number;
        int severity; /* 0 to 10: information; more: an error */
        int state;
        enum err_code class;          /* of the failure; ERR_NONE for information */
        uint32_t line;                /* of the statement, from 1 */
        char text[ERROR_MESSAGE_MAX]; /* may hold any bytes of the statement: escape it before it is shown */
};

/* Fills the message's words in: `words` ends with NULL, and those that a message does not use are ignored. */
void server_message_fill(struct server_message *message, enum server_message_id id, const char *const *words);

#define server_message_make(message, id, ...) \
        server_message_fill((message), (id), (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })

static inline bool server_message_is_error(const struct server_message *message)
{
        return message->severity > 10;
}

/* "112(There is not enough space on the disk.)": a Windows error number with its words, as the messages carry it. */
const char *server_message_os_error(int32_t number);

/* The message that stands for a failure of the class `code` while data moved to or from `device`; `backup` says which.
 * False when none does, and the failure's own words have to. */
bool server_message_of_class(struct server_message *message, enum err_code code, bool backup, const char *device);

/* As sqlcmd prints it: information as it is, an error with a first line "Msg 3013, Level 16, State 1, Line 1".
 * Allocated, without a last newline, with what could move a terminal's cursor escaped; NULL when memory is short. */
char *server_message_render(const struct server_message *message);
