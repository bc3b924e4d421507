/*
 * options.h - the tables of BACKUP and RESTORE statements: their verbs, and the options that each of them has
 *
 * Whoever parses, checks or writes a statement reads them here. Constant.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/tsql/messages.h"

enum statement_verb {
        STATEMENT_BACKUP_DATABASE,
        STATEMENT_BACKUP_LOG,
        STATEMENT_RESTORE_DATABASE,
        STATEMENT_RESTORE_LOG,
        STATEMENT_VERIFYONLY,
        STATEMENT_HEADERONLY,
        STATEMENT_FILELISTONLY,
        STATEMENT_LABELONLY,
        STATEMENT_VERBS,
};

struct statement_verb_row {
        const char *first;  /* "RESTORE" */
        const char *second; /* "FILELISTONLY" */
        const char *name;   /* as messages have it: "RESTORE FILELIST" */
};

extern const struct statement_verb_row statement_verbs[STATEMENT_VERBS];

static inline const char *statement_verb_name(enum statement_verb verb)
{
        return statement_verbs[verb].name;
}

static inline bool statement_is_backup(enum statement_verb verb)
{
        return verb <= STATEMENT_BACKUP_LOG;
}

/* Whether the verb is followed by a database. */
static inline bool statement_names_database(enum statement_verb verb)
{
        return verb <= STATEMENT_RESTORE_LOG;
}

enum statement_value {
        VALUE_NONE,
        VALUE_NUMBER,
        VALUE_STRING,
        VALUE_ANY,             /* a number or a string */
        VALUE_OPTIONAL_NUMBER, /* "= n" may be left out */
        VALUE_MARK,            /* 'name' [AFTER 'time'] */
        VALUE_GROUP,           /* [= on | off] or a list in parentheses, or nothing */
        VALUE_MOVE,            /* 'logical' TO 'path' */
};

enum { STATEMENT_NAME_MAX = 4095 };

/* Each option NAME, which is OPTION_NAME here: its value; the sets of statements whose grammar has it, and of those
 * where it is possible; the refusal of the others; least and greatest number, or bytes of a string. What the words for
 * these mean stands in options.c.
 *
 * "Possible" lists what is done, and what is nothing to do: devices that are no tape drives have no UNLOAD, nothing is
 * compressed or expires unless asked for, and a database without differential backups is never their base. */
#define STATEMENT_OPTIONS(X)                                                                    \
        /* shape of the set */                                                                  \
        X(BLOCKSIZE, NUMBER, ALL, ALL, NO, VDS_BLOCK_SIZE_MIN, VDS_BLOCK_SIZE_MAX)              \
        X(BUFFERCOUNT, NUMBER, ALL, ALL, NO, 1, NO_MAX)                                         \
        X(MAXTRANSFERSIZE, NUMBER, ALL, ALL, NO, VDS_TRANSFER_UNIT, VDS_TRANSFER_MAX)           \
        /* media */                                                                             \
        X(INIT, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                               \
        X(NOINIT, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                             \
        X(FORMAT, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                             \
        X(NOFORMAT, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                           \
        X(SKIP, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                               \
        X(NOSKIP, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                             \
        X(REWIND, NONE, ALL, ALL, NO, 0, 0)                                                     \
        X(NOREWIND, NONE, ALL, ALL, NO, 0, 0)                                                   \
        X(UNLOAD, NONE, ALL, ALL, NO, 0, 0)                                                     \
        X(NOUNLOAD, NONE, ALL, ALL, NO, 0, 0)                                                   \
        X(RESTART, NONE, BACKUPS | RESTORES, BACKUPS, NO, 0, 0)                                 \
        X(MEDIANAME, STRING, ALL, BACKUPS, NO, 0, NAME_BYTES)                                   \
        X(MEDIADESCRIPTION, STRING, BACKUPS, BACKUPS, NO, 0, DESCRIPTION_BYTES)                 \
        X(MEDIAPASSWORD, STRING, ALL, 0, NO, 0, NAME_BYTES)                                     \
        /* the backup set */                                                                    \
        X(NAME, STRING, BACKUPS, BACKUPS, NO, 0, NAME_BYTES)                                    \
        X(DESCRIPTION, STRING, BACKUPS, BACKUPS, NO, 0, DESCRIPTION_BYTES)                      \
        X(EXPIREDATE, ANY, BACKUPS, 0, NO, 0, NAME_BYTES)                                       \
        X(RETAINDAYS, ANY, BACKUPS, 0, NO, 0, NO_MAX)                                           \
        X(PASSWORD, STRING, ALL & ~LO, 0, NO, 0, NAME_BYTES)                                    \
        X(CREDENTIAL, STRING, ALL, 0, NO, 0, NAME_BYTES)                                        \
        X(FILE, NUMBER, RESTORES | VO | HO | FO, RESTORES | VO | HO | FO, NO, 1, NO_MAX)        \
        X(COMPRESSION, GROUP, BACKUPS, 0, NO, 0, 0)                                             \
        X(NO_COMPRESSION, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                     \
        X(ENCRYPTION, GROUP, BACKUPS, 0, NO, 0, 0)                                              \
        X(DIFFERENTIAL, NONE, BD, 0, MESSAGE_DIFFERENTIAL, 0, 0)                                \
        X(COPY_ONLY, NONE, BACKUPS, BACKUPS, NO, 0, 0)                                          \
        X(SNAPSHOT, NONE, BACKUPS | RESTORES, 0, NO, 0, 0)                                      \
        X(FILE_SNAPSHOT, NONE, BACKUPS, 0, NO, 0, 0)                                            \
        X(METADATA_ONLY, NONE, ALL, 0, NO, 0, 0)                                                \
        /* checks and progress */                                                               \
        X(CHECKSUM, NONE, ALL & ~LO, BACKUPS | RESTORES | VO, NO, 0, 0)                         \
        X(NO_CHECKSUM, NONE, ALL & ~LO, ALL & ~LO, NO, 0, 0)                                    \
        X(STOP_ON_ERROR, NONE, ALL & ~LO, ALL & ~LO, NO, 0, 0)                                  \
        X(CONTINUE_AFTER_ERROR, NONE, ALL & ~LO, 0, NO, 0, 0)                                   \
        X(STATS, OPTIONAL_NUMBER, BACKUPS | RESTORES | VO, BACKUPS | RESTORES | VO, NO, 1, 100) \
        X(LOADHISTORY, NONE, VO, 0, NO, 0, 0)                                                   \
        /* what becomes of the database */                                                      \
        X(RECOVERY, NONE, RESTORES, RESTORES, NO, 0, 0)                                         \
        X(NORECOVERY, NONE, BL | RESTORES, 0, ROLL, 0, 0)                                       \
        X(STANDBY, STRING, BL | RESTORES, 0, ROLL, 0, STATEMENT_NAME_MAX)                       \
        X(NO_TRUNCATE, NONE, BL, 0, NO, 0, 0)                                                   \
        X(NO_LOG, NONE, BL, 0, NO, 0, 0)                                                        \
        X(TRUNCATE_ONLY, NONE, BL, 0, NO, 0, 0)                                                 \
        X(REPLACE, NONE, RD, RD, NO, 0, 0)                                                      \
        X(MOVE, MOVE, RESTORES | VO, RD, NO, 0, STATEMENT_NAME_MAX)                             \
        X(PARTIAL, NONE, RD, 0, MESSAGE_SUBSET, 0, 0)                                           \
        X(RESTRICTED_USER, NONE, RESTORES, 0, NO, 0, 0)                                         \
        X(DBO_ONLY, NONE, RESTORES, 0, NO, 0, 0)                                                \
        X(STOPAT, STRING, RESTORES, 0, POINT, 0, NAME_BYTES)                                    \
        X(STOPATMARK, MARK, RESTORES, 0, POINT, 0, NAME_BYTES)                                  \
        X(STOPBEFOREMARK, MARK, RESTORES, 0, POINT, 0, NAME_BYTES)                              \
        X(KEEP_REPLICATION, NONE, RESTORES, 0, NO, 0, 0)                                        \
        X(KEEP_CDC, NONE, RESTORES, 0, NO, 0, 0)                                                \
        X(ENABLE_BROKER, NONE, RESTORES, 0, NO, 0, 0)                                           \
        X(ERROR_BROKER_CONVERSATIONS, NONE, RESTORES, 0, NO, 0, 0)                              \
        X(NEW_BROKER, NONE, RESTORES, 0, NO, 0, 0)                                              \
        X(FILESTREAM, GROUP, RD, 0, NO, 0, 0)

#define STATEMENT_OPTION_ID(name, ...) OPTION_##name,
enum statement_option { STATEMENT_OPTIONS(STATEMENT_OPTION_ID) OPTION_COUNT };
#undef STATEMENT_OPTION_ID

struct statement_option_row {
        const char *keyword;
        enum statement_value value;
        unsigned verbs;    /* 1 << enum statement_verb: the statements whose grammar has it */
        unsigned possible; /* those of them that can be done, or where it changes nothing by its definition */
        enum server_message_id refusal; /* for the others */
        int64_t min;                    /* of a number; of a string's bytes, `max` */
        int64_t max;
};

extern const struct statement_option_row statement_options[OPTION_COUNT];

/* OPTION_COUNT when there is none of that name. */
enum statement_option statement_find_option(const char *keyword);
