#include "cli/databases/mssql_options.h"

#include "core/mssql/statement.h"

static const struct opt_choice backup_types[] = {
        { "full", MSSQL_FULL },
        { "diff", MSSQL_DIFF },
        { "log", MSSQL_LOG },
        { NULL, 0 },
};

const struct opt_spec options_statement_mssql[] = {
        OPTION_CHOICE(FILES, "type", "TYPE", type, backup_types,
                      "full, diff or log (default: full; of a restore, what the backup says)"),
        OPTION_STRINGS(MSSQL, "file", 0, "NAME", files, "only the database file of this logical name; may be repeated"),
        OPTION_STRINGS(MSSQL, "filegroup", 0, "NAME", filegroups, "only the files of this filegroup; may be repeated"),
        OPTION_FLAG(FILES, "checksum", 0, checksum,
                    "have the server check every page; with SQL Server the default for backups, while a restore checks "
                    "what checksums there are"),
        OPTION_SECONDS(MSSQL, "server-timeout", server_timeout_ms, 0, 604800000,
                       "give up when SQL Server gives no sign of life for so long (default: never)"),
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
