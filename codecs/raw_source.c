#include <stdlib.h>
#include <string.h>

#include "codecs/bytes.h"
#include "codecs/layers.h"

/* The SQLite database header ("The Database File Format", 1.3): page size at 16, change counter at 24, size in pages at
 * 28, and at 92 the change counter for which that size is valid. All big endian. */
enum { SQLITE_HEADER = 100, PAGE_SIZE_AT = 16, COUNTER_AT = 24, PAGES_AT = 28, VALID_FOR_AT = 92, PAGE_SIZE_MIN = 512 };

struct raw_source {
        struct source source;
        char *label;
        uint8_t header[SQLITE_HEADER];
        size_t header_used;
        uint64_t position;
};

/* The image has ended: is it as long as it says? */
static int check_length(const struct raw_source *raw, struct error *err)
{
        uint32_t page_size = (uint32_t)raw->header[PAGE_SIZE_AT] << 8 | raw->header[PAGE_SIZE_AT + 1];
        uint32_t pages = get_be32(raw->header + PAGES_AT);
        uint32_t counter = get_be32(raw->header + COUNTER_AT);
        uint64_t expected;

        if (raw->header_used < SQLITE_HEADER)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu inside the header of a SQLite database: it was cut off",
                                   raw->label, (unsigned long long)raw->position);
        if (page_size == 1)
                page_size = 65536;
        if (page_size < PAGE_SIZE_MIN || (page_size & (page_size - 1)) != 0)
                return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %d: no page size of a SQLite database",
                                   raw->label, PAGE_SIZE_AT);
        expected = (uint64_t)pages * page_size;
        if (pages == 0 || counter != get_be32(raw->header + VALID_FOR_AT)) {
                if (raw->position % page_size == 0)
                        return 0;
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu inside a page of a SQLite database: it was cut off",
                                   raw->label, (unsigned long long)raw->position);
        }
        if (raw->position < expected)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu, but the SQLite database has %llu bytes: it was cut off",
                                   raw->label, (unsigned long long)raw->position, (unsigned long long)expected);
        if (raw->position > expected)
                return error_raise(err, ERR_DAMAGED,
                                   "%s is damaged at byte %llu: something follows the SQLite database", raw->label,
                                   (unsigned long long)expected);
        return 0;
}

static ssize_t raw_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct raw_source *raw = (struct raw_source *)source;
        ssize_t n = source_read(source->next, buffer, size, err);
        size_t head;

        if (n <= 0)
                return n < 0 ? -1 : check_length(raw, err);
        head = SQLITE_HEADER - raw->header_used < (size_t)n ? SQLITE_HEADER - raw->header_used : (size_t)n;
        memcpy(raw->header + raw->header_used, buffer, head);
        raw->header_used += head;
        raw->position += (uint64_t)n;
        return n;
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
                return error_raise(err, ERR_MEMORY, "out of memory");
        }
        raw->source = (struct source){ .ops = &raw_source_ops, .next = next };
        *ret_source = &raw->source;
        return 0;
}
