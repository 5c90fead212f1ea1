/*
 * How this host is set up to resolve names and to reach addresses.
 */
#ifndef CROW_HOST_H
#define CROW_HOST_H

#include <stdbool.h>
#include <stddef.h>

#include "resolver/address.h"

/* resolv.conf(5): more than three are ignored (MAXNS). */
#define CROW_NAMESERVERS_MAX 3

/* The name servers of a resolv.conf; returns how many, 0 too if there is no such file. */
size_t crow_host_nameservers(const char *path, struct crow_addr out[CROW_NAMESERVERS_MAX]);

/* Whether nsswitch.conf(5) lets programs ask DNS for host names, itself or by systemd-resolved. */
bool crow_host_asks_dns(void);

/* Whether an address is in a network of this host's own interfaces, so that no router is between. */
bool crow_host_is_onlink(const struct crow_addr *addr);

#endif
