#include "core/tsql/statement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/tsql/lexer.h"
#include "core/vds/vds.h"

enum { SHOWN_MAX = 128, GROUP_DEPTH_MAX = 16 };

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

struct statement_parser {
        struct sql_lexer lexer;
        struct statement *statement;
        struct server_message *message;
        char last[SHOWN_MAX];  /* the token before, for a statement that ends too early */
        char shown[SHOWN_MAX]; /* the beginning of this one */
        char digits[24];
};

void statement_deinit(struct statement *statement)
{
        free(statement->database);
        for (uint32_t i = 0; i < statement->file_count; i++)
                free(statement->files[i].name);
        for (uint32_t i = 0; i < statement->device_count; i++)
                free(statement->devices[i]);
        for (size_t i = 0; i < OPTION_COUNT; i++)
                free(statement->texts[i]);
        for (uint32_t i = 0; i < statement->move_count; i++) {
                free(statement->moves[i].logical);
                free(statement->moves[i].path);
        }
        memset(statement, 0, sizeof *statement);
}

/* ---- tokens ---- */

static int parser_fail(struct statement_parser *parser)
{
        parser->message->line = parser->lexer.token.line;
        return -1;
}

/* The message `id` with its words. Yields -1. */
#define RAISE(parser, ...) (server_message_make((parser)->message, __VA_ARGS__), parser_fail(parser))

/* As much of the token as a message shows; a number as text. Valid until the next call of the same. */
static const char *parser_shown(struct statement_parser *parser)
{
        snprintf(parser->shown, sizeof parser->shown, "%s", parser->lexer.token.text);
        return parser->shown;
}

static const char *parser_digits(struct statement_parser *parser, int64_t number)
{
        snprintf(parser->digits, sizeof parser->digits, "%lld", (long long)number);
        return parser->digits;
}

/* Words that are no names unless they are quoted. */
static bool token_is_reserved(const struct sql_token *token)
{
        static const char *const words[] = {
                "BACKUP", "DATABASE", "FILE", "FROM", "RESTORE", "TO", "WITH", "SELECT", "EXEC", "USE", "AND", "ON",
        };

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (sql_token_is(token, words[i]))
                        return true;
        return false;
}

static int parser_raise_syntax(struct statement_parser *parser)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->kind == SQL_WORD && token->text[0] == '@' && token->text[1] != '@')
                return RAISE(parser, MESSAGE_VARIABLE, token->text);
        return RAISE(parser, token_is_reserved(token) ? MESSAGE_KEYWORD : MESSAGE_SYNTAX,
                     token->kind == SQL_END ? parser->last : parser_shown(parser));
}

static int parser_advance(struct statement_parser *parser)
{
        snprintf(parser->last, sizeof parser->last, "%s", parser->lexer.token.text);
        return sql_lexer_next(&parser->lexer);
}

static bool parser_at_word(const struct statement_parser *parser, const char *keyword)
{
        return sql_token_is(&parser->lexer.token, keyword);
}

static bool parser_at_sign(const struct statement_parser *parser, char sign)
{
        return sql_token_is_sign(&parser->lexer.token, sign);
}

static int parser_expect_word(struct statement_parser *parser, const char *keyword)
{
        return parser_at_word(parser, keyword) ? parser_advance(parser) : parser_raise_syntax(parser);
}

static int parser_expect_sign(struct statement_parser *parser, char sign)
{
        return parser_at_sign(parser, sign) ? parser_advance(parser) : parser_raise_syntax(parser);
}

/* The token's text becomes the caller's. */
static int parser_take_text(struct statement_parser *parser, size_t max, const char *what, char **ret_text)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->length > max)
                return RAISE(parser, MESSAGE_TOO_LONG, what, parser_shown(parser), parser_digits(parser, (int64_t)max));
        *ret_text = strdup(token->text);
        if (!*ret_text)
                return RAISE(parser, MESSAGE_MEMORY);
        return parser_advance(parser);
}

static int parser_take_name(struct statement_parser *parser, char **ret_name)
{
        const struct sql_token *token = &parser->lexer.token;
        bool bare = token->kind == SQL_WORD && token->text[0] != '@' && !token_is_reserved(token);

        if (!bare && token->kind != SQL_NAME && token->kind != SQL_DOUBLE)
                return parser_raise_syntax(parser);
        if (token->length == 0)
                return RAISE(parser, MESSAGE_NO_NAME);
        return parser_take_text(parser, STATEMENT_NAME_MAX, "identifier", ret_name);
}

/* osql and sqlcmd take "x" for a string; where a string is expected, nothing else could be meant. */
static int parser_take_string(struct statement_parser *parser, size_t max, char **ret_string)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->kind != SQL_STRING && token->kind != SQL_DOUBLE)
                return parser_raise_syntax(parser);
        return parser_take_text(parser, max, "character string", ret_string);
}

static int parser_take_number(struct statement_parser *parser, const struct statement_option_row *row,
                              int64_t *ret_number)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->kind != SQL_NUMBER)
                return parser_raise_syntax(parser);
        errno = 0;
        *ret_number = strtoll(token->text, NULL, 10);
        if (errno || *ret_number < row->min || *ret_number > row->max)
                return RAISE(parser, MESSAGE_RANGE, parser_shown(parser), row->keyword);
        return parser_advance(parser);
}

/* ---- the verb, the database and its files ---- */

/* Items with commas between them. */
static int parse_list(struct statement_parser *parser, int (*parse_item)(struct statement_parser *parser))
{
        for (;;) {
                if (parse_item(parser) < 0)
                        return -1;
                if (!parser_at_sign(parser, ','))
                        return 0;
                if (parser_advance(parser) < 0)
                        return -1;
        }
}

static int parse_verb(struct statement_parser *parser)
{
        const char *first = parser_at_word(parser, "BACKUP") ? "BACKUP" : "RESTORE";

        if (parser_expect_word(parser, first) < 0)
                return -1;
        for (size_t i = 0; i < STATEMENT_VERBS; i++) {
                if (strcmp(first, statement_verbs[i].first) != 0 || !parser_at_word(parser, statement_verbs[i].second))
                        continue;
                parser->statement->verb = (enum statement_verb)i;
                return parser_advance(parser);
        }
        return parser_raise_syntax(parser);
}

static int parse_file(struct statement_parser *parser)
{
        static const char *const kinds[] = {
                [STATEMENT_FILE] = "FILE",
                [STATEMENT_FILEGROUP] = "FILEGROUP",
                [STATEMENT_PAGE] = "PAGE",
                [STATEMENT_READ_WRITE_FILEGROUPS] = "READ_WRITE_FILEGROUPS",
        };
        struct statement *statement = parser->statement;
        struct statement_file *file = &statement->files[statement->file_count];
        size_t kind = 0;

        while (kind < COUNT(kinds) && !parser_at_word(parser, kinds[kind]))
                kind++;
        if (kind == COUNT(kinds) || statement->file_count == STATEMENT_LIST_MAX ||
            (kind == STATEMENT_PAGE && statement_is_backup(statement->verb)))
                return parser_raise_syntax(parser);
        *file = (struct statement_file){ .kind = (enum statement_file_kind)kind };
        statement->file_count++;
        if (parser_advance(parser) < 0)
                return -1;
        if (file->kind == STATEMENT_READ_WRITE_FILEGROUPS)
                return 0;
        return parser_expect_sign(parser, '=') < 0 ? -1 : parser_take_string(parser, STATEMENT_NAME_MAX, &file->name);
}

/* ---- devices ---- */

static int check_set_name(struct statement_parser *parser, const char *name)
{
        const struct statement *statement = parser->statement;

        if (!*name)
                return RAISE(parser, MESSAGE_DEVICE_NAME_EMPTY);
        if (strlen(name) > VDS_NAME_MAX)
                return RAISE(parser, MESSAGE_DEVICE_NAME_LENGTH, parser_digits(parser, VDS_NAME_MAX));
        if (strchr(name, '\\'))
                return RAISE(parser, MESSAGE_DEVICE_NAME, name);
        for (uint32_t i = 0; i + 1 < statement->device_count; i++)
                if (strcmp(statement->devices[i], name) == 0)
                        return RAISE(parser, MESSAGE_DEVICE_TWICE, name);
        return 0;
}

/* DISK='x' is sound Transact-SQL, but nothing that could be served here;
 * so is the name of a device kept by the server. */
static int refuse_device(struct statement_parser *parser)
{
        static const char *const kinds[] = { "DISK", "TAPE", "URL", "PIPE", "DATABASE_SNAPSHOT" };
        CLEANUP(freep) char *name = NULL;

        for (size_t i = 0; i < COUNT(kinds); i++)
                if (parser_at_word(parser, kinds[i]))
                        return RAISE(parser,
                                     parser->statement->device_count ? MESSAGE_DEVICE_CLASSES : MESSAGE_DEVICE_KIND,
                                     kinds[i]);
        if (parser_take_name(parser, &name) < 0)
                return -1;
        return RAISE(parser, MESSAGE_DEVICE_UNKNOWN, name);
}

static int parse_virtual_device(struct statement_parser *parser)
{
        struct statement *statement = parser->statement;
        char **place;

        if (!parser_at_word(parser, "VIRTUAL_DEVICE"))
                return refuse_device(parser);
        if (statement->device_count == VDS_DEVICES_MAX)
                return RAISE(parser, MESSAGE_DEVICES_TOO_MANY, parser_digits(parser, VDS_DEVICES_MAX));
        if (parser_advance(parser) < 0 || parser_expect_sign(parser, '=') < 0)
                return -1;
        place = &statement->devices[statement->device_count++];
        if (parser_take_string(parser, SQL_TEXT_MAX, place) < 0)
                return -1;
        return check_set_name(parser, *place);
}

/* ---- options ---- */

static int parse_move(struct statement_parser *parser, const struct statement_option_row *row)
{
        struct statement *statement = parser->statement;
        struct statement_move *move = &statement->moves[statement->move_count];

        if (statement->move_count == STATEMENT_LIST_MAX)
                return parser_raise_syntax(parser);
        *move = (struct statement_move){ 0 };
        statement->move_count++;
        if (parser_take_string(parser, (size_t)row->max, &move->logical) < 0 || parser_expect_word(parser, "TO") < 0)
                return -1;
        return parser_take_string(parser, (size_t)row->max, &move->path);
}

/* Whatever a list in parentheses holds: it is refused as a whole by its option. */
static int skip_group(struct statement_parser *parser)
{
        unsigned depth = 0;

        if (parser_at_sign(parser, '=')) {
                if (parser_advance(parser) < 0)
                        return -1;
                return parser->lexer.token.kind == SQL_WORD ? parser_advance(parser) : parser_raise_syntax(parser);
        }
        if (!parser_at_sign(parser, '('))
                return 0;
        do {
                if (parser->lexer.token.kind == SQL_END || depth > GROUP_DEPTH_MAX)
                        return parser_raise_syntax(parser);
                depth += parser_at_sign(parser, '(');
                depth -= parser_at_sign(parser, ')');
                if (parser_advance(parser) < 0)
                        return -1;
        } while (depth > 0);
        return 0;
}

static int parse_value(struct statement_parser *parser, enum statement_option option)
{
        const struct statement_option_row *row = &statement_options[option];
        struct statement *statement = parser->statement;
        int64_t *number = &statement->numbers[option];
        char **text = &statement->texts[option];

        switch (row->value) {
        case VALUE_NONE:
                return 0;
        case VALUE_MOVE:
                return parse_move(parser, row);
        case VALUE_GROUP:
                return skip_group(parser);
        case VALUE_OPTIONAL_NUMBER:
                *number = 10;
                if (!parser_at_sign(parser, '='))
                        return 0;
                break;
        default:
                break;
        }
        if (parser_expect_sign(parser, '=') < 0)
                return -1;
        if (row->value == VALUE_NUMBER || row->value == VALUE_OPTIONAL_NUMBER ||
            (row->value == VALUE_ANY && parser->lexer.token.kind == SQL_NUMBER))
                return parser_take_number(parser, row, number);
        if (parser_take_string(parser, (size_t)row->max, text) < 0)
                return -1;
        if (row->value == VALUE_MARK && parser_at_word(parser, "AFTER")) {
                CLEANUP(freep) char *after = NULL;

                return parser_advance(parser) < 0 ? -1 : parser_take_string(parser, (size_t)row->max, &after);
        }
        return 0;
}

static int check_value(struct statement_parser *parser, enum statement_option option)
{
        int64_t number = parser->statement->numbers[option];

        if (option == OPTION_BLOCKSIZE && (number & (number - 1)) != 0)
                return RAISE(parser, MESSAGE_BLOCK_SIZE);
        if (option == OPTION_MAXTRANSFERSIZE && number % VDS_TRANSFER_UNIT != 0)
                return RAISE(parser, MESSAGE_RANGE, parser_digits(parser, number), statement_options[option].keyword);
        return 0;
}

/* Options that BACKUP or RESTORE does not know at all are unknown words; one that only another of their statements
 * takes is not supported by this one. */
static int parse_option(struct statement_parser *parser)
{
        struct statement *statement = parser->statement;
        bool backup = statement_is_backup(statement->verb);
        const unsigned backups = 1U << STATEMENT_BACKUP_DATABASE | 1U << STATEMENT_BACKUP_LOG;
        const struct sql_token *token = &parser->lexer.token;
        enum statement_option option;
        const struct statement_option_row *row;

        if (token->kind != SQL_WORD || token->text[0] == '@')
                return parser_raise_syntax(parser);
        option = statement_find_option(token->text);
        if (option == OPTION_COUNT || !(statement_options[option].verbs & (backup ? backups : ~backups)))
                return RAISE(parser, MESSAGE_OPTION, parser_shown(parser), backup ? "BACKUP" : "RESTORE");
        row = &statement_options[option];
        if (!(row->verbs & 1U << statement->verb))
                return RAISE(parser, MESSAGE_UNSUPPORTED, row->keyword);
        if (statement->given[option] && row->value != VALUE_MOVE)
                return RAISE(parser, MESSAGE_CONFLICT, row->keyword, row->keyword);
        statement->given[option] = true;
        if (parser_advance(parser) < 0 || parse_value(parser, option) < 0)
                return -1;
        return check_value(parser, option);
}

/* ---- the whole ---- */

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

/* Refuses options that contradict each other. */
static int check_conflicts(const struct statement *statement, struct server_message *message)
{
        for (size_t i = 0; i < COUNT(conflicts); i++) {
                if (!statement->given[conflicts[i].one] || !statement->given[conflicts[i].other])
                        continue;
                server_message_make(message, MESSAGE_CONFLICT, statement_options[conflicts[i].one].keyword,
                                    statement_options[conflicts[i].other].keyword);
                return -1;
        }
        return 0;
}

static int parse_whole(struct statement_parser *parser)
{
        struct statement *statement = parser->statement;
        const char *direction;

        if (parse_verb(parser) < 0)
                return -1;
        direction = statement_is_backup(statement->verb) ? "TO" : "FROM";
        if (statement_names_database(statement->verb) && parser_take_name(parser, &statement->database) < 0)
                return -1;
        if (statement->database && !parser_at_word(parser, direction) && parse_list(parser, parse_file) < 0)
                return -1;
        if (parser_expect_word(parser, direction) < 0 || parse_list(parser, parse_virtual_device) < 0)
                return -1;
        if (parser_at_word(parser, "MIRROR"))
                return RAISE(parser, MESSAGE_MIRROR);
        if (parser_at_word(parser, "WITH") && (parser_advance(parser) < 0 || parse_list(parser, parse_option) < 0))
                return -1;
        while (parser_at_sign(parser, ';'))
                if (parser_advance(parser) < 0)
                        return -1;
        if (parser->lexer.token.kind != SQL_END)
                return parser_raise_syntax(parser);
        return check_conflicts(statement, parser->message);
}

int statement_parse(const char *text, struct statement *ret_statement, struct server_message *message)
{
        struct statement_parser parser = { .statement = ret_statement, .message = message };
        int rc;

        memset(ret_statement, 0, sizeof *ret_statement);
        rc = sql_lexer_init(&parser.lexer, text, message);
        if (rc == 0)
                rc = parse_whole(&parser);
        sql_lexer_deinit(&parser.lexer);
        return rc;
}

/* ---- what the embedded server can do ---- */

static int refuse_option(const struct statement *statement, const struct statement_option_row *row,
                         struct server_message *message)
{
        const char *word = row->refusal == MESSAGE_DIFFERENTIAL ? statement->database : row->keyword;

        server_message_make(message, row->refusal, word);
        return -1;
}

static int check_file_list(const struct statement *statement, struct server_message *message)
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
                        return refuse_option(statement, &statement_options[i], message);
        return check_file_list(statement, message);
}
