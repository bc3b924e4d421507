/*
 * options.h - options as data: one table entry is the only place where an option is described
 *
 * A command lists the tables it understands; the parser, the usage line, the help text and the completion words all
 * read them.
 */
#ifndef VDIPIPE_CLI_OPTIONS_H
#define VDIPIPE_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "cli/args.h"
#include "core/base/error.h"

enum opt_type {
        OPT_END = 0,
        OPT_FLAG,    /* bool */
        OPT_STRING,  /* const char * */
        OPT_STRINGS, /* struct string_list; may be repeated */
        OPT_NUMBER,  /* int64_t between min and max */
        OPT_SIZE,    /* int64_t bytes; suffixes K, M, G, T (powers of 1024) */
        OPT_SECONDS, /* int64_t milliseconds, given as seconds with an optional fraction */
        OPT_CHOICE,  /* int64_t, one of choices */
};

struct opt_choice {
        const char *word;
        int64_t value;
};

struct opt_spec {
        enum opt_type type;
        const char *name;  /* without the dashes */
        char letter;       /* 0: none */
        const char *value; /* what help calls the value; NULL for a flag */
        size_t offset;     /* in struct args */
        const char *help;

        int64_t min; /* OPT_NUMBER, OPT_SIZE, OPT_SECONDS (in the unit stored) */
        int64_t max;
        const struct opt_choice *choices; /* OPT_CHOICE; ends with a NULL word */

        /* For an option whose value may be left out (then it is only taken after '='): the bool that says that the
         * option was given, and the value that it then has. */
        bool optional;
        size_t given_offset; /* used when has_given */
        bool has_given;
        int64_t fallback;
};

/* Fills *args from argv[1..], and notes the names of the options that stood there in args->given. `tables` is a
 * NULL-terminated list. Everything after "--" is an operand. Errors are ERR_USAGE and name the argument, what is wrong
 * with it and what would be right. */
int options_parse(const struct opt_spec *const *tables, int argc, const char *const *argv, struct args *args,
                  struct error *err);

/* The option of that name (without dashes) in the tables; NULL: none. */
const struct opt_spec *options_find(const struct opt_spec *const *tables, const char *name);

/* Gives the option the value that a line of a configuration file names, which must live as long as *args: what follows
 * '=' on the command line; for flags yes, true, on, 1 or no, false, off, 0; an option whose value may be left out also
 * takes nothing, or yes, true, on for its fallback, and no, false, off for not given. Errors as options_parse(). */
int options_set_from_file(const struct opt_spec *spec, const char *value, struct args *args, struct error *err);

/* "512", "64K", "1.5M": exposed for tests. */
int options_parse_size(const char *text, int64_t *ret_bytes);
int options_parse_seconds(const char *text, int64_t *ret_ms);

#endif
