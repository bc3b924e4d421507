/*
 * soak.c - sets and commands by the million, and nothing that grows
 *
 *     soak [--sets N] [--commands N] [--devices N] [--depth N] [--size BYTES]
 *
 * A client and a server, each a process of its own, first make and close sets one after the other, a few commands on
 * each device; then pass the commands through one set with `depth` of them outstanding on each device. Both look at
 * their memory, mappings and descriptors after a tenth of the work and at its end. Prints the figures; the exit status
 * is 1 when something grew, or was left in the runtime folder, or went wrong.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/vds.h"

extern char **environ;

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum {
        REPORT_FD = 3, /* where a child says what it saw */
        READY_FD = 4,  /* the client says on it that there is a set */

        COMMANDS_A_SET = 4, /* and device, while sets come and go */
        GROWTH_KIB = 1024,  /* that the allocator may need; the work is large enough for any leak to be more */
        GROWTH_MAPPINGS = 2,
};

struct plan {
        uint64_t sets;
        uint64_t commands;
        uint32_t devices;
        uint32_t depth;
        uint32_t size;
};

static struct plan plan = { .sets = 200, .commands = 1000000, .devices = 64, .depth = 64, .size = 512 };

static _Noreturn void die(const char *what, int result)
{
        fprintf(stderr, "soak: %s: %s\n", what, result ? vds_result_name(result) : strerror(errno));
        exit(1);
}

static void need(const char *what, int result)
{
        if (result != NOERROR)
                die(what, result);
}

/* ---- what a process looks like ---- */

enum phase { PHASE_SETS = 0, PHASE_COMMANDS, PHASES };

struct look {
        enum phase phase;
        bool end;
        long rss_kib;
        int mappings;
        int descriptors;
};

static int count_lines(const char *path)
{
        FILE *file = fopen(path, "re");
        int count = 0;

        if (!file)
                die(path, 0);
        for (int c = getc(file); c != EOF; c = getc(file))
                count += c == '\n';
        fclose(file);
        return count;
}

static int count_entries(const char *path)
{
        DIR *dir = opendir(path);
        int count = 0;

        if (!dir)
                die(path, 0);
        for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
                count += entry->d_name[0] != '.';
        closedir(dir);
        return count;
}

static long resident_kib(void)
{
        FILE *file = fopen("/proc/self/statm", "re");
        long pages = 0;

        if (!file || fscanf(file, "%*s %ld", &pages) != 1)
                die("/proc/self/statm", 0);
        fclose(file);
        return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void look(enum phase phase, bool end)
{
        const struct look seen = {
                .phase = phase,
                .end = end,
                .rss_kib = resident_kib(),
                .mappings = count_lines("/proc/self/maps"),
                .descriptors = count_entries("/proc/self/fd"),
        };

        if (write(REPORT_FD, &seen, sizeof seen) != (ssize_t)sizeof seen)
                die("report", 0);
}

static void device_name(uint32_t index, char name[32])
{
        if (index == 0)
                snprintf(name, 32, "soak");
        else
                snprintf(name, 32, "soak %u", index);
}

/* The share of one device in the large set. */
static uint64_t share(uint32_t device)
{
        return plan.commands / plan.devices + (device < plan.commands % plan.devices);
}

/* ---- the client ---- */

struct duty {
        struct vds_client_device *device;
        uint32_t index;
        bool watched; /* look after a tenth, and at the end */
        uint64_t count;
};

/* Serves a device until it is closed. */
static void *serve(void *argument)
{
        struct duty *duty = argument;
        struct VDC_Command *command;
        int result;

        while ((result = vds_client_device_get_command(duty->device, -1, &command)) == NOERROR) {
                need("CompleteCommand", vds_client_device_complete_command(duty->device, command, ERROR_SUCCESS,
                                                                           (uint64_t)command->size, 0));
                duty->count++;
                if (duty->watched && duty->count == share(0) / 10)
                        look(PHASE_COMMANDS, /* end= */ false);
                if (duty->watched && duty->count == share(0))
                        look(PHASE_COMMANDS, /* end= */ true);
        }
        if (result != VD_E_CLOSE)
                die("GetCommand", result);
        return NULL;
}

/* Makes a set, says so, and opens all devices. */
static struct vds_client *open_client_set(struct duty *duties)
{
        const struct VDConfig wishes = { .deviceCount = plan.devices };
        struct vds_client *client = vds_client_new(NULL);
        struct VDConfig config;
        char name[32];

        if (!client)
                die("a client", VD_E_MEMORY);
        need("Create", vds_client_create(client, "soak", &wishes));
        if (write(READY_FD, "r", 1) != 1)
                die("ready", 0);
        need("GetConfiguration", vds_client_get_configuration(client, -1, &config));
        for (uint32_t i = 0; i < plan.devices; i++) {
                device_name(i, name);
                duties[i] = (struct duty){ .index = i };
                need("OpenDevice", vds_client_open_device(client, name, &duties[i].device));
        }
        return client;
}

static void close_client_set(struct vds_client *client)
{
        char text[VDS_TEXT_MAX];
        enum vds_verdict verdict;

        need("verdict", vds_client_verdict(client, -1, &verdict, text));
        if (verdict != VDS_VERDICT_SUCCESS)
                die("the verdict is failure", VD_E_ABORT);
        need("Close", vds_client_close(client));
        vds_client_free(client);
}

static void run_client(void)
{
        static struct duty duties[VDS_DEVICES_MAX];
        pthread_t threads[VDS_DEVICES_MAX];
        struct vds_client *client;

        for (uint64_t set = 0; set < plan.sets; set++) {
                client = open_client_set(duties);
                for (uint32_t i = 0; i < plan.devices; i++)
                        serve(&duties[i]);
                close_client_set(client);
                if (set == plan.sets / 10)
                        look(PHASE_SETS, /* end= */ false);
        }
        look(PHASE_SETS, /* end= */ true);
        client = open_client_set(duties);
        duties[0].watched = true;
        for (uint32_t i = 0; i < plan.devices; i++)
                if (pthread_create(&threads[i], NULL, serve, &duties[i]) != 0)
                        die("a thread", 0);
        for (uint32_t i = 0; i < plan.devices; i++) {
                pthread_join(threads[i], NULL);
                if (duties[i].count != share(i))
                        die("commands are missing", VD_E_UNEXPECTED);
        }
        close_client_set(client);
}

/* ---- the server ---- */

struct line {
        struct vds_server_device *device;
        uint64_t left; /* to send */
        uint32_t under_way;
};

struct work {
        struct VDS_Command command; /* first */
        struct line *line;
};

static struct line lines[VDS_DEVICES_MAX];
static struct work works[VDS_DEVICES_MAX * VDS_QUEUE_DEPTH];
static uint64_t called_back;
static uint64_t watched_total; /* of callbacks; 0: none is watched */

static void send_next(struct work *work)
{
        if (work->line->left == 0)
                return;
        work->line->left--;
        work->line->under_way++;
        need("SendCommand", vds_server_device_send_command(work->line->device, &work->command));
}

static void on_completion(struct VDS_Command *command)
{
        struct work *work = (struct work *)(void *)command;
        struct line *line = work->line;

        if (command->completionCode != ERROR_SUCCESS || command->bytesTransferred != command->size)
                die("a command failed", VD_E_IO_ERROR);
        line->under_way--;
        called_back++;
        if (watched_total && called_back == watched_total / 10)
                look(PHASE_COMMANDS, /* end= */ false);
        if (called_back == watched_total)
                look(PHASE_COMMANDS, /* end= */ true);
        send_next(work);
        if (line->left == 0 && line->under_way == 0)
                need("CloseDevice", vds_server_device_close(line->device));
}

static void open_server_set(struct vds_server *server, uint32_t depth)
{
        char name[32];
        char byte;

        if (read(READY_FD, &byte, 1) != 1)
                die("ready", 0);
        need("Open", vds_server_open(server, "soak"));
        need("BeginConfiguration",
             vds_server_begin_configuration(server, VDF_WriteMedia, 512, 0, VDS_TRANSFER_UNIT, 0));
        need("RequestBuffers", vds_server_request_buffers(server, plan.size, 0, plan.devices * depth));
        need("EndConfiguration", vds_server_end_configuration(server));
        for (uint32_t i = 0; i < plan.devices; i++) {
                device_name(i, name);
                need("OpenDevice", vds_server_open_device(server, name, &lines[i].device));
        }
}

/* One set from Open to Close, with `count` commands on each device; 0: a share of all. */
static void run_set(uint32_t depth, uint64_t count)
{
        struct vds_server *server = vds_server_new(NULL);

        if (!server)
                die("a server", VD_E_MEMORY);
        open_server_set(server, depth);
        for (uint32_t i = 0; i < plan.devices * depth; i++) {
                works[i] = (struct work){ .line = &lines[i / depth] };
                works[i].command.commandCode = VDC_Write;
                works[i].command.size = (int32_t)plan.size;
                works[i].command.completionRoutine = (uint8_t *)(uintptr_t)on_completion;
                need("AllocateBuffer", vds_server_allocate_buffer(server, &works[i].command.buffer, plan.size, 0));
        }
        for (uint32_t i = 0; i < plan.devices; i++)
                lines[i].left = count ? count : share(i);
        for (uint32_t i = 0; i < plan.devices * depth; i++)
                send_next(&works[i]);
        need("ExecuteCompletionAgent", vds_server_execute_completion_agent(server));
        if (vds_server_abort_reason(server) != VDS_ABORT_NONE)
                die(vds_abort_text(vds_server_abort_reason(server)), VD_E_ABORT);
        for (uint32_t i = 0; i < plan.devices * depth; i++)
                need("FreeBuffer", vds_server_free_buffer(server, works[i].command.buffer, plan.size));
        need("verdict", vds_server_set_verdict(server, VDS_VERDICT_SUCCESS, ""));
        need("Close", vds_server_close(server));
        vds_server_free(server);
}

static void run_server(void)
{
        uint32_t depth = plan.depth < COMMANDS_A_SET ? plan.depth : COMMANDS_A_SET;

        for (uint64_t set = 0; set < plan.sets; set++) {
                run_set(depth, COMMANDS_A_SET);
                if (set == plan.sets / 10)
                        look(PHASE_SETS, /* end= */ false);
        }
        look(PHASE_SETS, /* end= */ true);
        called_back = 0;
        watched_total = plan.commands;
        run_set(plan.depth, 0);
}

/* ---- the program ---- */

struct child {
        const char *role;
        pid_t pid;
        int reports;
        int64_t ended_ns[PHASES]; /* when the end of a phase was reported */
        struct look looks[PHASES][2];
};

static void start(struct child *child, char **argv, int ready)
{
        posix_spawn_file_actions_t actions;
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                die("a pipe", 0);
        posix_spawn_file_actions_init(&actions);
        /* Out of the way of each other first. */
        posix_spawn_file_actions_adddup2(&actions, ends[1], REPORT_FD + 10);
        posix_spawn_file_actions_adddup2(&actions, ready, READY_FD + 10);
        posix_spawn_file_actions_adddup2(&actions, REPORT_FD + 10, REPORT_FD);
        posix_spawn_file_actions_adddup2(&actions, READY_FD + 10, READY_FD);
        posix_spawn_file_actions_addclose(&actions, REPORT_FD + 10);
        posix_spawn_file_actions_addclose(&actions, READY_FD + 10);
        setenv("SOAK_ROLE", child->role, 1);
        errno = posix_spawn(&child->pid, "/proc/self/exe", &actions, NULL, argv, environ);
        if (errno)
                die("start a process", 0);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        child->reports = ends[0];
}

/* Takes the four looks, then waits for the end. Returns whether all went well. */
static bool finish(struct child *child)
{
        struct look seen;
        int status = 0;

        while (read(child->reports, &seen, sizeof seen) == (ssize_t)sizeof seen) {
                child->looks[seen.phase][seen.end] = seen;
                child->ended_ns[seen.phase] = monotonic_ns();
        }
        close(child->reports);
        return waitpid(child->pid, &status, 0) == child->pid && status == 0;
}

/* Prints what a process looked like. Returns whether it did not grow. */
static bool judge(const struct child *child, enum phase phase)
{
        const struct look *from = &child->looks[phase][0];
        const struct look *to = &child->looks[phase][1];

        printf("  %s: resident %ld -> %ld KiB, mappings %d -> %d, descriptors %d -> %d\n", child->role, from->rss_kib,
               to->rss_kib, from->mappings, to->mappings, from->descriptors, to->descriptors);
        /* What a sanitizer keeps of freed memory grows. */
        return to->descriptors == from->descriptors &&
               (SANITIZED ||
                (to->mappings <= from->mappings + GROWTH_MAPPINGS && to->rss_kib <= from->rss_kib + GROWTH_KIB));
}

static void read_arguments(int argc, char **argv)
{
        static const struct option options[] = {
                { "sets", required_argument, NULL, 's' },    { "commands", required_argument, NULL, 'c' },
                { "devices", required_argument, NULL, 'd' }, { "depth", required_argument, NULL, 'q' },
                { "size", required_argument, NULL, 'b' },    { NULL, 0, NULL, 0 },
        };

        for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
                uint64_t number = option == '?' ? 0 : strtoull(optarg, NULL, 10);

                switch (option) {
                case 's':
                        plan.sets = number;
                        break;
                case 'c':
                        plan.commands = number;
                        break;
                case 'd':
                        plan.devices = (uint32_t)number;
                        break;
                case 'q':
                        plan.depth = (uint32_t)number;
                        break;
                case 'b':
                        plan.size = (uint32_t)number;
                        break;
                default:
                        exit(2);
                }
        }
        if (plan.devices < 1 || plan.devices > VDS_DEVICES_MAX || plan.depth < 1 || plan.depth > VDS_QUEUE_DEPTH ||
            plan.size < 512 || plan.size % 512 || plan.size > VDS_TRANSFER_UNIT || plan.sets < 10 ||
            plan.commands < (uint64_t)10 * plan.devices) {
                fprintf(stderr, "soak: 1 to 64 devices, a depth of 1 to 64, whole blocks of 512 bytes up to 65536, at "
                                "least 10 sets and 10 commands a device\n");
                exit(2);
        }
}

int main(int argc, char **argv)
{
        struct child client = { .role = "client" };
        struct child server = { .role = "server" };
        char folder[] = "/tmp/vdipipe-soak-XXXXXX";
        const char *role = getenv("SOAK_ROLE");
        int64_t start_ns = monotonic_ns();
        double seconds[PHASES];
        int ready[2];
        bool fine;

        read_arguments(argc, argv);
        if (role) {
                role[0] == 'c' ? run_client() : run_server();
                return 0;
        }
        if (!mkdtemp(folder) || setenv("VDIPIPE_RUNTIME_DIR", folder, 1) < 0 || pipe2(ready, O_CLOEXEC) < 0)
                die("prepare", 0);
        start(&client, argv, ready[1]);
        start(&server, argv, ready[0]);
        close(ready[0]);
        close(ready[1]);
        fine = finish(&server);
        fine &= finish(&client);
        seconds[PHASE_SETS] = (double)(server.ended_ns[PHASE_SETS] - start_ns) / 1e9;
        seconds[PHASE_COMMANDS] = (double)(server.ended_ns[PHASE_COMMANDS] - server.ended_ns[PHASE_SETS]) / 1e9;
        printf("%" PRIu64 " sets of %u devices in %.1f s: %.0f/s\n", plan.sets, plan.devices, seconds[PHASE_SETS],
               (double)plan.sets / seconds[PHASE_SETS]);
        fine &= judge(&client, PHASE_SETS);
        fine &= judge(&server, PHASE_SETS);
        printf("%" PRIu64 " commands of %u bytes, %u on each of %u devices at a time, in %.1f s: %.0f/s\n",
               plan.commands, plan.size, plan.depth, plan.devices, seconds[PHASE_COMMANDS],
               (double)plan.commands / seconds[PHASE_COMMANDS]);
        fine &= judge(&client, PHASE_COMMANDS);
        fine &= judge(&server, PHASE_COMMANDS);
        printf("files left: %d\n", count_entries(folder));
        fine &= rmdir(folder) == 0;
        printf(fine ? "nothing grew\n" : "FAILED: something grew, was left, or went wrong\n");
        return fine ? 0 : 1;
}
