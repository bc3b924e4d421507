#include "codecs/stream/record.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/base/label.h"
#include "codecs/stream/json.h"
#include "core/base/bytes.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"

static const char record_tag[4] = { 'V', 'D', 'I', 'S' };

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
        memcpy(frame + 8, record_tag, sizeof record_tag);
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
        return size >= 12 && get_le32(prefix) == RECORD_MAGIC && memcmp(prefix + 8, record_tag, sizeof record_tag) == 0;
}

size_t record_size(const uint8_t *prefix)
{
        size_t size = (size_t)get_le32(prefix + 4) + 8;

        return size >= RECORD_OVERHEAD && size <= RECORD_PAYLOAD_MAX + 8 ? size : 0;
}

enum record_result record_parse(const uint8_t *frame, size_t size, struct record *ret_record)
{
        static const uint8_t types[] = { RECORD_HEADER,  RECORD_COMPLETE, RECORD_VERDICT,
                                         RECORD_ABORTED, RECORD_MARK,     RECORD_PADDING };

        if (!record_is_ours(frame, size))
                return RECORD_FOREIGN;
        if (size < RECORD_OVERHEAD || get_le32(frame + 4) != size - 8)
                return RECORD_DAMAGED;
        if (get_le64(frame + size - RECORD_SUFFIX) != hash_record(frame, size - RECORD_SUFFIX))
                return RECORD_DAMAGED;
        if (frame[12] != RECORD_VERSION || !memchr(types, frame[13], sizeof types) || frame[14] != 0 || frame[15] != 0)
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

static int build_json_record(enum record_type type, const json_t *object, uint8_t **ret_frame, size_t *ret_size,
                             struct error *err)
{
        CLEANUP(freep) char *text = json_dumps(object, JSON_COMPACT);

        return text ? record_build(type, text, strlen(text), ret_frame, ret_size, err) : error_no_memory(err);
}

int record_verdict_build(const char *set_id, uint32_t device, const char *report_json, uint8_t **ret_frame,
                         size_t *ret_size, struct error *err)
{
        CLEANUP(json_decrefp)
        json_t *root = json_pack("{s:s, s:s, s:I}", "verdict", "success", "set", set_id, "device", (json_int_t)device);

        if (!root || (report_json && json_object_set_new(root, "report", report_value(report_json)) < 0))
                return error_no_memory(err);
        return build_json_record(RECORD_VERDICT, root, ret_frame, ret_size, err);
}

int record_verdict_check(const struct record *record, const struct stream_info *info, const char *label,
                         uint64_t position, char **ret_report, struct error *err)
{
        CLEANUP(json_decrefp) json_t *root = NULL;
        const char *verdict, *set;
        const json_t *device, *report;

        *ret_report = NULL;
        if (json_parse_object((const char *)record->body, record->body_size, &root) < 0)
                return error_no_memory(err);
        verdict = json_string_value(json_object_get(root, "verdict"));
        set = json_string_value(json_object_get(root, "set"));
        device = json_object_get(root, "device");
        report = json_object_get(root, "report");
        if (!verdict || !set || !json_is_integer(device) || (report && !json_is_object(report)))
                return raise_damaged_at(label, position, "its verdict cannot be understood", err);
        if (strcmp(verdict, "success") != 0)
                return raise_damaged_at(label, position, "its verdict is not success", err);
        if (strcmp(set, info->set_id) != 0 || json_integer_value(device) != (json_int_t)info->device)
                return raise_damaged_at(label, position, "its verdict belongs to another stream", err);
        if (report)
                *ret_report = json_dumps(report, JSON_COMPACT);
        return !report || *ret_report ? 0 : error_no_memory(err);
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

        if (!root || !cut || json_put_bytes(root, "reason", cut) < 0)
                return error_no_memory(err);
        return build_json_record(RECORD_ABORTED, root, ret_frame, ret_size, err);
}

int record_raise_aborted(const struct record *record, const char *label, struct error *err)
{
        CLEANUP(json_decrefp) json_t *root = NULL;
        CLEANUP(freep) char *reason = NULL;
        CLEANUP(freep) char *shown = NULL;

        if (json_parse_object((const char *)record->body, record->body_size, &root) > 0 &&
            json_get_bytes(root, "reason", &reason) > 0)
                shown = text_escape(reason, strlen(reason));
        return error_raise(err, ERR_DAMAGED, "%s: the backup was aborted: %s", label,
                           shown ? shown : (reason ? "" : "no reason was recorded"));
}

int record_raise_unconfirmed(const char *label, uint64_t end, struct error *err)
{
        return error_raise(err, ERR_UNCONFIRMED,
                           "%s holds all data, but ends at byte %llu before the server's verdict: the backup may have "
                           "failed; --accept-unconfirmed takes it nevertheless",
                           label, (unsigned long long)end);
}
