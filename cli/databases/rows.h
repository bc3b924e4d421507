/*
 * rows.h - the rows that a SQL Server answers with, kept as text, and printed
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/error.h"
#include "core/mssql/mssql.h"
#include "core/servers/events.h"

enum {
        ROWS_COLUMNS_MAX = 128,
        ROWS_CELLS_MAX = 1 << 18, /* of all rows */
};

struct rows {
        char **names;
        size_t column_count;
        struct result_cell *cells; /* row by row; their texts are owned here */
        size_t row_count;
        bool failed; /* rows are missing: memory is short, or there were too many, or of two shapes */
};

/* Zero-initialised is empty. */
void rows_deinit(struct rows *rows);

/* Adds a row; as the member of struct mssql_events, with the rows as context. */
void rows_add(struct rows *rows, const struct mssql_row *row);

/* The cell in the column of that name, in any letter case; NULL when it is NULL, or there is no such column. */
const char *rows_cell(const struct rows *rows, size_t row, const char *name);

/* A table, or, of rows that are too wide for one, a line for each value. */
int rows_print(const struct rows *rows, bool json, FILE *out, struct error *err);
