/*
 * connection.h - a client's connection from its login to its end
 */
#pragma once

#include "core/standin/session.h"

/* The whole life of a connection: the thread's function, for a struct standin_session. */
void *standin_connection_main(void *session_at);
