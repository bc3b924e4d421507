#include "cli/text/json.h"

#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

json_t *json_shown(const char *text)
{
        CLEANUP(freep) char *safe = NULL;
        json_t *value = json_string(text ? text : "");

        if (value || !text)
                return value;
        safe = text_escape(text, strlen(text));
        return json_string(safe ? safe : "");
}

void json_add_shown(json_t *object, const char *key, const char *text)
{
        json_object_set_new(object, key, json_shown(text));
}

void json_add_number(json_t *object, const char *key, uint64_t number)
{
        json_object_set_new(object, key, json_integer((json_int_t)number));
}

int json_print(json_t *value, FILE *out, struct error *err)
{
        CLEANUP(freep) char *text = json_dumps(value, JSON_COMPACT);

        json_decref(value);
        if (!text)
                return error_no_memory(err);
        fprintf(out, "%s\n", text);
        return 0;
}
