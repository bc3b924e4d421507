#include "codecs/base/source.h"

#include <stdlib.h>
#include <string.h>

void *source_make(size_t size, const struct source_ops *ops, struct source *next, const char *label, struct error *err)
{
        struct source *source = calloc(1, size);

        if (source && label)
                source->label = strdup(label);
        if (!source || (label && !source->label)) {
                free(source);
                source_free(next);
                error_no_memory(err);
                return NULL;
        }
        source->ops = ops;
        source->next = next;
        return source;
}

#include "core/base/fd_io.h"

ssize_t source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        return source->ops->read(source, buffer, size, err);
}

ssize_t source_read_full(struct source *source, void *buffer, size_t size, struct error *err)
{
        return READ_FULL(size, source_read(source, (char *)buffer + done, size - done, err));
}

bool source_ready(struct source *source)
{
        while (source && !source->ops->ready)
                source = source->next;
        return source && source->ops->ready(source);
}

void source_free(struct source *source)
{
        while (source) {
                struct source *next = source->next;

                free(source->label);
                if (source->ops->free)
                        source->ops->free(source);
                else
                        free(source);
                source = next;
        }
}
