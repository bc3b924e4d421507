/*
 * throughput.c - what the engine moves between two processes, beside what memcpy moves; a tool, not a test
 *
 * The server fills transfers of 1 MiB by memcpy from a buffer of its own; the client completes them unread.
 *
 *         throughput [GIB [BUFFERS]]
 */
#include <pthread.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/vds.h"

extern char **environ;

enum { TRANSFER = 1048576, BUFFERS_MAX = 64 };

static sem_t free_buffers;

static void on_completion(struct VDS_Command *command)
{
        (void)command;
        sem_post(&free_buffers);
}

static void *run_agent(void *server)
{
        vds_server_execute_completion_agent(server);
        return NULL;
}

static void require(int result, const char *what)
{
        if (result == NOERROR)
                return;
        fprintf(stderr, "%s: %s\n", what, vds_result_name(result));
        exit(1);
}

static double gib_per_second(long transfers, int64_t ns)
{
        return (double)transfers / 1024 / ((double)ns / 1e9);
}

static int serve(const char *name, long transfers, int count)
{
        struct vds_server *server = vds_server_new(NULL);
        struct VDS_Command commands[BUFFERS_MAX] = { 0 };
        struct vds_server_device *device;
        uint8_t *source = malloc((size_t)TRANSFER * (size_t)count);
        pthread_t agent;
        int64_t start;
        int64_t engine;

        require(vds_server_open(server, name), "Open");
        require(vds_server_begin_configuration(server, VDF_WriteMedia, 4096, 0, TRANSFER, 0), "BeginConfiguration");
        require(vds_server_request_buffers(server, TRANSFER, 0, (uint32_t)count), "RequestBuffers");
        require(vds_server_end_configuration(server), "EndConfiguration");
        require(vds_server_open_device(server, name, &device), "OpenDevice");
        pthread_create(&agent, NULL, run_agent, server);
        sem_init(&free_buffers, 0, (unsigned)count);
        for (int i = 0; i < count; i++) {
                commands[i].commandCode = VDC_Write;
                commands[i].size = TRANSFER;
                commands[i].completionRoutine = (uint8_t *)(uintptr_t)on_completion;
                require(vds_server_allocate_buffer(server, &commands[i].buffer, TRANSFER, 0), "AllocateBuffer");
                memset(commands[i].buffer, 1, TRANSFER);
                memset(source + (size_t)i * TRANSFER, i, TRANSFER);
        }
        start = monotonic_ns();
        for (long i = 0; i < transfers; i++)
                memcpy(commands[i % count].buffer, source + (size_t)(i % count) * TRANSFER, TRANSFER);
        printf("memcpy %.2f GiB/s", gib_per_second(transfers, monotonic_ns() - start));
        start = monotonic_ns();
        for (long i = 0; i < transfers; i++) {
                sem_wait(&free_buffers);
                memcpy(commands[i % count].buffer, source + (size_t)(i % count) * TRANSFER, TRANSFER);
                require(vds_server_device_send_command(device, &commands[i % count]), "SendCommand");
        }
        for (int i = 0; i < count; i++)
                sem_wait(&free_buffers);
        engine = monotonic_ns() - start;
        printf("  engine %.2f GiB/s\n", gib_per_second(transfers, engine));
        require(vds_server_device_close(device), "CloseDevice");
        pthread_join(agent, NULL);
        require(vds_server_close(server), "Close");
        vds_server_free(server);
        free(source);
        return 0;
}

static int consume(struct vds_client *client, const char *name)
{
        struct vds_client_device *device;
        struct VDC_Command *command;
        struct VDConfig config;
        int result;

        require(vds_client_get_configuration(client, 10000, &config), "GetConfiguration");
        require(vds_client_open_device(client, name, &device), "OpenDevice");
        while ((result = vds_client_device_get_command(device, -1, &command)) == NOERROR)
                require(vds_client_device_complete_command(device, command, 0, (uint64_t)command->size, 0),
                        "CompleteCommand");
        return result == VD_E_CLOSE ? 0 : 1;
}

int main(int argc, char **argv)
{
        const struct VDConfig config = { .deviceCount = 1 };
        struct vds_client *client;
        char name[64];
        char *gib = argc > 1 ? argv[1] : (char[]){ "8" };
        char *buffers = argc > 2 ? argv[2] : (char[]){ "4" };
        char *child_argv[] = { argv[0], gib, buffers, name, NULL };
        int status = 1;
        pid_t child;

        if (argc > 3)
                return serve(argv[3], strtol(gib, NULL, 10) * 1024, (int)strtol(buffers, NULL, 10));
        client = vds_client_new(NULL);
        snprintf(name, sizeof name, "throughput-%ld", (long)getpid());
        require(vds_client_create(client, name, &config), "Create");
        if (posix_spawn(&child, "/proc/self/exe", NULL, NULL, child_argv, environ) != 0)
                return 1;
        status = consume(client, name);
        waitpid(child, NULL, 0);
        vds_client_free(client);
        return status;
}
