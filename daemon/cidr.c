#include "daemon/cidr.h"

#include <stdio.h>
#include <string.h>

#include "daemon/value.h"

/* An IPv4 address is the last 32 of the 128 bits. */
#define V4_BITS 96

/* 10.1.2.3/8 is 10.0.0.0/8: what lies behind the prefix says nothing. */
static void clear_behind(struct crow_addr *addr, unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned keep = bits <= i * 8 ? 0 : bits - i * 8;

		if (keep < 8)
			addr->bytes[i] &= (uint8_t)(0xff00u >> keep);
	}
}

bool crow_cidr_parse(const char *text, struct crow_cidr *out)
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct crow_addr addr;
	uint32_t bits;

	if (!crow_addr_parse(text, len, &addr))
		return false;
	/* What was written decides, not what it means: ::ffff:0:0/96 counts its bits from 128. */
	unsigned before = memchr(text, ':', len) ? 0 : V4_BITS;
	if (!slash)
		bits = 128 - before;
	else if (!crow_value_number(slash + 1, &bits) || bits > 128 - before)
		return false;
	out->addr = addr;
	out->bits = before + bits;
	clear_behind(&out->addr, out->bits);
	return true;
}

bool crow_cidr_contains(const struct crow_cidr *cidr, const struct crow_addr *addr)
{
	unsigned whole = cidr->bits / 8, rest = cidr->bits % 8;
	unsigned mask = 0xffu << (8 - rest) & 0xffu;

	if (memcmp(cidr->addr.bytes, addr->bytes, whole) != 0)
		return false;
	return rest == 0 || ((cidr->addr.bytes[whole] ^ addr->bytes[whole]) & mask) == 0;
}

void crow_value_format_cidr(const struct crow_cidr *cidr, char out[CROW_CIDR_TEXT])
{
	unsigned before = crow_addr_is_v4(&cidr->addr) ? V4_BITS : 0;
	char addr[CROW_ENDPOINT_TEXT];

	crow_addr_format(&cidr->addr, 0, addr);
	snprintf(out, CROW_CIDR_TEXT, "%s/%u", addr, cidr->bits - before);
}

bool crow_addr_is_loopback(const struct crow_addr *addr)
{
	static const uint8_t v6[16] = {[15] = 1};

	return crow_addr_is_v4(addr) ? crow_addr_v4_bytes(addr)[0] == 127
				     : memcmp(addr->bytes, v6, sizeof(v6)) == 0;
}

bool crow_addr_is_wildcard(const struct crow_addr *addr)
{
	static const uint8_t zero[16];

	if (crow_addr_is_v4(addr))
		return memcmp(crow_addr_v4_bytes(addr), zero, 4) == 0;
	return memcmp(addr->bytes, zero, 16) == 0;
}

bool crow_addr_is_this_host(const struct crow_addr *peer, const struct crow_addr *own)
{
	return crow_addr_is_loopback(peer) || crow_addr_equal(peer, own);
}

bool crow_cidrs_admit(const struct crow_cidrs *allow, const struct crow_addr *peer,
		      const struct crow_addr *own)
{
	if (crow_addr_is_this_host(peer, own))
		return true;
	for (size_t i = 0; i < allow->count; i++)
		if (crow_cidr_contains(&allow->items[i], peer))
			return true;
	return false;
}
