#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codecs/age/age.h"
#include "codecs/base/label.h"
#include "codecs/detect.h"
#include "core/base/cleanup.h"

/* Looks at what comes next and leaves it to be read again. */
static int look_at_layer(struct reader *reader, const char *label, enum layer_kind *ret_kind, struct error *err)
{
        uint8_t bytes[DETECT_SIZE];
        ssize_t n = source_read_full(reader->source, bytes, sizeof bytes, err);

        if (n < 0 || detect_layer(bytes, (size_t)n, label, ret_kind, err) < 0)
                return -1;
        return peek_source_new(take_ptr(&reader->source), bytes, (size_t)n, &reader->source, err);
}

/* What is left is inside a layer: returns 1. */
static int label_content(char label[LABEL_MAX], enum layer_kind kind)
{
        char outer[LABEL_MAX];

        memcpy(outer, label, LABEL_MAX);
        snprintf(label, LABEL_MAX, "the %s content of %.480s", layer_name(kind), outer);
        return 1;
}

/* Takes off one layer. Returns 1 when another may be inside, 0 when what is left is data, -1. */
static int peel(struct reader *reader, const struct reader_options *options, char label[LABEL_MAX], struct error *err)
{
        enum layer_kind kind = LAYER_BARE;
        struct source **at = &reader->source;

        if (!options->bare && look_at_layer(reader, label, &kind, err) < 0)
                return -1;
        if (reader->layer_count == LAYERS_MAX)
                return error_raise(err, ERR_DAMAGED, "%s has more than %d layers", label, LAYERS_MAX);
        if (options->outermost_only && kind != options->outermost)
                return error_raise(err, ERR_USAGE, "%s: the outermost layer is '%s', not '%s'", label, layer_name(kind),
                                   layer_name(options->outermost));
        reader->layers[reader->layer_count++] = kind;
        if (options->facts)
                options->facts->layers[options->facts->layer_count++] = kind;
        switch (kind) {
        case LAYER_VDISTREAM:
                if (vdistream_source_new(take_ptr(at), label, options, &reader->info, at, err) < 0)
                        return -1;
                reader->has_info = true;
                reader->stream = reader->source;
                return 0;
        case LAYER_ZSTD:
                return zstd_source_new(take_ptr(at), label, options, at, err) < 0 ? -1 : label_content(label, kind);
        case LAYER_AGE:
                return age_source_new(take_ptr(at), label, options, at, err) < 0 ? -1 : label_content(label, kind);
        case LAYER_SQLITE:
                return sqlite_source_new(take_ptr(at), label, at, err);
        case LAYER_MTF:
        case LAYER_BARE:
                return 0;
        }
        return error_raise(err, ERR_USAGE, "%s: the layer '%s' is not known here", label, layer_name(kind));
}

/* Who gives a key relies on what it protects; a file that was put in the place of an encrypted one must not pass. */
static int check_sealed(const struct reader *reader, const char *label, struct error *err)
{
        for (size_t i = 0; i < reader->layer_count; i++)
                if (reader->layers[i] == LAYER_AGE)
                        return 0;
        return error_raise(err, ERR_KEY,
                           "%s is not encrypted, although a key was given, so it may not be what it seems; to read it "
                           "all the same, give no key",
                           label);
}

int reader_open(int fd, const struct reader_options *options, struct reader **ret_reader, struct error *err)
{
        CLEANUP(reader_freep) struct reader *reader = calloc(1, sizeof *reader);
        char label[LABEL_MAX], outermost[LABEL_MAX];
        int more;

        if (!reader)
                return error_no_memory(err);
        if (label_of_input(options->name, label, err) < 0 ||
            fd_source_new(fd, label, options->cancel, &reader->source, err) < 0)
                return -1;
        memcpy(outermost, label, LABEL_MAX);
        do {
                more = peel(reader, options, label, err);
        } while (more > 0 && !options->outermost_only);
        if (more < 0 || (options->sealed_only && check_sealed(reader, outermost, err) < 0))
                return -1;
        *ret_reader = take_ptr(&reader);
        return 0;
}

void reader_free(struct reader *reader)
{
        if (!reader)
                return;
        source_free(reader->source);
        stream_info_deinit(&reader->info);
        free(reader);
}

void reader_freep(struct reader **reader)
{
        reader_free(*reader);
        *reader = NULL;
}

const struct stream_tail *reader_tail(const struct reader *reader)
{
        return reader->stream ? vdistream_source_tail(reader->stream) : NULL;
}
