/*
 * statement.h - one BACKUP or RESTORE statement of Transact-SQL
 *
 *   BACKUP {DATABASE|LOG} name [files] TO VIRTUAL_DEVICE='set'[, ...] [WITH options] [;]
 *   RESTORE {DATABASE|LOG} name [files] FROM VIRTUAL_DEVICE='set'[, ...] [WITH options] [;]
 *   RESTORE {VERIFYONLY|HEADERONLY|FILELISTONLY|LABELONLY} FROM VIRTUAL_DEVICE='set'[, ...] [WITH options] [;]
 *
 * statement_parse() takes the whole published grammar with virtual devices and refuses what is none;
 * statement_check() refuses what the embedded server cannot do. Both say so by a numbered message.
 */
#ifndef VDIPIPE_CORE_TSQL_STATEMENT_H
#define VDIPIPE_CORE_TSQL_STATEMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tsql/messages.h"
#include "core/vds/abi.h"

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

/* As messages name it: "BACKUP DATABASE", "VERIFY DATABASE", "RESTORE HEADERONLY". Static. */
const char *statement_verb_name(enum statement_verb verb);

static inline bool statement_is_backup(enum statement_verb verb)
{
        return verb <= STATEMENT_BACKUP_LOG;
}

enum statement_option {
        /* shape of the set */
        OPTION_BLOCKSIZE,
        OPTION_BUFFERCOUNT,
        OPTION_MAXTRANSFERSIZE,
        /* media */
        OPTION_INIT,
        OPTION_NOINIT,
        OPTION_FORMAT,
        OPTION_NOFORMAT,
        OPTION_SKIP,
        OPTION_NOSKIP,
        OPTION_REWIND,
        OPTION_NOREWIND,
        OPTION_UNLOAD,
        OPTION_NOUNLOAD,
        OPTION_RESTART,
        OPTION_MEDIANAME,
        OPTION_MEDIADESCRIPTION,
        OPTION_MEDIAPASSWORD,
        /* the backup set */
        OPTION_NAME,
        OPTION_DESCRIPTION,
        OPTION_EXPIREDATE,
        OPTION_RETAINDAYS,
        OPTION_PASSWORD,
        OPTION_CREDENTIAL,
        OPTION_FILE,
        OPTION_COMPRESSION,
        OPTION_NO_COMPRESSION,
        OPTION_ENCRYPTION,
        OPTION_DIFFERENTIAL,
        OPTION_COPY_ONLY,
        OPTION_SNAPSHOT,
        OPTION_FILE_SNAPSHOT,
        OPTION_METADATA_ONLY,
        /* checks and progress */
        OPTION_CHECKSUM,
        OPTION_NO_CHECKSUM,
        OPTION_STOP_ON_ERROR,
        OPTION_CONTINUE_AFTER_ERROR,
        OPTION_STATS,
        OPTION_LOADHISTORY,
        /* what becomes of the database */
        OPTION_RECOVERY,
        OPTION_NORECOVERY,
        OPTION_STANDBY,
        OPTION_NO_TRUNCATE,
        OPTION_NO_LOG,
        OPTION_TRUNCATE_ONLY,
        OPTION_REPLACE,
        OPTION_MOVE,
        OPTION_PARTIAL,
        OPTION_RESTRICTED_USER,
        OPTION_DBO_ONLY,
        OPTION_STOPAT,
        OPTION_STOPATMARK,
        OPTION_STOPBEFOREMARK,
        OPTION_KEEP_REPLICATION,
        OPTION_KEEP_CDC,
        OPTION_ENABLE_BROKER,
        OPTION_ERROR_BROKER_CONVERSATIONS,
        OPTION_NEW_BROKER,
        OPTION_FILESTREAM,
        OPTION_COUNT,
};

/* FILE = 'x' and the like between the database and the devices. */
enum statement_file_kind {
        STATEMENT_FILE,
        STATEMENT_FILEGROUP,
        STATEMENT_PAGE,
        STATEMENT_READ_WRITE_FILEGROUPS,
};

enum { STATEMENT_LIST_MAX = 64, STATEMENT_NAME_MAX = 4095 };

struct statement_file {
        enum statement_file_kind kind;
        char *name; /* NULL for READ_WRITE_FILEGROUPS */
};

struct statement_move {
        char *logical;
        char *path;
};

struct statement {
        enum statement_verb verb;
        char *database; /* NULL where the verb has none */
        struct statement_file files[STATEMENT_LIST_MAX];
        uint32_t file_count;
        char *devices[VDS_DEVICES_MAX];
        uint32_t device_count;
        bool given[OPTION_COUNT];
        int64_t numbers[OPTION_COUNT]; /* STATS without a value: 10 */
        char *texts[OPTION_COUNT];
        struct statement_move moves[STATEMENT_LIST_MAX];
        uint32_t move_count;
};

/* Reads a statement. Returns 0, or -1 with *message filled; *ret_statement is initialised in any case: call
 * statement_deinit(). */
int statement_parse(const char *text, struct statement *ret_statement, struct server_message *message);
void statement_deinit(struct statement *statement);

/* Refuses what the embedded server has no way to do, rather than leave it out.
 * Returns 0, or -1 with *message filled. */
int statement_check(const struct statement *statement, struct server_message *message);

/* ---- the table of options, for the parser and for tests ---- */

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

/* Refuses options that contradict each other. */
int statement_check_conflicts(const struct statement *statement, struct server_message *message);

#endif
