#include "codecs/age/keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sodium.h>

#include "codecs/age/bech32.h"
#include "codecs/base/label.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/text.h"

#define RECIPIENT_PREFIX "age"
#define SECRET_PREFIX    "AGE-SECRET-KEY-"

enum {
        SECRET_LENGTH = BECH32_LENGTH(sizeof SECRET_PREFIX - 1, AGE_KEY_SIZE),
        FILE_ROOM_FIRST = 16 << 10,
        FILE_MAX = 1 << 20,
        TEXT_SHOWN = 80,
};

_Static_assert(BECH32_LENGTH(sizeof RECIPIENT_PREFIX - 1, AGE_KEY_SIZE) + 1 == AGE_RECIPIENT_SIZE, "of 32 bytes");

/* ---- text that is no key that can be used here ---- */

/* A table of these ends with a row of NULL. */
struct unusable_key {
        const char *begins;
        const char *what;
};

static const char *find_unusable(const struct unusable_key *row, const char *text, size_t size)
{
        while (row->begins && (size < strlen(row->begins) || memcmp(text, row->begins, strlen(row->begins)) != 0))
                row++;
        return row->what;
}

const char *age_find_secret(const char *text, size_t *ret_size)
{
        static const char *const begins[] = { SECRET_PREFIX "1", SECRET_PREFIX "PQ-1" };
        const char *first = NULL;

        for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
                const char *at = strcasestr(text, begins[i]);

                if (at && (!first || at + strlen(begins[i]) < first))
                        first = at + strlen(begins[i]);
        }
        *ret_size = 0;
        while (first && isalnum((unsigned char)first[*ret_size]))
                ++*ret_size;
        return first;
}

/* ---- passphrases ---- */

static int read_passphrase(int fd, const char *name, struct age_passphrase **ret_passphrase, struct error *err)
{
        CLEANUP(secret_freep) struct age_passphrase *passphrase = secret_new(sizeof *passphrase);
        char label[LABEL_MAX];
        ssize_t size;

        if (!passphrase)
                return error_no_memory(err);
        if (label_of_input(name, label, err) < 0)
                return -1;
        size = secret_read_line(fd, passphrase->bytes, AGE_PASSPHRASE_MAX);
        if (size < 0 && errno == EMSGSIZE)
                return error_raise(err, ERR_USAGE, "the passphrase in %s is longer than %d bytes", label,
                                   AGE_PASSPHRASE_MAX);
        if (size < 0)
                return error_raise_errno(err, errno, "cannot read a passphrase from %s", label);
        if (size == 0)
                return error_raise(err, ERR_USAGE, "%s holds no passphrase: its first line is empty", label);
        passphrase->size = (size_t)size;
        secret_freep(ret_passphrase);
        *ret_passphrase = take_ptr(&passphrase);
        return 0;
}

/* ---- files with a key a line ---- */

/* Straight into secret memory, of which it takes more while the file goes on. */
static int read_secret_file(int fd, const char *label, char **ret_text, size_t *ret_size, struct error *err)
{
        CLEANUP(secret_freep) char *text = secret_new(FILE_ROOM_FIRST);
        size_t room = FILE_ROOM_FIRST, size = 0;

        for (;;) {
                ssize_t n;

                if (!text)
                        return error_no_memory(err);
                n = fd_read_full(fd, text + size, room - size, /* cancel= */ NULL);
                if (n < 0)
                        return error_raise_errno(err, errno, "cannot read %s", label);
                size += (size_t)n;
                if (size < room)
                        break;
                if (room == FILE_MAX)
                        return error_raise(err, ERR_USAGE, "%s holds more than 1 MiB: it is no file of keys", label);
                char *grown = secret_new(room * 2);
                if (grown)
                        memcpy(grown, text, size);
                secret_freep(&text);
                text = grown;
                room *= 2;
        }
        *ret_text = take_ptr(&text);
        *ret_size = size;
        return 0;
}

/* Takes one line that is neither blank nor a comment; says what is wrong with it, without the line's text. */
typedef int (*take_line_fn)(void *to, const char *line, size_t size, struct error *err);

static int take_lines(const char *text, size_t size, const char *label, take_line_fn take, void *to, struct error *err)
{
        size_t number = 0, taken = 0;

        for (size_t at = 0; at < size; number++) {
                const char *line = text + at;
                const char *newline = memchr(line, '\n', size - at);
                size_t length = newline ? (size_t)(newline - line) : size - at;

                at += length + 1;
                if (length > 0 && line[length - 1] == '\r')
                        length--;
                if (length == 0 || line[0] == '#')
                        continue;
                if (take(to, line, length, err) < 0)
                        return error_prefix(err, "%s, line %zu: ", label, number + 1);
                taken++;
        }
        return taken > 0 ? 0 : error_raise(err, ERR_USAGE, "%s holds no key", label);
}

static int take_file(const char *path, take_line_fn take, void *to, bool *ret_exposed, struct error *err)
{
        CLEANUP(fd_closep) int fd = -1;
        CLEANUP(secret_freep) char *text = NULL;
        char label[LABEL_MAX];
        struct stat status;
        size_t size = 0;

        if (label_of_input(path, label, err) < 0)
                return -1;
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0 || fstat(fd, &status) < 0) {
                error_raise_errno(err, errno, "cannot read %s", label);
                if (err)
                        err->code = ERR_USAGE;
                return -1;
        }
        if (ret_exposed)
                *ret_exposed = S_ISREG(status.st_mode) && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0;
        if (read_secret_file(fd, label, &text, &size, err) < 0)
                return -1;
        return take_lines(text, size, label, take, to, err);
}

/* ---- recipients ---- */

struct age_recipients *age_recipients_new(void)
{
        return calloc(1, sizeof(struct age_recipients));
}

void age_recipients_free(struct age_recipients *recipients)
{
        if (!recipients)
                return;
        secret_freep(&recipients->passphrase);
        free(recipients->keys);
        free(recipients);
}

#define ADVICE "; make an age key with `vdipipe keygen`"

static const struct unusable_key unusable_recipients[] = {
        { "AGE-SECRET-KEY-", "is a secret key; give the public one, `age-keygen -y FILE` prints it" },
        { "AGE-PLUGIN-", "is an identity of a plugin; plugins are not supported" },
        { "ssh-", "is an SSH key, which is not supported" ADVICE },
        { "ecdsa-", "is an SSH key, which is not supported" ADVICE },
        { "sk-", "is an SSH key, which is not supported" ADVICE },
        { "age1pq1", "is a post-quantum key, which is not supported" ADVICE },
        { NULL, NULL },
};

/* In the data of a key there is no '1', so another one ends the name of a plugin. */
static const char *find_unusable_recipient(const char *text, size_t size)
{
        size_t begin = sizeof RECIPIENT_PREFIX;
        const char *what = find_unusable(unusable_recipients, text, size);

        if (what || size < begin || memcmp(text, RECIPIENT_PREFIX "1", begin) != 0)
                return what;
        if (memchr(text + begin, '1', size - begin))
                return "is a recipient of a plugin; plugins are not supported";
        return NULL;
}

/* Whether a secret can be shared with the owner of this key: not so for points of low order. */
static bool is_usable(const uint8_t key[AGE_KEY_SIZE])
{
        static const uint8_t any[AGE_KEY_SIZE] = { 8 };
        uint8_t shared[AGE_KEY_SIZE];

        return crypto_scalarmult_curve25519(shared, any, key) == 0;
}

static int raise_both(struct error *err)
{
        return error_raise(err, ERR_USAGE,
                           "encrypted is either for recipients or with a passphrase, not both: the format forbids it");
}

static int append_recipient(struct age_recipients *recipients, const struct age_recipient *added, struct error *err)
{
        struct age_recipient *grown;

        for (size_t i = 0; i < recipients->count; i++)
                if (memcmp(recipients->keys[i].key, added->key, AGE_KEY_SIZE) == 0)
                        return 0;
        if (recipients->passphrase)
                return raise_both(err);
        if (recipients->count == AGE_RECIPIENTS_MAX)
                return error_raise(err, ERR_USAGE, "more than %d recipients", AGE_RECIPIENTS_MAX);
        grown = reallocarray(recipients->keys, recipients->count + 1, sizeof *grown);
        if (!grown)
                return error_no_memory(err);
        recipients->keys = grown;
        grown[recipients->count++] = *added;
        return 0;
}

static int take_recipient(void *to, const char *text, size_t size, struct error *err)
{
        const char *wrong = find_unusable_recipient(text, size);
        struct age_recipient added;

        if (sodium_init() < 0)
                return error_raise(err, ERR_FAILED, "libsodium cannot be used here");
        if (!wrong)
                wrong = bech32_decode(text, size, RECIPIENT_PREFIX, added.key, sizeof added.key);
        if (!wrong && !is_usable(added.key))
                wrong = "is a public key that keeps nothing secret";
        if (wrong)
                return error_raise(err, ERR_USAGE, "this %s", wrong);
        memcpy(added.text, text, size);
        added.text[size] = '\0';
        return append_recipient(to, &added, err);
}

int age_recipients_add(struct age_recipients *recipients, const char *text, struct error *err)
{
        size_t size = strlen(text);
        CLEANUP(freep) char *shown = NULL;

        if (take_recipient(recipients, text, size, err) == 0)
                return 0;
        /* What may be a secret, given by mistake, is not shown. */
        if (strncasecmp(text, "AGE-", 4) == 0 || age_find_secret(text, &size))
                return error_prefix(err, "recipient: ");
        size = strlen(text);
        shown = text_escape(text, size < TEXT_SHOWN ? size : TEXT_SHOWN);
        return error_prefix(err, "recipient '%s': ", shown ? shown : "");
}

int age_recipients_add_file(struct age_recipients *recipients, const char *path, struct error *err)
{
        return take_file(path, take_recipient, recipients, NULL, err);
}

int age_recipients_set_passphrase(struct age_recipients *recipients, int fd, const char *name, struct error *err)
{
        return recipients->count > 0 ? raise_both(err) : read_passphrase(fd, name, &recipients->passphrase, err);
}

size_t age_recipients_count(const struct age_recipients *recipients)
{
        return recipients->passphrase ? 1 : recipients->count;
}

const char *age_recipients_text(const struct age_recipients *recipients, size_t index)
{
        return recipients->passphrase ? "a passphrase" : recipients->keys[index].text;
}

/* ---- identities ---- */

struct age_identities *age_identities_new(void)
{
        return calloc(1, sizeof(struct age_identities));
}

void age_identities_free(struct age_identities *identities)
{
        if (!identities)
                return;
        while (identities->first) {
                struct age_identity *identity = identities->first;

                identities->first = identity->next;
                secret_freep(&identity);
        }
        secret_freep(&identities->passphrase);
        free(identities);
}

static const struct unusable_key unusable_identities[] = {
        { "AGE-SECRET-KEY-PQ-", "is a post-quantum key, which is not supported" },
        { "AGE-PLUGIN-", "is an identity of a plugin; plugins are not supported" },
        { "-----BEGIN AGE ENCRYPTED FILE", "is an encrypted identity; `age -d` decrypts it" },
        { "age-encryption.org/", "is an encrypted identity; `age -d` decrypts it" },
        { "-----BEGIN", "is an SSH or PEM key, which is not supported" ADVICE },
        { "age1", "is a recipient; to decrypt, give the identity" },
        { NULL, NULL },
};

static int take_identity(void *to, const char *text, size_t size, struct error *err)
{
        CLEANUP(secret_freep) struct age_identity *identity = secret_new(sizeof *identity);
        struct age_identities *identities = to;
        const char *wrong = find_unusable(unusable_identities, text, size);
        struct age_identity **at = &identities->first;

        if (!identity)
                return error_no_memory(err);
        if (!wrong)
                wrong = bech32_decode(text, size, SECRET_PREFIX, identity->secret, sizeof identity->secret);
        if (wrong)
                return error_raise(err, ERR_USAGE, "this %s", wrong);
        if (identities->count == AGE_RECIPIENTS_MAX)
                return error_raise(err, ERR_USAGE, "more than %d identities", AGE_RECIPIENTS_MAX);
        crypto_scalarmult_curve25519_base(identity->recipient, identity->secret);
        while (*at)
                at = &(*at)->next;
        *at = take_ptr(&identity);
        identities->count++;
        return 0;
}

int age_identities_add_file(struct age_identities *identities, const char *path, bool *ret_exposed, struct error *err)
{
        return take_file(path, take_identity, identities, ret_exposed, err);
}

int age_identities_set_passphrase(struct age_identities *identities, int fd, const char *name, struct error *err)
{
        return read_passphrase(fd, name, &identities->passphrase, err);
}

/* ---- making one ---- */

static void local_time(char *text, size_t room)
{
        time_t now = time(NULL);
        struct tm parts;
        size_t used;

        used = localtime_r(&now, &parts) ? strftime(text, room, "%Y-%m-%dT%H:%M:%S%z", &parts) : 0;
        /* RFC 3339 has a colon in the offset. */
        if (used > 2 && used + 2 <= room) {
                memmove(text + used - 1, text + used - 2, 3);
                text[used - 2] = ':';
        }
}

int age_keygen(int fd, const char *name, char recipient[AGE_RECIPIENT_SIZE], struct error *err)
{
        enum { KEYGEN_ROOM = 512 };
        CLEANUP(secret_freep) uint8_t *secret = secret_new(AGE_KEY_SIZE);
        CLEANUP(secret_freep) char *text = secret_new(KEYGEN_ROOM);
        uint8_t public_key[AGE_KEY_SIZE];
        char label[LABEL_MAX];
        char created[64] = "";
        int used;

        if (!secret || !text)
                return error_no_memory(err);
        if (label_of_input(name, label, err) < 0)
                return -1;
        randombytes_buf(secret, AGE_KEY_SIZE);
        crypto_scalarmult_curve25519_base(public_key, secret);
        bech32_encode(RECIPIENT_PREFIX, public_key, sizeof public_key, recipient);
        local_time(created, sizeof created);
        used = snprintf(text, KEYGEN_ROOM, "# created: %s\n# public key: %s\n", created, recipient);
        bech32_encode(SECRET_PREFIX, secret, AGE_KEY_SIZE, text + used);
        text[used + SECRET_LENGTH] = '\n';
        if (fd_write_full(fd, text, (size_t)used + SECRET_LENGTH + 1, /* cancel= */ NULL) < 0)
                return error_raise_errno(err, errno, "cannot write %s", label);
        return 0;
}
