#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/media/recording.h"

/* A source of the letters a to z, five at a time, that must not be read behind its end. */
struct letters {
        struct source source;
        char next;
        bool ended;
};

static ssize_t letters_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct letters *letters = (struct letters *)source;
        size_t n = 0;

        (void)err;
        assert_false(letters->ended);
        while (n < size && n < 5 && letters->next <= 'z')
                ((char *)buffer)[n++] = letters->next++;
        letters->ended = n == 0;
        return (ssize_t)n;
}

static void letters_free(struct source *source)
{
        free(source);
}

static const struct source_ops letters_ops = { .name = "letters", .read = letters_read, .free = letters_free };

static struct source *letters_new(void)
{
        struct letters *letters = calloc(1, sizeof *letters);

        assert_non_null(letters);
        letters->source.ops = &letters_ops;
        letters->next = 'a';
        return &letters->source;
}

static void gives_all_again(void **state)
{
        static const size_t looks[] = { 0, 1, 7, 25, 26, 27 };

        (void)state;
        for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++) {
                struct source *source = letters_new();
                struct error err = ERROR_INIT;
                char text[32] = "";

                assert_int_equal(recording_begin(&source, "x", 100, &err), 0);
                assert_true(source_read_full(source, text, looks[i], &err) >= 0);
                recording_replay(source);
                memset(text, 0, sizeof text);
                assert_int_equal(source_read_full(source, text, sizeof text, &err), 26);
                assert_string_equal(text, "abcdefghijklmnopqrstuvwxyz");
                source_free(source);
        }
}

static void keeps_no_more_than_its_limit(void **state)
{
        struct source *source = letters_new();
        struct error err = ERROR_INIT;
        char text[32];

        (void)state;
        assert_int_equal(recording_begin(&source, "standard input", 12, &err), 0);
        assert_int_equal(source_read_full(source, text, 10, &err), 10);
        err = (struct error)ERROR_INIT;
        assert_int_equal(source_read_full(source, text, 10, &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, "standard input"));
        source_free(source);
}

static void a_replay_has_no_limit(void **state)
{
        struct source *source = letters_new();
        struct error err = ERROR_INIT;
        char text[32] = "";

        (void)state;
        assert_int_equal(recording_begin(&source, "x", 5, &err), 0);
        assert_int_equal(source_read_full(source, text, 5, &err), 5);
        recording_replay(source);
        assert_int_equal(source_read_full(source, text, sizeof text, &err), 26);
        assert_memory_equal(text, "abcdefghijklmnopqrstuvwxyz", 26);
        source_free(source);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(gives_all_again),
                cmocka_unit_test(keeps_no_more_than_its_limit),
                cmocka_unit_test(a_replay_has_no_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
