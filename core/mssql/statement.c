#include "core/mssql/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/tsql/lexer.h"
#include "core/tsql/writer.h"

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

const char *mssql_backup_type_name(enum mssql_backup_type type)
{
        static const char *const names[] = { [MSSQL_FULL] = "full", [MSSQL_DIFF] = "diff", [MSSQL_LOG] = "log" };

        return names[type];
}

/* ---- a statement as it grows ---- */

struct writer {
        struct statement_writer to;
        enum statement_verb verb;
};

/* ", FILE = N'a'", once for each name; `separator` stands before the first. */
static void put_names(struct statement_writer *to, const char *keyword, const char *const *names, size_t count,
                      const char **separator)
{
        for (size_t i = 0; i < count; i++) {
                fprintf(to->stream, "%s%s = ", *separator, keyword);
                statement_put_string(to, names[i]);
                *separator = ", ";
        }
}

/* What the grammar of a statement does not have is left out. */
static bool has_option(const struct writer *writer, enum statement_option option)
{
        return statement_options[option].verbs & 1U << writer->verb;
}

static void put_flag(struct writer *writer, enum statement_option option, bool given)
{
        if (given && has_option(writer, option))
                statement_put_option(&writer->to, option);
}

static void put_number(struct writer *writer, enum statement_option option, uint32_t number)
{
        if (number && has_option(writer, option))
                statement_put_option_number(&writer->to, option, number);
}

static void put_text(struct writer *writer, enum statement_option option, const char *text)
{
        if (text && has_option(writer, option))
                statement_put_option_string(&writer->to, option, text);
}

static void put_shape(struct writer *writer, const struct mssql_devices *devices)
{
        put_number(writer, OPTION_BLOCKSIZE, devices->block_size);
        put_number(writer, OPTION_BUFFERCOUNT, devices->buffer_count);
        put_number(writer, OPTION_MAXTRANSFERSIZE, devices->max_transfer);
}

/* ---- statements ---- */

char *mssql_backup_statement(const struct mssql_backup *backup, const struct mssql_devices *devices)
{
        bool log = backup->type == MSSQL_LOG;
        const char *separator = " ";
        struct writer writer = { .verb = log ? STATEMENT_BACKUP_LOG : STATEMENT_BACKUP_DATABASE };

        if (statement_writer_begin(&writer.to) < 0)
                return NULL;
        fputs(log ? "BACKUP LOG " : "BACKUP DATABASE ", writer.to.stream);
        statement_put_name(&writer.to, backup->database);
        put_names(&writer.to, "FILE", backup->files, backup->file_count, &separator);
        put_names(&writer.to, "FILEGROUP", backup->filegroups, backup->filegroup_count, &separator);
        separator = " TO ";
        put_names(&writer.to, "VIRTUAL_DEVICE", devices->names, devices->count, &separator);
        put_flag(&writer, OPTION_DIFFERENTIAL, backup->type == MSSQL_DIFF);
        put_flag(&writer, OPTION_COPY_ONLY, backup->copy_only && backup->type != MSSQL_DIFF);
        put_flag(&writer, OPTION_NO_TRUNCATE, backup->no_truncate);
        put_flag(&writer, OPTION_NORECOVERY, backup->norecovery);
        put_text(&writer, OPTION_NAME, backup->name);
        put_text(&writer, OPTION_DESCRIPTION, backup->description);
        put_flag(&writer, backup->checksum ? OPTION_CHECKSUM : OPTION_NO_CHECKSUM, /* given= */ true);
        put_number(&writer, OPTION_STATS, backup->stats);
        put_shape(&writer, devices);
        return statement_writer_finish(&writer.to);
}

static void put_moves(struct writer *writer, const struct mssql_restore *restore)
{
        if (!has_option(writer, OPTION_MOVE))
                return;
        for (size_t i = 0; i < restore->move_count; i++) {
                statement_put_option(&writer->to, OPTION_MOVE);
                fputc(' ', writer->to.stream);
                statement_put_string(&writer->to, restore->moves[i].logical);
                fputs(" TO ", writer->to.stream);
                statement_put_string(&writer->to, restore->moves[i].path);
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
        struct writer writer = { .verb = restore->verb };

        if (statement_writer_begin(&writer.to) < 0)
                return NULL;
        fputs(beginnings[restore->verb], writer.to.stream);
        if (names_database) {
                statement_put_name(&writer.to, restore->database);
                put_names(&writer.to, "FILE", restore->files, restore->file_count, &separator);
                put_names(&writer.to, "FILEGROUP", restore->filegroups, restore->filegroup_count, &separator);
        }
        separator = " FROM ";
        put_names(&writer.to, "VIRTUAL_DEVICE", devices->names, devices->count, &separator);
        put_moves(&writer, restore);
        put_flag(&writer, OPTION_REPLACE, restore->replace);
        put_flag(&writer, OPTION_RECOVERY, restore->recovery == MSSQL_RECOVERY);
        put_flag(&writer, OPTION_NORECOVERY, restore->recovery == MSSQL_NORECOVERY);
        put_text(&writer, OPTION_STANDBY, restore->recovery == MSSQL_STANDBY ? restore->standby : NULL);
        put_text(&writer, OPTION_STOPAT, restore->stop_at);
        put_flag(&writer, OPTION_CHECKSUM, restore->checksum);
        put_number(&writer, OPTION_STATS, restore->stats);
        put_shape(&writer, devices);
        return statement_writer_finish(&writer.to);
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
        struct statement_writer writer;
        char *text = NULL;

        if (find_place(sql, &place, err) < 0)
                return -1;
        if (statement_writer_begin(&writer) == 0) {
                fwrite(sql, 1, (size_t)(place.at - sql), writer.stream);
                put_names(&writer, "VIRTUAL_DEVICE", devices->names, devices->count, &separator);
                fputs(place.at + place.length, writer.stream);
                text = statement_writer_finish(&writer);
        }
        if (!text)
                return error_no_memory(err);
        *ret_sql = text;
        return 0;
}
