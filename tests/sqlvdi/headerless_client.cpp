/*
 * headerless_client SET FILE - a client that was compiled without any header of ours: it declares by itself, as others
 * do, what it needs of the interface. It keeps in FILE what a server writes, and gives it back when the server reads.
 * It has an allocator of its own, which takes back nothing but what it gave.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include <stdint.h>
#include <time.h>

extern "C" {
#pragma pack(push, 8)
struct VDConfig {
        uint32_t deviceCount, features, prefixZoneSize, alignment, softFileMarkBlockSize, EOMWarningSize, serverTimeOut;
        uint32_t blockSize, maxIODepth, maxTransferSize, bufferAreaSize;
};

enum VDCommands {
        VDC_Read = 1,
        VDC_Write = 2,
        VDC_ClearError = 3,
        VDC_Flush = 12,
};

struct VDC_Command {
        int32_t commandCode;
        int32_t size;
        int64_t position;
        uint8_t *buffer;
};

class CVD;
class CVDS;

class ClientVirtualDevice
{
      public:
        ClientVirtualDevice();
        ~ClientVirtualDevice();
        int GetCommand(time_t, VDC_Command **);
        int CompleteCommand(VDC_Command *, int, unsigned long, int64_t);

      private:
        CVD *cvd;
        friend class ClientVirtualDeviceSet;
};

class ClientVirtualDeviceSet
{
      public:
        int Create(char *, VDConfig *);
        int GetConfiguration(time_t, VDConfig *);
        int OpenDevice(char *, ClientVirtualDevice **);
        int Close();
        int SignalAbort();
        int OpenInSecondary(char *);
        int GetBufferHandle(uint8_t *, unsigned int *);
        int MapBufferHandle(int, uint8_t **);
        void RegisterDeviceClosed();
        ClientVirtualDeviceSet();
        ~ClientVirtualDeviceSet();

      private:
        CVDS *cvds;
};
#pragma pack(pop)
}

/* ---- an allocator: what it gives has its mark in front. A sanitizer has its own, which looks for the same. ---- */

#ifdef OWN_ALLOCATOR

static const uint64_t MARK = 0x6d696e65206d696eu;

void *operator new(size_t size, const std::nothrow_t &) noexcept
{
        uint64_t *memory = (uint64_t *)malloc(16 + size);

        if (!memory)
                return nullptr;
        memory[0] = MARK;
        return memory + 2;
}

void *operator new(size_t size)
{
        void *memory = operator new(size, std::nothrow);

        if (!memory)
                throw std::bad_alloc();
        return memory;
}

void operator delete(void *memory) noexcept
{
        uint64_t *start = (uint64_t *)memory - 2;

        if (!memory)
                return;
        if (start[0] != MARK) {
                fprintf(stderr, "not from this allocator\n");
                abort();
        }
        start[0] = 0;
        free(start);
}

void operator delete(void *memory, size_t) noexcept
{
        operator delete(memory);
}

#endif

/* ---- the client ---- */

static const int CLOSED = (int)0x8077000E;

/* The base of an object of its own: its constructor calls the other constructor. */
struct named_set : ClientVirtualDeviceSet {
        char name[64];
};

static int execute(FILE *file, const VDC_Command *command, unsigned long *ret_bytes)
{
        unsigned long size = (unsigned long)command->size;

        *ret_bytes = 0;
        if (command->commandCode == VDC_Flush)
                return fflush(file) == 0 ? 0 : 1117;
        if (command->commandCode == VDC_ClearError)
                return 0;
        if (command->commandCode != VDC_Read && command->commandCode != VDC_Write)
                return 50;
        *ret_bytes = command->commandCode == VDC_Read ? fread(command->buffer, 1, size, file)
                                                      : fwrite(command->buffer, 1, size, file);
        if (*ret_bytes == size)
                return 0;
        return command->commandCode == VDC_Read ? 38 : 112;
}

static int serve(named_set *set, FILE *file)
{
        ClientVirtualDevice *device = nullptr;
        VDC_Command *command;
        VDConfig config;
        int result = set->GetConfiguration(60, &config);

        if (result == 0)
                result = set->OpenDevice(set->name, &device);
        while (result == 0 && (result = device->GetCommand(60, &command)) == 0) {
                unsigned long bytes;
                unsigned int handle;
                uint8_t *again;
                int code = execute(file, command, &bytes);

                if (command->buffer && (set->GetBufferHandle(command->buffer, &handle) != 0 ||
                                        set->MapBufferHandle((int)handle, &again) != 0 || again != command->buffer))
                        return set->SignalAbort();
                result = device->CompleteCommand(command, code, bytes, 0);
        }
        delete device;
        return result;
}

int main(int argc, char **argv)
{
        FILE *file = argc == 3 ? fopen(argv[2], "a+b") : nullptr;
        VDConfig config = {};
        int result;

        if (!file)
                return 2;
        rewind(file);
        named_set *set = new named_set;
        snprintf(set->name, sizeof set->name, "%s", argv[1]);
        config.deviceCount = 1;
        result = set->Create(set->name, &config);
        if (result == 0)
                result = serve(set, file);
        set->RegisterDeviceClosed();
        if (set->Close() != 0)
                result = 0;
        delete set;
        printf("%s: %s\n", argv[1], result == CLOSED ? "VD_E_CLOSE" : "failed");
        return fclose(file) == 0 && result == CLOSED ? 0 : 1;
}
