/*
 * Networks, and who of them may ask this daemon something. Pure.
 */
#ifndef CROW_CIDR_H
#define CROW_CIDR_H

#include "resolver/address.h"

struct crow_cidr {
	struct crow_addr addr;
	unsigned bits; /* of the 128; a v4 prefix /8 is 104 */
};

struct crow_cidrs {
	struct crow_cidr *items;
	size_t count;
};

bool crow_cidr_parse(const char *text, struct crow_cidr *out);
bool crow_cidr_contains(const struct crow_cidr *cidr, const struct crow_addr *addr);

bool crow_addr_is_loopback(const struct crow_addr *addr);
/* 0.0.0.0 and ::, which mean every address of this host to a socket that is bound to them. */
bool crow_addr_is_wildcard(const struct crow_addr *addr);

/* Whether who asks at our address `own` is this host itself: it comes from loopback, or from that
 * very address. The kernel takes neither from outside as a source. */
bool crow_addr_is_this_host(const struct crow_addr *peer, const struct crow_addr *own);
/* The rule of every `allow=`: this host may always ask, others if a network of allow covers them. */
bool crow_cidrs_admit(const struct crow_cidrs *allow, const struct crow_addr *peer,
		      const struct crow_addr *own);

#endif
