/*
 * Any bytes at all as an age file, armored or not, as Bech32, and as files of recipients and identities. Mutated
 * headers get a MAC that is right, so that what stands behind it is reached.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codecs/age/armor.h"
#include "codecs/age/bech32.h"
#include "codecs/age/stanza.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "fuzz.h"

enum { OUTPUT_LIMIT = 8 << 20, MAC_LENGTH = 43, WORK_FACTOR = 1 };

#define SECRET "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX\n"
#define PUBLIC "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"

static const uint8_t file_key[AGE_FILE_KEY_SIZE] = "sixteen bytes ok";

static int memory_file(const void *data, size_t size)
{
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        if (fd < 0 || fd_pwrite_full(fd, data, size, 0) < 0)
                abort();
        return fd;
}

static void path_of(int fd, char path[64])
{
        snprintf(path, 64, "/proc/self/fd/%d", fd);
}

static struct age_identities *make_identities(const char *text, size_t size)
{
        struct age_identities *identities = age_identities_new();
        CLEANUP(fd_closep) int fd = memory_file(text, size);
        char path[64];
        bool exposed;

        if (!identities)
                abort();
        path_of(fd, path);
        (void)age_identities_add_file(identities, path, &exposed, NULL);
        return identities;
}

static void read_layer(const uint8_t *data, size_t size, const struct age_identities *identities)
{
        /* A work factor above this one is refused before it costs anything. */
        struct reader_options options = { .identities = identities, .memory_limit = AGE_SCRYPT_MEMORY(8) };
        CLEANUP(fd_closep) int fd = memory_file(data, size);
        static uint8_t buffer[70001];
        struct error err = ERROR_INIT;
        struct source *source = NULL;
        size_t total = 0;
        ssize_t n = 1;

        if (fd_source_new(fd, "input", NULL, &source, &err) < 0)
                abort();
        if (age_source_new(source, "input", &options, &source, &err) < 0)
                return;
        while (n > 0 && total < OUTPUT_LIMIT) {
                n = source_read(source, buffer, sizeof buffer, &err);
                total += n > 0 ? (size_t)n : 0;
        }
        source_free(source);
}

/* What can be decoded is written in one way only. */
static void check_bech32(const uint8_t *data, size_t size)
{
        char text[BECH32_LENGTH(3, 32) + 1];
        uint8_t key[32];

        if (bech32_decode((const char *)data, size, "age", key, sizeof key))
                return;
        bech32_encode("age", key, sizeof key, text);
        if (size != sizeof text - 1 || memcmp(text, data, size) != 0)
                abort();
}

static void check_files(const uint8_t *data, size_t size)
{
        struct age_recipients *recipients = age_recipients_new();
        CLEANUP(fd_closep) int fd = memory_file(data, size);
        char path[64];

        if (!recipients)
                abort();
        path_of(fd, path);
        (void)age_recipients_add_file(recipients, path, NULL);
        age_recipients_free(recipients);
        age_identities_free(make_identities((const char *)data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct age_identities *identities;

        if (!identities) {
                CLEANUP(fd_closep) int fd = memory_file("secret", 6);

                identities = make_identities(SECRET, sizeof SECRET - 1);
                if (identities->count != 1 || age_identities_set_passphrase(identities, fd, "secret", NULL) < 0)
                        abort();
        }
        read_layer(data, size, identities);
        check_bech32(data, size);
        check_files(data, size);
        return 0;
}

/* The last line of a header gets the MAC of what stands before it. */
void fuzz_repair(uint8_t *data, size_t size)
{
        const uint8_t *at = memmem(data, size, "\n--- ", 5);
        struct age_header header = { 0 };
        uint8_t mac[AGE_MAC_SIZE];
        size_t covers;

        if (!at)
                return;
        covers = (size_t)(at - data) + 4;
        if (size - covers < 1 + MAC_LENGTH)
                return;
        age_header_mac(mac, file_key, data, covers);
        if (age_header_add(&header, "x", mac, sizeof mac, NULL) < 0)
                abort();
        memcpy(data + covers + 1, header.text + header.size - MAC_LENGTH - 1, MAC_LENGTH);
        age_header_deinit(&header);
}

/* ---- seeds ---- */

static int keep(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        (void)stage;
        (void)err;
        for (int i = 0; i < count; i++)
                fuzz_seed_append(iov[i].iov_base, iov[i].iov_len);
        return 0;
}

static void release(struct stage *stage)
{
        free(stage);
}

static const struct stage_ops keep_ops = { .name = "seed", .writev = keep, .free = release };

static struct stage *seed_sink(bool armor)
{
        struct stage *sink = calloc(1, sizeof *sink);

        if (!sink)
                abort();
        sink->ops = &keep_ops;
        if (armor && age_armor_stage_new(sink, &sink, NULL) < 0)
                abort();
        return sink;
}

/* With the file key that fuzz_repair() knows. */
static void seed_file(bool passphrase, bool other, bool armor, size_t size)
{
        CLEANUP(stage_freep) struct stage *sink = seed_sink(armor);
        struct age_passphrase phrase = { .size = 6, .bytes = "secret" };
        struct age_header header = { 0 };
        uint8_t nonce[AGE_NONCE_SIZE] = { 1 };
        uint8_t recipient[AGE_KEY_SIZE], key[AGE_KEY_SIZE];
        static uint8_t chunk[AGE_CHUNK_SIZE + AGE_TAG_SIZE];

        memset(chunk, 'x', sizeof chunk);
        if (bech32_decode(PUBLIC, strlen(PUBLIC), "age", recipient, sizeof recipient) ||
            (other && age_header_add(&header, "other !~", chunk, 100, NULL) < 0) ||
            (passphrase ? age_stanza_wrap_scrypt(&header, &phrase, WORK_FACTOR, file_key, NULL)
                        : age_stanza_wrap_x25519(&header, recipient, file_key, NULL)) < 0 ||
            age_header_end(&header, file_key, NULL) < 0)
                abort();
        age_payload_key(key, file_key, nonce);
        if (!age_chunk_seal(chunk, size, 0, true, key))
                abort();
        if (stage_write(sink, header.text, header.size, NULL) < 0 || stage_write(sink, nonce, sizeof nonce, NULL) < 0 ||
            stage_write(sink, chunk, size + AGE_TAG_SIZE, NULL) < 0 || stage_finish(sink, NULL, NULL) < 0)
                abort();
        age_header_deinit(&header);
        fuzz_seed_end();
}

static void seed_text(const char *text)
{
        fuzz_seed_append(text, strlen(text));
        fuzz_seed_end();
}

void fuzz_make_seeds(void)
{
        seed_file(false, false, false, 5);
        seed_file(false, true, false, 0);
        seed_file(false, true, true, 100);
        seed_file(true, false, false, 5);
        seed_file(true, false, true, 5);
        seed_text(PUBLIC);
        seed_text("# ours\r\n\n" PUBLIC "\n" PUBLIC "\r\nssh-ed25519 AAAA\n");
        seed_text("# created: x\n" SECRET "AGE-PLUGIN-X-1QQ\n");
}
