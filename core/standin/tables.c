#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"
#include "core/standin/tables.h"

enum {
        PAGE_SIZE = 8192, /* SQL Server's, which sizes of files are told in */
        DEVICE_TYPE_VIRTUAL = 7,
        SOFTWARE_VENDOR = 4608,
        DATABASE_VERSION = 904,
        COMPATIBILITY = 150,
};

/* The columns that backup tools ask for, and some more of those that SQL Server has. */
static const struct {
        const char *name;
        enum catalog_table kind;
        const char *columns;
} catalog_tables[] = {
        { "databases", CATALOG_SYS,
          "name NVARCHAR(128), database_id INT, source_database_id INT, create_date DATETIME, compatibility_level "
          "INT, collation_name NVARCHAR(128), user_access INT, user_access_desc NVARCHAR(60), is_read_only BIT, "
          "is_auto_close_on BIT, state INT, state_desc NVARCHAR(60), is_in_standby BIT, recovery_model INT, "
          "recovery_model_desc NVARCHAR(60), page_verify_option_desc NVARCHAR(60), log_reuse_wait_desc NVARCHAR(60), "
          "is_encrypted BIT, is_distributor BIT, is_broker_enabled BIT, replica_id UNIQUEIDENTIFIER" },
        { "master_files", CATALOG_SYS,
          "database_id INT, file_id INT, type INT, type_desc NVARCHAR(60), data_space_id INT, name NVARCHAR(128), "
          "physical_name NVARCHAR(260), state INT, state_desc NVARCHAR(60), size INT, max_size INT, growth INT, "
          "is_read_only BIT" },
        { "database_files", CATALOG_SYS,
          "file_id INT, type INT, type_desc NVARCHAR(60), data_space_id INT, name NVARCHAR(128), physical_name "
          "NVARCHAR(260), state INT, state_desc NVARCHAR(60), size INT, max_size INT, growth INT, is_read_only BIT" },
        { "configurations", CATALOG_SYS,
          "configuration_id INT, name NVARCHAR(35), value INT, minimum INT, maximum INT, value_in_use INT, "
          "description NVARCHAR(255), is_dynamic BIT, is_advanced BIT" },
        { "backup_devices", CATALOG_SYS,
          "name NVARCHAR(128), type INT, type_desc NVARCHAR(60), physical_name NVARCHAR(260)" },
        { "dm_exec_requests", CATALOG_STATE,
          "session_id INT, request_id INT, start_time DATETIME, status NVARCHAR(30), command NVARCHAR(32), sql_handle "
          "NVARCHAR(130), statement_start_offset INT, statement_end_offset INT, database_id INT, user_id INT, "
          "blocking_session_id INT, wait_type NVARCHAR(60), wait_time INT, last_wait_type NVARCHAR(60), wait_resource "
          "NVARCHAR(256), open_transaction_count INT, percent_complete REAL, estimated_completion_time BIGINT, "
          "cpu_time INT, total_elapsed_time INT, reads BIGINT, writes BIGINT, row_count BIGINT" },
        { "dm_exec_sessions", CATALOG_STATE,
          "session_id INT, login_time DATETIME, host_name NVARCHAR(128), program_name NVARCHAR(128), "
          "client_interface_name NVARCHAR(32), login_name NVARCHAR(128), original_login_name NVARCHAR(128), status "
          "NVARCHAR(30), is_user_process BIT, database_id INT" },
        { "dm_exec_sql_text", CATALOG_STATE,
          "of_handle NVARCHAR(130), dbid INT, objectid INT, number INT, encrypted BIT, text NVARCHAR(4000)" },
        { "backupset", CATALOG_HISTORY,
          "backup_set_id INT, backup_set_uuid UNIQUEIDENTIFIER, media_set_id INT, position INT, expiration_date "
          "DATETIME, software_vendor_id INT, name NVARCHAR(128), description NVARCHAR(255), user_name NVARCHAR(128), "
          "software_major_version INT, software_minor_version INT, software_build_version INT, first_lsn "
          "NUMERIC(25,0), last_lsn NUMERIC(25,0), checkpoint_lsn NUMERIC(25,0), database_backup_lsn NUMERIC(25,0), "
          "database_creation_date DATETIME, backup_start_date DATETIME, backup_finish_date DATETIME, type NCHAR(1), "
          "compatibility_level INT, database_version INT, backup_size NUMERIC(20,0), database_name NVARCHAR(128), "
          "server_name NVARCHAR(128), machine_name NVARCHAR(128), flags INT, collation_name NVARCHAR(128), "
          "is_password_protected BIT, recovery_model NVARCHAR(60), has_bulk_logged_data BIT, is_snapshot BIT, "
          "is_readonly BIT, is_single_user BIT, has_backup_checksums BIT, is_damaged BIT, begins_log_chain BIT, "
          "has_incomplete_metadata BIT, is_force_offline BIT, is_copy_only BIT, first_recovery_fork_guid "
          "UNIQUEIDENTIFIER, last_recovery_fork_guid UNIQUEIDENTIFIER, fork_point_lsn NUMERIC(25,0), database_guid "
          "UNIQUEIDENTIFIER, family_guid UNIQUEIDENTIFIER, differential_base_lsn NUMERIC(25,0), "
          "differential_base_guid UNIQUEIDENTIFIER, compressed_backup_size NUMERIC(20,0), key_algorithm NVARCHAR(32), "
          "encryptor_type NVARCHAR(32)" },
        { "backupmediaset", CATALOG_HISTORY,
          "media_set_id INT, media_uuid UNIQUEIDENTIFIER, media_family_count INT, name NVARCHAR(128), description "
          "NVARCHAR(255), software_name NVARCHAR(128), software_vendor_id INT, is_password_protected BIT, "
          "is_compressed BIT, is_encrypted BIT" },
        { "backupmediafamily", CATALOG_HISTORY,
          "media_set_id INT, family_sequence_number INT, media_family_id UNIQUEIDENTIFIER, media_count INT, "
          "logical_device_name NVARCHAR(128), physical_device_name NVARCHAR(260), device_type INT, "
          "physical_block_size INT, mirror INT" },
        { "backupfile", CATALOG_HISTORY,
          "backup_set_id INT, file_number INT, logical_name NVARCHAR(128), physical_name NVARCHAR(260), file_type "
          "NCHAR(1), file_size NUMERIC(20,0), backup_size NUMERIC(20,0)" },
        { "restorehistory", CATALOG_HISTORY,
          "restore_history_id INT, restore_date DATETIME, destination_database_name NVARCHAR(128), user_name "
          "NVARCHAR(128), backup_set_id INT, restore_type NCHAR(1), \"replace\" BIT, recovery BIT, restart BIT, "
          "stop_at DATETIME" },
};

static const char catalog_views[] =
        "CREATE VIEW sysdatabases AS SELECT name, database_id AS dbid, state AS status, create_date AS crdate, "
        "compatibility_level AS cmptlevel FROM databases;"
        /* What follows is for our own functions. */
        "CREATE TABLE known(kind, name COLLATE NOCASE, value);"
        "CREATE VIEW every_database(name, id, state, standby, recovery) AS "
        "SELECT name, database_id, state_desc, is_in_standby, recovery_model_desc FROM databases UNION ALL "
        "SELECT column1, column2, 'ONLINE', 0, value FROM known, "
        "(VALUES ('master', 1), ('tempdb', 2), ('model', 3), ('msdb', 4)) WHERE kind = 'recovery';"
        "CREATE TABLE date_part(part, names, unit, factor, seconds, field);"
        "INSERT INTO date_part VALUES ('year', 'year yy yyyy', 'months', 12, 1, '%Y'), "
        "('quarter', 'quarter qq q', 'months', 3, 1, NULL), ('month', 'month mm m', 'months', 1, 1, '%m'), "
        "('week', 'week wk ww', 'days', 7, 604800, NULL), ('day', 'day dd d', 'days', 1, 86400, '%d'), "
        "('hour', 'hour hh', 'hours', 1, 3600, '%H'), ('minute', 'minute mi n', 'minutes', 1, 60, '%M'), "
        "('second', 'second ss s', 'seconds', 1, 1, '%S');"
        "CREATE TABLE data_type(kind, names);"
        "INSERT INTO data_type VALUES ('text', 'char nchar varchar nvarchar sysname'), "
        "('int', 'int bigint smallint tinyint'), ('bit', 'bit'), ('real', 'float real'), ('date', 'date'), "
        "('same', 'decimal numeric money datetime datetime2 smalldatetime uniqueidentifier sql_variant varbinary');"
        "CREATE TABLE date_style(style, format);"
        "INSERT INTO date_style VALUES (0, '{month} {day} %Y {time}'), (100, '{month} {day} %Y {time}'), "
        "(101, '%m/%d/%Y'), (103, '%d/%m/%Y'), (104, '%d.%m.%Y'), (8, '%H:%M:%S'), (108, '%H:%M:%S'), "
        "(112, '%Y%m%d'), (23, '%Y-%m-%d'), (20, '%Y-%m-%d %H:%M:%S'), (120, '%Y-%m-%d %H:%M:%S'), "
        "(21, '%Y-%m-%d %H:%M:%f'), (121, '%Y-%m-%d %H:%M:%f'), (126, '%Y-%m-%dT%H:%M:%f'), "
        "(127, '%Y-%m-%dT%H:%M:%f');";

enum catalog_table catalog_find_table(const char *name)
{
        for (size_t i = 0; i < sizeof catalog_tables / sizeof catalog_tables[0]; i++)
                if (strcasecmp(catalog_tables[i].name, name) == 0)
                        return catalog_tables[i].kind;
        return strcasecmp(name, "sysdatabases") == 0 ? CATALOG_OLD : CATALOG_NO_TABLE;
}

/* ---- rows ---- */

/* What is being filled; `rc` keeps the first failure. */
struct filling {
        sqlite3 *db;
        const struct standin *standin;
        const struct standin_session *session;
        int rc;
};

/* One row: the table's name and the values of its columns, in their order, as sqlite3_mprintf() writes them. */
static void filling_insert(struct filling *filling, const char *format, ...)
{
        char *values;
        char *sql;
        va_list arguments;

        if (filling->rc != SQLITE_OK)
                return;
        va_start(arguments, format);
        values = sqlite3_vmprintf(format, arguments);
        va_end(arguments);
        sql = values ? sqlite3_mprintf("INSERT INTO %s", values) : NULL;
        filling->rc = sql ? sqlite3_exec(filling->db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
        sqlite3_free(values);
        sqlite3_free(sql);
}

static int filling_database_id(const struct filling *filling, const char *name)
{
        const struct standin_state *state = &filling->standin->state;

        for (size_t i = 0; name && i < state->database_count; i++)
                if (strcasecmp(state->databases[i].name, name) == 0)
                        return state->databases[i].id;
        return name ? standin_system_database(name) : 0;
}

/* ---- sys ---- */

static const char *database_file_name(const struct standin_db *db)
{
        const char *slash = db->path ? strrchr(db->path, '/') : NULL;

        return slash ? slash + 1 : db->name;
}

static void put_database(struct filling *filling, const struct standin_db *db)
{
        bool full = filling->standin->state.full_recovery;
        bool restoring = db->state == STANDIN_RESTORING;
        bool standby = db->state == STANDIN_STANDBY;
        struct stat st = { .st_size = 0 };

        filling_insert(filling,
                       "databases VALUES(%Q, %d, NULL, %Q, %d, %Q, 0, 'MULTI_USER', %d, 0, %d, %Q, %d, %d, %Q, "
                       "'CHECKSUM', 'NOTHING', 0, 0, 0, NULL)",
                       db->name, db->id, db->created, COMPATIBILITY, STANDIN_COLLATION, standby, restoring,
                       restoring ? "RESTORING" : "ONLINE", standby, full ? 1 : 3, full ? "FULL" : "SIMPLE");
        if (!db->path)
                return;
        (void)stat(db->path, &st);
        filling_insert(filling, "master_files VALUES(%d, 1, 0, 'ROWS', 1, %Q, %Q, 0, 'ONLINE', %lld, -1, 0, 0)", db->id,
                       database_file_name(db), db->path, (long long)(st.st_size / PAGE_SIZE));
        if (strcasecmp(filling->session->activity.database, db->name) == 0)
                filling_insert(filling,
                               "database_files SELECT file_id, type, type_desc, data_space_id, name, physical_name, "
                               "state, state_desc, size, max_size, growth, is_read_only FROM master_files "
                               "WHERE database_id = %d",
                               db->id);
}

static void put_activity(struct filling *filling, const struct standin_activity *activity)
{
        int id = filling_database_id(filling, activity->database);
        const char *wait = activity->wait_type;
        int64_t elapsed = (monotonic_ns() - activity->started_ns) / 1000000;
        int64_t left = activity->percent > 0 ? (int64_t)((double)elapsed * (100 / activity->percent - 1)) : 0;
        char handle[32];

        if (!activity->user)
                return;
        snprintf(handle, sizeof handle, "0x%08X", (unsigned)activity->session_id);
        filling_insert(filling, "dm_exec_sessions VALUES(%d, %Q, %Q, %Q, 'TDS', %Q, %Q, %Q, 1, %d)",
                       activity->session_id, activity->login_time, activity->host, activity->application,
                       activity->user, activity->user, activity->is_running ? "running" : "sleeping", id);
        if (!activity->is_running)
                return;
        filling_insert(filling, "dm_exec_sql_text VALUES(%Q, %d, NULL, NULL, 0, %Q)", handle, id, activity->text);
        filling_insert(filling,
                       "dm_exec_requests VALUES(%d, 0, %Q, %Q, %Q, %Q, 0, -1, %d, 1, %d, %Q, %lld, %Q, '', 0, %f, "
                       "%lld, 0, %lld, 0, 0, 0)",
                       activity->session_id, activity->started, wait ? "suspended" : "running", activity->command,
                       handle, id, activity->blocked_by, wait, (long long)(wait ? elapsed : 0),
                       wait ? wait : "MISCELLANEOUS", activity->percent, (long long)left, (long long)elapsed);
}

/* ---- msdb ---- */

static void put_backup(struct filling *filling, const struct standin_backup *backup)
{
        const char *server = filling->standin->options->name;
        long long size = (long long)backup->size;

        filling_insert(filling,
                       "backupset VALUES(%u, %Q, %u, 1, NULL, %d, %Q, %Q, %Q, 15, 0, 2000, %lld, %lld, %lld, %lld, "
                       "%Q, %Q, %Q, '%c', %d, %d, %lld, %Q, %Q, %Q, 512, %Q, 0, %Q, 0, 0, 0, 0, %d, 0, %d, 0, 0, %d, "
                       "%Q, %Q, NULL, %Q, %Q, nullif(%lld, 0), nullif(%Q, ''), %lld, NULL, NULL)",
                       backup->id, backup->uuid, backup->id, SOFTWARE_VENDOR, backup->name, backup->description,
                       backup->user, (long long)backup->first_lsn, (long long)backup->last_lsn,
                       (long long)backup->checkpoint_lsn, (long long)backup->database_lsn, backup->database_created,
                       backup->started, backup->finished, backup->type, COMPATIBILITY, DATABASE_VERSION, size,
                       backup->database, server, server, STANDIN_COLLATION,
                       filling->standin->state.full_recovery ? "FULL" : "SIMPLE", backup->checksums,
                       backup->begins_chain, backup->copy_only, backup->fork, backup->fork, backup->family,
                       backup->family, (long long)backup->base_lsn, backup->base, size);
        filling_insert(filling, "backupmediaset VALUES(%u, %Q, %u, %Q, %Q, 'Microsoft SQL Server', %d, 0, 0, 0)",
                       backup->id, backup->media, backup->device_count, backup->media_name, backup->media_description,
                       SOFTWARE_VENDOR);
        for (uint32_t i = 0; i < backup->device_count; i++)
                filling_insert(filling, "backupmediafamily VALUES(%u, %u, %Q, 1, NULL, %Q, %d, %u, 0)", backup->id,
                               i + 1, backup->media, backup->devices[i], DEVICE_TYPE_VIRTUAL, backup->block_size);
        filling_insert(filling, "backupfile VALUES(%u, 1, %Q, NULL, '%c', %lld, %lld)", backup->id, backup->database,
                       backup->type == 'L' ? 'L' : 'D', size, size);
}

static void put_restore(struct filling *filling, const struct standin_restore *restore)
{
        filling_insert(filling, "restorehistory VALUES(%u, %Q, %Q, %Q, NULL, '%c', %d, %d, 0, NULL)", restore->id,
                       restore->date, restore->database, restore->user, restore->type, restore->replaced,
                       restore->recovered);
}

/* ---- what functions and variables give ---- */

static void put_known(struct filling *filling)
{
        const struct standin_session *session = filling->session;
        const struct standin_activity *own = &session->activity;
        const char *name = filling->standin->options->name;

        filling_insert(filling,
                       "known VALUES ('recovery', '', %Q), ('own', 'user', %Q), ('own', 'host', %Q), "
                       "('own', 'program', %Q), ('own', 'database', %Q)",
                       filling->standin->state.full_recovery ? "FULL" : "SIMPLE", own->user, own->host,
                       own->application, own->database);
        filling_insert(filling,
                       "known SELECT 'server', * FROM (VALUES ('BuildClrVersion', 'v4.0.30319'), "
                       "('Collation', '" STANDIN_COLLATION "'), ('ComputerNamePhysicalNetBIOS', %Q), "
                       "('Edition', 'Developer Edition (64-bit)'), ('EditionID', -2117995310), ('EngineEdition', 3), "
                       "('HostPlatform', 'Linux'), ('IsClustered', 0), ('IsFullTextInstalled', 0), "
                       "('IsHadrEnabled', 0), ('IsIntegratedSecurityOnly', 0), ('IsSingleUser', 0), "
                       "('MachineName', %Q), ('ProductBuild', '2000'), ('ProductLevel', 'RTM'), "
                       "('ProductMajorVersion', '15'), ('ProductMinorVersion', '0'), "
                       "('ProductVersion', '" STANDIN_PRODUCT_VERSION "'), ('ServerName', %Q))",
                       name, name, name);
        filling_insert(filling,
                       "known SELECT '@@', * FROM (VALUES ('DATEFIRST', 7), ('ERROR', 0), ('LANGUAGE', 'us_english'), "
                       "('LOCK_TIMEOUT', -1), ('MAX_CONNECTIONS', 32767), ('MICROSOFTVERSION', %d), ('NESTLEVEL', 0), "
                       "('OPTIONS', 0), ('ROWCOUNT', 0), ('SERVERNAME', %Q), ('SERVICENAME', 'MSSQLSERVER'), "
                       "('SPID', %d), ('TEXTSIZE', 2147483647), ('TRANCOUNT', %d), ('VERSION', %Q))",
                       STANDIN_VERSION, name, own->session_id, session->transactions,
                       "Microsoft SQL Server 2019 (vdipipe serve, a stand-in) - " STANDIN_PRODUCT_VERSION
                       " (X64)\n\tvdipipe " VDIPIPE_VERSION " on Linux");
}

/* ---- all of it ---- */

/* Texts compare without regard to case, whatever column they are in. */
static int create_table(sqlite3 *db, const char *name, const char *columns)
{
        CLEANUP(freep) char *sql = NULL;
        size_t size;
        FILE *out = open_memstream(&sql, &size);

        if (!out)
                return SQLITE_NOMEM;
        fprintf(out, "CREATE TABLE %s(", name);
        for (; *columns; columns++)
                fprintf(out, "%s%c", strncmp(columns, ", ", 2) == 0 ? " COLLATE NOCASE" : "", *columns);
        fprintf(out, " COLLATE NOCASE)");
        fclose(out);
        return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

static int create_tables(sqlite3 *db)
{
        int rc = SQLITE_OK;

        for (size_t i = 0; rc == SQLITE_OK && i < sizeof catalog_tables / sizeof catalog_tables[0]; i++)
                rc = create_table(db, catalog_tables[i].name, catalog_tables[i].columns);
        return rc == SQLITE_OK ? sqlite3_exec(db, catalog_views, NULL, NULL, NULL) : rc;
}

int catalog_fill(sqlite3 *db, struct standin_session *session)
{
        struct standin_state *state = &session->standin->state;
        struct filling filling = { .db = db, .standin = session->standin, .session = session };

        filling.rc = create_tables(db);
        pthread_mutex_lock(&state->lock);
        put_known(&filling);
        for (size_t i = 0; i < state->database_count; i++)
                put_database(&filling, &state->databases[i]);
        for (const struct standin_activity *at = state->activities; at; at = at->next)
                put_activity(&filling, at);
        for (size_t i = 0; i < state->backup_count; i++)
                put_backup(&filling, &state->backups[i]);
        for (size_t i = 0; i < state->restore_count; i++)
                put_restore(&filling, &state->restores[i]);
        pthread_mutex_unlock(&state->lock);
        filling_insert(&filling, "configurations VALUES"
                                 "(1579, 'backup compression default', 0, 0, 1, 0, "
                                 "'Enable compression of backups by default', 1, 0), "
                                 "(1584, 'backup checksum default', 0, 0, 1, 0, "
                                 "'Enable checksum of backups by default', 1, 0)");
        return filling.rc;
}
