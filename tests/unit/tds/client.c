#include "client.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "core/base/cleanup.h"

enum { PATIENCE_MS = 20000, HEADER = 8, LOGIN_FIXED = 94 };

const struct login usual_login = {
        .version = 0x74000004,
        .packet_size = 4096,
        .user = "sa",
        .password = "secret",
        .database = "pubs",
};

void bytes_free(struct bytes *bytes)
{
        free(bytes->data);
        *bytes = (struct bytes){ .data = NULL };
}

void put(struct bytes *bytes, const void *data, size_t size)
{
        bytes->data = realloc(bytes->data, bytes->size + size + 1);
        assert_non_null(bytes->data);
        if (size > 0)
                memcpy(bytes->data + bytes->size, data, size);
        bytes->size += size;
}

void put_number(struct bytes *bytes, uint64_t value, size_t size)
{
        for (size_t i = 0; i < size; i++)
                put(bytes, &(uint8_t){ i < 8 ? (uint8_t)(value >> (8 * i)) : 0 }, 1);
}

void put_utf16(struct bytes *bytes, const char *ascii)
{
        for (; *ascii; ascii++)
                put_number(bytes, (unsigned char)*ascii, 2);
}

void put_message(struct bytes *out, uint8_t type, uint8_t status, const struct bytes *body, size_t packet_size)
{
        size_t at = 0;

        do {
                size_t left = body->size - at;
                size_t size = left < packet_size - HEADER ? left : packet_size - HEADER;
                const uint8_t header[HEADER] = { type, (uint8_t)(status | (at + size == body->size)),
                                                 (uint8_t)((size + HEADER) >> 8), (uint8_t)(size + HEADER) };

                put(out, header, sizeof header);
                if (size > 0)
                        put(out, body->data + at, size);
                at += size;
        } while (at < body->size);
}

void put_headers(struct bytes *body)
{
        put_number(body, 22, 4);
        put_number(body, 18, 4);
        put_number(body, 2, 2); /* of the transaction */
        put_number(body, 0, 8);
        put_number(body, 1, 4);
}

void put_batch(struct bytes *out, const char *ascii)
{
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        put_headers(&body);
        put_utf16(&body, ascii);
        put_message(out, 1, 0, &body, 4096);
}

void put_attention(struct bytes *out)
{
        put_message(out, 6, 0, &(struct bytes){ .data = NULL }, 4096);
}

void put_login_body(struct bytes *body, const struct login *login)
{
        const char *texts[] = { "host",    login->user, login->password, "app", "server", "",
                                "library", "",          login->database };
        size_t fixed = login->version < 0x72000000 ? 86 : LOGIN_FIXED;
        size_t offset = fixed;
        CLEANUP(bytes_free) struct bytes data = { .data = NULL };

        put_number(body, 0, 4); /* the length */
        put_number(body, login->version, 4);
        put_number(body, login->packet_size, 4);
        put_number(body, 0, 8);
        put_number(body, 0, 4);
        put_number(body, login->flags1, 1);
        put_number(body, login->flags2, 1);
        put_number(body, 0, 10);
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
                size_t length = strlen(texts[i]);

                put_number(body, offset, 2);
                put_number(body, length, 2);
                put_utf16(&data, texts[i]);
                for (size_t at = data.size - 2 * length; i == 2 && at < data.size; at++)
                        data.data[at] = (uint8_t)((data.data[at] << 4 | data.data[at] >> 4) ^ 0xa5);
                offset += 2 * length;
        }
        while (body->size < fixed)
                put_number(body, 0, 1);
        put(body, data.data, data.size);
        for (int i = 0; i < 4; i++)
                body->data[i] = (uint8_t)(body->size >> (8 * i));
}

void put_prelogin(struct bytes *out, uint8_t encryption)
{
        const uint8_t options[] = { 0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff, 9, 0, 0, 0, 0, 0, encryption };

        put_message(out, 0x12, 0, &(struct bytes){ (uint8_t *)(uintptr_t)options, sizeof options }, 4096);
}

void put_login(struct bytes *out, const struct login *login)
{
        CLEANUP(bytes_free) struct bytes body = { .data = NULL };

        put_prelogin(out, login->encryption);
        put_login_body(&body, login);
        put_message(out, 0x10, 0, &body, 4096);
}

static void receive_exactly(int fd, uint8_t *data, size_t size)
{
        for (size_t have = 0; have < size;) {
                struct pollfd polled = { .fd = fd, .events = POLLIN };
                ssize_t n;

                assert_int_equal(poll(&polled, 1, PATIENCE_MS), 1);
                n = recv(fd, data + have, size - have, 0);
                assert_true(n > 0);
                have += (size_t)n;
        }
}

size_t receive_message(int fd, struct bytes *ret_payload, size_t packet_max)
{
        static uint8_t packet[65536];
        size_t count = 0;

        do {
                size_t length;

                receive_exactly(fd, packet, HEADER);
                length = (size_t)(packet[2] << 8 | packet[3]);
                assert_int_equal(packet[0], 4);
                assert_true(packet[1] <= 1);
                assert_in_range(length, HEADER, packet_max);
                assert_int_equal(packet[6], (uint8_t)++count);
                receive_exactly(fd, packet + HEADER, length - HEADER);
                put(ret_payload, packet + HEADER, length - HEADER);
        } while (packet[1] == 0);
        return count;
}

/* ---- showing ---- */

struct show {
        const uint8_t *at;
        const uint8_t *end;
        uint32_t version;
        uint8_t types[TDS_COLUMNS_MAX];
        bool chunked[TDS_COLUMNS_MAX];
        size_t columns;
        FILE *out;
};

static uint64_t number(struct show *show, size_t size)
{
        uint64_t value = 0;

        assert_true((size_t)(show->end - show->at) >= size);
        for (size_t i = size; i > 0; i--)
                value = value << 8 | show->at[i - 1];
        show->at += size;
        return value;
}

static size_t wide(const struct show *show)
{
        return show->version >= 0x72000000 ? 4 : 2;
}

/* UTF-16; what is not ASCII as \uXXXX. */
static void show_text(struct show *show, size_t units)
{
        fputc('\'', show->out);
        while (units-- > 0) {
                unsigned unit = (unsigned)number(show, 2);

                if (unit >= 0x20 && unit < 0x7f)
                        fputc((int)unit, show->out);
                else
                        fprintf(show->out, "\\u%04x", unit);
        }
        fputc('\'', show->out);
}

static void show_hex(struct show *show, size_t size)
{
        while (size-- > 0)
                fprintf(show->out, "%02x", (unsigned)number(show, 1));
}

static void show_change(struct show *show)
{
        const uint8_t *end = show->at + 2;
        unsigned what;

        end += number(show, 2);
        what = (unsigned)number(show, 1);
        fprintf(show->out, "change %u", what);
        for (int i = 0; i < 2; i++) {
                size_t length = number(show, 1);

                fputc(' ', show->out);
                if (what <= 4)
                        show_text(show, length);
                else
                        show_hex(show, length);
        }
        assert_ptr_equal(show->at, end);
}

static void show_message(struct show *show, const char *kind)
{
        const uint8_t *end = show->at + 2;
        long count;
        unsigned state;

        end += number(show, 2);
        count = (long)number(show, 4);
        state = (unsigned)number(show, 1);
        fprintf(show->out, "%s %ld state %u severity %u ", kind, count, state, (unsigned)number(show, 1));
        show_text(show, number(show, 2));
        fputs(" from ", show->out);
        show_text(show, number(show, 1));
        fputc(' ', show->out);
        show_text(show, number(show, 1));
        fprintf(show->out, " line %lu", (unsigned long)number(show, wide(show)));
        assert_ptr_equal(show->at, end);
}

static void show_ack(struct show *show)
{
        number(show, 2);
        assert_int_equal(number(show, 1), 1);
        fputs("ack ", show->out);
        show_hex(show, 4);
        fputc(' ', show->out);
        show_text(show, number(show, 1));
        fputc(' ', show->out);
        show_hex(show, 4);
}

/* TYPE_INFO; returns whether values come in chunks. */
static bool show_type(struct show *show, uint8_t *ret_type)
{
        uint8_t type = (uint8_t)number(show, 1);
        bool chunked = false;

        *ret_type = type;
        fprintf(show->out, "%02x", type);
        if (type == 0xe7) {
                unsigned size = (unsigned)number(show, 2);

                chunked = size == 0xffff;
                fprintf(show->out, "(%u)", size);
                assert_int_equal(number(show, 5), 0x3400d00409);
                return chunked;
        }
        fprintf(show->out, "(%u", (unsigned)number(show, 1));
        if (type == 0x6c) {
                unsigned precision = (unsigned)number(show, 1);

                fprintf(show->out, ",%u,%u", precision, (unsigned)number(show, 1));
        }
        fputc(')', show->out);
        return chunked;
}

static void show_columns(struct show *show)
{
        fputs("columns", show->out);
        show->columns = number(show, 2);
        assert_in_range(show->columns, 0, TDS_COLUMNS_MAX);
        for (size_t i = 0; i < show->columns; i++) {
                assert_int_equal(number(show, wide(show)), 0);
                assert_int_equal(number(show, 2), 9);
                fputc(' ', show->out);
                show->chunked[i] = show_type(show, &show->types[i]);
                show_text(show, number(show, 1));
        }
}

static void show_chunks(struct show *show)
{
        uint64_t total = number(show, 8);
        size_t size;

        if (total == UINT64_MAX) {
                fputs("NULL", show->out);
                return;
        }
        while ((size = number(show, 4)) > 0) {
                total -= size;
                show_text(show, size / 2);
        }
        assert_int_equal(total, 0);
}

static void show_value(struct show *show, uint8_t type, bool chunked)
{
        size_t size;

        if (chunked) {
                show_chunks(show);
                return;
        }
        size = number(show, type == 0xe7 ? 2 : 1);
        if (size == (type == 0xe7 ? 0xffff : 0))
                fputs("NULL", show->out);
        else if (type == 0xe7)
                show_text(show, size / 2);
        else
                show_hex(show, size);
}

static void show_row(struct show *show)
{
        fputs("row", show->out);
        for (size_t i = 0; i < show->columns; i++) {
                fputc(' ', show->out);
                show_value(show, show->types[i], show->chunked[i]);
        }
}

static void show_done(struct show *show, const char *kind)
{
        unsigned status = (unsigned)number(show, 2);

        number(show, 2);
        fprintf(show->out, "%s %02x %lu", kind, status, (unsigned long)number(show, 2 * wide(show)));
}

static void show_return_value(struct show *show)
{
        uint8_t type;

        assert_int_equal(number(show, 2), 0);
        fputs("value ", show->out);
        show_text(show, number(show, 1));
        assert_int_equal(number(show, 1), 1);
        number(show, wide(show) + 2);
        fputc(' ', show->out);
        show_type(show, &type);
        fputc(' ', show->out);
        show_value(show, type, false);
}

static void show_token(struct show *show)
{
        uint8_t kind = (uint8_t)number(show, 1);

        switch (kind) {
        case 0x79:
                fprintf(show->out, "status %ld", (long)number(show, 4));
                break;
        case 0x81:
                show_columns(show);
                break;
        case 0xaa:
        case 0xab:
                show_message(show, kind == 0xaa ? "error" : "info");
                break;
        case 0xac:
                show_return_value(show);
                break;
        case 0xad:
                show_ack(show);
                break;
        case 0xd1:
                show_row(show);
                break;
        case 0xe3:
                show_change(show);
                break;
        case 0xfd:
        case 0xfe:
        case 0xff:
                show_done(show, kind == 0xfd ? "done" : kind == 0xfe ? "done-call" : "done-in-call");
                break;
        default:
                fail_msg("token of kind 0x%02x", kind);
        }
        fputc('\n', show->out);
}

char *show_tokens(const struct bytes *payload, uint32_t version)
{
        struct show show = { .at = payload->data, .end = payload->data + payload->size, .version = version };
        char *text = NULL;
        size_t size;

        show.out = open_memstream(&text, &size);
        assert_non_null(show.out);
        while (show.at < show.end)
                show_token(&show);
        fclose(show.out);
        return text;
}

void expect_answer(int fd, uint32_t version, const char *expected)
{
        CLEANUP(bytes_free) struct bytes payload = { .data = NULL };
        CLEANUP(freep) char *text = NULL;

        receive_message(fd, &payload, TDS_PACKET_MAX);
        text = show_tokens(&payload, version);
        assert_string_equal(text, expected);
}
