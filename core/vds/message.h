/*
 * message.h - what the processes of a set tell each other over the socket
 *
 * Each message is one packet, begins with its kind and has exactly the size of its structure; a message is copied once
 * by nature, so the receiver checks what it received and uses that.
 *
 *   HELLO       anybody -> primary     first message of a connection: who I am and which set I mean
 *   WELCOME     primary -> anybody     the answer; to a server or secondary with the control region's descriptor; or a
 *                                      refusal, without
 *   AREA        server -> primary      a buffer area, with its descriptor; before the first command that names it
 *               primary -> secondary   the same, passed on
 *   CONFIGURED  server -> primary      the final configuration; once
 *               primary -> secondary   the same, after the areas there are
 *               primary -> observer    the answer to REQUEST_CONFIGURATION
 *   LEAVE       secondary -> primary   this process has closed the set
 *   STATUS      primary -> observer    the answer to REQUEST_STATUS
 */
#pragma once

#include <stdint.h>

#include "core/vds/layout.h"

enum message_kind {
        MESSAGE_HELLO = 1,
        MESSAGE_WELCOME,
        MESSAGE_AREA,
        MESSAGE_CONFIGURED,
        MESSAGE_LEAVE,
        MESSAGE_STATUS,
};

/* What the sender of a HELLO wants to be. */
enum message_role {
        ROLE_SERVER = 1,
        ROLE_SECONDARY,
        ROLE_OBSERVER,
};

/* What an observer wants; the answer ends the connection. */
enum message_request {
        REQUEST_NONE = 0,
        REQUEST_STATUS,
        REQUEST_CONFIGURATION, /* once there is one: CONFIGURED, or a refusal */
        REQUEST_ABORT,         /* WELCOME once the set is aborted */
};

struct message_hello {
        uint32_t kind;
        uint32_t version; /* LAYOUT_VERSION */
        uint32_t role;
        uint32_t request;                /* of an observer */
        char set_name[LAYOUT_NAME_SIZE]; /* an observer may leave it empty: whoever listens here */
};

enum { MESSAGE_TEXT_SIZE = 256 };

struct message_welcome {
        uint32_t kind;
        int32_t result; /* NOERROR, or why not */
        struct VDConfig wishes;
        uint32_t control_size;
        uint32_t member;              /* a secondary's number in the set */
        int32_t server_pid;           /* for a secondary */
        char text[MESSAGE_TEXT_SIZE]; /* of a refusal */
};

struct message_area {
        uint32_t kind;
        uint32_t index; /* areas are numbered from 0, in the order of their messages */
        uint64_t size;
};

struct message_configured {
        uint32_t kind;
        struct VDConfig config;
};

struct message_leave {
        uint32_t kind;
};

struct message_status {
        uint32_t kind;
        struct vds_status status; /* but primary_pid, which its hearer knows better */
};

union message {
        uint32_t kind;
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_area area;
        struct message_configured configured;
        struct message_leave leave;
        struct message_status status;
};
