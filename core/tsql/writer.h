/*
 * writer.h - BACKUP and RESTORE statements as they grow
 *
 * Memory that runs short is noticed at the end: between begin and finish no call fails. One thread at a time.
 */
#ifndef VDIPIPE_CORE_TSQL_WRITER_H
#define VDIPIPE_CORE_TSQL_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/tsql/statement.h"

struct statement_writer {
        FILE *stream; /* what is no name, string or option is written here */
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

/* A name, [quoted]; a string, N'quoted'. */
void statement_put_name(struct statement_writer *writer, const char *name);
void statement_put_string(struct statement_writer *writer, const char *text);

/* The keyword of an option, behind WITH or a comma; with its value. */
void statement_put_option(struct statement_writer *writer, enum statement_option option);
void statement_put_option_number(struct statement_writer *writer, enum statement_option option, uint32_t number);
void statement_put_option_string(struct statement_writer *writer, enum statement_option option, const char *text);

#endif
