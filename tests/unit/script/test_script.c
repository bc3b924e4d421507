/* The scriptable server against clients that keep their contract, and against clients that break it each in one way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/script/run.h"

enum { MEDIUM_SIZE = 1 << 20, WAIT_MS = 60000 };

enum manner {
        GOOD,
        SHORT_WRITE,    /* success, and half of the bytes */
        SHORT_READ,     /* the same when reading */
        WRONG_DATA,     /* one bit of what is read */
        WRONG_POSITION, /* one block too far */
        WRITES_BEHIND,  /* more into the buffer than was asked for */
        NOT_SUPPORTED,  /* says 50 to Flush */
        NEVER_COMPLETES,
        BACKWARDS, /* the first two commands in the wrong order */
        ABORTS,    /* at the second command */
        CLOSES,    /* the same */
};

/* A client of one set: on each device a disk of one megabyte, which a pipe-like one goes through. */
struct client {
        char folder[64];
        struct vds_options options;
        struct VDConfig wishes;
        struct VDConfig agreed;
        enum manner manner;
        struct vds_client *client;
        pthread_t thread;
        enum vds_verdict verdict;
        char verdict_text[VDS_TEXT_MAX];
};

struct medium {
        struct client *client;
        struct vds_client_device *device;
        pthread_t thread;
        uint8_t *bytes;
        size_t end;
        size_t at;
        uint64_t commands;
};

static int serve_write(struct medium *medium, const struct VDC_Command *command, uint64_t *ret_bytes)
{
        size_t size = (size_t)command->size;
        size_t room;

        if (medium->client->agreed.features & VDF_RandomAccess)
                medium->at = (size_t)command->position;
        room = MEDIUM_SIZE - medium->at;
        if (medium->client->manner == SHORT_WRITE)
                size /= 2;
        if (size > room)
                return ERROR_DISK_FULL;
        memcpy(medium->bytes + medium->at, command->buffer, size);
        medium->at += size;
        if (medium->at > medium->end)
                medium->end = medium->at;
        *ret_bytes = size;
        return ERROR_SUCCESS;
}

static int serve_read(struct medium *medium, const struct VDC_Command *command, uint64_t *ret_bytes)
{
        enum manner manner = medium->client->manner;
        size_t size = (size_t)command->size;

        if (medium->client->agreed.features & VDF_RandomAccess)
                medium->at = (size_t)command->position;
        if (size > medium->end - medium->at)
                size = medium->end - medium->at;
        memcpy(command->buffer, medium->bytes + medium->at, size);
        if (manner == WRONG_DATA && size)
                command->buffer[size - 1] ^= 1;
        if (manner == WRITES_BEHIND)
                command->buffer[command->size] = 0;
        if (manner == SHORT_READ)
                size /= 2;
        medium->at += size;
        *ret_bytes = size;
        return size < (size_t)command->size && manner != SHORT_READ ? (int)ERROR_HANDLE_EOF : 0;
}

static int serve_set_position(struct medium *medium, const struct VDC_Command *command)
{
        int64_t origin = command->size == VDC_Current ? (int64_t)medium->at : 0;

        medium->at = (size_t)((command->size == VDC_End ? (int64_t)medium->end : origin) + command->position);
        return 0;
}

static int serve(struct medium *medium, const struct VDC_Command *command, uint64_t *ret_bytes)
{
        bool disk = medium->client->agreed.features & VDF_RandomAccess;

        switch (command->commandCode) {
        case VDC_Write:
                return serve_write(medium, command, ret_bytes);
        case VDC_Read:
                return serve_read(medium, command, ret_bytes);
        case VDC_Flush:
                return medium->client->manner == NOT_SUPPORTED ? (int)ERROR_NOT_SUPPORTED : 0;
        case VDC_ClearError:
        case VDC_Complete:
                return 0;
        case VDC_SetPosition:
                return disk ? serve_set_position(medium, command) : (int)ERROR_NOT_SUPPORTED;
        case VDC_GetPosition:
                return disk ? 0 : (int)ERROR_NOT_SUPPORTED;
        default:
                return ERROR_NOT_SUPPORTED;
        }
}

static void complete(struct medium *medium, struct VDC_Command *command)
{
        uint64_t bytes = 0;
        int code = serve(medium, command, &bytes);
        int64_t position = (int64_t)medium->at + (medium->client->manner == WRONG_POSITION ? 4096 : 0);

        vds_client_device_complete_command(medium->device, command, code, bytes, position);
}

/* False: the device is served no more. */
static bool serve_badly(struct medium *medium, struct VDC_Command *command)
{
        struct VDC_Command *second;

        switch (medium->client->manner) {
        case NEVER_COMPLETES:
                return true;
        case ABORTS:
                if (medium->commands < 2)
                        break;
                vds_client_signal_abort(medium->client->client);
                return false;
        case CLOSES:
                if (medium->commands == 2)
                        return false;
                break;
        case BACKWARDS:
                if (medium->commands == 1 && vds_client_device_get_command(medium->device, WAIT_MS, &second) == NOERROR)
                        complete(medium, second);
                break;
        default:
                break;
        }
        complete(medium, command);
        return true;
}

static void *medium_main(void *medium_at)
{
        struct medium *medium = medium_at;
        struct VDC_Command *command;

        while (vds_client_device_get_command(medium->device, WAIT_MS, &command) == NOERROR) {
                medium->commands++;
                if (!serve_badly(medium, command))
                        break;
        }
        return NULL;
}

static void serve_devices(struct client *client)
{
        static const char *const names[] = { "set", "set1", "other" };
        struct medium media[3] = { 0 };
        uint32_t count = 0;

        for (; count < client->wishes.deviceCount; count++) {
                struct medium *medium = &media[count];

                medium->client = client;
                if (vds_client_open_device(client->client, names[count], &medium->device) != NOERROR)
                        break;
                medium->bytes = calloc(1, MEDIUM_SIZE);
                pthread_create(&medium->thread, NULL, medium_main, medium);
        }
        for (uint32_t i = 0; i < count; i++) {
                pthread_join(media[i].thread, NULL);
                free(media[i].bytes);
        }
}

static void *client_main(void *client_at)
{
        struct client *client = client_at;

        if (vds_client_get_configuration(client->client, WAIT_MS, &client->agreed) == NOERROR)
                serve_devices(client);
        if (client->manner != CLOSES)
                vds_client_verdict(client->client, WAIT_MS, &client->verdict, client->verdict_text);
        vds_client_close(client->client);
        return NULL;
}

static void client_start(struct client *client, enum manner manner, uint32_t features, uint32_t devices)
{
        *client = (struct client){ .manner = manner };
        snprintf(client->folder, sizeof client->folder, "/tmp/vdipipe-test-XXXXXX");
        assert_non_null(mkdtemp(client->folder));
        client->options.runtime_dir = client->folder;
        client->wishes.deviceCount = devices;
        client->wishes.features = features;
        client->client = vds_client_new(&client->options);
        assert_int_equal(vds_client_create(client->client, "set", &client->wishes), NOERROR);
        assert_int_equal(pthread_create(&client->thread, NULL, client_main, client), 0);
}

static void client_join(struct client *client)
{
        pthread_join(client->thread, NULL);
        vds_client_free(client->client);
        assert_int_equal(rmdir(client->folder), 0);
}

static int run_text(const struct client *client, const char *text, struct script_report *report, struct error *err)
{
        const struct script_call call = { .path = "x.vds", .set_name = "set", .options = &client->options };
        struct script *script;
        int rc;

        if (script_parse("x.vds", text, strlen(text), &script, err) < 0)
                fail_msg("%s", err->message);
        rc = script_run(script, &call, report, err);
        script_free(script);
        return rc;
}

static void expect_good(uint32_t features, uint32_t devices, const char *text, enum vds_verdict verdict)
{
        struct client client;
        struct script_report report;
        struct error err = ERROR_INIT;

        client_start(&client, GOOD, features, devices);
        if (run_text(&client, text, &report, &err) < 0)
                fail_msg("%s: %s\n%s", err.message, report.failures[0].text, text);
        assert_int_equal(report.failure_count, 0);
        client_join(&client);
        assert_int_equal(client.verdict, verdict);
}

/* Runs against a client that is not good; the report has one failure with these words. */
static void expect_bad(enum manner manner, uint32_t features, const char *text, enum err_code code, uint32_t line,
                       const char *words)
{
        struct client client;
        struct script_report report;
        struct error err = ERROR_INIT;

        client_start(&client, manner, features, 1);
        assert_int_equal(run_text(&client, text, &report, &err), -1);
        client_join(&client);
        assert_int_equal(err.code, code);
        assert_int_equal(report.failure_count, 1);
        assert_int_equal(report.timed_out, code == ERR_TIMEOUT);
        assert_string_equal(report.failures[0].text, words);
        assert_int_equal(report.failures[0].line, line);
        if (manner != CLOSES)
                assert_int_equal(client.verdict, VDS_VERDICT_FAILED);
}

static void test_transfers(void **state)
{
        (void)state;
        expect_good(0, 1, "device 1\nwrite 64K x10 depth 4\nflush\ncomplete\n", VDS_VERDICT_SUCCESS);
        expect_good(VDF_LikeDisk, 1,
                    "set direction both\ndevice 1\n"
                    "write 64K x4 depth 4\nwrite 4K at 256K\nflush\n"
                    "read 64K until eof at 0 depth 3 check pattern 0 total 266240\nclearerror\n"
                    "setposition 10 from current save here\nsetposition here+4 gives here+4\n"
                    "setposition -1 from end gives 266239\nread 4K at 4K check pattern 0\nread 4K\n",
                    VDS_VERDICT_SUCCESS);
        expect_good(0, 1,
                    "device 1\nwrite 64K until full total 1M depth 8\nclearerror\n"
                    "write 4K expect full bytes 0\nclearerror\nflush\n",
                    VDS_VERDICT_SUCCESS);
}

static void test_control(void **state)
{
        (void)state;
        expect_good(0, 1, "device 1\nsnapshot expect 50\nflush expect ioerror\nclearerror\ngeterror expect 50,1\n",
                    VDS_VERDICT_SUCCESS);
        expect_good(0, 1, "device 1\ncommand 77 expect 6\ncommand 19\nclose\nflush expect 6\n", VDS_VERDICT_SUCCESS);
        expect_good(0, 1, "device 1\nrepeat 3 {\nsend write 4K x2\nrepeat 2 {\nsend flush as A\nawait A\n}\ndrain\n}\n",
                    VDS_VERDICT_SUCCESS);
        expect_good(0, 1,
                    "set buffers 1\ndevice 1\nsend write 4K as A\nbuffers 1\nsend write 4K as B\nawait A B ordered\n",
                    VDS_VERDICT_SUCCESS);
        expect_good(0, 3, "device 1\nwrite 4K\nmeet\nflush\nmeet\ndevice 3 'other'\nmeet\nwrite 4K x9\nmeet\n",
                    VDS_VERDICT_SUCCESS);
        expect_good(0, 1, "verdict failed 'as planned'\ndevice 1\nflush\nstall 0.01\n", VDS_VERDICT_FAILED);
        expect_good(0, 1, "verdict none\ndevice 1\nwrite 4K\nflush\n", VDS_VERDICT_UNCONFIRMED);
        expect_good(0, 1, "device 1\nwrite 4K\nabort\nwrite 4K expect aborted\n", VDS_VERDICT_SUCCESS);
        expect_good(0, 2, "device 1\nwrite 4K\nclose set\ndevice 2\nflush\nhold\n", VDS_VERDICT_SUCCESS);
}

static void test_wishes(void **state)
{
        (void)state;
        expect_good(VDF_RequestComplete, 1, "expect features complete\nset grant none\ndevice 1\nflush\n",
                    VDS_VERDICT_SUCCESS);
        expect_bad(GOOD, 0, "expect prefix 512\ndevice 1\nflush\n", ERR_FAILED, 1,
                   "the client asks for prefixZoneSize 0 (0x0), expected 512 (0x200)");
        expect_bad(GOOD, 0, "device 1\nflush\ndevice 2\nflush\n", ERR_FAILED, 3,
                   "the client asks for 1 devices, the script needs device 2");
}

static void test_misbehaving(void **state)
{
        static const char written[] = "set direction both\ndevice 1\nwrite 8K x2\nread 8K at 0 check pattern 0\n";

        (void)state;
        expect_bad(SHORT_WRITE, 0, "device 1\nwrite 8K\n", ERR_FAILED, 2,
                   "Write of 8192 at 0, command 1: expected 0 with 8192 bytes, got 0 with 4096 bytes");
        expect_bad(SHORT_READ, VDF_LikeDisk, written, ERR_FAILED, 4,
                   "Read of 8192 at 0, command 3: expected 0 with 8192 bytes, got 0 with 4096 bytes");
        expect_bad(WRONG_DATA, VDF_LikeDisk, written, ERR_FAILED, 4,
                   "Read of 8192 at 0, command 3: byte 8191 is 0xc8, expected 0xc9 (offset 8191 of the data)");
        expect_bad(WRITES_BEHIND, VDF_LikeDisk, written, ERR_FAILED, 4,
                   "Read of 8192 at 0, command 3: the client wrote behind the command's data, at byte 8192");
        expect_bad(WRONG_POSITION, VDF_LikeDisk, "device 1\nsetposition 8K gives 8K\n", ERR_FAILED, 2,
                   "SetPosition of 0 at 8192, command 1: expected position 8192, got 12288");
        expect_bad(NOT_SUPPORTED, 0, "device 1\nwrite 4K\nflush\n", ERR_FAILED, 3,
                   "Flush of 0 at 0, command 2: expected 0, got 50");
        expect_bad(BACKWARDS, 0, "device 1\nsend write 4K as A\nsend write 4K as B\nawait A B ordered\n", ERR_FAILED, 4,
                   "'B' was completed before 'A'");
        expect_bad(GOOD, 0, "device 1\nwrite 64K x3 until full\n", ERR_FAILED, 2,
                   "the end did not come within 3 commands");
        expect_bad(GOOD, 0, "device 1\nwrite 64K x3 total 1\n", ERR_FAILED, 2, "expected 1 bytes in all, got 196608");
}

static void test_ends(void **state)
{
        (void)state;
        expect_bad(NEVER_COMPLETES, 0, "set timeout 0.2\ndevice 1\nwrite 4K x9 depth 4\n", ERR_TIMEOUT, 3,
                   "the script's time, 0.2 s, is over: Write of 4096 at 0, command 1 was not completed");
        expect_bad(NEVER_COMPLETES, 0, "set patience 0.05\ndevice 1\nwrite 4K\n", ERR_FAILED, 3,
                   "Write of 4096 at 0, command 1: not completed within 0.05 s");
        expect_bad(GOOD, 0, "set timeout 0.1\ndevice 1\nhold\n", ERR_TIMEOUT, 3,
                   "the script's time, 0.1 s, is over: the client neither aborted nor closed");
        expect_bad(GOOD, 0, "set timeout 0.1\ndevice 1\nstall 9\n", ERR_TIMEOUT, 3,
                   "the script's time, 0.1 s, is over: a stall went on");
        expect_bad(ABORTS, 0, "device 1\nwrite 4K x3\n", ERR_FAILED, 2,
                   "Write of 4096 at 0, command 2: expected 0 with 4096 bytes, got 995 with 0 bytes (the client "
                   "aborted the set)");
        expect_bad(ABORTS, 0, "device 1\nwrite 4K\nsend flush\nhold for close\n", ERR_FAILED, 4,
                   "expected the set to be aborted since the client closed the set before its devices were done, but "
                   "the client aborted the set");
}

/* What a client may do as well. */
static void test_expected_ends(void **state)
{
        static const struct {
                enum manner manner;
                const char *text;
        } cases[] = {
                { ABORTS, "device 1\nwrite 4K\nsend flush\nhold for abort\nflush expect aborted\n" },
                { CLOSES, "device 1\nwrite 4K\nsend flush expect 995\nhold for close\n" },
                { NEVER_COMPLETES, "device 1\nsend write 4K expect aborted as A\nabort\nawait A\n" },
                { NEVER_COMPLETES, "device 1\nsend write 4K x2 expect aborted\nclose\n" },
                { NEVER_COMPLETES, "device 1\nsend flush x64 expect aborted\nflush expect queuefull\nabort\n" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct client client;
                struct script_report report;
                struct error err = ERROR_INIT;

                client_start(&client, cases[i].manner, 0, 1);
                if (run_text(&client, cases[i].text, &report, &err) < 0)
                        fail_msg("%s: %s\n%s", err.message, report.failures[0].text, cases[i].text);
                client_join(&client);
        }
}

/* After a failure the script goes on where it is told to, and all failures are listed. */
static void test_goes_on(void **state)
{
        struct client client;
        struct script_report report;
        struct error err = ERROR_INIT;
        char *text;
        size_t size;
        FILE *stream = open_memstream(&text, &size);

        (void)state;
        client_start(&client, SHORT_WRITE, 0, 1);
        assert_int_equal(run_text(&client, "set onfailure continue\ndevice 1\nwrite 8K x101\nflush\n", &report, &err),
                         -1);
        client_join(&client);
        assert_int_equal(report.failure_count, 101);
        assert_int_equal(report.checks, 102);
        assert_int_equal(report.commands, 102);
        assert_string_equal(err.message, "the client of 'set' did not do what 'x.vds' demands: 101 failures");
        script_report_print(&report, stream);
        assert_int_equal(script_report_json(&report, stream, &err), 0);
        fclose(stream);
        assert_memory_equal(text,
                            "x.vds:3: device 1: Write of 8192 at 0, command 1: expected 0 with 8192 bytes, got 0 "
                            "with 4096 bytes\n",
                            100);
        assert_non_null(strstr(text, "\nx.vds: and 1 more\n{\"script\":\"x.vds\",\"set\":\"set\",\"passed\":false,"
                                     "\"timed_out\":false,\"commands\":102,\"checks\":102,\"failure_count\":101,"
                                     "\"failures\":[{\"line\":3,\"device\":1,\"text\":\"Write of"));
        free(text);
}

/* Faults of the script that only show when it runs. */
static void test_faults(void **state)
{
        static const char *const cases[][2] = {
                { "set buffers 1\ndevice 1\nwrite 4K x4 depth 2\n", "x.vds:3: no buffer is free: raise 'set buffers'" },
                { "device 1\nsend flush as A\nawait A\nawait A\n", "x.vds:4: nothing is outstanding under this label" },
                { "device 1\nrepeat 3 {\nsend command 77 x64 expect 6\n}\n",
                  "x.vds:3: too many commands are outstanding: add a 'drain'" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct client client;
                struct script_report report;
                struct error err = ERROR_INIT;

                client_start(&client, i == 0 ? NEVER_COMPLETES : GOOD, 0, 1);
                err = (struct error)ERROR_INIT;
                assert_int_equal(run_text(&client, cases[i][0], &report, &err), -1);
                client_join(&client);
                assert_int_equal(err.code, ERR_USAGE);
                assert_string_equal(err.message, cases[i][1]);
        }
}

static void leave_process(const struct script_report *report, void *context)
{
        (void)context;
        _exit(report->failure_count == 0 && report->commands == 1 ? 42 : 1);
}

/* The server as a process of its own, which ends in the middle; its status. */
static int status_of(const char *text, enum vds_verdict *ret_verdict)
{
        struct client client;
        int go[2];
        int status;
        pid_t pid;

        assert_int_equal(pipe(go), 0);
        pid = fork();
        if (pid == 0) {
                struct script_call call = { .path = "x.vds", .set_name = "set", .leave = leave_process };
                struct vds_options options = { .runtime_dir = client.folder };
                struct script_report report;
                struct script *script;

                if (read(go[0], client.folder, sizeof client.folder) <= 0)
                        _exit(1);
                call.options = &options;
                if (script_parse("x.vds", text, strlen(text), &script, NULL) == 0)
                        script_run(script, &call, &report, NULL);
                _exit(2);
        }
        client_start(&client, GOOD, 0, 1);
        assert_int_equal(write(go[1], client.folder, sizeof client.folder), sizeof client.folder);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        client_join(&client);
        close(go[0]);
        close(go[1]);
        *ret_verdict = client.verdict;
        return status;
}

static void test_leaving(void **state)
{
        enum vds_verdict verdict;
        int status = status_of("device 1\nwrite 4K\nexit\n", &verdict);

        (void)state;
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 42);
        assert_int_equal(verdict, VDS_VERDICT_FAILED);
        status = status_of("device 1\nwrite 4K\ndie\n", &verdict);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_int_equal(verdict, VDS_VERDICT_FAILED);
}

static void test_no_set(void **state)
{
        struct vds_options options = { .runtime_dir = "/nonexistent" };
        const struct script_call call = { .path = "/nonexistent/x.vds", .set_name = "set", .options = &options };
        struct script_report report;
        struct script *script;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(script_main(&call, &report, &err), -1);
        assert_string_equal(err.message, "cannot read the script '/nonexistent/x.vds': No such file or directory");
        assert_int_equal(script_parse("x.vds", "device 1\n", 9, &script, &err), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(script_run(script, &call, &report, &err), -1);
        assert_int_equal(err.code, ERR_FAILED);
        assert_string_equal(err.message, "there is no device set 'set' to join: its client has to create it first");
        script_free(script);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_transfers), cmocka_unit_test(test_control),
                cmocka_unit_test(test_wishes),    cmocka_unit_test(test_misbehaving),
                cmocka_unit_test(test_ends),      cmocka_unit_test(test_expected_ends),
                cmocka_unit_test(test_goes_on),   cmocka_unit_test(test_faults),
                cmocka_unit_test(test_leaving),   cmocka_unit_test(test_no_set),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
