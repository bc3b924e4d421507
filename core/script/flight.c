/* One command of a script: sent, awaited, checked. */
#include "core/script/flight.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/script/data.h"

/* ---- waiting ---- */

/* "Write of 65536 at 0, command 12". Returns its length. */
static size_t flight_describe(const struct flight *flight, char *text, size_t size)
{
        int32_t code = flight->command.commandCode;
        bool known = code >= VDC_Read && code <= VDC_Complete;
        char number[24];

        snprintf(number, sizeof number, "Command %" PRId32, code);
        return (size_t)snprintf(text, size, "%s of %" PRId32 " at %" PRId64 ", command %" PRIu64,
                                known ? vds_command_name(code) : number, flight->command.size,
                                flight->command.inPosition, flight->serial);
}

/* The client broke its contract with this command. Returns false. */
static bool flight_fail(const struct flight *flight, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool flight_fail(const struct flight *flight, const char *format, ...)
{
        char text[SCRIPT_FAILURE_TEXT_MAX];
        size_t used = flight_describe(flight, text, sizeof text);
        va_list arguments;

        va_start(arguments, format);
        vsnprintf(text + used, sizeof text - used, format, arguments);
        va_end(arguments);
        run_fail(flight->lane->run, flight->step->line, flight->lane->number, "%s", text);
        return false;
}

/* A flight that is not done at its deadline. */
static void flight_on_late(struct flight *flight)
{
        struct script_run *run = flight->lane->run;
        char text[256];
        size_t used;

        if (run_is_late(run)) {
                used = flight_describe(flight, text, sizeof text);
                snprintf(text + used, sizeof text - used, " was not completed");
                run_time_out(run, flight->step->line, flight->lane->number, text);
                return;
        }
        flight->late = true;
        flight_fail(flight, ": not completed within %.3g s", (double)run->script->patience_ms / 1000);
}

/* Until the callback has run, which after a time-out or a failure the abort brings. False when the set is closed
 * before: then the flight belongs to the engine. */
static bool flight_wait(struct flight *flight)
{
        struct script_run *run = flight->lane->run;
        struct deadline patience = DEADLINE_NEVER;
        bool done;

        if (run->script->patience_ms >= 0)
                patience.at_ns = flight->sent_ns + run->script->patience_ms * 1000000;
        pthread_mutex_lock(&run->lock);
        while (!flight->done && !run->closing) {
                struct deadline until = flight->late ? run->deadline : deadline_earlier(run->deadline, patience);

                if (run_wait_change(run, until) || flight->done)
                        continue;
                pthread_mutex_unlock(&run->lock);
                flight_on_late(flight);
                pthread_mutex_lock(&run->lock);
        }
        done = flight->done;
        pthread_mutex_unlock(&run->lock);
        return done;
}

/* ---- sending ---- */

static void flight_on_completion(struct VDS_Command *command)
{
        struct flight *flight = (struct flight *)(void *)command;
        struct script_run *run = flight->lane->run;

        trace_completion(run->call->trace, flight->lane->number, flight->serial, command->commandCode,
                         command->completionCode, (uint64_t)command->bytesTransferred, command->outPosition);
        pthread_mutex_lock(&run->lock);
        flight->done = true;
        flight->done_ns = monotonic_ns();
        flight->done_order = ++run->done_count;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
}

static bool lane_is_random(const struct lane *lane)
{
        return lane->run->config.features & VDF_RandomAccess;
}

/* Positions wrap like the field that carries them. */
static int64_t position_add(int64_t a, int64_t b)
{
        return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t lane_place_value(const struct lane *lane, const struct script_place *place)
{
        return place->saved >= 0 ? position_add(lane->saved[place->saved], place->number) : place->number;
}

/* Where the command goes, the `index`th of its line. */
static int64_t lane_input_position(struct lane *lane, const struct script_command *command, uint32_t index)
{
        if (command->at.given)
                return position_add(lane_place_value(lane, &command->at),
                                    script_moves_data(command) ? (int64_t)index * command->size : 0);
        return script_moves_data(command) && lane_is_random(lane) ? (int64_t)lane->position : 0;
}

static struct flight *lane_free_flight(struct lane *lane)
{
        for (uint32_t i = 0; i < LANE_FLIGHTS; i++)
                if (!lane->flights[i].used)
                        return &lane->flights[i];
        return NULL;
}

struct flight *lane_oldest(struct lane *lane, const struct script_step *step, int label)
{
        struct flight *found = NULL;

        for (uint32_t i = 0; i < LANE_FLIGHTS; i++) {
                struct flight *flight = &lane->flights[i];
                bool fits = flight->used && (!step || flight->step == step) &&
                            (label == LANE_ANY_LABEL ||
                             (flight->step->command.sent && flight->step->command.label == label));

                if (fits && (!found || flight->serial < found->serial))
                        found = flight;
        }
        return found;
}

/* A buffer, whose unused part is marked, filled with what is to be written. False: there is none. */
static bool flight_make_buffer(struct lane *lane, struct flight *flight)
{
        const struct script_command *command = &flight->step->command;
        uint32_t capacity = lane->run->script->max_transfer;
        size_t used = (size_t)command->size;
        uint8_t *buffer = NULL;
        int result = vds_server_allocate_buffer(lane->run->server, &buffer, capacity, /* alignment= */ 0);

        if (result == VD_E_MEMORY) {
                run_fault(lane->run, flight->step->line, ERR_USAGE, "no buffer is free: raise 'set buffers'");
                return false;
        }
        if (result != NOERROR)
                return true; /* aborted, as SendCommand will say */
        flight->command.buffer = buffer;
        memset(buffer, SCRIPT_GUARD, capacity);
        if (command->code == VDC_Write)
                script_data_fill(command, flight->offset, buffer, used);
        return true;
}

/* The data's offset: a stream is counted, a disk says where it is. */
static void lane_advance(struct lane *lane, struct flight *flight)
{
        uint64_t size = (uint64_t)flight->command.size;

        flight->offset = lane_is_random(lane) ? (uint64_t)flight->command.inPosition : lane->offset;
        if (flight->step->command.has_from && lane_is_random(lane))
                flight->offset = lane->offset;
        lane->offset = flight->offset + size;
        lane->position = (uint64_t)flight->command.inPosition + size;
}

struct flight *lane_send(struct lane *lane, const struct script_step *step, uint32_t index)
{
        const struct script_command *command = &step->command;
        struct script_run *run = lane->run;
        struct flight *flight = lane_free_flight(lane);

        if (!flight) {
                run_fault(run, step->line, ERR_USAGE, "too many commands are outstanding: add a 'drain'");
                return NULL;
        }
        memset(flight, 0, sizeof *flight);
        flight->lane = lane;
        flight->step = step;
        flight->command = (struct VDS_Command){
                .commandCode = command->code,
                .size = command->size,
                .inPosition = lane_input_position(lane, command, index),
                .completionRoutine = (uint8_t *)(uintptr_t)flight_on_completion,
        };
        if (script_moves_data(command)) {
                lane_advance(lane, flight);
                if (!flight_make_buffer(lane, flight))
                        return NULL;
        }
        flight->used = true;
        flight->serial = ++lane->serial;
        flight->sent_ns = monotonic_ns();
        trace_command(run->call->trace, lane->number, flight->serial, command->code, command->size,
                      flight->command.inPosition);
        flight->sent_result = vds_server_device_send_command(lane->server_device, &flight->command);
        return flight;
}

/* ---- checking ---- */

static bool codes_have(const struct script_codes *codes, int32_t code)
{
        for (uint32_t i = 0; i < codes->count; i++)
                if (codes->codes[i] == code || codes->codes[i] == SCRIPT_ANY_CODE)
                        return true;
        return false;
}

static void codes_add(struct script_codes *codes, int32_t code)
{
        if (codes->count < SCRIPT_CODES_MAX)
                codes->codes[codes->count++] = code;
}

/* Codes that are right for a flight. `after_end`: an earlier one of its series has ended it. */
static struct script_codes wanted_codes(const struct script_command *command, bool after_end)
{
        struct script_codes wanted = command->expect;
        bool may_succeed = !after_end || command->code == VDC_Write || !command->until.count;

        if (wanted.count == 0 && may_succeed)
                codes_add(&wanted, ERROR_SUCCESS);
        for (uint32_t i = 0; i < command->until.count; i++)
                codes_add(&wanted, command->until.codes[i]);
        if (after_end && command->until.count)
                codes_add(&wanted, ERROR_IO_DEVICE);
        return wanted;
}

static bool bytes_fit(const struct script_command *command, int32_t code, uint64_t bytes)
{
        if (!script_moves_data(command))
                return true;
        if (bytes > (uint64_t)command->size)
                return false;
        switch (command->bytes_rule) {
        case SCRIPT_BYTES_EXACT:
                return bytes == command->bytes;
        case SCRIPT_BYTES_AT_MOST:
                return bytes <= command->bytes;
        default:
                return code != ERROR_SUCCESS || bytes == (uint64_t)command->size;
        }
}

/* "0 or 1100", and what a transfer has to move. */
static void describe_wanted(const struct script_command *command, const struct script_codes *wanted, char *text,
                            size_t size)
{
        size_t at = 0;

        text[0] = '\0';
        for (uint32_t i = 0; i < wanted->count && at < size; i++) {
                const char *join = i == 0 ? "" : " or ";

                if (wanted->codes[i] == SCRIPT_ANY_CODE)
                        at += (size_t)snprintf(text + at, size - at, "%sany code", join);
                else
                        at += (size_t)snprintf(text + at, size - at, "%s%" PRId32, join, wanted->codes[i]);
        }
        if (!script_moves_data(command) || at >= size)
                return;
        if (command->bytes_rule != SCRIPT_BYTES_DEFAULT)
                snprintf(text + at, size - at, " with %s%" PRIu64 " bytes",
                         command->bytes_rule == SCRIPT_BYTES_AT_MOST ? "at most " : "", command->bytes);
        else if (codes_have(wanted, ERROR_SUCCESS))
                snprintf(text + at, size - at, "%s with %" PRId32 " bytes", wanted->count > 1 ? ", 0" : "",
                         command->size);
}

/* Why a code may have come that was not given by the client. */
static const char *flight_cause(const struct flight *flight)
{
        enum vds_abort_reason reason = vds_server_abort_reason(flight->lane->run->server);

        if (flight->sent_result != NOERROR)
                return vds_result_name(flight->sent_result);
        return reason == VDS_ABORT_NONE ? NULL : vds_abort_text(reason);
}

static bool flight_check_code(const struct flight *flight, bool after_end)
{
        const struct VDS_Command *command = &flight->command;
        struct script_codes wanted = wanted_codes(&flight->step->command, after_end);
        const char *cause = flight_cause(flight);
        char want[160];
        char bytes[40] = "";

        if (codes_have(&wanted, command->completionCode) &&
            bytes_fit(&flight->step->command, command->completionCode, (uint64_t)command->bytesTransferred))
                return true;
        describe_wanted(&flight->step->command, &wanted, want, sizeof want);
        if (script_moves_data(&flight->step->command))
                snprintf(bytes, sizeof bytes, " with %" PRId32 " bytes", command->bytesTransferred);
        return flight_fail(flight, ": expected %s, got %" PRId32 "%s%s%s%s", want, command->completionCode, bytes,
                           cause ? " (" : "", cause ? cause : "", cause ? ")" : "");
}

static bool flight_check_position(const struct flight *flight)
{
        const struct script_place *gives = &flight->step->command.gives;
        int64_t got = flight->command.outPosition;
        int64_t wanted = gives->given ? lane_place_value(flight->lane, gives) : got;

        if (flight->command.completionCode != ERROR_SUCCESS || got == wanted)
                return true;
        return flight_fail(flight, ": expected position %" PRId64 ", got %" PRId64, wanted, got);
}

static bool flight_check_data(const struct flight *flight)
{
        const struct script_command *command = &flight->step->command;
        size_t bytes = (size_t)flight->command.bytesTransferred;
        size_t bad;

        if (!command->check || !flight->command.buffer)
                return true;
        bad = script_data_compare(command, flight->offset, flight->command.buffer, bytes);
        if (bad == bytes)
                return true;
        return flight_fail(flight, ": byte %zu is 0x%02x, expected 0x%02x (offset %" PRIu64 " of the data)", bad,
                           flight->command.buffer[bad], script_data_byte(command, flight->offset + bad),
                           flight->offset + bad);
}

/* Behind the size that the command names, the buffer is not the client's. */
static bool flight_check_guard(const struct flight *flight)
{
        size_t capacity = flight->lane->run->script->max_transfer;
        size_t at = (size_t)flight->command.size;

        if (!flight->command.buffer)
                return true;
        while (at < capacity && flight->command.buffer[at] == SCRIPT_GUARD)
                at++;
        return at == capacity || flight_fail(flight, ": the client wrote behind the command's data, at byte %zu", at);
}

static void flight_keep_position(const struct flight *flight)
{
        const struct script_command *command = &flight->step->command;
        struct lane *lane = flight->lane;

        if (flight->command.completionCode != ERROR_SUCCESS)
                return;
        if (command->save >= 0)
                lane->saved[command->save] = flight->command.outPosition;
        if (command->code == VDC_SetPosition)
                lane->position = (uint64_t)flight->command.outPosition;
        if (command->code == VDC_Rewind)
                lane->position = lane->offset = 0;
}

enum flight_outcome flight_reap(struct flight *flight, bool after_end)
{
        const struct script_command *command = &flight->step->command;
        struct script_run *run = flight->lane->run;
        bool good;

        if (!flight_wait(flight))
                return FLIGHT_STOP;
        flight->used = false;
        /* An abort that nobody has to be blamed for? */
        if (flight->command.completionCode == ERROR_OPERATION_ABORTED && run->abort_expected &&
            !codes_have(&command->expect, ERROR_OPERATION_ABORTED))
                return FLIGHT_STOP;
        run->checks++;
        good = flight_check_code(flight, after_end) && flight_check_position(flight) && flight_check_data(flight) &&
               flight_check_guard(flight);
        flight_keep_position(flight);
        if (flight->command.buffer)
                vds_server_free_buffer(run->server, flight->command.buffer, run->script->max_transfer);
        if ((!good && !run->script->goes_on) || run_is_over(run))
                return FLIGHT_STOP;
        return codes_have(&command->until, flight->command.completionCode) ? FLIGHT_ENDS_SERIES : FLIGHT_GOOD;
}
