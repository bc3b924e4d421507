/*
 * options.h - options as data: one table entry is the only place where an option is described
 *
 * A command lists the tables it understands; the parser, the help text, the manual page, the completion words, the
 * configuration and the check of which server understands an option all read them. A row is written with one of the
 * OPTION_ macros, which also hold the member's type against what the option stores.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "cli/args.h"
#include "cli/nearest.h"
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

/* What an option is about; help shows it under that heading, in this order. What stands under SQLite or SQL Server is
 * understood by that kind of server only. */
enum opt_group {
        OPT_GROUP_MAIN, /* of the command itself; without a heading */
        OPT_GROUP_FILES,
        OPT_GROUP_CODING,
        OPT_GROUP_SQLITE,
        OPT_GROUP_DEVICES,
        OPT_GROUP_TIMEOUTS,
        OPT_GROUP_MESSAGES,
        OPT_GROUP_MSSQL,
        OPT_GROUPS
};

struct opt_choice {
        const char *word;
        int64_t value;
};

struct opt_spec {
        enum opt_type type;
        enum opt_group group;
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
        size_t given_offset; /* 0: none */
        int64_t fallback;
};

/* The place of a member of struct args, which has to be of that type: else an array has no length. */
#define OPT_IS(c_type, member)    __builtin_types_compatible_p(__typeof__(((struct args *)NULL)->member), c_type)
#define OPT_PLACE(c_type, member) (offsetof(struct args, member) + sizeof(char[OPT_IS(c_type, member) ? 1 : -1]) - 1)

/* The members of a row without its braces; `kind` and `about` are the last words of an enum opt_type and opt_group. */
#define OPT_FIELDS(kind, about, its_name, its_letter, its_value, place, lowest, highest, words, its_help) \
        .type = OPT_##kind, .group = OPT_GROUP_##about, .name = (its_name), .letter = (its_letter),       \
        .value = (its_value), .offset = (place), .min = (lowest), .max = (highest), .choices = (words),   \
        .help = (its_help)
#define OPT_ROW(...)                    \
        {                               \
                OPT_FIELDS(__VA_ARGS__) \
        }

#define OPTION_FLAG(about, its_name, its_letter, member, its_help) \
        OPT_ROW(FLAG, about, its_name, its_letter, NULL, OPT_PLACE(bool, member), 0, 0, NULL, its_help)
#define OPTION_STRING(about, its_name, its_letter, its_value, member, its_help) \
        OPT_ROW(STRING, about, its_name, its_letter, its_value, OPT_PLACE(const char *, member), 0, 0, NULL, its_help)
#define OPTION_STRINGS(about, its_name, its_letter, its_value, member, its_help)                                    \
        OPT_ROW(STRINGS, about, its_name, its_letter, its_value, OPT_PLACE(struct string_list, member), 0, 0, NULL, \
                its_help)
#define OPTION_CHOICE(about, its_name, its_value, member, words, its_help) \
        OPT_ROW(CHOICE, about, its_name, 0, its_value, OPT_PLACE(int64_t, member), 0, 0, words, its_help)

/* A quantity from `lowest` to `highest`, in the unit stored. */
#define OPTION_NUMBER(about, its_name, member, lowest, highest, its_help) \
        OPT_ROW(NUMBER, about, its_name, 0, "N", OPT_PLACE(int64_t, member), lowest, highest, NULL, its_help)
#define OPTION_SIZE(about, its_name, member, lowest, highest, its_help) \
        OPT_ROW(SIZE, about, its_name, 0, "SIZE", OPT_PLACE(int64_t, member), lowest, highest, NULL, its_help)
#define OPTION_SECONDS(about, its_name, member, lowest, highest, its_help) \
        OPT_ROW(SECONDS, about, its_name, 0, "SECONDS", OPT_PLACE(int64_t, member), lowest, highest, NULL, its_help)

/* For every row `spec` of every table of the list, in their order. */
#define OPTIONS_EACH(tables)                                                  \
        for (const struct opt_spec *const *table = (tables); *table; table++) \
                for (const struct opt_spec *spec = *table; spec->type != OPT_END; spec++)

/* The heading over the options of a group: "Time-outs". "": it has none. */
const char *options_heading(enum opt_group group);

/* Fills *args from argv[1..], and notes the options that stood there in args->given. `tables` is a
 * NULL-terminated list. Everything after "--" is an operand. Errors are ERR_USAGE and name the argument, what is wrong
 * with it and what would be right. */
int options_parse(const struct opt_spec *const *tables, int argc, const char *const *argv, struct args *args,
                  struct error *err);

/* The option whose name (without dashes) is the first `size` bytes of `name`; NULL: none. */
const struct opt_spec *options_find(const struct opt_spec *const *tables, const char *name, size_t size);

/* Gives the option the value that a line of a configuration file names, which must live as long as *args: what follows
 * '=' on the command line; for flags yes, true, on, 1 or no, false, off, 0; an option whose value may be left out also
 * takes nothing, or yes, true, on for its fallback, and no, false, off for not given. Errors as options_parse(). */
int options_set_from_file(const struct opt_spec *spec, const char *value, struct args *args, struct error *err);

/* "512", "64K", "1.5M": exposed for tests. */
int options_parse_size(const char *text, int64_t *ret_bytes);
int options_parse_seconds(const char *text, int64_t *ret_ms);
