#include "codecs/stream/frame_queue.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "codecs/base/label.h"
#include "codecs/base/pool_ring.h"
#include "codecs/base/room.h"
#include "core/base/bytes.h"

enum { ROOM_FIRST = 64 << 10 /* what a slot begins with */ };

struct frame_slot {
        struct pool_job job; /* first */
        ZSTD_DCtx *decoder;
        uint64_t start;
        uint8_t *frame;
        size_t frame_room;
        size_t frame_size;
        uint8_t *content;
        size_t content_room;
        size_t content_size;
        bool sized; /* content_size is what the frame says, and no bound */
        enum frame_result result;
        const char *fault;
};

struct frame_queue {
        struct intake *intake;
        frame_queue_begin_ahead begin_ahead;
        struct source *owner;
        struct pool_ring ring; /* of struct frame_slot; the next one is being loaded */
        bool loading;
        bool last_block; /* what is loaded goes up to the end of the frame */
        bool has_checksum;
        size_t wanted; /* of the frame that is loaded: up to the next block's header, and with it */
        size_t bound;  /* of its size */
        bool taken;    /* the oldest frame, which is still in the ring */
        size_t left;   /* of its content */
        enum frame_stop stop;
        struct error failure;
};

static void slot_decompress(struct pool_job *job)
{
        struct frame_slot *slot = (struct frame_slot *)job;

        slot->result = frame_decode(slot->decoder, slot->frame, slot->frame_size, slot->content, &slot->content_size,
                                    slot->sized, &slot->fault);
}

static void slot_release(void *place)
{
        struct frame_slot *slot = place;

        ZSTD_freeDCtx(slot->decoder);
        free(slot->frame);
        free(slot->content);
}

int frame_queue_new(struct intake *intake, struct pool *pool, frame_queue_begin_ahead begin_ahead, struct source *owner,
                    struct frame_queue **ret_queue, struct error *err)
{
        struct frame_queue *queue = calloc(1, sizeof *queue);

        if (!queue)
                return error_no_memory(err);
        *queue = (struct frame_queue){ .intake = intake, .begin_ahead = begin_ahead, .owner = owner };
        if (pool_ring_init(&queue->ring, pool, pool_ahead(pool), sizeof(struct frame_slot), slot_decompress, err) < 0) {
                free(queue);
                return -1;
        }
        *ret_queue = queue;
        return 0;
}

void frame_queue_free(struct frame_queue *queue)
{
        if (!queue)
                return;
        pool_ring_deinit(&queue->ring, slot_release);
        free(queue);
}

bool frame_queue_is_used(const struct frame_queue *queue)
{
        return queue && (queue->ring.submitted > 0 || queue->loading || queue->stop != FRAME_STOP_NONE);
}

enum frame_stop frame_queue_stop(const struct frame_queue *queue)
{
        return queue->stop;
}

int frame_queue_raise(const struct frame_queue *queue, struct error *err)
{
        if (err)
                *err = queue->failure;
        return -1;
}

/* ---- loading ---- */

static struct frame_slot *queue_loaded_slot(const struct frame_queue *queue)
{
        return pool_ring_place(&queue->ring, queue->ring.submitted);
}

int frame_queue_begin(struct frame_queue *queue, const struct frame_header *header, struct error *err)
{
        struct frame_slot *slot = queue_loaded_slot(queue);
        size_t content_size = (size_t)header->content_size;

        if (!slot->decoder)
                slot->decoder = ZSTD_createDCtx();
        if (!slot->decoder)
                return error_no_memory(err);
        if (room_renew(&slot->content, &slot->content_room, content_size, err) < 0)
                return -1;
        slot->start = queue->intake->position;
        slot->frame_size = 0;
        slot->content_size = content_size;
        slot->sized = header->has_content_size;
        queue->loading = true;
        queue->has_checksum = header->has_checksum;
        queue->last_block = false;
        queue->wanted = header->size + FRAME_BLOCK_HEADER_SIZE;
        queue->bound = frame_bound(content_size);
        return 0;
}

/* Doubles it as far as the frame can need. */
static int slot_make_room(struct frame_slot *slot, size_t wanted, size_t bound, struct error *err)
{
        size_t room = slot->frame_room > 0 ? slot->frame_room : ROOM_FIRST;
        uint8_t *frame;

        if (wanted <= slot->frame_room)
                return 0;
        while (room < wanted)
                room *= 2;
        if (room > bound)
                room = bound;
        frame = realloc(slot->frame, room);
        if (!frame)
                return error_no_memory(err);
        slot->frame = frame;
        slot->frame_room = room;
        return 0;
}

enum load { LOAD_STOPPED = -1, LOAD_WAITS = 0, LOAD_WHOLE = 1 };

static enum load queue_stop_loading(struct frame_queue *queue, enum frame_stop stop)
{
        queue->stop = stop;
        return LOAD_STOPPED;
}

/* A block's header is there, or the end. A block is asked for together with what follows it: so it goes where it
 * belongs in one piece. */
static enum load queue_next_part(struct frame_queue *queue, const struct frame_slot *slot)
{
        uint32_t header;
        enum frame_block type;
        size_t size;

        if (queue->last_block)
                return LOAD_WHOLE;
        header = get_le24(slot->frame + slot->frame_size - FRAME_BLOCK_HEADER_SIZE);
        type = (enum frame_block)(header >> 1 & 3);
        size = type == FRAME_BLOCK_RLE ? 1 : header >> 3;
        if (size > FRAME_BLOCK_MAX || type == FRAME_BLOCK_RESERVED) {
                raise_damaged_at(queue->intake->label, queue->intake->position - FRAME_BLOCK_HEADER_SIZE,
                                 "a block header is wrong", &queue->failure);
                return queue_stop_loading(queue, FRAME_STOP_FAILED);
        }
        queue->last_block = header & 1;
        if (!queue->last_block)
                size += FRAME_BLOCK_HEADER_SIZE;
        else if (queue->has_checksum)
                size += FRAME_CHECKSUM_SIZE;
        if (size > queue->bound - slot->frame_size) {
                raise_damaged_at(queue->intake->label, slot->start, "a data frame is longer than it can be",
                                 &queue->failure);
                return queue_stop_loading(queue, FRAME_STOP_LONG);
        }
        queue->wanted = slot->frame_size + size;
        return LOAD_WAITS;
}

/* Goes on with the frame that was begun. Without `wait` it reads only what is there. */
static enum load queue_load(struct frame_queue *queue, bool wait)
{
        struct frame_slot *slot = queue_loaded_slot(queue);
        enum load next = LOAD_WAITS;

        while (next == LOAD_WAITS) {
                ssize_t n;

                if (slot->frame_size == queue->wanted) {
                        next = queue_next_part(queue, slot);
                        continue;
                }
                if (!wait && !intake_ready(queue->intake))
                        return LOAD_WAITS;
                if (slot_make_room(slot, queue->wanted, queue->bound, &queue->failure) < 0)
                        return queue_stop_loading(queue, FRAME_STOP_FAILED);
                n = intake_some(queue->intake, slot->frame + slot->frame_size, queue->wanted - slot->frame_size,
                                &queue->failure);
                if (n <= 0)
                        return queue_stop_loading(queue, n < 0 ? FRAME_STOP_FAILED : FRAME_STOP_CUT);
                slot->frame_size += (size_t)n;
        }
        if (next == LOAD_WHOLE) {
                queue->loading = false;
                pool_ring_submit(&queue->ring);
        }
        return next;
}

/* Keeps the pool at work: loads what is there of the frames that follow. */
static void queue_read_ahead(struct frame_queue *queue)
{
        int more = 1;

        while (more > 0 && queue->stop == FRAME_STOP_NONE && !pool_ring_is_full(&queue->ring)) {
                more = queue->loading ? 1 : queue->begin_ahead(queue->owner, &queue->failure);
                if (more < 0)
                        queue->stop = FRAME_STOP_FAILED;
                if (more > 0)
                        more = queue_load(queue, /* wait= */ false);
        }
}

const uint8_t *frame_queue_give_up(struct frame_queue *queue, uint64_t *ret_start, size_t *ret_size)
{
        const struct frame_slot *slot = queue_loaded_slot(queue);
        bool begun = queue->loading;

        queue->loading = false;
        if (queue->stop != FRAME_STOP_FAILED) {
                queue->stop = FRAME_STOP_NONE;
                queue->failure = (struct error)ERROR_INIT;
        }
        *ret_start = slot->start;
        *ret_size = slot->frame_size;
        return begun ? slot->frame : NULL;
}

/* ---- taking ---- */

int frame_queue_step(struct frame_queue *queue, struct queued_frame *ret_frame, struct error *err)
{
        const struct frame_slot *slot;

        if (queue->taken)
                pool_ring_release(&queue->ring);
        queue->taken = false;
        if (queue->stop == FRAME_STOP_NONE && queue->ring.submitted == 0 && queue->loading)
                queue_load(queue, /* wait= */ true);
        queue_read_ahead(queue);
        if (queue->stop == FRAME_STOP_FAILED && queue->failure.code == ERR_ABORTED)
                return frame_queue_raise(queue, err);
        if (queue->ring.submitted == 0)
                return 0;
        slot = pool_ring_oldest(&queue->ring);
        queue->taken = true;
        queue->left = slot->result == FRAME_OK ? slot->content_size : 0;
        *ret_frame = (struct queued_frame){ .start = slot->start,
                                            .size = slot->frame_size,
                                            .bytes = slot->frame,
                                            .content_size = slot->content_size,
                                            .result = slot->result,
                                            .fault = slot->fault };
        return 1;
}

size_t frame_queue_read(struct frame_queue *queue, void *buffer, size_t size)
{
        const struct frame_slot *slot = pool_ring_place(&queue->ring, 0);

        if (size > queue->left)
                size = queue->left;
        if (size > 0)
                memcpy(buffer, slot->content + slot->content_size - queue->left, size);
        queue->left -= size;
        return size;
}
