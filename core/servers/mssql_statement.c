#include "core/servers/mssql_statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/servers/sql_lexer.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

const char *mssql_backup_type_name(enum mssql_backup_type type)
{
        static const char *const names[] = { [MSSQL_FULL] = "full", [MSSQL_DIFF] = "diff", [MSSQL_LOG] = "log" };

        return names[type];
}

/* ---- a statement as it grows ---- */

struct writer {
        enum statement_verb verb;
        FILE *stream;
        bool sound;
        bool has_option;
};

static void put_quoted(struct writer *writer, char *quoted)
{
        writer->sound = writer->sound && quoted;
        if (quoted)
                fputs(quoted, writer->stream);
        free(quoted);
}

static void put_text(struct writer *writer, const char *text)
{
        put_quoted(writer, sql_quote_string(text));
}

/* ", FILE = N'a'", once for each name; `separator` stands before the first. */
static void put_names(struct writer *writer, const char *keyword, const char *const *names, size_t count,
                      const char **separator)
{
        for (size_t i = 0; i < count; i++) {
                fprintf(writer->stream, "%s%s = ", *separator, keyword);
                put_text(writer, names[i]);
                *separator = ", ";
        }
}

/* Leaves out what the grammar of this statement does not have. */
static bool put_option(struct writer *writer, enum statement_option option)
{
        if (!(statement_options[option].verbs & 1U << writer->verb))
                return false;
        fprintf(writer->stream, "%s%s", writer->has_option ? ", " : " WITH ", statement_options[option].keyword);
        writer->has_option = true;
        return true;
}

static void put_flag(struct writer *writer, enum statement_option option, bool given)
{
        if (given)
                put_option(writer, option);
}

static void put_number(struct writer *writer, enum statement_option option, uint32_t number)
{
        if (number && put_option(writer, option))
                fprintf(writer->stream, " = %u", number);
}

static void put_string(struct writer *writer, enum statement_option option, const char *text)
{
        if (!text || !put_option(writer, option))
                return;
        fputs(" = ", writer->stream);
        put_text(writer, text);
}

static void put_shape(struct writer *writer, const struct mssql_devices *devices)
{
        put_number(writer, OPTION_BLOCKSIZE, devices->block_size);
        put_number(writer, OPTION_BUFFERCOUNT, devices->buffer_count);
        put_number(writer, OPTION_MAXTRANSFERSIZE, devices->max_transfer);
}

static int begin(struct writer *writer, enum statement_verb verb, char **text, size_t *size)
{
        *writer = (struct writer){ .verb = verb, .sound = true, .stream = open_memstream(text, size) };
        return writer->stream ? 0 : -1;
}

static char *finish(struct writer *writer, char **text)
{
        if (fclose(writer->stream) == 0 && writer->sound)
                return *text;
        free(*text);
        return NULL;
}

/* ---- statements ---- */

char *mssql_backup_statement(const struct mssql_backup *backup, const struct mssql_devices *devices)
{
        bool log = backup->type == MSSQL_LOG;
        const char *separator = " ";
        struct writer writer;
        char *text = NULL;
        size_t size;

        if (begin(&writer, log ? STATEMENT_BACKUP_LOG : STATEMENT_BACKUP_DATABASE, &text, &size) < 0)
                return NULL;
        fputs(log ? "BACKUP LOG " : "BACKUP DATABASE ", writer.stream);
        put_quoted(&writer, sql_quote_name(backup->database));
        put_names(&writer, "FILE", backup->files, backup->file_count, &separator);
        put_names(&writer, "FILEGROUP", backup->filegroups, backup->filegroup_count, &separator);
        separator = " TO ";
        put_names(&writer, "VIRTUAL_DEVICE", devices->names, devices->count, &separator);
        put_flag(&writer, OPTION_DIFFERENTIAL, backup->type == MSSQL_DIFF);
        put_flag(&writer, OPTION_COPY_ONLY, backup->copy_only && backup->type != MSSQL_DIFF);
        put_flag(&writer, OPTION_NO_TRUNCATE, backup->no_truncate);
        put_flag(&writer, OPTION_NORECOVERY, backup->norecovery);
        put_string(&writer, OPTION_NAME, backup->name);
        put_string(&writer, OPTION_DESCRIPTION, backup->description);
        put_flag(&writer, backup->checksum ? OPTION_CHECKSUM : OPTION_NO_CHECKSUM, /* given= */ true);
        put_number(&writer, OPTION_STATS, backup->stats);
        put_shape(&writer, devices);
        return finish(&writer, &text);
}

static void put_moves(struct writer *writer, const struct mssql_restore *restore)
{
        for (size_t i = 0; i < restore->move_count; i++) {
                if (!put_option(writer, OPTION_MOVE))
                        return;
                fputc(' ', writer->stream);
                put_text(writer, restore->moves[i].logical);
                fputs(" TO ", writer->stream);
                put_text(writer, restore->moves[i].path);
        }
}

char *mssql_restore_statement(const struct mssql_restore *restore, const struct mssql_devices *devices)
{
        static const char *const beginnings[STATEMENT_VERBS] = {
                [STATEMENT_RESTORE_DATABASE] = "RESTORE DATABASE ", [STATEMENT_RESTORE_LOG] = "RESTORE LOG ",
                [STATEMENT_VERIFYONLY] = "RESTORE VERIFYONLY",      [STATEMENT_HEADERONLY] = "RESTORE HEADERONLY",
                [STATEMENT_FILELISTONLY] = "RESTORE FILELISTONLY",  [STATEMENT_LABELONLY] = "RESTORE LABELONLY",
        };
        bool names_database = restore->verb <= STATEMENT_RESTORE_LOG;
        const char *separator = " ";
        struct writer writer;
        char *text = NULL;
        size_t size;

        if (begin(&writer, restore->verb, &text, &size) < 0)
                return NULL;
        fputs(beginnings[restore->verb], writer.stream);
        if (names_database) {
                put_quoted(&writer, sql_quote_name(restore->database));
                put_names(&writer, "FILE", restore->files, restore->file_count, &separator);
                put_names(&writer, "FILEGROUP", restore->filegroups, restore->filegroup_count, &separator);
        }
        separator = " FROM ";
        put_names(&writer, "VIRTUAL_DEVICE", devices->names, devices->count, &separator);
        put_moves(&writer, restore);
        put_flag(&writer, OPTION_REPLACE, restore->replace);
        put_flag(&writer, OPTION_RECOVERY, restore->recovery == MSSQL_RECOVERY);
        put_flag(&writer, OPTION_NORECOVERY, restore->recovery == MSSQL_NORECOVERY);
        put_string(&writer, OPTION_STANDBY, restore->recovery == MSSQL_STANDBY ? restore->standby : NULL);
        put_string(&writer, OPTION_STOPAT, restore->stop_at);
        put_flag(&writer, OPTION_CHECKSUM, restore->checksum);
        put_number(&writer, OPTION_STATS, restore->stats);
        put_shape(&writer, devices);
        return finish(&writer, &text);
}

/* ---- the administrator's own ---- */

/* Where {devices} stands: at `at`, for `length` bytes. */
struct place {
        const char *at;
        size_t length;
        size_t count;
};

/* The lexer stands on a '{'. Leaves it on the last token that it looked at. */
static int look_for_place(struct sql_lexer *lexer, struct place *place)
{
        static const char word[] = "{devices}";
        const char *start = lexer->at - 1;

        if (strncmp(start, word, sizeof word - 1) != 0)
                return sql_lexer_next(lexer);
        place->at = start;
        place->length = sizeof word - 1;
        place->count++;
        while (lexer->at < start + place->length)
                if (sql_lexer_next(lexer) < 0)
                        return -1;
        return sql_lexer_next(lexer);
}

static int find_place(const char *sql, struct place *place, struct error *err)
{
        struct server_message message;
        struct sql_lexer lexer;
        int rc = sql_lexer_init(&lexer, sql, &message);

        while (rc == 0 && lexer.token.kind != SQL_END)
                rc = sql_token_is_sign(&lexer.token, '{') ? look_for_place(&lexer, place) : sql_lexer_next(&lexer);
        sql_lexer_deinit(&lexer);
        if (rc < 0)
                return error_raise(err, message.class == ERR_MEMORY ? ERR_MEMORY : ERR_USAGE, "the statement: %s",
                                   message.text);
        if (place->count != 1)
                return error_raise(err, ERR_USAGE,
                                   place->count ? "the statement has {devices} more than once"
                                                : "the statement has no {devices}: write it in place of the devices");
        return 0;
}

int mssql_expand_statement(const char *sql, const struct mssql_devices *devices, char **ret_sql, struct error *err)
{
        struct place place = { 0 };
        const char *separator = "";
        struct writer writer;
        char *text = NULL;
        size_t size;

        if (find_place(sql, &place, err) < 0)
                return -1;
        if (begin(&writer, STATEMENT_BACKUP_DATABASE, &text, &size) == 0) {
                fwrite(sql, 1, (size_t)(place.at - sql), writer.stream);
                put_names(&writer, "VIRTUAL_DEVICE", devices->names, devices->count, &separator);
                fputs(place.at + place.length, writer.stream);
                text = finish(&writer, &text);
        }
        if (!text)
                return error_raise(err, ERR_MEMORY, "out of memory");
        *ret_sql = text;
        return 0;
}
