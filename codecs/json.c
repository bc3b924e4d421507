#include "codecs/json.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"

enum { MEMBER_NAME_MAX = 64 };

static char *hex_encode(const char *text)
{
        size_t n = strlen(text);
        char *hex = malloc(2 * n + 1);

        if (!hex)
                return NULL;
        hex[0] = '\0';
        for (size_t i = 0; i < n; i++)
                snprintf(hex + 2 * i, 3, "%02x", (unsigned char)text[i]);
        return hex;
}

static int hex_digit(char c)
{
        static const char digits[] = "0123456789abcdef";
        const char *at = c ? strchr(digits, c) : NULL;

        return at ? (int)(at - digits) : -1;
}

static char *hex_decode(const char *hex)
{
        CLEANUP(freep) char *text = NULL;
        size_t n = strlen(hex);

        if (n % 2 != 0)
                return NULL;
        text = malloc(n / 2 + 1);
        if (!text)
                return NULL;
        for (size_t i = 0; i < n / 2; i++) {
                int high = hex_digit(hex[2 * i]);
                int low = hex_digit(hex[2 * i + 1]);

                if (high < 0 || low < 0 || high + low == 0)
                        return NULL;
                text[i] = (char)(high << 4 | low);
        }
        text[n / 2] = '\0';
        return take_ptr(&text);
}

int json_put_bytes(json_t *object, const char *name, const char *text)
{
        CLEANUP(freep) char *hex = NULL;
        char hex_name[MEMBER_NAME_MAX];
        json_t *value = json_string(text);

        if (value)
                return json_object_set_new(object, name, value);
        hex = hex_encode(text);
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
                return -1;
        *ret_text = value ? strdup(json_string_value(value)) : hex_decode(json_string_value(hex));
        return *ret_text ? 1 : -1;
}
