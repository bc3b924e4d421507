#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/standin/catalog.h"

enum {
        PAGE_SIZE = 8192, /* SQL Server's, which sizes of files are told in */
        DEVICE_TYPE_VIRTUAL = 7,
        SOFTWARE_VENDOR = 4608,
        DATABASE_VERSION = 904,
        COMPATIBILITY = 150,
};

static const char collation[] = "SQL_Latin1_General_CP1_CI_AS";

/* The columns that backup tools ask for, and some more of those that SQL Server has. */
static const struct {
        const char *name;
        enum catalog_table kind;
        const char *columns;
} tables[] = {
        { "databases", CATALOG_PLAIN,
          "name NVARCHAR(128) COLLATE NOCASE, database_id INT, source_database_id INT, create_date DATETIME, "
          "compatibility_level INT, collation_name NVARCHAR(128), user_access INT, user_access_desc NVARCHAR(60), "
          "is_read_only BIT, is_auto_close_on BIT, state INT, state_desc NVARCHAR(60) COLLATE NOCASE, "
          "is_in_standby BIT, recovery_model INT, recovery_model_desc NVARCHAR(60) COLLATE NOCASE, "
          "page_verify_option_desc NVARCHAR(60), log_reuse_wait_desc NVARCHAR(60), is_encrypted BIT, "
          "is_distributor BIT, is_broker_enabled BIT, replica_id UNIQUEIDENTIFIER" },
        { "master_files", CATALOG_PLAIN,
          "database_id INT, file_id INT, type INT, type_desc NVARCHAR(60) COLLATE NOCASE, "
          "data_space_id INT, name NVARCHAR(128) COLLATE NOCASE, physical_name NVARCHAR(260), state INT, "
          "state_desc NVARCHAR(60) COLLATE NOCASE, size INT, max_size INT, growth INT, is_read_only BIT" },
        { "database_files", CATALOG_PLAIN,
          "file_id INT, type INT, type_desc NVARCHAR(60) COLLATE NOCASE, data_space_id INT, "
          "name NVARCHAR(128) COLLATE NOCASE, physical_name NVARCHAR(260), state INT, "
          "state_desc NVARCHAR(60) COLLATE NOCASE, size INT, max_size INT, growth INT, is_read_only BIT" },
        { "configurations", CATALOG_PLAIN,
          "configuration_id INT, name NVARCHAR(35) COLLATE NOCASE, value INT, minimum INT, maximum INT, "
          "value_in_use INT, description NVARCHAR(255), is_dynamic BIT, is_advanced BIT" },
        { "backup_devices", CATALOG_PLAIN,
          "name NVARCHAR(128) COLLATE NOCASE, type INT, type_desc NVARCHAR(60), physical_name NVARCHAR(260)" },
        { "dm_exec_requests", CATALOG_STATE,
          "session_id INT, request_id INT, start_time DATETIME, status NVARCHAR(30) COLLATE NOCASE, "
          "command NVARCHAR(32) COLLATE NOCASE, sql_handle NVARCHAR(130), statement_start_offset INT, "
          "statement_end_offset INT, database_id INT, user_id INT, blocking_session_id INT, "
          "wait_type NVARCHAR(60) COLLATE NOCASE, wait_time INT, last_wait_type NVARCHAR(60), "
          "wait_resource NVARCHAR(256), open_transaction_count INT, percent_complete REAL, "
          "estimated_completion_time BIGINT, cpu_time INT, total_elapsed_time INT, reads BIGINT, writes BIGINT, "
          "row_count BIGINT" },
        { "dm_exec_sessions", CATALOG_STATE,
          "session_id INT, login_time DATETIME, host_name NVARCHAR(128) COLLATE NOCASE, "
          "program_name NVARCHAR(128) COLLATE NOCASE, client_interface_name NVARCHAR(32), "
          "login_name NVARCHAR(128) COLLATE NOCASE, original_login_name NVARCHAR(128) COLLATE NOCASE, "
          "status NVARCHAR(30) COLLATE NOCASE, is_user_process BIT, database_id INT" },
        { "dm_exec_sql_text", CATALOG_STATE,
          "of_handle NVARCHAR(130), dbid INT, objectid INT, number INT, encrypted BIT, text NVARCHAR(4000)" },
        { "backupset", CATALOG_HISTORY,
          "backup_set_id INT, backup_set_uuid UNIQUEIDENTIFIER COLLATE NOCASE, media_set_id INT, position INT, "
          "expiration_date DATETIME, software_vendor_id INT, name NVARCHAR(128) COLLATE NOCASE, "
          "description NVARCHAR(255) COLLATE NOCASE, user_name NVARCHAR(128) COLLATE NOCASE, "
          "software_major_version INT, software_minor_version INT, software_build_version INT, "
          "first_lsn NUMERIC(25,0), last_lsn NUMERIC(25,0), checkpoint_lsn NUMERIC(25,0), "
          "database_backup_lsn NUMERIC(25,0), database_creation_date DATETIME, backup_start_date DATETIME, "
          "backup_finish_date DATETIME, type NCHAR(1) COLLATE NOCASE, compatibility_level INT, database_version INT, "
          "backup_size NUMERIC(20,0), database_name NVARCHAR(128) COLLATE NOCASE, "
          "server_name NVARCHAR(128) COLLATE NOCASE, machine_name NVARCHAR(128) COLLATE NOCASE, flags INT, "
          "collation_name NVARCHAR(128), is_password_protected BIT, recovery_model NVARCHAR(60) COLLATE NOCASE, "
          "has_bulk_logged_data BIT, is_snapshot BIT, is_readonly BIT, is_single_user BIT, "
          "has_backup_checksums BIT, is_damaged BIT, begins_log_chain BIT, has_incomplete_metadata BIT, "
          "is_force_offline BIT, is_copy_only BIT, first_recovery_fork_guid UNIQUEIDENTIFIER COLLATE NOCASE, "
          "last_recovery_fork_guid UNIQUEIDENTIFIER COLLATE NOCASE, fork_point_lsn NUMERIC(25,0), "
          "database_guid UNIQUEIDENTIFIER COLLATE NOCASE, family_guid UNIQUEIDENTIFIER COLLATE NOCASE, "
          "differential_base_lsn NUMERIC(25,0), differential_base_guid UNIQUEIDENTIFIER COLLATE NOCASE, "
          "compressed_backup_size NUMERIC(20,0), key_algorithm NVARCHAR(32), encryptor_type NVARCHAR(32)" },
        { "backupmediaset", CATALOG_HISTORY,
          "media_set_id INT, media_uuid UNIQUEIDENTIFIER COLLATE NOCASE, media_family_count INT, "
          "name NVARCHAR(128) COLLATE NOCASE, description NVARCHAR(255) COLLATE NOCASE, software_name NVARCHAR(128), "
          "software_vendor_id INT, is_password_protected BIT, is_compressed BIT, is_encrypted BIT" },
        { "backupmediafamily", CATALOG_HISTORY,
          "media_set_id INT, family_sequence_number INT, media_family_id UNIQUEIDENTIFIER COLLATE NOCASE, "
          "media_count INT, logical_device_name NVARCHAR(128) COLLATE NOCASE, "
          "physical_device_name NVARCHAR(260) COLLATE NOCASE, device_type INT, physical_block_size INT, mirror INT" },
        { "backupfile", CATALOG_HISTORY,
          "backup_set_id INT, file_number INT, logical_name NVARCHAR(128) COLLATE NOCASE, "
          "physical_name NVARCHAR(260), file_type NCHAR(1) COLLATE NOCASE, file_size NUMERIC(20,0), "
          "backup_size NUMERIC(20,0)" },
        { "restorehistory", CATALOG_HISTORY,
          "restore_history_id INT, restore_date DATETIME, destination_database_name NVARCHAR(128) COLLATE NOCASE, "
          "user_name NVARCHAR(128) COLLATE NOCASE, backup_set_id INT, restore_type NCHAR(1) COLLATE NOCASE, "
          "\"replace\" BIT, recovery BIT, restart BIT, stop_at DATETIME" },
};

static const char views[] =
        "CREATE VIEW sysdatabases AS SELECT name, database_id AS dbid, state AS status, create_date AS crdate, "
        "compatibility_level AS cmptlevel FROM databases";

enum catalog_table catalog_find_table(const char *name)
{
        for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
                if (strcasecmp(tables[i].name, name) == 0)
                        return tables[i].kind;
        return strcasecmp(name, "sysdatabases") == 0 ? CATALOG_PLAIN : CATALOG_NO_TABLE;
}

/* ---- rows ---- */

/* A value of a row. */
struct cell {
        enum { CELL_NULL, CELL_NUMBER, CELL_TEXT, CELL_REAL } kind;
        int64_t number;
        double real;
        const char *text;
};

static struct cell number(int64_t value)
{
        return (struct cell){ .kind = CELL_NUMBER, .number = value };
}

/* NULL, "" where a GUID is not known: NULL. */
static struct cell text(const char *value)
{
        return (struct cell){ .kind = value ? CELL_TEXT : CELL_NULL, .text = value };
}

static struct cell text_or_null(const char *value)
{
        return text(value[0] ? value : NULL);
}

static struct cell real(double value)
{
        return (struct cell){ .kind = CELL_REAL, .real = value };
}

static struct cell null(void)
{
        return (struct cell){ .kind = CELL_NULL };
}

/* What is being filled; `rc` keeps the first failure. */
struct filling {
        sqlite3 *db;
        const struct standin *standin;
        const struct standin_session *session;
        int rc;
};

static void bind(sqlite3_stmt *insert, int index, const struct cell *cell)
{
        switch (cell->kind) {
        case CELL_NUMBER:
                sqlite3_bind_int64(insert, index, cell->number);
                break;
        case CELL_TEXT:
                sqlite3_bind_text(insert, index, cell->text, -1, SQLITE_STATIC);
                break;
        case CELL_REAL:
                sqlite3_bind_double(insert, index, cell->real);
                break;
        case CELL_NULL:
                break;
        }
}

static void put_cells(struct filling *filling, const char *table, const struct cell *cells, size_t count)
{
        char sql[512];
        size_t used = (size_t)snprintf(sql, sizeof sql, "INSERT INTO \"%s\" VALUES(?", table);
        sqlite3_stmt *insert = NULL;

        if (filling->rc != SQLITE_OK)
                return;
        for (size_t i = 1; i < count; i++)
                used += (size_t)snprintf(sql + used, sizeof sql - used, ",?");
        snprintf(sql + used, sizeof sql - used, ")");
        filling->rc = sqlite3_prepare_v2(filling->db, sql, -1, &insert, NULL);
        for (size_t i = 0; filling->rc == SQLITE_OK && i < count; i++)
                bind(insert, (int)i + 1, &cells[i]);
        if (filling->rc == SQLITE_OK && sqlite3_step(insert) != SQLITE_DONE)
                filling->rc = sqlite3_errcode(filling->db);
        sqlite3_finalize(insert);
}

/* One row; its cells in the order of the table's columns. */
#define PUT(filling, table, ...)                                            \
        put_cells((filling), (table), (const struct cell[]){ __VA_ARGS__ }, \
                  sizeof((const struct cell[]){ __VA_ARGS__ }) / sizeof(struct cell))

static int database_id(const struct filling *filling, const char *name)
{
        const struct standin_state *state = &filling->standin->state;

        for (size_t i = 0; name && i < state->database_count; i++)
                if (strcasecmp(state->databases[i].name, name) == 0)
                        return state->databases[i].id;
        return name ? standin_system_database(name) : 0;
}

/* ---- sys ---- */

static const char *logical_name(const struct standin_db *db)
{
        const char *slash = db->path ? strrchr(db->path, '/') : NULL;

        return slash ? slash + 1 : db->name;
}

static void put_files(struct filling *filling, const struct standin_db *db)
{
        struct stat st = { .st_size = 0 };
        struct cell size;

        if (!db->path)
                return;
        (void)stat(db->path, &st);
        size = number(st.st_size / PAGE_SIZE);
        PUT(filling, "master_files", number(db->id), number(1), number(0), text("ROWS"), number(1),
            text(logical_name(db)), text(db->path), number(0), text("ONLINE"), size, number(-1), number(0), number(0));
        if (strcasecmp(filling->session->activity.database, db->name) == 0)
                PUT(filling, "database_files", number(1), number(0), text("ROWS"), number(1), text(logical_name(db)),
                    text(db->path), number(0), text("ONLINE"), size, number(-1), number(0), number(0));
}

static void put_database(struct filling *filling, const struct standin_db *db)
{
        bool full = filling->standin->state.full_recovery;

        PUT(filling, "databases", text(db->name), number(db->id), null(), text(db->created), number(COMPATIBILITY),
            text(collation), number(0), text("MULTI_USER"), number(db->state == STANDIN_STANDBY), number(0),
            number(db->state == STANDIN_RESTORING), text(db->state == STANDIN_RESTORING ? "RESTORING" : "ONLINE"),
            number(db->state == STANDIN_STANDBY), number(full ? 1 : 3), text(full ? "FULL" : "SIMPLE"),
            text("CHECKSUM"), text("NOTHING"), number(0), number(0), number(0), null());
        put_files(filling, db);
}

static void put_activity(struct filling *filling, const struct standin_activity *activity)
{
        int id = database_id(filling, activity->database);
        bool waits = activity->wait_type;
        int64_t elapsed = (monotonic_ns() - activity->started_ns) / 1000000;
        int64_t left = activity->percent > 0 ? (int64_t)((double)elapsed * (100 / activity->percent - 1)) : 0;
        char handle[32];

        if (!activity->user)
                return;
        snprintf(handle, sizeof handle, "0x%08X", (unsigned)activity->session_id);
        PUT(filling, "dm_exec_sessions", number(activity->session_id), text(activity->login_time), text(activity->host),
            text(activity->application), text("TDS"), text(activity->user), text(activity->user),
            text(activity->is_running ? "running" : "sleeping"), number(1), number(id));
        if (!activity->is_running)
                return;
        PUT(filling, "dm_exec_sql_text", text(handle), number(id), null(), null(), number(0), text(activity->text));
        PUT(filling, "dm_exec_requests", number(activity->session_id), number(0), text(activity->started),
            text(waits ? "suspended" : "running"), text(activity->command), text(handle), number(0), number(-1),
            number(id), number(1), number(activity->blocked_by), text(activity->wait_type), number(waits ? elapsed : 0),
            text(waits ? activity->wait_type : "MISCELLANEOUS"), text(""), number(0), real(activity->percent),
            number(left), number(0), number(elapsed), number(0), number(0), number(0));
}

/* ---- msdb ---- */

static void put_backup(struct filling *filling, const struct standin_backup *backup)
{
        const char *server = filling->standin->options->name;
        bool full = filling->standin->state.full_recovery;

        PUT(filling, "backupset", number(backup->id), text(backup->uuid), number(backup->id), number(1), null(),
            number(SOFTWARE_VENDOR), text(backup->name), text(backup->description), text(backup->user), number(15),
            number(0), number(2000), number(backup->first_lsn), number(backup->last_lsn),
            number(backup->checkpoint_lsn), number(backup->database_lsn), text(backup->database_created),
            text(backup->started), text(backup->finished), text((const char[]){ backup->type, '\0' }),
            number(COMPATIBILITY), number(DATABASE_VERSION), number((int64_t)backup->size), text(backup->database),
            text(server), text(server), number(512), text(collation), number(0), text(full ? "FULL" : "SIMPLE"),
            number(0), number(0), number(0), number(0), number(backup->checksums), number(0),
            number(backup->begins_chain), number(0), number(0), number(backup->copy_only), text(backup->fork),
            text(backup->fork), null(), text(backup->family), text(backup->family),
            backup->base_lsn ? number(backup->base_lsn) : null(), text_or_null(backup->base),
            number((int64_t)backup->size), null(), null());
        PUT(filling, "backupmediaset", number(backup->id), text(backup->media), number(backup->device_count),
            text(backup->media_name), text(backup->media_description), text("Microsoft SQL Server"),
            number(SOFTWARE_VENDOR), number(0), number(0), number(0));
        for (uint32_t i = 0; i < backup->device_count; i++)
                PUT(filling, "backupmediafamily", number(backup->id), number(i + 1), text(backup->media), number(1),
                    null(), text(backup->devices[i]), number(DEVICE_TYPE_VIRTUAL), number(backup->block_size),
                    number(0));
        PUT(filling, "backupfile", number(backup->id), number(1), text(backup->database), null(),
            text(backup->type == 'L' ? "L" : "D"), number((int64_t)backup->size), number((int64_t)backup->size));
}

static void put_restore(struct filling *filling, size_t index)
{
        const struct standin_restore *restore = &filling->standin->state.restores[index];

        PUT(filling, "restorehistory", number(restore->id), text(restore->date), text(restore->database),
            text(restore->user), null(), text((const char[]){ restore->type, '\0' }), number(restore->replaced),
            number(restore->recovered), number(0), null());
}

/* ---- all of it ---- */

static int create(sqlite3 *db)
{
        int rc = SQLITE_OK;

        for (size_t i = 0; rc == SQLITE_OK && i < sizeof tables / sizeof tables[0]; i++) {
                CLEANUP(freep) char *sql = NULL;

                if (asprintf(&sql, "CREATE TABLE %s(%s)", tables[i].name, tables[i].columns) < 0)
                        return SQLITE_NOMEM;
                rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
        }
        return rc == SQLITE_OK ? sqlite3_exec(db, views, NULL, NULL, NULL) : rc;
}

int catalog_fill(sqlite3 *db, struct standin_session *session)
{
        struct standin_state *state = &session->standin->state;
        struct filling filling = { .db = db, .standin = session->standin, .session = session };

        filling.rc = create(db);
        pthread_mutex_lock(&state->lock);
        for (size_t i = 0; i < state->database_count; i++)
                put_database(&filling, &state->databases[i]);
        for (const struct standin_activity *at = state->activities; at; at = at->next)
                put_activity(&filling, at);
        for (size_t i = 0; i < state->backup_count; i++)
                put_backup(&filling, &state->backups[i]);
        for (size_t i = 0; i < state->restore_count; i++)
                put_restore(&filling, i);
        pthread_mutex_unlock(&state->lock);
        PUT(&filling, "configurations", number(1579), text("backup compression default"), number(0), number(0),
            number(1), number(0), text("Enable compression of backups by default"), number(1), number(0));
        PUT(&filling, "configurations", number(1584), text("backup checksum default"), number(0), number(0), number(1),
            number(0), text("Enable checksum of backups by default"), number(1), number(0));
        return filling.rc;
}
