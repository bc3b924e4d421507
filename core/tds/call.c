#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/tds/parameter.h"

enum {
        NUMBER_WORDS = 50000,
        NUMBER_NO_STATEMENT = 214,
        NUMBER_NO_HANDLE = 8179,
        PROCEDURE_BY_NUMBER = 0xffff,
        PROCEDURE_NAME_MAX = 523, /* characters, as the protocol has it */
        NEXT_CALL = 0xff,
        NEXT_CALL_7_1 = 0x80,
        NEXT_CALL_NOT_RUN = 0xfe,
};

typedef enum tds_parse_result call_fn(struct tds_session *session, struct tds_request *request, struct error *err);

static call_fn call_execute_sql;
static call_fn call_prepare;
static call_fn call_execute;
static call_fn call_prepare_and_execute;
static call_fn call_unprepare;

/* Procedures with a number of their own; those without a function are passed on by their names. */
static const struct procedure {
        const char *name;
        call_fn *call;
} procedures[] = {
        [1] = { "sp_cursor", NULL },
        [2] = { "sp_cursoropen", NULL },
        [3] = { "sp_cursorprepare", NULL },
        [4] = { "sp_cursorexecute", NULL },
        [5] = { "sp_cursorprepexec", NULL },
        [6] = { "sp_cursorunprepare", NULL },
        [7] = { "sp_cursorfetch", NULL },
        [8] = { "sp_cursoroption", NULL },
        [9] = { "sp_cursorclose", NULL },
        [10] = { "sp_executesql", call_execute_sql },
        [11] = { "sp_prepare", call_prepare },
        [12] = { "sp_execute", call_execute },
        [13] = { "sp_prepexec", call_prepare_and_execute },
        [14] = { "sp_prepexecrpc", NULL },
        [15] = { "sp_unprepare", call_unprepare },
};
enum { PROCEDURES = sizeof procedures / sizeof procedures[0] };

static enum tds_parse_result out_of_memory(struct error *err)
{
        error_raise(err, ERR_MEMORY, "out of memory for a procedure call");
        return TDS_PARSE_FAILED;
}

/* Refuses this call and those behind it: where it ends is not known. */
static enum tds_parse_result refuse_all(struct tds_session *session, const char *why)
{
        session->rest.left = 0;
        tds_refuse(session, NUMBER_WORDS, "%s", why);
        return TDS_PARSE_ANSWERED;
}

/* ---- parsing ---- */

static enum tds_parse_result get_name(struct tds_session *session, struct tds_request *request, struct error *err)
{
        size_t length = tds_get_u16(&session->rest);
        const uint8_t *name;

        if (length == PROCEDURE_BY_NUMBER) {
                uint16_t number = tds_get_u16(&session->rest);

                if (session->rest.bad || number == 0 || number >= PROCEDURES)
                        return (enum tds_parse_result)error_raise(
                                err, ERR_PROTOCOL, "TDS client calls procedure %u, which does not exist", number);
                request->text = strdup(procedures[number].name);
                return request->text ? TDS_PARSE_REQUEST : out_of_memory(err);
        }
        name = tds_get(&session->rest, 2 * length);
        if (!name || length == 0 || length > PROCEDURE_NAME_MAX)
                return (enum tds_parse_result)error_raise(err, ERR_PROTOCOL,
                                                          "TDS client calls a procedure without a sound name");
        switch (tds_text_decode(name, 2 * length, &request->text)) {
        case TDS_TEXT_MEMORY:
                return out_of_memory(err);
        case TDS_TEXT_BAD:
                return refuse_all(session, "The procedure's name holds U+0000 or half of a surrogate pair.");
        case TDS_TEXT_GOOD:
                break;
        }
        return TDS_PARSE_REQUEST;
}

/* Whether another call follows, whose mark is then passed over. */
static bool next_call_begins(const struct tds_session *session, struct tds_cursor *cursor)
{
        bool is_mark = session->version < TDS_VERSION_7_2
                               ? cursor->at[0] == NEXT_CALL_7_1
                               : cursor->at[0] == NEXT_CALL || cursor->at[0] == NEXT_CALL_NOT_RUN;

        if (is_mark)
                tds_get(cursor, 1);
        return is_mark;
}

static int parameters_grow(struct tds_request *request)
{
        size_t count = request->parameter_count;
        struct tds_parameter *grown;

        /* Powers of two. */
        if ((count & (count - 1)) != 0)
                return 0;
        grown = reallocarray(request->parameters, count > 0 ? 2 * count : 1, sizeof *grown);
        if (!grown)
                return -1;
        request->parameters = grown;
        return 0;
}

static enum tds_parse_result get_parameters(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_cursor *rest = &session->rest;
        char words[96];
        uint8_t type;

        while (rest->left > 0 && !next_call_begins(session, rest)) {
                if (request->parameter_count == TDS_PARAMETERS_MAX)
                        return refuse_all(session, "The call has too many parameters.");
                if (parameters_grow(request) < 0)
                        return out_of_memory(err);
                switch (tds_get_parameter(rest, &request->parameters[request->parameter_count++], &type)) {
                case TDS_PARAMETER_MEMORY:
                        return out_of_memory(err);
                case TDS_PARAMETER_BROKEN:
                        return (enum tds_parse_result)error_raise(
                                err, ERR_PROTOCOL, "TDS client sent a damaged parameter of type 0x%02x to '%.100s'",
                                type, request->text);
                case TDS_PARAMETER_UNKNOWN:
                        snprintf(words, sizeof words,
                                 "Parameter %zu is of type 0x%02x or encrypted, which is not read here.",
                                 request->parameter_count, type);
                        return refuse_all(session, words);
                case TDS_PARAMETER_BAD_TEXT:
                        snprintf(words, sizeof words, "Parameter %zu holds U+0000, or what is no text.",
                                 request->parameter_count);
                        return refuse_all(session, words);
                case TDS_PARAMETER_GOOD:
                        break;
                }
        }
        return TDS_PARSE_REQUEST;
}

/* ---- the procedures that run statements ---- */

static void drop_parameters(struct tds_request *request, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                free(request->parameters[i].name);
                free(request->parameters[i].text);
        }
        request->parameter_count -= count;
        memmove(request->parameters, request->parameters + count,
                request->parameter_count * sizeof *request->parameters);
}

/* The next name in "@a int, @b decimal(10,2)"; its length, 0 at the end. */
static size_t next_declared(const char **declarations, const char **ret_name)
{
        const char *at = *declarations + strcspn(*declarations, "@");
        size_t length = strcspn(at, " \t\r\n,");
        int depth = 0;

        *ret_name = at;
        for (at += length; *at && (*at != ',' || depth > 0); at++)
                depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        *declarations = at;
        return length;
}

/* Values that come without names are those of the declarations, in order. */
static int name_parameters(struct tds_request *request, const char *declarations)
{
        for (size_t i = 0; i < request->parameter_count && declarations; i++) {
                struct tds_parameter *parameter = &request->parameters[i];
                const char *name;
                size_t length = next_declared(&declarations, &name);

                if (length == 0)
                        break;
                if (parameter->name[0] != '\0')
                        continue;
                free(parameter->name);
                parameter->name = strndup(name, length);
                if (!parameter->name)
                        return -1;
        }
        return 0;
}

/* The request becomes the batch `text`, with the parameters behind the first `own`. */
static enum tds_parse_result become_batch(struct tds_request *request, const char *text, const char *declarations,
                                          size_t own, struct error *err)
{
        CLEANUP(freep) char *batch = strdup(text);
        CLEANUP(freep) char *declared = strdup(declarations ? declarations : "");

        if (!batch || !declared)
                return out_of_memory(err);
        drop_parameters(request, own);
        free(request->text);
        request->text = take_ptr(&batch);
        request->kind = TDS_REQUEST_BATCH;
        return name_parameters(request, declared) < 0 ? out_of_memory(err) : TDS_PARSE_REQUEST;
}

static const char *parameter_text(const struct tds_request *request, size_t index)
{
        return index < request->parameter_count ? request->parameters[index].text : NULL;
}

static size_t at_most(size_t count, size_t limit)
{
        return count < limit ? count : limit;
}

static enum tds_parse_result refuse_no_statement(struct tds_session *session)
{
        tds_refuse(session, NUMBER_NO_STATEMENT,
                   "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.");
        return TDS_PARSE_ANSWERED;
}

static enum tds_parse_result call_execute_sql(struct tds_session *session, struct tds_request *request,
                                              struct error *err)
{
        if (!parameter_text(request, 0))
                return refuse_no_statement(session);
        return become_batch(request, parameter_text(request, 0), parameter_text(request, 1),
                            at_most(request->parameter_count, 2), err);
}

static struct tds_prepared *find_prepared(struct tds_session *session, const char *handle)
{
        long number = handle ? strtol(handle, NULL, 10) : 0;

        for (size_t i = 0; number > 0 && i < TDS_PREPARED_MAX; i++)
                if (session->prepared[i].handle == number)
                        return &session->prepared[i];
        return NULL;
}

static void forget_prepared(struct tds_prepared *prepared)
{
        if (!prepared)
                return;
        free(prepared->text);
        free(prepared->declarations);
        *prepared = (struct tds_prepared){ .handle = 0 };
}

void tds_forget_prepared(struct tds_session *session)
{
        for (size_t i = 0; i < TDS_PREPARED_MAX; i++)
                forget_prepared(&session->prepared[i]);
}

/* A place for another statement; NULL when there are too many, or too long ones. */
static struct tds_prepared *free_prepared(struct tds_session *session, size_t size)
{
        struct tds_prepared *place = NULL;

        for (size_t i = 0; i < TDS_PREPARED_MAX; i++) {
                const struct tds_prepared *prepared = &session->prepared[i];

                if (prepared->handle == 0)
                        place = &session->prepared[i];
                else
                        size += strlen(prepared->text) + strlen(prepared->declarations);
        }
        return size <= TDS_PREPARED_BYTES_MAX ? place : NULL;
}

/* Of sp_prepare and sp_prepexec: handle (returned, or one to replace), declarations, statement. */
static enum tds_parse_result prepare(struct tds_session *session, struct tds_request *request, struct error *err)
{
        const char *declarations = parameter_text(request, 1) ? parameter_text(request, 1) : "";
        const char *text = parameter_text(request, 2);
        struct tds_prepared *prepared;

        if (!text)
                return refuse_no_statement(session);
        forget_prepared(find_prepared(session, parameter_text(request, 0)));
        prepared = free_prepared(session, strlen(text) + strlen(declarations));
        if (!prepared) {
                tds_refuse(session, NUMBER_WORDS, "Too many prepared statements: at most %d, of %d bytes together.",
                           TDS_PREPARED_MAX, TDS_PREPARED_BYTES_MAX);
                return TDS_PARSE_ANSWERED;
        }
        prepared->text = strdup(text);
        prepared->declarations = strdup(declarations);
        session->output_name = strdup(request->parameters[0].name);
        if (!prepared->text || !prepared->declarations || !session->output_name) {
                forget_prepared(prepared);
                return out_of_memory(err);
        }
        session->last_handle = session->last_handle == INT32_MAX ? 1 : session->last_handle + 1;
        prepared->handle = session->last_handle;
        session->output_handle = prepared->handle;
        return TDS_PARSE_REQUEST;
}

static enum tds_parse_result call_prepare(struct tds_session *session, struct tds_request *request, struct error *err)
{
        enum tds_parse_result result = prepare(session, request, err);

        if (result != TDS_PARSE_REQUEST)
                return result;
        tds_send_done(session, &(struct tds_done){ .error = false });
        return TDS_PARSE_ANSWERED;
}

static enum tds_parse_result call_prepare_and_execute(struct tds_session *session, struct tds_request *request,
                                                      struct error *err)
{
        enum tds_parse_result result = prepare(session, request, err);

        if (result != TDS_PARSE_REQUEST)
                return result;
        return become_batch(request, parameter_text(request, 2), parameter_text(request, 1), 3, err);
}

static enum tds_parse_result refuse_no_handle(struct tds_session *session, const struct tds_request *request)
{
        const char *handle = parameter_text(request, 0);

        tds_refuse(session, NUMBER_NO_HANDLE, "Could not find prepared statement with handle %.20s.",
                   handle ? handle : "NULL");
        return TDS_PARSE_ANSWERED;
}

static enum tds_parse_result call_execute(struct tds_session *session, struct tds_request *request, struct error *err)
{
        const struct tds_prepared *prepared = find_prepared(session, parameter_text(request, 0));

        if (!prepared)
                return refuse_no_handle(session, request);
        return become_batch(request, prepared->text, prepared->declarations, 1, err);
}

static enum tds_parse_result call_unprepare(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_prepared *prepared = find_prepared(session, parameter_text(request, 0));

        (void)err;
        if (!prepared)
                return refuse_no_handle(session, request);
        forget_prepared(prepared);
        tds_send_done(session, &(struct tds_done){ .error = false });
        return TDS_PARSE_ANSWERED;
}

static call_fn *find_procedure(const char *name)
{
        for (size_t i = 1; i < PROCEDURES; i++)
                if (strcasecmp(procedures[i].name, name) == 0)
                        return procedures[i].call;
        return NULL;
}

enum tds_parse_result tds_call_parse(struct tds_session *session, struct tds_request *request, struct error *err)
{
        enum tds_parse_result result;
        call_fn *call;

        session->is_call = true;
        request->kind = TDS_REQUEST_RPC;
        result = get_name(session, request, err);
        if (result != TDS_PARSE_REQUEST)
                return result;
        tds_get_u16(&session->rest); /* flags, of which none changes anything here */
        if (session->rest.bad)
                return (enum tds_parse_result)error_raise(err, ERR_PROTOCOL,
                                                          "TDS client sent a procedure call that is cut off");
        result = get_parameters(session, request, err);
        if (result != TDS_PARSE_REQUEST)
                return result;
        call = find_procedure(request->text);
        if (call)
                return call(session, request, err);
        session->procedure = strdup(request->text);
        return session->procedure ? TDS_PARSE_REQUEST : out_of_memory(err);
}
