/*
 * Any text at all as a batch for the stand-in server: its statements are told apart, and each SELECT is rewritten. What
 * comes out holds the parentheses in balance and no sign that the rewriter does not let through.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/standin/batch.h"
#include "core/standin/query.h"
#include "fuzz.h"

enum { TEXT_MAX = 1 << 16 };

static const char *const seeds[] = {
        "SELECT @@VERSION",
        ("SELECT TOP (10) b.name AS [n m], CAST(b.backup_size AS numeric(20, 0)) / 1024.0 FROM msdb.dbo.backupset b "
         "WITH (NOLOCK) LEFT JOIN msdb..backupmediafamily AS f ON f.media_set_id = b.media_set_id "
         "WHERE b.name = N'it''s' AND b.backup_start_date > DATEADD(day, -7, GETDATE()) ORDER BY 1 DESC"),
        ("SELECT x = 'a' + name + \"b\", CONVERT(varchar(30), create_date, 126) FROM sys.databases, (SELECT 1 AS y) z "
         "WHERE name = @p ORDER BY name OFFSET @q ROWS FETCH NEXT 5 ROWS ONLY OPTION (RECOMPILE)"),
        "WITH a AS (SELECT 1 AS x UNION ALL SELECT 2) SELECT COUNT(*) FROM a; SELECT ISNULL(NULL, 1e5), 0x1f, -1.5",
        "SELECT r.session_id, t.text FROM sys.dm_exec_requests r CROSS APPLY sys.dm_exec_sql_text(r.sql_handle) AS t",
        "USE pubs SET NOCOUNT ON; BACKUP DATABASE pubs TO VIRTUAL_DEVICE='x' WITH STATS PRINT 'done' BEGIN TRAN COMMIT",
        "EXEC master..xp_msver 'x' IF 1=1 SELECT 1 -- comment",
};

/* Quotes and what is between them do not count. */
static void check(const char *sql)
{
        static const char good[] = " -+*/%=<>!.,()&|~?_";
        int depth = 0;

        for (; *sql; sql++) {
                if (*sql == '\'' || *sql == '"') {
                        sql = strchr(sql + 1, *sql);
                        if (!sql)
                                abort();
                        continue;
                }
                depth += *sql == '(';
                depth -= *sql == ')';
                if (depth < 0 || (!strchr(good, *sql) && !(*sql >= '0' && *sql <= '9') &&
                                  !(*sql >= 'A' && *sql <= 'Z') && !(*sql >= 'a' && *sql <= 'z')))
                        abort();
        }
        if (depth != 0)
                abort();
}

static void rewrite(const struct batch *batch, const struct batch_statement *statement, bool quoted)
{
        static char first[] = "@p";
        static char second[] = "@q";
        static char value[] = "1";
        static const struct tds_parameter parameters[] = { { first, value }, { second, value } };
        const struct query_context context = {
                .parameters = parameters, .parameter_count = 2, .database = "msdb", .quoted_identifiers = quoted
        };
        struct server_message message;
        CLEANUP(freep) char *sql = NULL;

        if (query_rewrite(batch, statement, &context, &sql, &message) == 0)
                check(sql);
        else if (sql || message.number == 0)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        CLEANUP(freep) char *text = NULL;
        struct server_message message = { .number = 0 };
        struct batch batch;

        if (size == 0 || size > TEXT_MAX)
                return 0;
        text = strndup((const char *)data + 1, size - 1);
        if (!text)
                return 0;
        if (batch_parse(&batch, text, &message) < 0 && message.number == 0)
                abort();
        for (size_t i = 0; i < batch.statement_count; i++)
                if (batch.statements[i].text && batch.statements[i].kind == BATCH_QUERY)
                        rewrite(&batch, &batch.statements[i], data[0] & 1);
        batch_deinit(&batch);
        return 0;
}

void fuzz_make_seeds(void)
{
        for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
                fuzz_seed_append(i % 2 ? "\1" : "", 1);
                fuzz_seed_append(seeds[i], strlen(seeds[i]));
                fuzz_seed_end();
        }
}

void fuzz_repair(uint8_t *data, size_t size)
{
        (void)data;
        (void)size;
}
