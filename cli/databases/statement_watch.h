/*
 * statement_watch.h - what becomes of a statement while nothing is heard of its SQL Server
 *
 * A thread that asks over a second connection once the server has been silent for some seconds: no command, no message,
 * and it is not our side's turn. The answer goes into the progress display, and stands for messages.
 */
#pragma once

#include <stdint.h>

#include "cli/run/member.h"
#include "core/mssql/mssql.h"

struct statement_watch;

/* Watches the session with that number. --server-timeout without a sign of life cancels the operation with ERR_TIMEOUT.
 * `login` and `member` outlive the watch. */
int statement_watch_start(const struct mssql_login *login, int session, struct member *member,
                          struct statement_watch **ret_watch, struct error *err);

/* NULL is allowed. */
void statement_watch_stop(struct statement_watch *watch);

/* The statement has succeeded: if its devices do not close now, they never will. From any thread. */
void statement_watch_ended(struct statement_watch *watch);

/* A sign of life: the server said something. From any thread. */
void statement_watch_note(struct statement_watch *watch);

/* The last answer: "session 51 is suspended in BACKUP DATABASE, waiting for LCK_M_S, blocked by session 60"; "" when
 * the server is not silent, or does not tell. From any thread. */
void statement_watch_words(struct statement_watch *watch, char words[MEMBER_WORDS_MAX]);
