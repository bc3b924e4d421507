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
#include "cli/databases/mssql.h"
#include "cli/media/recording.h"
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
        LIST_TRANSFER = 65536, /* bytes; a server that looks for a list reads no more ahead than it has buffers */
        RECORDED_MAX = 64 << 20,
};

/* The clause's items; the names of each lie in one allocation, "LOGICAL\0PATH". */
struct moves {
        struct mssql_move *items;
        size_t count;
};

/* ---- options ---- */

/* What is to be printed instead of restored. */
struct look {
        size_t offset; /* of its flag */
        const char *option;
        enum statement_verb verb;
};

static const struct look looks[] = {
        { offsetof(struct args, verify_only), "verify-only", STATEMENT_VERIFYONLY },
        { offsetof(struct args, header_only), "header-only", STATEMENT_HEADERONLY },
        { offsetof(struct args, filelist_only), "filelist-only", STATEMENT_FILELISTONLY },
        { offsetof(struct args, label_only), "label-only", STATEMENT_LABELONLY },
};

/* The first one that is asked for; NULL: none is, something is to be restored. */
static const struct look *look_of(const struct args *args)
{
        for (size_t i = 0; i < sizeof looks / sizeof looks[0]; i++)
                if (*(const bool *)((const char *)args + looks[i].offset))
                        return &looks[i];
        return NULL;
}

static int look_check(const struct look *look, const struct args *args, struct error *err)
{
        static const char *const others[] = {
                "recovery", "norecovery", "standby",      "move", "move-to",   "stop-at",
                "replace",  "type",       "no-preverify", "file", "filegroup", "dry-run"
        };

        if (args->verify_only + args->header_only + args->filelist_only + args->label_only > 1)
                return error_raise(err, ERR_USAGE,
                                   "--verify-only, --header-only, --filelist-only and --label-only exclude each other");
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
                if (args_was_given(args, others[i]))
                        return error_raise(err, ERR_USAGE, "--%s restores nothing; leave --%s out", look->option,
                                           others[i]);
        if (!args->verify_only && args_was_given(args, "checksum"))
                return error_raise(err, ERR_USAGE, "--%s checks nothing; leave --checksum out", look->option);
        return 0;
}

/* "YYYY-MM-DDThh:mm:ss", with a blank for the T, or with a fraction of a second. */
static bool restore_is_time(const char *text)
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

static const char *move_equals(const char *move)
{
        /* A logical name may have a '=' of its own; a path begins with a slash. */
        const char *equals = strstr(move, "=/");

        return equals ? equals : strchr(move, '=');
}

static int restore_check_values(const struct args *args, struct error *err)
{
        if (args->recovery + args->norecovery + (args->standby != NULL) != 1)
                return error_raise(err, ERR_USAGE,
                                   "say what becomes of the database: --recovery (it goes into use), --norecovery "
                                   "(further backups follow) or --standby FILE; one of them");
        if (args->replace == SERVER_REPLACE_ASIDE)
                return error_raise(err, ERR_USAGE, "SQL Server cannot put a database aside; give --replace alone");
        if (args->no_preverify && args->replace == SERVER_REPLACE_NO && args_was_given(args, "no-preverify"))
                return error_raise(err, ERR_USAGE, "--no-preverify goes with --replace");
        if (args->stop_at && !restore_is_time(args->stop_at))
                return error_raise(err, ERR_USAGE, "--stop-at takes YYYY-MM-DDThh:mm:ss, not '%s'", args->stop_at);
        for (size_t i = 0; i < args->moves.count; i++) {
                const char *equals = move_equals(args->moves.items[i]);

                if (!equals || equals == args->moves.items[i] || !equals[1])
                        return error_raise(err, ERR_USAGE, "--move takes LOGICAL=PATH, not '%s'", args->moves.items[i]);
        }
        return 0;
}

int mssql_check_restore(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;

        if (look_of(args))
                return look_check(look_of(args), args, err);
        if (args_was_given(args, "json"))
                return error_raise(err, ERR_USAGE, "--json goes with --header-only, --filelist-only or --label-only");
        if (!operation->database.uri.database)
                return error_raise(err, ERR_USAGE, "'%s' names no database; append /DATABASE",
                                   operation->database.origin);
        return restore_check_values(args, err);
}

int mssql_check_target(struct operation *operation, struct error *err)
{
        const struct stream_info *info = inputs_info(&operation->inputs);
        const struct args *args = operation->args;

        if (info && strcmp(info->server_kind, "sqlite") == 0)
                return error_raise(err, ERR_USAGE,
                                   "the backup is of a SQLite database, and no SQL Server can read it; give a path");
        if (!look_of(args) && args->replace != SERVER_REPLACE_NO && !args->no_preverify &&
            !inputs_are_files(&operation->inputs))
                return error_raise(err, ERR_USAGE,
                                   "SQL Server gives the old database up before the whole backup is read, and what "
                                   "comes from a pipe cannot be checked first; give -i FILE, or --no-preverify");
        return 0;
}

/* ---- the statement ---- */

static enum statement_verb restore_verb(const struct operation *operation)
{
        const struct stream_info *info = inputs_info(&operation->inputs);
        const struct args *args = operation->args;
        bool log = args->type >= 0 ? args->type == MSSQL_LOG : info && strcmp(info->type, "log") == 0;

        if (look_of(args))
                return look_of(args)->verb;
        return log ? STATEMENT_RESTORE_LOG : STATEMENT_RESTORE_DATABASE;
}

static void moves_deinit(struct moves *moves)
{
        for (size_t i = 0; i < moves->count; i++)
                free((void *)(uintptr_t)moves->items[i].logical);
        free(moves->items);
}

/* `text`, "LOGICAL\0PATH" and allocated, is the moves' from here on; NULL: memory was short for it. */
static int moves_add(struct moves *moves, char *text, struct error *err)
{
        struct mssql_move *items = text ? reallocarray(moves->items, moves->count + 1, sizeof *items) : NULL;

        if (!items) {
                free(text);
                return error_no_memory(err);
        }
        moves->items = items;
        items[moves->count++] = (struct mssql_move){ .logical = text, .path = text + strlen(text) + 1 };
        return 0;
}

static int moves_take(const struct args *args, struct moves *moves, struct error *err)
{
        for (size_t i = 0; i < args->moves.count; i++) {
                char *text = strdup(args->moves.items[i]);

                if (text)
                        text[move_equals(text) - text] = '\0';
                if (moves_add(moves, text, err) < 0)
                        return -1;
        }
        return 0;
}

static char *restore_statement(const struct operation *operation, enum statement_verb verb, const struct moves *moves)
{
        const struct args *args = operation->args;
        const struct stream_info *info = inputs_info(&operation->inputs);
        struct mssql_devices devices = mssql_devices(operation);
        CLEANUP(freep) char *stop_at = args->stop_at ? strdup(args->stop_at) : NULL;
        struct mssql_restore statement = {
                .verb = verb,
                .target = mssql_target(operation),
                .recovery = args->recovery     ? MSSQL_RECOVERY
                            : args->norecovery ? MSSQL_NORECOVERY
                                               : MSSQL_STANDBY,
                .standby = args->standby,
                .moves = moves->items,
                .move_count = moves->count,
                .replace = args->replace != SERVER_REPLACE_NO,
                /* Said to a backup without checksums it is an error; left out it checks those that there are. */
                .checksum = args->checksum && (!look_of(args) || args->verify_only) && verb != STATEMENT_FILELISTONLY,
                .stats = MSSQL_STATS_PERCENT,
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
static int restore_execute(struct operation *operation, enum statement_verb verb, const struct moves *moves,
                           uint32_t count, struct rows *rows, struct error *err)
{
        if (member_name_devices(&operation->member, count, err) < 0 ||
            mssql_tell(operation, verb, restore_statement(operation, verb, moves), rows, err) < 0)
                return -1;
        return operation_serve_inputs(operation, count, err);
}

/* ---- --replace and --move-to look at the backup first ---- */

static int restore_read_to_end(struct operation *operation, const struct input *input, struct error *err)
{
        enum { SIZE = 1 << 20 };
        CLEANUP(freep) void *buffer = malloc(SIZE);
        struct member *member = &operation->member;
        ssize_t n = 1;

        if (!buffer)
                return error_no_memory(err);
        while (n > 0) {
                if (supervisor_check(member->supervisor, err) < 0)
                        return -1;
                worker_begin(&member->worker);
                n = source_read(input->reader->source, buffer, SIZE, err);
                worker_end(&member->worker);
        }
        return n < 0 ? -1 : 0;
}

static int restore_restart(struct operation *operation, struct error *err)
{
        return inputs_restart(&operation->inputs, operation->args, supervisor_cancel_flag(operation->member.supervisor),
                              err);
}

static int restore_preverify(struct operation *operation, struct error *err)
{
        message_verbose("reading the whole backup before the old database is given up");
        for (uint32_t i = 0; i < operation->inputs.count; i++)
                if (restore_read_to_end(operation, &operation->inputs.items[i], err) < 0)
                        return -1;
        return restore_restart(operation, err);
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

static bool moves_have(const struct moves *moves, const char *logical)
{
        for (size_t i = 0; i < moves->count; i++)
                if (strcasecmp(moves->items[i].logical, logical) == 0)
                        return true;
        return false;
}

static int moves_add_file(struct moves *moves, const char *folder, const char *logical, const char *physical,
                          struct error *err)
{
        bool slash = *folder && folder[strlen(folder) - 1] == '/';
        CLEANUP(freep) char *text = NULL;
        const char *path;

        if (!logical)
                return error_raise(err, ERR_PROTOCOL, "the server's list of files has no names");
        if (moves_have(moves, logical))
                return 0;
        if (asprintf(&text, "%s%c%s%s%s", logical, '\0', folder, slash ? "" : "/",
                     base_name(physical ? physical : logical)) < 0) {
                text = NULL;
                return error_no_memory(err);
        }
        path = text + strlen(text) + 1;
        for (size_t i = 0; i < moves->count; i++)
                if (strcmp(moves->items[i].path, path) == 0)
                        return error_raise(err, ERR_USAGE,
                                           "files '%s' and '%s' would both become '%s'; give --move for one of them",
                                           moves->items[i].logical, logical, path);
        return moves_add(moves, take_ptr(&text), err);
}

static int moves_add_all(const struct args *args, const struct rows *rows, struct moves *moves, struct error *err)
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
                if (moves_add_file(moves, args->move_to, rows_cell(rows, row, "LogicalName"),
                                   rows_cell(rows, row, "PhysicalName"), err) < 0)
                        return -1;
        return 0;
}

/* One stream of a striped set is enough for the list, and all that the statement takes. */
static int restore_list_files(struct operation *operation, struct moves *moves, struct error *err)
{
        struct input *first = &operation->inputs.items[0];
        bool files = inputs_are_files(&operation->inputs);
        CLEANUP(rows_deinit) struct rows rows = { 0 };
        int rc = files ? 0 : recording_begin(&first->reader->source, first->name, RECORDED_MAX, err);

        operation->member.keeps_keys = true;
        if (rc == 0)
                rc = restore_execute(operation, STATEMENT_FILELISTONLY, moves, 1, &rows, err);
        operation->member.keeps_keys = false;
        member_leave(&operation->member);
        if (rc < 0 || moves_add_all(operation->args, &rows, moves, err) < 0)
                return -1;
        atomic_store(&operation->member.progress.done, 0);
        if (files)
                return restore_restart(operation, err);
        recording_replay(first->reader->source);
        return 0;
}

/* What is there is only given up with --replace; without it SQL Server itself would sometimes do so. */
static int restore_check_existing(struct operation *operation, struct error *err)
{
        struct mssql_database *databases = NULL;
        size_t count = 0;
        bool exists = false;

        if (mssql_databases(mssql_connection(operation), &databases, &count, err) < 0)
                return error_prefix(err, "the server does not tell which databases it has: ");
        for (size_t i = 0; i < count; i++)
                exists = exists || (strcasecmp(databases[i].name, operation->database.uri.database) == 0 &&
                                    strcasecmp(databases[i].state, "RESTORING") != 0);
        mssql_databases_free(databases, count);
        if (!exists)
                return 0;
        return error_raise(err, ERR_USAGE, "the server has a database of that name; to overwrite it add --replace");
}

/* ---- the restore ---- */

int mssql_show_restore(struct operation *operation, struct error *err)
{
        CLEANUP(freep) char *sql = NULL;
        CLEANUP(moves_deinit) struct moves moves = { 0 };

        if (moves_take(operation->args, &moves, err) < 0 ||
            member_name_devices(&operation->member, operation->inputs.count, err) < 0)
                return -1;
        sql = restore_statement(operation, restore_verb(operation), &moves);
        if (!sql)
                return error_no_memory(err);
        message_notice("would send to '%s': %s%s%s", operation->database.origin, sql,
                       operation->args->move_to ? "; with all files moved to " : "",
                       operation->args->move_to ? operation->args->move_to : "");
        return 0;
}

static void restore_summarise(const struct operation *operation, enum statement_verb verb)
{
        const struct args *args = operation->args;
        char size[32];
        double seconds = progress_done(&operation->member.progress, size);

        if (verb == STATEMENT_VERIFYONLY)
                message_summary("SQL Server finds the backup valid: %s in %.1f s", size, seconds);
        else if (!look_of(args))
                message_summary("restore of '%s': %s in %.1f s%s", operation->database.name, size, seconds,
                                args->recovery ? "" : ", which waits for further backups");
}

static int restore_look(struct operation *operation, struct error *err)
{
        enum statement_verb verb = restore_verb(operation);
        uint32_t count = verb == STATEMENT_VERIFYONLY ? operation->inputs.count : 1;
        const struct moves none = { 0 };
        CLEANUP(rows_deinit) struct rows rows = { 0 };

        coding_forget(operation->args);
        if (restore_execute(operation, verb, &none, count, &rows, err) < 0)
                return -1;
        return rows_print(&rows, operation->args->json, stdout, err);
}

static int restore_whole(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        enum statement_verb verb = restore_verb(operation);
        bool over = args->replace != SERVER_REPLACE_NO;
        bool whole = verb == STATEMENT_RESTORE_DATABASE && args->type != MSSQL_DIFF && !args->files.count &&
                     !args->filegroups.count;
        const struct stream_info *info = inputs_info(&operation->inputs);
        CLEANUP(moves_deinit) struct moves moves = { 0 };

        if (whole && !over && !(info && strcmp(info->type, "diff") == 0) && restore_check_existing(operation, err) < 0)
                return -1;
        if ((over && !args->no_preverify && restore_preverify(operation, err) < 0) ||
            moves_take(args, &moves, err) < 0 || (args->move_to && restore_list_files(operation, &moves, err) < 0))
                return -1;
        coding_forget(args);
        return restore_execute(operation, verb, &moves, operation->inputs.count, /* rows= */ NULL, err);
}

int mssql_run_restore(struct operation *operation, struct error *err)
{
        if (mssql_begin(operation, err) < 0 ||
            (look_of(operation->args) ? restore_look(operation, err) : restore_whole(operation, err)) < 0)
                return -1;
        restore_summarise(operation, restore_verb(operation));
        return 0;
}
