/*
 * sqlite.h - the embedded SQLite server: the two jobs it can do, and the words both use
 */
#ifndef VDIPIPE_CORE_SERVERS_SQLITE_H
#define VDIPIPE_CORE_SERVERS_SQLITE_H

#include "core/base/error.h"
#include "core/servers/server.h"
#include "core/servers/session.h"

/* What a client may ask for without getting into the way: personalities, and the Complete command. */
#define SQLITE_FEATURES (VDF_LikeTape | VDF_LikeDisk | VDF_RequestComplete)

enum { SQLITE_TRANSFER_DEFAULT = 1048576 };

/* Each does the work on a joined session; session_join() before and session_end() after are the caller's. `note` is one
 * line for the user, or "". */
int sqlite_backup(struct session *session, char note[ERROR_MESSAGE_MAX], struct error *err);
int sqlite_restore(struct session *session, char note[ERROR_MESSAGE_MAX], struct error *err);

#endif
