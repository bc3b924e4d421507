/*
 * primary_info.h - what create tells the other processes of its set: how their streams and media are to be made
 *
 * It travels as JSON in vds_options.info. What attach reads comes from another process, so it is checked.
 */
#pragma once

#include <stdint.h>

#include "core/base/error.h"
#include "core/base/ident.h"

enum personality {
        PERSONALITY_PIPE = 0,
        PERSONALITY_TAPE,
        PERSONALITY_DISK,
        PERSONALITY_COUNT,
};

/* "pipe". Static. */
const char *personality_name(enum personality personality);

struct primary_info {
        char set_id[IDENT_UUID_SIZE];
        char time[32];                /* of the set, as in a stream's header */
        char source[IDENT_UUID_SIZE]; /* the backup whose streams are being read; "" when none or unknown */
        enum personality personality;
        uint64_t media_size;     /* tape: bytes; 0: no limit */
        uint32_t soft_mark_size; /* tape: bytes; 0: marks are hard */
};

/* Allocated. */
int primary_info_encode(const struct primary_info *info, char **ret_text, struct error *err);

/* A text that is not vdipipe's, "" for one, is ERR_PROTOCOL. */
int primary_info_decode(const char *text, struct primary_info *ret_info, struct error *err);
