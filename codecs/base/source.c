#include "codecs/base/source.h"

#include <stdlib.h>

ssize_t source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        return source->ops->read(source, buffer, size, err);
}

ssize_t source_read_full(struct source *source, void *buffer, size_t size, struct error *err)
{
        size_t done = 0;

        while (done < size) {
                ssize_t n = source_read(source, (char *)buffer + done, size - done, err);

                if (n < 0)
                        return -1;
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
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

                source->ops->free(source);
                source = next;
        }
}
