/* SQL Server's messages: words filled in, bounded, and shown as sqlcmd shows them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/cleanup.h"
#include "core/tsql/messages.h"

static void information_is_bare_text(void **state)
{
        struct server_message message;
        CLEANUP(freep) char *text = NULL;

        (void)state;
        server_message_make(&message, MESSAGE_PAGES, "17", "db", "main", "1");
        assert_int_equal(message.number, 4035);
        assert_false(server_message_is_error(&message));
        text = server_message_render(&message);
        assert_string_equal(text, "Processed 17 pages for database 'db', file 'main' on file 1.");
}

static void errors_name_number_level_state_and_line(void **state)
{
        struct server_message message;
        CLEANUP(freep) char *text = NULL;

        (void)state;
        server_message_make(&message, MESSAGE_TERMINATED, "BACKUP DATABASE");
        message.line = 7;
        text = server_message_render(&message);
        assert_string_equal(text, "Msg 3013, Level 16, State 1, Line 7\nBACKUP DATABASE is terminating abnormally.");
}

static void words_are_taken_as_they_are(void **state)
{
        struct server_message message;
        CLEANUP(freep) char *text = NULL;

        (void)state;
        server_message_make(&message, MESSAGE_OPTION, "%2%s\x1b[2J", "BACKUP");
        assert_string_equal(message.text, "'%2%s\x1b[2J' is not a recognized BACKUP option.");
        text = server_message_render(&message);
        assert_non_null(strstr(text, "\n'%2%s\\x1B[2J' is not"));
        server_message_make(&message, MESSAGE_OPTION, "x");
        assert_string_equal(message.text, "'x' is not a recognized  option.");
}

static void long_words_are_cut(void **state)
{
        char word[2 * ERROR_MESSAGE_MAX];
        struct server_message message;

        (void)state;
        memset(word, 'a', sizeof word - 1);
        word[sizeof word - 1] = '\0';
        server_message_make(&message, MESSAGE_CONFLICT, word, word);
        assert_int_equal(strlen(message.text), ERROR_MESSAGE_MAX - 1);
}

static void every_row_has_a_number_and_a_class(void **state)
{
        (void)state;
        for (int i = 0; i < MESSAGE_COUNT; i++) {
                struct server_message message;

                server_message_make(&message, (enum server_message_id)i, "a", "b", "c", "d");
                assert_true(message.number > 0 && message.severity > 0 && message.state > 0);
                assert_true(message.text[0]);
                assert_null(strchr(message.text, '%'));
                assert_int_equal(server_message_is_error(&message), message.class != ERR_NONE);
        }
}

static void classes_of_failure_have_messages(void **state)
{
        static const struct {
                enum err_code code;
                bool backup;
                int number;
        } rows[] = {
                { ERR_NO_SPACE, true, 3202 }, { ERR_BUSY, true, 3101 },        { ERR_BUSY, false, 3101 },
                { ERR_DAMAGED, false, 3241 }, { ERR_DAMAGED, true, 3043 },     { ERR_ABORTED, true, 18210 },
                { ERR_IO, false, 3203 },      { ERR_PEER_DIED, false, 18210 }, { ERR_TIMEOUT, true, 3229 },
        };
        struct server_message message;

        (void)state;
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                assert_true(server_message_of_class(&message, rows[i].code, rows[i].backup, "dev"));
                assert_int_equal(message.number, rows[i].number);
        }
        assert_true(server_message_of_class(&message, ERR_NO_SPACE, true, "dev"));
        assert_string_equal(message.text, "Write on \"dev\" failed: 112(There is not enough space on the disk.)");
        assert_false(server_message_of_class(&message, ERR_FAILED, true, "dev"));
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(information_is_bare_text),
                cmocka_unit_test(errors_name_number_level_state_and_line),
                cmocka_unit_test(words_are_taken_as_they_are),
                cmocka_unit_test(long_words_are_cut),
                cmocka_unit_test(every_row_has_a_number_and_a_class),
                cmocka_unit_test(classes_of_failure_have_messages),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
