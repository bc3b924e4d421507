#include "tests/peer/honest.h"

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/internal.h"

extern char **environ;

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
const int honest_notice_ms = 10000;
#else
const int honest_notice_ms = 2000;
#endif

enum {
        CHANNEL = STDIN_FILENO,
        LAST_WORDS_MS = 100, /* for a server that aborts to say why */
};

/* ---- the process ---- */

static void say(struct report *report, enum report_kind kind)
{
        report->kind = kind;
        if (send(CHANNEL, report, sizeof *report, MSG_NOSIGNAL) != (ssize_t)sizeof *report)
                exit(1);
}

static int count_descriptors(void)
{
        DIR *dir = opendir("/proc/self/fd");
        int count = 0;

        if (!dir)
                exit(1);
        while (readdir(dir))
                count++;
        closedir(dir);
        return count;
}

static int count_mappings(void)
{
        FILE *file = fopen("/proc/self/maps", "re");
        char line[512];
        int count = 0;

        if (!file)
                exit(1);
        while (fgets(line, sizeof line, file))
                count += strstr(line, "memfd:") != NULL;
        fclose(file);
        return count;
}

static void device_name(const struct order *order, uint32_t index, char name[VDS_NAME_MAX + 2])
{
        if (index == 0)
                snprintf(name, VDS_NAME_MAX + 2, "%s", order->name);
        else
                snprintf(name, VDS_NAME_MAX + 2, "device %u", index);
}

/* One device of the client, served by a thread. */
struct duty {
        struct vds_client_device *device;
        int wait_ms;
        int result;
        uint32_t commands;
};

static void *serve_device(void *argument)
{
        struct duty *duty = argument;
        struct VDC_Command *command;

        while ((duty->result = vds_client_device_get_command(duty->device, duty->wait_ms, &command)) == NOERROR) {
                uint64_t bytes = command->commandCode == VDC_Write ? (uint64_t)command->size : 0;
                uint8_t sum = 0;

                duty->commands++;
                /* Every byte that the command names is there to be read. */
                for (uint64_t i = 0; i < bytes; i++)
                        sum = (uint8_t)(sum + command->buffer[i]);
                duty->result =
                        vds_client_device_complete_command(duty->device, command, ERROR_SUCCESS, bytes, (int64_t)sum);
                if (duty->result != NOERROR)
                        break;
        }
        return NULL;
}

static int open_client_devices(struct vds_client *client, const struct order *order, struct duty *duties)
{
        struct VDConfig config;
        int result = vds_client_get_configuration(client, order->wait_ms, &config);

        for (uint32_t i = 0; i < order->wishes.deviceCount && result == NOERROR; i++) {
                char name[VDS_NAME_MAX + 2];

                device_name(order, i, name);
                duties[i].wait_ms = order->wait_ms;
                result = vds_client_open_device(client, name, &duties[i].device);
        }
        return result;
}

/* Runs all devices to their end. Returns VD_E_CLOSE, or what the first that ended otherwise said. */
static int serve_devices(uint32_t count, struct duty *duties, struct report *report)
{
        pthread_t threads[VDS_DEVICES_MAX];
        int result = VD_E_CLOSE;

        for (uint32_t i = 0; i < count; i++)
                if (pthread_create(&threads[i], NULL, serve_device, &duties[i]) != 0)
                        exit(1);
        for (uint32_t i = 0; i < count; i++) {
                pthread_join(threads[i], NULL);
                report->commands += duties[i].commands;
                if (duties[i].result != VD_E_CLOSE && result == VD_E_CLOSE)
                        result = duties[i].result;
        }
        return result;
}

static void be_client(const struct order *order, struct report *report)
{
        struct duty duties[VDS_DEVICES_MAX] = { 0 };
        struct vds_client *client = vds_client_new(NULL);
        char text[VDS_TEXT_MAX];

        if (!client)
                exit(1);
        report->result = order->role == HONEST_SECONDARY ? vds_client_open_in_secondary(client, order->name)
                                                         : vds_client_create(client, order->name, &order->wishes);
        if (report->result == NOERROR) {
                say(report, REPORT_CREATED);
                report->result = open_client_devices(client, order, duties);
        }
        if (report->result == NOERROR) {
                report->address = (uint64_t)(uintptr_t)client->set.layout;
                report->size = client->set.control.size;
                say(report, REPORT_OPENED);
                report->result = serve_devices(order->wishes.deviceCount, duties, report);
        }
        if (report->result == VD_E_TIMEOUT)
                vds_client_signal_abort(client);
        vds_client_verdict(client, report->result == VD_E_CLOSE ? honest_notice_ms : LAST_WORDS_MS, &report->verdict,
                           text);
        report->reason = vds_client_abort_reason(client);
        snprintf(report->text, sizeof report->text, "%s", vds_client_error_text(client));
        vds_client_free(client);
}

static void be_observer(const struct order *order, struct report *report)
{
        struct vds_status *status = calloc(1, sizeof *status);

        if (!status)
                exit(1);
        report->result = vds_observe(NULL, order->name, status);
        /* What it says is a stranger's, but texts end, and numbers are in their ranges. */
        if (report->result == NOERROR &&
            (status->device_count > VDS_DEVICES_MAX || status->secondary_count > VDS_DEVICES_MAX ||
             strlen(status->name) > VDS_NAME_MAX || strlen(status->primary_info) >= VDS_TEXT_MAX ||
             strlen(status->server_info) >= VDS_TEXT_MAX || status->state > VDS_SET_ABORTED))
                snprintf(report->text, sizeof report->text, "the status makes no sense");
        free(status);
}

/* ---- the honest server ---- */

struct work {
        struct VDS_Command command; /* first */
        struct vds_server_device *device;
        bool under_way;
};

/* Only one set at a time, and all of its callbacks run on one thread. */
static struct work works[VDS_DEVICES_MAX][HONEST_BUFFERS];
static uint32_t left[VDS_DEVICES_MAX]; /* commands to send */
static uint32_t under_way[VDS_DEVICES_MAX];
static struct report *server_report;

static void send_next(struct work *work, uint32_t device)
{
        if (left[device] == 0)
                return;
        left[device]--;
        under_way[device]++;
        work->under_way = true;
        /* A Flush carries no buffer. */
        work->command.commandCode = left[device] % 8 == 0 ? VDC_Flush : VDC_Write;
        work->command.size = work->command.commandCode == VDC_Write ? HONEST_TRANSFER : 0;
        if (vds_server_device_send_command(work->device, &work->command) != NOERROR)
                left[device] = 0;
}

static void on_completion(struct VDS_Command *command)
{
        struct work *work = (struct work *)(void *)command;
        uint32_t device = (uint32_t)(uintptr_t)command->completionContext;
        bool failed = command->completionCode != ERROR_SUCCESS;

        if (!work->under_way || command->bytesTransferred < 0 || command->bytesTransferred > command->size)
                server_report->wrong_callbacks++;
        work->under_way = false;
        under_way[device]--;
        server_report->commands++;
        if (failed)
                left[device] = 0;
        send_next(work, device);
        if (left[device] == 0 && under_way[device] == 0)
                vds_server_device_close(work->device);
}

static int prepare_device(struct vds_server *server, const struct order *order, uint32_t index)
{
        char name[VDS_NAME_MAX + 2];
        struct vds_server_device *device;
        int result;

        device_name(order, index, name);
        result = vds_server_open_device(server, name, &device);
        for (uint32_t i = 0; i < HONEST_BUFFERS && result == NOERROR; i++) {
                struct work *work = &works[index][i];

                *work = (struct work){ .device = device };
                work->command.completionRoutine = (uint8_t *)(uintptr_t)on_completion;
                work->command.completionContext = (uint8_t *)(uintptr_t)index;
                result = vds_server_allocate_buffer(server, &work->command.buffer, HONEST_TRANSFER, 0);
                if (result == NOERROR)
                        memset(work->command.buffer, (int)index + 1, HONEST_TRANSFER);
        }
        left[index] = order->transfers;
        under_way[index] = 0;
        return result;
}

static int configure_server(struct vds_server *server, const struct order *order)
{
        int result = vds_server_begin_configuration(server, VDF_WriteMedia, HONEST_BLOCK, 0, VDS_TRANSFER_UNIT, 0);

        if (result == NOERROR)
                result = vds_server_request_buffers(server, HONEST_TRANSFER, 0, HONEST_BUFFERS * order->device_count);
        if (result == NOERROR)
                result = vds_server_end_configuration(server);
        for (uint32_t i = 0; i < order->device_count && result == NOERROR; i++)
                result = prepare_device(server, order, i);
        return result;
}

static void wait_for_go(void)
{
        char byte;

        if (recv(CHANNEL, &byte, sizeof byte, 0) != 1)
                exit(1);
}

static void run_server(struct vds_server *server, const struct order *order, struct report *report)
{
        report->result = vds_server_open(server, order->name);
        if (report->result != NOERROR || order->device_count == 0)
                return;
        report->result = configure_server(server, order);
        if (report->result != NOERROR)
                return;
        report->address = (uint64_t)(uintptr_t)server->set.layout;
        report->size = server->set.control.size;
        say(report, REPORT_OPENED);
        if (order->wait_for_go)
                wait_for_go();
        for (uint32_t i = 0; i < order->device_count; i++)
                for (uint32_t k = 0; k < HONEST_BUFFERS; k++)
                        send_next(&works[i][k], i);
        report->result = vds_server_execute_completion_agent(server);
}

static void be_server(const struct order *order, struct report *report)
{
        struct vds_server *server = vds_server_new(NULL);

        if (!server)
                exit(1);
        server_report = report;
        run_server(server, order, report);
        report->reason = vds_server_abort_reason(server);
        vds_server_set_verdict(server, report->reason == VDS_ABORT_NONE ? VDS_VERDICT_SUCCESS : VDS_VERDICT_FAILED, "");
        snprintf(report->text, sizeof report->text, "%s", vds_server_error_text(server));
        vds_server_free(server);
        for (uint32_t i = 0; i < order->device_count; i++)
                report->missing_callbacks += under_way[i];
}

int honest_main(void)
{
        static void (*const roles[])(const struct order *, struct report *) = {
                [HONEST_CLIENT] = be_client,
                [HONEST_SERVER] = be_server,
                [HONEST_SECONDARY] = be_client,
                [HONEST_OBSERVER] = be_observer,
        };
        struct order order;

        while (recv(CHANNEL, &order, sizeof order, 0) == (ssize_t)sizeof order) {
                struct report report = { .kind = REPORT_DONE };
                int descriptors = count_descriptors();
                int mappings = count_mappings();

                roles[order.role](&order, &report);
                report.descriptors_left = count_descriptors() - descriptors;
                report.mappings_left = count_mappings() - mappings;
                say(&report, REPORT_DONE);
        }
        return 0;
}

/* ---- the test's handle on it ---- */

void honest_start(struct honest *honest)
{
        char *argv[] = { (char[]){ "honest" }, (char[]){ "honest" }, NULL };
        posix_spawn_file_actions_t actions;
        int ends[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], CHANNEL);
        assert_int_equal(posix_spawn(&honest->pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        honest->channel = ends[0];
}

void honest_order(struct honest *honest, const struct order *order)
{
        assert_int_equal(send(honest->channel, order, sizeof *order, MSG_NOSIGNAL), sizeof *order);
}

void honest_go(struct honest *honest)
{
        assert_int_equal(send(honest->channel, "g", 1, MSG_NOSIGNAL), 1);
}

static struct report next_report(struct honest *honest, struct deadline deadline, const char *what)
{
        struct pollfd item = { .fd = honest->channel, .events = POLLIN };
        struct report report = { 0 };

        if (poll(&item, 1, deadline_left_ms(deadline)) != 1)
                fail_msg("%s: the honest process does not end", what);
        if (recv(honest->channel, &report, sizeof report, 0) != (ssize_t)sizeof report)
                fail_msg("%s: the honest process died", what);
        return report;
}

struct report honest_expect(struct honest *honest, enum report_kind kind, int timeout_ms, const char *what)
{
        struct report report = next_report(honest, deadline_after_ms(timeout_ms), what);

        if (report.kind != kind)
                fail_msg("%s: report %d instead of %d: %s, %s: %s", what, report.kind, kind,
                         vds_result_name(report.result), vds_abort_text(report.reason), report.text);
        return report;
}

struct report honest_done(struct honest *honest, const char *what)
{
        struct deadline deadline = deadline_after_ms(honest_notice_ms);
        struct report report;

        do
                report = next_report(honest, deadline, what);
        while (report.kind != REPORT_DONE);
        if (report.descriptors_left || report.mappings_left)
                fail_msg("%s: %d descriptors and %d mappings are left", what, report.descriptors_left,
                         report.mappings_left);
        if (report.wrong_callbacks || report.missing_callbacks)
                fail_msg("%s: %u callbacks are wrong, %u are missing", what, report.wrong_callbacks,
                         report.missing_callbacks);
        if (report.reason < VDS_ABORT_NONE || report.reason >= VDS_ABORT_REASON_COUNT)
                fail_msg("%s: no such reason: %d", what, report.reason);
        return report;
}

bool honest_has_reported(struct honest *honest)
{
        struct pollfd item = { .fd = honest->channel, .events = POLLIN };

        return poll(&item, 1, 0) == 1;
}

void honest_end(struct honest *honest)
{
        int status = 0;

        close(honest->channel);
        assert_int_equal(waitpid(honest->pid, &status, 0), honest->pid);
        assert_int_equal(status, 0);
}

struct order honest_order_for(enum honest_role role, const char *name)
{
        struct order order = {
                .role = role,
                .wishes = { .deviceCount = 1 },
                .wait_ms = -1,
                .device_count = 1,
                .transfers = 16,
        };

        snprintf(order.name, sizeof order.name, "%s", name);
        return order;
}
