#include "codecs/stream/frame_queue.h"

#include <stdlib.h>

#include "codecs/base/bytes.h"

enum { ROOM_FIRST = 64 << 10 /* what a slot begins with */ };

struct slot {
        struct pool_job job; /* first */
        struct frame_decoder *decoder;
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
        bool submitted; /* and not yet waited for */
};

struct frame_queue {
        struct intake *intake;
        struct pool *pool;
        bool loading;
        bool last_block; /* what is loaded goes up to the end of the frame */
        bool has_checksum;
        size_t wanted; /* of the frame that is loaded: up to the next block's header, and with it */
        size_t bound;  /* of its size */
        unsigned last; /* the slot that became whole last */
        unsigned count;
        unsigned first;
        unsigned whole; /* the slot behind them is being loaded */
        struct slot slots[];
};

static void decompress(struct pool_job *job)
{
        struct slot *slot = (struct slot *)job;

        if (slot->sized)
                slot->result = frame_decode(slot->decoder, slot->frame, slot->frame_size, slot->content,
                                            slot->content_size, &slot->fault);
        else
                slot->result = frame_decode_unsized(slot->decoder, slot->frame, slot->frame_size, slot->content,
                                                    slot->content_size, &slot->content_size, &slot->fault);
}

struct frame_queue *frame_queue_new(struct intake *intake, struct pool *pool)
{
        unsigned count = pool_ahead(pool);
        struct frame_queue *queue = calloc(1, sizeof *queue + count * sizeof queue->slots[0]);

        if (!queue)
                return NULL;
        queue->intake = intake;
        queue->pool = pool;
        queue->count = count;
        for (unsigned i = 0; i < count; i++)
                queue->slots[i].job.run = decompress;
        return queue;
}

void frame_queue_free(struct frame_queue *queue)
{
        if (!queue)
                return;
        for (unsigned i = 0; i < queue->count; i++) {
                struct slot *slot = &queue->slots[i];

                if (slot->submitted)
                        (void)pool_take_back(queue->pool, &slot->job);
                frame_decoder_free(slot->decoder);
                free(slot->frame);
                free(slot->content);
        }
        free(queue);
}

bool frame_queue_is_empty(const struct frame_queue *queue)
{
        return queue->whole == 0;
}

bool frame_queue_is_full(const struct frame_queue *queue)
{
        return queue->whole == queue->count;
}

bool frame_queue_is_loading(const struct frame_queue *queue)
{
        return queue->loading;
}

static struct slot *loaded_slot(struct frame_queue *queue)
{
        return &queue->slots[(queue->first + queue->whole) % queue->count];
}

/* ---- loading ---- */

int frame_queue_begin(struct frame_queue *queue, const struct frame_header *header, struct error *err)
{
        struct slot *slot = loaded_slot(queue);
        size_t content_size = (size_t)header->content_size;

        if (!slot->decoder)
                slot->decoder = frame_decoder_new();
        if (slot->content_room < content_size) {
                free(slot->content);
                slot->content = malloc(content_size);
                slot->content_room = slot->content ? content_size : 0;
        }
        if (!slot->decoder || slot->content_room < content_size)
                return error_no_memory(err);
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

static int make_room(struct slot *slot, size_t wanted, size_t bound, struct error *err)
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

static int raise_damaged(const struct frame_queue *queue, uint64_t position, const char *what, struct error *err)
{
        return error_raise(err, ERR_DAMAGED, "%s is damaged at byte %llu: %s", queue->intake->label,
                           (unsigned long long)position, what);
}

/* A block's header is there, or the end. A block is asked for together with what follows it: so it goes where it
 * belongs in one piece. */
static enum frame_load next_part(struct frame_queue *queue, const struct slot *slot, struct error *err)
{
        uint32_t header;
        enum frame_block type;
        size_t size;

        if (queue->last_block)
                return FRAME_LOAD_WHOLE;
        header = get_le24(slot->frame + slot->frame_size - FRAME_BLOCK_HEADER_SIZE);
        type = (enum frame_block)(header >> 1 & 3);
        size = type == FRAME_BLOCK_RLE ? 1 : header >> 3;
        if (size > FRAME_BLOCK_MAX || type == FRAME_BLOCK_RESERVED) {
                raise_damaged(queue, queue->intake->position - FRAME_BLOCK_HEADER_SIZE, "a block header is wrong", err);
                return FRAME_LOAD_FAILED;
        }
        queue->last_block = header & 1;
        if (!queue->last_block)
                size += FRAME_BLOCK_HEADER_SIZE;
        else if (queue->has_checksum)
                size += FRAME_CHECKSUM_SIZE;
        if (size > queue->bound - slot->frame_size) {
                raise_damaged(queue, slot->start, "a data frame is longer than it can be", err);
                return FRAME_LOAD_LONG;
        }
        queue->wanted = slot->frame_size + size;
        return FRAME_LOAD_WAITS;
}

enum frame_load frame_queue_load(struct frame_queue *queue, bool wait, struct error *err)
{
        struct slot *slot = loaded_slot(queue);
        enum frame_load next = FRAME_LOAD_WAITS;

        while (next == FRAME_LOAD_WAITS) {
                ssize_t n;

                if (slot->frame_size == queue->wanted) {
                        next = next_part(queue, slot, err);
                        continue;
                }
                if (!wait && !intake_ready(queue->intake))
                        return FRAME_LOAD_WAITS;
                if (make_room(slot, queue->wanted, queue->bound, err) < 0)
                        return FRAME_LOAD_FAILED;
                n = intake_some(queue->intake, slot->frame + slot->frame_size, queue->wanted - slot->frame_size, err);
                if (n <= 0)
                        return n < 0 ? FRAME_LOAD_FAILED : FRAME_LOAD_CUT;
                slot->frame_size += (size_t)n;
        }
        if (next != FRAME_LOAD_WHOLE)
                return next;
        queue->loading = false;
        queue->last = (unsigned)(slot - queue->slots);
        queue->whole++;
        slot->submitted = true;
        pool_submit(queue->pool, &slot->job);
        return FRAME_LOAD_WHOLE;
}

const uint8_t *frame_queue_give_up(struct frame_queue *queue, uint64_t *ret_start, size_t *ret_size)
{
        const struct slot *slot = loaded_slot(queue);

        queue->loading = false;
        *ret_start = slot->start;
        *ret_size = slot->frame_size;
        return slot->frame;
}

const uint8_t *frame_queue_last(const struct frame_queue *queue, size_t *ret_size)
{
        *ret_size = queue->slots[queue->last].frame_size;
        return queue->slots[queue->last].frame;
}

/* ---- taking ---- */

void frame_queue_oldest(struct frame_queue *queue, struct queued_frame *ret_frame)
{
        struct slot *slot = &queue->slots[queue->first];

        pool_wait(queue->pool, &slot->job);
        slot->submitted = false;
        *ret_frame = (struct queued_frame){ .start = slot->start,
                                            .size = slot->frame_size,
                                            .bytes = slot->frame,
                                            .content = slot->content,
                                            .content_size = slot->content_size,
                                            .result = slot->result,
                                            .fault = slot->fault };
}

void frame_queue_release(struct frame_queue *queue)
{
        queue->first = (queue->first + 1) % queue->count;
        queue->whole--;
}
