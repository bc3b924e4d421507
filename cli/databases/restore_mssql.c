/*
 * restore_mssql.c - a SQL Server's part in a restore, and what it says of a backup without restoring it
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/media/coding.h"
#include "cli/message.h"
#include "cli/databases/mssql_options.h"
#include "cli/databases/operation_mssql.h"
#include "cli/media/recording.h"
#include "cli/databases/restore.h"
#include "core/base/cleanup.h"

const struct opt_spec options_restore_mssql[] = {
        OPTION_FLAG(MSSQL, "recovery", 0, recovery,
                    "the database is complete and goes into use (one of these three has to be given)"),
        OPTION_FLAG(MSSQL, "norecovery", 0, norecovery, "further backups are to be restored"),
        OPTION_STRING(MSSQL, "standby", 0, "FILE", standby,
                      "the same, and meanwhile it can be read; what was undone for that goes to FILE"),
        OPTION_STRINGS(MSSQL, "move", 0, "LOGICAL=PATH", moves,
                       "put the database file of that logical name at PATH, as the server sees it; may be repeated"),
        OPTION_STRING(MSSQL, "move-to", 0, "FOLDER", move_to,
                      "put all other database files into FOLDER, under the names they had"),
        OPTION_STRING(MSSQL, "stop-at", 0, "TIME", stop_at,
                      "restore the log up to TIME, YYYY-MM-DDThh:mm:ss in the server's time zone"),
        OPTION_FLAG(MSSQL, "no-preverify", 0, no_preverify,
                    "with --replace: do not read and check the whole backup before the old database is given up"),
        OPTION_FLAG(MSSQL, "verify-only", 0, verify_only, "restore nothing, have SQL Server check the backup"),
        OPTION_FLAG(MSSQL, "header-only", 0, header_only,
                    "restore nothing, print what SQL Server reads of the backup sets"),
        OPTION_FLAG(MSSQL, "filelist-only", 0, filelist_only,
                    "restore nothing, print the database files in the backup"),
        OPTION_FLAG(MSSQL, "label-only", 0, label_only, "restore nothing, print what SQL Server reads of the medium"),
        OPTION_FLAG(MSSQL, "json", 0, json, "print JSON"),
        { .type = OPT_END },
};

enum {
        STATS_PERCENT = 5,
        LIST_TRANSFER = 65536, /* bytes; a server that looks for a list reads no more ahead than it has buffers */
        RECORDED_MAX = 64 << 20,
};

struct moves {
        struct mssql_move *items;
        size_t count;
        char **owned; /* the texts made here, to be freed */
        size_t owned_count;
};

/* ---- options ---- */

/* What is to be printed instead of restored; STATEMENT_RESTORE_DATABASE: nothing. */
static enum statement_verb look_of(const struct args *args)
{
        return args->verify_only     ? STATEMENT_VERIFYONLY
               : args->header_only   ? STATEMENT_HEADERONLY
               : args->filelist_only ? STATEMENT_FILELISTONLY
               : args->label_only    ? STATEMENT_LABELONLY
                                     : STATEMENT_RESTORE_DATABASE;
}

static bool is_look(const struct args *args)
{
        return look_of(args) != STATEMENT_RESTORE_DATABASE;
}

static int check_look(const struct args *args, struct error *err)
{
        static const char *const others[] = {
                "recovery", "norecovery", "standby",      "move", "move-to",   "stop-at",
                "replace",  "type",       "no-preverify", "file", "filegroup", "dry-run"
        };
        const char *look = args->verify_only     ? "verify-only"
                           : args->header_only   ? "header-only"
                           : args->filelist_only ? "filelist-only"
                                                 : "label-only";

        if (args->verify_only + args->header_only + args->filelist_only + args->label_only > 1)
                return error_raise(err, ERR_USAGE,
                                   "--verify-only, --header-only, --filelist-only and --label-only exclude each other");
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                if (args_was_given(args, others[i]))
                        return error_raise(err, ERR_USAGE, "--%s restores nothing; leave --%s out", look, others[i]);
        if (!args->verify_only && args_was_given(args, "checksum"))
                return error_raise(err, ERR_USAGE, "--%s checks nothing; leave --checksum out", look);
        return 0;
}

/* "YYYY-MM-DDThh:mm:ss", with a blank for the T, or with a fraction of a second. */
static bool is_time(const char *text)
{
        static const char form[] = "dddd-dd-ddTdd:dd:dd";
        size_t i;

        for (i = 0; form[i]; i++)
                if (form[i] == 'd'   ? !isdigit((unsigned char)text[i])
                    : form[i] == 'T' ? text[i] != 'T' && text[i] != ' '
                                     : text[i] != form[i])
                        return false;
        if (text[i] == '.' && isdigit((unsigned char)text[i + 1]))
                for (i++; isdigit((unsigned char)text[i]); i++)
                        ;
        return !text[i];
}

static const char *equals_of(const char *move)
{
        /* A logical name may have a '=' of its own; a path begins with a slash. */
        const char *equals = strstr(move, "=/");

        return equals ? equals : strchr(move, '=');
}

static int check_values(const struct args *args, struct error *err)
{
        if (args->recovery + args->norecovery + (args->standby != NULL) != 1)
                return error_raise(err, ERR_USAGE,
                                   "say what becomes of the database: --recovery (it goes into use), --norecovery "
                                   "(further backups follow) or --standby FILE; one of them");
        if (args->replace == SERVER_REPLACE_ASIDE)
                return error_raise(err, ERR_USAGE, "SQL Server cannot put a database aside; give --replace alone");
        if (args->no_preverify && args->replace == SERVER_REPLACE_NO && args_was_given(args, "no-preverify"))
                return error_raise(err, ERR_USAGE, "--no-preverify goes with --replace");
        if (args->stop_at && !is_time(args->stop_at))
                return error_raise(err, ERR_USAGE, "--stop-at takes YYYY-MM-DDThh:mm:ss, not '%s'", args->stop_at);
        for (size_t i = 0; i < args->moves.count; i++) {
                const char *equals = equals_of(args->moves.items[i]);

                if (!equals || equals == args->moves.items[i] || !equals[1])
                        return error_raise(err, ERR_USAGE, "--move takes LOGICAL=PATH, not '%s'", args->moves.items[i]);
        }
        return 0;
}

static int check(struct restore *restore, struct error *err)
{
        const struct args *args = restore->args;

        if (is_look(args))
                return check_look(args, err);
        if (args_was_given(args, "json"))
                return error_raise(err, ERR_USAGE, "--json goes with --header-only, --filelist-only or --label-only");
        if (!restore->database.uri.database)
                return error_raise(err, ERR_USAGE, "'%s' names no database; append /DATABASE",
                                   restore->database.origin);
        return check_values(args, err);
}

static int check_target(struct restore *restore, struct error *err)
{
        const struct stream_info *info = inputs_info(&restore->inputs);
        const struct args *args = restore->args;

        if (info && strcmp(info->server_kind, "sqlite") == 0)
                return error_raise(err, ERR_USAGE,
                                   "the backup is of a SQLite database, and no SQL Server can read it; give a path");
        if (!is_look(args) && args->replace != SERVER_REPLACE_NO && !args->no_preverify &&
            !inputs_are_files(&restore->inputs))
                return error_raise(err, ERR_USAGE,
                                   "SQL Server gives the old database up before the whole backup is read, and what "
                                   "comes from a pipe cannot be checked first; give -i FILE, or --no-preverify");
        return 0;
}

/* ---- the statement ---- */

static enum statement_verb verb_of(const struct restore *restore)
{
        const struct stream_info *info = inputs_info(&restore->inputs);
        const struct args *args = restore->args;
        bool log = args->type >= 0 ? args->type == MSSQL_LOG : info && strcmp(info->type, "log") == 0;

        if (is_look(args))
                return look_of(args);
        return log ? STATEMENT_RESTORE_LOG : STATEMENT_RESTORE_DATABASE;
}

static void moves_deinit(struct moves *moves)
{
        for (size_t i = 0; i < moves->owned_count; i++)
                free(moves->owned[i]);
        free(moves->owned);
        free(moves->items);
}

/* `text` is allocated, and the moves' from here on. */
static bool own(struct moves *moves, char *text)
{
        char **owned = text ? realloc(moves->owned, (moves->owned_count + 1) * sizeof *owned) : NULL;

        if (!owned) {
                free(text);
                return false;
        }
        moves->owned = owned;
        owned[moves->owned_count++] = text;
        return true;
}

static int add_move(struct moves *moves, char *logical, char *path, struct error *err)
{
        bool owned = own(moves, logical);
        struct mssql_move *items;

        /* Both are the moves' in any case. */
        owned = own(moves, path) && owned;
        items = owned ? realloc(moves->items, (moves->count + 1) * sizeof *items) : NULL;
        if (!items)
                return error_no_memory(err);
        moves->items = items;
        items[moves->count++] = (struct mssql_move){ .logical = logical, .path = path };
        return 0;
}

static int take_moves(const struct args *args, struct moves *moves, struct error *err)
{
        for (size_t i = 0; i < args->moves.count; i++) {
                const char *text = args->moves.items[i];
                const char *equals = equals_of(text);

                if (add_move(moves, strndup(text, (size_t)(equals - text)), strdup(equals + 1), err) < 0)
                        return -1;
        }
        return 0;
}

static char *make_statement(const struct restore *restore, enum statement_verb verb, const struct moves *moves)
{
        const struct args *args = restore->args;
        const struct stream_info *info = inputs_info(&restore->inputs);
        struct mssql_devices devices = operation_mssql_devices(&restore->operation);
        CLEANUP(freep) char *stop_at = args->stop_at ? strdup(args->stop_at) : NULL;
        struct mssql_restore statement = {
                .verb = verb,
                .target.database = restore->database.uri.database,
                .target.files = args->files.items,
                .target.file_count = args->files.count,
                .target.filegroups = args->filegroups.items,
                .target.filegroup_count = args->filegroups.count,
                .recovery = args->recovery     ? MSSQL_RECOVERY
                            : args->norecovery ? MSSQL_NORECOVERY
                                               : MSSQL_STANDBY,
                .standby = args->standby,
                .moves = moves->items,
                .move_count = moves->count,
                .replace = args->replace != SERVER_REPLACE_NO,
                /* Said to a backup without checksums it is an error; left out it checks those that there are. */
                .checksum = args->checksum && (!is_look(args) || args->verify_only) && verb != STATEMENT_FILELISTONLY,
                .stats = STATS_PERCENT,
        };

        if (stop_at) {
                stop_at[strlen("YYYY-MM-DD")] = 'T';
                statement.stop_at = stop_at;
        }
        if (!devices.block_size && info)
                devices.block_size = info->block_size;
        if (verb == STATEMENT_FILELISTONLY)
                devices.max_transfer = LIST_TRANSFER;
        return mssql_restore_statement(&statement, &devices);
}

/* Sends the statement and serves it the first `count` inputs. */
static int execute(struct restore *restore, enum statement_verb verb, const struct moves *moves, uint32_t count,
                   struct rows *rows, struct error *err)
{
        struct operation *operation = &restore->operation;

        if (operation_name_devices(operation, count, err) < 0 ||
            operation_mssql_send(operation, verb, make_statement(restore, verb, moves), rows, err) < 0 ||
            operation_connect(operation, err) < 0)
                return -1;
        return restore_transfer(restore, count, err);
}

/* ---- --replace and --move-to look at the backup first ---- */

static int read_to_end(struct restore *restore, const struct input *input, struct error *err)
{
        enum { SIZE = 1 << 20 };
        CLEANUP(freep) void *buffer = malloc(SIZE);
        struct serving *serving = &restore->operation.serving;
        ssize_t n = 1;

        if (!buffer)
                return error_no_memory(err);
        while (n > 0) {
                if (supervisor_check(serving->supervisor, err) < 0)
                        return -1;
                worker_begin(&serving->worker);
                n = source_read(input->reader->source, buffer, SIZE, err);
                worker_end(&serving->worker);
        }
        return n < 0 ? -1 : 0;
}

static int restart(struct restore *restore, struct error *err)
{
        return inputs_restart(&restore->inputs, restore->args,
                              supervisor_cancel_flag(restore->operation.serving.supervisor), err);
}

static int preverify(struct restore *restore, struct error *err)
{
        message_verbose("reading the whole backup before the old database is given up");
        for (uint32_t i = 0; i < restore->inputs.count; i++)
                if (read_to_end(restore, &restore->inputs.items[i], err) < 0)
                        return -1;
        return restart(restore, err);
}

/* The last part of a path as either kind of system writes it. */
static const char *base_name(const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *backslash = strrchr(path, '\\');

        if (!slash || (backslash && backslash > slash))
                slash = backslash;
        return slash ? slash + 1 : path;
}

static const struct mssql_move *find_move(const struct moves *moves, const char *logical)
{
        for (size_t i = 0; i < moves->count; i++)
                if (strcasecmp(moves->items[i].logical, logical) == 0)
                        return &moves->items[i];
        return NULL;
}

static int move_file(const char *folder, const char *logical, const char *physical, struct moves *moves,
                     struct error *err)
{
        size_t length = strlen(folder);
        char *path = NULL;

        if (!logical)
                return error_raise(err, ERR_PROTOCOL, "the server's list of files has no names");
        if (!physical)
                physical = logical;
        if (find_move(moves, logical))
                return 0;
        if (asprintf(&path, "%s%s%s", folder, length && folder[length - 1] == '/' ? "" : "/", base_name(physical)) < 0)
                return error_no_memory(err);
        for (size_t i = 0; i < moves->count; i++) {
                if (strcmp(moves->items[i].path, path) != 0)
                        continue;
                error_raise(err, ERR_USAGE, "files '%s' and '%s' would both become '%s'; give --move for one of them",
                            moves->items[i].logical, logical, path);
                free(path);
                return -1;
        }
        return add_move(moves, strdup(logical), path, err);
}

static int move_all(const struct args *args, const struct rows *rows, struct moves *moves, struct error *err)
{
        size_t named = moves->count;

        if (rows->failed || rows->row_count == 0)
                return error_raise(err, ERR_PROTOCOL, "the server gives no list of the files in the backup");
        for (size_t i = 0; i < named; i++) {
                bool found = false;

                for (size_t row = 0; row < rows->row_count; row++) {
                        const char *logical = rows_cell(rows, row, "LogicalName");

                        found = found || (logical && strcasecmp(logical, moves->items[i].logical) == 0);
                }
                if (!found)
                        return error_raise(err, ERR_USAGE,
                                           "--move: the backup has no file '%s'; --filelist-only "
                                           "prints those that it has",
                                           moves->items[i].logical);
        }
        for (size_t row = 0; row < rows->row_count; row++)
                if (move_file(args->move_to, rows_cell(rows, row, "LogicalName"), rows_cell(rows, row, "PhysicalName"),
                              moves, err) < 0)
                        return -1;
        return 0;
}

/* One stream of a striped set is enough for the list, and all that the statement takes. */
static int list_files(struct restore *restore, struct moves *moves, struct error *err)
{
        struct input *first = &restore->inputs.items[0];
        bool files = inputs_are_files(&restore->inputs);
        struct rows rows = { 0 };
        int rc = files ? 0 : recording_begin(&first->reader->source, first->name, RECORDED_MAX, err);

        if (rc == 0)
                rc = execute(restore, STATEMENT_FILELISTONLY, moves, 1, &rows, err);
        operation_leave(&restore->operation);
        if (rc == 0)
                rc = move_all(restore->args, &rows, moves, err);
        rows_deinit(&rows);
        if (rc < 0)
                return -1;
        atomic_store(&restore->operation.serving.progress.done, 0);
        if (files)
                return restart(restore, err);
        recording_replay(first->reader->source);
        return 0;
}

/* What is there is only given up with --replace; without it SQL Server itself would sometimes do so. */
static int check_existing(struct restore *restore, struct error *err)
{
        struct mssql_database *databases = NULL;
        size_t count = 0;
        bool exists = false;

        if (mssql_databases(operation_mssql_connection(&restore->operation), &databases, &count, err) < 0)
                return error_prefix(err, "the server does not tell which databases it has: ");
        for (size_t i = 0; i < count; i++)
                exists = exists || (strcasecmp(databases[i].name, restore->database.uri.database) == 0 &&
                                    strcasecmp(databases[i].state, "RESTORING") != 0);
        mssql_databases_free(databases, count);
        if (!exists)
                return 0;
        return error_raise(err, ERR_USAGE, "the server has a database of that name; to overwrite it add --replace");
}

/* ---- the restore ---- */

static int show_plan(struct restore *restore, struct error *err)
{
        CLEANUP(freep) char *sql = NULL;
        struct moves moves = { 0 };
        int rc = take_moves(restore->args, &moves, err);

        if (rc == 0)
                rc = operation_name_devices(&restore->operation, restore->inputs.count, err);
        if (rc == 0)
                sql = make_statement(restore, verb_of(restore), &moves);
        moves_deinit(&moves);
        if (rc < 0 || !sql)
                return rc < 0 ? -1 : error_no_memory(err);
        message_notice("would send to '%s': %s%s%s", restore->database.origin, sql,
                       restore->args->move_to ? "; with all files moved to " : "",
                       restore->args->move_to ? restore->args->move_to : "");
        return 0;
}

static void summarise(const struct restore *restore, enum statement_verb verb)
{
        const struct args *args = restore->args;
        char amount[64];

        restore_amount(restore, amount);
        if (verb == STATEMENT_VERIFYONLY)
                message_summary("SQL Server finds the backup valid%s", amount);
        else if (!is_look(args))
                message_summary("restore of '%s'%s%s", restore->database.name, amount,
                                args->recovery ? "" : ", which waits for further backups");
}

static int run_look(struct restore *restore, struct error *err)
{
        enum statement_verb verb = verb_of(restore);
        const struct moves none = { 0 };
        struct rows rows = { 0 };
        int rc;

        coding_forget(restore->args);
        rc = execute(restore, verb, &none, verb == STATEMENT_VERIFYONLY ? restore->inputs.count : 1, &rows, err);
        if (rc == 0)
                rc = rows_print(&rows, restore->args->json, stdout, err);
        rows_deinit(&rows);
        return rc;
}

static int run_restore(struct restore *restore, struct error *err)
{
        const struct args *args = restore->args;
        enum statement_verb verb = verb_of(restore);
        bool over = args->replace != SERVER_REPLACE_NO;
        bool whole = verb == STATEMENT_RESTORE_DATABASE && args->type != MSSQL_DIFF && !args->files.count &&
                     !args->filegroups.count;
        const struct stream_info *info = inputs_info(&restore->inputs);
        struct moves moves = { 0 };
        int rc = 0;

        if (whole && !over && !(info && strcmp(info->type, "diff") == 0))
                rc = check_existing(restore, err);
        if (rc == 0 && over && !args->no_preverify)
                rc = preverify(restore, err);
        if (rc == 0)
                rc = take_moves(args, &moves, err);
        if (rc == 0 && args->move_to)
                rc = list_files(restore, &moves, err);
        coding_forget(args);
        if (rc == 0)
                rc = execute(restore, verb, &moves, restore->inputs.count, /* rows= */ NULL, err);
        moves_deinit(&moves);
        return rc;
}

static int run(struct restore *restore, struct error *err)
{
        int rc = operation_use_mssql(&restore->operation, &restore->login, err);

        if (rc == 0)
                rc = is_look(restore->args) ? run_look(restore, err) : run_restore(restore, err);
        if (rc == 0)
                summarise(restore, verb_of(restore));
        return rc;
}

const struct restore_server restore_mssql = {
        .check = check,
        .check_target = check_target,
        .show_plan = show_plan,
        .run = run,
};
