/*
 * vds.h - the engine: a virtual device set shared by a client (the backup program) and a server (the database)
 *
 * Client:  vds_client_new, _create, _get_configuration, _open_device for each device; per device a loop of
 *          _device_get_command and _device_complete_command until VD_E_CLOSE; _verdict, _close, _free.
 * Server:  vds_server_new, _open, _get_configuration, _begin_configuration, _request_buffers, _end_configuration,
 *          _open_device for each device, a thread in _execute_completion_agent, _allocate_buffer, _device_send_command,
 *          ..., _device_close for each device, _set_verdict, _close, _free.
 * Secondary client: vds_client_new, _open_in_secondary, then as a client.
 * Observer: vds_observe, _observe_all, _observe_configuration, _observe_abort, vds_runtime_folder.
 *
 * Functions return NOERROR or a VD_E_ code of abi.h; which call is legal in which state is the table in state.c.
 * Every function may be called from any thread, at any time; a device is meant for one thread at a time, and several
 * are kept from harm but not from surprise. Calls made in a forked child of the owner return VD_E_PROTOCOL. Names are
 * UTF-8 or any other bytes but NUL and backslash, 1 to VDS_NAME_MAX bytes, compared byte by byte. Time-outs are
 * milliseconds on CLOCK_MONOTONIC; negative waits without limit.
 *
 * "Page:" names the page of the interface's specification that a function implements.
 */
#ifndef VDIPIPE_CORE_VDS_VDS_H
#define VDIPIPE_CORE_VDS_VDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "abi.h" /* beside this file, in the source tree and where it is installed */

#ifdef __cplusplus
extern "C" {
#endif

enum {
        VDS_NAME_MAX = 255,   /* bytes of a set's or a device's name */
        VDS_TEXT_MAX = 4096,  /* bytes of the server's description and of its verdict's text, with the NUL */
        VDS_QUEUE_DEPTH = 64, /* commands outstanding on one device; one more is refused */
};

struct vds_client;
struct vds_client_device;
struct vds_server;
struct vds_server_device;

/* Where sets meet, and who may. Zero-initialised is right for almost everybody; texts are copied. */
struct vds_options {
        const char *runtime_dir; /* folder of the set's socket; NULL: found as core/shm/README.md says */
        const char *group; /* a group, by name or number, whose members may take part besides the own user and root, and
                            * whose members one trusts oneself; NULL: nobody else */
        const char *info;  /* primary client: a text about itself, at most VDS_TEXT_MAX - 1 bytes, for secondary clients
                            * and observers; NULL: none */
        bool abort_when_secondary_dies; /* primary client; else it has to look at vds_client_secondaries() */

        /* An end of vds_connection_pair(), for a primary client and the server that it starts itself; 0: none, the set
         * is found by its name. The handle's once that is made; its first set uses it. Nobody but who
         * holds the other end can become that set's server; and unless there is a group to admit, Create succeeds where
         * the folder cannot be used: then nobody else finds the set, and vds_client_error_text() says why. */
        int connection;
};

/* Makes the two ends of a connection between a client and its server, closed on exec. VD_E_MEMORY: there are no
 * descriptors left, or this process may make none. */
int vds_connection_pair(int *ret_client, int *ret_server);

/* What the server said of the operation as a whole. A clean close does not mean success. */
enum vds_verdict {
        VDS_VERDICT_NONE = 0, /* nothing said (yet) */
        VDS_VERDICT_SUCCESS,
        VDS_VERDICT_FAILED,
        VDS_VERDICT_UNCONFIRMED, /* said nothing, but every device closed in order after a final Flush or Complete */
};

/* Who began the abort, and why. */
enum vds_abort_reason {
        VDS_ABORT_NONE = 0,
        VDS_ABORT_CLIENT,        /* the client called SignalAbort */
        VDS_ABORT_SERVER,        /* the server called SignalAbort */
        VDS_ABORT_CLIENT_CLOSED, /* the client closed with devices open */
        VDS_ABORT_SERVER_CLOSED, /* the server closed with devices open */
        VDS_ABORT_CLIENT_DIED,
        VDS_ABORT_SERVER_DIED,
        VDS_ABORT_TIMEOUT,          /* two intervals of serverTimeOut without a completion */
        VDS_ABORT_MISBEHAVED,       /* the peer broke the rules of the shared region */
        VDS_ABORT_INTERNAL,         /* memory or descriptors ran out here */
        VDS_ABORT_OBSERVER,         /* somebody outside asked for it: vds_observe_abort() */
        VDS_ABORT_SECONDARY_CLOSED, /* a secondary client closed with devices open */
        VDS_ABORT_SECONDARY_DIED,
        VDS_ABORT_REASON_COUNT,
};

/* One clause of English for a reason: "the server process died". Static. */
const char *vds_abort_text(enum vds_abort_reason reason);

/* Name of a result code ("VD_E_TIMEOUT") or of a command ("Write"). Never NULL. Static, except for a result that has no
 * name: valid until the thread's next call. */
const char *vds_result_name(int result);
const char *vds_command_name(int command_code);

/* Do the negotiated feature bits admit this command? A client need not execute what they do not admit: it answers
 * ERROR_NOT_SUPPORTED. SendCommand does not ask: who tries clients out wants to see that answer. */
bool vds_command_admitted(uint32_t features, int command_code);

/* ---- client ---- */

/* Makes a handle without a set. Returns NULL when memory is short. Free it with vds_client_free(). */
struct vds_client *vds_client_new(const struct vds_options *options);

/* Closes the set if it is open (aborting it if devices are), stops the service thread, frees. NULL is allowed. No other
 * call may be in progress. */
void vds_client_free(struct vds_client *client);

/* Creates the set `name` for one operation; *config gives the client's wishes and is copied.
 * Returns VD_E_NOTSUPPORTED (a field is out of range, a feature mix is unsupported, or there is no such group as
 * vds_options.group), VD_E_PROTOCOL (this handle has a set, or the name is taken by a live one), VD_E_INVALID (bad
 * name, or vds_options.info is too long), VD_E_SECURITY (the folder for the socket cannot be made, is not safe, or
 * cannot be entered by the group), VD_E_MEMORY. vds_client_error_text() has the words. Page: Create/CreateEx. */
int vds_client_create(struct vds_client *client, const char *name, const struct VDConfig *config);

/* Waits for the server to end configuration, then fills *config. VD_E_TIMEOUT may be retried.
 * Page: GetConfiguration. */
int vds_client_get_configuration(struct vds_client *client, int64_t timeout_ms, struct VDConfig *config);

/* Opens the device `name`: the set's name for the first, the VIRTUAL_DEVICE clause's string for the others. Waits for
 * the server to name its devices, a minute at most: VD_E_TIMEOUT then, which may be retried. *ret_device belongs to the
 * set and is gone after Close. Returns VD_E_OPEN when all are open, VD_E_PROTOCOL when this one is, VD_E_INVALID for an
 * unknown name, VD_E_ABORT. Page: OpenDevice. */
int vds_client_open_device(struct vds_client *client, const char *name, struct vds_client_device **ret_device);

/* Joins, as a secondary client, the set that another process created under `set_name`; the calls that follow are the
 * primary's. The set must be configured: VD_E_PROTOCOL when there is none of that name (or not ours to join), when it
 * is not configured yet, or when this handle has a set already; VD_E_ABORT when it is being aborted; VD_E_TIMEOUT when
 * the primary does not answer; VD_E_MEMORY. Page: OpenInSecondary/OpenInSecondaryEx. */
int vds_client_open_in_secondary(struct vds_client *client, const char *set_name);

/* A name for the buffer of a command that this process holds, by which other clients of the set find it. It is below
 * 2^31, and good until the command is completed. VD_E_INVALID: no command held here has that buffer. Page:
 * GetBufferHandle. */
int vds_client_get_buffer_handle(struct vds_client *client, const uint8_t *buffer, uint32_t *ret_handle);

/* The buffer behind a handle, in this process. VD_E_INVALID: the handle names no command that is held now, or comes
 * from another set. Page: MapBufferHandle. */
int vds_client_map_buffer_handle(struct vds_client *client, uint32_t handle, uint8_t **ret_buffer);

/* Page: SignalAbort. Idempotent; wakes every waiter on both sides; the first reason stays. */
int vds_client_signal_abort(struct vds_client *client);

/* Page: Close. Returns NOERROR, VD_E_OPEN (devices were open; the set is aborted and closed all the same),
 * VD_E_PROTOCOL. Every device, command and buffer of the set is gone afterwards; the handle may create again. */
int vds_client_close(struct vds_client *client);

/* Page: GetCommand. timeout_ms 0 polls. Returns VD_E_CLOSE, VD_E_TIMEOUT, VD_E_ABORT, VD_E_PROTOCOL. */
int vds_client_device_get_command(struct vds_client_device *device, int64_t timeout_ms,
                                  struct VDC_Command **ret_command);

/* Page: CompleteCommand. Returns VD_E_INVALID when the command is none in progress on this device, or when
 * bytes_transferred is more than it asked for. Any code but ERROR_SUCCESS puts the device in the IO-ERROR state. */
int vds_client_device_complete_command(struct vds_client_device *device, struct VDC_Command *command,
                                       int completion_code, uint64_t bytes_transferred, int64_t position);

/* Beyond the published interface, for clients that report what happened: */

/* Text the server published about itself before it ended configuration (JSON in our servers); "" when none. `text`
 * holds VDS_TEXT_MAX bytes. Legal from GetConfiguration's success until Close. */
int vds_client_server_info(struct vds_client *client, char *text);

/* Waits until the server has stated its verdict, closed the set, died, or `timeout_ms` passed (VD_E_TIMEOUT), then
 * gives the verdict and its text, which holds VDS_TEXT_MAX bytes. Legal until Close, in the Abort state too (a server
 * that aborts may still have said why). A server that said nothing is judged: VDS_VERDICT_UNCONFIRMED if the set is not
 * aborted and every device was seen closed after a final Flush, or a Complete that was granted, that succeeded; else
 * VDS_VERDICT_FAILED. */
int vds_client_verdict(struct vds_client *client, int64_t timeout_ms, enum vds_verdict *ret_verdict, char *text);

/* The name of device `index` (from 0, in the order in which the server opened them); waits for it like OpenDevice does,
 * `timeout_ms` at most. `name` holds VDS_NAME_MAX + 1 bytes. VD_E_INVALID: no such index. */
int vds_client_device_name(struct vds_client *client, uint32_t index, int64_t timeout_ms, char *name);

/* The text of vds_options.info of the primary; "" when none. `text` holds VDS_TEXT_MAX bytes. Legal whenever there is a
 * set. */
int vds_client_primary_info(struct vds_client *client, char *text);

/* What became of the secondary clients of this primary's set. A secondary that closed has left; one whose process ended
 * without has died. Zeros in a secondary. */
struct vds_secondaries {
        uint32_t joined;
        uint32_t left;
        uint32_t died;
        int last_died_pid; /* 0: none */
};
void vds_client_secondaries(struct vds_client *client, struct vds_secondaries *ret_secondaries);

/* Whether there is a device that the server has opened and no client process has, and the first such one, from 0. */
bool vds_client_unserved(struct vds_client *client, uint32_t *ret_index);

/* VDS_ABORT_NONE while the set is not aborted. */
enum vds_abort_reason vds_client_abort_reason(struct vds_client *client);

/* Words for the last failure of Create, or of the service thread; "" when none. Valid until the calling thread asks
 * again. */
const char *vds_client_error_text(struct vds_client *client);

/* Process id of the connected server, 0 before it came. */
int vds_client_server_pid(struct vds_client *client);

/* Counters of one device since it was opened; each is exact for the calling thread, a snapshot for others. */
struct vds_device_counters {
        uint64_t commands;    /* delivered by GetCommand */
        uint64_t completions; /* given back by CompleteCommand */
        uint64_t bytes;       /* transferred by Read and Write */
};
void vds_client_device_counters(struct vds_client_device *device, struct vds_device_counters *ret_counters);

/* ---- server ---- */

typedef void (*vds_completion_routine)(struct VDS_Command *command);

struct vds_server *vds_server_new(const struct vds_options *options);
void vds_server_free(struct vds_server *server);

/* Joins the set `set_name`; never waits for one to appear. VD_E_INVALID: no set of that name, or not ours to join.
 * VD_E_TIMEOUT: the client is there and does not answer.
 * VD_E_MEMORY: memory or descriptors ran out here. Page: Open. */
int vds_server_open(struct vds_server *server, const char *set_name);

/* The client's wishes, and after EndConfiguration the final values. Page: GetConfiguration. */
int vds_server_get_configuration(struct vds_server *server, struct VDConfig *config);

/* Fixes the shape of transfers, in the published header's order of arguments. alignment 0 means block_size; the
 * client's wish is merged by taking the larger. Feature bits that the client did not ask for are dropped, but
 * VDF_WriteMedia and VDF_ReadMedia; VDF_CompleteEnabled counts as asked for by VDF_RequestComplete. timeout_ms is not
 * used: nothing waits. VD_E_INVALID for sizes outside the published rules. Page: BeginConfiguration. */
int vds_server_begin_configuration(struct vds_server *server, uint32_t features, uint32_t block_size,
                                   uint32_t alignment, uint32_t max_transfer_size, uint32_t timeout_ms);

/* Announces `count` buffers of `size` data bytes. Before EndConfiguration the requests add up to one area; afterwards
 * each call makes another. alignment 0: the basic one. Page: RequestBuffers. */
int vds_server_request_buffers(struct vds_server *server, uint32_t size, uint32_t alignment, uint32_t count);

/* How many buffers of that size could be allocated now. Page: QueryAvailableBuffers. */
int vds_server_query_available_buffers(struct vds_server *server, uint32_t size, uint32_t alignment,
                                       uint32_t *ret_count);

/* Makes the buffer area and releases the client's GetConfiguration. VD_E_MEMORY: the set stays Configurable with no
 * requests; ask for less or abort. Page: EndConfiguration. */
int vds_server_end_configuration(struct vds_server *server);

/* Opens the next device and gives it `name`; the first must be the set's name. VD_E_OPEN once all are, VD_E_INVALID for
 * a bad or repeated name. Page: OpenDevice. */
int vds_server_open_device(struct vds_server *server, const char *name, struct vds_server_device **ret_device);

/* Runs callbacks on the calling thread until all devices are closed and drained, or Close, or abort, and returns
 * NOERROR. VD_E_ABORT when the set was aborted before the call (what is outstanding is given back all the same),
 * VD_E_BUSY when another thread is the agent. Page: ExecuteCompletionAgent. */
int vds_server_execute_completion_agent(struct vds_server *server);

/* Beyond the published interface, for a thread that serves one device and would only wait for the agent: runs the
 * callbacks that are due on the device on the calling thread, waiting for one when none is. No agent is needed then.
 * NOERROR when it ran some; VD_E_TIMEOUT when there were none until `timeout_ms` passed; VD_E_CLOSE when the device is
 * closed; VD_E_ABORT when the set is aborted, and what was outstanding on the device has been given back with 995.
 * serverTimeOut counts as long as somebody waits here. */
int vds_server_device_run_callbacks(struct vds_server_device *device, int64_t timeout_ms);

/* Page: AllocateBuffer. alignment 0: the basic one. Never waits: VD_E_MEMORY when the pool has no room. */
int vds_server_allocate_buffer(struct vds_server *server, uint8_t **ret_buffer, uint32_t size, uint32_t alignment);

/* Page: FreeBuffer. `size` as at allocation. VD_E_INVALID otherwise. */
int vds_server_free_buffer(struct vds_server *server, uint8_t *buffer, uint32_t size);

/* 1 when the address lies in the data zone of an allocated buffer, else 0: a truth value, not a result. Page:
 * IsSharedBuffer. */
int vds_server_is_shared_buffer(struct vds_server *server, const uint8_t *buffer);

int vds_server_signal_abort(struct vds_server *server);

/* Page: Close. Returns NOERROR, or VD_E_PROTOCOL when devices were open (the set is aborted and closed all the same).
 * Waits for the completion agent to leave, unless called from one of its callbacks: then the agent's return finishes
 * the work. */
int vds_server_close(struct vds_server *server);

/* Queues *command to the client. On failure the callback still runs, inside this call, with the completion code of the
 * reason: VD_E_QUEUE_FULL 1450, VD_E_IO_ERROR 1117, VD_E_PROTOCOL 6, VD_E_ABORT 995; VD_E_INVALID (no such command, no
 * routine, size or buffer out of bounds or not in whole blocks) gives 6 too. Page: SendCommand. */
int vds_server_device_send_command(struct vds_server_device *device, struct VDS_Command *command);

/* Page: CloseDevice. Commands still outstanding are completed with 995. VD_E_CLOSE when closed already. */
int vds_server_device_close(struct vds_server_device *device);

/* Beyond the published interface: */

/* Publishes a text about this server (at most VDS_TEXT_MAX - 1 bytes) that clients may read after GetConfiguration.
 * Legal before EndConfiguration. */
int vds_server_set_info(struct vds_server *server, const char *text);

/* States the outcome of the operation; once, before Close; also legal after abort. `text` says more (JSON in our
 * servers); what is longer than VDS_TEXT_MAX - 1 bytes is cut. */
int vds_server_set_verdict(struct vds_server *server, enum vds_verdict verdict, const char *text);

enum vds_abort_reason vds_server_abort_reason(struct vds_server *server);
const char *vds_server_error_text(struct vds_server *server);

/* ---- observers: looking at sets of other processes, and aborting them ---- */

enum vds_set_state {
        VDS_SET_CONFIGURABLE = 0, /* created; no server has ended configuration */
        VDS_SET_INITIALIZING,     /* configured; no device is open at both ends */
        VDS_SET_ACTIVE,
        VDS_SET_TERMINATED, /* every device was closed in order */
        VDS_SET_ABORTED,
};

/* "configurable", "active", ... Static. */
const char *vds_set_state_name(enum vds_set_state state);

enum vds_device_phase {
        VDS_DEVICE_UNOPENED = 0, /* by the server */
        VDS_DEVICE_OPEN,
        VDS_DEVICE_CLOSED,
};

struct vds_device_status {
        char name[VDS_NAME_MAX + 1]; /* "" while the server has given it none */
        enum vds_device_phase phase;
        int client_pid;       /* of the client process that opened it; 0: none */
        uint64_t commands;    /* delivered */
        uint64_t completions; /* given back */
        uint64_t bytes;       /* moved by Read and Write */
        uint32_t queued;      /* sent and not yet delivered */
        uint32_t held;        /* delivered and not yet completed */
        int64_t oldest_ms;    /* how long the client has held the oldest of them; -1: none */
};

/* One look at a set, taken by its primary's service thread. Texts come from another process: escape them. */
struct vds_status {
        char name[VDS_NAME_MAX + 1];
        enum vds_set_state state;
        enum vds_abort_reason abort_reason;
        enum vds_verdict verdict;
        struct VDConfig config; /* the client's wishes until the set is configured */
        int64_t age_ms;         /* since Create */
        int primary_pid;
        int server_pid; /* 0: none came yet */
        uint32_t secondary_count;
        int secondary_pids[VDS_DEVICES_MAX]; /* of those connected now */
        char primary_info[VDS_TEXT_MAX];
        char server_info[VDS_TEXT_MAX]; /* "" until configured */
        uint32_t device_count;
        struct vds_device_status devices[VDS_DEVICES_MAX];
};

/* These need no handle and look in every folder where sets may meet, so they find what was made in another environment.
 * VD_E_INVALID: no live set of that name; VD_E_SECURITY: one that is not ours to look at; VD_E_TIMEOUT: its primary
 * does not answer within five seconds. options may be NULL. */
int vds_observe(const struct vds_options *options, const char *set_name, struct vds_status *ret_status);

/* Waits for the set to be configured, `timeout_ms` at most. VD_E_ABORT: it was aborted or went away meanwhile. */
int vds_observe_configuration(const struct vds_options *options, const char *set_name, int64_t timeout_ms,
                              struct VDConfig *ret_config);

/* SignalAbort from outside: the set is aborted for VDS_ABORT_OBSERVER when this returns NOERROR. */
int vds_observe_abort(const struct vds_options *options, const char *set_name);

/* Calls `each` for every live set that answers, in the order of their names. */
int vds_observe_all(const struct vds_options *options, void (*each)(const struct vds_status *status, void *context),
                    void *context);

/* The folder in which sets made with these options meet, made if need be. `text` holds VDS_TEXT_MAX bytes: its path, or
 * with VD_E_SECURITY why there is none that can be used. options may be NULL. */
int vds_runtime_folder(const struct vds_options *options, char *text);

#ifdef __cplusplus
}
#endif

#endif
