#include "core/sqlite/format.h"

#include <stdio.h>

const char *const format_suffixes[FORMAT_FILES] = {
        [FORMAT_DATABASE] = "",
        [FORMAT_LOG] = "-wal",
        [FORMAT_JOURNAL] = "-journal",
        [FORMAT_SHM] = "-shm",
};

char *format_file_path(const char *database, enum format_file file)
{
        char *path;

        return asprintf(&path, "%s%s", database, format_suffixes[file]) < 0 ? NULL : path;
}

void format_cut(uint64_t pages, uint32_t page_size, uint32_t count, struct server_part *ret_parts)
{
        for (uint32_t i = 0; i < count; i++) {
                uint64_t first = i * pages / count;
                uint64_t end = (i + 1) * pages / count;

                ret_parts[i].offset = first * page_size;
                ret_parts[i].length = (end - first) * page_size;
        }
}
