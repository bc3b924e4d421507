#include "cli/args.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/options.h"
#include "codecs/codecs.h"
#include "core/base/cleanup.h"

enum { MS_PER_S = 1000, DEFAULT_MAX_TRANSFER = 1 << 20 };

void args_init(struct args *args)
{
        *args = (struct args){
                .devices = 1,
                .max_transfer = DEFAULT_MAX_TRANSFER,
                .open_timeout_ms = 60 * MS_PER_S,
                .stall_timeout_ms = 600 * MS_PER_S,
                .max_lock_ms = 5 * MS_PER_S,
                .zstd_level = ZSTD_LEVEL_DEFAULT,
                .replace = SERVER_REPLACE_NO,
                .check = SERVER_CHECK_QUICK,
                .as_owner = true,
                .progress = PROGRESS_AUTO,
                .progress_fd = -1,
                .passphrase_fd = -1,
                .password_fd = -1,
                .login_timeout_ms = 15 * MS_PER_S,
                .type = -1,
                .layer = -1,
                .listen = "127.0.0.1:1433",
                .connections_max = 100,
        };
}

void args_deinit(struct args *args)
{
        free(args->operands.items);
        free(args->given);
        free(args->outputs.items);
        free(args->inputs.items);
        free(args->recipients.items);
        free(args->recipients_files.items);
        free(args->identities.items);
        free(args->files.items);
        free(args->filegroups.items);
        free(args->moves.items);
        free(args->databases.items);
        free(args->faults.items);
        memset(args, 0, sizeof *args);
}

bool args_was_given(const struct args *args, const char *name)
{
        for (size_t i = 0; i < args->given_count; i++)
                if (strcmp(args->given[i]->name, name) == 0)
                        return true;
        return false;
}

int args_find_folder(const char *option, const char *path, char **ret_path, struct error *err)
{
        CLEANUP(freep) char *found = realpath(path, NULL);
        struct stat st;

        if (!found || stat(found, &st) < 0 || !S_ISDIR(st.st_mode))
                return error_raise(err, ERR_USAGE, "--%s '%s' is no folder", option, path);
        *ret_path = take_ptr(&found);
        return 0;
}
