#include "codecs/base/secret.h"

#include <errno.h>
#include <string.h>

#include <sodium.h>

#include "core/base/fd_io.h"

void *secret_new(size_t size)
{
        void *secret;

        if (sodium_init() < 0)
                return NULL;
        secret = sodium_malloc(size);
        if (secret)
                memset(secret, 0, size);
        return secret;
}

void secret_freep(void *pointer_to_pointer)
{
        void **at = pointer_to_pointer;

        sodium_free(*at);
        *at = NULL;
}

ssize_t secret_read_line(int fd, void *line, size_t max)
{
        uint8_t *bytes = line;
        size_t size = 0;

        for (;;) {
                ssize_t n = fd_read_some(fd, bytes + size, 1, /* cancel= */ NULL);

                if (n < 0)
                        return -1;
                if (n == 0 || bytes[size] == '\n')
                        break;
                if (size == max) {
                        errno = EMSGSIZE;
                        return -1;
                }
                size++;
        }
        /* A line's end as Windows has it; what ends so cannot be typed. */
        if (bytes[size] == '\n' && size > 0 && bytes[size - 1] == '\r')
                bytes[--size] = '\0';
        bytes[size] = '\0';
        return (ssize_t)size;
}
