#include <errno.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "core/base/address.h"
#include "core/base/cleanup.h"
#include "core/base/text.h"
#include "core/mssql/mssql.h"

enum { PORT_DEFAULT = 1433, PART_MAX = 1024 /* bytes */ };

static const char uri_scheme[] = "mssql://";
static const char uri_form[] = "mssql://[USER@]HOST[:PORT]/DATABASE";

bool mssql_uri_is(const char *text)
{
        return strncasecmp(text, uri_scheme, sizeof uri_scheme - 1) == 0;
}

/* "%41" stands for "A". The words name the part, never its content: it may hold what is secret. */
static int uri_decode(const char *part, size_t length, const char *what, char **ret_text, struct error *err)
{
        CLEANUP(freep) char *text = malloc(length + 1);
        size_t used = 0;

        if (!text)
                return error_no_memory(err);
        for (size_t i = 0; i < length; i++) {
                int high = part[i] == '%' && i + 2 < length ? text_hex_digit(part[i + 1]) : -1;
                int low = high >= 0 ? text_hex_digit(part[i + 2]) : -1;

                if (part[i] != '%') {
                        text[used++] = part[i];
                        continue;
                }
                if (low < 0 || (high | low) == 0)
                        return error_raise(err, ERR_USAGE,
                                           "the %s of the URI has a '%%' that stands for no character; "
                                           "write %%25 for '%%'",
                                           what);
                text[used++] = (char)(high << 4 | low);
                i += 2;
        }
        text[used] = '\0';
        if (used > PART_MAX || !text_is_utf8(text, used))
                return error_raise(err, ERR_USAGE, "the %s of the URI is %s", what,
                                   used > PART_MAX ? "too long" : "not UTF-8");
        *ret_text = take_ptr(&text);
        return 0;
}

static int uri_parse_user(const char *part, size_t length, struct mssql_uri *uri, struct error *err)
{
        if (memchr(part, ':', length))
                return error_raise(err, ERR_USAGE,
                                   "a password in the URI can be read by every process of this machine; change it, and "
                                   "give the new one by --password-file or --password-fd");
        if (length == 0)
                return error_raise(err, ERR_USAGE, "the URI has nothing before its '@'; write %s", uri_form);
        return uri_decode(part, length, "user", &uri->user, err);
}

static int uri_parse_port(const char *part, size_t length, struct mssql_uri *uri, struct error *err)
{
        unsigned port = 0;
        size_t i = 0;

        while (i < length && part[i] >= '0' && part[i] <= '9' && port <= UINT16_MAX)
                port = port * 10 + (unsigned)(part[i++] - '0');
        if (length == 0 || i < length || port == 0 || port > UINT16_MAX)
                return error_raise(err, ERR_USAGE, "the port of the URI is no number from 1 to 65535");
        uri->port = (uint16_t)port;
        return 0;
}

/* The characters that names and addresses of hosts are made of. */
static bool uri_is_host(const char *part, size_t length, bool bracketed)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:%";
        size_t allowed = bracketed ? sizeof letters - 1 : sizeof letters - 3;

        if (length == 0 || length >= NI_MAXHOST)
                return false;
        for (size_t i = 0; i < length; i++)
                if (!memchr(letters, part[i], allowed))
                        return false;
        return true;
}

static int uri_parse_host(const char *part, size_t length, struct mssql_uri *uri, struct error *err)
{
        bool bracketed = length > 0 && *part == '[';
        const char *host = part + bracketed;
        const char *stop = memchr(host, bracketed ? ']' : ':', length - bracketed);
        size_t host_length = stop ? (size_t)(stop - host) : length - bracketed;
        const char *rest = host + host_length + (bracketed && stop);
        size_t rest_length = length - (size_t)(rest - part);

        if ((bracketed && !stop) || !uri_is_host(host, host_length, bracketed) || (rest_length > 0 && *rest != ':'))
                return error_raise(err, ERR_USAGE, "the URI has no host, or one that cannot be; write %s", uri_form);
        uri->host = strndup(host, host_length);
        if (!uri->host)
                return error_no_memory(err);
        return rest_length > 0 ? uri_parse_port(rest + 1, rest_length - 1, uri, err) : 0;
}

static int uri_parse_database(const char *part, struct mssql_uri *uri, struct error *err)
{
        static const struct {
                char sign;
                const char *code;
        } reserved[] = { { '/', "%2F" }, { '?', "%3F" }, { '#', "%23" } };

        for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
                if (strchr(part, reserved[i].sign))
                        return error_raise(err, ERR_USAGE, "write %s for the '%c' in the database's name",
                                           reserved[i].code, reserved[i].sign);
        return *part ? uri_decode(part, strlen(part), "database", &uri->database, err) : 0;
}

int mssql_uri_parse(const char *text, struct mssql_uri *ret_uri, struct error *err)
{
        const char *authority = text + sizeof uri_scheme - 1;
        const char *at;
        size_t length;

        *ret_uri = (struct mssql_uri){ .port = PORT_DEFAULT };
        if (!mssql_uri_is(text))
                return error_raise(err, ERR_USAGE, "no URI of a SQL Server; write %s", uri_form);
        length = strcspn(authority, "/?#");
        at = memrchr(authority, '@', length);
        if (at && uri_parse_user(authority, (size_t)(at - authority), ret_uri, err) < 0)
                return -1;
        if (at) {
                length -= (size_t)(at + 1 - authority);
                authority = at + 1;
        }
        if (uri_parse_host(authority, length, ret_uri, err) < 0)
                return -1;
        authority += length;
        if (*authority && *authority != '/')
                return error_raise(err, ERR_USAGE, "the URI has a '%c' behind its host; write %s", *authority,
                                   uri_form);
        return *authority ? uri_parse_database(authority + 1, ret_uri, err) : 0;
}

void mssql_uri_deinit(struct mssql_uri *uri)
{
        free(uri->user);
        free(uri->host);
        free(uri->database);
        *uri = (struct mssql_uri){ 0 };
}

/* ---- this machine? ---- */

static bool address_equal(const struct sockaddr *a, const struct sockaddr *b)
{
        if (a->sa_family != b->sa_family)
                return false;
        if (a->sa_family == AF_INET)
                return ((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr ==
                       ((const struct sockaddr_in *)(const void *)b)->sin_addr.s_addr;
        return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr,
                      &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

static bool address_is_own(const struct sockaddr *address, const struct ifaddrs *interfaces)
{
        if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
                return false;
        for (; interfaces; interfaces = interfaces->ifa_next)
                if (interfaces->ifa_addr && address_equal(address, interfaces->ifa_addr))
                        return true;
        return address_is_loopback(address);
}

int mssql_uri_check_local(const struct mssql_uri *uri, struct error *err)
{
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
        struct addrinfo *addresses = NULL;
        struct ifaddrs *interfaces = NULL;
        bool local = true;
        int rc = getaddrinfo(address_spell_host(uri->host), /* service= */ NULL, &hints, &addresses);

        if (rc != 0)
                return error_raise(err, ERR_USAGE, "host '%s': %s", uri->host,
                                   rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
        if (getifaddrs(&interfaces) < 0) {
                freeaddrinfo(addresses);
                return error_raise_errno(err, errno, "the addresses of this machine");
        }
        for (const struct addrinfo *at = addresses; at && local; at = at->ai_next)
                local = address_is_own(at->ai_addr, interfaces);
        freeifaddrs(interfaces);
        freeaddrinfo(addresses);
        if (local)
                return 0;
        return error_raise(err, ERR_USAGE,
                           "host '%s' is another machine: the virtual device interface works within one; run vdipipe "
                           "there",
                           uri->host);
}
