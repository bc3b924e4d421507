#include "cli/databases/server_options.h"

#include "cli/config.h"
#include "cli/options.h"

static bool is_foreign(const struct opt_spec *spec, const struct database *database)
{
        return spec->group == (database_is_mssql(database) ? OPT_GROUP_SQLITE : OPT_GROUP_MSSQL);
}

int server_options_check(const struct args *args, const struct database *database, struct error *err)
{
        const char *kind = options_heading(database_is_mssql(database) ? OPT_GROUP_MSSQL : OPT_GROUP_SQLITE);
        const struct opt_spec *spec;

        for (size_t i = 0; i < args->given_count; i++)
                if (is_foreign(args->given[i], database))
                        return error_raise(
                                err, ERR_USAGE, "--%s is for databases of %s, and '%s' is one of %s; leave it out",
                                args->given[i]->name, options_heading(args->given[i]->group), database->name, kind);
        for (size_t at = 0; (spec = config_next_option(args->config, args->database_section, &at));)
                if (is_foreign(spec, database))
                        return error_raise(err, ERR_USAGE,
                                           "section [%s] has '%s', which is for databases of %s; its database is one "
                                           "of %s",
                                           args->database_section, spec->name, options_heading(spec->group), kind);
        return 0;
}
