#include "cli/text/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/text/prompt.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"

enum { PASSWORD_MAX = 512 /* bytes; SQL Server takes 128 characters */ };

bool secret_source_given(const struct secret_source *source)
{
        return source->file || source->fd >= 0 || source->ask;
}

int secret_source_check(const struct secret_source *source, struct error *err)
{
        if ((source->file != NULL) + (source->fd >= 0) + source->ask > 1)
                return error_raise(err, ERR_USAGE, "--%s-file, --%s-fd and --ask-%s exclude each other", source->name,
                                   source->name, source->name);
        return 0;
}

void secrets_forget(const char **password)
{
        CLEANUP(secret_freep) void *held = (void *)(uintptr_t)*password;

        (void)held;
        *password = NULL;
}

int secrets_protect_memory(struct error *err)
{
        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                return error_raise_errno(err, errno, "protecting the keys in memory");
        return 0;
}

void secrets_warn_of_exposure(const char *path)
{
        message_warning("others can read '%s'; forbid it: chmod go-r", path);
}

static int secret_open_file(const struct secret_source *source, int *ret_fd, struct error *err)
{
        struct stat st;
        int fd = open(source->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0 || fstat(fd, &st) < 0) {
                error_raise_errno(err, errno, "%s file '%s' cannot be read", source->name, source->file);
                err->code = ERR_USAGE;
                fd_closep(&fd);
                return -1;
        }
        if (S_ISREG(st.st_mode) && st.st_mode & (S_IRGRP | S_IROTH))
                secrets_warn_of_exposure(source->file);
        *ret_fd = fd;
        return 0;
}

int secret_source_open(const struct secret_source *source, bool twice, int *ret_fd, int *ret_own, const char **ret_name,
                       struct error *err)
{
        *ret_own = -1;
        if (source->fd >= 0) {
                *ret_fd = (int)source->fd;
                *ret_name = "the descriptor";
                if (fcntl(*ret_fd, F_GETFD) < 0)
                        return error_raise(err, ERR_USAGE, "--%s-fd %d is no open descriptor", source->name, *ret_fd);
                /* Whatever else is started here has no business with it. */
                if (*ret_fd > STDERR_FILENO)
                        fcntl(*ret_fd, F_SETFD, FD_CLOEXEC);
                return 0;
        }
        *ret_name = source->file ? source->file : "the terminal";
        if (source->file ? secret_open_file(source, ret_own, err) < 0 : prompt_secret(source, twice, ret_own, err) < 0)
                return -1;
        *ret_fd = *ret_own;
        return 0;
}

/* Some editors write UTF-16, or put a mark in front; the server would only say that the login failed. */
static bool is_password(const char *text, size_t size)
{
        static const char mark[] = "\xef\xbb\xbf";

        return !memchr(text, '\0', size) && text_is_utf8(text, size) &&
               (size < sizeof mark - 1 || memcmp(text, mark, sizeof mark - 1) != 0);
}

int secret_read_password(const struct secret_source *source, char **ret_password, struct error *err)
{
        CLEANUP(fd_closep) int own = -1;
        CLEANUP(secret_freep) char *password = secret_new(PASSWORD_MAX + 1);
        const char *name;
        ssize_t size;
        int fd;

        if (!password)
                return error_no_memory(err);
        if (secret_source_open(source, /* twice= */ false, &fd, &own, &name, err) < 0)
                return -1;
        size = secret_read_line(fd, password, PASSWORD_MAX);
        if (size < 0 && errno == EMSGSIZE)
                return error_raise(err, ERR_USAGE, "the password in '%s' is longer than SQL Server's can be", name);
        if (size < 0)
                return error_raise_errno(err, errno, "cannot read a password from '%s'", name);
        if (size == 0)
                return error_raise(err, ERR_USAGE, "'%s' holds no password: its first line is empty", name);
        if (!is_password(password, (size_t)size))
                return error_raise(err, ERR_USAGE,
                                   "'%s' holds no password that could be typed: save it as plain UTF-8, without a byte "
                                   "order mark",
                                   name);
        *ret_password = take_ptr(&password);
        return 0;
}
