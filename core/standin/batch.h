/*
 * batch.h - the statements of a batch of Transact-SQL
 *
 * Statements end with a semicolon, or where a word begins another one. Pure and bounded: SQL_TEXT_MAX bytes. A batch
 * belongs to one thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tsql/messages.h"
#include "core/tsql/lexer.h"

enum batch_kind {
        BATCH_TRANSFER,    /* BACKUP, RESTORE */
        BATCH_QUERY,       /* SELECT, WITH */
        BATCH_USE,         /* a database */
        BATCH_SET,         /* of an option */
        BATCH_PRINT,       /* a string */
        BATCH_TRANSACTION, /* BEGIN TRANSACTION, COMMIT, ROLLBACK, SAVE */
        BATCH_PROCEDURE,   /* EXECUTE, or the name alone */
        BATCH_OTHER,       /* what SQL Server would do, and this does not */
};

struct batch_token {
        enum sql_kind kind;
        const char *text; /* without quotes; the batch's */
        size_t begin;     /* in batch->text; quotes included */
        size_t end;
        uint32_t line; /* from 1 */
};

struct batch_statement {
        enum batch_kind kind;
        size_t first; /* token */
        size_t count; /* of tokens */
        char *text;
        uint32_t line; /* where it begins, from 1 */
};

struct batch {
        char *text;
        char *words;                /* what the tokens' texts are in */
        struct batch_token *tokens; /* the last one is SQL_END */
        size_t token_count;         /* without it */
        struct batch_statement *statements;
        size_t statement_count;
};

/* Returns 0, or -1 with *message filled. In any case call batch_deinit(). */
int batch_parse(struct batch *batch, const char *text, struct server_message *message);
void batch_deinit(struct batch *batch);

/* Whether the token is that keyword, in any letter case; quoted, it is none. */
bool batch_token_is(const struct batch_token *token, const char *keyword);
bool batch_token_is_sign(const struct batch_token *token, char sign);

/* Whether the token may stand for a name. */
bool batch_token_is_name(const struct batch_token *token);

/* Whether a list of words with blanks between them has that one, in any letter case. */
bool words_have(const char *list, const char *word);
