#include "core/vds/state.h"

#include "core/vds/abi.h"

/* clang-format off */
#define P         0             /* VD_E_PROTOCOL */
#define A         VD_E_ABORT
#define O         VD_E_CLOSE
#define TO(state) (1 + STATE_##state) /* legal, and where success leads */

/* The columns: NONE, CONNECTED (which a client never sees), CONFIGURABLE, INITIALIZING, ACTIVE, TERMINATED, ABORT. A
 * call that a side does not have, and that is not here, is P in all of them. */
static const int rules[SIDE_COUNT][CALL_COUNT][STATE_COUNT] = {
        [SIDE_CLIENT] = {
        [CALL_CREATE]            = { TO(CONFIGURABLE), P, P, P, P, P, P },
        [CALL_OPEN_IN_SECONDARY] = { TO(INITIALIZING), P, P, P, P, P, P },
        [CALL_GET_CONFIGURATION] = { P, P, TO(INITIALIZING), TO(INITIALIZING), TO(ACTIVE), TO(TERMINATED), A },
        [CALL_OPEN_DEVICE]       = { P, P, P, TO(ACTIVE), TO(ACTIVE), P, A },
        [CALL_GET_COMMAND]       = { P, P, P, P, TO(ACTIVE), P, A },
        [CALL_COMPLETE]          = { P, P, P, P, TO(ACTIVE), P, A },
        [CALL_GET_HANDLE]        = { P, P, P, TO(INITIALIZING), TO(ACTIVE), P, A },
        [CALL_MAP_HANDLE]        = { P, P, P, TO(INITIALIZING), TO(ACTIVE), P, A },
        [CALL_SIGNAL_ABORT]      = { P, P, TO(ABORT), TO(ABORT), TO(ABORT), TO(ABORT), TO(ABORT) },
        [CALL_CLOSE]             = { P, P, TO(NONE), TO(NONE), TO(NONE), TO(NONE), TO(NONE) },
        [CALL_INFO]              = { P, P, P, TO(INITIALIZING), TO(ACTIVE), TO(TERMINATED), TO(ABORT) },
        [CALL_VERDICT]           = { P, P, TO(CONFIGURABLE), TO(INITIALIZING), TO(ACTIVE), TO(TERMINATED), TO(ABORT) },
        },
        [SIDE_SERVER] = {
        [CALL_CREATE]            = { TO(CONNECTED), P, P, P, P, P, P },
        [CALL_GET_CONFIGURATION] = { P, TO(CONNECTED), TO(CONFIGURABLE), TO(INITIALIZING), TO(ACTIVE), TO(TERMINATED), A },
        [CALL_BEGIN_CONFIGURATION] = { P, TO(CONFIGURABLE), P, P, P, P, A },
        [CALL_REQUEST_BUFFERS]   = { P, P, TO(CONFIGURABLE), TO(INITIALIZING), TO(ACTIVE), P, A },
        [CALL_QUERY_BUFFERS]     = { P, P, TO(CONFIGURABLE), TO(INITIALIZING), TO(ACTIVE), P, A },
        [CALL_END_CONFIGURATION] = { P, P, TO(INITIALIZING), P, P, P, A },
        [CALL_OPEN_DEVICE]       = { P, P, P, TO(ACTIVE), TO(ACTIVE), P, A },
        [CALL_EXECUTE_AGENT]     = { P, P, P, TO(ACTIVE), TO(ACTIVE), TO(TERMINATED), A },
        [CALL_ALLOCATE_BUFFER]   = { P, P, P, TO(INITIALIZING), TO(ACTIVE), P, A },
        [CALL_FREE_BUFFER]       = { P, P, P, TO(INITIALIZING), TO(ACTIVE), TO(TERMINATED), TO(ABORT) },
        [CALL_SEND_COMMAND]      = { P, P, P, P, TO(ACTIVE), P, A },
        [CALL_CLOSE_DEVICE]      = { P, P, P, P, TO(ACTIVE), O, A },
        [CALL_SIGNAL_ABORT]      = { P, TO(ABORT), TO(ABORT), TO(ABORT), TO(ABORT), TO(ABORT), TO(ABORT) },
        [CALL_CLOSE]             = { P, TO(NONE), TO(NONE), TO(NONE), TO(NONE), TO(NONE), TO(NONE) },
        [CALL_INFO]              = { P, TO(CONNECTED), TO(CONFIGURABLE), P, P, P, A },
        [CALL_VERDICT]           = { P, TO(CONNECTED), TO(CONFIGURABLE), TO(INITIALIZING), TO(ACTIVE), TO(TERMINATED), TO(ABORT) },
        },
};
/* clang-format on */

int state_check(enum vds_side side, enum vds_state state, enum vds_call call)
{
        int rule = rules[side][call][state];

        return rule > 0 ? NOERROR : rule == P ? VD_E_PROTOCOL : rule;
}

void state_move(enum vds_side side, _Atomic int *state, enum vds_call call)
{
        int rule = rules[side][call][atomic_load(state)];

        /* A call that was legal when it began may end in a state where it is not: after an abort, say. That state
         * stays. */
        if (rule > 0)
                atomic_store(state, rule - 1);
}

void state_event(_Atomic int *state, enum vds_event event)
{
        int now = atomic_load(state);

        switch (event) {
        case EVENT_ABORT:
                if (now != STATE_NONE)
                        atomic_store(state, STATE_ABORT);
                break;
        case EVENT_ALL_CLOSED:
                if (now == STATE_ACTIVE)
                        atomic_store(state, STATE_TERMINATED);
                break;
        case EVENT_GONE:
                atomic_store(state, STATE_NONE);
                break;
        }
}
