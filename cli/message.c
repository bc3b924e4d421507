#include "cli/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "codecs/age/age.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/text.h"

/* Set before threads are started. */
static bool message_quiet;
static bool message_verbose_wanted;
static bool message_on_terminal;
static void (*message_clear_line)(void);

void message_init(const struct args *args)
{
        message_quiet = args->quiet;
        message_verbose_wanted = args->verbose;
        message_on_terminal = isatty(STDERR_FILENO);
}

static bool message_is_wanted(enum message_level level)
{
        if (level == MESSAGE_SUMMARY)
                return !message_quiet && (message_verbose_wanted || message_on_terminal);
        return level == MESSAGE_ERROR || (!message_quiet && (message_verbose_wanted || level != MESSAGE_VERBOSE));
}

void message_set_line_clearer(void (*clear)(void))
{
        message_clear_line = clear;
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
static void message_say_unsayable(void)
{
        static const char line[] = "vdipipe: out of memory, also for what was to be said here\n";

        fd_write_full(STDERR_FILENO, line, sizeof line - 1, /* cancel= */ NULL);
}

void message_say(enum message_level level, const char *format, ...)
{
        CLEANUP(freep) char *text = NULL;
        CLEANUP(freep) char *safe = NULL;
        CLEANUP(freep) char *line = NULL;
        va_list args;
        int length;

        if (!message_is_wanted(level))
                return;
        va_start(args, format);
        length = vasprintf(&text, format, args);
        va_end(args);
        if (length < 0) {
                text = NULL;
                message_say_unsayable();
                return;
        }
        safe = text_escape(text, (size_t)length);
        if (safe)
                hide_secrets(safe);
        length = asprintf(&line, "vdipipe: %s%s\n", level == MESSAGE_WARNING ? "warning: " : "",
                          safe ? safe : "out of memory");
        if (length < 0) {
                line = NULL;
                message_say_unsayable();
                return;
        }
        if (message_clear_line)
                message_clear_line();
        fd_write_full(STDERR_FILENO, line, (size_t)length, /* cancel= */ NULL);
}
