#include "core/tsql/writer.h"

#include <stdlib.h>

#include "core/tsql/lexer.h"

int statement_writer_begin(struct statement_writer *writer)
{
        *writer = (struct statement_writer){ .sound = true };
        writer->stream = open_memstream(&writer->text, &writer->size);
        return writer->stream ? 0 : -1;
}

char *statement_writer_finish(struct statement_writer *writer)
{
        if (fclose(writer->stream) == 0 && writer->sound)
                return writer->text;
        free(writer->text);
        return NULL;
}

/* Takes `quoted`, NULL when memory was short. */
static void writer_put_quoted(struct statement_writer *writer, char *quoted)
{
        writer->sound = writer->sound && quoted;
        if (quoted)
                fputs(quoted, writer->stream);
        free(quoted);
}

void statement_put_name(struct statement_writer *writer, const char *name)
{
        writer_put_quoted(writer, sql_quote_name(name));
}

void statement_put_string(struct statement_writer *writer, const char *text)
{
        writer_put_quoted(writer, sql_quote_string(text));
}

void statement_put_option(struct statement_writer *writer, enum statement_option option)
{
        fprintf(writer->stream, "%s%s", writer->has_option ? ", " : " WITH ", statement_options[option].keyword);
        writer->has_option = true;
}

void statement_put_option_number(struct statement_writer *writer, enum statement_option option, uint32_t number)
{
        statement_put_option(writer, option);
        fprintf(writer->stream, " = %u", number);
}

void statement_put_option_string(struct statement_writer *writer, enum statement_option option, const char *text)
{
        statement_put_option(writer, option);
        fputs(" = ", writer->stream);
        statement_put_string(writer, text);
}
