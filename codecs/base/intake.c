#include "codecs/base/intake.h"

#include <stdlib.h>
#include <string.h>

#include "codecs/base/label.h"
#include "core/base/fd_io.h"

/* From here on a request goes past the buffer. */
enum { INTAKE_DIRECT = 32 << 10 };

int intake_init(struct intake *intake, struct source *from, const char *label, const atomic_bool *cancel,
                struct error *err)
{
        *intake = (struct intake){ .from = from, .label = label, .cancel = cancel, .buffer = malloc(INTAKE_ROOM) };
        return intake->buffer ? 0 : error_no_memory(err);
}

void intake_deinit(struct intake *intake)
{
        free(intake->buffer);
        intake->buffer = NULL;
}

int intake_look_at_cancel(const struct intake *intake, struct error *err)
{
        if (intake->cancel && atomic_load_explicit(intake->cancel, memory_order_relaxed))
                return error_raise(err, ERR_ABORTED, "reading %s was interrupted", intake->label);
        return 0;
}

int intake_raise_damaged(const struct intake *intake, const char *what, struct error *err)
{
        return raise_damaged_at(intake->label, intake->position, what, err);
}

int intake_raise_cut(const struct intake *intake, size_t behind, const char *what, struct error *err)
{
        return raise_cut_at(intake->label, intake->position + behind, what, err);
}

/* The source is not asked again after it has said that it ended. */
static ssize_t intake_refill(struct intake *intake, void *buffer, size_t size, struct error *err)
{
        ssize_t n = intake->ended ? 0 : source_read(intake->from, buffer, size, err);

        if (n == 0)
                intake->ended = true;
        return n;
}

bool intake_ready(const struct intake *intake)
{
        return intake->end > intake->start || intake->ended || source_ready(intake->from);
}

static ssize_t intake_look(struct intake *intake, size_t size, bool wait, const uint8_t **ret_bytes, struct error *err)
{
        if (intake_look_at_cancel(intake, err) < 0)
                return -1;
        if (intake->end - intake->start < size && intake->start > 0) {
                memmove(intake->buffer, intake->buffer + intake->start, intake->end - intake->start);
                intake->end -= intake->start;
                intake->start = 0;
        }
        while (intake->end - intake->start < size && (wait || source_ready(intake->from))) {
                ssize_t n = intake_refill(intake, intake->buffer + intake->end, INTAKE_ROOM - intake->end, err);

                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
                intake->end += (size_t)n;
        }
        *ret_bytes = intake->buffer + intake->start;
        return (ssize_t)(intake->end - intake->start < size ? intake->end - intake->start : size);
}

ssize_t intake_peek(struct intake *intake, size_t size, const uint8_t **ret_bytes, struct error *err)
{
        return intake_look(intake, size, /* wait= */ true, ret_bytes, err);
}

ssize_t intake_glance(struct intake *intake, size_t size, const uint8_t **ret_bytes, struct error *err)
{
        return intake_look(intake, size, /* wait= */ false, ret_bytes, err);
}

void intake_skip(struct intake *intake, size_t size)
{
        intake->start += size;
        intake->position += size;
}

ssize_t intake_some(struct intake *intake, void *buffer, size_t size, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n;

        if (intake_look_at_cancel(intake, err) < 0)
                return -1;
        if (intake->start == intake->end && size >= INTAKE_DIRECT) {
                n = intake_refill(intake, buffer, size, err);
                if (n > 0)
                        intake->position += (uint64_t)n;
                return n;
        }
        n = intake_peek(intake, 1, &bytes, err);
        if (n <= 0)
                return n;
        if (size > intake->end - intake->start)
                size = intake->end - intake->start;
        memcpy(buffer, bytes, size);
        intake_skip(intake, size);
        return (ssize_t)size;
}

ssize_t intake_full(struct intake *intake, void *buffer, size_t size, struct error *err)
{
        return READ_FULL(size, intake_some(intake, (char *)buffer + done, size - done, err));
}
