#include "core/standin/query.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/standin/tables.h"

enum { LEVELS_MAX = 64, PARTS_MAX = 4 };

/* What is open at a depth of parentheses. */
struct level {
        bool is_cast; /* a value AS a type */
        bool in_list; /* of what is selected */
        bool in_from;
        bool wants_table;                /* a name here is that of a table */
        bool item_begins;                /* of the list */
        bool concatenates;               /* + is of strings, as far as one can see */
        const struct batch_token *alias; /* of `alias = expression` */
        char limit[24];                  /* of TOP; "": none */
};

struct rewrite {
        const struct batch *batch;
        const struct query_context *context;
        const struct batch_token *token; /* the next one */
        const struct batch_token *end;   /* behind the last one */
        const struct batch_token *last;  /* the one that was written as it is; NULL: something else was */
        FILE *out;
        struct level levels[LEVELS_MAX];
        size_t depth;
        bool has_with;
        struct server_message *message;
};

static const struct batch_token no_token = { .kind = SQL_END, .text = "" };

static struct level *level_of(struct rewrite *rewrite)
{
        return &rewrite->levels[rewrite->depth];
}

static const struct batch_token *rewrite_peek(const struct rewrite *rewrite, size_t ahead)
{
        return ahead < (size_t)(rewrite->end - rewrite->token) ? rewrite->token + ahead : &no_token;
}

static int rewrite_refuse(struct rewrite *rewrite, enum server_message_id id, const struct batch_token *token,
                          const char *word)
{
        server_message_make(rewrite->message, id, word);
        rewrite->message->line = token->line ? token->line : 1;
        return -1;
}

static int rewrite_refuse_near(struct rewrite *rewrite, const struct batch_token *token)
{
        return rewrite_refuse(rewrite, MESSAGE_SYNTAX, token, token->text);
}

static int refuse_next(struct rewrite *rewrite)
{
        return rewrite_refuse_near(rewrite, rewrite_peek(rewrite, 0));
}

static bool next_is(const struct rewrite *rewrite, const char *keyword)
{
        return batch_token_is(rewrite_peek(rewrite, 0), keyword);
}

static bool next_is_sign(const struct rewrite *rewrite, char sign)
{
        return batch_token_is_sign(rewrite_peek(rewrite, 0), sign);
}

/* Leaves the next token out if it is that keyword. */
static bool skip_word(struct rewrite *rewrite, const char *keyword)
{
        bool found = next_is(rewrite, keyword);

        rewrite->token += found;
        return found;
}

/* ---- writing ---- */

static void write_text(struct rewrite *rewrite, const char *text)
{
        fprintf(rewrite->out, " %s", text);
        rewrite->last = NULL;
}

/* The next token, as it is. Returns 0. */
static int copy_token(struct rewrite *rewrite)
{
        write_text(rewrite, rewrite->token++->text);
        return 0;
}

static void write_quoted(struct rewrite *rewrite, const char *text, char quote)
{
        fprintf(rewrite->out, " %c", quote);
        for (; *text; text++) {
                if (*text == quote)
                        fputc(quote, rewrite->out);
                fputc(*text, rewrite->out);
        }
        fputc(quote, rewrite->out);
        rewrite->last = NULL;
}

static bool word_is_plain(const char *word)
{
        for (; *word; word++)
                if (!isalnum((unsigned char)*word) && *word != '_')
                        return false;
        return true;
}

/* Words that SQLite keeps for itself, and SQL Server does not. */
static const char sqlite_words[] = "AUTOINCREMENT DEFERRABLE GLOB INDEXED ISNULL LIMIT MATCH NOTNULL REGEXP";

static void write_word(struct rewrite *rewrite, const struct batch_token *token)
{
        if (token->kind == SQL_WORD && word_is_plain(token->text) && !words_have(sqlite_words, token->text))
                write_text(rewrite, token->text);
        else
                write_quoted(rewrite, token->text, '"');
}

/* Signs and numbers that stand together stay together: they may be one. */
static void write_sign(struct rewrite *rewrite, const struct batch_token *token)
{
        bool joined = rewrite->last && rewrite->last->end == token->begin;

        fprintf(rewrite->out, "%s%s", joined ? "" : " ", token->text);
        rewrite->last = token;
}

/* ---- names ---- */

struct object_name {
        const struct batch_token *parts[PARTS_MAX]; /* the last one is never empty */
        size_t count;
        const struct batch_token *first;
};

/* database..object has an empty part. */
static int rewrite_read_name(struct rewrite *rewrite, struct object_name *name)
{
        *name = (struct object_name){ .first = rewrite->token };
        for (;;) {
                const struct batch_token *token = rewrite_peek(rewrite, 0);
                bool is_star = batch_token_is_sign(token, '*');

                if (name->count == PARTS_MAX)
                        return rewrite_refuse_near(rewrite, token);
                if (batch_token_is_name(token) || is_star)
                        rewrite->token++;
                else if (batch_token_is_sign(token, '.') && name->count > 0)
                        token = &no_token;
                else
                        return rewrite_refuse_near(rewrite, token);
                name->parts[name->count++] = token;
                if (is_star || !next_is_sign(rewrite, '.'))
                        return 0;
                rewrite->token++;
        }
}

static char *name_join(const struct object_name *name)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                return NULL;
        for (size_t i = 0; i < name->count; i++)
                fprintf(out, "%s%s", i ? "." : "", name->parts[i]->text);
        fclose(out);
        return text;
}

char *query_object_name(const struct batch *batch, size_t token)
{
        struct server_message message;
        struct rewrite rewrite = { .token = batch->tokens + token,
                                   .end = batch->tokens + batch->token_count,
                                   .message = &message };
        struct object_name name;

        if (rewrite_read_name(&rewrite, &name) < 0)
                return strdup(rewrite_peek(&rewrite, 0)->text);
        return name_join(&name);
}

/* ---- tables ---- */

static bool table_is_there(const struct rewrite *rewrite, const struct object_name *name)
{
        enum catalog_table table = catalog_find_table(name->parts[name->count - 1]->text);
        const char *schema = name->count > 1 ? name->parts[name->count - 2]->text : "";
        const char *database = name->count > 2 ? name->parts[name->count - 3]->text : rewrite->context->database;

        if (strcasecmp(schema, "sys") == 0)
                return table == CATALOG_SYS || table == CATALOG_STATE;
        if (*schema && strcasecmp(schema, "dbo") != 0)
                return false;
        return table == CATALOG_OLD || (table == CATALOG_HISTORY && strcasecmp(database, "msdb") == 0);
}

static int rewrite_step(struct rewrite *rewrite);

/* What stands between the parentheses that open here, rewritten; allocated. */
static int capture_arguments(struct rewrite *rewrite, char **ret_text)
{
        FILE *out = rewrite->out;
        size_t depth = rewrite->depth;
        size_t size;
        int rc;

        *ret_text = NULL;
        rewrite->out = open_memstream(ret_text, &size);
        if (!rewrite->out) {
                rewrite->out = out;
                return rewrite_refuse(rewrite, MESSAGE_MEMORY, rewrite->token, "");
        }
        do
                rc = rewrite->token < rewrite->end ? rewrite_step(rewrite) : rewrite_refuse_near(rewrite, &no_token);
        while (rc == 0 && rewrite->depth > depth);
        fclose(rewrite->out);
        rewrite->out = out;
        return rc;
}

/* sys.dm_exec_sql_text(handle) alias: a table here, and what is given to it is a condition. */
static int apply_text(struct rewrite *rewrite)
{
        CLEANUP(freep) char *arguments = NULL;
        const struct batch_token *alias;

        if (capture_arguments(rewrite, &arguments) < 0)
                return -1;
        skip_word(rewrite, "AS");
        alias = rewrite_peek(rewrite, 0);
        if (!batch_token_is_name(alias))
                return rewrite_refuse_near(rewrite, alias);
        rewrite->token++;
        write_text(rewrite, "AS");
        write_word(rewrite, alias);
        write_text(rewrite, "ON");
        write_word(rewrite, alias);
        fprintf(rewrite->out, ".of_handle = %s", arguments);
        return 0;
}

static int rewrite_table(struct rewrite *rewrite)
{
        struct object_name name;
        CLEANUP(freep) char *shown = NULL;

        level_of(rewrite)->wants_table = false;
        if (rewrite_read_name(rewrite, &name) < 0)
                return -1;
        if (!table_is_there(rewrite, &name) && !(rewrite->has_with && name.count == 1)) {
                shown = name_join(&name);
                return rewrite_refuse(rewrite, MESSAGE_OBJECT, name.first, shown ? shown : "");
        }
        write_quoted(rewrite, name.parts[name.count - 1]->text, '"');
        if (next_is_sign(rewrite, '('))
                return apply_text(rewrite);
        return 0;
}

/* ---- functions and variables ---- */

/* How a function is called. */
enum call_kind {
        CALL_PLAIN,
        CALL_BARE, /* perhaps without parentheses */
        CALL_TYPE, /* a type comes first */
        CALL_PART, /* the name of a date's part does */
        CALL_CAST, /* value AS type */
};

/* Those that SQLite calls otherwise, or has as words of its grammar. */
static const struct function_row {
        const char *name;
        const char *becomes;
        enum call_kind kind;
} tsql_functions[] = {
        { "ISNULL", "ifnull", CALL_PLAIN },           { "LEN", "length", CALL_PLAIN },
        { "COUNT_BIG", "count", CALL_PLAIN },         { "LEFT", "tsql_left", CALL_PLAIN },
        { "RIGHT", "tsql_right", CALL_PLAIN },        { "REPLACE", "replace", CALL_PLAIN },
        { "CAST", "tsql_cast", CALL_CAST },           { "TRY_CAST", "tsql_cast", CALL_CAST },
        { "CONVERT", "tsql_convert", CALL_TYPE },     { "TRY_CONVERT", "tsql_convert", CALL_TYPE },
        { "DATEADD", "tsql_dateadd", CALL_PART },     { "DATEDIFF", "tsql_datediff", CALL_PART },
        { "DATEPART", "tsql_datepart", CALL_PART },   { "USER_NAME", "suser_sname", CALL_PLAIN },
        { "SUSER_NAME", "suser_sname", CALL_PLAIN },  { "ORIGINAL_LOGIN", "suser_sname", CALL_PLAIN },
        { "CURRENT_USER", "suser_sname", CALL_BARE }, { "SESSION_USER", "suser_sname", CALL_BARE },
        { "SYSTEM_USER", "suser_sname", CALL_BARE },  { "USER", "suser_sname", CALL_BARE },
        { "SYSDATETIME", "getdate", CALL_PLAIN },     { "CURRENT_TIMESTAMP", "getdate", CALL_BARE },
};

static const struct function_row *find_function(const char *name)
{
        for (size_t i = 0; i < sizeof tsql_functions / sizeof tsql_functions[0]; i++)
                if (strcasecmp(name, tsql_functions[i].name) == 0)
                        return &tsql_functions[i];
        return NULL;
}

/* Finds the number of SQLite's parameter that stands for @name. */
static int find_parameter(struct rewrite *rewrite, const struct batch_token *token, size_t *ret_number)
{
        for (size_t i = 0; i < rewrite->context->parameter_count; i++)
                if (strcasecmp(rewrite->context->parameters[i].name, token->text) == 0) {
                        *ret_number = i + 1;
                        return 0;
                }
        return rewrite_refuse(rewrite, MESSAGE_VARIABLE, token, token->text);
}

static const char global_names[] =
        "DATEFIRST ERROR LANGUAGE LOCK_TIMEOUT MAX_CONNECTIONS MICROSOFTVERSION NESTLEVEL OPTIONS ROWCOUNT "
        "SERVERNAME SERVICENAME SPID TEXTSIZE TRANCOUNT VERSION";

static int rewrite_variable(struct rewrite *rewrite)
{
        const struct batch_token *token = rewrite->token++;
        size_t number = 0;

        if (token->text[1] != '@') {
                if (find_parameter(rewrite, token, &number) < 0)
                        return -1;
                fprintf(rewrite->out, " ?%zu", number);
                rewrite->last = NULL;
                return 0;
        }
        if (!words_have(global_names, token->text + 2))
                return rewrite_refuse(rewrite, MESSAGE_VARIABLE, token, token->text);
        write_text(rewrite, "tsql_global(");
        write_quoted(rewrite, token->text + 2, '\'');
        write_text(rewrite, ")");
        return 0;
}

/* varchar(30), decimal(10, 2), [nvarchar](max), as one string: 'varchar(30)'. */
static int rewrite_type(struct rewrite *rewrite)
{
        struct object_name name;
        char type[64];
        int used;

        if (rewrite_read_name(rewrite, &name) < 0)
                return -1;
        used = snprintf(type, sizeof type, "%.40s", name.parts[name.count - 1]->text);
        if (next_is_sign(rewrite, '(')) {
                const struct batch_token *length = rewrite_peek(rewrite, 1);

                snprintf(type + used, sizeof type - (size_t)used, "(%.12s)", length->text);
                while (rewrite->token < rewrite->end && !batch_token_is_sign(rewrite->token, ')'))
                        rewrite->token++;
                if (rewrite->token == rewrite->end)
                        return rewrite_refuse_near(rewrite, length);
                rewrite->token++;
        }
        write_quoted(rewrite, type, '\'');
        return 0;
}

static int open_level(struct rewrite *rewrite, bool is_cast)
{
        const struct batch_token *token = rewrite_peek(rewrite, 0);

        if (rewrite->depth + 1 == LEVELS_MAX)
                return rewrite_refuse(rewrite, MESSAGE_WORDS, token, "The statement is nested too deeply.");
        level_of(rewrite)->wants_table = false;
        level_of(rewrite)->item_begins = false;
        rewrite->levels[++rewrite->depth] = (struct level){ .is_cast = is_cast };
        rewrite->token++;
        return 0;
}

/* At the name of a function, which stands before a parenthesis. */
static int rewrite_function(struct rewrite *rewrite, const struct batch_token *token)
{
        const struct function_row *row = find_function(token->text);
        enum call_kind kind = row ? row->kind : CALL_PLAIN;

        if (row)
                write_text(rewrite, row->becomes);
        else
                write_word(rewrite, token);
        if (open_level(rewrite, /* is_cast= */ kind == CALL_CAST) < 0)
                return -1;
        write_text(rewrite, "(");
        if (kind == CALL_TYPE)
                return rewrite_type(rewrite);
        if (kind != CALL_PART)
                return 0;
        if (!batch_token_is_name(rewrite_peek(rewrite, 0)))
                return refuse_next(rewrite);
        write_quoted(rewrite, rewrite->token++->text, '\'');
        return 0;
}

/* ---- what a SELECT is made of ---- */

static void write_alias(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        if (!level->alias)
                return;
        write_text(rewrite, "AS");
        write_quoted(rewrite, level->alias->text, '"');
        level->alias = NULL;
}

/* What was being selected or listed ends here. */
static struct level *end_item(struct rewrite *rewrite)
{
        write_alias(rewrite);
        level_of(rewrite)->concatenates = false;
        return level_of(rewrite);
}

static void write_limit(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        write_alias(rewrite);
        if (!level->limit[0])
                return;
        write_text(rewrite, "LIMIT");
        write_text(rewrite, level->limit);
        level->limit[0] = '\0';
}

/* A number or a parameter, in parentheses or not. */
static int read_count(struct rewrite *rewrite, char text[24])
{
        bool enclosed = next_is_sign(rewrite, '(');
        const struct batch_token *token;
        size_t number;

        rewrite->token += enclosed;
        token = rewrite_peek(rewrite, 0);
        if (token->kind == SQL_NUMBER && strlen(token->text) < 19) {
                snprintf(text, 24, "%s", token->text);
        } else if (token->kind == SQL_WORD && token->text[0] == '@') {
                if (find_parameter(rewrite, token, &number) < 0)
                        return -1;
                snprintf(text, 24, "?%zu", number);
        } else {
                return rewrite_refuse_near(rewrite, token);
        }
        rewrite->token++;
        if (enclosed && !next_is_sign(rewrite, ')'))
                return refuse_next(rewrite);
        rewrite->token += enclosed;
        return 0;
}

static int rewrite_select(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        *level = (struct level){ .is_cast = level->is_cast, .in_list = true, .item_begins = true };
        write_text(rewrite, "SELECT");
        rewrite->token++;
        if (next_is(rewrite, "DISTINCT") || next_is(rewrite, "ALL"))
                copy_token(rewrite);
        if (!skip_word(rewrite, "TOP"))
                return 0;
        if (read_count(rewrite, level->limit) < 0)
                return -1;
        if (next_is(rewrite, "PERCENT") || next_is(rewrite, "WITH"))
                return refuse_next(rewrite);
        return 0;
}

static int rewrite_from(struct rewrite *rewrite)
{
        struct level *level = end_item(rewrite);

        level->in_list = false;
        level->in_from = true;
        level->wants_table = true;
        return copy_token(rewrite);
}

static int rewrite_join(struct rewrite *rewrite)
{
        level_of(rewrite)->wants_table = true;
        write_text(rewrite, "JOIN");
        rewrite->token++;
        return 0;
}

/* CROSS APPLY, OUTER APPLY; CROSS JOIN and OUTER JOIN are SQLite's, too. */
static int rewrite_cross(struct rewrite *rewrite)
{
        if (!batch_token_is(rewrite_peek(rewrite, 1), "APPLY"))
                return copy_token(rewrite);
        if (next_is(rewrite, "OUTER"))
                write_text(rewrite, "LEFT");
        rewrite->token++;
        return rewrite_join(rewrite);
}

/* WITH (NOLOCK), OPTION (RECOMPILE): how to go about it, which is of no interest here. */
static int rewrite_hint(struct rewrite *rewrite)
{
        int depth = 0;

        if (!batch_token_is_sign(rewrite_peek(rewrite, 1), '('))
                return copy_token(rewrite);
        do {
                rewrite->token++;
                if (rewrite_peek(rewrite, 0)->kind == SQL_END)
                        return refuse_next(rewrite);
                depth += next_is_sign(rewrite, '(');
                depth -= next_is_sign(rewrite, ')');
        } while (depth > 0);
        rewrite->token++;
        return 0;
}

static int rewrite_collation(struct rewrite *rewrite)
{
        rewrite->token++;
        if (!batch_token_is_name(rewrite_peek(rewrite, 0)))
                return refuse_next(rewrite);
        rewrite->token++;
        return 0;
}

static bool skip_rows(struct rewrite *rewrite)
{
        return skip_word(rewrite, "ROW") || skip_word(rewrite, "ROWS");
}

/* OFFSET 0 ROWS [FETCH NEXT 10 ROWS ONLY] */
static int rewrite_offset(struct rewrite *rewrite)
{
        char offset[24];
        char count[24] = "-1";

        rewrite->token++;
        if (read_count(rewrite, offset) < 0)
                return -1;
        if (!skip_rows(rewrite))
                return refuse_next(rewrite);
        if (skip_word(rewrite, "FETCH") &&
            (!(skip_word(rewrite, "NEXT") || skip_word(rewrite, "FIRST")) || read_count(rewrite, count) < 0 ||
             !skip_rows(rewrite) || !skip_word(rewrite, "ONLY")))
                return refuse_next(rewrite);
        write_text(rewrite, "LIMIT");
        write_text(rewrite, count);
        write_text(rewrite, "OFFSET");
        write_text(rewrite, offset);
        return 0;
}

/* Nothing but the whole can be limited in SQLite. */
static int rewrite_union(struct rewrite *rewrite)
{
        if (level_of(rewrite)->limit[0])
                return rewrite_refuse_near(rewrite, rewrite->token);
        write_alias(rewrite);
        return copy_token(rewrite);
}

static int rewrite_clause(struct rewrite *rewrite)
{
        struct level *level = end_item(rewrite);

        level->in_list = false;
        level->in_from = level->in_from && next_is(rewrite, "ON");
        return copy_token(rewrite);
}

/* AS within CAST comes before a type; elsewhere before another name. */
static int rewrite_as(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        level->concatenates = false;
        rewrite->token++;
        if (level->is_cast) {
                write_text(rewrite, ",");
                return rewrite_type(rewrite);
        }
        write_text(rewrite, "AS");
        if (batch_token_is_name(rewrite_peek(rewrite, 0)) && !batch_token_is_sign(rewrite_peek(rewrite, 1), '('))
                write_word(rewrite, rewrite->token++);
        return 0;
}

static const struct {
        const char *word;
        int (*take)(struct rewrite *rewrite);
} tsql_words[] = {
        { "SELECT", rewrite_select }, { "FROM", rewrite_from },         { "JOIN", rewrite_join },
        { "CROSS", rewrite_cross },   { "OUTER", rewrite_cross },       { "WITH", rewrite_hint },
        { "OPTION", rewrite_hint },   { "COLLATE", rewrite_collation }, { "OFFSET", rewrite_offset },
        { "UNION", rewrite_union },   { "EXCEPT", rewrite_union },      { "INTERSECT", rewrite_union },
        { "WHERE", rewrite_clause },  { "GROUP", rewrite_clause },      { "HAVING", rewrite_clause },
        { "ORDER", rewrite_clause },  { "ON", rewrite_clause },         { "AS", rewrite_as },
};

/* Words that may stand before a parenthesis and call no function, and that are no names. */
static const char plain_keywords[] =
        "ALL AND ANY ASC BETWEEN BY CASE DESC ELSE END EXISTS FULL IN INNER IS LIKE NOT NULL OR OVER PARTITION SOME "
        "THEN WHEN VALUES ESCAPE";

/* ---- one token, or a few ---- */

static int rewrite_name(struct rewrite *rewrite)
{
        const struct function_row *function;
        struct object_name name;
        size_t first;

        if (rewrite_read_name(rewrite, &name) < 0)
                return -1;
        if (next_is_sign(rewrite, '(') && name.count > 0)
                return rewrite_function(rewrite, name.parts[name.count - 1]);
        function = name.count == 1 && name.first->kind == SQL_WORD ? find_function(name.first->text) : NULL;
        if (function && function->kind == CALL_BARE) {
                write_text(rewrite, function->becomes);
                fputs("()", rewrite->out);
                return 0;
        }
        /* A column is found by its table's name, whatever is before it. */
        first = name.count > 2 ? name.count - 2 : 0;
        for (size_t i = first; i < name.count; i++) {
                if (i > first)
                        write_text(rewrite, ".");
                if (batch_token_is_sign(name.parts[i], '*'))
                        write_text(rewrite, "*");
                else if (name.parts[i]->kind == SQL_END)
                        return rewrite_refuse_near(rewrite, name.first);
                else
                        write_word(rewrite, name.parts[i]);
        }
        return 0;
}

static int rewrite_word(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);
        const struct batch_token *token = rewrite->token;

        if (token->kind == SQL_WORD && token->text[0] == '@')
                return rewrite_variable(rewrite);
        for (size_t i = 0; token->kind == SQL_WORD && i < sizeof tsql_words / sizeof tsql_words[0]; i++)
                if (strcasecmp(tsql_words[i].word, token->text) == 0)
                        return tsql_words[i].take(rewrite);
        if (token->kind == SQL_WORD && words_have(plain_keywords, token->text))
                return copy_token(rewrite);
        if (level->wants_table)
                return rewrite_table(rewrite);
        if (level->in_list && level->item_begins && batch_token_is_sign(rewrite_peek(rewrite, 1), '=')) {
                level->alias = token;
                level->item_begins = false;
                rewrite->token += 2;
                return 0;
        }
        /* LEFT and RIGHT JOIN; as functions they stand before a parenthesis. */
        if ((batch_token_is(token, "LEFT") || batch_token_is(token, "RIGHT")) &&
            !batch_token_is_sign(rewrite_peek(rewrite, 1), '('))
                return copy_token(rewrite);
        return rewrite_name(rewrite);
}

static int rewrite_comma(struct rewrite *rewrite)
{
        struct level *level = end_item(rewrite);

        level->item_begins = level->in_list;
        level->wants_table = level->in_from;
        return copy_token(rewrite);
}

static bool is_string(const struct rewrite *rewrite, const struct batch_token *token)
{
        return token->kind == SQL_STRING || (token->kind == SQL_DOUBLE && !rewrite->context->quoted_identifiers);
}

static int rewrite_plus(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        if (is_string(rewrite, rewrite_peek(rewrite, 1)) ||
            (rewrite->token > rewrite->batch->tokens && is_string(rewrite, rewrite->token - 1)))
                level->concatenates = true;
        if (level->concatenates)
                write_text(rewrite, "||");
        else
                write_sign(rewrite, rewrite->token);
        rewrite->token++;
        return 0;
}

static int rewrite_sign(struct rewrite *rewrite)
{
        static const char known[] = "-*/%=<>!.&|~";
        const struct batch_token *token = rewrite->token;

        switch (token->text[0]) {
        case '(':
                write_text(rewrite, "(");
                return open_level(rewrite, /* is_cast= */ false);
        case ')':
                if (rewrite->depth == 0)
                        return rewrite_refuse_near(rewrite, token);
                write_limit(rewrite);
                rewrite->depth--;
                return copy_token(rewrite);
        case ',':
                return rewrite_comma(rewrite);
        case '+':
                return rewrite_plus(rewrite);
        default:
                if (!strchr(known, token->text[0]))
                        return rewrite_refuse_near(rewrite, token);
                write_sign(rewrite, token);
                rewrite->token++;
                return 0;
        }
}

static int rewrite_step(struct rewrite *rewrite)
{
        const struct batch_token *token = rewrite->token;
        bool begins = level_of(rewrite)->item_begins;
        int rc = 0;

        if (is_string(rewrite, token)) {
                write_quoted(rewrite, token->text, '\'');
                rewrite->token++;
        } else if (token->kind == SQL_NUMBER) {
                write_sign(rewrite, token);
                rewrite->token++;
                /* 1e5, 0x1f: one number, and no name behind it */
                if (rewrite_peek(rewrite, 0)->kind == SQL_WORD && rewrite_peek(rewrite, 0)->begin == token->end) {
                        if (!word_is_plain(rewrite_peek(rewrite, 0)->text))
                                return refuse_next(rewrite);
                        write_sign(rewrite, rewrite->token);
                        rewrite->token++;
                }
        } else if (token->kind == SQL_SIGN) {
                rc = rewrite_sign(rewrite);
        } else {
                rc = rewrite_word(rewrite);
        }
        if (begins && !batch_token_is(token, "SELECT"))
                level_of(rewrite)->item_begins = level_of(rewrite)->item_begins && batch_token_is_sign(token, ',');
        return rc;
}

int query_rewrite(const struct batch *batch, const struct batch_statement *statement,
                  const struct query_context *context, char **ret_sql, struct server_message *message)
{
        const struct batch_token *first = batch->tokens + statement->first;
        struct rewrite rewrite = {
                .batch = batch,
                .context = context,
                .token = first,
                .end = first + statement->count,
                .has_with = batch_token_is(first, "WITH"),
                .message = message,
        };
        size_t size;
        int rc = 0;

        *ret_sql = NULL;
        rewrite.out = open_memstream(ret_sql, &size);
        if (!rewrite.out)
                return rewrite_refuse(&rewrite, MESSAGE_MEMORY, first, "");
        while (rc == 0 && rewrite.token < rewrite.end)
                rc = rewrite_step(&rewrite);
        if (rc == 0 && rewrite.depth > 0)
                rc = rewrite_refuse_near(&rewrite, rewrite.end - 1);
        write_limit(&rewrite);
        fclose(rewrite.out);
        if (rc < 0)
                free(take_ptr(ret_sql));
        return rc;
}
