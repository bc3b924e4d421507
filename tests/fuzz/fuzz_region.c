/*
 * Both sides of a set in one process, and somebody who writes into what they share between any two of their steps. The
 * input is a list of steps, each a byte for what and some for where: the server sends, the client takes and completes,
 * the liar writes a word. Only the completion agent runs as it likes.
 *
 * Whatever is written, every call returns in time, with a code that its page of vds.h knows; what GetCommand hands out
 * can be read and written to its end; every command's routine runs exactly once; and after the end nothing is left.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/vds/internal.h"
#include "fuzz.h"

enum {
        DEVICES = 2,
        TRANSFER = 4096,
        BLOCK = 512,
        BUFFERS = 6,
        COMMANDS = 64, /* that one input may send */
        HELD = 16,
        INPUT_MAX = 1024,
        CALL_MS = 2 * SET_AREA_WAIT_MS, /* none may take longer; nearly all take microseconds */
};

enum step {
        STEP_SEND = 0,
        STEP_GET,
        STEP_COMPLETE,
        STEP_WORD,       /* any word of the region */
        STEP_INDEX,      /* one of the four indices of a device, moved */
        STEP_RECORD,     /* a field of a record in a ring */
        STEP_COMMAND,    /* one that the server never sent */
        STEP_COMPLETION, /* one that the client never gave */
        STEP_WAKE,
        STEP_HANDLE,
        STEP_ASK, /* what the set is like */
        STEP_AREA,
        STEP_CLOSE_DEVICE,
        STEP_ABORT,
        STEPS,
};

struct sent {
        struct VDS_Command command; /* first */
        _Atomic int calls;
};

static struct scene {
        struct vds_client *client;
        struct vds_server *server;
        struct vds_client_device *client_devices[DEVICES];
        struct vds_server_device *server_devices[DEVICES];
        struct VDC_Command *held[HELD];
        uint32_t held_device[HELD];
        uint8_t *buffers[BUFFERS];
        struct sent sent[COMMANDS];
        uint32_t sent_count;
        uint8_t *memory; /* of the control region, mapped once more: the liar's own */
        size_t memory_size;
        pthread_t agent;
        const uint8_t *input;
        size_t left;
} scene;

static char folder[] = "/tmp/vdipipe-fuzz-XXXXXX";

static _Noreturn void complain(const char *what, int result)
{
        fprintf(stderr, "fuzz_region: %s: %s\n", what, vds_result_name(result));
        abort();
}

static void need(const char *what, int result)
{
        if (result != NOERROR)
                complain(what, result);
}

/* ---- what a call may say ---- */

static _Thread_local int64_t call_began;

static void begin_call(void)
{
        call_began = monotonic_ns();
}

/* The call ended in time, with one of the codes; NOERROR and VD_E_ABORT go without saying. */
static int end_call(const char *call, int result, const int *codes, size_t count)
{
        bool known = result == NOERROR || result == VD_E_ABORT;

        if (monotonic_ns() - call_began > (int64_t)CALL_MS * 1000000)
                complain(call, VD_E_TIMEOUT);
        for (size_t i = 0; i < count; i++)
                known = known || result == codes[i];
        if (!known)
                complain(call, result);
        return result;
}

#define CALL(name, expression, ...)                                                \
        (begin_call(), end_call(name, expression, (const int[]){ 0, __VA_ARGS__ }, \
                                sizeof((const int[]){ 0, __VA_ARGS__ }) / sizeof(int)))

/* ---- the input ---- */

static uint8_t next_byte(void)
{
        if (scene.left == 0)
                return 0;
        scene.left--;
        return *scene.input++;
}

static uint32_t next_number(int bytes)
{
        uint32_t number = 0;

        while (bytes-- > 0)
                number = number << 8 | next_byte();
        return number;
}

static uint32_t next_difference(void)
{
        uint32_t number = next_byte();

        return number < 0x80 ? number : number - 0x100;
}

/* ---- the honest steps ---- */

static void on_completion(struct VDS_Command *command)
{
        struct sent *sent = (struct sent *)(void *)command;

        if (atomic_fetch_add(&sent->calls, 1) != 0)
                complain("a routine ran twice", VD_E_UNEXPECTED);
        if (command->bytesTransferred < 0 || command->bytesTransferred > (command->size > 0 ? command->size : 0))
                complain("more bytes than were asked for", VD_E_UNEXPECTED);
}

static void step_send(void)
{
        static const int codes[] = { VDC_Write, VDC_Read, VDC_Flush, VDC_ClearError, VDC_GetPosition, VDC_Complete };
        uint8_t choice = next_byte();
        struct sent *sent;

        if (scene.sent_count == COMMANDS)
                return;
        sent = &scene.sent[scene.sent_count++];
        sent->command = (struct VDS_Command){
                .commandCode = codes[choice % (sizeof codes / sizeof codes[0])],
                .inPosition = choice,
                .completionRoutine = (uint8_t *)(uintptr_t)on_completion,
        };
        if (command_moves_data(sent->command.commandCode)) {
                sent->command.size = BLOCK * (1 + choice % (TRANSFER / BLOCK));
                sent->command.buffer = scene.buffers[scene.sent_count % BUFFERS];
        }
        CALL("SendCommand", vds_server_device_send_command(scene.server_devices[choice >> 4 & 1], &sent->command),
             VD_E_IO_ERROR, VD_E_PROTOCOL, VD_E_QUEUE_FULL);
}

/* What a command names can be read and written, to its last byte and in front of its first. */
static void touch(const struct VDC_Command *command)
{
        if (!command->buffer || command->size <= 0)
                return;
        command->buffer[0] ^= 1;
        command->buffer[command->size - 1] ^= 1;
        for (int i = 0; i < command->size; i += BLOCK)
                command->buffer[i] ^= 1;
}

static void step_get(void)
{
        uint32_t device = next_byte() % DEVICES;
        struct VDC_Command *command = NULL;
        uint32_t place = 0;

        while (place < HELD && scene.held[place])
                place++;
        if (place == HELD)
                return;
        if (CALL("GetCommand", vds_client_device_get_command(scene.client_devices[device], 0, &command), VD_E_TIMEOUT,
                 VD_E_CLOSE, VD_E_PROTOCOL) != NOERROR)
                return;
        if (command->commandCode < VDC_Read || command->commandCode > VDC_Complete)
                complain("a command that is none", VD_E_UNEXPECTED);
        touch(command);
        scene.held[place] = command;
        scene.held_device[place] = device;
}

static void step_complete(void)
{
        uint8_t choice = next_byte();
        uint32_t place = choice % HELD;
        int code = choice & 0x80 ? ERROR_IO_DEVICE : ERROR_SUCCESS;

        if (!scene.held[place])
                return;
        CALL("CompleteCommand",
             vds_client_device_complete_command(scene.client_devices[scene.held_device[place]], scene.held[place], code,
                                                choice & 0x40 ? (uint64_t)choice : BLOCK, choice),
             VD_E_INVALID, VD_E_PROTOCOL);
        scene.held[place] = NULL;
}

static void step_handle(void)
{
        uint32_t place = next_byte() % HELD;
        uint32_t handle = 0;
        uint8_t *buffer = NULL;

        if (scene.held[place])
                CALL("GetBufferHandle", vds_client_get_buffer_handle(scene.client, scene.held[place]->buffer, &handle),
                     VD_E_INVALID, VD_E_PROTOCOL);
        else
                handle = next_number(4);
        /* An area that never comes is waited for: only near ones are asked about. */
        if (handle >> 31)
                return;
        if (CALL("MapBufferHandle", vds_client_map_buffer_handle(scene.client, handle, &buffer), VD_E_INVALID,
                 VD_E_PROTOCOL) == NOERROR)
                buffer[0] ^= 1;
}

static void step_ask(void)
{
        struct vds_device_counters counters;
        struct vds_secondaries secondaries;
        enum vds_verdict verdict;
        char text[VDS_TEXT_MAX];
        uint32_t count;

        CALL("verdict", vds_client_verdict(scene.client, 0, &verdict, text), VD_E_TIMEOUT, VD_E_PROTOCOL);
        if (strlen(text) >= VDS_TEXT_MAX || verdict > VDS_VERDICT_UNCONFIRMED)
                complain("the verdict", VD_E_UNEXPECTED);
        CALL("server info", vds_client_server_info(scene.client, text), VD_E_PROTOCOL);
        CALL("primary info", vds_client_primary_info(scene.client, text), VD_E_PROTOCOL);
        CALL("QueryAvailableBuffers", vds_server_query_available_buffers(scene.server, TRANSFER, 0, &count),
             VD_E_PROTOCOL);
        vds_client_secondaries(scene.client, &secondaries);
        vds_client_device_counters(scene.client_devices[0], &counters);
        if (counters.completions > counters.commands)
                complain("counters", VD_E_UNEXPECTED);
}

static void step_area(void)
{
        CALL("RequestBuffers", vds_server_request_buffers(scene.server, TRANSFER, 0, 1), VD_E_MEMORY, VD_E_PROTOCOL);
}

static void step_close_device(void)
{
        CALL("CloseDevice", vds_server_device_close(scene.server_devices[next_byte() % DEVICES]), VD_E_CLOSE,
             VD_E_PROTOCOL);
}

static void step_abort(void)
{
        /* Seldom, since little happens afterwards. */
        if (next_byte() < 0xf0)
                return;
        CALL("SignalAbort", vds_client_signal_abort(scene.client), VD_E_PROTOCOL);
}

/* ---- the liar's steps ---- */

static void lie(uint64_t offset, uint32_t word)
{
        _Atomic uint32_t *words = (_Atomic uint32_t *)(void *)scene.memory;

        atomic_store_explicit(&words[offset / sizeof(uint32_t) % (scene.memory_size / sizeof(uint32_t))], word,
                              memory_order_relaxed);
}

static uint32_t truth(uint64_t offset)
{
        _Atomic uint32_t *words = (_Atomic uint32_t *)(void *)scene.memory;

        return atomic_load_explicit(&words[offset / sizeof(uint32_t)], memory_order_relaxed);
}

static uint64_t device_offset(uint32_t device, size_t field)
{
        return offsetof(struct layout, devices) + (device % DEVICES) * sizeof(struct layout_device) + field;
}

static void step_word(void)
{
        uint64_t offset = next_number(3);

        lie(offset, next_number(4));
}

static void step_index(void)
{
        static const size_t fields[] = {
                offsetof(struct layout_device, command_indices.tail),
                offsetof(struct layout_device, command_indices.head),
                offsetof(struct layout_device, completion_indices.tail),
                offsetof(struct layout_device, completion_indices.head),
                offsetof(struct layout_device, phase),
                offsetof(struct layout_device, client_opened),
                offsetof(struct layout_device, outcome),
        };
        uint8_t choice = next_byte();
        uint64_t offset = device_offset(choice >> 7, fields[choice % (sizeof fields / sizeof fields[0])]);

        lie(offset, truth(offset) + next_difference());
}

static void step_record(void)
{
        uint8_t choice = next_byte();
        uint32_t slot = next_byte() % VDS_QUEUE_DEPTH;
        uint32_t field = next_byte();
        uint64_t offset;

        if (choice & 1)
                offset = device_offset(choice >> 7, offsetof(struct layout_device, commands_ring) +
                                                            slot * sizeof(struct command_record) +
                                                            field % 10 * sizeof(uint32_t));
        else if (choice & 2)
                offset = device_offset(choice >> 7, offsetof(struct layout_device, completions_ring) +
                                                            slot * sizeof(struct completion_record) +
                                                            field % 6 * sizeof(uint32_t));
        else
                offset = device_offset(choice >> 7, offsetof(struct layout_device, slots) +
                                                            slot * sizeof(struct layout_slot) +
                                                            field % 10 * sizeof(uint32_t));
        lie(offset, choice & 4 ? next_number(4) : truth(offset) + next_difference());
}

/* A number near one that matters. */
static uint32_t next_size(void)
{
        static const uint32_t sizes[] = { 0,          BLOCK,      TRANSFER,   BUFFERS * TRANSFER, VDS_TRANSFER_UNIT,
                                          0x7fffffff, 0x80000000, 0xffffffff, 0xfffffe00 };
        uint8_t choice = next_byte();
        uint32_t size = sizes[(choice & 0x3f) % (sizeof sizes / sizeof sizes[0])];

        return choice & 0x80 ? size - BLOCK : choice & 0x40 ? size + BLOCK : size;
}

/* Appends a record to a ring of the region, behind the back of who owns its tail. */
static void forge(struct ring_indices *indices, void *records, const void *record, size_t size)
{
        uint32_t tail = atomic_load(&indices->tail);
        _Atomic uint32_t *to = (_Atomic uint32_t *)(void *)((uint8_t *)records + tail % VDS_QUEUE_DEPTH * size);

        for (size_t i = 0; i < size / sizeof(uint32_t); i++) {
                uint32_t word;

                memcpy(&word, (const uint8_t *)record + i * sizeof word, sizeof word);
                atomic_store_explicit(&to[i], word, memory_order_relaxed);
        }
        atomic_store(&indices->tail, tail + 1);
}

static struct layout_device *liars_device(uint8_t choice)
{
        return &((struct layout *)(void *)scene.memory)->devices[choice % DEVICES];
}

static void step_command(void)
{
        uint8_t choice = next_byte();
        struct layout_device *device = liars_device(choice);
        struct command_record record = {
                .slot = choice & 0x80 ? 60 + choice % 8u : choice >> 1,
                .code = next_byte() % (VDC_Complete + 2),
                .size = (int32_t)next_size(),
                .position = choice,
                .area = choice & 0x40 ? 0 : next_byte() % 3,
                .has_buffer = choice & 0x20,
        };

        record.offset = (uint64_t)next_size() - (choice & 0x10 ? UINT64_C(1) << 32 : 0);
        forge(&device->command_indices, device->commands_ring, &record, sizeof record);
        wake_signal(&device->client_wake);
}

static void step_completion(void)
{
        uint8_t choice = next_byte();
        struct layout_device *device = liars_device(choice);
        const struct completion_record record = {
                .slot = choice & 0x80 ? choice : (choice >> 1) % 4,
                .generation = choice & 0x40 ? next_byte() % 3 : 0,
                .code = choice & 0x20 ? ERROR_IO_DEVICE : ERROR_SUCCESS,
                .bytes = next_size(),
        };

        forge(&device->completion_indices, device->completions_ring, &record, sizeof record);
        wake_signal(&((struct layout *)(void *)scene.memory)->agent_wake);
        /* Before the client overwrites it. */
        sched_yield();
}

/* Wakes whoever sleeps, also where a word that says so was written over. Costs a second for each that it forgets. */
static void step_wake(void)
{
        struct layout *layout = (struct layout *)(void *)scene.memory;
        struct wake_cell *cells[] = {
                &layout->client_wake,
                &layout->agent_wake,
                &layout->devices[0].client_wake,
                &layout->devices[1].client_wake,
        };

        for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
                atomic_fetch_add(&cells[i]->sequence, 1);
                syscall(SYS_futex, &cells[i]->sequence, FUTEX_WAKE, 1000, NULL, NULL, 0);
        }
        sched_yield();
}

/* ---- a set ---- */

static void *run_agent(void *argument)
{
        (void)argument;
        vds_server_execute_completion_agent(scene.server);
        return NULL;
}

static void configure(const struct vds_options *options)
{
        const struct VDConfig wishes = { .deviceCount = DEVICES };
        struct VDConfig config;

        scene.client = vds_client_new(options);
        scene.server = vds_server_new(options);
        if (!scene.client || !scene.server)
                complain("handles", VD_E_MEMORY);
        need("Create", vds_client_create(scene.client, "fuzz", &wishes));
        need("Open", vds_server_open(scene.server, "fuzz"));
        need("BeginConfiguration",
             vds_server_begin_configuration(scene.server, VDF_WriteMedia, BLOCK, 0, VDS_TRANSFER_UNIT, 0));
        need("RequestBuffers", vds_server_request_buffers(scene.server, TRANSFER, 0, BUFFERS));
        need("EndConfiguration", vds_server_end_configuration(scene.server));
        need("GetConfiguration", vds_client_get_configuration(scene.client, CALL_MS, &config));
        for (int i = 0; i < BUFFERS; i++)
                need("AllocateBuffer", vds_server_allocate_buffer(scene.server, &scene.buffers[i], TRANSFER, 0));
}

static void open_devices(void)
{
        static const char *const names[DEVICES] = { "fuzz", "second" };

        for (int i = 0; i < DEVICES; i++)
                need("OpenDevice", vds_server_open_device(scene.server, names[i], &scene.server_devices[i]));
        for (int i = 0; i < DEVICES; i++)
                need("OpenDevice", vds_client_open_device(scene.client, names[i], &scene.client_devices[i]));
}

static void begin_scene(const uint8_t *data, size_t size)
{
        const struct vds_options options = { .runtime_dir = folder };

        memset(&scene, 0, sizeof scene);
        configure(&options);
        open_devices();
        /* A length of zero makes a second mapping of the same memory. */
        scene.memory_size = (size_t)scene.client->set.control.size;
        scene.memory = mremap(scene.client->set.control.base, 0, scene.memory_size, MREMAP_MAYMOVE);
        if (scene.memory == MAP_FAILED)
                complain("map the region", VD_E_MEMORY);
        if (pthread_create(&scene.agent, NULL, run_agent, NULL) != 0)
                complain("the agent", VD_E_MEMORY);
        scene.input = data;
        scene.left = size;
}

static void end_scene(void)
{
        step_wake();
        CALL("Close", vds_server_close(scene.server), VD_E_PROTOCOL);
        pthread_join(scene.agent, NULL);
        CALL("Close", vds_client_close(scene.client), VD_E_OPEN, VD_E_PROTOCOL);
        vds_server_free(scene.server);
        vds_client_free(scene.client);
        munmap(scene.memory, scene.memory_size);
        for (uint32_t i = 0; i < scene.sent_count; i++)
                if (atomic_load(&scene.sent[i].calls) != 1)
                        complain("a routine never ran", VD_E_UNEXPECTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        /* The honest ones again and again: one lie is often the end. */
        static void (*const steps[])(void) = {
                [STEP_SEND] = step_send,
                [STEP_GET] = step_get,
                [STEP_COMPLETE] = step_complete,
                [STEP_WORD] = step_word,
                [STEP_INDEX] = step_index,
                [STEP_RECORD] = step_record,
                [STEP_COMMAND] = step_command,
                [STEP_COMPLETION] = step_completion,
                [STEP_WAKE] = step_wake,
                [STEP_HANDLE] = step_handle,
                [STEP_ASK] = step_ask,
                [STEP_AREA] = step_area,
                [STEP_CLOSE_DEVICE] = step_close_device,
                [STEP_ABORT] = step_abort,
                step_send,
                step_get,
                step_complete,
                step_send,
                step_get,
                step_complete,
                step_send,
                step_get,
                step_complete,
                step_send,
                step_get,
                step_complete,
                step_send,
                step_get,
                step_complete,
                step_handle,
                step_handle,
                step_wake,
                step_record,
                step_word,
        };
        static bool made;

        if (size > INPUT_MAX)
                return 0;
        if (!made && !mkdtemp(folder))
                complain(folder, VD_E_SECURITY);
        made = true;
        begin_scene(data, size);
        while (scene.left > 0)
                steps[next_byte() % (sizeof steps / sizeof steps[0])]();
        end_scene();
        return 0;
}

static void seed(const uint8_t *bytes, size_t size)
{
        fuzz_seed_append(bytes, size);
        fuzz_seed_end();
}

/* Any steps at all. */
static void make_random_seed(size_t size)
{
        static uint32_t state = 1;
        uint8_t bytes[INPUT_MAX];

        for (size_t i = 0; i < size; i++) {
                state = state * 1664525 + 1013904223;
                bytes[i] = (uint8_t)(state >> 24);
        }
        seed(bytes, size);
}

static void remove_folder(void)
{
        rmdir(folder);
}

void fuzz_make_seeds(void)
{
        static const uint8_t calm[] = {
                STEP_SEND,
                0x00,
                STEP_SEND,
                0x12,
                STEP_GET,
                0,
                STEP_GET,
                1,
                STEP_COMPLETE,
                0,
                STEP_WAKE,
                STEP_COMPLETE,
                1,
                STEP_SEND,
                0x01,
                STEP_GET,
                0,
                STEP_HANDLE,
                0,
                STEP_ASK,
                STEP_AREA,
                STEP_COMPLETE,
                0,
                STEP_CLOSE_DEVICE,
                0,
                STEP_GET,
                0,
                STEP_CLOSE_DEVICE,
                1,
                STEP_GET,
                1,
                STEP_ASK,
        };
        static const uint8_t failing[] = {
                STEP_SEND, 0x00,      STEP_SEND, 0x06,          STEP_GET,  0,    STEP_GET, 0, STEP_COMPLETE,
                0x80,      STEP_SEND, 0x03,      STEP_WAKE,     STEP_SEND, 0x03, STEP_GET, 0, STEP_COMPLETE,
                1,         STEP_GET,  0,         STEP_COMPLETE, 0,
        };
        static const uint8_t lying[] = {
                STEP_SEND, 0x00, STEP_INDEX, 0x00,      0x01, STEP_GET,   0,    STEP_RECORD,   0x01,     0x00,
                0x02,      0x01, STEP_WAKE,  STEP_SEND, 0x10, STEP_INDEX, 0x83, 0xff,          STEP_GET, 1,
                STEP_WORD, 0x00, 0x10,       0x40,      0xff, 0xff,       0xff, 0xff,          STEP_ASK, STEP_RECORD,
                0x06,      0x00, 0x03,       0x00,      0x00, 0xff,       0xff, STEP_COMPLETE, 0,        STEP_WAKE,
                STEP_ASK,
        };
        uint8_t each[2 * STEPS];

        atexit(remove_folder);
        seed(calm, sizeof calm);
        seed(failing, sizeof failing);
        seed(lying, sizeof lying);
        for (size_t i = 0; i < sizeof each; i++)
                each[i] = (uint8_t)(i % STEPS);
        seed(each, sizeof each);
        for (size_t size = 16; size <= INPUT_MAX; size += 16)
                make_random_seed(size);
}

void fuzz_repair(uint8_t *data, size_t size)
{
        (void)data;
        (void)size;
}
