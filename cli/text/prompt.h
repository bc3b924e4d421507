/*
 * prompt.h - a passphrase or password from the terminal, unseen
 */
#pragma once

#include <stdbool.h>

#include "cli/text/secrets.h"
#include "core/base/error.h"

/* Asks at the terminal of this process, also where standard input and output are none; `twice` lets it be typed again,
 * and both must agree. *ret_fd is a pipe that holds the answer and a newline; the caller closes it. A signal that ends
 * the program does so with the terminal as it was. ERR_USAGE where there is no terminal. Before threads are started. */
int prompt_secret(const struct secret_source *source, bool twice, int *ret_fd, struct error *err);
