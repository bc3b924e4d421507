#include "core/standin/batch.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Words that begin a statement wherever they stand outside of parentheses. */
static const struct {
        const char *word;
        enum batch_kind kind;
} beginnings[] = {
        { "BACKUP", BATCH_TRANSFER },
        { "RESTORE", BATCH_TRANSFER },
        { "SELECT", BATCH_QUERY },
        { "USE", BATCH_USE },
        { "SET", BATCH_SET },
        { "PRINT", BATCH_PRINT },
        { "BEGIN", BATCH_TRANSACTION },
        { "SAVE", BATCH_TRANSACTION },
        { "COMMIT", BATCH_TRANSACTION },
        { "ROLLBACK", BATCH_TRANSACTION },
        { "EXEC", BATCH_PROCEDURE },
        { "EXECUTE", BATCH_PROCEDURE },
};

/* The same, of what SQL Server would do, and this does not. */
static const char other_beginnings[] =
        "ALTER CHECKPOINT CREATE DBCC DECLARE DELETE DENY DROP GRANT IF INSERT KILL MERGE RAISERROR RECONFIGURE "
        "RETURN REVOKE SHUTDOWN TRUNCATE UPDATE WAITFOR WHILE";

bool words_have(const char *list, const char *word)
{
        size_t length = strlen(word);

        if (length == 0 || strchr(word, ' '))
                return false;
        for (const char *at = strcasestr(list, word); at; at = strcasestr(at + 1, word))
                if ((at == list || at[-1] == ' ') && (at[length] == ' ' || !at[length]))
                        return true;
        return false;
}

bool batch_token_is(const struct batch_token *token, const char *keyword)
{
        return token->kind == SQL_WORD && strcasecmp(token->text, keyword) == 0;
}

bool batch_token_is_sign(const struct batch_token *token, char sign)
{
        return token->kind == SQL_SIGN && token->text[0] == sign;
}

bool batch_token_is_name(const struct batch_token *token)
{
        return token->kind == SQL_WORD || token->kind == SQL_NAME || token->kind == SQL_DOUBLE;
}

/* ---- tokens ---- */

static int batch_no_memory(struct server_message *message)
{
        server_message_make(message, MESSAGE_MEMORY);
        return -1;
}

static int batch_read_tokens(struct batch *batch, struct server_message *message)
{
        struct sql_lexer lexer;
        size_t used = 0;
        int rc = sql_lexer_init(&lexer, batch->text, message);

        while (rc == 0) {
                struct batch_token *token = &batch->tokens[batch->token_count];

                *token = (struct batch_token){
                        .kind = lexer.token.kind,
                        .text = batch->words + used,
                        .begin = (size_t)(lexer.token.source - batch->text),
                        .end = (size_t)(lexer.at - batch->text),
                        .line = lexer.token.line,
                };
                memcpy(batch->words + used, lexer.token.text, lexer.token.length + 1);
                used += lexer.token.length + 1;
                if (token->kind == SQL_END)
                        break;
                batch->token_count++;
                rc = sql_lexer_next(&lexer);
        }
        sql_lexer_deinit(&lexer);
        return rc;
}

/* ---- statements ---- */

/* A statement that is being put together. */
struct batch_cursor {
        struct batch *batch;
        size_t at;
        bool is_open;
        bool wants_select; /* WITH name AS (...): the next SELECT belongs to it */
        int depth;         /* of parentheses */
};

static bool token_begins(const struct batch_token *token, enum batch_kind *ret_kind)
{
        for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
                if (batch_token_is(token, beginnings[i].word)) {
                        *ret_kind = beginnings[i].kind;
                        return true;
                }
        *ret_kind = BATCH_OTHER;
        return token->kind == SQL_WORD && words_have(other_beginnings, token->text);
}

/* UNION SELECT, and the SELECT behind WITH name AS (...), go on with what was begun. */
static bool cursor_continues(struct batch_cursor *cursor)
{
        const struct batch_token *token = &cursor->batch->tokens[cursor->at];

        if (!batch_token_is(token, "SELECT"))
                return false;
        if (cursor->wants_select) {
                cursor->wants_select = false;
                return true;
        }
        return token[-1].kind == SQL_WORD && words_have("UNION ALL EXCEPT INTERSECT", token[-1].text);
}

static int cursor_close_statement(struct batch_cursor *cursor, struct server_message *message)
{
        struct batch *batch = cursor->batch;
        struct batch_statement *statement;
        const struct batch_token *tokens = batch->tokens;

        if (!cursor->is_open)
                return 0;
        cursor->is_open = false;
        cursor->wants_select = false;
        statement = &batch->statements[batch->statement_count - 1];
        statement->count = cursor->at - statement->first;
        statement->text = strndup(batch->text + tokens[statement->first].begin,
                                  tokens[cursor->at - 1].end - tokens[statement->first].begin);
        return statement->text ? 0 : batch_no_memory(message);
}

static int cursor_open_statement(struct batch_cursor *cursor, enum batch_kind kind, struct server_message *message)
{
        struct batch *batch = cursor->batch;
        const struct batch_token *token = &batch->tokens[cursor->at];
        struct batch_statement *grown;

        if (cursor_close_statement(cursor, message) < 0)
                return -1;
        grown = reallocarray(batch->statements, batch->statement_count + 1, sizeof *grown);
        if (!grown)
                return batch_no_memory(message);
        batch->statements = grown;
        grown[batch->statement_count++] =
                (struct batch_statement){ .kind = kind, .first = cursor->at, .line = token->line };
        cursor->is_open = true;
        return 0;
}

/* A token where no statement is open. Only a batch's first statement may be the name of a procedure alone. */
static int cursor_begin_statement(struct batch_cursor *cursor, struct server_message *message)
{
        const struct batch_token *token = &cursor->batch->tokens[cursor->at];

        if (batch_token_is(token, "WITH")) {
                if (cursor_open_statement(cursor, BATCH_QUERY, message) < 0)
                        return -1;
                cursor->wants_select = true;
                return 0;
        }
        if (batch_token_is_name(token) && cursor->batch->statement_count == 0)
                return cursor_open_statement(cursor, BATCH_PROCEDURE, message);
        server_message_make(message, MESSAGE_SYNTAX, token->text);
        message->line = token->line;
        return -1;
}

static int cursor_take_token(struct batch_cursor *cursor, struct server_message *message)
{
        const struct batch_token *token = &cursor->batch->tokens[cursor->at];
        enum batch_kind kind;

        if (batch_token_is_sign(token, ';') && cursor->depth == 0)
                return cursor_close_statement(cursor, message);
        if (cursor->depth == 0 && token_begins(token, &kind) && !(cursor->is_open && cursor_continues(cursor)))
                return cursor_open_statement(cursor, kind, message);
        if (!cursor->is_open)
                return cursor_begin_statement(cursor, message);
        cursor->depth += batch_token_is_sign(token, '(');
        cursor->depth -= batch_token_is_sign(token, ')') && cursor->depth > 0;
        return 0;
}

int batch_parse(struct batch *batch, const char *text, struct server_message *message)
{
        size_t size = strlen(text) + 1;
        struct batch_cursor cursor = { .batch = batch };

        *batch = (struct batch){ 0 };
        batch->text = strdup(text);
        if (!batch->text)
                return batch_no_memory(message);
        if (size <= SQL_TEXT_MAX) {
                /* Every token is a byte of the text or more, and takes one more for its end. */
                batch->words = malloc(2 * size);
                batch->tokens = calloc(size, sizeof *batch->tokens);
                if (!batch->words || !batch->tokens)
                        return batch_no_memory(message);
        }
        if (batch_read_tokens(batch, message) < 0)
                return -1;
        for (; cursor.at < batch->token_count; cursor.at++)
                if (cursor_take_token(&cursor, message) < 0)
                        return -1;
        return cursor_close_statement(&cursor, message);
}

void batch_deinit(struct batch *batch)
{
        for (size_t i = 0; i < batch->statement_count; i++)
                free(batch->statements[i].text);
        free(batch->statements);
        free(batch->tokens);
        free(batch->words);
        free(batch->text);
        *batch = (struct batch){ 0 };
}
