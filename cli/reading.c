#include "cli/reading.h"

#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "core/base/cleanup.h"

enum { PUMP_SIZE = 1 << 20 };

int reading_begin(struct reading *reading, const struct args *args, const char *verb, struct error *err)
{
        memset(reading, 0, sizeof *reading);
        if (progress_init(&reading->progress, args, verb, err) < 0)
                return -1;
        if (supervisor_start(args->stall_timeout_ms, &reading->progress, &reading->supervisor, err) < 0)
                return -1;
        supervisor_enter(reading->supervisor, &reading->worker, verb);
        return 0;
}

void reading_end(struct reading *reading)
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
                return error_raise(err, ERR_MEMORY, "out of memory");
        do {
                worker_begin(&reading->worker);
                n = source_read(input->reader->source, buffer, PUMP_SIZE, err);
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

int reading_for_each(struct reading *reading, const struct args *args,
                     int (*each)(struct reading *, const struct args *, const char *path, struct error *),
                     struct error *err)
{
        const struct string_list *lists[] = { &args->operands, &args->inputs };
        struct error first = ERROR_INIT;

        if (args->operands.count + args->inputs.count == 0 && each(reading, args, NULL, &first) == 0)
                return 0;
        for (size_t l = 0; l < 2; l++) {
                for (size_t i = 0; i < lists[l]->count; i++) {
                        struct error own = ERROR_INIT;

                        if (each(reading, args, lists[l]->items[i], &own) == 0)
                                continue;
                        if (error_is_set(&first))
                                message_error("%s", own.message);
                        error_keep_first(&first, &own);
                        if (supervisor_check(reading->supervisor, /* err= */ NULL) < 0)
                                goto out;
                }
        }
out:
        if (!error_is_set(&first))
                return 0;
        *err = first;
        /* A failure after a cancellation is the cancellation's. */
        supervisor_check(reading->supervisor, err);
        return -1;
}
