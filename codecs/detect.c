#include "codecs/detect.h"

#include <string.h>

#include "codecs/age/armor.h"
#include "codecs/age/header.h"
#include "codecs/stream/zstd_frame.h"
#include "codecs/stream/record.h"
#include "core/base/bytes.h"

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

#define BEGINS(text) (text), sizeof(text) - 1
static const struct known_beginning {
        const char *bytes;
        size_t size;
        enum layer_kind kind;
        const char *name; /* of a format that another program must take off first; NULL: it is the kind */
        const char *remedy;
} known_beginnings[] = {
        { "SQLite format 3", 16, LAYER_SQLITE, NULL, NULL }, /* the NUL belongs to it */
        { BEGINS("TAPE"), LAYER_MTF, NULL, NULL },
        { BEGINS(AGE_VERSION_PREFIX), LAYER_AGE, NULL, NULL },
        { BEGINS(AGE_ARMOR_BEGIN), LAYER_AGE, NULL, NULL },
        { BEGINS("\x1F\x8B"), LAYER_BARE, "compressed with gzip", "gzip -dc" },
        { "\xFD\x37zXZ", 6, LAYER_BARE, "compressed with xz", "xz -dc" }, /* here, too */
        { BEGINS("BZh"), LAYER_BARE, "compressed with bzip2", "bzip2 -dc" },
        { BEGINS("\x04\x22\x4D\x18"), LAYER_BARE, "compressed with lz4", "lz4 -dc" },
        { BEGINS("\x02\x21\x4C\x18"), LAYER_BARE, "compressed with lz4", "lz4 -dc" }, /* its legacy format */
        { BEGINS("7z\xBC\xAF\x27\x1C"), LAYER_BARE, "a 7-Zip archive", "7z e -so FILE" },
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
        for (size_t i = 0; i < sizeof known_beginnings / sizeof known_beginnings[0]; i++) {
                const struct known_beginning *known = &known_beginnings[i];

                if (size < known->size || memcmp(bytes, known->bytes, known->size) != 0)
                        continue;
                if (known->name)
                        return error_raise(err, ERR_USAGE, "%s is %s; pipe it through `%s`", label, known->name,
                                           known->remedy);
                *ret_kind = known->kind;
                return 0;
        }
        return error_raise(err, ERR_DAMAGED, "%s is no backup that vdipipe knows", label);
}
