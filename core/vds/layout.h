/*
 * layout.h - everything that lives in the control region, and who may touch it how
 *
 * The primary client makes the region at Create and sends its descriptor to the server and to the secondary clients
 * that greet it. Each field says who writes it and who reads it. "Published by X" means: plain stores before the
 * release store of X, plain loads after the acquire load of X. A device's *owner* is the client process that has
 * claimed it.
 *
 * Every word here is a hint from a stranger: each side keeps its own state in private memory, copies what it reads
 * once, checks the copy, and remembers (latches) what cannot be taken back: an abort, a device's name, its closing.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/shm/ring.h"
#include "core/shm/wake.h"
#include "core/vds/vds.h"

#define LAYOUT_MAGIC UINT64_C(0x7364766570697076)

enum {
        LAYOUT_VERSION = 3,
        LAYOUT_NAME_SIZE = VDS_NAME_MAX + 1,
        MEMBER_PRIMARY = 1, /* the primary's number among the clients of its set */
};

/* Server to client. */
struct command_record {
        uint32_t slot; /* of the server's private table; comes back with the completion */
        uint32_t generation;
        int32_t code;
        int32_t size;
        int64_t position;
        uint32_t area;       /* buffer area in which the buffer lies */
        uint32_t has_buffer; /* 0: the command carries none */
        uint64_t offset;     /* of the data zone in the area */
};

/* Client to server. */
struct completion_record {
        uint32_t slot;
        uint32_t generation;
        int32_t code;
        uint32_t bytes;
        int64_t position;
};

static_assert(sizeof(struct command_record) == 40, "records are whole words without padding");
static_assert(sizeof(struct completion_record) == 24, "records are whole words without padding");

/* What has become of a device, as its server says. Only ever grows. */
enum layout_device_phase {
        DEVICE_UNOPENED = 0,
        DEVICE_OPENED, /* publishes name */
        DEVICE_CLOSED,
};

/* What has become of the server. Only ever grows. */
enum layout_server_phase {
        SERVER_ABSENT = 0,
        SERVER_CONNECTED,
        SERVER_CONFIGURED,
        SERVER_CLOSED,
};

/* Bits of layout_device.outcome. */
enum layout_outcome {
        OUTCOME_FLUSHED = 1,  /* the last thing that happened to written data was a successful Flush */
        OUTCOME_FINISHED = 2, /* Complete was answered with success, and nothing was written since */
        OUTCOME_IO_ERROR = 4,
        OUTCOME_CLOSED_SEEN = 8, /* GetCommand has said VD_E_CLOSE */
};

/* A command in the hands of the device's owner; one for each slot of the server's. */
struct layout_slot {
        /* CLOCK_MONOTONIC in ns at its delivery, 0: none is held.
         * Owner writes, primary reads (relaxed): for display. */
        _Atomic uint64_t held_since;

        /* Where its buffer lies, for MapBufferHandle. `tag` is 0 while the command has no handle. The owner clears it
         * (release fence behind), writes the others (relaxed), then the new tag (release); a reader takes the tag
         * (acquire), the others (relaxed), and, behind an acquire fence, the tag again, which has to be the same. */
        _Atomic uint64_t offset;
        _Atomic uint32_t area;
        _Atomic uint32_t length; /* bytes of the buffer that are the command's; at least 1 */
        _Atomic uint32_t tag;
        uint32_t reserved;
};

struct layout_device {
        /* Client threads in GetCommand wait here. Signalled by the server after a push and a close; by either side at
         * abort. */
        struct wake_cell client_wake;
        /* The server's thread that runs this device's callbacks waits here. Signalled by the client after a completion;
         * by either side at abort and close. */
        struct wake_cell server_wake;

        /* enum layout_device_phase. Server writes (release), clients read (acquire). */
        alignas(64) _Atomic uint32_t phase;
        /* The claim of a client process: its number in the set (MEMBER_PRIMARY, or what the primary gave a secondary).
         * OpenDevice exchanges 0 for it (acquire and release); it stays. Whoever finds another's number there keeps off
         * the device; a false one costs its writer the device, since two that pop one ring abort the set. */
        _Atomic uint32_t client_opened;
        /* The owner's process id. Owner writes, primary reads (relaxed): for display. */
        _Atomic uint32_t client_pid;
        /* Bits of enum layout_outcome. Owner writes (release) before it queues the completion that they speak of, and
         * before it signals layout.client_wake for a device it has seen closed; other clients
         * read (acquire). A hint. */
        _Atomic uint32_t outcome;
        /* Published by phase == DEVICE_OPENED. */
        char name[LAYOUT_NAME_SIZE];

        /* Counters for display. The owner writes, anybody reads (relaxed). */
        alignas(64) _Atomic uint64_t commands;
        _Atomic uint64_t completions;
        _Atomic uint64_t bytes;

        struct ring_indices command_indices;
        struct ring_indices completion_indices;
        alignas(64) struct command_record commands_ring[VDS_QUEUE_DEPTH];
        alignas(64) struct completion_record completions_ring[VDS_QUEUE_DEPTH];
        alignas(64) struct layout_slot slots[VDS_QUEUE_DEPTH];
};

struct layout {
        /* Written by the primary before anybody else has the descriptor; constant from then on. */
        uint64_t magic;
        uint32_t version;
        uint32_t size; /* of the region, bytes */
        uint32_t device_count;
        uint32_t secret; /* random; goes into the tags of buffer handles, so that another set's is not taken for ours */
        char primary_info[VDS_TEXT_MAX]; /* vds_options.info */

        /* enum vds_abort_reason. Whoever aborts exchanges 0 for the reason (acquire and release);
         * the first one stays. */
        alignas(64) _Atomic uint32_t abort_reason;

        /* Clients wait here for the configuration, device names, buffer areas, the verdict and the end. Signalled by
         * both sides. */
        struct wake_cell client_wake;
        /* The completion agent of all devices waits here. Signalled as their server_wake is. */
        struct wake_cell agent_wake;

        /* enum layout_server_phase. Server writes (release), clients read (acquire). */
        alignas(64) _Atomic uint32_t server_phase;
        /* 1: the primary called Close. Primary writes (release), server and secondaries read (acquire). */
        _Atomic uint32_t client_closed;
        /* 1: the server's connection has ended. Primary writes (release), secondaries read (acquire). */
        _Atomic uint32_t server_gone;

        /* enum vds_verdict. Server writes once (release), clients read (acquire). */
        _Atomic uint32_t verdict;
        /* Published by verdict. */
        char verdict_text[VDS_TEXT_MAX];
        /* Written by the server before it sends CONFIGURED, read by clients after that. */
        char info_text[VDS_TEXT_MAX];

        struct layout_device devices[]; /* device_count of them */
};

/* The number of the client that has claimed the device; 0: none. */
static inline uint32_t layout_claimant(const struct layout_device *device)
{
        return atomic_load_explicit(&device->client_opened, memory_order_acquire);
}

/* Has the server closed the device? */
static inline bool layout_is_closed(const struct layout_device *device)
{
        return atomic_load_explicit(&device->phase, memory_order_acquire) == DEVICE_CLOSED;
}

static inline uint64_t layout_size(uint32_t device_count)
{
        return sizeof(struct layout) + (uint64_t)device_count * sizeof(struct layout_device);
}
