/*
 * fields.h - structs on their way through JSON, by a table of their members
 *
 * Encoder and decoder read the same table, so a member stands in one place. What comes from the other process is
 * checked against it: type, range and length.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
        FIELD_NUMBER, /* integer of 1, 4 or 8 bytes from min to max; a missing one stays as it is */
        FIELD_BYTES,  /* char *, allocated; see json_text.h */
        FIELD_PATH,   /* char array: the same bytes; left out when "" */
        FIELD_NAME,   /* char array: printable, and neither missing, empty nor too long */
        FIELD_WORDS,  /* char array: made printable and cut; left out when "" */
};

struct field_spec {
        const char *key;
        enum field_type type;
        size_t at, size;
        int64_t min, max;
};

#define FIELD(object, member, type, min, max)                                                                         \
        {                                                                                                             \
#member, type, offsetof(struct object, member), sizeof(((struct object *)NULL)->member), (min), (max) \
        }

/* A new JSON object of these members of `object`; NULL when memory is short, or a FIELD_WORDS is no UTF-8. */
json_t *fields_encode(const struct field_spec *fields, size_t count, const void *object);

/* Reads them into `object`; a FIELD_BYTES there is freed first. NULL, or the key of the first that is not sound. */
const char *fields_decode(const struct field_spec *fields, size_t count, const json_t *root, void *object);

/* For CLEANUP(). */
void json_releasep(json_t **json);
