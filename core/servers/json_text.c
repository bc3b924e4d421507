#include "core/servers/json_text.h"

#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

static json_t *hex_to_json(const char *text)
{
        CLEANUP(freep) char *hex = text_to_hex(text);
        json_t *string = hex ? json_string(hex) : NULL;

        return string ? json_pack("{s:o}", "hex", string) : NULL;
}

json_t *json_text_make(const char *text)
{
        json_t *string;

        if (!text)
                return json_null();
        string = json_string(text); /* refuses what is not UTF-8 */
        return string ? string : hex_to_json(text);
}

bool json_text_get(const json_t *value, char **ret_text)
{
        const json_t *hex = json_object_get(value, "hex");

        *ret_text = NULL;
        if (!value || json_is_null(value))
                return true;
        if (hex)
                return json_is_string(hex) && text_from_hex(json_string_value(hex), ret_text) > 0;
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
                return false;
        *ret_text = strdup(json_string_value(value));
        return *ret_text != NULL;
}

void json_text_printable(const char *text, char *ret_text, size_t size)
{
        CLEANUP(freep) char *shown = text_escape(text, strlen(text));
        size_t length;

        ret_text[0] = '\0';
        if (!shown)
                return;
        length = strlen(shown);
        if (length >= size)
                length = size - 1;
        /* Not within a character: the bytes that continue one begin with 10. */
        while (length > 0 && (shown[length] & 0xc0) == 0x80)
                length--;
        memcpy(ret_text, shown, length);
        ret_text[length] = '\0';
}
