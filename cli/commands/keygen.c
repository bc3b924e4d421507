/*
 * keygen.c - a new key: the secret half into a file, the public half to whoever asked
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/text/secrets.h"
#include "codecs/age/age.h"
#include "core/base/cleanup.h"

static const struct opt_spec keygen_options[] = {
        OPTION_STRING(FILES, "output", 'o', "FILE", output,
                      "write the secret key to FILE, which must not exist yet, and print the public one"),
        { .type = OPT_END },
};

static int keygen_sync_folder(const char *path, struct error *err)
{
        CLEANUP(freep) char *copy = strdup(path);
        CLEANUP(fd_closep) int fd = -1;

        if (!copy)
                return error_no_memory(err);
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
                return error_raise_errno(err, errno, "the folder of '%s'", path);
        return 0;
}

static int keygen_write(int fd, const char *path, char recipient[AGE_RECIPIENT_SIZE], struct error *err)
{
        if (age_keygen(fd, path, recipient, err) < 0)
                return -1;
        if (fsync(fd) < 0)
                return error_raise_errno(err, errno, "'%s'", path);
        return keygen_sync_folder(path, err);
}

static int keygen_to_file(const char *path, char recipient[AGE_RECIPIENT_SIZE], struct error *err)
{
        CLEANUP(fd_closep) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, S_IRUSR | S_IWUSR);

        if (fd < 0 && errno == EEXIST)
                return error_raise(err, ERR_USAGE,
                                   "'%s' exists, and a key is never overwritten: what was encrypted for it would be "
                                   "lost; choose another name",
                                   path);
        if (fd < 0)
                return error_raise_errno(err, errno, "'%s' cannot be made", path);
        if (keygen_write(fd, path, recipient, err) == 0)
                return 0;
        unlink(path);
        return -1;
}

static int keygen_to_stdout(char recipient[AGE_RECIPIENT_SIZE], struct error *err)
{
        struct stat st;

        if (fstat(STDOUT_FILENO, &st) < 0)
                return error_raise_errno(err, errno, "standard output");
        if (age_keygen(STDOUT_FILENO, "standard output", recipient, err) < 0)
                return -1;
        if (S_ISREG(st.st_mode) && fsync(STDOUT_FILENO) < 0)
                return error_raise_errno(err, errno, "standard output");
        if (S_ISREG(st.st_mode) && st.st_mode & (S_IRGRP | S_IROTH))
                message_warning("others can read the file with the secret key; forbid it (chmod go-r), or use -o FILE");
        return 0;
}

static int run_keygen(const struct args *args, struct error *err)
{
        char recipient[AGE_RECIPIENT_SIZE];

        if (secrets_protect_memory(err) < 0)
                return -1;
        if (args->output) {
                if (keygen_to_file(args->output, recipient, err) < 0)
                        return -1;
                puts(recipient);
                return 0;
        }
        if (keygen_to_stdout(recipient, err) < 0)
                return -1;
        /* As age-keygen has it: where the key is not to be seen, the public one is. */
        if (!isatty(STDOUT_FILENO))
                message_notice("public key: %s", recipient);
        return 0;
}

const struct command command_keygen = {
        .name = "keygen",
        .operands = "[-o FILE]",
        .summary = "make a key to encrypt backups for",
        .text = "Makes an age identity. The FILE with the secret key is for --identity when a backup is read; keep it "
                "away from the machine that is backed up, and keep a copy: without it nobody can read the backups. The "
                "public key, age1..., is for --recipient when a backup is written. Without -o the secret key goes to "
                "standard output.",
        .example = "  vdipipe keygen -o backup.key\n",
        .options = OPTION_TABLES(keygen_options, options_common),
        .run = run_keygen,
};
