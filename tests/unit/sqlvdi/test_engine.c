/* The table of engine.h on a library: a fake one in every unit of time, and the drop-in with a server of ours behind
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/sqlvdi/engine.h"
#include "core/sqlvdi/library.h"
#include "tests/unit/sqlvdi/fake_library.h"

enum {
        SLACK_MS = 5000, /* a loaded machine's */
        BLOCKS = 40,     /* that the drop-in's server writes */
        TRANSFER = 65536,
};

static struct sqlvdi_library *library;
static struct fake_library *fake;
static struct engine *engine;

static int setup(void **state)
{
        static const size_t kept = offsetof(struct fake_library, unit);

        (void)state;
        if (sqlvdi_library_open(FAKE_WHOLE, false, &library, NULL) < 0)
                return -1;
        fake = dlsym(library->handle, "fake_library");
        memset((char *)fake + kept, 0, sizeof *fake - kept);
        engine = engine_library_new(library);
        return engine ? 0 : -1;
}

static int teardown(void **state)
{
        (void)state;
        engine_free(engine);
        sqlvdi_library_close(library);
        return 0;
}

static void create(uint32_t devices)
{
        const struct VDConfig wishes = { .deviceCount = devices, .serverTimeOut = 7 };

        assert_int_equal(engine_create(engine, "a set", &wishes), NOERROR);
}

static void check_calls(const char *calls)
{
        assert_string_equal(fake->calls, calls);
}

static void close_engine(void)
{
        engine_free(engine);
        engine = NULL;
}

static int64_t ms_since(int64_t began)
{
        return (monotonic_ns() - began) / 1000000;
}

/* ---- what a library knows and does not ---- */

static void test_create_and_its_refusals(void **state)
{
        static const struct {
                int result;
                const char *words;
        } refusals[] = {
                { VD_E_PROTOCOL, "a set of that name exists already" },
                { VD_E_NOTSUPPORTED, "the library does not support this number of devices or these features" },
                { VD_E_SECURITY, "access to the server's shared memory was denied; run as its user (--run-as mssql)" },
                { VD_E_MEMORY, "memory or /dev/shm is full" },
                { VD_E_UNEXPECTED, "the library refused it" },
        };
        const struct VDConfig wishes = { .deviceCount = 1 };
        char longest[VDS_NAME_MAX + 2];

        (void)state;
        assert_string_equal(engine_error_text(engine), "");
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
                fake->create_result = refusals[i].result;
                assert_int_equal(engine_create(engine, "a set", &wishes), refusals[i].result);
                assert_string_equal(engine_error_text(engine), refusals[i].words);
        }
        fake->create_result = NOERROR;
        memset(longest, 'n', sizeof longest - 1);
        longest[sizeof longest - 1] = '\0';
        assert_int_equal(engine_create(engine, longest, &wishes), VD_E_INVALID);
        check_calls("+ccccc");
        create(3);
        assert_string_equal(fake->set_name, "a set");
        assert_int_equal(fake->wishes.deviceCount, 3);
        assert_int_equal(fake->wishes.serverTimeOut, 7);
        assert_string_equal(engine_error_text(engine), "");
        close_engine();
        check_calls("+ccccccax-");
}

/* Without a set there is nothing to abort and to close. */
static void test_an_engine_without_a_set(void **state)
{
        (void)state;
        assert_int_equal(engine_signal_abort(engine), VD_E_PROTOCOL);
        close_engine();
        check_calls("+-");
}

static void test_what_a_library_does_not_know(void **state)
{
        enum vds_verdict verdict = VDS_VERDICT_SUCCESS;
        char name[VDS_NAME_MAX + 1];
        char text[VDS_TEXT_MAX] = "left over";
        uint32_t index;

        (void)state;
        assert_int_equal(engine_device_name(engine, 0, 0, name), VD_E_INVALID);
        create(2);
        assert_int_equal(engine_device_name(engine, 0, 0, name), NOERROR);
        assert_string_equal(name, "a set");
        assert_int_equal(engine_device_name(engine, 1, 0, name), VD_E_INVALID);
        assert_int_equal(engine_server_info(engine, text), NOERROR);
        assert_string_equal(text, "");
        snprintf(text, sizeof text, "left over");
        assert_int_equal(engine_verdict(engine, -1, &verdict, text), NOERROR);
        assert_int_equal(verdict, VDS_VERDICT_NONE);
        assert_string_equal(text, "");
        assert_int_equal(engine_server_pid(engine), 0);
        assert_false(engine_unserved(engine, &index));
        assert_null(engine_vds(engine));
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_NONE);
}

/* ---- devices and commands ---- */

static struct engine_device *open_device(const char *name)
{
        struct engine_device *device = NULL;

        assert_int_equal(engine_open_device(engine, name, &device), NOERROR);
        assert_non_null(device);
        assert_string_equal(fake->device_name, name);
        return device;
}

static void test_a_transfer_to_its_end(void **state)
{
        uint8_t byte = 0;
        struct VDC_Command write = { .commandCode = VDC_Write, .size = 1, .buffer = &byte };
        struct VDC_Command *command;
        struct engine_device *device;
        struct VDConfig config = { 0 };

        (void)state;
        fake->configured = true;
        fake->steps[0] = (struct fake_step){ NOERROR, &write };
        fake->steps[1] = (struct fake_step){ VD_E_CLOSE, NULL };
        fake->step_count = 2;
        create(1);
        assert_int_equal(engine_get_configuration(engine, 0, &config), NOERROR);
        assert_int_equal(config.blockSize, 4096);
        device = open_device("a set");
        assert_int_equal(engine_get_command(engine, device, &command), NOERROR);
        assert_ptr_equal(command, &write);
        assert_int_equal(engine_complete_command(engine, device, command, ERROR_DISK_FULL, 1, 1LL << 40), NOERROR);
        assert_int_equal(fake->code, ERROR_DISK_FULL);
        assert_int_equal(fake->bytes, 1);
        assert_int_equal(fake->position, 1LL << 40);
        assert_int_equal(engine_get_command(engine, device, &command), VD_E_CLOSE);
        close_engine();
        check_calls("+cgokdkx-");
}

/* With one of two devices still open, Close alone would leave the server waiting. */
static void test_a_set_that_is_not_done_is_aborted(void **state)
{
        struct VDC_Command *command;

        (void)state;
        fake->steps[0] = (struct fake_step){ VD_E_CLOSE, NULL };
        fake->step_count = 1;
        create(2);
        assert_int_equal(engine_get_command(engine, open_device("one"), &command), VD_E_CLOSE);
        open_device("two");
        close_engine();
        check_calls("+cokoax-");
}

static void test_a_device_that_does_not_open(void **state)
{
        struct engine_device *device;

        (void)state;
        create(1);
        fake->open_result = VD_E_INVALID;
        assert_int_equal(engine_open_device(engine, "x", &device), VD_E_INVALID);
        assert_null(device);
        fake->open_result = NOERROR;
        fake->opens_nothing = true;
        assert_int_equal(engine_open_device(engine, "x", &device), VD_E_UNEXPECTED);
        assert_null(device);
        fake->open_result = VD_E_ABORT;
        assert_int_equal(engine_open_device(engine, "x", &device), VD_E_ABORT);
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_SERVER);
}

/* What would be read or written at a wrong address never reaches the medium. */
static void test_commands_that_make_no_sense(void **state)
{
        uint8_t byte = 0;
        struct VDC_Command negative = { .commandCode = VDC_Write, .size = -1, .buffer = &byte };
        struct VDC_Command nowhere = { .commandCode = VDC_Read, .size = 1 };
        struct VDC_Command flush = { .commandCode = VDC_Flush, .size = -1 };
        struct VDC_Command *command;
        struct engine_device *device;

        (void)state;
        fake->steps[0] = (struct fake_step){ NOERROR, NULL };
        fake->steps[1] = (struct fake_step){ NOERROR, &negative };
        fake->steps[2] = (struct fake_step){ NOERROR, &nowhere };
        fake->steps[3] = (struct fake_step){ NOERROR, &flush };
        fake->step_count = 4;
        create(1);
        device = open_device("a set");
        for (int i = 0; i < 3; i++)
                assert_int_equal(engine_get_command(engine, device, &command), VD_E_UNEXPECTED);
        assert_int_equal(engine_get_command(engine, device, &command), NOERROR);
        assert_ptr_equal(command, &flush);
}

static void test_commands_beyond_the_configuration(void **state)
{
        uint8_t byte = 0;
        struct VDC_Command largest = { .commandCode = VDC_Write, .size = 65536, .buffer = &byte };
        struct VDC_Command larger = { .commandCode = VDC_Write, .size = 65537, .buffer = &byte };
        struct VDC_Command *command;
        struct VDConfig config;
        struct engine_device *device;

        (void)state;
        fake->configured = true;
        fake->transfer_max = 65536;
        fake->steps[0] = (struct fake_step){ NOERROR, &largest };
        fake->steps[1] = (struct fake_step){ NOERROR, &larger };
        fake->step_count = 2;
        create(1);
        assert_int_equal(engine_get_configuration(engine, 1000, &config), NOERROR);
        device = open_device("a set");
        assert_int_equal(engine_get_command(engine, device, &command), NOERROR);
        assert_int_equal(engine_get_command(engine, device, &command), VD_E_UNEXPECTED);
}

/* ---- time ---- */

static void test_milliseconds_are_waited_in_growing_steps(void **state)
{
        struct VDConfig config;
        int64_t began = monotonic_ns();

        (void)state;
        create(1);
        assert_int_equal(engine_get_configuration(engine, 700, &config), VD_E_TIMEOUT);
        assert_in_range(ms_since(began), 700, 700 + SLACK_MS);
        /* 1 + 2 + ... + 128 are 255 ms; the rest in steps of 128. */
        assert_in_range(fake->waits, 2, 14);
        assert_int_equal(fake->longest, 128);
}

static void test_seconds_are_waited_one_by_one(void **state)
{
        struct VDConfig config;
        int64_t began = monotonic_ns();

        (void)state;
        fake->unit = FAKE_SECONDS;
        create(1);
        assert_int_equal(engine_get_configuration(engine, 1500, &config), VD_E_TIMEOUT);
        assert_in_range(ms_since(began), 1500, 2500 + SLACK_MS);
        assert_in_range(fake->waits, 1, 3);
        assert_int_equal(fake->longest, 1);
}

static void test_a_library_that_does_not_wait_is_not_asked_in_a_loop(void **state)
{
        struct VDConfig config;
        int64_t began = monotonic_ns();

        (void)state;
        fake->unit = FAKE_AT_ONCE;
        create(1);
        assert_int_equal(engine_get_configuration(engine, 700, &config), VD_E_TIMEOUT);
        assert_in_range(ms_since(began), 700, 700 + SLACK_MS);
        assert_in_range(fake->waits, 2, 14);
}

static void test_zero_polls_in_any_unit(void **state)
{
        struct VDConfig config;

        (void)state;
        create(1);
        for (int unit = FAKE_MILLISECONDS; unit <= FAKE_AT_ONCE; unit++) {
                int64_t began = monotonic_ns();

                fake->unit = (enum fake_unit)unit;
                assert_int_equal(engine_get_configuration(engine, 0, &config), VD_E_TIMEOUT);
                assert_in_range(ms_since(began), 0, 900);
        }
        assert_int_equal(fake->longest, 0);
        assert_int_equal(fake->waits, 3);
}

struct waiter {
        pthread_t thread;
        struct engine_device *device; /* NULL: waits for the configuration */
        int result;
};

static void *waiter_main(void *argument)
{
        struct waiter *waiter = argument;
        struct VDC_Command *command;
        struct VDConfig config;

        waiter->result = waiter->device ? engine_get_command(engine, waiter->device, &command)
                                        : engine_get_configuration(engine, -1, &config);
        return NULL;
}

static void await_waits(int count)
{
        struct deadline deadline = deadline_after_ms(20000);
        int waits = 0;

        do {
                pthread_mutex_lock(&fake->lock);
                waits = fake->waits;
                pthread_mutex_unlock(&fake->lock);
        } while (waits < count && !deadline_passed(deadline) && sched_yield() == 0);
        assert_true(waits >= count);
}

/* Both kinds of wait end, in each unit and whether the library wakes its waiters or not. */
static void check_abort_frees(enum fake_unit unit, bool deaf, int64_t within_ms)
{
        struct waiter waiters[2] = { 0 };
        int64_t began;

        fake->unit = unit;
        fake->deaf = deaf;
        create(1);
        waiters[1].device = open_device("a set");
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_create(&waiters[i].thread, NULL, waiter_main, &waiters[i]), 0);
        await_waits(2);
        began = monotonic_ns();
        assert_int_equal(engine_signal_abort(engine), NOERROR);
        for (int i = 0; i < 2; i++) {
                pthread_join(waiters[i].thread, NULL);
                assert_int_equal(waiters[i].result, VD_E_ABORT);
        }
        assert_in_range(ms_since(began), 0, within_ms + SLACK_MS);
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_CLIENT);
        assert_string_equal(engine_abort_text(engine), "the client aborted the set");
}

static void test_abort_frees_waiters(void **state)
{
        (void)state;
        check_abort_frees(FAKE_MILLISECONDS, /* deaf= */ false, 0);
}

static void test_abort_frees_waiters_of_a_library_that_counts_seconds(void **state)
{
        (void)state;
        check_abort_frees(FAKE_SECONDS, /* deaf= */ false, 0);
}

static void test_abort_frees_waiters_of_a_deaf_library(void **state)
{
        (void)state;
        check_abort_frees(FAKE_MILLISECONDS, /* deaf= */ true, 130);
}

static void test_abort_frees_waiters_of_a_deaf_library_that_counts_seconds(void **state)
{
        (void)state;
        check_abort_frees(FAKE_SECONDS, /* deaf= */ true, 1000);
}

static void test_abort_frees_waiters_of_a_library_that_does_not_wait(void **state)
{
        (void)state;
        check_abort_frees(FAKE_AT_ONCE, /* deaf= */ true, 130);
}

static bool all_is_called(const char *calls)
{
        bool same;

        pthread_mutex_lock(&fake->lock);
        same = strcmp(fake->calls, calls) == 0;
        pthread_mutex_unlock(&fake->lock);
        return same;
}

/* Whoever waits for the end does not wait for it; when it comes back after all, it ends as it should. */
static void test_a_library_that_is_stuck_in_close(void **state)
{
        struct deadline deadline = deadline_after_ms(20000);
        int64_t began = monotonic_ns();

        (void)state;
        fake->stuck = true;
        create(1);
        close_engine();
        assert_in_range(ms_since(began), 3000, 3000 + SLACK_MS);
        assert_true(all_is_called("+cax"));
        pthread_mutex_lock(&fake->lock);
        fake->stuck = false;
        pthread_cond_broadcast(&fake->changed);
        pthread_mutex_unlock(&fake->lock);
        while (!all_is_called("+cax-") && !deadline_passed(deadline))
                sched_yield();
        assert_true(all_is_called("+cax-"));
}

static void let_go(bool *flag)
{
        pthread_mutex_lock(&fake->lock);
        *flag = false;
        pthread_cond_broadcast(&fake->changed);
        pthread_mutex_unlock(&fake->lock);
}

/* Who aborts a set may be who ends the program, and has other things to do. */
static void test_a_library_that_is_stuck_in_signal_abort(void **state)
{
        struct deadline deadline = deadline_after_ms(20000);
        int64_t began = monotonic_ns();

        (void)state;
        fake->aborts_slowly = true;
        create(1);
        assert_int_equal(engine_signal_abort(engine), NOERROR);
        assert_in_range(ms_since(began), 1000, 1000 + SLACK_MS);
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_CLIENT);
        began = monotonic_ns();
        assert_int_equal(engine_signal_abort(engine), NOERROR);
        close_engine();
        assert_in_range(ms_since(began), 3000, 3000 + SLACK_MS);
        assert_true(all_is_called("+ca"));
        let_go(&fake->aborts_slowly);
        while (!all_is_called("+cax-") && !deadline_passed(deadline))
                sched_yield();
        assert_true(all_is_called("+cax-"));
}

static void *get_configuration_main(void *argument)
{
        struct VDConfig config;

        (void)argument;
        engine_get_configuration(engine, -1, &config);
        return NULL;
}

/* A thread that a library does not give back can be seen, and for how long. */
static void test_how_long_a_call_is_inside(void **state)
{
        struct deadline deadline = deadline_after_ms(20000);
        pthread_t thread;

        (void)state;
        create(1);
        assert_int_equal(engine_inside_ms(engine), 0);
        pthread_mutex_lock(&fake->lock);
        assert_int_equal(pthread_create(&thread, NULL, get_configuration_main, NULL), 0);
        while (engine_inside_ms(engine) < 300 && !deadline_passed(deadline))
                sched_yield();
        assert_in_range(engine_inside_ms(engine), 300, 300 + SLACK_MS);
        pthread_mutex_unlock(&fake->lock);
        engine_signal_abort(engine);
        pthread_join(thread, NULL);
        assert_int_equal(engine_inside_ms(engine), 0);
}

static void test_an_abort_unasked_for(void **state)
{
        struct VDC_Command *command;

        (void)state;
        fake->steps[0] = (struct fake_step){ VD_E_ABORT, NULL };
        fake->step_count = 1;
        create(1);
        assert_int_equal(engine_get_command(engine, open_device("a set"), &command), VD_E_ABORT);
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_SERVER);
        assert_string_equal(engine_abort_text(engine), "the server or its library aborted the set");
        /* The first reason stays. */
        assert_int_equal(engine_signal_abort(engine), NOERROR);
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_SERVER);
}

/* ---- the drop-in ---- */

struct database {
        struct vds_server *server;
        struct vds_server_device *device;
        struct VDS_Command command;
        int left;
};

static struct database database;

static void send_block(void)
{
        database.command.commandCode = VDC_Write;
        database.command.size = TRANSFER;
        memset(database.command.buffer, database.left, TRANSFER);
        assert_int_equal(vds_server_device_send_command(database.device, &database.command), NOERROR);
}

static void on_completion(struct VDS_Command *command)
{
        assert_int_equal(command->completionCode, ERROR_SUCCESS);
        assert_int_equal(command->bytesTransferred, TRANSFER);
        if (--database.left > 0)
                send_block();
        else
                assert_int_equal(vds_server_device_close(database.device), NOERROR);
}

static void *database_main(void *argument)
{
        struct vds_server *server = database.server;

        (void)argument;
        assert_int_equal(vds_server_open(server, "a set"), NOERROR);
        assert_int_equal(vds_server_begin_configuration(server, VDF_WriteMedia, 4096, 0, TRANSFER, 0), NOERROR);
        assert_int_equal(vds_server_request_buffers(server, TRANSFER, 0, 1), NOERROR);
        assert_int_equal(vds_server_end_configuration(server), NOERROR);
        assert_int_equal(vds_server_open_device(server, "a set", &database.device), NOERROR);
        assert_int_equal(vds_server_allocate_buffer(server, &database.command.buffer, TRANSFER, 0), NOERROR);
        database.command.completionRoutine = (uint8_t *)(uintptr_t)on_completion;
        database.left = BLOCKS;
        send_block();
        assert_int_equal(vds_server_execute_completion_agent(server), NOERROR);
        assert_int_equal(vds_server_close(server), NOERROR);
        return NULL;
}

static int dropin_setup(void **state)
{
        static char folder[] = "/tmp/vdipipe-test-XXXXXX";

        *state = folder;
        if (!mkdtemp(folder) || setenv("VDIPIPE_RUNTIME_DIR", folder, 1) < 0 ||
            sqlvdi_library_open(DROPIN, /* dropin_wanted= */ true, &library, NULL) < 0)
                return -1;
        engine = engine_library_new(library);
        database.server = vds_server_new(&(struct vds_options){ .runtime_dir = folder });
        return engine && database.server ? 0 : -1;
}

static int dropin_teardown(void **state)
{
        vds_server_free(database.server);
        engine_free(engine);
        sqlvdi_library_close(library);
        return rmdir(*state);
}

/* The drop-in takes the small time-outs of our waits for seconds. */
static void test_the_drop_in_serves_a_device(void **state)
{
        struct engine_device *device;
        struct VDC_Command *command;
        struct VDConfig config;
        pthread_t thread;
        int rc;

        (void)state;
        create(1);
        assert_int_equal(engine_get_configuration(engine, 0, &config), VD_E_TIMEOUT);
        assert_int_equal(pthread_create(&thread, NULL, database_main, NULL), 0);
        assert_int_equal(engine_get_configuration(engine, 20000, &config), NOERROR);
        assert_int_equal(config.blockSize, 4096);
        assert_int_equal(engine_open_device(engine, "a set", &device), NOERROR);
        for (int left = BLOCKS; left > 0; left--) {
                assert_int_equal(engine_get_command(engine, device, &command), NOERROR);
                assert_int_equal(command->commandCode, VDC_Write);
                assert_int_equal(command->buffer[0], left);
                rc = engine_complete_command(engine, device, command, ERROR_SUCCESS, TRANSFER, 0);
                assert_int_equal(rc, NOERROR);
        }
        assert_int_equal(engine_get_command(engine, device, &command), VD_E_CLOSE);
        pthread_join(thread, NULL);
        assert_int_equal(engine_abort_reason(engine), VDS_ABORT_NONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
        const struct CMUnitTest tests[] = {
                TEST(test_create_and_its_refusals),
                TEST(test_an_engine_without_a_set),
                TEST(test_what_a_library_does_not_know),
                TEST(test_a_transfer_to_its_end),
                TEST(test_a_set_that_is_not_done_is_aborted),
                TEST(test_a_device_that_does_not_open),
                TEST(test_commands_that_make_no_sense),
                TEST(test_commands_beyond_the_configuration),
                TEST(test_milliseconds_are_waited_in_growing_steps),
                TEST(test_seconds_are_waited_one_by_one),
                TEST(test_a_library_that_does_not_wait_is_not_asked_in_a_loop),
                TEST(test_zero_polls_in_any_unit),
                TEST(test_abort_frees_waiters),
                TEST(test_abort_frees_waiters_of_a_library_that_counts_seconds),
                TEST(test_abort_frees_waiters_of_a_deaf_library),
                TEST(test_abort_frees_waiters_of_a_deaf_library_that_counts_seconds),
                TEST(test_abort_frees_waiters_of_a_library_that_does_not_wait),
                TEST(test_a_library_that_is_stuck_in_close),
                TEST(test_a_library_that_is_stuck_in_signal_abort),
                TEST(test_how_long_a_call_is_inside),
                TEST(test_an_abort_unasked_for),
                cmocka_unit_test_setup_teardown(test_the_drop_in_serves_a_device, dropin_setup, dropin_teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
