/*
 * record.h - the records of a vdi stream: skippable zstd frames with a type and a checksum
 *
 * Bytes here are whole frames, magic and size included (FORMAT.md has the table). Parsing trusts nothing: the checksum
 * is looked at before anything else of the payload.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codecs/base/hash.h"
#include "codecs/stream/info.h"
#include "core/base/error.h"

#define RECORD_MAGIC   0x184D2A56u
#define RECORD_VERSION 1

enum {
        RECORD_PREFIX = 16, /* magic, size, "VDIS", version, type, reserved */
        RECORD_SUFFIX = 8,  /* checksum */
        RECORD_OVERHEAD = RECORD_PREFIX + RECORD_SUFFIX,
        RECORD_PAYLOAD_MAX = 1 << 20, /* what the size field may say */
        RECORD_BODY_MAX = RECORD_PAYLOAD_MAX - (RECORD_OVERHEAD - 8),
        RECORD_COMPLETE_BODY = 32,
        RECORD_COMPLETE_SIZE = RECORD_OVERHEAD + RECORD_COMPLETE_BODY,
        RECORD_MARK_BODY = 4,
        RECORD_MARK_SIZE = RECORD_OVERHEAD + RECORD_MARK_BODY,
        RECORD_REASON_MAX = 512,
};

enum record_type {
        RECORD_HEADER = 'H',
        RECORD_COMPLETE = 'C',
        RECORD_VERDICT = 'V',
        RECORD_ABORTED = 'A',
        RECORD_MARK = 'M',    /* a file mark of a tape-like set */
        RECORD_PADDING = 'P', /* fills up to a boundary; says nothing */
};

struct record {
        uint8_t type;
        const uint8_t *body; /* inside the bytes that were parsed */
        size_t body_size;
};

enum record_result {
        RECORD_OK = 0,
        RECORD_FOREIGN, /* a skippable frame, but not one of ours */
        RECORD_DAMAGED, /* wrong checksum, or nonsense behind a right one */
        RECORD_NEWER,   /* right, but of a version or type that this build does not know */
};

/* Allocates the whole frame. */
int record_build(enum record_type type, const void *body, size_t body_size, uint8_t **ret_frame, size_t *ret_size,
                 struct error *err);

/* `frame` is all of it: 8 bytes, and as many as its size field says. Returns an enum record_result. */
enum record_result record_parse(const uint8_t *frame, size_t size, struct record *ret_record);

/* Whether these first bytes (RECORD_PREFIX of them) claim to be a record of ours. */
bool record_is_ours(const uint8_t *prefix, size_t size);

/* How many bytes a record takes by its prefix; 0 when that is impossible. */
size_t record_size(const uint8_t *prefix);

/* 'C': how much there was, and the digest of all that came before the record itself. */
struct record_complete {
        uint64_t data_bytes;
        uint64_t stream_bytes;
        uint8_t digest[DIGEST_SIZE];
};

void record_complete_encode(const struct record_complete *complete, uint8_t ret_body[RECORD_COMPLETE_BODY]);
bool record_complete_decode(const struct record *record, struct record_complete *ret_complete);

/* 'M': a soft mark's size in bytes, or 0 for a hard mark. */
int record_mark_build(uint32_t mark_size, uint8_t **ret_frame, struct error *err);
bool record_mark_decode(const struct record *record, uint32_t *ret_mark_size);

/* 'V': success of this set's device. A report that is no JSON object is kept as text; one too large is left out. */
int record_verdict_build(const char *set_id, uint32_t device, const char *report_json, uint8_t **ret_frame,
                         size_t *ret_size, struct error *err);
/* Checks that it says success for this set and device. *ret_report is an allocation, or NULL when there is no report.
 * `label` and `position` are the record's, for the message. */
int record_verdict_check(const struct record *record, const struct stream_info *info, const char *label,
                         uint64_t position, char **ret_report, struct error *err);

/* 'A': why. The reason is cut to RECORD_REASON_MAX bytes. */
int record_aborted_build(const char *reason, uint8_t **ret_frame, size_t *ret_size, struct error *err);
/* Says why the stream that `label` names was aborted. ERR_DAMAGED. */
int record_raise_aborted(const struct record *record, const char *label, struct error *err);

/* The stream ends at `end`, complete but for the verdict. ERR_UNCONFIRMED. */
int record_raise_unconfirmed(const char *label, uint64_t end, struct error *err);
