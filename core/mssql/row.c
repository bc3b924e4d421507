#include "core/mssql/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"

enum {
        NUMBER_MAX = 128, /* bytes of a number, a GUID or a time as text */
        NANOSECONDS_IN_MILLISECOND = 1000000,
};

struct result {
        size_t count;
        const char **names; /* belong to FreeTDS */
        char **texts;
};

static int result_init(struct result *result, size_t count)
{
        *result = (struct result){ .count = count };
        result->names = calloc(count + 1, sizeof *result->names);
        result->texts = calloc(count + 1, sizeof *result->texts);
        return result->names && result->texts ? 0 : -1;
}

static void result_forget_texts(struct result *result)
{
        for (size_t i = 0; result->texts && i < result->count; i++)
                freep(&result->texts[i]);
}

static void result_deinit(struct result *result)
{
        result_forget_texts(result);
        free(result->names);
        free(result->texts);
}

/* The library words times as the user's locale has it, which nobody can read back. */
static char *value_moment_text(DBPROCESS *process, int type, const BYTE *data)
{
        DBDATEREC2 at;
        char *text;

        memset(&at, 0, sizeof at);
        if (dblib.dbanydatecrack(process, &at, type, data) != SUCCEED)
                return strdup("");
        if (asprintf(&text, "%04d-%02d-%02d %02d:%02d:%02d.%03d", at.dateyear, at.datemonth + 1, at.datedmonth,
                     at.datehour, at.dateminute, at.datesecond, at.datensecond / NANOSECONDS_IN_MILLISECOND) < 0)
                return NULL;
        return text;
}

/* Whatever else there is: numbers, GUIDs, and bytes as hexadecimal digits. */
static char *value_converted_text(DBPROCESS *process, int type, const BYTE *data, DBINT size)
{
        char *text = calloc(1, (size_t)size * 2 + NUMBER_MAX);

        if (text && dblib.dbconvert(process, type, data, size, SYBCHAR, (BYTE *)text, /* destlen= */ -1) < 0)
                *text = '\0';
        return text;
}

static char *value_text(DBPROCESS *process, int column)
{
        const BYTE *data = dblib.dbdata(process, column);
        DBINT size = dblib.dbdatlen(process, column);
        int type = dblib.dbcoltype(process, column);

        switch (type) {
        case SYBCHAR:
        case SYBVARCHAR:
        case SYBTEXT:
        case SYBNVARCHAR:
        case SYBNTEXT:
                return strndup((const char *)data, (size_t)size);
        case SYBDATETIME:
        case SYBDATETIME4:
        case SYBMSDATETIME2:
        case SYBMSDATETIMEOFFSET:
                return value_moment_text(process, type, data);
        default:
                return value_converted_text(process, type, data, size);
        }
}

static int result_read_row(DBPROCESS *process, struct result *result)
{
        result_forget_texts(result);
        for (size_t i = 0; i < result->count; i++) {
                int column = (int)i + 1;

                if (!dblib.dbdata(process, column))
                        continue;
                result->texts[i] = value_text(process, column);
                if (!result->texts[i])
                        return -1;
        }
        return 0;
}

int mssql_rows(DBPROCESS *process, const struct mssql_events *events, struct error *err)
{
        int columns = dblib.dbnumcols(process);
        struct result result;
        bool sound = result_init(&result, columns > 0 ? (size_t)columns : 0) == 0;
        const struct mssql_row row = { .count = result.count, .names = result.names, .texts = result.texts };

        for (size_t i = 0; sound && i < result.count; i++) {
                const char *name = dblib.dbcolname(process, (int)i + 1);

                result.names[i] = name ? name : "";
        }
        while (sound && dblib.dbnextrow(process) == REG_ROW) {
                sound = result_read_row(process, &result) == 0;
                if (sound)
                        events->row(&row, events->context);
        }
        result_deinit(&result);
        return sound ? 0 : error_no_memory(err);
}
