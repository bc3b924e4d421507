/*
 * words.h - inside the reader of scripts: the words of a line, and the values they stand for
 *
 * What begins with parser_need takes the next word or words; all of it returns -1 after a refusal, which names the
 * line, the fault and the remedy.
 */
#ifndef VDIPIPE_CORE_SCRIPT_WORDS_H
#define VDIPIPE_CORE_SCRIPT_WORDS_H

#include "core/script/parse.h"

enum { PARSER_LINE_MAX = 1024, PARSER_WORDS_MAX = 64 };

/* No number of a script is larger. */
#define PARSER_NUMBER_MAX INT64_MAX

struct word {
        const char *text;
        bool quoted;
};

struct parser {
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
        int64_t value;
};

int parser_refuse(struct parser *parser, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Cuts parser->text into words. */
int parser_split(struct parser *parser);

/* The next word, or NULL at the end of the line; `next` takes it. */
const char *parser_peek(const struct parser *parser);
const char *parser_next(struct parser *parser);

/* Takes the next word if it is this one. */
bool parser_take(struct parser *parser, const char *word);

/* The next word, which has to be there: NULL after a refusal. `what` says what it should have been. */
const char *parser_need(struct parser *parser, const char *what);

/* The number that `text` is, from `min` to `max`. */
int parser_number(struct parser *parser, const char *text, const char *what, int64_t min, int64_t max,
                  int64_t *ret_value);
int parser_need_number(struct parser *parser, const char *what, int64_t min, int64_t max, int64_t *ret_value);
int parser_need_u32(struct parser *parser, const char *what, uint32_t min, uint32_t max, uint32_t *ret_value);
int parser_need_u64(struct parser *parser, const char *what, uint64_t *ret_value);
int parser_need_seconds(struct parser *parser, int64_t *ret_ms);
int parser_need_named(struct parser *parser, const struct named *table, const char *what, int64_t *ret_value);
int parser_need_features(struct parser *parser, uint32_t *ret_features);
int parser_need_codes(struct parser *parser, struct script_codes *codes);

/* The index of a name, which is made if need be. */
int parser_need_name(struct parser *parser, struct script_names *names, bool make, int *ret_index);

/* A position of the device. */
int parser_need_place(struct parser *parser, struct script_place *place);

/* A new step at the end of the device's sequence; NULL when memory is short. */
struct script_step *parser_add_step(struct parser *parser, enum script_step_kind kind);

/* The command that a word names, or NULL; and the rest of its line, made into a step. */
struct command_word;
const struct command_word *parser_find_command(const char *word);
int parser_command(struct parser *parser, const struct command_word *word, bool sent);

#endif
