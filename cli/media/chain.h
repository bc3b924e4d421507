/*
 * chain.h - what a device's data goes through on its way to a sink, as the options say
 */
#pragma once

#include "cli/args.h"
#include "codecs/codecs.h"
#include "core/base/error.h"

/* The options of a vdi stream writer. */
struct vdistream_options chain_stream_options(const struct args *args);

/* Builds the chain around `sink`, which it owns from here on, also on failure: the vdi stream (not with --raw), then
 * encryption. `info` is the stream's header. */
int chain_new(const struct args *args, const struct stream_info *info, struct stage *sink, struct stage **ret_chain,
              struct error *err);
