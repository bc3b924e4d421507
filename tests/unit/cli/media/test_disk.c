/*
 * Disk-like devices: transfers at positions, the position itself, and where the file ends.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/media/media.h"

enum { FEATURES = VDF_LikeDisk | VDF_WriteMedia | VDF_ReadMedia | VDF_CompleteEnabled };

static char folder[] = "/tmp/vdipipe media disk.XXXXXX";
static char path[sizeof folder + 16];

static struct disk *make(void)
{
        struct error err = ERROR_INIT;
        struct disk *disk = NULL;

        if (disk_create(path, "01234567-89ab-4def-8123-456789abcdef", FILE_EXISTING_REPLACED, NULL, &disk, &err) < 0)
                fail_msg("%s", err.message);
        return disk;
}

static long run(struct media_disk *media, int32_t code, int32_t size, int64_t position, void *buffer,
                struct media_outcome *outcome)
{
        const struct VDC_Command command = {
                .commandCode = code, .size = size, .position = position, .buffer = buffer
        };
        struct error err = ERROR_INIT;
        long completion = media_execute(&media->media, &command, outcome, &err);

        if (error_is_set(&err))
                fail_msg("command %d: %s", code, err.message);
        return completion;
}

static void writes(struct media_disk *media, const char *text, int64_t position)
{
        struct media_outcome outcome;
        char copy[16];

        memcpy(copy, text, strlen(text));
        assert_int_equal(run(media, VDC_Write, (int32_t)strlen(text), position, copy, &outcome), ERROR_SUCCESS);
        assert_int_equal(outcome.bytes, strlen(text));
}

static void transfers_go_where_they_say(void **state)
{
        struct disk *disk = make();
        struct media_disk media;
        struct media_outcome outcome;
        char buffer[16] = "";

        (void)state;
        media_disk_init(&media, FEATURES, disk, /* read_only= */ false);
        writes(&media, "second", 4);
        writes(&media, "one.", 0);
        assert_int_equal(run(&media, VDC_Read, 10, 0, buffer, &outcome), ERROR_SUCCESS);
        assert_string_equal(buffer, "one.second");
        assert_int_equal(run(&media, VDC_Read, 10, 7, buffer, &outcome), ERROR_HANDLE_EOF);
        assert_int_equal(outcome.bytes, 3);
        assert_int_equal(run(&media, VDC_Read, 10, 100, buffer, &outcome), ERROR_HANDLE_EOF);
        assert_int_equal(outcome.bytes, 0);
        disk_abort(disk);
        disk_free(disk);
}

static void positions_that_cannot_be_are_refused(void **state)
{
        static const int64_t positions[] = { -1, INT64_MIN, INT64_MAX, INT64_MAX - 3 };
        struct disk *disk = make();
        struct media_disk media;
        struct media_outcome outcome;
        char buffer[8] = "";

        (void)state;
        media_disk_init(&media, FEATURES, disk, /* read_only= */ false);
        for (size_t i = 0; i < sizeof positions / sizeof positions[0]; i++) {
                assert_int_equal(run(&media, VDC_Read, 4, positions[i], buffer, &outcome), ERROR_INVALID_PARAMETER);
                assert_int_equal(run(&media, VDC_Write, 4, positions[i], buffer, &outcome), ERROR_INVALID_PARAMETER);
                assert_int_equal(outcome.bytes, 0);
        }
        disk_abort(disk);
        disk_free(disk);
}

static void the_position_has_three_origins(void **state)
{
        static const struct {
                int32_t whence;
                int64_t offset;
                long completion;
                int64_t position;
        } steps[] = {
                { VDC_Beginning, 3, ERROR_SUCCESS, 3 },
                { VDC_Current, 4, ERROR_SUCCESS, 7 },
                { VDC_Current, -7, ERROR_SUCCESS, 0 },
                { VDC_Current, -1, ERROR_INVALID_PARAMETER, 0 },
                { VDC_End, 0, ERROR_SUCCESS, 10 },
                { VDC_End, -4, ERROR_SUCCESS, 6 },
                { VDC_End, 5, ERROR_SUCCESS, 15 },
                { VDC_End, INT64_MAX, ERROR_INVALID_PARAMETER, 15 },
                { VDC_Beginning, INT64_MAX, ERROR_SUCCESS, INT64_MAX },
                { VDC_Current, 1, ERROR_INVALID_PARAMETER, INT64_MAX },
                { VDC_Beginning, INT64_MIN, ERROR_INVALID_PARAMETER, INT64_MAX },
                { 3, 0, ERROR_INVALID_PARAMETER, INT64_MAX },
                { -1, 0, ERROR_INVALID_PARAMETER, INT64_MAX },
        };
        struct disk *disk = make();
        struct media_disk media;
        struct media_outcome outcome;

        (void)state;
        media_disk_init(&media, FEATURES, disk, /* read_only= */ false);
        writes(&media, "0123456789", 0);
        assert_int_equal(run(&media, VDC_GetPosition, 0, 0, NULL, &outcome), ERROR_SUCCESS);
        assert_int_equal(outcome.position, 10);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                assert_int_equal(run(&media, VDC_SetPosition, steps[i].whence, steps[i].offset, NULL, &outcome),
                                 steps[i].completion);
                assert_int_equal(outcome.position, steps[i].position);
                assert_int_equal(run(&media, VDC_GetPosition, 0, 0, NULL, &outcome), ERROR_SUCCESS);
                assert_int_equal(outcome.position, steps[i].position);
        }
        disk_abort(disk);
        disk_free(disk);
}

static void the_file_ends_where_the_data_does_and_is_then_read_only(void **state)
{
        const struct reader_options options = { .name = "disk" };
        const struct VDC_Command late = { .commandCode = VDC_Write, .size = 1, .buffer = (uint8_t[]){ 0 } };
        struct disk *disk = make();
        struct stage *sink = disk_sink(disk);
        struct media_outcome outcome;
        struct media_disk media;
        struct error err = ERROR_INIT;
        char image[2048];
        struct stat st;
        int fd;

        (void)state;
        memset(image, 0, sizeof image);
        memcpy(image, "TAPE", 4);
        media_disk_init(&media, FEATURES, disk, /* read_only= */ false);
        assert_int_equal(run(&media, VDC_Write, sizeof image, 0, image, &outcome), ERROR_SUCCESS);
        assert_int_equal(run(&media, VDC_Flush, 0, 0, NULL, &outcome), ERROR_SUCCESS);
        assert_int_equal(run(&media, VDC_Complete, 0, 0, NULL, &outcome), ERROR_SUCCESS);
        assert_int_equal(media_execute(&media.media, &late, &outcome, &err), ERROR_NOT_SUPPORTED);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_int_equal(disk_finish(disk, &err), 0);
        assert_int_equal(file_sink_publish(&sink, 1, &err), 0);
        disk_free(disk);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, sizeof image);

        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(disk_open(fd, &options, &disk, &err), 0);
        media_disk_init(&media, FEATURES, disk, /* read_only= */ true);
        assert_int_equal(run(&media, VDC_Write, 4, 0, image, &outcome), ERROR_WRITE_PROTECT);
        assert_int_equal(run(&media, VDC_Read, 4, 2046, image, &outcome), ERROR_HANDLE_EOF);
        assert_int_equal(outcome.bytes, 2);
        assert_int_equal(run(&media, VDC_Flush, 0, 0, NULL, &outcome), ERROR_SUCCESS);
        assert_int_equal(run(&media, VDC_Complete, 0, 0, NULL, &outcome), ERROR_SUCCESS);
        disk_free(disk);
        close(fd);
}

static void a_tapes_commands_are_not_a_disks(void **state)
{
        static const int32_t codes[] = { VDC_Rewind,
                                         VDC_WriteMark,
                                         VDC_SkipMarks,
                                         VDC_SkipBlocks,
                                         VDC_Load,
                                         VDC_Snapshot,
                                         VDC_MountSnapshot,
                                         VDC_PrepareToFreeze,
                                         VDC_FileInfoBegin,
                                         VDC_FileInfoEnd,
                                         VDC_GetError,
                                         VDC_Discard,
                                         0,
                                         20 };
        struct disk *disk = make();
        struct media_outcome outcome;
        struct media_disk media;

        (void)state;
        media_disk_init(&media, FEATURES | VDF_LikeTape | VDF_Discard | VDF_SnapshotPrepare, disk, false);
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
                assert_int_equal(run(&media, codes[i], 0, 0, NULL, &outcome), ERROR_NOT_SUPPORTED);
        disk_abort(disk);
        disk_free(disk);
}

static int make_folder(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof path, "%s/disk", folder);
        return 0;
}

static int remove_folder(void **state)
{
        (void)state;
        unlink(path);
        return rmdir(folder);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(transfers_go_where_they_say),
                cmocka_unit_test(positions_that_cannot_be_are_refused),
                cmocka_unit_test(the_position_has_three_origins),
                cmocka_unit_test(the_file_ends_where_the_data_does_and_is_then_read_only),
                cmocka_unit_test(a_tapes_commands_are_not_a_disks),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
