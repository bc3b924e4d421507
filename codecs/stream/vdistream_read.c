#include <stdlib.h>
#include <string.h>

#include "codecs/base/hash.h"
#include "codecs/base/intake.h"
#include "codecs/base/label.h"
#include "codecs/base/room.h"
#include "codecs/stream/zstd_frame.h"
#include "codecs/stream/frame_queue.h"
#include "codecs/stream/record.h"
#include "codecs/stream/seektable.h"
#include "codecs/stream/stream.h"
#include "core/base/bytes.h"
#include "core/base/cleanup.h"

enum vdireader_phase {
        PHASE_FRAMES, /* data frames, marks, padding; 'C' ends it */
        PHASE_TAIL,   /* behind 'C': padding, 'V' */
        PHASE_TABLE,  /* the seek table, and then nothing */
        PHASE_END,
};

struct vdireader {
        struct source source;
        const struct stream_info *info; /* the caller's, by the header */
        bool accept_unconfirmed;
        bool one_backup;
        struct pool *pool;
        struct intake intake;
        enum vdireader_phase phase;

        struct hasher *hasher;
        uint64_t seen; /* hash of the entries that the seek table must have */
        uint64_t frames;
        uint64_t frame_start; /* position of the current frame */
        struct stream_tail tail;
        struct vdistream_watcher watcher;

        bool in_stored; /* inside a stored frame */
        uint32_t block_left;
        bool block_is_last;
        uint32_t frame_content;

        struct frame_queue *queue; /* made when the first compressed frame comes */

        uint8_t *encoded; /* a record */
        size_t encoded_room;
};

/* ---- faults ---- */

static int damaged_at(const struct vdireader *reader, uint64_t position, struct error *err, const char *what)
{
        return raise_damaged_at(reader->source.label, position, what, err);
}

/* The input ended at `size` bytes behind the current position. */
static int cut_off(struct vdireader *reader, size_t size, struct error *err, const char *where)
{
        unsigned long long end = reader->intake.position + size;

        if (reader->phase == PHASE_TAIL)
                return record_raise_unconfirmed(reader->source.label, end, err);
        return error_raise(err, ERR_DAMAGED, "%s ends at byte %llu %s: the backup was cut off", reader->source.label,
                           end, where);
}

/* Whether an end here is to be put up with; if so, the end is reached. */
static bool end_is_accepted(struct vdireader *reader)
{
        if (!reader->accept_unconfirmed || reader->phase < PHASE_TAIL)
                return false;
        reader->phase = PHASE_END;
        return true;
}

/* ---- frames and records ---- */

/* What every whole frame leaves behind. */
static int count_frame(struct vdireader *reader, uint64_t bytes, uint32_t content, struct error *err)
{
        uint32_t size = (uint32_t)bytes;
        uint8_t entry[SEEKTABLE_ENTRY];

        seektable_entry(size, content, entry);
        reader->seen = hash_next(reader->seen, entry, sizeof entry);
        reader->frames++;
        reader->tail.data_bytes += content;
        if (!reader->watcher.data || content == 0)
                return 0;
        return reader->watcher.data(reader->watcher.context, reader->frame_start, size, content, err);
}

static void take_hashed(struct vdireader *reader, const uint8_t *bytes, size_t size)
{
        hasher_stream(reader->hasher, bytes, size);
        intake_skip(&reader->intake, size);
}

/* Brings the record that begins here into `reader->encoded`, without taking it into the digest, and checks it as such.
 * Returns 1; 0 when the input ends inside; -1. */
static int vdireader_read_record(struct vdireader *reader, struct record *ret_record, size_t *ret_size,
                                 struct error *err)
{
        const uint8_t *prefix;
        ssize_t n = intake_peek(&reader->intake, RECORD_PREFIX, &prefix, err);
        size_t size;

        if (n < RECORD_PREFIX) {
                intake_skip(&reader->intake, n > 0 ? (size_t)n : 0);
                return n < 0 ? -1 : 0;
        }
        if (!record_is_ours(prefix, (size_t)n))
                return damaged_at(reader, reader->frame_start, err, "a record of the stream was expected");
        size = record_size(prefix);
        if (size == 0)
                return damaged_at(reader, reader->frame_start, err, "a record has an impossible size");
        if (room_renew(&reader->encoded, &reader->encoded_room, size, err) < 0)
                return -1;
        n = intake_full(&reader->intake, reader->encoded, size, err);
        if (n < (ssize_t)size)
                return n < 0 ? -1 : 0;
        *ret_size = size;
        switch (record_parse(reader->encoded, size, ret_record)) {
        case RECORD_OK:
                return 1;
        case RECORD_NEWER:
                return error_raise(err, ERR_FAILED,
                                   "%s was written by a newer version of vdipipe (record at byte %llu)",
                                   reader->source.label, (unsigned long long)reader->frame_start);
        default:
                return damaged_at(reader, reader->frame_start, err, "a record's checksum is wrong");
        }
}

/* A data frame's checksum was wrong. If a record of abortion follows, that is the reason to report. */
static int raise_wrong_checksum(struct vdireader *reader, struct error *err)
{
        struct error none = ERROR_INIT;
        struct record record = { 0 };
        size_t size = 0;
        uint64_t start = reader->frame_start;

        reader->frame_start = reader->intake.position;
        if (vdireader_read_record(reader, &record, &size, &none) > 0 && record.type == RECORD_ABORTED)
                return record_raise_aborted(&record, reader->source.label, err);
        return damaged_at(reader, start, err, "a data frame's checksum is wrong");
}

/* ---- stored frames ---- */

static ssize_t end_stored_frame(struct vdireader *reader, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = intake_peek(&reader->intake, FRAME_CHECKSUM_SIZE, &bytes, err);
        bool right;

        if (n < 0)
                return -1;
        if (n < FRAME_CHECKSUM_SIZE)
                return cut_off(reader, (size_t)n, err, "inside a data frame");
        right = get_le32(bytes) == hasher_frame_checksum(reader->hasher);
        take_hashed(reader, bytes, FRAME_CHECKSUM_SIZE);
        reader->in_stored = false;
        if (!right)
                return raise_wrong_checksum(reader, err);
        return count_frame(reader, reader->intake.position - reader->frame_start, reader->frame_content, err);
}

static int begin_block(struct vdireader *reader, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = intake_peek(&reader->intake, FRAME_BLOCK_HEADER_SIZE, &bytes, err);
        uint32_t header, size;

        if (n < 0)
                return -1;
        if (n < FRAME_BLOCK_HEADER_SIZE)
                return cut_off(reader, (size_t)n, err, "inside a data frame");
        header = get_le24(bytes);
        size = header >> 3;
        if ((header >> 1 & 3) != FRAME_BLOCK_RAW || size > FRAME_BLOCK_MAX ||
            size > FRAME_CONTENT_LIMIT - reader->frame_content)
                return damaged_at(reader, reader->intake.position, err, "a block header of a stored frame is wrong");
        take_hashed(reader, bytes, FRAME_BLOCK_HEADER_SIZE);
        reader->block_left = size;
        reader->block_is_last = header & 1;
        reader->frame_content += size;
        return 0;
}

/* Content of a stored frame. Returns bytes, 0 when there is none right now, or -1. */
static ssize_t read_stored(struct vdireader *reader, void *buffer, size_t size, struct error *err)
{
        uint8_t *at = buffer;
        size_t done = 0;

        while (reader->in_stored && done < size) {
                size_t want = size - done < reader->block_left ? size - done : reader->block_left;
                ssize_t n = 0;

                if (want > 0) {
                        n = intake_some(&reader->intake, at + done, want, err);
                        if (n == 0)
                                return cut_off(reader, 0, err, "inside a data frame");
                        if (n < 0)
                                return -1;
                        hasher_both(reader->hasher, at + done, (size_t)n);
                        reader->block_left -= (uint32_t)n;
                        done += (size_t)n;
                }
                if (reader->block_left > 0)
                        continue;
                if (reader->block_is_last ? end_stored_frame(reader, err) < 0 : begin_block(reader, err) < 0)
                        return -1;
        }
        return (ssize_t)done;
}

/* ---- compressed frames ---- */

static int vdireader_begin_ahead(struct source *source, struct error *err);

static int begin_compressed(struct vdireader *reader, const struct frame_header *header, struct error *err)
{
        if (!header->has_checksum || !header->has_content_size || header->dictionary ||
            header->content_size > FRAME_CONTENT_LIMIT)
                return damaged_at(reader, reader->intake.position, err, "a frame header is none of a vdi stream");
        if (!reader->queue && frame_queue_new(&reader->intake, reader->pool, vdireader_begin_ahead, &reader->source,
                                              &reader->queue, err) < 0)
                return -1;
        return frame_queue_begin(reader->queue, header, err);
}

/* Anything but a compressed frame, and anything wrong, is looked at again when its turn has come. */
static int vdireader_begin_ahead(struct source *source, struct error *err)
{
        struct vdireader *reader = (struct vdireader *)source;
        struct frame_header header;
        const uint8_t *bytes;
        ssize_t n = intake_glance(&reader->intake, FRAME_HEADER_MAX, &bytes, err);

        if (n < 0)
                return -1;
        if (frame_header_parse(bytes, (size_t)n, &header) != 1 || header.stored)
                return 0;
        return begin_compressed(reader, &header, err) < 0 ? -1 : 1;
}

static int take_compressed(struct vdireader *reader, const struct queued_frame *frame, struct error *err)
{
        reader->frame_start = frame->start;
        hasher_stream(reader->hasher, frame->bytes, frame->size);
        switch (frame->result) {
        case FRAME_OK:
                return count_frame(reader, frame->size, (uint32_t)frame->content_size, err);
        case FRAME_WRONG_CHECKSUM:
                if (frame_queue_stop(reader->queue) == FRAME_STOP_NONE &&
                    reader->intake.position == frame->start + frame->size)
                        return raise_wrong_checksum(reader, err);
                return damaged_at(reader, frame->start, err, "a data frame's checksum is wrong");
        default:
                return error_raise(err, ERR_DAMAGED,
                                   "%s is damaged at byte %llu: a data frame cannot be decompressed: %s",
                                   reader->source.label, (unsigned long long)frame->start, frame->fault);
        }
}

/* One step where compressed frames are on their way. */
static int step_compressed(struct vdireader *reader, struct error *err)
{
        struct queued_frame frame;
        int taken = frame_queue_step(reader->queue, &frame, err);

        if (taken != 0)
                return taken < 0 ? -1 : take_compressed(reader, &frame, err);
        switch (frame_queue_stop(reader->queue)) {
        case FRAME_STOP_NONE:
                return 0;
        case FRAME_STOP_CUT:
                return cut_off(reader, 0, err, "inside a data frame");
        default:
                return frame_queue_raise(reader->queue, err);
        }
}

/* ---- the sequence of frames ---- */

static int begin_data_frame(struct vdireader *reader, struct error *err)
{
        struct frame_header header;
        const uint8_t *bytes;
        ssize_t n = intake_peek(&reader->intake, FRAME_HEADER_MAX, &bytes, err);
        int parsed;

        if (n < 0)
                return -1;
        parsed = frame_header_parse(bytes, (size_t)n, &header);
        if (parsed == 0)
                return cut_off(reader, (size_t)n, err, "inside a data frame");
        if (parsed < 0)
                return damaged_at(reader, reader->frame_start, err, "a frame header is wrong");
        if (!header.stored)
                return begin_compressed(reader, &header, err);
        take_hashed(reader, bytes, header.size);
        hasher_frame_begin(reader->hasher);
        reader->in_stored = true;
        reader->frame_content = 0;
        return begin_block(reader, err);
}

static int vdireader_check_complete(struct vdireader *reader, const struct record *record, struct error *err)
{
        struct record_complete complete;
        uint8_t digest[DIGEST_SIZE];

        if (!record_complete_decode(record, &complete))
                return damaged_at(reader, reader->frame_start, err, "its record of completeness is wrong");
        hasher_digest(reader->hasher, digest);
        if (complete.data_bytes != reader->tail.data_bytes || complete.stream_bytes != reader->frame_start ||
            memcmp(complete.digest, digest, sizeof digest) != 0)
                return damaged_at(reader, reader->frame_start, err, "what came before is not what was written");
        if (stream_info_check_content(stream_info_announced(reader->info), reader->tail.data_bytes,
                                      reader->source.label, err) < 0)
                return -1;
        reader->tail.stream_bytes = reader->intake.position;
        reader->phase = PHASE_TAIL;
        return 0;
}

static int vdireader_check_verdict(struct vdireader *reader, const struct record *record, struct error *err)
{
        if (record_verdict_check(record, reader->info, reader->source.label, reader->frame_start,
                                 &reader->tail.report_json, err) < 0)
                return -1;
        reader->tail.confirmed = true;
        reader->tail.stream_bytes = reader->intake.position;
        reader->phase = PHASE_TABLE;
        return 0;
}

static int vdireader_take_mark(struct vdireader *reader, const struct record *record, struct error *err)
{
        uint32_t mark_size;

        if (!record_mark_decode(record, &mark_size))
                return damaged_at(reader, reader->frame_start, err, "a file mark is wrong");
        reader->tail.marks++;
        if (!reader->watcher.mark)
                return 0;
        return reader->watcher.mark(reader->watcher.context, reader->frame_start, mark_size, err);
}

static int vdireader_take_record(struct vdireader *reader, struct error *err)
{
        bool in_tail = reader->phase == PHASE_TAIL;
        struct record record = { 0 };
        size_t size = 0;
        int result = vdireader_read_record(reader, &record, &size, err);

        if (result == 0)
                return end_is_accepted(reader) ? 0 : cut_off(reader, 0, err, "inside a record");
        if (result < 0)
                return -1;
        if (record.type == RECORD_ABORTED)
                return record_raise_aborted(&record, reader->source.label, err);
        if (record.type == RECORD_COMPLETE && !in_tail)
                result = vdireader_check_complete(reader, &record, err);
        else if (record.type == RECORD_VERDICT && in_tail)
                result = vdireader_check_verdict(reader, &record, err);
        else if (record.type == RECORD_MARK && !in_tail)
                result = vdireader_take_mark(reader, &record, err);
        else if (record.type != RECORD_PADDING)
                return damaged_at(reader, reader->frame_start, err, "a record is out of place");
        if (result < 0)
                return -1;
        hasher_stream(reader->hasher, reader->encoded, size);
        return count_frame(reader, size, 0, err);
}

static int vdireader_take_frame(struct vdireader *reader, struct error *err)
{
        const uint8_t *bytes;
        ssize_t n = intake_peek(&reader->intake, FRAME_MAGIC_SIZE, &bytes, err);
        uint32_t magic;

        reader->frame_start = reader->intake.position;
        if (n < 0)
                return -1;
        if (n < FRAME_MAGIC_SIZE) {
                if (end_is_accepted(reader))
                        return 0;
                return cut_off(reader, (size_t)n, err, n == 0 ? "between frames" : "inside a frame");
        }
        magic = get_le32(bytes);
        if (magic == RECORD_MAGIC)
                return vdireader_take_record(reader, err);
        /* Behind 'C' only the frame of an abort can come, and that one does not check out. */
        if (reader->one_backup && reader->tail.marks > 0 && magic == FRAME_MAGIC)
                return error_raise(err, ERR_USAGE,
                                   "%s is a tape with more than one backup; choose one with 'vdipipe create NAME "
                                   "--features tape -i FILE' and RESTORE ... WITH FILE=n",
                                   reader->source.label);
        if (magic == FRAME_MAGIC && reader->phase == PHASE_FRAMES)
                return begin_data_frame(reader, err);
        return damaged_at(reader, reader->frame_start, err, "no frame of a vdi stream begins here");
}

/* ---- the seek table ---- */

static int table_cut(struct vdireader *reader, struct error *err)
{
        return end_is_accepted(reader) ? 0 : cut_off(reader, 0, err, "inside the seek table");
}

static int vdireader_take_table(struct vdireader *reader, struct error *err)
{
        uint8_t expected[SEEKTABLE_FOOTER];
        uint8_t bytes[SEEKTABLE_FOOTER];
        uint64_t listed = 0;
        ssize_t n;

        reader->frame_start = reader->intake.position;
        seektable_prefix(reader->frames, expected);
        n = intake_full(&reader->intake, bytes, SEEKTABLE_PREFIX, err);
        if (n < SEEKTABLE_PREFIX)
                return n < 0 ? -1 : table_cut(reader, err);
        if (memcmp(bytes, expected, SEEKTABLE_PREFIX) != 0)
                return damaged_at(reader, reader->frame_start, err, "no seek table for this stream begins here");
        for (uint64_t i = 0; i < reader->frames; i++) {
                n = intake_full(&reader->intake, bytes, SEEKTABLE_ENTRY, err);
                if (n < SEEKTABLE_ENTRY)
                        return n < 0 ? -1 : table_cut(reader, err);
                listed = hash_next(listed, bytes, SEEKTABLE_ENTRY);
        }
        seektable_footer(reader->frames, expected);
        n = intake_full(&reader->intake, bytes, SEEKTABLE_FOOTER, err);
        if (n < SEEKTABLE_FOOTER)
                return n < 0 ? -1 : table_cut(reader, err);
        if (memcmp(bytes, expected, SEEKTABLE_FOOTER) != 0 || listed != reader->seen)
                return damaged_at(reader, reader->frame_start, err, "the seek table does not describe this stream");
        reader->tail.stream_bytes = reader->intake.position;
        n = intake_full(&reader->intake, bytes, 1, err);
        if (n != 0)
                return n < 0 ? -1 : damaged_at(reader, reader->intake.position - 1, err, "something follows its end");
        reader->phase = PHASE_END;
        return 0;
}

/* ---- the source ---- */

static ssize_t vdireader_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct vdireader *reader = (struct vdireader *)source;
        ssize_t n = 0;

        while (n == 0) {
                if (reader->in_stored) {
                        n = read_stored(reader, buffer, size, err);
                } else if (frame_queue_is_used(reader->queue)) {
                        n = (ssize_t)frame_queue_read(reader->queue, buffer, size);
                        if (n == 0)
                                n = step_compressed(reader, err);
                } else if (reader->phase <= PHASE_TAIL) {
                        n = vdireader_take_frame(reader, err);
                } else if (reader->phase == PHASE_TABLE) {
                        n = vdireader_take_table(reader, err);
                } else {
                        return 0;
                }
        }
        return n;
}

static void vdireader_free(struct source *source)
{
        struct vdireader *reader = (struct vdireader *)source;

        frame_queue_free(reader->queue);
        intake_deinit(&reader->intake);
        hasher_free(reader->hasher);
        stream_tail_deinit(&reader->tail);
        free(reader->encoded);
        free(reader);
}

static const struct source_ops vdireader_ops = {
        .name = "vdi stream",
        .read = vdireader_read,
        .free = vdireader_free,
};

static int vdireader_read_header(struct vdireader *reader, struct stream_info *ret_info, struct error *err)
{
        struct record record = { 0 };
        size_t size = 0;
        int result = vdireader_read_record(reader, &record, &size, err);

        if (result <= 0)
                return result < 0 ? -1 : cut_off(reader, 0, err, "inside its header");
        if (record.type != RECORD_HEADER)
                return damaged_at(reader, 0, err, "it does not begin with its header");
        if (stream_info_decode((const char *)record.body, record.body_size, reader->source.label, ret_info, err) < 0)
                return -1;
        hasher_stream(reader->hasher, reader->encoded, size);
        reader->info = ret_info;
        return count_frame(reader, size, 0, err);
}

int vdistream_source_new(struct source *next, const char *label, const struct reader_options *options,
                         struct stream_info *ret_info, struct source **ret_source, struct error *err)
{
        struct vdireader *reader = source_make(sizeof *reader, &vdireader_ops, next, label, err);

        if (!reader)
                return -1;
        reader->accept_unconfirmed = options->accept_unconfirmed;
        reader->one_backup = options->one_backup;
        reader->pool = options->pool;
        reader->hasher = hasher_new();
        if (!reader->hasher)
                error_no_memory(err);
        if (!reader->hasher || intake_init(&reader->intake, next, reader->source.label, options->cancel, err) < 0 ||
            vdireader_read_header(reader, ret_info, err) < 0) {
                source_free(&reader->source);
                return -1;
        }
        *ret_source = &reader->source;
        return 0;
}

const struct stream_tail *vdistream_source_tail(const struct source *source)
{
        const struct vdireader *reader = (const struct vdireader *)source;

        return source->ops == &vdireader_ops && reader->phase == PHASE_END ? &reader->tail : NULL;
}

void vdistream_source_watch(struct source *source, const struct vdistream_watcher *watcher)
{
        ((struct vdireader *)source)->watcher = *watcher;
}

void stream_tail_deinit(struct stream_tail *tail)
{
        free(tail->report_json);
        *tail = (struct stream_tail){ 0 };
}
