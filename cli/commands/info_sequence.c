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
struct backup {
        struct mssql_backup_record record;
        char stream_set[IDENT_UUID_SIZE]; /* "" in a stream without a header */
        uint32_t device_count;            /* 0: not known */
        uint64_t devices;                 /* one bit for each that is there */
        char **files;
        size_t file_count;
};

struct backup_chain {
        struct backup *backups;
        size_t count;
};

/* The backups of one database that are whole, and their steps. */
struct group {
        const struct backup **backups;
        struct mssql_backup_record *records;
        struct mssql_step *steps;
        size_t count;
        size_t used;     /* steps that apply */
        const char *lsn; /* where they lead */
};

_Static_assert(VDS_DEVICES_MAX <= 64, "devices fit into a word");

static int raise_memory(struct error *err)
{
        return error_no_memory(err);
}

/* ---- gathering ---- */

struct backup_chain *backup_chain_new(void)
{
        return calloc(1, sizeof(struct backup_chain));
}

void backup_chain_free(struct backup_chain *chain)
{
        if (!chain)
                return;
        for (size_t i = 0; i < chain->count; i++) {
                for (size_t j = 0; j < chain->backups[i].file_count; j++)
                        free(chain->backups[i].files[j]);
                free(chain->backups[i].files);
        }
        free(chain->backups);
        free(chain);
}

static bool same_set(const struct backup *a, const struct backup *b)
{
        if (*a->record.backup_set && *b->record.backup_set)
                return strcasecmp(a->record.backup_set, b->record.backup_set) == 0;
        return *a->stream_set && strcmp(a->stream_set, b->stream_set) == 0;
}

static struct backup *find_or_add(struct backup_chain *chain, const struct backup *like)
{
        struct backup *backups;

        for (size_t i = 0; i < chain->count; i++)
                if (same_set(&chain->backups[i], like))
                        return &chain->backups[i];
        backups = reallocarray(chain->backups, chain->count + 1, sizeof *backups);
        if (!backups)
                return NULL;
        chain->backups = backups;
        backups[chain->count] = *like;
        return &backups[chain->count++];
}

static int add_file(struct backup *backup, const char *file)
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

int backup_chain_add(struct backup_chain *chain, const char *file, const struct stream_info *info,
                     const char *report_json, struct error *err)
{
        struct backup like = { .device_count = info ? info->device_count : 0 };
        struct backup *backup;

        if (mssql_record_decode(report_json ? report_json : "", &like.record, err) < 0) {
                error_prefix(err, "'%s': ", file);
                err->code = ERR_FAILED;
                return -1;
        }
        if (info)
                memcpy(like.stream_set, info->set_id, sizeof like.stream_set);
        backup = find_or_add(chain, &like);
        if (!backup || add_file(backup, file) < 0)
                return raise_memory(err);
        if (info && info->device < VDS_DEVICES_MAX)
                backup->devices |= UINT64_C(1) << info->device;
        return 0;
}

static uint32_t devices_there(const struct backup *backup)
{
        return (uint32_t)__builtin_popcountll(backup->devices);
}

static bool is_whole(const struct backup *backup)
{
        return devices_there(backup) >= backup->device_count;
}

/* ---- one database ---- */

static void group_deinit(struct group *group)
{
        free(group->backups);
        free(group->records);
        free(group->steps);
}

static int group_init(struct group *group, const struct backup_chain *chain, const struct mssql_backup_record *like)
{
        *group = (struct group){ .lsn = "" };
        group->backups = calloc(chain->count, sizeof(const struct backup *));
        group->records = calloc(chain->count, sizeof *group->records);
        group->steps = calloc(chain->count, sizeof *group->steps);
        if (!group->backups || !group->records || !group->steps)
                return -1;
        for (size_t i = 0; i < chain->count; i++) {
                const struct backup *backup = &chain->backups[i];

                if (!mssql_record_same_database(&backup->record, like) || !is_whole(backup))
                        continue;
                group->backups[group->count] = backup;
                group->records[group->count++] = backup->record;
        }
        return mssql_sequence(group->records, group->count, group->steps, &group->used, &group->lsn);
}

static const char *type_name(char type)
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

static const struct table_column columns[] = {
        { .head = "STEP", .number = true },
        { .head = "TYPE" },
        { .head = "STARTED" },
        { .head = "FIRST LSN", .number = true },
        { .head = "LAST LSN", .number = true },
        { .head = "FILES" },
        { .head = "REMARK" },
};

static char *join_files(const struct backup *backup)
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

static void add_row(struct table *table, const char *step, const struct backup *backup, const char *remark)
{
        CLEANUP(freep) char *files = join_files(backup);
        const struct mssql_backup_record *record = &backup->record;

        table_add(table, step);
        table_addf(table, "%s%s", type_name(record->type), record->copy_only ? " copy-only" : "");
        table_add(table, record->started);
        table_add(table, record->first_lsn);
        table_add(table, record->last_lsn);
        table_add(table, files ? files : "");
        table_add(table, remark);
}

static void add_steps(struct table *table, const struct group *group)
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

        for (size_t i = 0; i < group->count; i++) {
                const struct mssql_step *step = &group->steps[i];
                char number[24] = "";
                char remark[sizeof step->missing + 32];

                if (i < group->used)
                        snprintf(number, sizeof number, "%zu", i + 1);
                snprintf(remark, sizeof remark, "%s%s", remarks[step->state], step->missing);
                add_row(table, number, group->backups[step->record], remark);
        }
}

static int print_table(const struct backup_chain *chain, const struct group *group,
                       const struct mssql_backup_record *like, FILE *out)
{
        CLEANUP(freep) char *database = text_escape(like->database, strlen(like->database));
        CLEANUP(freep) char *server = text_escape(like->server, strlen(like->server));
        struct table table;
        bool failed;

        table_init(&table, columns, sizeof columns / sizeof columns[0]);
        add_steps(&table, group);
        for (size_t i = 0; i < chain->count; i++) {
                const struct backup *backup = &chain->backups[i];
                char remark[64];

                if (is_whole(backup) || !mssql_record_same_database(&backup->record, like))
                        continue;
                snprintf(remark, sizeof remark, "INCOMPLETE: has %u of %u devices", devices_there(backup),
                         backup->device_count);
                add_row(&table, "", backup, remark);
        }
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

static json_t *backup_json(const struct backup *backup, const char *state)
{
        const struct mssql_backup_record *record = &backup->record;
        json_t *files = json_array();

        for (size_t i = 0; i < backup->file_count; i++)
                json_array_append_new(files, json_shown(backup->files[i]));
        return json_pack("{s:s, s:s, s:s, s:b, s:o, s:o, s:s, s:s, s:o}", "state", state, "type",
                         type_name(record->type), "backup_set", record->backup_set, "copy_only", record->copy_only,
                         "started", json_shown(record->started), "finished", json_shown(record->finished), "first_lsn",
                         record->first_lsn, "last_lsn", record->last_lsn, "files", files);
}

static json_t *steps_json(const struct backup_chain *chain, const struct group *group,
                          const struct mssql_backup_record *like)
{
        json_t *steps = json_array();

        for (size_t i = 0; i < group->count; i++) {
                const struct mssql_step *step = &group->steps[i];
                json_t *object =
                        backup_json(group->backups[step->record], mssql_step_state_name(group->steps[i].state));

                if (i < group->used)
                        json_object_set_new(object, "step", json_integer((json_int_t)i + 1));
                if (*step->missing)
                        json_object_set_new(object, "missing", json_shown(step->missing));
                json_array_append_new(steps, object);
        }
        for (size_t i = 0; i < chain->count; i++) {
                const struct backup *backup = &chain->backups[i];
                json_t *object;

                if (is_whole(backup) || !mssql_record_same_database(&backup->record, like))
                        continue;
                object = backup_json(backup, "incomplete");
                json_object_set_new(object, "devices", json_integer(backup->device_count));
                json_object_set_new(object, "devices_there", json_integer(devices_there(backup)));
                json_array_append_new(steps, object);
        }
        return steps;
}

static int print_json(const struct backup_chain *chain, const struct group *group,
                      const struct mssql_backup_record *like, FILE *out)
{
        return json_print(json_pack("{s:o, s:o, s:s, s:o}", "database", json_shown(like->database), "server",
                                    json_shown(like->server), "lsn", group->lsn, "backups",
                                    steps_json(chain, group, like)),
                          out, /* err= */ NULL);
}

/* ---- the whole ---- */

/* Keeps the first reason why the database cannot be restored to the newest backup. */
static void judge(const struct backup_chain *chain, const struct group *group, const struct mssql_backup_record *like,
                  struct error *verdict)
{
        struct error own = ERROR_INIT;

        for (size_t i = 0; i < chain->count && !error_is_set(&own); i++)
                if (!is_whole(&chain->backups[i]) && mssql_record_same_database(&chain->backups[i].record, like))
                        error_raise(&own, ERR_FAILED, "'%s' is one of %u devices, and not all are given",
                                    chain->backups[i].files[0], chain->backups[i].device_count);
        if (group->used == 0)
                error_raise(&own, ERR_FAILED, "database '%s' has no full backup here", like->database);
        for (size_t i = group->used; i < group->count && !error_is_set(&own); i++) {
                const struct mssql_step *step = &group->steps[i];
                const struct mssql_backup_record *record = &group->records[step->record];
                const char *file = group->backups[step->record]->files[0];

                if (step->state == MSSQL_STEP_GAP)
                        error_raise(&own, ERR_FAILED, "there is a gap before '%s': it needs %s", file, step->missing);
                else if (step->state == MSSQL_STEP_DAMAGED && mssql_lsn_compare(record->last_lsn, group->lsn) > 0)
                        error_raise(&own, ERR_FAILED,
                                    "'%s' was taken of a damaged database, and nothing stands in for "
                                    "it",
                                    file);
        }
        error_keep_first(verdict, &own);
}

/* Of those before it, only one that was shown itself has shown this one, too: what names no family may be akin to two
 * databases that are not akin to each other. */
static bool is_first_of_database(const struct backup_chain *chain, const bool *shown, size_t index)
{
        for (size_t i = 0; i < index; i++)
                if (shown[i] && mssql_record_same_database(&chain->backups[i].record, &chain->backups[index].record))
                        return false;
        return true;
}

int backup_chain_print(const struct backup_chain *chain, bool json, FILE *out, struct error *err)
{
        CLEANUP(freep) bool *shown = calloc(chain->count + 1, sizeof *shown);
        struct error verdict = ERROR_INIT;

        if (!shown)
                return raise_memory(err);
        for (size_t i = 0; i < chain->count; i++) {
                const struct mssql_backup_record *like = &chain->backups[i].record;
                struct group group;
                int rc;

                shown[i] = is_first_of_database(chain, shown, i);
                if (!shown[i])
                        continue;
                rc = group_init(&group, chain, like);
                if (rc == 0)
                        rc = json ? print_json(chain, &group, like, out) : print_table(chain, &group, like, out);
                if (rc == 0)
                        judge(chain, &group, like, &verdict);
                group_deinit(&group);
                if (rc < 0)
                        return raise_memory(err);
        }
        if (!error_is_set(&verdict))
                return 0;
        *err = verdict;
        return -1;
}
