/*
 * reading.h - what a reading chain is asked for, and the layers it may meet; each source takes what concerns it
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LAYERS_MAX = 4 };

enum layer_kind {
        LAYER_VDISTREAM,
        LAYER_ZSTD, /* zstd frames that are no vdi stream, as from `| zstd` */
        LAYER_AGE,
        LAYER_SQLITE, /* a raw database image */
        LAYER_MTF,    /* a raw SQL Server backup */
        LAYER_BARE,   /* bytes that were not looked at: reader_options.bare */
};

struct age_identities;
struct pool;

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
        const atomic_bool *cancel; /* as for fd_sink_new(); may be NULL */
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
