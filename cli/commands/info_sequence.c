#include "cli/commands/info_sequence.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/text/json.h"
#include "cli/text/table.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"
#include "core/mssql/history.h"
#include "core/vds/abi.h"

/* One backup set and the files that hold its devices. */
struct sequence_backup {
        struct mssql_backup_record record;
        char stream_set[IDENT_UUID_SIZE]; /* "" in a stream without a header */
        uint32_t device_count;            /* 0: not known */
        uint64_t devices;                 /* one bit for each that is there */
        char **files;
        size_t file_count;
};

struct backup_sequence {
        struct sequence_backup *backups;
        size_t count;
};

/* The backups of one database: those that are whole, of which there are steps, and behind them the others. */
struct sequence_group {
        const struct mssql_backup_record *like; /* of any of them */
        const struct sequence_backup **backups;
        size_t total;
        struct mssql_backup_record *records; /* of the whole ones */
        struct mssql_step *steps;
        size_t count;
        size_t used;     /* steps that apply */
        const char *lsn; /* where they lead */
};

_Static_assert(VDS_DEVICES_MAX <= 64, "devices fit into a word");

/* ---- gathering ---- */

struct backup_sequence *backup_sequence_new(void)
{
        return calloc(1, sizeof(struct backup_sequence));
}

void backup_sequence_free(struct backup_sequence *sequence)
{
        if (!sequence)
                return;
        for (size_t i = 0; i < sequence->count; i++) {
                for (size_t j = 0; j < sequence->backups[i].file_count; j++)
                        free(sequence->backups[i].files[j]);
                free(sequence->backups[i].files);
        }
        free(sequence->backups);
        free(sequence);
}

static bool is_same_set(const struct sequence_backup *a, const struct sequence_backup *b)
{
        if (*a->record.backup_set && *b->record.backup_set)
                return strcasecmp(a->record.backup_set, b->record.backup_set) == 0;
        return *a->stream_set && strcmp(a->stream_set, b->stream_set) == 0;
}

static struct sequence_backup *sequence_find_or_add(struct backup_sequence *sequence,
                                                    const struct sequence_backup *like)
{
        struct sequence_backup *backups;

        for (size_t i = 0; i < sequence->count; i++)
                if (is_same_set(&sequence->backups[i], like))
                        return &sequence->backups[i];
        backups = reallocarray(sequence->backups, sequence->count + 1, sizeof *backups);
        if (!backups)
                return NULL;
        sequence->backups = backups;
        backups[sequence->count] = *like;
        return &backups[sequence->count++];
}

static int backup_add_file(struct sequence_backup *backup, const char *file)
{
        char **files = reallocarray(backup->files, backup->file_count + 1, sizeof *files);

        if (!files)
                return -1;
        backup->files = files;
        files[backup->file_count] = strdup(file);
        if (!files[backup->file_count])
                return -1;
        backup->file_count++;
        return 0;
}

int backup_sequence_add(struct backup_sequence *sequence, const char *file, const struct stream_info *info,
                        const char *report_json, struct error *err)
{
        struct sequence_backup like = { .device_count = info ? info->device_count : 0 };
        struct sequence_backup *backup;

        if (mssql_record_decode(report_json ? report_json : "", &like.record, err) < 0) {
                error_prefix(err, "'%s': ", file);
                err->code = ERR_FAILED;
                return -1;
        }
        if (info)
                memcpy(like.stream_set, info->set_id, sizeof like.stream_set);
        backup = sequence_find_or_add(sequence, &like);
        if (!backup || backup_add_file(backup, file) < 0)
                return error_no_memory(err);
        if (info && info->device < VDS_DEVICES_MAX)
                backup->devices |= UINT64_C(1) << info->device;
        return 0;
}

static uint32_t devices_there(const struct sequence_backup *backup)
{
        return (uint32_t)__builtin_popcountll(backup->devices);
}

static bool is_whole(const struct sequence_backup *backup)
{
        return devices_there(backup) >= backup->device_count;
}

/* ---- one database ---- */

static void group_deinit(struct sequence_group *group)
{
        free(group->backups);
        free(group->records);
        free(group->steps);
}

static int group_init(struct sequence_group *group, const struct backup_sequence *sequence,
                      const struct mssql_backup_record *like)
{
        *group = (struct sequence_group){ .like = like, .lsn = "" };
        group->backups = calloc(sequence->count, sizeof(const struct sequence_backup *));
        group->records = calloc(sequence->count, sizeof *group->records);
        group->steps = calloc(sequence->count, sizeof *group->steps);
        if (!group->backups || !group->records || !group->steps)
                return -1;
        for (int whole = 1; whole >= 0; whole--)
                for (size_t i = 0; i < sequence->count; i++) {
                        const struct sequence_backup *backup = &sequence->backups[i];

                        if (is_whole(backup) != whole || !mssql_record_same_database(&backup->record, like))
                                continue;
                        group->backups[group->total++] = backup;
                        if (whole)
                                group->records[group->count++] = backup->record;
                }
        return mssql_sequence(group->records, group->count, group->steps, &group->used, &group->lsn);
}

/* The i-th backup: the steps in their order, then what lacks devices, for which *ret_step is NULL. */
static const struct sequence_backup *group_backup(const struct sequence_group *group, size_t i,
                                                  const struct mssql_step **ret_step)
{
        *ret_step = i < group->count ? &group->steps[i] : NULL;
        return group->backups[*ret_step ? (*ret_step)->record : i];
}

static const char *record_type_name(char type)
{
        static const struct {
                char type;
                const char *name;
        } types[] = {
                { 'D', "full" },       { 'I', "diff" },    { 'L', "log" },          { 'F', "files" },
                { 'G', "files diff" }, { 'P', "partial" }, { 'Q', "partial diff" },
        };

        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
                if (types[i].type == type)
                        return types[i].name;
        return "?";
}

/* ---- for people ---- */

static const struct table_column group_columns[] = {
        { .head = "STEP", .number = true },
        { .head = "TYPE" },
        { .head = "STARTED" },
        { .head = "FIRST LSN", .number = true },
        { .head = "LAST LSN", .number = true },
        { .head = "FILES" },
        { .head = "REMARK" },
};

static char *backup_join_files(const struct sequence_backup *backup)
{
        char *text = NULL;
        size_t size;
        FILE *out = open_memstream(&text, &size);

        if (!out)
                return NULL;
        for (size_t i = 0; i < backup->file_count; i++)
                fprintf(out, "%s%s", i ? " " : "", backup->files[i]);
        if (fclose(out) == 0)
                return text;
        free(text);
        return NULL;
}

static void group_add_remark(struct table *table, const struct sequence_backup *backup, const struct mssql_step *step)
{
        static const char *const remarks[MSSQL_STEP_STATES] = {
                [MSSQL_STEP_APPLIES] = " ",
                [MSSQL_STEP_COVERED] = "not needed",
                [MSSQL_STEP_GAP] = "GAP: needs ",
                [MSSQL_STEP_FORK] = "of another recovery path",
                [MSSQL_STEP_FOREIGN] = "of another database",
                [MSSQL_STEP_DAMAGED] = "taken of a damaged database",
                [MSSQL_STEP_UNKNOWN] = "not worked out",
        };

        if (step)
                table_addf(table, "%s%s", remarks[step->state], step->missing);
        else
                table_addf(table, "INCOMPLETE: has %u of %u devices", devices_there(backup), backup->device_count);
}

static void group_add_rows(struct table *table, const struct sequence_group *group)
{
        for (size_t i = 0; i < group->total; i++) {
                const struct mssql_step *step;
                const struct sequence_backup *backup = group_backup(group, i, &step);
                const struct mssql_backup_record *record = &backup->record;
                CLEANUP(freep) char *files = backup_join_files(backup);

                if (i < group->used)
                        table_addf(table, "%zu", i + 1);
                else
                        table_add(table, "");
                table_addf(table, "%s%s", record_type_name(record->type), record->copy_only ? " copy-only" : "");
                table_add(table, record->started);
                table_add(table, record->first_lsn);
                table_add(table, record->last_lsn);
                table_add(table, files ? files : "");
                group_add_remark(table, backup, step);
        }
}

static int group_print_table(const struct sequence_group *group, FILE *out)
{
        CLEANUP(freep) char *database = text_escape(group->like->database, strlen(group->like->database));
        CLEANUP(freep) char *server = text_escape(group->like->server, strlen(group->like->server));
        struct table table;
        bool failed;

        table_init(&table, group_columns, sizeof group_columns / sizeof group_columns[0]);
        group_add_rows(&table, group);
        fprintf(out, "database %s of server %s\n", database ? database : "?", server ? server : "?");
        table_print(&table, out);
        failed = table.failed;
        table_deinit(&table);
        if (group->used > 0)
                fprintf(out, "restores to LSN %s\n\n", group->lsn);
        else
                fputs("nothing can be restored: there is no full backup\n\n", out);
        return failed ? -1 : 0;
}

/* ---- for programs ---- */

static json_t *backup_json(const struct sequence_backup *backup, const char *state)
{
        const struct mssql_backup_record *record = &backup->record;
        json_t *files = json_array();

        for (size_t i = 0; i < backup->file_count; i++)
                json_array_append_new(files, json_shown(backup->files[i]));
        return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:s, s:s, s:o}", "state", state, "type",
                         record_type_name(record->type), "backup_set", record->backup_set, "copy_only",
                         record->copy_only, "started", json_shown(record->started), "finished",
                         json_shown(record->finished), "first_lsn", record->first_lsn, "last_lsn", record->last_lsn,
                         "files", files);
}

static json_t *group_json(const struct sequence_group *group)
{
        json_t *backups = json_array();

        for (size_t i = 0; i < group->total; i++) {
                const struct mssql_step *step;
                const struct sequence_backup *backup = group_backup(group, i, &step);
                json_t *object = backup_json(backup, step ? mssql_step_state_name(step->state) : "incomplete");

                if (i < group->used)
                        json_add_number(object, "step", i + 1);
                if (step && *step->missing)
                        json_add_shown(object, "missing", step->missing);
                if (!step) {
                        json_add_number(object, "devices", backup->device_count);
                        json_add_number(object, "devices_there", devices_there(backup));
                }
                json_array_append_new(backups, object);
        }
        return json_pack("{s:o, s:o, s:s, s:o}", "database", json_shown(group->like->database), "server",
                         json_shown(group->like->server), "lsn", group->lsn, "backups", backups);
}

/* ---- the whole ---- */

/* Keeps the first reason why the database cannot be restored to the newest backup. */
static void group_judge(const struct sequence_group *group, struct error *verdict)
{
        struct error own = ERROR_INIT;

        if (group->used == 0)
                error_raise(&own, ERR_FAILED, "database '%s' has no full backup here", group->like->database);
        else if (group->total > group->count)
                error_raise(&own, ERR_FAILED, "'%s' is one of %u devices, and not all are given",
                            group->backups[group->count]->files[0], group->backups[group->count]->device_count);
        for (size_t i = group->used; i < group->count && !error_is_set(&own); i++) {
                const struct mssql_step *step;
                const struct sequence_backup *backup = group_backup(group, i, &step);

                if (step->state == MSSQL_STEP_GAP)
                        error_raise(&own, ERR_FAILED, "there is a gap before '%s': it needs %s", backup->files[0],
                                    step->missing);
                else if (step->state == MSSQL_STEP_DAMAGED &&
                         mssql_lsn_compare(backup->record.last_lsn, group->lsn) > 0)
                        error_raise(&own, ERR_FAILED,
                                    "'%s' was taken of a damaged database, and nothing stands in for it",
                                    backup->files[0]);
        }
        error_keep_first(verdict, &own);
}

/* Of those before it, only one that was shown itself has shown this one, too: what names no family may be akin to two
 * databases that are not akin to each other. */
static bool is_first_of_database(const struct backup_sequence *sequence, const bool *shown, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (shown[i] &&
                    mssql_record_same_database(&sequence->backups[i].record, &sequence->backups[index].record))
                        return false;
        return true;
}

int backup_sequence_print(const struct backup_sequence *sequence, bool json, FILE *out, struct error *err)
{
        CLEANUP(freep) bool *shown = calloc(sequence->count + 1, sizeof *shown);
        struct error verdict = ERROR_INIT;

        if (!shown)
                return error_no_memory(err);
        for (size_t i = 0; i < sequence->count; i++) {
                struct sequence_group group;
                int rc;

                shown[i] = is_first_of_database(sequence, shown, i);
                if (!shown[i])
                        continue;
                rc = group_init(&group, sequence, &sequence->backups[i].record);
                if (rc == 0)
                        rc = json ? json_print(group_json(&group), out, /* err= */ NULL)
                                  : group_print_table(&group, out);
                if (rc == 0)
                        group_judge(&group, &verdict);
                group_deinit(&group);
                if (rc < 0)
                        return error_no_memory(err);
        }
        return error_hand_over(err, &verdict);
}
