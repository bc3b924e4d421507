/*
 * codecs.h - a backup is opened: its layers are recognised and peeled, down to the device's data
 *
 * The ends of chains and the vdi stream's writer come with it; encryption is codecs/age/age.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "codecs/base/reading.h"
#include "codecs/base/source.h"
#include "codecs/ends/ends.h"
#include "codecs/stream/info.h"
#include "codecs/stream/stream.h"

const char *layer_name(enum layer_kind kind);

/* An opened stream: its layers have been recognised and peeled, the header read and checked, no data consumed yet. */
struct reader {
        struct source *source;              /* the device's data; owned */
        enum layer_kind layers[LAYERS_MAX]; /* outermost first */
        size_t layer_count;
        bool has_info; /* there is a vdi stream among the layers, and this is its header */
        struct stream_info info;
        struct source *stream; /* that vdi stream, which `source` owns; NULL: none */
};

/* Opens what `fd` delivers. The descriptor stays the caller's and must outlive the reader. Unknown bytes, and formats
 * that another tool must take off first, are refused by name. */
int reader_open(int fd, const struct reader_options *options, struct reader **ret_reader, struct error *err);
void reader_free(struct reader *reader);
void reader_freep(struct reader **reader);

/* NULL when no vdi stream is among the layers, or its end has not been reached. */
const struct stream_tail *reader_tail(const struct reader *reader);
