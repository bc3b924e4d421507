#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/base/label.h"
#include "codecs/stream/record.h"
#include "codecs/stream/seektable.h"
#include "codecs/stream/stream.h"
#include "core/base/bytes.h"
#include "core/base/cleanup.h"
#include "core/base/fd_io.h"

enum { TABLE_PIECE = 64 << 10, LAST_FRAMES = 8, SEARCH_SIZE = RECORD_PAYLOAD_MAX + (64 << 10) };

/* How many bytes a search checks before it gives up: what looks like records may overlap, made to be checked for hours.
 */
enum { SEARCH_CHECKED = 16 * SEARCH_SIZE };

struct probe {
        int fd;
        const char *label;
        uint64_t size;
        uint8_t *bytes; /* SEARCH_SIZE: the record or piece being looked at */
        struct stream_info *info;
        struct stream_tail *tail;
        uint64_t data_bytes; /* by the seek table */
        uint64_t frames;
        uint64_t starts[LAST_FRAMES]; /* frame i begins at starts[i % LAST_FRAMES], for the last ones */
};

static int probe_raise_damaged(const struct probe *probe, uint64_t position, const char *what, struct error *err)
{
        return raise_damaged_at(probe->label, position, what, err);
}

/* Returns bytes read, fewer than asked only at the end of the file; -1. */
static ssize_t probe_read_at(const struct probe *probe, void *bytes, size_t size, uint64_t position, struct error *err)
{
        ssize_t n = fd_pread_full(probe->fd, bytes, size, (off_t)position);

        return n < 0 ? error_raise_errno(err, errno, "cannot read %s", probe->label) : n;
}

/* Reads the record at `position`. Returns 1 when a right one is there, 0 when not, -1 when reading fails. */
static int probe_record_at(const struct probe *probe, uint64_t position, struct record *ret_record, struct error *err)
{
        ssize_t n = probe_read_at(probe, probe->bytes, RECORD_PREFIX, position, err);
        size_t size;

        if (n < RECORD_PREFIX || !record_is_ours(probe->bytes, (size_t)n))
                return n < 0 ? -1 : 0;
        size = record_size(probe->bytes);
        n = probe_read_at(probe, probe->bytes, size, position, err);
        if (n < 0)
                return -1;
        return size > 0 && (size_t)n == size && record_parse(probe->bytes, size, ret_record) == RECORD_OK;
}

/* Returns 1 with the header, 0 when the file is no bare vdi stream, -1. */
static int probe_header(struct probe *probe, struct error *err)
{
        struct record record;
        uint8_t prefix[RECORD_PREFIX];
        ssize_t n = probe_read_at(probe, prefix, sizeof prefix, 0, err);
        int found;

        if (n < 0 || !record_is_ours(prefix, (size_t)n))
                return n < 0 ? -1 : 0;
        found = probe_record_at(probe, 0, &record, err);
        if (found < 0)
                return -1;
        if (found == 0 || record.type != RECORD_HEADER)
                return probe_raise_damaged(probe, 0, "its header is wrong", err);
        if (stream_info_decode((const char *)record.body, record.body_size, probe->label, probe->info, err) < 0)
                return -1;
        return 1;
}

/* What the data was, if it is as much as was announced. */
static int probe_take_complete(const struct probe *probe, const struct record_complete *complete, struct error *err)
{
        if (stream_info_check_content(stream_info_announced(probe->info), complete->data_bytes, probe->label, err) < 0)
                return -1;
        probe->tail->data_bytes = complete->data_bytes;
        probe->tail->stream_bytes = probe->size;
        return 0;
}

/* ---- a file without an end ---- */

/* The last right record of a type within `size` bytes from `from`, which are at probe->bytes. */
static bool find_last(const struct probe *probe, size_t size, uint8_t type, struct record *ret_record, size_t *ret_at)
{
        size_t left = SEARCH_CHECKED;

        for (size_t at = size < RECORD_OVERHEAD ? 0 : size - RECORD_OVERHEAD + 1; at-- > 0;) {
                const uint8_t *frame = probe->bytes + at;
                size_t frame_size;

                if (frame[0] != (RECORD_MAGIC & 0xFF) || !record_is_ours(frame, size - at) || frame[13] != type)
                        continue;
                frame_size = record_size(frame);
                if (frame_size == 0 || frame_size > size - at)
                        continue;
                if (frame_size > left)
                        return false;
                left -= frame_size;
                if (record_parse(frame, frame_size, ret_record) == RECORD_OK) {
                        *ret_at = at;
                        return true;
                }
        }
        return false;
}

/* No seek table at the end: says why, as far as the last bytes tell. */
static int explain_missing_end(const struct probe *probe, struct error *err)
{
        uint64_t from = probe->size > SEARCH_SIZE ? probe->size - SEARCH_SIZE : 0;
        struct record_complete complete;
        struct record record;
        size_t at;
        ssize_t n = probe_read_at(probe, probe->bytes, SEARCH_SIZE, from, err);

        if (n < 0)
                return -1;
        if (find_last(probe, (size_t)n, RECORD_ABORTED, &record, &at)) {
                return record_raise_aborted(&record, probe->label, err);
        }
        if (!find_last(probe, (size_t)n, RECORD_VERDICT, &record, &at) &&
            find_last(probe, (size_t)n, RECORD_COMPLETE, &record, &at) && record_complete_decode(&record, &complete) &&
            complete.stream_bytes == from + at) {
                if (probe_take_complete(probe, &complete, err) < 0)
                        return -1;
                return record_raise_unconfirmed(probe->label, probe->size, err);
        }
        return error_raise(err, ERR_DAMAGED,
                           "%s ends at byte %llu without the end of a vdi stream: it was cut off or damaged",
                           probe->label, (unsigned long long)probe->size);
}

/* ---- the seek table ---- */

/* Whether a frame that is as long as a mark and as empty begins like one. */
static int count_mark(struct probe *probe, uint64_t position, struct error *err)
{
        uint8_t prefix[RECORD_PREFIX];
        ssize_t n = probe_read_at(probe, prefix, sizeof prefix, position, err);

        if (n == RECORD_PREFIX && record_is_ours(prefix, sizeof prefix) && prefix[13] == RECORD_MARK)
                probe->tail->marks++;
        return n < 0 ? -1 : 0;
}

static int take_entry(struct probe *probe, uint64_t number, const uint8_t *entry, uint64_t *position, struct error *err)
{
        uint32_t compressed = get_le32(entry);
        uint32_t content = get_le32(entry + 4);

        if (compressed == RECORD_MARK_SIZE && content == 0 && count_mark(probe, *position, err) < 0)
                return -1;
        probe->starts[number % LAST_FRAMES] = *position;
        probe->data_bytes += content;
        *position += compressed;
        return 0;
}

/* Adds up the entries and remembers where the last frames are. */
static int walk_table(struct probe *probe, uint64_t table, struct error *err)
{
        uint64_t position = 0;

        for (uint64_t i = 0; i < probe->frames;) {
                uint64_t left = (probe->frames - i) * SEEKTABLE_ENTRY;
                size_t piece = left < TABLE_PIECE ? (size_t)left : TABLE_PIECE;
                ssize_t n =
                        probe_read_at(probe, probe->bytes, piece, table + SEEKTABLE_PREFIX + i * SEEKTABLE_ENTRY, err);

                if (n < 0)
                        return -1;
                if ((size_t)n < piece)
                        return probe_raise_damaged(probe, table, "its seek table is cut", err);
                for (size_t at = 0; at < piece; at += SEEKTABLE_ENTRY, i++)
                        if (take_entry(probe, i, probe->bytes + at, &position, err) < 0)
                                return -1;
        }
        if (position != table)
                return probe_raise_damaged(probe, table, "its seek table does not describe it", err);
        return 0;
}

static int check_table(struct probe *probe, struct error *err)
{
        uint8_t bytes[SEEKTABLE_FOOTER];
        uint8_t expected[SEEKTABLE_FOOTER];
        uint64_t table;

        if (probe->size < SEEKTABLE_FOOTER ||
            probe_read_at(probe, bytes, sizeof bytes, probe->size - sizeof bytes, err) < 0)
                return probe->size < SEEKTABLE_FOOTER ? explain_missing_end(probe, err) : -1;
        probe->frames = get_le32(bytes);
        seektable_footer(probe->frames, expected);
        if (memcmp(bytes, expected, sizeof bytes) != 0 || probe->frames > SEEKTABLE_FRAMES_MAX ||
            seektable_size(probe->frames) > probe->size)
                return explain_missing_end(probe, err);
        table = probe->size - seektable_size(probe->frames);
        seektable_prefix(probe->frames, expected);
        if (probe_read_at(probe, bytes, SEEKTABLE_PREFIX, table, err) < 0)
                return -1;
        if (memcmp(bytes, expected, SEEKTABLE_PREFIX) != 0)
                return probe_raise_damaged(probe, table, "its seek table is wrong", err);
        return walk_table(probe, table, err);
}

/* ---- the last records ---- */

static int probe_check_verdict(const struct probe *probe, const struct record *record, uint64_t position,
                               struct error *err)
{
        if (record->type != RECORD_VERDICT)
                return probe_raise_damaged(probe, position, "no verdict is where it must be", err);
        if (record_verdict_check(record, probe->info, probe->label, position, &probe->tail->report_json, err) < 0)
                return -1;
        probe->tail->confirmed = true;
        return 0;
}

/* Backwards from the seek table: 'V', perhaps padding, 'C'. */
static int check_records(struct probe *probe, struct error *err)
{
        uint64_t position = 0;
        struct record_complete complete;
        struct record record;

        for (uint64_t back = 1; back <= LAST_FRAMES && back <= probe->frames; back++) {
                int found;

                position = probe->starts[(probe->frames - back) % LAST_FRAMES];
                found = probe_record_at(probe, position, &record, err);
                if (found < 0)
                        return -1;
                if (found == 0)
                        break;
                if (back == 1 && probe_check_verdict(probe, &record, position, err) < 0)
                        return -1;
                if (back == 1 || record.type == RECORD_PADDING)
                        continue;
                if (!record_complete_decode(&record, &complete) || complete.stream_bytes != position ||
                    complete.data_bytes != probe->data_bytes)
                        break;
                return probe_take_complete(probe, &complete, err) < 0 ? -1 : 1;
        }
        return probe_raise_damaged(probe, position, "its last records are wrong", err);
}

/* The size of a seekable file or disk; -1 when there is none. */
static off_t seekable_size(int fd)
{
        off_t here = lseek(fd, 0, SEEK_CUR);
        off_t size = here < 0 ? -1 : lseek(fd, 0, SEEK_END);

        if (here >= 0 && lseek(fd, here, SEEK_SET) < 0)
                return -1;
        /* A stream that begins in the middle of a file is read through like a pipe's. */
        return here == 0 ? size : -1;
}

int vdistream_probe(int fd, const char *name, struct stream_info *ret_info, struct stream_tail *ret_tail,
                    struct error *err)
{
        char label[LABEL_MAX];
        CLEANUP(freep) uint8_t *bytes = malloc(SEARCH_SIZE);
        struct error local = ERROR_INIT; /* its class is needed also when the caller wants no words */
        struct probe probe = { .fd = fd, .bytes = bytes, .info = ret_info, .tail = ret_tail };
        off_t size = seekable_size(fd);
        int result;

        memset(ret_info, 0, sizeof *ret_info);
        memset(ret_tail, 0, sizeof *ret_tail);
        if (!bytes)
                return error_no_memory(err);
        if (label_of_input(name, label, err) < 0)
                return -1;
        if (size < RECORD_PREFIX)
                return 0;
        probe.size = (uint64_t)size;
        probe.label = label;
        result = probe_header(&probe, err);
        if (result <= 0)
                return result;
        if (check_table(&probe, &local) == 0 && check_records(&probe, &local) > 0)
                return 1;
        if (local.code != ERR_UNCONFIRMED)
                stream_info_deinit(ret_info);
        stream_tail_deinit(ret_tail);
        if (err)
                *err = local;
        return -1;
}
