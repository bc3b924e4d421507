#include "cli/text/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/text.h"

enum { GAP = 2 };

static void table_add_cell(struct table *table, const char *text)
{
        CLEANUP(freep) char *safe = text_escape(text, strlen(text));
        char **cells = safe ? reallocarray(table->cells, table->cell_count + 1, sizeof *cells) : NULL;

        if (!cells) {
                table->failed = true;
                return;
        }
        table->cells = cells;
        cells[table->cell_count++] = take_ptr(&safe);
}

void table_init(struct table *table, const struct table_column *columns, size_t column_count)
{
        *table = (struct table){ .columns = columns, .column_count = column_count };
        for (size_t i = 0; i < column_count; i++)
                table_add_cell(table, columns[i].head);
}

void table_add(struct table *table, const char *text)
{
        table_add_cell(table, *text ? text : "-");
}

void table_addf(struct table *table, const char *format, ...)
{
        CLEANUP(freep) char *text = NULL;
        va_list args;
        int length;

        va_start(args, format);
        length = vasprintf(&text, format, args);
        va_end(args);
        if (length < 0) {
                text = NULL;
                table->failed = true;
                return;
        }
        table_add(table, text);
}

/* In characters; a table of wide ones is ragged. */
static size_t cell_width(const char *text)
{
        size_t count = 0;

        for (; *text; text++)
                count += ((unsigned char)*text & 0xc0) != 0x80;
        return count;
}

static void print_cell(const struct table *table, size_t column, const char *text, size_t wide, FILE *out)
{
        bool last = column + 1 == table->column_count;
        int padding = (int)(wide - cell_width(text));

        if (table->columns[column].number)
                fprintf(out, "%*s%s", padding, "", text);
        else
                fprintf(out, "%s%*s", text, last ? 0 : padding, "");
        if (last)
                fputc('\n', out);
        else
                fprintf(out, "%*s", GAP, "");
}

void table_print(const struct table *table, FILE *out)
{
        size_t widths[TABLE_COLUMNS_MAX] = { 0 };
        size_t columns = table->column_count;

        for (size_t i = 0; i < table->cell_count; i++)
                if (cell_width(table->cells[i]) > widths[i % columns])
                        widths[i % columns] = cell_width(table->cells[i]);
        for (size_t i = 0; i < table->cell_count; i++)
                print_cell(table, i % columns, table->cells[i], widths[i % columns], out);
}

void table_deinit(struct table *table)
{
        for (size_t i = 0; i < table->cell_count; i++)
                free(table->cells[i]);
        free(table->cells);
        memset(table, 0, sizeof *table);
}
