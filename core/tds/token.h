/*
 * token.h - the parts of answers that tds.h does not offer
 */
#pragma once

#include "core/tds/session.h"

/* Answers a request with success, or with an error of that number; the connection stays. Both return
 * TDS_PARSE_ANSWERED. */
int tds_answer_done(struct tds_session *session);
int tds_refuse(struct tds_session *session, int32_t number, const char *format, ...)
        __attribute__((format(printf, 3, 4)));

/* ENVCHANGE with numbers, of which 0 is none. */
void tds_send_change_number(struct tds_session *session, uint8_t what, uint64_t value, uint64_t old);

/* The session is as after its login. */
void tds_send_reset(struct tds_session *session);

/* The database of the login. */
const char *tds_first_database(const struct tds_session *session);

/* The answer to a login that is let in. */
void tds_send_login_answer(struct tds_session *session, const struct tds_server *server, size_t packet_size);

/* Acknowledges an attention signal, if there is one that waits for it. */
void tds_acknowledge(struct tds_session *session);
