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
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/tsql/options.h"
#include "core/vds/abi.h"

/* FILE = 'x' and the like between the database and the devices. */
enum statement_file_kind {
        STATEMENT_FILE,
        STATEMENT_FILEGROUP,
        STATEMENT_PAGE,
        STATEMENT_READ_WRITE_FILEGROUPS,
};

enum { STATEMENT_LIST_MAX = 64 };

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
