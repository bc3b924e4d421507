/*
 * input.h - a database image as it comes back from the devices of a backup set
 *
 * Which part of the image each device carries is told by the job; where it is not, it follows from the image's header,
 * which the first device with data begins with: the cut is the one that a backup makes. The other devices wait for it.
 * Every device has to deliver its part, no less and no more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/servers/server.h"
#include "core/servers/side.h"

struct sqlite_input {
        struct server_side *side;
        /* Takes bytes of the image, from any channel's thread. NULL: nobody does. */
        int (*store)(void *context, uint64_t offset, const void *data, size_t size, struct error *err);
        void *context;
        const char *shown; /* what the image becomes, for messages */

        uint64_t sizes[VDS_DEVICES_MAX]; /* bytes that came, by device; each is its channel's until the join */

        /* Under the side's lock: */
        bool told;                                 /* the job knew the parts */
        bool known;                                /* the parts are */
        struct server_part parts[VDS_DEVICES_MAX]; /* a length of UINT64_MAX: whatever comes */
        bool empty[VDS_DEVICES_MAX];               /* devices that turned out to hold nothing */
        uint32_t page_size;                        /* 0: no header came */
        uint64_t pages;                            /* 0: the header does not know */
};

/* Fills side, store, context and shown, and what the job knows of parts. */
void sqlite_input_init(struct sqlite_input *input, struct server_side *side);

/* Reads all devices to the end of the backup set. */
int sqlite_input_run(struct sqlite_input *input, struct error *err);

/* Bytes of all devices; after the run. */
uint64_t sqlite_input_size(const struct sqlite_input *input);
