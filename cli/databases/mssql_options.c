#include "cli/databases/mssql_options.h"

#include "core/mssql/statement.h"

static const struct opt_choice backup_types[] = {
        { "full", MSSQL_FULL },
        { "diff", MSSQL_DIFF },
        { "log", MSSQL_LOG },
        { NULL, 0 },
};

const struct opt_spec options_statement_mssql[] = {
        { .type = OPT_CHOICE,
          .name = "type",
          .value = "TYPE",
          .offset = offsetof(struct args, type),
          .choices = backup_types,
          .help = "full, diff or log (default: full; of a restore, what the backup says)" },
        { .type = OPT_STRINGS,
          .name = "file",
          .value = "NAME",
          .offset = offsetof(struct args, files),
          .help = "only the database file of this logical name; may be repeated" },
        { .type = OPT_STRINGS,
          .name = "filegroup",
          .value = "NAME",
          .offset = offsetof(struct args, filegroups),
          .help = "only the files of this filegroup; may be repeated" },
        { .type = OPT_FLAG,
          .name = "checksum",
          .offset = offsetof(struct args, checksum),
          .help = "have the server check every page; with SQL Server the default for backups, while a restore "
                  "checks what checksums there are" },
        { .type = OPT_END },
};

const struct opt_spec options_server_timeout[] = {
        { .type = OPT_SECONDS,
          .name = "server-timeout",
          .value = "SECONDS",
          .offset = offsetof(struct args, server_timeout_ms),
          .min = 0,
          .max = 604800000,
          .help = "give up when SQL Server gives no sign of life for so long (default: never)" },
        { .type = OPT_END },
};

int mssql_options_choose(const struct args *args, const char *yes_name, bool yes, const char *no_name, bool no,
                         bool otherwise, bool *ret, struct error *err)
{
        bool yes_given = yes && args_was_given(args, yes_name);
        bool no_given = no && args_was_given(args, no_name);

        if (yes && no && yes_given == no_given)
                return error_raise(err, ERR_USAGE, "--%s and --%s exclude each other", yes_name, no_name);
        if (yes && no)
                *ret = yes_given;
        else
                *ret = yes || (!no && otherwise);
        return 0;
}

int mssql_options_check_length(const char *option, const char *text, size_t limit, struct error *err)
{
        size_t count = 0;

        for (; text && *text; text++)
                count += ((unsigned char)*text & 0xc0) != 0x80;
        if (count <= limit)
                return 0;
        return error_raise(err, ERR_USAGE, "--%s has %zu characters; %zu are allowed", option, count, limit);
}
