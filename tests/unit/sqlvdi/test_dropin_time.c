#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/sqlvdi/dropin_time.h"

static const struct row {
        int64_t timeout;
        int64_t guess;
        int64_t seconds;
        int64_t milliseconds;
} rows[] = {
        { 0, 0, 0, 0 },
        { 1, 1000, 1000, 1 },
        { 90, 90000, 90000, 90 },
        { 999, 999000, 999000, 999 },
        { 1000, 1000, 1000000, 1000 },
        { 10000, 10000, 10000000, 10000 },
        { 0xFFFFFFFF, 0xFFFFFFFF, INT64_C(0xFFFFFFFF) * 1000, 0xFFFFFFFF },
        { INT64_MAX / 1000, INT64_MAX / 1000, INT64_MAX / 1000 * 1000, INT64_MAX / 1000 },
        { INT64_MAX / 1000 + 1, INT64_MAX / 1000 + 1, INT64_MAX, INT64_MAX / 1000 + 1 },
        { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX },
        { -1, -1, -1, -1 },
        { -90, -1, -1, -1 },
        { INT64_MIN, -1, -1, -1 },
};

static void every_time_out_has_its_milliseconds(void **state)
{
        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                assert_int_equal(dropin_timeout_ms(rows[i].timeout, DROPIN_UNIT_GUESS), rows[i].guess);
                assert_int_equal(dropin_timeout_ms(rows[i].timeout, DROPIN_UNIT_SECONDS), rows[i].seconds);
                assert_int_equal(dropin_timeout_ms(rows[i].timeout, DROPIN_UNIT_MILLISECONDS), rows[i].milliseconds);
        }
}

static void units_have_exact_names(void **state)
{
        static const char *const none[] = { NULL, "", "S", "MS", "sec", " s", "s ", "m", "ms=" };

        (void)state;
        assert_int_equal(dropin_unit_named("s"), DROPIN_UNIT_SECONDS);
        assert_int_equal(dropin_unit_named("ms"), DROPIN_UNIT_MILLISECONDS);
        for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
                assert_int_equal(dropin_unit_named(none[i]), DROPIN_UNIT_GUESS);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_time_out_has_its_milliseconds),
                cmocka_unit_test(units_have_exact_names),
        };

        return cmocka_run_group_tests_name("dropin time", tests, NULL, NULL);
}
