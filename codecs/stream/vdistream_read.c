#include <stdlib.h>
#include <string.h>

#include "codecs/base/bytes.h"
#include "codecs/stream/frame.h"
#include "codecs/stream/frame_queue.h"
#include "codecs/base/hash.h"
#include "codecs/base/intake.h"
#include "codecs/layers.h"
#include "codecs/stream/record.h"
#include "codecs/stream/seektable.h"
#include "codecs/stream/vdistream.h"
#include "core/base/cleanup.h"

enum phase {
        PHASE_FRAMES, /* data frames, marks, padding; 'C' ends it */
        PHASE_TAIL,   /* behind 'C': padding, 'V' */
        PHASE_TABLE,  /* the seek table, and then nothing */
        PHASE_END,
};

struct vdireader {
        struct source source;
        char *label;
        bool accept_unconfirmed;
        bool one_backup;
        struct pool *pool;
        struct intake intake;
        enum phase phase;
        char set_id[IDENT_UUID_SIZE];
        uint32_t device;
        int64_t announced; /* content, by the header; -1: it does not say */

        struct hasher *hasher;
        struct sequence_hash *seen; /* of the entries that the seek table must have */
        uint64_t frames;
        uint64_t frame_start; /* position of the current frame */
        uint64_t data_bytes;
        struct stream_tail tail;
        bool watched;
        struct vdistream_watcher watcher;

        bool in_stored; /* inside a stored frame */
        uint32_t block_left;
        bool block_is_last;
        uint32_t frame_content;

        struct frame_queue *queue; /* made when the first compressed frame comes */
        const uint8_t *decoded;    /* what is left of the oldest frame's content */
        size_t decoded_size;
        bool decoded_is_queued; /* the oldest frame is still in the queue */
        bool failed;            /* behind what is in the queue */
        struct error failure;

        uint8_t *encoded; /* a record */
        size_t encoded_room;
};

/* ---- faults ---- */

static int damaged_at(const struct vdireader *reader, uint64_t position, struct error *err, const char *what)
{
        return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %llu: %s", reader->label,
                           (unsigned long long)position, what);
}

/* The input ended at `size` bytes behind the current position. */
static int cut_off(struct vdireader *reader, size_t size, struct error *err, const char *where)
{
        unsigned long long end = reader->intake.position + size;

        if (reader->phase == PHASE_TAIL)
                return error_raise(
                        err, ERR_UNCONFIRMED,
                        "%s holds all data, but ends at byte %llu before the server's verdict: the backup may "
                        "have failed; --accept-unconfirmed takes it nevertheless",
                        reader->label, end);
        return error_raise(err, ERR_DAMAGED, "%s ends at byte %llu %s: the backup was cut off", reader->label, end,
                           where);
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
        sequence_hash_add(reader->seen, entry, sizeof entry);
        reader->frames++;
        reader->data_bytes += content;
        if (!reader->watched || content == 0)
                return 0;
        return reader->watcher.data(reader->watcher.context, reader->frame_start, size, content, err);
}

static void take_hashed(struct vdireader *reader, const uint8_t *bytes, size_t size)
{
        hasher_stream(reader->hasher, bytes, size);
        intake_skip(&reader->intake, size);
}

enum step { STEP_FAILED = -1, STEP_CUT = 0, STEP_DONE = 1 };

/* Brings a whole record into `reader->encoded`, without taking it into the digest; *ret_size is 0 when it is cut. */
static int load_record(struct vdireader *reader, const uint8_t *prefix, size_t *ret_size, struct error *err)
{
        uint32_t payload = get_le32(prefix + 4);
        size_t size = (size_t)payload + 8;
        ssize_t n;

        if (payload > RECORD_PAYLOAD_MAX || payload < RECORD_OVERHEAD - 8)
                return damaged_at(reader, reader->frame_start, err, "a record has an impossible size");
        if (reader->encoded_room < size) {
                uint8_t *bytes = realloc(reader->encoded, size);

                if (!bytes)
                        return error_no_memory(err);
                reader->encoded = bytes;
                reader->encoded_room = size;
        }
        n = intake_full(&reader->intake, reader->encoded, size, err);
        if (n < 0)
                return -1;
        *ret_size = (size_t)n == size ? size : 0;
        return 0;
}

/* Reads the record that begins here and checks it as such. STEP_CUT: the input ends inside. */
static enum step read_record(struct vdireader *reader, struct record *ret_record, size_t *ret_size, struct error *err)
{
        const uint8_t *prefix;
        ssize_t n = intake_peek(&reader->intake, RECORD_PREFIX, &prefix, err);

        if (n < 0)
                return STEP_FAILED;
        if (n < RECORD_PREFIX) {
                intake_skip(&reader->intake, (size_t)n);
                return STEP_CUT;
        }
        if (!record_is_ours(prefix, (size_t)n)) {
                damaged_at(reader, reader->frame_start, err, "a record of the stream was expected");
                return STEP_FAILED;
        }
        if (load_record(reader, prefix, ret_size, err) < 0)
                return STEP_FAILED;
        if (*ret_size == 0)
                return STEP_CUT;
        switch (record_parse(reader->encoded, *ret_size, ret_record)) {
        case RECORD_OK:
                return STEP_DONE;
        case RECORD_NEWER:
                error_raise(err, ERR_FAILED, "%s was written by a newer version of vdipipe (record at byte %llu)",
                            reader->label, (unsigned long long)reader->frame_start);
                return STEP_FAILED;
        default:
                damaged_at(reader, reader->frame_start, err, "a record's checksum is wrong");
                return STEP_FAILED;
        }
}

static int raise_aborted(const struct vdireader *reader, const struct record *record, struct error *err)
{
        CLEANUP(freep) char *reason = record_aborted_reason(record);

        return error_raise(err, ERR_DAMAGED, "%s: the backup was aborted: %s", reader->label, reason ? reason : "");
}

/* A data frame's checksum was wrong. If a record of abortion follows, that is the reason to report. */
static int raise_wrong_checksum(struct vdireader *reader, struct error *err)
{
        struct error none = ERROR_INIT;
        struct record record;
        size_t size = 0;
        uint64_t start = reader->frame_start;

        reader->frame_start = reader->intake.position;
        if (read_record(reader, &record, &size, &none) == STEP_DONE && record.type == RECORD_ABORTED)
                return raise_aborted(reader, &record, err);
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

static int begin_compressed(struct vdireader *reader, const struct frame_header *header, struct error *err)
{
        if (!header->has_checksum || !header->has_content_size || header->dictionary ||
            header->content_size > FRAME_CONTENT_LIMIT)
                return damaged_at(reader, reader->intake.position, err, "a frame header is none of a vdi stream");
        if (!reader->queue)
                reader->queue = frame_queue_new(&reader->intake, reader->pool);
        if (!reader->queue)
                return error_no_memory(err);
        return frame_queue_begin(reader->queue, header, err);
}

/* Loads more of the frame that was begun. Returns whether it is whole. */
static int load_compressed(struct vdireader *reader, bool wait, struct error *err)
{
        const uint8_t *frame;
        size_t size;

        switch (frame_queue_load(reader->queue, wait, err)) {
        case FRAME_LOAD_WAITS:
                return 0;
        case FRAME_LOAD_WHOLE:
                frame = frame_queue_last(reader->queue, &size);
                hasher_stream(reader->hasher, frame, size);
                return 1;
        case FRAME_LOAD_CUT:
                return cut_off(reader, 0, err, "inside a data frame");
        default:
                return -1;
        }
}

/* Whether a compressed frame comes next, as far as is known without waiting; if so, begins it. Anything else, and
 * anything wrong, is looked at again when its turn has come. */
static int begin_ahead(struct vdireader *reader, struct error *err)
{
        struct frame_header header;
        const uint8_t *bytes;
        ssize_t n = intake_glance(&reader->intake, FRAME_HEADER_MAX, &bytes, err);

        if (n < 0)
                return -1;
        if (frame_header_parse(bytes, (size_t)n, &header) != 1 || header.stored)
                return 0;
        return begin_compressed(reader, &header, err) < 0 ? -1 : 1;
}

/* Keeps the pool at work: loads what is there of the frames that follow. */
static int read_ahead(struct vdireader *reader, struct error *err)
{
        int more = 1;

        while (more > 0 && !frame_queue_is_full(reader->queue)) {
                more = frame_queue_is_loading(reader->queue) ? 1 : begin_ahead(reader, err);
                if (more > 0)
                        more = load_compressed(reader, /* wait= */ false, err);
        }
        return more < 0 ? -1 : 0;
}

/* The oldest frame of the queue: its content is what is read next. */
static int take_compressed(struct vdireader *reader, struct error *err)
{
        struct queued_frame frame;
        bool is_last;

        frame_queue_oldest(reader->queue, &frame);
        is_last = !reader->failed && !frame_queue_is_loading(reader->queue) &&
                  reader->intake.position == frame.start + frame.size;
        reader->frame_start = frame.start;
        switch (frame.result) {
        case FRAME_OK:
                break;
        case FRAME_WRONG_CHECKSUM:
                if (is_last)
                        return raise_wrong_checksum(reader, err);
                return damaged_at(reader, frame.start, err, "a data frame's checksum is wrong");
        default:
                return error_raise(err, ERR_DAMAGED,
                                   "%s is damaged at byte %llu: a data frame cannot be decompressed: %s", reader->label,
                                   (unsigned long long)frame.start, frame.fault);
        }
        reader->decoded = frame.content;
        reader->decoded_size = frame.content_size;
        reader->decoded_is_queued = true;
        return count_frame(reader, frame.size, (uint32_t)frame.content_size, err);
}

static void release_decoded(struct vdireader *reader)
{
        if (reader->decoded_is_queued)
                frame_queue_release(reader->queue);
        reader->decoded_is_queued = false;
}

/* One step where compressed frames are on their way. A failure to load one counts when those before it were read. */
static int step_compressed(struct vdireader *reader, struct error *err)
{
        int result = 0;

        release_decoded(reader);
        if (!reader->failed && frame_queue_is_empty(reader->queue) && frame_queue_is_loading(reader->queue))
                result = load_compressed(reader, /* wait= */ true, &reader->failure);
        if (result >= 0 && !reader->failed)
                result = read_ahead(reader, &reader->failure);
        if (result < 0)
                reader->failed = true;
        if (!frame_queue_is_empty(reader->queue) && !(reader->failed && reader->failure.code == ERR_ABORTED))
                return take_compressed(reader, err);
        if (!reader->failed)
                return 0;
        if (err)
                *err = reader->failure;
        return -1;
}

/* Whether frames are in the queue, or on their way into it. */
static bool has_compressed(const struct vdireader *reader)
{
        return reader->queue && (reader->decoded_is_queued || reader->failed || frame_queue_is_loading(reader->queue) ||
                                 !frame_queue_is_empty(reader->queue));
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

static int check_complete(struct vdireader *reader, const struct record *record, struct error *err)
{
        struct record_complete complete;
        uint8_t digest[DIGEST_SIZE];

        if (!record_complete_decode(record, &complete))
                return damaged_at(reader, reader->frame_start, err, "its record of completeness is wrong");
        hasher_digest(reader->hasher, digest);
        if (complete.data_bytes != reader->data_bytes || complete.stream_bytes != reader->frame_start ||
            memcmp(complete.digest, digest, sizeof digest) != 0)
                return damaged_at(reader, reader->frame_start, err, "what came before is not what was written");
        if (stream_info_check_content(reader->announced, reader->data_bytes, reader->label, err) < 0)
                return -1;
        reader->tail.data_bytes = reader->data_bytes;
        reader->tail.stream_bytes = reader->intake.position;
        reader->phase = PHASE_TAIL;
        return 0;
}

static int check_verdict(struct vdireader *reader, const struct record *record, struct error *err)
{
        const char *fault;
        int checked = record_verdict_check(record, reader->set_id, reader->device, &reader->tail.report_json, &fault);

        if (checked < 0)
                return error_no_memory(err);
        if (checked == 0)
                return damaged_at(reader, reader->frame_start, err, fault);
        reader->tail.confirmed = true;
        reader->tail.stream_bytes = reader->intake.position;
        reader->phase = PHASE_TABLE;
        return 0;
}

static int take_mark(struct vdireader *reader, const struct record *record, struct error *err)
{
        uint32_t mark_size;

        if (!record_mark_decode(record, &mark_size))
                return damaged_at(reader, reader->frame_start, err, "a file mark is wrong");
        reader->tail.marks++;
        if (!reader->watched)
                return 0;
        return reader->watcher.mark(reader->watcher.context, reader->frame_start, mark_size, err);
}

static int take_record(struct vdireader *reader, struct error *err)
{
        bool in_tail = reader->phase == PHASE_TAIL;
        struct record record;
        size_t size = 0;
        enum step step = read_record(reader, &record, &size, err);
        int result = 0;

        if (step == STEP_CUT)
                return end_is_accepted(reader) ? 0 : cut_off(reader, 0, err, "inside a record");
        if (step == STEP_FAILED)
                return -1;
        if (record.type == RECORD_ABORTED)
                return raise_aborted(reader, &record, err);
        if (record.type == RECORD_COMPLETE && !in_tail)
                result = check_complete(reader, &record, err);
        else if (record.type == RECORD_VERDICT && in_tail)
                result = check_verdict(reader, &record, err);
        else if (record.type == RECORD_MARK && !in_tail)
                result = take_mark(reader, &record, err);
        else if (record.type != RECORD_PADDING)
                return damaged_at(reader, reader->frame_start, err, "a record is out of place");
        if (result < 0)
                return -1;
        hasher_stream(reader->hasher, reader->encoded, size);
        return count_frame(reader, size, 0, err);
}

static int take_frame(struct vdireader *reader, struct error *err)
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
                return take_record(reader, err);
        /* Behind 'C' only the frame of an abort can come, and that one does not check out. */
        if (reader->one_backup && reader->tail.marks > 0 && magic == FRAME_MAGIC)
                return error_raise(err, ERR_USAGE,
                                   "%s is a tape with more than one backup; choose one with 'vdipipe create NAME "
                                   "--features tape -i FILE' and RESTORE ... WITH FILE=n",
                                   reader->label);
        if (magic == FRAME_MAGIC && reader->phase == PHASE_FRAMES)
                return begin_data_frame(reader, err);
        return damaged_at(reader, reader->frame_start, err, "no frame of a vdi stream begins here");
}

/* ---- the seek table ---- */

static int table_cut(struct vdireader *reader, struct error *err)
{
        return end_is_accepted(reader) ? 0 : cut_off(reader, 0, err, "inside the seek table");
}

static int take_table(struct vdireader *reader, struct error *err)
{
        CLEANUP(sequence_hash_freep) struct sequence_hash *listed = sequence_hash_new();
        uint8_t expected[SEEKTABLE_FOOTER];
        uint8_t bytes[SEEKTABLE_FOOTER];
        ssize_t n;

        reader->frame_start = reader->intake.position;
        if (!listed)
                return error_no_memory(err);
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
                sequence_hash_add(listed, bytes, SEEKTABLE_ENTRY);
        }
        seektable_footer(reader->frames, expected);
        n = intake_full(&reader->intake, bytes, SEEKTABLE_FOOTER, err);
        if (n < SEEKTABLE_FOOTER)
                return n < 0 ? -1 : table_cut(reader, err);
        if (memcmp(bytes, expected, SEEKTABLE_FOOTER) != 0 ||
            sequence_hash_value(listed) != sequence_hash_value(reader->seen))
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

        for (;;) {
                size_t ready = reader->decoded_size < size ? reader->decoded_size : size;
                ssize_t n = 0;

                if (ready > 0) {
                        memcpy(buffer, reader->decoded, ready);
                        reader->decoded += ready;
                        reader->decoded_size -= ready;
                        return (ssize_t)ready;
                }
                if (reader->in_stored)
                        n = read_stored(reader, buffer, size, err);
                else if (has_compressed(reader))
                        n = step_compressed(reader, err);
                else if (reader->phase <= PHASE_TAIL)
                        n = take_frame(reader, err);
                else if (reader->phase == PHASE_TABLE)
                        n = take_table(reader, err);
                else
                        return 0;
                if (n != 0)
                        return n;
        }
}

static void vdireader_free(struct source *source)
{
        struct vdireader *reader = (struct vdireader *)source;

        frame_queue_free(reader->queue);
        intake_deinit(&reader->intake);
        hasher_free(reader->hasher);
        sequence_hash_free(reader->seen);
        stream_tail_deinit(&reader->tail);
        free(reader->encoded);
        free(reader->label);
        free(reader);
}

static const struct source_ops vdireader_ops = {
        .name = "vdi stream",
        .read = vdireader_read,
        .free = vdireader_free,
};

static int read_header(struct vdireader *reader, struct stream_info *ret_info, struct error *err)
{
        struct record record;
        size_t size = 0;

        switch (read_record(reader, &record, &size, err)) {
        case STEP_CUT:
                return cut_off(reader, 0, err, "inside its header");
        case STEP_FAILED:
                return -1;
        case STEP_DONE:
                break;
        }
        if (record.type != RECORD_HEADER)
                return damaged_at(reader, 0, err, "it does not begin with its header");
        if (stream_info_decode((const char *)record.body, record.body_size, reader->label, ret_info, err) < 0)
                return -1;
        hasher_stream(reader->hasher, reader->encoded, size);
        if (count_frame(reader, size, 0, err) < 0)
                return -1;
        memcpy(reader->set_id, ret_info->set_id, sizeof reader->set_id);
        reader->device = ret_info->device;
        reader->announced = stream_info_announced(ret_info);
        return 0;
}

int vdistream_source_new(struct source *next, const char *label, const struct reader_options *options,
                         struct stream_info *ret_info, struct source **ret_source, struct error *err)
{
        struct vdireader *reader = calloc(1, sizeof *reader);
        int result;

        if (!reader) {
                source_free(next);
                return error_no_memory(err);
        }
        reader->source = (struct source){ .ops = &vdireader_ops, .next = next };
        reader->accept_unconfirmed = options->accept_unconfirmed;
        reader->one_backup = options->one_backup;
        reader->pool = options->pool;
        reader->label = strdup(label);
        reader->hasher = hasher_new();
        reader->seen = sequence_hash_new();
        result = intake_init(&reader->intake, next, reader->label, options->cancel, err);
        if (result == 0 && (!reader->label || !reader->hasher || !reader->seen))
                result = error_no_memory(err);
        if (result == 0)
                result = read_header(reader, ret_info, err);
        if (result < 0) {
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
        struct vdireader *reader = (struct vdireader *)source;

        reader->watched = true;
        reader->watcher = *watcher;
}

void stream_tail_deinit(struct stream_tail *tail)
{
        free(tail->report_json);
        *tail = (struct stream_tail){ 0 };
}
