/*
 * The published numbers (3.3 to 3.9) as they are printed, not as abi.h has them: others compile them in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/vds/vds.h"

struct number {
        const char *name;
        int64_t have;
        int64_t published;
};

#define N(name, published)                        \
        {                                         \
#name, (int64_t)(name), published \
        }

static void check(const struct number *numbers, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (numbers[i].have != numbers[i].published)
                        fail_msg("%s is %lld, published as %lld", numbers[i].name, (long long)numbers[i].have,
                                 (long long)numbers[i].published);
}

#define CHECK(...)                                                      \
        do {                                                            \
                static const struct number numbers[] = { __VA_ARGS__ }; \
                check(numbers, sizeof numbers / sizeof numbers[0]);     \
        } while (0)

static void results(void **state)
{
        (void)state;
        CHECK(N(NOERROR, 0), N(VD_E_NOTOPEN, -2139684862), N(VD_E_TIMEOUT, -2139684861), N(VD_E_ABORT, -2139684860),
              N(VD_E_SECURITY, -2139684859), N(VD_E_INVALID, -2139684858), N(VD_E_INSTANCE_NAME, -2139684857),
              N(VD_E_NOTSUPPORTED, -2139684855), N(VD_E_MEMORY, -2139684854), N(VD_E_UNEXPECTED, -2139684853),
              N(VD_E_PROTOCOL, -2139684852), N(VD_E_OPEN, -2139684851), N(VD_E_CLOSE, -2139684850),
              N(VD_E_BUSY, -2139684849));
}

/* Two results have names and no published value; ours must be nobody else's, nor code 1 or 8 of the series. */
static void results_without_number(void **state)
{
        (void)state;
        for (int code = 0; code <= 0x0f; code++) {
                assert_int_not_equal(VD_E_QUEUE_FULL, VD_ERROR(code));
                assert_int_not_equal(VD_E_IO_ERROR, VD_ERROR(code));
        }
        assert_int_not_equal(VD_E_QUEUE_FULL, VD_E_IO_ERROR);
        assert_true(VD_E_QUEUE_FULL < 0 && VD_E_IO_ERROR < 0);
}

static void completion_codes(void **state)
{
        (void)state;
        CHECK(N(ERROR_SUCCESS, 0), N(ERROR_INVALID_HANDLE, 6), N(ERROR_ARENA_TRASHED, 7), N(ERROR_HANDLE_EOF, 38),
              N(ERROR_HANDLE_DISK_FULL, 39), N(ERROR_NOT_SUPPORTED, 50), N(ERROR_DISK_FULL, 112),
              N(ERROR_OPERATION_ABORTED, 995), N(ERROR_END_OF_MEDIA, 1100), N(ERROR_FILEMARK_DETECTED, 1101),
              N(ERROR_BEGINNING_OF_MEDIA, 1102), N(ERROR_NO_DATA_DETECTED, 1104), N(ERROR_IO_DEVICE, 1117),
              N(ERROR_EOM_OVERFLOW, 1129), N(ERROR_NO_SYSTEM_RESOURCES, 1450));
}

static void features(void **state)
{
        (void)state;
        CHECK(N(VDF_LikePipe, 0), N(VDF_Removable, 0x1), N(VDF_Rewind, 0x2), N(VDF_Position, 0x10),
              N(VDF_SkipBlocks, 0x20), N(VDF_ReversePosition, 0x40), N(VDF_Discard, 0x80), N(VDF_FileMarks, 0x100),
              N(VDF_RandomAccess, 0x200), N(VDF_SnapshotPrepare, 0x400), N(VDF_EnumFrozenFiles, 0x800),
              N(VDF_VSSWriter, 0x1000), N(VDF_RequestComplete, 0x2000), N(VDF_WriteMedia, 0x10000),
              N(VDF_ReadMedia, 0x20000), N(VDF_CompleteEnabled, 0x40000), N(VDF_LatchStats, 0x80000000),
              N(VDF_LikeTape, 0x173), N(VDF_LikeDisk, 0x200));
}

static void commands(void **state)
{
        static const char *const names[] = { "Read",        "Write",         "ClearError",      "Rewind",
                                             "WriteMark",   "SkipMarks",     "SkipBlocks",      "Load",
                                             "GetPosition", "SetPosition",   "Discard",         "Flush",
                                             "Snapshot",    "MountSnapshot", "PrepareToFreeze", "FileInfoBegin",
                                             "FileInfoEnd", "GetError",      "Complete" };

        (void)state;
        CHECK(N(VDC_Read, 1), N(VDC_Write, 2), N(VDC_ClearError, 3), N(VDC_Rewind, 4), N(VDC_WriteMark, 5),
              N(VDC_SkipMarks, 6), N(VDC_SkipBlocks, 7), N(VDC_Load, 8), N(VDC_GetPosition, 9), N(VDC_SetPosition, 10),
              N(VDC_Discard, 11), N(VDC_Flush, 12), N(VDC_Snapshot, 13), N(VDC_MountSnapshot, 14),
              N(VDC_PrepareToFreeze, 15), N(VDC_FileInfoBegin, 16), N(VDC_FileInfoEnd, 17), N(VDC_GetError, 18),
              N(VDC_Complete, 19), N(VDC_Beginning, 0), N(VDC_Current, 1), N(VDC_End, 2));
        for (int code = 1; code <= 19; code++)
                assert_string_equal(vds_command_name(code), names[code - 1]);
}

#define O(type, field, published)                                                  \
        {                                                                          \
#type "." #field, (int64_t)offsetof(struct type, field), published \
        }
#define S(type, published)                                                \
        {                                                                 \
                "size of " #type, (int64_t)sizeof(struct type), published \
        }

static void structures(void **state)
{
        (void)state;
        CHECK(S(VDConfig, 44), O(VDConfig, deviceCount, 0), O(VDConfig, features, 4), O(VDConfig, prefixZoneSize, 8),
              O(VDConfig, alignment, 12), O(VDConfig, softFileMarkBlockSize, 16), O(VDConfig, EOMWarningSize, 20),
              O(VDConfig, serverTimeOut, 24), O(VDConfig, blockSize, 28), O(VDConfig, maxIODepth, 32),
              O(VDConfig, maxTransferSize, 36), O(VDConfig, bufferAreaSize, 40));
        CHECK(S(VDC_Command, 24), O(VDC_Command, commandCode, 0), O(VDC_Command, size, 4), O(VDC_Command, position, 8),
              O(VDC_Command, buffer, 16));
        CHECK(S(VDS_Command, 56), O(VDS_Command, commandCode, 0), O(VDS_Command, size, 4),
              O(VDS_Command, inPosition, 8), O(VDS_Command, outPosition, 16), O(VDS_Command, buffer, 24),
              O(VDS_Command, completionRoutine, 32), O(VDS_Command, completionContext, 40),
              O(VDS_Command, completionCode, 48), O(VDS_Command, bytesTransferred, 52));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(results),          cmocka_unit_test(results_without_number),
                cmocka_unit_test(completion_codes), cmocka_unit_test(features),
                cmocka_unit_test(commands),         cmocka_unit_test(structures),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
