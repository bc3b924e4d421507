/*
 * message.h - what people read: one line on standard error, whatever bytes the names in it hold
 *
 * Thread safe: each message is one write.
 */
#pragma once

#include <stdbool.h>

#include "cli/args.h"

/* Says how much to say; called once, before threads. */
void message_init(const struct args *args);

enum message_level {
        MESSAGE_ERROR,   /* always */
        MESSAGE_WARNING, /* unless -q: what went well but should be known */
        MESSAGE_NOTICE,  /* unless -q: what the user asked to be told (--dry-run) */
        MESSAGE_SUMMARY, /* only with -v, or on a terminal without -q */
        MESSAGE_VERBOSE, /* only with -v */
};

/* "vdipipe: ..." where that level is wanted. Bytes that could move a terminal's cursor, and newlines, are shown
 * escaped.
 */
void message_say(enum message_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define message_error(...)   message_say(MESSAGE_ERROR, __VA_ARGS__)
#define message_warning(...) message_say(MESSAGE_WARNING, __VA_ARGS__)
#define message_notice(...)  message_say(MESSAGE_NOTICE, __VA_ARGS__)
#define message_summary(...) message_say(MESSAGE_SUMMARY, __VA_ARGS__)
#define message_verbose(...) message_say(MESSAGE_VERBOSE, __VA_ARGS__)

/* Removes a progress bar that stands on the terminal's line before the next message; set by progress.c. */
void message_set_line_clearer(void (*clear)(void));
