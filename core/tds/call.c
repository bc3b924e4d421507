#include "core/tds/request.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "core/base/cleanup.h"
#include "core/tds/parameter.h"
#include "core/tds/token.h"

enum {
        NUMBER_NO_STATEMENT = 214,
        NUMBER_NO_HANDLE = 8179,
        PROCEDURE_BY_NUMBER = 0xffff,
        PROCEDURE_NAME_MAX = 523, /* characters, as the protocol has it */
        NEXT_CALL = 0xff,
        NEXT_CALL_7_1 = 0x80,
        NEXT_CALL_NOT_RUN = 0xfe,
};

/* Refuses this call and those behind it: where it ends is not known. */
static int call_refuse_all(struct tds_session *session, const char *why)
{
        session->rest.left = 0;
        return tds_refuse(session, TDS_NUMBER_WORDS, "%s", why);
}

/* Whether another call follows, whose mark is then passed over. */
static bool next_call_begins(const struct tds_session *session, struct tds_cursor *cursor)
{
        bool is_mark = session->connection.version < TDS_VERSION_7_2
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

static int call_get_parameters(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_cursor *rest = &session->rest;
        uint8_t type;

        while (rest->left > 0 && !next_call_begins(session, rest)) {
                if (request->parameter_count == TDS_PARAMETERS_MAX)
                        return call_refuse_all(session, "The call has too many parameters.");
                if (parameters_grow(request) < 0)
                        return error_no_memory(err);
                switch (tds_get_parameter(rest, &request->parameters[request->parameter_count++], &type)) {
                case TDS_PARAMETER_MEMORY:
                        return error_no_memory(err);
                case TDS_PARAMETER_BROKEN:
                        return error_raise(err, ERR_PROTOCOL,
                                           "TDS client sent a damaged parameter of type 0x%02x to '%.100s'", type,
                                           request->text);
                case TDS_PARAMETER_UNKNOWN:
                        rest->left = 0;
                        return tds_refuse(session, TDS_NUMBER_WORDS,
                                          "Parameter %zu is of type 0x%02x or encrypted, which is not read here.",
                                          request->parameter_count, type);
                case TDS_PARAMETER_BAD_TEXT:
                        rest->left = 0;
                        return tds_refuse(session, TDS_NUMBER_WORDS, "Parameter %zu holds U+0000, or what is no text.",
                                          request->parameter_count);
                case TDS_PARAMETER_GOOD:
                        break;
                }
        }
        return TDS_PARSE_REQUEST;
}

static void parameters_drop(struct tds_request *request, size_t count)
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
static int parameters_name(struct tds_request *request, const char *declarations)
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
static int call_become_batch(struct tds_request *request, const char *text, const char *declarations, size_t own,
                             struct error *err)
{
        CLEANUP(freep) char *batch = strdup(text);
        CLEANUP(freep) char *declared = strdup(declarations ? declarations : "");

        if (!batch || !declared)
                return error_no_memory(err);
        parameters_drop(request, own);
        free(request->text);
        request->text = take_ptr(&batch);
        request->kind = TDS_REQUEST_BATCH;
        return parameters_name(request, declared) < 0 ? error_no_memory(err) : TDS_PARSE_REQUEST;
}

static const char *parameter_text(const struct tds_request *request, size_t index)
{
        return index < request->parameter_count ? request->parameters[index].text : NULL;
}

static int call_refuse_no_statement(struct tds_session *session)
{
        return tds_refuse(session, NUMBER_NO_STATEMENT,
                          "Procedure expects parameter '@statement' of type 'ntext/nchar/nvarchar'.");
}

static int call_execute_sql(struct tds_session *session, struct tds_request *request, struct error *err)
{
        if (!parameter_text(request, 0))
                return call_refuse_no_statement(session);
        return call_become_batch(request, parameter_text(request, 0), parameter_text(request, 1),
                                 request->parameter_count < 2 ? request->parameter_count : 2, err);
}

static struct tds_prepared *prepared_find(struct tds_session *session, const char *handle)
{
        long number = handle ? strtol(handle, NULL, 10) : 0;

        for (size_t i = 0; number > 0 && i < TDS_PREPARED_MAX; i++)
                if (session->prepared[i].handle == number)
                        return &session->prepared[i];
        return NULL;
}

static void prepared_forget(struct tds_prepared *prepared)
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
                prepared_forget(&session->prepared[i]);
}

/* A place for another statement; NULL when there are too many, or too long ones. */
static struct tds_prepared *prepared_free_place(struct tds_session *session, size_t size)
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
static int call_keep_prepared(struct tds_session *session, struct tds_request *request, struct error *err)
{
        const char *declarations = parameter_text(request, 1) ? parameter_text(request, 1) : "";
        const char *text = parameter_text(request, 2);
        struct tds_prepared *prepared;

        if (!text)
                return call_refuse_no_statement(session);
        prepared_forget(prepared_find(session, parameter_text(request, 0)));
        prepared = prepared_free_place(session, strlen(text) + strlen(declarations));
        if (!prepared)
                return tds_refuse(session, TDS_NUMBER_WORDS,
                                  "Too many prepared statements: at most %d, of %d bytes together.", TDS_PREPARED_MAX,
                                  TDS_PREPARED_BYTES_MAX);
        prepared->text = strdup(text);
        prepared->declarations = strdup(declarations);
        session->output_name = strdup(request->parameters[0].name);
        if (!prepared->text || !prepared->declarations || !session->output_name) {
                prepared_forget(prepared);
                return error_no_memory(err);
        }
        session->last_handle = session->last_handle == INT32_MAX ? 1 : session->last_handle + 1;
        prepared->handle = session->last_handle;
        session->output_handle = prepared->handle;
        return TDS_PARSE_REQUEST;
}

static int call_prepare(struct tds_session *session, struct tds_request *request, struct error *err)
{
        int result = call_keep_prepared(session, request, err);

        return result == TDS_PARSE_REQUEST ? tds_answer_done(session) : result;
}

static int call_prepare_and_execute(struct tds_session *session, struct tds_request *request, struct error *err)
{
        int result = call_keep_prepared(session, request, err);

        return result == TDS_PARSE_REQUEST
                       ? call_become_batch(request, parameter_text(request, 2), parameter_text(request, 1), 3, err)
                       : result;
}

static int call_refuse_no_handle(struct tds_session *session, const struct tds_request *request)
{
        const char *handle = parameter_text(request, 0);

        return tds_refuse(session, NUMBER_NO_HANDLE, "Could not find prepared statement with handle %.20s.",
                          handle ? handle : "NULL");
}

static int call_execute(struct tds_session *session, struct tds_request *request, struct error *err)
{
        const struct tds_prepared *prepared = prepared_find(session, parameter_text(request, 0));

        if (!prepared)
                return call_refuse_no_handle(session, request);
        return call_become_batch(request, prepared->text, prepared->declarations, 1, err);
}

static int call_unprepare(struct tds_session *session, struct tds_request *request, struct error *err)
{
        struct tds_prepared *prepared = prepared_find(session, parameter_text(request, 0));

        (void)err;
        if (!prepared)
                return call_refuse_no_handle(session, request);
        prepared_forget(prepared);
        return tds_answer_done(session);
}

/* Procedures with a number of their own; those without a function are passed on by their names. */
static const struct procedure {
        const char *name;
        int (*call)(struct tds_session *session, struct tds_request *request, struct error *err);
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

static int call_get_name(struct tds_session *session, struct tds_request *request, struct error *err)
{
        size_t length = tds_get_u16(&session->rest);
        const uint8_t *name;

        if (length == PROCEDURE_BY_NUMBER) {
                uint16_t number = tds_get_u16(&session->rest);

                if (session->rest.bad || number == 0 || number >= PROCEDURES)
                        return error_raise(err, ERR_PROTOCOL, "TDS client calls procedure %u, which does not exist",
                                           number);
                request->text = strdup(procedures[number].name);
                return request->text ? TDS_PARSE_REQUEST : error_no_memory(err);
        }
        name = tds_get(&session->rest, 2 * length);
        if (!name || length == 0 || length > PROCEDURE_NAME_MAX)
                return error_raise(err, ERR_PROTOCOL, "TDS client calls a procedure without a sound name");
        request->text = tds_text_decode(TDS_UTF16, name, 2 * length);
        if (!request->text && errno == EILSEQ)
                return call_refuse_all(session, "The procedure's name holds U+0000 or half of a surrogate pair.");
        return request->text ? TDS_PARSE_REQUEST : error_no_memory(err);
}

int tds_call_parse(struct tds_session *session, struct tds_request *request, struct error *err)
{
        int result;

        session->is_call = true;
        request->kind = TDS_REQUEST_RPC;
        result = call_get_name(session, request, err);
        if (result != TDS_PARSE_REQUEST)
                return result;
        tds_get_u16(&session->rest); /* flags, of which none changes anything here */
        if (session->rest.bad)
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a procedure call that is cut off");
        result = call_get_parameters(session, request, err);
        if (result != TDS_PARSE_REQUEST)
                return result;
        for (size_t i = 1; i < PROCEDURES; i++)
                if (procedures[i].call && strcasecmp(procedures[i].name, request->text) == 0)
                        return procedures[i].call(session, request, err);
        session->procedure = strdup(request->text);
        return session->procedure ? TDS_PARSE_REQUEST : error_no_memory(err);
}
