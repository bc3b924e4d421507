#include <errno.h>

#include <jansson.h>

#include "core/base/cleanup.h"
#include "core/servers/fields.h"
#include "core/servers/json_text.h"
#include "core/servers/report.h"
#include "core/tsql/statement.h"

/* What the statement says is not said a second time. */
static const struct field_spec job_fields[] = {
        FIELD(server_job, kind, FIELD_BYTES, 0, 0),
        FIELD(server_job, spool_dir, FIELD_BYTES, 0, 0),
        FIELD(server_job, max_wal, FIELD_NUMBER, 0, INT64_MAX),
        FIELD(server_job, busy_timeout_ms, FIELD_NUMBER, INT64_MIN, INT64_MAX),
        FIELD(server_job, max_lock_ms, FIELD_NUMBER, INT64_MIN, INT64_MAX),
        FIELD(server_job, client_is_parent, FIELD_NUMBER, 0, 1),
        FIELD(server_job, as_uid, FIELD_NUMBER, 0, UINT32_MAX),
        FIELD(server_job, as_owner, FIELD_NUMBER, 0, 1),
        FIELD(server_job, immutable, FIELD_NUMBER, 0, 1),
        FIELD(server_job, replace, FIELD_NUMBER, 0, SERVER_REPLACE_ASIDE),
        FIELD(server_job, check, FIELD_NUMBER, 0, SERVER_CHECK_FULL),
        FIELD(server_job, has_parts, FIELD_NUMBER, 0, 1),
        FIELD(server_job, has_owner, FIELD_NUMBER, 0, 1),
        FIELD(server_job, uid, FIELD_NUMBER, 0, UINT32_MAX),
        FIELD(server_job, gid, FIELD_NUMBER, 0, UINT32_MAX),
        FIELD(server_job, mode, FIELD_NUMBER, 0, 07777),
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

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

int server_job_encode(const struct server_job *job, char **ret_json, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = fields_encode(job_fields, COUNT(job_fields), job);
        CLEANUP(freep) char *statement = server_job_statement(job);

        *ret_json = NULL;
        if (root && statement && json_object_set_new(root, "statement", json_text_make(statement)) == 0 &&
            json_object_set_new(root, "parts", server_parts_encode(job->parts, job->device_count)) == 0)
                *ret_json = json_dumps(root, JSON_COMPACT);
        return *ret_json ? 0 : error_raise_errno(err, ENOMEM, "cannot describe the job to the server process");
}

static bool job_decode_statement(const json_t *value, struct server_job *job)
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
static const char *job_decode_members(const json_t *root, struct server_job *job)
{
        const json_t *parts = json_object_get(root, "parts");
        const char *wrong;

        if (!job_decode_statement(json_object_get(root, "statement"), job))
                return "statement";
        wrong = fields_decode(job_fields, COUNT(job_fields), root, job);
        if (wrong)
                return wrong;
        if (!job->kind)
                return "kind";
        return json_array_size(parts) == job->device_count && server_parts_decode(parts, job->parts) ? NULL : "parts";
}

int server_job_decode(const char *json, struct server_job *ret_job, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = json_loads(json, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        const char *wrong;

        *ret_job = (struct server_job){ 0 };
        if (!json_is_object(root))
                return error_raise(err, ERR_PROTOCOL, "the job for the server process is not JSON");
        wrong = job_decode_members(root, ret_job);
        if (!wrong)
                return 0;
        server_job_deinit(ret_job);
        return error_raise(err, ERR_PROTOCOL, "the job for the server process has no valid '%s'", wrong);
}
