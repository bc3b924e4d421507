/*
 * sqlite.h - the embedded SQLite server: the jobs it can do, and the words both use
 */
#pragma once

#include "core/base/error.h"
#include "core/servers/server.h"
#include "core/servers/side.h"

/* What a client may ask for without getting into the way: personalities, and the Complete command. */
#define SQLITE_FEATURES (VDF_LikeTape | VDF_LikeDisk | VDF_RequestComplete)

enum { SQLITE_TRANSFER_DEFAULT = 1048576 };

/* BACKUP, RESTORE and what reads a backup, of SQLite databases. */
extern const struct server_kind sqlite_server;

/* Its verbs. */
int sqlite_backup(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err);
int sqlite_restore(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err);
int sqlite_verify(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err);

/* HEADERONLY, FILELISTONLY and LABELONLY: results, and no data. */
int sqlite_list(struct server_side *side, char note[ERROR_MESSAGE_MAX], struct error *err);

/* Configures the side for reading, as the job says. */
int sqlite_configure_read(struct server_side *side, struct error *err);

/* ---- the medium: before and after the data, on media that have positions ---- */

/* Whether the devices hold several backup sets, divided by file marks. */
bool sqlite_is_tape(const struct server_side *side);

/* Refuses a position other than 1 on media that hold one backup set. */
int sqlite_check_file(struct server_side *side, struct error *err);

/* Goes to where the backup set begins: to write, behind the last one or to the beginning;
 * to read, as WITH FILE says. */
int sqlite_seek_write(struct channel *channel, struct error *err);
int sqlite_seek_read(struct channel *channel, struct error *err);

/* Ends the backup set. */
int sqlite_write_mark(struct channel *channel, struct error *err);

/* Raises that the backup set which was to be read is not there. Returns -1. */
int sqlite_raise_no_set(struct server_side *side, const char *device, struct error *err);

/* A read that ends the device's data; bytes may come with it. */
bool sqlite_is_end(int32_t completion_code);
