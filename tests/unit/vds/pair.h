/*
 * pair.h - a client and a server of one set in one process, for tests
 *
 * Each pair has a runtime folder of its own, so that a test sees only its own files. What a helper does not say it
 * asserts: a helper that fails fails the test.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>

#include "core/vds/vds.h"

enum { PAIR_BLOCK = 4096, PAIR_TRANSFER = 65536, PAIR_WAIT_MS = 20000 };

struct pair {
        char folder[64];
        struct vds_options options;
        struct VDConfig wishes;
        char name[VDS_NAME_MAX + 1];
        uint32_t buffer_count; /* of PAIR_TRANSFER bytes; 0: twice the devices and one more */
        struct vds_client *client;
        struct vds_server *server;
        struct vds_client_device *client_devices[VDS_DEVICES_MAX];
        struct vds_server_device *server_devices[VDS_DEVICES_MAX];
        pthread_t agent;
        bool agent_started;
        int agent_result;
};

/* Handles and a folder; no set yet. */
void pair_init(struct pair *pair, uint32_t device_count);

/* Each step begins with the ones before it. */
void pair_create(struct pair *pair);
void pair_connect(struct pair *pair);
void pair_begin(struct pair *pair);
void pair_configure(struct pair *pair); /* EndConfiguration, and the client's GetConfiguration */
void pair_open_devices(struct pair *pair);
void pair_start_agent(struct pair *pair);
void pair_up(struct pair *pair, uint32_t device_count); /* all of them */

/* Waits for the agent to return. */
void pair_join_agent(struct pair *pair);

/* Frees both ends and checks that nothing is left in the folder. */
void pair_deinit(struct pair *pair);

/* "set", then "set1" and so on. */
void pair_device_name(const struct pair *pair, uint32_t index, char name[VDS_NAME_MAX + 1]);

/* A command whose callback records itself. */
struct sent {
        struct VDS_Command command; /* first */
        pthread_mutex_t lock;
        pthread_cond_t done;
        int calls; /* of the callback */
        pthread_t thread;
};

void sent_init(struct sent *sent, int code, uint8_t *buffer, int size);
void sent_wait(struct sent *sent); /* until the callback has run */
int sent_calls(struct sent *sent);

/* Asserts that the next command of the device has this code, and returns it. */
struct VDC_Command *pair_get(struct vds_client_device *device, int code);

/* Number of open descriptors of this process, and of files in a folder. */
int count_descriptors(void);
int count_files(const char *folder);
