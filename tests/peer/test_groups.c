/*
 * test_groups.c - who may take part in a set: its user, root, and the members of a group it names
 *
 * The test makes a set as one user, and starts itself as others: `test_groups CALL UID GID SUPPLEMENTARY GROUP`, where
 * the last is the group that this process trusts. Users and groups are numbers that nobody has. Needs root.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/vds/vds.h"
#include "tests/support/program.h"

enum {
        PATIENCE_MS = 20000,
        OWNER = 54321,    /* user and group of the set */
        STRANGER = 54322, /* another */
        SHARED = 54323,   /* the group that may take part */
        NONE = 0,
};

static const char set_name[] = "groups";

/* ---- the programs ---- */

static int become(unsigned user, unsigned group, unsigned supplementary)
{
        const gid_t groups[] = { supplementary };

        return setgroups(supplementary ? 1 : 0, groups) == 0 && setgid(group) == 0 && setuid(user) == 0 ? 0 : -1;
}

/* Makes the set, says how that went, configures it when somebody comes, and waits until it is told to end. */
static int own(const struct vds_options *options)
{
        const struct VDConfig wishes = { .deviceCount = 1 };
        struct vds_client *client = vds_client_new(options);
        int result = vds_client_create(client, set_name, &wishes);
        char line[16];

        printf("%s %s\n", vds_result_name(result), vds_client_error_text(client));
        fflush(stdout);
        if (result == NOERROR && fgets(line, sizeof line, stdin))
                vds_client_close(client);
        vds_client_free(client);
        return result;
}

static int open_as_server(const struct vds_options *options, const char **ret_words)
{
        static char words[1024];
        struct vds_server *server = vds_server_new(options);
        int result = vds_server_open(server, set_name);

        if (result == NOERROR)
                result = vds_server_begin_configuration(server, 0, 512, 0, VDS_TRANSFER_UNIT, 0);
        if (result == NOERROR)
                result = vds_server_end_configuration(server);
        snprintf(words, sizeof words, "%s", vds_server_error_text(server));
        *ret_words = words;
        /* Opened, it stays so, for a secondary to come. */
        if (result != NOERROR)
                vds_server_free(server);
        return result;
}

static int open_as_secondary(const struct vds_options *options, const char **ret_words)
{
        static char words[1024];
        struct vds_client *client = vds_client_new(options);
        int result = vds_client_open_in_secondary(client, set_name);

        snprintf(words, sizeof words, "%s", vds_client_error_text(client));
        *ret_words = words;
        vds_client_free(client);
        return result;
}

static void count_set(const struct vds_status *status, void *context)
{
        int *count = context;

        *count += strcmp(status->name, set_name) == 0;
}

static int call(const char *name, const struct vds_options *options, const char **ret_words)
{
        struct vds_status status;
        int count = 0;

        *ret_words = "";
        if (strcmp(name, "server") == 0)
                return open_as_server(options, ret_words);
        if (strcmp(name, "secondary") == 0)
                return open_as_secondary(options, ret_words);
        if (strcmp(name, "observe") == 0)
                return vds_observe(options, set_name, &status);
        if (strcmp(name, "abort") == 0)
                return vds_observe_abort(options, set_name);
        vds_observe_all(options, count_set, &count);
        return count == 1 ? NOERROR : VD_E_INVALID;
}

static int run(char **argv)
{
        struct vds_options options = { .group = argv[5][0] ? argv[5] : NULL };
        const char *words;
        char line[16];
        int result;

        if (become((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]), (unsigned)atoi(argv[4])) < 0)
                return 1;
        if (strcmp(argv[1], "own") == 0)
                return own(&options) == NOERROR ? 0 : 1;
        result = call(argv[1], &options, &words);
        printf("%s %s\n", vds_result_name(result), words);
        fflush(stdout);
        return fgets(line, sizeof line, stdin) ? 1 : 0;
}

/* ---- the test ---- */

static char folder[] = "/tmp/vdipipe-groups-XXXXXX";

static void start(struct program *program, const char *what, unsigned user, unsigned group, unsigned supplementary,
                  const char *trusted)
{
        char numbers[3][16];
        char *argv[] = {
                (char[]){ "test_groups" },
                (char *)(uintptr_t)what,
                numbers[0],
                numbers[1],
                numbers[2],
                (char *)(uintptr_t)trusted,
                NULL,
        };

        snprintf(numbers[0], sizeof numbers[0], "%u", user);
        snprintf(numbers[1], sizeof numbers[1], "%u", group);
        snprintf(numbers[2], sizeof numbers[2], "%u", supplementary);
        assert_true(program_start(program, argv));
        assert_true(program_read_line(program, PATIENCE_MS));
}

static void end(struct program *program)
{
        close(program->input);
        program->input = -1;
        assert_int_equal(program_reap(program), 0);
}

/* Runs one call as somebody; its line has to begin with `result` and to hold `words`. */
static void expect(const char *what, unsigned user, unsigned group, unsigned supplementary, const char *trusted,
                   const char *result, const char *words)
{
        struct program program;

        start(&program, what, user, group, supplementary, trusted);
        if (strncmp(program.line, result, strlen(result)) != 0 || !strstr(program.line, words))
                fail_msg("%s as %u:%u+%u says '%s', expected '%s ... %s'", what, user, group, supplementary,
                         program.line, result, words);
        end(&program);
}

/* A set of OWNER's, which is also a member of SHARED. */
static void make(struct program *owner, const char *group)
{
        start(owner, "own", OWNER, OWNER, SHARED, group);
        assert_string_equal(owner->line, "NOERROR ");
}

static void without_a_group_it_is_for_its_user_and_root(void **state)
{
        static const char *const questions[] = { "observe", "abort" };
        struct program owner;

        (void)state;
        make(&owner, "");
        for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
                expect(questions[i], STRANGER, STRANGER, SHARED, "", "VD_E_SECURITY", "");
                expect(questions[i], OWNER, STRANGER, NONE, "", "NOERROR", "");
                expect(questions[i], 0, 0, NONE, "", "NOERROR", "");
        }
        expect("list", STRANGER, STRANGER, SHARED, "", "VD_E_INVALID", "");
        expect("list", 0, 0, NONE, "", "NOERROR", "");
        end(&owner);
        make(&owner, "");
        expect("server", STRANGER, STRANGER, SHARED, "", "VD_E_INVALID", "another user's, who does not admit this one");
        /* Even root looks whom it joins with its data. */
        expect("server", 0, 0, NONE, "", "VD_E_INVALID", "it is neither of user 0 nor root, and no group is admitted");
        expect("server", OWNER, STRANGER, NONE, "", "NOERROR", "");
        end(&owner);
}

static void a_group_may_take_part(void **state)
{
        struct program owner;
        struct program server;
        char group[16];

        (void)state;
        snprintf(group, sizeof group, "%d", SHARED);
        make(&owner, group);
        expect("observe", STRANGER, STRANGER, NONE, "", "VD_E_SECURITY", "");
        expect("observe", STRANGER, STRANGER, SHARED, "", "NOERROR", "");
        expect("observe", STRANGER, SHARED, NONE, "", "NOERROR", "");
        expect("list", STRANGER, STRANGER, SHARED, "", "NOERROR", "");
        expect("secondary", STRANGER, STRANGER, SHARED, "", "VD_E_PROTOCOL", "is not trusted");
        expect("secondary", STRANGER, STRANGER, SHARED, group, "VD_E_PROTOCOL", "the set is not configured yet");
        expect("server", STRANGER, STRANGER, NONE, group, "VD_E_INVALID", "does not admit this one");
        expect("server", STRANGER, STRANGER, SHARED, "", "VD_E_INVALID", "no group is admitted");
        start(&server, "server", STRANGER, STRANGER, SHARED, group);
        assert_string_equal(server.line, "NOERROR ");
        expect("secondary", STRANGER, SHARED, NONE, group, "NOERROR", "");
        expect("secondary", OWNER, OWNER, NONE, "", "NOERROR", "");
        expect("secondary", STRANGER, STRANGER, NONE, group, "VD_E_PROTOCOL", "does not admit this one");
        expect("abort", STRANGER, STRANGER, SHARED, "", "NOERROR", "");
        expect("secondary", STRANGER, SHARED, NONE, group, "VD_E_ABORT", "");
        end(&server);
        end(&owner);
}

/* The socket's file is not the only guard: a passer-by who gets through it is asked for his papers, too. */
static void the_peer_is_asked_not_only_the_file(void **state)
{
        struct program owner;
        char command[128];

        (void)state;
        make(&owner, "");
        snprintf(command, sizeof command, "chmod 666 %s/*.sock", folder);
        assert_int_equal(system(command), 0);
        expect("observe", STRANGER, STRANGER, SHARED, "", "VD_E_SECURITY", "");
        expect("list", STRANGER, STRANGER, SHARED, "", "VD_E_INVALID", "");
        end(&owner);
}

static void a_name_of_another_user_is_taken(void **state)
{
        struct program owner;
        struct program other;
        char group[16];

        (void)state;
        snprintf(group, sizeof group, "%d", SHARED);
        make(&owner, group);
        start(&other, "own", STRANGER, STRANGER, SHARED, group);
        assert_non_null(strstr(other.line, "VD_E_PROTOCOL the name 'groups' is in use by another set"));
        program_reap(&other);
        end(&owner);
        /* Not a member oneself. */
        start(&other, "own", STRANGER, STRANGER, NONE, group);
        assert_non_null(strstr(other.line, "VD_E_SECURITY give socket"));
        program_reap(&other);
}

static int setup(void **state)
{
        (void)state;
        if (geteuid() != 0)
                return 0;
        if (!mkdtemp(folder) || chmod(folder, 01777) < 0)
                return -1;
        return setenv("VDIPIPE_RUNTIME_DIR", folder, 1);
}

static int teardown(void **state)
{
        (void)state;
        return geteuid() == 0 ? rmdir(folder) : 0;
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(without_a_group_it_is_for_its_user_and_root),
                cmocka_unit_test(a_group_may_take_part),
                cmocka_unit_test(the_peer_is_asked_not_only_the_file),
                cmocka_unit_test(a_name_of_another_user_is_taken),
        };

        if (argc == 6)
                return run(argv);
        if (geteuid() != 0) {
                printf("skipped: only root can become other users\n");
                return 77;
        }
        return cmocka_run_group_tests(tests, setup, teardown);
}
