#include "core/sqlite/format.h"

#include <stdio.h>
#include <string.h>

#include "core/base/bytes.h"

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

bool format_is_page_size(uint32_t size)
{
        return size >= FORMAT_PAGE_SIZE_MIN && size <= FORMAT_PAGE_SIZE_MAX && (size & (size - 1)) == 0;
}

bool format_parse_header(const uint8_t bytes[FORMAT_HEADER_SIZE], struct format_header *ret_header)
{
        uint32_t page_size = get_be16(bytes + 16);

        /* 65536 does not fit into its two bytes. */
        ret_header->page_size = page_size == 1 ? FORMAT_PAGE_SIZE_MAX : page_size;
        /* The page count counts only if the last writer knew of it: then two counters are equal. */
        ret_header->pages = memcmp(bytes + 24, bytes + 92, 4) == 0 ? get_be32(bytes + 28) : 0;
        return memcmp(bytes, "SQLite format 3", 16) == 0 && format_is_page_size(ret_header->page_size);
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
