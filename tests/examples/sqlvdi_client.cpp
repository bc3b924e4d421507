/* sqlvdi_client SET FILE - client.c once more, as a program for libsqlvdi.so: Microsoft's or vdipipe's */
#include <cstdio>
#include <cstring>

#include <unistd.h>

#include <vdipipe/sqlvdi.h>

/* Carries one command out. Returns its completion code. */
static int execute(FILE *file, const VDC_Command *command, unsigned long *ret_bytes)
{
        unsigned long size = (unsigned long)command->size;

        *ret_bytes = 0;
        switch (command->commandCode) {
        case VDC_Write:
                *ret_bytes = fwrite(command->buffer, 1, size, file);
                return *ret_bytes == size ? ERROR_SUCCESS : ERROR_DISK_FULL;
        case VDC_Read:
                *ret_bytes = fread(command->buffer, 1, size, file);
                return *ret_bytes == size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
        case VDC_Flush:
                return fflush(file) == 0 && fsync(fileno(file)) == 0 ? ERROR_SUCCESS : ERROR_IO_DEVICE;
        case VDC_ClearError:
                return ERROR_SUCCESS;
        default:
                return ERROR_NOT_SUPPORTED;
        }
}

/* Serves the set's only device until the server closes it. */
static int serve(ClientVirtualDeviceSet &set, char *name, FILE *file)
{
        ClientVirtualDevice *device;
        VDC_Command *command;
        VDConfig config;
        unsigned long bytes;
        int result = set.GetConfiguration(30000, &config);

        if (result == NOERROR)
                result = set.OpenDevice(name, &device);
        while (result == NOERROR) {
                result = device->GetCommand(-1, &command);
                if (result == NOERROR) {
                        int code = execute(file, command, &bytes);

                        result = device->CompleteCommand(command, code, bytes, 0);
                }
        }
        return result;
}

int main(int argc, char **argv)
{
        FILE *file = argc == 3 ? fopen(argv[2], "a+b") : nullptr;
        ClientVirtualDeviceSet set;
        VDConfig config;
        int result;

        if (!file)
                return 2;
        rewind(file);
        memset(&config, 0, sizeof config);
        config.deviceCount = 1;
        result = set.Create(argv[1], &config);
        if (result == NOERROR)
                result = serve(set, argv[1], file);
        if (result == VD_E_CLOSE) /* every device was closed in order; whether all went well says the statement */
                set.Close();
        printf("%s: %s\n", argv[1], result == VD_E_CLOSE ? "VD_E_CLOSE" : "failed");
        return fclose(file) == 0 && result == VD_E_CLOSE ? 0 : 1;
}
