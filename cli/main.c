/*
 * main.c - find the command, run it, turn its result into an exit status
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/media/coding.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/databases/database.h"
#include "cli/exit_status.h"
#include "cli/message.h"
#include "cli/render.h"
#include "codecs/base/pool.h"
#include "core/base/cleanup.h"

/* Descriptors 0 to 2 always exist, so that no file of ours can become somebody's standard output. In place of a closed
 * one stands what cannot be used, so that nobody's backup goes to nowhere: an input that cannot be read, an output that
 * cannot be written. */
static void hold_standard_descriptors(void)
{
        static const int unusable[] = { O_WRONLY, O_RDONLY, O_RDWR };

        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
                if (fcntl(fd, F_GETFD) < 0)
                        (void)open("/dev/null", unusable[fd]);
}

static int fail_with_usage(const char *command_name, struct error *err)
{
        message_error("%s; see 'vdipipe %s%s--help'", err->message, command_name, *command_name ? " " : "");
        return exit_status(err);
}

/* Whether stdout took what was printed: a full disk must not look like success. */
static int main_flush_stdout(void)
{
        struct error err = ERROR_INIT;

        if (fflush(stdout) == 0 && !ferror(stdout))
                return 0;
        error_raise(&err, ERR_IO, "standard output cannot be written");
        message_error("%s", err.message);
        return exit_status(&err);
}

/* What the configuration files say to options that the command line leaves open. */
static int main_configure(const struct command *command, struct args *args, struct config **config, struct error *err)
{
        if (command->hidden || command->reads_config)
                return 0;
        if (config_load(commands, command->options, args, config, err) < 0)
                return -1;
        args->config = *config;
        if (command->takes_database && args->operands.count &&
            database_find_section(*config, args->operands.items[0], &args->database_section, err) < 0)
                return -1;
        return config_apply(*config, args->database_section, command->options, args, err);
}

static int main_run_configured(const struct command *command, struct args *args, struct error *err)
{
        struct config *config = NULL;
        struct coding coding = { 0 };
        int rc = main_configure(command, args, &config, err);

        args->coding = &coding;
        if (rc == 0) {
                message_init(args);
                rc = pool_new((unsigned)args->threads, &args->pool, err);
        }
        if (rc == 0)
                rc = command->run(args, err);
        pool_free(take_ptr(&args->pool));
        coding_forget(args);
        args->coding = NULL;
        args->config = NULL;
        config_free(config);
        return rc;
}

/* Whether that is an option whose value may be left out. */
static bool is_optional(const struct command *command, const char *argument)
{
        const struct opt_spec *spec = NULL;

        if (strncmp(argument, "--", 2) == 0)
                spec = options_find(command->options, argument + 2, strlen(argument + 2));
        return spec && spec->optional;
}

/* One operand too many may be meant as an option's value, which is taken only behind '='. */
static int raise_unexpected(const struct command *command, const struct args *args, int argc, const char *const *argv,
                            struct error *err)
{
        for (int i = argc - 1; i-- > 0;)
                if (is_optional(command, argv[i]) && argv[i + 1][0] != '-' && access(argv[i + 1], F_OK) < 0)
                        return error_raise(err, ERR_USAGE, "unexpected argument '%s'; a value for %s is written %s=%s",
                                           argv[i + 1], argv[i], argv[i], argv[i + 1]);
        return error_raise(err, ERR_USAGE, "unexpected argument '%s'", args->operands.items[command->operands_max]);
}

static int main_run_command(const struct command *command, int argc, const char *const *argv)
{
        struct error err = ERROR_INIT;
        struct args args;
        int status;

        args_init(&args);
        if (options_parse(command->options, argc, argv, &args, &err) < 0) {
                status = fail_with_usage(command->name, &err);
        } else if (args.help) {
                render_help(stdout, command);
                status = main_flush_stdout();
        } else if (args.operands.count > command->operands_max) {
                raise_unexpected(command, &args, argc, argv, &err);
                status = fail_with_usage(command->name, &err);
        } else if (main_run_configured(command, &args, &err) < 0) {
                if (err.message[0])
                        message_error("%s", err.message);
                status = exit_status(&err);
        } else {
                status = main_flush_stdout();
        }
        args_deinit(&args);
        return status;
}

static int fail_unknown_command(const char *name)
{
        struct nearest nearest = nearest_to(name, strlen(name));
        struct error err = ERROR_INIT;

        COMMANDS_EACH_SHOWN(commands)
                nearest_try(&nearest, (*command)->name);
        error_raise(&err, ERR_USAGE, "unknown command '%s'%s", name, nearest_hint(&nearest, ""));
        return fail_with_usage("", &err);
}

static int main_show_help(const char *name)
{
        const struct command *command = name ? command_find(name) : NULL;

        if (name && !command)
                return fail_unknown_command(name);
        if (command)
                render_help(stdout, command);
        else
                render_overview(stdout);
        return main_flush_stdout();
}

static int main_run(int argc, const char *const *argv)
{
        struct error err = ERROR_INIT;
        const struct command *command;

        if (argc < 2) {
                error_raise(&err, ERR_USAGE, "no command given");
                return fail_with_usage("", &err);
        }
        if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)
                return main_show_help(argc > 2 ? argv[2] : NULL);
        if (strcmp(argv[1], "--version") == 0) {
                render_version(stdout);
                return main_flush_stdout();
        }
        command = command_find(argv[1]);
        return command ? main_run_command(command, argc - 1, argv + 1) : fail_unknown_command(argv[1]);
}

static bool main_is_over;
static pid_t main_process; /* a forked child ends as it likes */

/* Code of others runs in this process (--sqlvdi), and its exit(0) in the middle of a backup must not pass for ours. */
static void refuse_success(void)
{
        if (main_is_over || getpid() != main_process)
                return;
        message_error("a library ended the program before its work was done");
        _exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
        int status;

        main_process = getpid();
        hold_standard_descriptors();
        signal(SIGPIPE, SIG_IGN);
        signal(SIGXFSZ, SIG_IGN);
        if (atexit(refuse_success) != 0)
                return EXIT_FAILURE;
        status = main_run(argc, (const char *const *)argv);
        main_is_over = true;
        return status;
}
