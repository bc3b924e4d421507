#include "core/standin/query.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"

enum { LEVELS_MAX = 64, PARTS_MAX = 4 };

/* What is open at a depth of parentheses. */
enum level_kind {
        LEVEL_PLAIN,
        LEVEL_CAST, /* expression AS type */
};

struct level {
        enum level_kind kind;
        bool is_select;
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

static const struct batch_token nothing = { .kind = SQL_END, .text = "" };

static struct level *level_of(struct rewrite *rewrite)
{
        return &rewrite->levels[rewrite->depth];
}

static const struct batch_token *peek(const struct rewrite *rewrite, size_t ahead)
{
        return ahead < (size_t)(rewrite->end - rewrite->token) ? rewrite->token + ahead : &nothing;
}

static int refuse(struct rewrite *rewrite, enum server_message_id id, const struct batch_token *token, const char *word)
{
        server_message_make(rewrite->message, id, word);
        rewrite->message->line = token->line ? token->line : 1;
        return -1;
}

static int refuse_near(struct rewrite *rewrite, const struct batch_token *token)
{
        return refuse(rewrite, MESSAGE_SYNTAX, token, token->text);
}

/* ---- writing ---- */

static void put(struct rewrite *rewrite, const char *text)
{
        fprintf(rewrite->out, " %s", text);
        rewrite->last = NULL;
}

static void put_quoted(struct rewrite *rewrite, const char *text, char quote)
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

static bool is_plain(const char *word)
{
        for (; *word; word++)
                if (!isalnum((unsigned char)*word) && *word != '_')
                        return false;
        return true;
}

/* Words that SQLite keeps for itself, and SQL Server does not. */
static const char *const sqlite_words[] = { "AUTOINCREMENT", "DEFERRABLE", "GLOB",    "INDEXED", "ISNULL",
                                            "LIMIT",         "MATCH",      "NOTNULL", "REGEXP" };

static bool is_in(const char *const *words, size_t count, const char *word)
{
        for (size_t i = 0; i < count; i++)
                if (strcasecmp(words[i], word) == 0)
                        return true;
        return false;
}

#define IS_IN(words, word) is_in((words), sizeof(words) / sizeof(words)[0], (word))

static void put_word(struct rewrite *rewrite, const struct batch_token *token)
{
        if (token->kind == SQL_WORD && is_plain(token->text) && !IS_IN(sqlite_words, token->text))
                put(rewrite, token->text);
        else
                put_quoted(rewrite, token->text, '"');
}

/* Signs and numbers that stand together stay together: they may be one. */
static void put_sign(struct rewrite *rewrite, const struct batch_token *token)
{
        bool joined = rewrite->last && rewrite->last->end == token->begin;

        fprintf(rewrite->out, "%s%s", joined ? "" : " ", token->text);
        rewrite->last = token;
}

/* ---- names ---- */

struct name {
        const struct batch_token *parts[PARTS_MAX]; /* the last one is never empty */
        size_t count;
        const struct batch_token *first;
};

/* database..object has an empty part. */
static int read_name(struct rewrite *rewrite, struct name *name)
{
        *name = (struct name){ .first = rewrite->token };
        for (;;) {
                const struct batch_token *token = peek(rewrite, 0);
                bool is_star = batch_token_is_sign(token, '*');

                if (name->count == PARTS_MAX)
                        return refuse_near(rewrite, token);
                if (batch_token_is_name(token) || is_star)
                        rewrite->token++;
                else if (batch_token_is_sign(token, '.') && name->count > 0)
                        token = &nothing;
                else
                        return refuse_near(rewrite, token);
                name->parts[name->count++] = token;
                if (is_star || !batch_token_is_sign(peek(rewrite, 0), '.'))
                        return 0;
                rewrite->token++;
        }
}

static char *join_name(const struct name *name)
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
        struct name name;

        if (read_name(&rewrite, &name) < 0)
                return strdup(peek(&rewrite, 0)->text);
        return join_name(&name);
}

/* ---- tables ---- */

static const char *const system_views[] = {
        "backup_devices",   "configurations",   "database_files",   "databases",
        "dm_exec_requests", "dm_exec_sessions", "dm_exec_sql_text", "master_files"
};
static const char *const history_tables[] = { "backupfile", "backupmediafamily", "backupmediaset", "backupset",
                                              "restorehistory" };

static bool find_table(const struct rewrite *rewrite, const struct name *name)
{
        const char *object = name->parts[name->count - 1]->text;
        const char *schema = name->count > 1 ? name->parts[name->count - 2]->text : "";
        const char *database = name->count > 2 ? name->parts[name->count - 3]->text : rewrite->context->database;

        if (strcasecmp(schema, "sys") == 0)
                return IS_IN(system_views, object);
        if (*schema && strcasecmp(schema, "dbo") != 0)
                return false;
        if (strcasecmp(object, "sysdatabases") == 0)
                return true;
        return strcasecmp(database, "msdb") == 0 && IS_IN(history_tables, object);
}

static int step(struct rewrite *rewrite);

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
                return refuse(rewrite, MESSAGE_MEMORY, rewrite->token, "");
        }
        do
                rc = rewrite->token < rewrite->end ? step(rewrite) : refuse_near(rewrite, &nothing);
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
        if (batch_token_is(peek(rewrite, 0), "AS"))
                rewrite->token++;
        alias = peek(rewrite, 0);
        if (!batch_token_is_name(alias))
                return refuse_near(rewrite, alias);
        rewrite->token++;
        put(rewrite, "AS");
        put_word(rewrite, alias);
        put(rewrite, "ON");
        put_word(rewrite, alias);
        fprintf(rewrite->out, ".of_handle = %s", arguments);
        return 0;
}

static int take_table(struct rewrite *rewrite)
{
        struct name name;
        CLEANUP(freep) char *shown = NULL;

        level_of(rewrite)->wants_table = false;
        if (read_name(rewrite, &name) < 0)
                return -1;
        if (!find_table(rewrite, &name) && !(rewrite->has_with && name.count == 1)) {
                shown = join_name(&name);
                return refuse(rewrite, MESSAGE_OBJECT, name.first, shown ? shown : "");
        }
        put_quoted(rewrite, name.parts[name.count - 1]->text, '"');
        if (batch_token_is_sign(peek(rewrite, 0), '('))
                return apply_text(rewrite);
        return 0;
}

/* ---- functions and variables ---- */

/* Those that are called otherwise, or that SQLite has as words of its grammar. */
static const struct {
        const char *name;
        const char *becomes;
} functions[] = {
        { "ISNULL", "ifnull" },          { "LEN", "length" },
        { "COUNT_BIG", "count" },        { "LEFT", "tsql_left" },
        { "RIGHT", "tsql_right" },       { "REPLACE", "replace" },
        { "DATEADD", "tsql_dateadd" },   { "DATEDIFF", "tsql_datediff" },
        { "DATEPART", "tsql_datepart" }, { "USER_NAME", "suser_sname" },
        { "SUSER_NAME", "suser_sname" }, { "ORIGINAL_LOGIN", "suser_sname" },
        { "SYSDATETIME", "getdate" },    { "CURRENT_TIMESTAMP", "getdate" },
};

/* Those whose first argument is a word. */
static const char *const with_parts[] = { "DATEADD", "DATEDIFF", "DATEPART" };

/* Those that are called without parentheses. */
static const struct {
        const char *name;
        const char *becomes;
} bare_functions[] = {
        { "CURRENT_TIMESTAMP", "getdate()" }, { "CURRENT_USER", "suser_sname()" }, { "SESSION_USER", "suser_sname()" },
        { "SYSTEM_USER", "suser_sname()" },   { "USER", "suser_sname()" },
};

static const char *const globals[] = { "DATEFIRST",        "ERROR",     "LANGUAGE", "LOCK_TIMEOUT", "MAX_CONNECTIONS",
                                       "MICROSOFTVERSION", "NESTLEVEL", "OPTIONS",  "ROWCOUNT",     "SERVERNAME",
                                       "SERVICENAME",      "SPID",      "TEXTSIZE", "TRANCOUNT",    "VERSION" };

static int take_variable(struct rewrite *rewrite)
{
        const struct batch_token *token = rewrite->token++;

        if (token->text[1] == '@') {
                if (!IS_IN(globals, token->text + 2))
                        return refuse(rewrite, MESSAGE_VARIABLE, token, token->text);
                put(rewrite, "tsql_global(");
                put_quoted(rewrite, token->text + 2, '\'');
                put(rewrite, ")");
                return 0;
        }
        for (size_t i = 0; i < rewrite->context->parameter_count; i++)
                if (strcasecmp(rewrite->context->parameters[i].name, token->text) == 0) {
                        fprintf(rewrite->out, " ?%zu", i + 1);
                        rewrite->last = NULL;
                        return 0;
                }
        return refuse(rewrite, MESSAGE_VARIABLE, token, token->text);
}

/* varchar(30), decimal(10, 2), [nvarchar](max), as one string: 'varchar(30)'. */
static int take_type(struct rewrite *rewrite)
{
        struct name name;
        char type[64];
        int used;

        if (read_name(rewrite, &name) < 0)
                return -1;
        used = snprintf(type, sizeof type, "%.40s", name.parts[name.count - 1]->text);
        if (batch_token_is_sign(peek(rewrite, 0), '(')) {
                const struct batch_token *length = peek(rewrite, 1);

                snprintf(type + used, sizeof type - (size_t)used, "(%.12s)", length->text);
                while (rewrite->token < rewrite->end && !batch_token_is_sign(rewrite->token, ')'))
                        rewrite->token++;
                if (rewrite->token == rewrite->end)
                        return refuse_near(rewrite, length);
                rewrite->token++;
        }
        put_quoted(rewrite, type, '\'');
        return 0;
}

static int open_level(struct rewrite *rewrite, enum level_kind kind)
{
        const struct batch_token *token = peek(rewrite, 0);

        if (rewrite->depth + 1 == LEVELS_MAX)
                return refuse(rewrite, MESSAGE_WORDS, token, "The statement is nested too deeply.");
        level_of(rewrite)->wants_table = false;
        level_of(rewrite)->item_begins = false;
        rewrite->levels[++rewrite->depth] = (struct level){ .kind = kind };
        rewrite->token++;
        return 0;
}

/* At the name of a function, which stands before a parenthesis. */
static int take_function(struct rewrite *rewrite, const struct batch_token *token)
{
        bool is_convert = strcasecmp(token->text, "CONVERT") == 0 || strcasecmp(token->text, "TRY_CONVERT") == 0;
        bool is_cast = strcasecmp(token->text, "CAST") == 0 || strcasecmp(token->text, "TRY_CAST") == 0;
        const char *name = is_convert ? "tsql_convert" : is_cast ? "tsql_cast" : NULL;

        for (size_t i = 0; !name && i < sizeof functions / sizeof functions[0]; i++)
                if (strcasecmp(token->text, functions[i].name) == 0)
                        name = functions[i].becomes;
        if (name)
                put(rewrite, name);
        else
                put_word(rewrite, token);
        if (open_level(rewrite, is_cast ? LEVEL_CAST : LEVEL_PLAIN) < 0)
                return -1;
        put(rewrite, "(");
        if (is_convert)
                return take_type(rewrite);
        if (IS_IN(with_parts, token->text)) {
                if (!batch_token_is_name(peek(rewrite, 0)))
                        return refuse_near(rewrite, peek(rewrite, 0));
                put_quoted(rewrite, rewrite->token++->text, '\'');
        }
        return 0;
}

/* ---- what a SELECT is made of ---- */

static void put_alias(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        if (!level->alias)
                return;
        put(rewrite, "AS");
        put_quoted(rewrite, level->alias->text, '"');
        level->alias = NULL;
}

static void put_limit(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        put_alias(rewrite);
        if (!level->limit[0])
                return;
        put(rewrite, "LIMIT");
        put(rewrite, level->limit);
        level->limit[0] = '\0';
}

/* A number or a parameter, in parentheses or not. */
static int read_count(struct rewrite *rewrite, char text[24])
{
        bool enclosed = batch_token_is_sign(peek(rewrite, 0), '(');
        const struct batch_token *token;

        rewrite->token += enclosed;
        token = peek(rewrite, 0);
        if (token->kind == SQL_NUMBER && strlen(token->text) < 19) {
                snprintf(text, 24, "%s", token->text);
        } else if (token->kind == SQL_WORD && token->text[0] == '@') {
                size_t i = 0;

                while (i < rewrite->context->parameter_count &&
                       strcasecmp(rewrite->context->parameters[i].name, token->text) != 0)
                        i++;
                if (i == rewrite->context->parameter_count)
                        return refuse(rewrite, MESSAGE_VARIABLE, token, token->text);
                snprintf(text, 24, "?%zu", i + 1);
        } else {
                return refuse_near(rewrite, token);
        }
        rewrite->token++;
        if (enclosed && !batch_token_is_sign(peek(rewrite, 0), ')'))
                return refuse_near(rewrite, peek(rewrite, 0));
        rewrite->token += enclosed;
        return 0;
}

static int take_select(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        *level = (struct level){ .kind = level->kind, .is_select = true, .in_list = true, .item_begins = true };
        put(rewrite, "SELECT");
        rewrite->token++;
        if (batch_token_is(peek(rewrite, 0), "DISTINCT") || batch_token_is(peek(rewrite, 0), "ALL"))
                put(rewrite, rewrite->token++->text);
        if (!batch_token_is(peek(rewrite, 0), "TOP"))
                return 0;
        rewrite->token++;
        if (read_count(rewrite, level->limit) < 0)
                return -1;
        if (batch_token_is(peek(rewrite, 0), "PERCENT") || batch_token_is(peek(rewrite, 0), "WITH"))
                return refuse_near(rewrite, peek(rewrite, 0));
        return 0;
}

static int take_from(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        put_alias(rewrite);
        level->in_list = false;
        level->in_from = true;
        level->wants_table = true;
        level->concatenates = false;
        put(rewrite, "FROM");
        rewrite->token++;
        return 0;
}

static int take_join(struct rewrite *rewrite)
{
        level_of(rewrite)->wants_table = true;
        put(rewrite, "JOIN");
        rewrite->token++;
        return 0;
}

/* CROSS APPLY, OUTER APPLY; CROSS JOIN and OUTER JOIN are SQLite's, too. */
static int take_cross(struct rewrite *rewrite)
{
        bool outer = batch_token_is(rewrite->token, "OUTER");

        if (!batch_token_is(peek(rewrite, 1), "APPLY")) {
                put(rewrite, rewrite->token++->text);
                return 0;
        }
        if (outer)
                put(rewrite, "LEFT");
        rewrite->token++;
        return take_join(rewrite);
}

/* A list in parentheses that is left out. */
static int skip_list(struct rewrite *rewrite)
{
        int depth = 0;

        do {
                const struct batch_token *token = peek(rewrite, 0);

                if (token->kind == SQL_END)
                        return refuse_near(rewrite, token);
                depth += batch_token_is_sign(token, '(');
                depth -= batch_token_is_sign(token, ')');
                rewrite->token++;
        } while (depth > 0);
        return 0;
}

/* WITH (NOLOCK), OPTION (RECOMPILE): how to go about it, which is of no interest here. */
static int take_hint(struct rewrite *rewrite)
{
        if (!batch_token_is_sign(peek(rewrite, 1), '(')) {
                put(rewrite, rewrite->token++->text);
                return 0;
        }
        rewrite->token++;
        return skip_list(rewrite);
}

static int take_collation(struct rewrite *rewrite)
{
        rewrite->token++;
        if (!batch_token_is_name(peek(rewrite, 0)))
                return refuse_near(rewrite, peek(rewrite, 0));
        rewrite->token++;
        return 0;
}

static bool skip_word(struct rewrite *rewrite, const char *a, const char *b)
{
        bool found = batch_token_is(peek(rewrite, 0), a) || batch_token_is(peek(rewrite, 0), b);

        rewrite->token += found;
        return found;
}

/* OFFSET 0 ROWS [FETCH NEXT 10 ROWS ONLY] */
static int take_offset(struct rewrite *rewrite)
{
        char offset[24];
        char count[24] = "-1";

        rewrite->token++;
        if (read_count(rewrite, offset) < 0)
                return -1;
        if (!skip_word(rewrite, "ROW", "ROWS"))
                return refuse_near(rewrite, peek(rewrite, 0));
        if (skip_word(rewrite, "FETCH", "FETCH") &&
            (!skip_word(rewrite, "NEXT", "FIRST") || read_count(rewrite, count) < 0 ||
             !skip_word(rewrite, "ROW", "ROWS") || !skip_word(rewrite, "ONLY", "ONLY")))
                return refuse_near(rewrite, peek(rewrite, 0));
        put(rewrite, "LIMIT");
        put(rewrite, count);
        put(rewrite, "OFFSET");
        put(rewrite, offset);
        return 0;
}

/* Nothing but the whole can be limited in SQLite. */
static int take_union(struct rewrite *rewrite)
{
        if (level_of(rewrite)->limit[0])
                return refuse_near(rewrite, rewrite->token);
        put_alias(rewrite);
        put(rewrite, rewrite->token++->text);
        return 0;
}

static int take_clause(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        put_alias(rewrite);
        level->in_list = false;
        level->in_from = level->in_from && batch_token_is(rewrite->token, "ON");
        level->concatenates = false;
        put(rewrite, rewrite->token++->text);
        return 0;
}

/* AS within CAST comes before a type; elsewhere before another name. */
static int take_as(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        level->concatenates = false;
        rewrite->token++;
        if (level->kind == LEVEL_CAST) {
                put(rewrite, ",");
                return take_type(rewrite);
        }
        put(rewrite, "AS");
        if (batch_token_is_name(peek(rewrite, 0)) && !batch_token_is_sign(peek(rewrite, 1), '('))
                put_word(rewrite, rewrite->token++);
        return 0;
}

static const struct {
        const char *word;
        int (*take)(struct rewrite *rewrite);
} words[] = {
        { "SELECT", take_select }, { "FROM", take_from },    { "JOIN", take_join },     { "CROSS", take_cross },
        { "OUTER", take_cross },   { "WITH", take_hint },    { "OPTION", take_hint },   { "COLLATE", take_collation },
        { "OFFSET", take_offset }, { "UNION", take_union },  { "EXCEPT", take_union },  { "INTERSECT", take_union },
        { "WHERE", take_clause },  { "GROUP", take_clause }, { "HAVING", take_clause }, { "ORDER", take_clause },
        { "ON", take_clause },     { "AS", take_as },
};

/* Words that may stand before a parenthesis and call no function, and that are no names. */
static const char *const keywords[] = { "ALL",  "AND",  "ANY",  "ASC",    "BETWEEN", "BY",   "CASE",
                                        "DESC", "ELSE", "END",  "EXISTS", "FULL",    "IN",   "INNER",
                                        "IS",   "LIKE", "NOT",  "NULL",   "OR",      "OVER", "PARTITION",
                                        "SOME", "THEN", "WHEN", "VALUES", "ESCAPE" };

/* ---- one token, or a few ---- */

static int take_name(struct rewrite *rewrite)
{
        struct name name;
        size_t first;

        if (read_name(rewrite, &name) < 0)
                return -1;
        if (batch_token_is_sign(peek(rewrite, 0), '(') && name.count > 0)
                return take_function(rewrite, name.parts[name.count - 1]);
        for (size_t i = 0; name.count == 1 && i < sizeof bare_functions / sizeof bare_functions[0]; i++)
                if (batch_token_is(name.first, bare_functions[i].name)) {
                        put(rewrite, bare_functions[i].becomes);
                        return 0;
                }
        /* A column is found by its table's name, whatever is before it. */
        first = name.count > 2 ? name.count - 2 : 0;
        for (size_t i = first; i < name.count; i++) {
                if (i > first)
                        put(rewrite, ".");
                if (batch_token_is_sign(name.parts[i], '*'))
                        put(rewrite, "*");
                else if (name.parts[i]->kind == SQL_END)
                        return refuse_near(rewrite, name.first);
                else
                        put_word(rewrite, name.parts[i]);
        }
        return 0;
}

static int take_word(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);
        const struct batch_token *token = rewrite->token;

        if (token->kind == SQL_WORD && token->text[0] == '@')
                return take_variable(rewrite);
        for (size_t i = 0; token->kind == SQL_WORD && i < sizeof words / sizeof words[0]; i++)
                if (strcasecmp(words[i].word, token->text) == 0)
                        return words[i].take(rewrite);
        if (token->kind == SQL_WORD && IS_IN(keywords, token->text)) {
                put(rewrite, token->text);
                rewrite->token++;
                return 0;
        }
        if (level->wants_table)
                return take_table(rewrite);
        if (level->in_list && level->item_begins && batch_token_is_sign(peek(rewrite, 1), '=')) {
                level->alias = token;
                level->item_begins = false;
                rewrite->token += 2;
                return 0;
        }
        /* LEFT and RIGHT JOIN; as functions they stand before a parenthesis. */
        if ((batch_token_is(token, "LEFT") || batch_token_is(token, "RIGHT")) &&
            !batch_token_is_sign(peek(rewrite, 1), '(')) {
                put(rewrite, token->text);
                rewrite->token++;
                return 0;
        }
        return take_name(rewrite);
}

static int take_comma(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        put_alias(rewrite);
        level->item_begins = level->in_list;
        level->wants_table = level->in_from;
        level->concatenates = false;
        put(rewrite, ",");
        rewrite->token++;
        return 0;
}

static bool is_string(const struct rewrite *rewrite, const struct batch_token *token)
{
        return token->kind == SQL_STRING || (token->kind == SQL_DOUBLE && !rewrite->context->quoted_identifiers);
}

static int take_plus(struct rewrite *rewrite)
{
        struct level *level = level_of(rewrite);

        if (is_string(rewrite, peek(rewrite, 1)) ||
            (rewrite->token > rewrite->batch->tokens && is_string(rewrite, rewrite->token - 1)))
                level->concatenates = true;
        if (level->concatenates)
                put(rewrite, "||");
        else
                put_sign(rewrite, rewrite->token);
        rewrite->token++;
        return 0;
}

static int take_closing(struct rewrite *rewrite)
{
        if (rewrite->depth == 0)
                return refuse_near(rewrite, rewrite->token);
        put_limit(rewrite);
        put(rewrite, ")");
        rewrite->depth--;
        rewrite->token++;
        return 0;
}

static int take_sign(struct rewrite *rewrite)
{
        static const char known[] = "-*/%=<>!.&|~";
        const struct batch_token *token = rewrite->token;

        switch (token->text[0]) {
        case '(':
                put(rewrite, "(");
                return open_level(rewrite, LEVEL_PLAIN);
        case ')':
                return take_closing(rewrite);
        case ',':
                return take_comma(rewrite);
        case '+':
                return take_plus(rewrite);
        default:
                if (!strchr(known, token->text[0]))
                        return refuse_near(rewrite, token);
                put_sign(rewrite, token);
                rewrite->token++;
                return 0;
        }
}

static int step(struct rewrite *rewrite)
{
        const struct batch_token *token = rewrite->token;
        bool begins = level_of(rewrite)->item_begins;
        int rc = 0;

        if (is_string(rewrite, token)) {
                put_quoted(rewrite, token->text, '\'');
                rewrite->token++;
        } else if (token->kind == SQL_NUMBER) {
                put_sign(rewrite, token);
                rewrite->token++;
                /* 1e5, 0x1f: one number, and no name behind it */
                if (peek(rewrite, 0)->kind == SQL_WORD && peek(rewrite, 0)->begin == token->end) {
                        if (!is_plain(peek(rewrite, 0)->text))
                                return refuse_near(rewrite, peek(rewrite, 0));
                        put_sign(rewrite, rewrite->token);
                        rewrite->token++;
                }
        } else if (token->kind == SQL_SIGN) {
                rc = take_sign(rewrite);
        } else {
                rc = take_word(rewrite);
        }
        if (begins && !batch_token_is(token, "SELECT"))
                level_of(rewrite)->item_begins = level_of(rewrite)->item_begins && batch_token_is_sign(token, ',');
        return rc;
}

int query_rewrite(const struct batch *batch, const struct batch_statement *statement,
                  const struct query_context *context, char **ret_sql, struct server_message *message)
{
        struct rewrite *rewrite = calloc(1, sizeof *rewrite);
        size_t size;
        int rc = 0;

        *ret_sql = NULL;
        if (rewrite)
                rewrite->out = open_memstream(ret_sql, &size);
        if (!rewrite || !rewrite->out) {
                free(rewrite);
                server_message_make(message, MESSAGE_MEMORY);
                return -1;
        }
        rewrite->batch = batch;
        rewrite->context = context;
        rewrite->token = batch->tokens + statement->first;
        rewrite->end = rewrite->token + statement->count;
        rewrite->message = message;
        rewrite->has_with = batch_token_is(rewrite->token, "WITH");
        while (rc == 0 && rewrite->token < rewrite->end)
                rc = step(rewrite);
        if (rc == 0 && rewrite->depth > 0)
                rc = refuse_near(rewrite, rewrite->end - 1);
        put_limit(rewrite);
        fclose(rewrite->out);
        free(rewrite);
        if (rc == 0)
                return 0;
        free(take_ptr(ret_sql));
        return -1;
}
