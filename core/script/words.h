/*
 * words.h - inside the reader of scripts: the words of a line, and the values they stand for
 *
 * What begins with parser_need takes the next word or words; all of it returns -1 after a refusal, which names the
 * line, the fault and the remedy.
 */
#pragma once

#include "core/script/parse.h"

enum { PARSER_LINE_MAX = 1024, PARSER_WORDS_MAX = 64 };

struct word {
        const char *text;
        bool quoted;
};

struct script_parser {
        const char *name;
        uint32_t line;
        struct script *script;
        struct script_device *device;      /* NULL: before the first */
        uint32_t open[SCRIPT_NESTING_MAX]; /* steps of the repeats that are not closed */
        uint32_t open_count;
        char text[PARSER_LINE_MAX];
        struct word words[PARSER_WORDS_MAX];
        uint32_t count;
        uint32_t at; /* the next word */
        struct error *err;
};

/* A word and what it stands for; a table of them ends with a NULL word. */
struct named {
        const char *word;
        int32_t value;
};

enum value_kind {
        VALUE_NONE,         /* no word */
        VALUE_U32,          /* a number from `min` to `max`, as the next four */
        VALUE_POWER_OF_TWO, /* uint32_t */
        VALUE_UNITS,        /* uint32_t, of VDS_TRANSFER_UNIT */
        VALUE_I32,
        VALUE_U64,
        VALUE_SECONDS,  /* int64_t, milliseconds */
        VALUE_NAMED,    /* one of `names`, as int32_t */
        VALUE_FEATURES, /* "tape+discard" or a number, as uint32_t */
        VALUE_GRANT,    /* the same, or "all" */
        VALUE_CODES,    /* struct script_codes */
        VALUE_PLACE,    /* struct script_place, of the parser's device */
        VALUE_SAVE,     /* the name of such a place, which is made if need be: its index, as int */
        VALUE_TEXT,     /* char[ERROR_MESSAGE_MAX], cut to that */
};

/* What the next word of a line is, and the member of an object that it goes to. */
struct value {
        enum value_kind kind;
        const char *what; /* for refusals */
        int64_t min;
        int64_t max;
        const struct named *names;
        size_t offset;
};

/* The row of an array whose first member is that word; NULL: there is none. */
#define parser_find(rows, word) \
        ((__typeof__(&(rows)[0]))parser_find_row((rows), sizeof(rows) / sizeof(rows)[0], sizeof(rows)[0], (word)))
const void *parser_find_row(const void *rows, size_t count, size_t size, const char *word);

int parser_refuse(struct script_parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Cuts parser->text into words. */
int parser_split(struct script_parser *parser);

/* The next word, or NULL at the end of the line; `next` takes it. */
const char *parser_peek(const struct script_parser *parser);
const char *parser_next(struct script_parser *parser);

/* Takes the next word if it is this one. */
bool parser_take(struct script_parser *parser, const char *word);

/* The next word, which has to be there: NULL after a refusal. `what` says what it should have been. */
const char *parser_need(struct script_parser *parser, const char *what);

/* The number that `text` is, from `min` to `max`. */
int parser_number(struct script_parser *parser, const char *text, const char *what, int64_t min, int64_t max,
                  int64_t *ret_value);

/* Takes what `value` tells, into its member of *object. */
int parser_need_value(struct script_parser *parser, const struct value *value, void *object);
int parser_need_u32(struct script_parser *parser, const char *what, uint32_t min, uint32_t max, uint32_t *ret_value);

/* The index of a name, which is made if need be. */
int parser_need_name(struct script_parser *parser, struct script_names *names, bool make, int *ret_index);

/* A new step at the end of the device's sequence; NULL when memory is short. */
struct script_step *parser_add_step(struct script_parser *parser, enum script_step_kind kind);

/* The command that a word names, or NULL; and the rest of its line, made into a step. */
struct command_word;
const struct command_word *parser_find_command(const char *word);
int parser_command(struct script_parser *parser, const struct command_word *word, bool sent);
