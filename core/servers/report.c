#include "core/servers/report.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/base/cleanup.h"
#include "core/servers/json_text.h"

static const uint64_t image_size_max = UINT64_C(1) << 48; /* 2^32 pages of 64 KiB */

static void json_releasep(json_t **json)
{
        json_decref(*json);
        *json = NULL;
}

/* ---- the verdict ---- */

/* False when the text has no room for messages of that length. */
static bool encode_cut(const struct server_report *report, size_t length, char text[VDS_TEXT_MAX])
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

        while (length > 1 && !encode_cut(report, length, text))
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

static json_t *parts_to_json(const struct server_info *info)
{
        json_t *parts = json_array();

        for (uint32_t i = 0; parts && i < info->part_count; i++) {
                json_t *part = json_pack("[I,I]", (json_int_t)info->parts[i].offset, (json_int_t)info->parts[i].length);

                if (json_array_append_new(parts, part) < 0) {
                        json_decref(parts);
                        return NULL;
                }
        }
        return parts;
}

/* Words about the set that the statement may carry. */
static const struct {
        const char *key;
        size_t at;
} words_fields[] = {
        { "backup_name", offsetof(struct server_info, backup_name) },
        { "description", offsetof(struct server_info, description) },
        { "media_name", offsetof(struct server_info, media_name) },
        { "media_description", offsetof(struct server_info, media_description) },
};

enum { WORDS_FIELDS = sizeof words_fields / sizeof words_fields[0] };

static bool put_words(json_t *root, const struct server_info *info)
{
        if (info->origin[0] && json_object_set_new(root, "origin", json_text_make(info->origin)) < 0)
                return false;
        for (size_t i = 0; i < WORDS_FIELDS; i++) {
                const char *words = (const char *)info + words_fields[i].at;

                if (words[0] && json_object_set_new(root, words_fields[i].key, json_string(words)) < 0)
                        return false;
        }
        return true;
}

/* False for a member that is no string. */
static bool get_words(const json_t *root, struct server_info *info)
{
        CLEANUP(freep) char *origin = NULL;

        if (!json_text_get(json_object_get(root, "origin"), &origin) ||
            (origin && strlen(origin) >= sizeof info->origin))
                return false;
        snprintf(info->origin, sizeof info->origin, "%s", origin ? origin : "");
        for (size_t i = 0; i < WORDS_FIELDS; i++) {
                const json_t *value = json_object_get(root, words_fields[i].key);

                if (value && !json_is_string(value))
                        return false;
                if (value)
                        json_text_printable(json_string_value(value), (char *)info + words_fields[i].at,
                                            SERVER_WORDS_MAX);
        }
        return true;
}

int server_info_encode(const struct server_info *info, char text[VDS_TEXT_MAX], struct error *err)
{
        CLEANUP(json_releasep)
        json_t *root = json_pack("{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "kind", info->kind, "version", info->version,
                                 "page_size", (json_int_t)info->page_size, "size", (json_int_t)info->size, "uid",
                                 (json_int_t)info->uid, "gid", (json_int_t)info->gid, "mode", (json_int_t)info->mode,
                                 "parts", parts_to_json(info));
        size_t size = root && put_words(root, info) ? json_dumpb(root, text, VDS_TEXT_MAX - 1, JSON_COMPACT) : 0;

        if (size == 0)
                return error_raise_errno(err, ENOMEM, "cannot describe the database to the client");
        if (size > VDS_TEXT_MAX - 1 && json_object_del(root, "origin") == 0)
                size = json_dumpb(root, text, VDS_TEXT_MAX - 1, JSON_COMPACT);
        if (size > VDS_TEXT_MAX - 1)
                return error_raise(err, ERR_USAGE, "the names and descriptions of the backup are too long");
        text[size] = '\0';
        return 0;
}

static bool decode_words(const json_t *root, const char *key, char *ret_text, size_t size)
{
        const char *words = json_string_value(json_object_get(root, key));

        if (!words || words[0] == '\0' || strlen(words) >= size)
                return false;
        json_text_printable(words, ret_text, size);
        return true;
}

/* Parts follow each other from 0 to the size, cut at page boundaries. */
static bool decode_parts(const json_t *parts, struct server_info *info)
{
        uint64_t at = 0;

        if (!json_is_array(parts) || json_array_size(parts) > VDS_DEVICES_MAX)
                return false;
        info->part_count = (uint32_t)json_array_size(parts);
        for (uint32_t i = 0; i < info->part_count; i++) {
                const json_t *part = json_array_get(parts, i);
                const json_t *offset = json_array_get(part, 0);
                const json_t *length = json_array_get(part, 1);

                if (json_array_size(part) != 2 || !json_is_integer(offset) || !json_is_integer(length) ||
                    json_integer_value(offset) != (json_int_t)at || json_integer_value(length) < 0 ||
                    (uint64_t)json_integer_value(length) > info->size - at)
                        return false;
                info->parts[i].offset = at;
                info->parts[i].length = (uint64_t)json_integer_value(length);
                if (info->page_size && info->parts[i].length % info->page_size != 0)
                        return false;
                at += info->parts[i].length;
        }
        return info->part_count == 0 ? true : at == info->size;
}

static bool page_size_is_sound(const struct server_info *info)
{
        if (info->page_size == 0)
                return info->size == 0;
        return info->page_size >= 512 && (info->page_size & (info->page_size - 1)) == 0 &&
               info->size % info->page_size == 0;
}

int server_info_decode(const char *text, struct server_info *ret_info, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, /* error= */ NULL);
        uint64_t page_size = 0, size = 0, uid = 0, gid = 0, mode = 0;

        *ret_info = (struct server_info){ 0 };
        if (!json_is_object(root) || !decode_words(root, "kind", ret_info->kind, sizeof ret_info->kind) ||
            !decode_words(root, "version", ret_info->version, sizeof ret_info->version) ||
            !json_number_get(root, "page_size", 65536, &page_size) ||
            !json_number_get(root, "size", image_size_max, &size) || !json_number_get(root, "uid", UINT32_MAX, &uid) ||
            !json_number_get(root, "gid", UINT32_MAX, &gid) || !json_number_get(root, "mode", 07777, &mode) ||
            !get_words(root, ret_info))
                return error_raise(err, ERR_PROTOCOL, "the server's description of the database is not understood");
        ret_info->page_size = (uint32_t)page_size;
        ret_info->size = size;
        ret_info->uid = (uid_t)uid;
        ret_info->gid = (gid_t)gid;
        ret_info->mode = (mode_t)mode;
        if (!page_size_is_sound(ret_info) || !decode_parts(json_object_get(root, "parts"), ret_info))
                return error_raise(err, ERR_PROTOCOL, "the server's description of the database contradicts itself");
        return 0;
}
