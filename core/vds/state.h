/*
 * state.h - the life cycle of a set: one table of states and calls for each side
 *
 * The table says what a call returns in a state and where its success leads. state.c is the only place that changes a
 * state; everything else asks state_check(), does its work, and reports with state_move() or state_event().
 * The caller holds the set's lock for anything but state_check().
 */
#pragma once

#include <stdatomic.h>

enum vds_state {
        STATE_NONE = 0, /* "Does Not Exist" */
        STATE_CONNECTED,
        STATE_CONFIGURABLE,
        STATE_INITIALIZING,
        STATE_ACTIVE,
        STATE_TERMINATED, /* normally */
        STATE_ABORT,
        STATE_COUNT,
};

enum vds_side { SIDE_CLIENT = 0, SIDE_SERVER, SIDE_COUNT };

enum vds_call {
        CALL_CREATE = 0,        /* the client's Create, the server's Open */
        CALL_OPEN_IN_SECONDARY, /* client */
        CALL_GET_CONFIGURATION,
        CALL_BEGIN_CONFIGURATION,
        CALL_REQUEST_BUFFERS,
        CALL_QUERY_BUFFERS,
        CALL_END_CONFIGURATION,
        CALL_OPEN_DEVICE,
        CALL_EXECUTE_AGENT,
        CALL_ALLOCATE_BUFFER,
        CALL_FREE_BUFFER,
        CALL_GET_COMMAND,  /* client */
        CALL_COMPLETE,     /* client: CompleteCommand */
        CALL_GET_HANDLE,   /* client: GetBufferHandle */
        CALL_MAP_HANDLE,   /* client: MapBufferHandle */
        CALL_SEND_COMMAND, /* server */
        CALL_CLOSE_DEVICE, /* server */
        CALL_SIGNAL_ABORT,
        CALL_CLOSE,
        CALL_INFO,    /* client: read the text; server: publish it */
        CALL_VERDICT, /* client: read it; server: state it */
        CALL_COUNT,
};

enum vds_event {
        EVENT_ABORT = 0,  /* either side's SignalAbort, a death, a time-out */
        EVENT_ALL_CLOSED, /* the last device was closed, or was seen closed */
        EVENT_GONE,       /* Close released everything */
};

/* NOERROR when `call` is legal in `state`, else what it returns. */
int state_check(enum vds_side side, enum vds_state state, enum vds_call call);

/* `call` succeeded. */
void state_move(enum vds_side side, _Atomic int *state, enum vds_call call);

void state_event(_Atomic int *state, enum vds_event event);
