#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/command.h"
#include "cli/config.h"
#include "cli/databases/database.h"

static int read_as(const struct command *command, struct config *config, const char *file, const char *text,
                   struct error *err)
{
        return config_read_text(config, command->options, file, text, strlen(text), err);
}

static struct config *config_of(const char *text)
{
        struct config *config = config_new(commands);
        struct error err = ERROR_INIT;

        assert_non_null(config);
        if (read_as(&command_backup, config, "conf", text, &err) < 0)
                fail_msg("%s", err.message);
        return config;
}

static void keys_are_options_of_any_command(void **state)
{
        struct config *config = config_of("\xef\xbb\xbf# a comment\n"
                                          "; another\r\n"
                                          "\n"
                                          "[defaults]\n"
                                          "quiet = yes\n"
                                          "zstd\t=\n"
                                          "[ app one ]\r\n"
                                          "  database = /srv/app; #1.db\r\n"
                                          "  devices=4\n"
                                          "output = /backup/{db}.{device}\n"
                                          "check = full\n"
                                          "stall-timeout = 1.5\n"
                                          "max-wal: 2G");
        struct args args;
        struct error err = ERROR_INIT;

        (void)state;
        assert_true(config_has(config, "app one"));
        assert_false(config_has(config, "defaults"));
        assert_false(config_has(config, "app"));
        assert_string_equal(config_database(config, "app one"), "/srv/app; #1.db");
        assert_null(config_database(config, "app"));
        assert_true(config_names_path(config, "/srv/app; #1.db"));
        assert_false(config_names_path(config, "/srv/app"));
        assert_string_equal(config_files(config), "'conf'");

        args_init(&args);
        assert_int_equal(config_apply(config, "app one", command_backup.options, &args, &err), 0);
        assert_true(args.quiet);
        assert_true(args.zstd);
        assert_int_equal(args.zstd_level, 3);
        assert_int_equal(args.devices, 4);
        assert_string_equal(args.output, "/backup/{db}.{device}");
        assert_int_equal(args.stall_timeout_ms, 1500);
        assert_int_equal(args.max_wal, (int64_t)2 << 30);
        assert_int_equal(args.check, SERVER_CHECK_QUICK);
        args_deinit(&args);

        args_init(&args);
        assert_int_equal(config_apply(config, "app one", command_restore.options, &args, &err), 0);
        assert_int_equal(args.check, SERVER_CHECK_FULL);
        assert_int_equal(args.devices, 1);
        assert_null(args.output);
        args_deinit(&args);

        args_init(&args);
        assert_int_equal(config_apply(config, /* section= */ NULL, command_backup.options, &args, &err), 0);
        assert_true(args.zstd);
        assert_int_equal(args.devices, 1);
        args_deinit(&args);
        config_free(config);
}

static void the_command_line_wins_over_section_over_defaults(void **state)
{
        static const char *const argv[] = { "backup", "-qz", "--devices", "2", "@a" };
        struct config *config = config_of("[defaults]\nmax-lock=1\ndevices=3\nzstd=9\nspool-dir=/a\nraw=on\n"
                                          "[a]\ndatabase=/a\ndevices=4\nmax-lock=2\nraw=OFF\n");
        struct args args;
        struct error err = ERROR_INIT;

        (void)state;
        args_init(&args);
        assert_int_equal(options_parse(command_backup.options, 5, argv, &args, &err), 0);
        assert_int_equal(config_apply(config, "a", command_backup.options, &args, &err), 0);
        assert_int_equal(args.devices, 2);
        assert_int_equal(args.max_lock_ms, 2000);
        assert_int_equal(args.zstd_level, 3);
        assert_false(args.raw);
        assert_string_equal(args.spool_dir, "/a");
        args_deinit(&args);
        config_free(config);
}

static void an_option_with_optional_value(void **state)
{
        static const struct {
                const char *value;
                bool zstd;
                int level;
        } cases[] = {
                { "", true, 3 },    { "yes", true, 3 }, { "1", true, 1 },
                { "19", true, 19 }, { "no", false, 3 }, { "OFF", false, 3 },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                char text[64];
                struct config *config;
                struct args args;
                struct error err = ERROR_INIT;

                snprintf(text, sizeof text, "[defaults]\nzstd = 7\n[a]\nzstd = %s\n", cases[i].value);
                config = config_of(text);
                args_init(&args);
                assert_int_equal(config_apply(config, "a", command_backup.options, &args, &err), 0);
                assert_int_equal(args.zstd, cases[i].zstd);
                assert_int_equal(args.zstd_level, cases[i].level);
                args_deinit(&args);
                config_free(config);
        }
}

static void later_files_override_key_by_key(void **state)
{
        struct config *config = config_of("[a]\ndatabase=/a\ndevices=2\nmax-lock=1\n");
        struct args args;
        struct error err = ERROR_INIT;

        (void)state;
        assert_int_equal(read_as(&command_backup, config, "more", "[a]\ndevices=3\n[b]\ndatabase=sqlite:/b\n", &err),
                         0);
        assert_string_equal(config_files(config), "'conf', 'more'");
        assert_string_equal(config_database(config, "a"), "/a");
        assert_true(config_names_path(config, "/b"));
        args_init(&args);
        assert_int_equal(config_apply(config, "a", command_backup.options, &args, &err), 0);
        assert_int_equal(args.devices, 3);
        assert_int_equal(args.max_lock_ms, 1000);
        args_deinit(&args);
        config_free(config);
}

static void what_is_wrong_is_told_with_file_and_line(void **state)
{
        static const struct {
                const char *text;
                const char *words;
        } cases[] = {
                { "[a]\n\nfrob = 1\n", "conf:3: unknown key 'frob'; keys are 'database' and the long options" },
                { "[a]\n--devices = 1\n", "conf:2: unknown key '--devices'" },
                { "[a]\ndevicse = 1\n",
                  "conf:2: unknown key 'devicse' (did you mean 'devices'?); keys are 'database' " },
                { "[a]\ndatabas = /a\n", "conf:2: unknown key 'databas' (did you mean 'database'?); keys are " },
                { "[a]\n= 1\n", "conf:2: unknown key ''; keys are " },
                { "[a]\nconfig = /x\n", "conf:2: unknown key 'config'; keys are " },
                { "[a]\nhelp = yes\n", "conf:2: unknown key 'help'" },
                { "[a]\nconfig = /x\n", "conf:2: unknown key 'config'" },
                { "[a]\ndevices = 99\n", "conf:2: --devices is 99, outside 1 to 64" },
                { "[a]\ncheck = some\n", "conf:2: --check does not take 'some'; it takes one of: none, quick, full" },
                { "[a]\nraw = maybe\n", "conf:2: 'raw' takes yes or no, not 'maybe'" },
                { "[a]\nraw =\n", "conf:2: 'raw' takes yes or no, not ''" },
                { "[a]\noutput =\n", "conf:2: --output is empty; it takes FILE" },
                { "[a]\nzstd = 0x\n", "conf:2: --zstd takes a whole number" },
                { "[a]\ndevices = 1\n# x\ndevices = 1\n", "conf:4: 'devices' stands in line 2 already; keep one" },
                { "[a]\n[b]\n[ a]\n", "conf:3: section [a] begins in line 1 already; put both into one" },
                { "\nraw = yes\n", "conf:2: 'raw' stands before the first section; put it below [defaults] or [NAME]" },
                { "[a]\nraw\n", "conf:2: the line is no 'key = value', no [section] and no comment" },
                { "[a]\n  raw\n[b]\n", "conf:2: the line is no" },
                { "[a\nraw = yes\n", "conf:1: a section's head is [NAME]; its ] is missing" },
                { "[a] raw = yes\n", "conf:1: nothing may follow a section's head" },
                { "[ ]\n", "conf:1: the section has no name" },
                { "[/srv/a]\n", "conf:1: a section's name holds no '/'" },
                { "[@a]\n", "conf:1: a section's name holds no" },
                { "[a]\ndatabase = a.db\n", "conf:2: 'database' takes an absolute path such as /srv/app.db, or "
                                            "mssql://USER@HOST/NAME, not 'a.db'" },
                { "[a]\ndatabase = @b\n", "conf:2: 'database' takes an absolute path" },
                { "[defaults]\ndatabase = /a\n", "conf:2: 'database' belongs into a section of its own" },
        };

        (void)state;
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct config *config = config_new(commands);
                struct error err = ERROR_INIT;

                assert_int_equal(read_as(&command_backup, config, "conf", cases[i].text, &err), -1);
                assert_int_equal(err.code, ERR_USAGE);
                if (strncmp(err.message, cases[i].words, strlen(cases[i].words)) != 0)
                        fail_msg("'%s', not '%s'", err.message, cases[i].words);
                config_free(config);
        }
}

static void lines_and_names_are_bounded(void **state)
{
        char text[CONFIG_LINE_MAX + 64];
        struct config *config = config_new(commands);
        struct error err = ERROR_INIT;
        size_t used;

        (void)state;
        used = (size_t)sprintf(text, "[a]\ndatabase = /");
        memset(text + used, 'x', CONFIG_LINE_MAX - 12);
        strcpy(text + used + CONFIG_LINE_MAX - 12, "\n");
        assert_int_equal(read_as(&command_backup, config, "conf", text, &err), 0);
        assert_int_equal(strlen(config_database(config, "a")), CONFIG_LINE_MAX - 11);
        strcpy(text + used + CONFIG_LINE_MAX - 12, "x\n");
        err = (struct error)ERROR_INIT;
        assert_int_equal(read_as(&command_backup, config, "more", text, &err), -1);
        assert_non_null(strstr(err.message, "more:2: the line has 4097 bytes; 4096 are allowed"));
        config_free(config);

        config = config_new(commands);
        err = (struct error)ERROR_INIT;
        memset(text, 'y', CONFIG_SECTION_MAX + 2);
        text[0] = '[';
        strcpy(text + CONFIG_SECTION_MAX + 2, "]\n");
        err = (struct error)ERROR_INIT;
        assert_int_equal(read_as(&command_backup, config, "conf", text, &err), -1);
        assert_non_null(strstr(err.message, "conf:1: the section's name has 256 bytes"));
        config_free(config);

        config = config_new(commands);
        err = (struct error)ERROR_INIT;
        err = (struct error)ERROR_INIT;
        assert_int_equal(config_read_text(config, command_backup.options, "conf", "[a]\nraw\0=yes\n", 13, &err), -1);
        assert_non_null(strstr(err.message, "conf:2: the line holds a NUL byte"));
        config_free(config);
}

static void only_a_file_that_nobody_else_may_write_is_read(void **state)
{
        char path[] = "/tmp/vdipipe-config.XXXXXX";
        int fd = mkstemp(path);
        struct config *config = config_new(commands);
        struct error err = ERROR_INIT;
        static const mode_t refused[] = { 0620, 0602, 0666 };

        (void)state;
        assert_int_equal(write(fd, "[a]\ndatabase=/a\n", 16), 16);
        assert_int_equal(config_read_file(config, command_backup.options, path, &err), 0);
        assert_true(config_has(config, "a"));
        for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
                assert_int_equal(fchmod(fd, refused[i]), 0);
                err = (struct error)ERROR_INIT;
                assert_int_equal(config_read_file(config, command_backup.options, path, &err), -1);
                assert_int_equal(err.code, ERR_USAGE);
                assert_non_null(strstr(err.message, path));
                assert_non_null(strstr(err.message, "chmod go-w"));
        }
        assert_int_equal(fchmod(fd, 0644), 0);
        if (geteuid() == 0) {
                assert_int_equal(fchown(fd, 12345, 0), 0);
                err = (struct error)ERROR_INIT;
                assert_int_equal(config_read_file(config, command_backup.options, path, &err), -1);
                assert_non_null(strstr(err.message, "belongs to user 12345"));
        }
        assert_int_equal(ftruncate(fd, CONFIG_FILE_MAX + 1), 0);
        assert_int_equal(fchown(fd, geteuid(), getegid()), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(config_read_file(config, command_backup.options, path, &err), -1);
        assert_non_null(strstr(err.message, "is larger than 1048576 bytes"));
        assert_int_equal(unlink(path), 0);
        assert_int_equal(config_read_file(config, command_backup.options, path, &err), 1);
        assert_int_equal(mkfifo(path, 0600), 0);
        err = (struct error)ERROR_INIT;
        assert_int_equal(config_read_file(config, command_backup.options, path, &err), -1);
        assert_non_null(strstr(err.message, "no regular file"));
        assert_int_equal(unlink(path), 0);
        close(fd);
        config_free(config);
}

static void a_name_is_a_section_a_bare_one_only_where_no_file_is(void **state)
{
        static const struct {
                const char *text;
                const char *section;
                const char *words;
        } cases[] = {
                { "@a", "a", NULL },
                { "@no-such-file", "no-such-file", NULL },
                { "no-such-file", "no-such-file", NULL },
                { "tmp", NULL, NULL }, /* there is such a file below the root */
                { "@tmp", "tmp", NULL },
                { "./a", NULL, NULL },
                { "unknown", NULL, NULL },
                { "defaults", NULL, NULL },
                { "@unknown", NULL, "there is no section [unknown] in the configuration; files read: 'conf'" },
                { "@defaults", NULL, "there is no section [defaults]" },
                { "@", NULL, "there is no section []" },
                { "@empty", NULL, "section [empty] names no database; add to it: database = /PATH" },
                { "empty", NULL, "section [empty] names no database" },
        };
        struct config *config =
                config_of("[defaults]\n[a]\ndatabase=/a\n[empty]\n[no-such-file]\ndatabase=/b\n[tmp]\ndatabase=/c\n");

        (void)state;
        assert_int_equal(chdir("/"), 0);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                const char *section = "unset";
                struct error err = ERROR_INIT;

                assert_int_equal(database_find_section(config, cases[i].text, &section, &err), cases[i].words ? -1 : 0);
                if (cases[i].words) {
                        assert_int_equal(err.code, ERR_USAGE);
                        assert_non_null(strstr(err.message, cases[i].words));
                } else if (cases[i].section) {
                        assert_string_equal(section, cases[i].section);
                } else {
                        assert_null(section);
                }
        }
        config_free(config);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(keys_are_options_of_any_command),
                cmocka_unit_test(the_command_line_wins_over_section_over_defaults),
                cmocka_unit_test(an_option_with_optional_value),
                cmocka_unit_test(later_files_override_key_by_key),
                cmocka_unit_test(what_is_wrong_is_told_with_file_and_line),
                cmocka_unit_test(lines_and_names_are_bounded),
                cmocka_unit_test(only_a_file_that_nobody_else_may_write_is_read),
                cmocka_unit_test(a_name_is_a_section_a_bare_one_only_where_no_file_is),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
