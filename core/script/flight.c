/* One command of a script: sent, awaited, checked. */
#include "core/script/lane.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/script/data.h"

/* ---- waiting ---- */

bool run_is_over(struct script_run *run)
{
        bool over;

        pthread_mutex_lock(&run->lock);
        over = run->stopping || run->closing;
        pthread_mutex_unlock(&run->lock);
        return over;
}

/* Waits for a change; false once the deadline has passed. Under the lock. */
bool run_wait_change(struct script_run *run, struct deadline deadline)
{
        const struct timespec at = {
                .tv_sec = (time_t)(deadline.at_ns / 1000000000),
                .tv_nsec = (long)(deadline.at_ns % 1000000000),
        };

        if (deadline.at_ns == DEADLINE_NEVER.at_ns) {
                pthread_cond_wait(&run->changed, &run->lock);
                return true;
        }
        return pthread_cond_timedwait(&run->changed, &run->lock, &at) == 0 || !deadline_passed(deadline);
}

/* The script's time is over: says once what was not done by then, and makes every sequence stop. */
void lane_time_out(struct lane *lane, uint32_t line, const char *what)
{
        struct script_run *run = lane->run;
        char text[SCRIPT_FAILURE_TEXT_MAX];

        snprintf(text, sizeof text, "the script's time, %.3g s, is over: %s", (double)run->script->timeout_ms / 1000,
                 what);
        pthread_mutex_lock(&run->lock);
        script_report_add(run->report, line, lane->number, text);
        run->report->timed_out = true;
        run->deadline = DEADLINE_NEVER;
        run->stopping = true;
        run->abort_expected = true;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        vds_server_signal_abort(run->server);
}

static void describe(const struct flight *flight, char *text, size_t size)
{
        int32_t code = flight->command.commandCode;
        bool known = code >= VDC_Read && code <= VDC_Complete;
        char number[24];

        snprintf(number, sizeof number, "Command %" PRId32, code);
        snprintf(text, size, "%s of %" PRId32 " at %" PRId64 ", command %" PRIu64,
                 known ? vds_command_name(code) : number, flight->command.size, flight->command.inPosition,
                 flight->serial);
}

/* A flight that is not done at its deadline. */
static void on_late(struct flight *flight)
{
        struct lane *lane = flight->lane;
        struct script_run *run = lane->run;
        char what[128];
        char text[256];
        bool over;

        describe(flight, what, sizeof what);
        pthread_mutex_lock(&run->lock);
        over = deadline_passed(run->deadline);
        pthread_mutex_unlock(&run->lock);
        if (over) {
                snprintf(text, sizeof text, "%s was not completed", what);
                lane_time_out(lane, flight->step->line, text);
                return;
        }
        flight->late = true;
        run_fail(run, flight->step->line, lane->number, "%s: not completed within %.3g s", what,
                 (double)run->script->patience_ms / 1000);
}

/* Until the callback has run. After a time-out or a failure the abort brings it. */
static void wait_done(struct flight *flight)
{
        struct script_run *run = flight->lane->run;
        struct deadline patience = DEADLINE_NEVER;

        if (run->script->patience_ms >= 0)
                patience.at_ns = flight->sent_ns + run->script->patience_ms * 1000000;
        pthread_mutex_lock(&run->lock);
        while (!flight->done && !run->closing) {
                struct deadline until = run->deadline;

                if (!flight->late)
                        until = deadline_earlier(until, patience);
                if (run_wait_change(run, until) || flight->done)
                        continue;
                pthread_mutex_unlock(&run->lock);
                on_late(flight);
                pthread_mutex_lock(&run->lock);
        }
        pthread_mutex_unlock(&run->lock);
}

/* Waits until the set is aborted or about to be closed. False at the deadline. */
bool run_wait_end(struct script_run *run, struct deadline deadline)
{
        bool ended = false;

        pthread_mutex_lock(&run->lock);
        deadline = deadline_earlier(deadline, run->deadline);
        do
                ended = run->agent_gone || run->closing || run->stopping;
        while (!ended && run_wait_change(run, deadline));
        pthread_mutex_unlock(&run->lock);
        return ended;
}

/* ---- sending ---- */

static void on_completion(struct VDS_Command *command)
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

void lane_fault(struct lane *lane, uint32_t line, enum err_code code, const char *text)
{
        struct script_run *run = lane->run;
        struct error fault = ERROR_INIT;

        error_raise(&fault, code, "%s:%" PRIu32 ": %s", run->call->path, line, text);
        pthread_mutex_lock(&run->lock);
        error_keep_first(&run->fault, &fault);
        run->stopping = true;
        run->abort_expected = true;
        pthread_cond_broadcast(&run->changed);
        pthread_mutex_unlock(&run->lock);
        vds_server_signal_abort(run->server);
}

static bool is_random(const struct lane *lane)
{
        return lane->run->config.features & VDF_RandomAccess;
}

/* Positions wrap like the field that carries them. */
static int64_t add(int64_t a, int64_t b)
{
        return (int64_t)((uint64_t)a + (uint64_t)b);
}

static int64_t place_value(const struct lane *lane, const struct script_place *place)
{
        return place->saved >= 0 ? add(lane->saved[place->saved], place->number) : place->number;
}

/* Where the command goes, the `index`th of its line. */
static int64_t input_position(struct lane *lane, const struct script_command *command, uint32_t index)
{
        if (command->at.given)
                return add(place_value(lane, &command->at),
                           script_moves_data(command) ? (int64_t)index * command->size : 0);
        return script_moves_data(command) && is_random(lane) ? (int64_t)lane->position : 0;
}

static struct flight *free_flight(struct lane *lane)
{
        for (uint32_t i = 0; i < LANE_FLIGHTS; i++)
                if (!lane->flights[i].used)
                        return &lane->flights[i];
        return NULL;
}

/* A buffer, whose unused part is marked, filled with what is to be written. False: there is none. */
static bool make_buffer(struct lane *lane, struct flight *flight)
{
        const struct script_command *command = &flight->step->command;
        uint32_t capacity = lane->run->script->max_transfer;
        size_t used = (size_t)command->size;
        uint8_t *buffer = NULL;
        int result = vds_server_allocate_buffer(lane->run->server, &buffer, capacity, /* alignment= */ 0);

        if (result == VD_E_MEMORY) {
                lane_fault(lane, flight->step->line, ERR_USAGE, "no buffer is free: raise 'set buffers'");
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
static void advance(struct lane *lane, struct flight *flight)
{
        uint64_t size = (uint64_t)flight->command.size;

        flight->offset = is_random(lane) ? (uint64_t)flight->command.inPosition : lane->offset;
        if (flight->step->command.has_from && is_random(lane))
                flight->offset = lane->offset;
        lane->offset = flight->offset + size;
        lane->position = (uint64_t)flight->command.inPosition + size;
}

/* Sends the command of a line; NULL when the sequence must stop. */
struct flight *lane_send(struct lane *lane, const struct script_step *step, uint32_t index)
{
        const struct script_command *command = &step->command;
        struct script_run *run = lane->run;
        struct flight *flight = free_flight(lane);

        if (!flight) {
                lane_fault(lane, step->line, ERR_USAGE, "too many commands are outstanding: add a 'drain'");
                return NULL;
        }
        memset(flight, 0, sizeof *flight);
        flight->lane = lane;
        flight->step = step;
        flight->command = (struct VDS_Command){
                .commandCode = command->code,
                .size = command->size,
                .inPosition = input_position(lane, command, index),
                .completionRoutine = (uint8_t *)(uintptr_t)on_completion,
        };
        if (script_moves_data(command)) {
                advance(lane, flight);
                if (!make_buffer(lane, flight))
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

static bool has_code(const struct script_codes *codes, int32_t code)
{
        for (uint32_t i = 0; i < codes->count; i++)
                if (codes->codes[i] == code || codes->codes[i] == SCRIPT_ANY_CODE)
                        return true;
        return false;
}

/* Codes that are right for a flight. `after_end`: an earlier one of its series has ended it. */
static struct script_codes wanted_codes(const struct script_command *command, bool after_end)
{
        struct script_codes wanted = command->expect;

        if (command->until.count) {
                if (wanted.count == 0 && (!after_end || command->code == VDC_Write))
                        wanted.codes[wanted.count++] = ERROR_SUCCESS;
                for (uint32_t i = 0; i < command->until.count && wanted.count < SCRIPT_CODES_MAX; i++)
                        wanted.codes[wanted.count++] = command->until.codes[i];
                if (after_end && wanted.count < SCRIPT_CODES_MAX)
                        wanted.codes[wanted.count++] = ERROR_IO_DEVICE;
        } else if (wanted.count == 0) {
                wanted.codes[wanted.count++] = ERROR_SUCCESS;
        }
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
        case SCRIPT_BYTES_DEFAULT:
                break;
        }
        return code != ERROR_SUCCESS || bytes == (uint64_t)command->size;
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
        else if (has_code(wanted, ERROR_SUCCESS))
                snprintf(text + at, size - at, "%s with %" PRId32 " bytes", wanted->count > 1 ? ", 0" : "",
                         command->size);
}

/* Why a code may have come that was not given by the client. */
static const char *describe_cause(const struct flight *flight)
{
        enum vds_abort_reason reason = vds_server_abort_reason(flight->lane->run->server);

        if (flight->sent_result != NOERROR)
                return vds_result_name(flight->sent_result);
        return reason == VDS_ABORT_NONE ? NULL : vds_abort_text(reason);
}

static bool check_code(struct flight *flight, bool after_end)
{
        const struct VDS_Command *command = &flight->command;
        struct script_codes wanted = wanted_codes(&flight->step->command, after_end);
        const char *cause = describe_cause(flight);
        char what[128];
        char want[160];
        char bytes[40] = "";

        if (has_code(&wanted, command->completionCode) &&
            bytes_fit(&flight->step->command, command->completionCode, (uint64_t)command->bytesTransferred))
                return true;
        describe(flight, what, sizeof what);
        describe_wanted(&flight->step->command, &wanted, want, sizeof want);
        if (script_moves_data(&flight->step->command))
                snprintf(bytes, sizeof bytes, " with %" PRId32 " bytes", command->bytesTransferred);
        run_fail(flight->lane->run, flight->step->line, flight->lane->number,
                 "%s: expected %s, got %" PRId32 "%s%s%s%s", what, want, command->completionCode, bytes,
                 cause ? " (" : "", cause ? cause : "", cause ? ")" : "");
        return false;
}

static bool check_position(struct flight *flight)
{
        const struct script_command *command = &flight->step->command;
        int64_t got = flight->command.outPosition;
        char what[128];

        if (!command->gives.given || flight->command.completionCode != ERROR_SUCCESS ||
            got == place_value(flight->lane, &command->gives))
                return true;
        describe(flight, what, sizeof what);
        run_fail(flight->lane->run, flight->step->line, flight->lane->number,
                 "%s: expected position %" PRId64 ", got %" PRId64, what, place_value(flight->lane, &command->gives),
                 got);
        return false;
}

static bool check_data(struct flight *flight)
{
        const struct script_command *command = &flight->step->command;
        size_t bytes = (size_t)flight->command.bytesTransferred;
        size_t bad;
        char what[128];

        if (!command->check || !flight->command.buffer)
                return true;
        bad = script_data_compare(command, flight->offset, flight->command.buffer, bytes);
        if (bad == bytes)
                return true;
        describe(flight, what, sizeof what);
        run_fail(flight->lane->run, flight->step->line, flight->lane->number,
                 "%s: byte %zu is 0x%02x, expected 0x%02x (offset %" PRIu64 " of the data)", what, bad,
                 flight->command.buffer[bad], script_data_byte(command, flight->offset + bad), flight->offset + bad);
        return false;
}

/* Behind the size that the command names, the buffer is not the client's. */
static bool check_guard(struct flight *flight)
{
        size_t capacity = flight->lane->run->script->max_transfer;
        size_t at = (size_t)flight->command.size;
        char what[128];

        if (!flight->command.buffer)
                return true;
        while (at < capacity && flight->command.buffer[at] == SCRIPT_GUARD)
                at++;
        if (at == capacity)
                return true;
        describe(flight, what, sizeof what);
        run_fail(flight->lane->run, flight->step->line, flight->lane->number,
                 "%s: the client wrote behind the command's data, at byte %zu", what, at);
        return false;
}

/* Was it an abort that nobody has to be blamed for? */
static bool is_expected_abort(struct flight *flight)
{
        struct script_run *run = flight->lane->run;
        bool expected;

        if (flight->command.completionCode != ERROR_OPERATION_ABORTED)
                return false;
        pthread_mutex_lock(&run->lock);
        expected = run->abort_expected;
        pthread_mutex_unlock(&run->lock);
        return expected;
}

void run_count_check(struct script_run *run)
{
        pthread_mutex_lock(&run->lock);
        run->report->checks++;
        pthread_mutex_unlock(&run->lock);
}

static void keep_position(struct flight *flight)
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

/* Frees the flight, and says what it means. */
static enum flight_outcome judge(struct flight *flight, bool after_end)
{
        const struct script_command *command = &flight->step->command;
        struct script_run *run = flight->lane->run;
        bool ends = has_code(&command->until, flight->command.completionCode);
        bool good;

        flight->used = false;
        if (is_expected_abort(flight) && !has_code(&command->expect, ERROR_OPERATION_ABORTED))
                return FLIGHT_STOP;
        run_count_check(run);
        good = check_code(flight, after_end);
        good = good && check_position(flight) && check_data(flight) && check_guard(flight);
        keep_position(flight);
        if (flight->command.buffer)
                vds_server_free_buffer(run->server, flight->command.buffer, run->script->max_transfer);
        if ((!good && !run->script->goes_on) || run_is_over(run))
                return FLIGHT_STOP;
        return ends ? FLIGHT_ENDS_SERIES : FLIGHT_GOOD;
}

/* Waits for a flight and judges it. */
enum flight_outcome flight_reap(struct flight *flight, bool after_end)
{
        struct script_run *run = flight->lane->run;
        bool done;

        wait_done(flight);
        pthread_mutex_lock(&run->lock);
        done = flight->done;
        pthread_mutex_unlock(&run->lock);
        /* One that is not done belongs to the engine until the set is closed. */
        return done ? judge(flight, after_end) : FLIGHT_STOP;
}
