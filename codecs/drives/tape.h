/*
 * tape.h - a seekable vdi stream as a tape: blocks and file marks, written and read at a position
 *
 * A tape is a row of blocks, each of block_size bytes, and file marks between them. A position is the number of blocks
 * before it, in which a hard mark counts as one block and a soft mark as as many as its size holds, one at least. A
 * position inside a soft mark is that of its beginning. Like on a real tape, writing anywhere ends the data there: what
 * lay behind is gone. A tape that was created or opened stands at position 0, also one to append to.
 *
 * Data lies in the data frames of the stream and marks in its 'M' records (FORMAT.md), so that every reader of vdi
 * streams reads the file, and `zstd -dc` yields all blocks in order. A tape keeps an index of its frames in memory.
 * A tape belongs to one thread at a time. Calls return 0, or -1 with err; what a drive would report and is no failure
 * comes back in *ret_event. After a failed write, mark, flush, complete or finish only abort and free are left; a
 * transfer that is not whole blocks is refused (ERR_PROTOCOL) and changes nothing, and after a failed read the position
 * is what it was.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/codecs.h"

enum tape_event {
        TAPE_NONE = 0,
        TAPE_MARK,        /* a mark was met: the position is on its far side, in the direction of movement */
        TAPE_END_OF_DATA, /* nothing follows */
        TAPE_BEGINNING,   /* moving back met the beginning: the position is 0 */
        TAPE_WARNING,     /* done, and now within the warning zone */
        TAPE_FULL,        /* not done: there is no room left on the medium */
};

struct tape;

struct tape_shape {
        uint32_t block_size;     /* bytes */
        uint32_t soft_mark_size; /* bytes a new mark takes; 0: marks are hard */
        uint64_t media_size;     /* bytes of blocks and marks that the medium holds; 0: as much as the disk */
        uint64_t warning_size;   /* bytes before media_size where the warning zone begins; 0: none. Blocks and marks in
                                  * use are counted up to the position */
};

struct tape_file {
        const char *path;
        const char *set_id;
        enum file_existing existing;
        bool append; /* begin with what the file holds, if it exists, whatever `existing` says; it is read through and
                      * checked first, and stays as it is until the new one is published. Its blocks must be as large
                      * (ERR_USAGE). Two runs cannot append to a file at once (ERR_BUSY). Without it the tape is empty
                      */
        const atomic_bool *cancel;
};

/* A tape to write and read; `path` is a regular file or free (ERR_USAGE). `info` is the stream's header, to which the
 * shape's block size and size of soft marks are added. */
int tape_create(const struct tape_file *file, const struct stream_info *info, const struct vdistream_options *options,
                const struct tape_shape *shape, struct tape **ret_tape, struct error *err);

/* A tape to read, from a seekable file, at position 0. The whole stream is read through and checked before this
 * returns, since reading at positions cannot find what is cut or exchanged. Foreign layers are refused by name, and
 * data that is not whole blocks (ERR_USAGE). A block size of 0 is that of the header; with another one the positions
 * are others than the writer's. The descriptor stays the caller's and must outlive the tape. */
int tape_open(int fd, const struct reader_options *options, uint32_t block_size, struct tape **ret_tape,
              struct error *err);

/* Counts an opened tape in blocks of another size from here on, at position 0, without reading it again. Refuses data
 * that is not whole blocks (ERR_USAGE); then only tape_free() is left. */
int tape_set_block_size(struct tape *tape, uint32_t block_size, struct error *err);

/* The header. */
const struct stream_info *tape_info(const struct tape *tape);

/* Whole blocks up to the next mark or the end of data; *ret_bytes of them. Event MARK or END_OF_DATA when fewer than
 * `size` were there. */
int tape_read(struct tape *tape, void *buffer, size_t size, size_t *ret_bytes, enum tape_event *ret_event,
              struct error *err);

/* Whole blocks. Event WARNING or FULL. */
int tape_write(struct tape *tape, const void *data, size_t size, enum tape_event *ret_event, struct error *err);
int tape_write_mark(struct tape *tape, enum tape_event *ret_event, struct error *err);

/* Moves over |count| marks: behind the last of them going forward, before it going back. Events END_OF_DATA, BEGINNING
 * when there are fewer. */
int tape_skip_marks(struct tape *tape, int32_t count, enum tape_event *ret_event, struct error *err);

/* Moves over |count| blocks. Events MARK (stopped on its far side), END_OF_DATA, BEGINNING. */
int tape_skip_blocks(struct tape *tape, int32_t count, enum tape_event *ret_event, struct error *err);

void tape_rewind(struct tape *tape);
uint64_t tape_position(const struct tape *tape);

/* Event END_OF_DATA for a position behind it: the tape then stands there. */
void tape_set_position(struct tape *tape, uint64_t position, enum tape_event *ret_event);

/* As the calls of a stage (stage.h): everything written is on disk; complete; the verdict is in; refused by every
 * reader. */
int tape_flush(struct tape *tape, struct error *err);
int tape_complete(struct tape *tape, struct error *err);
int tape_finish(struct tape *tape, const char *report_json, struct error *err);
void tape_abort(struct tape *tape, const char *reason);

/* The chain of a created tape, for file_sink_publish() and vdistream_writer_bytes_out(); NULL of an opened one. */
struct stage *tape_sink(struct tape *tape);

void tape_free(struct tape *tape);
