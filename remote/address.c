/* SPDX-License-Identifier: MIT */
/* address.c - addresses in words; see address.h */
#include "address.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <many.h>

static int address_read_local(many_address_ *address, const char *name, const char *function)
{
    const size_t bytes = strlen(name);

    address->local = 1;
    address->un.sun_family = AF_UNIX;
    if (bytes == 0 || (name[0] == '@' && bytes == 1))
        return many_fail(-EINVAL, "%s: .address has no name behind unix:", function);
    if (bytes >= sizeof address->un.sun_path)
        return many_fail(-ENAMETOOLONG, "%s: a name behind unix: has at most %zu bytes", function,
                         sizeof address->un.sun_path - 1);
    memcpy(address->un.sun_path, name, bytes);
    address->un_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    if (name[0] == '@') {
        address->un.sun_path[0] =
            '\0'; /* Linux's abstract names; they end where their length says */
    } else {
        address->in_files = 1;
        address->un_bytes++;
    }
    return 0;
}

/* Split HOST:PORT or [HOST]:PORT. 0 or -EINVAL. */
static int address_split(const char *text, char host[MANY_ADDRESS_TEXT_], const char **port)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : strrchr(text, ':');
    const char *begin = text[0] == '[' ? text + 1 : text;
    size_t digits;

    if (end == NULL || (size_t)(end - begin) >= MANY_ADDRESS_TEXT_)
        return -EINVAL;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    if (text[0] == '[')
        end++;
    else if (strchr(host, ':') != NULL)
        return -EINVAL; /* an IPv6 number without brackets: where does it end? */
    if (*end != ':')
        return -EINVAL;
    *port = end + 1;
    digits = strspn(*port, "0123456789");
    return digits >= 1 && digits <= 5 && (*port)[digits] == '\0' && atoi(*port) <= 65535 ? 0
                                                                                         : -EINVAL;
}

static int address_look_up(many_address_ *address, const char *host, const char *port, int listener,
                           const char *function)
{
    const struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | (listener ? AI_PASSIVE : 0),
                                   .ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    int code = getaddrinfo(host[0] == '\0' ? NULL : host, port, &hints, &address->found);

    if (code == 0)
        return 0;
    address->found = NULL;
    if (code == EAI_MEMORY || (code == EAI_SYSTEM && errno == ENOMEM))
        return many_fail(-ENOMEM, "%s: no memory to look up %s", function, host);
    return many_fail(-EHOSTUNREACH, "%s: host %s has no address: %s", function, host,
                     gai_strerror(code));
}

int many_address_read_(many_address_ *address, const char *text, int listener, const char *function)
{
    char host[MANY_ADDRESS_TEXT_];
    const char *port = NULL;

    memset(address, 0, sizeof *address);
    if (text == NULL)
        return many_fail(-EINVAL, "%s: .address is missing: unix:/path or tcp:HOST:PORT", function);
    if (strncmp(text, "unix:", 5) == 0)
        return address_read_local(address, text + 5, function);
    if (strlen(text) >= MANY_ADDRESS_TEXT_ || strncmp(text, "tcp:", 4) != 0 ||
        address_split(text + 4, host, &port) < 0)
        return many_fail(-EINVAL,
                         "%s: .address is \"%.80s\": unix:/path, unix:@name, tcp:HOST:PORT or "
                         "tcp:[::1]:PORT",
                         function, text);
    if (!listener && (host[0] == '\0' || atoi(port) == 0))
        return many_fail(-EINVAL, "%s: .address is \"%.80s\": to connect it needs a %s", function,
                         text, host[0] == '\0' ? "host" : "port");
    return address_look_up(address, host, port, listener, function);
}

void many_address_free_(many_address_ *address)
{
    if (address->found != NULL)
        freeaddrinfo(address->found);
    address->found = NULL;
}

void many_address_name_(int socket, char text[MANY_ADDRESS_TEXT_])
{
    struct sockaddr_storage bound;
    socklen_t bytes = sizeof bound;
    char host[128], port[8];

    text[0] = '\0';
    memset(&bound, 0, sizeof bound);
    if (getsockname(socket, (struct sockaddr *)&bound, &bytes) == 0 &&
        getnameinfo((struct sockaddr *)&bound, bytes, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(text, MANY_ADDRESS_TEXT_, strchr(host, ':') != NULL ? "tcp:[%s]:%s" : "tcp:%s:%s",
                 host, port);
}
