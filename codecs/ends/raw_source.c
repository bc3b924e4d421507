#include <string.h>

#include "codecs/ends/ends.h"
#include "core/base/cleanup.h"
#include "core/base/sqlite_header.h"

struct raw_source {
        struct source source;
        uint8_t header[SQLITE_HEADER_SIZE];
        size_t header_used;
        uint32_t page_size; /* 0: the header is not there yet */
        uint64_t expected;  /* length by the header; 0: it does not say */
        uint64_t position;
};

static int raw_parse_header(struct raw_source *raw, struct error *err)
{
        struct sqlite_header header;

        if (!sqlite_header_parse(raw->header, &header))
                return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %d: no page size of a SQLite database",
                                   raw->source.label, SQLITE_PAGE_SIZE_AT);
        raw->page_size = header.page_size;
        raw->expected = (uint64_t)header.pages * header.page_size;
        return 0;
}

/* The image has ended: is it as long as it says? */
static int raw_check_end(const struct raw_source *raw, struct error *err)
{
        unsigned long long position = raw->position;

        if (raw->page_size == 0)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu inside the header of a SQLite database: it was cut off",
                                   raw->source.label, position);
        if (raw->position < raw->expected)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu, but the SQLite database has %llu bytes: it was cut off",
                                   raw->source.label, position, (unsigned long long)raw->expected);
        if (raw->position % raw->page_size != 0)
                return error_raise(err, ERR_DAMAGED,
                                   "%s ends at byte %llu inside a page of a SQLite database: it was cut off",
                                   raw->source.label, position);
        return 0;
}

/* Bytes have come. Too many are refused at once: whoever takes them would need room for all of them. */
static int raw_take(struct raw_source *raw, const uint8_t *bytes, size_t size, struct error *err)
{
        size_t head = SQLITE_HEADER_SIZE - raw->header_used < size ? SQLITE_HEADER_SIZE - raw->header_used : size;

        memcpy(raw->header + raw->header_used, bytes, head);
        raw->header_used += head;
        raw->position += size;
        if (raw->page_size == 0 && raw->header_used == SQLITE_HEADER_SIZE && raw_parse_header(raw, err) < 0)
                return -1;
        if (raw->expected > 0 && raw->position > raw->expected)
                return error_raise(err, ERR_DAMAGED,
                                   "%s is damaged at byte %llu: something follows the SQLite database",
                                   raw->source.label, (unsigned long long)raw->expected);
        return 0;
}

int sqlite_image_check(const uint8_t *head, size_t head_size, uint64_t size, const char *label, struct error *err)
{
        CLEANUP(freep) char *copy = strdup(label);
        struct raw_source raw = { .source.label = copy };

        if (!copy)
                return error_no_memory(err);
        if (raw_take(&raw, head, head_size, err) < 0)
                return -1;
        raw.position = size;
        if (raw_take(&raw, head, 0, err) < 0)
                return -1;
        return raw_check_end(&raw, err);
}

static ssize_t raw_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct raw_source *raw = (struct raw_source *)source;
        ssize_t n = source_read(source->next, buffer, size, err);

        if (n <= 0)
                return n < 0 ? -1 : raw_check_end(raw, err);
        return raw_take(raw, buffer, (size_t)n, err) < 0 ? -1 : n;
}

static const struct source_ops raw_source_ops = {
        .name = "raw SQLite image",
        .read = raw_source_read,
};

int sqlite_source_new(struct source *next, const char *label, struct source **ret_source, struct error *err)
{
        struct raw_source *raw = source_make(sizeof *raw, &raw_source_ops, next, label, err);

        if (!raw)
                return -1;
        *ret_source = &raw->source;
        return 0;
}
