/*
 * Names of addresses below in-addr.arpa and ip6.arpa (RFC 1035 3.5, RFC 3596 2.5), and the services
 * that they lead to.
 */
#ifndef CROW_PTR_H
#define CROW_PTR_H

#include "daemon/dns/reply.h"
#include "resolver/image.h"

/* Reads 1.0.0.10.in-addr.arpa and the like; text is folded. Only the one form that resolvers write
 * is accepted. */
bool crow_ptr_parse(const char *text, size_t length, struct crow_addr *out);

/* Adds the names of the services that have an instance there. */
void crow_ptr_put(struct crow_reply *reply, const struct crow_image *img,
		  const struct crow_addr *addr, uint32_t ttl_s);

#endif
