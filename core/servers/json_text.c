#include "core/servers/json_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

static json_t *hex_to_json(const char *text)
{
        CLEANUP(freep) char *hex = malloc(2 * strlen(text) + 1);
        json_t *string;

        if (!hex)
                return NULL;
        hex[0] = '\0';
        for (size_t i = 0; text[i]; i++)
                snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
        string = json_string(hex);
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

static int hex_digit(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *at = c ? strchr(digits, c) : NULL;

        return at ? (int)(at - digits) : -1;
}

static bool text_from_hex(const char *hex, char **ret_text)
{
        CLEANUP(freep) char *text = NULL;
        size_t length = strlen(hex);

        if (length % 2 != 0)
                return false;
        text = calloc(1, length / 2 + 1);
        if (!text)
                return false;
        for (size_t i = 0; i < length; i += 2) {
                int high = hex_digit(hex[i]);
                int low = hex_digit(hex[i + 1]);

                if (high < 0 || low < 0 || (high == 0 && low == 0))
                        return false;
                text[i / 2] = (char)(high << 4 | low);
        }
        *ret_text = take_ptr(&text);
        return true;
}

bool json_text_get(const json_t *value, char **ret_text)
{
        const json_t *hex = json_object_get(value, "hex");

        *ret_text = NULL;
        if (!value || json_is_null(value))
                return true;
        if (hex)
                return json_is_string(hex) && text_from_hex(json_string_value(hex), ret_text);
        if (!json_is_string(value) || strlen(json_string_value(value)) != json_string_length(value))
                return false;
        *ret_text = strdup(json_string_value(value));
        return *ret_text != NULL;
}

bool json_number_get(const json_t *object, const char *key, uint64_t max, uint64_t *number)
{
        const json_t *value = json_object_get(object, key);

        if (!value)
                return true;
        if (!json_is_integer(value) || json_integer_value(value) < 0 || (uint64_t)json_integer_value(value) > max)
                return false;
        *number = (uint64_t)json_integer_value(value);
        return true;
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
