/*
 * Prints every size, offset and value that programs have compiled into themselves, and then what each member's symbol
 * answers to a call. abi.expected holds what must come out.
 */
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <new>

#include <vdipipe/sqlvdi.h>

#define SIZE(type)          printf("size %s %zu align %zu\n", #type, sizeof(type), alignof(type))
#define OFFSET(type, field) printf("offset %s.%s %zu\n", #type, #field, offsetof(type, field))
#define VALUE(name)         printf("value %s %lld\n", #name, (long long)(name))

static void print_structures()
{
        SIZE(VDConfig);
        OFFSET(VDConfig, deviceCount);
        OFFSET(VDConfig, features);
        OFFSET(VDConfig, prefixZoneSize);
        OFFSET(VDConfig, alignment);
        OFFSET(VDConfig, softFileMarkBlockSize);
        OFFSET(VDConfig, EOMWarningSize);
        OFFSET(VDConfig, serverTimeOut);
        OFFSET(VDConfig, blockSize);
        OFFSET(VDConfig, maxIODepth);
        OFFSET(VDConfig, maxTransferSize);
        OFFSET(VDConfig, bufferAreaSize);
        SIZE(VDC_Command);
        OFFSET(VDC_Command, commandCode);
        OFFSET(VDC_Command, size);
        OFFSET(VDC_Command, position);
        OFFSET(VDC_Command, buffer);
        SIZE(VDS_Command);
        OFFSET(VDS_Command, commandCode);
        OFFSET(VDS_Command, size);
        OFFSET(VDS_Command, inPosition);
        OFFSET(VDS_Command, outPosition);
        OFFSET(VDS_Command, buffer);
        OFFSET(VDS_Command, completionRoutine);
        OFFSET(VDS_Command, completionContext);
        OFFSET(VDS_Command, completionCode);
        OFFSET(VDS_Command, bytesTransferred);
        SIZE(ClientVirtualDevice);
        SIZE(ClientVirtualDeviceSet);
        SIZE(VDCommands);
        SIZE(VDWhence);
        SIZE(time_t);
}

static void print_features()
{
        VALUE(VDF_Removable);
        VALUE(VDF_Rewind);
        VALUE(VDF_Position);
        VALUE(VDF_SkipBlocks);
        VALUE(VDF_ReversePosition);
        VALUE(VDF_Discard);
        VALUE(VDF_FileMarks);
        VALUE(VDF_RandomAccess);
        VALUE(VDF_SnapshotPrepare);
        VALUE(VDF_EnumFrozenFiles);
        VALUE(VDF_VSSWriter);
        VALUE(VDF_RequestComplete);
        VALUE(VDF_WriteMedia);
        VALUE(VDF_ReadMedia);
        VALUE(VDF_CompleteEnabled);
        VALUE(VDF_LatchStats);
        VALUE(VDF_LikePipe);
        VALUE(VDF_LikeTape);
        VALUE(VDF_LikeDisk);
}

static void print_commands()
{
        VALUE(VDC_Read);
        VALUE(VDC_Write);
        VALUE(VDC_ClearError);
        VALUE(VDC_Rewind);
        VALUE(VDC_WriteMark);
        VALUE(VDC_SkipMarks);
        VALUE(VDC_SkipBlocks);
        VALUE(VDC_Load);
        VALUE(VDC_GetPosition);
        VALUE(VDC_SetPosition);
        VALUE(VDC_Discard);
        VALUE(VDC_Flush);
        VALUE(VDC_Snapshot);
        VALUE(VDC_MountSnapshot);
        VALUE(VDC_PrepareToFreeze);
        VALUE(VDC_FileInfoBegin);
        VALUE(VDC_FileInfoEnd);
        VALUE(VDC_GetError);
        VALUE(VDC_Complete);
        VALUE(VDC_Beginning);
        VALUE(VDC_Current);
        VALUE(VDC_End);
}

static void print_codes()
{
        VALUE(ERROR_SUCCESS);
        VALUE(ERROR_ARENA_TRASHED);
        VALUE(ERROR_HANDLE_EOF);
        VALUE(ERROR_HANDLE_DISK_FULL);
        VALUE(ERROR_NOT_SUPPORTED);
        VALUE(ERROR_DISK_FULL);
        VALUE(ERROR_OPERATION_ABORTED);
        VALUE(VD_E_NOTOPEN);
        VALUE(VD_E_TIMEOUT);
        VALUE(VD_E_ABORT);
        VALUE(VD_E_SECURITY);
        VALUE(VD_E_INVALID);
        VALUE(VD_E_INSTANCE_NAME);
        VALUE(VD_E_NOTSUPPORTED);
        VALUE(VD_E_MEMORY);
        VALUE(VD_E_UNEXPECTED);
        VALUE(VD_E_PROTOCOL);
        VALUE(VD_E_OPEN);
        VALUE(VD_E_CLOSE);
        VALUE(VD_E_BUSY);
}

/* The members by their symbols, as a C program would call them: the mangled names and the C prototypes. */
extern "C" {
void device_construct(void *) __asm__("_ZN19ClientVirtualDeviceC1Ev");
void device_construct_base(void *) __asm__("_ZN19ClientVirtualDeviceC2Ev");
void device_destroy(void *) __asm__("_ZN19ClientVirtualDeviceD1Ev");
void device_destroy_base(void *) __asm__("_ZN19ClientVirtualDeviceD2Ev");
int get_command(void *, time_t, void **) __asm__("_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command");
int complete_command(void *, void *, int, unsigned long,
                     int64_t) __asm__("_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml");
void set_construct(void *) __asm__("_ZN22ClientVirtualDeviceSetC1Ev");
void set_construct_base(void *) __asm__("_ZN22ClientVirtualDeviceSetC2Ev");
void set_destroy(void *) __asm__("_ZN22ClientVirtualDeviceSetD1Ev");
void set_destroy_base(void *) __asm__("_ZN22ClientVirtualDeviceSetD2Ev");
int create(void *, char *, void *) __asm__("_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig");
int get_configuration(void *, time_t, void *) __asm__("_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig");
int open_device(void *, char *, void **) __asm__("_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice");
int close_set(void *) __asm__("_ZN22ClientVirtualDeviceSet5CloseEv");
int signal_abort(void *) __asm__("_ZN22ClientVirtualDeviceSet11SignalAbortEv");
int open_in_secondary(void *, char *) __asm__("_ZN22ClientVirtualDeviceSet15OpenInSecondaryEPc");
int get_buffer_handle(void *, uint8_t *, unsigned *) __asm__("_ZN22ClientVirtualDeviceSet15GetBufferHandleEPhPj");
int map_buffer_handle(void *, int, uint8_t **) __asm__("_ZN22ClientVirtualDeviceSet15MapBufferHandleEiPPh");
void register_device_closed(void *) __asm__("_ZN22ClientVirtualDeviceSet20RegisterDeviceClosedEv");
}

#define CALL(expression) printf("call %s %#x\n", #expression, (unsigned)(expression))

/* Eight bytes for the object, and eight behind it that nobody may touch. */
struct place {
        unsigned char object[8];
        unsigned char behind[8];
};

static void check_behind(const place *place)
{
        printf("behind %s\n",
               memcmp(place->behind, "\xA5\xA5\xA5\xA5\xA5\xA5\xA5\xA5", 8) == 0 ? "untouched" : "written");
}

static void call_device(void (*construct)(void *), void (*destroy)(void *))
{
        place device;
        void *command = &device;

        memset(&device, 0xA5, sizeof device);
        construct(&device);
        CALL(get_command(&device, 0, &command));
        CALL(complete_command(&device, &command, 0, 0, 0));
        destroy(&device);
        check_behind(&device);
}

static void call_set(void (*construct)(void *), void (*destroy)(void *))
{
        place set;
        void *device = &set;
        char name[] = "none";
        uint8_t byte = 0;
        uint8_t *buffer = &byte;
        unsigned handle = 1;
        VDConfig config = {};

        memset(&set, 0xA5, sizeof set);
        construct(&set);
        CALL(create(&set, name, &config));
        CALL(get_configuration(&set, 0, &config));
        CALL(open_device(&set, name, &device));
        CALL(close_set(&set));
        CALL(signal_abort(&set));
        CALL(open_in_secondary(&set, name));
        CALL(get_buffer_handle(&set, &byte, &handle));
        CALL(map_buffer_handle(&set, -1, &buffer));
        register_device_closed(&set);
        destroy(&set);
        check_behind(&set);
}

int main()
{
        print_structures();
        print_features();
        print_commands();
        print_codes();
        call_device(device_construct, device_destroy);
        call_device(device_construct_base, device_destroy_base);
        call_set(set_construct, set_destroy);
        call_set(set_construct_base, set_destroy_base);
        return 0;
}
