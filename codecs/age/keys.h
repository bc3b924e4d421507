/*
 * keys.h - what recipients and identities hold, for what encrypts and decrypts with them
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "codecs/age/age.h"
#include "codecs/age/crypto.h"

/* Lives in secret memory. */
struct age_passphrase {
        size_t size;
        uint8_t bytes[AGE_PASSPHRASE_MAX + 1]; /* and what ends it where it was read */
};

struct age_recipient {
        uint8_t key[AGE_KEY_SIZE];
        char text[AGE_RECIPIENT_SIZE];
};

struct age_recipients {
        struct age_recipient *keys;
        size_t count;
        struct age_passphrase *passphrase; /* NULL: none */
};

/* Lives in secret memory. */
struct age_identity {
        struct age_identity *next;
        uint8_t secret[AGE_KEY_SIZE];
        uint8_t recipient[AGE_KEY_SIZE];
};

struct age_identities {
        struct age_identity *first;
        size_t count;
        struct age_passphrase *passphrase; /* NULL: none */
};
