#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/tsql/statement.h"

/* Sets of statements. */
enum {
        BD = 1 << STATEMENT_BACKUP_DATABASE,
        BL = 1 << STATEMENT_BACKUP_LOG,
        RD = 1 << STATEMENT_RESTORE_DATABASE,
        RL = 1 << STATEMENT_RESTORE_LOG,
        VO = 1 << STATEMENT_VERIFYONLY,
        HO = 1 << STATEMENT_HEADERONLY,
        FO = 1 << STATEMENT_FILELISTONLY,
        LO = 1 << STATEMENT_LABELONLY,
        BACKUPS = BD | BL,
        RESTORES = RD | RL,
        ONLIES = VO | HO | FO | LO,
        ALL = BACKUPS | RESTORES | ONLIES,
};

enum { NAME_BYTES = 128, DESCRIPTION_BYTES = 255 };

#define NO     MESSAGE_UNSUPPORTED
#define ROLL   MESSAGE_STAYS_RECOVERED
#define POINT  MESSAGE_STOPAT
#define NO_MAX INT32_MAX

/* "Possible" lists what is done, and what is nothing to do: devices that are no tape drives have no UNLOAD, nothing is
 * compressed or expires unless asked for, and a database without differential backups is never their base. */
const struct statement_option_row statement_options[OPTION_COUNT] = {
        [OPTION_BLOCKSIZE] = { "BLOCKSIZE", VALUE_NUMBER, ALL, ALL, NO, VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX },
        [OPTION_BUFFERCOUNT] = { "BUFFERCOUNT", VALUE_NUMBER, ALL, ALL, NO, 1, NO_MAX },
        [OPTION_MAXTRANSFERSIZE] = { "MAXTRANSFERSIZE", VALUE_NUMBER, ALL, ALL, NO, VDS_TRANSFER_UNIT,
                                     VDS_TRANSFER_MAX },

        [OPTION_INIT] = { "INIT", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_NOINIT] = { "NOINIT", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_FORMAT] = { "FORMAT", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_NOFORMAT] = { "NOFORMAT", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_SKIP] = { "SKIP", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_NOSKIP] = { "NOSKIP", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_REWIND] = { "REWIND", VALUE_NONE, ALL, ALL, NO, 0, 0 },
        [OPTION_NOREWIND] = { "NOREWIND", VALUE_NONE, ALL, ALL, NO, 0, 0 },
        [OPTION_UNLOAD] = { "UNLOAD", VALUE_NONE, ALL, ALL, NO, 0, 0 },
        [OPTION_NOUNLOAD] = { "NOUNLOAD", VALUE_NONE, ALL, ALL, NO, 0, 0 },
        [OPTION_RESTART] = { "RESTART", VALUE_NONE, BACKUPS | RESTORES, BACKUPS, NO, 0, 0 },
        [OPTION_MEDIANAME] = { "MEDIANAME", VALUE_STRING, ALL, BACKUPS, NO, 0, NAME_BYTES },
        [OPTION_MEDIADESCRIPTION] = { "MEDIADESCRIPTION", VALUE_STRING, BACKUPS, BACKUPS, NO, 0, DESCRIPTION_BYTES },
        [OPTION_MEDIAPASSWORD] = { "MEDIAPASSWORD", VALUE_STRING, ALL, 0, NO, 0, NAME_BYTES },

        [OPTION_NAME] = { "NAME", VALUE_STRING, BACKUPS, BACKUPS, NO, 0, NAME_BYTES },
        [OPTION_DESCRIPTION] = { "DESCRIPTION", VALUE_STRING, BACKUPS, BACKUPS, NO, 0, DESCRIPTION_BYTES },
        [OPTION_EXPIREDATE] = { "EXPIREDATE", VALUE_ANY, BACKUPS, 0, NO, 0, NAME_BYTES },
        [OPTION_RETAINDAYS] = { "RETAINDAYS", VALUE_ANY, BACKUPS, 0, NO, 0, NO_MAX },
        [OPTION_PASSWORD] = { "PASSWORD", VALUE_STRING, ALL & ~LO, 0, NO, 0, NAME_BYTES },
        [OPTION_CREDENTIAL] = { "CREDENTIAL", VALUE_STRING, ALL, 0, NO, 0, NAME_BYTES },
        [OPTION_FILE] = { "FILE", VALUE_NUMBER, RESTORES | VO | HO | FO, RESTORES | VO | HO | FO, NO, 1, NO_MAX },
        [OPTION_COMPRESSION] = { "COMPRESSION", VALUE_GROUP, BACKUPS, 0, NO, 0, 0 },
        [OPTION_NO_COMPRESSION] = { "NO_COMPRESSION", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_ENCRYPTION] = { "ENCRYPTION", VALUE_GROUP, BACKUPS, 0, NO, 0, 0 },
        [OPTION_DIFFERENTIAL] = { "DIFFERENTIAL", VALUE_NONE, BD, 0, MESSAGE_DIFFERENTIAL, 0, 0 },
        [OPTION_COPY_ONLY] = { "COPY_ONLY", VALUE_NONE, BACKUPS, BACKUPS, NO, 0, 0 },
        [OPTION_SNAPSHOT] = { "SNAPSHOT", VALUE_NONE, BACKUPS | RESTORES, 0, NO, 0, 0 },
        [OPTION_FILE_SNAPSHOT] = { "FILE_SNAPSHOT", VALUE_NONE, BACKUPS, 0, NO, 0, 0 },
        [OPTION_METADATA_ONLY] = { "METADATA_ONLY", VALUE_NONE, ALL, 0, NO, 0, 0 },

        [OPTION_CHECKSUM] = { "CHECKSUM", VALUE_NONE, ALL & ~LO, BACKUPS | RESTORES | VO, NO, 0, 0 },
        [OPTION_NO_CHECKSUM] = { "NO_CHECKSUM", VALUE_NONE, ALL & ~LO, ALL & ~LO, NO, 0, 0 },
        [OPTION_STOP_ON_ERROR] = { "STOP_ON_ERROR", VALUE_NONE, ALL & ~LO, ALL & ~LO, NO, 0, 0 },
        [OPTION_CONTINUE_AFTER_ERROR] = { "CONTINUE_AFTER_ERROR", VALUE_NONE, ALL & ~LO, 0, NO, 0, 0 },
        [OPTION_STATS] = { "STATS", VALUE_OPTIONAL_NUMBER, BACKUPS | RESTORES | VO, BACKUPS | RESTORES | VO, NO, 1,
                           100 },
        [OPTION_LOADHISTORY] = { "LOADHISTORY", VALUE_NONE, VO, 0, NO, 0, 0 },

        [OPTION_RECOVERY] = { "RECOVERY", VALUE_NONE, RESTORES, RESTORES, NO, 0, 0 },
        [OPTION_NORECOVERY] = { "NORECOVERY", VALUE_NONE, BL | RESTORES, 0, ROLL, 0, 0 },
        [OPTION_STANDBY] = { "STANDBY", VALUE_STRING, BL | RESTORES, 0, ROLL, 0, STATEMENT_NAME_MAX },
        [OPTION_NO_TRUNCATE] = { "NO_TRUNCATE", VALUE_NONE, BL, 0, NO, 0, 0 },
        [OPTION_NO_LOG] = { "NO_LOG", VALUE_NONE, BL, 0, NO, 0, 0 },
        [OPTION_TRUNCATE_ONLY] = { "TRUNCATE_ONLY", VALUE_NONE, BL, 0, NO, 0, 0 },
        [OPTION_REPLACE] = { "REPLACE", VALUE_NONE, RD, RD, NO, 0, 0 },
        [OPTION_MOVE] = { "MOVE", VALUE_MOVE, RESTORES | VO, RD, NO, 0, STATEMENT_NAME_MAX },
        [OPTION_PARTIAL] = { "PARTIAL", VALUE_NONE, RD, 0, MESSAGE_SUBSET, 0, 0 },
        [OPTION_RESTRICTED_USER] = { "RESTRICTED_USER", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_DBO_ONLY] = { "DBO_ONLY", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_STOPAT] = { "STOPAT", VALUE_STRING, RESTORES, 0, POINT, 0, NAME_BYTES },
        [OPTION_STOPATMARK] = { "STOPATMARK", VALUE_MARK, RESTORES, 0, POINT, 0, NAME_BYTES },
        [OPTION_STOPBEFOREMARK] = { "STOPBEFOREMARK", VALUE_MARK, RESTORES, 0, POINT, 0, NAME_BYTES },
        [OPTION_KEEP_REPLICATION] = { "KEEP_REPLICATION", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_KEEP_CDC] = { "KEEP_CDC", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_ENABLE_BROKER] = { "ENABLE_BROKER", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_ERROR_BROKER_CONVERSATIONS] = { "ERROR_BROKER_CONVERSATIONS", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_NEW_BROKER] = { "NEW_BROKER", VALUE_NONE, RESTORES, 0, NO, 0, 0 },
        [OPTION_FILESTREAM] = { "FILESTREAM", VALUE_GROUP, RD, 0, NO, 0, 0 },
};

enum statement_option statement_find_option(const char *keyword)
{
        for (int i = 0; i < OPTION_COUNT; i++)
                if (strcasecmp(statement_options[i].keyword, keyword) == 0)
                        return (enum statement_option)i;
        return OPTION_COUNT;
}

static const struct {
        enum statement_option one;
        enum statement_option other;
} conflicts[] = {
        { OPTION_INIT, OPTION_NOINIT },
        { OPTION_FORMAT, OPTION_NOFORMAT },
        { OPTION_FORMAT, OPTION_NOINIT },
        { OPTION_FORMAT, OPTION_NOSKIP },
        { OPTION_SKIP, OPTION_NOSKIP },
        { OPTION_REWIND, OPTION_NOREWIND },
        { OPTION_UNLOAD, OPTION_NOUNLOAD },
        { OPTION_UNLOAD, OPTION_NOREWIND },
        { OPTION_EXPIREDATE, OPTION_RETAINDAYS },
        { OPTION_COMPRESSION, OPTION_NO_COMPRESSION },
        { OPTION_DIFFERENTIAL, OPTION_COPY_ONLY },
        { OPTION_CHECKSUM, OPTION_NO_CHECKSUM },
        { OPTION_STOP_ON_ERROR, OPTION_CONTINUE_AFTER_ERROR },
        { OPTION_RECOVERY, OPTION_NORECOVERY },
        { OPTION_RECOVERY, OPTION_STANDBY },
        { OPTION_NORECOVERY, OPTION_STANDBY },
};

int statement_check_conflicts(const struct statement *statement, struct server_message *message)
{
        for (size_t i = 0; i < sizeof conflicts / sizeof conflicts[0]; i++) {
                if (!statement->given[conflicts[i].one] || !statement->given[conflicts[i].other])
                        continue;
                server_message_make(message, MESSAGE_CONFLICT, statement_options[conflicts[i].one].keyword,
                                    statement_options[conflicts[i].other].keyword);
                return -1;
        }
        return 0;
}

static int refuse(const struct statement *statement, const struct statement_option_row *row,
                  struct server_message *message)
{
        const char *word = row->refusal == MESSAGE_DIFFERENTIAL ? statement->database : row->keyword;

        server_message_make(message, row->refusal, word);
        return -1;
}

static int check_files(const struct statement *statement, struct server_message *message)
{
        bool backup = statement_is_backup(statement->verb);

        for (uint32_t i = 0; i < statement->file_count; i++) {
                const struct statement_file *file = &statement->files[i];
                bool primary = file->name && strcasecmp(file->name, "PRIMARY") == 0;

                if (file->kind == STATEMENT_READ_WRITE_FILEGROUPS)
                        server_message_make(message, MESSAGE_UNSUPPORTED, "READ_WRITE_FILEGROUPS");
                else if (file->kind == STATEMENT_FILEGROUP && !primary && backup)
                        server_message_make(message, MESSAGE_NO_FILEGROUP, file->name, statement->database);
                else if (file->kind == STATEMENT_FILEGROUP && !primary)
                        server_message_make(message, MESSAGE_NO_FILEGROUP_IN_SET, file->name);
                else
                        server_message_make(message, backup ? MESSAGE_PRIMARY_AS_FILE : MESSAGE_SUBSET);
                return -1;
        }
        return 0;
}

int statement_check(const struct statement *statement, struct server_message *message)
{
        unsigned verb = 1U << statement->verb;

        if (statement->verb == STATEMENT_BACKUP_LOG) {
                server_message_make(message, MESSAGE_SIMPLE_RECOVERY, statement_verb_name(statement->verb));
                return -1;
        }
        if (statement->verb == STATEMENT_RESTORE_LOG) {
                server_message_make(message, MESSAGE_NO_ROLLFORWARD);
                return -1;
        }
        for (size_t i = 0; i < OPTION_COUNT; i++)
                if (statement->given[i] && !(statement_options[i].possible & verb))
                        return refuse(statement, &statement_options[i], message);
        return check_files(statement, message);
}
