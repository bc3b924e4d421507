#include "core/tds/internal.h"

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

enum { OPTION_ENTRY = 5, OPTIONS_MAX = 32 };

static uint16_t get_u16_big(struct tds_cursor *cursor)
{
        uint16_t high = tds_get_u8(cursor);

        return (uint16_t)(high << 8 | tds_get_u8(cursor));
}

/* Of what a client says here only one thing matters: whether it wants encryption. */
static int read_options(const struct tds_message *message, bool *ret_wants_encryption, struct error *err)
{
        struct tds_cursor entries = tds_cursor_on(message->body, message->size);

        for (int i = 0; i < OPTIONS_MAX; i++) {
                uint8_t option = tds_get_u8(&entries);
                size_t offset;
                size_t size;

                if (!entries.bad && option == OPTION_END)
                        return 0;
                offset = get_u16_big(&entries);
                size = get_u16_big(&entries);
                if (entries.bad || offset > message->size || size > message->size - offset)
                        break;
                if (option == OPTION_ENCRYPTION && size > 0)
                        *ret_wants_encryption =
                                message->body[offset] == ENCRYPTION_ON || message->body[offset] == ENCRYPTION_REQUIRED;
        }
        return error_raise(err, ERR_PROTOCOL, "TDS client sent a pre-login message that cannot be read");
}

int tds_prelogin_answer(struct tds_session *session, const struct tds_server *server, const struct tds_message *message,
                        struct error *err)
{
        const uint8_t version[] = { (uint8_t)(server->version >> 24),
                                    (uint8_t)(server->version >> 16),
                                    (uint8_t)(server->version >> 8),
                                    (uint8_t)server->version,
                                    0,
                                    0 };
        static const uint8_t encryption[] = { ENCRYPTION_NOT_SUPPORTED };
        static const uint8_t zero[] = { 0 };
        const struct {
                uint8_t option;
                const uint8_t *bytes;
                uint8_t size;
        } options[] = {
                { OPTION_VERSION, version, sizeof version }, { OPTION_ENCRYPTION, encryption, sizeof encryption },
                { OPTION_INSTANCE, zero, sizeof zero },      { OPTION_THREAD, zero, 0 },
                { OPTION_MARS, zero, sizeof zero },
        };
        enum { COUNT = sizeof options / sizeof options[0] };
        struct tds_token answer = { .size = 0 };
        size_t offset = COUNT * OPTION_ENTRY + 1;

        if (read_options(message, &session->wants_encryption, err) < 0)
                return -1;
        for (size_t i = 0; i < COUNT; i++) {
                const uint8_t entry[OPTION_ENTRY] = { options[i].option, 0, (uint8_t)offset, 0, options[i].size };

                tds_put(&answer, entry, sizeof entry);
                offset += options[i].size;
        }
        tds_put_number(&answer, OPTION_END, 1);
        for (size_t i = 0; i < COUNT; i++)
                tds_put(&answer, options[i].bytes, options[i].size);
        tds_output_token(session, &answer);
        tds_output_flush(session, /* end= */ true);
        return 0;
}
