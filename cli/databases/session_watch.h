/*
 * session_watch.h - what a SQL Server's session does while nothing is heard of it
 *
 * A thread that asks over a second connection once the server has been silent for some seconds: no command, no message,
 * and it is not our side's turn. The answer goes into the progress display, and stands for messages.
 */
#ifndef VDIPIPE_CLI_DATABASES_SESSION_WATCH_H
#define VDIPIPE_CLI_DATABASES_SESSION_WATCH_H

#include <stdint.h>

#include "cli/run/progress.h"
#include "cli/run/supervise.h"
#include "core/mssql/mssql.h"

enum { SESSION_WORDS_MAX = 256 };

struct session_watch;

/* Watches the session with that number. `timeout_ms` without a sign of life cancel the operation with ERR_TIMEOUT;
 * 0: they do not. `login`, `progress` and `supervisor` outlive the watch. */
int session_watch_start(const struct mssql_login *login, int session, int64_t timeout_ms, struct progress *progress,
                        struct supervisor *supervisor, struct session_watch **ret_watch, struct error *err);

/* NULL is allowed. */
void session_watch_stop(struct session_watch *watch);

/* The statement has succeeded: if its devices do not close now, they never will. From any thread. */
void session_watch_statement_ended(struct session_watch *watch);

/* A sign of life: the server said something. From any thread. */
void session_watch_note(struct session_watch *watch);

/* The last answer: "session 51 is suspended in BACKUP DATABASE, waiting for LCK_M_S, blocked by session 60"; "" when
 * the server is not silent, or does not tell. From any thread. */
void session_watch_words(struct session_watch *watch, char words[SESSION_WORDS_MAX]);

#endif
