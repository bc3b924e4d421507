#include "codecs/secret.h"

#include <string.h>

#include <sodium.h>

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
