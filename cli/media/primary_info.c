#include "cli/media/primary_info.h"

#include <string.h>

#include "core/base/cleanup.h"
#include "core/servers/fields.h"

static const char *const names[PERSONALITY_COUNT] = {
        [PERSONALITY_PIPE] = "pipe",
        [PERSONALITY_TAPE] = "tape",
        [PERSONALITY_DISK] = "disk",
};

const char *personality_name(enum personality personality)
{
        return names[personality];
}

int primary_info_encode(const struct primary_info *info, char **ret_text, struct error *err)
{
        CLEANUP(json_releasep)
        json_t *root = json_pack("{s:s,s:s,s:s,s:s,s:I,s:I}", "set", info->set_id, "time", info->time, "source",
                                 info->source, "personality", names[info->personality], "media_size",
                                 (json_int_t)info->media_size, "soft_mark_size", (json_int_t)info->soft_mark_size);

        *ret_text = root ? json_dumps(root, JSON_COMPACT) : NULL;
        return *ret_text ? 0 : error_no_memory(err);
}

/* A text that fits; where it has to be a UUID, one or none. */
static bool primary_info_copy(const char *text, char *to, size_t size, bool uuid)
{
        if (strlen(text) >= size || (uuid && text[0] && (strlen(text) != size - 1 || !ident_is_uuid(text))))
                return false;
        memcpy(to, text, strlen(text) + 1);
        return true;
}

static bool primary_info_take(json_t *root, struct primary_info *info)
{
        const char *set;
        const char *time;
        const char *source;
        const char *personality;
        json_int_t media_size;
        json_int_t soft_mark_size;

        if (!root ||
            json_unpack(root, "{s:s,s:s,s:s,s:s,s:I,s:I}", "set", &set, "time", &time, "source", &source, "personality",
                        &personality, "media_size", &media_size, "soft_mark_size", &soft_mark_size) < 0)
                return false;
        if (!set[0] || !primary_info_copy(set, info->set_id, sizeof info->set_id, /* uuid= */ true) ||
            !primary_info_copy(time, info->time, sizeof info->time, /* uuid= */ false) ||
            !primary_info_copy(source, info->source, sizeof info->source, /* uuid= */ true))
                return false;
        if (media_size < 0 || soft_mark_size < 0 || soft_mark_size > UINT32_MAX)
                return false;
        info->media_size = (uint64_t)media_size;
        info->soft_mark_size = (uint32_t)soft_mark_size;
        for (int i = 0; i < PERSONALITY_COUNT; i++) {
                info->personality = (enum personality)i;
                if (strcmp(personality, names[i]) == 0)
                        return true;
        }
        return false;
}

int primary_info_decode(const char *text, struct primary_info *ret_info, struct error *err)
{
        CLEANUP(json_releasep) json_t *root = json_loads(text, 0, NULL);

        memset(ret_info, 0, sizeof *ret_info);
        if (primary_info_take(root, ret_info))
                return 0;
        return error_raise(err, ERR_PROTOCOL, "the set was not made by 'vdipipe create'");
}
