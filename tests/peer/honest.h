/*
 * honest.h - an honest process for hostile ones to play with
 *
 * The test starts itself with the argument `honest`; that process takes an order, is a client, the server or an
 * observer of one set, obeying every rule, and says how that went and what it has left over. Orders and reports are
 * packets on its standard input. A helper that fails fails the test.
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/vds/vds.h"

enum {
        HONEST_BLOCK = 512,
        HONEST_TRANSFER = 4096,
        HONEST_BUFFERS = 4,         /* a device */
        HONEST_PATIENCE_MS = 30000, /* for what happens in any case */
};

enum honest_role { HONEST_CLIENT = 1, HONEST_SERVER, HONEST_SECONDARY, HONEST_OBSERVER };

struct order {
        enum honest_role role;
        char name[VDS_NAME_MAX + 2]; /* of the set; room for one that is too long */
        struct VDConfig wishes;      /* client; of a secondary only the number of devices counts */
        int wait_ms;                 /* client: time-out of GetConfiguration and GetCommand */
        uint32_t device_count;       /* server: to open; 0: none, and the set is closed at once */
        uint32_t transfers;          /* server: commands to send on each device */
        bool wait_for_go;            /* server: no command before honest_go() */
};

enum report_kind {
        REPORT_CREATED = 1, /* client: the set is there, or joined */
        REPORT_OPENED,      /* all devices are open */
        REPORT_DONE,        /* the set is closed */
};

struct report {
        enum report_kind kind;
        int result; /* of the call that was the last; VD_E_CLOSE for a client whose devices were closed in order */
        enum vds_abort_reason reason;
        enum vds_verdict verdict; /* client */
        uint32_t commands;        /* delivered, or given back */
        uint32_t wrong_callbacks; /* server: for a command that was not under way, or with no documented code */
        uint32_t missing_callbacks;
        int descriptors_left;
        int mappings_left;
        uint64_t address; /* OPENED: of the control region in that process */
        uint64_t size;
        char text[ERROR_MESSAGE_MAX];
};

struct honest {
        pid_t pid;
        int channel;
};

/* The process's own main(). */
int honest_main(void);

void honest_start(struct honest *honest);
void honest_order(struct honest *honest, const struct order *order);
void honest_go(struct honest *honest);

/* The next report. Fails the test when it is not of that kind, or takes longer, or the process died. `what` names the
 * scene in the failure's message. */
struct report honest_expect(struct honest *honest, enum report_kind kind, int timeout_ms, const char *what);

/* The last report of an order, at most HONEST_NOTICE_MS from now, skipping others: checks that nothing is left over and
 * that every callback ran once. */
struct report honest_done(struct honest *honest, const char *what);

/* Is there a report to be had? */
bool honest_has_reported(struct honest *honest);

/* Two seconds; more under a sanitizer. */
extern const int honest_notice_ms;

/* Lets the process end and checks that it ends well. */
void honest_end(struct honest *honest);

/* An order for the set `name` of one device, with a client that waits for ever. */
struct order honest_order_for(enum honest_role role, const char *name);
