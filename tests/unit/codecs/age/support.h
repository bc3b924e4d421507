/*
 * support.h - what the age tests share: keys, files made by our stage and by stock age, and how they are read
 */
#pragma once

#include "tests/unit/codecs/support.h"

#include "codecs/age/age.h"

enum { AGE_TEST_WORK_FACTOR = 4 };

#define AGE_TEST_PASSPHRASE "correct horse"

/* A new identity in $KEY of the environment, its recipient in $TO. */
struct age_pair {
        char path[256];
        char recipient[AGE_RECIPIENT_SIZE];
};

struct age_pair age_make_pair(const char *name);
struct age_recipients *age_for(const char *recipient);
/* A file with it, to be read from its beginning. */
int age_passphrase_fd(const char *passphrase);

struct age_recipients *age_for_passphrase(const char *passphrase);
struct age_identities *age_with(const char *path);
struct age_identities *age_with_passphrase(const char *passphrase);

/* Writes a file whose content is neither vdi stream nor zstd, in pieces, with a flush after each `flush_every` pieces
 * (0: none). Frees nothing of the options. */
void age_write_file(struct bytes *out, const struct age_options *options, const uint8_t *data, size_t size,
                    size_t piece, size_t flush_every);

/* Reads only the age layer. */
struct outcome age_read_file(const uint8_t *data, size_t size, size_t piece, const struct reader_options *options);
