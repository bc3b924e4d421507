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

struct chain {
        const struct mssql_backup_record *records;
        size_t count;
        struct mssql_step *steps; /* by record until the end */
        size_t *logs;             /* those that may apply, as they begin */
        size_t log_count;
        struct fork forks[FORKS_MAX];
        size_t fork_count;
};

/* What one full backup leads to. */
struct route {
        size_t full;
        size_t diff;          /* SIZE_MAX: none */
        const char *data_lsn; /* where the data backups end */
        const char *end_lsn;  /* where the logs end */
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

static bool same_text(const char *a, const char *b)
{
        return *a && strcasecmp(a, b) == 0;
}

bool mssql_record_same_database(const struct mssql_backup_record *a, const struct mssql_backup_record *b)
{
        if (*a->family && *b->family)
                return same_text(a->family, b->family);
        return strcmp(a->database, b->database) == 0 && strcmp(a->server, b->server) == 0;
}

/* ---- the path of recovery forks ---- */

static const struct mssql_backup_record *newest_record(const struct chain *chain)
{
        const struct mssql_backup_record *newest = NULL;

        for (size_t i = 0; i < chain->count; i++) {
                const struct mssql_backup_record *record = &chain->records[i];

                if (chain->steps[i].state == MSSQL_STEP_FOREIGN || !*record->last_recovery_fork)
                        continue;
                if (!newest || strcmp(record->started, newest->started) > 0)
                        newest = record;
        }
        return newest;
}

static const struct fork *find_fork(const struct chain *chain, const char *guid)
{
        for (size_t i = 0; i < chain->fork_count; i++)
                if (same_text(chain->forks[i].guid, guid))
                        return &chain->forks[i];
        return NULL;
}

/* The record that leads from another fork to this one. */
static const struct mssql_backup_record *find_branch(const struct chain *chain, const char *guid)
{
        for (size_t i = 0; i < chain->count; i++) {
                const struct mssql_backup_record *record = &chain->records[i];

                if (chain->steps[i].state != MSSQL_STEP_FOREIGN && same_text(record->last_recovery_fork, guid) &&
                    *record->first_recovery_fork && !same_text(record->first_recovery_fork, guid) &&
                    !find_fork(chain, record->first_recovery_fork))
                        return record;
        }
        return NULL;
}

static void find_path(struct chain *chain)
{
        const struct mssql_backup_record *newest = newest_record(chain);
        struct fork fork = { .guid = newest ? newest->last_recovery_fork : NULL };

        while (fork.guid && chain->fork_count < FORKS_MAX) {
                const struct mssql_backup_record *branch;

                chain->forks[chain->fork_count++] = fork;
                branch = find_branch(chain, fork.guid);
                fork = (struct fork){ .guid = branch ? branch->first_recovery_fork : NULL,
                                      .end_lsn = branch ? branch->fork_point_lsn : NULL };
        }
}

/* A record that names no fork is from a server that does not know them. */
static bool is_on_path(const struct chain *chain, const struct mssql_backup_record *record)
{
        const struct fork *fork = find_fork(chain, record->last_recovery_fork);

        if (!*record->last_recovery_fork)
                return true;
        return fork && (!fork->end_lsn || mssql_lsn_compare(record->last_lsn, fork->end_lsn) <= 0);
}

/* ---- what follows what ---- */

static bool is_free(const struct chain *chain, size_t i, char type)
{
        return chain->steps[i].state == MSSQL_STEP_STATES && chain->records[i].type == type;
}

/* A walk along the logs, as the database gets further. */
struct walk {
        size_t next; /* in chain->logs */
        size_t best; /* of those passed, what leads furthest; SIZE_MAX: none */
};

#define WALK_INIT                \
        {                        \
                .best = SIZE_MAX \
        }

/* The log backup that takes the database furthest from `lsn`; SIZE_MAX: none. */
static size_t next_log(const struct chain *chain, struct walk *walk, const char *lsn)
{
        const struct mssql_backup_record *records = chain->records;

        for (; walk->next < chain->log_count; walk->next++) {
                size_t log = chain->logs[walk->next];

                if (mssql_lsn_compare(records[log].first_lsn, lsn) > 0)
                        break;
                if (walk->best == SIZE_MAX ||
                    mssql_lsn_compare(records[log].last_lsn, records[walk->best].last_lsn) > 0)
                        walk->best = log;
        }
        if (walk->best == SIZE_MAX || mssql_lsn_compare(records[walk->best].last_lsn, lsn) <= 0)
                return SIZE_MAX;
        return walk->best;
}

/* By its identity, or where a server keeps none, by its checkpoint. */
static bool is_base(const struct mssql_backup_record *full, const struct mssql_backup_record *diff)
{
        if (full->copy_only)
                return false;
        if (*diff->differential_base)
                return same_text(full->backup_set, diff->differential_base);
        return *diff->differential_base_lsn && *full->checkpoint_lsn &&
               mssql_lsn_compare(full->checkpoint_lsn, diff->differential_base_lsn) == 0;
}

static size_t find_diff(const struct chain *chain, size_t full)
{
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < chain->count; i++) {
                const struct mssql_backup_record *diff = &chain->records[i];

                if (!is_free(chain, i, 'I') || !is_base(&chain->records[full], diff))
                        continue;
                if (best == SIZE_MAX || mssql_lsn_compare(diff->last_lsn, chain->records[best].last_lsn) > 0)
                        best = i;
        }
        return best;
}

static struct route make_route(const struct chain *chain, size_t full)
{
        struct route route = { .full = full, .diff = find_diff(chain, full) };
        struct walk walk = WALK_INIT;
        size_t log;

        route.data_lsn = chain->records[route.diff == SIZE_MAX ? full : route.diff].last_lsn;
        route.end_lsn = route.data_lsn;
        while ((log = next_log(chain, &walk, route.end_lsn)) != SIZE_MAX)
                route.end_lsn = chain->records[log].last_lsn;
        return route;
}

/* The one that leads furthest; then with the least to roll forward; then from the newer full backup. */
static bool is_better(const struct chain *chain, const struct route *a, const struct route *b)
{
        int order = mssql_lsn_compare(a->end_lsn, b->end_lsn);

        if (order == 0)
                order = mssql_lsn_compare(a->data_lsn, b->data_lsn);
        if (order == 0)
                order = mssql_lsn_compare(chain->records[a->full].last_lsn, chain->records[b->full].last_lsn);
        return order > 0;
}

static struct route best_route(const struct chain *chain)
{
        struct route best = { .full = SIZE_MAX };

        for (size_t i = 0; i < chain->count; i++) {
                struct route route;

                if (!is_free(chain, i, 'D'))
                        continue;
                route = make_route(chain, i);
                if (best.full == SIZE_MAX || is_better(chain, &route, &best))
                        best = route;
        }
        return best;
}

/* ---- the steps ---- */

static void sort_out(struct chain *chain)
{
        for (size_t i = 0; i < chain->count; i++) {
                chain->steps[i] = (struct mssql_step){ .record = i, .state = MSSQL_STEP_STATES };
                if (!mssql_record_same_database(&chain->records[0], &chain->records[i]))
                        chain->steps[i].state = MSSQL_STEP_FOREIGN;
        }
        find_path(chain);
        for (size_t i = 0; i < chain->count; i++) {
                const struct mssql_backup_record *record = &chain->records[i];
                enum mssql_step_state *state = &chain->steps[i].state;

                if (*state == MSSQL_STEP_FOREIGN)
                        continue;
                if (!record->type || !strchr("DIL", record->type) || !*record->first_lsn || !*record->last_lsn)
                        *state = MSSQL_STEP_UNKNOWN;
                else if (!is_on_path(chain, record))
                        *state = MSSQL_STEP_FORK;
                else if (record->damaged)
                        *state = MSSQL_STEP_DAMAGED;
                for (size_t j = 0; j < i && *state == MSSQL_STEP_STATES; j++)
                        if (same_text(record->backup_set, chain->records[j].backup_set))
                                *state = MSSQL_STEP_COVERED;
        }
}

static int compare_beginnings(const void *a_index, const void *b_index, void *context)
{
        const struct mssql_backup_record *records = context;
        size_t a = *(const size_t *)a_index;
        size_t b = *(const size_t *)b_index;
        int order = mssql_lsn_compare(records[a].first_lsn, records[b].first_lsn);

        return order ? order : a < b ? -1 : 1;
}

static int sort_logs(struct chain *chain)
{
        chain->logs = calloc(chain->count, sizeof *chain->logs);
        if (!chain->logs)
                return -1;
        for (size_t i = 0; i < chain->count; i++)
                if (is_free(chain, i, 'L'))
                        chain->logs[chain->log_count++] = i;
        qsort_r(chain->logs, chain->log_count, sizeof *chain->logs, compare_beginnings,
                (void *)(uintptr_t)chain->records);
        return 0;
}

/* Marks what applies. Returns how many do. */
static size_t apply(struct chain *chain, const struct route *route)
{
        const char *lsn = route->data_lsn;
        struct walk walk = WALK_INIT;
        size_t used = 0;
        size_t log;

        if (route->full == SIZE_MAX)
                return 0;
        chain->steps[route->full].state = MSSQL_STEP_APPLIES;
        used++;
        if (route->diff != SIZE_MAX) {
                chain->steps[route->diff].state = MSSQL_STEP_APPLIES;
                used++;
        }
        for (; (log = next_log(chain, &walk, lsn)) != SIZE_MAX; used++) {
                chain->steps[log].state = MSSQL_STEP_APPLIES;
                lsn = chain->records[log].last_lsn;
        }
        return used;
}

static bool base_is_given(const struct chain *chain, const struct mssql_backup_record *diff)
{
        for (size_t i = 0; i < chain->count; i++)
                if (chain->records[i].type == 'D' && chain->steps[i].state != MSSQL_STEP_FOREIGN &&
                    is_base(&chain->records[i], diff))
                        return true;
        return false;
}

__attribute__((format(printf, 2, 3))) static void mark_gap(struct mssql_step *step, const char *missing, ...)
{
        va_list words;

        step->state = MSSQL_STEP_GAP;
        va_start(words, missing);
        vsnprintf(step->missing, sizeof step->missing, missing, words);
        va_end(words);
}

static void mark_data(struct chain *chain, const struct route *route)
{
        for (size_t i = 0; i < chain->count; i++) {
                const struct mssql_backup_record *record = &chain->records[i];
                struct mssql_step *step = &chain->steps[i];

                if (is_free(chain, i, 'D'))
                        step->state = MSSQL_STEP_COVERED;
                if (!is_free(chain, i, 'I'))
                        continue;
                if (base_is_given(chain, record) ||
                    (route->full != SIZE_MAX && mssql_lsn_compare(record->last_lsn, route->end_lsn) <= 0))
                        step->state = MSSQL_STEP_COVERED;
                else if (*record->differential_base)
                        mark_gap(step, "the full backup %s", record->differential_base);
                else
                        mark_gap(step, "the full backup with checkpoint LSN %s", record->differential_base_lsn);
        }
}

/* Log backups behind one gap all wait for the same. */
static void mark_logs(struct chain *chain, const struct route *route)
{
        const char *lsn = route->full == SIZE_MAX ? NULL : route->end_lsn;
        const struct mssql_step *gap = NULL;

        for (size_t i = 0; i < chain->log_count; i++) {
                const struct mssql_backup_record *log = &chain->records[chain->logs[i]];
                struct mssql_step *step = &chain->steps[chain->logs[i]];

                if (step->state == MSSQL_STEP_APPLIES)
                        continue;
                if (!lsn) {
                        mark_gap(step, "a full backup");
                        continue;
                }
                if (mssql_lsn_compare(log->first_lsn, lsn) > 0) {
                        mark_gap(step, "the log from LSN %s to LSN %s", lsn, log->first_lsn);
                        gap = step;
                } else if (gap) {
                        mark_gap(step, "%s", gap->missing);
                } else {
                        step->state = MSSQL_STEP_COVERED;
                }
                if (mssql_lsn_compare(log->last_lsn, lsn) > 0)
                        lsn = log->last_lsn;
        }
}

/* The place in a restore: full, differential, logs as they end. */
static int compare_applying(const struct mssql_backup_record *a, const struct mssql_backup_record *b)
{
        static const char types[] = "DIL";
        long order = strchr(types, a->type) - strchr(types, b->type);

        return order ? (int)order : mssql_lsn_compare(a->last_lsn, b->last_lsn);
}

static int compare_steps(const void *a_step, const void *b_step, void *context)
{
        const struct mssql_step *a = a_step;
        const struct mssql_step *b = b_step;
        const struct mssql_backup_record *records = context;
        int order = (int)a->state - (int)b->state;

        if (order == 0 && a->state == MSSQL_STEP_APPLIES)
                return compare_applying(&records[a->record], &records[b->record]);
        if (order == 0)
                order = mssql_lsn_compare(records[a->record].first_lsn, records[b->record].first_lsn);
        return order ? order : a->record < b->record ? -1 : 1;
}

int mssql_chain(const struct mssql_backup_record *records, size_t count, struct mssql_step *steps, size_t *ret_used,
                const char **ret_lsn)
{
        struct chain chain = { .records = records, .count = count, .steps = steps };
        struct route route;

        *ret_used = 0;
        *ret_lsn = "";
        if (count == 0)
                return 0;
        sort_out(&chain);
        if (sort_logs(&chain) < 0)
                return -1;
        route = best_route(&chain);
        *ret_used = apply(&chain, &route);
        if (*ret_used > 0)
                *ret_lsn = route.end_lsn;
        mark_data(&chain, &route);
        mark_logs(&chain, &route);
        free(chain.logs);
        qsort_r(steps, count, sizeof *steps, compare_steps, (void *)(uintptr_t)records);
        return 0;
}
