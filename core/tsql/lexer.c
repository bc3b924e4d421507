#include "core/tsql/lexer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SHOWN_MAX = 64 }; /* bytes of the statement that a message shows */

static int lexer_raise_unclosed(struct sql_lexer *lexer, uint32_t line, const char *text)
{
        char shown[SHOWN_MAX];

        snprintf(shown, sizeof shown, "%s", text);
        server_message_make(lexer->message, MESSAGE_UNCLOSED_QUOTE, shown);
        lexer->message->line = line;
        return -1;
}

int sql_lexer_init(struct sql_lexer *lexer, const char *text, struct server_message *message)
{
        size_t size = strlen(text) + 1;

        *lexer = (struct sql_lexer){ .at = text, .line = 1, .message = message };
        if (size > SQL_TEXT_MAX) {
                char shown[SHOWN_MAX];
                char max[16];

                snprintf(shown, sizeof shown, "%s", text);
                snprintf(max, sizeof max, "%d", SQL_TEXT_MAX - 1);
                server_message_make(message, MESSAGE_TOO_LONG, "statement", shown, max);
                return -1;
        }
        lexer->buffer = malloc(size);
        if (!lexer->buffer) {
                server_message_make(message, MESSAGE_MEMORY);
                return -1;
        }
        return sql_lexer_next(lexer);
}

void sql_lexer_deinit(struct sql_lexer *lexer)
{
        free(lexer->buffer);
        lexer->buffer = NULL;
}

static bool sql_is_space(char c)
{
        return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool sql_is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static bool sql_is_letter(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '@' || c == '#' || c == '$' ||
               (unsigned char)c >= 0x80;
}

/* One character further; lines are counted. */
static void lexer_step(struct sql_lexer *lexer)
{
        lexer->line += *lexer->at == '\n';
        lexer->at++;
}

/* Comments of this kind may hold others. */
static int lexer_skip_comment(struct sql_lexer *lexer)
{
        uint32_t line = lexer->line;
        uint32_t depth = 0;

        do {
                if (!*lexer->at) {
                        server_message_make(lexer->message, MESSAGE_UNCLOSED_COMMENT);
                        lexer->message->line = line;
                        return -1;
                }
                if (lexer->at[0] == '/' && lexer->at[1] == '*') {
                        depth++;
                        lexer->at += 2;
                } else if (lexer->at[0] == '*' && lexer->at[1] == '/') {
                        depth--;
                        lexer->at += 2;
                } else {
                        lexer_step(lexer);
                }
        } while (depth > 0);
        return 0;
}

static int lexer_skip_blanks(struct sql_lexer *lexer)
{
        for (;;) {
                if (sql_is_space(*lexer->at)) {
                        lexer_step(lexer);
                } else if (lexer->at[0] == '-' && lexer->at[1] == '-') {
                        while (*lexer->at && *lexer->at != '\n')
                                lexer->at++;
                } else if (lexer->at[0] == '/' && lexer->at[1] == '*') {
                        if (lexer_skip_comment(lexer) < 0)
                                return -1;
                } else {
                        return 0;
                }
        }
}

static void lexer_finish(struct sql_lexer *lexer, enum sql_kind kind, size_t length)
{
        lexer->buffer[length] = '\0';
        lexer->token.kind = kind;
        lexer->token.text = lexer->buffer;
        lexer->token.length = length;
}

/* The length of a backslash and a line's end, which continue a string on the next line and are not part of it; 0: there
 * are none. */
static size_t continuation(const char *at)
{
        if (at[0] != '\\')
                return 0;
        return at[1] == '\n' ? 2 : at[1] == '\r' && at[2] == '\n' ? 3 : 0;
}

/* Behind an opening quote: up to `quote`, which stands for itself when it is doubled. */
static int lexer_read_quoted(struct sql_lexer *lexer, enum sql_kind kind, char quote)
{
        const char *start = lexer->at;
        size_t length = 0;

        for (;;) {
                if (!*lexer->at)
                        return lexer_raise_unclosed(lexer, lexer->token.line, start);
                if (*lexer->at == quote && *++lexer->at != quote)
                        break;
                if (kind == SQL_STRING && continuation(lexer->at)) {
                        lexer->at += continuation(lexer->at);
                        lexer->line++;
                        continue;
                }
                lexer->buffer[length++] = *lexer->at;
                lexer_step(lexer);
        }
        lexer_finish(lexer, kind, length);
        return 0;
}

static void lexer_read_run(struct sql_lexer *lexer, enum sql_kind kind, bool (*more)(char c))
{
        size_t length = 0;

        while (*lexer->at && (more(*lexer->at) || sql_is_digit(*lexer->at)))
                lexer->buffer[length++] = *lexer->at++;
        lexer_finish(lexer, kind, length);
}

int sql_lexer_next(struct sql_lexer *lexer)
{
        if (lexer_skip_blanks(lexer) < 0)
                return -1;
        lexer->token.line = lexer->line;
        lexer->token.source = lexer->at;
        if ((lexer->at[0] == 'N' || lexer->at[0] == 'n') && lexer->at[1] == '\'')
                lexer->at++;
        switch (*lexer->at) {
        case '\0':
                lexer_finish(lexer, SQL_END, 0);
                return 0;
        case '\'':
                lexer->at++;
                return lexer_read_quoted(lexer, SQL_STRING, '\'');
        case '"':
                lexer->at++;
                return lexer_read_quoted(lexer, SQL_DOUBLE, '"');
        case '[':
                lexer->at++;
                return lexer_read_quoted(lexer, SQL_NAME, ']');
        default:
                break;
        }
        if (sql_is_digit(*lexer->at)) {
                lexer_read_run(lexer, SQL_NUMBER, sql_is_digit);
        } else if (sql_is_letter(*lexer->at)) {
                lexer_read_run(lexer, SQL_WORD, sql_is_letter);
        } else {
                lexer->buffer[0] = *lexer->at++;
                lexer_finish(lexer, SQL_SIGN, 1);
        }
        return 0;
}

bool sql_token_is(const struct sql_token *token, const char *keyword)
{
        return token->kind == SQL_WORD && strcasecmp(token->text, keyword) == 0;
}

bool sql_token_is_sign(const struct sql_token *token, char sign)
{
        return token->kind == SQL_SIGN && token->text[0] == sign;
}

/* ---- the other way ---- */

static char *quote(const char *text, const char *open, char close)
{
        size_t used = strlen(open);
        char *quoted = malloc(used + 2 * strlen(text) + 2);

        if (!quoted)
                return NULL;
        memcpy(quoted, open, used);
        for (; *text; text++) {
                size_t continued = close == '\'' ? continuation(text) : 0;

                if (*text == close)
                        quoted[used++] = close;
                quoted[used++] = *text;
                /* What would be taken out is put in once more. */
                memcpy(quoted + used, text, continued);
                used += continued;
        }
        quoted[used++] = close;
        quoted[used] = '\0';
        return quoted;
}

char *sql_quote_name(const char *text)
{
        return quote(text, "[", ']');
}

char *sql_quote_string(const char *text)
{
        return quote(text, "N'", '\'');
}
