/*
 * An address of an instance: 16 bytes, IPv4 as v4-mapped IPv6 (RFC 4291 2.5.5.2), so that one
 * comparison serves both families and the v4-mapped sockets that every JVM uses.
 */
#ifndef CROW_ADDRESS_H
#define CROW_ADDRESS_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

struct crow_addr {
	uint8_t bytes[16];
};

enum crow_family { CROW_ANY, CROW_V4, CROW_V6 };

/* "[" + 45 characters of IPv6 + "]:" + 5 digits + NUL, rounded up. */
#define CROW_ENDPOINT_TEXT 64

/* Inline, as what looks at an address first: every record of an answer is made with it. */
static inline struct crow_addr crow_addr_v4(const void *four_bytes)
{
	uint32_t words[4] = {0, 0, htonl(0xffff)};
	struct crow_addr addr;

	/* By words, and stored in one piece: whoever reads it next reads more than four bytes. */
	memcpy(&words[3], four_bytes, sizeof(words[3]));
	memcpy(addr.bytes, words, sizeof(words));
	return addr;
}

struct crow_addr crow_addr_v6(const void *sixteen_bytes);

/* Inline: whoever looks at an address asks this first. */
static inline bool crow_addr_is_v4(const struct crow_addr *addr)
{
	static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

	return memcmp(addr->bytes, prefix, sizeof(prefix)) == 0;
}

/* The four bytes of a v4-mapped address, borrowed from addr. */
static inline const uint8_t *crow_addr_v4_bytes(const struct crow_addr *addr)
{
	return addr->bytes + 12;
}

/* Inline: two words for the compiler, where an order takes a call. */
static inline bool crow_addr_equal(const struct crow_addr *a, const struct crow_addr *b)
{
	return memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

/* Order: IPv4 before IPv6, then by value. */
int crow_addr_compare(const struct crow_addr *a, const struct crow_addr *b);

/* The finalizer of MurmurHash3 (Appleby) over the folded address. Inline: each connect() of a program to
 * anywhere is decided by it. */
static inline uint64_t crow_addr_hash(const struct crow_addr *addr)
{
	uint64_t high, low, hash;

	memcpy(&high, addr->bytes, sizeof(high));
	memcpy(&low, addr->bytes + sizeof(high), sizeof(low));
	hash = high * 0x9E3779B97F4A7C15u ^ low;
	hash = (hash ^ hash >> 33) * 0xff51afd7ed558ccdu;
	hash = (hash ^ hash >> 33) * 0xc4ceb9fe1a85ec53u;
	return hash ^ hash >> 33;
}

/* Reads "10.0.0.1" or "2001:db8::1" (len bytes, not NUL-terminated). False if it is neither. */
bool crow_addr_parse(const char *text, size_t len, struct crow_addr *out);

/* Writes "10.0.0.1" or "2001:db8::1"; a port that is not 0 makes it "10.0.0.1:80", "[::1]:80". */
void crow_addr_format(const struct crow_addr *addr, uint16_t port, char out[CROW_ENDPOINT_TEXT]);

/* The address and port (host order) of an AF_INET or AF_INET6 sockaddr of len bytes; false for
 * every other family and for lengths that connect(2) would refuse. Safe in signal handlers. */
bool crow_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct crow_addr *addr,
			     uint16_t *port);

/* Fills sa for a socket of that family: an IPv4 address on AF_INET6 becomes v4-mapped. Returns
 * the length used, 0 where the family cannot carry the address. */
socklen_t crow_addr_to_sockaddr(const struct crow_addr *addr, uint16_t port, sa_family_t family,
				struct sockaddr_storage *sa);

#endif
