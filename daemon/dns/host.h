/*
 * This host's own addresses, and how a stub resolver on it sorts by them (RFC 6724 rule 9, as
 * glibc, and with it the JVM and node, has it). Pure: netlink.h fills it.
 */
#ifndef CROW_HOST_H
#define CROW_HOST_H

#include "resolver/address.h"

/* Addresses of a family that are kept. Every candidate of an answer is compared with all of them;
 * hosts have a handful, but for those of some container networks, whose many have no prefix. */
#define CROW_HOST_MAX 64

struct crow_host_address {
	struct crow_addr addr;
	uint32_t interface; /* index; the same address may be on two */
	uint8_t bits;       /* of the on-link prefix: 0 to 32, or 0 to 128 */
	bool secondary; /* never the source towards its prefix: the primary address of that is */
};

struct crow_host_entry {
	uint64_t high, low; /* the address as two numbers of host order */
	unsigned shared;    /* leading bits that another one must have to be on-link */
	struct crow_host_address key;
};

struct crow_host {
	struct crow_host_family {
		size_t count;
		struct crow_host_entry entries[CROW_HOST_MAX]; /* the longest prefix first */
	} v4, v6;
};

void crow_host_clear(struct crow_host *host);
/* Adds an address, or replaces what is known of it. If there are too many of a family, the one with
 * the longest prefix goes: it covers the fewest instances. */
void crow_host_add(struct crow_host *host, const struct crow_host_address *address);
void crow_host_remove(struct crow_host *host, const struct crow_host_address *address);

/* How many leading bits a destination shares with the address that this host would send from: the
 * higher, the earlier a stub resolver tries it. IPv4: 0 unless both are in one on-link prefix. */
unsigned crow_host_match(const struct crow_host *host, const struct crow_addr *destination);

#endif
