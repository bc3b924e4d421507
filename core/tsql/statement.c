#include "core/tsql/statement.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/tsql/lexer.h"
#include "core/vds/vds.h"

enum { SHOWN_MAX = 128, GROUP_DEPTH_MAX = 16 };

struct parser {
        struct sql_lexer lexer;
        struct statement *statement;
        struct server_message *message;
        char last[SHOWN_MAX]; /* the token before, for a statement that ends too early */
};

const char *statement_verb_name(enum statement_verb verb)
{
        static const char *const names[STATEMENT_VERBS] = {
                [STATEMENT_BACKUP_DATABASE] = "BACKUP DATABASE",   [STATEMENT_BACKUP_LOG] = "BACKUP LOG",
                [STATEMENT_RESTORE_DATABASE] = "RESTORE DATABASE", [STATEMENT_RESTORE_LOG] = "RESTORE LOG",
                [STATEMENT_VERIFYONLY] = "VERIFY DATABASE",        [STATEMENT_HEADERONLY] = "RESTORE HEADERONLY",
                [STATEMENT_FILELISTONLY] = "RESTORE FILELIST",     [STATEMENT_LABELONLY] = "RESTORE LABELONLY",
        };

        return names[verb];
}

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

static int raise(struct parser *parser, enum server_message_id id, const char *one, const char *two, const char *three)
{
        server_message_make(parser->message, id, one, two ? two : "", three ? three : "");
        parser->message->line = parser->lexer.token.line;
        return -1;
}

/* Words that are no names unless they are quoted. */
static bool is_reserved(const struct sql_token *token)
{
        static const char *const words[] = {
                "BACKUP", "DATABASE", "FILE", "FROM", "RESTORE", "TO", "WITH", "SELECT", "EXEC", "USE", "AND", "ON",
        };

        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
                if (sql_token_is(token, words[i]))
                        return true;
        return false;
}

static int raise_syntax(struct parser *parser)
{
        const struct sql_token *token = &parser->lexer.token;
        char shown[SHOWN_MAX];

        if (token->kind == SQL_WORD && token->text[0] == '@' && token->text[1] != '@')
                return raise(parser, MESSAGE_VARIABLE, token->text, NULL, NULL);
        snprintf(shown, sizeof shown, "%s", token->kind == SQL_END ? parser->last : token->text);
        return raise(parser, is_reserved(token) ? MESSAGE_KEYWORD : MESSAGE_SYNTAX, shown, NULL, NULL);
}

static int advance(struct parser *parser)
{
        snprintf(parser->last, sizeof parser->last, "%s", parser->lexer.token.text);
        return sql_lexer_next(&parser->lexer);
}

static bool at_word(const struct parser *parser, const char *keyword)
{
        return sql_token_is(&parser->lexer.token, keyword);
}

static bool at_sign(const struct parser *parser, char sign)
{
        return sql_token_is_sign(&parser->lexer.token, sign);
}

static int expect_word(struct parser *parser, const char *keyword)
{
        return at_word(parser, keyword) ? advance(parser) : raise_syntax(parser);
}

static int expect_sign(struct parser *parser, char sign)
{
        return at_sign(parser, sign) ? advance(parser) : raise_syntax(parser);
}

/* The token's text becomes the caller's. */
static int take_text(struct parser *parser, size_t max, const char *what, char **ret_text)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->length > max) {
                char shown[SHOWN_MAX];
                char limit[24];

                snprintf(shown, sizeof shown, "%s", token->text);
                snprintf(limit, sizeof limit, "%zu", max);
                return raise(parser, MESSAGE_TOO_LONG, what, shown, limit);
        }
        *ret_text = strdup(token->text);
        if (!*ret_text)
                return raise(parser, MESSAGE_MEMORY, "", NULL, NULL);
        return advance(parser);
}

static int take_name(struct parser *parser, char **ret_name)
{
        const struct sql_token *token = &parser->lexer.token;
        bool bare = token->kind == SQL_WORD && token->text[0] != '@' && !is_reserved(token);

        if (!bare && token->kind != SQL_NAME && token->kind != SQL_DOUBLE)
                return raise_syntax(parser);
        if (token->length == 0)
                return raise(parser, MESSAGE_NO_NAME, "", NULL, NULL);
        return take_text(parser, STATEMENT_NAME_MAX, "identifier", ret_name);
}

/* osql and sqlcmd take "x" for a string; where a string is expected, nothing else could be meant. */
static int take_string(struct parser *parser, size_t max, char **ret_string)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->kind != SQL_STRING && token->kind != SQL_DOUBLE)
                return raise_syntax(parser);
        return take_text(parser, max, "character string", ret_string);
}

static int take_number(struct parser *parser, const struct statement_option_row *row, int64_t *ret_number)
{
        const struct sql_token *token = &parser->lexer.token;

        if (token->kind != SQL_NUMBER)
                return raise_syntax(parser);
        errno = 0;
        *ret_number = strtoll(token->text, NULL, 10);
        if (errno || *ret_number < row->min || *ret_number > row->max) {
                char shown[SHOWN_MAX];

                snprintf(shown, sizeof shown, "%s", token->text);
                return raise(parser, MESSAGE_RANGE, shown, row->keyword, NULL);
        }
        return advance(parser);
}

/* ---- the verb, the database and its files ---- */

static int parse_verb(struct parser *parser)
{
        static const struct {
                const char *first;
                const char *second;
                enum statement_verb verb;
        } verbs[] = {
                { "BACKUP", "DATABASE", STATEMENT_BACKUP_DATABASE },
                { "BACKUP", "LOG", STATEMENT_BACKUP_LOG },
                { "RESTORE", "DATABASE", STATEMENT_RESTORE_DATABASE },
                { "RESTORE", "LOG", STATEMENT_RESTORE_LOG },
                { "RESTORE", "VERIFYONLY", STATEMENT_VERIFYONLY },
                { "RESTORE", "HEADERONLY", STATEMENT_HEADERONLY },
                { "RESTORE", "FILELISTONLY", STATEMENT_FILELISTONLY },
                { "RESTORE", "LABELONLY", STATEMENT_LABELONLY },
        };
        char first[16] = "";

        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0] && !first[0]; i++)
                if (at_word(parser, verbs[i].first))
                        snprintf(first, sizeof first, "%s", verbs[i].first);
        if (!first[0])
                return raise_syntax(parser);
        if (advance(parser) < 0)
                return -1;
        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
                if (strcmp(first, verbs[i].first) != 0 || !at_word(parser, verbs[i].second))
                        continue;
                parser->statement->verb = verbs[i].verb;
                return advance(parser);
        }
        return raise_syntax(parser);
}

static int parse_file(struct parser *parser)
{
        static const struct {
                const char *word;
                enum statement_file_kind kind;
        } kinds[] = {
                { "FILE", STATEMENT_FILE },
                { "FILEGROUP", STATEMENT_FILEGROUP },
                { "PAGE", STATEMENT_PAGE },
                { "READ_WRITE_FILEGROUPS", STATEMENT_READ_WRITE_FILEGROUPS },
        };
        struct statement *statement = parser->statement;
        struct statement_file *file = &statement->files[statement->file_count];
        size_t i = 0;

        while (i < sizeof kinds / sizeof kinds[0] && !at_word(parser, kinds[i].word))
                i++;
        if (i == sizeof kinds / sizeof kinds[0] || statement->file_count == STATEMENT_LIST_MAX ||
            (kinds[i].kind == STATEMENT_PAGE && statement_is_backup(statement->verb)))
                return raise_syntax(parser);
        *file = (struct statement_file){ .kind = kinds[i].kind };
        statement->file_count++;
        if (advance(parser) < 0)
                return -1;
        if (file->kind == STATEMENT_READ_WRITE_FILEGROUPS)
                return 0;
        return expect_sign(parser, '=') < 0 ? -1 : take_string(parser, STATEMENT_NAME_MAX, &file->name);
}

static int parse_files(struct parser *parser, const char *end)
{
        if (at_word(parser, end))
                return 0;
        for (;;) {
                if (parse_file(parser) < 0)
                        return -1;
                if (!at_sign(parser, ','))
                        return 0;
                if (advance(parser) < 0)
                        return -1;
        }
}

/* ---- devices ---- */

static int check_device(struct parser *parser, const char *name)
{
        const struct statement *statement = parser->statement;
        char max[16];

        if (!*name)
                return raise(parser, MESSAGE_DEVICE_NAME_EMPTY, "", NULL, NULL);
        snprintf(max, sizeof max, "%d", VDS_NAME_MAX);
        if (strlen(name) > VDS_NAME_MAX)
                return raise(parser, MESSAGE_DEVICE_NAME_LENGTH, max, NULL, NULL);
        if (strchr(name, '\\'))
                return raise(parser, MESSAGE_DEVICE_NAME, name, NULL, NULL);
        for (uint32_t i = 0; i + 1 < statement->device_count; i++)
                if (strcmp(statement->devices[i], name) == 0)
                        return raise(parser, MESSAGE_DEVICE_TWICE, name, NULL, NULL);
        return 0;
}

/* DISK='x' is sound Transact-SQL, but nothing that could be served here;
 * so is the name of a device kept by the server. */
static int refuse_device(struct parser *parser)
{
        static const char *const kinds[] = { "DISK", "TAPE", "URL", "PIPE", "DATABASE_SNAPSHOT" };
        CLEANUP(freep) char *name = NULL;

        for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
                if (at_word(parser, kinds[i]))
                        return raise(parser,
                                     parser->statement->device_count ? MESSAGE_DEVICE_CLASSES : MESSAGE_DEVICE_KIND,
                                     kinds[i], NULL, NULL);
        if (take_name(parser, &name) < 0)
                return -1;
        return raise(parser, MESSAGE_DEVICE_UNKNOWN, name, NULL, NULL);
}

static int parse_device(struct parser *parser)
{
        struct statement *statement = parser->statement;
        char **place;
        char max[16];

        if (!at_word(parser, "VIRTUAL_DEVICE"))
                return refuse_device(parser);
        snprintf(max, sizeof max, "%d", VDS_DEVICES_MAX);
        if (statement->device_count == VDS_DEVICES_MAX)
                return raise(parser, MESSAGE_DEVICES_TOO_MANY, max, NULL, NULL);
        if (advance(parser) < 0 || expect_sign(parser, '=') < 0)
                return -1;
        place = &statement->devices[statement->device_count++];
        if (take_string(parser, SQL_TEXT_MAX, place) < 0)
                return -1;
        return check_device(parser, *place);
}

static int parse_devices(struct parser *parser)
{
        for (;;) {
                if (parse_device(parser) < 0)
                        return -1;
                if (!at_sign(parser, ','))
                        return 0;
                if (advance(parser) < 0)
                        return -1;
        }
}

/* ---- options ---- */

static int parse_move(struct parser *parser, const struct statement_option_row *row)
{
        struct statement *statement = parser->statement;
        struct statement_move *move = &statement->moves[statement->move_count];

        if (statement->move_count == STATEMENT_LIST_MAX)
                return raise_syntax(parser);
        *move = (struct statement_move){ 0 };
        statement->move_count++;
        if (take_string(parser, (size_t)row->max, &move->logical) < 0 || expect_word(parser, "TO") < 0)
                return -1;
        return take_string(parser, (size_t)row->max, &move->path);
}

/* Whatever a list in parentheses holds: it is refused as a whole by its option. */
static int skip_group(struct parser *parser)
{
        unsigned depth = 0;

        if (at_sign(parser, '=')) {
                if (advance(parser) < 0)
                        return -1;
                return parser->lexer.token.kind == SQL_WORD ? advance(parser) : raise_syntax(parser);
        }
        if (!at_sign(parser, '('))
                return 0;
        do {
                if (parser->lexer.token.kind == SQL_END || depth > GROUP_DEPTH_MAX)
                        return raise_syntax(parser);
                depth += at_sign(parser, '(');
                depth -= at_sign(parser, ')');
                if (advance(parser) < 0)
                        return -1;
        } while (depth > 0);
        return 0;
}

static int parse_value(struct parser *parser, enum statement_option option)
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
                if (!at_sign(parser, '='))
                        return 0;
                break;
        default:
                break;
        }
        if (expect_sign(parser, '=') < 0)
                return -1;
        if (row->value == VALUE_NUMBER || row->value == VALUE_OPTIONAL_NUMBER ||
            (row->value == VALUE_ANY && parser->lexer.token.kind == SQL_NUMBER))
                return take_number(parser, row, number);
        if (take_string(parser, (size_t)row->max, text) < 0)
                return -1;
        if (row->value == VALUE_MARK && at_word(parser, "AFTER")) {
                CLEANUP(freep) char *after = NULL;

                return advance(parser) < 0 ? -1 : take_string(parser, (size_t)row->max, &after);
        }
        return 0;
}

static int check_value(struct parser *parser, enum statement_option option)
{
        int64_t number = parser->statement->numbers[option];
        char shown[24];

        snprintf(shown, sizeof shown, "%lld", (long long)number);
        if (option == OPTION_BLOCKSIZE && (number & (number - 1)) != 0)
                return raise(parser, MESSAGE_BLOCK_SIZE, "", NULL, NULL);
        if (option == OPTION_MAXTRANSFERSIZE && number % VDS_TRANSFER_UNIT != 0)
                return raise(parser, MESSAGE_RANGE, shown, statement_options[option].keyword, NULL);
        return 0;
}

/* Options that BACKUP or RESTORE does not know at all are unknown words; one that only another of their statements
 * takes is not supported by this one. */
static int parse_option(struct parser *parser)
{
        struct statement *statement = parser->statement;
        bool backup = statement_is_backup(statement->verb);
        const unsigned backups = 1U << STATEMENT_BACKUP_DATABASE | 1U << STATEMENT_BACKUP_LOG;
        const struct sql_token *token = &parser->lexer.token;
        enum statement_option option;
        const struct statement_option_row *row;

        if (token->kind != SQL_WORD || token->text[0] == '@')
                return raise_syntax(parser);
        option = statement_find_option(token->text);
        if (option == OPTION_COUNT || !(statement_options[option].verbs & (backup ? backups : ~backups))) {
                char shown[SHOWN_MAX];

                snprintf(shown, sizeof shown, "%s", token->text);
                return raise(parser, MESSAGE_OPTION, shown, backup ? "BACKUP" : "RESTORE", NULL);
        }
        row = &statement_options[option];
        if (!(row->verbs & 1U << statement->verb))
                return raise(parser, MESSAGE_UNSUPPORTED, row->keyword, NULL, NULL);
        if (statement->given[option] && row->value != VALUE_MOVE)
                return raise(parser, MESSAGE_CONFLICT, row->keyword, row->keyword, NULL);
        statement->given[option] = true;
        if (advance(parser) < 0 || parse_value(parser, option) < 0)
                return -1;
        return check_value(parser, option);
}

static int parse_options(struct parser *parser)
{
        if (!at_word(parser, "WITH"))
                return 0;
        do {
                if (advance(parser) < 0 || parse_option(parser) < 0)
                        return -1;
        } while (at_sign(parser, ','));
        return 0;
}

/* ---- the whole ---- */

static int parse(struct parser *parser)
{
        struct statement *statement = parser->statement;
        const char *direction;

        if (parse_verb(parser) < 0)
                return -1;
        direction = statement_is_backup(statement->verb) ? "TO" : "FROM";
        if (statement->verb < STATEMENT_VERIFYONLY &&
            (take_name(parser, &statement->database) < 0 || parse_files(parser, direction) < 0))
                return -1;
        if (expect_word(parser, direction) < 0 || parse_devices(parser) < 0)
                return -1;
        if (at_word(parser, "MIRROR"))
                return raise(parser, MESSAGE_MIRROR, "", NULL, NULL);
        if (parse_options(parser) < 0)
                return -1;
        while (at_sign(parser, ';'))
                if (advance(parser) < 0)
                        return -1;
        if (parser->lexer.token.kind != SQL_END)
                return raise_syntax(parser);
        return statement_check_conflicts(statement, parser->message);
}

int statement_parse(const char *text, struct statement *ret_statement, struct server_message *message)
{
        struct parser parser = { .statement = ret_statement, .message = message };
        int rc;

        memset(ret_statement, 0, sizeof *ret_statement);
        rc = sql_lexer_init(&parser.lexer, text, message);
        if (rc == 0)
                rc = parse(&parser);
        sql_lexer_deinit(&parser.lexer);
        return rc;
}
