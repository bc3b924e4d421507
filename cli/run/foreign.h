/*
 * foreign.h - a server that somebody else starts: what create and attach have in common
 */
#pragma once

#include "cli/run/member.h"

/* For member->server. */
extern const struct member_server foreign_server;

/* What the two commands ask of the options alike: what goes with what, and the group. */
int foreign_check_args(const struct args *args, struct error *err);

/* Loads the keys to write or to read with, opens the member for `work`, which joins or makes the set and serves it,
 * says what came of it, and closes the member. */
int foreign_run(const struct args *args, const char *verb, int (*work)(struct member *member, struct error *err),
                struct error *err);
