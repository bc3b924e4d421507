#include "core/sqlite/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/cleanup.h"
#include "core/base/fd_io.h"
#include "core/base/sqlite_header.h"
#include "core/sqlite/check.h"
#include "core/sqlite/format.h"
#include "core/sqlite/wal.h"

enum {
        JOURNAL_MAGIC_SIZE = 8,
        SNAPSHOT_ATTEMPTS = 200, /* each ends early only when a writer was faster */
};

struct sqlite_source {
        struct sqlite_facts facts;
        uint32_t pages;
        bool wal;                         /* under SQLite's locks in WAL mode */
        struct wal_generation generation; /* frames 0: everything is in the database file */
        struct wal_map map;

        /* Under SQLite's locks: */
        sqlite3 *db;
        sqlite3_file *file;
        sqlite3_file *log;
        struct db_patience patience;
        pthread_mutex_t lock; /* one call into SQLite's file handles at a time */

        /* Immutable: */
        int file_fd;
        int log_fd;
        struct stat log_st;
};

/* ---- where the bytes come from ---- */

/* Reads one of SQLite's files. SQLite itself gives zeros past the end. */
static int read_through_sqlite(struct sqlite_source *source, sqlite3_file *file, void *buffer, size_t size,
                               uint64_t offset, struct error *err)
{
        int result;
        int sys_errno;

        pthread_mutex_lock(&source->lock);
        errno = 0;
        result = file->pMethods->xRead(file, buffer, (int)size, (sqlite3_int64)offset);
        sys_errno = errno;
        pthread_mutex_unlock(&source->lock);
        if (result == SQLITE_OK || result == SQLITE_IOERR_SHORT_READ)
                return 0;
        return error_raise_errno(err, sys_errno ? sys_errno : EIO, "cannot read the database '%s'", source->facts.path);
}

static int read_through_fd(struct sqlite_source *source, int fd, void *buffer, size_t size, uint64_t offset,
                           struct error *err)
{
        ssize_t n = fd_pread_full(fd, buffer, size, (off_t)offset);

        if (n < 0)
                return error_raise_errno(err, errno, "cannot read the database '%s'", source->facts.path);
        memset((char *)buffer + n, 0, size - (size_t)n);
        return 0;
}

static int read_file(void *context, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        struct sqlite_source *source = context;

        if (source->file)
                return read_through_sqlite(source, source->file, buffer, size, offset, err);
        return read_through_fd(source, source->file_fd, buffer, size, offset, err);
}

static int read_log(void *context, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        struct sqlite_source *source = context;

        if (source->log)
                return read_through_sqlite(source, source->log, buffer, size, offset, err);
        return read_through_fd(source, source->log_fd, buffer, size, offset, err);
}

static struct wal_bytes log_bytes(struct sqlite_source *source)
{
        return (struct wal_bytes){ .read = read_log, .context = source };
}

/* ---- opening under SQLite's locks ---- */

static int map_index(struct sqlite_source *source, volatile void **ret_region)
{
        int result;

        *ret_region = NULL;
        if (source->file->pMethods->iVersion < 2)
                return SQLITE_READONLY_CANTINIT;
        pthread_mutex_lock(&source->lock);
        result = source->file->pMethods->xShmMap(source->file, 0, WAL_INDEX_REGION_SIZE, /* extend= */ 0, ret_region);
        pthread_mutex_unlock(&source->lock);
        if (result != SQLITE_OK)
                return result;
        return *ret_region ? SQLITE_OK : SQLITE_READONLY_CANTINIT;
}

/* Takes header and frames from the log as it is now. WAL_OK, WAL_AGAIN, or negative. */
static int take_log(struct sqlite_source *source, struct error *err)
{
        const struct wal_bytes log = log_bytes(source);
        struct wal_generation now;
        volatile void *region;
        int result = map_index(source, &region);

        if (result != SQLITE_OK)
                return db_raise(err, NULL, result, source->facts.path);
        if (wal_index_header(region, &source->generation) != WAL_OK)
                return WAL_AGAIN;
        result = wal_walk(&log, &source->generation, &source->map, err);
        if (result != WAL_OK)
                return result;
        /* The walk proves the salt of every frame it saw; the size of the database has to be of that generation as
         * well. */
        if (wal_index_header(region, &now) != WAL_OK || memcmp(now.salt, source->generation.salt, WAL_SALT_SIZE) != 0)
                return WAL_AGAIN;
        return WAL_OK;
}

static int take_sizes(struct sqlite_source *source, struct error *err)
{
        sqlite3_int64 pages = 0;
        sqlite3_int64 page_size = 0;
        int result = db_number(source->db, "PRAGMA page_count", &pages);

        if (result == SQLITE_OK)
                result = db_number(source->db, "PRAGMA page_size", &page_size);
        if (result != SQLITE_OK)
                return db_raise(err, source->db, result, source->facts.path);
        source->pages = (uint32_t)pages;
        source->facts.page_size = pages ? (uint32_t)page_size : 0;
        return 0;
}

/* Begins the read transaction and takes everything that fixes the state. WAL_OK, WAL_AGAIN, or negative. */
static int take_snapshot(struct sqlite_source *source, struct error *err)
{
        sqlite3_int64 ignored;
        char mode[16] = "";
        int result = db_exec(source->db, "BEGIN");

        /* The first read takes the lock, and recovers a hot journal or an unclean log. */
        if (result == SQLITE_OK)
                result = db_number(source->db, "PRAGMA schema_version", &ignored);
        if (result == SQLITE_OK)
                result = db_text(source->db, "PRAGMA journal_mode", mode, sizeof mode);
        if (result != SQLITE_OK)
                return db_raise(err, source->db, result, source->facts.path);
        source->wal = strcmp(mode, "wal") == 0;
        sqlite3_file_control(source->db, "main", SQLITE_FCNTL_FILE_POINTER, &source->file);
        sqlite3_file_control(source->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &source->log);
        if (take_sizes(source, err) < 0)
                return -1;
        if (!source->wal)
                return WAL_OK;
        result = take_log(source, err);
        if (result != WAL_OK || source->generation.frames == 0)
                return result;
        if (source->generation.page_size != source->facts.page_size)
                return WAL_AGAIN;
        source->pages = source->generation.pages;
        return WAL_OK;
}

static void pause_ms(long milliseconds)
{
        const struct timespec pause = { .tv_nsec = milliseconds * 1000000 };

        nanosleep(&pause, NULL);
}

static int open_locked(struct sqlite_source *source, struct error *err)
{
        if (db_open(source->facts.path, DB_READ_WRITE, &source->patience, &source->db, err) < 0)
                return -1;
        /* Without a memory map SQLite reads with pread, so our reads need no fetch and release. */
        db_exec(source->db, "PRAGMA mmap_size=0");
        for (int attempt = 0; attempt < SNAPSHOT_ATTEMPTS; attempt++) {
                int result = take_snapshot(source, err);

                if (result == WAL_OK && !source->wal && stat(source->facts.path, &source->facts.st) < 0)
                        return error_raise_errno(err, errno, "cannot open the database '%s'", source->facts.path);
                if (result != WAL_AGAIN)
                        return result;
                wal_map_deinit(&source->map);
                source->generation = (struct wal_generation){ 0 };
                db_exec(source->db, "ROLLBACK");
                if (attempt > SNAPSHOT_ATTEMPTS / 2)
                        pause_ms(5);
        }
        return error_raise(err, ERR_BUSY,
                           "the write-ahead log of '%s' is restarted too often to be read: try again later",
                           source->facts.path);
}

/* ---- opening an immutable file ---- */

/* Page size and page count from the first page, by SQLite's rules. */
static int source_parse_header(struct sqlite_source *source, const uint8_t bytes[SQLITE_HEADER_SIZE], struct error *err)
{
        struct sqlite_header header;

        if (!sqlite_header_parse(bytes, &header))
                return db_raise(err, NULL, SQLITE_NOTADB, source->facts.path);
        source->facts.page_size = header.page_size;
        source->pages = (uint32_t)(((uint64_t)source->facts.st.st_size + header.page_size - 1) / header.page_size);
        if (source->generation.frames == 0 && header.pages > source->pages)
                return db_raise(err, NULL, SQLITE_CORRUPT, source->facts.path);
        if (header.pages != 0)
                source->pages = header.pages;
        return 0;
}

/* Opens a sibling of the database. 1 when it is there and not empty, 0 when not, negative with `err` set. */
static int open_sibling(const struct sqlite_source *source, int file, int *ret_fd, struct stat *ret_st,
                        struct error *err)
{
        CLEANUP(freep) char *path = NULL;
        CLEANUP(fd_closep) int fd = -1;

        if (asprintf(&path, "%s%s", source->facts.path, format_suffixes[file]) < 0)
                return error_raise_errno(err, ENOMEM, "cannot open '%s%s'", source->facts.path, format_suffixes[file]);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (fd < 0 && errno == ENOENT)
                return 0;
        if (fd < 0 || fstat(fd, ret_st) < 0)
                return error_raise_errno(err, errno, "cannot open '%s'", path);
        if (!S_ISREG(ret_st->st_mode) || ret_st->st_size == 0)
                return 0;
        *ret_fd = take_fd(&fd);
        return 1;
}

/* A journal whose header is whole belongs to a transaction that was cut off: the database file alone is half old, half
 * new. */
static int refuse_hot_journal(const struct sqlite_source *source, struct error *err)
{
        static const uint8_t magic[JOURNAL_MAGIC_SIZE] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 };
        CLEANUP(fd_closep) int fd = -1;
        uint8_t start[JOURNAL_MAGIC_SIZE] = { 0 };
        struct stat st;
        int result = open_sibling(source, FORMAT_JOURNAL, &fd, &st, err);

        if (result <= 0)
                return result;
        if (fd_pread_full(fd, start, sizeof start, 0) < 0)
                return error_raise_errno(err, errno, "cannot read '%s-journal'", source->facts.path);
        if (memcmp(start, magic, sizeof magic) != 0)
                return 0;
        return error_raise(err, ERR_FAILED,
                           "'%s' has an interrupted transaction to roll back ('%s-journal'): open it once without "
                           "--immutable",
                           source->facts.path, source->facts.path);
}

static int open_immutable_log(struct sqlite_source *source, struct error *err)
{
        const struct wal_bytes log = log_bytes(source);
        int result = open_sibling(source, FORMAT_LOG, &source->log_fd, &source->log_st, err);

        if (result <= 0)
                return result;
        result = wal_recover(&log, (uint64_t)source->log_st.st_size, &source->generation, &source->map, err);
        return result < 0 ? -1 : 0;
}

static int open_immutable(struct sqlite_source *source, struct error *err)
{
        uint8_t header[SQLITE_HEADER_SIZE];

        source->file_fd = open(source->facts.path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        if (source->file_fd < 0 || fstat(source->file_fd, &source->facts.st) < 0)
                return error_raise_errno(err, errno, "cannot open the database '%s'", source->facts.path);
        if (!S_ISREG(source->facts.st.st_mode))
                return error_raise(err, ERR_FAILED, "'%s' is not a regular file, so it is no database",
                                   source->facts.path);
        if (refuse_hot_journal(source, err) < 0)
                return -1;
        /* SQLite takes a database of no bytes for empty, whatever log lies beside it. */
        if (source->facts.st.st_size == 0)
                return 0;
        if (open_immutable_log(source, err) < 0 || read_file(source, header, sizeof header, 0, err) < 0 ||
            source_parse_header(source, header, err) < 0)
                return -1;
        if (source->generation.frames == 0)
                return 0;
        if (source->generation.page_size != source->facts.page_size)
                return error_raise(err, ERR_FAILED, "'%s-wal' does not belong to '%s': their page sizes differ",
                                   source->facts.path, source->facts.path);
        source->pages = source->generation.pages;
        return 0;
}

static bool is_unchanged(const struct stat *before, const struct stat *now)
{
        return now->st_size == before->st_size && now->st_mtim.tv_sec == before->st_mtim.tv_sec &&
               now->st_mtim.tv_nsec == before->st_mtim.tv_nsec;
}

/* Our lock keeps SQLite's writers out, but not a copy over the file or a truncation. Where the name stands for another
 * file by now, or for none, the one that was read is out of everybody's reach. */
static int check_locked_file(const struct sqlite_source *source, struct error *err)
{
        struct stat now;

        if (stat(source->facts.path, &now) < 0 || now.st_ino != source->facts.st.st_ino ||
            now.st_dev != source->facts.st.st_dev || is_unchanged(&source->facts.st, &now))
                return 0;
        return error_raise(err, ERR_FAILED,
                           "'%s' was written to past SQLite's locks while it was read, so what was read is no image of "
                           "it: look what copies or cuts that file",
                           source->facts.path);
}

int sqlite_source_check_unchanged(struct sqlite_source *source, struct error *err)
{
        struct stat now;

        if (sqlite_source_blocks_writers(source))
                return check_locked_file(source, err);
        if (source->file_fd < 0)
                return 0;
        if (fstat(source->file_fd, &now) == 0 && is_unchanged(&source->facts.st, &now) &&
            (source->log_fd < 0 || (fstat(source->log_fd, &now) == 0 && is_unchanged(&source->log_st, &now))))
                return 0;
        return error_raise(err, ERR_FAILED, "'%s' was written to while it was read: back it up without --immutable",
                           source->facts.path);
}

/* ---- opening and closing ---- */

int sqlite_source_open(const char *path, bool immutable, const struct db_patience *patience,
                       struct sqlite_source **ret_source, struct error *err)
{
        CLEANUP(sqlite_source_closep) struct sqlite_source *source = calloc(1, sizeof *source);

        if (!source)
                return error_raise_errno(err, ENOMEM, "cannot open the database '%s'", path);
        source->file_fd = source->log_fd = -1;
        pthread_mutex_init(&source->lock, NULL);
        if (patience)
                source->patience = *patience;
        if (path[0] != '/')
                return error_raise(err, ERR_USAGE, "'%s' is not an absolute path", path);
        /* SQLite resolves links too: its log and journal lie beside the file itself. */
        source->facts.path = realpath(path, NULL);
        if (!source->facts.path || stat(source->facts.path, &source->facts.st) < 0)
                return error_raise_errno(err, errno, "cannot open the database '%s'", path);
        if ((immutable ? open_immutable : open_locked)(source, err) < 0)
                return -1;
        source->facts.size = (uint64_t)source->facts.page_size * source->pages;
        *ret_source = take_ptr(&source);
        return 0;
}

/* Closing the last connection makes SQLite move the log's frames into the database and delete the log. That is none of
 * our business while there are any; where there are none it only tidies up after our own opening. */
static void keep_pending_frames(struct sqlite_source *source)
{
        struct wal_generation now = { .frames = 1 };
        volatile void *region;
        bool pending = true;

        if (!source->wal)
                return;
        if (map_index(source, &region) == SQLITE_OK && wal_index_header(region, &now) == WAL_OK)
                pending = now.frames != now.backfilled;
        sqlite3_db_config(source->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, (int)pending, NULL);
}

void sqlite_source_closep(struct sqlite_source **source_at)
{
        struct sqlite_source *source = *source_at;

        *source_at = NULL;
        if (!source)
                return;
        if (source->db) {
                if (source->file)
                        keep_pending_frames(source);
                db_exec(source->db, "ROLLBACK");
                db_closep(&source->db);
        }
        fd_closep(&source->file_fd);
        fd_closep(&source->log_fd);
        wal_map_deinit(&source->map);
        pthread_mutex_destroy(&source->lock);
        free(source->facts.path);
        free(source);
}

const struct sqlite_facts *sqlite_source_facts(const struct sqlite_source *source)
{
        return &source->facts;
}

bool sqlite_source_blocks_writers(const struct sqlite_source *source)
{
        return source->db && !source->wal;
}

uint64_t sqlite_source_log_size(struct sqlite_source *source)
{
        sqlite3_int64 size = 0;
        int result;

        if (!source->wal)
                return 0;
        pthread_mutex_lock(&source->lock);
        result = source->log->pMethods->xFileSize(source->log, &size);
        pthread_mutex_unlock(&source->lock);
        return result == SQLITE_OK && size > 0 ? (uint64_t)size : 0;
}

/* ---- reading ---- */

/* Reads a frame's page. 1 when it was the frame of our generation, 0 when the log had been restarted: then everything
 * of our generation has reached the database file. A writer changes a frame's header before its page, so a header that
 * is still ours after the page was read vouches for the page. */
static int read_frame(struct sqlite_source *source, uint32_t frame, uint8_t *page, struct error *err)
{
        const struct wal_bytes log = log_bytes(source);
        uint64_t at = wal_frame_offset(source->facts.page_size, frame) + WAL_FRAME_HEADER_SIZE;

        if (read_log(source, page, source->facts.page_size, at, err) < 0)
                return -1;
        return wal_frame_is_current(&log, &source->generation, frame, err);
}

/* Reads only those of the pages whose newest content is not in the database file, each into its place in `buffer`, and
 * leaves the other bytes alone. Thread safe. */
static int source_overlay(struct sqlite_source *source, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        uint32_t page_size = source->facts.page_size;
        uint32_t first = (uint32_t)(offset / page_size) + 1;
        uint64_t end = first + (uint64_t)size / page_size;

        for (size_t i = wal_map_find(&source->map, first); i < source->map.count; i++) {
                const struct wal_entry *entry = &source->map.entries[i];
                uint8_t *page = (uint8_t *)buffer + (size_t)(entry->page - first) * page_size;
                int result;

                if (entry->page >= end)
                        break;
                result = read_frame(source, entry->frame, page, err);
                if (result == 0)
                        result = read_file(source, page, page_size, (uint64_t)(entry->page - 1) * page_size, err);
                if (result < 0)
                        return -1;
        }
        return 0;
}

uint32_t sqlite_source_next_overlaid(const struct sqlite_source *source, uint32_t page)
{
        size_t i = wal_map_find(&source->map, page);

        return i < source->map.count ? source->map.entries[i].page : 0;
}

int sqlite_source_read(struct sqlite_source *source, void *buffer, size_t size, uint64_t offset, struct error *err)
{
        if (size == 0)
                return 0;
        if (offset % source->facts.page_size != 0 || size % source->facts.page_size != 0 || size > INT_MAX ||
            size > source->facts.size || offset > source->facts.size - size)
                return error_raise(err, ERR_PROTOCOL, "'%s' was to be read outside its pages", source->facts.path);
        if (read_file(source, buffer, size, offset, err) < 0)
                return -1;
        return source_overlay(source, buffer, size, offset, err);
}

int sqlite_source_verify(struct sqlite_source *source, struct error *err)
{
        if (!source->db)
                return error_raise(err, ERR_USAGE, "the content of '%s' cannot be checked without locks",
                                   source->facts.path);
        return check_content(source->db, SERVER_CHECK_QUICK, &source->patience, "the database", source->facts.path,
                             err);
}
