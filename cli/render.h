/*
 * render.h - help, the manual page and completion words, all read from the command and option tables
 */
#pragma once

#include <stdio.h>

#include "cli/command.h"

/* The list of commands. */
void render_overview(FILE *out);

/* One command: usage, text, options, example, exit statuses. */
void render_help(FILE *out, const struct command *command);

/* The whole manual in man(7) form. */
void render_man(FILE *out);

/* Words that may follow: commands, or the options of `of`, one a line,
 * with a tab and the description behind each. */
void render_words(FILE *out, const struct command *of);

/* "vdipipe 0.1.0" and the versions of the libraries in use. */
void render_version(FILE *out);
