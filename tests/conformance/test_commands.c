/*
 * The commands: their inputs (6.2) and outputs (6.3), order and depth (6.5), each published completion code (3.9), for
 * every personality (1.5, 6.9); and what SendCommand refuses (5.13).
 */
#include "tests/conformance/stage.h"

enum { UNTOUCHED = -77 }; /* what a player puts into the output fields */

/* What goes in by 6.2, and what comes out by 6.3. */
static const struct {
        int code;
        bool buffer;       /* X bytes of one; the count comes back */
        bool size;         /* a count or a word: passes as it is */
        bool position_in;  /* as it is */
        bool position_out; /* comes back */
} commands[] = {
        { .code = VDC_Read, .buffer = true, .position_in = true },
        { .code = VDC_Write, .buffer = true, .position_in = true },
        { .code = VDC_ClearError },
        { .code = VDC_Rewind },
        { .code = VDC_WriteMark },
        { .code = VDC_SkipMarks, .size = true },
        { .code = VDC_SkipBlocks, .size = true },
        { .code = VDC_Load, .size = true },
        { .code = VDC_GetPosition, .position_out = true },
        { .code = VDC_SetPosition, .size = true, .position_in = true, .position_out = true },
        { .code = VDC_Discard },
        { .code = VDC_Flush },
        { .code = VDC_Snapshot },
        { .code = VDC_MountSnapshot },
        { .code = VDC_PrepareToFreeze },
        { .code = VDC_FileInfoBegin },
        { .code = VDC_FileInfoEnd },
        { .code = VDC_GetError },
        { .code = VDC_Complete },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct {
        const char *name;
        uint32_t features;
} personalities[] = {
        { "pipe", VDF_LikePipe },
        { "removable pipe", VDF_LikePipe | VDF_Removable | VDF_SnapshotPrepare },
        { "tape", VDF_LikeTape | VDF_Discard },
        { "disk", VDF_LikeDisk | VDF_RequestComplete },
        { "removable disk", VDF_LikeDisk | VDF_Removable },
};

static struct call_result get(struct stage *stage, uint32_t slot)
{
        return EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .slot = slot, .timeout_ms = CALL_WAIT_MS);
}

static void allocate(struct stage *stage)
{
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 1, .size = STAGE_TRANSFER);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 2, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_ALLOCATE_BUFFER, .buffer = 3, .size = 2 * STAGE_TRANSFER);
}

/* ---- inputs and outputs ---- */

static void one_command(struct stage *stage, size_t row, int32_t size, int64_t position, uint64_t bytes)
{
        int code = commands[row].code;
        struct call_result result;

        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = code, .buffer = commands[row].buffer ? 1 : 0,
               .size = size, .position = position);
        result = get(stage, 0);
        EXPECT_NUMBER(result.code, code);
        EXPECT_NUMBER(result.size, size);
        EXPECT_NUMBER(result.position, position);
        EXPECT_NUMBER(result.has_buffer, commands[row].buffer);
        EXPECT_NUMBER(CALL(stage->server, OP_LOOK).calls, 0);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .bytes = bytes, .position = 0x123456789abcdef);
        EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, commands[row].buffer ? (int)bytes : 0);
        result = CALL(stage->server, OP_LOOK);
        EXPECT_NUMBER(result.position, commands[row].position_out ? 0x123456789abcdef : UNTOUCHED);
        EXPECT_NUMBER(result.in_sending, false);
}

static void inputs_arrive_and_outputs_come_back(void **state)
{
        static const int32_t words_of_size[] = { 0, 1, -1, VDC_End, INT32_MAX, INT32_MIN };
        static const int64_t positions[] = { 0, 1, 4096, -1, INT64_MAX, INT64_MIN, 1LL << 40 };
        static const int32_t sizes[] = { STAGE_BLOCK, 5 * STAGE_BLOCK, STAGE_TRANSFER };

        for (size_t i = 0; i < sizeof personalities / sizeof personalities[0]; i++) {
                struct stage *stage = stage_new(state);

                stage->wishes.features = personalities[i].features;
                stage_up(stage);
                allocate(stage);
                for (size_t row = 0; row < COMMANDS; row++) {
                        stage_say("%s, %s", personalities[i].name, vds_command_name(commands[row].code));
                        for (size_t j = 0; commands[row].buffer && j < sizeof sizes / sizeof sizes[0]; j++) {
                                one_command(stage, row, sizes[j], 0, (uint64_t)sizes[j]);
                                one_command(stage, row, sizes[j], 7, 0);
                                one_command(stage, row, sizes[j], -7, 777);
                        }
                        for (size_t j = 0; commands[row].size && j < sizeof words_of_size / sizeof words_of_size[0];
                             j++)
                                one_command(stage, row, words_of_size[j], 0, 99);
                        for (size_t j = 0; commands[row].position_in && j < sizeof positions / sizeof positions[0]; j++)
                                one_command(stage, row, commands[row].buffer ? STAGE_BLOCK : 0, positions[j], 12);
                        if (!commands[row].buffer)
                                one_command(stage, row, 0, 0, 5);
                }
        }
}

/* What is written into a buffer at one end is read from it at the other, at the same distance from its start. */
static void data_crosses_both_ways(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.prefixZoneSize = 512;
        stage_up(stage);
        allocate(stage);
        for (uint32_t i = 0; i < 20; i++) {
                uint32_t buffer = 1 + i % 2;
                int32_t size = i % 2 ? STAGE_BLOCK : STAGE_TRANSFER;

                EXPECT(NOERROR, stage->server, OP_FILL, .buffer = buffer, .seed = i, .size = size);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Write, .buffer = buffer, .size = size);
                EXPECT_NUMBER(get(stage, 0).address % STAGE_BLOCK, 0);
                EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .seed = i, .size = size);
                EXPECT(NOERROR, stage->user, OP_FILL, .place = PLACE_COMMAND, .seed = 1000 + i, .offset = -512,
                       .size = 512);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .bytes = (uint64_t)size);
                EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, size);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Read, .buffer = buffer, .size = size);
                get(stage, 0);
                /* The prefix zone is the client's, and lies outside the data. */
                EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .seed = 1000 + i, .offset = -512, .size = 512);
                EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .seed = i, .size = size);
                EXPECT(NOERROR, stage->user, OP_FILL, .place = PLACE_COMMAND, .seed = 2000 + i, .size = size);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .bytes = (uint64_t)size);
                EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, size);
                EXPECT(1, stage->server, OP_MATCH, .buffer = buffer, .seed = 2000 + i, .size = size);
        }
}

/* A command may carry a buffer that it does not need, and name it by any of its blocks. */
static void a_buffer_is_named_by_any_block(void **state)
{
        struct stage *stage = stage_new(state);
        uint64_t start;

        stage_up(stage);
        allocate(stage);
        EXPECT(NOERROR, stage->server, OP_FILL, .buffer = 1, .seed = 3, .offset = 2 * STAGE_BLOCK, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Load, .buffer = 1);
        start = get(stage, 0).address;
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND);
        EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, 0);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = VDC_Write, .buffer = 1, .offset = 2 * STAGE_BLOCK,
               .size = STAGE_BLOCK);
        EXPECT_NUMBER(get(stage, 0).address - start, 2 * STAGE_BLOCK);
        EXPECT(1, stage->user, OP_MATCH, .place = PLACE_COMMAND, .seed = 3, .size = STAGE_BLOCK);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .bytes = STAGE_BLOCK);
        EXPECT_CALLBACK(stage, 0, ERROR_SUCCESS, STAGE_BLOCK);
}

/* ---- which commands a personality has to do with ---- */

/* 6.9: X, and O with the bit that has it sent. A snapshot is a matter of pipes (9.2). What is not admitted may be
 * answered with ERROR_NOT_SUPPORTED. */
static void commands_are_admitted_by_features(void **state)
{
        /* clang-format off */
        static const struct {
                int code;
                bool pipe, tape, disk, removable_disk;
                uint32_t bit; /* one more that admits it */
        } rows[] = {
                { VDC_Read, true, true, true, true, 0 },
                { VDC_Write, true, true, true, true, 0 },
                { VDC_ClearError, true, true, true, true, 0 },
                { VDC_WriteMark, false, true, false, false, 0 },
                { VDC_SkipMarks, false, true, false, false, 0 },
                { VDC_SkipBlocks, false, true, false, false, 0 },
                { VDC_Load, false, true, false, true, VDF_Removable },
                { VDC_Rewind, false, true, false, false, 0 },
                { VDC_GetPosition, false, true, true, true, 0 },
                { VDC_SetPosition, false, true, true, true, 0 },
                { VDC_Discard, false, false, false, false, VDF_Discard },
                { VDC_Flush, true, true, true, true, 0 },
                { VDC_Snapshot, true, false, false, false, 0 },
                { VDC_MountSnapshot, true, false, false, false, 0 },
                { VDC_PrepareToFreeze, false, false, false, false, VDF_SnapshotPrepare },
                { VDC_FileInfoBegin, false, false, false, false, VDF_EnumFrozenFiles },
                { VDC_FileInfoEnd, false, false, false, false, VDF_EnumFrozenFiles },
                { VDC_GetError, false, false, false, false, 0 },
                { VDC_Complete, false, false, false, false, VDF_CompleteEnabled },
                { 0, false, false, false, false, 0 },
                { VDC_Complete + 1, false, false, false, false, 0 },
        };
        /* clang-format on */

        stage_new(state);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                stage_say("%s", vds_command_name(rows[i].code));
                EXPECT_NUMBER(vds_command_admitted(VDF_LikePipe, rows[i].code), rows[i].pipe);
                EXPECT_NUMBER(vds_command_admitted(VDF_LikeTape, rows[i].code), rows[i].tape);
                EXPECT_NUMBER(vds_command_admitted(VDF_LikeDisk, rows[i].code), rows[i].disk);
                EXPECT_NUMBER(vds_command_admitted(VDF_LikeDisk | VDF_Removable, rows[i].code), rows[i].removable_disk);
                if (rows[i].bit)
                        EXPECT_NUMBER(vds_command_admitted(rows[i].bit, rows[i].code), true);
        }
}

/* ---- completion codes ---- */

static void check_code(struct stage *stage, int command, int code)
{
        bool moves = command == VDC_Read || command == VDC_Write;

        stage_say("%s completed with %d", vds_command_name(command), code);
        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = command, .buffer = moves ? 2 : 0,
               .size = moves ? STAGE_BLOCK : 0);
        get(stage, 0);
        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .code = code, .bytes = 100);
        EXPECT_CALLBACK(stage, 0, code, moves ? 100 : 0);
        if (code != ERROR_SUCCESS) {
                EXPECT(VD_E_IO_ERROR, stage->server, OP_SEND_COMMAND, .slot = 1, .code = VDC_Flush);
                EXPECT_CALLBACK(stage, 1, ERROR_IO_DEVICE, 0);
                stage_pass(stage, 0, 2, VDC_ClearError);
        }
        stage_pass(stage, 0, 3, VDC_Flush);
}

/* Unchanged, known or not; any but 0 puts the device into IO-ERROR. */
static void every_completion_code_passes(void **state)
{
        static const int codes[] = {
                ERROR_SUCCESS,
                ERROR_INVALID_HANDLE,
                ERROR_ARENA_TRASHED,
                ERROR_HANDLE_EOF,
                ERROR_HANDLE_DISK_FULL,
                ERROR_NOT_SUPPORTED,
                ERROR_DISK_FULL,
                ERROR_OPERATION_ABORTED,
                ERROR_END_OF_MEDIA,
                ERROR_FILEMARK_DETECTED,
                ERROR_BEGINNING_OF_MEDIA,
                ERROR_NO_DATA_DETECTED,
                ERROR_IO_DEVICE,
                ERROR_EOM_OVERFLOW,
                ERROR_NO_SYSTEM_RESOURCES,
                1,
                65535,
                -1,
                INT32_MAX,
                INT32_MIN,
        };
        struct stage *stage = stage_new(state);

        stage_up(stage);
        allocate(stage);
        for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
                for (size_t row = 0; row < COMMANDS; row++)
                        if (commands[row].code != VDC_ClearError)
                                check_code(stage, commands[row].code, codes[i]);
}

/* ---- order and depth ---- */

static void as_many_as_a_queue_holds(void **state)
{
        static const uint32_t counts[] = { 1, 2, VDS_QUEUE_DEPTH };

        for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
                struct stage *stage = stage_new(state);

                stage_up(stage);
                stage_say("%u outstanding", counts[i]);
                for (uint32_t slot = 0; slot < counts[i]; slot++)
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = slot, .code = VDC_SkipBlocks,
                               .size = (int32_t)slot);
                /* In the order in which they were sent. */
                for (uint32_t slot = 0; slot < counts[i]; slot++)
                        EXPECT_NUMBER(get(stage, slot).size, slot);
                EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND, .slot = CALL_SLOTS - 1);
                for (uint32_t slot = 0; slot < counts[i]; slot++)
                        EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .slot = slot);
                for (uint32_t slot = 0; slot < counts[i]; slot++)
                        EXPECT_CALLBACK(stage, slot, ERROR_SUCCESS, 0);
        }
}

/* What counts is what is outstanding, delivered or not. */
static void one_more_than_a_queue_holds(void **state)
{
        for (uint32_t delivered = 0; delivered <= VDS_QUEUE_DEPTH; delivered += VDS_QUEUE_DEPTH / 2) {
                struct stage *stage = stage_new(state);

                stage_up(stage);
                stage_say("%u delivered", delivered);
                for (uint32_t slot = 0; slot < VDS_QUEUE_DEPTH; slot++)
                        EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = slot, .code = VDC_Flush);
                for (uint32_t slot = 0; slot < delivered; slot++)
                        get(stage, slot);
                EXPECT(VD_E_QUEUE_FULL, stage->server, OP_SEND_COMMAND, .slot = 64, .code = VDC_Flush);
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = 64).in_sending, true);
                EXPECT_CALLBACK(stage, 64, ERROR_NO_SYSTEM_RESOURCES, 0);
                /* The other device has a queue of its own. */
                stage_pass(stage, 1, 65, VDC_Flush);
                for (uint32_t slot = delivered; slot < VDS_QUEUE_DEPTH; slot++)
                        get(stage, slot);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .slot = 40);
                EXPECT_CALLBACK(stage, 40, ERROR_SUCCESS, 0);
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = 64, .code = VDC_Flush);
                EXPECT(VD_E_QUEUE_FULL, stage->server, OP_SEND_COMMAND, .slot = 66, .code = VDC_Flush);
        }
}

static void swap(uint32_t *one, uint32_t *other)
{
        uint32_t kept = *one;

        *one = *other;
        *other = kept;
}

static void complete_in_order(struct stage *stage, const uint32_t order[4])
{
        stage_say("completed in the order %u %u %u %u", order[0], order[1], order[2], order[3]);
        for (uint32_t slot = 0; slot < 4; slot++)
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .slot = slot, .code = VDC_SetPosition,
                       .position = 100 + (int64_t)slot);
        for (uint32_t slot = 0; slot < 4; slot++)
                EXPECT_NUMBER(get(stage, slot).position, 100 + (int64_t)slot);
        for (uint32_t i = 0; i < 4; i++)
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .slot = order[i],
                       .position = 200 + (int64_t)order[i]);
        for (uint32_t slot = 0; slot < 4; slot++) {
                EXPECT_CALLBACK(stage, slot, ERROR_SUCCESS, 0);
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = slot).position, 200 + (int64_t)slot);
        }
        /* Callbacks come in the order of the completions. */
        for (uint32_t i = 1; i < 4; i++)
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK, .slot = order[i]).order,
                              CALL(stage->server, OP_LOOK, .slot = order[i - 1]).order + 1);
}

static void permute(struct stage *stage, uint32_t order[4], int from)
{
        if (from == 4) {
                complete_in_order(stage, order);
                return;
        }
        for (int i = from; i < 4; i++) {
                swap(&order[from], &order[i]);
                permute(stage, order, from + 1);
                swap(&order[from], &order[i]);
        }
}

static void completed_in_every_order(void **state)
{
        struct stage *stage = stage_new(state);
        uint32_t order[4] = { 0, 1, 2, 3 };

        stage_up(stage);
        permute(stage, order, 0);
}

/* Devices have no order between them. */
static void devices_are_independent(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.deviceCount = VDS_DEVICES_MAX;
        stage_up(stage);
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++)
                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .device = i, .slot = i, .code = VDC_SkipMarks,
                       .size = (int32_t)i);
        for (uint32_t i = VDS_DEVICES_MAX; i-- > 0;)
                EXPECT_NUMBER(
                        EXPECT(NOERROR, stage->user, OP_GET_COMMAND, .device = i, .slot = i, .timeout_ms = CALL_WAIT_MS)
                                .size,
                        i);
        EXPECT(VD_E_INVALID, stage->user, OP_COMPLETE_COMMAND, .device = 1, .slot = 2);
        for (uint32_t i = 0; i < VDS_DEVICES_MAX; i++) {
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .device = i, .slot = i);
                EXPECT_CALLBACK(stage, i, ERROR_SUCCESS, 0);
        }
        stage_finish_devices(stage);
        stage_expect_agent(stage, NOERROR);
        EXPECT(NOERROR, stage->user, OP_CLOSE);
        EXPECT(NOERROR, stage->server, OP_CLOSE);
}

/* ---- whole operations ---- */

/* 6.10 and section 9: what a device goes through from beginning to end. */
static const struct {
        const char *name;
        uint32_t features;
        uint32_t answer;
        int commands[12];
        int end; /* the completion code of the last one */
} operations[] = {
        { "a backup", VDF_LikePipe, 0, { VDC_Write, VDC_Write, VDC_Write, VDC_Flush }, ERROR_SUCCESS },
        { "a backup of several flushes",
          VDF_LikePipe,
          0,
          { VDC_Write, VDC_Flush, VDC_Write, VDC_Flush, VDC_Flush },
          ERROR_SUCCESS },
        { "a backup with Complete",
          VDF_RequestComplete,
          VDF_CompleteEnabled,
          { VDC_Write, VDC_Flush, VDC_Complete },
          ERROR_SUCCESS },
        { "a restore", VDF_LikePipe, 0, { VDC_Read, VDC_Read }, ERROR_HANDLE_EOF },
        { "a look at the header", VDF_LikePipe, 0, { VDC_Read }, ERROR_SUCCESS },
        { "nothing at all", VDF_LikePipe, 0, { 0 }, ERROR_SUCCESS },
        { "a snapshot",
          VDF_SnapshotPrepare,
          0,
          { VDC_Write, VDC_PrepareToFreeze, VDC_Write, VDC_Snapshot },
          ERROR_SUCCESS },
        { "a snapshot refused", VDF_LikePipe, 0, { VDC_Write, VDC_Snapshot }, ERROR_OPERATION_ABORTED },
        { "a snapshot restored", VDF_LikePipe, 0, { VDC_Read, VDC_MountSnapshot, VDC_Read }, ERROR_SUCCESS },
        { "a tape appended to",
          VDF_LikeTape,
          0,
          { VDC_Rewind, VDC_Read, VDC_SkipMarks, VDC_GetPosition, VDC_WriteMark, VDC_Write, VDC_WriteMark, VDC_Flush },
          ERROR_SUCCESS },
        { "a tape changed",
          VDF_LikeTape,
          0,
          { VDC_Write, VDC_Load, VDC_Rewind, VDC_SetPosition, VDC_SkipBlocks, VDC_Write },
          ERROR_END_OF_MEDIA },
        { "a disk file overwritten",
          VDF_LikeDisk,
          0,
          { VDC_Read, VDC_SetPosition, VDC_Write, VDC_GetPosition, VDC_Flush },
          ERROR_SUCCESS },
        { "space given up", VDF_LikeDisk | VDF_Discard, 0, { VDC_Discard, VDC_Flush }, ERROR_SUCCESS },
};

static void run_operation(struct stage *stage, const int *codes, int end)
{
        for (int i = 0; codes[i]; i++) {
                bool moves = codes[i] == VDC_Read || codes[i] == VDC_Write;
                int code = codes[i + 1] ? ERROR_SUCCESS : end;

                EXPECT(NOERROR, stage->server, OP_SEND_COMMAND, .code = codes[i], .buffer = moves ? 1 : 0,
                       .size = moves ? STAGE_TRANSFER : 0);
                EXPECT_NUMBER(get(stage, 0).code, codes[i]);
                EXPECT(NOERROR, stage->user, OP_COMPLETE_COMMAND, .code = code, .bytes = STAGE_BLOCK);
                EXPECT_CALLBACK(stage, 0, code, moves ? STAGE_BLOCK : 0);
        }
}

static void whole_operations(void **state)
{
        for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
                struct stage *stage = stage_new(state);

                stage->wishes.deviceCount = 1;
                stage->wishes.features = operations[i].features;
                stage->features = operations[i].answer;
                stage_up(stage);
                allocate(stage);
                stage_say("%s", operations[i].name);
                for (int j = 0; operations[i].commands[j]; j++)
                        EXPECT_NUMBER(vds_command_admitted(stage->config.features, operations[i].commands[j]), true);
                run_operation(stage, operations[i].commands, operations[i].end);
                stage_finish_devices(stage);
                stage_expect_agent(stage, NOERROR);
                EXPECT(NOERROR, stage->server, OP_CLOSE);
                EXPECT(NOERROR, stage->user, OP_CLOSE);
                EXPECT_NUMBER(CALL(stage->user, OP_REASON).result, VDS_ABORT_NONE);
        }
}

/* ---- what SendCommand refuses ---- */

/* clang-format off */
static const struct {
        const char *what;
        struct call_request request;
} refused[] = {
        { "command 0", { .code = 0 } },
        { "command 20", { .code = VDC_Complete + 1 } },
        { "command -1", { .code = -1 } },
        { "a Write without buffer", { .code = VDC_Write, .size = STAGE_BLOCK } },
        { "a Read without buffer", { .code = VDC_Read, .size = STAGE_BLOCK } },
        { "foreign memory", { .code = VDC_Write, .odd = ODD_FOREIGN, .size = STAGE_BLOCK } },
        { "foreign memory for nothing", { .code = VDC_Flush, .odd = ODD_FOREIGN } },
        { "no bytes", { .code = VDC_Write, .buffer = 1 } },
        { "a negative size", { .code = VDC_Read, .buffer = 1, .size = -STAGE_BLOCK } },
        { "less than a block", { .code = VDC_Read, .buffer = 1, .size = STAGE_BLOCK - 1 } },
        { "half a block too many", { .code = VDC_Write, .buffer = 1, .size = 3 * STAGE_BLOCK / 2 } },
        { "more than the largest transfer", { .code = VDC_Write, .buffer = 3, .size = STAGE_TRANSFER + STAGE_BLOCK } },
        { "more than the buffer", { .code = VDC_Write, .buffer = 2, .size = 2 * STAGE_BLOCK } },
        { "the end of a buffer", { .code = VDC_Write, .buffer = 1, .offset = STAGE_BLOCK, .size = STAGE_TRANSFER } },
        { "half a block into a buffer", { .code = VDC_Write, .buffer = 1, .offset = 512, .size = STAGE_BLOCK } },
        { "a prefix zone", { .code = VDC_Write, .buffer = 1, .offset = -STAGE_BLOCK, .size = STAGE_BLOCK } },
};
/* clang-format on */

static void what_makes_no_sense_is_refused(void **state)
{
        struct stage *stage = stage_new(state);

        stage->wishes.prefixZoneSize = STAGE_BLOCK;
        stage_up(stage);
        allocate(stage);
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
                struct call_request request = refused[i].request;

                stage_say("%s", refused[i].what);
                request.op = OP_SEND_COMMAND;
                stage_expect(__LINE__, stage->server, VD_E_INVALID, &request);
                EXPECT_NUMBER(CALL(stage->server, OP_LOOK).in_sending, true);
                EXPECT_CALLBACK(stage, 0, ERROR_INVALID_HANDLE, 0);
        }
        stage_say("no routine");
        EXPECT(VD_E_INVALID, stage->server, OP_SEND_COMMAND, .odd = ODD_NO_ROUTINE, .code = VDC_Flush);
        EXPECT(VD_E_TIMEOUT, stage->user, OP_GET_COMMAND);
        stage_pass(stage, 0, 1, VDC_Flush);
}

static const struct CMUnitTest tests[] = {
        IN_EVERY_MODE(inputs_arrive_and_outputs_come_back),
        IN_EVERY_MODE(data_crosses_both_ways),
        IN_EVERY_MODE(a_buffer_is_named_by_any_block),
        IN_ONE_PROCESS(commands_are_admitted_by_features),
        IN_EVERY_MODE(every_completion_code_passes),
        IN_EVERY_MODE(as_many_as_a_queue_holds),
        IN_EVERY_MODE(one_more_than_a_queue_holds),
        IN_EVERY_MODE(completed_in_every_order),
        IN_EVERY_MODE(devices_are_independent),
        IN_EVERY_MODE(whole_operations),
        IN_EVERY_MODE(what_makes_no_sense_is_refused),
};

STAGE_MAIN(tests)
