/* Making a set, finding it, and agreeing on its configuration and buffers. */
#include "tests/unit/vds/pair.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/shm/rendezvous.h"
#include "core/vds/internal.h"
#include "tests/support/blocked.h"

/* ---- names and files ---- */

static void names_may_hold_anything_but_backslash(void **state)
{
        static const char *const good[] = { "a", "/../x y*?\n\t'\"", "\xC3\xA4\xE2\x82\xAC", "\xFF\xFE\x01", "." };
        static const char *const bad[] = { "", "a\\b", "\\" };
        char longest[VDS_NAME_MAX + 2];
        struct pair pair;

        (void)state;
        memset(longest, 'n', sizeof longest);
        longest[VDS_NAME_MAX + 1] = '\0';
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                pair_init(&pair, 1);
                assert_int_equal(vds_client_create(pair.client, bad[i], &pair.wishes), VD_E_INVALID);
                assert_int_equal(vds_server_open(pair.server, bad[i]), VD_E_INVALID);
                pair_deinit(&pair);
        }
        pair_init(&pair, 1);
        assert_int_equal(vds_client_create(pair.client, longest, &pair.wishes), VD_E_INVALID);
        pair_deinit(&pair);
        longest[VDS_NAME_MAX] = '\0';
        for (size_t i = 0; i <= sizeof good / sizeof good[0]; i++) {
                pair_init(&pair, 1);
                snprintf(pair.name, sizeof pair.name, "%s", i < sizeof good / sizeof good[0] ? good[i] : longest);
                pair_open_devices(&pair);
                pair_deinit(&pair);
        }
}

static void names_differ_by_case(void **state)
{
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_create(&pair);
        assert_int_equal(vds_server_open(pair.server, "SET"), VD_E_INVALID);
        assert_string_equal(vds_server_error_text(pair.server), "there is no device set 'SET'");
        pair_deinit(&pair);
}

static void a_live_name_is_not_taken_twice(void **state)
{
        struct vds_client *second;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_create(&pair);
        second = vds_client_new(&pair.options);
        assert_int_equal(vds_client_create(second, pair.name, &pair.wishes), VD_E_PROTOCOL);
        assert_string_equal(vds_client_error_text(second), "the name 'set' is in use by another set");
        assert_int_equal(vds_client_create(second, "other", &pair.wishes), NOERROR);
        assert_int_equal(count_files(pair.folder), 4);
        vds_client_free(second);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        pair_create(&pair);
        pair_deinit(&pair);
}

static void a_set_has_one_server(void **state)
{
        struct vds_server *second;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_connect(&pair);
        second = vds_server_new(&pair.options);
        assert_int_equal(vds_server_open(second, pair.name), VD_E_INVALID);
        assert_string_equal(vds_server_error_text(second), "the set has a server already");
        vds_server_free(second);
        assert_int_equal(vds_client_server_pid(pair.client), getpid());
        pair_deinit(&pair);
}

/* Handles of a set whose connection is theirs. */
static void connect_handles(struct pair *pair, const char *folder)
{
        struct vds_options client = { .runtime_dir = folder };
        struct vds_options server = { .runtime_dir = folder };

        vds_client_free(pair->client);
        vds_server_free(pair->server);
        assert_int_equal(vds_connection_pair(&client.connection, &server.connection), NOERROR);
        pair->client = vds_client_new(&client);
        pair->server = vds_server_new(&server);
}

static void a_server_of_ones_own_needs_no_folder(void **state)
{
        int descriptors = count_descriptors();
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        connect_handles(&pair, "/dev/null");
        pair_open_devices(&pair);
        assert_non_null(strstr(vds_client_error_text(pair.client), "'/dev/null'"));
        assert_int_equal(vds_client_server_pid(pair.client), getpid());
        assert_int_equal(vds_server_device_close(pair.server_devices[0]), NOERROR);
        assert_int_equal(vds_server_close(pair.server), NOERROR);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        /* The connection was one set's. */
        assert_int_equal(vds_client_create(pair.client, pair.name, &pair.wishes), VD_E_SECURITY);
        pair_deinit(&pair);
        assert_int_equal(count_descriptors(), descriptors);
}

static void nobody_takes_the_place_of_a_server_of_ones_own(void **state)
{
        struct vds_server *stranger;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        connect_handles(&pair, pair.folder);
        pair_create(&pair);
        assert_string_equal(vds_client_error_text(pair.client), "");
        stranger = vds_server_new(&pair.options);
        assert_int_equal(vds_server_open(stranger, pair.name), VD_E_INVALID);
        assert_string_equal(vds_server_error_text(stranger), "the set has a server already");
        assert_int_equal(vds_server_open(pair.server, pair.name), NOERROR);
        vds_server_free(stranger);
        pair_deinit(&pair);
}

static void a_server_of_ones_own_that_never_greets(void **state)
{
        struct VDConfig config;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        connect_handles(&pair, pair.folder);
        pair_create(&pair);
        vds_server_free(pair.server);
        pair.server = NULL;
        assert_int_equal(vds_client_get_configuration(pair.client, PAIR_WAIT_MS, &config), VD_E_ABORT);
        assert_int_equal(vds_client_abort_reason(pair.client), VDS_ABORT_SERVER_DIED);
        pair_deinit(&pair);
}

static void a_group_needs_the_folder(void **state)
{
        struct vds_options options = { .runtime_dir = "/dev/null" };
        struct vds_client *client;
        struct pair pair;
        char group[16];
        int server_end;

        (void)state;
        snprintf(group, sizeof group, "%lu", (unsigned long)getgid());
        options.group = group;
        pair_init(&pair, 1);
        assert_int_equal(vds_connection_pair(&options.connection, &server_end), NOERROR);
        client = vds_client_new(&options);
        assert_int_equal(vds_client_create(client, pair.name, &pair.wishes), VD_E_SECURITY);
        vds_client_free(client);
        close(server_end);
        pair_deinit(&pair);
}

static void plant(const char *folder, const char *stem, const char *suffix)
{
        char path[256];

        snprintf(path, sizeof path, "%s/%s%s", folder, stem, suffix);
        if (strcmp(suffix, ".sock") == 0) {
                struct sockaddr_un address = { .sun_family = AF_UNIX };
                int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

                snprintf(address.sun_path, sizeof address.sun_path, "%.100s", path);
                assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
                close(fd);
        } else {
                close(open(path, O_CREAT | O_WRONLY, 0600));
        }
}

static void what_the_dead_left_is_replaced_and_swept(void **state)
{
        char stem[RENDEZVOUS_STEM];
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        rendezvous_stem("set", stem);
        plant(pair.folder, stem, ".sock");
        plant(pair.folder, stem, ".lock");
        rendezvous_stem("somebody else's", stem);
        plant(pair.folder, stem, ".sock");
        plant(pair.folder, stem, ".lock");
        assert_int_equal(vds_server_open(pair.server, "set"), VD_E_INVALID);
        pair_connect(&pair);
        assert_int_equal(count_files(pair.folder), 2);
        pair_deinit(&pair);
}

/* What lies under the lock's name is locked only if it is a file of ours; in a folder of ours the rest is removed. */
static void a_lock_that_is_not_ours_is_replaced(void **state)
{
        const uid_t strangers[] = { geteuid(), 65534 };
        char path[256];

        (void)state;
        for (int i = 0; i < (geteuid() == 0 ? 2 : 1); i++) {
                char stem[RENDEZVOUS_STEM];
                struct stat st;
                struct pair pair;

                pair_init(&pair, 1);
                rendezvous_stem(pair.name, stem);
                snprintf(path, sizeof path, "%s/%s.lock", pair.folder, stem);
                assert_int_equal(i == 0 ? mkfifo(path, 0600) : mknod(path, S_IFREG | 0600, 0), 0);
                assert_int_equal(chown(path, strangers[i], (gid_t)-1), 0);
                pair_create(&pair);
                assert_int_equal(lstat(path, &st), 0);
                assert_true(S_ISREG(st.st_mode));
                assert_int_equal(st.st_uid, geteuid());
                pair_deinit(&pair);
        }
}

static void unsafe_folders_are_refused(void **state)
{
        struct vds_options options;
        struct vds_client *client;
        struct pair pair;
        char path[128];

        (void)state;
        pair_init(&pair, 1);
        snprintf(path, sizeof path, "%s/link", pair.folder);
        options = (struct vds_options){ .runtime_dir = path };
        assert_int_equal(symlink("/tmp", path), 0);
        client = vds_client_new(&options);
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), VD_E_SECURITY);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(chmod(path, 0777), 0);
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), VD_E_SECURITY);
        assert_non_null(strstr(vds_client_error_text(client), "writable by others"));
        assert_int_equal(chmod(path, 01777), 0);
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), NOERROR);
        vds_client_free(client);
        assert_int_equal(rmdir(path), 0);
        /* A folder that does not exist is made. */
        client = vds_client_new(&options);
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), NOERROR);
        vds_client_free(client);
        assert_int_equal(rmdir(path), 0);
        pair_deinit(&pair);
}

static void the_socket_is_for_its_group_only(void **state)
{
        char stem[RENDEZVOUS_STEM];
        struct vds_options options;
        struct vds_client *client;
        struct pair pair;
        struct stat st;
        char path[128];
        char group[16];

        (void)state;
        pair_init(&pair, 1);
        rendezvous_stem("set", stem);
        snprintf(path, sizeof path, "%s/%s.sock", pair.folder, stem);
        pair_create(&pair);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        options = (struct vds_options){ .runtime_dir = pair.folder, .group = "no such group" };
        client = vds_client_new(&options);
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), VD_E_NOTSUPPORTED);
        assert_string_equal(vds_client_error_text(client), "there is no group 'no such group'");
        vds_client_free(client);
        snprintf(group, sizeof group, "%lu", (unsigned long)getegid());
        options.group = group;
        client = vds_client_new(&options);
        /* Nobody but the owner can get at the socket there. */
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), VD_E_SECURITY);
        assert_non_null(strstr(vds_client_error_text(client), "cannot enter the folder for sockets"));
        assert_int_equal(chmod(pair.folder, 0711), 0);
        assert_int_equal(vds_client_create(client, "set", &pair.wishes), NOERROR);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0660);
        assert_int_equal(st.st_gid, getegid());
        vds_client_free(client);
        pair_deinit(&pair);
}

/* ---- configuration ---- */

static void wishes_out_of_range_are_refused(void **state)
{
        static const struct VDConfig bad[] = {
                { .deviceCount = 0 },
                { .deviceCount = 65 },
                { .deviceCount = 1, .alignment = 3 },
                { .deviceCount = 1, .alignment = 131072 },
                { .deviceCount = 1, .prefixZoneSize = CONFIG_PREFIX_MAX + 1 },
                { .deviceCount = 1, .features = VDF_Rewind },
                { .deviceCount = 1, .features = VDF_LikeTape | VDF_LikeDisk },
                { .deviceCount = 1, .features = VDF_LikeTape & ~VDF_Removable },
                { .deviceCount = 1, .features = VDF_WriteMedia },
                { .deviceCount = 1, .features = VDF_LatchStats },
                { .deviceCount = 1, .features = VDF_VSSWriter },
                { .deviceCount = 1, .features = VDF_LikeTape, .softFileMarkBlockSize = 1000 },
        };
        static const struct VDConfig good[] = {
                { .deviceCount = 64 },
                { .deviceCount = 1, .alignment = 65536, .prefixZoneSize = 100 },
                { .deviceCount = 1,
                  .features = VDF_Removable | VDF_Discard | VDF_SnapshotPrepare | VDF_RequestComplete },
                { .deviceCount = 1, .features = VDF_LikeTape | VDF_Discard, .softFileMarkBlockSize = 512 },
                { .deviceCount = 1, .features = VDF_LikeDisk | VDF_Removable },
                { .deviceCount = 1, .EOMWarningSize = UINT32_MAX, .serverTimeOut = UINT32_MAX },
        };
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_int_equal(vds_client_create(pair.client, "set", &bad[i]), VD_E_NOTSUPPORTED);
        for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
                assert_int_equal(vds_client_create(pair.client, "set", &good[i]), NOERROR);
                assert_int_equal(vds_client_close(pair.client), NOERROR);
        }
        pair_deinit(&pair);
}

static void shapes_out_of_range_are_refused(void **state)
{
        static const uint32_t bad[][3] = {
                /* block, alignment, transfer */
                { 0, 0, 65536 },      { 256, 0, 65536 },     { 768, 0, 65536 },      { 131072, 0, 131072 },
                { 4096, 512, 65536 }, { 4096, 5000, 65536 }, { 512, 131072, 65536 }, { 512, 0, 0 },
                { 512, 0, 65535 },    { 512, 0, 4259840 },
        };
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_connect(&pair);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                assert_int_equal(vds_server_begin_configuration(pair.server, 0, bad[i][0], bad[i][1], bad[i][2], 0),
                                 VD_E_INVALID);
        assert_int_equal(vds_server_begin_configuration(pair.server, 0, 65536, 65536, 4194304, 0), NOERROR);
        pair_deinit(&pair);
}

static void both_sides_see_the_merged_configuration(void **state)
{
        const struct VDConfig wishes = {
                .deviceCount = 3,
                .features = VDF_Removable | VDF_RequestComplete,
                .prefixZoneSize = 100,
                .alignment = 8192,
                .softFileMarkBlockSize = 1,
                .EOMWarningSize = 2,
                .serverTimeOut = 60000,
        };
        struct VDConfig expected = wishes;
        struct VDConfig config;
        char info[VDS_TEXT_MAX];
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.wishes = wishes;
        pair_connect(&pair);
        assert_int_equal(vds_server_get_configuration(pair.server, &config), NOERROR);
        assert_memory_equal(&config, &wishes, sizeof config);
        assert_int_equal(vds_server_set_info(pair.server, "{\"kind\":\"test\"}"), NOERROR);
        /* A feature nobody asked for (Discard) is dropped. */
        assert_int_equal(vds_server_begin_configuration(
                                 pair.server, VDF_WriteMedia | VDF_CompleteEnabled | VDF_Removable | VDF_Discard, 512,
                                 0, 1048576, 0),
                         NOERROR);
        assert_int_equal(vds_server_request_buffers(pair.server, 1048576, 0, 2), NOERROR);
        assert_int_equal(vds_client_get_configuration(pair.client, 10, &config), VD_E_TIMEOUT);
        assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
        assert_int_equal(vds_client_get_configuration(pair.client, PAIR_WAIT_MS, &config), NOERROR);
        expected.features = VDF_WriteMedia | VDF_CompleteEnabled | VDF_Removable;
        expected.blockSize = 512;
        expected.alignment = 8192;
        expected.maxIODepth = 4;
        expected.maxTransferSize = 1048576;
        expected.bufferAreaSize = 2 * (1048576 + 8192);
        assert_memory_equal(&config, &expected, sizeof config);
        assert_int_equal(vds_server_get_configuration(pair.server, &config), NOERROR);
        assert_memory_equal(&config, &expected, sizeof config);
        assert_int_equal(vds_client_server_info(pair.client, info), NOERROR);
        assert_string_equal(info, "{\"kind\":\"test\"}");
        pair_deinit(&pair);
}

/* ---- buffers ---- */

static void memory_beyond_the_machine_leaves_the_set_configurable(void **state)
{
        uint32_t count;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_begin(&pair);
        assert_int_equal(vds_server_request_buffers(pair.server, 4194304, 0, UINT32_MAX), NOERROR);
        assert_int_equal(vds_server_end_configuration(pair.server), VD_E_MEMORY);
        assert_int_equal(vds_server_query_available_buffers(pair.server, PAIR_BLOCK, 0, &count), NOERROR);
        assert_int_equal(count, 0);
        assert_int_equal(vds_server_request_buffers(pair.server, PAIR_BLOCK, 0, 7), NOERROR);
        assert_int_equal(vds_server_query_available_buffers(pair.server, PAIR_BLOCK, 0, &count), NOERROR);
        assert_int_equal(count, 7);
        assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
        assert_int_equal(vds_server_request_buffers(pair.server, 4194304, 0, UINT32_MAX), VD_E_MEMORY);
        pair_deinit(&pair);
}

static void what_was_requested_can_be_allocated_in_any_order(void **state)
{
        static const struct {
                uint32_t size;
                uint32_t alignment;
                uint32_t count;
        } wishes[] = { { 65536, 0, 3 }, { 4096, 65536, 5 }, { 513, 0, 7 }, { 1, 16384, 2 }, { 70000, 8192, 4 } };
        enum { KINDS = sizeof wishes / sizeof wishes[0] };
        struct pair pair;

        (void)state;
        for (int round = 0; round < 40; round++) {
                uint32_t left[KINDS];
                uint32_t total = 0;
                unsigned seed = (unsigned)round + 1;

                pair_init(&pair, 1);
                pair.wishes.prefixZoneSize = round % 2 ? 5000 : 0;
                pair_connect(&pair);
                assert_int_equal(vds_server_begin_configuration(pair.server, 0, 512, 0, 131072, 0), NOERROR);
                for (int i = 0; i < KINDS; i++) {
                        left[i] = wishes[i].count;
                        total += left[i];
                        assert_int_equal(vds_server_request_buffers(pair.server, wishes[i].size, wishes[i].alignment,
                                                                    wishes[i].count),
                                         NOERROR);
                }
                assert_int_equal(vds_server_end_configuration(pair.server), NOERROR);
                while (total > 0) {
                        int kind = rand_r(&seed) % KINDS;
                        uint8_t *buffer;

                        if (left[kind] == 0)
                                continue;
                        left[kind]--;
                        total--;
                        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, wishes[kind].size,
                                                                    wishes[kind].alignment),
                                         NOERROR);
                        if (wishes[kind].alignment)
                                assert_int_equal((uintptr_t)buffer % wishes[kind].alignment, 0);
                        assert_int_equal((uintptr_t)buffer % 512, 0);
                        memset(buffer - pair.wishes.prefixZoneSize, 1, pair.wishes.prefixZoneSize + wishes[kind].size);
                }
                pair_deinit(&pair);
        }
}

static void buffers_are_counted_freed_and_recognised(void **state)
{
        uint8_t *buffers[5];
        uint8_t *one_more;
        uint32_t count;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair.buffer_count = 5;
        pair_configure(&pair);
        for (uint32_t i = 0; i < 5; i++) {
                assert_int_equal(vds_server_query_available_buffers(pair.server, PAIR_TRANSFER, 0, &count), NOERROR);
                assert_int_equal(count, 5 - i);
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffers[i], PAIR_TRANSFER, 0), NOERROR);
        }
        assert_int_equal(vds_server_allocate_buffer(pair.server, &one_more, 1, 0), VD_E_MEMORY);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &one_more, 0, 0), VD_E_INVALID);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &one_more, 1, 3), VD_E_INVALID);
        assert_int_equal(vds_server_is_shared_buffer(pair.server, buffers[2]), 1);
        assert_int_equal(vds_server_is_shared_buffer(pair.server, buffers[2] + PAIR_TRANSFER - 1), 1);
        assert_int_equal(vds_server_is_shared_buffer(pair.server, (uint8_t *)&pair), 0);
        assert_int_equal(vds_server_is_shared_buffer(pair.server, NULL), 0);
        assert_int_equal(vds_server_free_buffer(pair.server, buffers[2], PAIR_TRANSFER - 1), VD_E_INVALID);
        assert_int_equal(vds_server_free_buffer(pair.server, buffers[2] + 1, PAIR_TRANSFER), VD_E_INVALID);
        assert_int_equal(vds_server_free_buffer(pair.server, NULL, PAIR_TRANSFER), VD_E_INVALID);
        assert_int_equal(vds_server_free_buffer(pair.server, buffers[2], PAIR_TRANSFER), NOERROR);
        assert_int_equal(vds_server_free_buffer(pair.server, buffers[2], PAIR_TRANSFER), VD_E_INVALID);
        assert_int_equal(vds_server_is_shared_buffer(pair.server, buffers[2]), 0);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &one_more, PAIR_TRANSFER, 0), NOERROR);
        assert_ptr_equal(one_more, buffers[2]);
        pair_deinit(&pair);
}

/* Buffers of areas made after configuration reach the client as well; the prefix zone is the client's to write. */
static void later_areas_carry_commands(void **state)
{
        struct VDC_Command *command;
        struct sent sent;
        struct pair pair;
        uint8_t *buffer;

        (void)state;
        pair_init(&pair, 1);
        pair.wishes.prefixZoneSize = 64;
        pair.buffer_count = 1;
        pair_open_devices(&pair);
        pair_start_agent(&pair);
        assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
        for (int i = 0; i < 4; i++) {
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), VD_E_MEMORY);
                assert_int_equal(vds_server_request_buffers(pair.server, PAIR_TRANSFER, 0, 1), NOERROR);
                assert_int_equal(vds_server_allocate_buffer(pair.server, &buffer, PAIR_TRANSFER, 0), NOERROR);
                memset(buffer, 'a' + i, PAIR_TRANSFER);
                sent_init(&sent, VDC_Write, buffer, PAIR_TRANSFER);
                assert_int_equal(vds_server_device_send_command(pair.server_devices[0], &sent.command), NOERROR);
                command = pair_get(pair.client_devices[0], VDC_Write);
                assert_int_equal(command->buffer[PAIR_TRANSFER - 1], 'a' + i);
                memset(command->buffer - 64, 'p', 64);
                assert_int_equal(
                        vds_client_device_complete_command(pair.client_devices[0], command, 0, PAIR_TRANSFER, 0),
                        NOERROR);
                sent_wait(&sent);
                assert_int_equal(buffer[-64], 'p');
        }
        pair_deinit(&pair);
}

static void areas_have_a_limit(void **state)
{
        struct pair pair;
        int result = NOERROR;
        int descriptors;
        int count = 0;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        descriptors = count_descriptors();
        while (count < 1000 && (result = vds_server_request_buffers(pair.server, PAIR_BLOCK, 0, 1)) == NOERROR)
                count++;
        assert_int_equal(result, VD_E_MEMORY);
        assert_int_equal(count, SET_AREAS_MAX - 1);
        assert_int_equal(vds_server_abort_reason(pair.server), VDS_ABORT_NONE);
        while (atomic_load(&pair.client->area_count) < SET_AREAS_MAX)
                sched_yield();
        /* The primary keeps one for each area, for secondary clients to come. */
        assert_int_equal(count_descriptors(), descriptors + count);
        pair_deinit(&pair);
}

/* Nothing can be allocated in an area of which the client will never hear. */
static void an_area_that_cannot_be_sent_is_none(void **state)
{
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_open_devices(&pair);
        assert_int_equal(shutdown(pair.server->connection_fd, SHUT_WR), 0);
        assert_int_equal(vds_server_request_buffers(pair.server, PAIR_BLOCK, 0, 1), VD_E_ABORT);
        assert_int_equal(pair.server->area_count, 1);
        pair_deinit(&pair);
}

/* poll() takes no more descriptors at a time than a process may have open, so the service thread must not offer it the
 * places that are empty. */
static void few_descriptors_are_enough_for_a_set(void **state)
{
        struct rlimit usual;
        struct rlimit tight;
        struct pair pair;

        (void)state;
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
        tight = usual;
        tight.rlim_cur = 64;
        pair_init(&pair, 1);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        pair_create(&pair);
        assert_int_equal(vds_server_open(pair.server, pair.name), NOERROR);
        assert_int_equal(vds_client_close(pair.client), NOERROR);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
        pair_deinit(&pair);
}

struct opening {
        struct vds_client *client;
        const char *name;
        _Atomic int thread;
        int result;
};

static void *open_first(void *argument)
{
        struct opening *opening = argument;
        struct vds_client_device *device;

        atomic_store(&opening->thread, (int)gettid());
        opening->result = vds_client_open_device(opening->client, opening->name, &device);
        return NULL;
}

/* Close has looked for open devices by then, and nobody would ever serve this one. */
static void close_lets_no_device_be_claimed_behind_it(void **state)
{
        struct opening opening = { 0 };
        struct vds_client_device *first;
        pthread_t thread;
        struct pair pair;

        (void)state;
        pair_init(&pair, 1);
        pair_configure(&pair);
        opening.client = pair.client;
        opening.name = pair.name;
        first = &pair.client->devices[0];
        pthread_mutex_lock(&first->lock);
        assert_int_equal(pthread_create(&thread, NULL, open_first, &opening), 0);
        while (atomic_load(&opening.thread) == 0)
                sched_yield();
        assert_true(wait_until_in(atomic_load(&opening.thread), SYS_futex));
        atomic_fetch_or(&pair.client->set.gate, SET_GATE_CLOSED);
        pthread_mutex_unlock(&first->lock);
        pthread_join(thread, NULL);
        atomic_fetch_and(&pair.client->set.gate, ~SET_GATE_CLOSED);
        assert_int_equal(opening.result, VD_E_PROTOCOL);
        assert_int_equal(atomic_load(&first->shared->client_opened), 0);
        pair_deinit(&pair);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(names_may_hold_anything_but_backslash),
                cmocka_unit_test(names_differ_by_case),
                cmocka_unit_test(a_live_name_is_not_taken_twice),
                cmocka_unit_test(a_set_has_one_server),
                cmocka_unit_test(a_server_of_ones_own_needs_no_folder),
                cmocka_unit_test(nobody_takes_the_place_of_a_server_of_ones_own),
                cmocka_unit_test(a_server_of_ones_own_that_never_greets),
                cmocka_unit_test(a_group_needs_the_folder),
                cmocka_unit_test(what_the_dead_left_is_replaced_and_swept),
                cmocka_unit_test(a_lock_that_is_not_ours_is_replaced),
                cmocka_unit_test(unsafe_folders_are_refused),
                cmocka_unit_test(the_socket_is_for_its_group_only),
                cmocka_unit_test(wishes_out_of_range_are_refused),
                cmocka_unit_test(shapes_out_of_range_are_refused),
                cmocka_unit_test(both_sides_see_the_merged_configuration),
                cmocka_unit_test(memory_beyond_the_machine_leaves_the_set_configurable),
                cmocka_unit_test(what_was_requested_can_be_allocated_in_any_order),
                cmocka_unit_test(buffers_are_counted_freed_and_recognised),
                cmocka_unit_test(later_areas_carry_commands),
                cmocka_unit_test(areas_have_a_limit),
                cmocka_unit_test(an_area_that_cannot_be_sent_is_none),
                cmocka_unit_test(few_descriptors_are_enough_for_a_set),
                cmocka_unit_test(close_lets_no_device_be_claimed_behind_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
