/*
 * codecs.h - making the two kinds of chain: what a backup writes through, what a restore reads through
 */
#ifndef VDIPIPE_CODECS_CODECS_H
#define VDIPIPE_CODECS_CODECS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/source.h"
#include "codecs/base/stage.h"
#include "codecs/stream/info.h"

/* ---- sinks: the end of a writing chain ---- */

/* Writes to `fd`, which stays the caller's. `name` is for messages. When *cancel turns true and the writing thread gets
 * a signal, the write fails with ERR_ABORTED. flush, complete
 * and finish sync where the descriptor is a regular file. */
int fd_sink_new(int fd, const char *name, const atomic_bool *cancel, struct stage **ret_stage, struct error *err);

/* What becomes of an existing regular file. */
enum file_existing {
        FILE_EXISTING_KEPT,             /* refused (ERR_USAGE) */
        FILE_EXISTING_KEPT_FORCE_HELPS, /* refused, and the message says that --force would replace it */
        FILE_EXISTING_REPLACED,
};

/* A file that appears under its name only when published: written as `.NAME.partial-SETID` in the same folder, with a
 * lock held on it, after removing the unlocked partials that dead runs left there. Symbolic links to a file are
 * followed, and what they point to is replaced.
 *
 * Two kinds of path are written directly, and publishing does nothing for them: an existing device, fifo or other
 * special file; and a name of a descriptor of this process (/dev/stdout, /dev/fd/N, /proc/self/fd/N, or a link there),
 * which is written like that descriptor, also where it is a regular file. Other links that the kernel makes below /proc
 * are refused (ERR_USAGE) when they lead to a regular file. */
int file_sink_new(const char *path, const char *set_id, enum file_existing existing, const atomic_bool *cancel,
                  struct stage **ret_stage, struct error *err);

/* The descriptor of the file at the end of a chain, for a caller that reads and writes at positions; it stays the
 * sink's, and is open for both. -1 where the path is written directly. */
int file_sink_fd(struct stage *chain);

/* Leaves the name, and the removal of the file should it get none, to the process that this one was copied to: the
 * folder's descriptor is closed. What is written still goes to the file. */
void file_sink_disown(struct stage *chain);

/* After every chain of a set was finished: renames all files of `sinks` (each made by file_sink_new) to their names and
 * syncs their folders. Either all appear, or none: on failure the ones already renamed are taken back. */
int file_sink_publish(struct stage *const *sinks, size_t count, struct error *err);

/* ---- codecs: writing ---- */

enum { ZSTD_LEVEL_MIN = -7, ZSTD_LEVEL_MAX = 22, ZSTD_LEVEL_DEFAULT = 3 };

struct age_identities;
struct pool;

struct vdistream_options {
        bool compress;           /* false: stored frames */
        int zstd_level;          /* ZSTD_LEVEL_MIN .. ZSTD_LEVEL_MAX, not 0 */
        bool zstd_long;          /* frames of more content, with long-distance matching */
        struct pool *pool;       /* what compresses; borrowed until the stage is freed; NULL: no threads */
        uint32_t flush_boundary; /* flush and complete pad the stream to a multiple of this, for a next stage that can
                                  * only let whole chunks go; 0 or 1: no padding */
};

/* Writes a vdi stream (FORMAT.md) into `next`, which it owns from here on, also on failure. The header frame leaves
 * with the first call. */
int vdistream_writer_new(const struct stream_info *info, const struct vdistream_options *options, struct stage *next,
                         struct stage **ret_stage, struct error *err);

/* Bytes that left the writer so far (of any stage: what it handed to its next). */
uint64_t vdistream_writer_bytes_out(const struct stage *stage);

/* ---- reading ---- */

enum { LAYERS_MAX = 4 };

enum layer_kind {
        LAYER_VDISTREAM,
        LAYER_ZSTD, /* zstd frames that are no vdi stream, as from `| zstd` */
        LAYER_AGE,
        LAYER_SQLITE, /* a raw database image */
        LAYER_MTF,    /* a raw SQL Server backup */
        LAYER_BARE,   /* bytes that were not looked at: reader_options.bare */
};

const char *layer_name(enum layer_kind kind);

/* What is known of the layers so far; also when opening then fails, for want of a key for one. */
struct layer_facts {
        enum layer_kind layers[LAYERS_MAX]; /* outermost first */
        size_t layer_count;

        /* for whom the outermost age layer is */
        size_t x25519_recipients;
        size_t scrypt_recipients;
        size_t other_recipients;
};

struct reader_options {
        const char *name;          /* for messages: the file's name, or "standard input" */
        const atomic_bool *cancel; /* as for fd_sink_new; may be NULL */
        bool accept_unconfirmed;   /* take a vdi stream that is complete but for the verdict */
        bool one_backup;           /* refuse (ERR_USAGE) data behind a file mark: another backup of a tape */
        bool bare;                 /* take the bytes as they are, whatever they look like */
        uint64_t memory_limit;     /* largest window of a foreign zstd frame, and what scrypt may take, bytes; 0: the
                                    * defaults (8 MiB; 256 MiB) */
        const struct age_identities *identities; /* NULL: none; borrowed during reader_open() */
        bool sealed_only;                        /* refuse (ERR_KEY) what is in no age layer */
        bool outermost_only; /* take off one layer, which must be `outermost`, and deliver what is inside */
        enum layer_kind outermost;
        struct layer_facts *facts; /* filled unless NULL; zeroed by the caller */
        struct pool *pool; /* what decompresses and decrypts; borrowed until the reader is freed; NULL: no threads */
};

/* An opened stream: its layers have been recognised and peeled, the header read and checked, no data consumed yet. */
struct reader {
        struct source *source;              /* the device's data; owned */
        enum layer_kind layers[LAYERS_MAX]; /* outermost first */
        size_t layer_count;
        bool has_info; /* there is a vdi stream among the layers, and this is its header */
        struct stream_info info;
};

/* Opens what `fd` delivers. The descriptor stays the caller's and must outlive the reader. Unknown bytes, and formats
 * that another tool must take off first, are refused by name. */
int reader_open(int fd, const struct reader_options *options, struct reader **ret_reader, struct error *err);
void reader_free(struct reader *reader);
void reader_freep(struct reader **reader);

/* What the end of a vdi stream said; known once source_read() returned 0. */
struct stream_tail {
        uint64_t data_bytes;   /* content */
        uint64_t stream_bytes; /* the vdi stream itself, header to seek table */
        uint64_t marks;        /* file marks */
        bool confirmed;        /* the verdict is there */
        char *report_json;     /* what the server reported; NULL when nothing; belongs to the reader */
};
/* NULL when no vdi stream is among the layers, or its end has not been reached. */
const struct stream_tail *reader_tail(const struct reader *reader);

/* Looks at the front and the end of a seekable file that is a bare vdi stream, without reading what lies between.
 * Returns 1 when header and end were read and agree; 0 when the file is something else (not seekable, another layer
 * outside): read it through; -1 when it is a vdi stream whose header or end is damaged or missing (ERR_DAMAGED, or
 * ERR_UNCONFIRMED with *ret_info filled). The file position is left where it was. */
int vdistream_probe(int fd, const char *name, struct stream_info *ret_info, struct stream_tail *ret_tail,
                    struct error *err);
void stream_tail_deinit(struct stream_tail *tail);

#endif
