#include "core/mssql/statement.h"

#include <stdio.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/tsql/lexer.h"
#include "core/tsql/writer.h"

const char *mssql_backup_type_name(enum mssql_backup_type type)
{
        static const char *const names[] = { [MSSQL_FULL] = "full", [MSSQL_DIFF] = "diff", [MSSQL_LOG] = "log" };

        return names[type];
}

/* A statement up to its options: the verb, the database and its files, the set. */
static int statement_begin(struct statement_writer *writer, const struct mssql_target *target, enum statement_verb verb,
                           const struct mssql_devices *devices)
{
        if (statement_writer_begin(writer) < 0)
                return -1;
        statement_put_verb(writer, verb, target->database);
        if (statement_names_database(verb)) {
                statement_put_list(writer, " ", "FILE", target->files, target->file_count);
                statement_put_list(writer, target->file_count ? ", " : " ", "FILEGROUP", target->filegroups,
                                   target->filegroup_count);
        }
        statement_put_list(writer, statement_is_backup(verb) ? " TO " : " FROM ", "VIRTUAL_DEVICE", devices->names,
                           devices->count);
        return 0;
}

/* The options that end every statement. */
static char *statement_end(struct statement_writer *writer, uint32_t stats, const struct mssql_devices *devices)
{
        statement_put_number(writer, OPTION_STATS, stats);
        statement_put_number(writer, OPTION_BLOCKSIZE, devices->block_size);
        statement_put_number(writer, OPTION_BUFFERCOUNT, devices->buffer_count);
        statement_put_number(writer, OPTION_MAXTRANSFERSIZE, devices->max_transfer);
        return statement_writer_finish(writer);
}

char *mssql_backup_statement(const struct mssql_backup *backup, const struct mssql_devices *devices)
{
        bool is_log = backup->type == MSSQL_LOG;
        struct statement_writer writer;

        if (statement_begin(&writer, &backup->target, is_log ? STATEMENT_BACKUP_LOG : STATEMENT_BACKUP_DATABASE,
                            devices) < 0)
                return NULL;
        statement_put_flag(&writer, OPTION_DIFFERENTIAL, backup->type == MSSQL_DIFF);
        statement_put_flag(&writer, OPTION_COPY_ONLY, backup->copy_only && backup->type != MSSQL_DIFF);
        statement_put_flag(&writer, OPTION_NO_TRUNCATE, backup->no_truncate);
        statement_put_flag(&writer, OPTION_NORECOVERY, backup->norecovery);
        statement_put_text(&writer, OPTION_NAME, backup->name);
        statement_put_text(&writer, OPTION_DESCRIPTION, backup->description);
        statement_put_flag(&writer, backup->checksum ? OPTION_CHECKSUM : OPTION_NO_CHECKSUM, /* given= */ true);
        return statement_end(&writer, backup->stats, devices);
}

char *mssql_restore_statement(const struct mssql_restore *restore, const struct mssql_devices *devices)
{
        struct statement_writer writer;

        if (statement_begin(&writer, &restore->target, restore->verb, devices) < 0)
                return NULL;
        for (size_t i = 0; i < restore->move_count; i++) {
                if (!statement_put_flag(&writer, OPTION_MOVE, /* given= */ true))
                        continue;
                fputc(' ', writer.stream);
                statement_put_string(&writer, restore->moves[i].logical);
                fputs(" TO ", writer.stream);
                statement_put_string(&writer, restore->moves[i].path);
        }
        statement_put_flag(&writer, OPTION_REPLACE, restore->replace);
        statement_put_flag(&writer, OPTION_RECOVERY, restore->recovery == MSSQL_RECOVERY);
        statement_put_flag(&writer, OPTION_NORECOVERY, restore->recovery == MSSQL_NORECOVERY);
        statement_put_text(&writer, OPTION_STANDBY, restore->recovery == MSSQL_STANDBY ? restore->standby : NULL);
        statement_put_text(&writer, OPTION_STOPAT, restore->stop_at);
        statement_put_flag(&writer, OPTION_CHECKSUM, restore->checksum);
        return statement_end(&writer, restore->stats, devices);
}

/* ---- the administrator's own ---- */

/* Where {devices} stands: at `at`, for `length` bytes. */
struct placeholder {
        const char *at;
        size_t length;
        size_t count;
};

/* The lexer stands on a '{'. Leaves it on the last token that it looked at. */
static int placeholder_take(struct sql_lexer *lexer, struct placeholder *place)
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

static int placeholder_find(const char *sql, struct placeholder *place, struct error *err)
{
        struct server_message message;
        struct sql_lexer lexer;
        int rc = sql_lexer_init(&lexer, sql, &message);

        while (rc == 0 && lexer.token.kind != SQL_END)
                rc = sql_token_is_sign(&lexer.token, '{') ? placeholder_take(&lexer, place) : sql_lexer_next(&lexer);
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
        struct placeholder place = { 0 };
        struct statement_writer writer;
        char *text = NULL;

        if (placeholder_find(sql, &place, err) < 0)
                return -1;
        if (statement_writer_begin(&writer) == 0) {
                fwrite(sql, 1, (size_t)(place.at - sql), writer.stream);
                statement_put_list(&writer, "", "VIRTUAL_DEVICE", devices->names, devices->count);
                fputs(place.at + place.length, writer.stream);
                text = statement_writer_finish(&writer);
        }
        if (!text)
                return error_no_memory(err);
        *ret_sql = text;
        return 0;
}
