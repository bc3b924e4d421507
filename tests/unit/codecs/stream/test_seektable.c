#include "tests/unit/codecs/support.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/stream/zstd_frame.h"
#include "codecs/base/hash.h"
#include "codecs/codecs.h"
#include "codecs/stream/record.h"
#include "codecs/stream/seektable.h"
#include "core/base/bytes.h"

/* ---- the writer's list against a plain one ---- */

enum { MODEL_FRAMES = 3000 };

struct model {
        uint32_t compressed[MODEL_FRAMES];
        uint32_t content[MODEL_FRAMES];
        uint32_t frames;
};

static int append_to(void *to, const void *bytes, size_t size, struct error *err)
{
        (void)err;
        bytes_append(to, bytes, size);
        return 0;
}

static void assert_written_as(const struct seektable *table, const struct model *model)
{
        struct bytes written = { 0 };
        struct error err = ERROR_INIT;

        assert_ok(seektable_write(table, append_to, &written, &err), &err);
        assert_int_equal(written.size, seektable_size(model->frames));
        for (uint32_t i = 0; i < model->frames; i++) {
                const uint8_t *entry = written.data + SEEKTABLE_PREFIX + (size_t)i * SEEKTABLE_ENTRY;

                assert_int_equal(get_le32(entry), model->compressed[i]);
                assert_int_equal(get_le32(entry + 4), model->content[i]);
        }
        bytes_free(&written);
}

/* Runs of one and more, usual content and other, added and dropped. */
static void adding_and_dropping(void **state)
{
        static const uint32_t contents[] = { FRAME_CONTENT_MAX, 0, FRAME_CONTENT_MAX, 77 };
        struct seektable table = { 0 };
        struct model *model = calloc(1, sizeof *model);
        struct error err = ERROR_INIT;
        uint8_t choices[4 * MODEL_FRAMES];

        (void)state;
        assert_non_null(model);
        fill_random(choices, sizeof choices, 5);
        for (size_t i = 0; i < sizeof choices; i++) {
                uint32_t compressed = 1000 + (choices[i] >> 3 & 1), content = contents[choices[i] & 3];

                if ((choices[i] >> 4) % 3 == 0) {
                        uint32_t was_compressed, was_content;

                        assert_int_equal(seektable_drop(&table, &was_compressed, &was_content), model->frames > 0);
                        if (model->frames == 0)
                                continue;
                        model->frames--;
                        assert_int_equal(was_compressed, model->compressed[model->frames]);
                        assert_int_equal(was_content, model->content[model->frames]);
                } else if (model->frames < MODEL_FRAMES) {
                        assert_ok(seektable_add(&table, compressed, content, &err), &err);
                        model->compressed[model->frames] = compressed;
                        model->content[model->frames++] = content;
                }
                assert_int_equal(table.frames, model->frames);
        }
        assert_in_range(model->frames, 100, MODEL_FRAMES);
        assert_written_as(&table, model);
        seektable_deinit(&table);
        free(model);
}

/* ---- 16 TiB ---- */

enum { TERA_FRAMES = 4 << 20, MEMORY_MAX = 32 << 20 };

/* No two neighbours alike, as with compressed frames. */
static void sixteen_terabytes_are_listed_in_little_memory(void **state)
{
        struct seektable table = { 0 };
        struct error err = ERROR_INIT;
        uint32_t compressed, content;

        (void)state;
        for (uint32_t i = 0; i < TERA_FRAMES; i++)
                assert_ok(seektable_add(&table, 1500000 + i % 997, FRAME_CONTENT_MAX, &err), &err);
        assert_int_equal(table.frames, TERA_FRAMES);
        assert_in_range(table.word_room * sizeof *table.words, 1, MEMORY_MAX);
        assert_true(seektable_drop(&table, &compressed, &content));
        assert_int_equal(compressed, 1500000 + (TERA_FRAMES - 1) % 997);
        assert_int_equal(content, FRAME_CONTENT_MAX);
        seektable_deinit(&table);
}

/* A whole stream of so many frames, made as it is read: each holds one byte more or less of an empty stored frame's
 * kind, so that the frames differ and the stream stays small. */
struct synthetic {
        struct source source;
        struct bytes part;
        size_t part_at;
        struct hasher *hasher;
        struct seektable table;
        uint64_t bytes;
        uint64_t data_bytes;
        bool with_wrong_entry;
        int step;
};

enum { BATCH_FRAMES = 4096, EXTRA_MAX = 3 };

static void put_frames(struct synthetic *synthetic)
{
        struct error err = ERROR_INIT;

        for (uint32_t i = 0; i < BATCH_FRAMES; i++) {
                uint8_t frame[64] = { 0 };
                uint32_t content = i % (EXTRA_MAX + 1);
                size_t size = FRAME_MAGIC_SIZE + FRAME_STORED_HEADER_SIZE;

                put_le32(frame, FRAME_MAGIC);
                frame[4] = FRAME_STORED_DESCRIPTOR;
                frame[5] = FRAME_STORED_WINDOW;
                hasher_frame_begin(synthetic->hasher);
                hasher_stream(synthetic->hasher, frame, size);
                put_le24(frame + size, frame_block_header(FRAME_BLOCK_RAW, content, /* last= */ false));
                hasher_stream(synthetic->hasher, frame + size, FRAME_BLOCK_HEADER_SIZE);
                size += FRAME_BLOCK_HEADER_SIZE;
                hasher_both(synthetic->hasher, frame + size, content);
                size += content;
                frame_stored_tail(frame + size, hasher_frame_checksum(synthetic->hasher));
                hasher_stream(synthetic->hasher, frame + size, FRAME_STORED_TAIL_SIZE);
                size += FRAME_STORED_TAIL_SIZE;
                bytes_append(&synthetic->part, frame, size);
                assert_ok(seektable_add(&synthetic->table, (uint32_t)size, content, &err), &err);
                synthetic->bytes += size;
                synthetic->data_bytes += content;
        }
}

static void put_whole_record(struct synthetic *synthetic, uint8_t *frame, size_t size)
{
        struct error err = ERROR_INIT;

        bytes_append(&synthetic->part, frame, size);
        hasher_stream(synthetic->hasher, frame, size);
        assert_ok(seektable_add(&synthetic->table, (uint32_t)size, 0, &err), &err);
        synthetic->bytes += size;
        free(frame);
}

static void put_header(struct synthetic *synthetic)
{
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        char *json;
        uint8_t *frame;
        size_t size;

        assert_ok(stream_info_encode(&info, &json, &err), &err);
        assert_ok(record_build(RECORD_HEADER, json, strlen(json), &frame, &size, &err), &err);
        free(json);
        put_whole_record(synthetic, frame, size);
}

static void put_end(struct synthetic *synthetic)
{
        struct record_complete complete = { .data_bytes = synthetic->data_bytes, .stream_bytes = synthetic->bytes };
        struct stream_info info = test_info();
        uint8_t body[RECORD_COMPLETE_BODY];
        struct error err = ERROR_INIT;
        uint8_t *frame;
        size_t size;

        hasher_digest(synthetic->hasher, complete.digest);
        record_complete_encode(&complete, body);
        assert_ok(record_build(RECORD_COMPLETE, body, sizeof body, &frame, &size, &err), &err);
        put_whole_record(synthetic, frame, size);
        assert_ok(record_verdict_build(info.set_id, info.device, NULL, &frame, &size, &err), &err);
        put_whole_record(synthetic, frame, size);
        size = synthetic->part.size;
        assert_ok(seektable_write(&synthetic->table, append_to, &synthetic->part, &err), &err);
        if (synthetic->with_wrong_entry)
                synthetic->part.data[size + SEEKTABLE_PREFIX + (size_t)SEEKTABLE_ENTRY * (TERA_FRAMES / 2)] ^= 1;
}

static ssize_t synthetic_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct synthetic *synthetic = (struct synthetic *)source;

        (void)err;
        if (synthetic->part_at == synthetic->part.size) {
                synthetic->part.size = synthetic->part_at = 0;
                if (synthetic->step == 0)
                        put_header(synthetic);
                else if (synthetic->step <= TERA_FRAMES / BATCH_FRAMES)
                        put_frames(synthetic);
                else if (synthetic->step == TERA_FRAMES / BATCH_FRAMES + 1)
                        put_end(synthetic);
                synthetic->step++;
        }
        if (size > synthetic->part.size - synthetic->part_at)
                size = synthetic->part.size - synthetic->part_at;
        memcpy(buffer, synthetic->part.data + synthetic->part_at, size);
        synthetic->part_at += size;
        return (ssize_t)size;
}

static void synthetic_free(struct source *source)
{
        struct synthetic *synthetic = (struct synthetic *)source;

        hasher_free(synthetic->hasher);
        seektable_deinit(&synthetic->table);
        bytes_free(&synthetic->part);
        free(synthetic);
}

static const struct source_ops synthetic_ops = { .name = "synthetic", .read = synthetic_read, .free = synthetic_free };

/* As many frames as 16 TiB have. */
static int read_synthetic(bool with_wrong_entry, struct error *err)
{
        struct reader_options options = { .name = "f.vdi" };
        struct synthetic *synthetic = calloc(1, sizeof *synthetic);
        struct stream_info info = { 0 };
        struct source *source = NULL;
        uint8_t buffer[64 << 10];
        ssize_t n;

        assert_non_null(synthetic);
        synthetic->source.ops = &synthetic_ops;
        synthetic->hasher = hasher_new();
        synthetic->with_wrong_entry = with_wrong_entry;
        assert_non_null(synthetic->hasher);
        assert_ok(vdistream_source_new(&synthetic->source, "'f.vdi'", &options, &info, &source, err), err);
        do
                n = source_read(source, buffer, sizeof buffer, err);
        while (n > 0);
        stream_info_deinit(&info);
        source_free(source);
        return (int)n;
}

static void the_table_of_so_many_frames_is_checked(void **state)
{
        struct error err = ERROR_INIT;

        (void)state;
        assert_ok(read_synthetic(false, &err), &err);
        err = (struct error)ERROR_INIT;
        assert_int_equal(read_synthetic(true, &err), -1);
        assert_int_equal(err.code, ERR_DAMAGED);
        assert_non_null(strstr(err.message, "the seek table does not describe this stream"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(adding_and_dropping),
                cmocka_unit_test(sixteen_terabytes_are_listed_in_little_memory),
                cmocka_unit_test(the_table_of_so_many_frames_is_checked),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
