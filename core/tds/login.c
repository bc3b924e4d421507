#include "core/tds/login.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "core/base/cleanup.h"

/* ---- pre-login ---- */

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

/* ---- login ---- */

/* Where the fixed part of LOGIN7 has what. */
enum {
        LOGIN_FIXED_7_1 = 86, /* bytes; two more fields since 7.2 */
        LOGIN_FIXED = 94,
        LOGIN_FIELDS = 36, /* offset and length of each text */
        FLAGS_1_NUMBERS = 0x0f,
        FLAGS_2_INTEGRATED = 0x80,
};

/* The texts in the order of their places, 4 bytes each. */
struct login_field {
        const char *what;
        size_t at; /* in struct tds_login; SIZE_MAX: of no interest */
};

static const struct login_field login_fields[] = {
        { "host name", offsetof(struct tds_login, host) },
        { "user name", offsetof(struct tds_login, user) },
        { "password", offsetof(struct tds_login, password) },
        { "application name", offsetof(struct tds_login, application) },
        { "server name", offsetof(struct tds_login, server) },
        { "extension", SIZE_MAX },
        { "library name", offsetof(struct tds_login, library) },
        { "language", SIZE_MAX },
        { "database name", offsetof(struct tds_login, database) },
};

static char **login_text(struct tds_login *login, const struct login_field *field)
{
        return (char **)((uint8_t *)login + field->at);
}

void tds_login_deinit(struct tds_login *login)
{
        if (login->password)
                explicit_bzero(login->password, strlen(login->password));
        for (size_t i = 0; i < sizeof login_fields / sizeof login_fields[0]; i++)
                if (login_fields[i].at != SIZE_MAX)
                        freep(login_text(login, &login_fields[i]));
}

/* The password is disguised, not encrypted: each byte with its halves exchanged, then XORed. */
static void login_reveal_password(uint8_t *bytes, size_t size)
{
        for (size_t i = 0; i < size; i++) {
                uint8_t byte = bytes[i] ^ 0xa5;

                bytes[i] = (uint8_t)(byte >> 4 | byte << 4);
        }
}

static int login_take_field(const struct tds_message *message, size_t fixed, const struct login_field *field,
                            struct tds_cursor *places, struct tds_login *login, struct error *err)
{
        size_t offset = tds_get_u16(places);
        size_t size = 2 * (size_t)tds_get_u16(places);
        bool is_password = field->at == offsetof(struct tds_login, password);
        uint8_t bytes[2 * TDS_LOGIN_TEXT_MAX];
        char **text;

        if (field->at == SIZE_MAX)
                return 0;
        if (size == 0)
                offset = fixed;
        if (size > sizeof bytes || offset < fixed || offset > message->size || size > message->size - offset)
                return error_raise(err, ERR_PROTOCOL,
                                   "TDS client sent a login whose %s lies outside of it or is too long", field->what);
        memcpy(bytes, message->body + offset, size);
        if (is_password)
                login_reveal_password(bytes, size);
        text = login_text(login, field);
        *text = tds_text_decode(TDS_UTF16, bytes, size);
        if (is_password)
                explicit_bzero(bytes, sizeof bytes);
        if (!*text && errno == EILSEQ)
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a login whose %s is no text", field->what);
        return *text ? 0 : error_no_memory(err);
}

int tds_login_parse(const struct tds_message *message, struct tds_login *login, struct tds_login_wishes *wishes,
                    struct error *err)
{
        struct tds_cursor cursor = tds_cursor_on(message->body, message->size);
        uint32_t length = tds_get_u32(&cursor);
        uint32_t version = tds_get_u32(&cursor);
        size_t fixed = version < TDS_VERSION_7_2 ? LOGIN_FIXED_7_1 : LOGIN_FIXED;
        struct tds_cursor places;

        if (message->size < fixed || length != message->size)
                return error_raise(err, ERR_PROTOCOL, "TDS client sent a login of %zu bytes that says it has %u",
                                   message->size, length);
        wishes->version = version;
        wishes->packet_size = tds_get_u32(&cursor);
        wishes->foreign_numbers = (message->body[24] & FLAGS_1_NUMBERS) != 0;
        wishes->integrated = (message->body[25] & FLAGS_2_INTEGRATED) != 0;
        places = tds_cursor_on(message->body + LOGIN_FIELDS, fixed - LOGIN_FIELDS);
        for (size_t i = 0; i < sizeof login_fields / sizeof login_fields[0]; i++)
                if (login_take_field(message, fixed, &login_fields[i], &places, login, err) < 0)
                        return -1;
        return 0;
}
