/* BACKUP and RESTORE statements: what is understood, and the number of the message that refuses the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/tsql/lexer.h"
#include "core/tsql/statement.h"
#include "core/vds/vds.h"

#define TO       "BACKUP DATABASE db TO VIRTUAL_DEVICE='s' "
#define FROM     "RESTORE DATABASE db FROM VIRTUAL_DEVICE='s' "
#define VERIFY   "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='s' "
#define HEADER   "RESTORE HEADERONLY FROM VIRTUAL_DEVICE='s' "
#define FILELIST "RESTORE FILELISTONLY FROM VIRTUAL_DEVICE='s' "
#define LABEL    "RESTORE LABELONLY FROM VIRTUAL_DEVICE='s' "

/* 0: understood and possible; else the message's number and words that have to be in it. */
struct row {
        const char *text;
        int number;
        const char *words;
};

static const struct row grammar[] = {
        { TO, 0, "" },
        { "backup database db to virtual_device='s'", 0, "" },
        { "BaCkUp DataBase db tO Virtual_Device = 's' ;", 0, "" },
        { "BACKUP DATABASE [db] TO VIRTUAL_DEVICE='s';;", 0, "" },
        { "BACKUP DATABASE \"db\" TO VIRTUAL_DEVICE=\"s\"", 0, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=N's'", 0, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=n's'", 0, "" },
        { "BACKUP DATABASE n TO VIRTUAL_DEVICE='s'", 0, "" },
        { "BACKUP\tDATABASE\r\ndb\fTO\vVIRTUAL_DEVICE='s'", 0, "" },
        { "/* a /* b */ c */BACKUP--x\nDATABASE/**/db TO VIRTUAL_DEVICE='s' -- end", 0, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='s', VIRTUAL_DEVICE='t'", 0, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='s',VIRTUAL_DEVICE=N't' WITH INIT", 0, "" },
        { "BACKUP DATABASE \xc3\xa4\xff TO VIRTUAL_DEVICE='s'", 0, "" },
        { "BACKUP DATABASE [log] TO VIRTUAL_DEVICE='s'", 0, "" },
        { "BACKUP DATABASE log TO VIRTUAL_DEVICE='s'", 0, "" },
        { FROM, 0, "" },
        { "RESTORE DATABASE [/a/b c.db] FROM VIRTUAL_DEVICE='s' WITH RECOVERY;", 0, "" },
        { VERIFY, 0, "" },
        { HEADER, 0, "" },
        { FILELIST, 0, "" },
        { LABEL, 0, "" },

        { "", 102, "near ''" },
        { "   ", 102, "" },
        { ";", 102, "near ';'" },
        { "SELECT 1", 156, "'SELECT'" },
        { "hello", 102, "'hello'" },
        { "BACKUP", 102, "near 'BACKUP'" },
        { "BACKUP TABLE", 102, "'TABLE'" },
        { "BACKUP HEADERONLY FROM VIRTUAL_DEVICE='s'", 102, "'HEADERONLY'" },
        { "RESTORE REWINDONLY FROM VIRTUAL_DEVICE='s'", 102, "'REWINDONLY'" },
        { "BACKUP DATABASE", 102, "near 'DATABASE'" },
        { "BACKUP DATABASE TO VIRTUAL_DEVICE='s'", 156, "'TO'" },
        { "BACKUP DATABASE 'db' TO VIRTUAL_DEVICE='s'", 102, "'db'" },
        { "BACKUP DATABASE 5 TO VIRTUAL_DEVICE='s'", 102, "'5'" },
        { "BACKUP DATABASE [] TO VIRTUAL_DEVICE='s'", 1038, "" },
        { "BACKUP DATABASE \"\" TO VIRTUAL_DEVICE='s'", 1038, "" },
        { "BACKUP DATABASE @db TO VIRTUAL_DEVICE='s'", 137, "\"@db\"" },
        { "BACKUP DATABASE a.b TO VIRTUAL_DEVICE='s'", 102, "'.'" },
        { "BACKUP DATABASE /a/b TO VIRTUAL_DEVICE='s'", 102, "'/'" },
        { "BACKUP DATABASE db", 102, "'db'" },
        { "BACKUP DATABASE db FROM VIRTUAL_DEVICE='s'", 156, "'FROM'" },
        { "RESTORE DATABASE db TO VIRTUAL_DEVICE='s'", 156, "'TO'" },
        { "RESTORE VERIFYONLY db FROM VIRTUAL_DEVICE='s'", 102, "'db'" },
        { "BACKUP DATABASE db TO", 102, "'TO'" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE", 102, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=", 102, "'='" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE 's'", 102, "'s'" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=s", 102, "'s'" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=@s", 137, "\"@s\"" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=5", 102, "'5'" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='s' 't'", 102, "'t'" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='s',", 102, "','" },
        { TO "GO", 102, "'GO'" },
        { TO "INIT", 102, "'INIT'" },
        { TO "WITH", 102, "'WITH'" },
        { TO "WITH INIT FORMAT", 102, "'FORMAT'" },
        { TO "WITH INIT,", 102, "','" },
        { TO "WITH ,", 102, "','" },
        { TO "WITH 'x'", 102, "'x'" },
        { TO "WITH STATS=", 102, "'='" },
        { TO "WITH STATS 5", 102, "'5'" },
        { TO "WITH STATS='5'", 102, "'5'" },
        { TO "WITH STATS=-5", 102, "'-'" },
        { TO "WITH NAME=x", 102, "'x'" },
        { TO "WITH NAME=5", 102, "'5'" },
        { TO "WITH INIT=1", 102, "'='" },
        { TO "; SELECT", 156, "'SELECT'" },
        { "BACKUP DATABASE [db", 105, "'db'" },
        { "BACKUP DATABASE [db]]", 105, "'db]]'" },
        { "BACKUP DATABASE \"db", 105, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='s", 105, "'s'" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='s''", 105, "" },
        { "BACKUP /* x", 113, "" },
        { "BACKUP /* x /* y */", 113, "" },
        { "BACKUP DATABASE db *", 102, "'*'" },
        { FROM "WITH MOVE 'a' 'b'", 102, "'b'" },
        { FROM "WITH MOVE 'a' TO", 102, "'TO'" },
        { FROM "WITH MOVE a TO 'b'", 102, "'a'" },
        { TO "WITH ENCRYPTION (ALGORITHM = AES_256", 102, "" },
};

static const struct row devices[] = {
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE=''", 3044, "" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='a\\b'", 3038, "a\\b" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='a', VIRTUAL_DEVICE='a'", 3201, "'a'. Operating system error 32(" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='a', VIRTUAL_DEVICE='A'", 0, "" },
        { "BACKUP DATABASE db TO DISK='/x.bak'", 3032, "DISK" },
        { "BACKUP DATABASE db TO TAPE='/dev/st0'", 3032, "TAPE" },
        { "BACKUP DATABASE db TO URL='https://x'", 3032, "URL" },
        { "RESTORE DATABASE db FROM DISK='/x.bak'", 3032, "DISK" },
        { "BACKUP DATABASE db TO VIRTUAL_DEVICE='a', DISK='b'", 3011, "" },
        { "BACKUP DATABASE db TO mydevice", 3206, "'mydevice'" },
        { "BACKUP DATABASE db TO [my device]", 3206, "'my device'" },
        { TO "MIRROR TO VIRTUAL_DEVICE='t'", 3218, "" },
};

static const struct row backups[] = {
        { TO "WITH BLOCKSIZE=4096, BUFFERCOUNT=20, MAXTRANSFERSIZE=524288", 0, "" },
        { TO "WITH FORMAT, MAXTRANSFERSIZE=1048576", 0, "" },
        { TO "WITH INIT", 0, "" },
        { TO "WITH NOINIT, NOFORMAT, NOSKIP", 0, "" },
        { TO "WITH FORMAT, INIT, SKIP", 0, "" },
        { TO "WITH NOREWIND, NOUNLOAD, STATS = 10", 0, "" },
        { TO "WITH REWIND, UNLOAD, STATS", 0, "" },
        { TO "WITH COPY_ONLY, CHECKSUM, STOP_ON_ERROR, RESTART", 0, "" },
        { TO "WITH NO_CHECKSUM, NO_COMPRESSION", 0, "" },
        { TO "WITH NAME=N'a''b', DESCRIPTION='', MEDIANAME=\"m\", MEDIADESCRIPTION='d'", 0, "" },
        { TO "WITH stats, stats", 3031, "'STATS'" },
        { TO "WITH INIT, NOINIT", 3031, "'NOINIT'" },
        { TO "WITH NOINIT, FORMAT", 3031, "'FORMAT'" },
        { TO "WITH FORMAT, NOFORMAT", 3031, "" },
        { TO "WITH FORMAT, NOSKIP", 3031, "" },
        { TO "WITH SKIP, NOSKIP", 3031, "" },
        { TO "WITH CHECKSUM, NO_CHECKSUM", 3031, "" },
        { TO "WITH REWIND, NOREWIND", 3031, "" },
        { TO "WITH UNLOAD, NOUNLOAD", 3031, "" },
        { TO "WITH COMPRESSION, NO_COMPRESSION", 3031, "" },
        { TO "WITH DIFFERENTIAL, COPY_ONLY", 3031, "" },
        { TO "WITH STOP_ON_ERROR, CONTINUE_AFTER_ERROR", 3031, "" },
        { TO "WITH EXPIREDATE='1/1/2030', RETAINDAYS=3", 3031, "" },
        { TO "WITH BLOCKSIZE=1000", 3253, "" },
        { TO "WITH BLOCKSIZE=256", 3250, "'256'" },
        { TO "WITH BLOCKSIZE=131072", 3250, "BLOCKSIZE" },
        { TO "WITH MAXTRANSFERSIZE=65537", 3250, "MAXTRANSFERSIZE" },
        { TO "WITH MAXTRANSFERSIZE=4259840", 3250, "" },
        { TO "WITH BUFFERCOUNT=0", 3250, "BUFFERCOUNT" },
        { TO "WITH BUFFERCOUNT=99999999999999999999", 3250, "" },
        { TO "WITH STATS=0", 3250, "" },
        { TO "WITH STATS=101", 3250, "STATS" },
        { TO "WITH DIFFERENTIAL", 3035, "\"db\"" },
        { TO "WITH COMPRESSION", 3032, "(COMPRESSION)" },
        { TO "WITH COMPRESSION (ALGORITHM = ZSTD, LEVEL = HIGH)", 3032, "(COMPRESSION)" },
        { TO "WITH ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = c)", 3032, "ENCRYPTION" },
        { TO "WITH CREDENTIAL='c'", 3032, "CREDENTIAL" },
        { TO "WITH PASSWORD='c'", 3032, "PASSWORD" },
        { TO "WITH MEDIAPASSWORD='c'", 3032, "MEDIAPASSWORD" },
        { TO "WITH EXPIREDATE='1/1/2030'", 3032, "EXPIREDATE" },
        { TO "WITH RETAINDAYS=3", 3032, "RETAINDAYS" },
        { TO "WITH SNAPSHOT", 3032, "SNAPSHOT" },
        { TO "WITH FILE_SNAPSHOT", 3032, "FILE_SNAPSHOT" },
        { TO "WITH METADATA_ONLY", 3032, "METADATA_ONLY" },
        { TO "WITH CONTINUE_AFTER_ERROR", 3032, "CONTINUE_AFTER_ERROR" },
        { TO "WITH NORECOVERY", 3032, "NORECOVERY" },
        { TO "WITH STANDBY='x'", 3032, "STANDBY" },
        { TO "WITH NO_TRUNCATE", 3032, "NO_TRUNCATE" },
        { TO "WITH REPLACE", 155, "'REPLACE' is not a recognized BACKUP option." },
        { TO "WITH MOVE 'a' TO 'b'", 155, "'MOVE'" },
        { TO "WITH FILE=1", 155, "'FILE'" },
        { TO "WITH LOADHISTORY", 155, "'LOADHISTORY'" },
        { TO "WITH FROBNICATE=1", 155, "'FROBNICATE' is not a recognized BACKUP option." },
        { TO "WITH @x", 137, "" },
        { "BACKUP DATABASE db FILE='main' TO VIRTUAL_DEVICE='s'", 3004, "" },
        { "BACKUP DATABASE db FILEGROUP='primary', FILE='x' TO VIRTUAL_DEVICE='s'", 3004, "" },
        { "BACKUP DATABASE db FILEGROUP='fg' TO VIRTUAL_DEVICE='s'", 3027, "\"fg\"" },
        { "BACKUP DATABASE db READ_WRITE_FILEGROUPS TO VIRTUAL_DEVICE='s'", 3032, "READ_WRITE_FILEGROUPS" },
        { "BACKUP DATABASE db PAGE='1:2' TO VIRTUAL_DEVICE='s'", 102, "'PAGE'" },
        { "BACKUP DATABASE db FILE=1 TO VIRTUAL_DEVICE='s'", 102, "'1'" },
        { "BACKUP LOG db TO VIRTUAL_DEVICE='s'", 4208, "BACKUP LOG" },
        { "BACKUP LOG db TO VIRTUAL_DEVICE='s' WITH NO_TRUNCATE, NORECOVERY", 4208, "" },
        { "BACKUP LOG db TO VIRTUAL_DEVICE='s' WITH DIFFERENTIAL", 3032, "" },
};

static const struct row restores[] = {
        { FROM "WITH REPLACE, MAXTRANSFERSIZE=1048576", 0, "" },
        { FROM "WITH RECOVERY, CHECKSUM, STATS=5, FILE=2", 0, "" },
        { FROM "WITH MOVE 'main' TO '/x', MOVE N'log' TO N'/y', REPLACE", 0, "" },
        { FROM "WITH NOUNLOAD, NOREWIND, NO_CHECKSUM, STOP_ON_ERROR", 0, "" },
        { FROM "WITH NORECOVERY", 3117, "NORECOVERY" },
        { FROM "WITH STANDBY='/x.undo'", 3117, "STANDBY" },
        { FROM "WITH RECOVERY, NORECOVERY", 3031, "" },
        { FROM "WITH NORECOVERY, STANDBY='x'", 3031, "" },
        { FROM "WITH FILE=0", 3250, "FILE" },
        { FROM "WITH PARTIAL", 3115, "" },
        { FROM "WITH STOPAT='2026-01-01'", 3145, "" },
        { FROM "WITH STOPATMARK='m' AFTER '2026-01-01'", 3145, "" },
        { FROM "WITH STOPBEFOREMARK='lsn:1'", 3145, "" },
        { FROM "WITH RESTRICTED_USER", 3032, "RESTRICTED_USER" },
        { FROM "WITH DBO_ONLY", 3032, "DBO_ONLY" },
        { FROM "WITH MEDIANAME='x'", 3032, "MEDIANAME" },
        { FROM "WITH KEEP_REPLICATION", 3032, "" },
        { FROM "WITH ENABLE_BROKER", 3032, "" },
        { FROM "WITH NEW_BROKER", 3032, "" },
        { FROM "WITH ERROR_BROKER_CONVERSATIONS", 3032, "" },
        { FROM "WITH KEEP_CDC", 3032, "" },
        { FROM "WITH FILESTREAM (DIRECTORY_NAME = x)", 3032, "FILESTREAM" },
        { FROM "WITH SNAPSHOT", 3032, "" },
        { FROM "WITH RESTART", 3032, "" },
        { FROM "WITH CONTINUE_AFTER_ERROR", 3032, "" },
        { FROM "WITH LOADHISTORY", 3032, "LOADHISTORY" },
        { FROM "WITH INIT", 155, "'INIT' is not a recognized RESTORE option." },
        { FROM "WITH NAME='x'", 155, "'NAME'" },
        { FROM "WITH DIFFERENTIAL", 155, "" },
        { "RESTORE DATABASE db FILE='main' FROM VIRTUAL_DEVICE='s'", 3115, "" },
        { "RESTORE DATABASE db FILEGROUP='fg' FROM VIRTUAL_DEVICE='s'", 3190, "'fg'" },
        { "RESTORE DATABASE db PAGE='1:57' FROM VIRTUAL_DEVICE='s'", 3115, "" },
        { "RESTORE LOG db FROM VIRTUAL_DEVICE='s'", 3117, "rollforward" },
        { "RESTORE LOG db FROM VIRTUAL_DEVICE='s' WITH NORECOVERY, STOPAT='x'", 3117, "rollforward" },
        { "RESTORE LOG db FROM VIRTUAL_DEVICE='s' WITH REPLACE", 3032, "REPLACE" },
        { VERIFY "WITH CHECKSUM, STATS, FILE=1", 0, "" },
        { VERIFY "WITH LOADHISTORY", 3032, "LOADHISTORY" },
        { VERIFY "WITH REPLACE", 3032, "REPLACE" },
        { VERIFY "WITH MOVE 'a' TO 'b'", 3032, "MOVE" },
        { HEADER "WITH FILE=3, NOUNLOAD", 0, "" },
        { HEADER "WITH CHECKSUM", 3032, "CHECKSUM" },
        { HEADER "WITH STATS", 3032, "STATS" },
        { FILELIST "WITH FILE=1", 0, "" },
        { LABEL "WITH BLOCKSIZE=512, BUFFERCOUNT=1, MAXTRANSFERSIZE=65536", 0, "" },
        { LABEL "WITH FILE=1", 3032, "FILE" },
        { LABEL "WITH INIT", 155, "" },
};

static void check_rows(const struct row *rows, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct server_message message = { 0 };
                struct statement statement;
                int rc = statement_parse(rows[i].text, &statement, &message);

                if (rc == 0)
                        rc = statement_check(&statement, &message);
                if (message.number != rows[i].number || (rc == 0) != (rows[i].number == 0))
                        fail_msg("%s\ngives %d (%s), not %d", rows[i].text, message.number, message.text,
                                 rows[i].number);
                if (rows[i].number && !strstr(message.text, rows[i].words))
                        fail_msg("%s\nsays %s, without %s", rows[i].text, message.text, rows[i].words);
                if (rows[i].number)
                        assert_true(server_message_is_error(&message));
                statement_deinit(&statement);
        }
}

#define CHECK_ROWS(table) check_rows((table), sizeof(table) / sizeof(table)[0])

static void statements_are_understood_or_refused_by_number(void **state)
{
        (void)state;
        CHECK_ROWS(grammar);
        CHECK_ROWS(devices);
        CHECK_ROWS(backups);
        CHECK_ROWS(restores);
}

static void values_arrive(void **state)
{
        struct server_message message;
        struct statement statement;

        (void)state;
        assert_int_equal(statement_parse("RESTORE DATABASE [a]]b] FROM VIRTUAL_DEVICE=N'x''y', VIRTUAL_DEVICE='z' "
                                         "WITH FILE=3, STATS, MOVE 'm''' TO \"/n\"\"\", MOVE 'o' TO '', REPLACE,"
                                         "BLOCKSIZE=65536",
                                         &statement, &message),
                         0);
        assert_int_equal(statement.verb, STATEMENT_RESTORE_DATABASE);
        assert_string_equal(statement.database, "a]b");
        assert_int_equal(statement.device_count, 2);
        assert_string_equal(statement.devices[0], "x'y");
        assert_string_equal(statement.devices[1], "z");
        assert_int_equal(statement.numbers[OPTION_FILE], 3);
        assert_int_equal(statement.numbers[OPTION_STATS], 10);
        assert_int_equal(statement.numbers[OPTION_BLOCKSIZE], 65536);
        assert_true(statement.given[OPTION_REPLACE]);
        assert_false(statement.given[OPTION_CHECKSUM]);
        assert_int_equal(statement.move_count, 2);
        assert_string_equal(statement.moves[0].logical, "m'");
        assert_string_equal(statement.moves[0].path, "/n\"");
        assert_string_equal(statement.moves[1].path, "");
        statement_deinit(&statement);
}

static void lines_are_counted(void **state)
{
        struct server_message message;
        struct statement statement;

        (void)state;
        assert_int_equal(statement_parse("BACKUP DATABASE db -- one\n/* two\nthree */\nTO 'x'", &statement, &message),
                         -1);
        assert_int_equal(message.line, 4);
        statement_deinit(&statement);
        assert_int_equal(statement_parse("\n\nBACKUP DATABASE 'a\nb", &statement, &message), -1);
        assert_int_equal(message.number, 105);
        assert_int_equal(message.line, 3);
        statement_deinit(&statement);
}

/* A statement with one name or string of `length` letters. */
static int parse_long(const char *before, size_t length, const char *after, struct server_message *message)
{
        CLEANUP(freep) char *text = malloc(strlen(before) + length + strlen(after) + 1);
        struct statement statement;
        int rc;

        strcpy(text, before);
        memset(text + strlen(before), 'a', length);
        strcpy(text + strlen(before) + length, after);
        rc = statement_parse(text, &statement, message);
        statement_deinit(&statement);
        return rc;
}

static void sizes_are_bounded(void **state)
{
        static const struct {
                const char *before;
                const char *after;
                size_t max;
                int number;
        } rows[] = {
                { "BACKUP DATABASE [", "] TO VIRTUAL_DEVICE='s'", STATEMENT_NAME_MAX, 103 },
                { "BACKUP DATABASE ", " TO VIRTUAL_DEVICE='s'", STATEMENT_NAME_MAX, 103 },
                { "BACKUP DATABASE db TO VIRTUAL_DEVICE='", "'", VDS_NAME_MAX, 3057 },
                { TO "WITH NAME='", "'", 128, 103 },
                { TO "WITH DESCRIPTION='", "'", 255, 103 },
                { TO "--", "", SQL_TEXT_MAX - sizeof(TO "--"), 103 },
        };
        struct server_message message;

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                assert_int_equal(parse_long(rows[i].before, rows[i].max, rows[i].after, &message), 0);
                assert_int_equal(parse_long(rows[i].before, rows[i].max + 1, rows[i].after, &message), -1);
                assert_int_equal(message.number, rows[i].number);
        }
}

static void sixty_four_devices_and_no_more(void **state)
{
        char text[4096] = "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE='d0'";
        struct server_message message;
        struct statement statement;

        (void)state;
        for (int i = 1; i < VDS_DEVICES_MAX; i++)
                sprintf(text + strlen(text), ",VIRTUAL_DEVICE='d%d'", i);
        assert_int_equal(statement_parse(text, &statement, &message), 0);
        assert_int_equal(statement.device_count, VDS_DEVICES_MAX);
        statement_deinit(&statement);
        strcat(text, ",VIRTUAL_DEVICE='e'");
        assert_int_equal(statement_parse(text, &statement, &message), -1);
        assert_int_equal(message.number, 3205);
        statement_deinit(&statement);
}

/* Every byte there is, as a name and as a string. */
static void quoting_is_undone_by_parsing(void **state)
{
        char bytes[256];
        CLEANUP(freep) char *name = NULL;
        CLEANUP(freep) char *string = NULL;
        CLEANUP(freep) char *text = NULL;
        struct server_message message;
        struct statement statement;

        (void)state;
        for (int i = 0; i < 255; i++)
                bytes[i] = (char)(i + 1);
        bytes[255] = '\0';
        name = sql_quote_name(bytes);
        bytes['\\' - 1] = ']';
        string = sql_quote_string(bytes);
        assert_true(asprintf(&text, "BACKUP DATABASE %s TO VIRTUAL_DEVICE=%s", name, string) > 0);
        assert_int_equal(statement_parse(text, &statement, &message), 0);
        assert_string_equal(statement.devices[0], bytes);
        bytes['\\' - 1] = '\\';
        assert_string_equal(statement.database, bytes);
        statement_deinit(&statement);
}

static void options_have_one_row_each(void **state)
{
        (void)state;
        for (int i = 0; i < OPTION_COUNT; i++) {
                assert_non_null(statement_options[i].keyword);
                assert_int_equal(statement_find_option(statement_options[i].keyword), i);
                assert_true(statement_options[i].verbs);
                assert_int_equal(statement_options[i].possible & ~statement_options[i].verbs, 0);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(statements_are_understood_or_refused_by_number),
                cmocka_unit_test(values_arrive),
                cmocka_unit_test(lines_are_counted),
                cmocka_unit_test(sizes_are_bounded),
                cmocka_unit_test(sixty_four_devices_and_no_more),
                cmocka_unit_test(quoting_is_undone_by_parsing),
                cmocka_unit_test(options_have_one_row_each),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
