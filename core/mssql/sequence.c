/*
 * A restore takes a database to a log sequence number: a full or differential backup to its last_lsn, a log backup from
 * any number in [first_lsn, last_lsn) to its last_lsn. last_lsn is that of the next record, which is not in the backup.
 *
 * A restore to a point in time starts a new recovery fork. A log backup that was taken across one has both: it follows
 * the first up to fork_point_lsn, and the last from there on. The path to a fork is the list of its ancestors; what
 * runs past the point where the next one branches off is not on it.
 */
#include "core/mssql/history.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FORKS_MAX = 64 }; /* ancestors that are looked at */

/* One fork of the path, and where the path leaves it. */
struct fork {
        const char *guid;
        const char *end_lsn; /* NULL: nowhere, it is the newest */
};

struct sequence {
        const struct mssql_backup_record *records;
        size_t count;
        struct mssql_step *steps;                /* by record until the end */
        const struct mssql_backup_record **logs; /* those that may apply, as they begin */
        size_t log_count;
        struct fork forks[FORKS_MAX];
        size_t fork_count;
};

/* What one full backup leads to. */
struct route {
        const struct mssql_backup_record *full; /* NULL: there is none */
        const struct mssql_backup_record *diff; /* NULL: none */
        const char *data_lsn;                   /* where the data backups end */
        const char *end_lsn;                    /* where the logs end */
};

const char *mssql_step_state_name(enum mssql_step_state state)
{
        static const char *const names[MSSQL_STEP_STATES] = {
                [MSSQL_STEP_APPLIES] = "applies", [MSSQL_STEP_COVERED] = "covered", [MSSQL_STEP_GAP] = "gap",
                [MSSQL_STEP_FORK] = "fork",       [MSSQL_STEP_FOREIGN] = "foreign", [MSSQL_STEP_DAMAGED] = "damaged",
                [MSSQL_STEP_UNKNOWN] = "unknown",
        };

        return names[state];
}

static bool guid_equal(const char *a, const char *b)
{
        return *a && strcasecmp(a, b) == 0;
}

bool mssql_record_same_database(const struct mssql_backup_record *a, const struct mssql_backup_record *b)
{
        if (*a->family && *b->family)
                return guid_equal(a->family, b->family);
        return strcmp(a->database, b->database) == 0 && strcmp(a->server, b->server) == 0;
}

static struct mssql_step *sequence_step(const struct sequence *sequence, const struct mssql_backup_record *record)
{
        return &sequence->steps[record - sequence->records];
}

/* ---- the path of recovery forks ---- */

static const struct mssql_backup_record *sequence_newest(const struct sequence *sequence)
{
        const struct mssql_backup_record *newest = NULL;

        for (size_t i = 0; i < sequence->count; i++) {
                const struct mssql_backup_record *record = &sequence->records[i];

                if (sequence->steps[i].state == MSSQL_STEP_FOREIGN || !*record->last_recovery_fork)
                        continue;
                if (!newest || strcmp(record->started, newest->started) > 0)
                        newest = record;
        }
        return newest;
}

static const struct fork *sequence_find_fork(const struct sequence *sequence, const char *guid)
{
        for (size_t i = 0; i < sequence->fork_count; i++)
                if (guid_equal(sequence->forks[i].guid, guid))
                        return &sequence->forks[i];
        return NULL;
}

/* The record that leads from another fork to this one. */
static const struct mssql_backup_record *sequence_find_branch(const struct sequence *sequence, const char *guid)
{
        for (size_t i = 0; i < sequence->count; i++) {
                const struct mssql_backup_record *record = &sequence->records[i];

                if (sequence->steps[i].state != MSSQL_STEP_FOREIGN && guid_equal(record->last_recovery_fork, guid) &&
                    *record->first_recovery_fork && !guid_equal(record->first_recovery_fork, guid) &&
                    !sequence_find_fork(sequence, record->first_recovery_fork))
                        return record;
        }
        return NULL;
}

static void sequence_find_path(struct sequence *sequence)
{
        const struct mssql_backup_record *newest = sequence_newest(sequence);
        struct fork fork = { .guid = newest ? newest->last_recovery_fork : NULL };

        while (fork.guid && sequence->fork_count < FORKS_MAX) {
                const struct mssql_backup_record *branch;

                sequence->forks[sequence->fork_count++] = fork;
                branch = sequence_find_branch(sequence, fork.guid);
                fork = (struct fork){ .guid = branch ? branch->first_recovery_fork : NULL,
                                      .end_lsn = branch ? branch->fork_point_lsn : NULL };
        }
}

/* A record that names no fork is from a server that does not know them. */
static bool sequence_is_on_path(const struct sequence *sequence, const struct mssql_backup_record *record)
{
        const struct fork *fork = sequence_find_fork(sequence, record->last_recovery_fork);

        if (!*record->last_recovery_fork)
                return true;
        return fork && (!fork->end_lsn || mssql_lsn_compare(record->last_lsn, fork->end_lsn) <= 0);
}

/* ---- what follows what ---- */

/* The next record of that type, behind `record` (NULL: the first), whose state is still open; NULL: there is none. */
static const struct mssql_backup_record *sequence_next(const struct sequence *sequence, char type,
                                                       const struct mssql_backup_record *record)
{
        const struct mssql_backup_record *end = sequence->records + sequence->count;

        for (record = record ? record + 1 : sequence->records; record < end; record++)
                if (sequence_step(sequence, record)->state == MSSQL_STEP_STATES && record->type == type)
                        return record;
        return NULL;
}

/* By its identity, or where a server keeps none, by its checkpoint. */
static bool record_is_base(const struct mssql_backup_record *full, const struct mssql_backup_record *diff)
{
        if (full->copy_only)
                return false;
        if (*diff->differential_base)
                return guid_equal(full->backup_set, diff->differential_base);
        return *diff->differential_base_lsn && *full->checkpoint_lsn &&
               mssql_lsn_compare(full->checkpoint_lsn, diff->differential_base_lsn) == 0;
}

static const struct mssql_backup_record *sequence_find_diff(const struct sequence *sequence,
                                                            const struct mssql_backup_record *full)
{
        const struct mssql_backup_record *best = NULL;

        for (const struct mssql_backup_record *diff = NULL; (diff = sequence_next(sequence, 'I', diff));)
                if (record_is_base(full, diff) && (!best || mssql_lsn_compare(diff->last_lsn, best->last_lsn) > 0))
                        best = diff;
        return best;
}

/* Goes along the logs from where the data backups end; of those that apply the one that leads furthest comes next.
 * With `mark` they are said to apply. Returns how many do. */
static size_t route_follow(const struct sequence *sequence, struct route *route, bool mark)
{
        const struct mssql_backup_record *best = NULL; /* of the logs passed */
        size_t next = 0;

        route->end_lsn = route->data_lsn;
        for (size_t used = 0;; used++) {
                for (; next < sequence->log_count; next++) {
                        const struct mssql_backup_record *log = sequence->logs[next];

                        if (mssql_lsn_compare(log->first_lsn, route->end_lsn) > 0)
                                break;
                        if (!best || mssql_lsn_compare(log->last_lsn, best->last_lsn) > 0)
                                best = log;
                }
                if (!best || mssql_lsn_compare(best->last_lsn, route->end_lsn) <= 0)
                        return used;
                route->end_lsn = best->last_lsn;
                if (mark)
                        sequence_step(sequence, best)->state = MSSQL_STEP_APPLIES;
        }
}

static struct route route_make(const struct sequence *sequence, const struct mssql_backup_record *full)
{
        struct route route = { .full = full, .diff = sequence_find_diff(sequence, full) };

        route.data_lsn = route.diff ? route.diff->last_lsn : full->last_lsn;
        route_follow(sequence, &route, /* mark= */ false);
        return route;
}

/* The one that leads furthest; then with the least to roll forward; then from the newer full backup. */
static bool route_is_better(const struct route *a, const struct route *b)
{
        int order = mssql_lsn_compare(a->end_lsn, b->end_lsn);

        if (order == 0)
                order = mssql_lsn_compare(a->data_lsn, b->data_lsn);
        if (order == 0)
                order = mssql_lsn_compare(a->full->last_lsn, b->full->last_lsn);
        return order > 0;
}

static struct route sequence_best_route(const struct sequence *sequence)
{
        struct route best = { .full = NULL };

        for (const struct mssql_backup_record *full = NULL; (full = sequence_next(sequence, 'D', full));) {
                struct route route = route_make(sequence, full);

                if (!best.full || route_is_better(&route, &best))
                        best = route;
        }
        return best;
}

/* ---- the steps ---- */

static void sequence_sort_out(struct sequence *sequence)
{
        for (size_t i = 0; i < sequence->count; i++) {
                sequence->steps[i] = (struct mssql_step){ .record = i, .state = MSSQL_STEP_STATES };
                if (!mssql_record_same_database(&sequence->records[0], &sequence->records[i]))
                        sequence->steps[i].state = MSSQL_STEP_FOREIGN;
        }
        sequence_find_path(sequence);
        for (size_t i = 0; i < sequence->count; i++) {
                const struct mssql_backup_record *record = &sequence->records[i];
                enum mssql_step_state *state = &sequence->steps[i].state;

                if (*state == MSSQL_STEP_FOREIGN)
                        continue;
                if (!record->type || !strchr("DIL", record->type) || !*record->first_lsn || !*record->last_lsn)
                        *state = MSSQL_STEP_UNKNOWN;
                else if (!sequence_is_on_path(sequence, record))
                        *state = MSSQL_STEP_FORK;
                else if (record->damaged)
                        *state = MSSQL_STEP_DAMAGED;
                for (size_t j = 0; j < i && *state == MSSQL_STEP_STATES; j++)
                        if (guid_equal(record->backup_set, sequence->records[j].backup_set))
                                *state = MSSQL_STEP_COVERED;
        }
}

static int record_compare_beginnings(const void *a_place, const void *b_place)
{
        const struct mssql_backup_record *a = *(const struct mssql_backup_record *const *)a_place;
        const struct mssql_backup_record *b = *(const struct mssql_backup_record *const *)b_place;
        int order = mssql_lsn_compare(a->first_lsn, b->first_lsn);

        return order ? order : a < b ? -1 : 1;
}

static int sequence_sort_logs(struct sequence *sequence)
{
        sequence->logs = calloc(sequence->count, sizeof(const struct mssql_backup_record *));
        if (!sequence->logs)
                return -1;
        for (const struct mssql_backup_record *log = NULL; (log = sequence_next(sequence, 'L', log));)
                sequence->logs[sequence->log_count++] = log;
        qsort(sequence->logs, sequence->log_count, sizeof(const struct mssql_backup_record *),
              record_compare_beginnings);
        return 0;
}

/* Marks what applies. Returns how many do. */
static size_t route_apply(const struct sequence *sequence, struct route *route)
{
        if (!route->full)
                return 0;
        sequence_step(sequence, route->full)->state = MSSQL_STEP_APPLIES;
        if (route->diff)
                sequence_step(sequence, route->diff)->state = MSSQL_STEP_APPLIES;
        return (route->diff ? 2 : 1) + route_follow(sequence, route, /* mark= */ true);
}

static bool sequence_has_base(const struct sequence *sequence, const struct mssql_backup_record *diff)
{
        for (size_t i = 0; i < sequence->count; i++)
                if (sequence->records[i].type == 'D' && sequence->steps[i].state != MSSQL_STEP_FOREIGN &&
                    record_is_base(&sequence->records[i], diff))
                        return true;
        return false;
}

__attribute__((format(printf, 2, 3))) static void step_mark_gap(struct mssql_step *step, const char *missing, ...)
{
        va_list words;

        step->state = MSSQL_STEP_GAP;
        va_start(words, missing);
        vsnprintf(step->missing, sizeof step->missing, missing, words);
        va_end(words);
}

static void sequence_mark_data(const struct sequence *sequence, const struct route *route)
{
        for (const struct mssql_backup_record *full = NULL; (full = sequence_next(sequence, 'D', full));)
                sequence_step(sequence, full)->state = MSSQL_STEP_COVERED;
        for (const struct mssql_backup_record *diff = NULL; (diff = sequence_next(sequence, 'I', diff));) {
                struct mssql_step *step = sequence_step(sequence, diff);

                if (sequence_has_base(sequence, diff) ||
                    (route->full && mssql_lsn_compare(diff->last_lsn, route->end_lsn) <= 0))
                        step->state = MSSQL_STEP_COVERED;
                else if (*diff->differential_base)
                        step_mark_gap(step, "the full backup %s", diff->differential_base);
                else
                        step_mark_gap(step, "the full backup with checkpoint LSN %s", diff->differential_base_lsn);
        }
}

/* Log backups behind one gap all wait for the same. */
static void sequence_mark_logs(const struct sequence *sequence, const struct route *route)
{
        const char *lsn = route->full ? route->end_lsn : NULL;
        const struct mssql_step *gap = NULL;

        for (size_t i = 0; i < sequence->log_count; i++) {
                const struct mssql_backup_record *log = sequence->logs[i];
                struct mssql_step *step = sequence_step(sequence, log);

                if (step->state == MSSQL_STEP_APPLIES)
                        continue;
                if (!lsn) {
                        step_mark_gap(step, "a full backup");
                        continue;
                }
                if (mssql_lsn_compare(log->first_lsn, lsn) > 0) {
                        step_mark_gap(step, "the log from LSN %s to LSN %s", lsn, log->first_lsn);
                        gap = step;
                } else if (gap) {
                        step_mark_gap(step, "%s", gap->missing);
                } else {
                        step->state = MSSQL_STEP_COVERED;
                }
                if (mssql_lsn_compare(log->last_lsn, lsn) > 0)
                        lsn = log->last_lsn;
        }
}

/* The place in a restore: full, differential, logs as they end. */
static int record_compare_applying(const struct mssql_backup_record *a, const struct mssql_backup_record *b)
{
        static const char types[] = "DIL";
        long order = strchr(types, a->type) - strchr(types, b->type);

        return order ? (int)order : mssql_lsn_compare(a->last_lsn, b->last_lsn);
}

static int step_compare(const void *a_step, const void *b_step, void *context)
{
        const struct mssql_step *a = a_step;
        const struct mssql_step *b = b_step;
        const struct mssql_backup_record *records = context;
        int order = (int)a->state - (int)b->state;

        if (order == 0 && a->state == MSSQL_STEP_APPLIES)
                return record_compare_applying(&records[a->record], &records[b->record]);
        if (order == 0)
                order = mssql_lsn_compare(records[a->record].first_lsn, records[b->record].first_lsn);
        return order ? order : a->record < b->record ? -1 : 1;
}

int mssql_sequence(const struct mssql_backup_record *records, size_t count, struct mssql_step *steps, size_t *ret_used,
                   const char **ret_lsn)
{
        struct sequence sequence = { .records = records, .count = count, .steps = steps };
        struct route route;

        *ret_used = 0;
        *ret_lsn = "";
        if (count == 0)
                return 0;
        sequence_sort_out(&sequence);
        if (sequence_sort_logs(&sequence) < 0)
                return -1;
        route = sequence_best_route(&sequence);
        *ret_used = route_apply(&sequence, &route);
        if (*ret_used > 0)
                *ret_lsn = route.end_lsn;
        sequence_mark_data(&sequence, &route);
        sequence_mark_logs(&sequence, &route);
        free(sequence.logs);
        qsort_r(steps, count, sizeof *steps, step_compare, (void *)(uintptr_t)records);
        return 0;
}
