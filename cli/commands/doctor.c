/*
 * doctor.c - what would go wrong on this machine
 */
#include <stdio.h>

#include "cli/command.h"
#include "cli/commands/doctor_checks.h"
#include "cli/text/json.h"
#include "cli/run/set_options.h"
#include "cli/run/sqlvdi.h"

static const struct opt_spec doctor_options[] = {
        OPTION_STRING(SQLITE, "spool-dir", 0, "FOLDER", spool_dir, "look at FOLDER as the one to spool to"),
        { .type = OPT_END },
};

/* Its values for all commands are what the other checks go by. */
static void look_at_configuration(struct doctor *doctor, struct args *args, struct config **config)
{
        struct error err = ERROR_INIT;
        int rc = config_load(commands, command_doctor.options, args, config, &err);

        if (rc == 0)
                rc = config_apply(*config, /* section= */ NULL, command_doctor.options, args, &err);
        if (rc < 0) {
                doctor_say(doctor, DOCTOR_FAULT, "configuration", "%s", err.message);
                return;
        }
        doctor->config = *config;
        doctor_say(doctor, DOCTOR_OK, "configuration", "read: %s", config_files(*config));
}

static int run_doctor(const struct args *given, struct error *err)
{
        struct args args = *given;
        struct doctor doctor = { .args = &args, .checks = given->json ? json_array() : NULL };
        struct config *config = NULL;
        int rc = 0;

        if (given->json && !doctor.checks)
                return error_no_memory(err);
        look_at_configuration(&doctor, &args, &config);
        doctor_engine(&doctor);
        doctor_system(&doctor);
        doctor_sqlserver(&doctor);
        if (doctor.checks)
                rc = json_print(doctor.checks, stdout, err);
        config_free(config);
        if (rc == 0 && doctor.counts[DOCTOR_FAULT])
                rc = error_raise(err, ERR_FAILED, "%u fault%s found", doctor.counts[DOCTOR_FAULT],
                                 doctor.counts[DOCTOR_FAULT] == 1 ? " was" : "s were");
        return rc;
}

const struct command command_doctor = {
        .name = "doctor",
        .operands = "[--run-as USER] [--json]",
        .summary = "look for what would go wrong on this machine",
        .text = "Looks at the configuration files, the folder where device sets meet, limits and folders, and what SQL "
                "Server databases need: its library, its account, shared memory. One line a check: ok, warning or "
                "fault, what was found, and the remedy; with -q only what is not ok, with --json an array of objects. "
                "Exit status 1 if there is a fault. Run it as the user, and in the environment, that the backups will "
                "have.",
        .example = "  vdipipe doctor\n"
                   "  sudo vdipipe doctor --run-as mssql\n"
                   "  vdipipe doctor --json | jq -r '.[] | select(.level == \"fault\") | .text'\n",
        .options = OPTION_TABLES(doctor_options, options_sqlvdi, options_group, options_json, options_common),
        .reads_config = true,
        .run = run_doctor,
};
