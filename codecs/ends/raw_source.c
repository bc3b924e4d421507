#include <stdlib.h>
#include <string.h>

#include "codecs/ends/ends.h"
#include "core/base/bytes.h"
#include "core/base/cleanup.h"

/* The SQLite database header ("The Database File Format", 1.3): page size at 16, change counter at 24, size in pages at
 * 28, and at 92 the change counter for which that size is valid. All big endian. */
enum { SQLITE_HEADER = 100, PAGE_SIZE_AT = 16, COUNTER_AT = 24, PAGES_AT = 28, VALID_FOR_AT = 92, PAGE_SIZE_MIN = 512 };

struct raw_source {
        struct source source;
        char *label;
        uint8_t header[SQLITE_HEADER];
        size_t header_used;
        uint32_t page_size; /* 0: the header is not there yet */
        uint64_t expected;  /* length by the header; 0: it does not say */
        uint64_t position;
};

static int parse_header(struct raw_source *raw, struct error *err)
{
        uint32_t page_size = get_be16(raw->header + PAGE_SIZE_AT);

        if (page_size == 1)
                page_size = 65536;
        if (page_size < PAGE_SIZE_MIN || (page_size & (page_size - 1)) != 0)
                return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %d: no page size of a SQLite database",
                                   raw->label, PAGE_SIZE_AT);
        raw->page_size = page_size;
        if (get_be32(raw->header + COUNTER_AT) == get_be32(raw->header + VALID_FOR_AT))
                raw->expected = (uint64_t)get_be32(raw->header + PAGES_AT) * page_size;
        return 0;
}

/* The image has ended: is it as long as it says? */
static int check_end(const struct raw_source *raw, struct error *err)
{
        unsigned long long position = raw->position;

        if (raw->page_size == 0)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu inside the header of a SQLite database: it was cut off",
                                   raw->label, position);
        if (raw->position < raw->expected)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu, but the SQLite database has %llu bytes: it was cut off",
                                   raw->label, position, (unsigned long long)raw->expected);
        if (raw->position % raw->page_size != 0)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu inside a page of a SQLite database: it was cut off",
                                   raw->label, position);
        return 0;
}

/* Bytes have come. Too many are refused at once: whoever takes them would need room for all of them. */
static int take(struct raw_source *raw, const uint8_t *bytes, size_t size, struct error *err)
{
        size_t head = SQLITE_HEADER - raw->header_used < size ? SQLITE_HEADER - raw->header_used : size;

        memcpy(raw->header + raw->header_used, bytes, head);
        raw->header_used += head;
        raw->position += size;
        if (raw->page_size == 0 && raw->header_used == SQLITE_HEADER && parse_header(raw, err) < 0)
                return -1;
        if (raw->expected > 0 && raw->position > raw->expected)
                return error_raise(err, ERR_DAMAGED,
                                   "%s is damaged at byte %llu: something follows the SQLite database", raw->label,
                                   (unsigned long long)raw->expected);
        return 0;
}

int sqlite_image_check(const uint8_t *head, size_t head_size, uint64_t size, const char *label, struct error *err)
{
        CLEANUP(freep) char *copy = strdup(label);
        struct raw_source raw = { .label = copy };

        if (!copy)
                return error_no_memory(err);
        if (take(&raw, head, head_size, err) < 0)
                return -1;
        raw.position = size;
        if (take(&raw, head, 0, err) < 0)
                return -1;
        return check_end(&raw, err);
}

static ssize_t raw_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct raw_source *raw = (struct raw_source *)source;
        ssize_t n = source_read(source->next, buffer, size, err);

        if (n <= 0)
                return n < 0 ? -1 : check_end(raw, err);
        return take(raw, buffer, (size_t)n, err) < 0 ? -1 : n;
}

static void raw_source_free(struct source *source)
{
        struct raw_source *raw = (struct raw_source *)source;

        free(raw->label);
        free(raw);
}

static const struct source_ops raw_source_ops = {
        .name = "raw SQLite image",
        .read = raw_source_read,
        .free = raw_source_free,
};

int sqlite_source_new(struct source *next, const char *label, struct source **ret_source, struct error *err)
{
        struct raw_source *raw = calloc(1, sizeof *raw);

        if (raw)
                raw->label = strdup(label);
        if (!raw || !raw->label) {
                free(raw);
                source_free(next);
                return error_no_memory(err);
        }
        raw->source = (struct source){ .ops = &raw_source_ops, .next = next };
        *ret_source = &raw->source;
        return 0;
}
