#include "tests/conformance/actor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { FINISH_WAIT_MS = 2 * CALL_WAIT_MS };

static void spawn(struct actor *actor, enum part part, const char *runtime_dir, const int fds[PLAYER_HANDS])
{
        char *argv[PLAYER_ARGUMENTS];
        posix_spawn_file_actions_t actions;
        int high[PLAYER_HANDS];

        player_arguments(part, runtime_dir, argv);
        posix_spawn_file_actions_init(&actions);
        for (int i = 0; i < PLAYER_HANDS; i++) {
                /* None may lie where another is to go. */
                high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, PLAYER_FIRST_FD + PLAYER_HANDS);
                assert_true(high[i] >= 0);
                posix_spawn_file_actions_adddup2(&actions, high[i], PLAYER_FIRST_FD + i);
        }
        assert_int_equal(posix_spawn(&actor->pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
        posix_spawn_file_actions_destroy(&actions);
        for (int i = 0; i < PLAYER_HANDS; i++) {
                close(high[i]);
                close(fds[i]);
        }
}

void actor_start(struct actor *actor, const char *name, enum part part, bool own_process, const char *runtime_dir)
{
        int theirs[PLAYER_HANDS];

        *actor = (struct actor){ .name = name };
        for (int i = 0; i < PLAYER_HANDS; i++) {
                int pair[2];

                assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
                actor->fds[i] = pair[0];
                theirs[i] = pair[1];
        }
        if (own_process) {
                spawn(actor, part, runtime_dir, theirs);
        } else {
                actor->player = player_start(part, runtime_dir, theirs);
                assert_non_null(actor->player);
        }
}

bool actor_stop(struct actor *actor)
{
        int status = 0;

        if (!actor->name)
                return true;
        for (int i = 0; i < PLAYER_HANDS; i++)
                close(actor->fds[i]);
        if (actor->player)
                player_end(actor->player);
        else if (waitpid(actor->pid, &status, 0) != actor->pid)
                status = -1;
        if (status != 0)
                print_error("the process of the %s ended with status 0x%x\n", actor->name, (unsigned)status);
        actor->name = NULL;
        return status == 0;
}

void actor_kill(struct actor *actor)
{
        assert_true(actor->pid > 0);
        assert_int_equal(kill(actor->pid, SIGKILL), 0);
        assert_int_equal(waitpid(actor->pid, NULL, 0), actor->pid);
        for (int i = 0; i < PLAYER_HANDS; i++)
                close(actor->fds[i]);
        actor->name = NULL;
}

void actor_begin(struct actor *actor, int hand, const struct call_request *request)
{
        if (actor->busy[hand])
                fail_msg("hand %d of the %s is still in %s", hand, actor->name, call_name(actor->op[hand]));
        assert_int_equal(send(actor->fds[hand], request, sizeof *request, MSG_NOSIGNAL), (ssize_t)sizeof *request);
        actor->busy[hand] = true;
        actor->op[hand] = request->op;
}

struct call_result actor_finish(struct actor *actor, int hand)
{
        struct pollfd item = { .fd = actor->fds[hand], .events = POLLIN };
        struct call_result result;

        if (poll(&item, 1, FINISH_WAIT_MS) != 1)
                fail_msg("%s of the %s did not come back", call_name(actor->op[hand]), actor->name);
        if (recv(actor->fds[hand], &result, sizeof result, 0) != (ssize_t)sizeof result)
                fail_msg("the %s ended in %s", actor->name, call_name(actor->op[hand]));
        actor->busy[hand] = false;
        if (result.refused)
                fail_msg("the %s has no %s", actor->name, call_name(actor->op[hand]));
        return result;
}

int actor_renew(struct actor *actor, const struct call_request *request)
{
        int wrong;

        if (actor->busy[0])
                actor_finish(actor, 0);
        actor_begin(actor, 0, request);
        wrong = actor_finish(actor, 0).result;
        for (int i = 1; i < PLAYER_HANDS; i++)
                if (actor->busy[i])
                        actor_finish(actor, i);
        return wrong;
}
