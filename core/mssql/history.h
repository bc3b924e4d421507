/*
 * history.h - what msdb records of a backup, and the order in which backups apply
 *
 * A record travels as JSON in the last frame of a stream, so that a sequence can be put together from files alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/mssql/mssql.h"

enum { MSSQL_LSN_MAX = 26, MSSQL_GUID_MAX = 37, MSSQL_NAME_MAX = 513 };

/* A row of msdb.dbo.backupset. LSNs are decimal text, "" for NULL, as GUIDs are. */
struct mssql_backup_record {
        char backup_set[MSSQL_GUID_MAX];
        char database[MSSQL_NAME_MAX];
        char server[MSSQL_NAME_MAX];
        char type; /* 'D' database, 'I' differential, 'L' log, 'F' file, 'G' differential file, 'P', 'Q' partial */
        bool copy_only;
        bool damaged;
        bool has_checksums;
        char started[24]; /* as the server says it */
        char finished[24];
        char first_lsn[MSSQL_LSN_MAX];
        char last_lsn[MSSQL_LSN_MAX];
        char checkpoint_lsn[MSSQL_LSN_MAX];
        char database_backup_lsn[MSSQL_LSN_MAX];
        char differential_base_lsn[MSSQL_LSN_MAX];
        char differential_base[MSSQL_GUID_MAX];
        char first_recovery_fork[MSSQL_GUID_MAX];
        char last_recovery_fork[MSSQL_GUID_MAX];
        char fork_point_lsn[MSSQL_LSN_MAX];
        char family[MSSQL_GUID_MAX]; /* of the database */
        uint64_t size;               /* bytes of data */
        char recovery_model[64];
};

/* The record of the backup that was written to the device `device_name`, as the set was called. 1: msdb has none (it
 * may lag, or the login may not read it). */
int mssql_history_find(struct mssql *connection, const char *device_name, struct mssql_backup_record *ret_record,
                       struct error *err);

/* Allocated JSON object, and back; NULL when memory is short. Decoding takes nothing on trust; ERR_DAMAGED. */
char *mssql_record_encode(const struct mssql_backup_record *record);
int mssql_record_decode(const char *json, struct mssql_backup_record *ret_record, struct error *err);

/* Whether both are of one database: by its family, or where either lacks that by its name and server. */
bool mssql_record_same_database(const struct mssql_backup_record *a, const struct mssql_backup_record *b);

/* Compares two LSNs as numbers; "" is less than any other. */
int mssql_lsn_compare(const char *a, const char *b);

enum mssql_step_state {
        MSSQL_STEP_APPLIES, /* in its turn */
        MSSQL_STEP_COVERED, /* what it holds is in another step already, or its base is not the one chosen */
        MSSQL_STEP_GAP,     /* applies only after something that is missing: `missing` says what */
        MSSQL_STEP_FORK,    /* belongs to another recovery path than the newest backup */
        MSSQL_STEP_FOREIGN, /* of another database than the first record */
        MSSQL_STEP_DAMAGED, /* was taken of damaged pages, so a restore refuses it */
        MSSQL_STEP_UNKNOWN, /* holds some files only, or lacks its LSNs: its place is not worked out */
        MSSQL_STEP_STATES,
};

/* "applies", "covered", ... Static. */
const char *mssql_step_state_name(enum mssql_step_state state);

struct mssql_step {
        size_t record; /* index in what was given */
        enum mssql_step_state state;
        char missing[256]; /* one clause */
};

/* Puts records in the order in which they are restored: a full backup, the newest differential on it, the logs from
 * there on; of several full backups the one that leads furthest, and then that with the least left to roll forward.
 * `steps` has `count` places; all records are in it, those that apply first: *ret_used of them. *ret_lsn is where the
 * database then stands ("" when none do), and points into the records. 0, or -1 when memory is short. */
int mssql_sequence(const struct mssql_backup_record *records, size_t count, struct mssql_step *steps, size_t *ret_used,
                   const char **ret_lsn);
