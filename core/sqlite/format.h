/*
 * format.h - the files of a SQLite database: their names, and how the first is cut
 *
 * No state, no input or output.
 */
#pragma once

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

extern const char *const format_suffixes[FORMAT_FILES]; /* "", "-wal", "-journal", "-shm" */

/* The path of one of them, allocated; NULL when memory is short. */
char *format_file_path(const char *database, enum format_file file);

/* Cuts a database at page boundaries into `count` contiguous parts: what each device of a backup carries. */
void format_cut(uint64_t pages, uint32_t page_size, uint32_t count, struct server_part *ret_parts);
