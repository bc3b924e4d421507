/*
 * stanza.h - the two kinds of stanza that are written and opened here: X25519 and scrypt
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/age/header.h"
#include "codecs/age/keys.h"

/* Both take a new secret for each call. ERR_KEY: a public key with which nothing can be kept secret. */
int age_stanza_wrap_x25519(struct age_header *header, const uint8_t recipient[AGE_KEY_SIZE],
                           const uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err);
int age_stanza_wrap_scrypt(struct age_header *header, const struct age_passphrase *passphrase, unsigned work_factor,
                           const uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err);

/* For whom a header says the file is. */
struct age_addressees {
        size_t x25519;
        size_t other;         /* of types that are not known here */
        unsigned work_factor; /* of the one scrypt stanza; 0: there is none */
};

/* Holds every stanza of a known type against the rules for it, whether or not somebody has a key for it.
 * ERR_DAMAGED. */
int age_stanzas_check(const struct age_header *header, const char *label, struct age_addressees *ret_addressees,
                      struct error *err);

/* Of a checked header. Return 1 with the file key, 0 when none of the stanzas can be opened with this, -1. */
int age_stanzas_open_x25519(const struct age_header *header, const char *label, const struct age_identity *identity,
                            uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err);
int age_stanzas_open_scrypt(const struct age_header *header, const char *label, unsigned work_factor,
                            const struct age_passphrase *passphrase, uint8_t file_key[AGE_FILE_KEY_SIZE],
                            struct error *err);
