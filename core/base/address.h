/*
 * address.h - socket addresses
 */
#ifndef VDIPIPE_CORE_BASE_ADDRESS_H
#define VDIPIPE_CORE_BASE_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* Whether it is an address of the loopback interface, IPv4 or IPv6. Thread safe. */
bool address_is_loopback(const struct sockaddr *address);

#endif
