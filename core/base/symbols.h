/*
 * symbols.h - the functions of a library that is opened at run time
 */
#pragma once

#include <stddef.h>

struct symbol {
        const char *name;
        size_t offset; /* of its pointer in the struct that holds them */
};

/* Functions and objects have addresses of one size here, as dlsym() demands. Fills the pointers of `functions`, a
 * struct, from `library`, a handle of dlopen(). Returns NULL, or the name of the first that the library lacks;
 * dlerror() says the same. */
const char *symbols_find(void *library, const struct symbol *symbols, size_t count, void *functions);
