#include "cli/command.h"

#include <string.h>

const struct command *const commands[] = {
        &command_backup, &command_restore, &command_verify,         &command_info,  &command_extract,  &command_keygen,
        &command_doctor, &command_create,  &command_attach,         &command_exec,  &command_list,     &command_status,
        &command_config, &command_abort,   &command_list_databases, &command_serve, &command_complete, NULL,
};

const struct command *command_find(const char *name)
{
        for (const struct command *const *command = commands; *command; command++)
                if (strcmp((*command)->name, name) == 0)
                        return *command;
        return NULL;
}
