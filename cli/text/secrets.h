/*
 * secrets.h - where a passphrase or password comes from
 *
 * A file, a descriptor or the terminal, never an argument. Used from the main thread, before others are started.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct secret_source {
        const char *name;     /* "passphrase", as its options and the messages have it */
        const char *question; /* "Passphrase: " */
        const char *file;     /* NULL: none */
        int64_t fd;           /* -1: none */
        bool ask;
};

bool secret_source_given(const struct secret_source *source);

/* Of its three options one may be given. ERR_USAGE. */
int secret_source_check(const struct secret_source *source, struct error *err);

/* Where the secret can be read, of a source that was given. *ret_own is to be closed, and -1 when *ret_fd is the
 * user's; *ret_name is for messages. `twice`: at the terminal it has to be typed again. */
int secret_source_open(const struct secret_source *source, bool twice, int *ret_fd, int *ret_own, const char **ret_name,
                       struct error *err);

/* The first line of a source that was given, which is no longer than a SQL Server's password can be. *ret_password
 * comes from secret_new(). ERR_USAGE when it is empty or too long. */
int secret_read_password(const struct secret_source *source, char **ret_password, struct error *err);

/* Wipes what secret_read_password() gave, and leaves NULL. Idempotent. */
void secrets_forget(const char **password);

/* Nobody may look into this process but root, and should it die of a fault, no core file is written. */
int secrets_protect_memory(struct error *err);

/* Says that others can read the file. */
void secrets_warn_of_exposure(const char *path);
