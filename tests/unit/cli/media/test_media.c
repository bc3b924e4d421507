#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "cli/media/completion_code.h"
#include "cli/media/media.h"
#include "core/vds/abi.h"

/* A source that gives `left` bytes in bites of at most `bite`, then its end or an error. */
struct scripted {
        struct source source;
        size_t left;
        size_t bite;
        int fails;
};

static ssize_t scripted_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct scripted *scripted = (struct scripted *)source;
        size_t n = size < scripted->bite ? size : scripted->bite;

        if (!scripted->left)
                return scripted->fails ? error_raise(err, ERR_DAMAGED, "cut off") : 0;
        if (n > scripted->left)
                n = scripted->left;
        memset(buffer, 'x', n);
        scripted->left -= n;
        return (ssize_t)n;
}

static void scripted_free(struct source *source)
{
        (void)source;
}

static const struct source_ops scripted_ops = { .name = "scripted", .read = scripted_read, .free = scripted_free };

static struct scripted scripted_new(size_t left, size_t bite, int fails)
{
        return (struct scripted){ .source = { .ops = &scripted_ops }, .left = left, .bite = bite, .fails = fails };
}

/* Executes one command of `size` bytes or blocks; the codes and bytes it came to. */
static long run(struct media *media, int32_t code, uint8_t *buffer, size_t size, size_t *ret_bytes, struct error *err)
{
        const struct VDC_Command command = { .commandCode = code, .size = (int32_t)size, .buffer = buffer };
        struct media_outcome outcome;
        long completion = media_execute(media, &command, &outcome, err);

        *ret_bytes = (size_t)outcome.bytes;
        return completion;
}

static void the_whole_comes_in_order_with_its_end(void **state)
{
        static const size_t sizes[] = { 0, 1, 99, 100, 101, 200, 250 };
        static const size_t bites[] = { 1, 7, 100, 1000 };
        uint8_t buffer[100];

        (void)state;
        for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
                for (size_t b = 0; b < sizeof bites / sizeof bites[0]; b++) {
                        struct scripted scripted = scripted_new(sizes[s], bites[b], 0);
                        struct media_pipe pipe;
                        size_t total = 0;
                        long code;

                        media_pipe_init_read(&pipe, VDF_ReadMedia, &scripted.source);
                        do {
                                struct error err = ERROR_INIT;
                                size_t n;

                                code = run(&pipe.media, VDC_Read, buffer, sizeof buffer, &n, &err);
                                assert_false(error_is_set(&err));
                                total += n;
                        } while (code == ERROR_SUCCESS);
                        assert_int_equal(code, ERROR_HANDLE_EOF);
                        assert_int_equal(total, sizes[s]);
                }
        }
}

/* 200 bytes and then a fault: only the first hundred may be served, for the second hundred could be the last of a
 * damaged stream. */
static void the_last_transfer_waits_for_a_sound_end(void **state)
{
        struct scripted scripted = scripted_new(200, 1000, 1);
        struct media_pipe pipe;
        struct error err = ERROR_INIT;
        uint8_t buffer[100];
        size_t n;

        (void)state;
        media_pipe_init_read(&pipe, VDF_ReadMedia, &scripted.source);
        assert_int_equal(run(&pipe.media, VDC_Read, buffer, sizeof buffer, &n, &err), ERROR_SUCCESS);
        assert_int_equal(n, 100);
        assert_int_equal(run(&pipe.media, VDC_Read, buffer, sizeof buffer, &n, &err), ERROR_IO_DEVICE);
        assert_int_equal(n, 0);
        assert_int_equal(err.code, ERR_DAMAGED);
}

static void the_wrong_direction_is_refused(void **state)
{
        struct scripted scripted = scripted_new(1, 1, 0);
        struct media_pipe pipe;
        struct error err = ERROR_INIT;
        uint8_t buffer[4] = { 0 };
        size_t n;

        (void)state;
        media_pipe_init_read(&pipe, VDF_ReadMedia, &scripted.source);
        assert_int_equal(run(&pipe.media, VDC_Write, buffer, sizeof buffer, &n, &err), ERROR_NOT_SUPPORTED);
        assert_true(error_is_set(&err));
        media_pipe_init_write(&pipe, VDF_WriteMedia, NULL);
        assert_int_equal(run(&pipe.media, VDC_Read, buffer, sizeof buffer, &n, &err), ERROR_NOT_SUPPORTED);
}

static void what_a_medium_does_not_know_is_not_supported(void **state)
{
        const uint32_t features[] = { 0, VDF_LikeTape | VDF_LikeDisk | VDF_Discard | VDF_SnapshotPrepare };
        struct scripted scripted = scripted_new(1, 1, 0);
        struct media_pipe pipe;
        size_t n;

        (void)state;
        for (size_t f = 0; f < sizeof features / sizeof features[0]; f++) {
                media_pipe_init_read(&pipe, features[f], &scripted.source);
                for (int32_t code = -1; code <= VDC_Complete + 1; code++) {
                        struct error err = ERROR_INIT;

                        if (code == VDC_Read || code == VDC_Write || code == VDC_ClearError || code == VDC_Flush)
                                continue;
                        assert_int_equal(run(&pipe.media, code, NULL, 0, &n, &err), ERROR_NOT_SUPPORTED);
                        assert_int_equal(n, 0);
                        assert_false(error_is_set(&err));
                }
        }
}

static void complete_needs_to_have_been_granted(void **state)
{
        struct scripted scripted = scripted_new(1, 1, 0);
        struct media_pipe pipe;
        struct error err = ERROR_INIT;
        size_t n;

        (void)state;
        media_pipe_init_read(&pipe, VDF_RequestComplete, &scripted.source);
        assert_int_equal(run(&pipe.media, VDC_Complete, NULL, 0, &n, &err), ERROR_NOT_SUPPORTED);
        media_pipe_init_read(&pipe, VDF_CompleteEnabled, &scripted.source);
        assert_int_equal(run(&pipe.media, VDC_Complete, NULL, 0, &n, &err), ERROR_SUCCESS);
        assert_false(error_is_set(&err));
}

static int counted_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        (void)stage;
        (void)iov;
        (void)count;
        (void)err;
        return 0;
}

static void nothing_is_written_after_complete(void **state)
{
        static const struct stage_ops ops = { .name = "sink", .writev = counted_writev };
        struct stage stage = { .ops = &ops };
        struct media_pipe pipe;
        struct error err = ERROR_INIT;
        uint8_t buffer[4] = { 0 };
        size_t n;

        (void)state;
        media_pipe_init_write(&pipe, VDF_CompleteEnabled, &stage);
        assert_int_equal(run(&pipe.media, VDC_Write, buffer, sizeof buffer, &n, &err), ERROR_SUCCESS);
        assert_int_equal(n, sizeof buffer);
        assert_int_equal(run(&pipe.media, VDC_Complete, NULL, 0, &n, &err), ERROR_SUCCESS);
        assert_int_equal(run(&pipe.media, VDC_Complete, NULL, 0, &n, &err), ERROR_SUCCESS);
        assert_int_equal(run(&pipe.media, VDC_Flush, NULL, 0, &n, &err), ERROR_SUCCESS);
        assert_false(error_is_set(&err));
        assert_int_equal(run(&pipe.media, VDC_Write, buffer, sizeof buffer, &n, &err), ERROR_NOT_SUPPORTED);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_int_equal(n, 0);
}

static void our_errors_have_completion_codes(void **state)
{
        static const struct {
                enum err_code code;
                long completion;
        } cases[] = {
                { ERR_NONE, ERROR_SUCCESS }, { ERR_NO_SPACE, ERROR_DISK_FULL },        { ERR_PIPE, 109 },
                { ERR_IO, ERROR_IO_DEVICE }, { ERR_ABORTED, ERROR_OPERATION_ABORTED },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct error err = { .code = cases[i].code };

                assert_int_equal(completion_code_of_error(&err), cases[i].completion);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_whole_comes_in_order_with_its_end),
                cmocka_unit_test(the_last_transfer_waits_for_a_sound_end),
                cmocka_unit_test(the_wrong_direction_is_refused),
                cmocka_unit_test(what_a_medium_does_not_know_is_not_supported),
                cmocka_unit_test(complete_needs_to_have_been_granted),
                cmocka_unit_test(nothing_is_written_after_complete),
                cmocka_unit_test(our_errors_have_completion_codes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
