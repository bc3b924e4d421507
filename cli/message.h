/*
 * message.h - what people read: one line on standard error, whatever bytes the names in it hold
 *
 * Thread safe: each message is one write.
 */
#ifndef VDIPIPE_CLI_MESSAGE_H
#define VDIPIPE_CLI_MESSAGE_H

#include <stdbool.h>

#include "cli/args.h"

/* Says how much to say; called once, before threads. */
void message_init(const struct args *args);

/* "vdipipe: ..." always. Bytes that could move a terminal's cursor, and newlines, are shown escaped. */
void message_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Unless -q. For what went well but should be known. */
void message_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Only with -v, or on a terminal without -q. */
void message_summary(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Unless -q: what the user asked to be told (--dry-run). */
void message_notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Only with -v. */
void message_verbose(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Removes a progress bar that stands on the terminal's line before the next message; set by progress.c. */
void message_set_line_clearer(void (*clear)(void));

#endif
