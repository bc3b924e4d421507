/* The lines of a trace: JSON, in pairs, whole whoever writes them; and a trace that cannot be written says so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <unistd.h>

#include "core/vds/trace.h"
#include "core/vds/vds.h"

enum { THREADS = 4, COMMANDS = 500, LINES_MAX = 2 * THREADS * COMMANDS };

struct lines {
        char path[64];
        json_t *items[LINES_MAX];
        size_t count;
};

static int setup(void **state)
{
        struct lines *lines = calloc(1, sizeof *lines);
        int fd;

        snprintf(lines->path, sizeof lines->path, "/tmp/vdipipe-trace-XXXXXX");
        fd = mkstemp(lines->path);
        assert_true(fd >= 0);
        close(fd);
        *state = lines;
        return 0;
}

static int teardown(void **state)
{
        struct lines *lines = *state;

        for (size_t i = 0; i < lines->count; i++)
                json_decref(lines->items[i]);
        unlink(lines->path);
        free(lines);
        return 0;
}

static struct trace *open_trace(const char *path, const char *side)
{
        struct trace *trace;
        struct error err = ERROR_INIT;

        if (trace_open(path, side, &trace, &err) < 0)
                fail_msg("%s", err.message);
        return trace;
}

/* Every line is one JSON object. */
static void read_lines(struct lines *lines)
{
        FILE *file = fopen(lines->path, "r");
        char line[1024];

        assert_non_null(file);
        while (fgets(line, sizeof line, file)) {
                json_error_t error;

                assert_true(lines->count < LINES_MAX);
                lines->items[lines->count] = json_loads(line, JSON_REJECT_DUPLICATES, &error);
                if (!lines->items[lines->count])
                        fail_msg("%s in: %s", error.text, line);
                assert_true(json_is_object(lines->items[lines->count]));
                assert_int_equal(line[strlen(line) - 1], '\n');
                lines->count++;
        }
        fclose(file);
}

static json_int_t number(const struct lines *lines, size_t index, const char *key)
{
        const json_t *value = json_object_get(lines->items[index], key);

        if (!json_is_integer(value))
                fail_msg("line %zu has no number '%s'", index + 1, key);
        return json_integer_value(value);
}

static void assert_text(const struct lines *lines, size_t index, const char *key, const char *expected)
{
        const char *text = json_string_value(json_object_get(lines->items[index], key));

        assert_non_null(text);
        assert_string_equal(text, expected);
}

static double seconds(const struct lines *lines, size_t index, const char *key)
{
        const json_t *value = json_object_get(lines->items[index], key);

        assert_true(json_is_real(value));
        return json_real_value(value);
}

static void test_pair(void **state)
{
        struct lines *lines = *state;
        struct trace *trace = open_trace(lines->path, "client");

        trace_command(trace, 3, 7, VDC_Write, 65536, -4096);
        trace_completion(trace, 3, 7, VDC_Write, ERROR_END_OF_MEDIA, 65536, INT64_MAX);
        trace_event(trace, 0, "verdict", "success");
        assert_int_equal(trace_close(trace, NULL), 0);
        read_lines(lines);
        assert_int_equal(lines->count, 3);
        assert_text(lines, 0, "side", "client");
        assert_text(lines, 0, "event", "command");
        assert_text(lines, 0, "command", "Write");
        assert_int_equal(number(lines, 0, "device"), 3);
        assert_int_equal(number(lines, 0, "serial"), 7);
        assert_int_equal(number(lines, 0, "size"), 65536);
        assert_int_equal(number(lines, 0, "position"), -4096);
        assert_text(lines, 1, "event", "completion");
        assert_text(lines, 1, "command", "Write");
        assert_int_equal(number(lines, 1, "serial"), 7);
        assert_int_equal(number(lines, 1, "code"), ERROR_END_OF_MEDIA);
        assert_int_equal(number(lines, 1, "bytes"), 65536);
        assert_true(number(lines, 1, "position") == INT64_MAX);
        assert_true(seconds(lines, 0, "time") >= 0);
        assert_true(seconds(lines, 1, "time") >= seconds(lines, 0, "time"));
        assert_true(seconds(lines, 1, "after") >= 0);
        assert_true(seconds(lines, 1, "after") <= seconds(lines, 1, "time") - seconds(lines, 0, "time") + 1e-5);
        assert_text(lines, 2, "event", "verdict");
        assert_text(lines, 2, "text", "success");
        assert_int_equal(number(lines, 2, "device"), 0);
}

/* Of commands that nobody defined, of devices that cannot be, and of completions without a command. */
static void test_odd(void **state)
{
        struct lines *lines = *state;
        struct trace *trace = open_trace(lines->path, "server");
        char text[2000];

        trace_command(trace, UINT32_MAX, UINT64_MAX >> 1, INT32_MIN, INT32_MIN, INT64_MIN);
        trace_completion(trace, UINT32_MAX, 1, INT32_MAX, INT32_MIN, 0, INT64_MIN);
        trace_completion(trace, 1, 9, VDC_Flush, 0, 0, 0);
        trace_event(trace, 1, "abort", "a \"quoted\"\n\\ text\x01");
        trace_event(trace, 1, "close", NULL);
        memset(text, 'x', sizeof text - 1);
        text[sizeof text - 1] = '\0';
        trace_event(trace, 1, "abort", text);
        assert_int_equal(trace_close(trace, NULL), 0);
        read_lines(lines);
        assert_int_equal(lines->count, 6);
        assert_true(number(lines, 0, "position") == INT64_MIN);
        assert_int_equal(number(lines, 0, "size"), INT32_MIN);
        assert_true(seconds(lines, 2, "after") == 0);
        assert_text(lines, 3, "text", "a  quoted    text ");
        assert_text(lines, 4, "text", "");
}

/* As many outstanding as a device may have, completed backwards. */
static void test_depth(void **state)
{
        struct lines *lines = *state;
        struct trace *trace = open_trace(lines->path, "client");

        for (uint64_t i = 1; i <= VDS_QUEUE_DEPTH; i++)
                trace_command(trace, 64, i, VDC_Read, 512, 0);
        for (uint64_t i = VDS_QUEUE_DEPTH; i >= 1; i--)
                trace_completion(trace, 64, i, VDC_Read, 0, 512, 0);
        assert_int_equal(trace_close(trace, NULL), 0);
        read_lines(lines);
        assert_int_equal(lines->count, 2 * VDS_QUEUE_DEPTH);
        for (size_t i = 0; i < VDS_QUEUE_DEPTH; i++) {
                size_t completion = 2 * VDS_QUEUE_DEPTH - 1 - i;
                double between = seconds(lines, completion, "time") - seconds(lines, i, "time");
                double apart = seconds(lines, completion, "after") - between;

                assert_int_equal(number(lines, completion, "serial"), number(lines, i, "serial"));
                assert_true(apart < 1e-5 && apart > -1e-5);
        }
}

struct writer {
        struct trace *trace;
        uint32_t device;
        pthread_t thread;
};

static void *write_lines(void *writer_at)
{
        const struct writer *writer = writer_at;

        for (uint64_t i = 1; i <= COMMANDS; i++) {
                trace_command(writer->trace, writer->device, i, VDC_Write, 512, 0);
                trace_completion(writer->trace, writer->device, i, VDC_Write, 0, 512, 0);
        }
        return NULL;
}

/* Two threads on each of two traces, as of two processes, that share one file. */
static void test_threads(void **state)
{
        struct lines *lines = *state;
        struct trace *traces[2] = { open_trace(lines->path, "client"), open_trace(lines->path, "server") };
        uint64_t seen[THREADS + 1] = { 0 };
        struct writer writers[THREADS];

        for (uint32_t i = 0; i < THREADS; i++) {
                writers[i] = (struct writer){ .trace = traces[i % 2], .device = i + 1 };
                assert_int_equal(pthread_create(&writers[i].thread, NULL, write_lines, &writers[i]), 0);
        }
        for (uint32_t i = 0; i < THREADS; i++)
                pthread_join(writers[i].thread, NULL);
        assert_int_equal(trace_close(traces[0], NULL), 0);
        assert_int_equal(trace_close(traces[1], NULL), 0);
        read_lines(lines);
        assert_int_equal(lines->count, LINES_MAX);
        for (size_t i = 0; i < lines->count; i++) {
                size_t device = (size_t)number(lines, i, "device");

                assert_in_range(device, 1, THREADS);
                seen[device]++;
                assert_int_equal(number(lines, i, "serial"), (seen[device] + 1) / 2);
                assert_text(lines, i, "event", seen[device] % 2 ? "command" : "completion");
                assert_text(lines, i, "side", device % 2 ? "client" : "server");
        }
}

static void test_failures(void **state)
{
        struct lines *lines = *state;
        struct trace *trace = open_trace("/dev/full", "client");
        struct error err = ERROR_INIT;

        trace_command(trace, 1, 1, VDC_Write, 512, 0);
        trace_event(trace, 1, "close", NULL);
        assert_int_equal(trace_close(trace, &err), -1);
        assert_int_equal(err.code, ERR_NO_SPACE);
        assert_string_equal(err.message, "cannot write the trace '/dev/full': No space left on device");
        snprintf(lines->path + strlen(lines->path), 8, "/x");
        err = (struct error)ERROR_INIT;
        assert_int_equal(trace_open(lines->path, "client", &trace, &err), -1);
        lines->path[strlen(lines->path) - 2] = '\0';
        assert_null(trace);
        assert_non_null(strstr(err.message, "': Not a directory"));
        trace_command(NULL, 1, 1, VDC_Write, 512, 0);
        trace_completion(NULL, 1, 1, VDC_Write, 0, 512, 0);
        trace_event(NULL, 1, "close", NULL);
        assert_int_equal(trace_close(NULL, NULL), 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_pair, setup, teardown),
                cmocka_unit_test_setup_teardown(test_odd, setup, teardown),
                cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
                cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
                cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
