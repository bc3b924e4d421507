/*
 * sqlite_header.h - the first bytes of a SQLite database ("The Database File Format", 1.3)
 *
 * No state, no input or output.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/base/bytes.h"

enum {
        SQLITE_HEADER_SIZE = 100,
        SQLITE_PAGE_SIZE_AT = 16, /* of the page size in the header */
        SQLITE_PAGE_SIZE_MIN = 512,
        SQLITE_PAGE_SIZE_MAX = 65536,
};

struct sqlite_header {
        uint32_t page_size;
        uint32_t pages;    /* 0: the last writer did not know it */
        uint32_t encoding; /* of text: 1 UTF-8, 2 UTF-16le, 3 UTF-16be */
        uint32_t library;  /* that wrote last; 3040001: SQLite 3.40.1 */
};

static inline bool sqlite_is_page_size(uint32_t size)
{
        return size >= SQLITE_PAGE_SIZE_MIN && size <= SQLITE_PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

/* False when these are not the first bytes of a database. */
static inline bool sqlite_header_parse(const uint8_t bytes[SQLITE_HEADER_SIZE], struct sqlite_header *ret_header)
{
        uint32_t page_size = get_be16(bytes + SQLITE_PAGE_SIZE_AT);

        *ret_header = (struct sqlite_header){
                /* 65536 does not fit into its two bytes. */
                .page_size = page_size == 1 ? SQLITE_PAGE_SIZE_MAX : page_size,
                /* The page count counts only if the last writer knew of it: then two change counters are equal. */
                .pages = memcmp(bytes + 24, bytes + 92, 4) == 0 ? get_be32(bytes + 28) : 0,
                .encoding = get_be32(bytes + 56),
                .library = get_be32(bytes + 96),
        };
        return memcmp(bytes, "SQLite format 3", 16) == 0 && sqlite_is_page_size(ret_header->page_size);
}
