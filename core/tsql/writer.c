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

void statement_put_string(struct statement_writer *writer, const char *text)
{
        writer_put_quoted(writer, sql_quote_string(text));
}

void statement_put_verb(struct statement_writer *writer, enum statement_verb verb, const char *database)
{
        writer->verb = verb;
        fprintf(writer->stream, "%s %s", statement_verbs[verb].first, statement_verbs[verb].second);
        if (!statement_names_database(verb))
                return;
        fputc(' ', writer->stream);
        writer_put_quoted(writer, sql_quote_name(database ? database : ""));
}

void statement_put_list(struct statement_writer *writer, const char *separator, const char *keyword,
                        const char *const *names, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                fprintf(writer->stream, "%s%s = ", i > 0 ? ", " : separator, keyword);
                statement_put_string(writer, names[i] ? names[i] : "");
        }
}

bool statement_put_flag(struct statement_writer *writer, enum statement_option option, bool given)
{
        if (!given || !(statement_options[option].verbs & 1U << writer->verb))
                return false;
        fprintf(writer->stream, "%s%s", writer->has_option ? ", " : " WITH ", statement_options[option].keyword);
        writer->has_option = true;
        return true;
}

void statement_put_number(struct statement_writer *writer, enum statement_option option, uint32_t number)
{
        if (statement_put_flag(writer, option, number != 0))
                fprintf(writer->stream, " = %u", number);
}

void statement_put_text(struct statement_writer *writer, enum statement_option option, const char *text)
{
        if (!statement_put_flag(writer, option, text != NULL))
                return;
        fputs(" = ", writer->stream);
        statement_put_string(writer, text);
}
