/*
 * table.h - rows of words in columns, for people
 *
 * The columns are as wide as what stands in them. Every cell is escaped, so that it stays one line and cannot move the
 * cursor. Not thread safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 64 };

struct table_column {
        const char *head;
        bool number; /* stands at the right */
};

struct table {
        const struct table_column *columns;
        size_t column_count;
        char **cells; /* escaped, row after row, the heads first; owned */
        size_t cell_count;
        bool failed; /* memory was short: rows are missing */
};

/* A table of heads only; `columns` must outlive it. */
void table_init(struct table *table, const struct table_column *columns, size_t column_count);

/* Adds the next cell of the row; rows end by themselves. The text is copied; "" is shown as "-". */
void table_add(struct table *table, const char *text);

/* The same for text made on the spot. */
void table_addf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Prints the head and the rows. */
void table_print(const struct table *table, FILE *out);

void table_deinit(struct table *table);
