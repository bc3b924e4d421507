/*
 * Positions are handled as addresses (frame_index.h): a position in bytes, marks counted with the room they take. What
 * was written since the last whole frame is in no index yet; it is data without marks, behind everything else.
 */
#include "codecs/drives/tape.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>

#include "codecs/drives/frame_index.h"
#include "codecs/stream/stream.h"
#include "core/base/cleanup.h"

enum { COPY_PIECE = 1 << 20 };

enum tape_state {
        TAPE_READ_ONLY, /* opened */
        TAPE_WRITABLE,  /* created */
        TAPE_COMPLETE,  /* read only from here on */
        TAPE_ENDED,     /* finished, aborted or broken: neither read nor written */
};

struct tape {
        enum tape_state state;
        struct tape_shape shape;
        struct stage *chain; /* the writer; NULL: opened to be read */
        int append_fd;       /* the file that is appended to, locked; -1: none */

        struct frame_index index;
        uint64_t address; /* the position */
        uint64_t end;     /* of data; the index may end before */
};

static struct tape *new_tape(const atomic_bool *cancel, struct error *err)
{
        struct tape *tape = calloc(1, sizeof *tape);

        if (!tape) {
                error_no_memory(err);
                return NULL;
        }
        tape->index.cancel = cancel;
        tape->append_fd = -1;
        return tape;
}

void tape_free(struct tape *tape)
{
        if (!tape)
                return;
        stage_free(tape->chain);
        fd_closep(&tape->append_fd);
        frame_index_deinit(&tape->index);
        free(tape);
}

static void tape_freep(struct tape **tape)
{
        tape_free(*tape);
        *tape = NULL;
}

/* After a failed write nobody knows where the stream stands. */
static int tape_settle(struct tape *tape, int result)
{
        if (result < 0)
                tape->state = TAPE_ENDED;
        return result;
}

static int tape_check_state(const struct tape *tape, enum tape_state last, struct error *err)
{
        static const char *const words[] = {
                [TAPE_READ_ONLY] = "was opened to be read",
                [TAPE_WRITABLE] = "can be written",
                [TAPE_COMPLETE] = "was written after its data was complete",
                [TAPE_ENDED] = "was used after its end",
        };

        if (tape->state <= last && (last != TAPE_WRITABLE || tape->state == TAPE_WRITABLE))
                return 0;
        return error_raise(err, ERR_PROTOCOL, "%s %s", tape->index.label, words[tape->state]);
}

static int tape_check_blocks(const struct tape *tape, size_t size, struct error *err)
{
        if (size % tape->shape.block_size == 0)
                return 0;
        return error_raise(err, ERR_PROTOCOL, "%s: a transfer of %zu bytes is not whole blocks of %u bytes",
                           tape->index.label, size, tape->shape.block_size);
}

/* ---- opening ---- */

/* The header's block size unless another one is asked for; a tape that will be continued keeps its own. */
static int tape_choose_block_size(struct tape *tape, uint32_t asked, bool to_continue, struct error *err)
{
        uint32_t own = tape->index.info.block_size;

        if (to_continue && own && own != asked)
                return error_raise(err, ERR_USAGE, "%s has blocks of %u bytes, not of %u; use a block size of %u",
                                   tape->index.label, own, asked, own);
        tape->shape.block_size = asked ? asked : own;
        tape->index.block_size = tape->shape.block_size;
        if (tape->shape.block_size == 0)
                return error_raise(err, ERR_USAGE, "%s does not say how large its blocks are; give a block size",
                                   tape->index.label);
        return 0;
}

static int tape_check_end(const struct tape *tape, struct error *err)
{
        if (tape->index.end % tape->shape.block_size == 0)
                return 0;
        return error_raise(err, ERR_USAGE, "%s: the data before its end is not whole blocks of %u bytes",
                           tape->index.label, tape->shape.block_size);
}

static int tape_open_file(int fd, const struct reader_options *options, uint32_t block_size, bool to_continue,
                          struct tape **ret_tape, struct error *err)
{
        CLEANUP(tape_freep) struct tape *tape = new_tape(options->cancel, err);
        CLEANUP(reader_freep) struct reader *reader = NULL;

        if (!tape || frame_index_open(fd, options, &tape->index, &reader, NULL, err) < 0 ||
            tape_choose_block_size(tape, block_size, to_continue, err) < 0 || frame_index_fill(reader, err) < 0 ||
            tape_check_end(tape, err) < 0)
                return -1;
        tape->end = tape->index.end;
        *ret_tape = take_ptr(&tape);
        return 0;
}

int tape_open(int fd, const struct reader_options *options, uint32_t block_size, struct tape **ret_tape,
              struct error *err)
{
        return tape_open_file(fd, options, block_size, /* to_continue= */ false, ret_tape, err);
}

int tape_set_block_size(struct tape *tape, uint32_t block_size, struct error *err)
{
        if (tape->state != TAPE_READ_ONLY || block_size == 0)
                return error_raise(err, ERR_PROTOCOL, "the block size of %s cannot be changed to %u", tape->index.label,
                                   block_size);
        tape->shape.block_size = block_size;
        tape->address = 0;
        if (tape_settle(tape, frame_index_set_block_size(&tape->index, block_size, err) < 0
                                      ? -1
                                      : tape_check_end(tape, err)) < 0)
                return -1;
        tape->end = tape->index.end;
        return 0;
}

const struct stream_info *tape_info(const struct tape *tape)
{
        return &tape->index.info;
}

/* ---- writing without a look at the medium's size ---- */

static int tape_put_data(struct tape *tape, const void *data, size_t size, struct error *err)
{
        if (stage_write(tape->chain, data, size, err) < 0)
                return -1;
        tape->end += size;
        return 0;
}

static int tape_put_mark(struct tape *tape, uint32_t mark_size, struct error *err)
{
        if (vdistream_writer_mark(tape->chain, mark_size, err) < 0)
                return -1;
        tape->end = tape->index.end;
        return 0;
}

/* ---- creating ---- */

/* The file to append to. Returns 1 with it open and locked, 0 when there is none, -1. The lock keeps two runs from each
 * replacing the file by its own continuation. */
static int tape_open_old(struct tape *tape, const struct tape_file *file, struct error *err)
{
        tape->append_fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (tape->append_fd < 0 && errno == ENOENT)
                return 0;
        if (tape->append_fd < 0)
                return error_raise_errno(err, errno, "cannot open %s", tape->index.label);
        if (flock(tape->append_fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return error_raise(err, ERR_BUSY, "another run appends to %s", tape->index.label);
        return 1;
}

static int tape_copy_old(struct tape *tape, struct tape *old, struct error *err)
{
        CLEANUP(freep) uint8_t *bytes = malloc(COPY_PIECE);
        enum tape_event event;
        size_t mark = 0;

        if (!bytes)
                return error_no_memory(err);
        do {
                size_t size;

                if (tape_read(old, bytes, COPY_PIECE, &size, &event, err) < 0 ||
                    tape_put_data(tape, bytes, size, err) < 0)
                        return -1;
                if (event == TAPE_MARK && tape_put_mark(tape, old->index.marks[mark++].mark_size, err) < 0)
                        return -1;
        } while (event != TAPE_END_OF_DATA);
        return 0;
}

static int tape_open_chain(struct tape *tape, const struct tape_file *file, enum file_existing existing,
                           const struct vdistream_options *options, struct error *err)
{
        struct vdistream_watcher watcher = frame_index_watcher(&tape->index);
        struct stage *sink = NULL;
        int fd;

        if (file_sink_new(file->path, file->set_id, existing, file->cancel, &sink, err) < 0)
                return -1;
        fd = file_sink_fd(sink);
        if (fd < 0) {
                stage_free(sink);
                return error_raise(err, ERR_USAGE,
                                   "%s cannot be written at positions; a tape-like device needs the name of a regular "
                                   "file",
                                   tape->index.label);
        }
        if (vdistream_writer_new(&tape->index.info, options, sink, &tape->chain, err) < 0)
                return -1;
        vdistream_writer_watch(tape->chain, &watcher);
        tape->index.fd = fd;
        tape->state = TAPE_WRITABLE;
        return 0;
}

static int tape_append(struct tape *tape, const struct tape_file *file, const struct vdistream_options *options,
                       struct error *err)
{
        struct reader_options reading = { .name = file->path, .cancel = file->cancel };
        CLEANUP(tape_freep) struct tape *old = NULL;

        if (tape_open_file(tape->append_fd, &reading, tape->shape.block_size, /* to_continue= */ true, &old, err) < 0 ||
            !old || tape_open_chain(tape, file, FILE_EXISTING_REPLACED, options, err) < 0)
                return -1;
        return tape_copy_old(tape, old, err);
}

int tape_create(const struct tape_file *file, const struct stream_info *info, const struct vdistream_options *options,
                const struct tape_shape *shape, struct tape **ret_tape, struct error *err)
{
        CLEANUP(tape_freep) struct tape *tape = new_tape(file->cancel, err);
        int found = 0;

        if (!tape || stream_info_copy(&tape->index.info, info, err) < 0 ||
            label_of_input(file->path, tape->index.label, err) < 0)
                return -1;
        tape->shape = *shape;
        tape->index.info.block_size = shape->block_size;
        tape->index.info.soft_mark_size = shape->soft_mark_size;
        if (tape_choose_block_size(tape, shape->block_size, /* to_continue= */ false, err) < 0)
                return -1;
        if (file->append)
                found = tape_open_old(tape, file, err);
        if (found < 0 || (found ? tape_append(tape, file, options, err)
                                : tape_open_chain(tape, file, file->existing, options, err)) < 0)
                return -1;
        *ret_tape = take_ptr(&tape);
        return 0;
}

struct stage *tape_sink(struct tape *tape)
{
        return tape->chain;
}

/* ---- reading ---- */

static uint64_t mark_end(const struct tape *tape, size_t mark)
{
        const struct index_mark *at = &tape->index.marks[mark];

        return at->address + frame_index_span(&tape->index, at->mark_size);
}

/* Moves up to `distance` forward, but stops at the next mark, behind it, and at the end. Returns how far it went
 * without the mark. */
static uint64_t move_forward(struct tape *tape, uint64_t distance, enum tape_event *ret_event)
{
        size_t mark = frame_index_mark_from(&tape->index, tape->address);
        bool has_mark = mark < tape->index.mark_count;
        uint64_t room = (has_mark ? tape->index.marks[mark].address : tape->end) - tape->address;

        *ret_event = TAPE_NONE;
        if (distance <= room) {
                tape->address += distance;
                return distance;
        }
        *ret_event = has_mark ? TAPE_MARK : TAPE_END_OF_DATA;
        tape->address = has_mark ? mark_end(tape, mark) : tape->end;
        return room;
}

int tape_read(struct tape *tape, void *buffer, size_t size, size_t *ret_bytes, enum tape_event *ret_event,
              struct error *err)
{
        uint64_t from = tape->address;

        *ret_bytes = 0;
        *ret_event = TAPE_NONE;
        if (tape_check_state(tape, TAPE_COMPLETE, err) < 0 || tape_check_blocks(tape, size, err) < 0)
                return -1;
        if (tape->state == TAPE_WRITABLE && tape_settle(tape, vdistream_writer_push(tape->chain, err)) < 0)
                return -1;
        size = (size_t)move_forward(tape, size, ret_event);
        if (frame_index_read(&tape->index, from, buffer, size, err) < 0) {
                tape->address = from;
                *ret_event = TAPE_NONE;
                return -1;
        }
        *ret_bytes = size;
        return 0;
}

/* ---- writing ---- */

/* Whether what would end there is too much, or in the warning zone. */
static enum tape_event judge_end(const struct tape_shape *shape, uint64_t end)
{
        if (shape->media_size == 0)
                return TAPE_NONE;
        if (end > shape->media_size)
                return TAPE_FULL;
        return shape->media_size - end < shape->warning_size ? TAPE_WARNING : TAPE_NONE;
}

/* What lies at the position: where its frame or mark begins in the stream, and how much of the frame's content comes
 * before the position. */
static struct vdistream_cut find_cut(const struct tape *tape, size_t *ret_frame, size_t *ret_mark, size_t *ret_head)
{
        const struct frame_index *index = &tape->index;
        struct vdistream_cut cut = { .fd = tape->index.fd, .label = index->label, .cancel = tape->index.cancel };
        const struct index_frame *frame;

        *ret_frame = frame_index_frame_at(index, tape->address);
        *ret_mark = frame_index_mark_from(index, tape->address);
        *ret_head = 0;
        frame = *ret_frame < index->frame_count ? &index->frames[*ret_frame] : NULL;
        if (frame && frame->address <= tape->address) {
                *ret_head = (size_t)(tape->address - frame->address);
                cut.offset = frame->offset;
        } else {
                cut.offset = index->marks[*ret_mark].offset;
        }
        return cut;
}

/* Ends the data at the position. What a frame holds before the position is written again. */
static int tape_cut_here(struct tape *tape, struct error *err)
{
        CLEANUP(freep) uint8_t *head = NULL;
        struct vdistream_cut cut;
        size_t frame, mark, head_size;

        if (tape->address == tape->end)
                return 0;
        if (vdistream_writer_push(tape->chain, err) < 0)
                return -1;
        cut = find_cut(tape, &frame, &mark, &head_size);
        head = malloc(head_size + 1);
        if (!head)
                return error_no_memory(err);
        if (frame_index_read(&tape->index, tape->address - head_size, head, head_size, err) < 0 ||
            vdistream_writer_cut(tape->chain, &cut, err) < 0)
                return -1;
        tape->end = tape->address - head_size;
        frame_index_cut(&tape->index, frame, mark, tape->end);
        return tape_put_data(tape, head, head_size, err);
}

/* Puts blocks, or a mark where there is no data, at the position, if there is room for what takes so many bytes. */
static int tape_put(struct tape *tape, const void *data, uint64_t size, enum tape_event *ret_event, struct error *err)
{
        enum tape_event event = judge_end(&tape->shape, tape->address + size);
        int result = 0;

        if (event != TAPE_FULL) {
                result = tape_cut_here(tape, err);
                if (result == 0)
                        result = data ? tape_put_data(tape, data, (size_t)size, err)
                                      : tape_put_mark(tape, tape->shape.soft_mark_size, err);
                if (tape_settle(tape, result) < 0)
                        return -1;
                tape->address = tape->end;
        }
        *ret_event = event;
        return 0;
}

int tape_write(struct tape *tape, const void *data, size_t size, enum tape_event *ret_event, struct error *err)
{
        *ret_event = TAPE_NONE;
        if (tape_check_state(tape, TAPE_WRITABLE, err) < 0 || tape_check_blocks(tape, size, err) < 0)
                return -1;
        return size > 0 ? tape_put(tape, data, size, ret_event, err) : 0;
}

int tape_write_mark(struct tape *tape, enum tape_event *ret_event, struct error *err)
{
        *ret_event = TAPE_NONE;
        if (tape_check_state(tape, TAPE_WRITABLE, err) < 0)
                return -1;
        return tape_put(tape, NULL, frame_index_span(&tape->index, tape->shape.soft_mark_size), ret_event, err);
}

/* ---- moving ---- */

int tape_skip_marks(struct tape *tape, int32_t count, enum tape_event *ret_event, struct error *err)
{
        const struct frame_index *index = &tape->index;
        size_t next = frame_index_mark_from(index, tape->address);
        size_t far = count < 0 ? (size_t) - (int64_t)count : (size_t)count;

        *ret_event = TAPE_NONE;
        if (tape_check_state(tape, TAPE_COMPLETE, err) < 0)
                return -1;
        if (count > 0 && far <= index->mark_count - next) {
                tape->address = mark_end(tape, next + far - 1);
        } else if (count > 0) {
                tape->address = tape->end;
                *ret_event = TAPE_END_OF_DATA;
        } else if (count < 0 && far <= next) {
                tape->address = index->marks[next - far].address;
        } else if (count < 0) {
                tape->address = 0;
                *ret_event = TAPE_BEGINNING;
        }
        return 0;
}

static void move_back(struct tape *tape, uint64_t distance, enum tape_event *ret_event)
{
        size_t next = frame_index_mark_from(&tape->index, tape->address);
        uint64_t room = tape->address - (next > 0 ? mark_end(tape, next - 1) : 0);

        if (distance <= room) {
                tape->address -= distance;
                return;
        }
        *ret_event = next > 0 ? TAPE_MARK : TAPE_BEGINNING;
        tape->address = next > 0 ? tape->index.marks[next - 1].address : 0;
}

int tape_skip_blocks(struct tape *tape, int32_t count, enum tape_event *ret_event, struct error *err)
{
        uint64_t far = (uint64_t)(count < 0 ? -(int64_t)count : count) * tape->shape.block_size;

        *ret_event = TAPE_NONE;
        if (tape_check_state(tape, TAPE_COMPLETE, err) < 0)
                return -1;
        if (count < 0)
                move_back(tape, far, ret_event);
        else
                move_forward(tape, far, ret_event);
        return 0;
}

void tape_rewind(struct tape *tape)
{
        tape->address = 0;
}

uint64_t tape_position(const struct tape *tape)
{
        return tape->address / tape->shape.block_size;
}

void tape_set_position(struct tape *tape, uint64_t position, enum tape_event *ret_event)
{
        size_t next;

        *ret_event = TAPE_NONE;
        if (position > tape->end / tape->shape.block_size) {
                *ret_event = TAPE_END_OF_DATA;
                tape->address = tape->end;
                return;
        }
        tape->address = position * tape->shape.block_size;
        next = frame_index_mark_from(&tape->index, tape->address);
        if (next > 0 && tape->address < mark_end(tape, next - 1))
                tape->address = tape->index.marks[next - 1].address;
}

/* ---- the end ---- */

int tape_flush(struct tape *tape, struct error *err)
{
        if (tape_check_state(tape, TAPE_WRITABLE, err) < 0)
                return -1;
        return tape_settle(tape, stage_flush(tape->chain, err));
}

int tape_complete(struct tape *tape, struct error *err)
{
        if (tape_check_state(tape, TAPE_WRITABLE, err) < 0 || tape_settle(tape, stage_complete(tape->chain, err)) < 0)
                return -1;
        tape->state = TAPE_COMPLETE;
        return 0;
}

int tape_finish(struct tape *tape, const char *report_json, struct error *err)
{
        if (tape->state != TAPE_COMPLETE && tape_check_state(tape, TAPE_WRITABLE, err) < 0)
                return -1;
        if (tape_settle(tape, stage_finish(tape->chain, report_json, err)) < 0)
                return -1;
        tape->state = TAPE_ENDED;
        return 0;
}

void tape_abort(struct tape *tape, const char *reason)
{
        if (tape->chain)
                stage_abort(tape->chain, reason);
        tape->state = TAPE_ENDED;
}
