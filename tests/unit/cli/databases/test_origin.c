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
#include "cli/databases/origin.h"
#include "cli/databases/state.h"

static char folder[] = "/tmp/vdipipe-origin-XXXXXX";
static char origin[128];
static char memory[128];

static int make_folder(void **state)
{
        (void)state;
        if (!mkdtemp(folder))
                return -1;
        snprintf(origin, sizeof origin, "%s/app.db", folder);
        snprintf(memory, sizeof memory, "%s/state", folder);
        return setenv("VDIPIPE_STATE_DIR", memory, 1);
}

static void forget(void)
{
        char command[512];

        snprintf(command, sizeof command, "rm -rf '%s' '%s'", memory, origin);
        assert_int_equal(system(command), 0);
}

static int remove_folder(void **state)
{
        (void)state;
        forget();
        return rmdir(folder);
}

static void remember(const char *what)
{
        state_remember(&(struct state_backup){
                .origin = what, .set_id = "set", .time = "2026-01-31T23:59:59Z", .output = "x.vdi", .bytes = 4096 });
}

static void make_original(const void *bytes, size_t size)
{
        FILE *file = fopen(origin, "w");

        assert_non_null(file);
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
}

/* A stream made here, from a file that is gone. */
static struct stream_info made_here(void)
{
        struct stream_info info = { .origin = origin };

        ident_machine(info.machine);
        ident_host(info.host);
        return info;
}

static void expect_refusal(const struct stream_info *info, const char *words)
{
        struct error err = ERROR_INIT;

        assert_int_equal(origin_check(info, /* config= */ NULL, "< FILE", &err), -1);
        assert_int_equal(err.code, ERR_USAGE);
        assert_non_null(strstr(err.message, words));
        assert_non_null(strstr(err.message, "vdipipe restore DB < FILE"));
}

static void a_free_name_is_taken_where_a_backup_of_it_is_remembered(void **state)
{
        struct stream_info info = made_here();
        struct error err = ERROR_INIT;

        (void)state;
        expect_refusal(&info, "no backup of the original is remembered here");
        remember("/else/app.db");
        expect_refusal(&info, "no backup of the original is remembered here");
        remember(origin);
        assert_int_equal(origin_check(&info, /* config= */ NULL, "< FILE", &err), 0);
        /* Damaged it remembers nothing. */
        forget();
        remember(origin);
        assert_int_equal(chmod(memory, 0777), 0);
        expect_refusal(&info, "no backup of the original is remembered here");
        forget();
}

static void a_file_is_taken_if_it_is_a_database(void **state)
{
        static const uint8_t words[200] = "precious words";
        uint8_t header[200] = "SQLite format 3";
        struct stream_info info = made_here();
        struct error err = ERROR_INIT;

        (void)state;
        make_original(words, sizeof words);
        expect_refusal(&info, "no backup of the original is remembered here");
        /* A damaged one that was backed up here. */
        remember(origin);
        assert_int_equal(origin_check(&info, /* config= */ NULL, "< FILE", &err), 0);
        forget();
        header[16] = 16;
        make_original(header, sizeof header);
        assert_int_equal(origin_check(&info, /* config= */ NULL, "< FILE", &err), 0);
        make_original("", 0);
        assert_int_equal(origin_check(&info, /* config= */ NULL, "< FILE", &err), 0);
        forget();
}

static void another_machine_asks_for_a_target(void **state)
{
        struct stream_info info = made_here();

        (void)state;
        snprintf(info.machine, sizeof info.machine, "%s", "0123456789abcdef0123456789abcdef");
        snprintf(info.host, sizeof info.host, "elsewhere");
        expect_refusal(&info, "another machine: elsewhere");
}

static void no_info_or_origin(void **state)
{
        struct stream_info info = made_here();

        (void)state;
        expect_refusal(NULL, "does not say");
        info.origin = NULL;
        expect_refusal(&info, "does not say");
        info.origin = (char[]){ "relative.db" };
        expect_refusal(&info, "does not say");
}

static void system_folders_are_refused(void **state)
{
        static const char *const paths[] = { "/etc/x.db", "/usr/x.db",  "/proc/x.db", "/dev/x.db", "/sys/x.db",
                                             "/run/x.db", "/boot/x.db", "/bin/x.db",  "/lib/x.db" };

        (void)state;
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
                struct stream_info info = made_here();
                char copy[32];

                snprintf(copy, sizeof copy, "%s", paths[i]);
                info.origin = copy;
                expect_refusal(&info, copy);
        }
}

static void a_system_folder_is_taken_for_a_database_of_the_configuration(void **state)
{
        static const char text[] = "[a]\ndatabase = sqlite:/etc/a.db\n";
        struct config *config = config_new(commands);
        struct stream_info info = made_here();
        struct error err = ERROR_INIT;
        char named[] = "/etc/a.db";
        char other[] = "/etc/b.db";

        (void)state;
        assert_int_equal(config_read_text(config, command_restore.options, "conf", text, sizeof text - 1, &err), 0);
        info.origin = named;
        assert_int_equal(origin_check(&info, config, "< FILE", &err), 0);
        info.origin = other;
        err = (struct error)ERROR_INIT;
        assert_int_equal(origin_check(&info, config, "< FILE", &err), -1);
        assert_non_null(strstr(err.message, "system folder: /etc/b.db"));
        /* What another machine recorded is not meant by our files. */
        info.origin = named;
        snprintf(info.machine, sizeof info.machine, "%s", "0123456789abcdef0123456789abcdef");
        err = (struct error)ERROR_INIT;
        assert_int_equal(origin_check(&info, config, "< FILE", &err), -1);
        config_free(config);
}

static void a_lost_folder_or_a_name_taken_otherwise(void **state)
{
        struct stream_info info = made_here();
        char lost[] = "/nonexistent-folder/app.db";

        (void)state;
        info.origin = lost;
        expect_refusal(&info, "is gone");
        info.origin = folder;
        expect_refusal(&info, "something else");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_free_name_is_taken_where_a_backup_of_it_is_remembered),
                cmocka_unit_test(a_file_is_taken_if_it_is_a_database),
                cmocka_unit_test(another_machine_asks_for_a_target),
                cmocka_unit_test(no_info_or_origin),
                cmocka_unit_test(system_folders_are_refused),
                cmocka_unit_test(a_system_folder_is_taken_for_a_database_of_the_configuration),
                cmocka_unit_test(a_lost_folder_or_a_name_taken_otherwise),
        };

        return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
