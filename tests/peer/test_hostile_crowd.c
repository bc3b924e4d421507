/*
 * test_hostile_crowd.c - sets with odd names, and strangers at the door of an honest one: other users, the silent, the
 * half-spoken, and more of them than anybody can let in
 */
#include "tests/peer/honest.h"

#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/deadline.h"
#include "core/shm/peer.h"
#include "tests/peer/raw.h"

enum { STRANGER = 65534 };

static char folder[] = "/tmp/vdipipe-hostile-XXXXXX";
static const char set_name[] = "crowd";
static struct honest client;
static struct honest server;

static void expect(struct honest *honest, const char *what, int result, const char *text)
{
        struct report report = honest_done(honest, what);

        if (report.result != result || (text && !strstr(report.text, text)))
                fail_msg("%s: %s: %s: %s", what, vds_result_name(report.result), vds_abort_text(report.reason),
                         report.text);
}

static void begin(const char *name)
{
        struct order order = honest_order_for(HONEST_CLIENT, name);

        honest_order(&client, &order);
        honest_expect(&client, REPORT_CREATED, HONEST_PATIENCE_MS, name);
}

/* A server comes and does its work; the set ends well. */
static void finish(const char *name)
{
        struct order order = honest_order_for(HONEST_SERVER, name);

        honest_order(&server, &order);
        expect(&server, name, NOERROR, NULL);
        expect(&client, name, VD_E_CLOSE, NULL);
}

/* ---- names ---- */

static void odd_names_are_names(void **state)
{
        static const char *const names[] = {
                ".",           "..",          "/",      "../../../etc/passwd",
                "a/b",         " ",           "-rf",    "\n",
                "\x1b[31m",    "\xff\xfe",    "%s%n%p", "$(reboot)",
                "'",           "a\tb\rc",     "\x01",   "*",
                "caf\xc3\xa9", "socket.sock", "\x7f",   "{00000000-0000-0000-0000-000000000000}",
        };
        char longest[VDS_NAME_MAX + 1];

        (void)state;
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                begin(names[i]);
                finish(names[i]);
        }
        memset(longest, 'n', VDS_NAME_MAX);
        longest[VDS_NAME_MAX] = '\0';
        begin(longest);
        finish(longest);
}

static void names_that_are_none_are_refused_at_both_ends(void **state)
{
        char too_long[VDS_NAME_MAX + 2];
        const char *const names[] = { "", "a\\b", "\\", too_long };

        (void)state;
        memset(too_long, 'n', VDS_NAME_MAX + 1);
        too_long[VDS_NAME_MAX + 1] = '\0';
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                static const enum honest_role roles[] = { HONEST_CLIENT, HONEST_SERVER, HONEST_SECONDARY };

                for (size_t k = 0; k < sizeof roles / sizeof roles[0]; k++) {
                        struct order order = honest_order_for(roles[k], names[i]);

                        honest_order(&client, &order);
                        expect(&client, names[i], roles[k] == HONEST_SECONDARY ? VD_E_PROTOCOL : VD_E_INVALID,
                               "a set's name has 1 to 255 bytes and no backslash");
                }
        }
}

/* ---- at the door ---- */

static void the_silent_and_the_half_spoken_are_in_nobodys_way(void **state)
{
        struct message_hello hello = { .kind = MESSAGE_HELLO, .version = LAYOUT_VERSION, .role = ROLE_SERVER };
        struct raw raw[6];

        (void)state;
        begin(set_name);
        for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
                raw_init(&raw[i]);
                raw_connect(&raw[i], set_name);
        }
        /* Two leave in the middle of a word; the others stay and say nothing. */
        raw_send(&raw[0], &hello, sizeof hello / 2, OFFER_NONE, 0);
        raw_send(&raw[1], &hello, sizeof hello, OFFER_GOOD, RAW_AREA);
        raw_deinit(&raw[0]);
        raw_deinit(&raw[1]);
        finish(set_name);
        for (size_t i = 2; i < sizeof raw / sizeof raw[0]; i++)
                raw_deinit(&raw[i]);
}

static void a_crowd_at_the_door_does_not_disturb_who_is_in(void **state)
{
        struct order order = honest_order_for(HONEST_SERVER, set_name);
        struct raw raw[12];

        (void)state;
        begin(set_name);
        order.wait_for_go = true;
        order.transfers = 1000;
        honest_order(&server, &order);
        honest_expect(&server, REPORT_OPENED, HONEST_PATIENCE_MS, "a crowd");
        for (int i = 0; i < 500; i++) {
                struct raw one;

                raw_init(&one);
                raw_connect(&one, set_name);
                raw_hello(&one, i % 2 ? set_name : "another", i % 3 ? ROLE_SERVER : (enum message_role)77,
                          REQUEST_NONE);
                raw_deinit(&one);
        }
        for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
                raw_init(&raw[i]);
                raw_connect(&raw[i], set_name);
        }
        honest_go(&server);
        expect(&server, "a crowd", NOERROR, NULL);
        expect(&client, "a crowd", VD_E_CLOSE, NULL);
        for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++)
                raw_deinit(&raw[i]);
}

/* ---- other users ---- */

static void socket_path(char path[128])
{
        char stem[RENDEZVOUS_STEM];

        rendezvous_stem(set_name, stem);
        snprintf(path, 128, "%s/%s.sock", folder, stem);
}

/* Runs `act` as another user in a child, which exits with what it returns. */
static pid_t fork_stranger(int (*act)(void))
{
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid > 0)
                return pid;
        if (setgroups(0, NULL) < 0 || setgid(STRANGER) < 0 || setuid(STRANGER) < 0)
                _exit(99);
        _exit(act());
}

static void expect_exit(pid_t pid, int wanted)
{
        int status = 0;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), wanted);
}

/* 0: did not get as far as to the socket. */
static int try_to_connect(void)
{
        struct error err = ERROR_INIT;
        int fd = -1;

        return rendezvous_connect(NULL, set_name, FOLDER_REACH_OWN, deadline_after_ms(1000), &fd, &err) ==
               RENDEZVOUS_OK;
}

/* 0: every role was refused, with the reason. */
static int try_to_join(void)
{
        for (int role = ROLE_SERVER; role <= ROLE_OBSERVER; role++) {
                struct raw raw;

                raw_init(&raw);
                raw_connect(&raw, set_name);
                raw_hello(&raw, set_name, (enum message_role)role, REQUEST_ABORT);
                raw_hear_welcome(&raw);
                if (raw.welcome.result != VD_E_SECURITY || raw.layout ||
                    !strstr(raw.welcome.text, "of user 65534 may not take part"))
                        return role;
                raw_deinit(&raw);
        }
        return 0;
}

static int knock_for_ever(void)
{
        for (;;) {
                struct error err = ERROR_INIT;
                int fd = -1;

                if (rendezvous_connect(NULL, set_name, FOLDER_REACH_OWN, deadline_after_ms(100), &fd, &err) ==
                    RENDEZVOUS_OK)
                        close(fd);
        }
        return 0;
}

static void strangers_are_kept_out_by_the_file_and_by_their_name(void **state)
{
        char path[128];
        pid_t pid;

        (void)state;
        if (geteuid() != 0)
                skip();
        begin(set_name);
        expect_exit(fork_stranger(try_to_connect), 0);
        socket_path(path);
        assert_int_equal(chmod(path, 0666), 0);
        expect_exit(fork_stranger(try_to_join), 0);
        /* And however often they knock, who may come in does. */
        pid = fork_stranger(knock_for_ever);
        finish(set_name);
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static int listening[2]; /* the stranger says on it when it does */

/* 0: whoever came left again without a word. */
static int pose_as_primary(void)
{
        struct pollfd item = { .events = POLLIN };
        union message message;
        size_t size = 0;
        int pass = -1;
        char path[128];
        struct raw raw;

        raw_init(&raw);
        raw_listen(&raw, set_name);
        socket_path(path);
        if (chmod(path, 0666) < 0)
                return 1;
        if (write(listening[1], "l", 1) != 1)
                return 4;
        item.fd = raw.rendezvous.listen_fd;
        if (poll(&item, 1, HONEST_PATIENCE_MS) != 1)
                return 2;
        raw.fd = accept(raw.rendezvous.listen_fd, NULL, NULL);
        if (peer_receive(raw.fd, &message, sizeof message, &size, &pass, deadline_after_ms(HONEST_PATIENCE_MS), NULL) !=
            PEER_ENDED)
                return 3;
        raw_deinit(&raw);
        return 0;
}

static void nobody_joins_a_strangers_set(void **state)
{
        static const enum honest_role roles[] = { HONEST_SERVER, HONEST_SECONDARY };

        (void)state;
        if (geteuid() != 0)
                skip();
        assert_int_equal(pipe(listening), 0);
        for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
                struct order order = honest_order_for(roles[i], set_name);
                pid_t pid = fork_stranger(pose_as_primary);

                char byte;

                assert_int_equal(read(listening[0], &byte, 1), 1);
                honest_order(&server, &order);
                expect(&server, "a stranger's set", roles[i] == HONEST_SERVER ? VD_E_INVALID : VD_E_PROTOCOL,
                       "of user 65534 may not take part");
                expect_exit(pid, 0);
        }
        close(listening[0]);
        close(listening[1]);
}

static int set_up(void **state)
{
        (void)state;
        if (!mkdtemp(folder) || setenv("VDIPIPE_RUNTIME_DIR", folder, 1) < 0)
                return -1;
        /* Strangers shall come as far as to the socket. */
        if (geteuid() == 0 && chmod(folder, 01777) < 0)
                return -1;
        honest_start(&client);
        honest_start(&server);
        return 0;
}

static int tear_down(void **state)
{
        (void)state;
        honest_end(&client);
        honest_end(&server);
        /* Nothing lies in it any more, or this fails. */
        return rmdir(folder);
}

int main(int argc, char **argv)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(odd_names_are_names),
                cmocka_unit_test(names_that_are_none_are_refused_at_both_ends),
                cmocka_unit_test(the_silent_and_the_half_spoken_are_in_nobodys_way),
                cmocka_unit_test(a_crowd_at_the_door_does_not_disturb_who_is_in),
                cmocka_unit_test(strangers_are_kept_out_by_the_file_and_by_their_name),
                cmocka_unit_test(nobody_joins_a_strangers_set),
        };

        if (argc > 1 && strcmp(argv[1], "honest") == 0)
                return honest_main();
        return cmocka_run_group_tests(tests, set_up, tear_down);
}
