/*
 * Any bytes at all through the smaller readers of outside bytes: the command line, the configuration file, the texts
 * between the two processes, a stream's header, a set's description, a database's write-ahead log and the header of its
 * index, a statement, the URI of a SQL Server, the record of its backup, an administrator's own statement. The first
 * byte says which.
 */
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/config.h"
#include "cli/media/primary_info.h"
#include "codecs/stream/info.h"
#include "core/base/cleanup.h"
#include "core/mssql/history.h"
#include "core/mssql/statement.h"
#include "core/servers/server.h"
#include "core/tsql/lexer.h"
#include "core/sqlite/wal.h"
#include "core/tsql/statement.h"
#include "fuzz.h"

enum { WORDS_MAX = 24, TEXT_MAX = 1 << 16 };

/* Words separated by NUL; the first is a command's name, or else it is a backup. */
static void read_arguments(const char *text, size_t size)
{
        const char *words[WORDS_MAX] = { "backup" };
        const struct command *command = command_find(text);
        struct args args;
        int count = 1;

        for (size_t at = 0; at < size && count < WORDS_MAX; at += strlen(text + at) + 1)
                words[count++] = text + at;
        args_init(&args);
        options_parse((command ? command : &command_backup)->options, count, words, &args, /* err= */ NULL);
        args_deinit(&args);
}

static void read_report(const char *text, size_t size)
{
        struct server_report report;

        (void)size;
        server_report_decode(text, &report);
}

static void read_info(const char *text, size_t size)
{
        struct server_info info;
        struct error err = ERROR_INIT;

        (void)size;
        server_info_decode(text, &info, &err);
}

/* What was understood survives being written and read again. */
static void read_job(const char *text, size_t size)
{
        struct server_job job;
        struct server_job again;
        CLEANUP(freep) char *json = NULL;
        struct error err = ERROR_INIT;

        (void)size;
        if (server_job_decode(text, &job, &err) < 0)
                return;
        if (server_job_encode(&job, &json, &err) < 0 || server_job_decode(json, &again, &err) < 0)
                abort();
        server_job_deinit(&again);
        server_job_deinit(&job);
}

static void read_stream_info(const char *text, size_t size)
{
        struct stream_info info;
        struct error err = ERROR_INIT;

        if (stream_info_decode(text, size, "f.vdi", &info, &err) == 0)
                stream_info_deinit(&info);
}

/* Any bytes are refused or understood, and as names they survive being quoted and read again. */
static void read_statement(const char *text, size_t size)
{
        CLEANUP(freep) char *quoted = sql_quote_name(text);
        CLEANUP(freep) char *again = NULL;
        struct server_message message;
        struct statement statement;

        (void)size;
        if (statement_parse(text, &statement, &message) == 0)
                statement_check(&statement, &message);
        statement_deinit(&statement);
        if (!*text || strlen(text) > STATEMENT_NAME_MAX)
                return;
        if (!quoted || asprintf(&again, "BACKUP DATABASE %s TO VIRTUAL_DEVICE='s'", quoted) < 0)
                abort();
        if (statement_parse(again, &statement, &message) < 0 || strcmp(statement.database, text) != 0)
                abort();
        statement_deinit(&statement);
}

struct bytes {
        const char *at;
        size_t size;
};

static int read_bytes(void *context, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        const struct bytes *bytes = context;
        size_t have = offset < bytes->size ? bytes->size - (size_t)offset : 0;

        (void)err;
        if (have > size)
                have = size;
        memset(buffer, 0, size);
        if (have > 0)
                memcpy(buffer, bytes->at + offset, have);
        return 0;
}

static void read_log(const char *text, size_t size)
{
        struct bytes bytes = { .at = text, .size = size };
        struct wal_bytes log = { .read = read_bytes, .context = &bytes };
        struct wal_generation generation;
        struct wal_map map = { 0 };
        struct error err = ERROR_INIT;

        memset(&generation, 0, sizeof generation);
        wal_recover(&log, size, &generation, &map, &err);
        wal_map_deinit(&map);
}

static void read_index(const char *text, size_t size)
{
        alignas(8) uint8_t region[WAL_INDEX_REGION_SIZE] = { 0 };
        struct wal_generation generation;

        memcpy(region, text, size < sizeof region ? size : sizeof region);
        wal_index_header(region, &generation);
}

/* What was accepted can be applied. */
static void read_config(const char *text, size_t size)
{
        struct config *config = config_new(commands);
        struct args args;
        struct error err = ERROR_INIT;

        if (!config)
                return;
        args_init(&args);
        if (config_read_text(config, command_backup.options, "conf", text, size, &err) == 0 &&
            config_apply(config, "app", command_backup.options, &args, &err) < 0)
                abort();
        args_deinit(&args);
        config_free(config);
}

/* What was accepted can be told on. */
static void read_primary(const char *text, size_t size)
{
        CLEANUP(freep) char *again = NULL;
        struct primary_info info;
        struct error err = ERROR_INIT;

        (void)size;
        if (primary_info_decode(text, &info, &err) == 0 && primary_info_encode(&info, &again, &err) < 0)
                abort();
}

/* What was taken has sound parts. */
static void read_uri(const char *text, size_t size)
{
        struct error err = ERROR_INIT;
        struct mssql_uri uri;

        (void)size;
        if (mssql_uri_parse(text, &uri, &err) == 0 && (!*uri.host || uri.port == 0))
                abort();
        mssql_uri_deinit(&uri);
}

/* A record survives being written and read again. Several in a row, and that twice, have an order. */
static void read_record(const char *text, size_t size)
{
        enum { COPIES = 4 };
        static struct mssql_backup_record records[COPIES];
        CLEANUP(freep) char *json = NULL;
        struct mssql_step steps[COPIES];
        struct mssql_backup_record again;
        struct error err = ERROR_INIT;
        const char *lsn;
        size_t used;

        (void)size;
        if (mssql_record_decode(text, &records[0], &err) < 0)
                return;
        json = mssql_record_encode(&records[0]);
        if (!json || mssql_record_decode(json, &again, &err) < 0 || memcmp(&again, &records[0], sizeof again) != 0)
                abort();
        if (mssql_sequence(records, COPIES, steps, &used, &lsn) < 0 || used > COPIES)
                abort();
        memmove(records + 1, records, (COPIES - 1) * sizeof records[0]);
}

/* What was expanded has nothing left to expand, and reads as it did. */
static void read_own_statement(const char *text, size_t size)
{
        static const char *const names[] = { "it's" };
        const struct mssql_devices devices = { .names = names, .count = 1 };
        CLEANUP(freep) char *sql = NULL;
        CLEANUP(freep) char *again = NULL;
        struct error err = ERROR_INIT;

        if (mssql_expand_statement(text, &devices, &sql, &err) < 0)
                return;
        if (strlen(sql) != strlen(text) - strlen("{devices}") + strlen("VIRTUAL_DEVICE = N'it''s'"))
                abort();
        if (size + 64 < SQL_TEXT_MAX && mssql_expand_statement(sql, &devices, &again, &err) == 0)
                abort();
}

static void (*const readers[])(const char *, size_t) = {
        read_arguments, read_report,    read_info,    read_job, read_stream_info, read_log,           read_index,
        read_config,    read_statement, read_primary, read_uri, read_record,      read_own_statement,
};

enum { READERS = sizeof readers / sizeof readers[0] };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text;

        if (size < 1 || size > TEXT_MAX)
                return 0;
        text = malloc(size);
        if (!text)
                return 0;
        memcpy(text, data + 1, size - 1);
        text[size - 1] = '\0';
        readers[data[0] % READERS](text, size - 1);
        free(text);
        return 0;
}

static void seed(uint8_t reader, const void *bytes, size_t size)
{
        fuzz_seed_append(&reader, 1);
        fuzz_seed_append(bytes, size);
        fuzz_seed_end();
}

void fuzz_make_seeds(void)
{
        static const char arguments[] =
                "backup\0db\0--zstd=19\0--devices\0004\0-o\0x.{device}\0--max-lock\0000.5\0--max-wal\0001.5G";
        static const char report[] = "{\"code\":5,\"message\":\"it is locked\",\"note\":\"\"}";
        static const char info[] =
                "{\"kind\":\"sqlite\",\"version\":\"3.40.1\",\"page_size\":4096,\"size\":8192,\"parts\":"
                "[{\"offset\":0,\"length\":8192}],\"uid\":0,\"gid\":0,\"mode\":420}";
        static const char config[] = "# comment\n[defaults]\nquiet = yes\n[app]\ndatabase = /srv/app.db\nzstd = 9\n"
                                     "max-lock: 1.5\ncheck = full\n\n[other]\n";
        static const char primary[] =
                "{\"set\":\"01234567-89ab-4def-8123-456789abcdef\",\"time\":\"2026-01-31T23:59:59Z\","
                "\"source\":\"\",\"personality\":\"tape\",\"media_size\":0,\"soft_mark_size\":512}";
        static const uint8_t log[32] = { 0x37, 0x7f, 0x06, 0x82, 0x00, 0x2d, 0xe2, 0x18, 0x00, 0x00, 0x10, 0x00 };
        static const char *const statements[] = {
                "BACKUP DATABASE [a]]b] FILE='x' TO VIRTUAL_DEVICE=N's''', VIRTUAL_DEVICE='t' WITH INIT, STATS=5, "
                "NAME='n'",
                "restore database \"a\" from virtual_device='s' with move 'm' to '/n', file=2, stopatmark='x' after "
                "'y'; --",
                "RESTORE /* x /* y */ */ VERIFYONLY FROM VIRTUAL_DEVICE='s' WITH CHECKSUM, BLOCKSIZE = 4096",
                "BACKUP DATABASE a TO VIRTUAL_DEVICE='s' WITH ENCRYPTION (ALGORITHM = AES_256, (x)), COMPRESSION = ON",
        };
        static const char *const uris[] = { "mssql://sa@localhost:1433/a%20b", "mssql://D%5Cu@[::1]/x" };
        static const char own[] = "BACKUP DATABASE [a] /* {devices} */ TO {devices} WITH NAME = N'{devices}' --";
        static const struct mssql_backup_record record = { .type = 'L',
                                                           .database = "a",
                                                           .backup_set = "01234567-89ab-4def-8123-456789abcdef",
                                                           .differential_base = "01234567-89ab-4def-8123-456789abcdef",
                                                           .first_recovery_fork =
                                                                   "01234567-89ab-4def-8123-456789abcdef",
                                                           .last_recovery_fork = "01234567-89ab-4def-8123-456789abcdee",
                                                           .first_lsn = "31000000043200037",
                                                           .last_lsn = "31000000045600001",
                                                           .fork_point_lsn = "31000000045500001" };
        CLEANUP(freep) char *record_json = mssql_record_encode(&record);
        struct server_job job = { .verb = SERVER_RESTORE, .device_count = 1 };
        struct stream_info stream = { .device_count = 1, .has_extent = true };
        CLEANUP(freep) char *job_json = NULL;
        CLEANUP(freep) char *stream_json = NULL;
        struct error err = ERROR_INIT;

        seed(0, arguments, sizeof arguments);
        seed(1, report, sizeof report);
        seed(2, info, sizeof info);
        job.kind = strdup("sqlite");
        job.database = strdup("/a/b\xff");
        job.set_name = strdup("set");
        job.devices[0] = strdup("set");
        if (server_job_encode(&job, &job_json, &err) < 0)
                abort();
        seed(3, job_json, strlen(job_json));
        server_job_deinit(&job);
        ident_uuid(stream.set_id);
        stream.origin = strdup("/a/b");
        stream.database = strdup("b");
        if (stream_info_encode(&stream, &stream_json, &err) < 0)
                abort();
        seed(4, stream_json, strlen(stream_json));
        stream_info_deinit(&stream);
        seed(5, log, sizeof log);
        seed(6, log, sizeof log);
        seed(7, config, sizeof config - 1);
        for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++)
                seed(8, statements[i], strlen(statements[i]));
        seed(9, primary, sizeof primary - 1);
        for (size_t i = 0; i < sizeof uris / sizeof uris[0]; i++)
                seed(10, uris[i], strlen(uris[i]));
        seed(11, record_json, strlen(record_json));
        seed(12, own, sizeof own - 1);
}

void fuzz_repair(uint8_t *data, size_t size)
{
        (void)data;
        (void)size;
}
