/*
 * writer.h - BACKUP and RESTORE statements as they grow
 *
 * Memory that runs short is noticed at the end: between begin and finish no call fails. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/tsql/options.h"

struct statement_writer {
        FILE *stream; /* what is no name, string or option is written here */
        enum statement_verb verb;
        char *text;
        size_t size;
        bool sound;
        bool has_option;
};

/* Returns -1 when memory is short; then there is nothing to finish. The writer stays where it is until it is finished.
 */
int statement_writer_begin(struct statement_writer *writer);

/* The statement, which belongs to the caller; NULL: memory was short. */
char *statement_writer_finish(struct statement_writer *writer);

/* The words of a verb, and behind them the name of the database where the verb has one. */
void statement_put_verb(struct statement_writer *writer, enum statement_verb verb, const char *database);

/* "KEYWORD = N'name'", once for each name; `separator` stands before the first, a comma before the others. */
void statement_put_list(struct statement_writer *writer, const char *separator, const char *keyword,
                        const char *const *names, size_t count);

/* A string, N'quoted'. */
void statement_put_string(struct statement_writer *writer, const char *text);

/* An option behind WITH or a comma, with its value; nothing when it is not given (false, 0, NULL), or when the verb's
 * grammar does not have it. statement_put_flag() says whether it wrote. */
bool statement_put_flag(struct statement_writer *writer, enum statement_option option, bool given);
void statement_put_number(struct statement_writer *writer, enum statement_option option, uint32_t number);
void statement_put_text(struct statement_writer *writer, enum statement_option option, const char *text);
