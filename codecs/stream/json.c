#include "codecs/stream/json.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

enum { MEMBER_NAME_MAX = 64 };

/* ---- parsing ---- */

static json_malloc_t inner_malloc;
static json_free_t inner_free;
static _Thread_local bool refused;

static void *noting_malloc(size_t size)
{
        void *memory = inner_malloc(size);

        if (!memory)
                refused = true;
        return memory;
}

/* A thread that still sees the functions of before allocates just the same. */
static void noting_begin(void)
{
        json_get_alloc_funcs(&inner_malloc, &inner_free);
        json_set_alloc_funcs(noting_malloc, inner_free);
}

int json_parse_object(const char *text, size_t size, json_t **ret_object)
{
        static pthread_once_t noting_once = PTHREAD_ONCE_INIT;
        json_t *value;

        pthread_once(&noting_once, noting_begin);
        refused = false;
        value = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
        if (!refused && json_is_object(value)) {
                *ret_object = value;
                return 1;
        }
        json_decref(value);
        return refused ? -1 : 0;
}

/* ---- strings of bytes ---- */

int json_put_bytes(json_t *object, const char *name, const char *text)
{
        CLEANUP(freep) char *hex = NULL;
        char hex_name[MEMBER_NAME_MAX];
        json_t *value = json_string(text);

        if (value)
                return json_object_set_new(object, name, value);
        hex = text_to_hex(text);
        if (!hex)
                return -1;
        snprintf(hex_name, sizeof hex_name, "%s_hex", name);
        return json_object_set_new(object, hex_name, json_string(hex));
}

int json_get_bytes(const json_t *object, const char *name, char **ret_text)
{
        char hex_name[MEMBER_NAME_MAX];
        const json_t *value = json_object_get(object, name);
        const json_t *hex;

        snprintf(hex_name, sizeof hex_name, "%s_hex", name);
        hex = json_object_get(object, hex_name);
        *ret_text = NULL;
        if (!value && !hex)
                return 0;
        if ((value && hex) || (value && !json_is_string(value)) || (hex && !json_is_string(hex)))
                return -EINVAL;
        if (hex)
                return text_from_hex(json_string_value(hex), ret_text);
        *ret_text = strdup(json_string_value(value));
        return *ret_text ? 1 : -ENOMEM;
}
