/* Procedure calls over TDS: parameters of every type, prepared statements, several calls in a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/cleanup.h"
#include "fixture.h"

enum { EXECUTE_SQL = 10, PREPARE = 11, EXECUTE = 12, PREPARE_AND_EXECUTE = 13, UNPREPARE = 15 };

static const uint8_t collation[5] = { 9, 4, 0xd0, 0, 0x34 };

static void put_procedure(struct bytes *body, uint16_t procedure)
{
        put_number(body, 0xffff, 2);
        put_number(body, procedure, 2);
        put_number(body, 0, 2);
}

static void put_named_procedure(struct bytes *body, const char *name)
{
        put_number(body, strlen(name), 2);
        put_utf16(body, name);
        put_number(body, 0, 2);
}

static void put_name(struct bytes *body, const char *name)
{
        put_number(body, strlen(name), 1);
        put_utf16(body, name);
        put_number(body, 0, 1);
}

static void put_nvarchar(struct bytes *body, const char *name, const char *text)
{
        put_name(body, name);
        put_number(body, 0xe7, 1);
        put_number(body, 8000, 2);
        put(body, collation, sizeof collation);
        put_number(body, text ? 2 * strlen(text) : 0xffff, 2);
        put_utf16(body, text ? text : "");
}

static void put_int(struct bytes *body, const char *name, int32_t value)
{
        put_name(body, name);
        put_number(body, 0x26, 1);
        put_number(body, 4, 1);
        put_number(body, 4, 1);
        put_number(body, (uint32_t)value, 4);
}

static void put_null_handle(struct bytes *body)
{
        const uint8_t parameter[] = { 2, '@', 0, 'h', 0, 1, 0x26, 4, 0 };

        put(body, parameter, sizeof parameter);
}

static void send_calls(struct fixture *fixture, struct bytes *calls)
{
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        put_headers(&body);
        put(&body, calls->data, calls->size);
        put_message(&fixture->out, 3, 0, &body, 4096);
        send_out(fixture);
        bytes_free(calls);
}

/* The next request as "text|name=value|...". */
static void expect_call(struct fixture *fixture, enum tds_request_kind kind, const char *expected)
{
        struct tds_request request;
        char text[4096];
        size_t length;

        if (tds_next(fixture->session, &request, &fixture->err) < 0)
                fail_msg("%s", fixture->err.message);
        assert_int_equal(request.kind, kind);
        length = (size_t)snprintf(text, sizeof text, "%s", request.text);
        for (size_t i = 0; i < request.parameter_count; i++)
                length += (size_t)snprintf(text + length, sizeof text - length, "|%s=%s", request.parameters[i].name,
                                           request.parameters[i].text ? request.parameters[i].text : "NULL");
        assert_string_equal(text, expected);
        tds_request_deinit(&request);
}

static void test_execute_sql(void **state)
{
        struct fixture *fixture = *state;
        struct bytes calls = { .data = NULL };

        log_in(fixture);
        put_procedure(&calls, EXECUTE_SQL);
        put_nvarchar(&calls, "", "select @a");
        put_nvarchar(&calls, "", "@a int, @b decimal(10,2), @c nvarchar(max)");
        put_int(&calls, "", -5);
        put_nvarchar(&calls, "@x", "named");
        put_nvarchar(&calls, "", NULL);
        send_calls(fixture, &calls);
        expect_call(fixture, TDS_REQUEST_BATCH, "select @a|@a=-5|@x=named|@c=NULL");
        tds_send_columns(fixture->session, &(struct tds_column){ .name = "c", .type = TDS_TYPE_INT }, 1);
        tds_send_row(fixture->session, &(struct tds_value){ .number = 1 });
        tds_send_done(fixture->session, &(struct tds_done){ .has_count = true, .rows = 1 });
        expect_answer(fixture->client, V74,
                      "columns 26(4)'c'\nrow 01000000\ndone-in-call 11 1\nstatus 0\ndone-call 00 0\n");
}

static void test_by_name_and_failing(void **state)
{
        struct fixture *fixture = *state;
        struct bytes calls = { .data = NULL };
        struct server_message message = { .number = 3013, .severity = 16, .state = 1, .line = 2, .text = "no" };

        log_in(fixture);
        put_named_procedure(&calls, "SP_ExecuteSQL");
        put_nvarchar(&calls, "@stmt", "backup");
        send_calls(fixture, &calls);
        expect_call(fixture, TDS_REQUEST_BATCH, "backup");
        tds_send_message(fixture->session, &message);
        tds_send_done(fixture->session, &(struct tds_done){ .error = true });
        expect_answer(fixture->client, V74,
                      "error 3013 state 1 severity 16 'no' from 'HERE' '' line 2\nstatus 3013\ndone-call 02 0\n");
        put_named_procedure(&calls, "sp_who");
        put_int(&calls, "@n", 7);
        send_calls(fixture, &calls);
        expect_call(fixture, TDS_REQUEST_RPC, "sp_who|@n=7");
        tds_send_message(fixture->session, &message);
        tds_send_done(fixture->session, &(struct tds_done){ .error = true });
        expect_answer(fixture->client, V74,
                      "error 3013 state 1 severity 16 'no' from 'HERE' 'sp_who' line 2\nstatus 3013\ndone-call 02 0\n");
}

static void test_prepared_statements(void **state)
{
        struct fixture *fixture = *state;
        struct bytes calls = { .data = NULL };

        log_in(fixture);
        put_procedure(&calls, PREPARE);
        put_null_handle(&calls);
        put_nvarchar(&calls, "", "@a int");
        put_nvarchar(&calls, "", "select @a");
        put_number(&calls, 0xff, 1);
        put_procedure(&calls, EXECUTE);
        put_int(&calls, "", 1);
        put_int(&calls, "", 42);
        send_calls(fixture, &calls);
        expect_call(fixture, TDS_REQUEST_BATCH, "select @a|@a=42");
        send_done(fixture);
        expect_answer(fixture->client, V74,
                      "status 0\nvalue '@h' 26(4) 01000000\ndone-call 01 0\nstatus 0\ndone-call 00 0\n");

        put_procedure(&calls, UNPREPARE);
        put_int(&calls, "", 1);
        put_number(&calls, 0xff, 1);
        put_procedure(&calls, PREPARE_AND_EXECUTE);
        put_null_handle(&calls);
        put_nvarchar(&calls, "", NULL);
        put_nvarchar(&calls, "", "select 2");
        send_calls(fixture, &calls);
        expect_call(fixture, TDS_REQUEST_BATCH, "select 2");
        tds_send_done(fixture->session, &(struct tds_done){ .has_count = true, .rows = 3 });
        expect_answer(fixture->client, V74,
                      "status 0\ndone-call 01 0\n"
                      "done-in-call 11 3\nstatus 0\nvalue '@h' 26(4) 02000000\ndone-call 00 0\n");

        put_procedure(&calls, EXECUTE);
        put_int(&calls, "", 1);
        put_number(&calls, 0xff, 1);
        put_procedure(&calls, EXECUTE);
        put_int(&calls, "", 2);
        send_calls(fixture, &calls);
        expect_call(fixture, TDS_REQUEST_BATCH, "select 2");
        send_done(fixture);
        expect_answer(fixture->client, V74,
                      "error 8179 state 1 severity 16 'Could not find prepared statement with handle 1.' from 'HERE' "
                      "'' line 1\n"
                      "status 8179\ndone-call 03 0\nstatus 0\ndone-call 00 0\n");
}

static void test_too_many_prepared_statements(void **state)
{
        struct fixture *fixture = *state;
        struct bytes calls = { .data = NULL };
        CLEANUP(bytes_free) struct bytes payload = { .data = NULL };
        CLEANUP(freep) char *text = NULL;

        log_in(fixture);
        for (int i = 0; i <= 64; i++) {
                if (i > 0)
                        put_number(&calls, 0xff, 1);
                put_procedure(&calls, PREPARE);
                put_null_handle(&calls);
                put_nvarchar(&calls, "", NULL);
                put_nvarchar(&calls, "", "q");
        }
        send_calls(fixture, &calls);
        put_batch(&fixture->out, "next");
        send_out(fixture);
        expect_call(fixture, TDS_REQUEST_BATCH, "next");
        receive_message(fixture->client, &payload, 4096);
        text = show_tokens(&payload, V74);
        assert_non_null(strstr(text,
                               "value '@h' 26(4) 40000000\ndone-call 01 0\nerror 50000 state 1 severity 16 'Too many "
                               "prepared statements: at most 64, of 8388608 bytes together.'"));
}

/* A parameter of a procedure, its type and value as the wire has them, and how it reads. */
static const struct parameter_row {
        const char *reads;
        size_t size;
        uint8_t bytes[40];
} parameter_rows[] = {
        { "NULL", 1, { 0x1f } },
        { "255", 2, { 0x30, 0xff } },
        { "1", 2, { 0x32, 2 } },
        { "-2", 3, { 0x34, 0xfe, 0xff } },
        { "2147483647", 5, { 0x38, 0xff, 0xff, 0xff, 0x7f } },
        { "-9223372036854775808", 9, { 0x7f, 0, 0, 0, 0, 0, 0, 0, 0x80 } },
        { "200", 4, { 0x26, 1, 1, 200 } },
        { "-2", 5, { 0x26, 2, 2, 0xfe, 0xff } },
        { "NULL", 3, { 0x26, 8, 0 } },
        { "1.5", 5, { 0x3b, 0, 0, 0xc0, 0x3f } },
        { "-0.1", 11, { 0x6d, 8, 8, 0x9a, 0x99, 0x99, 0x99, 0x99, 0x99, 0xb9, 0xbf } },
        { "-0.0001", 9, { 0x3c, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
        { "-922337203685477.5808", 11, { 0x6e, 8, 8, 0, 0, 0, 0x80, 0, 0, 0, 0 } },
        { "12.3400", 5, { 0x7a, 0x08, 0xe2, 0x01, 0 } },
        { "-0.05", 10, { 0x6a, 5, 9, 2, 5, 0, 5, 0, 0, 0 } },
        { "18446744073709551615", 14, { 0x6c, 9, 20, 0, 9, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
        { "1900-01-02 00:01:00.000", 5, { 0x3a, 1, 0, 1, 0 } },
        { "1753-01-01 23:59:59.997", 9, { 0x3d, 0x46, 0x2e, 0xff, 0xff, 0xff, 0x81, 0x8b, 0x01 } },
        { "1900-01-01 00:00:00.000", 7, { 0x6f, 4, 4, 0, 0, 0, 0 } },
        { "0001-01-01", 5, { 0x28, 3, 0, 0, 0 } },
        { "9999-12-31", 5, { 0x28, 3, 0xda, 0xb9, 0x37 } },
        { "2000-02-29", 5, { 0x28, 3, 0x42, 0x24, 0x0b } },
        { "00:00:01", 6, { 0x29, 0, 3, 1, 0, 0 } },
        { "00:00:00.0000001", 8, { 0x29, 7, 5, 1, 0, 0, 0, 0 } },
        { "0001-01-02 00:00:00.01", 9, { 0x2a, 2, 6, 1, 0, 0, 1, 0, 0 } },
        { "0001-01-02 01:00:00 +01:00", 11, { 0x2b, 0, 8, 0, 0, 0, 1, 0, 0, 60, 0 } },
        { "0001-01-01 23:30:00 -00:30", 11, { 0x2b, 0, 8, 0, 0, 0, 1, 0, 0, 0xe2, 0xff } },
        { "04030201-0605-0807-090A-0B0C0D0E0F10",
          19,
          { 0x24, 16, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
        { "0x00FF", 7, { 0xa5, 10, 0, 2, 0, 0, 0xff } },
        { "0x", 5, { 0xad, 10, 0, 0, 0 } },
        { "0x07", 4, { 0x25, 10, 1, 7 } },
        { "0x07", 10, { 0x22, 1, 0, 0, 0, 1, 0, 0, 0, 7 } },
        { "\u00e9\u20ac", 12, { 0xa7, 10, 0, 9, 4, 0xd0, 0, 0x34, 2, 0, 0xe9, 0x80 } },
        { "\u00e9", 12, { 0xaf, 10, 0, 9, 4, 0xd0, 4, 0x34, 2, 0, 0xc3, 0xa9 } },
        { "old", 6, { 0x27, 10, 3, 'o', 'l', 'd' } },
        { "NULL", 3, { 0x2f, 10, 0xff } },
        { "t", 15, { 0x23, 1, 0, 0, 0, 9, 4, 0xd0, 0, 0x34, 1, 0, 0, 0, 't' } },
        { "n", 16, { 0x63, 2, 0, 0, 0, 9, 4, 0xd0, 0, 0x34, 2, 0, 0, 0, 'n', 0 } },
        { "NULL", 14, { 0x63, 2, 0, 0, 0, 9, 4, 0xd0, 0, 0x34, 0xff, 0xff, 0xff, 0xff } },
        { "c", 12, { 0xef, 10, 0, 9, 4, 0xd0, 0, 0x34, 2, 0, 'c', 0 } },
        { "ab", 32, { 0xe7, 0xff, 0xff, 9, 4,   0xd0, 0,   0x34, 4, 0, 0, 0, 0, 0, 0, 0,
                      3,    0,    0,    0, 'a', 0,    'b', 1,    0, 0, 0, 0, 0, 0, 0, 0 } },
        { "NULL", 16, { 0xe7, 0xff, 0xff, 9, 4, 0xd0, 0, 0x34, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff } },
        { "0x01", 20, { 0xa5, 0xff, 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 1, 0, 0, 0, 0 } },
        { "x", 20, { 0xf1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 'x', 0, 0, 0, 0, 0 } },
};
enum { PARAMETER_ROWS = sizeof parameter_rows / sizeof parameter_rows[0] };

static void test_parameters_of_every_type(void **state)
{
        struct fixture *fixture = *state;

        log_in(fixture);
        for (size_t i = 0; i < PARAMETER_ROWS; i++) {
                struct bytes calls = { .data = NULL };
                char expected[256];

                put_named_procedure(&calls, "p");
                put_name(&calls, "@v");
                put(&calls, parameter_rows[i].bytes, parameter_rows[i].size);
                put_int(&calls, "", 7);
                send_calls(fixture, &calls);
                snprintf(expected, sizeof expected, "p|@v=%s|=7", parameter_rows[i].reads);
                expect_call(fixture, TDS_REQUEST_RPC, expected);
                send_done(fixture);
                skip_message(fixture);
        }
}

/* Cut anywhere, a call is refused with the connection, and nothing is read behind its end. */
static void test_parameters_that_are_cut_off(void **state)
{
        (void)state;
        for (size_t i = 0; i < PARAMETER_ROWS; i++) {
                for (size_t size = 1; size < parameter_rows[i].size; size++) {
                        void *own;
                        struct fixture *fixture;
                        struct bytes calls = { .data = NULL };

                        set_up(&own);
                        fixture = own;
                        log_in(fixture);
                        put_named_procedure(&calls, "p");
                        put_name(&calls, "@v");
                        put(&calls, parameter_rows[i].bytes, size);
                        send_calls(fixture, &calls);
                        expect_failure(fixture, "damaged parameter");
                        tear_down(&own);
                }
        }
}

static void test_values_of_wrong_sizes(void **state)
{
        static const struct parameter_row rows[] = {
                { NULL, 6, { 0x26, 4, 3, 1, 2, 3 } },
                { NULL, 5, { 0x6d, 4, 2, 1, 2 } },
                { NULL, 5, { 0x68, 1, 2, 1, 2 } },
                { NULL, 5, { 0x24, 16, 2, 1, 2 } },
                { NULL, 8, { 0x6f, 8, 5, 1, 2, 3, 4, 5 } },
                { NULL, 9, { 0x3d, 0, 0, 0, 0x80, 0, 0, 0, 0 } },           /* a day long ago */
                { NULL, 9, { 0x3d, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f } },  /* more than a day */
                { NULL, 5, { 0x28, 3, 0xdb, 0xb9, 0x37 } },                 /* 10000-01-01 */
                { NULL, 6, { 0x29, 0, 3, 0x80, 0x51, 0x01 } },              /* 24:00:00 */
                { NULL, 6, { 0x29, 8, 3, 0, 0, 0 } },                       /* a scale of 8 */
                { NULL, 11, { 0x2b, 0, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xff } }, /* 0000-12-31 */
                { NULL, 6, { 0x6a, 5, 9, 39, 1, 1 } },                      /* a scale of 39 */
                { NULL, 5, { 0x6a, 5, 9, 2, 1 } },
                { NULL, 11, { 0xe7, 10, 0, 9, 4, 0xd0, 0, 0x34, 1, 0, 'a' } }, /* half a character */
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;
                struct bytes calls = { .data = NULL };

                set_up(&own);
                fixture = own;
                log_in(fixture);
                put_named_procedure(&calls, "p");
                put_name(&calls, "@v");
                put(&calls, rows[i].bytes, rows[i].size);
                send_calls(fixture, &calls);
                expect_failure(fixture, "damaged parameter");
                tear_down(&own);
        }
}

static void test_what_is_refused(void **state)
{
        static const struct {
                struct parameter_row row;
                const char *words;
        } rows[] = {
                { { NULL, 2, { 0xf3, 0 } }, "Parameter 1 is of type 0xf3 or encrypted, which is not read here." },
                { { NULL, 2, { 0x62, 0 } }, "Parameter 1 is of type 0x62 or encrypted, which is not read here." },
                { { NULL, 2, { 0xf1, 1 } }, "Parameter 1 is of type 0xf1 or encrypted, which is not read here." },
                { { NULL, 12, { 0xe7, 10, 0, 9, 4, 0xd0, 0, 0x34, 2, 0, 0, 0xd8 } },
                  "Parameter 1 holds U+0000, or what is no text." },
                { { NULL, 11, { 0xa7, 10, 0, 9, 4, 0xd0, 4, 0x34, 1, 0, 0xe9 } },
                  "Parameter 1 holds U+0000, or what is no text." },
                { { NULL, 11, { 0xa7, 10, 0, 9, 4, 0xd0, 0, 0x34, 1, 0, 0 } },
                  "Parameter 1 holds U+0000, or what is no text." },
        };
        struct fixture *fixture = *state;

        log_in(fixture);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct bytes calls = { .data = NULL };
                char expected[256];

                put_named_procedure(&calls, "p");
                put_name(&calls, "@v");
                put(&calls, rows[i].row.bytes, rows[i].row.size);
                send_calls(fixture, &calls);
                put_batch(&fixture->out, "next");
                send_out(fixture);
                expect_next(fixture, TDS_REQUEST_BATCH, "next");
                send_done(fixture);
                snprintf(expected, sizeof expected,
                         "error 50000 state 1 severity 16 '%s' from 'HERE' '' line 1\nstatus 50000\ndone-call 02 0\n",
                         rows[i].words);
                expect_answer(fixture->client, V74, expected);
                skip_message(fixture);
        }
}

static void test_calls_without_a_name(void **state)
{
        static const struct parameter_row rows[] = {
                { NULL, 0, { 0 } },
                { NULL, 2, { 0, 0 } },
                { NULL, 3, { 0xff, 0xff, 10 } },
                { NULL, 6, { 0xff, 0xff, 0, 0, 0, 0 } },
                { NULL, 6, { 0xff, 0xff, 16, 0, 0, 0 } },
                { NULL, 4, { 2, 0, 'a', 0 } },
                { NULL, 4, { 0x0c, 0x02, 'a', 0 } },
                { NULL, 5, { 1, 0, 'a', 0, 0 } },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                void *own;
                struct fixture *fixture;
                struct bytes calls = { .data = NULL };

                set_up(&own);
                fixture = own;
                log_in(fixture);
                put(&calls, rows[i].bytes, rows[i].size);
                send_calls(fixture, &calls);
                expect_failure(fixture, "TDS client");
                tear_down(&own);
        }
}

static void test_too_many_parameters(void **state)
{
        struct fixture *fixture = *state;
        struct bytes calls = { .data = NULL };

        log_in(fixture);
        put_named_procedure(&calls, "p");
        for (int i = 0; i <= TDS_PARAMETERS_MAX; i++)
                put_number(&calls, 0x1f0000, 3);
        send_calls(fixture, &calls);
        put_batch(&fixture->out, "next");
        send_out(fixture);
        expect_next(fixture, TDS_REQUEST_BATCH, "next");
        expect_answer(fixture->client, V74,
                      "error 50000 state 1 severity 16 'The call has too many parameters.' from 'HERE' '' line "
                      "1\nstatus 50000\n"
                      "done-call 02 0\n");
}

static void test_attention_between_calls(void **state)
{
        struct fixture *fixture = *state;
        struct bytes calls = { .data = NULL };

        log_in(fixture);
        for (int i = 0; i < 3; i++) {
                if (i > 0)
                        put_number(&calls, 0xff, 1);
                put_procedure(&calls, EXECUTE_SQL);
                put_nvarchar(&calls, "", "q");
        }
        send_calls(fixture, &calls);
        put_attention(&fixture->out);
        put_batch(&fixture->out, "after");
        send_out(fixture);
        expect_call(fixture, TDS_REQUEST_BATCH, "q");
        send_done(fixture);
        expect_call(fixture, TDS_REQUEST_BATCH, "q");
        assert_int_equal(tds_watch(fixture->session, -1), TDS_EVENT_ATTENTION);
        tds_send_done(fixture->session, &(struct tds_done){ .attention = true });
        expect_answer(fixture->client, V74, "status 0\ndone-call 01 0\ndone-call 02 0\n");
        expect_answer(fixture->client, V74, "done 20 0\n");
        expect_call(fixture, TDS_REQUEST_BATCH, "after");
        expect_silence_of_server(fixture);
}

static void test_statement_is_missing(void **state)
{
        static const uint16_t procedures[] = { EXECUTE_SQL, PREPARE, PREPARE_AND_EXECUTE };
        struct fixture *fixture = *state;

        log_in(fixture);
        for (size_t i = 0; i < sizeof procedures / sizeof procedures[0]; i++) {
                struct bytes calls = { .data = NULL };

                put_procedure(&calls, procedures[i]);
                if (i > 0)
                        put_null_handle(&calls);
                send_calls(fixture, &calls);
                put_batch(&fixture->out, "next");
                send_out(fixture);
                expect_next(fixture, TDS_REQUEST_BATCH, "next");
                send_done(fixture);
                expect_answer(fixture->client, V74,
                              "error 214 state 1 severity 16 'Procedure expects parameter '@statement' of type "
                              "'ntext/nchar/nvarchar'.' from 'HERE' '' line 1\nstatus 214\ndone-call 02 0\n");
                skip_message(fixture);
        }
}

int main(void)
{
#define WITH_CONNECTION(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                WITH_CONNECTION(test_execute_sql),
                WITH_CONNECTION(test_by_name_and_failing),
                WITH_CONNECTION(test_prepared_statements),
                WITH_CONNECTION(test_too_many_prepared_statements),
                WITH_CONNECTION(test_parameters_of_every_type),
                cmocka_unit_test(test_parameters_that_are_cut_off),
                cmocka_unit_test(test_values_of_wrong_sizes),
                WITH_CONNECTION(test_what_is_refused),
                cmocka_unit_test(test_calls_without_a_name),
                WITH_CONNECTION(test_too_many_parameters),
                WITH_CONNECTION(test_attention_between_calls),
                WITH_CONNECTION(test_statement_is_missing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
