/*
 * info.h - what a vdi stream says about itself, as values
 *
 * Filled from the header frame when reading, and turned into it when writing. Byte layout: FORMAT.md.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/ident.h"

struct stream_info {
        char set_id[IDENT_UUID_SIZE];
        char time[32]; /* UTC, RFC 3339: 2026-01-31T23:59:59Z */
        char host[IDENT_HOST_SIZE];
        char machine[IDENT_MACHINE_SIZE]; /* "" where the machine had none */
        char tool_version[32];

        char server_kind[32]; /* "sqlite" */
        char server_version[256];
        char *database; /* the name shown to people; owned, may hold any bytes but NUL */
        char *origin;   /* absolute path or URI the data came from, never with a password; owned */
        char type[16];  /* "full" */
        char *label;    /* owned; NULL when none */

        bool has_owner;
        uint32_t uid;
        uint32_t gid;
        uint32_t mode; /* permission bits */

        uint32_t device;       /* 0 .. device_count - 1 */
        uint32_t device_count; /* 1 .. 64 */
        bool has_extent;       /* the three below are known */
        uint64_t total_size;   /* bytes of all devices together */
        uint64_t part_offset;  /* where this device's bytes belong in the whole */
        uint64_t part_length;

        uint32_t features; /* the negotiated configuration */
        uint32_t block_size;
        uint32_t alignment;
        uint32_t max_transfer;
        uint32_t soft_mark_size; /* of a tape-like set; 0: its marks are hard, or it has none */
};

/* Frees the owned strings; the struct itself is the caller's. */
void stream_info_deinit(struct stream_info *info);

/* Deep copy. */
int stream_info_copy(struct stream_info *dst, const struct stream_info *src, struct error *err);

/* To and from the header frame's JSON. Strings that are not UTF-8 survive (FORMAT.md says how). Decoding checks every
 * value's type and range, and ignores members it does not know; `label` names the stream in the error. */
int stream_info_encode(const struct stream_info *info, char **ret_json, struct error *err);
int stream_info_decode(const char *json, size_t size, const char *label, struct stream_info *ret_info,
                       struct error *err);

/* How much content the header announces; -1 when it says nothing of that. */
int64_t stream_info_announced(const struct stream_info *info);

/* Whether a stream with so much content keeps what was announced: ERR_DAMAGED if not. `label` names the stream in the
 * message. */
int stream_info_check_content(int64_t announced, uint64_t content, const char *label, struct error *err);
