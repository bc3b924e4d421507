/*
 * coding.h - encryption as the options ask for it: for whom to encrypt, with what to decrypt
 *
 * Secrets come from files, descriptors or the terminal, never from arguments; a secret that stands in an argument all
 * the same is refused without being repeated. Used from the main thread.
 */
#pragma once

#include <stdbool.h>

#include "cli/args.h"
#include "cli/options.h"
#include "codecs/age/age.h"
#include "core/base/error.h"

/* Of more recipients than this only their number is told. */
enum { CODING_RECIPIENTS_NAMED = 16, CODING_WORDS_MAX = (CODING_RECIPIENTS_NAMED + 1) * (AGE_RECIPIENT_SIZE + 8) };

struct coding {
        struct age_recipients *recipients; /* NULL: what is written is not encrypted */
        struct age_identities *identities; /* NULL: there is no key to read with */
        char summary[CODING_WORDS_MAX];    /* ", encrypted for age1..., age1... and 3 more"; "" */
        char json[CODING_WORDS_MAX];       /* ",\"recipients\":[...],\"recipient_count\":19"; "" */
};

extern const struct opt_spec options_writing[];    /* how streams are written, and for whom */
extern const struct opt_spec options_reading[];    /* how streams are read, and with what keys */
extern const struct opt_spec options_passphrase[]; /* for both */

/* Do the options of compression fit together? */
int coding_check_zstd(const struct args *args, struct error *err);

/* Whether the options ask for encryption. */
bool coding_encrypts(const struct args *args);

/* Loads what the options name into args->coding; to be called once the other arguments were found right, since it may
 * ask at the terminal. An option that cannot be honoured is an error (ERR_USAGE). From then on the process leaves no
 * core file. `from_stdin`: the stream comes from standard input, so no passphrase can. */
int coding_load_writing(const struct args *args, struct error *err);
int coding_load_reading(const struct args *args, bool from_stdin, struct error *err);

/* Wipes the keys, which are of no use any more once all chains stand; the summary stays. Idempotent. */
void coding_forget(const struct args *args);
