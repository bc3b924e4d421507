/*
 * Disks: transfers at byte offsets, into a file that appears when it is whole, and out of raw files and vdi streams.
 */
#include "tests/unit/codecs/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "codecs/drives/disk.h"
#include "codecs/stream/stream.h"
#include "core/base/fd_io.h"

enum { PAGE = 512, MODEL_SIZE = 3 << 20, THREADS = 4, PART = 1 << 20 };

static char path[512];
static atomic_bool cancel;

static const char *at(const char *name)
{
        snprintf(path, sizeof path, "%s/%s", test_folder(), name);
        return path;
}

static int empty_folder(void **state)
{
        char command[128];

        (void)state;
        atomic_store(&cancel, false);
        snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", test_folder(), test_folder());
        return system(command) == 0 ? 0 : -1;
}

static int count_entries(void)
{
        CLEANUP(dir_closep) DIR *dir = opendir(test_folder());
        const struct dirent *entry;
        int count = 0;

        assert_non_null(dir);
        while ((entry = readdir(dir)))
                count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
        return count;
}

static int try_create(const char *name, struct disk **ret_disk, struct error *err)
{
        return disk_create(at(name), TEST_SET_ID, FILE_EXISTING_KEPT_FORCE_HELPS, &cancel, ret_disk, err);
}

static struct disk *create(void)
{
        struct error err = ERROR_INIT;
        struct disk *disk = NULL;

        assert_ok(try_create("d.bak", &disk, &err), &err);
        return disk;
}

static void publish(struct disk *disk)
{
        struct error err = ERROR_INIT;
        struct stage *sink = disk_sink(disk);

        assert_ok(disk_finish(disk, &err), &err);
        assert_ok(file_sink_publish(&sink, 1, &err), &err);
        disk_free(disk);
}

static void expect_file(const uint8_t *data, size_t size)
{
        CLEANUP(freep) char *text = NULL;
        size_t have;

        assert_int_equal(fd_read_file(AT_FDCWD, at("d.bak"), 1 << 28, &text, &have), 0);
        assert_int_equal(have, size);
        assert_memory_equal(text, data, size);
}

static int open_fd(int fd, struct disk **ret_disk, struct error *err)
{
        struct reader_options options = { .name = "d.bak", .cancel = &cancel };

        return disk_open(fd, &options, ret_disk, err);
}

static int open_bytes(const void *data, size_t size, struct disk **ret_disk, struct error *err)
{
        int fd = memfd_create("disk", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(fd_pwrite_full(fd, data, size, 0), 0);
        if (open_fd(fd, ret_disk, err) == 0)
                return fd;
        close(fd);
        return -1;
}

static void assert_refused(int result, struct error *err, enum err_code code, const char *words)
{
        assert_true(result < 0);
        if (err->code != code || !strstr(err->message, words))
                fail_msg("expected %d '%s', got %d '%s'", code, words, err->code, err->message);
        err->code = ERR_NONE; /* else the next failure would be kept out */
}

static void expect_read(struct disk *disk, uint64_t offset, size_t size, const uint8_t *expected, size_t expected_size)
{
        CLEANUP(freep) uint8_t *buffer = malloc(size + 1);
        struct error err = ERROR_INIT;
        size_t got;

        assert_non_null(buffer);
        assert_ok(disk_read(disk, buffer, size, offset, &got, &err), &err);
        assert_int_equal(got, expected_size);
        if (got > 0)
                assert_memory_equal(buffer, expected, got);
}

/* ---- writing ---- */

static void any_order_and_gaps(void **state)
{
        uint8_t expected[100] = { 0 };
        struct disk *disk = create();
        struct error err = ERROR_INIT;

        (void)state;
        memcpy(expected + 90, "end", 3);
        memcpy(expected + 10, "begin", 5);
        assert_int_equal(disk_size(disk), 0);
        expect_read(disk, 0, 10, NULL, 0);
        assert_ok(disk_write(disk, "end", 3, 90, &err), &err);
        assert_int_equal(disk_size(disk), 93);
        assert_ok(disk_write(disk, "begin", 5, 10, &err), &err);
        assert_int_equal(disk_size(disk), 93);
        assert_ok(disk_write(disk, "", 0, 5000, &err), &err);
        assert_int_equal(disk_size(disk), 93);
        expect_read(disk, 0, 200, expected, 93);
        expect_read(disk, 92, 1, expected + 92, 1);
        expect_read(disk, 93, 1, NULL, 0);
        expect_read(disk, UINT64_MAX, 1, NULL, 0);
        assert_ok(disk_flush(disk, &err), &err);
        assert_null(disk_info(disk));
        publish(disk);
        expect_file(expected, 93);
        assert_int_equal(count_entries(), 1);
}

static void random_transfers(void **state)
{
        uint8_t *model = calloc(1, MODEL_SIZE);
        uint8_t *data = malloc(256 << 10);
        struct disk *disk = create();
        struct error err = ERROR_INIT;
        uint64_t random = 42;
        size_t end = 0;

        (void)state;
        assert_non_null(model);
        assert_non_null(data);
        for (unsigned i = 0; i < 400; i++) {
                size_t size, offset;

                fill_random((uint8_t *)&random, sizeof random, random + i);
                size = random % (256 << 10);
                offset = (random >> 24) % (MODEL_SIZE - size);
                fill_random(data, size, i);
                if (i % 3 == 0) {
                        size_t have = offset >= end ? 0 : end - offset;

                        expect_read(disk, offset, size, model + offset, have < size ? have : size);
                        continue;
                }
                assert_ok(disk_write(disk, data, size, offset, &err), &err);
                memcpy(model + offset, data, size);
                if (size > 0 && offset + size > end)
                        end = offset + size;
                assert_int_equal(disk_size(disk), end);
        }
        publish(disk);
        expect_file(model, end);
        free(data);
        free(model);
}

struct worker {
        struct disk *disk;
        const uint8_t *data; /* of the whole disk */
        unsigned number;
        bool writes;
        bool failed;
};

static void *work(void *context)
{
        struct worker *worker = context;
        uint8_t *buffer = malloc(PART);
        struct error err = ERROR_INIT;

        /* Pieces of all threads lie side by side. */
        for (uint64_t piece = worker->number; piece * 4096 < THREADS * PART; piece += THREADS) {
                const uint8_t *data = worker->data + piece * 4096;
                size_t size = 4096;

                if (worker->writes && disk_write(worker->disk, data, size, piece * 4096, &err) < 0)
                        worker->failed = true;
                if (disk_read(worker->disk, buffer, size, piece * 4096, &size, &err) < 0 || size != 4096 ||
                    memcmp(buffer, data, size) != 0)
                        worker->failed = true;
        }
        free(buffer);
        return NULL;
}

static void work_together(struct disk *disk, const uint8_t *data, bool writes)
{
        struct worker workers[THREADS];
        pthread_t threads[THREADS];

        for (unsigned i = 0; i < THREADS; i++) {
                workers[i] = (struct worker){ .disk = disk, .data = data, .number = i, .writes = writes };
                assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
        }
        for (unsigned i = 0; i < THREADS; i++) {
                pthread_join(threads[i], NULL);
                assert_false(workers[i].failed);
        }
}

static void several_threads(void **state)
{
        uint8_t *data = malloc(THREADS * PART);
        struct disk *disk = create();

        (void)state;
        assert_non_null(data);
        fill_random(data, THREADS * PART, 5);
        work_together(disk, data, /* writes= */ true);
        assert_int_equal(disk_size(disk), THREADS * PART);
        publish(disk);
        expect_file(data, THREADS * PART);
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                CLEANUP(bytes_free) struct bytes stream = { 0 };
                struct error err = ERROR_INIT;
                int fd;

                make_stream(&stream, level, data, THREADS * PART, 65536);
                fd = open_bytes(stream.data, stream.size, &disk, &err);
                assert_ok(fd, &err);
                work_together(disk, data, /* writes= */ false);
                disk_free(disk);
                close(fd);
        }
        free(data);
}

static void unfinished_leaves_nothing(void **state)
{
        struct error err = ERROR_INIT;

        (void)state;
        for (int i = 0; i < 3; i++) {
                struct disk *disk = create();

                assert_ok(disk_write(disk, "x", 1, 0, &err), &err);
                if (i == 1)
                        assert_ok(disk_finish(disk, &err), &err);
                if (i > 0)
                        disk_abort(disk);
                disk_free(disk);
                assert_int_equal(count_entries(), 0);
        }
}

static void a_longer_file_is_replaced(void **state)
{
        struct error err = ERROR_INIT;
        struct disk *disk;

        (void)state;
        test_file("d.bak", "a long file", 11);
        assert_refused(try_create("d.bak", &disk, &err), &err, ERR_USAGE, "--force");
        assert_ok(disk_create(at("d.bak"), TEST_SET_ID, FILE_EXISTING_REPLACED, NULL, &disk, &err), &err);
        assert_ok(disk_write(disk, "short", 5, 0, &err), &err);
        publish(disk);
        expect_file((const uint8_t *)"short", 5);
}

/* ---- refusals and failures ---- */

static void calls_in_wrong_states(void **state)
{
        static const uint8_t mtf[] = "TAPE and more";
        struct error err = ERROR_INIT;
        struct disk *disk;
        int fd;

        (void)state;
        disk = create();
        assert_ok(disk_write(disk, "x", 1, 0, &err), &err);
        assert_ok(disk_finish(disk, &err), &err);
        assert_refused(disk_write(disk, "x", 1, 0, &err), &err, ERR_PROTOCOL, "after its end");
        assert_refused(disk_flush(disk, &err), &err, ERR_PROTOCOL, "after its end");
        assert_refused(disk_finish(disk, &err), &err, ERR_PROTOCOL, "after its end");
        disk_free(disk);
        fd = open_bytes(mtf, sizeof mtf, &disk, &err);
        assert_ok(fd, &err);
        assert_refused(disk_write(disk, "x", 1, 0, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_refused(disk_flush(disk, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_refused(disk_finish(disk, &err), &err, ERR_PROTOCOL, "opened to be read");
        assert_null(disk_sink(disk));
        disk_abort(disk);
        disk_free(disk);
        close(fd);
        assert_int_equal(symlink("/dev/null", at("null")), 0);
        assert_refused(try_create("null", &disk, &err), &err, ERR_USAGE, "regular file");
        assert_refused(try_create("none/d", &disk, &err), &err, ERR_USAGE, "no folder");
}

static void failed_writes_end_it(void **state)
{
        struct rlimit old, limit;
        struct disk *disk = create();
        struct error err = ERROR_INIT;
        char data[10000] = { 0 };

        (void)state;
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = (struct rlimit){ .rlim_cur = 15000, .rlim_max = old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_ok(disk_write(disk, data, sizeof data, 0, &err), &err);
        assert_refused(disk_write(disk, data, sizeof data, sizeof data, &err), &err, ERR_IO, "d.bak");
        assert_int_equal(err.sys_errno, EFBIG);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(disk_size(disk), sizeof data);
        assert_refused(disk_write(disk, data, 1, 0, &err), &err, ERR_PROTOCOL, "after its end");
        assert_refused(disk_finish(disk, &err), &err, ERR_PROTOCOL, "after its end");
        disk_abort(disk);
        disk_free(disk);
        disk = create();
        assert_refused(disk_write(disk, data, 2, INT64_MAX - 1, &err), &err, ERR_IO, "d.bak");
        assert_int_equal(err.sys_errno, EFBIG);
        disk_free(disk);
        disk = create();
        assert_refused(disk_write(disk, data, 2, UINT64_MAX, &err), &err, ERR_IO, "d.bak");
        disk_free(disk);
        assert_int_equal(count_entries(), 0);
}

static void cancelling(void **state)
{
        struct disk *disk = create();
        struct error err = ERROR_INIT;
        uint8_t byte;
        size_t size;

        (void)state;
        assert_ok(disk_write(disk, "x", 1, 0, &err), &err);
        atomic_store(&cancel, true);
        assert_refused(disk_read(disk, &byte, 1, 0, &size, &err), &err, ERR_ABORTED, "interrupted");
        assert_refused(disk_write(disk, "x", 1, 0, &err), &err, ERR_ABORTED, "interrupted");
        disk_abort(disk);
        disk_free(disk);
        err = (struct error)ERROR_INIT;
        assert_int_equal(open_bytes("TAPE....", 8, &disk, &err), -1);
        assert_int_equal(err.code, ERR_ABORTED);
        assert_int_equal(count_entries(), 0);
}

/* ---- reading ---- */

static void raw_images(void **state)
{
        uint8_t image[4 * PAGE] = "SQLite format 3\0\2\0\1\1\0@  \0\0\0\1\0\0\0\3";
        struct error err = ERROR_INIT;
        struct disk *disk;
        int fd;

        (void)state;
        image[95] = 1; /* the size of 3 pages is valid */
        fd = open_bytes(image, 3 * PAGE, &disk, &err);
        assert_ok(fd, &err);
        assert_int_equal(disk_size(disk), 3 * PAGE);
        assert_null(disk_info(disk));
        expect_read(disk, 100, 4 * PAGE, image + 100, 3 * PAGE - 100);
        assert_int_equal(ftruncate(fd, PAGE), 0);
        assert_refused(disk_read(disk, image, 2 * PAGE, 0, &(size_t){ 0 }, &err), &err, ERR_DAMAGED,
                       "somebody has cut it");
        disk_free(disk);
        close(fd);
        assert_refused(open_bytes(image, 4 * PAGE, &disk, &err), &err, ERR_DAMAGED, "something follows");
        assert_refused(open_bytes(image, 2 * PAGE, &disk, &err), &err, ERR_DAMAGED, "it was cut off");
        assert_refused(open_bytes(image, 50, &disk, &err), &err, ERR_DAMAGED, "inside the header");
        image[95] = 2;
        assert_refused(open_bytes(image, 2 * PAGE + 1, &disk, &err), &err, ERR_DAMAGED, "inside a page");
        image[17] = 3;
        assert_refused(open_bytes(image, 3 * PAGE, &disk, &err), &err, ERR_DAMAGED, "no page size");
}

static void a_file_from_its_middle_on(void **state)
{
        CLEANUP(fd_closep) int fd = memfd_create("disk", MFD_CLOEXEC);
        CLEANUP(bytes_free) struct bytes stream = { 0 };
        struct error err = ERROR_INIT;
        struct disk *disk;

        (void)state;
        assert_true(fd >= 0);
        assert_int_equal(fd_pwrite_full(fd, "beforeTAPE of a server", 22, 0), 0);
        assert_int_equal(lseek(fd, 6, SEEK_SET), 6);
        assert_ok(open_fd(fd, &disk, &err), &err);
        expect_read(disk, 0, 100, (const uint8_t *)"TAPE of a server", 16);
        disk_free(disk);
        make_stream(&stream, STORED, (const uint8_t *)"content", 7, 7);
        assert_int_equal(fd_pwrite_full(fd, stream.data, stream.size, 6), 0);
        assert_int_equal(lseek(fd, 6, SEEK_SET), 6);
        assert_ok(open_fd(fd, &disk, &err), &err);
        expect_read(disk, 0, 100, (const uint8_t *)"content", 7);
        disk_free(disk);
}

static void inputs_that_are_no_disk(void **state)
{
        CLEANUP(bytes_free) struct bytes stream = { 0 };
        struct error err = ERROR_INIT;
        struct disk *disk;
        int pipe_fds[2];

        (void)state;
        assert_refused(open_bytes("", 0, &disk, &err), &err, ERR_DAMAGED, "is empty");
        assert_refused(open_bytes("unknown bytes", 13, &disk, &err), &err, ERR_DAMAGED, "no backup");
        assert_refused(open_bytes("\x1F\x8B......", 8, &disk, &err), &err, ERR_USAGE, "gzip");
        assert_int_equal(shell_on("zstd -q < \"$F\"", (const uint8_t *)"TAPE....", 8, &stream), 0);
        assert_refused(open_bytes(stream.data, stream.size, &disk, &err), &err, ERR_USAGE, "extract --layer zstd");
        assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
        assert_refused(open_fd(pipe_fds[0], &disk, &err), &err, ERR_USAGE, "no regular file");
        close(pipe_fds[0]);
        close(pipe_fds[1]);
}

/* Frames of many sizes, marks and frames without content between them. */
static void vdi_streams(void **state)
{
        uint8_t *data = malloc(MODEL_SIZE);

        (void)state;
        assert_non_null(data);
        fill_text(data, MODEL_SIZE, 3);
        for (int level = STORED; level <= COMPRESSED; level += COMPRESSED) {
                CLEANUP(bytes_free) struct bytes stream = { 0 };
                struct stage *stage = stream_writer(&stream, level, NULL);
                struct error err = ERROR_INIT;
                struct disk *disk;
                uint64_t written = 0;
                int fd;

                for (size_t piece = 1; written + piece <= MODEL_SIZE; written += piece, piece = piece * 3 + 1) {
                        assert_ok(stage_write(stage, data + written, piece, &err), &err);
                        assert_ok(piece % 2 ? stage_flush(stage, &err) : vdistream_writer_mark(stage, 0, &err), &err);
                        assert_ok(vdistream_writer_mark(stage, 7, &err), &err);
                }
                assert_ok(stage_finish(stage, NULL, &err), &err);
                stage_free(stage);
                fd = open_bytes(stream.data, stream.size, &disk, &err);
                assert_ok(fd, &err);
                assert_int_equal(disk_size(disk), written);
                assert_string_equal(disk_info(disk)->set_id, TEST_SET_ID);
                for (uint64_t offset = 0; offset < written; offset = offset * 2 + 1)
                        for (size_t size = 1; size <= written; size = size * 5 + 2)
                                expect_read(disk, offset, size, data + offset,
                                            size < written - offset ? size : (size_t)(written - offset));
                disk_free(disk);
                close(fd);
                assert_refused(open_bytes(stream.data, stream.size - 1, &disk, &err), &err, ERR_DAMAGED, "cut off");
                stream.data[stream.size / 2] ^= 1;
                assert_refused(open_bytes(stream.data, stream.size, &disk, &err), &err, ERR_DAMAGED, "damaged");
        }
        free(data);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup(any_order_and_gaps, empty_folder),
                cmocka_unit_test_setup(random_transfers, empty_folder),
                cmocka_unit_test_setup(several_threads, empty_folder),
                cmocka_unit_test_setup(unfinished_leaves_nothing, empty_folder),
                cmocka_unit_test_setup(a_longer_file_is_replaced, empty_folder),
                cmocka_unit_test_setup(calls_in_wrong_states, empty_folder),
                cmocka_unit_test_setup(failed_writes_end_it, empty_folder),
                cmocka_unit_test_setup(cancelling, empty_folder),
                cmocka_unit_test_setup(raw_images, empty_folder),
                cmocka_unit_test_setup(a_file_from_its_middle_on, empty_folder),
                cmocka_unit_test_setup(inputs_that_are_no_disk, empty_folder),
                cmocka_unit_test_setup(vdi_streams, empty_folder),
        };

        return cmocka_run_group_tests_name("disk", tests, test_folder_setup, test_folder_teardown);
}
