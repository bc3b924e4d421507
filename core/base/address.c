#include "core/base/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <strings.h>

bool address_is_loopback(const struct sockaddr *address)
{
        if (address->sa_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24 ==
                       IN_LOOPBACKNET;
        return address->sa_family == AF_INET6 &&
               IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

const char *address_spell_host(const char *host)
{
        struct addrinfo *found = NULL;

        if (strcasecmp(host, "localhost") != 0)
                return host;
        if (getaddrinfo(host, /* service= */ NULL, /* hints= */ NULL, &found) != 0)
                return "127.0.0.1";
        freeaddrinfo(found);
        return host;
}
