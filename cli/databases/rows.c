#include "cli/databases/rows.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/text/results.h"
#include "cli/text/table.h"

enum { TABLE_WIDEST = 12 /* columns; more of them would not fit a terminal */ };

void rows_deinit(struct rows *rows)
{
        for (size_t i = 0; i < rows->column_count; i++)
                free(rows->names[i]);
        for (size_t i = 0; i < rows->row_count * rows->column_count; i++)
                free((void *)(uintptr_t)rows->cells[i].text);
        free(rows->names);
        free(rows->cells);
        *rows = (struct rows){ 0 };
}

static bool rows_take_names(struct rows *rows, const struct mssql_row *row)
{
        size_t count = row->count;

        if (count == 0 || count > ROWS_COLUMNS_MAX)
                return false;
        rows->names = calloc(count, sizeof *rows->names);
        if (!rows->names)
                return false;
        rows->column_count = count;
        for (size_t i = 0; i < count; i++) {
                rows->names[i] = strdup(row->names[i]);
                if (!rows->names[i])
                        return false;
        }
        return true;
}

/* All cells of a row are there, or none. */
static bool rows_take_cells(struct rows *rows, const struct mssql_row *row)
{
        size_t count = row->count;
        size_t used = rows->row_count * count;
        struct result_cell *cells = count == rows->column_count && used + count <= ROWS_CELLS_MAX
                                            ? reallocarray(rows->cells, used + count, sizeof *cells)
                                            : NULL;
        bool whole = cells;

        if (!cells)
                return false;
        rows->cells = cells;
        for (size_t i = 0; i < count; i++) {
                cells[used + i] = (struct result_cell){ .kind = row->texts[i] ? RESULT_TEXT : RESULT_NULL };
                if (row->texts[i])
                        cells[used + i].text = strdup(row->texts[i]);
                whole = whole && (!row->texts[i] || cells[used + i].text);
        }
        rows->row_count++;
        return whole;
}

void rows_add(struct rows *rows, const struct mssql_row *row)
{
        if (rows->failed)
                return;
        if (!rows->names && !rows_take_names(rows, row))
                rows->failed = true;
        else
                rows->failed = !rows_take_cells(rows, row);
}

const char *rows_cell(const struct rows *rows, size_t row, const char *name)
{
        for (size_t i = 0; i < rows->column_count; i++)
                if (strcasecmp(rows->names[i], name) == 0)
                        return rows->cells[row * rows->column_count + i].text;
        return NULL;
}

/* One value a line; text that came from a backup is escaped, as in any table. */
static void rows_print_list(const struct rows *rows, FILE *out)
{
        static const struct table_column columns[] = { { .head = "COLUMN" }, { .head = "VALUE" } };

        for (size_t row = 0; row < rows->row_count; row++) {
                struct table table;

                table_init(&table, columns, 2);
                for (size_t i = 0; i < rows->column_count; i++) {
                        const char *cell = rows->cells[row * rows->column_count + i].text;

                        table_add(&table, rows->names[i]);
                        table_add(&table, cell ? cell : "NULL");
                }
                if (row)
                        fputc('\n', out);
                table_print(&table, out);
                table_deinit(&table);
        }
}

int rows_print(const struct rows *rows, bool json, FILE *out, struct error *err)
{
        const struct result_set results = { .columns = (const char *const *)rows->names,
                                            .column_count = rows->column_count,
                                            .cells = rows->cells,
                                            .row_count = rows->row_count };

        if (rows->failed)
                return error_raise(err, ERR_PROTOCOL,
                                   "the server's answer cannot be shown: it is too large, or not of one shape");
        if (json || (rows->column_count && rows->column_count <= TABLE_WIDEST))
                return results_print(&results, json, out, err);
        rows_print_list(rows, out);
        return 0;
}
