/*
 * backup.c - a database to standard output or to files
 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/databases/mssql_login.h"
#include "cli/databases/mssql_options.h"
#include "cli/databases/operation.h"
#include "cli/databases/state.h"
#include "cli/media/coding.h"
#include "cli/message.h"
#include "cli/run/set_options.h"
#include "cli/run/sqlvdi.h"

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

static int backup_check_args(const struct args *args, struct error *err)
{
        if (args->operands.count != 1)
                return error_raise(err, ERR_USAGE, "which database? give its path, or @SECTION: vdipipe backup DB");
        if (args->raw && args->zstd)
                return error_raise(err, ERR_USAGE,
                                   "--raw and --zstd exclude each other; to compress a raw image: vdipipe "
                                   "backup --raw DB | zstd");
        if (coding_check_zstd(args, err) < 0 || set_options_check(args, err) < 0)
                return -1;
        if (args->force && !args->output)
                return error_raise(err, ERR_USAGE, "--force goes with -o FILE");
        return outputs_check(args, err);
}

static int backup_add_outputs(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        uint32_t count = (uint32_t)args->devices;
        char date[32];
        const struct output_words words = {
                .db = operation->database.name,
                .source = operation->database.path,
                .type = operation->type,
                .date = date,
        };

        outputs_date(operation->member.primary.time, date);
        for (uint32_t i = 0; i < count; i++)
                if (member_add_output(&operation->member, i, count, args->output, &words, err) < 0)
                        return -1;
        return 0;
}

static void backup_summarise(const struct operation *operation)
{
        const struct args *args = operation->args;
        const struct member *member = &operation->member;
        char size[32];
        char written[32];
        char compressed[64] = "";
        double seconds = progress_done(&member->progress, size);
        uint64_t bytes = 0;

        if (args->zstd) {
                for (uint32_t i = 0; i < member->volume_count; i++)
                        bytes += vdistream_writer_bytes_out(member->volumes[i].chain);
                progress_format_bytes(bytes, written);
                snprintf(compressed, sizeof compressed, ", compressed to %s,", written);
        }
        message_summary("backup of '%s'%s: %s%s in %.1f s to %s%s%s", operation->database.name,
                        operation->type_in_words, size, compressed, seconds, volume_name(&member->volumes[0]),
                        member->volume_count > 1 ? " and its siblings" : "", args->coding->summary);
        if (args->raw && !coding_encrypts(args))
                message_verbose("raw image: nothing in it tells a truncated copy from a whole one");
}

static int backup_run(struct operation *operation, struct error *err)
{
        struct member *member = &operation->member;

        member->database = operation->database.name;
        member->origin = operation->database.origin;
        member->type = operation->type;
        member->label = operation->label;
        if (backup_add_outputs(operation, err) < 0 || operation_become_user(operation, err) < 0 ||
            operation->kind->begin_backup(operation, err) < 0)
                return member_fail(member, err);
        if (member_create(member, member->volume_count, err) < 0 || member_serve(member, err) < 0)
                return -1;
        backup_summarise(operation);
        state_remember(&(struct state_backup){
                .origin = operation->database.origin,
                .set_id = member->primary.set_id,
                .time = member->primary.time,
                .output = member->volumes[0].path,
                .bytes = atomic_load(&member->progress.done),
        });
        return 0;
}

static int run_backup(const struct args *args, struct error *err)
{
        if (backup_check_args(args, err) < 0)
                return -1;
        return operation_run(args, /* restores= */ false, backup_run, err);
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
