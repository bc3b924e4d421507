/*
 * header.h - the text in front of an age file: a version line, stanzas, and a line with the MAC
 *
 * Parsing is strict about the form of all stanzas, also of those whose type nobody here knows; what a stanza of a known
 * type must hold is stanza.h's affair.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/age/crypto.h"
#include "codecs/base/intake.h"

#define AGE_VERSION_PREFIX "age-encryption.org/"

enum {
        AGE_HEADER_MAX = 1 << 20,
        AGE_STANZAS_MAX = 1000,
        AGE_ARGUMENTS_KEPT = 3, /* as many as a stanza of a known type has */
        AGE_BODY_KEPT = 48,     /* more than a body of a known type may hold */
        AGE_COLUMNS = 64,       /* of a body's lines, each but the last */
        AGE_LINE_BYTES = AGE_COLUMNS / 4 * 3,
};

struct age_stanza {
        struct {
                size_t at; /* in the text */
                size_t size;
        } arguments[AGE_ARGUMENTS_KEPT]; /* 0: the type */
        size_t argument_count;
        size_t body_size; /* of which the first AGE_BODY_KEPT are here */
        uint8_t body[AGE_BODY_KEPT];
};

struct age_header {
        char *text; /* all of it, with the MAC's line */
        size_t size, room;
        size_t mac_covers; /* its first bytes */
        uint8_t mac[AGE_MAC_SIZE];
        struct age_stanza *stanzas;
        size_t count, stanza_room;
};

void age_header_deinit(struct age_header *header);

/* Takes the header from the intake, and nothing behind it. At most AGE_HEADER_MAX bytes and AGE_STANZAS_MAX stanzas. */
int age_header_read(struct age_header *header, struct intake *intake, struct error *err);

/* Constant time. */
bool age_header_is_authentic(const struct age_header *header, const uint8_t file_key[AGE_FILE_KEY_SIZE]);

/* Building, into a zeroed header: stanzas, then the end. `arguments` is what stands behind "-> ". */
int age_header_add(struct age_header *header, const char *arguments, const uint8_t *body, size_t size,
                   struct error *err);
int age_header_end(struct age_header *header, const uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err);
