#include "codecs/stream/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/base/bytes.h"
#include "codecs/stream/json.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"

static const char tag[4] = { 'V', 'D', 'I', 'S' };

int record_build(enum record_type type, const void *body, size_t body_size, uint8_t **ret_frame, size_t *ret_size,
                 struct error *err)
{
        size_t size = RECORD_OVERHEAD + body_size;
        uint8_t *frame;

        if (body_size > RECORD_BODY_MAX)
                return error_raise(err, ERR_FAILED, "a record of %zu bytes does not fit a vdi stream", body_size);
        frame = calloc(1, size);
        if (!frame)
                return error_no_memory(err);
        put_le32(frame, RECORD_MAGIC);
        put_le32(frame + 4, (uint32_t)(size - 8));
        memcpy(frame + 8, tag, sizeof tag);
        frame[12] = RECORD_VERSION;
        frame[13] = (uint8_t)type;
        if (body_size > 0)
                memcpy(frame + RECORD_PREFIX, body, body_size);
        put_le64(frame + size - RECORD_SUFFIX, hash_record(frame, size - RECORD_SUFFIX));
        *ret_frame = frame;
        *ret_size = size;
        return 0;
}

bool record_is_ours(const uint8_t *prefix, size_t size)
{
        return size >= 12 && get_le32(prefix) == RECORD_MAGIC && memcmp(prefix + 8, tag, sizeof tag) == 0;
}

static bool is_known_type(uint8_t type)
{
        static const uint8_t known[] = { RECORD_HEADER,  RECORD_COMPLETE, RECORD_VERDICT,
                                         RECORD_ABORTED, RECORD_MARK,     RECORD_PADDING };

        for (size_t i = 0; i < sizeof known; i++)
                if (known[i] == type)
                        return true;
        return false;
}

enum record_result record_parse(const uint8_t *frame, size_t size, struct record *ret_record)
{
        if (!record_is_ours(frame, size))
                return RECORD_FOREIGN;
        if (size < RECORD_OVERHEAD || get_le32(frame + 4) != size - 8)
                return RECORD_DAMAGED;
        if (get_le64(frame + size - RECORD_SUFFIX) != hash_record(frame, size - RECORD_SUFFIX))
                return RECORD_DAMAGED;
        if (frame[12] != RECORD_VERSION || !is_known_type(frame[13]))
                return RECORD_NEWER;
        if (frame[14] != 0 || frame[15] != 0)
                return RECORD_NEWER;
        ret_record->type = frame[13];
        ret_record->body = frame + RECORD_PREFIX;
        ret_record->body_size = size - RECORD_OVERHEAD;
        return RECORD_OK;
}

void record_complete_encode(const struct record_complete *complete, uint8_t ret_body[RECORD_COMPLETE_BODY])
{
        put_le64(ret_body, complete->data_bytes);
        put_le64(ret_body + 8, complete->stream_bytes);
        memcpy(ret_body + 16, complete->digest, DIGEST_SIZE);
}

bool record_complete_decode(const struct record *record, struct record_complete *ret_complete)
{
        if (record->type != RECORD_COMPLETE || record->body_size != RECORD_COMPLETE_BODY)
                return false;
        ret_complete->data_bytes = get_le64(record->body);
        ret_complete->stream_bytes = get_le64(record->body + 8);
        memcpy(ret_complete->digest, record->body + 16, DIGEST_SIZE);
        return true;
}

int record_mark_build(uint32_t mark_size, uint8_t **ret_frame, struct error *err)
{
        uint8_t body[RECORD_MARK_BODY];
        size_t size;

        put_le32(body, mark_size);
        return record_build(RECORD_MARK, body, sizeof body, ret_frame, &size, err);
}

bool record_mark_decode(const struct record *record, uint32_t *ret_mark_size)
{
        if (record->type != RECORD_MARK || record->body_size != RECORD_MARK_BODY)
                return false;
        *ret_mark_size = get_le32(record->body);
        return true;
}

/* What the server reported must not be able to spoil a backup that succeeded. */
static json_t *report_value(const char *report_json)
{
        CLEANUP(freep) char *escaped = NULL;
        json_t *value;

        if (strlen(report_json) > RECORD_BODY_MAX / 8)
                return json_pack("{s:s}", "omitted", "too large");
        if (json_parse_object(report_json, strlen(report_json), &value) > 0)
                return value;
        escaped = text_escape(report_json, strlen(report_json));
        return escaped ? json_pack("{s:s}", "text", escaped) : NULL;
}

int record_verdict_build(const char *set_id, uint32_t device, const char *report_json, uint8_t **ret_frame,
                         size_t *ret_size, struct error *err)
{
        CLEANUP(json_decrefp) json_t *root = json_object();
        CLEANUP(freep) char *text = NULL;

        if (!root || json_object_set_new(root, "verdict", json_string("success")) < 0 ||
            json_object_set_new(root, "set", json_string(set_id)) < 0 ||
            json_object_set_new(root, "device", json_integer(device)) < 0)
                return error_no_memory(err);
        if (report_json && json_object_set_new(root, "report", report_value(report_json)) < 0)
                return error_no_memory(err);
        text = json_dumps(root, JSON_COMPACT);
        if (!text)
                return error_no_memory(err);
        return record_build(RECORD_VERDICT, text, strlen(text), ret_frame, ret_size, err);
}

int record_verdict_check(const struct record *record, const char *set_id, uint32_t device, char **ret_report,
                         const char **ret_fault)
{
        CLEANUP(json_decrefp) json_t *root = NULL;
        const char *verdict;
        const char *set;
        json_t *number;
        json_t *report;

        *ret_report = NULL;
        if (json_parse_object((const char *)record->body, record->body_size, &root) < 0)
                return -1;
        verdict = json_string_value(json_object_get(root, "verdict"));
        set = json_string_value(json_object_get(root, "set"));
        number = json_object_get(root, "device");
        report = json_object_get(root, "report");
        *ret_fault = "its verdict cannot be understood";
        if (!verdict || !set || !json_is_integer(number) || (report && !json_is_object(report)))
                return 0;
        *ret_fault = "its verdict is not success";
        if (strcmp(verdict, "success") != 0)
                return 0;
        *ret_fault = "its verdict belongs to another stream";
        if (strcmp(set, set_id) != 0 || json_integer_value(number) != (json_int_t)device)
                return 0;
        if (report)
                *ret_report = json_dumps(report, JSON_COMPACT);
        return !report || *ret_report ? 1 : -1;
}

/* Cuts between characters, so that what is left stays UTF-8 if it was. */
static char *cut_reason(const char *reason)
{
        size_t n = strlen(reason);

        if (n > RECORD_REASON_MAX) {
                n = RECORD_REASON_MAX;
                while (n > RECORD_REASON_MAX - 4 && (reason[n] & 0xC0) == 0x80)
                        n--;
        }
        return strndup(reason, n);
}

int record_aborted_build(const char *reason, uint8_t **ret_frame, size_t *ret_size, struct error *err)
{
        CLEANUP(json_decrefp) json_t *root = json_object();
        CLEANUP(freep) char *cut = cut_reason(reason);
        CLEANUP(freep) char *text = NULL;

        if (!root || !cut || json_put_bytes(root, "reason", cut) < 0)
                return error_no_memory(err);
        text = json_dumps(root, JSON_COMPACT);
        if (!text)
                return error_no_memory(err);
        return record_build(RECORD_ABORTED, text, strlen(text), ret_frame, ret_size, err);
}

char *record_aborted_reason(const struct record *record)
{
        CLEANUP(json_decrefp) json_t *root = NULL;
        CLEANUP(freep) char *reason = NULL;

        int found = json_parse_object((const char *)record->body, record->body_size, &root);

        if (found > 0)
                found = json_get_bytes(root, "reason", &reason);
        if (found <= 0)
                return strdup("no reason was recorded");
        return text_escape(reason, strlen(reason));
}
