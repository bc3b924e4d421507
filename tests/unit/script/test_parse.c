/* Scripts: what is understood, and what is refused with which line, fault and remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/script/data.h"
#include "core/script/parse.h"

static struct script *parse(const char *text)
{
        struct script *script;
        struct error err = ERROR_INIT;

        if (script_parse("x.vds", text, strlen(text), &script, &err) < 0)
                fail_msg("%s", err.message);
        return script;
}

/* The one step of a script with one device. */
static const struct script_step *parse_step(const char *line, struct script **ret_script)
{
        char text[512];

        snprintf(text, sizeof text, "device 1\n%s", line);
        *ret_script = parse(text);
        assert_int_equal((*ret_script)->devices[0]->count, 1);
        return &(*ret_script)->devices[0]->steps[0];
}

static void test_settings(void **state)
{
        struct script *script = parse("# a comment\n"
                                      "set blocksize 512\nset maxtransfer 2M\nset alignment 64K\n"
                                      "set buffers 9\nset direction both\nset grant discard+complete\n"
                                      "set timeout 1.5\nset patience 0.25 # why\nset onfailure continue\n"
                                      "set info 'a # b'\nverdict failed \"it's over\"\n"
                                      "expect features tape+discard\nexpect devices 2\n"
                                      "device 2 'other one'\ndevice 1\n");

        (void)state;
        assert_int_equal(script->block_size, 512);
        assert_int_equal(script->max_transfer, 2 << 20);
        assert_int_equal(script->alignment, 65536);
        assert_int_equal(script->buffers, 9);
        assert_int_equal(script->direction, VDF_ReadMedia | VDF_WriteMedia);
        assert_int_equal(script->grant, VDF_Discard | VDF_RequestComplete);
        assert_int_equal(script->timeout_ms, 1500);
        assert_int_equal(script->patience_ms, 250);
        assert_true(script->goes_on);
        assert_string_equal(script->info, "a # b");
        assert_int_equal(script->verdict, VDS_VERDICT_FAILED);
        assert_string_equal(script->verdict_text, "it's over");
        assert_int_equal(script->wishes[SCRIPT_WISH_FEATURES].value, VDF_LikeTape | VDF_Discard);
        assert_int_equal(script->wishes[SCRIPT_WISH_DEVICES].value, 2);
        assert_false(script->wishes[SCRIPT_WISH_PREFIX].given);
        assert_string_equal(script->devices[1]->name, "other one");
        assert_int_equal(script->devices[0]->count, 0);
        script_free(script);
}

static void test_commands(void **state)
{
        static const struct {
                const char *line;
                struct script_command command;
        } cases[] = {
                { "read 64K", { .code = VDC_Read, .size = 65536 } },
                { "write 4096 x100 depth 4", { .code = VDC_Write, .size = 4096, .count = 100, .depth = 4 } },
                { "write 4K at 8K expect full,112 bytes 0",
                  { .code = VDC_Write,
                    .size = 4096,
                    .at = { .given = true, .saved = -1, .number = 8192 },
                    .expect = { .count = 2, .codes = { 112, 112 } },
                    .bytes_rule = SCRIPT_BYTES_EXACT } },
                { "write 4K data zero bytes <= 12",
                  { .code = VDC_Write,
                    .size = 4096,
                    .data = SCRIPT_DATA_ZERO,
                    .bytes_rule = SCRIPT_BYTES_AT_MOST,
                    .bytes = 12 } },
                { "read 4K until eof,nodata check pattern 7 from 8 total 1G",
                  { .code = VDC_Read,
                    .size = 4096,
                    .count = SCRIPT_COUNT_MAX,
                    .until = { .count = 2, .codes = { 38, 1104 } },
                    .check = true,
                    .seed = 7,
                    .has_from = true,
                    .from = 8,
                    .has_total = true,
                    .total = 1 << 30 } },
                { "read 4K x3 until mark",
                  { .code = VDC_Read, .size = 4096, .count = 3, .until = { .count = 1, .codes = { 1101 } } } },
                { "skipmarks -1 expect bom",
                  { .code = VDC_SkipMarks, .size = -1, .expect = { .count = 1, .codes = { 1102 } } } },
                { "setposition -5 from end",
                  { .code = VDC_SetPosition, .size = VDC_End, .at = { .given = true, .saved = -1, .number = -5 } } },
                { "send complete", { .code = VDC_Complete, .sent = true } },
                { "command 77 size 3 at 4 expect any",
                  { .code = 77,
                    .size = 3,
                    .at = { .given = true, .saved = -1, .number = 4 },
                    .expect = { .count = 1, .codes = { SCRIPT_ANY_CODE } } } },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct script_command expected = cases[i].command;
                struct script *script;
                const struct script_step *step = parse_step(cases[i].line, &script);

                expected.label = expected.save = -1;
                expected.count = expected.count ? expected.count : 1;
                expected.depth = expected.depth ? expected.depth : 1;
                assert_int_equal(step->kind, SCRIPT_COMMAND);
                if (memcmp(&step->command, &expected, sizeof expected) != 0)
                        fail_msg("'%s' was read as something else", cases[i].line);
                script_free(script);
        }
}

static void test_names(void **state)
{
        struct script *script = parse("device 1\n"
                                      "getposition save here\nsend flush as A\nsend flush as B\n"
                                      "await B A ordered\nsetposition here+4096 gives here-1 save here\n");
        const struct script_device *device = script->devices[0];

        (void)state;
        assert_int_equal(device->steps[0].command.save, 0);
        assert_int_equal(device->steps[1].command.label, 0);
        assert_int_equal(device->steps[2].command.label, 1);
        assert_int_equal(device->steps[3].await.count, 2);
        assert_int_equal(device->steps[3].await.order[0], 1);
        assert_true(device->steps[3].await.ordered);
        assert_int_equal(device->steps[4].command.at.saved, 0);
        assert_int_equal(device->steps[4].command.at.number, 4096);
        assert_int_equal(device->steps[4].command.gives.number, -1);
        script_free(script);
}

static void test_repeats(void **state)
{
        struct script *script = parse("device 1\nrepeat 3 {\nflush\nrepeat 2 {\nwrite 4K\n}\n}\nabort\n");
        const struct script_step *steps = script->devices[0]->steps;

        (void)state;
        assert_int_equal(script->devices[0]->count, 7);
        assert_int_equal(steps[0].repeat.count, 3);
        assert_int_equal(steps[0].repeat.partner, 5);
        assert_int_equal(steps[5].repeat.partner, 0);
        assert_int_equal(steps[2].repeat.partner, 4);
        script_free(script);
}

/* Each: the whole message. */
static void test_refusals(void **state)
{
        static const char *const cases[][2] = {
                { "", "x.vds:0: no device has a sequence: a line 'device 1' is missing" },
                { "device 1\nfluush\n", "x.vds:2: 'fluush' is no statement: see the table of statements" },
                { "device 1\nfl\x1b[m\n", "x.vds:2: 'fl\\x1B[m' is no statement: see the table of statements" },
                { "flush\n", "x.vds:1: 'flush' is for one device: a line 'device N' comes before it" },
                { "device 1\nset timeout 1\n",
                  "x.vds:2: 'set' is for the whole set: it comes before the first 'device'" },
                { "set colour red\n", "x.vds:1: 'colour' is no setting: see the table of settings" },
                { "set blocksize 1000\n", "x.vds:1: a block size of 1000 is not possible: it is a power of two" },
                { "set blocksize 1M\n", "x.vds:1: a block size of 1M is not possible: it is from 512 to 65536" },
                { "set maxtransfer 100000\n",
                  "x.vds:1: a transfer size of 100000 is not possible: it is a multiple of 65536" },
                { "set alignment 512\ndevice 1\n", "x.vds:2: an alignment of 512 is less than the block size, 4096" },
                { "set direction up\n", "x.vds:1: 'up' is not a direction: it is one of write, read, both" },
                { "set timeout soon\n",
                  "x.vds:1: 'soon' is no number of seconds: write digits, like 0.5, up to 1000000" },
                { "set timeout nan\n",
                  "x.vds:1: 'nan' is no number of seconds: write digits, like 0.5, up to 1000000" },
                { "expect features tape+disc\n",
                  "x.vds:1: 'tape+disc' are no features: write names joined by '+', or a number" },
                { "device 65\n", "x.vds:1: a device's number of 65 is not possible: it is from 1 to 64" },
                { "device 1\ndevice 1\n", "x.vds:2: device 1 has its sequence in line 1 already" },
                { "device 1 'x'\n", "x.vds:1: device 1 has the set's name: leave 'x' out" },
                { "device 2 'a\\b'\n", "x.vds:1: 'a\\b' is no device's name: it has 1 to 255 bytes and no backslash" },
                { "device 1\nwrite\n", "x.vds:2: a size is missing after 'write'" },
                { "device 1\nwrite 1000\n",
                  "x.vds:2: a transfer of 1000 bytes is not possible: 'set blocksize' is 4096" },
                { "device 1\nwrite 2M\n",
                  "x.vds:2: a transfer of 2097152 bytes is not possible: 'set maxtransfer' is 1048576" },
                { "device 1\nwrite 4K depth 65\n", "x.vds:2: a queue depth of 65 is not possible: it is from 1 to 64" },
                { "device 1\nflush gives 4\n",
                  "x.vds:2: 'gives' is no option of this command: see the table of options" },
                { "device 1\nflush expect eof,oops\n",
                  "x.vds:2: 'eof,oops' are no completion codes: write numbers or names like eof, joined by ','" },
                { "device 1\nflush expect -1\n",
                  "x.vds:2: '-1' are no completion codes: write numbers or names like eof, joined by ','" },
                { "device 1\nsetposition there\n",
                  "x.vds:2: nothing above gives 'there' a meaning: name it with 'save' or 'as' first" },
                { "device 1\nflush as A\n",
                  "x.vds:2: a command that is waited for needs no label: put 'send' in front of it" },
                { "device 1\nsend flush x2 as A\n",
                  "x.vds:2: a label is for one command: leave the count or the label out" },
                { "device 1\nsend read 4K until eof\n",
                  "x.vds:2: 'until' and 'total' need commands that are waited for: leave 'send' out" },
                { "device 1\nsend flush as A\nawait A A\n", "x.vds:3: 'A' is awaited twice on one line" },
                { "device 1\nsend hold\n", "x.vds:2: 'hold' is no command that could be sent" },
                { "device 1\n}\n", "x.vds:2: '}' closes nothing: 'repeat N {' is missing" },
                { "device 1\nrepeat 2 {\ndevice 2\n",
                  "x.vds:3: the repeat of line 2 is not closed: a line '}' is missing" },
                { "device 1\nrepeat 2\n", "x.vds:2: a '{' is missing at the end of the line" },
                { "device 1\nflush x0\n", "x.vds:2: a count of 0 is not possible: it is from 1 to 1000000" },
                { "device 1\ndrain now\n", "x.vds:2: 'now' is too much on this line" },
                { "set info 'open\n", "x.vds:1: a quotation mark is not closed on its line" },
                { "set info 'a'b\n", "x.vds:1: a blank is missing after 'a'" },
                { "device 1\nflush at 99999999999999999999\n",
                  "x.vds:2: '99999999999999999999' is no number for a position: write digits, with K, M or G behind "
                  "them" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct script *script;
                struct error err = ERROR_INIT;

                assert_int_equal(script_parse("x.vds", cases[i][0], strlen(cases[i][0]), &script, &err), -1);
                assert_null(script);
                assert_int_equal(err.code, ERR_USAGE);
                assert_string_equal(err.message, cases[i][1]);
        }
}

static void assert_refused(const char *text, size_t size, const char *words)
{
        struct script *script;
        struct error err = ERROR_INIT;

        assert_int_equal(script_parse("x.vds", text, size, &script, &err), -1);
        if (!strstr(err.message, words))
                fail_msg("'%s' instead of '%s'", err.message, words);
}

static void test_bounds(void **state)
{
        char *text = malloc(SCRIPT_SIZE_MAX + 1);
        size_t size = 0;

        (void)state;
        memset(text, '\n', SCRIPT_SIZE_MAX + 1);
        assert_refused(text, SCRIPT_SIZE_MAX + 1, "has 1048576 bytes at most");
        assert_refused(text, SCRIPT_LINES_MAX + 1, "x.vds:10001: a script has 10000 lines at most");
        memset(text, ' ', 2000);
        assert_refused(text, 2000, "x.vds:1: a line has 1023 bytes at most");
        assert_refused("device 1\n\0", 10, "x.vds:2: a NUL byte");
        for (int i = 0; i < 70; i++)
                text[2 * i] = 'a';
        assert_refused(text, 140, "x.vds:1: more than 64 words");
        size = (size_t)sprintf(text, "device 1\n");
        for (int i = 0; i < SCRIPT_NESTING_MAX + 1; i++)
                size += (size_t)sprintf(text + size, "repeat 2 {\n");
        assert_refused(text, size, "x.vds:10: more than 8 repeats in each other");
        size = (size_t)sprintf(text, "device 1\n");
        for (int i = 0; i < SCRIPT_NAMES_MAX + 1; i++)
                size += (size_t)sprintf(text + size, "getposition save p%d\n", i);
        assert_refused(text, size, "x.vds:66: more than 64 names on one device");
        free(text);
}

/* Bytes come out the same however the range is cut. */
static void test_pattern(void **state)
{
        const struct script_command command = { .seed = 3 };
        uint8_t whole[100];
        uint8_t part[40];

        (void)state;
        script_data_fill(&command, 5, whole, sizeof whole);
        script_data_fill(&command, 5 + 17, part, sizeof part);
        assert_memory_equal(part, whole + 17, sizeof part);
        assert_int_equal(script_data_compare(&command, 5, whole, sizeof whole), sizeof whole);
        whole[61] ^= 1;
        assert_int_equal(script_data_compare(&command, 5, whole, sizeof whole), 61);
        assert_int_equal(script_data_byte(&command, 5 + 61), whole[61] ^ 1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_settings), cmocka_unit_test(test_commands), cmocka_unit_test(test_names),
                cmocka_unit_test(test_repeats),  cmocka_unit_test(test_refusals), cmocka_unit_test(test_bounds),
                cmocka_unit_test(test_pattern),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
