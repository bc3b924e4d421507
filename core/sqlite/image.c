#include "core/sqlite/image.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/sqlite/format.h"
#include "core/sqlite/source.h"
#include "core/sqlite/spool.h"

enum {
        LOG_LOOK_MS = 250, /* how often the spooler looks at the log's size: nobody tells when a log grows */
        SPOOL_CHUNK = 1048576,
};

static const uint64_t log_worth_a_note = UINT64_C(1) << 30;

struct image {
        struct sqlite_facts facts; /* its path is the image's own */
        char *spool_dir;
        int64_t max_lock_ms;
        uint64_t max_wal;
        bool immutable;
        struct deadline lock_deadline;

        /* Held for reading while bytes are fetched, for writing while the source is exchanged for the spool. */
        pthread_rwlock_t exchange;
        struct sqlite_source *source; /* NULL once it was let go */
        struct spool spool;
        bool spooled;

        /* Under `lock`: */
        pthread_mutex_t lock;
        pthread_cond_t changed; /* everything was read, the spooler shall stop, or it is done */
        bool spool_first;       /* no time to hold the lock at all: readers wait until everything is spooled */
        struct server_part parts[VDS_DEVICES_MAX];
        uint64_t marks[VDS_DEVICES_MAX]; /* read so far: offset in the image */
        uint32_t part_count;
        uint32_t unread_parts;
        bool stop;
        uint64_t log_peak;
        struct error failure; /* of the spooler: the rest cannot be read any more */

        pthread_t spooler;
        bool has_spooler;
};

/* ---- the spooler ---- */

static uint64_t image_mark(struct image *image, uint32_t part)
{
        uint64_t mark;

        pthread_mutex_lock(&image->lock);
        mark = image->marks[part];
        pthread_mutex_unlock(&image->lock);
        return mark;
}

static uint64_t image_part_end(const struct image *image, uint32_t part)
{
        return image->parts[part].offset + image->parts[part].length;
}

static int spooler_copy(struct image *image, uint8_t *buffer, uint64_t offset, size_t size, struct error *err)
{
        if (sqlite_source_read(image->source, buffer, size, offset, err) < 0)
                return -1;
        return spool_write(&image->spool, buffer, size, offset, err);
}

/* After a clone only the pages whose newest content lies in the log are left to copy. */
static int spooler_overlay_clone(struct image *image, uint8_t *buffer, struct error *err)
{
        uint32_t page = sqlite_source_next_overlaid(image->source, 1);

        for (; page != 0; page = sqlite_source_next_overlaid(image->source, page + 1))
                if (spooler_copy(image, buffer, (uint64_t)(page - 1) * image->facts.page_size, image->facts.page_size,
                                 err) < 0)
                        return -1;
        return 0;
}

/* Copies what the devices have not read; they go on reading meanwhile, so the mark is looked at before each chunk. */
static int spooler_copy_unread(struct image *image, uint8_t *buffer, struct error *err)
{
        for (uint32_t i = 0; i < image->part_count; i++) {
                uint64_t mark = image_mark(image, i);

                if (spool_reserve(&image->spool, mark, image_part_end(image, i) - mark, err) < 0)
                        return -1;
        }
        for (uint32_t i = 0; i < image->part_count; i++) {
                uint64_t end = image_part_end(image, i);
                uint64_t at = image_mark(image, i);

                while (at < end) {
                        size_t size = end - at < SPOOL_CHUNK ? (size_t)(end - at) : SPOOL_CHUNK;
                        uint64_t mark;

                        if (spooler_copy(image, buffer, at, size, err) < 0)
                                return -1;
                        at += size;
                        mark = image_mark(image, i);
                        at = mark > at ? mark : at;
                }
        }
        return 0;
}

static int spooler_run(struct image *image, struct error *err)
{
        CLEANUP(freep) uint8_t *buffer = malloc(SPOOL_CHUNK);
        int sys_errno = fault_point("spool.begin");

        if (sys_errno)
                return error_raise_errno(err, sys_errno, "cannot spool '%s'", image->facts.path);
        if (!buffer)
                return error_raise_errno(err, ENOMEM, "cannot spool '%s'", image->facts.path);
        if (spool_create(&image->spool, image->spool_dir, err) < 0)
                return -1;
        if ((spool_clone(&image->spool, image->facts.path) ? spooler_overlay_clone : spooler_copy_unread)(image, buffer,
                                                                                                          err) < 0)
                return -1;
        sys_errno = fault_point("spool.done");
        return sys_errno ? error_raise_errno(err, sys_errno, "cannot spool '%s'", image->facts.path) : 0;
}

/* Waits until everything was read or the image is closed (false), or a bound is met (true). Called under the lock. */
static bool spooler_wait(struct image *image)
{
        bool blocks_writers = sqlite_source_blocks_writers(image->source);

        while (!image->stop && image->unread_parts > 0) {
                struct deadline until = blocks_writers ? image->lock_deadline : deadline_after_ms(LOG_LOOK_MS);
                struct timespec at = { .tv_sec = until.at_ns / 1000000000, .tv_nsec = until.at_ns % 1000000000 };

                if (until.at_ns == INT64_MAX)
                        pthread_cond_wait(&image->changed, &image->lock);
                else
                        pthread_cond_clockwait(&image->changed, &image->lock, CLOCK_MONOTONIC, &at);
                if (image->stop || image->unread_parts == 0)
                        break;
                if (blocks_writers && deadline_passed(image->lock_deadline))
                        return true;
                if (!blocks_writers) {
                        uint64_t size = sqlite_source_log_size(image->source);

                        image->log_peak = size > image->log_peak ? size : image->log_peak;
                        if (image->max_wal > 0 && size > image->max_wal)
                                return true;
                }
        }
        return false;
}

/* Nothing is read from the database any more: what is left comes from the spool if a bound was met. Closes it in any
 * case. */
static void spooler_give_up_source(struct image *image, bool bound_met)
{
        struct error err = ERROR_INIT;
        bool spooled = bound_met && spooler_run(image, &err) == 0;

        pthread_mutex_lock(&image->lock);
        error_keep_first(&image->failure, &err);
        pthread_mutex_unlock(&image->lock);

        pthread_rwlock_wrlock(&image->exchange);
        image->spooled = spooled;
        if (!error_is_set(&err))
                sqlite_source_check_unchanged(image->source, &err);
        sqlite_source_closep(&image->source);
        pthread_rwlock_unlock(&image->exchange);

        pthread_mutex_lock(&image->lock);
        error_keep_first(&image->failure, &err);
        image->spool_first = false;
        pthread_cond_broadcast(&image->changed);
        pthread_mutex_unlock(&image->lock);
}

static void *spooler_main(void *image_at)
{
        struct image *image = image_at;
        bool met;

        pthread_mutex_lock(&image->lock);
        met = spooler_wait(image);
        pthread_mutex_unlock(&image->lock);
        spooler_give_up_source(image, met);
        return NULL;
}

/* ---- opening and closing ---- */

static void image_init_locks(struct image *image)
{
        pthread_rwlockattr_t attr;

        pthread_mutex_init(&image->lock, NULL);
        pthread_cond_init(&image->changed, NULL);
        /* Readers come without a pause; the spooler shall not wait for one. */
        pthread_rwlockattr_init(&attr);
        pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
        pthread_rwlock_init(&image->exchange, &attr);
        pthread_rwlockattr_destroy(&attr);
}

static int image_keep_facts(struct image *image, const char *spool_dir, struct error *err)
{
        const struct sqlite_facts *facts = sqlite_source_facts(image->source);

        image->facts = *facts;
        image->facts.path = strdup(facts->path);
        image->spool_dir = strdup(spool_dir ? spool_dir : facts->path);
        if (!image->facts.path || !image->spool_dir)
                return error_raise_errno(err, ENOMEM, "cannot open '%s'", facts->path);
        if (!spool_dir) {
                char *slash = strrchr(image->spool_dir, '/');

                slash[slash == image->spool_dir] = '\0';
        }
        return 0;
}

int image_open(const struct image_options *options, struct image **ret_image, struct error *err)
{
        const struct db_patience patience = {
                .deadline = deadline_after_ms(options->busy_timeout_ms),
                .cancelled = options->cancelled,
                .context = options->context,
        };
        CLEANUP(image_closep) struct image *image = calloc(1, sizeof *image);

        if (!image)
                return error_raise_errno(err, ENOMEM, "cannot open the database '%s'", options->path);
        image_init_locks(image);
        image->spool = (struct spool)SPOOL_INIT;
        if (sqlite_source_open(options->path, options->immutable, &patience, &image->source, err) < 0)
                return -1;
        /* A little late: the lock is a few reads old. */
        image->lock_deadline = deadline_after_ms(options->max_lock_ms);
        image->max_wal = options->max_wal;
        image->immutable = options->immutable;
        if (image_keep_facts(image, options->spool_dir, err) < 0)
                return -1;
        *ret_image = take_ptr(&image);
        return 0;
}

static void stop_spooler(struct image *image)
{
        if (!image->has_spooler)
                return;
        pthread_mutex_lock(&image->lock);
        image->stop = true;
        pthread_cond_broadcast(&image->changed);
        pthread_mutex_unlock(&image->lock);
        pthread_join(image->spooler, NULL);
        image->has_spooler = false;
}

void image_closep(struct image **image_at)
{
        struct image *image = *image_at;

        *image_at = NULL;
        if (!image)
                return;
        stop_spooler(image);
        sqlite_source_closep(&image->source);
        spool_deinit(&image->spool);
        pthread_rwlock_destroy(&image->exchange);
        pthread_cond_destroy(&image->changed);
        pthread_mutex_destroy(&image->lock);
        free(image->facts.path);
        free(image->spool_dir);
        free(image);
}

const struct sqlite_facts *image_facts(const struct image *image)
{
        return &image->facts;
}

void image_cut(const struct image *image, uint32_t count, struct server_part *ret_parts)
{
        format_cut(image->facts.page_size ? image->facts.size / image->facts.page_size : 0, image->facts.page_size,
                   count, ret_parts);
}

int image_verify(struct image *image, struct error *err)
{
        return sqlite_source_verify(image->source, err);
}

int image_start(struct image *image, const struct server_part *parts, uint32_t count, struct error *err)
{
        int result;

        for (uint32_t i = 0; i < count; i++) {
                image->parts[i] = parts[i];
                image->marks[i] = parts[i].offset;
                image->unread_parts += parts[i].length > 0;
        }
        image->part_count = count;
        /* Nobody waits for an immutable database, and it is looked at once more after the last read. */
        if (image->immutable)
                return 0;
        image->spool_first = image->unread_parts > 0 && sqlite_source_blocks_writers(image->source) &&
                             deadline_passed(image->lock_deadline);
        result = pthread_create(&image->spooler, NULL, spooler_main, image);
        if (result)
                return error_raise_errno(err, result, "cannot start the thread that watches the lock of '%s'",
                                         image->facts.path);
        image->has_spooler = true;
        return 0;
}

/* ---- reading ---- */

static int image_fetch(struct image *image, uint64_t offset, void *buffer, size_t size, struct error *err)
{
        int result = -1;

        pthread_rwlock_rdlock(&image->exchange);
        if (image->source) {
                result = sqlite_source_read(image->source, buffer, size, offset, err);
        } else if (image->spooled) {
                result = spool_read(&image->spool, buffer, size, offset, err);
        } else {
                pthread_mutex_lock(&image->lock);
                if (error_is_set(&image->failure))
                        *err = image->failure;
                else
                        error_raise(err, ERR_PROTOCOL, "'%s' was to be read twice", image->facts.path);
                pthread_mutex_unlock(&image->lock);
        }
        pthread_rwlock_unlock(&image->exchange);
        return result;
}

/* The part that the range continues; negative when there is none. */
static int image_part_at(struct image *image, uint64_t offset, size_t size)
{
        int found = -1;

        pthread_mutex_lock(&image->lock);
        for (uint32_t i = 0; i < image->part_count && found < 0; i++)
                if (image->marks[i] == offset && offset < image_part_end(image, i) &&
                    image_part_end(image, i) - offset >= size)
                        found = (int)i;
        pthread_mutex_unlock(&image->lock);
        return found;
}

int image_read(struct image *image, uint64_t offset, void *buffer, size_t size, struct error *err)
{
        struct error own = ERROR_INIT;
        int part = image_part_at(image, offset, size);

        if (part < 0)
                return error_raise(err, ERR_PROTOCOL, "'%s' was to be read out of order", image->facts.path);
        pthread_mutex_lock(&image->lock);
        while (image->spool_first)
                pthread_cond_wait(&image->changed, &image->lock);
        pthread_mutex_unlock(&image->lock);
        if (image_fetch(image, offset, buffer, size, &own) < 0) {
                error_keep_first(err, &own);
                return -1;
        }
        pthread_mutex_lock(&image->lock);
        image->marks[part] = offset + size;
        if (image->marks[part] == image_part_end(image, (uint32_t)part) && --image->unread_parts == 0)
                pthread_cond_broadcast(&image->changed);
        pthread_mutex_unlock(&image->lock);
        return 0;
}

int image_check(struct image *image, struct error *err)
{
        stop_spooler(image);
        if (error_is_set(&image->failure)) {
                *err = image->failure;
                return -1;
        }
        return image->source ? sqlite_source_check_unchanged(image->source, err) : 0;
}

bool image_was_spooled(struct image *image)
{
        bool spooled;

        pthread_rwlock_rdlock(&image->exchange);
        spooled = image->spooled;
        pthread_rwlock_unlock(&image->exchange);
        return spooled;
}

void image_note(struct image *image, char note[ERROR_MESSAGE_MAX])
{
        note[0] = '\0';
        pthread_mutex_lock(&image->lock);
        if (image->log_peak > log_worth_a_note)
                snprintf(note, ERROR_MESSAGE_MAX,
                         "the write-ahead log of '%s' grew to %.1f GiB while it was backed up: --max-wal bounds that",
                         image->facts.path, (double)image->log_peak / (double)log_worth_a_note);
        pthread_mutex_unlock(&image->lock);
}
