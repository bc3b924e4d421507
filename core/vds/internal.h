/*
 * internal.h - the two ends of a set, as the files of this folder and its unit tests see them
 *
 * Device objects are part of their set's handle, so a device pointer that outlives Close names memory that still exists
 * and a device that is not open.
 */
#pragma once

#include "core/base/deadline.h"
#include "core/base/lock.h"
#include "core/shm/arena.h"
#include "core/shm/rendezvous.h"
#include "core/vds/config.h"
#include "core/vds/message.h"
#include "core/vds/set.h"

/* Does a command of this code move data through its buffer? */
static inline bool command_moves_data(int32_t code)
{
        return code == VDC_Read || code == VDC_Write;
}

/* ---- client ---- */

/* A command of the server's slot of the same number, while the user has it. */
struct client_slot {
        struct VDC_Command command; /* what the user sees; first, so that its address is the slot's */
        struct command_record record;
        bool busy;
        uint32_t deliveries; /* counts the commands that were here: part of a handle's tag */
        uint32_t tag;        /* of the buffer's handle; 0: it has none */
};

/* What a popped command waits for. */
enum client_pending {
        PENDING_NONE = 0,
        PENDING_AREA,        /* its buffer area's message */
        PENDING_CLEAR_ERROR, /* the completion of every command the user holds */
};

struct vds_client_device {
        struct vds_client *client;
        struct layout_device *shared;

        pthread_mutex_t lock; /* guards what follows */
        bool opened;
        bool closed_seen; /* GetCommand has said VD_E_CLOSE */
        bool io_error;
        enum client_pending pending;
        struct command_record pending_record;
        struct deadline pending_deadline;
        uint32_t held;    /* busy slots */
        uint32_t outcome; /* what the layout's word says */
        struct ring commands;
        struct ring completions;
        struct client_slot slots[VDS_QUEUE_DEPTH];

        /* Latched from the layout, under the set's lock. */
        bool named;
        char name[LAYOUT_NAME_SIZE];

        struct wake_patience patience;
        _Atomic uint64_t command_count;
        _Atomic uint64_t completion_count;
        _Atomic uint64_t byte_count;
};

/* A connection that has not greeted yet. */
struct half_open {
        int fd;
        pid_t pid;
        bool own_server; /* the connection is the handle's own, and nobody knocked */
        struct deadline deadline;
};

/* The first place of an array that has no descriptor; NULL: there is none. */
#define FREE_PLACE(places)                                                                     \
        ({                                                                                     \
                __typeof__(&(places)[0]) free_ = NULL;                                         \
                for (size_t i_ = 0; !free_ && i_ < sizeof(places) / sizeof((places)[0]); i_++) \
                        if ((places)[i_].fd < 0)                                               \
                                free_ = &(places)[i_];                                         \
                free_;                                                                         \
        })

/* A secondary client, as the primary's service thread knows it. */
struct client_member {
        int fd; /* -1: none */
        int pidfd;
        pid_t pid;
        uint32_t number; /* in the set */
        bool leaving;    /* it has said so */
};

/* An observer that waits for the configuration. */
struct client_watcher {
        int fd; /* -1: none */
        struct deadline deadline;
};

enum {
        CLIENT_HALF_OPEN_MAX = 8,
        CLIENT_MEMBERS_MAX = VDS_DEVICES_MAX, /* more have no device to serve */
        CLIENT_WATCHERS_MAX = 32,
        CLIENT_WATCH_MS = 10000, /* then an observer is told to ask again */
};

struct vds_client {
        struct vds_set set; /* first, so that release() gets from one to the other */

        /* From the options. */
        char *own_info; /* or NULL */
        bool abort_when_secondary_dies;

        /* Constant while there is a set. */
        bool secondary;
        uint32_t number;                 /* of this client in the set */
        uint32_t secret;                 /* the layout's */
        char primary_info[VDS_TEXT_MAX]; /* a copy */
        int64_t created_ns;              /* of the primary's Create */

        /* The primary's service thread's own. */
        struct rendezvous rendezvous;
        struct half_open half_open[CLIENT_HALF_OPEN_MAX];
        struct client_member members[CLIENT_MEMBERS_MAX];
        struct client_watcher watchers[CLIENT_WATCHERS_MAX];
        uint32_t last_number; /* given to a secondary */
        int server_fd;
        int server_pidfd;
        bool server_came;   /* one server per set, also after it has gone */
        bool server_is_own; /* it holds the other end of the handle's connection */

        /* A secondary's: polled by the service thread, closed when that has stopped. */
        int primary_fd;
        int primary_pidfd;

        struct vds_secondaries secondaries; /* under the set's lock */

        /* Written by the service thread, read by all. */
        _Atomic int server_pid;
        _Atomic bool server_connected;
        _Atomic bool server_gone;    /* its connection ended; in a secondary: or the primary's */
        _Atomic bool configured;     /* publishes set.config and info */
        _Atomic uint32_t area_count; /* publishes areas[] below it. The primary keeps their descriptors, for secondaries
                                      * to come */
        struct region areas[SET_AREAS_MAX];
        char info[VDS_TEXT_MAX];

        uint32_t devices_made; /* at least 1, and those of its sets so far; the others' memory was never touched */
        struct vds_client_device devices[VDS_DEVICES_MAX];
};

/* Takes the control region into use: fills what depends on it, and resets the rest. */
void client_begin_set(struct vds_client *client);

/* The service threads of the primary (client_service.c) and of a secondary (client_secondary.c). */
void *client_service_run(void *client);
void *client_secondary_run(void *client);

/* Closes a secondary's set: the part of Close that is not the primary's. Returns what Close returns. */
int client_close_secondary(struct vds_client *client);

/* Has every device of the set been closed by the server? Within a call, or on the service thread. */
bool client_all_closed_by_server(struct vds_client *client);

/* Has the client of that number (0: any) a device open that the server has not closed? As the layout says. */
bool client_holds_device(struct vds_client *client, uint32_t number);

/* Is a device open here that the server has not closed? */
bool client_has_open_device(struct vds_client *client);

/* Moves to Terminated if every device that a client has opened was closed, as far as can be seen from here: an own one
 * when GetCommand has said so. Within a call. */
void client_note_closed(struct vds_client *client);

/* Maps a buffer area that was announced; `who` announced it. *fd is taken over. Service thread only. */
int client_take_area(struct vds_client *client, const struct message_area *area, int *fd, const char *who,
                     struct error *err);

/* Believes a final configuration, or not. Service thread, or before there is one. */
int client_take_configuration(struct vds_client *client, const struct message_configured *message, struct error *err);

/* Notes in the layout that a command is held from now on, or no longer, which ends its buffer's handle. Under the
 * device's lock. */
void client_begin_held(struct vds_client_device *device, uint32_t slot);
void client_end_held(struct vds_client_device *device, uint32_t slot);

/* Bytes of a command's buffer that have to exist. */
static inline uint64_t command_length(const struct command_record *record)
{
        return command_moves_data(record->code) || record->size > 0 ? (uint64_t)record->size : 1;
}

/* The address in this process, or NULL when that is out of bounds, or its prefix zone is, or it is not aligned. The
 * area is mapped. */
uint8_t *client_resolve(struct vds_client *client, uint32_t area, uint64_t offset, uint64_t length);

/* ---- the primary's service thread: secondaries and observers (client_members.c, client_observers.c) ---- */

/* Makes a half-open connection a secondary's, which is sent everything so far. On failure half->fd stays. */
void client_welcome_secondary(struct vds_client *client, struct half_open *half);

/* Reads what a secondary has sent; `dead`: its process has ended. */
void client_serve_member(struct vds_client *client, struct client_member *member, bool dead);

/* Tells all secondaries. */
void client_tell_members(struct vds_client *client, const void *message, size_t size, int pass);

/* Answers an observer, or keeps it waiting; then half->fd is taken over. */
void client_serve_observer(struct vds_client *client, struct half_open *half, enum message_request request);

/* Answers those who wait, if there is an answer now. Returns when to look again. */
struct deadline client_serve_watchers(struct vds_client *client);

/* Answers a greeting with a refusal. */
void client_refuse(int fd, int result, const char *why);

/* ---- server ---- */

struct server_slot {
        struct VDS_Command *command; /* NULL: free */
        uint32_t generation;
        int32_t size;
        int32_t code;
};

struct vds_server_device {
        struct vds_server *server;
        struct layout_device *shared;
        char name[LAYOUT_NAME_SIZE]; /* constant once opened */
        struct wake_patience patience;

        pthread_mutex_t lock; /* guards what follows */
        bool opened;
        bool closed;
        bool dead; /* aborted, and its commands were given back: takes no more */
        bool io_error;
        uint32_t outstanding;
        uint32_t next_slot; /* where to look for a free one */
        struct ring commands;
        struct ring completions;
        struct server_slot slots[VDS_QUEUE_DEPTH];
};

struct server_area {
        struct region region;
        struct arena arena;
};

/* What RequestBuffers adds up to before EndConfiguration. */
struct server_requests {
        uint64_t space;           /* of all blocks */
        uint64_t count;           /* of blocks */
        uint64_t alignment_sum;   /* over all blocks */
        uint32_t alignment_least; /* 0: no request yet */
};

struct vds_server {
        struct vds_set set; /* first */

        /* The service thread's own, but that other threads send on connection_fd. */
        int connection_fd;
        int client_pidfd;
        pthread_mutex_t send_lock;

        pthread_mutex_t config_lock; /* one call of configuration at a time; guards requests and opened_count */
        struct server_requests requests;
        uint32_t opened_count;
        _Atomic uint32_t closed_count;

        pthread_mutex_t buffer_lock; /* guards the arenas and area_count, which only grows, under config_lock too */
        uint32_t area_count;
        struct server_area areas[SET_AREAS_MAX];

        _Atomic bool agent_running;
        _Atomic uint32_t outstanding; /* commands, on all devices */
        _Atomic int64_t progress_ns;  /* when a command was last completed, or first sent after none was outstanding */
        _Atomic bool verdict_stated;

        uint32_t devices_made; /* as a client's */
        struct vds_server_device devices[VDS_DEVICES_MAX];
};

void *server_service_run(void *server);

/* SET_ENTER_OR_RETURN() of a call of configuration: holds config_lock to the end of the scope, and looks once more
 * whether the call is legal, since another one may have come between. */
#define SERVER_CONFIGURE_OR_RETURN(server, id)   \
        SET_ENTER_OR_RETURN(&(server)->set, id); \
        LOCKED(&(server)->config_lock);          \
        SET_PASS_ON(set_recheck(&(server)->set, id))

/* Where a buffer lies. */
struct server_buffer {
        uint32_t area;
        uint64_t offset;
        uint64_t left; /* bytes from there to the end of its data zone */
};

/* Is the address inside the data zone of an allocated buffer? */
bool server_find_buffer(struct vds_server *server, const uint8_t *address, struct server_buffer *ret_buffer);

/* What EndConfiguration does before it tells the client: turns the requests into the first area. Under config_lock. */
int server_make_first_area(struct vds_server *server);

/* Sends to the client under the send lock. NOERROR or VD_E_ABORT: what cannot be sent aborts the set. */
int server_tell(struct vds_server *server, const void *message, size_t size, int pass);

/* Gives every outstanding command of the device back with `code`. With `dead` the device takes no more afterwards. */
void server_drain_device(struct vds_server_device *device, int32_t code, bool dead);

/* Writes the outcome into the command and runs its callback. */
void server_call_back(struct VDS_Command *command, int32_t code, int32_t bytes);
