#include "core/mssql/dblib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/symbols.h"

#define DBLIB_SONAME "libsybdb.so.5"

struct dblib dblib;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static char fault[256]; /* in the loader's words; "" */

#define DBLIB_SYMBOL(name) { #name, offsetof(struct dblib, name) },
static const struct symbol symbols[] = { DBLIB_FUNCTIONS(DBLIB_SYMBOL) };
#undef DBLIB_SYMBOL

static void load(void)
{
        void *library = dlopen(DBLIB_SONAME, RTLD_NOW | RTLD_LOCAL);
        const char *words;

        if (library && !symbols_find(library, symbols, sizeof symbols / sizeof symbols[0], &dblib))
                return;
        words = dlerror();
        snprintf(fault, sizeof fault, "%s", words ? words : DBLIB_SONAME);
        if (library)
                dlclose(library);
}

int dblib_load(struct error *err)
{
        pthread_once(&once, load);
        if (*fault)
                return error_raise(err, ERR_USAGE,
                                   "FreeTDS, which talks to SQL Server, cannot be loaded: %s; install it with 'apt-get "
                                   "install libsybdb5'",
                                   fault);
        return 0;
}
