/*
 * support.h - what the codec tests share: a chain that ends in memory, streams made and read in one call, stock zstd
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "codecs/codecs.h"
#include "core/base/cleanup.h"

struct bytes {
        uint8_t *data;
        size_t size;
        size_t room;
};

void bytes_free(struct bytes *bytes);
void bytes_append(struct bytes *bytes, const void *data, size_t size);

/* A sink in memory. The first `fail_after` calls of writev succeed; negative: all. */
struct memory_sink {
        struct stage stage;
        struct bytes *bytes; /* where the data goes; outlives the sink */
        int writes;
        struct bytes ends; /* of size_t: how much had arrived after each write */
        int flushes;
        int fail_after;
        bool reserved;
        uint64_t reserved_bytes;
        bool hurried;
        bool aborted;
        bool finished;
};

struct memory_sink *memory_sink_new(struct bytes *bytes);

#define TEST_SET_ID "01234567-89ab-4def-8123-456789abcdef"

/* A header with every member set but the extent, one string of them no UTF-8. Constant strings: not to be
 * deinitialised. */
struct stream_info test_info(void);

enum { STORED = 0, COMPRESSED = 3 }; /* as zstd level */

/* Fills with bytes that a seed determines: random ones, or text-like ones that compress. */
void fill_random(uint8_t *data, size_t size, uint64_t seed);
void fill_text(uint8_t *data, size_t size, uint64_t seed);

/* A writer for a vdi stream into `out`. */
struct stage *stream_writer(struct bytes *out, int level, struct memory_sink **ret_sink);

/* A whole stream; the data is written in pieces of `piece`. */
void make_stream(struct bytes *out, int level, const uint8_t *data, size_t size, size_t piece);

struct outcome {
        bool opened;
        bool ended; /* the verified end was reached */
        struct error error;
        struct bytes content;
        bool has_tail;
        struct stream_tail tail; /* report_json is owned by the outcome */
        struct stream_info info; /* owned */
        size_t layer_count;
        enum layer_kind layers[LAYERS_MAX];
};

void outcome_free(struct outcome *outcome);

/* Reads what `data` holds, `piece` bytes at a time. */
struct outcome read_bytes(const uint8_t *data, size_t size, size_t piece, const struct reader_options *options);

/* Writes `data` to a new file in the test's folder; the path stays valid until the next call. */
const char *test_file(const char *name, const void *data, size_t size);
const char *test_folder(void);

/* Runs a shell command, with $F for a file that holds `data`. Returns its exit status; its output goes to `ret_output`
 * if that is not NULL. */
int shell_on(const char *command, const uint8_t *data, size_t size, struct bytes *ret_output);

/* Stock zstd. */
bool zstd_accepts(const struct bytes *stream);

/* Group setup and teardown: the folder of temporary files. */
int test_folder_setup(void **state);
int test_folder_teardown(void **state);

#define assert_ok(call, err)                                       \
        do {                                                       \
                if ((call) < 0)                                    \
                        fail_msg("%s: %s", #call, (err)->message); \
        } while (0)
