/*
 * call.h - one call of the interface, and what came of it, as flat structures that pass through a socket
 *
 * A player (player.h) makes the calls; it may live in the test's process or in another. Pointers stay with the player:
 * devices, commands and buffers are named by small numbers, which the test chooses.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/vds/vds.h"

enum {
        CALL_WAIT_MS = 20000, /* for what happens in any case */
        CALL_SLOTS = 80,      /* commands that a player remembers */
        CALL_BUFFERS = 5000,  /* buffers likewise; numbered from 1, 0 is none */
};

/* What to do. The same word means the method of that name on either side; a player refuses what its side lacks. */
enum op {
        OP_NEW = 0, /* free the handle, and make a new one; counts commands not called back exactly once */
        OP_STATE,   /* of the engine's end */
        OP_REASON,  /* of the abort */

        /* client */
        OP_CREATE,
        OP_OPEN_IN_SECONDARY,
        OP_GET_BUFFER_HANDLE,
        OP_MAP_BUFFER_HANDLE,
        OP_GET_COMMAND,
        OP_COMPLETE_COMMAND,
        OP_SERVER_INFO,
        OP_PRIMARY_INFO,
        OP_DEVICE_NAME,
        OP_SECONDARIES,
        OP_COUNTERS,

        /* both */
        OP_GET_CONFIGURATION,
        OP_OPEN_DEVICE,
        OP_SIGNAL_ABORT,
        OP_CLOSE,
        OP_VERDICT,

        /* server */
        OP_OPEN,
        OP_BEGIN_CONFIGURATION,
        OP_REQUEST_BUFFERS,
        OP_QUERY_AVAILABLE_BUFFERS,
        OP_END_CONFIGURATION,
        OP_EXECUTE_COMPLETION_AGENT,
        OP_AWAIT_AGENT, /* until another hand is the agent */
        OP_ALLOCATE_BUFFER,
        OP_FREE_BUFFER,
        OP_IS_SHARED_BUFFER,
        OP_SEND_COMMAND,
        OP_CLOSE_DEVICE,
        OP_SET_INFO,
        OP_AWAIT_CALLBACK, /* of a slot's command */
        OP_LOOK,           /* at a slot's command, without waiting */

        /* memory, of both */
        OP_FILL,  /* with the pattern of `seed` */
        OP_MATCH, /* 1 when the pattern of `seed` is there, else 0 */

        OP_COUNT,
};

/* Arguments that no honest caller would pass. */
enum odd {
        ODD_NO = 0,
        ODD_NULL,
        ODD_EMPTY,      /* a name of no bytes */
        ODD_FOREIGN,    /* memory that is not the set's */
        ODD_NO_ROUTINE, /* a command without callback */
};

/* Whose memory OP_FILL and OP_MATCH mean. */
enum place {
        PLACE_BUFFER = 0, /* of AllocateBuffer, by `buffer` */
        PLACE_COMMAND,    /* the buffer of a command from GetCommand, by `slot` */
        PLACE_MAPPED,     /* from MapBufferHandle, by `slot` */
};

struct call_request {
        enum op op;
        enum odd odd;
        uint32_t device; /* number of a device; OpenDevice gives it this number */
        uint32_t slot;   /* of a command */
        uint32_t buffer;
        enum place place;
        int32_t offset; /* bytes from the start of the buffer, negative into the prefix zone */
        int32_t size;
        int32_t code; /* of a command, or of a completion */
        uint32_t alignment;
        uint32_t count;
        uint32_t block_size;
        uint32_t features;
        uint32_t seed;
        uint32_t handle;
        uint32_t then; /* SendCommand: a slot, not 0, whose Flush the callback sends on the same device */
        enum vds_verdict verdict;
        uint64_t bytes;
        int64_t position;
        int64_t timeout_ms;
        struct VDConfig config;
        char name[VDS_NAME_MAX + 2]; /* empty: "set" for the set and device 0, "set1" for device 1, ... */
        char text[64];
};

struct call_result {
        int32_t result;
        bool refused; /* this side has no such call */

        /* GetCommand: the command. Callbacks: code, bytes, position and the rest. */
        int32_t code;
        int32_t size;
        int64_t position;
        bool has_buffer;
        int32_t bytes;
        uint32_t calls;  /* of the callback */
        uint32_t order;  /* of the callback among all of this server, from 1 */
        bool in_sending; /* it ran on the thread that was inside SendCommand */

        uint32_t state;     /* enum vds_state of the engine */
        uint64_t address;   /* of a buffer */
        uint32_t count;     /* QueryAvailableBuffers */
        uint32_t handle;    /* GetBufferHandle */
        uint64_t waited_ms; /* how long the call took */
        struct VDConfig config;
        enum vds_verdict verdict;
        struct vds_secondaries secondaries;
        struct vds_device_counters counters;
        char name[VDS_NAME_MAX + 1];
        char text[64];
};

/* "GetCommand". */
const char *call_name(enum op op);
