/* server SET write|read - a database on one page: writes 4 MiB of a pattern to a set's only device, or reads it back */
#include <stdio.h>
#include <string.h>

#include <vdipipe/vds.h>

enum { TRANSFER = 65536, TRANSFERS = 64, BUFFERS = 4 };

static struct vds_server_device *device;
static struct VDS_Command commands[BUFFERS];
static int code, sent, done, failed;

static unsigned char pattern(int transfer)
{
        return (unsigned char)(transfer * 37 + 1);
}

/* Sends the next transfer, and after the last one that was written, when all are done, a Flush. */
static void send_next(struct VDS_Command *command)
{
        if (sent < TRANSFERS)
                memset(command->buffer, code == VDC_Write ? pattern(sent) : 0, TRANSFER);
        command->commandCode = sent < TRANSFERS ? code : (int)VDC_Flush;
        command->size = sent < TRANSFERS ? TRANSFER : 0;
        command->inPosition = sent++; /* a pipe has no positions, so this field is free to carry our number */
        vds_server_device_send_command(device, command);
}

/* The completion agent calls this once for every command; so does a SendCommand that fails. */
static void on_completion(struct VDS_Command *command)
{
        done++;
        if (command->completionCode != ERROR_SUCCESS || command->bytesTransferred != command->size ||
            (command->commandCode == VDC_Read && command->buffer[TRANSFER - 1] != pattern((int)command->inPosition)))
                failed = 1;
        if (!failed && (sent < TRANSFERS || (sent == TRANSFERS && done == sent && code == VDC_Write)))
                send_next(command);
        else if (done == sent)
                vds_server_device_close(device);
}

static int run(struct vds_server *server, const char *name)
{
        int result = vds_server_open(server, name);

        if (result == NOERROR)
                result = vds_server_begin_configuration(server, code == VDC_Write ? VDF_WriteMedia : VDF_ReadMedia, 512,
                                                        0, TRANSFER, 0);
        if (result == NOERROR)
                result = vds_server_request_buffers(server, TRANSFER, 0, BUFFERS);
        if (result == NOERROR)
                result = vds_server_end_configuration(server);
        if (result == NOERROR)
                result = vds_server_open_device(server, name, &device);
        for (int i = 0; i < BUFFERS && result == NOERROR; i++) {
                commands[i].completionRoutine = (uint8_t *)(uintptr_t)on_completion;
                result = vds_server_allocate_buffer(server, &commands[i].buffer, TRANSFER, 0);
        }
        for (int i = 0; i < BUFFERS && result == NOERROR; i++)
                send_next(&commands[i]);
        return result == NOERROR ? vds_server_execute_completion_agent(server) : result;
}

int main(int argc, char **argv)
{
        struct vds_server *server = vds_server_new(NULL);
        int result;

        if (!server || argc != 3)
                return 2;
        code = strcmp(argv[2], "write") == 0 ? VDC_Write : VDC_Read;
        result = run(server, argv[1]);
        failed |= result != NOERROR || vds_server_abort_reason(server) != VDS_ABORT_NONE;
        vds_server_set_verdict(server, failed ? VDS_VERDICT_FAILED : VDS_VERDICT_SUCCESS, "");
        printf("%s: %s %s\n", argv[1], vds_result_name(result), vds_server_error_text(server));
        vds_server_free(server);
        return failed ? 1 : 0;
}
