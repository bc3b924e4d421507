/*
 * Layers that are not ours: foreign zstd, raw images, and formats that another tool must take off.
 */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/codecs.h"
#include "core/base/bytes.h"
#include "core/base/fd_io.h"

/* An image that says it has `pages` pages of 1024 bytes. */
static void make_image(struct bytes *image, uint32_t pages, size_t size)
{
        uint8_t *data = calloc(1, size < 100 ? 100 : size);

        assert_non_null(data);
        fill_text(data, size, 1);
        memcpy(data, "SQLite format 3", 16);
        memcpy(data + 16, "\x04\0", 2);
        memcpy(data + 24, "\0\0\0\x05", 4);
        data[28] = data[29] = 0;
        data[30] = (uint8_t)(pages >> 8);
        data[31] = (uint8_t)pages;
        memcpy(data + 92, "\0\0\0\x05", 4);
        bytes_append(image, data, size);
        free(data);
}

static void check_read(const struct bytes *input, const struct bytes *content, size_t layers, enum layer_kind innermost)
{
        struct outcome outcome = read_bytes(input->data, input->size, 8191, NULL);

        if (!outcome.ended)
                fail_msg("%s", outcome.error.message);
        assert_int_equal(outcome.layer_count, layers);
        assert_int_equal(outcome.layers[layers - 1], innermost);
        assert_int_equal(outcome.content.size, content->size);
        assert_memory_equal(outcome.content.data, content->data, content->size);
        outcome_free(&outcome);
}

static void check_fails(const void *data, size_t size, enum err_code code, const char *words)
{
        struct outcome outcome = read_bytes(data, size, 8191, NULL);

        assert_false(outcome.ended);
        if (outcome.error.code != code || !strstr(outcome.error.message, words))
                fail_msg("expected %d '%s', got %d '%s'", code, words, outcome.error.code, outcome.error.message);
        outcome_free(&outcome);
}

static void compress_with(const char *command, const struct bytes *input, struct bytes *output)
{
        assert_int_equal(shell_on(command, input->data, input->size, output), 0);
}

static void foreign_zstd(void **state)
{
        static const char *const commands[] = {
                "zstd -qc < \"$F\"",
                "zstd -qc \"$F\"",
                "zstd -qc --no-check < \"$F\"",
                "head -c 5000 \"$F\" | zstd -qc && tail -c +5001 \"$F\" | zstd -qc",
                "zstd -qc < \"$F\" && printf '\\120\\052\\115\\030\\003\\000\\000\\000abc'",
                "printf '\\137\\052\\115\\030\\003\\000\\000\\000abc' && zstd -qc --long=23 < \"$F\"",
                "zstd -qc -19 < \"$F\"",
                "pzstd -qc -p 3 \"$F\"",
        };
        struct bytes image = { 0 };

        (void)state;
        make_image(&image, 300, 300 << 10);
        for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
                struct bytes compressed = { 0 };

                compress_with(commands[i], &image, &compressed);
                check_read(&compressed, &image, 2, LAYER_SQLITE);
                bytes_free(&compressed);
        }
        bytes_free(&image);
}

static void foreign_zstd_damaged(void **state)
{
        struct bytes image = { 0 }, compressed = { 0 };

        (void)state;
        make_image(&image, 30, 30 << 10);
        compress_with("zstd -qc < \"$F\"", &image, &compressed);
        for (size_t cut = 5; cut < compressed.size; cut += 97)
                check_fails(compressed.data, cut, ERR_DAMAGED, "ends at byte");
        compressed.data[compressed.size - 1] ^= 1;
        check_fails(compressed.data, compressed.size, ERR_DAMAGED, "checksum");
        compressed.data[compressed.size - 1] ^= 1;
        bytes_append(&compressed, "garbage", 7);
        check_fails(compressed.data, compressed.size, ERR_DAMAGED, "no zstd frame");
        bytes_free(&compressed);
        bytes_free(&image);
}

static void long_windows_need_permission(void **state)
{
        struct reader_options options = { .name = "big.zst", .memory_limit = (uint64_t)128 << 20 };
        struct bytes image = { 0 }, compressed = { 0 };
        struct outcome outcome;

        (void)state;
        make_image(&image, 30, 30 << 10);
        compress_with("zstd -qc --long=27 < \"$F\"", &image, &compressed);
        check_fails(compressed.data, compressed.size, ERR_USAGE, "--memory-limit 128M");
        outcome = read_bytes(compressed.data, compressed.size, 4096, &options);
        assert_true(outcome.ended);
        outcome_free(&outcome);
        bytes_free(&compressed);
        bytes_free(&image);
}

/* Every window that a header can ask for: the limit that the message names is the least that does. */
static void the_limit_that_is_named_does(void **state)
{
        uint8_t frame[] = { 0x28, 0xB5, 0x2F, 0xFD, 0, /* window */ 0, /* an empty block, the last */ 1, 0, 0 };
        const uint64_t default_limit = 8 << 20, most = (uint64_t)1 << 31, tried = 300 << 20;

        (void)state;
        for (unsigned window = 0; window < 256; window++) {
                uint64_t bytes = (8 + (window & 7)) << 7;
                struct reader_options options = { .name = "f" };
                struct outcome outcome;
                unsigned long long named;
                const char *words;

                bytes <<= window >> 3;
                frame[5] = (uint8_t)window;
                if (bytes <= default_limit || bytes > most) {
                        check_fails(frame, sizeof frame, ERR_DAMAGED, bytes > most ? "no zstd takes more" : "is empty");
                        continue;
                }
                outcome = read_bytes(frame, sizeof frame, 1, &options);
                assert_int_equal(outcome.error.code, ERR_USAGE);
                words = strstr(outcome.error.message, "--memory-limit ");
                assert_non_null(words);
                named = strtoull(words + strlen("--memory-limit "), NULL, 10);
                assert_true(named << 20 >= bytes && (named - 1) << 20 < bytes);
                outcome_free(&outcome);
                options.memory_limit = (uint64_t)named << 20;
                outcome = read_bytes(frame, bytes > tried ? 0 : sizeof frame, 1, &options);
                assert_int_equal(outcome.error.code, ERR_DAMAGED);
                assert_non_null(strstr(outcome.error.message, "is empty"));
                outcome_free(&outcome);
        }
}

static void vdi_stream_inside_zstd(void **state)
{
        uint8_t data[70000];
        struct bytes content = { 0 }, stream = { 0 }, once = { 0 }, thrice = { 0 }, too_often = { 0 };

        (void)state;
        fill_text(data, sizeof data, 9);
        bytes_append(&content, data, sizeof data);
        make_stream(&stream, STORED, data, sizeof data, 30000);
        compress_with("zstd -qc < \"$F\"", &stream, &once);
        check_read(&once, &content, 2, LAYER_VDISTREAM);
        compress_with("zstd -qc < \"$F\" | zstd -qc | zstd -qc", &stream, &thrice);
        check_read(&thrice, &content, 4, LAYER_VDISTREAM);
        compress_with("zstd -qc < \"$F\" | zstd -qc | zstd -qc | zstd -qc", &stream, &too_often);
        check_fails(too_often.data, too_often.size, ERR_DAMAGED, "more than 4 layers");

        /* A cut inside is a cut, whatever the outer layer says. */
        stream.size -= 300;
        once.size = 0;
        compress_with("zstd -qc < \"$F\"", &stream, &once);
        check_fails(once.data, once.size, ERR_DAMAGED, "the zstd content of 'f.vdi'");
        bytes_free(&content);
        bytes_free(&stream);
        bytes_free(&once);
        bytes_free(&thrice);
        bytes_free(&too_often);
}

/* A vdi stream whose header was made unrecognisable must not be taken for plain zstd, even if an image is in it. */
static void headless_vdi_stream_is_no_zstd(void **state)
{
        struct bytes image = { 0 }, stream = { 0 };

        (void)state;
        make_image(&image, 30, 30 << 10);
        make_stream(&stream, STORED, image.data, image.size, 30000);
        stream.data[8] ^= 1;
        check_fails(stream.data, stream.size, ERR_DAMAGED, "does not begin with its header");
        stream.data[8] ^= 1;
        stream.data[0] ^= 1;
        check_fails(stream.data, stream.size, ERR_DAMAGED, "does not begin with its header");
        bytes_free(&stream);
        bytes_free(&image);
}

static void raw_images(void **state)
{
        struct bytes image = { 0 };

        (void)state;
        make_image(&image, 30, 30 << 10);
        check_read(&image, &image, 1, LAYER_SQLITE);
        for (size_t cut = 16; cut < image.size; cut += 1024)
                check_fails(image.data, cut, ERR_DAMAGED, "ends at byte");
        check_fails(image.data, image.size - 1, ERR_DAMAGED, "30720 bytes");
        bytes_append(&image, "x", 1);
        check_fails(image.data, image.size, ERR_DAMAGED, "something follows");
        image.size--;

        /* A count that is not valid is not believed; whole pages are all that can be asked for. */
        image.data[31] = 99;
        image.data[95] = 6;
        check_read(&image, &image, 1, LAYER_SQLITE);
        check_fails(image.data, image.size - 5, ERR_DAMAGED, "inside a page");
        image.data[16] = 3;
        check_fails(image.data, image.size, ERR_DAMAGED, "page size");
        bytes_free(&image);
}

/* ---- input without end ---- */

enum { ENDLESS_READS = 5 };

/* `head` once, and `unit` for ever. The flag is raised with the last read that is expected. */
struct endless {
        struct source source;
        struct bytes head;
        const uint8_t *unit;
        size_t unit_size;
        size_t position;
        int reads;
        atomic_bool cancel;
};

static ssize_t endless_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct endless *endless = (struct endless *)source;

        (void)err;
        if (++endless->reads == ENDLESS_READS)
                atomic_store(&endless->cancel, true);
        assert_true(endless->reads <= ENDLESS_READS);
        for (size_t i = 0; i < size; i++, endless->position++)
                ((uint8_t *)buffer)[i] =
                        endless->position < endless->head.size
                                ? endless->head.data[endless->position]
                                : endless->unit[(endless->position - endless->head.size) % endless->unit_size];
        return (ssize_t)size;
}

static void endless_free(struct source *source)
{
        bytes_free(&((struct endless *)source)->head);
}

static const struct source_ops endless_ops = { .name = "endless", .read = endless_read, .free = endless_free };

/* Reads until it fails, and says how much there was. */
static uint64_t read_to_failure(struct source *source, enum err_code code, const char *words)
{
        static uint8_t buffer[1 << 20];
        struct error err = ERROR_INIT;
        uint64_t total = 0;
        ssize_t n;

        do {
                n = source_read(source, buffer, sizeof buffer, &err);
                total += n > 0 ? (uint64_t)n : 0;
        } while (n > 0);
        assert_int_equal(n, -1);
        if (err.code != code || !strstr(err.message, words))
                fail_msg("expected %d '%s', got %d '%s'", code, words, err.code, err.message);
        source_free(source);
        return total;
}

static const uint8_t skippable[] = { 0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0 };
static const uint8_t empty_frame[] = { 0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x38, 1, 0, 0, 0x99, 0xE9, 0xD8, 0x51 };

/* One read of a source that finds no content must not go on for ever, nor must buffered input be decoded to its end. */
static void cancel_ends_a_search_for_content(void **state)
{
        static struct {
                const uint8_t *unit;
                size_t size;
                bool is_vdi;
        } const cases[] = {
                { skippable, sizeof skippable, false },
                { empty_frame, sizeof empty_frame, false },
                { empty_frame, sizeof empty_frame, true },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct endless endless = { .source.ops = &endless_ops,
                                           .unit = cases[i].unit,
                                           .unit_size = cases[i].size };
                struct reader_options options = { .cancel = &endless.cancel };
                struct stream_info info = { 0 };
                struct error err = ERROR_INIT;
                struct source *source = NULL;

                if (cases[i].is_vdi) {
                        make_stream(&endless.head, STORED, NULL, 0, 1);
                        endless.head.size = 8 + get_le32(endless.head.data + 4);
                        assert_ok(vdistream_source_new(&endless.source, "it", &options, &info, &source, &err), &err);
                } else {
                        assert_ok(zstd_source_new(&endless.source, "it", &options, &source, &err), &err);
                }
                read_to_failure(source, ERR_ABORTED, "reading it was interrupted");
                stream_info_deinit(&info);
        }
}

/* Input that is buffered already can be hours of content. */
static void cancel_ends_decompression(void **state)
{
        struct reader_options options = { .name = "bomb" };
        struct bytes image = { 0 }, compressed = { 0 };
        static atomic_bool cancel;
        CLEANUP(reader_freep) struct reader *reader = NULL;
        CLEANUP(fd_closep) int fd = -1;
        struct error err = ERROR_INIT;
        uint8_t byte;

        (void)state;
        options.cancel = &cancel;
        make_image(&image, 300, 300 << 10);
        compress_with("zstd -qc < \"$F\"", &image, &compressed);
        fd = open(test_file("bomb", compressed.data, compressed.size), O_RDONLY | O_CLOEXEC);
        assert_ok(reader_open(fd, &options, &reader, &err), &err);
        while (lseek(fd, 0, SEEK_CUR) < (off_t)compressed.size)
                assert_int_equal(source_read(reader->source, &byte, 1, &err), 1);
        assert_int_equal(source_read(reader->source, &byte, 1, &err), 1);
        atomic_store(&cancel, true);
        while (source_read(reader->source, &byte, 1, &err) == 1)
                assert_int_equal(err.code, 0);
        assert_int_equal(err.code, ERR_ABORTED);
        bytes_free(&image);
        bytes_free(&compressed);
}

/* More than the header says is refused when it comes, not when it has ended. */
static void raw_image_without_end(void **state)
{
        struct endless endless = { .source.ops = &endless_ops, .unit = empty_frame, .unit_size = 1 };
        struct error err = ERROR_INIT;
        struct source *source = NULL;

        (void)state;
        make_image(&endless.head, 3000, 1024);
        assert_ok(sqlite_source_new(&endless.source, "it", &source, &err), &err);
        assert_true(read_to_failure(source, ERR_DAMAGED, "it is damaged at byte 3072000: something follows") <=
                    3072000);
}

static void sql_server_backup(void **state)
{
        struct bytes backup = { 0 };

        (void)state;
        bytes_append(&backup, "TAPE\0\0\3\0and so on", 17);
        check_read(&backup, &backup, 1, LAYER_MTF);
        bytes_free(&backup);
}

static void formats_for_other_tools(void **state)
{
#define FORMAT(bytes, words)                    \
        {                                       \
                bytes, sizeof(bytes) - 1, words \
        }
        static const struct {
                const char *bytes;
                size_t size;
                const char *words;
        } formats[] = {
                FORMAT("\x1F\x8B\x08\0", "gzip -dc"),
                FORMAT("\xFD"
                       "7zXZ\0\0",
                       "xz -dc"),
                FORMAT("BZh91AY&SY", "bzip2 -dc"),
                FORMAT("\x04\x22\x4D\x18@", "lz4 -dc"),
                FORMAT("\x02\x21\x4C\x18@", "lz4 -dc"),
                FORMAT("7z\xBC\xAF\x27\x1C\0", "7-Zip"),
        };

        (void)state;
        for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
                check_fails(formats[i].bytes, formats[i].size, ERR_USAGE, formats[i].words);
        check_fails("", 0, ERR_DAMAGED, "is empty");
        check_fails("S", 1, ERR_DAMAGED, "no backup that vdipipe knows");
        check_fails("Lorem ipsum dolor sit amet", 26, ERR_DAMAGED, "no backup that vdipipe knows");
}

static void names_are_shown_safely(void **state)
{
        struct reader_options hostile = { .name = "a\x1B[1mb" };
        struct reader_options input = { .name = "standard input" };
        struct outcome outcome;

        (void)state;
        outcome = read_bytes((const uint8_t *)"x", 1, 10, &hostile);
        assert_string_equal(outcome.error.message, "'a\\x1B[1mb' is no backup that vdipipe knows");
        outcome_free(&outcome);
        outcome = read_bytes((const uint8_t *)"x", 1, 10, &input);
        assert_string_equal(outcome.error.message, "standard input is no backup that vdipipe knows");
        outcome_free(&outcome);
}

static void every_kind_has_a_name(void **state)
{
        (void)state;
        for (int kind = LAYER_VDISTREAM; kind <= LAYER_MTF; kind++)
                assert_true(strlen(layer_name((enum layer_kind)kind)) > 0);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(foreign_zstd),
                cmocka_unit_test(foreign_zstd_damaged),
                cmocka_unit_test(long_windows_need_permission),
                cmocka_unit_test(the_limit_that_is_named_does),
                cmocka_unit_test(vdi_stream_inside_zstd),
                cmocka_unit_test(headless_vdi_stream_is_no_zstd),
                cmocka_unit_test(raw_images),
                cmocka_unit_test(cancel_ends_a_search_for_content),
                cmocka_unit_test(cancel_ends_decompression),
                cmocka_unit_test(raw_image_without_end),
                cmocka_unit_test(sql_server_backup),
                cmocka_unit_test(formats_for_other_tools),
                cmocka_unit_test(names_are_shown_safely),
                cmocka_unit_test(every_kind_has_a_name),
        };

        return cmocka_run_group_tests(tests, test_folder_setup, test_folder_teardown);
}
