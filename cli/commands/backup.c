/*
 * backup.c - a database to standard output or to files
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/databases/backup.h"
#include "cli/media/chain.h"
#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/run/describe.h"
#include "cli/media/media.h"
#include "cli/message.h"
#include "cli/media/outputs.h"
#include "cli/databases/mssql_login.h"
#include "cli/databases/mssql_options.h"
#include "cli/databases/server_options.h"
#include "cli/run/set_options.h"
#include "cli/run/sqlvdi.h"
#include "cli/text/secrets.h"
#include "codecs/codecs.h"
#include "codecs/base/pool.h"
#include "core/base/deadline.h"

static const struct opt_spec backup_options[] = {
        OPTION_STRING(
                FILES, "output", 'o', "FILE", output,
                "write to FILE, which appears when the backup is complete; {db} {date} {type} {device} are replaced"),
        OPTION_FLAG(FILES, "raw", 0, raw, "write the bare data, without any protection against truncation"),
        OPTION_NUMBER(DEVICES, "devices", devices, 1, VDS_DEVICES_MAX,
                      "stripe over N devices, one file each (default: 1)"),
        OPTION_STRING(FILES, "label", 0, "TEXT", label, "name the backup set"),
        { .type = OPT_END },
};

static int check_args(const struct args *args, struct error *err)
{
        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "which database? give its path, or @SECTION: vdipipe backup DB");
        if (args->raw && args->zstd)
                return error_raise(err, ERR_USAGE,
                                   "--raw and --zstd exclude each other; to compress a raw image: vdipipe "
                                   "backup --raw DB | zstd");
        if (coding_check_zstd(args, err) < 0 || operation_check_args(args, err) < 0)
                return -1;
        if (args->force && !args->output)
                return error_raise(err, ERR_USAGE, "--force goes with -o FILE");
        return outputs_check(args, err);
}

/* Builds the chain of every device on its sink. */
static int build_chains(const struct operation *operation, struct outputs *outputs,
                        const struct backup_parties *parties, struct stream_info *info, struct error *err)
{
        pool_share(operation->serving.args->pool, outputs->count);
        for (uint32_t i = 0; i < outputs->count; i++) {
                struct stage *chain = NULL;
                struct stage *sink = outputs->sinks[i];

                /* A passphrase takes a second for each. */
                if (supervisor_check(operation->serving.supervisor, err) < 0)
                        return -1;
                describe_device(parties, i, info);
                outputs->sinks[i] = NULL;
                if (chain_new(operation->serving.args, info, sink, &chain, err) < 0)
                        return -1;
                outputs->sinks[i] = chain;
        }
        return 0;
}

static int transfer(struct operation *operation, struct outputs *outputs, struct error *err)
{
        struct media_pipe pipes[VDS_DEVICES_MAX];
        struct media *media[VDS_DEVICES_MAX];
        const char *names[VDS_DEVICES_MAX];

        for (uint32_t i = 0; i < outputs->count; i++) {
                media_pipe_init_write(&pipes[i], operation->serving.config.features, outputs->sinks[i]);
                media[i] = &pipes[i].media;
                names[i] = outputs->names[i];
        }
        return operation_transfer(operation, media, "writing to", names, err);
}

/* The server has said success: the verdict enters the streams, and the files get their names. */
static int finish(struct backup *backup, struct stage *const *files, struct error *err)
{
        struct operation *operation = &backup->operation;
        struct outputs *outputs = &backup->outputs;

        if (backup->server->succeeded)
                backup->server->succeeded(backup);
        worker_begin(&operation->serving.worker);
        for (uint32_t i = 0; i < outputs->count; i++)
                if (stage_finish(outputs->sinks[i], backup->report_json, err) < 0)
                        return operation_failed(operation, err);
        if (supervisor_check(operation->serving.supervisor, err) < 0)
                return -1;
        supervisor_watch_keeper(operation->serving.supervisor, -1);
        if (!outputs->to_stdout && run_as_publish(backup->run_as, files, outputs->count, err) < 0)
                return -1;
        worker_end(&operation->serving.worker);
        return 0;
}

static void summarise(const struct backup *backup)
{
        const struct operation *operation = &backup->operation;
        const struct outputs *outputs = &backup->outputs;
        char size[32];
        char written[32];
        char compressed[64] = "";
        double seconds = (double)(monotonic_ns() - operation->serving.progress.started_ns) / 1e9;
        uint64_t bytes = 0;

        if (operation->note[0])
                message_warning("%s", operation->note);
        progress_format_bytes(atomic_load(&operation->serving.progress.done), size);
        if (backup->args->zstd) {
                for (uint32_t i = 0; i < outputs->count; i++)
                        bytes += vdistream_writer_bytes_out(outputs->sinks[i]);
                progress_format_bytes(bytes, written);
                snprintf(compressed, sizeof compressed, ", compressed to %s,", written);
        }
        message_summary("backup of '%s'%s: %s%s in %.1f s to %s%s%s", backup->database.name, backup->kind, size,
                        compressed, seconds, outputs->names[0], outputs->count > 1 ? " and its siblings" : "",
                        backup->args->coding->summary);
        if (backup->args->raw && !coding_encrypts(backup->args))
                message_verbose("raw image: nothing in it tells a truncated copy from a whole one");
}

/* Moves the data into the chains that were built on what the server said. */
static int fill_outputs(struct backup *backup, const char *time_text, struct error *err)
{
        struct operation *operation = &backup->operation;
        struct stream_info info;
        const struct backup_parties parties = {
                .set_id = operation->set_id,
                .time = time_text,
                .database = backup->database.name,
                .origin = backup->database.origin,
                .type = backup->type,
                .label = backup->label,
                .server = &operation->info,
                .config = &operation->serving.config,
        };
        int rc = describe_backup(&parties, &info, err);

        if (rc == 0)
                rc = build_chains(operation, &backup->outputs, &parties, &info, err);
        coding_forget(backup->args);
        stream_info_deinit(&info);
        return rc < 0 ? rc : transfer(operation, &backup->outputs, err);
}

static int run_operation(struct backup *backup, struct error *err)
{
        struct operation *operation = &backup->operation;
        struct stage *files[VDS_DEVICES_MAX];
        char time_text[32];
        char date[32];
        const struct output_words words = {
                .db = backup->database.name, .source = backup->database.path, .type = backup->type, .date = date
        };
        int rc;

        describe_time(time_text);
        outputs_date(time_text, date);
        if (outputs_open(&backup->outputs, backup->args, &words, operation->set_id,
                         supervisor_cancel_flag(operation->serving.supervisor), err) < 0)
                return operation_failed(operation, err);
        memcpy(files, backup->outputs.sinks, sizeof files);
        /* The configuration may name a user for all databases; SQLite's need none. */
        if ((database_is_mssql(&backup->database) &&
             run_as_begin(backup->args, &backup->login.password, files,
                          backup->outputs.to_stdout ? 0 : backup->outputs.count, &backup->run_as, err) < 0))
                return operation_failed(operation, err);
        supervisor_watch_keeper(operation->serving.supervisor, run_as_keeper_fd(backup->run_as));
        if (backup->server->use(backup, err) < 0)
                return operation_failed(operation, err);
        if (operation_connect(operation, err) < 0 ||
            (backup->server->joined && backup->server->joined(backup, err) < 0))
                return -1;
        atomic_store(&operation->serving.progress.total, operation->info.size);
        rc = fill_outputs(backup, time_text, err);
        if (rc == 0 && (rc = finish(backup, files, err)) < 0)
                error_prefix(err, "the server counts this backup as taken, but it is not complete: ");
        if (rc == 0)
                summarise(backup);
        return rc;
}

/* Everything that can be found wrong, or has to be asked for, before anything is started. */
static int prepare(struct backup *backup, struct error *err)
{
        const struct args *args = backup->args;

        if (check_args(args, err) < 0 || database_from_args(args, &backup->database, err) < 0 ||
            server_options_check(args, &backup->database, err) < 0 ||
            (database_is_mssql(&backup->database) && run_as_check(args, err) < 0))
                return -1;
        backup->server = database_is_mssql(&backup->database) ? &backup_mssql : &backup_sqlite;
        if (backup->server->check(backup, err) < 0 || coding_load_writing(args, err) < 0)
                return -1;
        return database_is_mssql(&backup->database)
                       ? mssql_login_load(args, &backup->database.uri, /* from_stdin= */ false, &backup->login, err)
                       : 0;
}

static void backup_deinit(struct backup *backup)
{
        outputs_deinit(&backup->outputs);
        secrets_forget(&backup->login.password);
        database_deinit(&backup->database);
        free(backup->report_json);
}

static int run_backup(const struct args *args, struct error *err)
{
        struct backup backup;
        int rc;

        memset(&backup, 0, sizeof backup);
        backup.args = args;
        if (prepare(&backup, err) < 0) {
                backup_deinit(&backup);
                return -1;
        }
        rc = operation_open(&backup.operation, args, "backup", err);
        if (rc == 0)
                rc = run_operation(&backup, err);
        if (rc < 0) {
                for (uint32_t i = 0; i < backup.outputs.count; i++)
                        if (backup.outputs.sinks[i])
                                stage_abort(backup.outputs.sinks[i], err->message);
                error_prefix(err, "backup of '%s': ", backup.database.name);
        }
        operation_close(&backup.operation);
        run_as_end(backup.run_as);
        backup_deinit(&backup);
        return rc;
}

const struct command command_backup = {
        .name = "backup",
        .operands = "DB [-o FILE | > FILE | | COMMAND]",
        .summary = "back a database up to standard output or to files",
        .text = "Writes a consistent image of the SQLite database DB while others read and write it, or has a SQL "
                "Server on this machine back one of its databases up. DB is a path, sqlite:PATH, "
                "mssql://[USER@]HOST[:PORT]/DATABASE, or @NAME (or NAME, where no such file is) for a section of the "
                "configuration. The output is a vdi stream: zstd frames that stock zstd unpacks to the database, and "
                "that every reader refuses unless the backup was completed. With -o, FILE appears when it is complete "
                "and on disk.",
        .example = "  vdipipe backup app.db | zstd > app.vdi.zst\n"
                   "  vdipipe backup app.db --zstd -o '/backup/{db}-{date}.vdi'\n"
                   "  vdipipe backup mssql://sa@localhost/pubs --devices 2 --zstd -o 'pubs.{device}.vdi'\n"
                   "  vdipipe backup mssql://sa@localhost/pubs --type log -o '/backup/{db}-{type}-{date}.vdi'\n",
        .options = OPTION_TABLES(backup_options, options_force, options_lock, options_backup_sqlite, options_writing,
                                 options_passphrase, options_threads, options_set, options_open, options_group,
                                 options_server_wait, options_mssql_login, options_sqlvdi, options_statement_mssql,
                                 options_backup_mssql, options_trace, options_progress, options_common),
        .operands_max = 1,
        .takes_database = true,
        .run = run_backup,
};
