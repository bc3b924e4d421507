/*
 * lexer.h - the words, names, strings and signs of one statement of Transact-SQL
 *
 * Bounded: at most SQL_TEXT_MAX bytes, any bytes but NUL. What is not ASCII is a letter, so UTF-8 passes unseen. A
 * lexer belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tsql/messages.h"

enum { SQL_TEXT_MAX = 65536 };

enum sql_kind {
        SQL_END,
        SQL_WORD,   /* a keyword or a bare name */
        SQL_NAME,   /* [name] */
        SQL_DOUBLE, /* "name", or a string to clients that say so: whoever reads it knows which */
        SQL_STRING, /* 'string' or N'string'; a backslash at a line's end continues it on the next */
        SQL_NUMBER, /* digits */
        SQL_SIGN,   /* any other character, one at a time */
};

struct sql_token {
        enum sql_kind kind;
        uint32_t line;      /* from 1 */
        const char *source; /* where it begins in the statement's text, quotes and all; it ends where lexer->at is */
        const char *text;   /* without quotes and escapes; valid until the next call */
        size_t length;
};

struct sql_lexer {
        const char *at;
        uint32_t line;
        char *buffer; /* the token's text; as large as the statement */
        struct sql_token token;
        struct server_message *message;
};

/* Begins with `text`, which has to outlive the lexer, and reads the first token. Messages go to *message. Returns 0, or
 * -1 with *message filled. In any case call sql_lexer_deinit(). */
int sql_lexer_init(struct sql_lexer *lexer, const char *text, struct server_message *message);
void sql_lexer_deinit(struct sql_lexer *lexer);

/* Reads the next token into lexer->token. 0, or -1 with the message filled. */
int sql_lexer_next(struct sql_lexer *lexer);

/* Whether the token is that keyword, in any letter case. */
bool sql_token_is(const struct sql_token *token, const char *keyword);
bool sql_token_is_sign(const struct sql_token *token, char sign);

/* [text] with its brackets doubled, and N'text' with its quotes doubled: what the lexer reads back as `text`, whatever
 * bytes are in it. Allocated; NULL when memory is short. */
char *sql_quote_name(const char *text);
char *sql_quote_string(const char *text);
