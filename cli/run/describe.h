/*
 * describe.h - what a stream that we write says about itself
 */
#ifndef VDIPIPE_CLI_RUN_DESCRIBE_H
#define VDIPIPE_CLI_RUN_DESCRIBE_H

#include "codecs/stream/info.h"
#include "core/servers/server.h"
#include "core/vds/abi.h"

/* Who took part in a backup, for the headers of its streams. Nothing is owned. */
struct backup_parties {
        const char *set_id;
        const char *time;                 /* UTC, as in the header */
        const char *database;             /* as people call it */
        const char *origin;               /* path or URI of the database; "" when it is not known */
        const char *type;                 /* "full"; NULL: that is what it is taken for */
        const char *label;                /* NULL: what the server says of it */
        const struct server_info *server; /* NULL: it says nothing that we understand */
        const struct VDConfig *config;    /* as negotiated */
};

/* `time` now, as a header has it. */
void describe_time(char text[32]);

/* Everything but what differs from device to device. stream_info_deinit() in any case. */
int describe_backup(const struct backup_parties *parties, struct stream_info *ret_info, struct error *err);

/* What differs. The extent is only given where the server has said it. */
void describe_device(const struct backup_parties *parties, uint32_t device, struct stream_info *info);

#endif
