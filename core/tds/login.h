/*
 * login.h - the two messages that begin a connection: pre-login and login
 */
#pragma once

#include "core/tds/packet.h"

/* Answers a pre-login message. -1 when it cannot be read. */
int tds_prelogin_answer(struct tds_connection *connection, uint32_t server_version, const struct tds_message *message,
                        bool *ret_wants_encryption, struct error *err);

struct tds_login_wishes {
        uint32_t version;
        uint32_t packet_size;
        bool encryption;      /* said before the login */
        bool integrated;      /* it has no password, but a ticket of the operating system */
        bool foreign_numbers; /* big-endian, EBCDIC, or floats that are not IEEE's */
};

/* Fills `login` in, and of the wishes all but `encryption`. -1: the message is not sound. */
int tds_login_parse(const struct tds_message *message, struct tds_login *login, struct tds_login_wishes *wishes,
                    struct error *err);
void tds_login_deinit(struct tds_login *login);
