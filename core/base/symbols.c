#include "core/base/symbols.h"

#include <dlfcn.h>
#include <string.h>

const char *symbols_find(void *library, const struct symbol *symbols, size_t count, void *functions)
{
        for (size_t i = 0; i < count; i++) {
                void *address = dlsym(library, symbols[i].name);

                if (!address)
                        return symbols[i].name;
                memcpy((char *)functions + symbols[i].offset, &address, sizeof address);
        }
        return NULL;
}
