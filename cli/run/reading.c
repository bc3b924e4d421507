#include "cli/run/reading.h"

#include <stdlib.h>
#include <string.h>

#include "cli/media/coding.h"
#include "cli/message.h"
#include "core/base/cleanup.h"

enum { PUMP_SIZE = 1 << 20 };

static int reading_begin(struct reading *reading, const struct args *args, const char *verb, struct error *err)
{
        memset(reading, 0, sizeof *reading);
        if (progress_init(&reading->progress, args, verb, err) < 0)
                return -1;
        if (supervisor_start(args->stall_timeout_ms, &reading->progress, &reading->supervisor, err) < 0)
                return -1;
        supervisor_enter(reading->supervisor, &reading->worker, verb, "");
        return 0;
}

static void reading_end(struct reading *reading)
{
        if (reading->supervisor)
                supervisor_leave(reading->supervisor, &reading->worker);
        supervisor_stop(reading->supervisor);
        reading->supervisor = NULL;
}

int reading_pump(struct reading *reading, struct input *input, struct stage *sink, uint64_t *ret_bytes,
                 struct error *err)
{
        CLEANUP(freep) void *buffer = aligned_alloc(4096, PUMP_SIZE);
        ssize_t n;

        *ret_bytes = 0;
        if (!buffer)
                return error_no_memory(err);
        do {
                worker_begin(&reading->worker);
                n = supervisor_check(reading->supervisor, err) < 0
                            ? -1
                            : source_read(input->reader->source, buffer, PUMP_SIZE, err);
                if (n > 0 && sink && stage_write(sink, buffer, (size_t)n, err) < 0)
                        n = -1;
                worker_end(&reading->worker);
                if (n < 0)
                        return supervisor_check(reading->supervisor, err), -1;
                *ret_bytes += (uint64_t)n;
                progress_add(&reading->progress, (uint64_t)n);
        } while (n > 0);
        return 0;
}

/* The failures so far: what is to be returned, and the last one's words, which the caller prints. */
static void reading_add_failure(struct error *failures, const struct error *own)
{
        enum err_code first = failures->code;

        if (error_is_set(failures))
                message_error("%s", failures->message);
        *failures = *own;
        if (first != ERR_NONE)
                failures->code = first;
}

static void reading_run_all(struct reading *reading, const struct args *args, reading_function each,
                            struct error *failures)
{
        const struct string_list *lists[] = { &args->operands, &args->inputs };

        for (size_t l = 0; l < 2; l++) {
                for (size_t i = 0; i < lists[l]->count; i++) {
                        struct error own = ERROR_INIT;

                        if (each(reading, args, lists[l]->items[i], &own) == 0)
                                continue;
                        reading_add_failure(failures, &own);
                        if (supervisor_check(reading->supervisor, /* err= */ NULL) < 0)
                                return;
                }
        }
}

int reading_run(const struct args *args, const char *verb, reading_function each, void *context, struct error *err)
{
        struct error failures = ERROR_INIT;
        struct reading reading;

        if (coding_load_reading(args, args->operands.count + args->inputs.count == 0, err) < 0 ||
            reading_begin(&reading, args, verb, err) < 0)
                return -1;
        reading.context = context;
        if (args->operands.count + args->inputs.count == 0)
                each(&reading, args, NULL, &failures);
        else
                reading_run_all(&reading, args, each, &failures);
        /* A failure after a cancellation is the cancellation's. */
        if (error_is_set(&failures))
                supervisor_check(reading.supervisor, &failures);
        reading_end(&reading);
        return error_hand_over(err, &failures);
}
