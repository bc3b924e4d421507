/*
 * format.h - SQLite's files as bytes: their names, the header of a database
 *
 * No state, no input or output.
 */
#ifndef VDIPIPE_CORE_SQLITE_FORMAT_H
#define VDIPIPE_CORE_SQLITE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/servers/server.h"

/* The files a database consists of: itself, then its siblings. */
enum format_file {
        FORMAT_DATABASE,
        FORMAT_LOG,
        FORMAT_JOURNAL,
        FORMAT_SHM,
        FORMAT_FILES,
};

enum {
        FORMAT_HEADER_SIZE = 100,
        FORMAT_PAGE_SIZE_MIN = 512,
        FORMAT_PAGE_SIZE_MAX = 65536,
};

extern const char *const format_suffixes[FORMAT_FILES]; /* "", "-wal", "-journal", "-shm" */

/* The path of one of them, allocated; NULL when memory is short. */
char *format_file_path(const char *database, enum format_file file);

struct format_header {
        uint32_t page_size;
        uint32_t pages; /* 0: the last writer did not know it */
};

/* Cuts a database at page boundaries into `count` contiguous parts: what each device of a backup carries. */
void format_cut(uint64_t pages, uint32_t page_size, uint32_t count, struct server_part *ret_parts);

bool format_is_page_size(uint32_t size);

/* Reads the first bytes of a database. False when they are not those of one. */
bool format_parse_header(const uint8_t bytes[FORMAT_HEADER_SIZE], struct format_header *ret_header);

#endif
