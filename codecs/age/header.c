#include "codecs/age/header.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "codecs/age/base64.h"
#include "codecs/base/room.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"

#define VERSION_LINE AGE_VERSION_PREFIX "v1"
#define STANZA_BEGIN "-> "
#define MAC_BEGIN    "---"

enum {
        ROOM_FIRST = 4096,
        MAC_LENGTH = 43,
        VERSION_SHOWN = 40,
};

void age_header_deinit(struct age_header *header)
{
        free(header->text);
        free(header->stanzas);
        *header = (struct age_header){ 0 };
}

static int header_append(struct age_header *header, const char *text, size_t size, struct error *err)
{
        size_t wanted = header->size + size < ROOM_FIRST ? ROOM_FIRST : header->size + size;

        if (room_grow(&header->text, &header->room, wanted, 1, err) < 0)
                return -1;
        if (size > 0)
                memcpy(header->text + header->size, text, size);
        header->size += size;
        return 0;
}

bool age_header_is_authentic(const struct age_header *header, const uint8_t file_key[AGE_FILE_KEY_SIZE])
{
        uint8_t mac[AGE_MAC_SIZE];

        age_header_mac(mac, file_key, (const uint8_t *)header->text, header->mac_covers);
        return sodium_memcmp(mac, header->mac, sizeof mac) == 0;
}

/* ---- reading ---- */

/* Looks at the next line, without its end, and copies it into the header's text.
 * *ret_line is good until the next call. */
static int header_next_line(struct age_header *header, struct intake *intake, const char **ret_line, size_t *ret_size,
                            struct error *err)
{
        const uint8_t *bytes, *newline = NULL;
        size_t have = 0, size;

        while (!newline) {
                ssize_t n;

                if (have >= INTAKE_ROOM || header->size + have > AGE_HEADER_MAX)
                        return intake_raise_damaged(intake, "its age header has no end in sight", err);
                n = intake_peek(intake, have + 1, &bytes, err);
                if (n < 0)
                        return -1;
                if ((size_t)n == have)
                        return intake_raise_cut(intake, have, "its age header", err);
                newline = memchr(bytes + have, '\n', intake->end - intake->start - have);
                have = intake->end - intake->start;
        }
        size = (size_t)(newline - bytes) + 1;
        if (header->size + size > AGE_HEADER_MAX)
                return intake_raise_damaged(intake, "its age header is longer than 1 MiB", err);
        if (header_append(header, (const char *)bytes, size, err) < 0)
                return -1;
        *ret_line = header->text + header->size - size;
        *ret_size = size - 1;
        return 0;
}

static void header_take_line(struct intake *intake, size_t size)
{
        intake_skip(intake, size + 1);
}

static int read_version(struct age_header *header, struct intake *intake, struct error *err)
{
        CLEANUP(freep) char *version = NULL;
        size_t prefix = strlen(AGE_VERSION_PREFIX);
        const char *line = "";
        size_t size = 0;

        if (header_next_line(header, intake, &line, &size, err) < 0)
                return -1;
        if (size == strlen(VERSION_LINE) && memcmp(line, VERSION_LINE, size) == 0) {
                header_take_line(intake, size);
                return 0;
        }
        if (size < prefix || memcmp(line, AGE_VERSION_PREFIX, prefix) != 0)
                return intake_raise_damaged(intake, "no age header", err);
        size -= prefix;
        version = text_escape(line + prefix, size < VERSION_SHOWN ? size : VERSION_SHOWN);
        if (!version)
                return error_no_memory(err);
        return error_raise(err, ERR_DAMAGED, "%s is an age file of version '%s'; only v1 is known here", intake->label,
                           version);
}

/* One or more arguments of visible characters, between single spaces. False: they are none. */
static bool read_arguments(const struct age_header *header, size_t at, size_t end, struct age_stanza *stanza)
{
        for (;; at++) {
                size_t begin = at;

                while (at < end && header->text[at] > ' ' && header->text[at] <= '~')
                        at++;
                if (at == begin || (at < end && header->text[at] != ' '))
                        return false;
                if (stanza->argument_count < AGE_ARGUMENTS_KEPT) {
                        stanza->arguments[stanza->argument_count].at = begin;
                        stanza->arguments[stanza->argument_count].size = at - begin;
                }
                stanza->argument_count++;
                if (at == end)
                        return true;
        }
}

static int read_body(struct age_header *header, struct intake *intake, struct age_stanza *stanza, struct error *err)
{
        uint8_t bytes[AGE_LINE_BYTES];
        const char *line = "";
        size_t length = 0, size = 0;

        do {
                if (header_next_line(header, intake, &line, &length, err) < 0)
                        return -1;
                if (length > AGE_COLUMNS ||
                    !age_base64_decode(bytes, sizeof bytes, line, length, /* padded= */ false, &size))
                        return intake_raise_damaged(
                                intake, "the body of a recipient's stanza is not written as age writes it", err);
                for (size_t i = 0; i < size; i++, stanza->body_size++)
                        if (stanza->body_size < AGE_BODY_KEPT)
                                stanza->body[stanza->body_size] = bytes[i];
                header_take_line(intake, length);
        } while (length == AGE_COLUMNS);
        return 0;
}

static int read_stanza(struct age_header *header, struct intake *intake, size_t length, struct error *err)
{
        struct age_stanza stanza = { .argument_count = 0 };
        size_t arguments = header->size - length - 1 + strlen(STANZA_BEGIN);

        if (!read_arguments(header, arguments, header->size - 1, &stanza))
                return intake_raise_damaged(
                        intake, "the arguments of a recipient's stanza are not written as age writes them", err);
        if (header->count == AGE_STANZAS_MAX)
                return intake_raise_damaged(intake, "it is encrypted for more than 1000 recipients", err);
        if (room_grow(&header->stanzas, &header->stanza_room, header->count + 1, sizeof stanza, err) < 0)
                return -1;
        header_take_line(intake, length);
        if (read_body(header, intake, &stanza, err) < 0)
                return -1;
        header->stanzas[header->count++] = stanza;
        return 0;
}

static int read_mac(struct age_header *header, struct intake *intake, const char *line, size_t length,
                    struct error *err)
{
        size_t begin = strlen(MAC_BEGIN) + 1, size;

        if (length != begin + MAC_LENGTH || line[begin - 1] != ' ' ||
            !age_base64_decode(header->mac, sizeof header->mac, line + begin, MAC_LENGTH, /* padded= */ false, &size) ||
            size != sizeof header->mac)
                return intake_raise_damaged(intake, "the last line of its age header is not written as age writes it",
                                            err);
        if (header->count == 0)
                return intake_raise_damaged(intake, "its age header names no recipient", err);
        header->mac_covers = header->size - length - 1 + strlen(MAC_BEGIN);
        header_take_line(intake, length);
        return 0;
}

static bool begins(const char *line, size_t length, const char *with)
{
        return length >= strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

int age_header_read(struct age_header *header, struct intake *intake, struct error *err)
{
        const char *line = "";
        size_t length = 0;

        *header = (struct age_header){ 0 };
        if (read_version(header, intake, err) < 0)
                return -1;
        for (;;) {
                if (header_next_line(header, intake, &line, &length, err) < 0)
                        return -1;
                if (begins(line, length, MAC_BEGIN))
                        return read_mac(header, intake, line, length, err);
                if (!begins(line, length, STANZA_BEGIN))
                        return intake_raise_damaged(intake, "a line of its age header is none that age writes", err);
                if (read_stanza(header, intake, length, err) < 0)
                        return -1;
        }
}

/* ---- building ---- */

static int header_append_base64(struct age_header *header, const uint8_t *bytes, size_t size, struct error *err)
{
        char text[AGE_COLUMNS + 2];

        sodium_bin2base64(text, sizeof text, bytes, size, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
        if (header_append(header, text, strlen(text), err) < 0)
                return -1;
        return header_append(header, "\n", 1, err);
}

static int header_append_text(struct age_header *header, const char *text, struct error *err)
{
        return header_append(header, text, strlen(text), err);
}

int age_header_add(struct age_header *header, const char *arguments, const uint8_t *body, size_t size,
                   struct error *err)
{
        if (header->size == 0 && header_append_text(header, VERSION_LINE "\n", err) < 0)
                return -1;
        if (header_append_text(header, STANZA_BEGIN, err) < 0 || header_append_text(header, arguments, err) < 0 ||
            header_append_text(header, "\n", err) < 0)
                return -1;
        for (; size >= AGE_LINE_BYTES; body += AGE_LINE_BYTES, size -= AGE_LINE_BYTES)
                if (header_append_base64(header, body, AGE_LINE_BYTES, err) < 0)
                        return -1;
        return header_append_base64(header, body, size, err);
}

int age_header_end(struct age_header *header, const uint8_t file_key[AGE_FILE_KEY_SIZE], struct error *err)
{
        if (header_append_text(header, MAC_BEGIN, err) < 0)
                return -1;
        header->mac_covers = header->size;
        age_header_mac(header->mac, file_key, (const uint8_t *)header->text, header->mac_covers);
        if (header_append_text(header, " ", err) < 0)
                return -1;
        return header_append_base64(header, header->mac, sizeof header->mac, err);
}
