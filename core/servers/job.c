#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/base/cleanup.h"
#include "core/servers/server.h"
#include "core/servers/json_text.h"
#include "core/tsql/statement.h"

/* Where a field lives and what it may hold: both directions read these tables. */
struct text_field {
        const char *key;
        size_t at;
        bool required;
};

struct number_field {
        const char *key;
        size_t at;
        size_t size;
        uint64_t max;
};

#define JOB_TEXT(name, required)                                   \
        {                                                          \
#name, offsetof(struct server_job, name), required \
        }
#define JOB_NUMBER(name, max)                                                                            \
        {                                                                                                \
#name, offsetof(struct server_job, name), sizeof(((struct server_job *)NULL)->name), max \
        }

/* What the statement says is not said a second time. */
static const struct text_field text_fields[] = {
        JOB_TEXT(kind, true),
        JOB_TEXT(spool_dir, false),
};

/* The two times may be negative, for "no limit": they travel as their two's complement. */
static const struct number_field number_fields[] = {
        JOB_NUMBER(max_wal, INT64_MAX),
        JOB_NUMBER(client_is_parent, 1),
        JOB_NUMBER(immutable, 1),
        JOB_NUMBER(replace, SERVER_REPLACE_ASIDE),
        JOB_NUMBER(check, SERVER_CHECK_FULL),
        JOB_NUMBER(has_parts, 1),
        JOB_NUMBER(has_owner, 1),
        JOB_NUMBER(uid, UINT32_MAX),
        JOB_NUMBER(gid, UINT32_MAX),
        JOB_NUMBER(mode, 07777),
};

static const struct number_field signed_fields[] = {
        JOB_NUMBER(busy_timeout_ms, 0),
        JOB_NUMBER(max_lock_ms, 0),
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static void json_releasep(json_t **json)
{
        json_decref(*json);
        *json = NULL;
}

static uint64_t load_number(const struct server_job *job, const struct number_field *field)
{
        const void *at = (const char *)job + field->at;

        switch (field->size) {
        case 1:
                return *(const uint8_t *)at;
        case 4:
                return *(const uint32_t *)at;
        default:
                return *(const uint64_t *)at;
        }
}

static void store_number(struct server_job *job, const struct number_field *field, uint64_t number)
{
        void *at = (char *)job + field->at;

        switch (field->size) {
        case 1:
                *(uint8_t *)at = (uint8_t)number;
                break;
        case 4:
                *(uint32_t *)at = (uint32_t)number;
                break;
        default:
                *(uint64_t *)at = number;
                break;
        }
}

void server_job_deinit(struct server_job *job)
{
        char **const texts[] = {
                &job->logical_name, &job->kind,        &job->database,    &job->shown_database, &job->set_name,
                &job->spool_dir,    &job->backup_name, &job->description, &job->media_name,     &job->media_description,
        };

        for (size_t i = 0; i < COUNT(texts); i++)
                freep(texts[i]);
        for (size_t i = 0; i < VDS_DEVICES_MAX; i++)
                freep(&job->devices[i]);
}

static bool encode_parts(const struct server_job *job, json_t *root)
{
        json_t *parts = json_array();
        bool sound = json_object_set_new(root, "parts", parts) == 0;

        for (uint32_t i = 0; sound && i < job->device_count && i < VDS_DEVICES_MAX; i++)
                sound = json_array_append_new(parts, json_pack("[I,I]", (json_int_t)job->parts[i].offset,
                                                               (json_int_t)job->parts[i].length)) == 0;
        return sound;
}

int server_job_encode(const struct server_job *job, char **ret_json, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = json_object();
        CLEANUP(freep) char *statement = server_job_statement(job);
        bool sound = root && statement && json_object_set_new(root, "statement", json_text_make(statement)) == 0;

        for (size_t i = 0; sound && i < COUNT(text_fields); i++) {
                char *text;

                memcpy(&text, (const char *)job + text_fields[i].at, sizeof text);
                sound = json_object_set_new(root, text_fields[i].key, json_text_make(text)) == 0;
        }
        for (size_t i = 0; sound && i < COUNT(number_fields); i++)
                sound = json_object_set_new(root, number_fields[i].key,
                                            json_integer((json_int_t)load_number(job, &number_fields[i]))) == 0;
        for (size_t i = 0; sound && i < COUNT(signed_fields); i++)
                sound = json_object_set_new(root, signed_fields[i].key,
                                            json_integer((json_int_t)load_number(job, &signed_fields[i]))) == 0;
        sound = sound && encode_parts(job, root);
        *ret_json = sound ? json_dumps(root, JSON_COMPACT) : NULL;
        return *ret_json ? 0 : error_raise_errno(err, ENOMEM, "cannot describe the job to the server process");
}

static bool decode_part(const json_t *value, struct server_part *part)
{
        const json_t *offset = json_array_get(value, 0);
        const json_t *length = json_array_get(value, 1);

        if (json_array_size(value) != 2 || !json_is_integer(offset) || !json_is_integer(length) ||
            json_integer_value(offset) < 0 || json_integer_value(length) < 0 ||
            json_integer_value(offset) > INT64_MAX - json_integer_value(length))
                return false;
        part->offset = (uint64_t)json_integer_value(offset);
        part->length = (uint64_t)json_integer_value(length);
        return true;
}

static bool decode_statement(const json_t *value, struct server_job *job)
{
        CLEANUP(freep) char *text = NULL;
        struct server_message message;
        struct statement statement;
        bool sound;

        if (!json_text_get(value, &text) || !text)
                return false;
        sound = statement_parse(text, &statement, &message) == 0 &&
                server_job_from_statement(job, &statement, &message) == 0;
        statement_deinit(&statement);
        return sound;
}

/* Names the first member that is wrong; NULL when all are right. */
static const char *decode_members(const json_t *root, struct server_job *job)
{
        const json_t *parts = json_object_get(root, "parts");

        if (!decode_statement(json_object_get(root, "statement"), job))
                return "statement";

        for (size_t i = 0; i < COUNT(text_fields); i++) {
                char *text = NULL;

                if (!json_text_get(json_object_get(root, text_fields[i].key), &text))
                        return text_fields[i].key;
                freep((char *)job + text_fields[i].at);
                memcpy((char *)job + text_fields[i].at, &text, sizeof text);
                if (!text && text_fields[i].required)
                        return text_fields[i].key;
        }
        for (size_t i = 0; i < COUNT(number_fields); i++) {
                uint64_t number = load_number(job, &number_fields[i]);

                if (!json_number_get(root, number_fields[i].key, number_fields[i].max, &number))
                        return number_fields[i].key;
                store_number(job, &number_fields[i], number);
        }
        for (size_t i = 0; i < COUNT(signed_fields); i++) {
                const json_t *value = json_object_get(root, signed_fields[i].key);

                if (!json_is_integer(value))
                        return signed_fields[i].key;
                store_number(job, &signed_fields[i], (uint64_t)json_integer_value(value));
        }
        if (json_array_size(parts) != job->device_count)
                return "parts";
        for (uint32_t i = 0; i < job->device_count; i++)
                if (!decode_part(json_array_get(parts, i), &job->parts[i]))
                        return "parts";
        return NULL;
}

int server_job_decode(const char *json, struct server_job *ret_job, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        const char *wrong;

        *ret_job = (struct server_job){ 0 };
        if (!json_is_object(root))
                return error_raise(err, ERR_PROTOCOL, "the job for the server process is not JSON");
        wrong = decode_members(root, ret_job);
        if (!wrong)
                return 0;
        server_job_deinit(ret_job);
        return error_raise(err, ERR_PROTOCOL, "the job for the server process has no valid '%s'", wrong);
}
