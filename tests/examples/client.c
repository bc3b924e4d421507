/* client SET FILE - a backup program on one page: keeps in FILE what a server writes,
 * and gives it back when it reads */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <vdipipe/vds.h>

/* Carries one command out. Returns its completion code. */
static int execute(FILE *file, const struct VDC_Command *command, uint64_t *ret_bytes)
{
        *ret_bytes = 0;
        switch (command->commandCode) {
        case VDC_Write:
                *ret_bytes = fwrite(command->buffer, 1, (size_t)command->size, file);
                return *ret_bytes == (uint64_t)command->size ? ERROR_SUCCESS : ERROR_DISK_FULL;
        case VDC_Read:
                *ret_bytes = fread(command->buffer, 1, (size_t)command->size, file);
                return *ret_bytes == (uint64_t)command->size ? ERROR_SUCCESS : ERROR_HANDLE_EOF;
        case VDC_Flush:
                return fflush(file) == 0 && fsync(fileno(file)) == 0 ? ERROR_SUCCESS : ERROR_IO_DEVICE;
        case VDC_ClearError:
                return ERROR_SUCCESS;
        default:
                return ERROR_NOT_SUPPORTED;
        }
}

/* Serves the set's only device until the server closes it. */
static int serve(struct vds_client *client, const char *name, FILE *file)
{
        struct vds_client_device *device;
        struct VDC_Command *command;
        struct VDConfig config;
        uint64_t bytes;
        int result = vds_client_get_configuration(client, 30000, &config);

        if (result == NOERROR)
                result = vds_client_open_device(client, name, &device);
        while (result == NOERROR) {
                result = vds_client_device_get_command(device, -1, &command);
                if (result == NOERROR) {
                        int code = execute(file, command, &bytes);

                        result = vds_client_device_complete_command(device, command, code, bytes, 0);
                }
        }
        return result;
}

int main(int argc, char **argv)
{
        struct vds_client *client = vds_client_new(NULL);
        FILE *file = argc == 3 ? fopen(argv[2], "a+b") : NULL;
        enum vds_verdict verdict = VDS_VERDICT_NONE;
        char text[VDS_TEXT_MAX] = "";
        struct VDConfig config;
        int result;

        if (!client || !file)
                return 2;
        rewind(file);
        memset(&config, 0, sizeof config);
        config.deviceCount = 1;
        result = vds_client_create(client, argv[1], &config);
        if (result == NOERROR)
                result = serve(client, argv[1], file);
        if (result == VD_E_CLOSE) /* every device was closed in order; whether all went well is the verdict */
                vds_client_verdict(client, 10000, &verdict, text);
        printf("%s: %s %s%s\n", argv[1], vds_result_name(result), vds_client_error_text(client), text);
        vds_client_free(client);
        return fclose(file) == 0 && verdict == VDS_VERDICT_SUCCESS ? 0 : 1;
}
