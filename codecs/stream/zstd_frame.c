#include "codecs/stream/zstd_frame.h"

#include <zstd_errors.h>

#include "core/base/bytes.h"

int frame_header_parse(const uint8_t *bytes, size_t size, struct frame_header *ret_header)
{
        static const uint8_t id_sizes[] = { 0, 1, 2, 4 };
        static const uint8_t content_sizes[] = { 0, 2, 4, 8 };
        uint8_t descriptor, window, id_size, content_size_size;
        bool single_segment;
        size_t at = FRAME_MAGIC_SIZE + 1;

        if (size < at + 1)
                return 0;
        if (get_le32(bytes) != FRAME_MAGIC)
                return -1;
        descriptor = bytes[FRAME_MAGIC_SIZE];
        if (descriptor & 0x08) /* reserved; the unused bit 0x10 is to be ignored */
                return -1;
        single_segment = descriptor & 0x20;
        id_size = id_sizes[descriptor & 3];
        content_size_size = content_sizes[descriptor >> 6];
        if (single_segment && content_size_size == 0)
                content_size_size = 1;
        window = bytes[at];
        if (size < at + (single_segment ? 0u : 1u) + id_size + content_size_size)
                return 0;

        *ret_header = (struct frame_header){ .has_checksum = descriptor & 0x04 };
        ret_header->stored = descriptor == FRAME_STORED_DESCRIPTOR && window == FRAME_STORED_WINDOW;
        if (!single_segment) {
                ret_header->window = (uint64_t)1 << (10 + (window >> 3));
                ret_header->window += ret_header->window / 8 * (window & 7);
                at++;
        }
        ret_header->dictionary = (uint32_t)get_le(bytes + at, id_size);
        at += id_size;
        ret_header->content_size = get_le(bytes + at, content_size_size);
        at += content_size_size;
        if (content_size_size == 2)
                ret_header->content_size += 256;
        ret_header->has_content_size = content_size_size > 0;
        if (single_segment)
                ret_header->window = ret_header->content_size;
        ret_header->size = at;
        return 1;
}

void frame_stored_tail(uint8_t tail[FRAME_STORED_TAIL_SIZE], uint32_t checksum)
{
        put_le24(tail, frame_block_header(FRAME_BLOCK_RAW, 0, /* last= */ true));
        put_le32(tail + FRAME_BLOCK_HEADER_SIZE, checksum);
}

/* What an encoder may keep from one frame to the next. At the high levels zstd takes 70 MiB and more; it costs little
 * beside the work there to ask for them anew, and then only the frames being compressed have them. */
#define KEPT_MAX ((size_t)8 << 20)

static int set_up_encoder(ZSTD_CCtx *encoder, const struct frame_settings *settings, struct error *err)
{
        const struct {
                ZSTD_cParameter parameter;
                int value;
        } values[] = {
                { ZSTD_c_compressionLevel, settings->zstd_level },
                { ZSTD_c_checksumFlag, 1 },
                { ZSTD_c_enableLongDistanceMatching, 1 },
                { ZSTD_c_windowLog, FRAME_WINDOW_LOG_LONG },
        };
        size_t count = settings->zstd_long ? 4 : 2;

        if (!encoder)
                return error_no_memory(err);
        for (size_t i = 0; i < count; i++) {
                size_t result = ZSTD_CCtx_setParameter(encoder, values[i].parameter, values[i].value);

                if (ZSTD_isError(result))
                        return error_raise(err, ERR_FAILED, "zstd level %d: %s", settings->zstd_level,
                                           ZSTD_getErrorName(result));
        }
        return 0;
}

size_t frame_bound(size_t content_size)
{
        return ZSTD_compressBound(content_size) + FRAME_HEADER_MAX + FRAME_CHECKSUM_SIZE;
}

int frame_encode(ZSTD_CCtx **encoder, const struct frame_settings *settings, const void *content, size_t content_size,
                 void *frame, size_t room, size_t *ret_size, struct error *err)
{
        size_t result;

        if (!*encoder) {
                *encoder = ZSTD_createCCtx();
                if (set_up_encoder(*encoder, settings, err) < 0)
                        return -1;
        }
        result = ZSTD_compress2(*encoder, frame, room, content, content_size);
        if (ZSTD_sizeof_CCtx(*encoder) > KEPT_MAX) {
                ZSTD_freeCCtx(*encoder);
                *encoder = NULL;
        }
        if (ZSTD_isError(result))
                return error_raise(err, ERR_FAILED, "zstd: %s", ZSTD_getErrorName(result));
        *ret_size = result;
        return 0;
}

enum frame_result frame_decode(ZSTD_DCtx *decoder, const void *frame, size_t size, void *content, size_t *content_size,
                               bool exact, const char **ret_fault)
{
        size_t result = ZSTD_decompressDCtx(decoder, content, *content_size, frame, size);

        if (ZSTD_isError(result)) {
                *ret_fault = ZSTD_getErrorName(result);
                return ZSTD_getErrorCode(result) == ZSTD_error_checksum_wrong ? FRAME_WRONG_CHECKSUM : FRAME_CORRUPT;
        }
        if (exact && result != *content_size) {
                *ret_fault = "it holds less than it announces";
                return FRAME_CORRUPT;
        }
        *content_size = result;
        return FRAME_OK;
}
