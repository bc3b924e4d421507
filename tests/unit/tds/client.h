/*
 * client.h - a TDS client of bytes: builds packets by hand, and shows answers as text
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/tds/tds.h"

enum { BYTES_MAX = 1 << 20 };

struct bytes {
        uint8_t *data;
        size_t size;
};

void bytes_free(struct bytes *bytes);
void put(struct bytes *bytes, const void *data, size_t size);
void put_number(struct bytes *bytes, uint64_t value, size_t size); /* little-endian */
void put_utf16(struct bytes *bytes, const char *ascii);

/* A message of `type` in packets of at most `packet_size` bytes; `status` is or-ed to that of each. */
void put_message(struct bytes *out, uint8_t type, uint8_t status, const struct bytes *body, size_t packet_size);

/* The headers that begin a request since TDS 7.2. */
void put_headers(struct bytes *body);

/* A whole batch. */
void put_batch(struct bytes *out, const char *ascii);
void put_attention(struct bytes *out);

struct login {
        uint32_t version;
        uint32_t packet_size;
        const char *user;
        const char *password;
        const char *database;
        uint8_t flags1;
        uint8_t flags2;
        uint8_t encryption; /* of the pre-login */
};

extern const struct login usual_login; /* sa, secret, pubs, 7.4, 4096 */

/* The body of LOGIN7. */
void put_login_body(struct bytes *body, const struct login *login);
void put_prelogin(struct bytes *out, uint8_t encryption);
/* Both messages. */
void put_login(struct bytes *out, const struct login *login);

/* Reads a whole message from the server: its packets' payload, and how many they were. Fails the test when it ends
 * early or takes more than some seconds. */
size_t receive_message(int fd, struct bytes *ret_payload, size_t packet_max);

/* The tokens of a message, a line each. `version` decides the widths. Allocated. */
char *show_tokens(const struct bytes *payload, uint32_t version);

/* The next message as text must be this; `version` as above. */
void expect_answer(int fd, uint32_t version, const char *expected);
