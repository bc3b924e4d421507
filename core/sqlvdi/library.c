#include "core/sqlvdi/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/symbols.h"
#include "core/sqlvdi/marker.h"

/* What the remedy for a wrong file is. */
#define NAME_ANOTHER "; name SQL Server's own with --sqlvdi PATH, which is usually " SQLVDI_LIBRARY_DEFAULT

static const struct symbol members[] = {
        { "_ZN22ClientVirtualDeviceSetC1Ev", offsetof(struct sqlvdi_members, set_construct) },
        { "_ZN22ClientVirtualDeviceSetD1Ev", offsetof(struct sqlvdi_members, set_destroy) },
        { "_ZN22ClientVirtualDeviceSet6CreateEPcP8VDConfig", offsetof(struct sqlvdi_members, set_create) },
        { "_ZN22ClientVirtualDeviceSet16GetConfigurationElP8VDConfig",
          offsetof(struct sqlvdi_members, set_get_configuration) },
        { "_ZN22ClientVirtualDeviceSet10OpenDeviceEPcPP19ClientVirtualDevice",
          offsetof(struct sqlvdi_members, set_open_device) },
        { "_ZN22ClientVirtualDeviceSet5CloseEv", offsetof(struct sqlvdi_members, set_close) },
        { "_ZN22ClientVirtualDeviceSet11SignalAbortEv", offsetof(struct sqlvdi_members, set_signal_abort) },
        { "_ZN19ClientVirtualDevice10GetCommandElPP11VDC_Command",
          offsetof(struct sqlvdi_members, device_get_command) },
        { "_ZN19ClientVirtualDevice15CompleteCommandEP11VDC_Commandiml",
          offsetof(struct sqlvdi_members, device_complete_command) },
};

static int raise_unopened(const char *path, int sys_errno, struct error *err)
{
        if (sys_errno == ENOENT || sys_errno == ENOTDIR)
                return error_raise(
                        err, ERR_USAGE,
                        "there is no library '%s'; the package mssql-server brings it, and --sqlvdi PATH names "
                        "another place",
                        path);
        if (sys_errno == EACCES || sys_errno == EPERM)
                return error_raise(
                        err, ERR_FAILED,
                        "'%s' may not be read by this user; run as SQL Server's (--run-as mssql), or join its "
                        "group",
                        path);
        return error_raise_errno(err, sys_errno, "cannot open '%s'", path);
}

/* What can be known of the file without running its code. */
static int library_check_file(const char *path, bool dropin_wanted, struct error *err)
{
        struct error unread = ERROR_INIT;
        struct sqlvdi_file file;
        char machine[64];

        if (access(path, R_OK) < 0)
                return raise_unopened(path, errno, err);
        if (sqlvdi_read_file(path, &file, &unread) < 0) {
                /* What is there is not the library, unless the disk failed. */
                if (unread.code == ERR_FAILED)
                        return error_raise(err, ERR_USAGE, "%s" NAME_ANOTHER, unread.message);
                return error_raise(err, unread.code, "%s", unread.message);
        }
        if (!file.shared_object)
                return error_raise(err, ERR_USAGE, "'%s' is no shared library" NAME_ANOTHER, path);
        if (!sqlvdi_runs_here(&file))
                return error_raise(err, ERR_USAGE, "'%s' is for another processor (%s) than this program" NAME_ANOTHER,
                                   path, sqlvdi_machine_text(&file, machine, sizeof machine));
        if (file.dropin && !dropin_wanted)
                return error_raise(err, ERR_USAGE,
                                   "'%s' is vdipipe's own drop-in library, which reaches 'vdipipe serve' and 'vdipipe "
                                   "exec' but no SQL Server" NAME_ANOTHER,
                                   path);
        return 0;
}

static int library_find_members(struct sqlvdi_library *library, const char *path, struct error *err)
{
        const char *missing =
                symbols_find(library->handle, members, sizeof members / sizeof members[0], &library->members);

        if (missing)
                return error_raise(err, ERR_USAGE, "'%s' lacks the symbol %s" NAME_ANOTHER, path, missing);
        return 0;
}

/* What the loader says begins with a path, mostly this one's. */
static int raise_unloaded(const char *path, struct error *err)
{
        const char *words = dlerror();
        size_t length = strlen(path);

        if (words && strncmp(words, path, length) == 0 && strncmp(words + length, ": ", 2) == 0)
                words += length + 2;
        return error_raise(err, ERR_FAILED, "'%s' cannot be loaded: %s; 'ldd %s' shows what it needs", path,
                           words ? words : "no reason is known", path);
}

/* A name without a slash would be looked for along the loader's path. */
static int library_load(struct sqlvdi_library *library, const char *path, struct error *err)
{
        CLEANUP(freep) char *beside = NULL;

        if (!strchr(path, '/') && asprintf(&beside, "./%s", path) < 0)
                return error_no_memory(err);
        library->handle = dlopen(beside ? beside : path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        return library->handle ? 0 : raise_unloaded(path, err);
}

int sqlvdi_library_open(const char *path, bool dropin_wanted, struct sqlvdi_library **ret_library, struct error *err)
{
        struct sqlvdi_library *library;

        if (library_check_file(path, dropin_wanted, err) < 0)
                return -1;
        library = calloc(1, sizeof *library);
        if (!library)
                return error_no_memory(err);
        if (library_load(library, path, err) < 0 || library_find_members(library, path, err) < 0) {
                sqlvdi_library_close(library);
                return -1;
        }
        *ret_library = library;
        return 0;
}

void sqlvdi_library_close(struct sqlvdi_library *library)
{
        if (library && library->handle)
                dlclose(library->handle);
        free(library);
}
