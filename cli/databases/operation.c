#include "cli/databases/operation.h"

#include "cli/databases/mssql_login.h"
#include "cli/databases/server_options.h"
#include "cli/media/coding.h"
#include "cli/text/secrets.h"

enum { SERVER_GRACE_MS = 3000 }; /* for a server that got no job */

int operation_choose_kind(struct operation *operation, struct error *err)
{
        const struct operation_kind *kind =
                database_is_mssql(&operation->database) ? &operation_mssql : &operation_sqlite;

        operation->kind = kind;
        if (server_options_check(operation->args, &operation->database, err) < 0)
                return -1;
        return operation->restores ? kind->check_restore(operation, err) : kind->check_backup(operation, err);
}

static int operation_prepare(struct operation *operation, struct error *err)
{
        const struct args *args = operation->args;
        bool from_stdin = operation->restores && !args->inputs.count;

        if (args->operands.count &&
            (database_from_args(args, &operation->database, err) < 0 || operation_choose_kind(operation, err) < 0))
                return -1;
        if (operation->kind && operation->kind->logs_in && run_as_check(args, err) < 0)
                return -1;
        /* Before there are keys and threads; meanwhile it gets ready. */
        if (!(operation->kind && operation->kind->logs_in) && !args->dry_run &&
            server_process_start(&operation->server_process, err) < 0)
                return -1;
        if ((operation->restores ? coding_load_reading(args, from_stdin, err) : coding_load_writing(args, err)) < 0)
                return -1;
        if (!operation->kind || !operation->kind->logs_in || args->dry_run)
                return 0;
        return mssql_login_load(args, &operation->database.uri, from_stdin, &operation->login, err);
}

/* The configuration may name a user for all databases; SQLite's need none. */
int operation_become_user(struct operation *operation, struct error *err)
{
        struct member *member = &operation->member;
        struct stage *files[VDS_DEVICES_MAX];
        size_t count = volumes_files(member->volumes, member->volume_count, files);

        if (operation->kind->logs_in &&
            run_as_begin(operation->args, &operation->login.password, files, count, &member->run_as, err) < 0)
                return member_fail(member, err);
        supervisor_watch_keeper(member->supervisor, run_as_keeper_fd(member->run_as));
        return 0;
}

int operation_serve_inputs(struct operation *operation, uint32_t count, struct error *err)
{
        member_set_inputs(&operation->member, &operation->inputs, count);
        return member_create(&operation->member, count, err) < 0 ? -1 : member_serve(&operation->member, err);
}

int operation_run(const struct args *args, bool restores, int (*work)(struct operation *operation, struct error *err),
                  struct error *err)
{
        const char *verb = restores ? "restore" : "backup";
        struct operation operation = { .args = args, .restores = restores, .server_process = SERVER_PROCESS_INIT };
        int rc = operation_prepare(&operation, err);

        if (rc == 0) {
                rc = member_open(&operation.member, args, verb, err);
                if (rc == 0)
                        rc = work(&operation, err);
                member_close(&operation.member, err);
                if (rc < 0 && operation.database.name)
                        error_prefix(err, "%s of '%s': ", verb, operation.database.name);
        }
        server_process_end(&operation.server_process, SERVER_GRACE_MS, &(bool){ false });
        inputs_deinit(&operation.inputs);
        secrets_forget(&operation.login.password);
        database_deinit(&operation.database);
        return rc;
}
