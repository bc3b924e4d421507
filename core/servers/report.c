#include "core/servers/report.h"

#include <errno.h>
#include <stdio.h>

#include "core/base/cleanup.h"
#include "core/base/sqlite_header.h"
#include "core/servers/fields.h"
#include "core/servers/json_text.h"

/* ---- the verdict ---- */

/* False when the text has no room for messages of that length. */
static bool report_encode_cut(const struct server_report *report, size_t length, char text[VDS_TEXT_MAX])
{
        char message[ERROR_MESSAGE_MAX];
        char note[ERROR_MESSAGE_MAX];
        CLEANUP(json_releasep) json_t *root = NULL;
        size_t size;

        json_text_printable(report->message, message, length);
        json_text_printable(report->note, note, length);
        root = json_pack("{s:i,s:s,s:s}", "code", (int)report->code, "message", message, "note", note);
        size = root ? json_dumpb(root, text, VDS_TEXT_MAX - 1, JSON_COMPACT) : 0;
        if (size == 0 || size > VDS_TEXT_MAX - 1)
                return false;
        text[size] = '\0';
        return true;
}

void server_report_encode(const struct server_report *report, char text[VDS_TEXT_MAX])
{
        size_t length = ERROR_MESSAGE_MAX;

        while (length > 1 && !report_encode_cut(report, length, text))
                length /= 2;
        if (length <= 1)
                snprintf(text, VDS_TEXT_MAX, "{\"code\":%d,\"message\":\"\",\"note\":\"\"}", (int)report->code);
}

void server_report_decode(const char *text, struct server_report *ret_report)
{
        CLEANUP(json_releasep) json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        const char *message = json_string_value(json_object_get(root, "message"));
        const char *note = json_string_value(json_object_get(root, "note"));
        const json_t *code = json_object_get(root, "code");

        *ret_report = (struct server_report){ .code = ERR_FAILED };
        if (!message || !note || !json_is_integer(code) || json_integer_value(code) < 0 ||
            json_integer_value(code) >= ERR_CODE_COUNT) {
                json_text_printable(text, ret_report->message, sizeof ret_report->message);
                return;
        }
        ret_report->code = (enum err_code)json_integer_value(code);
        json_text_printable(message, ret_report->message, sizeof ret_report->message);
        json_text_printable(note, ret_report->note, sizeof ret_report->note);
}

/* ---- the description ---- */

static const struct field_spec report_info_fields[] = {
        FIELD(server_info, kind, FIELD_NAME, 0, 0),
        FIELD(server_info, version, FIELD_NAME, 0, 0),
        FIELD(server_info, page_size, FIELD_NUMBER, 0, 65536),
        FIELD(server_info, size, FIELD_NUMBER, 0, INT64_C(1) << 48), /* 2^32 pages of 64 KiB */
        FIELD(server_info, uid, FIELD_NUMBER, 0, UINT32_MAX),
        FIELD(server_info, gid, FIELD_NUMBER, 0, UINT32_MAX),
        FIELD(server_info, mode, FIELD_NUMBER, 0, 07777),
        FIELD(server_info, origin, FIELD_PATH, 0, 0),
        FIELD(server_info, backup_name, FIELD_WORDS, 0, 0),
        FIELD(server_info, description, FIELD_WORDS, 0, 0),
        FIELD(server_info, media_name, FIELD_WORDS, 0, 0),
        FIELD(server_info, media_description, FIELD_WORDS, 0, 0),
};

enum { INFO_FIELDS = sizeof report_info_fields / sizeof report_info_fields[0] };

json_t *server_parts_encode(const struct server_part *parts, uint32_t count)
{
        CLEANUP(json_releasep) json_t *list = json_array();

        for (uint32_t i = 0; i < count; i++)
                if (json_array_append_new(
                            list, json_pack("[I,I]", (json_int_t)parts[i].offset, (json_int_t)parts[i].length)) < 0)
                        return NULL;
        return take_ptr(&list);
}

bool server_parts_decode(const json_t *value, struct server_part *parts)
{
        for (size_t i = 0; i < json_array_size(value); i++) {
                const json_t *part = json_array_get(value, i);
                const json_t *offset = json_array_get(part, 0);
                const json_t *length = json_array_get(part, 1);

                if (json_array_size(part) != 2 || !json_is_integer(offset) || !json_is_integer(length) ||
                    json_integer_value(offset) < 0 || json_integer_value(length) < 0 ||
                    json_integer_value(offset) > INT64_MAX - json_integer_value(length))
                        return false;
                parts[i] = (struct server_part){ .offset = (uint64_t)json_integer_value(offset),
                                                 .length = (uint64_t)json_integer_value(length) };
        }
        return true;
}

int server_info_encode(const struct server_info *info, char text[VDS_TEXT_MAX], struct error *err)
{
        CLEANUP(json_releasep) json_t *root = fields_encode(report_info_fields, INFO_FIELDS, info);
        size_t size = 0;

        if (root && json_object_set_new(root, "parts", server_parts_encode(info->parts, info->part_count)) == 0)
                size = json_dumpb(root, text, VDS_TEXT_MAX - 1, JSON_COMPACT);
        if (size == 0)
                return error_raise_errno(err, ENOMEM, "cannot describe the database to the client");
        if (size > VDS_TEXT_MAX - 1 && json_object_del(root, "origin") == 0)
                size = json_dumpb(root, text, VDS_TEXT_MAX - 1, JSON_COMPACT);
        if (size > VDS_TEXT_MAX - 1)
                return error_raise(err, ERR_USAGE, "the names and descriptions of the backup are too long");
        text[size] = '\0';
        return 0;
}

/* Parts follow each other from 0 to the size, cut at page boundaries. */
static bool info_decode_parts(const json_t *parts, struct server_info *info)
{
        uint64_t at = 0;

        if (!json_is_array(parts) || json_array_size(parts) > VDS_DEVICES_MAX ||
            !server_parts_decode(parts, info->parts))
                return false;
        info->part_count = (uint32_t)json_array_size(parts);
        for (uint32_t i = 0; i < info->part_count; i++) {
                const struct server_part *part = &info->parts[i];

                if (part->offset != at || part->length > info->size - at ||
                    (info->page_size && part->length % info->page_size != 0))
                        return false;
                at += part->length;
        }
        return info->part_count == 0 || at == info->size;
}

static bool info_has_sound_page_size(const struct server_info *info)
{
        if (info->page_size == 0)
                return info->size == 0;
        return sqlite_is_page_size(info->page_size) && info->size % info->page_size == 0;
}

int server_info_decode(const char *text, struct server_info *ret_info, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, /* error= */ NULL);

        *ret_info = (struct server_info){ 0 };
        if (!json_is_object(root) || fields_decode(report_info_fields, INFO_FIELDS, root, ret_info))
                return error_raise(err, ERR_PROTOCOL, "the server's description of the database is not understood");
        if (!info_has_sound_page_size(ret_info) || !info_decode_parts(json_object_get(root, "parts"), ret_info))
                return error_raise(err, ERR_PROTOCOL, "the server's description of the database contradicts itself");
        return 0;
}
