#include "cli/text/results.h"

#include <inttypes.h>
#include <jansson.h>

#include "cli/text/json.h"
#include "cli/text/table.h"

static int results_print_table(const struct result_set *results, FILE *out, struct error *err)
{
        struct table_column columns[TABLE_COLUMNS_MAX] = { 0 };
        size_t count = results->column_count < TABLE_COLUMNS_MAX ? results->column_count : TABLE_COLUMNS_MAX;
        struct table table;
        bool failed;

        for (size_t i = 0; i < count; i++) {
                columns[i].head = results->columns[i];
                columns[i].number = results->row_count > 0 && results->cells[i].kind == RESULT_NUMBER;
        }
        table_init(&table, columns, count);
        for (size_t i = 0; i < results->row_count * results->column_count; i++) {
                const struct result_cell *cell = &results->cells[i];

                if (i % results->column_count >= count)
                        continue;
                if (cell->kind == RESULT_NUMBER)
                        table_addf(&table, "%" PRId64, cell->number);
                else
                        table_add(&table, cell->kind == RESULT_TEXT ? cell->text : "NULL");
        }
        failed = table.failed;
        if (!failed)
                table_print(&table, out);
        table_deinit(&table);
        return failed ? error_no_memory(err) : 0;
}

static json_t *result_cell_json(const struct result_cell *cell)
{
        switch (cell->kind) {
        case RESULT_NUMBER:
                return json_integer(cell->number);
        case RESULT_TEXT:
                return json_string(cell->text);
        default:
                return json_null();
        }
}

static int results_print_json(const struct result_set *results, FILE *out, struct error *err)
{
        json_t *rows = json_array();
        int rc = rows ? 0 : -1;

        for (size_t row = 0; rc == 0 && row < results->row_count; row++) {
                json_t *object = json_object();

                for (size_t i = 0; rc == 0 && i < results->column_count; i++)
                        rc = json_object_set_new(object, results->columns[i],
                                                 result_cell_json(&results->cells[row * results->column_count + i]));
                if (json_array_append_new(rows, object) < 0)
                        rc = -1;
        }
        if (rc == 0)
                return json_print(rows, out, err);
        json_decref(rows);
        return error_no_memory(err);
}

int results_print(const struct result_set *results, bool json, FILE *out, struct error *err)
{
        return json ? results_print_json(results, out, err) : results_print_table(results, out, err);
}
