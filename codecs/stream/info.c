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

enum field_kind {
        FIELD_TEXT,  /* char array of `size` */
        FIELD_OWNED, /* char * */
        FIELD_U32,
        FIELD_U64,
};

enum field_group {
        GROUP_ALWAYS,
        GROUP_OWNER,  /* only with has_owner: all of the group or none */
        GROUP_EXTENT, /* only with has_extent */
        GROUP_MARKS,  /* left out where it is 0 */
};

static const struct field {
        const char *name;
        enum field_kind kind;
        enum field_group group;
        bool required;
        size_t offset;
        size_t size;
} fields[] = {
#define TEXT(name, member, required)                                                            \
        {                                                                                       \
                name, FIELD_TEXT, GROUP_ALWAYS, required, offsetof(struct stream_info, member), \
                        sizeof(((struct stream_info *)0)->member)                               \
        }
#define OWNED(name, member)                                                                     \
        {                                                                                       \
                name, FIELD_OWNED, GROUP_ALWAYS, false, offsetof(struct stream_info, member), 0 \
        }
#define U32(name, member, group, required)                                                \
        {                                                                                 \
                name, FIELD_U32, group, required, offsetof(struct stream_info, member), 0 \
        }
#define U64(name, member, group)                                                      \
        {                                                                             \
                name, FIELD_U64, group, true, offsetof(struct stream_info, member), 0 \
        }
        TEXT("set", set_id, true),
        TEXT("time", time, false),
        TEXT("host", host, false),
        TEXT("machine", machine, false),
        TEXT("tool_version", tool_version, false),
        TEXT("server", server_kind, false),
        TEXT("server_version", server_version, false),
        OWNED("database", database),
        OWNED("origin", origin),
        TEXT("type", type, false),
        OWNED("label", label),
        U32("uid", uid, GROUP_OWNER, true),
        U32("gid", gid, GROUP_OWNER, true),
        U32("mode", mode, GROUP_OWNER, true),
        U32("device", device, GROUP_ALWAYS, true),
        U32("devices", device_count, GROUP_ALWAYS, true),
        U64("total_size", total_size, GROUP_EXTENT),
        U64("part_offset", part_offset, GROUP_EXTENT),
        U64("part_length", part_length, GROUP_EXTENT),
        U32("features", features, GROUP_ALWAYS, false),
        U32("block_size", block_size, GROUP_ALWAYS, false),
        U32("alignment", alignment, GROUP_ALWAYS, false),
        U32("max_transfer", max_transfer, GROUP_ALWAYS, false),
        U32("soft_mark_size", soft_mark_size, GROUP_MARKS, false),
};

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

void stream_info_deinit(struct stream_info *info)
{
        free(info->database);
        free(info->origin);
        free(info->label);
        memset(info, 0, sizeof *info);
}

static int copy_text(char **dst, const char *src)
{
        *dst = src ? strdup(src) : NULL;
        return src && !*dst ? -1 : 0;
}

int stream_info_copy(struct stream_info *dst, const struct stream_info *src, struct error *err)
{
        *dst = *src;
        dst->database = dst->origin = dst->label = NULL;
        if (copy_text(&dst->database, src->database) < 0 || copy_text(&dst->origin, src->origin) < 0 ||
            copy_text(&dst->label, src->label) < 0) {
                stream_info_deinit(dst);
                return error_no_memory(err);
        }
        return 0;
}

static bool group_present(const struct stream_info *info, enum field_group group)
{
        if (group == GROUP_OWNER)
                return info->has_owner;
        return group != GROUP_EXTENT || info->has_extent;
}

static int put_field(json_t *root, const struct field *field, const struct stream_info *info)
{
        const char *at = (const char *)info + field->offset;
        const char *text = at;
        uint64_t number = 0;

        switch (field->kind) {
        case FIELD_OWNED:
                memcpy(&text, at, sizeof text);
                return text ? json_put_bytes(root, field->name, text) : 0;
        case FIELD_TEXT:
                return text[0] ? json_put_bytes(root, field->name, text) : 0;
        case FIELD_U32:
                number = *(const uint32_t *)(const void *)at;
                break;
        case FIELD_U64:
                number = *(const uint64_t *)(const void *)at;
                break;
        }
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
                if (group_present(info, fields[i].group) && (!root || put_field(root, &fields[i], info) < 0))
                        return error_raise(err, ERR_FAILED, "the stream's header cannot be written: %s",
                                           fields[i].name);
        }
        *ret_json = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
        return *ret_json ? 0 : error_no_memory(err);
}

static int get_text(const json_t *root, const struct field *field, struct stream_info *info)
{
        CLEANUP(freep) char *text = NULL;
        char *at = (char *)info + field->offset;
        int found = json_get_bytes(root, field->name, &text);

        if (found <= 0)
                return found;
        if (field->kind == FIELD_OWNED) {
                *(char **)(void *)at = take_ptr(&text);
                return 1;
        }
        if (strlen(text) >= field->size)
                return -EINVAL;
        memcpy(at, text, strlen(text) + 1);
        return 1;
}

static int get_number(const json_t *root, const struct field *field, struct stream_info *info)
{
        const json_t *value = json_object_get(root, field->name);
        char *at = (char *)info + field->offset;
        json_int_t number;

        if (!value)
                return 0;
        if (!json_is_integer(value))
                return -EINVAL;
        number = json_integer_value(value);
        if (number < 0 || (field->kind == FIELD_U32 && number > UINT32_MAX))
                return -EINVAL;
        if (field->kind == FIELD_U32)
                *(uint32_t *)(void *)at = (uint32_t)number;
        else
                *(uint64_t *)(void *)at = (uint64_t)number;
        return 1;
}

/* Returns 1, or a fault of *ret_field: -EINVAL, -ENOMEM. */
static int decode_fields(const json_t *root, struct stream_info *info, const char **ret_field)
{
        for (size_t i = 0; i < FIELD_COUNT; i++) {
                const struct field *field = &fields[i];
                bool is_text = field->kind == FIELD_TEXT || field->kind == FIELD_OWNED;
                int found;

                if (!group_present(info, field->group))
                        continue;
                *ret_field = field->name;
                found = is_text ? get_text(root, field, info) : get_number(root, field, info);
                if (found < 0 || (found == 0 && field->required))
                        return found < 0 ? found : -EINVAL;
        }
        return 1;
}

/* One member of a group is enough to demand the others. */
static bool has_any(const json_t *root, enum field_group group)
{
        for (size_t i = 0; i < FIELD_COUNT; i++)
                if (fields[i].group == group && json_object_get(root, fields[i].name))
                        return true;
        return false;
}

/* Into a struct of zeros. Returns 1; 0 with what is wrong with it, and what in it; -1 when memory is out. */
static int decode(const json_t *root, struct stream_info *info, const char **ret_wrong, const char **ret_detail)
{
        int decoded;

        info->has_owner = has_any(root, GROUP_OWNER);
        info->has_extent = has_any(root, GROUP_EXTENT);
        *ret_wrong = "has no valid ";
        decoded = decode_fields(root, info, ret_detail);
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
                decoded = decode(root, ret_info, &wrong, &detail);
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
