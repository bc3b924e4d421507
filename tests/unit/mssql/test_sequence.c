/* The order in which backups of a SQL Server apply, and the record that a stream carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/mssql/history.h"

enum { RECORDS_MAX = 12 };

/* A backup in few words. Its identity is its place in the list, from 1; `base` is another's; time runs in the order of
 * `when`, or else of the list. Forks are letters, F where none is said. */
struct backup {
        char type;
        unsigned first;
        unsigned last;
        unsigned base;
        bool copy_only;
        bool damaged;
        char database; /* 'p' where none is said */
        const char *forks;
        unsigned fork_point;
        unsigned when;
        unsigned same_as; /* the same backup set as another: one more device of it */
        bool no_lsn;
};

#define FULL(first_lsn, last_lsn, ...)                                             \
        {                                                                          \
                .type = 'D', .first = (first_lsn), .last = (last_lsn), __VA_ARGS__ \
        }
#define DIFF(full, first_lsn, last_lsn, ...)                                                       \
        {                                                                                          \
                .type = 'I', .base = (full), .first = (first_lsn), .last = (last_lsn), __VA_ARGS__ \
        }
#define LOG(first_lsn, last_lsn, ...)                                              \
        {                                                                          \
                .type = 'L', .first = (first_lsn), .last = (last_lsn), __VA_ARGS__ \
        }

struct expected {
        unsigned backup; /* from 1 */
        enum mssql_step_state state;
        const char *missing;
};

struct sequence_case {
        const char *name;
        struct backup backups[RECORDS_MAX];
        struct expected steps[RECORDS_MAX]; /* in order; what applies comes first */
        const char *lsn;
};

#define APPLIES MSSQL_STEP_APPLIES
#define COVERED MSSQL_STEP_COVERED
#define GAP     MSSQL_STEP_GAP
#define FORK    MSSQL_STEP_FORK
#define FOREIGN MSSQL_STEP_FOREIGN
#define DAMAGED MSSQL_STEP_DAMAGED
#define UNKNOWN MSSQL_STEP_UNKNOWN

#define GUID_OF_1 "00000001-0000-0000-0000-000000000000"
#define GUID_OF_9 "00000009-0000-0000-0000-000000000000"

static const struct sequence_case cases[] = {
        { "full only", { FULL(100, 150) }, { { 1, APPLIES, "" } }, "150" },
        { "full and differential",
          { FULL(100, 150), DIFF(1, 300, 350) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" } },
          "350" },
        { "the newest differential",
          { FULL(100, 150), DIFF(1, 300, 350), DIFF(1, 500, 550), DIFF(1, 400, 450) },
          { { 1, APPLIES, "" }, { 3, APPLIES, "" }, { 2, COVERED, "" }, { 4, COVERED, "" } },
          "550" },
        { "full, differential, logs, given in any order",
          { LOG(320, 600), LOG(140, 320), DIFF(4, 300, 350), FULL(100, 150), LOG(600, 700) },
          { { 4, APPLIES, "" }, { 3, APPLIES, "" }, { 1, APPLIES, "" }, { 5, APPLIES, "" }, { 2, COVERED, "" } },
          "700" },
        { "a log from before the full backup's end to after it",
          { FULL(100, 150), LOG(50, 200), LOG(200, 300) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 3, APPLIES, "" } },
          "300" },
        { "a log that ends where the full backup ends holds nothing new",
          { FULL(100, 150), LOG(50, 150), LOG(150, 160) },
          { { 1, APPLIES, "" }, { 3, APPLIES, "" }, { 2, COVERED, "" } },
          "160" },
        { "a log that begins where the full backup ends",
          { FULL(100, 150), LOG(150, 151) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" } },
          "151" },
        { "a log that begins one later",
          { FULL(100, 150), LOG(151, 160) },
          { { 1, APPLIES, "" }, { 2, GAP, "the log from LSN 150 to LSN 151" } },
          "150" },
        { "an empty log is passed over",
          { FULL(100, 150), LOG(120, 200), LOG(200, 200), LOG(200, 250) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 4, APPLIES, "" }, { 3, COVERED, "" } },
          "250" },
        { "overlapping logs: the longest",
          { FULL(100, 150), LOG(100, 200), LOG(180, 300), LOG(200, 250), LOG(300, 400) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 3, APPLIES, "" }, { 5, APPLIES, "" }, { 4, COVERED, "" } },
          "400" },
        { "a missing log",
          { FULL(100, 150), LOG(100, 200), LOG(300, 400), LOG(400, 500) },
          { { 1, APPLIES, "" },
            { 2, APPLIES, "" },
            { 3, GAP, "the log from LSN 200 to LSN 300" },
            { 4, GAP, "the log from LSN 200 to LSN 300" } },
          "200" },
        { "two missing logs",
          { FULL(100, 150), LOG(300, 400), LOG(350, 380), LOG(500, 600) },
          { { 1, APPLIES, "" },
            { 2, GAP, "the log from LSN 150 to LSN 300" },
            { 3, GAP, "the log from LSN 150 to LSN 300" },
            { 4, GAP, "the log from LSN 400 to LSN 500" } },
          "150" },
        { "a differential over the missing log",
          { FULL(100, 150), LOG(100, 200), LOG(300, 400), DIFF(1, 310, 350) },
          { { 1, APPLIES, "" }, { 4, APPLIES, "" }, { 3, APPLIES, "" }, { 2, COVERED, "" } },
          "400" },
        { "no full backup",
          { LOG(100, 200), LOG(200, 300), DIFF(9, 210, 220) },
          { { 1, GAP, "a full backup" }, { 2, GAP, "a full backup" }, { 3, GAP, "the full backup " GUID_OF_9 } },
          "" },
        { "a differential without its base",
          { FULL(100, 150), DIFF(9, 300, 350) },
          { { 1, APPLIES, "" }, { 2, GAP, "the full backup " GUID_OF_9 } },
          "150" },
        { "a differential without its base that nobody needs",
          { FULL(400, 450), DIFF(9, 300, 350) },
          { { 1, APPLIES, "" }, { 2, COVERED, "" } },
          "450" },
        { "logs apply on a copy-only full backup, differentials do not",
          { FULL(100, 150, .copy_only = true), LOG(140, 200), DIFF(1, 300, 350) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 3, GAP, "the full backup " GUID_OF_1 } },
          "200" },
        { "two full backups: the newer",
          { FULL(100, 150), LOG(100, 300), FULL(400, 450), LOG(300, 500) },
          { { 3, APPLIES, "" }, { 4, APPLIES, "" }, { 1, COVERED, "" }, { 2, COVERED, "" } },
          "500" },
        { "two full backups: the older has a differential that leads further",
          { FULL(100, 150), FULL(200, 250, .copy_only = true), DIFF(1, 300, 350) },
          { { 1, APPLIES, "" }, { 3, APPLIES, "" }, { 2, COVERED, "" } },
          "350" },
        { "two full backups: as far, and less to roll forward",
          { FULL(100, 150), FULL(200, 250, .copy_only = true), DIFF(1, 300, 350), LOG(100, 400) },
          { { 1, APPLIES, "" }, { 3, APPLIES, "" }, { 4, APPLIES, "" }, { 2, COVERED, "" } },
          "400" },
        { "a differential of the full backup that is not chosen",
          { FULL(100, 150), DIFF(1, 200, 250), FULL(400, 450) },
          { { 3, APPLIES, "" }, { 1, COVERED, "" }, { 2, COVERED, "" } },
          "450" },
        { "devices of one set",
          { FULL(100, 150), FULL(100, 150, .same_as = 1), LOG(100, 200), LOG(100, 200, .same_as = 3) },
          { { 1, APPLIES, "" }, { 3, APPLIES, "" }, { 2, COVERED, "" }, { 4, COVERED, "" } },
          "200" },
        { "another database",
          { FULL(100, 150), FULL(100, 900, .database = 'q'), LOG(150, 200, .database = 'q') },
          { { 1, APPLIES, "" }, { 2, FOREIGN, "" }, { 3, FOREIGN, "" } },
          "150" },
        { "another recovery fork: restored to LSN 250, and gone on from there",
          { FULL(100, 150), LOG(100, 200), LOG(200, 300), LOG(300, 400),
            LOG(200, 260, .forks = "FG", .fork_point = 250), LOG(260, 280, .forks = "GG") },
          { { 1, APPLIES, "" },
            { 2, APPLIES, "" },
            { 5, APPLIES, "" },
            { 6, APPLIES, "" },
            { 3, FORK, "" },
            { 4, FORK, "" } },
          "280" },
        { "the newest backup says which fork is meant",
          { FULL(100, 150), LOG(100, 200), LOG(200, 300, .when = 9),
            LOG(200, 260, .forks = "FG", .fork_point = 250, .when = 5) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 3, APPLIES, "" }, { 4, FORK, "" } },
          "300" },
        { "two forks in a row",
          { FULL(100, 150), LOG(100, 220, .forks = "FG", .fork_point = 200), LOG(220, 300, .forks = "GG"),
            LOG(220, 260, .forks = "GH", .fork_point = 240) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 4, APPLIES, "" }, { 3, FORK, "" } },
          "260" },
        { "a full backup behind the fork point is of another path",
          { FULL(100, 150), FULL(260, 270), LOG(100, 260, .forks = "FG", .fork_point = 250) },
          { { 1, APPLIES, "" }, { 3, APPLIES, "" }, { 2, FORK, "" } },
          "260" },
        { "a full backup on the new fork",
          { FULL(100, 150), LOG(100, 300, .forks = "FG", .fork_point = 250), FULL(270, 280, .forks = "GG") },
          { { 3, APPLIES, "" }, { 2, APPLIES, "" }, { 1, COVERED, "" } },
          "300" },
        { "a damaged full backup",
          { FULL(100, 150), LOG(100, 200), FULL(200, 250, .damaged = true), LOG(200, 300) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 4, APPLIES, "" }, { 3, DAMAGED, "" } },
          "300" },
        { "a damaged log",
          { FULL(100, 150), LOG(100, 200, .damaged = true), LOG(200, 300) },
          { { 1, APPLIES, "" }, { 3, GAP, "the log from LSN 150 to LSN 200" }, { 2, DAMAGED, "" } },
          "150" },
        { "backups of files, and one without LSNs",
          { FULL(100, 150),
            { .type = 'F', .first = 100, .last = 900 },
            { .type = 'P', .first = 1, .last = 2 },
            LOG(150, 200, .no_lsn = true) },
          { { 1, APPLIES, "" }, { 4, UNKNOWN, "" }, { 3, UNKNOWN, "" }, { 2, UNKNOWN, "" } },
          "150" },
        { "LSNs are numbers, not words",
          { FULL(9, 99), LOG(50, 100), LOG(100, 1000), LOG(1000, 10000) },
          { { 1, APPLIES, "" }, { 2, APPLIES, "" }, { 3, APPLIES, "" }, { 4, APPLIES, "" } },
          "10000" },
};

static void make_guid(char guid[MSSQL_GUID_MAX], unsigned number)
{
        snprintf(guid, MSSQL_GUID_MAX, "%08u-0000-0000-0000-000000000000", number);
}

static void make_record(const struct backup *backup, unsigned number, struct mssql_backup_record *record)
{
        const char *forks = backup->forks ? backup->forks : "FF";

        *record = (struct mssql_backup_record){ .type = backup->type,
                                                .copy_only = backup->copy_only,
                                                .damaged = backup->damaged };
        make_guid(record->backup_set, backup->same_as ? backup->same_as : number);
        make_guid(record->family, backup->database == 'q' ? 77 : 76);
        if (backup->base)
                make_guid(record->differential_base, backup->base);
        make_guid(record->first_recovery_fork, (unsigned)forks[0]);
        make_guid(record->last_recovery_fork, (unsigned)forks[1]);
        if (backup->fork_point)
                snprintf(record->fork_point_lsn, MSSQL_LSN_MAX, "%u", backup->fork_point);
        snprintf(record->database, sizeof record->database, "%s", backup->database == 'q' ? "q" : "p");
        snprintf(record->started, sizeof record->started, "2026-01-02 03:04:%02u.000",
                 backup->when ? backup->when : number);
        if (backup->no_lsn)
                return;
        snprintf(record->first_lsn, MSSQL_LSN_MAX, "%u", backup->first);
        snprintf(record->last_lsn, MSSQL_LSN_MAX, "%u", backup->last);
}

static void check_case(const struct sequence_case *expected)
{
        struct mssql_backup_record records[RECORDS_MAX];
        struct mssql_step steps[RECORDS_MAX];
        size_t applies = 0;
        size_t count = 0;
        const char *lsn;
        size_t used;

        for (; count < RECORDS_MAX && expected->backups[count].type; count++) {
                make_record(&expected->backups[count], (unsigned)count + 1, &records[count]);
                applies += expected->steps[count].state == APPLIES;
        }
        if (mssql_sequence(records, count, steps, &used, &lsn) < 0 || used != applies ||
            strcmp(lsn, expected->lsn) != 0)
                fail_msg("%s: the number of steps, or the last LSN, %s", expected->name, lsn);
        for (size_t i = 0; i < count; i++)
                if (steps[i].record + 1 != expected->steps[i].backup || steps[i].state != expected->steps[i].state ||
                    strcmp(steps[i].missing, expected->steps[i].missing) != 0)
                        fail_msg("%s: step %zu is backup %zu, %s, '%s'", expected->name, i + 1, steps[i].record + 1,
                                 mssql_step_state_name(steps[i].state), steps[i].missing);
}

static void test_sequences(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
                check_case(&cases[i]);
}

static void test_nothing(void **state)
{
        const char *lsn;
        size_t used;

        (void)state;
        assert_int_equal(mssql_sequence(NULL, 0, NULL, &used, &lsn), 0);
        assert_int_equal(used, 0);
        assert_string_equal(lsn, "");
}

/* Servers that tell no identity of the base, no family and no forks. */
static void test_without_identities(void **state)
{
        struct mssql_backup_record records[] = {
                { .type = 'D', .first_lsn = "10", .last_lsn = "20", .checkpoint_lsn = "0012", .database = "p" },
                { .type = 'I', .first_lsn = "30", .last_lsn = "40", .differential_base_lsn = "12", .database = "p" },
                { .type = 'I', .first_lsn = "30", .last_lsn = "50", .differential_base_lsn = "13", .database = "p" },
                { .type = 'L', .first_lsn = "35", .last_lsn = "45", .database = "p" },
                { .type = 'L', .first_lsn = "35", .last_lsn = "45", .database = "p", .server = "x" },
        };
        enum { COUNT = sizeof records / sizeof records[0] };
        static const size_t order[COUNT] = { 0, 1, 3, 2, 4 };
        struct mssql_step steps[COUNT];
        const char *lsn;
        size_t used;

        (void)state;
        assert_int_equal(mssql_sequence(records, COUNT, steps, &used, &lsn), 0);
        assert_int_equal(used, 3);
        for (size_t i = 0; i < COUNT; i++)
                assert_int_equal(steps[i].record, order[i]);
        assert_int_equal(steps[3].state, GAP);
        assert_string_equal(steps[3].missing, "the full backup with checkpoint LSN 13");
        assert_int_equal(steps[4].state, FOREIGN);
}

/* A year of hourly logs and weekly full backups, of which one log is missing. */
static void test_many(void **state)
{
        enum { LOGS = 8760, WEEK = 168, MISSING = 8750, ALL = LOGS + LOGS / WEEK };
        struct mssql_backup_record *records = calloc(ALL, sizeof *records);
        struct mssql_step *steps = calloc(ALL, sizeof *steps);
        size_t count = 0;
        const char *lsn;
        size_t used;

        (void)state;
        assert_non_null(records);
        assert_non_null(steps);
        for (unsigned hour = 1; hour <= LOGS; hour++) {
                const struct backup log = LOG(hour * 10, hour * 10 + 10);
                const struct backup full = FULL(hour * 10, hour * 10 + 5);

                if (hour != MISSING)
                        make_record(&log, hour, &records[count++]);
                if (hour % WEEK == 0)
                        make_record(&full, LOGS + hour, &records[count++]);
        }
        assert_int_equal(mssql_sequence(records, count, steps, &used, &lsn), 0);
        assert_string_equal(lsn, "87500");
        assert_int_equal(steps[0].record, 8736 + 8736 / WEEK - 1);
        assert_int_equal(used, 1 + 14);
        assert_int_equal(steps[count - 1].state, GAP);
        assert_string_equal(steps[count - 1].missing, "the log from LSN 87500 to LSN 87510");
        free(records);
        free(steps);
}

static void test_lsn_compare(void **state)
{
        (void)state;
        assert_true(mssql_lsn_compare("9", "10") < 0);
        assert_true(mssql_lsn_compare("10", "9") > 0);
        assert_int_equal(mssql_lsn_compare("0010", "10"), 0);
        assert_int_equal(mssql_lsn_compare("0", "000"), 0);
        assert_true(mssql_lsn_compare("", "0") < 0);
        assert_true(mssql_lsn_compare("31000000043200037", "31000000043200036") > 0);
        assert_true(mssql_lsn_compare("9999999999999999999999999", "999999999999999999999999") > 0);
}

static const struct mssql_backup_record whole = {
        .backup_set = "0123ABCD-0000-4000-8000-00000000000F",
        .database = "it's \xc3\xa4 \"db\"\n",
        .server = "HOST\xff",
        .type = 'L',
        .copy_only = true,
        .has_checksums = true,
        .started = "2026-01-02 03:04:05.123",
        .finished = "2026-01-02 03:04:06.000",
        .first_lsn = "31000000043200037",
        .last_lsn = "9999999999999999999999999",
        .checkpoint_lsn = "0",
        .family = "0123abcd-0000-4000-8000-00000000000f",
        .size = 999999999999999999,
        .recovery_model = "FULL",
};

static void test_record_survives(void **state)
{
        CLEANUP(freep) char *json = mssql_record_encode(&whole);
        CLEANUP(freep) char *again = NULL;
        struct mssql_backup_record record;
        struct error err = ERROR_INIT;

        (void)state;
        assert_non_null(json);
        if (mssql_record_decode(json, &record, &err) < 0)
                fail_msg("%s", err.message);
        assert_memory_equal(&record, &whole, sizeof record);
        again = mssql_record_encode(&record);
        assert_string_equal(again, json);
}

#define RECORD(fields) "{\"backupset\":{" fields "}}"

static const struct {
        const char *json;
        const char *words;
} unsound[] = {
        { "", "no record" },
        { "[]", "no record" },
        { "{}", "no record" },
        { "{\"backupset\":[]}", "no record" },
        { "{\"backupset\":{}", "no record" },
        { "{\"backupset\":{},\"backupset\":{}}", "no record" },
        { RECORD(""), "\"type\"" },
        { RECORD("\"type\":\"\""), "\"type\"" },
        { RECORD("\"type\":\"X\""), "\"type\"" },
        { RECORD("\"type\":\"DD\""), "\"type\"" },
        { RECORD("\"type\":5"), "\"type\"" },
        { RECORD("\"type\":\"D\",\"first_lsn\":12"), "\"first_lsn\"" },
        { RECORD("\"type\":\"D\",\"first_lsn\":\"1x\""), "\"first_lsn\"" },
        { RECORD("\"type\":\"D\",\"first_lsn\":\"-1\""), "\"first_lsn\"" },
        { RECORD("\"type\":\"D\",\"first_lsn\":\"12345678901234567890123456\""), "\"first_lsn\"" },
        { RECORD("\"type\":\"D\",\"family_guid\":\"x\""), "\"family_guid\"" },
        { RECORD("\"type\":\"D\",\"family_guid\":\"0123abcd-0000-4000-8000-00000000000g\""), "\"family_guid\"" },
        { RECORD("\"type\":\"D\",\"family_guid\":\"0123abcd00000-4000-8000-00000000000f\""), "\"family_guid\"" },
        { RECORD("\"type\":\"D\",\"is_damaged\":1"), "\"is_damaged\"" },
        { RECORD("\"type\":\"D\",\"backup_size\":-1"), "\"backup_size\"" },
        { RECORD("\"type\":\"D\",\"backup_size\":1.5"), "\"backup_size\"" },
        { RECORD("\"type\":\"D\",\"backup_size\":1000000000000000000"), "\"backup_size\"" },
        { RECORD("\"type\":\"D\",\"backup_start_date\":\"2026-01-02 03:04:05.1234\""), "\"backup_start_date\"" },
        { RECORD("\"type\":\"D\",\"database_name\":\"a\\u0000b\""), "no record" },
};

static void test_unsound_records(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof unsound / sizeof unsound[0]; i++) {
                struct mssql_backup_record record;
                struct error err = ERROR_INIT;

                if (mssql_record_decode(unsound[i].json, &record, &err) == 0)
                        fail_msg("'%s' was taken", unsound[i].json);
                assert_int_equal(err.code, ERR_DAMAGED);
                if (!strstr(err.message, unsound[i].words))
                        fail_msg("'%s': %s", unsound[i].json, err.message);
        }
}

/* What a later version adds is no mistake, and neither is what a server does not know. */
static void test_record_with_more_and_less(void **state)
{
        struct mssql_backup_record record;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(mssql_record_decode("{\"x\":1,\"backupset\":{\"type\":\"D\",\"first_lsn\":null,\"y\":{}}}",
                                             &record, &err),
                         0);
        assert_int_equal(record.type, 'D');
        assert_string_equal(record.first_lsn, "");
        assert_string_equal(record.database, "");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_sequences),          cmocka_unit_test(test_nothing),
                cmocka_unit_test(test_without_identities), cmocka_unit_test(test_many),
                cmocka_unit_test(test_lsn_compare),        cmocka_unit_test(test_record_survives),
                cmocka_unit_test(test_unsound_records),    cmocka_unit_test(test_record_with_more_and_less),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
