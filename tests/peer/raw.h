/*
 * raw.h - a peer that holds to no rule: the socket, the messages and the memory, without the engine in between
 *
 * Everything works as it should unless the test makes it do otherwise. A helper that fails ends the process with the
 * words for it, since hostile processes are forked and must not come back into the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/shm/region.h"
#include "core/shm/rendezvous.h"
#include "core/vds/layout.h"
#include "core/vds/message.h"

enum { RAW_BLOCK = 512, RAW_AREA = 65536 };

struct raw {
        struct rendezvous rendezvous; /* of a client */
        int fd;                       /* the connection */
        struct message_welcome welcome;
        struct region control;
        struct layout *layout;
        struct region area;
        struct ring commands; /* of the first device */
        struct ring completions;
};

/* What may come in place of a descriptor of shared memory. */
enum offer {
        OFFER_GOOD = 0,
        OFFER_NONE,
        OFFER_TWO,
        OFFER_MANY,
        OFFER_PIPE,
        OFFER_SOCKET,
        OFFER_FILE,
        OFFER_FOLDER,
        OFFER_DEVICE,
        OFFER_SHM_FILE, /* a file in /dev/shm */
        OFFER_UNSEALED,
        OFFER_HALF_SEALED,
        OFFER_SMALL,
        OFFER_LARGE,
        OFFER_EMPTY,
        OFFER_READ_ONLY,
        OFFER_WRITE_SEALED,
        OFFER_HUGE_PAGES,
        OFFER_COUNT,
};

/* "a pipe", and what the error text of whoever was offered it has to say. */
extern const char *const offer_names[OFFER_COUNT];
extern const char *const offer_complaints[OFFER_COUNT];

void raw_init(struct raw *raw);
void raw_deinit(struct raw *raw);

/* Sends any bytes, with an offer of `memory` bytes. Returns false when this machine cannot make the offer. */
bool raw_send(struct raw *raw, const void *message, size_t size, enum offer offer, uint64_t memory);

/* ---- a server, a secondary or an observer: connects to the set `name` ---- */

void raw_connect(struct raw *raw, const char *name);
void raw_hello(struct raw *raw, const char *name, enum message_role role, enum message_request request);
void raw_hear_welcome(struct raw *raw);

/* The three above, and maps the control region. */
void raw_join(struct raw *raw, const char *name, enum message_role role);

/* The server's area 0, CONFIGURED, and the first device. */
void raw_configuration(struct message_configured *message);
void raw_configure(struct raw *raw);
void raw_open_device(struct raw *raw, const char *name);

void raw_push(struct raw *raw, const struct command_record *record);

/* ---- a client ---- */

void raw_listen(struct raw *raw, const char *name);
void raw_accept(struct raw *raw); /* and hears the greeting */

/* A welcome as it should be, not sent; and the same, sent with its control region, for whoever is at the door. */
void raw_make_welcome(struct raw *raw);
void raw_welcome(struct raw *raw);

/* Hears the server out until CONFIGURED, and takes area 0. */
void raw_hear_configuration(struct raw *raw);

/* Waits for the next command of the first device. */
struct command_record raw_pop(struct raw *raw);
void raw_complete(struct raw *raw, const struct completion_record *record);

/* Has the waiter of a cell sleep on another word: returns when there was one to move. */
void raw_requeue(struct wake_cell *from, struct wake_cell *to);
