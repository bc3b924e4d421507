/*
 * age.h - encryption in the format age-encryption.org/v1, and the keys for it
 *
 * X25519 and scrypt stanzas. What is written is what `age` writes; every malformed or non-canonical form that the
 * format's specification rules out is refused when reading. Secrets live in memory of libsodium's that is locked,
 * guarded and wiped; they never appear in messages.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/reading.h"
#include "codecs/base/source.h"
#include "codecs/base/stage.h"

enum {
        AGE_CHUNK_SIZE = 65536,  /* plaintext of all chunks but the last: flush_boundary of a vdi stream inside */
        AGE_RECIPIENT_SIZE = 63, /* "age1..." and its NUL */
        AGE_SCRYPT_WORK_FACTOR = 18,
        AGE_SCRYPT_WORK_FACTOR_MAX = 22,
        AGE_PASSPHRASE_MAX = 1024,
        AGE_RECIPIENTS_MAX = 1000, /* of one file: more are not read either */
};

/* What scrypt takes for a work factor, bytes. */
#define AGE_SCRYPT_MEMORY(work_factor) (1024ULL << (work_factor))

/* ---- for whom to encrypt ---- */

/* Either public keys, or one passphrase. */
struct age_recipients;

struct age_recipients *age_recipients_new(void); /* NULL: out of memory */
void age_recipients_free(struct age_recipients *recipients);

/* "age1...". ERR_USAGE names what is wrong with it; SSH keys and plugin recipients are named as unsupported. */
int age_recipients_add(struct age_recipients *recipients, const char *text, struct error *err);

/* A file of recipients: one a line; blank lines and lines that begin with # are skipped. Errors name file and line. */
int age_recipients_add_file(struct age_recipients *recipients, const char *path, struct error *err);

/* Reads a passphrase from a descriptor, up to the first newline (LF or CRLF) or the end; what follows the newline stays
 * to be read. Of 1 to AGE_PASSPHRASE_MAX bytes. `name` is for messages. Not together with public keys: the format
 * forbids it. */
int age_recipients_set_passphrase(struct age_recipients *recipients, int fd, const char *name, struct error *err);

size_t age_recipients_count(const struct age_recipients *recipients);

/* "age1..." of one of them, or "a passphrase"; for the summary. A recipient that was added twice counts once. */
const char *age_recipients_text(const struct age_recipients *recipients, size_t index);

/* ---- with what to decrypt ---- */

/* Secret keys, a passphrase, or both. */
struct age_identities;

struct age_identities *age_identities_new(void);
void age_identities_free(struct age_identities *identities);

/* An identity file: one AGE-SECRET-KEY-1... a line, comments as above. One that others may read is taken with a warning
 * in *ret_exposed. */
int age_identities_add_file(struct age_identities *identities, const char *path, bool *ret_exposed, struct error *err);

/* As for recipients, and may be set beside keys. */
int age_identities_set_passphrase(struct age_identities *identities, int fd, const char *name, struct error *err);

/* Makes a new identity and writes it to `fd` in the form of `age-keygen` (comment lines, then the key). `recipient`
 * gets its public key. */
int age_keygen(int fd, const char *name, char recipient[AGE_RECIPIENT_SIZE], struct error *err);

/* Where a secret key's characters begin in text that was not meant to hold one, in any case and behind anything; what
 * is before them may be shown. *ret_size says how many they are. NULL: there is none. */
const char *age_find_secret(const char *text, size_t *ret_size);

/* ---- the layer ---- */

struct age_options {
        const struct age_recipients *recipients; /* borrowed during the call */
        bool armor;
        struct pool *pool; /* borrowed; NULL: no threads */

        /* Whoever writes into the stage writes something more after each flush and after complete, as a vdi stream
         * does. Then both let the last whole chunk go too; otherwise it is held back, since it may have to be the
         * final one. */
        bool always_more;

        unsigned scrypt_work_factor; /* 0: AGE_SCRYPT_WORK_FACTOR */
};

/* Encrypts into `next`, which it owns from here on, also on failure. With a passphrase this call takes about a second,
 * and 256 MiB. The header leaves with the first call; flush and complete let whole chunks go (see always_more), and
 * finish writes what is left as the final chunk; an aborted file has none, so no reader takes it. The format allows no
 * empty final chunk behind others: finish fails (ERR_PROTOCOL) when nothing followed although always_more said so.
 *
 * After complete, what was reserved may still be written, as to a sink. Armor lets only whole lines go, so at a flush
 * it keeps up to 47 bytes: without an end the file is refused anyway. */
int age_writer_new(const struct age_options *options, struct stage *next, struct stage **ret_stage, struct error *err);

/* Decrypts what `next` delivers (armored or not), which it owns from here on, also on failure. ERR_KEY when no identity
 * fits, before a byte of payload is read; ERR_DAMAGED when what was read is not authentic. Nothing unauthenticated is
 * handed out. */
int age_source_new(struct source *next, const char *label, const struct reader_options *options,
                   struct source **ret_source, struct error *err);
