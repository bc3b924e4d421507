#include "tests/unit/codecs/support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "codecs/base/hash.h"
#include "codecs/stream/record.h"
#include "core/base/bytes.h"
#include "core/base/fd_io.h"

struct probed {
        int result;
        struct error error;
        struct stream_info info;
        struct stream_tail tail;
};

static struct probed probe(const uint8_t *data, size_t size)
{
        CLEANUP(fd_closep) int fd = memfd_create("stream", MFD_CLOEXEC);
        struct probed probed = { .error = ERROR_INIT };

        assert_int_equal(fd_pwrite_full(fd, data, size, 0), 0);
        probed.result = vdistream_probe(fd, "f.vdi", &probed.info, &probed.tail, &probed.error);
        assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
        return probed;
}

static void probed_free(struct probed *probed)
{
        stream_info_deinit(&probed->info);
        stream_tail_deinit(&probed->tail);
}

static void make(struct bytes *stream, size_t size, uint32_t boundary)
{
        struct vdistream_options options = { .flush_boundary = boundary };
        struct memory_sink *sink = memory_sink_new(stream);
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;
        uint8_t *data = malloc(size + 1);

        assert_non_null(data);
        fill_random(data, size, 5);
        assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
        assert_ok(stage_write(stage, data, size, &err), &err);
        assert_ok(stage_flush(stage, &err), &err);
        assert_ok(stage_finish(stage, "{\"lsn\":7}", &err), &err);
        stage_free(stage);
        free(data);
}

static void whole_streams(void **state)
{
        static const size_t sizes[] = { 0, 1, 9 << 20 };

        (void)state;
        for (size_t i = 0; i < 6; i++) {
                struct bytes stream = { 0 };
                struct probed probed;

                make(&stream, sizes[i / 2], i % 2 ? 4096 : 0);
                probed = probe(stream.data, stream.size);
                if (probed.result != 1)
                        fail_msg("%s", probed.error.message);
                assert_int_equal(probed.tail.data_bytes, sizes[i / 2]);
                assert_int_equal(probed.tail.stream_bytes, stream.size);
                assert_true(probed.tail.confirmed);
                assert_string_equal(probed.tail.report_json, "{\"lsn\":7}");
                assert_int_equal(probed.info.device, 1);
                probed_free(&probed);
                bytes_free(&stream);
        }
}

/* A probe sees only front and end, but a cut is always seen. */
static void cut_streams(void **state)
{
        struct bytes stream = { 0 };
        bool unconfirmed = false;

        (void)state;
        make(&stream, 100, 0);
        for (size_t cut = 16; cut < stream.size; cut++) {
                struct probed probed = probe(stream.data, cut);

                assert_int_equal(probed.result, -1);
                if (probed.error.code == ERR_UNCONFIRMED) {
                        unconfirmed = true;
                        assert_string_equal(probed.info.host, "db1");
                } else {
                        assert_int_equal(probed.error.code, ERR_DAMAGED);
                }
                probed_free(&probed);
        }
        assert_true(unconfirmed);
        bytes_free(&stream);
}

static void changed_bytes_do_no_harm(void **state)
{
        struct bytes stream = { 0 };

        (void)state;
        make(&stream, 100, 0);
        for (size_t at = 0; at < stream.size; at++) {
                struct probed probed;

                stream.data[at] ^= 0x41;
                probed = probe(stream.data, stream.size);
                if (probed.result < 0)
                        assert_true(probed.error.code == ERR_DAMAGED || probed.error.code == ERR_UNCONFIRMED);
                probed_free(&probed);
                stream.data[at] ^= 0x41;
        }
        bytes_free(&stream);
}

static void aborted_streams_say_why(void **state)
{
        (void)state;
        for (int complete = 0; complete < 2; complete++) {
                struct bytes stream = { 0 };
                struct stage *stage = stream_writer(&stream, STORED, NULL);
                struct error err = ERROR_INIT;
                struct probed probed;

                assert_ok(stage_write(stage, "abc", 3, &err), &err);
                if (complete)
                        assert_ok(stage_complete(stage, &err), &err);
                stage_abort(stage, "out of paper");
                probed = probe(stream.data, stream.size);
                assert_int_equal(probed.result, -1);
                assert_int_equal(probed.error.code, ERR_DAMAGED);
                assert_non_null(strstr(probed.error.message, "the backup was aborted: out of paper"));
                probed_free(&probed);
                stage_free(stage);
                bytes_free(&stream);
        }
}

/* Each claims to reach to the end of the file, and would be checked up to there. */
static void claims_of_records_are_not_all_checked(void **state)
{
        enum { CLAIMS = 6000, CLAIM = 14 };
        struct bytes stream = { 0 };
        struct stage *stage = stream_writer(&stream, STORED, NULL);
        struct error err = ERROR_INIT;
        struct probed probed;
        uint8_t *file, *claim;

        (void)state;
        assert_ok(stage_write(stage, "abc", 3, &err), &err);
        stage_abort(stage, "out of paper");
        file = calloc(1, stream.size + CLAIMS * CLAIM + RECORD_OVERHEAD);
        assert_non_null(file);
        memcpy(file, stream.data, stream.size);
        claim = file + stream.size;
        for (uint32_t left = CLAIMS; left > 0; left--, claim += CLAIM) {
                put_le32(claim, RECORD_MAGIC);
                put_le32(claim + 4, left * CLAIM + RECORD_OVERHEAD - 8);
                memcpy(claim + 8, "VDIS\1A", CLAIM - 8);
        }
        probed = probe(file, stream.size + CLAIMS * CLAIM + RECORD_OVERHEAD);
        assert_int_equal(probed.result, -1);
        assert_int_equal(probed.error.code, ERR_DAMAGED);
        assert_non_null(strstr(probed.error.message, "without the end of a vdi stream"));
        probed_free(&probed);
        free(file);
        stage_free(stage);
        bytes_free(&stream);
}

/* A whole stream, or one that ends behind 'C', whose header announces `length` bytes in place of the 1000 that it has,
 * with every checksum right: the writer itself refuses to make it. */
static void forge(struct bytes *stream, const char *length, bool whole)
{
        static const uint8_t data[1000];
        static const char member[] = "\"part_length\":1000";
        struct vdistream_options options = { 0 };
        struct memory_sink *sink = memory_sink_new(stream);
        struct hasher *hasher = hasher_new();
        struct stream_info info = test_info();
        struct error err = ERROR_INIT;
        struct stage *stage = NULL;
        size_t header, at;
        char *place;

        info.has_extent = true;
        info.total_size = 10000;
        info.part_length = sizeof data;
        assert_ok(vdistream_writer_new(&info, &options, &sink->stage, &stage, &err), &err);
        assert_ok(stage_write(stage, data, sizeof data, &err), &err);
        assert_ok(whole ? stage_finish(stage, NULL, &err) : stage_complete(stage, &err), &err);
        stage_free(stage);

        place = memmem(stream->data, stream->size, member, sizeof member - 1);
        assert_non_null(place);
        memcpy(place + sizeof member - 1 - 4, length, 4);
        header = 8 + (size_t)get_le32(stream->data + 4);
        put_le64(stream->data + header - RECORD_SUFFIX, hash_record(stream->data, header - RECORD_SUFFIX));
        for (at = header; !record_is_ours(stream->data + at, stream->size - at); at++)
                ;
        assert_int_equal(stream->data[at + 13], RECORD_COMPLETE);
        assert_non_null(hasher);
        hasher_stream(hasher, stream->data, at);
        hasher_digest(hasher, stream->data + at + RECORD_PREFIX + 16);
        hasher_free(hasher);
        put_le64(stream->data + at + RECORD_COMPLETE_SIZE - RECORD_SUFFIX,
                 hash_record(stream->data + at, RECORD_COMPLETE_SIZE - RECORD_SUFFIX));
}

static void extent_must_be_kept(void **state)
{
        static const struct reader_options lenient = { .name = "f.vdi", .accept_unconfirmed = true };
        static const char *const lengths[] = { "1000", "1001", "9999" };

        (void)state;
        for (size_t i = 0; i < 6; i++) {
                bool right = i < 2, whole = i % 2 == 0;
                struct bytes stream = { 0 };
                struct outcome outcome;
                struct probed probed;

                forge(&stream, lengths[i / 2], whole);
                probed = probe(stream.data, stream.size);
                outcome = read_bytes(stream.data, stream.size, 300, &lenient);
                assert_int_equal(probed.result, right && whole ? 1 : -1);
                assert_int_equal(outcome.ended, right);
                if (!right) {
                        assert_int_equal(probed.error.code, ERR_DAMAGED);
                        assert_int_equal(outcome.error.code, ERR_DAMAGED);
                        assert_non_null(strstr(probed.error.message, "carries 1000 bytes, but its header says"));
                        assert_string_equal(outcome.error.message, probed.error.message);
                }
                outcome_free(&outcome);
                probed_free(&probed);
                bytes_free(&stream);
        }
}

static void other_files_and_pipes(void **state)
{
        struct stream_info info;
        struct stream_tail tail;
        struct error err = ERROR_INIT;
        struct probed probed;
        int ends[2];

        (void)state;
        probed = probe((const uint8_t *)"SQLite format 3 and so on, and on", 33);
        assert_int_equal(probed.result, 0);
        probed = probe((const uint8_t *)"", 0);
        assert_int_equal(probed.result, 0);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        assert_int_equal(vdistream_probe(ends[0], "pipe", &info, &tail, &err), 0);
        close(ends[0]);
        close(ends[1]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(whole_streams),
                cmocka_unit_test(cut_streams),
                cmocka_unit_test(changed_bytes_do_no_harm),
                cmocka_unit_test(aborted_streams_say_why),
                cmocka_unit_test(claims_of_records_are_not_all_checked),
                cmocka_unit_test(extent_must_be_kept),
                cmocka_unit_test(other_files_and_pipes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
