/*
 * cmd_backup.c - a database to standard output or to files
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/chain.h"
#include "cli/coding.h"
#include "cli/command.h"
#include "cli/database.h"
#include "cli/describe.h"
#include "cli/media.h"
#include "cli/message.h"
#include "cli/outputs.h"
#include "cli/operation.h"
#include "cli/operation_sqlite.h"
#include "cli/set_options.h"
#include "codecs/codecs.h"
#include "codecs/pool.h"
#include "core/base/deadline.h"

static const struct opt_spec backup_options[] = {
        { .type = OPT_STRING,
          .name = "output",
          .letter = 'o',
          .value = "FILE",
          .offset = offsetof(struct args, output),
          .help = "write to FILE, which appears when the backup is complete; {db} {date} {type} {device} are "
                  "replaced" },
        { .type = OPT_FLAG,
          .name = "raw",
          .offset = offsetof(struct args, raw),
          .help = "write the bare data, without any protection against truncation" },
        { .type = OPT_NUMBER,
          .name = "devices",
          .value = "N",
          .offset = offsetof(struct args, devices),
          .min = 1,
          .max = VDS_DEVICES_MAX,
          .help = "stripe over N devices, one file each (default: 1)" },
        { .type = OPT_SIZE,
          .name = "max-wal",
          .value = "SIZE",
          .offset = offsetof(struct args, max_wal),
          .min = 1,
          .max = INT64_MAX,
          .help = "spool the rest once the log has grown to SIZE (default: warn at 1G)" },
        { .type = OPT_STRING,
          .name = "spool-dir",
          .value = "FOLDER",
          .offset = offsetof(struct args, spool_dir),
          .help = "where to spool (default: beside the database)" },
        { .type = OPT_FLAG,
          .name = "immutable",
          .offset = offsetof(struct args, immutable),
          .help = "read without locks; only for a database that nobody writes to" },
        { .type = OPT_END },
};

static const struct opt_spec *const option_tables[] = {
        backup_options,     options_force,       options_lock,    options_writing,
        options_encrypting, options_passphrase,  options_threads, options_set,
        options_open,       options_server_wait, options_group,   options_stall,
        options_trace,      options_progress,    options_common,  NULL
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

static int use_sqlite(struct operation *operation, const struct database *database, struct error *err)
{
        const struct args *args = operation->serving.args;
        struct server_job *job;
        struct stat st;

        if (operation_use_sqlite(operation, database->path, (uint32_t)args->devices, &job, err) < 0)
                return -1;
        job->verb = SERVER_BACKUP;
        job->max_lock_ms = args->max_lock_ms;
        job->max_wal = (uint64_t)args->max_wal;
        job->immutable = args->immutable;
        if (args->spool_dir) {
                job->spool_dir = realpath(args->spool_dir, NULL);
                if (!job->spool_dir || stat(job->spool_dir, &st) < 0 || !S_ISDIR(st.st_mode))
                        return error_raise(err, ERR_USAGE, "--spool-dir '%s' is no folder", args->spool_dir);
        }
        return 0;
}

/* Builds the chain of every device on its sink. */
static int build_chains(const struct operation *operation, struct outputs *outputs,
                        const struct backup_parties *parties, struct stream_info *info, struct error *err)
{
        if (operation->info.part_count != operation->device_count)
                return error_raise(err, ERR_PROTOCOL, "the server speaks of %u devices, not %u",
                                   operation->info.part_count, operation->device_count);
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
static int finish(struct operation *operation, struct outputs *outputs, struct stage *const *files, struct error *err)
{
        worker_begin(&operation->serving.worker);
        for (uint32_t i = 0; i < outputs->count; i++)
                if (stage_finish(outputs->sinks[i], /* report_json= */ NULL, err) < 0)
                        return operation_failed(operation, err);
        if (supervisor_check(operation->serving.supervisor, err) < 0)
                return -1;
        if (!outputs->to_stdout && file_sink_publish(files, outputs->count, err) < 0)
                return -1;
        worker_end(&operation->serving.worker);
        return 0;
}

static void summarise(const struct operation *operation, const struct database *database, const struct outputs *outputs)
{
        char size[32];
        char written[32];
        char compressed[64] = "";
        double seconds = (double)(monotonic_ns() - operation->serving.progress.started_ns) / 1e9;
        uint64_t bytes = 0;

        if (operation->note[0])
                message_warning("%s", operation->note);
        progress_format_bytes(operation->info.size, size);
        if (operation->serving.args->zstd) {
                for (uint32_t i = 0; i < outputs->count; i++)
                        bytes += vdistream_writer_bytes_out(outputs->sinks[i]);
                progress_format_bytes(bytes, written);
                snprintf(compressed, sizeof compressed, ", compressed to %s,", written);
        }
        message_summary("backup of '%s': %s%s in %.1f s to %s%s%s", database->name, size, compressed, seconds,
                        outputs->names[0], outputs->count > 1 ? " and its siblings" : "",
                        operation->serving.args->coding->summary);
        if (operation->serving.args->raw && !coding_encrypts(operation->serving.args))
                message_verbose("raw image: nothing in it tells a truncated copy from a whole one");
}

static int backup(struct operation *operation, const struct database *database, struct outputs *outputs,
                  struct error *err)
{
        struct stage *files[VDS_DEVICES_MAX];
        struct stream_info info;
        char time_text[32];
        char date[32];
        const struct backup_parties parties = {
                .set_id = operation->set_id,
                .time = time_text,
                .database = database->name,
                .origin = database->path,
                .server = &operation->info,
                .config = &operation->serving.config,
        };
        const struct output_words words = {
                .db = database->name, .source = database->path, .type = "full", .date = date
        };
        int rc;

        describe_time(time_text);
        outputs_date(time_text, date);
        if (use_sqlite(operation, database, err) < 0 ||
            outputs_open(outputs, operation->serving.args, &words, operation->set_id,
                         supervisor_cancel_flag(operation->serving.supervisor), err) < 0)
                return operation_failed(operation, err);
        memcpy(files, outputs->sinks, sizeof files);
        if (operation_connect(operation, err) < 0)
                return -1;
        atomic_store(&operation->serving.progress.total, operation->info.size);
        rc = describe_backup(&parties, &info, err);
        if (rc == 0)
                rc = build_chains(operation, outputs, &parties, &info, err);
        coding_forget(operation->serving.args);
        stream_info_deinit(&info);
        if (rc == 0)
                rc = transfer(operation, outputs, err);
        if (rc == 0 && (rc = finish(operation, outputs, files, err)) < 0)
                error_prefix(err, "the server counts this backup as taken, but it is not complete: ");
        if (rc == 0)
                summarise(operation, database, outputs);
        return rc;
}

static int run_backup(const struct args *args, struct error *err)
{
        struct operation operation;
        struct database database = { 0 };
        struct outputs outputs;
        int rc;

        memset(&outputs, 0, sizeof outputs);
        if (check_args(args, err) < 0 || database_from_args(args, &database, err) < 0 ||
            coding_load_writing(args, err) < 0) {
                database_deinit(&database);
                return -1;
        }
        rc = operation_open(&operation, args, "backup", err);
        if (rc == 0)
                rc = backup(&operation, &database, &outputs, err);
        if (rc < 0) {
                for (uint32_t i = 0; i < outputs.count; i++)
                        if (outputs.sinks[i])
                                stage_abort(outputs.sinks[i], err->message);
                error_prefix(err, "backup of '%s': ", database.name);
        }
        operation_close(&operation);
        outputs_deinit(&outputs);
        database_deinit(&database);
        return rc;
}

const struct command command_backup = {
        .name = "backup",
        .operands = "DB [-o FILE | > FILE | | COMMAND]",
        .summary = "back a database up to standard output or to files",
        .text = "Writes a consistent image of the SQLite database DB while others read and write it. DB is a path, "
                "sqlite:PATH,\n"
                "or @NAME (or NAME, where no such file is) for a section of the configuration.\n"
                "The output is a vdi stream: zstd frames that stock zstd unpacks to the database, and that every "
                "reader\n"
                "refuses unless the backup was completed. With -o, FILE appears when it is complete and on disk.",
        .example = "  vdipipe backup app.db | zstd > app.vdi.zst\n"
                   "  vdipipe backup app.db --zstd -o '/backup/{db}-{date}.vdi'\n",
        .options = option_tables,
        .operands_max = 1,
        .takes_database = true,
        .run = run_backup,
};
