/*
 * abi.h - the published constants and structures of the Virtual Device Interface
 *
 * Names, values, order and layout are those of the interface; nothing here may change. The completion codes are the
 * Win32 error numbers that the interface uses. Result codes of functions are negative, built from facility 0x77.
 */
#ifndef VDIPIPE_CORE_VDS_ABI_H
#define VDIPIPE_CORE_VDS_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Feature bits (VDConfig.features). The first group is asked for by the client, the second answered by the server. */
#define VDF_LikePipe        0x00000000u
#define VDF_Removable       0x00000001u
#define VDF_Rewind          0x00000002u
#define VDF_Position        0x00000010u
#define VDF_SkipBlocks      0x00000020u
#define VDF_ReversePosition 0x00000040u
#define VDF_Discard         0x00000080u
#define VDF_FileMarks       0x00000100u
#define VDF_RandomAccess    0x00000200u
#define VDF_SnapshotPrepare 0x00000400u
#define VDF_EnumFrozenFiles 0x00000800u
#define VDF_VSSWriter       0x00001000u
#define VDF_RequestComplete 0x00002000u
#define VDF_WriteMedia      0x00010000u
#define VDF_ReadMedia       0x00020000u
#define VDF_CompleteEnabled 0x00040000u
#define VDF_LatchStats      0x80000000u
#define VDF_LikeTape        0x00000173u
#define VDF_LikeDisk        0x00000200u

enum VDCommands {
        VDC_Read = 1,
        VDC_Write = 2,
        VDC_ClearError = 3,
        VDC_Rewind = 4,
        VDC_WriteMark = 5,
        VDC_SkipMarks = 6,
        VDC_SkipBlocks = 7,
        VDC_Load = 8,
        VDC_GetPosition = 9,
        VDC_SetPosition = 10,
        VDC_Discard = 11,
        VDC_Flush = 12,
        VDC_Snapshot = 13,
        VDC_MountSnapshot = 14,
        VDC_PrepareToFreeze = 15,
        VDC_FileInfoBegin = 16,
        VDC_FileInfoEnd = 17,
        VDC_GetError = 18,
        VDC_Complete = 19,
};

/* Origin of VDC_SetPosition, carried in its size field when VDF_RandomAccess is set. */
enum VDWhence {
        VDC_Beginning = 0,
        VDC_Current = 1,
        VDC_End = 2,
};

struct VDConfig {
        uint32_t deviceCount;           /* client: 1 to 64 */
        uint32_t features;              /* client's wishes; then the server's answer */
        uint32_t prefixZoneSize;        /* client: bytes in front of every buffer's data zone */
        uint32_t alignment;             /* client: smallest alignment of the data zone, bytes */
        uint32_t softFileMarkBlockSize; /* client: 0 = hard file marks */
        uint32_t EOMWarningSize;        /* client: bytes of the end-of-media warning zone */
        uint32_t serverTimeOut;         /* client: milliseconds, 0 = none */
        uint32_t blockSize;             /* server: bytes */
        uint32_t maxIODepth;            /* server: always 4 (deprecated) */
        uint32_t maxTransferSize;       /* server: bytes */
        uint32_t bufferAreaSize;        /* server: bytes */
};

/* What the client receives. Read only; its address names the command to CompleteCommand. */
struct VDC_Command {
        int32_t commandCode;
        int32_t size;
        int64_t position;
        uint8_t *buffer;
};

/* What the server submits. It stays valid and untouched until its callback has run. */
struct VDS_Command {
        int32_t commandCode;
        int32_t size;
        int64_t inPosition;
        int64_t outPosition;
        uint8_t *buffer;
        uint8_t *completionRoutine; /* a vds_completion_routine, cast as the interface has it */
        uint8_t *completionContext;
        int32_t completionCode;
        int32_t bytesTransferred;
};

static_assert(sizeof(struct VDConfig) == 44, "VDConfig is 44 bytes in the published interface");
static_assert(sizeof(struct VDC_Command) == 24, "VDC_Command is 24 bytes in the published interface");
static_assert(sizeof(struct VDS_Command) == 56, "VDS_Command is 56 bytes in the published interface");
static_assert(offsetof(struct VDC_Command, buffer) == 16, "offset of VDC_Command.buffer");
static_assert(offsetof(struct VDS_Command, completionCode) == 48, "offset of VDS_Command.completionCode");

/* Results of the interface's functions. */
#define VD_ERROR(number) ((int)(0x80000000u | (0x77u << 16) | (uint32_t)(number)))

#define NOERROR            0
#define VD_E_NOTOPEN       VD_ERROR(0x02)
#define VD_E_TIMEOUT       VD_ERROR(0x03)
#define VD_E_ABORT         VD_ERROR(0x04)
#define VD_E_SECURITY      VD_ERROR(0x05)
#define VD_E_INVALID       VD_ERROR(0x06)
#define VD_E_INSTANCE_NAME VD_ERROR(0x07)
#define VD_E_NOTSUPPORTED  VD_ERROR(0x09)
#define VD_E_MEMORY        VD_ERROR(0x0A)
#define VD_E_UNEXPECTED    VD_ERROR(0x0B)
#define VD_E_PROTOCOL      VD_ERROR(0x0C)
#define VD_E_OPEN          VD_ERROR(0x0D)
#define VD_E_CLOSE         VD_ERROR(0x0E)
#define VD_E_BUSY          VD_ERROR(0x0F)
/* The interface names these two without giving them values; ours lie outside the published set. */
#define VD_E_QUEUE_FULL VD_ERROR(0x70)
#define VD_E_IO_ERROR   VD_ERROR(0x71)

/* Completion codes. */
#define ERROR_SUCCESS             0L
#define ERROR_INVALID_HANDLE      6L
#define ERROR_ARENA_TRASHED       7L
#define ERROR_HANDLE_EOF          38L
#define ERROR_HANDLE_DISK_FULL    39L
#define ERROR_NOT_SUPPORTED       50L
#define ERROR_DISK_FULL           112L
#define ERROR_OPERATION_ABORTED   995L
#define ERROR_END_OF_MEDIA        1100L
#define ERROR_FILEMARK_DETECTED   1101L
#define ERROR_BEGINNING_OF_MEDIA  1102L
#define ERROR_NO_DATA_DETECTED    1104L
#define ERROR_IO_DEVICE           1117L
#define ERROR_EOM_OVERFLOW        1129L
#define ERROR_NO_SYSTEM_RESOURCES 1450L

/* Bounds of the published configuration. */
enum {
        VDS_DEVICES_MAX = 64,
        VDS_BLOCK_SIZE_MIN = 512,
        VDS_BLOCK_SIZE_MAX = 65536,
        VDS_ALIGNMENT_MAX = 65536,
        VDS_TRANSFER_UNIT = 65536,
        VDS_TRANSFER_MAX = 4194304,
        VDS_IO_DEPTH = 4,
};

#ifdef __cplusplus
}
#endif

#endif
