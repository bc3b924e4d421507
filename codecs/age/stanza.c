#include "codecs/age/stanza.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "codecs/age/base64.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"

#define X25519      "X25519"
#define X25519_INFO AGE_VERSION_PREFIX "v1/X25519"
#define SCRYPT      "scrypt"
#define SCRYPT_INFO AGE_VERSION_PREFIX "v1/scrypt"

enum {
        SALT_SIZE = 16,
        SCRYPT_R = 8,
        SCRYPT_P = 1,
        BASE64_ROOM = 48, /* of 32 bytes, with the NUL */
        ARGUMENTS_MAX = 128,
};

/* What passes while a file key is wrapped or unwrapped; lives in secret memory. */
struct stanza_secrets {
        uint8_t ephemeral[AGE_KEY_SIZE];
        uint8_t shared[AGE_KEY_SIZE];
        uint8_t wrap_key[AGE_KEY_SIZE];
        uint8_t salt[2 * AGE_KEY_SIZE]; /* the share and the recipient */
};

/* Adds a stanza of a type with `bytes` as its argument, and `more` behind it: the file key, wrapped. */
static int add_wrapped(struct age_header *header, const struct stanza_secrets *working, const uint8_t *file_key,
                       const char *type, const uint8_t *bytes, size_t size, const char *more, struct error *err)
{
        uint8_t body[AGE_WRAPPED_SIZE];
        char arguments[ARGUMENTS_MAX];
        char text[BASE64_ROOM];

        age_wrap(body, file_key, working->wrap_key);
        sodium_bin2base64(text, sizeof text, bytes, size, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
        snprintf(arguments, sizeof arguments, "%s %s%s", type, text, more);
        return age_header_add(header, arguments, body, sizeof body, err);
}

/* ---- X25519 ---- */

static void x25519_wrap_key(struct stanza_secrets *working)
{
        age_hkdf(working->wrap_key, working->shared, sizeof working->shared, working->salt, sizeof working->salt,
                 X25519_INFO);
}

int age_stanza_wrap_x25519(struct age_header *header, const uint8_t recipient[AGE_KEY_SIZE],
                           const uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err)
{
        CLEANUP(secret_freep) struct stanza_secrets *working = secret_new(sizeof *working);

        if (!working)
                return error_no_memory(err);
        randombytes_buf(working->ephemeral, sizeof working->ephemeral);
        crypto_scalarmult_curve25519_base(working->salt, working->ephemeral);
        memcpy(working->salt + AGE_KEY_SIZE, recipient, AGE_KEY_SIZE);
        if (crypto_scalarmult_curve25519(working->shared, working->ephemeral, recipient) < 0)
                return error_raise(err, ERR_KEY, "a recipient's public key is one that keeps nothing secret");
        x25519_wrap_key(working);
        return add_wrapped(header, working, file_key, X25519, working->salt, AGE_KEY_SIZE, "", err);
}

/* ---- scrypt ---- */

/* Each takes 256 MiB and more: those of several streams come one after the other. */
static pthread_mutex_t scrypt_lock = PTHREAD_MUTEX_INITIALIZER;

static int scrypt_wrap_key(struct stanza_secrets *working, const struct age_passphrase *passphrase,
                           const uint8_t salt[SALT_SIZE], unsigned work_factor, struct error *err)
{
        uint8_t salted[sizeof SCRYPT_INFO - 1 + SALT_SIZE];
        int result;

        memcpy(salted, SCRYPT_INFO, sizeof SCRYPT_INFO - 1);
        memcpy(salted + sizeof SCRYPT_INFO - 1, salt, SALT_SIZE);
        pthread_mutex_lock(&scrypt_lock);
        result = crypto_pwhash_scryptsalsa208sha256_ll(passphrase->bytes, passphrase->size, salted, sizeof salted,
                                                       (uint64_t)1 << work_factor, SCRYPT_R, SCRYPT_P,
                                                       working->wrap_key, sizeof working->wrap_key);
        pthread_mutex_unlock(&scrypt_lock);
        if (result == 0)
                return 0;
        return error_raise(err, ERR_MEMORY, "out of memory: scrypt needs %llu MiB for a work factor of %u",
                           AGE_SCRYPT_MEMORY(work_factor) >> 20, work_factor);
}

int age_stanza_wrap_scrypt(struct age_header *header, const struct age_passphrase *passphrase, unsigned work_factor,
                           const uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err)
{
        CLEANUP(secret_freep) struct stanza_secrets *working = secret_new(sizeof *working);
        uint8_t salt[SALT_SIZE];
        char factor[16];

        if (!working)
                return error_no_memory(err);
        randombytes_buf(salt, sizeof salt);
        if (scrypt_wrap_key(working, passphrase, salt, work_factor, err) < 0)
                return -1;
        snprintf(factor, sizeof factor, " %u", work_factor);
        return add_wrapped(header, working, file_key, SCRYPT, salt, sizeof salt, factor, err);
}

/* ---- checking ---- */

static bool is_type(const struct age_header *header, const struct age_stanza *stanza, const char *type)
{
        size_t size = stanza->arguments[0].size;

        return size == strlen(type) && memcmp(header->text + stanza->arguments[0].at, type, size) == 0;
}

/* An argument that is exactly `size` bytes in canonical base64. */
static bool argument_bytes(const struct age_header *header, const struct age_stanza *stanza, size_t index,
                           uint8_t *bytes, size_t size)
{
        size_t decoded;

        return age_base64_decode(bytes, size, header->text + stanza->arguments[index].at, stanza->arguments[index].size,
                                 /* padded= */ false, &decoded) &&
               decoded == size;
}

/* Digits without a leading zero. Returns a number above AGE_SCRYPT_WORK_FACTOR_MAX for any that is; 0: no number. */
static unsigned read_work_factor(const struct age_header *header, const struct age_stanza *stanza)
{
        const char *digits = header->text + stanza->arguments[2].at;
        size_t size = stanza->arguments[2].size;
        unsigned value = 0;

        if (digits[0] == '0')
                return 0;
        for (size_t i = 0; i < size; i++) {
                if (digits[i] < '0' || digits[i] > '9')
                        return 0;
                if (value <= AGE_SCRYPT_WORK_FACTOR_MAX)
                        value = value * 10 + (unsigned)(digits[i] - '0');
        }
        return value;
}

static int stanza_raise_malformed(const char *label, const char *what, struct error *err)
{
        return error_raise(err, ERR_DAMAGED, "%s is damaged: %s in its age header", label, what);
}

static int check_x25519(const struct age_header *header, const struct age_stanza *stanza, const char *label,
                        struct error *err)
{
        uint8_t share[AGE_KEY_SIZE];

        if (stanza->argument_count != 2 || !argument_bytes(header, stanza, 1, share, sizeof share) ||
            stanza->body_size != AGE_WRAPPED_SIZE)
                return stanza_raise_malformed(label, "a malformed X25519 stanza", err);
        return 0;
}

static int check_scrypt(const struct age_header *header, const struct age_stanza *stanza, const char *label,
                        unsigned *ret_work_factor, struct error *err)
{
        uint8_t salt[SALT_SIZE];

        if (header->count > 1)
                return stanza_raise_malformed(label, "other stanzas beside that of a passphrase", err);
        if (stanza->argument_count != 3 || !argument_bytes(header, stanza, 1, salt, sizeof salt) ||
            stanza->body_size != AGE_WRAPPED_SIZE)
                return stanza_raise_malformed(label, "a malformed scrypt stanza", err);
        *ret_work_factor = read_work_factor(header, stanza);
        if (*ret_work_factor == 0)
                return stanza_raise_malformed(label, "a malformed work factor of scrypt", err);
        if (*ret_work_factor > AGE_SCRYPT_WORK_FACTOR_MAX)
                return error_raise(err, ERR_DAMAGED,
                                   "%s asks for a work factor of scrypt above %d: whoever made it wants this run to "
                                   "take hours",
                                   label, AGE_SCRYPT_WORK_FACTOR_MAX);
        return 0;
}

int age_stanzas_check(const struct age_header *header, const char *label, struct age_addressees *ret_addressees,
                      struct error *err)
{
        *ret_addressees = (struct age_addressees){ 0 };
        for (size_t i = 0; i < header->count; i++) {
                const struct age_stanza *stanza = &header->stanzas[i];

                if (is_type(header, stanza, X25519)) {
                        ret_addressees->x25519++;
                        if (check_x25519(header, stanza, label, err) < 0)
                                return -1;
                } else if (is_type(header, stanza, SCRYPT)) {
                        if (check_scrypt(header, stanza, label, &ret_addressees->work_factor, err) < 0)
                                return -1;
                } else {
                        ret_addressees->other++;
                }
        }
        return 0;
}

/* ---- opening ---- */

int age_stanzas_open_x25519(const struct age_header *header, const char *label, const struct age_identity *identity,
                            uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err)
{
        CLEANUP(secret_freep) struct stanza_secrets *working = secret_new(sizeof *working);

        if (!working)
                return error_no_memory(err);
        for (size_t i = 0; i < header->count; i++) {
                const struct age_stanza *stanza = &header->stanzas[i];

                if (!is_type(header, stanza, X25519) || !argument_bytes(header, stanza, 1, working->salt, AGE_KEY_SIZE))
                        continue;
                memcpy(working->salt + AGE_KEY_SIZE, identity->recipient, AGE_KEY_SIZE);
                if (crypto_scalarmult_curve25519(working->shared, identity->secret, working->salt) < 0)
                        return stanza_raise_malformed(label, "an X25519 share of low order", err);
                x25519_wrap_key(working);
                if (age_unwrap(file_key, stanza->body, working->wrap_key))
                        return 1;
        }
        return 0;
}

int age_stanzas_open_scrypt(const struct age_header *header, const char *label, unsigned work_factor,
                            const struct age_passphrase *passphrase, uint8_t file_key[AGE_FILE_KEY_SIZE],
                            struct error *err)
{
        CLEANUP(secret_freep) struct stanza_secrets *working = secret_new(sizeof *working);
        uint8_t salt[SALT_SIZE];

        if (!working)
                return error_no_memory(err);
        if (!argument_bytes(header, &header->stanzas[0], 1, salt, sizeof salt))
                return stanza_raise_malformed(label, "a malformed scrypt stanza", err);
        if (scrypt_wrap_key(working, passphrase, salt, work_factor, err) < 0)
                return error_prefix(err, "cannot open %s: ", label);
        return age_unwrap(file_key, header->stanzas[0].body, working->wrap_key) ? 1 : 0;
}
