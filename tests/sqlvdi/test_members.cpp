/*
 * The members of the two classes, called from C++ as their users call them. The server at the other end is the engine
 * that this program links, a second copy beside the one in the library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vdipipe/sqlvdi.h>
#include <vdipipe/vds.h>

namespace
{

const uint32_t TRANSFER = 65536;
const int BUFFERS = 4;
const int TRANSFERS = 20; /* on each device */
const time_t FOREVER = -1;

char folder[] = "/tmp/vdipipe-sqlvdi-XXXXXX";
char set_name[] = "set";

typedef std::unique_ptr<ClientVirtualDeviceSet> set_pointer;

/* ---- a server ---- */

std::string device_name(int index)
{
        return index == 0 ? set_name : "device " + std::to_string(index);
}

uint8_t pattern(int device, int transfer)
{
        return (uint8_t)(1 + device * 31 + transfer);
}

/* One device of the server's: it sends its transfers one after the other, then a Flush, then closes. */
struct lane {
        VDS_Command command;
        vds_server *server;
        vds_server_device *device;
        int index;
        int next;
        int code;
        std::atomic<int> *left;
        std::atomic<int> *failures;
};

void send_next(lane *lane)
{
        bool flush = lane->next == TRANSFERS;

        lane->command.commandCode = flush ? (int)VDC_Flush : lane->code;
        lane->command.size = flush ? 0 : (int)TRANSFER;
        lane->command.inPosition = 0;
        if (lane->code == VDC_Write && !flush)
                memset(lane->command.buffer, pattern(lane->index, lane->next), TRANSFER);
        vds_server_device_send_command(lane->device, &lane->command);
}

bool answered_well(const lane *lane)
{
        const VDS_Command &command = lane->command;

        if (command.completionCode != ERROR_SUCCESS)
                return false;
        if (command.commandCode == VDC_Flush)
                return true;
        return command.bytesTransferred == (int)TRANSFER &&
               command.buffer[TRANSFER - 1] == pattern(lane->index, lane->next);
}

void on_completion(VDS_Command *command)
{
        lane *lane = reinterpret_cast<struct lane *>(command->completionContext);
        bool flushed = command->commandCode == VDC_Flush;

        if (!answered_well(lane)) {
                ++*lane->failures;
                return;
        }
        lane->next++;
        if (!flushed)
                send_next(lane);
        else
                vds_server_device_close(lane->device);
}

/* Serves one operation in a thread. What went wrong is counted. */
class test_server
{
      public:
        test_server(int devices, int code) : server_(vds_server_new(nullptr)), lanes_((size_t)devices), code_(code)
        {
                thread_ = std::thread([this] { run(); });
        }
        ~test_server()
        {
                finish();
        }
        /* Waits for its end. */
        void finish()
        {
                if (thread_.joinable())
                        thread_.join();
                vds_server_free(server_);
                server_ = nullptr;
        }
        int failures() const
        {
                return failures_;
        }
        vds_abort_reason reason() const
        {
                return reason_;
        }

      private:
        int configure()
        {
                int result = vds_server_open(server_, set_name);

                if (result == NOERROR)
                        result = vds_server_begin_configuration(
                                server_, code_ == VDC_Write ? VDF_WriteMedia : VDF_ReadMedia, 512, 0, TRANSFER, 0);
                if (result == NOERROR)
                        result = vds_server_request_buffers(server_, TRANSFER, 0, BUFFERS * (uint32_t)lanes_.size());
                return result == NOERROR ? vds_server_end_configuration(server_) : result;
        }

        int open(lane *lane, int index)
        {
                int result = vds_server_open_device(server_, device_name(index).c_str(), &lane->device);

                lane->server = server_;
                lane->index = index;
                lane->code = code_;
                lane->failures = &failures_;
                lane->command.completionRoutine = reinterpret_cast<uint8_t *>(on_completion);
                lane->command.completionContext = reinterpret_cast<uint8_t *>(lane);
                return result == NOERROR ? vds_server_allocate_buffer(server_, &lane->command.buffer, TRANSFER, 0)
                                         : result;
        }

        void run()
        {
                int result = configure();

                for (size_t i = 0; i < lanes_.size() && result == NOERROR; i++)
                        result = open(&lanes_[i], (int)i);
                for (size_t i = 0; i < lanes_.size() && result == NOERROR; i++)
                        send_next(&lanes_[i]);
                if (result == NOERROR)
                        result = vds_server_execute_completion_agent(server_);
                if (result != NOERROR)
                        ++failures_;
                reason_ = vds_server_abort_reason(server_);
                vds_server_set_verdict(server_, failures_ == 0 ? VDS_VERDICT_SUCCESS : VDS_VERDICT_FAILED, "");
                vds_server_close(server_);
        }

        vds_server *server_;
        std::vector<lane> lanes_;
        int code_;
        std::atomic<int> failures_{ 0 };
        std::atomic<vds_abort_reason> reason_{ VDS_ABORT_NONE };
        std::thread thread_;
};

/* ---- a client ---- */

set_pointer new_set()
{
        return set_pointer(new ClientVirtualDeviceSet);
}

int create(ClientVirtualDeviceSet *set, uint32_t devices)
{
        VDConfig config = {};

        config.deviceCount = devices;
        return set->Create(set_name, &config);
}

void configure(ClientVirtualDeviceSet *set, uint32_t devices)
{
        VDConfig config = {};

        assert_int_equal(set->GetConfiguration(FOREVER, &config), NOERROR);
        assert_int_equal(config.deviceCount, devices);
        assert_int_equal(config.maxTransferSize, TRANSFER);
        assert_true(config.features & (VDF_WriteMedia | VDF_ReadMedia));
}

ClientVirtualDevice *open(ClientVirtualDeviceSet *set, int index)
{
        std::string name = device_name(index);
        ClientVirtualDevice *device = nullptr;

        assert_int_equal(set->OpenDevice(&name[0], &device), NOERROR);
        assert_non_null(device);
        return device;
}

/* Executes one command. Returns false when the data is not what it has to be. */
bool execute(const VDC_Command *command, int device, int transfer)
{
        if (command->commandCode == VDC_Read)
                memset(command->buffer, pattern(device, transfer), (size_t)command->size);
        if (command->commandCode == VDC_Write)
                return command->buffer[0] == pattern(device, transfer) &&
                       command->buffer[command->size - 1] == pattern(device, transfer);
        return true;
}

/* Serves a device to its end. Returns what GetCommand or CompleteCommand said last. */
int serve(ClientVirtualDevice *device, int index, time_t timeout = FOREVER)
{
        VDC_Command *command;
        int transfer = 0;
        int result;

        while ((result = device->GetCommand(timeout, &command)) == NOERROR) {
                bool good = execute(command, index, transfer++);
                bool moves = command->commandCode == VDC_Read || command->commandCode == VDC_Write;

                result = device->CompleteCommand(command, good ? ERROR_SUCCESS : 1117,
                                                 moves ? (unsigned long)command->size : 0, 0);
                if (result != NOERROR)
                        return result;
        }
        return result;
}

void operate(ClientVirtualDeviceSet *set, int code)
{
        assert_int_equal(create(set, 1), NOERROR);
        test_server server(1, code);
        configure(set, 1);
        assert_int_equal(serve(open(set, 0), 0), VD_E_CLOSE);
        assert_int_equal(set->Close(), NOERROR);
        server.finish();
        assert_int_equal(server.failures(), 0);
}

/* ---- calls that come too early, too late, or with nothing ---- */

void expect_no_set(ClientVirtualDeviceSet *set)
{
        ClientVirtualDevice *device = reinterpret_cast<ClientVirtualDevice *>(&device);
        uint8_t *buffer = reinterpret_cast<uint8_t *>(&buffer);
        unsigned handle = 0;
        VDConfig config = {};

        assert_int_equal(set->GetConfiguration(0, &config), VD_E_PROTOCOL);
        assert_int_equal(set->OpenDevice(set_name, &device), VD_E_PROTOCOL);
        assert_null(device);
        assert_int_equal(set->SignalAbort(), VD_E_PROTOCOL);
        assert_int_equal(set->GetBufferHandle(buffer, &handle), VD_E_PROTOCOL);
        assert_int_equal(set->MapBufferHandle(1, &buffer), VD_E_PROTOCOL);
        assert_null(buffer);
        assert_int_equal(set->OpenInSecondary(set_name), VD_E_PROTOCOL);
        set->RegisterDeviceClosed();
        assert_int_equal(set->Close(), VD_E_PROTOCOL);
}

void calls_without_a_set(void **)
{
        set_pointer set = new_set();

        expect_no_set(set.get());
        assert_int_equal(create(set.get(), 1), NOERROR);
        assert_int_equal(set->Close(), NOERROR);
        expect_no_set(set.get());
}

void a_device_of_the_programs_own(void **)
{
        ClientVirtualDevice device;
        VDC_Command command = {};
        VDC_Command *taken = &command;

        assert_int_equal(device.GetCommand(FOREVER, &taken), VD_E_PROTOCOL);
        assert_null(taken);
        assert_int_equal(device.CompleteCommand(&command, 0, 0, 0), VD_E_PROTOCOL);
        assert_int_equal(device.CompleteCommand(nullptr, 0, 0, 0), VD_E_PROTOCOL);
}

void arguments_that_are_null(void **)
{
        set_pointer set = new_set();
        ClientVirtualDevice *device;
        unsigned handle;
        uint8_t byte = 0;
        VDConfig config = {};

        config.deviceCount = 1;
        assert_int_equal(set->Create(nullptr, &config), VD_E_INVALID);
        assert_int_equal(set->Create(set_name, nullptr), VD_E_INVALID);
        assert_int_equal(set->OpenInSecondary(nullptr), VD_E_INVALID);
        assert_int_equal(create(set.get(), 1), NOERROR);
        test_server server(1, VDC_Write);
        assert_int_equal(set->GetConfiguration(0, nullptr), VD_E_INVALID);
        configure(set.get(), 1);
        assert_int_equal(set->OpenDevice(nullptr, &device), VD_E_INVALID);
        assert_int_equal(set->OpenDevice(set_name, nullptr), VD_E_INVALID);
        assert_int_equal(set->GetBufferHandle(nullptr, &handle), VD_E_INVALID);
        assert_int_equal(set->GetBufferHandle(&byte, nullptr), VD_E_INVALID);
        assert_int_equal(set->GetBufferHandle(&byte, &handle), VD_E_INVALID);
        assert_int_equal(set->MapBufferHandle(1, nullptr), VD_E_INVALID);
        device = open(set.get(), 0);
        assert_int_equal(device->GetCommand(0, nullptr), VD_E_INVALID);
        assert_int_equal(device->CompleteCommand(nullptr, 0, 0, 0), VD_E_INVALID);
        assert_int_equal(serve(device, 0), VD_E_CLOSE);
        assert_int_equal(set->Close(), NOERROR);
}

void creations_that_fail(void **)
{
        set_pointer set = new_set();
        set_pointer other = new_set();
        char bad_name[] = "a\\b";
        VDConfig config = {};

        assert_int_equal(set->Create(set_name, &config), VD_E_NOTSUPPORTED);
        config.deviceCount = 65;
        assert_int_equal(set->Create(set_name, &config), VD_E_NOTSUPPORTED);
        config.deviceCount = 1;
        config.features = VDF_Rewind;
        assert_int_equal(set->Create(set_name, &config), VD_E_NOTSUPPORTED);
        config.features = 0;
        assert_int_equal(set->Create(bad_name, &config), VD_E_INVALID);
        assert_int_equal(create(set.get(), 1), NOERROR);
        assert_int_equal(create(set.get(), 1), VD_E_PROTOCOL);
        assert_int_equal(create(other.get(), 1), VD_E_PROTOCOL);
        assert_int_equal(other->OpenInSecondary(set_name), VD_E_PROTOCOL);
        assert_int_equal(set->Close(), NOERROR);
        assert_int_equal(create(other.get(), 1), NOERROR);
}

/* ---- an operation ---- */

void data_goes_both_ways(void **)
{
        set_pointer set = new_set();

        operate(set.get(), VDC_Write);
        operate(set.get(), VDC_Read);
}

/* What GetConfiguration filled in is what Create is given the next time. */
void a_configuration_may_be_used_again(void **)
{
        set_pointer set = new_set();
        VDConfig config = {};

        config.deviceCount = 1;
        for (int i = 0; i < 2; i++) {
                assert_int_equal(set->Create(set_name, &config), NOERROR);
                test_server server(1, VDC_Write);
                assert_int_equal(set->GetConfiguration(FOREVER, &config), NOERROR);
                assert_true(config.features & VDF_WriteMedia);
                assert_int_equal(serve(open(set.get(), 0), 0), VD_E_CLOSE);
                assert_int_equal(set->Close(), NOERROR);
        }
}

void a_command_may_be_looked_at_once_it_is_completed(void **)
{
        set_pointer set = new_set();
        ClientVirtualDevice *device;
        VDC_Command *command;
        uint8_t *again;
        unsigned handle;

        assert_int_equal(create(set.get(), 1), NOERROR);
        test_server server(1, VDC_Write);
        configure(set.get(), 1);
        device = open(set.get(), 0);
        assert_int_equal(device->GetCommand(FOREVER, &command), NOERROR);
        assert_int_equal(set->GetBufferHandle(command->buffer, &handle), NOERROR);
        assert_true((int)handle > 0);
        assert_int_equal(set->MapBufferHandle((int)handle, &again), NOERROR);
        assert_ptr_equal(again, command->buffer);
        assert_int_equal(device->CompleteCommand(command, 0, TRANSFER + 1ul, 0), VD_E_INVALID);
        assert_int_equal(device->CompleteCommand(command, 0, TRANSFER | 1ul << 32, 0), VD_E_INVALID);
        assert_int_equal(device->CompleteCommand(command, 0, TRANSFER, 0), NOERROR);
        assert_int_equal(command->commandCode, VDC_Write);
        assert_int_equal(command->size, TRANSFER);
        assert_int_equal(device->CompleteCommand(command, 0, TRANSFER, 0), VD_E_INVALID);
        assert_int_equal(set->MapBufferHandle((int)handle, &again), VD_E_INVALID);
        assert_int_equal(set->SignalAbort(), NOERROR);
        assert_int_equal(set->SignalAbort(), NOERROR);
        assert_int_equal(device->GetCommand(FOREVER, &command), VD_E_ABORT);
        assert_int_equal(device->CompleteCommand(command, 0, TRANSFER, 0), VD_E_ABORT);
        assert_int_equal(set->Close(), NOERROR);
        server.finish();
        assert_int_equal(server.reason(), VDS_ABORT_CLIENT);
}

void each_thread_has_a_device(void **)
{
        const int devices = 8;
        set_pointer set = new_set();
        std::vector<std::thread> threads;
        std::atomic<int> closed{ 0 };
        ClientVirtualDevice *device = nullptr;

        assert_int_equal(create(set.get(), devices), NOERROR);
        test_server server(devices, VDC_Read);
        configure(set.get(), devices);
        for (int i = 0; i < devices; i++)
                threads.emplace_back([&, i] {
                        std::string name = device_name(i);
                        ClientVirtualDevice *mine;
                        VDConfig config;

                        if (set->OpenDevice(&name[0], &mine) == NOERROR &&
                            set->GetConfiguration(FOREVER, &config) == NOERROR && serve(mine, i) == VD_E_CLOSE)
                                ++closed;
                });
        for (std::thread &thread : threads)
                thread.join();
        assert_int_equal(closed, devices);
        assert_int_equal(set->OpenDevice(set_name, &device), VD_E_PROTOCOL);
        assert_int_equal(set->Close(), NOERROR);
        server.finish();
        assert_int_equal(server.failures(), 0);
}

void all_devices_open(void **)
{
        set_pointer set = new_set();
        ClientVirtualDevice *device = nullptr;
        char unknown[] = "unknown";

        assert_int_equal(create(set.get(), 2), NOERROR);
        test_server server(2, VDC_Write);
        configure(set.get(), 2);
        open(set.get(), 1);
        assert_int_equal(set->OpenDevice(unknown, &device), VD_E_INVALID);
        assert_int_equal(set->OpenDevice(&device_name(1)[0], &device), VD_E_PROTOCOL);
        open(set.get(), 0);
        assert_int_equal(set->OpenDevice(set_name, &device), VD_E_OPEN);
        assert_null(device);
        assert_int_equal(set->Close(), VD_E_OPEN);
        server.finish();
        assert_int_equal(server.reason(), VDS_ABORT_CLIENT_CLOSED);
}

/* ---- who deletes what, and when ---- */

void a_device_may_be_deleted_whenever(void **)
{
        set_pointer set = new_set();
        ClientVirtualDevice *devices[3];
        VDC_Command *command;

        assert_int_equal(create(set.get(), 3), NOERROR);
        test_server server(3, VDC_Write);
        configure(set.get(), 3);
        for (int i = 0; i < 3; i++)
                devices[i] = open(set.get(), i);
        delete devices[0];
        assert_int_equal(set->Close(), VD_E_OPEN);
        assert_int_equal(devices[1]->GetCommand(FOREVER, &command), VD_E_PROTOCOL);
        assert_int_equal(devices[1]->CompleteCommand(nullptr, 0, 0, 0), VD_E_PROTOCOL);
        delete devices[1];
        server.finish();
        operate(set.get(), VDC_Write);
        set.reset();
        assert_int_equal(devices[2]->GetCommand(FOREVER, &command), VD_E_PROTOCOL);
        delete devices[2];
}

/* Far more than are kept: the library has to give memory back without taking it from under anybody. */
void devices_that_nobody_deletes(void **)
{
        set_pointer set = new_set();

        for (int i = 0; i < 40; i++) {
                assert_int_equal(create(set.get(), 64), NOERROR);
                test_server server(64, VDC_Write);
                configure(set.get(), 64);
                for (int device = 0; device < 64; device++)
                        open(set.get(), device);
                assert_int_equal(set->Close(), VD_E_OPEN);
        }
}

void destroying_a_set_ends_it(void **)
{
        set_pointer set = new_set();
        ClientVirtualDevice *idle;
        std::atomic<int> result{ NOERROR };
        std::atomic<bool> waiting{ false };

        assert_int_equal(create(set.get(), 2), NOERROR);
        test_server server(2, VDC_Write);
        configure(set.get(), 2);
        open(set.get(), 0);
        idle = open(set.get(), 1);
        std::thread thread([&] {
                VDC_Command *command;

                /* The commands of this device are taken and never answered, so in the end there is none. */
                do {
                        waiting = true;
                        result = idle->GetCommand(FOREVER, &command);
                } while (result == NOERROR);
        });
        while (!waiting)
                std::this_thread::yield();
        set.reset();
        thread.join();
        server.finish();
        assert_true(result == VD_E_ABORT || result == VD_E_PROTOCOL);
        assert_int_equal(server.reason(), VDS_ABORT_CLIENT_CLOSED);
}

/* Takes and gives back, without a look at what may be gone by now. */
int serve_blindly(ClientVirtualDevice *device)
{
        VDC_Command *command;
        int result;

        do {
                result = device->GetCommand(FOREVER, &command);
                if (result == NOERROR)
                        result = device->CompleteCommand(command, ERROR_SUCCESS, TRANSFER, 0);
        } while (result == NOERROR);
        return result;
}

/* The ways to end an operation, while its devices are at work. */
void end_set(set_pointer &set, int way)
{
        if (way == 0)
                set.reset();
        else if (way == 1)
                set->SignalAbort();
        else
                assert_true(set->Close() != VD_E_PROTOCOL);
}

void an_operation_may_end_at_any_moment(void **)
{
        const int devices = 2;

        for (int i = 0; i < 150; i++) {
                set_pointer set = new_set();
                std::vector<std::thread> threads;
                std::atomic<int> good{ 0 };

                assert_int_equal(create(set.get(), devices), NOERROR);
                test_server server(devices, VDC_Write);
                configure(set.get(), devices);
                for (int index = 0; index < devices; index++) {
                        ClientVirtualDevice *device = open(set.get(), index);

                        threads.emplace_back([&good, device] {
                                int result = serve_blindly(device);

                                good += result == VD_E_CLOSE || result == VD_E_ABORT || result == VD_E_PROTOCOL;
                        });
                }
                for (int moment = 0; moment < i; moment++)
                        std::this_thread::yield();
                end_set(set, i % 3);
                for (std::thread &thread : threads)
                        thread.join();
                assert_int_equal(good, devices);
        }
}

void closing_wakes_who_waits(void **)
{
        set_pointer set = new_set();
        std::atomic<int> result{ NOERROR };

        assert_int_equal(create(set.get(), 1), NOERROR);
        std::thread thread([&] {
                VDConfig config;

                result = set->GetConfiguration(FOREVER, &config);
        });
        assert_int_equal(set->Close(), NOERROR);
        thread.join();
        assert_true(result == VD_E_ABORT || result == VD_E_PROTOCOL);
}

void a_constructor_builds_where_it_is_told(void **)
{
        alignas(ClientVirtualDeviceSet) unsigned char memory[sizeof(ClientVirtualDeviceSet)];
        ClientVirtualDeviceSet *set;

        memset(memory, 0xA5, sizeof memory);
        set = new (memory) ClientVirtualDeviceSet;
        expect_no_set(set);
        set->~ClientVirtualDeviceSet();
}

/* ---- processes ---- */

/* What a child exits with, unless it says 0. */
void expect_child(pid_t child)
{
        int status;

        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a forked child: nothing of the parent's set is ours, and nothing of it is harmed. */
int check_inherited(ClientVirtualDeviceSet *set)
{
        ClientVirtualDevice *device;
        VDConfig config;

        if (set->GetConfiguration(0, &config) != VD_E_PROTOCOL || set->OpenDevice(set_name, &device) != VD_E_PROTOCOL)
                return 20;
        if (set->SignalAbort() != VD_E_PROTOCOL || set->Close() != VD_E_PROTOCOL)
                return 21;
        delete set;
        return 0;
}

/* A secondary client: serves one device of the parent's set. */
int be_secondary(int index)
{
        set_pointer set = new_set();
        std::string name = device_name(index);
        ClientVirtualDevice *device;
        VDConfig config;

        if (set->OpenInSecondary(set_name) != NOERROR)
                return 10;
        if (set->OpenInSecondary(set_name) != VD_E_PROTOCOL)
                return 11;
        if (set->OpenDevice(&name[0], &device) != NOERROR)
                return 12;
        if (set->GetConfiguration(FOREVER, &config) != NOERROR || !(config.features & VDF_WriteMedia))
                return 13;
        if (serve(device, index) != VD_E_CLOSE)
                return 14;
        return set->Close() == NOERROR ? 0 : 15;
}

void forked_secondaries_serve_the_devices(void **)
{
        const int devices = 3;
        set_pointer set = new_set();
        pid_t children[devices];

        assert_int_equal(create(set.get(), devices), NOERROR);
        test_server server(devices, VDC_Write);
        configure(set.get(), devices);
        for (int i = 0; i < devices; i++) {
                children[i] = fork();
                if (children[i] == 0) {
                        int status = check_inherited(set.release());

                        _exit(status == 0 ? be_secondary(i) : status);
                }
        }
        for (pid_t child : children)
                expect_child(child);
        assert_int_equal(set->Close(), NOERROR);
        server.finish();
        assert_int_equal(server.failures(), 0);
}

/* A helper process: fills buffers whose handles come over a pipe, and says so. */
int fill_buffers(int from, int to)
{
        set_pointer set = new_set();
        int handle;

        if (set->OpenInSecondary(set_name) != NOERROR)
                return 10;
        for (int i = 0; read(from, &handle, sizeof handle) == sizeof handle; i++) {
                uint8_t *buffer;

                if (set->MapBufferHandle(handle, &buffer) != NOERROR)
                        return 11;
                memset(buffer, pattern(0, i), TRANSFER);
                if (write(to, &handle, sizeof handle) != sizeof handle)
                        return 12;
        }
        return set->Close() == NOERROR ? 0 : 13;
}

/* Has the helper execute all commands of the device. */
int serve_by_handles(ClientVirtualDeviceSet *set, ClientVirtualDevice *device, int to, int from)
{
        VDC_Command *command;
        int result;

        while ((result = device->GetCommand(FOREVER, &command)) == NOERROR) {
                unsigned handle;
                int echo;

                if (command->commandCode == VDC_Read) {
                        assert_int_equal(set->GetBufferHandle(command->buffer, &handle), NOERROR);
                        assert_int_equal(write(to, &handle, sizeof handle), sizeof handle);
                        assert_int_equal(read(from, &echo, sizeof echo), sizeof echo);
                }
                assert_int_equal(device->CompleteCommand(command, 0, (unsigned long)command->size, 0), NOERROR);
        }
        return result;
}

void a_buffer_is_shared_by_its_handle(void **)
{
        set_pointer set = new_set();
        int there[2];
        int back[2];
        pid_t child;

        assert_int_equal(pipe(there), 0);
        assert_int_equal(pipe(back), 0);
        assert_int_equal(create(set.get(), 1), NOERROR);
        test_server server(1, VDC_Read);
        configure(set.get(), 1);
        child = fork();
        if (child == 0) {
                close(there[1]);
                close(back[0]);
                _exit(fill_buffers(there[0], back[1]));
        }
        close(there[0]);
        close(back[1]);
        assert_int_equal(serve_by_handles(set.get(), open(set.get(), 0), there[1], back[0]), VD_E_CLOSE);
        close(there[1]);
        close(back[0]);
        expect_child(child);
        assert_int_equal(set->Close(), NOERROR);
        server.finish();
        assert_int_equal(server.failures(), 0);
}

/* A child is made while other threads are in calls: what it does with sets of its own must not hang on what those held.
 */
int use_a_set_of_its_own()
{
        char name[] = "child's";
        VDConfig config = {};

        alarm(60);
        set_pointer set = new_set();
        config.deviceCount = 1;
        if (set->Create(name, &config) != NOERROR || set->GetConfiguration(0, &config) != VD_E_TIMEOUT)
                return 10;
        return set->Close() == NOERROR ? 0 : 11;
}

void forking_amid_calls(void **)
{
        set_pointer set = new_set();
        std::vector<std::thread> threads;
        std::atomic<bool> stop{ false };

        assert_int_equal(create(set.get(), 1), NOERROR);
        for (int i = 0; i < 3; i++)
                threads.emplace_back([&] {
                        VDConfig config;

                        while (!stop)
                                set->GetConfiguration(0, &config);
                });
        for (int i = 0; i < 50; i++) {
                pid_t child = fork();

                if (child == 0)
                        _exit(use_a_set_of_its_own());
                expect_child(child);
        }
        stop = true;
        for (std::thread &thread : threads)
                thread.join();
}

/* ---- time-outs ---- */

int64_t now_ms()
{
        timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* How long GetConfiguration waits for a server that never comes. */
int64_t waited_ms(const char *unit, time_t timeout)
{
        int64_t start;
        VDConfig config;
        int result;

        if (unit)
                setenv("VDIPIPE_TIMEOUT_UNIT", unit, 1);
        set_pointer set = new_set();
        unsetenv("VDIPIPE_TIMEOUT_UNIT");
        assert_int_equal(create(set.get(), 1), NOERROR);
        start = now_ms();
        result = set->GetConfiguration(timeout, &config);
        assert_int_equal(result, VD_E_TIMEOUT);
        return now_ms() - start;
}

/* The whole rule is the unit test's of dropin_time.h. */
void the_unit_of_time(void **)
{
        const int64_t much = 60000; /* for a machine with other things to do */

        assert_in_range(waited_ms(nullptr, 0), 0, much);
        assert_in_range(waited_ms(nullptr, 1), 1000, much);
        assert_in_range(waited_ms("ms", 900), 900, much);
}

void a_time_out_that_is_huge(void **)
{
        static const time_t timeouts[] = { 0xFFFFFFFF, INT64_MAX, INT64_MAX / 1000 + 1, -1, INT64_MIN, 999 };

        for (const char *unit : { "s", "ms" })
                for (time_t timeout : timeouts) {
                        VDConfig config;

                        setenv("VDIPIPE_TIMEOUT_UNIT", unit, 1);
                        set_pointer set = new_set();
                        unsetenv("VDIPIPE_TIMEOUT_UNIT");
                        assert_int_equal(create(set.get(), 1), NOERROR);
                        test_server server(1, VDC_Write);
                        /* 999 milliseconds may pass. */
                        if (timeout != 999 || *unit == 's')
                                assert_int_equal(set->GetConfiguration(timeout, &config), NOERROR);
                        else
                                assert_int_equal(set->GetConfiguration(FOREVER, &config), NOERROR);
                        assert_int_equal(serve(open(set.get(), 0), 0, timeout == 999 ? FOREVER : timeout), VD_E_CLOSE);
                        assert_int_equal(set->Close(), NOERROR);
                }
}

/* ---- the host program ---- */

void the_caller_keeps_its_signals(void **)
{
        set_pointer set = new_set();
        sigset_t before;
        sigset_t after;

        pthread_sigmask(SIG_SETMASK, nullptr, &before);
        operate(set.get(), VDC_Write);
        set.reset();
        pthread_sigmask(SIG_SETMASK, nullptr, &after);
        for (int number = 1; number < NSIG; number++)
                assert_int_equal(sigismember(&after, number), sigismember(&before, number));
}

void a_group_comes_from_the_environment(void **)
{
        setenv("VDIPIPE_GROUP", "there is no such group", 1);
        set_pointer set = new_set();
        setenv("VDIPIPE_GROUP", "", 1);
        set_pointer empty = new_set();
        unsetenv("VDIPIPE_GROUP");
        assert_int_equal(create(set.get(), 1), VD_E_NOTSUPPORTED);
        assert_int_equal(create(empty.get(), 1), NOERROR);
}

int make_folder(void **)
{
        return mkdtemp(folder) ? setenv("VDIPIPE_RUNTIME_DIR", folder, 1) : -1;
}

/* Nothing may be left in it but lock files. */
int remove_folder(void **)
{
        std::string command = "ls " + std::string(folder) + " | grep -v '[.]lock$' >&2; rm -r " + folder;

        return system(command.c_str());
}

} // namespace

int main()
{
        const CMUnitTest tests[] = {
                cmocka_unit_test(calls_without_a_set),
                cmocka_unit_test(a_device_of_the_programs_own),
                cmocka_unit_test(arguments_that_are_null),
                cmocka_unit_test(creations_that_fail),
                cmocka_unit_test(data_goes_both_ways),
                cmocka_unit_test(a_configuration_may_be_used_again),
                cmocka_unit_test(a_command_may_be_looked_at_once_it_is_completed),
                cmocka_unit_test(each_thread_has_a_device),
                cmocka_unit_test(all_devices_open),
                cmocka_unit_test(a_device_may_be_deleted_whenever),
                cmocka_unit_test(devices_that_nobody_deletes),
                cmocka_unit_test(destroying_a_set_ends_it),
                cmocka_unit_test(an_operation_may_end_at_any_moment),
                cmocka_unit_test(closing_wakes_who_waits),
                cmocka_unit_test(a_constructor_builds_where_it_is_told),
                cmocka_unit_test(forked_secondaries_serve_the_devices),
                cmocka_unit_test(a_buffer_is_shared_by_its_handle),
                cmocka_unit_test(forking_amid_calls),
                cmocka_unit_test(the_unit_of_time),
                cmocka_unit_test(a_time_out_that_is_huge),
                cmocka_unit_test(the_caller_keeps_its_signals),
                cmocka_unit_test(a_group_comes_from_the_environment),
        };

        return cmocka_run_group_tests_name("sqlvdi members", tests, make_folder, remove_folder);
}
