#include "codecs/detect.h"

#include <string.h>

#include "codecs/age/armor.h"
#include "codecs/age/header.h"
#include "codecs/base/bytes.h"
#include "codecs/stream/frame.h"
#include "codecs/stream/record.h"

const char *layer_name(enum layer_kind kind)
{
        static const char *const names[] = {
                [LAYER_VDISTREAM] = "vdi stream",
                [LAYER_ZSTD] = "zstd",
                [LAYER_AGE] = "age",
                [LAYER_SQLITE] = "SQLite database",
                [LAYER_MTF] = "SQL Server backup",
                [LAYER_BARE] = "bare data",
        };

        return names[kind];
}

/* A format that another program must take off first. */
static const struct foreign {
        const char *bytes;
        size_t size;
        const char *name;
        const char *remedy;
} foreign[] = {
#define BEGINS(text) (text), sizeof(text) - 1
        { BEGINS("\x1F\x8B"), "compressed with gzip", "gzip -dc" },
        { BEGINS("\xFD"
                 "7zXZ\0"),
          "compressed with xz", "xz -dc" },
        { BEGINS("BZh"), "compressed with bzip2", "bzip2 -dc" },
        { BEGINS("\x04\x22\x4D\x18"), "compressed with lz4", "lz4 -dc" },
        { BEGINS("\x02\x21\x4C\x18"), "compressed with lz4", "lz4 -dc" }, /* its legacy format */
        { BEGINS("7z\xBC\xAF\x27\x1C"), "a 7-Zip archive", "7z e -so FILE" },
};

static const struct known {
        const char *bytes;
        size_t size;
        enum layer_kind kind;
} known[] = {
        { "SQLite format 3", 16, LAYER_SQLITE }, /* the NUL belongs to it */
        { BEGINS("TAPE"), LAYER_MTF },
        { BEGINS(AGE_VERSION_PREFIX), LAYER_AGE },
        { BEGINS(AGE_ARMOR_BEGIN), LAYER_AGE },
};

int detect_layer(const uint8_t *bytes, size_t size, const char *label, enum layer_kind *ret_kind, struct error *err)
{
        uint32_t magic = size >= FRAME_MAGIC_SIZE ? get_le32(bytes) : 0;

        if (size == 0)
                return error_raise(err, ERR_DAMAGED, "%s is empty", label);
        if (magic == FRAME_MAGIC || frame_is_skippable(magic)) {
                *ret_kind = record_is_ours(bytes, size) ? LAYER_VDISTREAM : LAYER_ZSTD;
                return 0;
        }
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                if (size >= known[i].size && memcmp(bytes, known[i].bytes, known[i].size) == 0) {
                        *ret_kind = known[i].kind;
                        return 0;
                }
        }
        for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
                if (size >= foreign[i].size && memcmp(bytes, foreign[i].bytes, foreign[i].size) == 0)
                        return error_raise(err, ERR_USAGE, "%s is %s; pipe it through `%s`", label, foreign[i].name,
                                           foreign[i].remedy);
        }
        return error_raise(err, ERR_DAMAGED, "%s is no backup that vdipipe knows", label);
}
