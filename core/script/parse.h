/*
 * parse.h - scripts for the scriptable server: what script.md describes, read into steps
 *
 * Pure: no engine, no files. A script of at most SCRIPT_SIZE_MAX bytes and SCRIPT_LINES_MAX lines becomes at most as
 * many steps; a repeat is a pair of steps that know each other's place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/vds/vds.h"

enum {
        SCRIPT_SIZE_MAX = 1 << 20, /* bytes */
        SCRIPT_LINES_MAX = 10000,
        SCRIPT_NESTING_MAX = 8,     /* repeats within repeats */
        SCRIPT_COUNT_MAX = 1000000, /* of a repeat, or of one command */
        SCRIPT_NAMES_MAX = 64,      /* labels, and as many saved positions, of one device */
        SCRIPT_CODES_MAX = 8,       /* completion codes in one list */
        SCRIPT_WORD_MAX = 31,       /* bytes of a label or a position's name */
        SCRIPT_ANY_CODE = -1,       /* in a list: every code will do */
};

/* Completion codes; an empty list stands for the default of its place. */
struct script_codes {
        uint32_t count;
        int32_t codes[SCRIPT_CODES_MAX];
};

/* A position: a number, or a saved one and a distance from it. */
struct script_place {
        bool given;
        int saved; /* index of the name; -1: a number */
        int64_t number;
};

enum script_bytes_rule {
        SCRIPT_BYTES_DEFAULT = 0, /* full with code 0 */
        SCRIPT_BYTES_EXACT,
        SCRIPT_BYTES_AT_MOST,
};

enum script_data {
        SCRIPT_DATA_PATTERN = 0, /* written or, with `check`, expected */
        SCRIPT_DATA_ZERO,
};

struct script_command {
        int32_t code;
        int32_t size;
        struct script_place at;    /* input */
        struct script_place gives; /* output that is demanded */
        int save;                  /* index of the name that keeps the output position; -1: none */
        uint32_t count;
        uint32_t depth; /* outstanding at a time */
        struct script_codes expect;
        struct script_codes until; /* not empty: sent until one of these comes, `count` times at most */
        enum script_bytes_rule bytes_rule;
        uint64_t bytes;
        bool has_total;
        uint64_t total; /* bytes moved by all of them */
        enum script_data data;
        uint64_t seed;
        bool check;    /* a read's bytes are compared */
        bool has_from; /* the data's offset is set to `from` first */
        uint64_t from;
        bool sent; /* not waited for */
        int label; /* -1: none */
};

static inline bool script_moves_data(const struct script_command *command)
{
        return command->code == VDC_Read || command->code == VDC_Write;
}

enum script_step_kind {
        SCRIPT_COMMAND,
        SCRIPT_AWAIT,
        SCRIPT_DRAIN,
        SCRIPT_REPEAT,
        SCRIPT_END_REPEAT,
        SCRIPT_MEET,
        SCRIPT_BUFFERS,
        SCRIPT_STALL,
        SCRIPT_HOLD,
        SCRIPT_ABORT,
        SCRIPT_CLOSE,
        SCRIPT_CLOSE_SET,
        SCRIPT_EXIT,
        SCRIPT_DIE,
};

struct script_step {
        enum script_step_kind kind;
        uint32_t line;
        union {
                struct script_command command;
                struct {
                        uint64_t labels; /* the labels awaited, a bit each */
                        bool ordered;    /* their completions have to come in the order of `order` */
                        uint8_t order[SCRIPT_NAMES_MAX];
                        uint32_t count;
                } await;
                struct {
                        uint32_t count;
                        uint32_t partner; /* index of the other end */
                } repeat;
                uint32_t buffers;
                int64_t stall_ms;
                enum vds_abort_reason hold; /* VDS_ABORT_NONE: any */
        };
};

struct script_names {
        uint32_t count;
        char words[SCRIPT_NAMES_MAX][SCRIPT_WORD_MAX + 1];
};

/* One device's sequence. */
struct script_device {
        char name[VDS_NAME_MAX + 1]; /* "": the default */
        struct script_names labels;
        struct script_names places;
        struct script_step *steps;
        uint32_t count;
        uint32_t capacity;
        uint32_t line;
        uint32_t buffers; /* that its transfers may hold at a time */
};

/* What the client is to have asked for. */
enum script_wish {
        SCRIPT_WISH_FEATURES,
        SCRIPT_WISH_DEVICES,
        SCRIPT_WISH_PREFIX,
        SCRIPT_WISH_ALIGNMENT,
        SCRIPT_WISH_SOFTMARK,
        SCRIPT_WISH_WARNING,
        SCRIPT_WISH_TIMEOUT,
        SCRIPT_WISH_COUNT,
};

struct script {
        uint32_t block_size;
        uint32_t max_transfer;
        uint32_t alignment;  /* 0: the block size */
        uint32_t buffers;    /* of max_transfer bytes; 0: as many as the sequences may hold */
        uint32_t direction;  /* VDF_WriteMedia, VDF_ReadMedia or both */
        uint32_t grant;      /* of what the client asks for */
        int64_t timeout_ms;  /* for all of it */
        int64_t patience_ms; /* for each command; negative: no limit but the script's */
        int32_t goes_on;     /* after a failure: 0 or 1 */
        struct {
                bool given;
                uint32_t line;
                uint32_t value;
        } wishes[SCRIPT_WISH_COUNT];
        enum vds_verdict verdict; /* VDS_VERDICT_UNCONFIRMED: as the checks say; VDS_VERDICT_NONE: says nothing */
        char verdict_text[ERROR_MESSAGE_MAX];
        char info[ERROR_MESSAGE_MAX];
        struct script_device *devices[VDS_DEVICES_MAX]; /* NULL: closed at once */
};

/* Reads a script. `name` is the file's, for messages, which are "NAME:LINE: fault: remedy" of class ERR_USAGE. On
 * success *ret_script is the caller's, for script_free(). */
int script_parse(const char *name, const char *text, size_t size, struct script **ret_script, struct error *err);

/* NULL is allowed. */
void script_free(struct script *script);
