#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/media/primary_info.h"

#define UUID "01234567-89ab-4def-8123-456789abcdef"

static void what_is_told_is_understood(void **state)
{
        for (int i = 0; i < PERSONALITY_COUNT; i++) {
                struct primary_info info = { .set_id = UUID,
                                             .time = "2026-01-31T23:59:59Z",
                                             .source = "",
                                             .personality = (enum personality)i,
                                             .media_size = INT64_MAX,
                                             .soft_mark_size = 65536 };
                struct primary_info back;
                struct error err = ERROR_INIT;
                char *text = NULL;

                (void)state;
                if (i)
                        memcpy(info.source, UUID, sizeof UUID);
                assert_int_equal(primary_info_encode(&info, &text, &err), 0);
                assert_int_equal(primary_info_decode(text, &back, &err), 0);
                assert_string_equal(back.set_id, info.set_id);
                assert_string_equal(back.time, info.time);
                assert_string_equal(back.source, info.source);
                assert_int_equal(back.personality, info.personality);
                assert_true(back.media_size == info.media_size);
                assert_int_equal(back.soft_mark_size, info.soft_mark_size);
                free(text);
        }
}

#define INFO(set, time, source, personality, media, soft)                                       \
        "{\"set\":" set ",\"time\":" time ",\"source\":" source ",\"personality\":" personality \
        ",\"media_size\":" media ",\"soft_mark_size\":" soft "}"

static void what_is_not_ours_is_refused(void **state)
{
        static const char *const texts[] = {
                "",
                "{}",
                "[]",
                "null",
                "a program",
                INFO("\"\"", "\"\"", "\"\"", "\"pipe\"", "0", "0"),
                INFO("7", "\"\"", "\"\"", "\"pipe\"", "0", "0"),
                INFO("\"" UUID "0\"", "\"\"", "\"\"", "\"pipe\"", "0", "0"),
                INFO("\"../../../../../../../../../../etc/pass\"", "\"\"", "\"\"", "\"pipe\"", "0", "0"),
                INFO("\"" UUID "\"", "\"0123456789012345678901234567890123456789\"", "\"\"", "\"pipe\"", "0", "0"),
                INFO("\"" UUID "\"", "\"\"", "\"x\"", "\"pipe\"", "0", "0"),
                INFO("\"" UUID "\"", "\"\"", "\"\"", "\"drum\"", "0", "0"),
                INFO("\"" UUID "\"", "\"\"", "\"\"", "1", "0", "0"),
                INFO("\"" UUID "\"", "\"\"", "\"\"", "\"pipe\"", "-1", "0"),
                INFO("\"" UUID "\"", "\"\"", "\"\"", "\"pipe\"", "0", "4294967296"),
        };
        struct primary_info info;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(primary_info_decode(INFO("\"" UUID "\"", "\"\"", "\"\"", "\"pipe\"", "0", "0"), &info, &err),
                         0);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                err = (struct error)ERROR_INIT;
                err = (struct error)ERROR_INIT;
                assert_int_equal(primary_info_decode(texts[i], &info, &err), -1);
                assert_int_equal(err.code, ERR_PROTOCOL);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(what_is_told_is_understood),
                cmocka_unit_test(what_is_not_ours_is_refused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
