/*
 * Backup sets through the statement's options: tapes that hold several, end-of-media warnings, devices whose parts
 * nobody tells, VERIFYONLY and the listings, and the messages of each.
 */
#include "tests/unit/sqlite/run.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/tsql/statement.h"
#include "core/sqlite/sqlite.h"

enum { BLOCK = 512, NUMBERS_MAX = 64, DEVICES = 3 };

/* ---- a tape in memory ---- */

struct cell {
        bool mark;
        uint8_t block[BLOCK];
};

struct tape {
        struct cell *cells;
        size_t count;
        size_t at;
        size_t warn_from; /* cells; 0: never */
        size_t full_from; /* cells; 0: never */
        bool halves;      /* a write that is warned of stores half of what it could */
        int warnings;
        int clears;
};

static void put_cell(struct tape *tape, const uint8_t *block)
{
        tape->count = tape->at;
        tape->cells = realloc(tape->cells, (tape->count + 1) * sizeof *tape->cells);
        tape->cells[tape->count].mark = !block;
        if (block)
                memcpy(tape->cells[tape->count].block, block, BLOCK);
        tape->at = ++tape->count;
}

static int write_tape(struct tape *tape, const struct VDC_Command *command, uint64_t *ret_bytes)
{
        bool warn = tape->warn_from && tape->at >= tape->warn_from;
        size_t blocks = (size_t)command->size / BLOCK;

        if (tape->full_from && tape->at + blocks > tape->full_from)
                return ERROR_EOM_OVERFLOW;
        if (warn && tape->halves && blocks > 1)
                blocks /= 2;
        for (size_t i = 0; i < blocks; i++)
                put_cell(tape, command->buffer + i * BLOCK);
        *ret_bytes = blocks * BLOCK;
        tape->warnings += warn;
        return warn ? ERROR_END_OF_MEDIA : ERROR_SUCCESS;
}

static int read_tape(struct tape *tape, const struct VDC_Command *command, uint64_t *ret_bytes)
{
        for (*ret_bytes = 0; *ret_bytes < (uint64_t)command->size; *ret_bytes += BLOCK) {
                if (tape->at == tape->count)
                        return ERROR_NO_DATA_DETECTED;
                if (tape->cells[tape->at++].mark)
                        return ERROR_FILEMARK_DETECTED;
                memcpy(command->buffer + *ret_bytes, tape->cells[tape->at - 1].block, BLOCK);
        }
        return ERROR_SUCCESS;
}

static int skip_marks(struct tape *tape, int32_t count)
{
        while (count > 0) {
                if (tape->at == tape->count)
                        return ERROR_NO_DATA_DETECTED;
                count -= tape->cells[tape->at++].mark;
        }
        return ERROR_SUCCESS;
}

static int execute_tape(struct medium *medium, const struct VDC_Command *command, uint64_t *ret_bytes,
                        int64_t *ret_position)
{
        struct tape *tape = medium->context;

        switch (command->commandCode) {
        case VDC_Read:
                return read_tape(tape, command, ret_bytes);
        case VDC_Write:
                return write_tape(tape, command, ret_bytes);
        case VDC_SkipMarks:
                return skip_marks(tape, command->size);
        case VDC_Rewind:
                tape->at = 0;
                return ERROR_SUCCESS;
        case VDC_WriteMark:
                put_cell(tape, NULL);
                return ERROR_SUCCESS;
        case VDC_GetPosition:
                *ret_position = (int64_t)tape->at;
                return ERROR_SUCCESS;
        case VDC_ClearError:
                tape->clears++;
                return ERROR_SUCCESS;
        case VDC_Flush:
                return ERROR_SUCCESS;
        default:
                return ERROR_NOT_SUPPORTED;
        }
}

/* ---- what was told ---- */

struct heard {
        int numbers[NUMBERS_MAX];
        int count;
        char last_error[ERROR_MESSAGE_MAX]; /* but 3013 */
        char columns[32][64];               /* "name=value" of the first row's known cells */
        size_t column_count;
        size_t rows;
};

static void on_message(const struct server_message *message, void *heard_at)
{
        struct heard *heard = heard_at;

        if (heard->count < NUMBERS_MAX)
                heard->numbers[heard->count++] = message->number;
        if (server_message_is_error(message) && message->number != 3013)
                snprintf(heard->last_error, sizeof heard->last_error, "%s", message->text);
}

static void on_results(const struct result_set *results, void *heard_at)
{
        struct heard *heard = heard_at;

        heard->rows = results->row_count;
        for (size_t i = 0; i < results->column_count && heard->column_count < 32; i++) {
                const struct result_cell *cell = &results->cells[i];
                char *text = heard->columns[heard->column_count];

                if (cell->kind == RESULT_NUMBER)
                        snprintf(text, 64, "%s=%lld", results->columns[i], (long long)cell->number);
                else if (cell->kind == RESULT_TEXT)
                        snprintf(text, 64, "%s=%s", results->columns[i], cell->text);
                heard->column_count += cell->kind != RESULT_NULL;
        }
}

static bool has_column(const struct heard *heard, const char *text)
{
        for (size_t i = 0; i < heard->column_count; i++)
                if (strcmp(heard->columns[i], text) == 0)
                        return true;
        return false;
}

static bool has_number(const struct heard *heard, int number)
{
        for (int i = 0; i < heard->count; i++)
                if (heard->numbers[i] == number)
                        return true;
        return false;
}

/* ---- playing a statement ---- */

struct play {
        struct heard heard;
        struct server_events events;
        struct run *run;
};

/* A run whose job is what `options` say behind the usual clauses. Devices 2 and 3 are called like run_new() does. */
static struct play *play_new(void **state, enum server_verb verb, const char *database, uint32_t devices,
                             const char *options)
{
        struct play *play = calloc(1, sizeof *play);
        struct server_message message;
        struct statement statement;
        CLEANUP(freep) char *bare = NULL;
        CLEANUP(freep) char *text = NULL;

        play->events = (struct server_events){ .context = &play->heard, .message = on_message, .results = on_results };
        play->run = run_new(state, verb, database, devices);
        play->run->job.check = SERVER_CHECK_QUICK;
        bare = server_job_statement(&play->run->job);
        assert_true(asprintf(&text, "%s %s", bare, options) > 0);
        if (statement_parse(text, &statement, &message) < 0)
                fail_msg("%s: %s", text, message.text);
        server_job_deinit(&play->run->job);
        if (server_job_from_statement(&play->run->job, &statement, &message) < 0)
                fail_msg("%s: %s", text, message.text);
        statement_deinit(&statement);
        play->run->job.busy_timeout_ms = 2000;
        play->run->job.max_lock_ms = -1;
        play->run->job.spool_dir = strdup(*state);
        play->run->events = &play->events;
        return play;
}

static void play_free(struct play *play)
{
        run_deinit(play->run);
        free(play);
}

static void put_tape(struct play *play, uint32_t device, struct tape *tape)
{
        play->run->features = VDF_LikeTape;
        play->run->media[device].execute = execute_tape;
        play->run->media[device].context = tape;
        tape->at = 0;
}

/* The numbers of all messages, in order. */
static void assert_heard(const struct play *play, const int *numbers, int count)
{
        for (int i = 0; i < count || i < play->heard.count; i++)
                if (i >= count || i >= play->heard.count || numbers[i] != play->heard.numbers[i])
                        fail_msg("message %d is %d, not %d: %s", i, i < play->heard.count ? play->heard.numbers[i] : 0,
                                 i < count ? numbers[i] : 0, play->heard.last_error);
}

#define ASSERT_HEARD(play, ...) \
        assert_heard((play), (const int[]){ __VA_ARGS__ }, sizeof(int[]){ __VA_ARGS__ } / sizeof(int))

/* Plays it on one tape. */
static struct play *play_tape(void **state, enum server_verb verb, const char *database, struct tape *tape,
                              const char *options)
{
        struct play *play = play_new(state, verb, database, 1, options);

        put_tape(play, 0, tape);
        run_go(play->run);
        return play;
}

static void backup_to_tape(void **state, const char *database, struct tape *tape, const char *options)
{
        struct play *play = play_tape(state, SERVER_BACKUP, database, tape, options);

        ASSERT_HEARD(play, 4035, 3014);
        assert_int_equal(play->run->verdict, VDS_VERDICT_SUCCESS);
        play_free(play);
}

static void make_database(const char *path, int rows)
{
        sqlite3 *db = sandbox_open(path);

        sandbox_fill(db, rows, 1000);
        sqlite3_close(db);
}

static void assert_same_files(const char *a, const char *b)
{
        sqlite3 *db_a = sandbox_open(a);
        sqlite3 *db_b = sandbox_open(b);
        size_t size_a;
        size_t size_b;
        CLEANUP(freep) uint8_t *bytes_a = sandbox_serialize(db_a, &size_a);
        CLEANUP(freep) uint8_t *bytes_b = sandbox_serialize(db_b, &size_b);

        assert_int_equal(size_a, size_b);
        assert_memory_equal(bytes_a, bytes_b, size_a);
        sqlite3_close(db_a);
        sqlite3_close(db_b);
}

/* Restores set `file` of the tape and compares it. */
static void assert_set_is(void **state, struct tape *tape, int file, const char *database)
{
        const char *to = sandbox_path(state, "to.db");
        char options[32];
        struct play *play;

        snprintf(options, sizeof options, "WITH FILE = %d", file);
        play = play_tape(state, SERVER_RESTORE, to, tape, options);
        ASSERT_HEARD(play, 4035, 3014);
        assert_same_files(database, to);
        assert_int_equal(unlink(to), 0);
        play_free(play);
}

/* ---- tapes ---- */

static void tape_holds_several_sets(void **state)
{
        const char *one = sandbox_path(state, "one.db");
        const char *two = sandbox_path(state, "two.db");
        const char *none = sandbox_path(state, "none.db");
        struct tape tape = { 0 };
        struct play *play;

        make_database(one, 300);
        make_database(two, 30);
        fclose(fopen(none, "w"));
        backup_to_tape(state, one, &tape, "WITH FORMAT");
        backup_to_tape(state, two, &tape, "");
        backup_to_tape(state, none, &tape, "WITH NOINIT");
        backup_to_tape(state, one, &tape, "");
        assert_set_is(state, &tape, 1, one);
        assert_set_is(state, &tape, 2, two);
        assert_set_is(state, &tape, 3, none);
        assert_set_is(state, &tape, 4, one);
        play = play_tape(state, SERVER_RESTORE, sandbox_path(state, "to.db"), &tape, "WITH FILE = 5");
        ASSERT_HEARD(play, 4038, 3013);
        assert_int_equal(play->run->report.code, ERR_USAGE);
        play_free(play);
        play = play_tape(state, SERVER_HEADERONLY, "", &tape, "");
        assert_int_equal(play->run->verdict, VDS_VERDICT_SUCCESS);
        assert_int_equal(play->heard.rows, 4);
        play_free(play);
        play = play_tape(state, SERVER_HEADERONLY, "", &tape, "WITH FILE = 2");
        assert_int_equal(play->heard.rows, 1);
        assert_true(has_column(&play->heard, "Position=2"));
        play_free(play);
        backup_to_tape(state, two, &tape, "WITH INIT");
        assert_set_is(state, &tape, 1, two);
        play = play_tape(state, SERVER_HEADERONLY, "", &tape, "");
        assert_int_equal(play->heard.rows, 1);
        play_free(play);
        free(tape.cells);
}

static void empty_tape_has_nothing_to_read(void **state)
{
        static const enum server_verb verbs[] = { SERVER_RESTORE, SERVER_VERIFYONLY, SERVER_HEADERONLY,
                                                  SERVER_FILELISTONLY };
        struct tape tape = { 0 };

        for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
                struct play *play = play_tape(state, verbs[i], sandbox_path(state, "to.db"), &tape, "");

                ASSERT_HEARD(play, 3254, 3013);
                assert_int_equal(play->run->report.code, ERR_DAMAGED);
                play_free(play);
        }
        assert_false(sandbox_exists(sandbox_path(state, "to.db")));
}

static void nothing_is_appended_to_an_unfinished_set(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct tape tape = { 0 };
        struct play *play;

        make_database(from, 30);
        backup_to_tape(state, from, &tape, "");
        tape.at = tape.count;
        put_cell(&tape, (const uint8_t[BLOCK]){ 0 });
        play = play_tape(state, SERVER_BACKUP, from, &tape, "");
        ASSERT_HEARD(play, 3266, 3013);
        play_free(play);
        backup_to_tape(state, from, &tape, "WITH FORMAT");
        assert_set_is(state, &tape, 1, from);
        free(tape.cells);
}

static void tapes_of_a_set_hold_the_same_sets(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct tape tapes[2] = { { 0 }, { 0 } };
        struct play *play;

        make_database(from, 30);
        backup_to_tape(state, from, &tapes[1], "");
        play = play_new(state, SERVER_BACKUP, from, 2, "");
        put_tape(play, 0, &tapes[0]);
        put_tape(play, 1, &tapes[1]);
        run_go(play->run);
        ASSERT_HEARD(play, 3258, 3013);
        play_free(play);
        free(tapes[0].cells);
        free(tapes[1].cells);
}

/* Every write from some point on is warned of: whole or in halves, all of it arrives once. */
static void warnings_of_the_end_lose_nothing(void **state)
{
        const char *from = sandbox_path(state, "from.db");

        make_database(from, 600);
        for (int i = 0; i < 6; i++) {
                struct tape tape = { .warn_from = (size_t)(i / 2) * 400 + 1, .halves = i % 2 };

                backup_to_tape(state, from, &tape, "WITH MAXTRANSFERSIZE = 65536");
                assert_true(tape.warnings > 0);
                assert_true(tape.clears >= tape.warnings);
                assert_set_is(state, &tape, 1, from);
                free(tape.cells);
        }
}

static void full_tape_fails(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct tape tape = { .warn_from = 500, .full_from = 700 };
        struct play *play;

        make_database(from, 600);
        play = play_tape(state, SERVER_BACKUP, from, &tape, "WITH MAXTRANSFERSIZE = 65536");
        ASSERT_HEARD(play, 3202, 3013);
        assert_non_null(strstr(play->heard.last_error, "failed: 1129("));
        assert_int_equal(play->run->report.code, ERR_NO_SPACE);
        play_free(play);
        free(tape.cells);
}

/* ---- parts that nobody tells ---- */

static void copy_media(const struct run *from, struct run *to)
{
        for (uint32_t i = 0; i < to->job.device_count; i++) {
                to->media[i].size = from->media[i].size;
                to->media[i].bytes = malloc(from->media[i].size + 1);
                if (from->media[i].size)
                        memcpy(to->media[i].bytes, from->media[i].bytes, from->media[i].size);
        }
}

static struct play *play_copy(void **state, enum server_verb verb, const char *database, const struct run *backup,
                              const char *options)
{
        struct play *play = play_new(state, verb, database, backup->job.device_count, options);

        copy_media(backup, play->run);
        return play;
}

static void parts_follow_from_the_header(void **state)
{
        static const uint32_t counts[] = { 1, 2, DEVICES, VDS_DEVICES_MAX };
        static const int rows[] = { 0, 1, 40, 900 };
        const char *from = sandbox_path(state, "from.db");
        const char *to = sandbox_path(state, "to.db");

        for (size_t k = 0; k < 16; k++) {
                struct run *backup;
                struct play *play;

                make_database(from, rows[k / 4]);
                backup = run_backup(state, from, counts[k % 4]);
                play = play_copy(state, SERVER_RESTORE, to, backup, k % 2 ? "WITH MAXTRANSFERSIZE = 65536" : "");
                play->run->features = k % 3 ? 0 : VDF_LikeDisk;
                run_go(play->run);
                ASSERT_HEARD(play, 4035, 3014);
                assert_same_files(from, to);
                play_free(play);
                play = play_copy(state, SERVER_VERIFYONLY, "", backup, "WITH CHECKSUM");
                run_go(play->run);
                ASSERT_HEARD(play, 3262);
                assert_int_equal(sandbox_count(state, "vdipipe-verify"), 0);
                play_free(play);
                run_deinit(backup);
                assert_int_equal(unlink(from), 0);
                assert_int_equal(unlink(to), 0);
        }
}

static void damaged_sets_are_refused(void **state)
{
        static const struct {
                uint32_t device;
                int64_t grow; /* bytes */
                int flip;     /* place of a byte that is changed; -1: none */
                bool swap;    /* the first two devices */
                bool checksum;
        } rows[] = {
                { 0, -4096, -1, false, false }, { 1, -512, -1, false, false },   { 2, 4096, -1, false, false },
                { 2, -4096, -1, false, false }, { 0, 0, 3, false, false },       { 0, 0, 0, true, false },
                { 0, 0, 31, false, false },     { 1, 0, 4096 + 3, false, true }, { 0, -1000000, -1, false, false },
        };
        const char *from = sandbox_path(state, "from.db");
        struct run *backup;

        make_database(from, 200);
        backup = run_backup(state, from, DEVICES);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                static const enum server_verb verbs[] = { SERVER_VERIFYONLY, SERVER_RESTORE };

                for (int v = 0; v < 2; v++) {
                        struct play *play = play_copy(state, verbs[v], sandbox_path(state, "to.db"), backup,
                                                      rows[i].checksum ? "WITH CHECKSUM" : "");
                        struct medium *media = play->run->media;
                        struct medium *medium = &media[rows[i].device];
                        struct medium first = media[0];

                        if (rows[i].swap) {
                                media[0] = media[1];
                                media[1] = first;
                        }
                        if (rows[i].flip >= 0)
                                memset(medium->bytes + rows[i].flip, 0x5a, rows[i].checksum ? 64 : 1);
                        if (rows[i].grow < 0 && (size_t)-rows[i].grow > medium->size)
                                medium->size = 0;
                        else if (rows[i].grow)
                                medium->size += (size_t)rows[i].grow;
                        medium->bytes = realloc(medium->bytes, medium->size + 1);
                        run_go(play->run);
                        if (play->run->report.code != ERR_DAMAGED || play->heard.numbers[0] != 3241 ||
                            play->heard.numbers[play->heard.count - 1] != 3013)
                                fail_msg("row %zu: %d %d: %s", i, play->run->report.code, play->heard.numbers[0],
                                         play->run->report.message);
                        assert_false(sandbox_exists(sandbox_path(state, "to.db")));
                        assert_int_equal(sandbox_count(state, ".restore-"), 0);
                        play_free(play);
                }
        }
        run_deinit(backup);
}

/* ---- options and messages ---- */

static void progress_is_told_by_percent(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct play *play;
        struct play *again;

        make_database(from, 900);
        play = play_new(state, SERVER_BACKUP, from, 1, "WITH STATS = 50, MAXTRANSFERSIZE = 65536, NAME = 'a\x01'");
        run_go(play->run);
        ASSERT_HEARD(play, 3211, 3211, 4035, 3014);
        assert_string_equal(play->run->info.backup_name, "a\\x01");
        assert_string_equal(play->run->info.origin, from);
        again = play_copy(state, SERVER_RESTORE, sandbox_path(state, "to.db"), play->run,
                          "WITH STATS = 50, MAXTRANSFERSIZE = 65536");
        run_go(again->run);
        ASSERT_HEARD(again, 3211, 3211, 4035, 3014);
        play_free(again);
        again = play_copy(state, SERVER_VERIFYONLY, "", play->run, "");
        again->run->job.stats = 100;
        run_go(again->run);
        ASSERT_HEARD(again, 3211, 3262);
        play_free(again);
        play_free(play);
}

static void checksum_finds_damage_before_anything_is_sent(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        uint8_t noise[600];
        FILE *file;
        struct play *play;

        make_database(from, 100);
        memset(noise, 0xa5, sizeof noise);
        file = fopen(from, "r+");
        fseek(file, 4096 * 3, SEEK_SET);
        fwrite(noise, sizeof noise, 1, file);
        fclose(file);
        play = play_new(state, SERVER_BACKUP, from, 1, "");
        run_go(play->run);
        ASSERT_HEARD(play, 4035, 3014);
        play_free(play);
        play = play_new(state, SERVER_BACKUP, from, 1, "WITH CHECKSUM");
        run_go(play->run);
        assert_false(play->run->configured);
        assert_int_equal(play->heard.numbers[0], 3043);
        assert_int_equal(play->run->report.code, ERR_DAMAGED);
        play_free(play);
}

static void listings_say_what_the_image_says(void **state)
{
        static const struct {
                enum server_verb verb;
                const char *columns[6];
        } rows[] = {
                { SERVER_HEADERONLY,
                  { "BackupType=1", "Position=1", "DeviceType=7", "RecoveryModel=SIMPLE", "Collation=UTF-8",
                    "SoftwareVersionMajor=3" } },
                { SERVER_FILELISTONLY,
                  { "LogicalName=main", "Type=D", "FileGroupName=PRIMARY", "FileId=1", "SourceBlockSize=4096",
                    "IsPresent=1" } },
                { SERVER_LABELONLY,
                  { "FamilyCount=1", "MediaSequenceNumber=1", "SoftwareName=SQLite", "MirrorCount=1", "IsCompressed=0",
                    "MediaLabelPresent=0" } },
        };
        const char *from = sandbox_path(state, "from.db");
        struct run *backup;

        make_database(from, 100);
        backup = run_backup(state, from, 1);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct play *play = play_copy(state, rows[i].verb, "", backup, "");

                run_go(play->run);
                assert_int_equal(play->run->verdict, VDS_VERDICT_SUCCESS);
                assert_int_equal(play->heard.rows, 1);
                for (size_t k = 0; k < 6; k++)
                        if (!has_column(&play->heard, rows[i].columns[k]))
                                fail_msg("no %s", rows[i].columns[k]);
                play_free(play);
                play = play_copy(state, rows[i].verb, "", backup, "");
                memset(play->run->media[0].bytes, 'x', 100);
                run_go(play->run);
                ASSERT_HEARD(play, 3241, 3013);
                play_free(play);
        }
        run_deinit(backup);
}

static void refusals_have_numbers(void **state)
{
        const char *from = sandbox_path(state, "from.db");
        struct run *backup;
        struct play *play;

        make_database(from, 10);
        backup = run_backup(state, from, 1);
        play = play_copy(state, SERVER_RESTORE, from, backup, "");
        run_go(play->run);
        ASSERT_HEARD(play, 3142, 3013);
        play_free(play);
        play = play_copy(state, SERVER_RESTORE, sandbox_path(state, "to.db"), backup, "WITH FILE = 2");
        run_go(play->run);
        ASSERT_HEARD(play, 4038, 3013);
        play_free(play);
        play = play_new(state, SERVER_BACKUP, from, 1, "WITH BLOCKSIZE = 8192");
        run_go(play->run);
        ASSERT_HEARD(play, 3272, 3013);
        play_free(play);
        play = play_new(state, SERVER_BACKUP, from, 1, "WITH MAXTRANSFERSIZE = 65536");
        play->run->media[0].fail_at = 1;
        play->run->media[0].fail_code = ERROR_IO_DEVICE;
        run_go(play->run);
        ASSERT_HEARD(play, 3202, 3013);
        assert_non_null(strstr(play->heard.last_error, "failed: 1117("));
        play_free(play);
        play = play_new(state, SERVER_BACKUP, from, 1, "");
        assert_int_equal(server_run(&sqlite_server, &play->run->job, &play->run->options, &play->events, NULL), -1);
        ASSERT_HEARD(play, 18210, 3201, 3013);
        assert_false(has_number(&play->heard, 50000));
        play_free(play);
        run_deinit(backup);
}

static void statements_survive_the_job(void **state)
{
        static const char *const texts[] = {
                "BACKUP DATABASE [/a]]'\"b] TO VIRTUAL_DEVICE = N'x''y', VIRTUAL_DEVICE = N'z' WITH BLOCKSIZE = 512, "
                "BUFFERCOUNT = 9, MAXTRANSFERSIZE = 65536, STATS = 5, INIT, CHECKSUM, NAME = N'n''', DESCRIPTION = "
                "N'd', MEDIANAME = N'm', MEDIADESCRIPTION = N''",
                "RESTORE DATABASE [/a] FROM VIRTUAL_DEVICE = N's' WITH FILE = 3, REPLACE, NO_CHECKSUM",
                "RESTORE DATABASE [/a] FROM VIRTUAL_DEVICE = N's' WITH CHECKSUM, REPLACE",
                "RESTORE VERIFYONLY FROM VIRTUAL_DEVICE = N's' WITH FILE = 3, CHECKSUM",
                "RESTORE HEADERONLY FROM VIRTUAL_DEVICE = N's'",
                "RESTORE FILELISTONLY FROM VIRTUAL_DEVICE = N's'",
                "RESTORE LABELONLY FROM VIRTUAL_DEVICE = N's'",
        };

        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                CLEANUP(freep) char *text = NULL;
                struct server_message message;
                struct statement statement;
                struct server_job job;

                if (statement_parse(texts[i], &statement, &message) < 0 ||
                    server_job_from_statement(&job, &statement, &message) < 0)
                        fail_msg("%s: %s", texts[i], message.text);
                text = server_job_statement(&job);
                assert_string_equal(text, texts[i]);
                statement_deinit(&statement);
                server_job_deinit(&job);
        }
}

static void files_move(void **state)
{
        static const struct {
                const char *moves;
                int number;
                const char *database;
        } rows[] = {
                { "WITH MOVE 'app.db' TO '/x/y.db'", 0, "/x/y.db" },
                { "WITH MOVE 'main' TO 'y.db'", 0, "y.db" },
                { "", 0, "/srv/app.db" },
                { "WITH MOVE 'log' TO '/x'", 3234, NULL },
                { "WITH MOVE 'main' TO '/x', MOVE 'app.db' TO '/y'", 3031, NULL },
                { "WITH MOVE 'main' TO ''", 3156, NULL },
        };

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                CLEANUP(freep) char *text = NULL;
                struct server_message message = { 0 };
                struct statement statement;
                struct server_job job;

                assert_true(asprintf(&text, "RESTORE DATABASE [/srv/app.db] FROM VIRTUAL_DEVICE='s' %s",
                                     rows[i].moves) > 0);
                assert_int_equal(statement_parse(text, &statement, &message), 0);
                assert_int_equal(server_job_from_statement(&job, &statement, &message), 0);
                assert_int_equal(server_job_move(&job, &statement, &message), rows[i].number ? -1 : 0);
                assert_int_equal(message.number, rows[i].number);
                if (rows[i].database)
                        assert_string_equal(job.database, rows[i].database);
                assert_string_equal(server_job_logical_name(&job), "app.db");
                statement_deinit(&statement);
                server_job_deinit(&job);
        }
}

#define SANDBOX_TEST(test) cmocka_unit_test_setup_teardown(test, sandbox_setup, sandbox_teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                SANDBOX_TEST(tape_holds_several_sets),
                SANDBOX_TEST(empty_tape_has_nothing_to_read),
                SANDBOX_TEST(nothing_is_appended_to_an_unfinished_set),
                SANDBOX_TEST(tapes_of_a_set_hold_the_same_sets),
                SANDBOX_TEST(warnings_of_the_end_lose_nothing),
                SANDBOX_TEST(full_tape_fails),
                SANDBOX_TEST(parts_follow_from_the_header),
                SANDBOX_TEST(damaged_sets_are_refused),
                SANDBOX_TEST(progress_is_told_by_percent),
                SANDBOX_TEST(checksum_finds_damage_before_anything_is_sent),
                SANDBOX_TEST(listings_say_what_the_image_says),
                SANDBOX_TEST(refusals_have_numbers),
                cmocka_unit_test(statements_survive_the_job),
                cmocka_unit_test(files_move),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
