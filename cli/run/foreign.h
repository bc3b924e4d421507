/*
 * foreign.h - a server that somebody else starts: what create and attach have in common
 */
#pragma once

#include "cli/run/member.h"

/* For member->server. */
extern const struct member_server foreign_server;

/* What the two commands ask of the options alike: what goes with what, and the group. */
int foreign_check_args(const struct args *args, struct error *err);

/* member_open() for them, with the keys to write or to read with. */
int foreign_open(struct member *member, const struct args *args, const char *verb, struct error *err);

/* What is said after a success. */
void foreign_summarise(const struct member *member);
