#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/servers/server.h"
#include "core/tsql/statement.h"
#include "core/tsql/writer.h"

/* ---- from a statement ---- */

enum statement_verb server_statement_verb(enum server_verb verb)
{
        static const enum statement_verb verbs[SERVER_VERBS] = {
                [SERVER_BACKUP] = STATEMENT_BACKUP_DATABASE,    [SERVER_RESTORE] = STATEMENT_RESTORE_DATABASE,
                [SERVER_VERIFYONLY] = STATEMENT_VERIFYONLY,     [SERVER_HEADERONLY] = STATEMENT_HEADERONLY,
                [SERVER_FILELISTONLY] = STATEMENT_FILELISTONLY, [SERVER_LABELONLY] = STATEMENT_LABELONLY,
        };

        return verbs[verb];
}

/* Options that are one text of the job. */
static const struct {
        enum statement_option option;
        size_t at;
} job_texts[] = {
        { OPTION_NAME, offsetof(struct server_job, backup_name) },
        { OPTION_DESCRIPTION, offsetof(struct server_job, description) },
        { OPTION_MEDIANAME, offsetof(struct server_job, media_name) },
        { OPTION_MEDIADESCRIPTION, offsetof(struct server_job, media_description) },
};

/* Options that are one number of the job; 0 there is: not said. */
static const struct {
        enum statement_option option;
        size_t at;
} job_numbers[] = {
        { OPTION_BLOCKSIZE, offsetof(struct server_job, block_size) },
        { OPTION_BUFFERCOUNT, offsetof(struct server_job, buffer_count) },
        { OPTION_MAXTRANSFERSIZE, offsetof(struct server_job, max_transfer) },
        { OPTION_FILE, offsetof(struct server_job, file) },
        { OPTION_STATS, offsetof(struct server_job, stats) },
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

static bool job_copy_text(char **to, const char *from)
{
        *to = from ? strdup(from) : NULL;
        return *to || !from;
}

static bool job_copy_names(struct server_job *job, const struct statement *statement)
{
        bool sound = job_copy_text(&job->kind, "sqlite") && job_copy_text(&job->set_name, statement->devices[0]) &&
                     job_copy_text(&job->database, statement->database) &&
                     job_copy_text(&job->shown_database, statement->database);

        for (uint32_t i = 0; sound && i < statement->device_count; i++)
                sound = job_copy_text(&job->devices[i], statement->devices[i]);
        for (size_t i = 0; sound && i < COUNT(job_texts); i++)
                sound = job_copy_text((char **)(void *)((char *)job + job_texts[i].at),
                                      statement->texts[job_texts[i].option]);
        return sound;
}

/* Those that only list have no use for a second device. */
static int job_check_device_count(const struct statement *statement, struct server_message *message)
{
        if (statement->device_count == 1 || statement->verb < STATEMENT_HEADERONLY)
                return 0;
        server_message_make(message, MESSAGE_DEVICES_TOO_MANY, "1");
        return -1;
}

int server_job_from_statement(struct server_job *job, const struct statement *statement, struct server_message *message)
{
        const bool *given = statement->given;

        *job = (struct server_job){ 0 };
        if (statement_check(statement, message) < 0 || job_check_device_count(statement, message) < 0)
                return -1;
        while (server_statement_verb(job->verb) != statement->verb)
                job->verb++;
        job->device_count = statement->device_count;
        if (!job_copy_names(job, statement)) {
                server_message_make(message, MESSAGE_MEMORY);
                return -1;
        }
        for (size_t i = 0; i < COUNT(job_numbers); i++)
                if (given[job_numbers[i].option])
                        *(uint32_t *)(void *)((char *)job + job_numbers[i].at) =
                                (uint32_t)statement->numbers[job_numbers[i].option];
        job->checksum = given[OPTION_CHECKSUM];
        job->overwrite = given[OPTION_INIT] || given[OPTION_FORMAT];
        job->replace = given[OPTION_REPLACE] ? SERVER_REPLACE_IN_PLACE : SERVER_REPLACE_NO;
        if (job->verb == SERVER_RESTORE)
                job->check = given[OPTION_NO_CHECKSUM] ? SERVER_CHECK_NONE : SERVER_CHECK_QUICK;
        else
                job->check = job->checksum ? SERVER_CHECK_QUICK : SERVER_CHECK_NONE;
        return 0;
}

const char *server_job_logical_name(const struct server_job *job)
{
        const char *slash = strrchr(job->database, '/');

        if (job->logical_name)
                return job->logical_name;
        return slash ? slash + 1 : job->database;
}

/* SQLite's own name for the file of a database is good, too: it is what FILELISTONLY, which reads no name from an
 * image, has to say. */
static bool is_logical_name(const struct server_job *job, const char *name)
{
        return strcmp(name, server_job_logical_name(job)) == 0 || strcmp(name, "main") == 0;
}

int server_job_move(struct server_job *job, const struct statement *statement, struct server_message *message)
{
        for (uint32_t i = 0; i < statement->move_count; i++) {
                const struct statement_move *move = &statement->moves[i];
                enum server_message_id id = MESSAGE_COUNT;

                if (!is_logical_name(job, move->logical))
                        id = MESSAGE_NO_FILE_IN_SET;
                else if (!*move->path)
                        id = MESSAGE_BAD_PLACE;
                else if (i > 0)
                        id = MESSAGE_CONFLICT;
                if (id == MESSAGE_COUNT)
                        continue;
                server_message_make(message, id, id == MESSAGE_CONFLICT ? "MOVE" : move->logical,
                                    id == MESSAGE_CONFLICT         ? "MOVE"
                                    : id == MESSAGE_NO_FILE_IN_SET ? job->shown_database
                                                                   : move->path);
                return -1;
        }
        if (statement->move_count == 0)
                return 0;
        job->logical_name = strdup(server_job_logical_name(job));
        free(job->database);
        job->database = strdup(statement->moves[0].path);
        if (job->database && job->logical_name)
                return 0;
        server_message_make(message, MESSAGE_MEMORY);
        return -1;
}

/* ---- to a statement ---- */

static void put_options(struct statement_writer *writer, const struct server_job *job)
{
        const struct {
                enum statement_option option;
                bool given;
        } flags[] = {
                { OPTION_INIT, job->verb == SERVER_BACKUP && job->overwrite },
                { OPTION_CHECKSUM, job->checksum },
                { OPTION_REPLACE, job->verb == SERVER_RESTORE && job->replace != SERVER_REPLACE_NO },
                { OPTION_NO_CHECKSUM,
                  job->verb == SERVER_RESTORE && job->check == SERVER_CHECK_NONE && !job->checksum },
        };

        for (size_t i = 0; i < COUNT(job_numbers); i++)
                statement_put_number(writer, job_numbers[i].option,
                                     *(const uint32_t *)(const void *)((const char *)job + job_numbers[i].at));
        for (size_t i = 0; i < COUNT(flags); i++)
                statement_put_flag(writer, flags[i].option, flags[i].given);
        for (size_t i = 0; i < COUNT(job_texts); i++)
                statement_put_text(writer, job_texts[i].option,
                                   *(char *const *)(const void *)((const char *)job + job_texts[i].at));
}

char *server_job_statement(const struct server_job *job)
{
        struct statement_writer writer;

        if (statement_writer_begin(&writer) < 0)
                return NULL;
        statement_put_verb(&writer, server_statement_verb(job->verb), job->database);
        statement_put_list(&writer, job->verb == SERVER_BACKUP ? " TO " : " FROM ", "VIRTUAL_DEVICE",
                           (const char *const *)job->devices, job->device_count);
        put_options(&writer, job);
        return statement_writer_finish(&writer);
}
