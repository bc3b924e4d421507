#include "tests/unit/vds/pair.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/vds/internal.h"

void pair_init(struct pair *pair, uint32_t device_count)
{
        memset(pair, 0, sizeof *pair);
        snprintf(pair->folder, sizeof pair->folder, "/tmp/vdipipe-test-XXXXXX");
        assert_non_null(mkdtemp(pair->folder));
        pair->options.runtime_dir = pair->folder;
        pair->wishes.deviceCount = device_count;
        snprintf(pair->name, sizeof pair->name, "set");
        pair->client = vds_client_new(&pair->options);
        pair->server = vds_server_new(&pair->options);
        assert_non_null(pair->client);
        assert_non_null(pair->server);
}

void pair_create(struct pair *pair)
{
        assert_int_equal(vds_client_create(pair->client, pair->name, &pair->wishes), NOERROR);
}

void pair_connect(struct pair *pair)
{
        pair_create(pair);
        assert_int_equal(vds_server_open(pair->server, pair->name), NOERROR);
}

void pair_begin(struct pair *pair)
{
        uint32_t count = pair->buffer_count ? pair->buffer_count : 2 * pair->wishes.deviceCount + 1;

        pair_connect(pair);
        assert_int_equal(vds_server_begin_configuration(pair->server, pair->wishes.features | VDF_WriteMedia,
                                                        PAIR_BLOCK, 0, PAIR_TRANSFER, 0),
                         NOERROR);
        assert_int_equal(vds_server_request_buffers(pair->server, PAIR_TRANSFER, 0, count), NOERROR);
}

void pair_configure(struct pair *pair)
{
        struct VDConfig config;

        pair_begin(pair);
        assert_int_equal(vds_server_end_configuration(pair->server), NOERROR);
        assert_int_equal(vds_client_get_configuration(pair->client, PAIR_WAIT_MS, &config), NOERROR);
        assert_int_equal(config.blockSize, PAIR_BLOCK);
        assert_int_equal(config.maxIODepth, VDS_IO_DEPTH);
}

void pair_device_name(const struct pair *pair, uint32_t index, char name[VDS_NAME_MAX + 1])
{
        if (index == 0)
                snprintf(name, VDS_NAME_MAX + 1, "%s", pair->name);
        else
                snprintf(name, VDS_NAME_MAX + 1, "%.200s%u", pair->name, index);
}

void pair_open_devices(struct pair *pair)
{
        char name[VDS_NAME_MAX + 1];

        pair_configure(pair);
        for (uint32_t i = 0; i < pair->wishes.deviceCount; i++) {
                pair_device_name(pair, i, name);
                assert_int_equal(vds_server_open_device(pair->server, name, &pair->server_devices[i]), NOERROR);
                assert_int_equal(vds_client_open_device(pair->client, name, &pair->client_devices[i]), NOERROR);
        }
}

static void *run_agent(void *argument)
{
        struct pair *pair = argument;

        pair->agent_result = vds_server_execute_completion_agent(pair->server);
        return NULL;
}

void pair_start_agent(struct pair *pair)
{
        assert_int_equal(pthread_create(&pair->agent, NULL, run_agent, pair), 0);
        pair->agent_started = true;
        /* An agent that begins after an abort has another result. */
        while (!atomic_load(&pair->server->agent_running))
                sched_yield();
}

void pair_up(struct pair *pair, uint32_t device_count)
{
        pair_init(pair, device_count);
        pair_open_devices(pair);
        pair_start_agent(pair);
}

void pair_join_agent(struct pair *pair)
{
        if (pair->agent_started)
                pthread_join(pair->agent, NULL);
        pair->agent_started = false;
}

void pair_deinit(struct pair *pair)
{
        if (pair->agent_started)
                vds_server_close(pair->server);
        pair_join_agent(pair);
        vds_server_free(pair->server);
        vds_client_free(pair->client);
        assert_int_equal(count_files(pair->folder), 0);
        assert_int_equal(rmdir(pair->folder), 0);
}

static void on_completion(struct VDS_Command *command)
{
        struct sent *sent = (struct sent *)(void *)command->completionContext;

        pthread_mutex_lock(&sent->lock);
        sent->calls++;
        sent->thread = pthread_self();
        pthread_cond_broadcast(&sent->done);
        pthread_mutex_unlock(&sent->lock);
}

void sent_init(struct sent *sent, int code, uint8_t *buffer, int size)
{
        memset(sent, 0, sizeof *sent);
        pthread_mutex_init(&sent->lock, NULL);
        pthread_cond_init(&sent->done, NULL);
        sent->command.commandCode = code;
        sent->command.buffer = buffer;
        sent->command.size = size;
        sent->command.completionRoutine = (uint8_t *)(uintptr_t)on_completion;
        sent->command.completionContext = (uint8_t *)sent;
        sent->command.completionCode = -1;
}

void sent_wait(struct sent *sent)
{
        struct timespec until;

        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PAIR_WAIT_MS / 1000;
        pthread_mutex_lock(&sent->lock);
        while (sent->calls == 0)
                if (pthread_cond_timedwait(&sent->done, &sent->lock, &until) != 0)
                        break;
        assert_int_equal(sent->calls, 1);
        pthread_mutex_unlock(&sent->lock);
}

int sent_calls(struct sent *sent)
{
        int calls;

        pthread_mutex_lock(&sent->lock);
        calls = sent->calls;
        pthread_mutex_unlock(&sent->lock);
        return calls;
}

struct VDC_Command *pair_get(struct vds_client_device *device, int code)
{
        struct VDC_Command *command = NULL;

        assert_int_equal(vds_client_device_get_command(device, PAIR_WAIT_MS, &command), NOERROR);
        assert_int_equal(command->commandCode, code);
        return command;
}

static int count_entries(const char *folder)
{
        DIR *dir = opendir(folder);
        int count = 0;

        assert_non_null(dir);
        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
                if (entry->d_name[0] != '.')
                        count++;
        closedir(dir);
        return count;
}

int count_descriptors(void)
{
        /* The folder being read has one too. */
        return count_entries("/proc/self/fd") - 1;
}

int count_files(const char *folder)
{
        return count_entries(folder);
}
