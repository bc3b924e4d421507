/*
 * serve.c - a stand-in SQL Server
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/signalfd.h>

#include "cli/command.h"
#include "cli/config.h"
#include "cli/databases/database.h"
#include "cli/commands/exec_statement.h"
#include "cli/message.h"
#include "cli/signals.h"
#include "cli/text/secrets.h"
#include "cli/run/set_options.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"
#include "core/base/ident.h"
#include "core/script/run.h"
#include "core/standin/standin.h"

static const struct opt_spec serve_options[] = {
        OPTION_STRING(MAIN, "listen", 0, "ADDRESS", listen,
                      "HOST:PORT to listen on; port 0 is any free one (default: 127.0.0.1:1433)"),
        OPTION_FLAG(MAIN, "allow-remote", 0, allow_remote,
                    "listen on an address that other machines reach; nothing is encrypted"),
        OPTION_STRING(MAIN, "user", 0, "NAME", user, "the login that is let in (default: sa)"),
        OPTION_STRING(MAIN, "password-file", 0, "FILE", password_file,
                      "its password is the first line of FILE (default: $VDIPIPE_PASSWORD_FILE)"),
        OPTION_STRINGS(MAIN, "database", 0, "NAME=PATH", databases,
                       "serve the SQLite database PATH as NAME, beside those of the configuration; with --script, NAME "
                       "alone will do"),
        OPTION_STRING(MAIN, "data-dir", 0, "FOLDER", data_dir,
                      "restore databases that are not there yet to FOLDER/NAME.db (default: only WITH MOVE)"),
        OPTION_STRING(MAIN, "script", 0, "FILE", script,
                      "have FILE play the server of every statement, instead of SQLite (see core/script/script.md)"),
        OPTION_STRING(MAIN, "restore-script", 0, "FILE", restore_script,
                      "the same for RESTORE statements (default: that of --script)"),
        OPTION_STRINGS(MAIN, "fault", 0, "NAME[:SIZE]", faults,
                       "go wrong in this way; some do so once SIZE bytes of a statement have moved"),
        OPTION_STRING(MAIN, "server-name", 0, "NAME", server_name, "what @@SERVERNAME says (default: the host's name)"),
        OPTION_NUMBER(MAIN, "max-connections", connections_max, 1, 10000, "let in so many at a time (default: 100)"),
        { .type = OPT_END },
};

/* What the options come to, and what they are kept in. */
struct service {
        struct standin_options options;
        struct standin_database *databases; /* names and paths are owned here */
        size_t count;
        char *password;
        char *data_dir;
        char *spool_dir;
        char host[IDENT_HOST_SIZE];
        struct vds_options vds;
};

/* ---- databases ---- */

/* Takes the path over, also when it fails; NULL: none. */
static int service_add_database(struct service *service, const char *name, size_t name_size, char *path,
                                struct error *err)
{
        struct standin_database *grown = reallocarray(service->databases, service->count + 1, sizeof *grown);
        char *own_name = strndup(name, name_size);

        if (grown)
                service->databases = grown;
        if (!grown || !own_name) {
                free(own_name);
                free(path);
                return error_no_memory(err);
        }
        grown[service->count++] = (struct standin_database){ .name = own_name, .path = path };
        return 0;
}

/* A database of the configuration that is no SQLite's is somebody else's. */
static int service_add_section(struct service *service, const char *section, const char *text, struct error *err)
{
        CLEANUP(database_deinit) struct database database = { 0 };
        struct error unfit = ERROR_INIT;

        if (database_parse_file(text, &database, &unfit) == 0)
                return service_add_database(service, section, strlen(section), take_ptr(&database.path), err);
        message_verbose("[%s] of the configuration is left out: %s", section, unfit.message);
        return 0;
}

/* Of what came before `index`; the server's names know no case. */
static bool was_given_before(const struct string_list *given, size_t index)
{
        size_t length = strcspn(given->items[index], "=");

        for (size_t i = 0; i < index; i++)
                if (strcspn(given->items[i], "=") == length &&
                    strncasecmp(given->items[i], given->items[index], length) == 0)
                        return true;
        return false;
}

/* "NAME=PATH" */
static int service_add_given(struct service *service, const struct args *args, const char *text, struct error *err)
{
        const char *equals = strchr(text, '=');
        CLEANUP(database_deinit) struct database database = { 0 };

        if (!equals && !args->script)
                return error_raise(err, ERR_USAGE, "--database %s: which file? Write --database NAME=PATH", text);
        if (equals && database_parse_file(equals + 1, &database, err) < 0)
                return -1;
        return service_add_database(service, text, strcspn(text, "="), take_ptr(&database.path), err);
}

static int service_add_databases(struct service *service, const struct args *args, struct error *err)
{
        for (const char *section = NULL; (section = config_next_database(args->config, section));)
                if (service_add_section(service, section, config_database(args->config, section), err) < 0)
                        return -1;
        for (size_t i = 0; i < args->databases.count; i++) {
                const char *text = args->databases.items[i];

                if (was_given_before(&args->databases, i))
                        return error_raise(err, ERR_USAGE, "--database %s: that name was given before", text);
                if (service_add_given(service, args, text, err) < 0)
                        return -1;
        }
        return 0;
}

/* ---- the other options ---- */

static int service_read_password(struct service *service, const struct args *args, struct error *err)
{
        const char *variable = getenv("VDIPIPE_PASSWORD_FILE");
        const struct secret_source source = {
                .name = "password",
                .question = "",
                .file = args->password_file ? args->password_file : variable,
                .fd = -1,
        };

        if (!source.file)
                return error_raise(err, ERR_USAGE,
                                   "which password lets clients in? --password-file FILE, or VDIPIPE_PASSWORD_FILE in "
                                   "the environment");
        return secret_read_password(&source, &service->password, err);
}

static int service_read_faults(struct service *service, const struct args *args, struct error *err)
{
        bool scripted = args->script || args->restore_script;

        for (size_t i = 0; i < args->faults.count; i++)
                if (standin_parse_fault(args->faults.items[i], service->options.plans, err) < 0)
                        return -1;
        for (size_t i = 0; i < STANDIN_FAULTS; i++)
                if (scripted && service->options.plans[i].wanted && standin_faults[i].takes_bytes)
                        return error_raise(err, ERR_USAGE,
                                           "--fault %s is for SQLite's transfers; a script says itself what goes wrong",
                                           standin_faults[i].name);
        return 0;
}

static int service_find_folders(struct service *service, const struct args *args, struct error *err)
{
        if (args->data_dir && args_find_folder("data-dir", args->data_dir, &service->data_dir, err) < 0)
                return -1;
        return args->spool_dir ? args_find_folder("spool-dir", args->spool_dir, &service->spool_dir, err) : 0;
}

/* A script that is wrong is better told of now than to the first client. */
static int check_script(const char *path, struct error *err)
{
        return path ? script_check(path, err) : 0;
}

static void on_log(const char *line, void *context)
{
        (void)context;
        message_verbose("%s", line);
}

static int service_prepare(struct service *service, const struct args *args, struct error *err)
{
        ident_host(service->host);
        service->vds = set_options(args);
        service->options = (struct standin_options){
                .name = args->server_name ? args->server_name : service->host,
                .user = args->user ? args->user : "sa",
                .script = args->script,
                .restore_script = args->restore_script,
                .connections_max = (uint32_t)args->connections_max,
                .vds = &service->vds,
                .open_wait_ms = args->set_wait_ms,
                .max_lock_ms = args->max_lock_ms,
                .log = on_log,
        };
        if (set_options_check(args, err) < 0 || service_read_faults(service, args, err) < 0 ||
            check_script(args->script, err) < 0 || check_script(args->restore_script, err) < 0 ||
            service_find_folders(service, args, err) < 0 || service_add_databases(service, args, err) < 0 ||
            service_read_password(service, args, err) < 0)
                return -1;
        service->options.password = service->password;
        service->options.data_dir = service->data_dir;
        service->options.spool_dir = service->spool_dir;
        service->options.databases = service->databases;
        service->options.database_count = service->count;
        return 0;
}

static void service_deinit(struct service *service)
{
        for (size_t i = 0; i < service->count; i++) {
                free((void *)(uintptr_t)service->databases[i].name);
                free((void *)(uintptr_t)service->databases[i].path);
        }
        free(service->databases);
        free(service->data_dir);
        free(service->spool_dir);
        secret_freep(&service->password);
}

/* ---- the run ---- */

/* The signals are blocked in every thread from here on. */
static int service_watch_signals(int *ret_fd, struct error *err)
{
        sigset_t mask;

        signals_that_end(&mask, /* with_quit= */ false);
        pthread_sigmask(SIG_BLOCK, &mask, NULL);
        *ret_fd = signalfd(-1, &mask, SFD_CLOEXEC);
        return *ret_fd < 0 ? error_raise_errno(err, errno, "cannot watch for signals") : 0;
}

static int service_serve(const struct service *service, const struct args *args, struct error *err)
{
        CLEANUP(fd_closep) int signal_fd = -1;
        CLEANUP(fd_closep) int listen_fd = -1;
        CLEANUP(freep) char *shown = NULL;
        struct standin *standin;
        int rc;

        if (service_watch_signals(&signal_fd, err) < 0 || standin_new(&service->options, &standin, err) < 0)
                return -1;
        rc = standin_listen(args->listen, args->allow_remote, &listen_fd, &shown, err);
        if (rc == 0 && (printf("listening on %s\n", shown) < 0 || fflush(stdout) != 0))
                rc = error_raise(err, ERR_IO, "standard output cannot be written");
        if (rc == 0)
                rc = standin_serve(standin, listen_fd, signal_fd, err);
        standin_free(standin);
        return rc;
}

static int run_serve(const struct args *args, struct error *err)
{
        CLEANUP(service_deinit) struct service service = { 0 };

        return service_prepare(&service, args, err) < 0 ? -1 : service_serve(&service, args, err);
}

const struct command command_serve = {
        .name = "serve",
        .topic = TOPIC_MSSQL,
        .operands = "[--listen ADDRESS] [--database NAME=PATH]...",
        .summary = "be a stand-in SQL Server",
        .text = "Lets SQL Server's clients log in over TDS 7.4 (with encryption off) and run BACKUP and RESTORE "
                "statements, which work on SQLite databases: those of the configuration's sections, and those of "
                "--database. It answers the questions that backup tools ask (@@VERSION, sys.databases, "
                "msdb.dbo.backupset, sys.dm_exec_requests, ...) from what it did. For the tests of backup programs; it "
                "is no SQL Server, and knows no other T-SQL.\n\n"
                "Once it is ready, a line \"listening on ADDRESS\" appears on standard output. SIGTERM and SIGINT end "
                "it, and what it is doing; the exit status is 0 then, 5 when the address is taken. -v says what "
                "happens.\n\n"
                "Faults: wrong-password, permission-denied, fail-before-open, never-open, fail-after-data[:SIZE], "
                "disconnect[:SIZE], hang[:SIZE], deaf[:SIZE], crash[:SIZE], deny-history, deny-state, no-history, "
                "no-confirmation (core/standin/README.md says what each does).",
        .example = "  vdipipe serve --listen 127.0.0.1:0 --password-file sa.txt --database pubs=/srv/app.db\n"
                   "  vdipipe serve --password-file sa.txt --database pubs=/srv/app.db --fault hang:1M\n"
                   "  vdipipe serve --password-file sa.txt --database pubs --script chain.vds\n",
        .options = OPTION_TABLES(serve_options, options_statement, options_lock, options_group, options_common),
        .run = run_serve,
};
