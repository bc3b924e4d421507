#include "core/base/ident.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

void ident_uuid(char text[IDENT_UUID_SIZE])
{
        uint8_t b[16];

        if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b)
                abort();
        b[6] = (uint8_t)((b[6] & 0x0F) | 0x40);
        b[8] = (uint8_t)((b[8] & 0x3F) | 0x80);
        snprintf(text, IDENT_UUID_SIZE, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
                 b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool ident_is_uuid(const char *text)
{
        static const char shape[] = "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh";

        for (size_t i = 0; shape[i]; i++) {
                bool fits = shape[i] == '-' ? text[i] == '-' : text[i] && strchr("0123456789abcdef", text[i]);
                if (!fits)
                        return false;
        }
        return true;
}

void ident_machine(char text[IDENT_MACHINE_SIZE])
{
        CLEANUP(freep) char *file = NULL;
        size_t size;

        text[0] = '\0';
        if (fd_read_file(AT_FDCWD, "/etc/machine-id", IDENT_MACHINE_SIZE - 1, &file, &size) < 0)
                return;
        for (size_t i = 0; i < size && isxdigit((unsigned char)file[i]); i++) {
                text[i] = file[i];
                text[i + 1] = '\0';
        }
}

void ident_host(char text[IDENT_HOST_SIZE])
{
        if (gethostname(text, IDENT_HOST_SIZE) < 0)
                text[0] = '\0';
        text[IDENT_HOST_SIZE - 1] = '\0';
}
