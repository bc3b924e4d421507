/*
 * messages.h - what SQL Server would say, with its numbers
 *
 * One table holds every message: number, severity, state, class of failure, and the words. Where the published words
 * say what happened here, they are used, since scripts read them; else the number is kept and the words are our own.
 * Nothing here has state; every function is thread safe.
 */
#ifndef VDIPIPE_CORE_TSQL_MESSAGES_H
#define VDIPIPE_CORE_TSQL_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum server_message_id {
        /* the statement's text */
        MESSAGE_SYNTAX,         /* near */
        MESSAGE_TOO_LONG,       /* what, its beginning, maximum */
        MESSAGE_UNCLOSED_QUOTE, /* what follows it */
        MESSAGE_UNCLOSED_COMMENT,
        MESSAGE_VARIABLE,         /* name */
        MESSAGE_OPTION,           /* option, BACKUP or RESTORE */
        MESSAGE_KEYWORD,          /* near */
        MESSAGE_NO_NAME,          /* an empty [] */
        MESSAGE_NO_DATABASE,      /* name */
        MESSAGE_NO_SUCH_DATABASE, /* name: not the server's */
        MESSAGE_NAME_MISSING,     /* the statement names no database */

        /* other statements */
        MESSAGE_FUNCTION,   /* name */
        MESSAGE_SET_OPTION, /* name */
        MESSAGE_COLUMN,     /* name */
        MESSAGE_OBJECT,     /* name */
        MESSAGE_AMBIGUOUS,  /* name */
        MESSAGE_PROCEDURE,  /* name */
        MESSAGE_UNBOUND,    /* name */
        MESSAGE_IN_TRANSACTION,
        MESSAGE_NO_TRANSACTION, /* COMMIT, ROLLBACK */

        /* who may what */
        MESSAGE_LOGIN, /* user */
        MESSAGE_LOGIN_UNTRUSTED,
        MESSAGE_LOGIN_DATABASE, /* name */
        MESSAGE_CONNECTIONS,    /* maximum */
        MESSAGE_NOT_PERMITTED,  /* statement, database */
        MESSAGE_NO_SELECT,      /* object, database, schema */
        MESSAGE_NO_VIEW_STATE,
        MESSAGE_SHUTDOWN,

        /* options */
        MESSAGE_CONFLICT,           /* option, option */
        MESSAGE_UNSUPPORTED,        /* options */
        MESSAGE_RANGE,              /* value, parameter */
        MESSAGE_BLOCK_SIZE,         /* not a power of two */
        MESSAGE_BLOCK_SIZE_DIVIDES, /* block size, page size, database */
        MESSAGE_DIFFERENTIAL,       /* database */
        MESSAGE_SIMPLE_RECOVERY,    /* statement */
        MESSAGE_NO_LOG_CHAIN,
        MESSAGE_NO_ROLLFORWARD,
        MESSAGE_STAYS_RECOVERED, /* option */
        MESSAGE_STOPAT,
        MESSAGE_DESCRIPTOR_SIZE, /* bytes */
        MESSAGE_MIRROR,

        /* files */
        MESSAGE_PRIMARY_AS_FILE,
        MESSAGE_NO_FILEGROUP,        /* filegroup, database */
        MESSAGE_NO_FILE,             /* file, database */
        MESSAGE_SUBSET,              /* of a database */
        MESSAGE_NO_FILE_IN_SET,      /* file, database */
        MESSAGE_NO_FILEGROUP_IN_SET, /* filegroup */
        MESSAGE_BAD_PLACE,           /* file, path */
        MESSAGE_FILE_EXISTS,         /* file, path */

        /* devices */
        MESSAGE_DEVICE_CLASSES,
        MESSAGE_DEVICE_KIND, /* DISK, TAPE, URL */
        MESSAGE_DEVICE_NAME, /* name */
        MESSAGE_DEVICE_NAME_EMPTY,
        MESSAGE_DEVICE_NAME_LENGTH, /* maximum */
        MESSAGE_DEVICE_TWICE,       /* name */
        MESSAGE_DEVICE_UNKNOWN,     /* name */
        MESSAGE_DEVICES_TOO_MANY,   /* maximum */
        MESSAGE_DEVICE_OPEN,        /* name, reason */
        MESSAGE_SET_OPEN,           /* name, reason */
        MESSAGE_DEVICE_COUNT,       /* in the set, in the statement */

        /* the run */
        MESSAGE_BUSY,
        MESSAGE_IN_USE_HERE, /* database */
        MESSAGE_RESTORING,   /* database */
        MESSAGE_CANCELLED,
        MESSAGE_WRITE,       /* device, reason */
        MESSAGE_READ,        /* device, reason */
        MESSAGE_COMMAND,     /* command, device, reason */
        MESSAGE_ABORTED,     /* device, reason */
        MESSAGE_TIMEOUT,     /* device */
        MESSAGE_DAMAGED_SET, /* device */
        MESSAGE_PAGE_ERROR,  /* database, what was found */
        MESSAGE_UNFINISHED,  /* device: the data at the end of a tape has no mark */
        MESSAGE_EMPTY,       /* device */
        MESSAGE_NO_SET,      /* file number, device */
        MESSAGE_SETS_DIFFER, /* device */
        MESSAGE_NO_ROOM,     /* folder's or file's name */
        MESSAGE_MEMORY,
        MESSAGE_WORDS, /* of a failure that has no number */

        /* how it ended */
        MESSAGE_PERCENT,    /* number */
        MESSAGE_PAGES,      /* pages, database, file, position */
        MESSAGE_DONE,       /* statement, pages, seconds, MB/sec */
        MESSAGE_VALID,      /* position */
        MESSAGE_NOTE,       /* words */
        MESSAGE_TERMINATED, /* statement */
        MESSAGE_COUNT,
};

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

/* The class of failure that a message stands for; ERR_NONE for information. */
enum err_code server_message_class(enum server_message_id id);

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

#endif
