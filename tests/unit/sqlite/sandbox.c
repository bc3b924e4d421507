#include "tests/unit/sqlite/sandbox.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

int sandbox_setup(void **state)
{
        char *folder = strdup("/tmp/vdipipe-unit-XXXXXX");

        *state = mkdtemp(folder);
        return *state ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
        (void)st;
        (void)type;
        (void)at;
        return remove(path);
}

int sandbox_teardown(void **state)
{
        nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        free(*state);
        return 0;
}

const char *sandbox_path(void **state, const char *name)
{
        static char paths[16][512];
        static int next;
        char *path = paths[next++ % 16];

        snprintf(path, sizeof paths[0], "%s/%s", (const char *)*state, name);
        return path;
}

sqlite3 *sandbox_open(const char *path)
{
        sqlite3 *db = NULL;

        assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL), SQLITE_OK);
        sqlite3_busy_timeout(db, 20000);
        return db;
}

void sandbox_exec(sqlite3 *db, const char *format, ...)
{
        char sql[1024];
        va_list args;
        int result;

        va_start(args, format);
        vsnprintf(sql, sizeof sql, format, args);
        va_end(args);
        result = sqlite3_exec(db, sql, NULL, NULL, NULL);
        if (result != SQLITE_OK)
                fail_msg("%s: %s", sql, sqlite3_errmsg(db));
}

sqlite3_int64 sandbox_number(sqlite3 *db, const char *sql)
{
        sqlite3_int64 number = 0;

        assert_int_equal(db_number(db, sql, &number), SQLITE_OK);
        return number;
}

void sandbox_fill(sqlite3 *db, int rows, int bytes)
{
        sandbox_exec(db, "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, body)");
        sandbox_exec(db,
                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d) "
                     "INSERT INTO t(body) SELECT randomblob(%d) FROM n",
                     rows, bytes);
}

uint8_t *sandbox_serialize(sqlite3 *db, size_t *ret_size)
{
        sqlite3_int64 size = 0;
        unsigned char *bytes = sqlite3_serialize(db, "main", &size, 0);
        uint8_t *copy = malloc((size_t)size + 1);

        assert_non_null(copy);
        if (size)
                memcpy(copy, bytes, (size_t)size);
        sqlite3_free(bytes);
        *ret_size = (size_t)size;
        return copy;
}

void sandbox_copy(const char *from, const char *to)
{
        CLEANUP(freep) char *bytes = NULL;
        CLEANUP(fd_closep) int fd = -1;
        size_t size = 0;

        assert_int_equal(fd_read_file(AT_FDCWD, from, 64 << 20, &bytes, &size), 0);
        fd = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
        assert_true(fd >= 0);
        assert_int_equal(fd_write_full(fd, bytes, size, NULL), 0);
}

int sandbox_exists(const char *path)
{
        struct stat st;

        return lstat(path, &st) == 0;
}

int sandbox_count(void **state, const char *text)
{
        CLEANUP(dir_closep) DIR *dir = opendir(*state);
        int count = 0;

        for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
                count += strstr(entry->d_name, text) != NULL;
        return count;
}

struct image_options sandbox_options(const char *path)
{
        return (struct image_options){ .path = path, .max_lock_ms = -1 };
}

uint8_t *sandbox_image(const struct image_options *options, size_t *ret_size)
{
        CLEANUP(image_closep) struct image *image = NULL;
        struct error err = ERROR_INIT;
        struct server_part parts[VDS_DEVICES_MAX];
        uint8_t *bytes;

        if (image_open(options, &image, &err) < 0)
                fail_msg("%s", err.message);
        *ret_size = (size_t)image_facts(image)->size;
        bytes = malloc(*ret_size + 1);
        assert_non_null(bytes);
        image_cut(image, 3, parts);
        assert_int_equal(image_start(image, parts, 3, &err), 0);
        for (int i = 0; i < 3; i++) {
                uint64_t end = parts[i].offset + parts[i].length;

                for (uint64_t at = parts[i].offset; at < end; at += 65536)
                        if (image_read(image, at, bytes + at, end - at < 65536 ? end - at : 65536, &err) < 0)
                                fail_msg("%s", err.message);
        }
        if (image_check(image, &err) < 0)
                fail_msg("%s", err.message);
        return bytes;
}

void sandbox_assert_image(const char *path, sqlite3 *db)
{
        const struct image_options options = sandbox_options(path);
        size_t image_bytes = 0;
        size_t seen_bytes = 0;
        CLEANUP(freep) uint8_t *image = sandbox_image(&options, &image_bytes);
        CLEANUP(freep) uint8_t *seen = sandbox_serialize(db, &seen_bytes);

        assert_int_equal(image_bytes, seen_bytes);
        assert_memory_equal(image, seen, seen_bytes);
}

void sandbox_assert_refused(const struct image_options *options, enum err_code code, const char *words)
{
        CLEANUP(image_closep) struct image *image = NULL;
        struct error err = ERROR_INIT;

        assert_int_equal(image_open(options, &image, &err), -1);
        if (err.code != code || !strstr(err.message, words))
                fail_msg("code %d, message '%s' instead of code %d with '%s'", err.code, err.message, code, words);
}

void sandbox_assert_sound(const char *path)
{
        sqlite3 *db = sandbox_open(path);
        char text[256] = "";

        assert_int_equal(db_text(db, "PRAGMA integrity_check", text, sizeof text), SQLITE_OK);
        assert_string_equal(text, "ok");
        sqlite3_close(db);
}
