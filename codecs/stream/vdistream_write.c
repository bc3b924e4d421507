/*
 * The stream always ends inside a frame until the verdict is in. Three things see to it: the magic number of the next
 * frame leaves in the same write as the end of the one before; a data frame's last bytes are held back until there is
 * something to follow them; and both are put together as one piece, so that no batch of writes ends between them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codecs/base/hash.h"
#include "codecs/stream/assembly.h"
#include "codecs/stream/digest_trail.h"
#include "codecs/stream/zstd_frame.h"
#include "codecs/stream/record.h"
#include "codecs/stream/seektable.h"
#include "codecs/stream/stream.h"
#include "core/base/bytes.h"
#include "core/base/cleanup.h"
#include "core/base/fault.h"
#include "core/base/fd_io.h"

enum {
        BATCH_IOV = 512,
        BATCH_SMALL = 8 << 10,
        LEAD_MAX = FRAME_STORED_TAIL_SIZE + RECORD_MARK_SIZE,
        TAIL_SLACK = 64 << 10, /* reserved for layers around this one */
};

enum writer_state {
        WRITER_FRESH,    /* nothing has left yet */
        WRITER_OPEN,     /* the header is out */
        WRITER_COMPLETE, /* 'C' is out, and the magic number of the record after it */
        WRITER_ENDED,    /* finished, aborted or broken: nothing more leaves */
};

struct vdiwriter {
        struct stage stage;
        enum writer_state state;
        struct vdistream_options options;
        char set_id[IDENT_UUID_SIZE];
        uint32_t device;
        int64_t announced; /* content, by the header; -1: it does not say */
        uint8_t *header;
        size_t header_size;
        uint8_t *complete; /* the last 'C' and 'P' record, while the batch may refer to it */
        uint8_t *padding;

        struct hasher *hasher;
        struct seektable table;
        uint64_t bytes_out;  /* handed to the next stage */
        uint64_t bytes_put;  /* the same and what waits in the batch: the position in the stream */
        uint64_t data_bytes; /* content taken */
        uint64_t listed;     /* bytes of the frames in the table */

        struct vdistream_watcher watcher; /* set: somebody may cut the stream, and the trail is kept */
        struct digest_trail trail;

        bool magic_out;       /* the next frame's magic number has been put already */
        bool frame_open;      /* a stored frame has its header */
        uint32_t frame_bytes; /* of the stored frame */
        uint32_t frame_content;
        uint8_t held[FRAME_STORED_TAIL_SIZE]; /* the end of the last data frame; its last 4 bytes are the checksum */
        size_t held_size;
        bool held_of_mark; /* what is held is the end of a mark, not of a data frame */

        struct assembly assembly; /* where frames are compressed; without buffers: they are stored */

        struct iovec iov[BATCH_IOV]; /* what the next write takes */
        int iov_count;
        uint8_t small[BATCH_SMALL];
        size_t small_used;
};

/* ---- the batch: what leaves with one write ---- */

static int send_batch(struct vdiwriter *writer, struct error *err)
{
        int result = 0;

        if (writer->iov_count > 0)
                result = stage_writev(writer->stage.next, writer->iov, writer->iov_count, err);
        writer->iov_count = 0;
        writer->small_used = 0;
        writer->bytes_out = writer->bytes_put;
        return result;
}

/* Lent memory: must stay until the batch is sent. */
static int put_lent(struct vdiwriter *writer, const void *bytes, size_t size, struct error *err)
{
        if (writer->iov_count == BATCH_IOV && send_batch(writer, err) < 0)
                return -1;
        writer->iov[writer->iov_count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)bytes, .iov_len = size };
        writer->bytes_put += size;
        return 0;
}

/* A few bytes, copied, and never split between two writes. */
static int put_small(struct vdiwriter *writer, const void *bytes, size_t size, struct error *err)
{
        struct iovec *last;
        uint8_t *at;

        if ((size > BATCH_SMALL - writer->small_used || writer->iov_count == BATCH_IOV) && send_batch(writer, err) < 0)
                return -1;
        at = writer->small + writer->small_used;
        memcpy(at, bytes, size);
        hasher_stream(writer->hasher, at, size);
        writer->small_used += size;
        last = writer->iov_count > 0 ? &writer->iov[writer->iov_count - 1] : NULL;
        if (!last || (uint8_t *)last->iov_base + last->iov_len != at)
                return put_lent(writer, at, size, err);
        last->iov_len += size;
        writer->bytes_put += size;
        return 0;
}

/* ---- frames ---- */

/* A frame is whole, or will be with what is held. */
static int list_frame(struct vdiwriter *writer, size_t size, uint32_t content, struct error *err)
{
        uint64_t offset = writer->listed;

        if (seektable_add(&writer->table, (uint32_t)size, content, err) < 0)
                return -1;
        writer->listed += size;
        if (!writer->watcher.data)
                return 0;
        if (digest_trail_note(&writer->trail, writer->hasher, writer->bytes_put, err) < 0)
                return -1;
        return content > 0 ? writer->watcher.data(writer->watcher.context, offset, (uint32_t)size, content, err) : 0;
}

/* The held end of the last data frame, and `size` bytes more, as one piece. */
static int put_after_held(struct vdiwriter *writer, const void *bytes, size_t size, struct error *err)
{
        uint8_t lead[LEAD_MAX];
        size_t held = writer->held_size;

        memcpy(lead, writer->held, held);
        memcpy(lead + held, bytes, size);
        writer->held_size = 0;
        writer->held_of_mark = false;
        return put_small(writer, lead, held + size, err);
}

static int put_frame_magic(struct vdiwriter *writer, uint32_t magic, struct error *err)
{
        uint8_t bytes[FRAME_MAGIC_SIZE];

        put_le32(bytes, magic);
        writer->magic_out = true;
        return put_after_held(writer, bytes, sizeof bytes, err);
}

static int open_stored_frame(struct vdiwriter *writer, struct error *err)
{
        uint8_t header[FRAME_MAGIC_SIZE + FRAME_STORED_HEADER_SIZE];
        size_t skip = writer->magic_out ? FRAME_MAGIC_SIZE : 0;

        put_le32(header, FRAME_MAGIC);
        header[4] = FRAME_STORED_DESCRIPTOR;
        header[5] = FRAME_STORED_WINDOW;
        hasher_frame_begin(writer->hasher);
        writer->frame_open = true;
        writer->magic_out = false;
        writer->frame_bytes = sizeof header;
        writer->frame_content = 0;
        return put_after_held(writer, header + skip, sizeof header - skip, err);
}

static int close_stored_frame(struct vdiwriter *writer, struct error *err)
{
        uint32_t content = writer->frame_content;

        frame_stored_tail(writer->held, hasher_frame_checksum(writer->hasher));
        writer->held_size = FRAME_STORED_TAIL_SIZE;
        writer->frame_open = false;
        writer->frame_content = 0;
        return list_frame(writer, writer->frame_bytes + FRAME_STORED_TAIL_SIZE, content, err);
}

static int put_compressed_frame(struct vdiwriter *writer, const struct assembled *assembled, struct error *err)
{
        size_t skip = writer->magic_out ? FRAME_MAGIC_SIZE : 0;
        size_t rest = assembled->size - FRAME_CHECKSUM_SIZE;

        /* The first bytes go together with what was held, so that nothing is cut between them. */
        if (put_after_held(writer, assembled->frame + skip, FRAME_MAGIC_SIZE, err) < 0)
                return -1;
        skip += FRAME_MAGIC_SIZE;
        hasher_stream(writer->hasher, assembled->frame + skip, rest - skip);
        if (put_lent(writer, assembled->frame + skip, rest - skip, err) < 0 ||
            list_frame(writer, assembled->size, assembled->content, err) < 0)
                return -1;
        memcpy(writer->held, assembled->frame + rest, FRAME_CHECKSUM_SIZE);
        writer->held_size = FRAME_CHECKSUM_SIZE;
        writer->magic_out = false;
        return send_batch(writer, err); /* the memory is used again */
}

/* Waits for the oldest frame. */
static int put_oldest_frame(struct vdiwriter *writer, struct error *err)
{
        struct assembled assembled;

        if (assembly_oldest(&writer->assembly, &assembled, err) < 0 ||
            put_compressed_frame(writer, &assembled, err) < 0)
                return -1;
        assembly_release(&writer->assembly);
        return 0;
}

static int put_all_frames(struct vdiwriter *writer, struct error *err)
{
        assembly_close(&writer->assembly);
        while (writer->assembly.ring.submitted > 0)
                if (put_oldest_frame(writer, err) < 0)
                        return -1;
        return 0;
}

/* Ends the frames that were begun, were it only by a magic number. */
static int close_frame(struct vdiwriter *writer, struct error *err)
{
        if (writer->frame_open)
                return close_stored_frame(writer, err);
        if (!assembly_is_empty(&writer->assembly))
                return put_all_frames(writer, err);
        if (!writer->magic_out)
                return 0;
        if (open_stored_frame(writer, err) < 0)
                return -1;
        return close_stored_frame(writer, err);
}

/* ---- records ---- */

/* The record's memory must stay until the batch is sent. */
static int put_record(struct vdiwriter *writer, const uint8_t *frame, size_t size, struct error *err)
{
        size_t skip = writer->magic_out ? FRAME_MAGIC_SIZE : 0;

        if (put_after_held(writer, frame + skip, FRAME_MAGIC_SIZE, err) < 0)
                return -1;
        skip += FRAME_MAGIC_SIZE;
        writer->magic_out = false;
        hasher_stream(writer->hasher, frame + skip, size - skip);
        if (put_lent(writer, frame + skip, size - skip, err) < 0)
                return -1;
        return list_frame(writer, size, 0, err);
}

/* The end of a mark is held back like that of a data frame. */
static int vdiwriter_put_mark(struct vdiwriter *writer, uint32_t mark_size, struct error *err)
{
        CLEANUP(freep) uint8_t *frame = NULL;
        size_t rest = RECORD_MARK_SIZE - FRAME_CHECKSUM_SIZE;
        uint64_t offset;

        if (close_frame(writer, err) < 0 || record_mark_build(mark_size, &frame, err) < 0 ||
            put_after_held(writer, frame, rest, err) < 0)
                return -1;
        memcpy(writer->held, frame + rest, FRAME_CHECKSUM_SIZE);
        writer->held_size = FRAME_CHECKSUM_SIZE;
        writer->held_of_mark = true;
        offset = writer->listed;
        if (list_frame(writer, RECORD_MARK_SIZE, 0, err) < 0)
                return -1;
        return writer->watcher.mark ? writer->watcher.mark(writer->watcher.context, offset, mark_size, err) : 0;
}

/* Pads so that the stream is a multiple of the boundary once the held bytes and the next magic number are out. */
static int put_padding(struct vdiwriter *writer, struct error *err)
{
        static const uint8_t zeros[RECORD_BODY_MAX];
        uint64_t boundary = writer->options.flush_boundary;
        uint64_t least = writer->bytes_put + writer->held_size + RECORD_OVERHEAD + FRAME_MAGIC_SIZE;
        size_t size;

        if (boundary <= 1 || (least - RECORD_OVERHEAD) % boundary == 0)
                return 0;
        freep(&writer->padding);
        if (record_build(RECORD_PADDING, zeros, (size_t)((boundary - least % boundary) % boundary), &writer->padding,
                         &size, err) < 0)
                return -1;
        return put_record(writer, writer->padding, size, err);
}

static int begin_stream(struct vdiwriter *writer, struct error *err)
{
        if (writer->state != WRITER_FRESH)
                return 0;
        writer->state = WRITER_OPEN;
        if (put_record(writer, writer->header, writer->header_size, err) < 0)
                return -1;
        return put_frame_magic(writer, FRAME_MAGIC, err);
}

/* ---- data ---- */

/* One raw block of `size` bytes, gathered from the caller's pieces; *at is the offset in the first of them. */
static int put_block(struct vdiwriter *writer, const struct iovec **iov, size_t *at, size_t size, struct error *err)
{
        uint8_t header[FRAME_BLOCK_HEADER_SIZE];

        put_le24(header, frame_block_header(FRAME_BLOCK_RAW, (uint32_t)size, /* last= */ false));
        if (put_small(writer, header, sizeof header, err) < 0)
                return -1;
        writer->frame_bytes += (uint32_t)(sizeof header + size);
        writer->frame_content += (uint32_t)size;
        writer->data_bytes += size;
        while (size > 0) {
                size_t piece = (*iov)->iov_len - *at < size ? (*iov)->iov_len - *at : size;
                const uint8_t *bytes = (const uint8_t *)(*iov)->iov_base + *at;

                if (piece == 0) {
                        (*iov)++;
                        *at = 0;
                        continue;
                }
                hasher_both(writer->hasher, bytes, piece);
                if (put_lent(writer, bytes, piece, err) < 0)
                        return -1;
                *at += piece;
                size -= piece;
        }
        return 0;
}

static int write_stored(struct vdiwriter *writer, const struct iovec *iov, int count, struct error *err)
{
        size_t total = 0;
        size_t at = 0;

        for (int i = 0; i < count; i++)
                total += iov[i].iov_len;
        while (total > 0) {
                size_t size = total < FRAME_BLOCK_MAX ? total : FRAME_BLOCK_MAX;

                if (!writer->frame_open && open_stored_frame(writer, err) < 0)
                        return -1;
                if (size > FRAME_CONTENT_MAX - writer->frame_content)
                        size = FRAME_CONTENT_MAX - writer->frame_content;
                if (put_block(writer, &iov, &at, size, err) < 0)
                        return -1;
                total -= size;
                if (writer->frame_content == FRAME_CONTENT_MAX && close_stored_frame(writer, err) < 0)
                        return -1;
        }
        return send_batch(writer, err);
}

static int write_compressed(struct vdiwriter *writer, const struct iovec *iov, int count, struct error *err)
{
        for (int i = 0; i < count; i++) {
                const uint8_t *bytes = iov[i].iov_base;
                size_t left = iov[i].iov_len;

                while (left > 0) {
                        size_t piece = assembly_add(&writer->assembly, bytes, left);

                        if (piece == 0 && put_oldest_frame(writer, err) < 0)
                                return -1;
                        writer->data_bytes += piece;
                        bytes += piece;
                        left -= piece;
                }
        }
        while (pool_ring_is_done(&writer->assembly.ring))
                if (put_oldest_frame(writer, err) < 0)
                        return -1;
        return send_batch(writer, err);
}

/* ---- the stage's calls ---- */

/* After a failed write nobody knows where the stream stands, so nothing more is written. */
static int vdiwriter_settle(struct vdiwriter *writer, int result)
{
        if (result < 0)
                writer->state = WRITER_ENDED;
        return result;
}

/* Each call that takes data begins so. */
static int vdiwriter_enter(struct vdiwriter *writer, struct error *err)
{
        if (writer->state > WRITER_OPEN)
                return error_raise(err, ERR_PROTOCOL, "a vdi stream was written after its %s",
                                   writer->state == WRITER_ENDED ? "end" : "data was complete");
        return vdiwriter_settle(writer, begin_stream(writer, err));
}

static int vdiwriter_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        if (vdiwriter_enter(writer, err) < 0)
                return -1;
        return vdiwriter_settle(writer, writer->options.compress ? write_compressed(writer, iov, count, err)
                                                                 : write_stored(writer, iov, count, err));
}

/* All frames that were begun are whole, and nothing is held. */
static int push_frames(struct vdiwriter *writer, struct error *err)
{
        /* Right after a flush, or the header, nothing is left to push out. */
        if (writer->frame_open || !assembly_is_empty(&writer->assembly) || writer->held_size > 0) {
                if (close_frame(writer, err) < 0 || put_padding(writer, err) < 0 ||
                    put_frame_magic(writer, FRAME_MAGIC, err) < 0)
                        return -1;
        }
        return send_batch(writer, err);
}

static int vdiwriter_flush(struct stage *stage, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        if (vdiwriter_enter(writer, err) < 0)
                return -1;
        return vdiwriter_settle(writer, push_frames(writer, err) < 0 ? -1 : stage_flush(stage->next, err));
}

static int put_complete_record(struct vdiwriter *writer, struct error *err)
{
        uint8_t body[RECORD_COMPLETE_BODY];
        struct record_complete complete = { .data_bytes = writer->data_bytes };
        size_t size;

        /* The digest covers the held bytes too, so they join the batch first; the batch is sent with the record. */
        if (put_after_held(writer, "", 0, err) < 0)
                return -1;
        complete.stream_bytes = writer->bytes_put;
        hasher_digest(writer->hasher, complete.digest);
        record_complete_encode(&complete, body);
        if (record_build(RECORD_COMPLETE, body, sizeof body, &writer->complete, &size, err) < 0)
                return -1;
        return put_record(writer, writer->complete, size, err);
}

static int complete_open(struct vdiwriter *writer, struct error *err)
{
        uint64_t reserve;

        if (close_frame(writer, err) < 0 || send_batch(writer, err) < 0 || put_complete_record(writer, err) < 0 ||
            put_padding(writer, err) < 0 || put_frame_magic(writer, RECORD_MAGIC, err) < 0 ||
            send_batch(writer, err) < 0)
                return -1;
        writer->state = WRITER_COMPLETE;
        reserve = RECORD_PAYLOAD_MAX + seektable_size((uint64_t)writer->table.frames + 1) + TAIL_SLACK;
        if (stage_reserve(writer->stage.next, reserve, err) < 0)
                return -1;
        return stage_complete(writer->stage.next, err);
}

static int vdiwriter_complete(struct stage *stage, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        if (vdiwriter_enter(writer, err) < 0)
                return -1;
        /* No reader would take such a stream, and here the server can still be told. */
        if (writer->announced >= 0 && writer->data_bytes != (uint64_t)writer->announced)
                return error_raise(err, ERR_PROTOCOL, "the server sent %llu bytes, but had announced %lld",
                                   (unsigned long long)writer->data_bytes, (long long)writer->announced);
        return vdiwriter_settle(writer, complete_open(writer, err));
}

static int put_table_bytes(void *to, const void *bytes, size_t size, struct error *err)
{
        return put_small(to, bytes, size, err);
}

static int finish_complete(struct vdiwriter *writer, const char *report_json, struct error *err)
{
        CLEANUP(freep) uint8_t *frame = NULL;
        size_t size;

        if (record_verdict_build(writer->set_id, writer->device, report_json, &frame, &size, err) < 0 ||
            put_record(writer, frame, size, err) < 0 ||
            seektable_write(&writer->table, put_table_bytes, writer, err) < 0)
                return -1;
        return send_batch(writer, err);
}

static int vdiwriter_finish(struct stage *stage, const char *report_json, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        if (writer->state != WRITER_COMPLETE && vdiwriter_complete(stage, err) < 0)
                return -1;
        if (vdiwriter_settle(writer, finish_complete(writer, report_json, err)) < 0)
                return -1;
        writer->state = WRITER_ENDED;
        return stage_finish(stage->next, report_json, err);
}

/* A data frame that no reader accepts. */
static int put_wrong_frame(struct vdiwriter *writer, struct error *err)
{
        if ((writer->held_size == 0 || writer->held_of_mark) && !writer->frame_open) {
                writer->frame_content = 0;
                if (open_stored_frame(writer, err) < 0)
                        return -1;
        }
        if (writer->frame_open && close_stored_frame(writer, err) < 0)
                return -1;
        for (size_t i = writer->held_size - FRAME_CHECKSUM_SIZE; i < writer->held_size; i++)
                writer->held[i] ^= 0xFF;
        return put_after_held(writer, "", 0, err);
}

static void vdiwriter_abort(struct stage *stage, const char *reason)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;
        CLEANUP(freep) uint8_t *frame = NULL;
        enum writer_state state = writer->state;
        struct error ignored = ERROR_INIT;
        size_t size;

        writer->state = state == WRITER_FRESH ? WRITER_FRESH : WRITER_ENDED;
        pool_ring_drop(&writer->assembly.ring);
        if (state != WRITER_ENDED && record_aborted_build(reason, &frame, &size, &ignored) == 0 &&
            begin_stream(writer, &ignored) == 0) {
                stage_hurry(stage->next);
                if (state == WRITER_COMPLETE) {
                        if (put_record(writer, frame, size, &ignored) == 0 && put_wrong_frame(writer, &ignored) == 0)
                                (void)send_batch(writer, &ignored);
                } else if (put_wrong_frame(writer, &ignored) == 0 && put_record(writer, frame, size, &ignored) == 0) {
                        (void)send_batch(writer, &ignored);
                }
        }
        writer->state = WRITER_ENDED;
        stage_abort(stage->next, reason);
}

static void vdiwriter_free(struct stage *stage)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        hasher_free(writer->hasher);
        seektable_deinit(&writer->table);
        digest_trail_deinit(&writer->trail);
        assembly_deinit(&writer->assembly);
        free(writer->header);
        free(writer->complete);
        free(writer->padding);
        free(writer);
}

static const struct stage_ops vdiwriter_ops = {
        .name = "vdi stream",
        .writev = vdiwriter_writev,
        .flush = vdiwriter_flush,
        .complete = vdiwriter_complete,
        .finish = vdiwriter_finish,
        .abort = vdiwriter_abort,
        .free = vdiwriter_free,
};

static int vdiwriter_prepare(struct vdiwriter *writer, const struct stream_info *info, struct error *err)
{
        const struct frame_settings settings = { .zstd_level = writer->options.zstd_level,
                                                 .zstd_long = writer->options.zstd_long };
        CLEANUP(freep) char *json = NULL;

        memcpy(writer->set_id, info->set_id, sizeof writer->set_id);
        writer->device = info->device;
        writer->announced = stream_info_announced(info);
        if (writer->options.flush_boundary > RECORD_PAYLOAD_MAX / 2)
                return error_raise(err, ERR_FAILED, "a stream cannot be padded to %u bytes",
                                   writer->options.flush_boundary);
        if (stream_info_encode(info, &json, err) < 0 ||
            record_build(RECORD_HEADER, json, strlen(json), &writer->header, &writer->header_size, err) < 0)
                return -1;
        writer->hasher = hasher_new();
        if (!writer->hasher)
                return error_no_memory(err);
        if (!writer->options.compress)
                return 0;
        return assembly_init(&writer->assembly, &settings, writer->options.pool, err);
}

int vdistream_writer_new(const struct stream_info *info, const struct vdistream_options *options, struct stage *next,
                         struct stage **ret_stage, struct error *err)
{
        struct vdiwriter *writer = stage_make(sizeof *writer, &vdiwriter_ops, next, err);

        if (!writer)
                return -1;
        writer->options = *options;
        if (vdiwriter_prepare(writer, info, err) < 0) {
                stage_free(&writer->stage);
                return -1;
        }
        *ret_stage = &writer->stage;
        return 0;
}

uint64_t vdistream_writer_bytes_out(const struct stage *stage)
{
        return stage->ops == &vdiwriter_ops ? ((const struct vdiwriter *)stage)->bytes_out : 0;
}

/* ---- for a tape ---- */

void vdistream_writer_watch(struct stage *stage, const struct vdistream_watcher *watcher)
{
        ((struct vdiwriter *)stage)->watcher = *watcher;
}

int vdistream_writer_mark(struct stage *stage, uint32_t mark_size, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        if (vdiwriter_enter(writer, err) < 0)
                return -1;
        return vdiwriter_settle(writer, vdiwriter_put_mark(writer, mark_size, err) < 0 ? -1 : send_batch(writer, err));
}

int vdistream_writer_push(struct stage *stage, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        if (writer->state == WRITER_COMPLETE)
                return 0;
        return vdiwriter_enter(writer, err) < 0 ? -1 : vdiwriter_settle(writer, push_frames(writer, err));
}

/* The magic number goes over that of the frame that begins there, so that the file ends inside a frame after either
 * step. */
static int vdiwriter_cut_file(int fd, const char *label, uint64_t offset, const uint8_t magic[FRAME_MAGIC_SIZE],
                              struct error *err)
{
        off_t end = (off_t)offset + FRAME_MAGIC_SIZE;
        int fault = fault_point("sink-write");

        if (!fault && fd_pwrite_full(fd, magic, FRAME_MAGIC_SIZE, (off_t)offset) < 0)
                fault = errno;
        if (!fault)
                fault = fault_point("sink-cut");
        if (!fault && (ftruncate(fd, end) < 0 || lseek(fd, end, SEEK_SET) < 0))
                fault = errno;
        return fault ? error_raise_errno(err, fault, "cannot cut %s", label) : 0;
}

static int vdiwriter_cut(struct vdiwriter *writer, const struct vdistream_cut *cut, struct error *err)
{
        uint8_t magic[FRAME_MAGIC_SIZE];
        uint32_t size, content;

        put_le32(magic, FRAME_MAGIC);
        if (push_frames(writer, err) < 0)
                return -1;
        while (writer->listed > cut->offset && seektable_drop(&writer->table, &size, &content)) {
                writer->listed -= size;
                writer->data_bytes -= content;
        }
        if (writer->listed != cut->offset || writer->table.frames == 0)
                return error_raise(err, ERR_PROTOCOL, "no data of %s begins at byte %llu", cut->label,
                                   (unsigned long long)cut->offset);
        if (vdiwriter_cut_file(cut->fd, cut->label, cut->offset, magic, err) < 0 ||
            digest_trail_go_back(&writer->trail, writer->hasher, cut, err) < 0)
                return -1;
        hasher_stream(writer->hasher, magic, sizeof magic);
        writer->bytes_put = writer->bytes_out = cut->offset + sizeof magic;
        writer->magic_out = true;
        return 0;
}

int vdistream_writer_cut(struct stage *stage, const struct vdistream_cut *cut, struct error *err)
{
        struct vdiwriter *writer = (struct vdiwriter *)stage;

        return vdiwriter_enter(writer, err) < 0 ? -1 : vdiwriter_settle(writer, vdiwriter_cut(writer, cut, err));
}
