/*
 * Observers of vds.h. An observer connects, asks one thing and hears one answer; it maps no memory and believes nothing
 * but sizes, so it may look at sets of anybody who lets it in.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/shm/fork_guard.h"
#include "core/shm/peer.h"
#include "core/shm/rendezvous.h"
#include "core/vds/config.h"
#include "core/vds/message.h"

enum {
        ANSWER_MS = 5000,  /* a primary's, to a question about one set */
        LIST_MS = 1000,    /* all primaries', to a question to all */
        DOOR_MS = 100,     /* getting in, when all are asked; many may be stopped */
        BATCH_MAX = 64,    /* that are asked at a time */
        SETS_MAX = 4096,   /* of a list */
        REDIAL_MS = 60000, /* one connection that waits for the configuration; the primary ends it sooner */
};

const char *vds_set_state_name(enum vds_set_state state)
{
        static const char *const names[] = {
                [VDS_SET_CONFIGURABLE] = "configurable",
                [VDS_SET_INITIALIZING] = "initializing",
                [VDS_SET_ACTIVE] = "active",
                [VDS_SET_TERMINATED] = "terminated",
                [VDS_SET_ABORTED] = "aborted",
        };

        return (unsigned)state < sizeof names / sizeof names[0] ? names[state] : "unknown";
}

/* ---- asking ---- */

static const char *folder_of(const struct vds_options *options)
{
        return options ? options->runtime_dir : NULL;
}

/* `name` NULL: whoever is there. */
static int observe_ask(int fd, const char *name, enum message_request request, struct deadline deadline)
{
        struct message_hello hello = {
                .kind = MESSAGE_HELLO,
                .version = LAYOUT_VERSION,
                .role = ROLE_OBSERVER,
                .request = request,
        };

        if (name)
                memcpy(hello.set_name, name, strlen(name));
        /* A primary that refused us at the door has hung up, and its words are there to be read. */
        return peer_send(fd, &hello, sizeof hello, -1, deadline, NULL) == PEER_NOTHING ? VD_E_TIMEOUT : NOERROR;
}

/* Reaches the set's primary, and asks it: a question that waits for its answer on *ret_fd. */
static int observe_question(const struct vds_options *options, const char *name, enum message_request request,
                            struct deadline deadline, int *ret_fd)
{
        if (!config_name_ok(name))
                return VD_E_INVALID;
        switch (rendezvous_connect(folder_of(options), name, FOLDER_REACH_ALL, deadline, ret_fd, /* err= */ NULL)) {
        case RENDEZVOUS_OK:
                fork_guard_add(*ret_fd);
                return observe_ask(*ret_fd, name, request, deadline);
        case RENDEZVOUS_BUSY:
                return VD_E_TIMEOUT;
        case RENDEZVOUS_DENIED:
                return VD_E_SECURITY;
        case RENDEZVOUS_NONE:
        case RENDEZVOUS_TAKEN:
        case RENDEZVOUS_FAILED:
                break;
        }
        return VD_E_INVALID;
}

/* The next message of an answer. NOERROR: it is of that kind and size. Else what the primary refused with, or what kept
 * it from answering; VD_E_ABORT: it has gone. */
static int observe_hear(int fd, enum message_kind kind, size_t expected, struct deadline deadline,
                        union message *ret_message)
{
        CLEANUP(fd_closep) int pass = -1;
        size_t size = 0;

        switch (peer_receive(fd, ret_message, sizeof *ret_message, &size, &pass, deadline, NULL)) {
        case PEER_OK:
                break;
        case PEER_NOTHING:
                return VD_E_TIMEOUT;
        case PEER_ENDED:
                return VD_E_ABORT;
        case PEER_FAILED:
                return VD_E_INVALID;
        }
        if (size == expected && ret_message->kind == kind)
                return NOERROR;
        if (size == sizeof ret_message->welcome && ret_message->kind == MESSAGE_WELCOME &&
            ret_message->welcome.result < 0)
                return ret_message->welcome.result;
        return VD_E_INVALID;
}

/* What a caller may see of a refusal. */
static int observe_result_of(int result)
{
        switch (result) {
        case NOERROR:
        case VD_E_SECURITY:
        case VD_E_TIMEOUT:
                return result;
        case VD_E_BUSY:
                return VD_E_TIMEOUT;
        default:
                return VD_E_INVALID;
        }
}

/* ---- status ---- */

static uint32_t observe_at_most(uint32_t value, uint32_t limit)
{
        return value < limit ? value : limit;
}

static void observe_bound_device(struct vds_device_status *device)
{
        device->name[sizeof device->name - 1] = '\0';
        device->phase = (enum vds_device_phase)observe_at_most(device->phase, VDS_DEVICE_CLOSED);
        device->queued = observe_at_most(device->queued, VDS_QUEUE_DEPTH);
        device->held = observe_at_most(device->held, VDS_QUEUE_DEPTH);
        if (device->oldest_ms < 0)
                device->oldest_ms = -1;
}

/* Leaves nothing that a stranger could have said and no set can be. */
static void observe_bound(struct vds_status *status)
{
        status->name[sizeof status->name - 1] = '\0';
        status->primary_info[sizeof status->primary_info - 1] = '\0';
        status->server_info[sizeof status->server_info - 1] = '\0';
        status->abort_reason = (enum vds_abort_reason)observe_at_most(status->abort_reason, VDS_ABORT_REASON_COUNT - 1);
        status->verdict = (enum vds_verdict)observe_at_most(status->verdict, VDS_VERDICT_UNCONFIRMED);
        status->secondary_count = observe_at_most(status->secondary_count, VDS_DEVICES_MAX);
        if (status->age_ms < 0)
                status->age_ms = 0;
        for (uint32_t i = 0; i < status->device_count; i++)
                observe_bound_device(&status->devices[i]);
}

static int observe_hear_status(int fd, struct deadline deadline, struct vds_status *status)
{
        union message message;
        int result = observe_hear(fd, MESSAGE_STATUS, sizeof message.status, deadline, &message);

        if (result != NOERROR)
                return result;
        *status = message.status.status;
        if (status->device_count < 1 || status->device_count > VDS_DEVICES_MAX || status->state > VDS_SET_ABORTED)
                return VD_E_INVALID;
        status->primary_pid = (int)peer_pid(fd);
        observe_bound(status);
        return config_name_ok(status->name) ? NOERROR : VD_E_INVALID;
}

int vds_observe(const struct vds_options *options, const char *set_name, struct vds_status *ret_status)
{
        CLEANUP(fork_guard_close) int fd = -1;
        struct deadline deadline = deadline_after_ms(ANSWER_MS);
        int result = observe_question(options, set_name, REQUEST_STATUS, deadline, &fd);

        if (result == NOERROR)
                result = observe_hear_status(fd, deadline, ret_status);
        return observe_result_of(result);
}

/* ---- all of them ---- */

/* Sets that were asked and have not been heard. They answer at the same time,
 * so that silent ones cost one wait in all. */
struct list {
        struct vds_status *sets[SETS_MAX];
        size_t count;
        int asked[BATCH_MAX];
        size_t asked_count;
};

static void observe_hear_asked(struct list *list)
{
        struct deadline deadline = deadline_after_ms(LIST_MS);

        for (size_t i = 0; i < list->asked_count; i++) {
                CLEANUP(freep) struct vds_status *status = malloc(sizeof *status);

                if (status && list->count < SETS_MAX &&
                    observe_hear_status(list->asked[i], deadline, status) == NOERROR)
                        list->sets[list->count++] = take_ptr(&status);
                fork_guard_close(&list->asked[i]);
        }
        list->asked_count = 0;
}

static void observe_ask_set(int *fd, void *context)
{
        struct list *list = context;

        fork_guard_add(*fd);
        if (observe_ask(*fd, NULL, REQUEST_STATUS, deadline_after_ms(DOOR_MS)) == NOERROR)
                list->asked[list->asked_count++] = take_fd(fd);
        else
                fork_guard_close(fd);
        if (list->asked_count == BATCH_MAX)
                observe_hear_asked(list);
}

static int compare_names(const void *a, const void *b)
{
        const struct vds_status *const *left = a;
        const struct vds_status *const *right = b;

        return strcmp((*left)->name, (*right)->name);
}

int vds_observe_all(const struct vds_options *options, void (*each)(const struct vds_status *status, void *context),
                    void *context)
{
        CLEANUP(freep) struct list *list = calloc(1, sizeof *list);

        if (!list)
                return VD_E_MEMORY;
        rendezvous_connect_all(folder_of(options), FOLDER_REACH_ALL, DOOR_MS, observe_ask_set, list);
        observe_hear_asked(list);
        qsort(list->sets, list->count, sizeof(void *), compare_names);
        for (size_t i = 0; i < list->count; i++) {
                each(list->sets[i], context);
                free(list->sets[i]);
        }
        return NOERROR;
}

/* ---- configuration, abort ---- */

/* One connection's worth of waiting. VD_E_TIMEOUT: the primary wants to be asked again, or the deadline has passed. */
static int observe_wait_once(const struct vds_options *options, const char *name, struct deadline deadline,
                             struct VDConfig *ret_config)
{
        CLEANUP(fork_guard_close) int fd = -1;
        struct deadline asking = deadline_after_ms(ANSWER_MS);
        union message message;
        int result = observe_question(options, name, REQUEST_CONFIGURATION, asking, &fd);

        if (result == NOERROR)
                result = observe_hear(fd, MESSAGE_CONFIGURED, sizeof message.configured,
                                      deadline_earlier(deadline, deadline_after_ms(REDIAL_MS)), &message);
        if (result == NOERROR)
                *ret_config = message.configured.config;
        return result;
}

int vds_observe_configuration(const struct vds_options *options, const char *set_name, int64_t timeout_ms,
                              struct VDConfig *ret_config)
{
        struct deadline deadline = deadline_after_ms(timeout_ms);
        bool was_there = false;

        for (;;) {
                int result = observe_wait_once(options, set_name, deadline, ret_config);

                if (result == NOERROR || result == VD_E_ABORT)
                        return result;
                if (result != VD_E_TIMEOUT && result != VD_E_BUSY)
                        return was_there ? VD_E_ABORT : observe_result_of(result);
                if (result == VD_E_BUSY || deadline_passed(deadline))
                        return VD_E_TIMEOUT;
                was_there = true;
        }
}

int vds_observe_abort(const struct vds_options *options, const char *set_name)
{
        CLEANUP(fork_guard_close) int fd = -1;
        struct deadline deadline = deadline_after_ms(ANSWER_MS);
        union message message;
        int result = observe_question(options, set_name, REQUEST_ABORT, deadline, &fd);

        if (result == NOERROR)
                result = observe_hear(fd, MESSAGE_WELCOME, sizeof message.welcome, deadline, &message);
        if (result == NOERROR)
                result = message.welcome.result;
        return observe_result_of(result);
}

int vds_runtime_folder(const struct vds_options *options, char *text)
{
        CLEANUP(fd_closep) int fd = -1;
        struct error err = ERROR_INIT;
        char link[64];
        ssize_t length;

        if (folder_open_own(folder_of(options), &fd, &err) < 0) {
                snprintf(text, VDS_TEXT_MAX, "%s", err.message);
                return VD_E_SECURITY;
        }
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        length = readlink(link, text, VDS_TEXT_MAX - 1);
        text[length > 0 ? length : 0] = '\0';
        return NOERROR;
}
