/*
 * actor.h - the test's hold on a player, in the test's own process or in another
 */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/types.h>

#include "tests/conformance/player.h"

struct actor {
        const char *name; /* in messages; NULL: not started */
        pid_t pid;        /* 0: in this process */
        struct player *player;
        int fds[PLAYER_HANDS];
        bool busy[PLAYER_HANDS];
        enum op op[PLAYER_HANDS];
};

void actor_start(struct actor *actor, const char *name, enum part part, bool own_process, const char *runtime_dir);

/* Ends the player. False: its process ended badly, as after a sanitizer's complaint. */
bool actor_stop(struct actor *actor);

/* Kills the player's process. It is not started then. */
void actor_kill(struct actor *actor);

/* Has a hand make a call; the calling test goes on. */
void actor_begin(struct actor *actor, int hand, const struct call_request *request);

/* What came of it. Fails the test after CALL_WAIT_MS and some. */
struct call_result actor_finish(struct actor *actor, int hand);

/* Gives the player a new handle, and collects what its hands did not finish. `request`: see OP_NEW. Returns the number
 * of commands that were not called back exactly once. */
int actor_renew(struct actor *actor, const struct call_request *request);
