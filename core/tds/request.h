/*
 * request.h - the kinds of requests that have a file of their own; each returns an enum tds_parse_result
 */
#pragma once

#include "core/tds/session.h"

/* The procedure call at session->rest (call.c). */
int tds_call_parse(struct tds_session *session, struct tds_request *request, struct error *err);
void tds_forget_prepared(struct tds_session *session);

/* The request at session->rest to a transaction manager (transaction.c), which always is answered. */
int tds_transaction_answer(struct tds_session *session);

/* The request was answered; further calls of the same message stay (request.c). */
void tds_forget_request(struct tds_session *session);
