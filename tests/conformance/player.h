/*
 * player.h - one end of a set that makes the calls it is asked for
 *
 * A player has one handle of the engine, and several hands: each is a thread that reads requests from a socket, makes
 * the call, and answers. So one hand can sit in GetCommand or be the completion agent while another goes on.
 */
#pragma once

#include "tests/conformance/call.h"

enum { PLAYER_HANDS = 5 };

enum part { PART_CLIENT = 0, PART_SERVER };

struct player;

/* Starts the hands; each owns its descriptor. Returns NULL when a handle or a thread cannot be had. */
struct player *player_start(enum part part, const char *runtime_dir, const int fds[PLAYER_HANDS]);

/* Waits until the other end of every socket is closed, and frees. */
void player_end(struct player *player);

/* A test program started again as a player in a process of its own: player_arguments() makes its arguments,
 * player_is_wanted() knows them, player_main() plays. Descriptors PLAYER_FIRST_FD and up are the hands'. */
enum { PLAYER_FIRST_FD = 10, PLAYER_ARGUMENTS = 5 };
void player_arguments(enum part part, const char *runtime_dir, char *argv[PLAYER_ARGUMENTS]);
bool player_is_wanted(int argc, char **argv);
int player_main(char **argv);
