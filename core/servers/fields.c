#include "core/servers/fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/servers/json_text.h"

void json_releasep(json_t **json)
{
        json_decref(*json);
        *json = NULL;
}

static int64_t fields_load(const struct field_spec *field, const void *at)
{
        return field->size == 1   ? *(const uint8_t *)at
               : field->size == 4 ? *(const uint32_t *)at
                                  : *(const int64_t *)at;
}

static void fields_store(const struct field_spec *field, void *at, int64_t number)
{
        if (field->size == 1)
                *(uint8_t *)at = (uint8_t)number;
        else if (field->size == 4)
                *(uint32_t *)at = (uint32_t)number;
        else
                *(int64_t *)at = number;
}

static json_t *fields_encode_one(const struct field_spec *field, const void *at)
{
        switch (field->type) {
        case FIELD_NUMBER:
                return json_integer(fields_load(field, at));
        case FIELD_BYTES:
                return json_text_make(*(const char *const *)at);
        case FIELD_PATH:
                return json_text_make(at);
        default:
                return json_string(at);
        }
}

json_t *fields_encode(const struct field_spec *fields, size_t count, const void *object)
{
        CLEANUP(json_releasep) json_t *root = json_object();

        for (size_t i = 0; i < count; i++) {
                const char *at = (const char *)object + fields[i].at;
                bool optional = fields[i].type == FIELD_PATH || fields[i].type == FIELD_WORDS;

                if (!(optional && !*at) &&
                    json_object_set_new(root, fields[i].key, fields_encode_one(&fields[i], at)) < 0)
                        return NULL;
        }
        return take_ptr(&root);
}

static bool fields_decode_bytes(const json_t *value, const struct field_spec *field, void *at)
{
        CLEANUP(freep) char *text = NULL;

        if (!json_text_get(value, &text))
                return false;
        if (field->type == FIELD_BYTES) {
                free(*(char **)at);
                *(char **)at = take_ptr(&text);
                return true;
        }
        if (text && strlen(text) >= field->size)
                return false;
        snprintf(at, field->size, "%s", text ? text : "");
        return true;
}

static bool fields_decode_words(const json_t *value, const struct field_spec *field, void *at)
{
        const char *words = json_string_value(value);

        if (field->type == FIELD_NAME ? !words || !*words || strlen(words) >= field->size : value && !words)
                return false;
        if (words)
                json_text_printable(words, at, field->size);
        return true;
}

static bool fields_decode_one(const json_t *value, const struct field_spec *field, void *at)
{
        json_int_t number = json_integer_value(value);

        switch (field->type) {
        case FIELD_NUMBER:
                if (!value)
                        return true;
                if (!json_is_integer(value) || number < field->min || number > field->max)
                        return false;
                fields_store(field, at, number);
                return true;
        case FIELD_BYTES:
        case FIELD_PATH:
                return fields_decode_bytes(value, field, at);
        default:
                return fields_decode_words(value, field, at);
        }
}

const char *fields_decode(const struct field_spec *fields, size_t count, const json_t *root, void *object)
{
        for (size_t i = 0; i < count; i++)
                if (!fields_decode_one(json_object_get(root, fields[i].key), &fields[i], (char *)object + fields[i].at))
                        return fields[i].key;
        return NULL;
}
