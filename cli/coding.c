#include "cli/coding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/prompt.h"
#include "core/base/cleanup.h"

static const char secret_prefix[] = "AGE-SECRET-KEY-";

const struct opt_spec options_encrypting[] = {
        { .type = OPT_STRINGS,
          .name = "recipient",
          .letter = 'r',
          .value = "age1...",
          .offset = offsetof(struct args, recipients),
          .help = "encrypt, so that the owner of this public key can read it; may be repeated" },
        { .type = OPT_STRINGS,
          .name = "recipients-file",
          .letter = 'R',
          .value = "FILE",
          .offset = offsetof(struct args, recipients_files),
          .help = "encrypt for every public key in FILE, one a line" },
        { .type = OPT_FLAG,
          .name = "armor",
          .letter = 'a',
          .offset = offsetof(struct args, armor),
          .help = "write what is encrypted as text" },
        { .type = OPT_END },
};

const struct opt_spec options_decrypting[] = {
        { .type = OPT_STRINGS,
          .name = "identity",
          .value = "FILE",
          .offset = offsetof(struct args, identities),
          .help = "decrypt with the secret keys in FILE, as 'vdipipe keygen' makes them; may be repeated" },
        { .type = OPT_END },
};

const struct opt_spec options_passphrase[] = {
        { .type = OPT_STRING,
          .name = "passphrase-file",
          .value = "FILE",
          .offset = offsetof(struct args, passphrase_file),
          .help = "encrypt or decrypt with the passphrase in the first line of FILE" },
        { .type = OPT_NUMBER,
          .name = "passphrase-fd",
          .value = "N",
          .offset = offsetof(struct args, passphrase_fd),
          .min = 0,
          .max = 1 << 20,
          .help = "read the passphrase from descriptor N" },
        { .type = OPT_FLAG,
          .name = "ask-passphrase",
          .offset = offsetof(struct args, ask_passphrase),
          .help = "ask for the passphrase at the terminal" },
        { .type = OPT_END },
};

static bool has_passphrase(const struct args *args)
{
        return args->passphrase_file || args->passphrase_fd >= 0 || args->ask_passphrase;
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
        return args->recipients.count || args->recipients_files.count || has_passphrase(args);
}

/* An argument can be read by every process of the machine: what stands there is no secret any more. */
static int check_no_secrets(const char *option, const struct string_list *values, const char *remedy, struct error *err)
{
        for (size_t i = 0; i < values->count; i++)
                if (strncasecmp(values->items[i], secret_prefix, sizeof secret_prefix - 1) == 0)
                        return error_raise(err, ERR_USAGE,
                                           "--%s was given a secret key itself, which every process of this machine "
                                           "can now read; make a new one, and %s",
                                           option, remedy);
        return 0;
}

static int check_passphrase_options(const struct args *args, struct error *err)
{
        if ((args->passphrase_file != NULL) + (args->passphrase_fd >= 0) + args->ask_passphrase > 1)
                return error_raise(err, ERR_USAGE,
                                   "--passphrase-file, --passphrase-fd and --ask-passphrase exclude each other");
        return 0;
}

/* Nobody may look into this process but root, and should it die of a fault, no core file is written. */
static int protect_memory(struct error *err)
{
        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                return error_raise_errno(err, errno, "protecting the keys in memory");
        return 0;
}

static void warn_of_exposure(const char *path)
{
        message_warning("others can read '%s'; forbid it: chmod go-r", path);
}

static int open_passphrase_file(const char *path, int *ret_fd, struct error *err)
{
        struct stat st;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0 || fstat(fd, &st) < 0) {
                error_raise_errno(err, errno, "passphrase file '%s' cannot be read", path);
                err->code = ERR_USAGE;
                fd_closep(&fd);
                return -1;
        }
        if (S_ISREG(st.st_mode) && st.st_mode & (S_IRGRP | S_IROTH))
                warn_of_exposure(path);
        *ret_fd = fd;
        return 0;
}

/* Where the passphrase can be read. *ret_own is to be closed; *ret_fd may be the user's. */
static int open_passphrase(const struct args *args, bool twice, int *ret_fd, int *ret_own, const char **ret_name,
                           struct error *err)
{
        *ret_own = -1;
        if (args->passphrase_fd >= 0) {
                *ret_fd = (int)args->passphrase_fd;
                *ret_name = "the passphrase's descriptor";
                if (fcntl(*ret_fd, F_GETFD) < 0)
                        return error_raise(err, ERR_USAGE, "--passphrase-fd %d is no open descriptor", *ret_fd);
                /* Whatever else is started here has no business with it. */
                if (*ret_fd > STDERR_FILENO)
                        fcntl(*ret_fd, F_SETFD, FD_CLOEXEC);
                return 0;
        }
        *ret_name = args->passphrase_file ? args->passphrase_file : "the terminal";
        if (args->passphrase_file ? open_passphrase_file(args->passphrase_file, ret_own, err) < 0
                                  : prompt_passphrase(twice, ret_own, err) < 0)
                return -1;
        *ret_fd = *ret_own;
        return 0;
}

static int add_recipients(const struct args *args, struct age_recipients *recipients, struct error *err)
{
        CLEANUP(fd_closep) int own = -1;
        const char *name;
        int fd;

        for (size_t i = 0; i < args->recipients.count; i++)
                if (age_recipients_add(recipients, args->recipients.items[i], err) < 0)
                        return -1;
        for (size_t i = 0; i < args->recipients_files.count; i++)
                if (age_recipients_add_file(recipients, args->recipients_files.items[i], err) < 0)
                        return -1;
        if (has_passphrase(args) && (open_passphrase(args, /* twice= */ true, &fd, &own, &name, err) < 0 ||
                                     age_recipients_set_passphrase(recipients, fd, name, err) < 0))
                return -1;
        if (age_recipients_count(recipients) == 0)
                return error_raise(err, ERR_USAGE, "'%s' names no recipient", args->recipients_files.items[0]);
        return 0;
}

static void summarise(struct coding *coding)
{
        size_t count = age_recipients_count(coding->recipients);
        size_t used = 0;

        for (size_t i = 0; i < count && used < sizeof coding->summary; i++)
                used += (size_t)snprintf(coding->summary + used, sizeof coding->summary - used, "%s%s",
                                         i ? ", " : ", encrypted for ", age_recipients_text(coding->recipients, i));
}

int coding_load_writing(const struct args *args, struct error *err)
{
        if (check_no_secrets("recipient", &args->recipients, "give its public key: --recipient age1...", err) < 0 ||
            check_no_secrets("recipients-file", &args->recipients_files, "give a file of public keys", err) < 0 ||
            check_passphrase_options(args, err) < 0)
                return -1;
        if (!coding_encrypts(args))
                return args->armor ? error_raise(err, ERR_USAGE,
                                                 "--armor is for what is encrypted; add --recipient age1..., or leave "
                                                 "--armor out")
                                   : 0;
        if (has_passphrase(args) && args->recipients.count + args->recipients_files.count)
                return error_raise(err, ERR_USAGE,
                                   "a passphrase and recipients exclude each other: that is how age has it");
        args->coding->recipients = age_recipients_new();
        if (!args->coding->recipients)
                return error_raise(err, ERR_MEMORY, "out of memory");
        if (protect_memory(err) < 0)
                return -1;
        if (add_recipients(args, args->coding->recipients, err) < 0)
                return -1;
        summarise(args->coding);
        return 0;
}

static int add_identities(const struct args *args, struct age_identities *identities, struct error *err)
{
        CLEANUP(fd_closep) int own = -1;
        const char *name;
        bool exposed;
        int fd;

        for (size_t i = 0; i < args->identities.count; i++) {
                exposed = false;
                if (age_identities_add_file(identities, args->identities.items[i], &exposed, err) < 0)
                        return -1;
                if (exposed)
                        warn_of_exposure(args->identities.items[i]);
        }
        if (has_passphrase(args) && (open_passphrase(args, /* twice= */ false, &fd, &own, &name, err) < 0 ||
                                     age_identities_set_passphrase(identities, fd, name, err) < 0))
                return -1;
        return 0;
}

int coding_load_reading(const struct args *args, bool from_stdin, struct error *err)
{
        if (check_no_secrets("identity", &args->identities, "give the file that holds it: --identity FILE", err) < 0 ||
            check_passphrase_options(args, err) < 0)
                return -1;
        if (!args->identities.count && !has_passphrase(args))
                return 0;
        if (from_stdin && args->passphrase_fd == STDIN_FILENO)
                return error_raise(
                        err, ERR_USAGE,
                        "--passphrase-fd 0 is where the backup comes from; give another descriptor, or -i FILE");
        args->coding->identities = age_identities_new();
        if (!args->coding->identities)
                return error_raise(err, ERR_MEMORY, "out of memory");
        if (protect_memory(err) < 0)
                return -1;
        return add_identities(args, args->coding->identities, err);
}

void coding_forget(const struct args *args)
{
        if (args->coding->recipients)
                age_recipients_free(take_ptr(&args->coding->recipients));
        if (args->coding->identities)
                age_identities_free(take_ptr(&args->coding->identities));
}
