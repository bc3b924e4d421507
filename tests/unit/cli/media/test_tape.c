/*
 * Tape-like devices: what each command answers, as a table of commands on a tape of two blocks, a mark and a block.
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
#include <unistd.h>

#include "cli/media/media.h"

enum { BLOCK = 512, FEATURES = VDF_LikeTape | VDF_WriteMedia | VDF_ReadMedia | VDF_CompleteEnabled };

static char folder[] = "/tmp/vdipipe media tape.XXXXXX";
static char path[sizeof folder + 16];

static const struct stream_info header = {
        .set_id = "01234567-89ab-4def-8123-456789abcdef",
        .time = "2026-01-31T23:59:59Z",
        .server_kind = "sqlite",
        .type = "full",
        .database = (char[]){ "db" },
        .origin = (char[]){ "" },
        .device_count = 1,
        .block_size = BLOCK,
};

static struct tape *make(uint64_t media_size, uint64_t warning_size)
{
        const struct tape_file file = { .path = path, .set_id = header.set_id, .existing = FILE_EXISTING_REPLACED };
        const struct vdistream_options options = { .compress = false };
        const struct tape_shape shape = { .block_size = BLOCK, .media_size = media_size, .warning_size = warning_size };
        struct error err = ERROR_INIT;
        struct tape *tape = NULL;

        if (tape_create(&file, &header, &options, &shape, &tape, &err) < 0)
                fail_msg("%s", err.message);
        return tape;
}

/* One command and what it must come to. */
struct step {
        int32_t code;
        int32_t size;
        int64_t position;
        long completion;
        uint64_t bytes;
        int64_t new_position;
};

static void run(struct media_tape *media, const struct step *steps, size_t count)
{
        static uint8_t buffer[16 * BLOCK];

        for (size_t i = 0; i < count; i++) {
                const struct VDC_Command command = {
                        .commandCode = steps[i].code,
                        .size = steps[i].size,
                        .position = steps[i].position,
                        .buffer = buffer,
                };
                struct media_outcome outcome;
                struct error err = ERROR_INIT;
                long completion = media_execute(&media->media, &command, &outcome, &err);

                if (error_is_set(&err) || completion != steps[i].completion || outcome.bytes != steps[i].bytes ||
                    outcome.position != steps[i].new_position)
                        fail_msg("step %zu, command %d: code %ld, %llu bytes, position %lld: %s", i, steps[i].code,
                                 completion, (unsigned long long)outcome.bytes, (long long)outcome.position,
                                 err.message);
        }
}

#define RUN(media, ...)                                  \
        run(media, (const struct step[]){ __VA_ARGS__ }, \
            sizeof((const struct step[]){ __VA_ARGS__ }) / sizeof(struct step))

static void write_two_blocks_a_mark_and_a_block(struct media_tape *media)
{
        RUN(media, { VDC_Write, 2 * BLOCK, 0, ERROR_SUCCESS, 2 * BLOCK, 0 },
            { VDC_WriteMark, 0, 0, ERROR_SUCCESS, 0, 0 }, { VDC_Write, BLOCK, 0, ERROR_SUCCESS, BLOCK, 0 },
            { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 4 });
}

static void every_command_moves_and_reports_as_a_drive_does(void **state)
{
        struct tape *tape = make(0, 0);
        struct media_tape media;

        (void)state;
        media_tape_init(&media, FEATURES, tape, /* read_only= */ false);
        write_two_blocks_a_mark_and_a_block(&media);
        RUN(&media, { VDC_Read, BLOCK, 0, ERROR_NO_DATA_DETECTED, 0, 0 }, { VDC_Rewind, 0, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_Read, 4 * BLOCK, 0, ERROR_FILEMARK_DETECTED, 2 * BLOCK, 0 },
            { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 3 }, { VDC_ClearError, 0, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_Read, BLOCK, 0, ERROR_SUCCESS, BLOCK, 0 });
        RUN(&media, { VDC_SkipMarks, -1, 0, ERROR_SUCCESS, 0, 0 }, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 2 },
            { VDC_SkipMarks, -1, 0, ERROR_BEGINNING_OF_MEDIA, 0, 0 }, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_SkipMarks, 1, 0, ERROR_SUCCESS, 0, 0 }, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 3 },
            { VDC_SkipMarks, 1, 0, ERROR_NO_DATA_DETECTED, 0, 0 });
        RUN(&media, { VDC_SetPosition, 0, 1, ERROR_SUCCESS, 0, 1 }, { VDC_SkipBlocks, 1, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_SkipBlocks, 1, 0, ERROR_FILEMARK_DETECTED, 0, 0 }, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 3 },
            { VDC_SkipBlocks, -1, 0, ERROR_FILEMARK_DETECTED, 0, 0 }, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 2 },
            { VDC_SkipBlocks, -3, 0, ERROR_BEGINNING_OF_MEDIA, 0, 0 },
            { VDC_SetPosition, 0, 99, ERROR_NO_DATA_DETECTED, 0, 4 },
            { VDC_SetPosition, 0, -1, ERROR_INVALID_PARAMETER, 0, 0 }, { VDC_Flush, 0, 0, ERROR_SUCCESS, 0, 0 });
        tape_abort(tape, "done");
        tape_free(tape);
}

static void the_medium_is_in_the_drive_until_it_is_used(void **state)
{
        static const struct step uses[] = {
                { VDC_Write, BLOCK, 0, ERROR_SUCCESS, BLOCK, 0 }, { VDC_Read, BLOCK, 0, ERROR_NO_DATA_DETECTED, 0, 0 },
                { VDC_Rewind, 0, 0, ERROR_SUCCESS, 0, 0 },        { VDC_WriteMark, 0, 0, ERROR_SUCCESS, 0, 0 },
                { VDC_SkipMarks, 0, 0, ERROR_SUCCESS, 0, 0 },     { VDC_SkipBlocks, 0, 0, ERROR_SUCCESS, 0, 0 },
                { VDC_SetPosition, 0, 0, ERROR_SUCCESS, 0, 0 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
                struct tape *tape = make(0, 0);
                struct media_tape media;

                media_tape_init(&media, FEATURES, tape, /* read_only= */ false);
                RUN(&media, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 0 }, { VDC_Load, 1, 0, ERROR_SUCCESS, 0, 0 },
                    { VDC_Load, 1, 0, ERROR_SUCCESS, 0, 0 });
                run(&media, &uses[i], 1);
                RUN(&media, { VDC_Load, 1, 0, ERROR_NO_MEDIA_IN_DRIVE, 0, 0 });
                tape_abort(tape, "done");
                tape_free(tape);
        }
}

static void the_end_of_the_medium_is_announced_and_then_there(void **state)
{
        struct tape *tape = make(8 * BLOCK, 2 * BLOCK);
        struct media_tape media;

        (void)state;
        media_tape_init(&media, FEATURES, tape, /* read_only= */ false);
        RUN(&media, { VDC_Write, 6 * BLOCK, 0, ERROR_SUCCESS, 6 * BLOCK, 0 },
            { VDC_Write, BLOCK, 0, ERROR_END_OF_MEDIA, BLOCK, 0 },
            { VDC_Write, 2 * BLOCK, 0, ERROR_EOM_OVERFLOW, 0, 0 }, { VDC_GetPosition, 0, 0, ERROR_SUCCESS, 0, 7 },
            { VDC_WriteMark, 0, 0, ERROR_END_OF_MEDIA, 0, 0 }, { VDC_WriteMark, 0, 0, ERROR_EOM_OVERFLOW, 0, 0 });
        tape_abort(tape, "done");
        tape_free(tape);
}

static void what_is_complete_is_read_only_forever(void **state)
{
        const struct reader_options options = { .name = "tape.vdi" };
        const struct VDC_Command late = { .commandCode = VDC_Write, .size = BLOCK, .buffer = (uint8_t[BLOCK]){ 0 } };
        struct tape *tape = make(0, 0);
        struct error err = ERROR_INIT;
        struct media_outcome outcome;
        struct media_tape media;
        struct stage *sink = tape_sink(tape);
        int fd;

        (void)state;
        media_tape_init(&media, FEATURES, tape, /* read_only= */ false);
        write_two_blocks_a_mark_and_a_block(&media);
        RUN(&media, { VDC_Complete, 0, 0, ERROR_SUCCESS, 0, 0 }, { VDC_Complete, 0, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_Flush, 0, 0, ERROR_SUCCESS, 0, 0 });
        assert_int_equal(media_execute(&media.media, &late, &outcome, &err), ERROR_NOT_SUPPORTED);
        assert_int_equal(err.code, ERR_PROTOCOL);
        assert_int_equal(tape_finish(tape, NULL, &err), 0);
        assert_int_equal(file_sink_publish(&sink, 1, &err), 0);
        tape_free(tape);

        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(tape_open(fd, &options, 0, &tape, &err), 0);
        media_tape_init(&media, FEATURES, tape, /* read_only= */ true);
        RUN(&media, { VDC_Load, 1, 0, ERROR_SUCCESS, 0, 0 }, { VDC_Write, BLOCK, 0, ERROR_WRITE_PROTECT, 0, 0 },
            { VDC_WriteMark, 0, 0, ERROR_WRITE_PROTECT, 0, 0 },
            { VDC_Read, 4 * BLOCK, 0, ERROR_FILEMARK_DETECTED, 2 * BLOCK, 0 },
            { VDC_Read, 4 * BLOCK, 0, ERROR_NO_DATA_DETECTED, BLOCK, 0 }, { VDC_Flush, 0, 0, ERROR_SUCCESS, 0, 0 },
            { VDC_Complete, 0, 0, ERROR_SUCCESS, 0, 0 });
        tape_free(tape);
        close(fd);
}

static void commands_need_their_features(void **state)
{
        static const struct {
                int32_t code;
                uint32_t feature;
        } cases[] = {
                { VDC_Rewind, VDF_Rewind },        { VDC_WriteMark, VDF_FileMarks },
                { VDC_SkipMarks, VDF_FileMarks },  { VDC_SkipBlocks, VDF_SkipBlocks },
                { VDC_Load, VDF_Removable },       { VDC_GetPosition, VDF_Position },
                { VDC_SetPosition, VDF_Position }, { VDC_Complete, VDF_CompleteEnabled },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct tape *tape = make(0, 0);
                struct media_tape media;

                media_tape_init(&media, FEATURES & ~cases[i].feature, tape, /* read_only= */ true);
                RUN(&media, { cases[i].code, 0, 0, ERROR_NOT_SUPPORTED, 0, 0 });
                media_tape_init(&media, cases[i].feature, tape, /* read_only= */ false);
                if (cases[i].code != VDC_Complete)
                        RUN(&media, { cases[i].code, 0, 0, ERROR_SUCCESS, 0, 0 });
                tape_abort(tape, "done");
                tape_free(tape);
        }
}

static int make_folder(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        snprintf(path, sizeof path, "%s/tape.vdi", folder);
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
                cmocka_unit_test(every_command_moves_and_reports_as_a_drive_does),
                cmocka_unit_test(the_medium_is_in_the_drive_until_it_is_used),
                cmocka_unit_test(the_end_of_the_medium_is_announced_and_then_there),
                cmocka_unit_test(what_is_complete_is_read_only_forever),
                cmocka_unit_test(commands_need_their_features),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
