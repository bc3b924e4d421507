#include "cli/databases/rows.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/text/json.h"
#include "cli/text/table.h"

enum { TABLE_WIDEST = 12 /* columns; more of them would not fit a terminal */ };

static void free_texts(char **texts, size_t count)
{
        for (size_t i = 0; i < count; i++)
                free(texts[i]);
        free(texts);
}

void rows_deinit(struct rows *rows)
{
        free_texts(rows->names, rows->column_count);
        free_texts(rows->cells, rows->row_count * rows->column_count);
        *rows = (struct rows){ 0 };
}

static bool take_names(struct rows *rows, const struct mssql_row *row)
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
static bool take_row(struct rows *rows, const struct mssql_row *row)
{
        size_t count = row->count;
        size_t used = rows->row_count * count;
        char **cells = count == rows->column_count && used + count <= ROWS_CELLS_MAX
                               ? realloc(rows->cells, (used + count) * sizeof *cells)
                               : NULL;
        bool whole = cells;

        if (!cells)
                return false;
        rows->cells = cells;
        for (size_t i = 0; i < count; i++) {
                cells[used + i] = row->texts[i] ? strdup(row->texts[i]) : NULL;
                whole = whole && (!row->texts[i] || cells[used + i]);
        }
        rows->row_count++;
        return whole;
}

void rows_add(struct rows *rows, const struct mssql_row *row)
{
        if (rows->failed)
                return;
        if (!rows->names && !take_names(rows, row))
                rows->failed = true;
        else
                rows->failed = !take_row(rows, row);
}

const char *rows_cell(const struct rows *rows, size_t row, const char *name)
{
        for (size_t i = 0; i < rows->column_count; i++)
                if (strcasecmp(rows->names[i], name) == 0)
                        return rows->cells[row * rows->column_count + i];
        return NULL;
}

/* One value a line; text that came from a backup is escaped, as in any table. */
static void print_list(const struct rows *rows, FILE *out)
{
        static const struct table_column columns[] = { { .head = "COLUMN" }, { .head = "VALUE" } };

        for (size_t row = 0; row < rows->row_count; row++) {
                struct table table;

                table_init(&table, columns, 2);
                for (size_t i = 0; i < rows->column_count; i++) {
                        const char *cell = rows->cells[row * rows->column_count + i];

                        table_add(&table, rows->names[i]);
                        table_add(&table, cell ? cell : "NULL");
                }
                if (row)
                        fputc('\n', out);
                table_print(&table, out);
                table_deinit(&table);
        }
}

static void print_table(const struct rows *rows, FILE *out)
{
        struct table_column columns[TABLE_WIDEST] = { 0 };
        struct table table;

        for (size_t i = 0; i < rows->column_count; i++)
                columns[i].head = rows->names[i];
        table_init(&table, columns, rows->column_count);
        for (size_t i = 0; i < rows->row_count * rows->column_count; i++)
                table_add(&table, rows->cells[i] ? rows->cells[i] : "NULL");
        table_print(&table, out);
        table_deinit(&table);
}

static int print_json(const struct rows *rows, FILE *out, struct error *err)
{
        json_t *array = json_array();
        int rc = array ? 0 : -1;

        for (size_t row = 0; rc == 0 && row < rows->row_count; row++) {
                json_t *object = json_object();

                for (size_t i = 0; rc == 0 && i < rows->column_count; i++) {
                        const char *cell = rows->cells[row * rows->column_count + i];

                        rc = json_object_set_new(object, rows->names[i], cell ? json_string(cell) : json_null());
                }
                if (json_array_append_new(array, object) < 0)
                        rc = -1;
        }
        if (rc == 0)
                return json_print(array, out, err);
        json_decref(array);
        return error_no_memory(err);
}

int rows_print(const struct rows *rows, bool json, FILE *out, struct error *err)
{
        if (rows->failed)
                return error_raise(err, ERR_PROTOCOL,
                                   "the server's answer cannot be shown: it is too large, or not of "
                                   "one shape");
        if (json)
                return print_json(rows, out, err);
        if (rows->column_count > TABLE_WIDEST)
                print_list(rows, out);
        else if (rows->column_count)
                print_table(rows, out);
        return 0;
}
