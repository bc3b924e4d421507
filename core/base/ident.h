/*
 * ident.h - who and where: random identifiers, this machine, this host
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { IDENT_UUID_SIZE = 37, IDENT_MACHINE_SIZE = 65, IDENT_HOST_SIZE = 65 };

/* A random (version 4) UUID in lower case. Aborts the process if the kernel has no random bytes to give. */
void ident_uuid(char text[IDENT_UUID_SIZE]);

/* Whether `text` begins with a UUID in lower case. */
bool ident_is_uuid(const char *text);

/* The contents of /etc/machine-id; "" on a machine without one. */
void ident_machine(char text[IDENT_MACHINE_SIZE]);

/* The host's name; "" if it has none. */
void ident_host(char text[IDENT_HOST_SIZE]);
