#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>
#include <sodium.h>
#include <sqlite3.h>
#include <zstd.h>

#include "cli/commands/doctor_checks.h"
#include "cli/run/describe.h"
#include "cli/run/progress.h"
#include "core/base/fd_io.h"

enum {
        SPOOL_LOW = 1 << 30,          /* bytes: less than most databases that are worth spooling */
        MEMORY_LOW = 256 << 20,       /* bytes: what is stated for a backup, and a few threads' */
        CLOCK_PLAUSIBLE = 1704067200, /* 2024 in seconds since 1970, before this program was made */
};

/* A limit that is not RLIM_INFINITY is looked at; below `low` it is a warning. */
static const struct limit {
        __rlimit_resource_t resource;
        const char *check;
        rlim_t low;
        const char *unit;
        const char *consequence;
} limits[] = {
        { RLIMIT_NOFILE, "open files", 256, "",
          "64 devices with a file each need some 200; raise it with 'ulimit -n 1024'" },
        { RLIMIT_AS, "address space", 1 << 30, " bytes",
          "large buffers and several threads need more; raise it with 'ulimit -v unlimited'" },
        { RLIMIT_MEMLOCK, "locked memory", 64 << 10, " bytes",
          "keys may be written to swap space; raise it with 'ulimit -l 1024'" },
        { RLIMIT_FSIZE, "file size", RLIM_INFINITY, " bytes",
          "no backup file may grow larger; raise it with 'ulimit -f unlimited'" },
};

static void look_at_limit(struct doctor *doctor, const struct limit *limit)
{
        struct rlimit value;

        if (getrlimit(limit->resource, &value) < 0)
                doctor_say(doctor, DOCTOR_WARNING, limit->check, "the limit cannot be read: %s; see 'ulimit -a'",
                           strerror(errno));
        else if (value.rlim_cur == RLIM_INFINITY)
                doctor_say(doctor, DOCTOR_OK, limit->check, "not limited");
        else if (value.rlim_cur >= limit->low)
                doctor_say(doctor, DOCTOR_OK, limit->check, "limited to %llu%s", (unsigned long long)value.rlim_cur,
                           limit->unit);
        else
                doctor_say(doctor, DOCTOR_WARNING, limit->check, "limited to %llu%s; %s",
                           (unsigned long long)value.rlim_cur, limit->unit, limit->consequence);
}

static void look_at_memory(struct doctor *doctor)
{
        char words[32];
        uint64_t bytes;

        if (!fd_find_number("/proc/meminfo", "MemAvailable:", 10, &bytes)) {
                doctor_say(doctor, DOCTOR_WARNING, "memory", "/proc/meminfo does not tell what is free; mount /proc");
                return;
        }
        bytes <<= 10;
        progress_format_bytes(bytes, words);
        if (bytes < MEMORY_LOW)
                doctor_say(doctor, DOCTOR_WARNING, "memory",
                           "%s free; a backup takes 64 MiB, and more for each thread "
                           "that compresses: fewer --threads, smaller --max-transfer",
                           words);
        else
                doctor_say(doctor, DOCTOR_OK, "memory", "%s free", words);
}

static void look_at_spool(struct doctor *doctor)
{
        const char *folder = doctor->args->spool_dir;
        struct statvfs space;
        struct stat st;
        char words[32];
        uint64_t bytes;

        if (!folder) {
                doctor_say(doctor, DOCTOR_OK, "spool folder", "each database's own; --spool-dir names another");
                return;
        }
        if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode) || access(folder, W_OK | X_OK) < 0 ||
            statvfs(folder, &space) < 0) {
                doctor_say(doctor, DOCTOR_FAULT, "spool folder",
                           "'%s' is no folder that this user can write to; make it, or name another with --spool-dir",
                           folder);
                return;
        }
        bytes = (uint64_t)space.f_bavail * space.f_frsize;
        progress_format_bytes(bytes, words);
        if (bytes < SPOOL_LOW)
                doctor_say(doctor, DOCTOR_WARNING, "spool folder",
                           "'%s' has %s free; a database that does not fit fails its backup, so name a larger one",
                           folder, words);
        else
                doctor_say(doctor, DOCTOR_OK, "spool folder", "'%s', %s free", folder, words);
}

static void look_at_clock(struct doctor *doctor)
{
        char words[32];

        describe_time(words);
        if (time(NULL) < CLOCK_PLAUSIBLE)
                doctor_say(doctor, DOCTOR_FAULT, "clock",
                           "%s cannot be right, and backups would bear it in their names; set it", words);
        else
                doctor_say(doctor, DOCTOR_OK, "clock", "%s", words);
}

void doctor_system(struct doctor *doctor)
{
        doctor_say(doctor, DOCTOR_OK, "versions", "vdipipe %s, SQLite %s, zstd %s, libsodium %s, jansson %s",
                   VDIPIPE_VERSION, sqlite3_libversion(), ZSTD_versionString(), sodium_version_string(),
                   jansson_version_str());
        for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
                look_at_limit(doctor, &limits[i]);
        look_at_memory(doctor);
        look_at_spool(doctor);
        look_at_clock(doctor);
}
