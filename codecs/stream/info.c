#include "codecs/stream/info.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/stream/json.h"
#include "core/base/cleanup.h"

enum {
        DEVICES_MAX = 64,
        MODE_BITS = 07777,
        BLOCK_SIZE_MIN = 512,
        BLOCK_SIZE_MAX = 64 << 10,
        TRANSFER_UNIT = 64 << 10,
        TRANSFER_MAX = 4 << 20,
};

enum info_kind {
        FIELD_TEXT,   /* char array */
        FIELD_OWNED,  /* char * */
        FIELD_NUMBER, /* uint32_t or uint64_t */
};

enum info_group {
        GROUP_ALWAYS,
        GROUP_OWNER,  /* only with has_owner: all of the group or none */
        GROUP_EXTENT, /* only with has_extent */
        GROUP_MARKS,  /* left out where it is 0 */
};

#define AT(member) offsetof(struct stream_info, member), sizeof(((struct stream_info *)0)->member)
static const struct info_field {
        const char *name;
        enum info_kind kind;
        enum info_group group;
        bool required;
        size_t offset;
        size_t size;
} info_fields[] = {
        { "set", FIELD_TEXT, GROUP_ALWAYS, true, AT(set_id) },
        { "time", FIELD_TEXT, GROUP_ALWAYS, false, AT(time) },
        { "host", FIELD_TEXT, GROUP_ALWAYS, false, AT(host) },
        { "machine", FIELD_TEXT, GROUP_ALWAYS, false, AT(machine) },
        { "tool_version", FIELD_TEXT, GROUP_ALWAYS, false, AT(tool_version) },
        { "server", FIELD_TEXT, GROUP_ALWAYS, false, AT(server_kind) },
        { "server_version", FIELD_TEXT, GROUP_ALWAYS, false, AT(server_version) },
        { "database", FIELD_OWNED, GROUP_ALWAYS, false, AT(database) },
        { "origin", FIELD_OWNED, GROUP_ALWAYS, false, AT(origin) },
        { "type", FIELD_TEXT, GROUP_ALWAYS, false, AT(type) },
        { "label", FIELD_OWNED, GROUP_ALWAYS, false, AT(label) },
        { "uid", FIELD_NUMBER, GROUP_OWNER, true, AT(uid) },
        { "gid", FIELD_NUMBER, GROUP_OWNER, true, AT(gid) },
        { "mode", FIELD_NUMBER, GROUP_OWNER, true, AT(mode) },
        { "device", FIELD_NUMBER, GROUP_ALWAYS, true, AT(device) },
        { "devices", FIELD_NUMBER, GROUP_ALWAYS, true, AT(device_count) },
        { "total_size", FIELD_NUMBER, GROUP_EXTENT, true, AT(total_size) },
        { "part_offset", FIELD_NUMBER, GROUP_EXTENT, true, AT(part_offset) },
        { "part_length", FIELD_NUMBER, GROUP_EXTENT, true, AT(part_length) },
        { "features", FIELD_NUMBER, GROUP_ALWAYS, false, AT(features) },
        { "block_size", FIELD_NUMBER, GROUP_ALWAYS, false, AT(block_size) },
        { "alignment", FIELD_NUMBER, GROUP_ALWAYS, false, AT(alignment) },
        { "max_transfer", FIELD_NUMBER, GROUP_ALWAYS, false, AT(max_transfer) },
        { "soft_mark_size", FIELD_NUMBER, GROUP_MARKS, false, AT(soft_mark_size) },
};

enum { FIELD_COUNT = sizeof info_fields / sizeof info_fields[0] };

static char **field_owned(const struct info_field *field, struct stream_info *info)
{
        return (char **)(void *)((char *)info + field->offset);
}

static uint64_t field_number(const struct info_field *field, const struct stream_info *info)
{
        const void *at = (const char *)info + field->offset;

        return field->size == sizeof(uint32_t) ? *(const uint32_t *)at : *(const uint64_t *)at;
}

void stream_info_deinit(struct stream_info *info)
{
        for (size_t i = 0; i < FIELD_COUNT; i++)
                if (info_fields[i].kind == FIELD_OWNED)
                        free(*field_owned(&info_fields[i], info));
        memset(info, 0, sizeof *info);
}

int stream_info_copy(struct stream_info *dst, const struct stream_info *src, struct error *err)
{
        bool all = true;

        *dst = *src;
        for (size_t i = 0; i < FIELD_COUNT; i++) {
                if (info_fields[i].kind == FIELD_OWNED) {
                        char **owned = field_owned(&info_fields[i], dst);
                        const char *text = *owned;

                        *owned = text ? strdup(text) : NULL;
                        all = all && !text == !*owned;
                }
        }
        if (all)
                return 0;
        stream_info_deinit(dst);
        return error_no_memory(err);
}

static bool group_present(const struct stream_info *info, enum info_group group)
{
        if (group == GROUP_OWNER)
                return info->has_owner;
        return group != GROUP_EXTENT || info->has_extent;
}

/* Returns 0, or -1 when memory is out or the number is too large. */
static int info_put_field(json_t *root, const struct info_field *field, const struct stream_info *info)
{
        const char *at = (const char *)info + field->offset;
        uint64_t number;

        if (field->kind != FIELD_NUMBER) {
                const char *text = field->kind == FIELD_OWNED ? *(const char *const *)(const void *)at : at;

                return text && (text[0] || field->kind == FIELD_OWNED) ? json_put_bytes(root, field->name, text) : 0;
        }
        number = field_number(field, info);
        if (number > INT64_MAX)
                return -1;
        if (number == 0 && field->group == GROUP_MARKS)
                return 0;
        return json_object_set_new(root, field->name, json_integer((json_int_t)number));
}

/* What must hold of the values, whichever way they go. A configuration that is not known is 0. */
static const char *inconsistency(const struct stream_info *info)
{
        if (!ident_is_uuid(info->set_id) || strlen(info->set_id) != IDENT_UUID_SIZE - 1)
                return "set is no UUID";
        if (info->device_count < 1 || info->device_count > DEVICES_MAX || info->device >= info->device_count)
                return "device is out of range";
        if (info->has_extent &&
            (info->part_offset > info->total_size || info->part_length > info->total_size - info->part_offset))
                return "the part lies outside of the whole";
        if (info->has_extent && info->total_size > INT64_MAX)
                return "total_size is out of range";
        if (info->has_owner && (info->mode & ~(uint32_t)MODE_BITS))
                return "mode is out of range";
        if (info->block_size && (info->block_size < BLOCK_SIZE_MIN || info->block_size > BLOCK_SIZE_MAX ||
                                 (info->block_size & (info->block_size - 1))))
                return "block_size is out of range";
        if (info->max_transfer > TRANSFER_MAX || info->max_transfer % TRANSFER_UNIT)
                return "max_transfer is out of range";
        return NULL;
}

int stream_info_encode(const struct stream_info *info, char **ret_json, struct error *err)
{
        CLEANUP(json_decrefp) json_t *root = json_object();
        const char *fault = inconsistency(info);

        if (fault)
                return error_raise(err, ERR_FAILED, "the stream's header cannot be written: %s", fault);
        for (size_t i = 0; i < FIELD_COUNT; i++) {
                if (group_present(info, info_fields[i].group) &&
                    (!root || info_put_field(root, &info_fields[i], info) < 0))
                        return error_raise(err, ERR_FAILED, "the stream's header cannot be written: %s",
                                           info_fields[i].name);
        }
        *ret_json = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
        return *ret_json ? 0 : error_no_memory(err);
}

/* Returns 1 when the member is there, 0 when not, -EINVAL when it is wrong, -ENOMEM. */
static int info_get_field(const json_t *root, const struct info_field *field, struct stream_info *info)
{
        CLEANUP(freep) char *text = NULL;
        void *at = (char *)info + field->offset;
        const json_t *value = json_object_get(root, field->name);
        json_int_t number = json_integer_value(value);

        if (field->kind != FIELD_NUMBER) {
                int found = json_get_bytes(root, field->name, &text);

                if (found <= 0)
                        return found;
                if (field->kind == FIELD_OWNED)
                        *field_owned(field, info) = take_ptr(&text);
                else if (strlen(text) < field->size)
                        memcpy(at, text, strlen(text) + 1);
                else
                        return -EINVAL;
                return 1;
        }
        if (!value)
                return 0;
        if (!json_is_integer(value) || number < 0 || (field->size == sizeof(uint32_t) && number > UINT32_MAX))
                return -EINVAL;
        if (field->size == sizeof(uint32_t))
                *(uint32_t *)at = (uint32_t)number;
        else
                *(uint64_t *)at = (uint64_t)number;
        return 1;
}

/* Returns 1, or a fault of *ret_field: -EINVAL, -ENOMEM. */
static int info_get_fields(const json_t *root, struct stream_info *info, const char **ret_field)
{
        for (size_t i = 0; i < FIELD_COUNT; i++) {
                int found;

                if (!group_present(info, info_fields[i].group))
                        continue;
                *ret_field = info_fields[i].name;
                found = info_get_field(root, &info_fields[i], info);
                if (found < 0 || (found == 0 && info_fields[i].required))
                        return found < 0 ? found : -EINVAL;
        }
        return 1;
}

/* One member of a group is enough to demand the others. */
static bool has_any(const json_t *root, enum info_group group)
{
        for (size_t i = 0; i < FIELD_COUNT; i++)
                if (info_fields[i].group == group && json_object_get(root, info_fields[i].name))
                        return true;
        return false;
}

/* Into a struct of zeros. Returns 1; 0 with what is wrong with it, and what in it; -1 when memory is out. */
static int info_decode(const json_t *root, struct stream_info *info, const char **ret_wrong, const char **ret_detail)
{
        int decoded;

        info->has_owner = has_any(root, GROUP_OWNER);
        info->has_extent = has_any(root, GROUP_EXTENT);
        *ret_wrong = "has no valid ";
        decoded = info_get_fields(root, info, ret_detail);
        if (decoded < 0)
                return decoded == -ENOMEM ? -1 : 0;
        if (!info->database)
                info->database = strdup("");
        if (!info->origin)
                info->origin = strdup("");
        if (!info->database || !info->origin)
                return -1;
        *ret_wrong = "is wrong: ";
        *ret_detail = inconsistency(info);
        return *ret_detail ? 0 : 1;
}

int stream_info_decode(const char *json, size_t size, const char *label, struct stream_info *ret_info,
                       struct error *err)
{
        CLEANUP(json_decrefp) json_t *root = NULL;
        const char *wrong = "is ", *detail = "no JSON object";
        int decoded = json_parse_object(json, size, &root);

        memset(ret_info, 0, sizeof *ret_info);
        if (decoded > 0)
                decoded = info_decode(root, ret_info, &wrong, &detail);
        if (decoded > 0)
                return 0;
        stream_info_deinit(ret_info);
        if (decoded < 0)
                return error_no_memory(err);
        return error_raise(err, ERR_DAMAGED, "%s is damaged at byte 0: its header %s%s", label, wrong, detail);
}

int64_t stream_info_announced(const struct stream_info *info)
{
        return info->has_extent ? (int64_t)info->part_length : -1;
}

int stream_info_check_content(int64_t announced, uint64_t content, const char *label, struct error *err)
{
        if (announced < 0 || (uint64_t)announced == content)
                return 0;
        return error_raise(err, ERR_DAMAGED, "%s carries %llu bytes, but its header says %lld", label,
                           (unsigned long long)content, (long long)announced);
}
