#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/fd_io.h"

static char folder[64];
static char file_path[256];

void bytes_free(struct bytes *bytes)
{
        free(bytes->data);
        *bytes = (struct bytes){ 0 };
}

void bytes_append(struct bytes *bytes, const void *data, size_t size)
{
        if (bytes->size + size > bytes->room) {
                bytes->room = (bytes->size + size) * 2 + 4096;
                bytes->data = realloc(bytes->data, bytes->room);
                assert_non_null(bytes->data);
        }
        if (size > 0)
                memcpy(bytes->data + bytes->size, data, size);
        bytes->size += size;
}

/* ---- the sink ---- */

static int memory_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct memory_sink *sink = (struct memory_sink *)stage;

        if (sink->fail_after >= 0 && sink->writes >= sink->fail_after)
                return error_raise_errno(err, ENOSPC, "cannot write to memory");
        sink->writes++;
        for (int i = 0; i < count; i++)
                bytes_append(sink->bytes, iov[i].iov_base, iov[i].iov_len);
        bytes_append(&sink->ends, &sink->bytes->size, sizeof sink->bytes->size);
        return 0;
}

static int memory_flush(struct stage *stage, struct error *err)
{
        (void)err;
        ((struct memory_sink *)stage)->flushes++;
        return 0;
}

static int memory_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        struct memory_sink *sink = (struct memory_sink *)stage;

        (void)err;
        sink->reserved = true;
        sink->reserved_bytes = bytes;
        return 0;
}

static int memory_finish(struct stage *stage, const char *report_json, struct error *err)
{
        (void)report_json;
        (void)err;
        ((struct memory_sink *)stage)->finished = true;
        return 0;
}

static void memory_hurry(struct stage *stage)
{
        ((struct memory_sink *)stage)->hurried = true;
}

static void memory_abort(struct stage *stage, const char *reason)
{
        (void)reason;
        ((struct memory_sink *)stage)->aborted = true;
}

static void memory_free(struct stage *stage)
{
        bytes_free(&((struct memory_sink *)stage)->ends);
        free(stage);
}

static const struct stage_ops memory_ops = {
        .name = "memory",
        .writev = memory_writev,
        .flush = memory_flush,
        .reserve = memory_reserve,
        .complete = memory_flush,
        .finish = memory_finish,
        .hurry = memory_hurry,
        .abort = memory_abort,
        .free = memory_free,
};

struct memory_sink *memory_sink_new(struct bytes *bytes)
{
        struct memory_sink *sink = calloc(1, sizeof *sink);

        assert_non_null(sink);
        sink->stage.ops = &memory_ops;
        sink->bytes = bytes;
        sink->fail_after = -1;
        return sink;
}

/* ---- streams ---- */

struct stream_info test_info(void)
{
        static char database[] = "t\xFFst.db";
        static char origin[] = "/var/lib/t\xFFst.db";
        static char label[] = "n\xC3\xA4"
                              "chtlich";

        return (struct stream_info){
                .set_id = TEST_SET_ID,
                .time = "2026-01-31T23:59:59Z",
                .host = "db1",
                .machine = "0123456789abcdef0123456789abcdef",
                .tool_version = "0.1.0",
                .server_kind = "sqlite",
                .server_version = "3.40.1",
                .database = database,
                .origin = origin,
                .type = "full",
                .label = label,
                .has_owner = true,
                .uid = 1000,
                .gid = 100,
                .mode = 0640,
                .device = 1,
                .device_count = 4,
                .features = 0x10000,
                .block_size = 512,
                .alignment = 4096,
                .max_transfer = 1 << 20,
        };
}

static uint64_t next_random(uint64_t *state)
{
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

void fill_random(uint8_t *data, size_t size, uint64_t seed)
{
        uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;

        for (size_t i = 0; i < size; i += sizeof state) {
                uint64_t value = next_random(&state);

                memcpy(data + i, &value, size - i < sizeof value ? size - i : sizeof value);
        }
}

void fill_text(uint8_t *data, size_t size, uint64_t seed)
{
        uint64_t state = seed + 77;

        for (size_t i = 0; i < size; i++)
                data[i] = (uint8_t) "insert into t values (0123456789);\n"[i % 35 == 0 ? next_random(&state) % 35
                                                                                       : i % 35];
}

struct stage *stream_writer(struct bytes *out, int level, struct memory_sink **ret_sink)
{
        struct vdistream_options options = { .compress = level != STORED, .zstd_level = level };
        struct memory_sink *sink = memory_sink_new(out);
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;

        assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
        if (ret_sink)
                *ret_sink = sink;
        return stage;
}

void make_stream(struct bytes *out, int level, const uint8_t *data, size_t size, size_t piece)
{
        CLEANUP(stage_freep) struct stage *stage = stream_writer(out, level, NULL);
        struct error err = ERROR_INIT;

        for (size_t at = 0; at < size; at += piece)
                assert_ok(stage_write(stage, data + at, size - at < piece ? size - at : piece, &err), &err);
        assert_ok(stage_complete(stage, &err), &err);
        assert_ok(stage_finish(stage, "{\"lsn\":7}", &err), &err);
        assert_int_equal(vdistream_writer_bytes_out(stage), out->size);
}

void outcome_free(struct outcome *outcome)
{
        bytes_free(&outcome->content);
        stream_tail_deinit(&outcome->tail);
        stream_info_deinit(&outcome->info);
}

static void read_all(struct reader *reader, size_t piece, struct outcome *outcome)
{
        uint8_t *buffer = malloc(piece);
        ssize_t n;

        assert_non_null(buffer);
        do {
                n = source_read(reader->source, buffer, piece, &outcome->error);
                assert_true(n <= (ssize_t)piece);
                if (n > 0)
                        bytes_append(&outcome->content, buffer, (size_t)n);
        } while (n > 0);
        free(buffer);
        outcome->ended = n == 0;
}

struct outcome read_bytes(const uint8_t *data, size_t size, size_t piece, const struct reader_options *options)
{
        struct reader_options defaults = { .name = "f.vdi" };
        CLEANUP(fd_closep) int fd = memfd_create("stream", MFD_CLOEXEC);
        CLEANUP(reader_freep) struct reader *reader = NULL;
        struct outcome outcome = { .error = ERROR_INIT };
        const struct stream_tail *tail;

        assert_true(fd >= 0);
        assert_int_equal(fd_pwrite_full(fd, data, size, 0), 0);
        if (reader_open(fd, options ? options : &defaults, &reader, &outcome.error) < 0)
                return outcome;
        outcome.opened = true;
        outcome.layer_count = reader->layer_count;
        memcpy(outcome.layers, reader->layers, sizeof outcome.layers);
        if (reader->has_info)
                assert_int_equal(stream_info_copy(&outcome.info, &reader->info, NULL), 0);
        read_all(reader, piece, &outcome);
        tail = reader_tail(reader);
        assert_true(!tail || outcome.ended);
        if (tail) {
                outcome.has_tail = true;
                outcome.tail = *tail;
                outcome.tail.report_json = tail->report_json ? strdup(tail->report_json) : NULL;
        }
        return outcome;
}

/* ---- files and stock tools ---- */

int test_folder_setup(void **state)
{
        (void)state;
        snprintf(folder, sizeof folder, "/tmp/vdipipe-codecs-XXXXXX");
        return mkdtemp(folder) ? 0 : -1;
}

int test_folder_teardown(void **state)
{
        char command[128];

        (void)state;
        snprintf(command, sizeof command, "rm -rf '%s'", folder);
        return system(command) == 0 ? 0 : -1;
}

const char *test_folder(void)
{
        return folder;
}

const char *test_file(const char *name, const void *data, size_t size)
{
        CLEANUP(fd_closep) int fd = -1;

        snprintf(file_path, sizeof file_path, "%s/%s", folder, name);
        fd = open(file_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_full(fd, data, size, NULL), 0);
        return file_path;
}

int shell_on(const char *command, const uint8_t *data, size_t size, struct bytes *ret_output)
{
        char buffer[64 << 10];
        size_t n;
        FILE *pipe;
        int status;

        assert_int_equal(setenv("F", test_file("shell-input", data, size), 1), 0);
        pipe = popen(command, "re");
        assert_non_null(pipe);
        while ((n = fread(buffer, 1, sizeof buffer, pipe)) > 0) {
                if (ret_output)
                        bytes_append(ret_output, buffer, n);
        }
        status = pclose(pipe);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

bool zstd_accepts(const struct bytes *stream)
{
        return shell_on("zstd -tq < \"$F\" 2>/dev/null", stream->data, stream->size, NULL) == 0;
}
