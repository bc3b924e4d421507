#include "core/mssql/history.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/servers/json_text.h"
#include "core/mssql/internal.h"
#include "core/tsql/writer.h"

enum column_kind {
        KIND_TEXT,
        KIND_LSN,
        KIND_GUID,
        KIND_TYPE, /* a letter */
        KIND_BIT,
        KIND_SIZE,
};

/* A column of msdb.dbo.backupset, which also is its name in JSON. */
struct record_field {
        const char *name;
        enum column_kind kind;
        size_t offset;
        size_t size;
};

#define FIELD(member) offsetof(struct mssql_backup_record, member), sizeof(((struct mssql_backup_record *)0)->member)

static const struct record_field record_fields[] = {
        { "backup_set_uuid", KIND_GUID, FIELD(backup_set) },
        { "database_name", KIND_TEXT, FIELD(database) },
        { "server_name", KIND_TEXT, FIELD(server) },
        { "type", KIND_TYPE, FIELD(type) },
        { "is_copy_only", KIND_BIT, FIELD(copy_only) },
        { "is_damaged", KIND_BIT, FIELD(damaged) },
        { "has_backup_checksums", KIND_BIT, FIELD(has_checksums) },
        { "backup_start_date", KIND_TEXT, FIELD(started) },
        { "backup_finish_date", KIND_TEXT, FIELD(finished) },
        { "first_lsn", KIND_LSN, FIELD(first_lsn) },
        { "last_lsn", KIND_LSN, FIELD(last_lsn) },
        { "checkpoint_lsn", KIND_LSN, FIELD(checkpoint_lsn) },
        { "database_backup_lsn", KIND_LSN, FIELD(database_backup_lsn) },
        { "differential_base_lsn", KIND_LSN, FIELD(differential_base_lsn) },
        { "differential_base_guid", KIND_GUID, FIELD(differential_base) },
        { "first_recovery_fork_guid", KIND_GUID, FIELD(first_recovery_fork) },
        { "last_recovery_fork_guid", KIND_GUID, FIELD(last_recovery_fork) },
        { "fork_point_lsn", KIND_LSN, FIELD(fork_point_lsn) },
        { "family_guid", KIND_GUID, FIELD(family) },
        { "backup_size", KIND_SIZE, FIELD(size) },
        { "recovery_model", KIND_TEXT, FIELD(recovery_model) },
};

enum { FIELDS = sizeof record_fields / sizeof record_fields[0] };

/* The object's name in a report, which may come to hold more. */
static const char record_member[] = "backupset";

static void *field_place(const struct record_field *field, const struct mssql_backup_record *record)
{
        return (char *)(uintptr_t)record + field->offset;
}

/* ---- from text ---- */

static bool text_is_guid(const char *text)
{
        static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        if (strlen(text) != sizeof form - 1)
                return false;
        for (size_t i = 0; form[i]; i++)
                if (form[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
                        return false;
        return true;
}

/* False when the column holds what it cannot. */
static bool field_set(const struct record_field *field, const char *text, struct mssql_backup_record *record)
{
        void *place = field_place(field, record);
        size_t length = strlen(text);
        bool is_number = strspn(text, "0123456789") == length;

        switch (field->kind) {
        case KIND_TYPE:
                *(char *)place = *text;
                return length == 1 && strchr("DILFGPQ", *text);
        case KIND_BIT:
                *(bool *)place = *text == '1';
                return length == 1 && (*text == '0' || *text == '1');
        case KIND_SIZE:
                *(uint64_t *)place = strtoull(text, NULL, 10);
                return length > 0 && length < 19 && is_number;
        default:
                if (length >= field->size || (field->kind == KIND_LSN && !is_number) ||
                    (field->kind == KIND_GUID && *text && !text_is_guid(text)))
                        return false;
                memcpy(place, text, length + 1);
                return true;
        }
}

static const char *lsn_digits(const char *lsn)
{
        while (lsn[0] == '0' && lsn[1])
                lsn++;
        return lsn;
}

int mssql_lsn_compare(const char *a, const char *b)
{
        size_t a_length = strlen(lsn_digits(a));
        size_t b_length = strlen(lsn_digits(b));

        if (a_length != b_length)
                return a_length < b_length ? -1 : 1;
        return strcmp(lsn_digits(a), lsn_digits(b));
}

/* ---- from msdb ---- */

struct history_search {
        struct mssql_backup_record *record;
        bool found;
        const char *unsound; /* name of a column */
};

static void history_read(const struct mssql_row *row, void *context)
{
        struct history_search *search = context;

        if (search->found)
                return;
        search->found = true;
        for (size_t i = 0; i < FIELDS; i++) {
                const char *text = mssql_column(row, record_fields[i].name);

                if (text && *text && !field_set(&record_fields[i], text, search->record))
                        search->unsound = record_fields[i].name;
        }
}

static char *history_query(const char *device_name)
{
        struct statement_writer query;

        if (statement_writer_begin(&query) < 0)
                return NULL;
        for (size_t i = 0; i < FIELDS; i++)
                fprintf(query.stream, "%ss.%s", i ? ", " : "SELECT ", record_fields[i].name);
        fputs(" FROM msdb.dbo.backupset AS s JOIN msdb.dbo.backupmediafamily AS f ON f.media_set_id = s.media_set_id"
              " WHERE f.physical_device_name = ",
              query.stream);
        statement_put_string(&query, device_name);
        fputs(" ORDER BY s.backup_set_id DESC", query.stream);
        return statement_writer_finish(&query);
}

int mssql_history_find(struct mssql *connection, const char *device_name, struct mssql_backup_record *ret_record,
                       struct error *err)
{
        struct history_search search = { .record = ret_record };
        struct mssql_events events = { .row = history_read, .context = &search };
        CLEANUP(freep) char *query = history_query(device_name);

        *ret_record = (struct mssql_backup_record){ 0 };
        if (!query)
                return error_no_memory(err);
        if (mssql_execute(connection, query, MSSQL_QUERY_TIMEOUT_MS, &events, err) < 0)
                return error_prefix(err, "the history in msdb: ");
        if (search.unsound)
                return error_raise(err, ERR_FAILED, "the history in msdb: %s is not what it should be", search.unsound);
        return search.found && ret_record->type ? 0 : 1;
}

/* ---- as JSON ---- */

static json_t *field_encode(const struct record_field *field, const struct mssql_backup_record *record)
{
        const void *value = field_place(field, record);

        switch (field->kind) {
        case KIND_TYPE:
                return json_stringn(value, *(const char *)value ? 1 : 0);
        case KIND_BIT:
                return json_boolean(*(const bool *)value);
        case KIND_SIZE:
                return json_integer((json_int_t) * (const uint64_t *)value);
        case KIND_LSN:
        case KIND_GUID:
                return *(const char *)value ? json_string(value) : json_null();
        default:
                return json_text_make(value);
        }
}

char *mssql_record_encode(const struct mssql_backup_record *record)
{
        json_t *object = json_object();
        json_t *report = json_pack("{s:o}", record_member, object);
        char *text = NULL;
        bool sound = report != NULL;

        for (size_t i = 0; sound && i < FIELDS; i++)
                sound = json_object_set_new(object, record_fields[i].name, field_encode(&record_fields[i], record)) ==
                        0;
        if (sound)
                text = json_dumps(report, JSON_COMPACT);
        json_decref(report);
        return text;
}

/* Text as field_set() takes it; NULL when it is of another kind. Allocated. */
static char *field_decode_text(const struct record_field *field, const json_t *value)
{
        char *text = NULL;

        if (field->kind == KIND_BIT)
                return json_is_boolean(value) ? strdup(json_is_true(value) ? "1" : "0") : NULL;
        if (field->kind == KIND_SIZE) {
                if (!json_is_integer(value) || asprintf(&text, "%" JSON_INTEGER_FORMAT, json_integer_value(value)) < 0)
                        return NULL;
                return text;
        }
        if (!json_text_get(value, &text))
                return NULL;
        return text ? text : strdup("");
}

static int field_decode(const struct record_field *field, const json_t *value, struct mssql_backup_record *record,
                        struct error *err)
{
        CLEANUP(freep) char *text = value ? field_decode_text(field, value) : NULL;

        if (!value && field->kind != KIND_TYPE)
                return 0;
        if (!text || !field_set(field, text, record))
                return error_raise(err, ERR_DAMAGED, "the backup's record has no sound \"%s\"", field->name);
        return 0;
}

int mssql_record_decode(const char *json, struct mssql_backup_record *ret_record, struct error *err)
{
        json_t *report = json_loads(json, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        const json_t *object = json_object_get(report, record_member);
        int rc = 0;

        *ret_record = (struct mssql_backup_record){ 0 };
        if (!json_is_object(object))
                rc = error_raise(err, ERR_DAMAGED, "there is no record of a SQL Server's backup");
        for (size_t i = 0; rc == 0 && i < FIELDS; i++)
                rc = field_decode(&record_fields[i], json_object_get(object, record_fields[i].name), ret_record, err);
        json_decref(report);
        return rc;
}
