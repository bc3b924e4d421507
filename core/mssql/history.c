#include "core/mssql/history.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/servers/json_text.h"
#include "core/mssql/internal.h"
#include "core/tsql/lexer.h"

enum kind {
        KIND_TEXT,
        KIND_LSN,
        KIND_GUID,
        KIND_TYPE, /* a letter */
        KIND_BIT,
        KIND_SIZE,
};

/* A column of msdb.dbo.backupset, which also is its name in JSON. */
struct field {
        const char *name;
        enum kind kind;
        size_t offset;
        size_t size;
};

#define FIELD(member) offsetof(struct mssql_backup_record, member), sizeof(((struct mssql_backup_record *)0)->member)

static const struct field fields[] = {
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

enum { FIELDS = sizeof fields / sizeof fields[0] };

/* The object's name in a report, which may come to hold more. */
static const char member[] = "backupset";

static const char digits[] = "0123456789";

static void *place(const struct field *field, struct mssql_backup_record *record)
{
        return (char *)record + field->offset;
}

static const void *place_const(const struct field *field, const struct mssql_backup_record *record)
{
        return (const char *)record + field->offset;
}

/* ---- from text ---- */

static bool is_guid(const char *text)
{
        static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        if (strlen(text) != sizeof form - 1)
                return false;
        for (size_t i = 0; form[i]; i++)
                if (form[i] == '-' ? text[i] != '-' : !strchr("0123456789abcdefABCDEF", text[i]))
                        return false;
        return true;
}

static bool is_sound(const struct field *field, const char *text)
{
        size_t length = strlen(text);

        if (length >= field->size && field->kind <= KIND_GUID)
                return false;
        switch (field->kind) {
        case KIND_TEXT:
                return true;
        case KIND_LSN:
                return strspn(text, digits) == length;
        case KIND_GUID:
                return !*text || is_guid(text);
        case KIND_TYPE:
                return length == 1 && strchr("DILFGPQ", *text);
        case KIND_BIT:
                return length == 1 && (*text == '0' || *text == '1');
        case KIND_SIZE:
                return length > 0 && length < 19 && strspn(text, digits) == length;
        }
        return false;
}

/* False when the column holds what it cannot. */
static bool set_field(const struct field *field, const char *text, struct mssql_backup_record *record)
{
        if (!is_sound(field, text))
                return false;
        switch (field->kind) {
        case KIND_TYPE:
                *(char *)place(field, record) = *text;
                break;
        case KIND_BIT:
                *(bool *)place(field, record) = *text == '1';
                break;
        case KIND_SIZE:
                *(uint64_t *)place(field, record) = strtoull(text, NULL, 10);
                break;
        default:
                memcpy(place(field, record), text, strlen(text) + 1);
                break;
        }
        return true;
}

static const char *skip_zeros(const char *lsn)
{
        while (lsn[0] == '0' && lsn[1])
                lsn++;
        return lsn;
}

int mssql_lsn_compare(const char *a, const char *b)
{
        size_t a_length = strlen(skip_zeros(a));
        size_t b_length = strlen(skip_zeros(b));

        if (a_length != b_length)
                return a_length < b_length ? -1 : 1;
        return strcmp(skip_zeros(a), skip_zeros(b));
}

/* ---- from msdb ---- */

struct search {
        struct mssql_backup_record *record;
        bool found;
        const char *unsound; /* name of a column */
};

static void read_record(const char *const *names, const struct mssql_value *values, size_t count, void *context)
{
        struct search *search = context;

        if (search->found)
                return;
        search->found = true;
        for (size_t i = 0; i < FIELDS; i++) {
                const char *text = mssql_column(names, values, count, fields[i].name);

                if (text && *text && !set_field(&fields[i], text, search->record))
                        search->unsound = fields[i].name;
        }
}

static char *history_query(const char *device_name)
{
        CLEANUP(freep) char *device = sql_quote_string(device_name);
        char *text = NULL;
        size_t size;
        FILE *query = open_memstream(&text, &size);

        if (!query)
                return NULL;
        for (size_t i = 0; i < FIELDS; i++)
                fprintf(query, "%ss.%s", i ? ", " : "SELECT ", fields[i].name);
        fprintf(query,
                " FROM msdb.dbo.backupset AS s JOIN msdb.dbo.backupmediafamily AS f ON f.media_set_id = s.media_set_id"
                " WHERE f.physical_device_name = %s ORDER BY s.backup_set_id DESC",
                device ? device : "N''");
        if (fclose(query) == 0 && device)
                return text;
        free(text);
        return NULL;
}

int mssql_history_find(struct mssql *connection, const char *device_name, struct mssql_backup_record *ret_record,
                       struct error *err)
{
        struct search search = { .record = ret_record };
        struct mssql_events events = { .row = read_record, .context = &search };
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

static json_t *encode_field(const struct field *field, const struct mssql_backup_record *record)
{
        const void *value = place_const(field, record);

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
        json_t *report = json_pack("{s:o}", member, object);
        char *text = NULL;
        bool sound = report != NULL;

        for (size_t i = 0; sound && i < FIELDS; i++)
                sound = json_object_set_new(object, fields[i].name, encode_field(&fields[i], record)) == 0;
        if (sound)
                text = json_dumps(report, JSON_COMPACT);
        json_decref(report);
        return text;
}

/* Text as set_field() takes it; NULL when it is of another kind. Allocated. */
static char *decode_text(const struct field *field, const json_t *value)
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

static int decode_field(const struct field *field, const json_t *value, struct mssql_backup_record *record,
                        struct error *err)
{
        CLEANUP(freep) char *text = value ? decode_text(field, value) : NULL;

        if (!value && field->kind != KIND_TYPE)
                return 0;
        if (!text || !set_field(field, text, record))
                return error_raise(err, ERR_DAMAGED, "the backup's record has no sound \"%s\"", field->name);
        return 0;
}

int mssql_record_decode(const char *json, struct mssql_backup_record *ret_record, struct error *err)
{
        json_t *report = json_loads(json, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        const json_t *object = json_object_get(report, member);
        int rc = 0;

        *ret_record = (struct mssql_backup_record){ 0 };
        if (!json_is_object(object))
                rc = error_raise(err, ERR_DAMAGED, "there is no record of a SQL Server's backup");
        for (size_t i = 0; rc == 0 && i < FIELDS; i++)
                rc = decode_field(&fields[i], json_object_get(object, fields[i].name), ret_record, err);
        json_decref(report);
        return rc;
}
