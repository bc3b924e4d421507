#include "cli/media/coding.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/text/secrets.h"
#include "codecs/stream/stream.h"
#include "core/base/cleanup.h"

const struct opt_spec options_writing[] = {
        { OPT_FIELDS(NUMBER, CODING, "zstd", 'z', "LEVEL", OPT_PLACE(int64_t, zstd_level), ZSTD_LEVEL_MIN,
                     ZSTD_LEVEL_MAX, NULL, "compress, at LEVEL from -7 to 22 (default: 3)"),
          .optional = true, .given_offset = OPT_PLACE(bool, zstd), .fallback = ZSTD_LEVEL_DEFAULT },
        OPTION_FLAG(CODING, "zstd-long", 0, zstd_long,
                    "with --zstd: find repetitions over 32 MiB instead of 4; takes more memory"),
        OPTION_STRINGS(CODING, "recipient", 'r', "age1...", recipients,
                       "encrypt, so that the owner of this public key can read it; may be repeated"),
        OPTION_STRINGS(CODING, "recipients-file", 'R', "FILE", recipients_files,
                       "encrypt for every public key in FILE, one a line"),
        OPTION_FLAG(CODING, "armor", 'a', armor, "write what is encrypted as text"),
        { .type = OPT_END },
};

const struct opt_spec options_reading[] = {
        OPTION_STRINGS(CODING, "identity", 0, "FILE", identities,
                       "decrypt with the secret keys in FILE, as 'vdipipe keygen' makes them; may be repeated"),
        OPTION_FLAG(
                FILES, "accept-unconfirmed", 0, accept_unconfirmed,
                "do without the verdict: take data that is complete though no server said that its backup succeeded"),
        OPTION_SIZE(DEVICES, "memory-limit", memory_limit, 1 << 20, (int64_t)1 << 32,
                    "largest window of a foreign zstd frame (default: 8M), and what trying a passphrase may take "
                    "(default: 256M)"),
        { .type = OPT_END },
};

const struct opt_spec options_passphrase[] = {
        OPTION_STRING(CODING, "passphrase-file", 0, "FILE", passphrase_file,
                      "encrypt or decrypt with the passphrase in the first line of FILE"),
        OPTION_NUMBER(CODING, "passphrase-fd", passphrase_fd, 0, 1 << 20, "read the passphrase from descriptor N"),
        OPTION_FLAG(CODING, "ask-passphrase", 0, ask_passphrase, "ask for the passphrase at the terminal"),
        { .type = OPT_END },
};

static struct secret_source passphrase_source(const struct args *args)
{
        return (struct secret_source){ .name = "passphrase",
                                       .question = "Passphrase: ",
                                       .file = args->passphrase_file,
                                       .fd = args->passphrase_fd,
                                       .ask = args->ask_passphrase };
}

int coding_check_zstd(const struct args *args, struct error *err)
{
        if (args->zstd && args->zstd_level == 0)
                return error_raise(err, ERR_USAGE, "--zstd has no level 0; leave --zstd out to store");
        if (args->zstd_long && !args->zstd)
                return error_raise(err, ERR_USAGE, "--zstd-long goes with --zstd");
        return 0;
}

bool coding_encrypts(const struct args *args)
{
        struct secret_source source = passphrase_source(args);

        return args->recipients.count || args->recipients_files.count || secret_source_given(&source);
}

/* An argument can be read by every process of the machine: what stands there is no secret any more. */
static int coding_check_no_secrets(const char *option, const struct string_list *values, const char *remedy,
                                   struct error *err)
{
        size_t size;

        for (size_t i = 0; i < values->count; i++)
                if (age_find_secret(values->items[i], &size))
                        return error_raise(err, ERR_USAGE,
                                           "--%s was given a secret key itself, which every process of this machine "
                                           "can now read; make a new one, and %s",
                                           option, remedy);
        return 0;
}

static int coding_add_recipients(const struct args *args, struct age_recipients *recipients, struct error *err)
{
        struct secret_source source = passphrase_source(args);
        CLEANUP(fd_closep) int own = -1;
        const char *name;
        int fd;

        for (size_t i = 0; i < args->recipients.count; i++)
                if (age_recipients_add(recipients, args->recipients.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < args->recipients_files.count; i++)
                if (age_recipients_add_file(recipients, args->recipients_files.items[i], err) < 0)
                        return -1;
        if (secret_source_given(&source) &&
            (secret_source_open(&source, /* twice= */ true, &fd, &own, &name, err) < 0 ||
             age_recipients_set_passphrase(recipients, fd, name, err) < 0))
                return -1;
        if (age_recipients_count(recipients) == 0)
                return error_raise(err, ERR_USAGE, "'%s' names no recipient", args->recipients_files.items[0]);
        return 0;
}

/* Appends to `text`, which has room for it. */
static __attribute__((format(printf, 2, 3))) void coding_append(char text[CODING_WORDS_MAX], const char *format, ...)
{
        size_t used = strlen(text);
        va_list args;

        va_start(args, format);
        vsnprintf(text + used, CODING_WORDS_MAX - used, format, args);
        va_end(args);
}

static void coding_summarise(struct coding *coding)
{
        size_t count = age_recipients_count(coding->recipients);

        coding_append(coding->summary, ", encrypted for ");
        coding_append(coding->json, ",\"recipients\":[");
        for (size_t i = 0; i < count && i < CODING_RECIPIENTS_NAMED; i++) {
                const char *text = age_recipients_text(coding->recipients, i);

                coding_append(coding->summary, "%s%s", i ? ", " : "", text);
                coding_append(coding->json, "%s\"%s\"", i ? "," : "", text);
        }
        if (count > CODING_RECIPIENTS_NAMED)
                coding_append(coding->summary, " and %zu more", count - CODING_RECIPIENTS_NAMED);
        coding_append(coding->json, "],\"recipient_count\":%zu", count);
}

int coding_load_writing(const struct args *args, struct error *err)
{
        struct secret_source source = passphrase_source(args);

        if (coding_check_no_secrets("recipient", &args->recipients, "give its public key: --recipient age1...", err) <
                    0 ||
            coding_check_no_secrets("recipients-file", &args->recipients_files, "give a file of public keys", err) <
                    0 ||
            secret_source_check(&source, err) < 0)
                return -1;
        if (!coding_encrypts(args))
                return args->armor ? error_raise(err, ERR_USAGE,
                                                 "--armor is for what is encrypted; add --recipient age1..., or leave "
                                                 "--armor out")
                                   : 0;
        if (secret_source_given(&source) && args->recipients.count + args->recipients_files.count)
                return error_raise(err, ERR_USAGE,
                                   "a passphrase and recipients exclude each other: that is how age has it");
        args->coding->recipients = age_recipients_new();
        if (!args->coding->recipients)
                return error_no_memory(err);
        if (secrets_protect_memory(err) < 0)
                return -1;
        if (coding_add_recipients(args, args->coding->recipients, err) < 0)
                return -1;
        coding_summarise(args->coding);
        return 0;
}

static int coding_add_identities(const struct args *args, struct age_identities *identities, struct error *err)
{
        struct secret_source source = passphrase_source(args);
        CLEANUP(fd_closep) int own = -1;
        const char *name;
        bool exposed;
        int fd;

        for (size_t i = 0; i < args->identities.count; i++) {
                exposed = false;
                if (age_identities_add_file(identities, args->identities.items[i], &exposed, err) < 0)
                        return -1;
                if (exposed)
                        secrets_warn_of_exposure(args->identities.items[i]);
        }
        if (secret_source_given(&source) &&
            (secret_source_open(&source, /* twice= */ false, &fd, &own, &name, err) < 0 ||
             age_identities_set_passphrase(identities, fd, name, err) < 0))
                return -1;
        return 0;
}

int coding_load_reading(const struct args *args, bool from_stdin, struct error *err)
{
        struct secret_source source = passphrase_source(args);

        if (coding_check_no_secrets("identity", &args->identities, "give the file that holds it: --identity FILE",
                                    err) < 0 ||
            secret_source_check(&source, err) < 0)
                return -1;
        if (!args->identities.count && !secret_source_given(&source))
                return 0;
        if (from_stdin && args->passphrase_fd == STDIN_FILENO)
                return error_raise(
                        err, ERR_USAGE,
                        "--passphrase-fd 0 is where the backup comes from; give another descriptor, or -i FILE");
        args->coding->identities = age_identities_new();
        if (!args->coding->identities)
                return error_no_memory(err);
        if (secrets_protect_memory(err) < 0)
                return -1;
        return coding_add_identities(args, args->coding->identities, err);
}

void coding_forget(const struct args *args)
{
        if (args->coding->recipients)
                age_recipients_free(take_ptr(&args->coding->recipients));
        if (args->coding->identities)
                age_identities_free(take_ptr(&args->coding->identities));
}
