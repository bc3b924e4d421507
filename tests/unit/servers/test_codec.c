/* Jobs, reports and descriptions on their way between two processes: what is sent arrives, and nothing else gets in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/servers/report.h"
#include "core/servers/server.h"

enum { MUTATIONS = 20000 };

static struct server_job sample_job(void)
{
        struct server_job job = {
                .verb = SERVER_RESTORE,
                .kind = strdup("sqlite"),
                .database = strdup("/tmp/\xff\xfe new\nline \"q\" .db"),
                .set_name = strdup("d0"),
                .device_count = 3,
                .block_size = 4096,
                .buffer_count = 9,
                .max_transfer = 1 << 20,
                .busy_timeout_ms = 5000,
                .max_lock_ms = -1,
                .max_wal = UINT64_C(1) << 40,
                .immutable = true,
                .replace = SERVER_REPLACE_ASIDE,
                .check = SERVER_CHECK_FULL,
                .has_parts = true,
                .has_owner = true,
                .uid = 0xfffffffe,
                .gid = 12,
                .mode = 0640,
        };

        for (uint32_t i = 0; i < job.device_count; i++) {
                char name[8];

                snprintf(name, sizeof name, i == 1 ? "d\xc3" : "d%u", i);
                job.devices[i] = strdup(name);
                job.parts[i] = (struct server_part){ .offset = i * UINT64_C(1) << 40, .length = UINT64_C(1) << 40 };
        }
        return job;
}

static void job_survives(void **state)
{
        struct server_job job = sample_job();
        struct server_job copy;
        struct error err = ERROR_INIT;
        CLEANUP(freep) char *json = NULL;

        (void)state;
        assert_int_equal(server_job_encode(&job, &json, &err), 0);
        assert_int_equal(server_job_decode(json, &copy, &err), 0);
        assert_string_equal(copy.kind, job.kind);
        assert_string_equal(copy.database, job.database);
        assert_string_equal(copy.set_name, job.set_name);
        assert_null(copy.spool_dir);
        for (uint32_t i = 0; i < job.device_count; i++)
                assert_string_equal(copy.devices[i], job.devices[i]);
        assert_memory_equal(copy.parts, job.parts, sizeof job.parts);
        assert_true(copy.verb == job.verb && copy.block_size == job.block_size &&
                    copy.buffer_count == job.buffer_count && copy.max_transfer == job.max_transfer &&
                    copy.busy_timeout_ms == job.busy_timeout_ms && copy.max_lock_ms == job.max_lock_ms &&
                    copy.max_wal == job.max_wal && copy.immutable && copy.replace == job.replace &&
                    copy.check == job.check && copy.has_parts && copy.has_owner && copy.uid == job.uid &&
                    copy.gid == job.gid && copy.mode == job.mode);
        server_job_deinit(&job);
        server_job_deinit(&copy);
}

static void report_survives_and_fits(void **state)
{
        struct server_report report = { .code = ERR_BUSY };
        struct server_report copy;
        char text[VDS_TEXT_MAX];

        (void)state;
        strcpy(report.message, "'x.db' is locked");
        strcpy(report.note, "note");
        server_report_encode(&report, text);
        server_report_decode(text, &copy);
        assert_int_equal(copy.code, ERR_BUSY);
        assert_string_equal(copy.message, report.message);
        assert_string_equal(copy.note, report.note);

        memset(report.message, '\x01', sizeof report.message - 1);
        memset(report.note, '"', sizeof report.note - 1);
        server_report_encode(&report, text);
        server_report_decode(text, &copy);
        assert_int_equal(copy.code, ERR_BUSY);
        assert_memory_equal(copy.message, "\\x01\\x01", 8);
}

static void foreign_report_is_a_failure_in_its_own_words(void **state)
{
        static const char *const texts[] = { "",
                                             "plain words",
                                             "{}",
                                             "[1]",
                                             "{\"code\":99,\"message\":\"\",\"note\":\"\"}",
                                             "{\"code\":-1,\"message\":\"\",\"note\":\"\"}",
                                             "{\"code\":0,\"message\":5}" };

        (void)state;
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                struct server_report report;

                server_report_decode(texts[i], &report);
                assert_int_equal(report.code, ERR_FAILED);
                assert_string_equal(report.message, texts[i]);
        }
}

static struct server_info sample_info(void)
{
        struct server_info info = {
                .kind = "sqlite", .version = "3", .page_size = 65536, .part_count = VDS_DEVICES_MAX
        };

        info.size = UINT64_C(1) << 48;
        for (uint32_t i = 0; i < info.part_count; i++)
                info.parts[i] = (struct server_part){ .offset = i * (info.size / 64), .length = info.size / 64 };
        return info;
}

static void info_of_the_largest_database_fits(void **state)
{
        struct server_info info = sample_info();
        struct server_info copy;
        struct error err = ERROR_INIT;
        char text[VDS_TEXT_MAX];

        (void)state;
        assert_int_equal(server_info_encode(&info, text, &err), 0);
        assert_int_equal(server_info_decode(text, &copy, &err), 0);
        assert_memory_equal(copy.parts, info.parts, sizeof info.parts);
        assert_int_equal(copy.size, info.size);
        assert_int_equal(copy.page_size, info.page_size);
}

#define INFO(page_size, size, parts) \
        "{\"kind\":\"sqlite\",\"version\":\"3\",\"page_size\":" page_size ",\"size\":" size ",\"parts\":" parts "}"

static void info_that_contradicts_itself(void **state)
{
        static const char *const texts[] = {
                "",
                "{}",
                "[]",
                "{\"kind\":1}",
                INFO("4096", "8192", "[[0,4096]]"),
                INFO("4096", "8192", "[[4096,8192]]"),
                INFO("4096", "8192", "[[0,8193]]"),
                INFO("4096", "8192", "[[0,-1]]"),
                INFO("4096", "8192", "[[0,100],[100,8092]]"),
                INFO("4096", "8192", "[[0]]"),
                INFO("4096", "8192", "{}"),
                INFO("4097", "8192", "[]"),
                INFO("256", "512", "[]"),
                INFO("0", "512", "[]"),
                INFO("4096", "-1", "[]"),
                INFO("4096", "1e3", "[]"),
                INFO("4096", "9223372036854775807", "[]"),
                INFO("4096", "100", "[]"),
        };
        struct error err = ERROR_INIT;
        struct server_info info;

        (void)state;
        assert_int_equal(server_info_decode(INFO("4096", "8192", "[[0,4096],[4096,4096]]"), &info, &err), 0);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
                assert_int_equal(server_info_decode(texts[i], &info, &err), -1);
}

/* Changes a few bytes here and there, the same ones in every run. */
static void mutate(char *text, uint32_t *seed)
{
        size_t length = strlen(text);

        for (int i = 0; i < 3 && length > 0; i++) {
                *seed = *seed * 1664525 + 1013904223;
                text[(*seed >> 8) % length] = (char)((*seed >> 24) % 255 + 1);
        }
}

static void decoders_take_anything(void **state)
{
        struct server_job job = sample_job();
        struct server_info info = sample_info();
        struct server_report report = { .code = ERR_IO, .message = "m", .note = "n" };
        struct error err = ERROR_INIT;
        CLEANUP(freep) char *job_text = NULL;
        char info_text[VDS_TEXT_MAX];
        char report_text[VDS_TEXT_MAX];
        char text[VDS_TEXT_MAX];
        uint32_t seed = 1;

        (void)state;
        info.part_count = 2;
        info.parts[1].length = info.size - info.parts[1].offset;
        assert_int_equal(server_job_encode(&job, &job_text, &err), 0);
        assert_int_equal(server_info_encode(&info, info_text, &err), 0);
        server_report_encode(&report, report_text);
        for (int i = 0; i < MUTATIONS; i++) {
                struct server_job job_copy;

                strcpy(text, job_text);
                mutate(text, &seed);
                if (server_job_decode(text, &job_copy, &err) == 0) {
                        assert_true(job_copy.device_count > 0 && job_copy.device_count <= VDS_DEVICES_MAX);
                        assert_non_null(job_copy.database);
                        server_job_deinit(&job_copy);
                }
                strcpy(text, info_text);
                mutate(text, &seed);
                if (server_info_decode(text, &info, &err) == 0)
                        assert_true(info.part_count <= VDS_DEVICES_MAX && info.page_size <= 65536);
                strcpy(text, report_text);
                mutate(text, &seed);
                server_report_decode(text, &report);
                assert_true(report.code < ERR_CODE_COUNT);
        }
        server_job_deinit(&job);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(job_survives),
                cmocka_unit_test(report_survives_and_fits),
                cmocka_unit_test(foreign_report_is_a_failure_in_its_own_words),
                cmocka_unit_test(info_of_the_largest_database_fits),
                cmocka_unit_test(info_that_contradicts_itself),
                cmocka_unit_test(decoders_take_anything),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
