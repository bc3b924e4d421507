/*
 * answer.h - a batch of statements, answered one after the other
 */
#pragma once

#include "core/standin/session.h"

/* Answers the batch of a request on a thread of its own, and watches meanwhile for whoever cancels it. Returns 0, or -1
 * when the connection is at its end. */
int standin_answer(struct standin_session *session, const struct tds_request *request);
