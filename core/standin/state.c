#include "core/standin/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/base/cleanup.h"
#include "core/base/deadline.h"

void standin_state_init(struct standin_state *state)
{
        *state = (struct standin_state){ 0 };
        pthread_mutex_init(&state->lock, NULL);
}

static void backup_free(struct standin_backup *backup)
{
        free(backup->database);
        free(backup->name);
        free(backup->description);
        free(backup->media_name);
        free(backup->media_description);
        free(backup->user);
        for (uint32_t i = 0; i < backup->device_count; i++)
                free(backup->devices[i]);
}

static void restore_free(struct standin_restore *restore)
{
        free(restore->database);
        free(restore->user);
}

void standin_state_deinit(struct standin_state *state)
{
        for (size_t i = 0; i < state->database_count; i++) {
                free(state->databases[i].name);
                free(state->databases[i].path);
        }
        for (size_t i = 0; i < state->backup_count; i++)
                backup_free(&state->backups[i]);
        for (size_t i = 0; i < state->restore_count; i++)
                restore_free(&state->restores[i]);
        free(state->databases);
        free(state->backups);
        free(state->restores);
        pthread_mutex_destroy(&state->lock);
}

void standin_now(char text[STANDIN_TIME_MAX])
{
        struct timespec now;
        struct tm local;
        size_t used;

        clock_gettime(CLOCK_REALTIME, &now);
        localtime_r(&now.tv_sec, &local);
        used = strftime(text, STANDIN_TIME_MAX, "%Y-%m-%d %H:%M:%S", &local);
        snprintf(text + used, STANDIN_TIME_MAX - used, ".%03ld", now.tv_nsec / 1000000);
}

/* ---- databases ---- */

int standin_system_database(const char *name)
{
        static const char *const names[] = { "master", "tempdb", "model", "msdb" };

        for (int i = 0; i < STANDIN_FIRST_DATABASE - 1; i++)
                if (strcasecmp(names[i], name) == 0)
                        return i + 1;
        return 0;
}

/* A log begins somewhere, and the first number of it is not 0. */
enum {
        LSN_BLOCK = 100000,
        /* Blocks of log that are written in between, by a log backup, a backup of data, a restore. */
        ACTIVITY_BLOCKS = 40,
        LOG_BLOCKS = 8,
        FULL_BLOCKS = 16,
        RESTORE_BLOCKS = 1000,
};
#define LSN_START INT64_C(37000000010000001)

/* Under the lock. */
static struct standin_db *state_find(const struct standin_state *state, const char *name)
{
        for (size_t i = 0; i < state->database_count; i++)
                if (strcasecmp(state->databases[i].name, name) == 0)
                        return &state->databases[i];
        return NULL;
}

/* The same database has the same family whenever a server is started: an FNV-1a hash of where it is, written as a UUID
 * of the kind that is made as one likes (8). */
static void db_make_family(const struct standin_db *db, char text[IDENT_UUID_SIZE])
{
        const char *parts[] = { db->name, db->path ? db->path : "" };
        uint64_t hash[2] = { UINT64_C(0xcbf29ce484222325), UINT64_C(0x84222325cbf29ce4) };

        for (int i = 0; i < 2; i++)
                for (int part = 0; part < 2; part++)
                        for (const char *c = parts[part];; c++) {
                                hash[i] = (hash[i] ^ (uint8_t)*c) * UINT64_C(0x100000001b3);
                                if (!*c)
                                        break;
                        }
        snprintf(text, IDENT_UUID_SIZE, "%08" PRIx32 "-%04x-8%03x-8%03x-%012" PRIx64, (uint32_t)(hash[0] >> 32),
                 (unsigned)(hash[0] >> 16) & 0xffff, (unsigned)hash[0] & 0xfff, (unsigned)(hash[1] >> 48) & 0xfff,
                 hash[1] & UINT64_C(0xffffffffffff));
}

static int db_set_path(struct standin_db *db, const char *path)
{
        char *copy = NULL;

        if (!path)
                return 0;
        copy = strdup(path);
        if (!copy)
                return -1;
        free(db->path);
        db->path = copy;
        return 0;
}

/* Under the lock. */
static struct standin_db *state_add(struct standin_state *state, const char *name, const char *path)
{
        struct standin_db db = { .id = STANDIN_FIRST_DATABASE + (int)state->database_count, .lsn = LSN_START };
        struct standin_db *grown;

        if (state->database_count == STANDIN_DATABASES_MAX)
                return NULL;
        grown = reallocarray(state->databases, state->database_count + 1, sizeof *grown);
        if (!grown)
                return NULL;
        state->databases = grown;
        db.name = strdup(name);
        if (!db.name || db_set_path(&db, path) < 0) {
                free(db.name);
                return NULL;
        }
        standin_now(db.created);
        db_make_family(&db, db.family);
        ident_uuid(db.fork);
        grown[state->database_count] = db;
        return &grown[state->database_count++];
}

int standin_add_database(struct standin_state *state, const char *name, const char *path)
{
        struct standin_db *db;
        int rc = 0;

        pthread_mutex_lock(&state->lock);
        db = state_find(state, name);
        if (db)
                rc = db_set_path(db, path);
        else
                rc = state_add(state, name, path) ? 0 : -1;
        pthread_mutex_unlock(&state->lock);
        return rc;
}

bool standin_find_database(struct standin_state *state, const char *name, char **ret_name, char **ret_path,
                           enum standin_db_state *ret_state)
{
        const struct standin_db *db;
        bool found = false;

        pthread_mutex_lock(&state->lock);
        db = state_find(state, name);
        if (db) {
                CLEANUP(freep) char *copy = strdup(db->name);
                char *path = ret_path && db->path ? strdup(db->path) : NULL;

                found = copy && (path || !ret_path || !db->path);
                if (ret_path)
                        *ret_path = path;
                if (ret_name)
                        *ret_name = take_ptr(&copy);
                if (ret_state)
                        *ret_state = db->state;
        }
        pthread_mutex_unlock(&state->lock);
        return found;
}

/* ---- history ---- */

enum server_message_id standin_check_sequence(struct standin_state *state, const struct statement *statement)
{
        enum server_message_id id = MESSAGE_COUNT;
        const struct standin_db *db;

        if (!statement_is_backup(statement->verb))
                return id;
        pthread_mutex_lock(&state->lock);
        db = state_find(state, statement->database);
        if (db && db->state != STANDIN_ONLINE)
                id = MESSAGE_RESTORING;
        else if (db && statement->verb == STATEMENT_BACKUP_LOG && !db->log_lsn)
                id = MESSAGE_NO_LOG_CHAIN;
        else if (db && statement->given[OPTION_DIFFERENTIAL] && !db->base_lsn)
                id = MESSAGE_DIFFERENTIAL;
        pthread_mutex_unlock(&state->lock);
        return id;
}

static int64_t db_advance(struct standin_db *db, int blocks)
{
        db->lsn += (int64_t)blocks * LSN_BLOCK;
        return db->lsn;
}

static char statement_type(const struct statement *statement)
{
        if (statement->verb == STATEMENT_BACKUP_LOG || statement->verb == STATEMENT_RESTORE_LOG)
                return 'L';
        if (statement->verb == STATEMENT_VERIFYONLY)
                return 'V';
        return statement->given[OPTION_DIFFERENTIAL] ? 'I' : 'D';
}

/* As SQL Server chains them: a log begins where the one before ended, the first one with the first full backup; a
 * differential and a log name the checkpoint of the last full backup that counts. */
static void db_add_to_sequence(struct standin_db *db, struct standin_backup *backup)
{
        bool counts = !backup->copy_only;

        db_advance(db, ACTIVITY_BLOCKS);
        backup->database_lsn = db->base_lsn;
        if (backup->type == 'L') {
                backup->first_lsn = db->log_lsn;
                backup->checkpoint_lsn = db->base_lsn;
                backup->last_lsn = db_advance(db, LOG_BLOCKS);
                db->log_lsn = counts ? backup->last_lsn : db->log_lsn;
                return;
        }
        backup->first_lsn = backup->checkpoint_lsn = db->lsn;
        backup->last_lsn = db_advance(db, FULL_BLOCKS);
        if (backup->type == 'I') {
                backup->base_lsn = db->base_lsn;
                memcpy(backup->base, db->base, sizeof backup->base);
                return;
        }
        backup->begins_chain = !db->log_lsn;
        if (!db->log_lsn)
                db->log_lsn = backup->first_lsn;
        if (counts) {
                db->base_lsn = backup->checkpoint_lsn;
                memcpy(db->base, backup->uuid, sizeof db->base);
        }
}

static bool text_copy(char **to, const char *from)
{
        *to = from ? strdup(from) : NULL;
        return *to || !from;
}

static bool backup_fill(struct standin_backup *backup, const struct standin_db *db, const struct standin_deed *deed)
{
        const struct statement *statement = deed->statement;
        bool sound = text_copy(&backup->database, db->name) && text_copy(&backup->user, deed->user) &&
                     text_copy(&backup->name, statement->texts[OPTION_NAME]) &&
                     text_copy(&backup->description, statement->texts[OPTION_DESCRIPTION]) &&
                     text_copy(&backup->media_name, statement->texts[OPTION_MEDIANAME]) &&
                     text_copy(&backup->media_description, statement->texts[OPTION_MEDIADESCRIPTION]);

        for (uint32_t i = 0; i < statement->device_count; i++, backup->device_count++)
                sound = text_copy(&backup->devices[i], statement->devices[i]) && sound;
        backup->type = statement_type(statement);
        backup->copy_only = statement->given[OPTION_COPY_ONLY];
        backup->checksums = statement->given[OPTION_CHECKSUM];
        backup->block_size = (uint32_t)statement->numbers[OPTION_BLOCKSIZE];
        backup->size = deed->size;
        memcpy(backup->started, deed->started, sizeof backup->started);
        memcpy(backup->database_created, db->created, sizeof backup->database_created);
        memcpy(backup->family, db->family, sizeof backup->family);
        memcpy(backup->fork, db->fork, sizeof backup->fork);
        standin_now(backup->finished);
        ident_uuid(backup->uuid);
        ident_uuid(backup->media);
        return sound;
}

void standin_record_backup(struct standin_state *state, const struct standin_deed *deed)
{
        struct standin_backup backup = { 0 };
        struct standin_backup *grown;
        struct standin_db *db;

        pthread_mutex_lock(&state->lock);
        if (state->backup_count == STANDIN_HISTORY_MAX) {
                backup_free(&state->backups[0]);
                memmove(state->backups, state->backups + 1, --state->backup_count * sizeof *state->backups);
        }
        db = state_find(state, deed->statement->database);
        grown = reallocarray(state->backups, state->backup_count + 1, sizeof *grown);
        if (grown)
                state->backups = grown;
        if (grown && db && backup_fill(&backup, db, deed)) {
                db_add_to_sequence(db, &backup);
                backup.id = ++state->last_backup_id;
                grown[state->backup_count++] = backup;
                if (deed->statement->given[OPTION_NORECOVERY])
                        db->state = STANDIN_RESTORING;
        } else {
                backup_free(&backup);
        }
        pthread_mutex_unlock(&state->lock);
}

static void state_add_restore(struct standin_state *state, const struct standin_deed *deed)
{
        const struct statement *statement = deed->statement;
        struct standin_restore restore = {
                .type = statement_type(statement),
                .replaced = statement->given[OPTION_REPLACE],
                .recovered = !statement->given[OPTION_NORECOVERY] && !statement->given[OPTION_STANDBY],
        };
        struct standin_restore *grown;

        if (state->restore_count == STANDIN_HISTORY_MAX) {
                restore_free(&state->restores[0]);
                memmove(state->restores, state->restores + 1, --state->restore_count * sizeof *state->restores);
        }
        grown = reallocarray(state->restores, state->restore_count + 1, sizeof *grown);
        if (grown)
                state->restores = grown;
        standin_now(restore.date);
        if (text_copy(&restore.database, statement->database) && text_copy(&restore.user, deed->user) && grown) {
                restore.id = ++state->last_restore_id;
                grown[state->restore_count++] = restore;
        } else {
                restore_free(&restore);
        }
}

/* What is restored goes its own way: another fork, and nothing that backups could build on. */
void standin_record_restore(struct standin_state *state, const struct standin_deed *deed)
{
        const struct statement *statement = deed->statement;
        struct standin_db *db;

        pthread_mutex_lock(&state->lock);
        db = statement->database ? state_find(state, statement->database) : NULL;
        if (db)
                db_set_path(db, deed->path);
        else if (statement->database)
                db = state_add(state, statement->database, deed->path);
        if (db) {
                db->state = statement->given[OPTION_NORECOVERY] ? STANDIN_RESTORING
                            : statement->given[OPTION_STANDBY]  ? STANDIN_STANDBY
                                                                : STANDIN_ONLINE;
                ident_uuid(db->fork);
                db_advance(db, RESTORE_BLOCKS);
                db->base_lsn = 0;
                db->log_lsn = 0;
        }
        state_add_restore(state, deed);
        pthread_mutex_unlock(&state->lock);
}

/* ---- sessions ---- */

void standin_list_activity(struct standin_state *state, struct standin_activity *activity)
{
        struct standin_activity **at;

        pthread_mutex_lock(&state->lock);
        activity->session_id = STANDIN_FIRST_SESSION;
        for (at = &state->activities; *at && (*at)->session_id == activity->session_id; at = &(*at)->next)
                activity->session_id++;
        activity->next = *at;
        *at = activity;
        pthread_mutex_unlock(&state->lock);
}

void standin_unlist_activity(struct standin_state *state, struct standin_activity *activity)
{
        pthread_mutex_lock(&state->lock);
        for (struct standin_activity **at = &state->activities; *at; at = &(*at)->next) {
                if (*at != activity)
                        continue;
                *at = activity->next;
                break;
        }
        pthread_mutex_unlock(&state->lock);
        free(activity->user);
        free(activity->host);
        free(activity->application);
        free(activity->database);
        free(activity->text);
}

void standin_begin_activity(struct standin_state *state, struct standin_activity *activity, const char *command,
                            const char *text)
{
        pthread_mutex_lock(&state->lock);
        free(activity->text);
        activity->text = strdup(text);
        activity->is_running = true;
        activity->percent = 0;
        activity->wait_type = NULL;
        activity->blocked_by = 0;
        activity->started_ns = monotonic_ns();
        standin_now(activity->started);
        snprintf(activity->command, sizeof activity->command, "%s", command);
        pthread_mutex_unlock(&state->lock);
}

void standin_end_activity(struct standin_state *state, struct standin_activity *activity)
{
        pthread_mutex_lock(&state->lock);
        activity->is_running = false;
        activity->wait_type = NULL;
        activity->blocked_by = 0;
        pthread_mutex_unlock(&state->lock);
}

void standin_set_wait(struct standin_state *state, struct standin_activity *activity, const char *wait_type,
                      int blocked_by)
{
        pthread_mutex_lock(&state->lock);
        activity->wait_type = wait_type;
        activity->blocked_by = blocked_by;
        pthread_mutex_unlock(&state->lock);
}

void standin_set_percent(struct standin_state *state, struct standin_activity *activity, double percent)
{
        pthread_mutex_lock(&state->lock);
        activity->percent = percent;
        pthread_mutex_unlock(&state->lock);
}

void standin_set_database(struct standin_state *state, struct standin_activity *activity, const char *name)
{
        pthread_mutex_lock(&state->lock);
        free(activity->database);
        activity->database = strdup(name);
        pthread_mutex_unlock(&state->lock);
}

bool standin_database_in_use(struct standin_state *state, const char *name, const struct standin_activity *own)
{
        bool in_use = false;

        pthread_mutex_lock(&state->lock);
        for (const struct standin_activity *at = state->activities; at; at = at->next)
                in_use = in_use || (at != own && at->database && strcasecmp(at->database, name) == 0);
        pthread_mutex_unlock(&state->lock);
        return in_use;
}
