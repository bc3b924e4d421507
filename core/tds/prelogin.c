#include "core/tds/login.h"

#include <endian.h>

enum prelogin_option {
        OPTION_VERSION = 0,
        OPTION_ENCRYPTION = 1,
        OPTION_INSTANCE = 2,
        OPTION_THREAD = 3,
        OPTION_MARS = 4,
        OPTION_END = 0xff,
};

enum encryption {
        ENCRYPTION_ON = 1,
        ENCRYPTION_NOT_SUPPORTED = 2,
        ENCRYPTION_REQUIRED = 3,
};

enum { OPTIONS_MAX = 32 };

static uint16_t prelogin_get_big(struct tds_cursor *cursor)
{
        uint16_t high = tds_get_u8(cursor);

        return (uint16_t)(high << 8 | tds_get_u8(cursor));
}

/* Of what a client says here only one thing matters: whether it wants encryption. */
static int prelogin_read(const struct tds_message *message, bool *ret_wants_encryption, struct error *err)
{
        struct tds_cursor entries = tds_cursor_on(message->body, message->size);

        for (int i = 0; i < OPTIONS_MAX; i++) {
                uint8_t option = tds_get_u8(&entries);
                size_t offset;
                size_t size;

                if (!entries.bad && option == OPTION_END)
                        return 0;
                offset = prelogin_get_big(&entries);
                size = prelogin_get_big(&entries);
                if (entries.bad || offset > message->size || size > message->size - offset)
                        break;
                if (option == OPTION_ENCRYPTION && size > 0)
                        *ret_wants_encryption =
                                message->body[offset] == ENCRYPTION_ON || message->body[offset] == ENCRYPTION_REQUIRED;
        }
        return error_raise(err, ERR_PROTOCOL, "TDS client sent a pre-login message that cannot be read");
}

int tds_prelogin_answer(struct tds_connection *connection, uint32_t server_version, const struct tds_message *message,
                        bool *ret_wants_encryption, struct error *err)
{
        /* Of each its place in the message and its length, big-endian. */
        static const uint8_t entries[] = {
                OPTION_VERSION,    0, 26, 0, 6, /* the last two bytes are a build, 0 */
                OPTION_ENCRYPTION, 0, 32, 0, 1, /* */
                OPTION_INSTANCE,   0, 33, 0, 1, /* */
                OPTION_THREAD,     0, 34, 0, 0, /* */
                OPTION_MARS,       0, 34, 0, 1, /* */
                OPTION_END,
        };
        static const uint8_t behind_version[] = { 0, 0, ENCRYPTION_NOT_SUPPORTED, 0, 0 };
        const uint32_t version = htobe32(server_version);
        struct tds_token answer = { .size = 0 };

        if (prelogin_read(message, ret_wants_encryption, err) < 0)
                return -1;
        tds_put(&answer, entries, sizeof entries);
        tds_put(&answer, &version, sizeof version);
        tds_put(&answer, behind_version, sizeof behind_version);
        tds_output_token(connection, &answer);
        tds_output_flush(connection, /* end= */ true);
        return 0;
}
