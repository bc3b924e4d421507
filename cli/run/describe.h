/*
 * describe.h - what a stream that we write says about itself
 */
#pragma once

#include "cli/run/member.h"
#include "codecs/stream/info.h"

/* `time` now, as a header has it. */
void describe_time(char text[32]);

/* Everything but what differs from device to device. stream_info_deinit() in any case. */
int describe_backup(const struct member *member, struct stream_info *ret_info, struct error *err);

/* What differs. The extent is only given where the server has said it. */
void describe_device(const struct member *member, uint32_t device, struct stream_info *info);
