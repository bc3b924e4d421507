/*
 * message.h - what the processes of a set tell each other over the socket
 *
 * Each message is one packet, begins with its kind and has exactly the size of its structure; a message is copied once
 * by nature, so the receiver checks what it received and uses that.
 *
 *   HELLO       server -> primary   first message of a connection: who I am and which set I mean
 *   WELCOME     primary -> server   the answer, with the control region's descriptor; or a refusal, without
 *   AREA        server -> primary   a buffer area, with its descriptor; before the first command that names it
 *   CONFIGURED  server -> primary   the final configuration; once
 */
#ifndef VDIPIPE_CORE_VDS_MESSAGE_H
#define VDIPIPE_CORE_VDS_MESSAGE_H

#include <stdint.h>

#include "core/vds/layout.h"

enum message_kind {
        MESSAGE_HELLO = 1,
        MESSAGE_WELCOME,
        MESSAGE_AREA,
        MESSAGE_CONFIGURED,
};

/* What the sender of a HELLO wants to be. */
enum message_role {
        ROLE_SERVER = 1,
        ROLE_SECONDARY,
        ROLE_OBSERVER,
};

struct message_hello {
        uint32_t kind;
        uint32_t version; /* LAYOUT_VERSION */
        uint32_t role;
        uint32_t reserved;
        char set_name[LAYOUT_NAME_SIZE];
};

enum { MESSAGE_TEXT_SIZE = 256 };

struct message_welcome {
        uint32_t kind;
        int32_t result; /* NOERROR, or why not */
        struct VDConfig wishes;
        uint32_t control_size;
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

union message {
        uint32_t kind;
        struct message_hello hello;
        struct message_welcome welcome;
        struct message_area area;
        struct message_configured configured;
};

#endif
