#include "cli/media/recording.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct recording {
        struct source source;
        const char *name;
        size_t limit;
        FILE *memory; /* writes to the two below */
        char *bytes;
        size_t size;
        size_t given; /* of them, since the replay began */
        bool replaying;
        bool ended; /* the source inside has come to its end */
};

static struct recording *recording_of(struct source *source)
{
        return (struct recording *)source;
}

static int recording_keep(struct recording *recording, const void *bytes, size_t size, struct error *err)
{
        if (recording->size + size > recording->limit)
                return error_raise(err, ERR_USAGE,
                                   "the server wants to see more than the first %zu MiB of %s before it restores; give "
                                   "the backup as a file: -i FILE",
                                   recording->limit >> 20, recording->name);
        if (fwrite(bytes, 1, size, recording->memory) != size || fflush(recording->memory) != 0)
                return error_no_memory(err);
        return 0;
}

static ssize_t recording_give(struct recording *recording, void *buffer, size_t size)
{
        size_t left = recording->size - recording->given;
        size_t part = left < size ? left : size;

        memcpy(buffer, recording->bytes + recording->given, part);
        recording->given += part;
        return (ssize_t)part;
}

static ssize_t recording_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct recording *recording = recording_of(source);
        ssize_t n;

        if (recording->replaying && recording->given < recording->size)
                return recording_give(recording, buffer, size);
        if (recording->ended)
                return 0;
        n = source_read(source->next, buffer, size, err);
        recording->ended = n == 0;
        if (n > 0 && !recording->replaying && recording_keep(recording, buffer, (size_t)n, err) < 0)
                return -1;
        return n;
}

static bool recording_ready(struct source *source)
{
        struct recording *recording = recording_of(source);

        return (recording->replaying && recording->given < recording->size) || recording->ended ||
               source_ready(source->next);
}

static void recording_free(struct source *source)
{
        fclose(recording_of(source)->memory);
        free(recording_of(source)->bytes);
        free(source);
}

static const struct source_ops recording_ops = {
        .name = "recording",
        .read = recording_read,
        .ready = recording_ready,
        .free = recording_free,
};

int recording_begin(struct source **source, const char *name, size_t limit, struct error *err)
{
        struct recording *recording = calloc(1, sizeof *recording);

        if (!recording)
                return error_no_memory(err);
        recording->source = (struct source){ .ops = &recording_ops, .next = *source };
        recording->memory = open_memstream(&recording->bytes, &recording->size);
        if (!recording->memory) {
                free(recording);
                return error_no_memory(err);
        }
        recording->name = name;
        recording->limit = limit;
        *source = &recording->source;
        return 0;
}

void recording_replay(struct source *source)
{
        recording_of(source)->replaying = true;
}
