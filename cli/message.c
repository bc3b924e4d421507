#include "cli/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/age/age.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/text.h"

/* Set before threads are started. */
static bool quiet;
static bool verbose;
static bool on_terminal;
static void (*clear_line)(void);

void message_init(const struct args *args)
{
        quiet = args->quiet;
        verbose = args->verbose;
        on_terminal = isatty(STDERR_FILENO);
}

static bool is_wanted(enum message_kind kind)
{
        if (kind == MESSAGE_KIND_SUMMARY)
                return !quiet && (verbose || on_terminal);
        return kind == MESSAGE_KIND_ERROR || (!quiet && (verbose || kind != MESSAGE_KIND_VERBOSE));
}

void message_set_line_clearer(void (*clear)(void))
{
        clear_line = clear;
}

/* A secret key that was typed in a wrong place is not repeated: messages end up in logs. */
static void hide_secrets(char *text)
{
        const char *secret;
        size_t size;

        for (char *from = text; (secret = age_find_secret(from, &size)) != NULL;) {
                from = text + (secret - text);
                memset(from, '.', size);
                from += size;
        }
}

/* A run that fails is never silent. */
static void say_unsayable(void)
{
        static const char line[] = "vdipipe: out of memory, also for what was to be said here\n";

        fd_write_full(STDERR_FILENO, line, sizeof line - 1, /* cancel= */ NULL);
}

void message_say(enum message_kind kind, const char *format, ...)
{
        CLEANUP(freep) char *text = NULL;
        CLEANUP(freep) char *safe = NULL;
        CLEANUP(freep) char *line = NULL;
        va_list args;
        int length;

        if (!is_wanted(kind))
                return;
        va_start(args, format);
        length = vasprintf(&text, format, args);
        va_end(args);
        if (length < 0) {
                text = NULL;
                say_unsayable();
                return;
        }
        safe = text_escape(text, (size_t)length);
        if (safe)
                hide_secrets(safe);
        length = asprintf(&line, "vdipipe: %s%s\n", kind == MESSAGE_KIND_WARNING ? "warning: " : "",
                          safe ? safe : "out of memory");
        if (length < 0) {
                line = NULL;
                say_unsayable();
                return;
        }
        if (clear_line)
                clear_line();
        fd_write_full(STDERR_FILENO, line, (size_t)length, /* cancel= */ NULL);
}
