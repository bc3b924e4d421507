/*
 * side.h - the server side of one device set, as every server of ours drives it
 *
 * side_join(), side_configure(), side_transfer() with the function that serves one device, side_end(). A
 * channel is one device with a few buffers of the pool, used in turn: a slot is a buffer and the command that carries
 * it. A channel belongs to the thread that side_transfer() serves it on, which runs the callbacks that it waits for:
 * there is no completion agent.
 *
 * The first failure is the one that is reported: side_fail() keeps it, and channels look at side_is_failing().
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/servers/events.h"
#include "core/servers/server.h"
#include "core/vds/vds.h"

enum { CHANNEL_DEPTH_MAX = 16 };

struct server_side;
struct channel;

struct slot {
        struct VDS_Command command;
        struct channel *channel;
        uint64_t serial;         /* of the command, in traces */
        atomic_bool outstanding; /* its callback has not run */
};

struct channel {
        struct server_side *side;
        uint32_t index; /* of the device, from 0 */
        struct vds_server_device *device;
        struct slot slots[CHANNEL_DEPTH_MAX]; /* transfers */
        struct slot control;                  /* commands without data */
        uint32_t depth;
        uint32_t next; /* slot whose turn it is */
        uint64_t sent; /* commands */
};

/* What the server decides at configuration. */
struct side_shape {
        uint32_t features;
        uint32_t block_size;
        uint32_t max_transfer;
        uint32_t buffer_count; /* 0: the side's choice */
};

struct server_side {
        struct vds_server *server;
        const struct server_job *job;
        const struct server_events *events; /* never NULL */
        pid_t parent;                       /* the process that gave us the job: when it is gone, so is the client */
        struct VDConfig config;             /* the client's wishes, then what was agreed */
        struct side_shape shape;
        bool transferred; /* every device was served and closed */
        struct channel channels[VDS_DEVICES_MAX];
        uint32_t channel_count; /* opened ones */

        int64_t began_ns; /* CLOCK_MONOTONIC */
        uint32_t file;    /* position of the backup set on the medium, from 1; under `lock` while channels run */
        bool file_is_known;

        pthread_mutex_t telling; /* one message at a time; guards what follows */
        uint64_t total;          /* bytes of all devices; 0: not known (yet) */
        uint32_t page_size;      /* of the database; 0: not known (yet), or it is empty */
        uint64_t moved;          /* bytes */
        uint32_t percent;        /* told last */
        bool explained;          /* the failure has had its message */

        pthread_mutex_t lock;
        pthread_cond_t met;  /* somebody arrived at the meeting, something became known, or the side is failing */
        atomic_bool stopped; /* everything is to end early */
        uint32_t arrived;
        atomic_bool failing;
        struct error failure; /* the first one, under `lock` */
};

/* Joins the job's set, waiting for it as long as the job allows, and reads the client's wishes. *side is initialised
 * in any case: call side_end(). */
int side_join(struct server_side *side, const struct server_job *job, const struct vds_options *options,
              const struct server_events *events, struct error *err);

/* Fixes the shape, publishes the server's description, and opens all devices. */
int side_configure(struct server_side *side, const struct side_shape *shape, const char *info, struct error *err);

/* Runs `serve` for the first device on the calling thread and for every other on one of its own, and waits for all.
 * `serve` fails with side_fail(). */
int side_transfer(struct server_side *side, void (*serve)(struct channel *channel, void *context), void *context,
                  struct error *err);

/* States the verdict and closes. `failure` may be empty: success. Frees everything the side holds. */
void side_end(struct server_side *side, const struct error *failure, const char *note);

/* Sends a message to whoever runs the server: words as for server_message_make(). */
#define side_tell(side, id, ...) side_tell_words((side), (id), (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
void side_tell_words(struct server_side *side, enum server_message_id id, const char *const *words);

/* The same for the message that explains a failure which is raised next; only the first of a side is sent. */
#define side_explain(side, id, ...) \
        side_explain_words((side), (id), (const char *const[]){ __VA_ARGS__ __VA_OPT__(, ) NULL })
void side_explain_words(struct server_side *side, enum server_message_id id, const char *const *words);

/* How much there is to move. */
void side_set_total(struct server_side *side, uint64_t bytes, uint32_t page_size);

/* Counts bytes that were moved, and tells every so many percent of the total. */
void side_progress(struct server_side *side, uint64_t bytes);

/* Keeps the first failure and makes every channel stop. */
void side_fail(struct server_side *side, const struct error *err);
bool side_is_failing(struct server_side *side);

/* Whether the set was aborted, or the client is gone. Fits as a cancellation callback; `side_at` is a struct
 * side. */
bool side_is_aborted(void *side_at);

/* Raises the reason of the abort; for a set that is not aborted, the meaning of `result`, a VD_E_ code. Returns -1. */
int side_raise(struct server_side *side, int result, const char *doing, struct error *err);

/* Waits until every channel has come here. False when the side is failing instead. */
bool side_meet(struct server_side *side);

/* The slot whose turn it is, once its last command is done; its completion is still to be looked at. */
struct slot *channel_next(struct channel *channel);

/* Sends the slot's buffer, and turns to the next slot. */
void channel_send(struct channel *channel, struct slot *slot, int command_code, uint32_t size, uint64_t position);

/* Waits until no command is outstanding. */
void channel_drain(struct channel *channel);

/* Sends a command without data, and waits for it. */
int channel_control(struct channel *channel, int command_code, struct error *err);

/* The same with a size, for commands that give it a meaning. The caller looks at the completion. */
const struct VDS_Command *channel_execute(struct channel *channel, int command_code, int32_t size);

/* Sends `size` bytes at `buffer`, within a slot's buffer, as the only command of the device, and waits. */
const struct VDS_Command *channel_write(struct channel *channel, uint8_t *buffer, uint32_t size);

/* The device's name. */
const char *channel_name(const struct channel *channel);

/* Raises what a client's completion code means: "the client could not write: disk full (112)". Returns -1. */
int channel_raise(struct channel *channel, const struct VDS_Command *command, struct error *err);
