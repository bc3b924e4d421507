/*
 * address.h - socket addresses
 */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* Whether it is an address of the loopback interface, IPv4 or IPv6. Thread safe. */
bool address_is_loopback(const struct sockaddr *address);

/* How to spell `host` for whoever looks it up: "localhost" is this machine also where no file of names says so, and
 * then becomes its address. Returns `host`, or a static string. May ask the resolver. Thread safe. */
const char *address_spell_host(const char *host);
