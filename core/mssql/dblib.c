#include "core/mssql/dblib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>

#include "core/base/symbols.h"
#include "core/mssql/mssql.h"

#define DBLIB_SONAME "libsybdb.so.5"

struct dblib dblib;

static pthread_once_t dblib_once = PTHREAD_ONCE_INIT;
static char dblib_fault[256]; /* in the loader's words; "" */

#define DBLIB_SYMBOL(name) { #name, offsetof(struct dblib, name) },
static const struct symbol dblib_symbols[] = { DBLIB_FUNCTIONS(DBLIB_SYMBOL) };
#undef DBLIB_SYMBOL

static void dblib_open(void)
{
        void *library = dlopen(DBLIB_SONAME, RTLD_NOW | RTLD_LOCAL);
        const char *words;

        if (library && !symbols_find(library, dblib_symbols, sizeof dblib_symbols / sizeof dblib_symbols[0], &dblib))
                return;
        words = dlerror();
        snprintf(dblib_fault, sizeof dblib_fault, "%s", words ? words : DBLIB_SONAME);
        if (library)
                dlclose(library);
}

int mssql_library_check(struct error *err)
{
        pthread_once(&dblib_once, dblib_open);
        if (*dblib_fault)
                return error_raise(err, ERR_USAGE,
                                   "FreeTDS, which talks to SQL Server, cannot be loaded: %s; install it with 'apt-get "
                                   "install libsybdb5'",
                                   dblib_fault);
        return 0;
}
