#include "resolver/address.h"

#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <string.h>

struct crow_addr crow_addr_v6(const void *sixteen_bytes)
{
	struct crow_addr addr;

	memcpy(addr.bytes, sixteen_bytes, sizeof(addr.bytes));
	return addr;
}

int crow_addr_compare(const struct crow_addr *a, const struct crow_addr *b)
{
	bool a_is_v4 = crow_addr_is_v4(a);
	uint64_t x[2], y[2];

	if (a_is_v4 != crow_addr_is_v4(b))
		return a_is_v4 ? -1 : 1;
	/* memcmp(), by words: one that is to give an order is a call. */
	memcpy(x, a->bytes, sizeof(x));
	memcpy(y, b->bytes, sizeof(y));
	for (int i = 0; i < 2; i++)
		if (x[i] != y[i])
			return be64toh(x[i]) < be64toh(y[i]) ? -1 : 1;
	return 0;
}

bool crow_addr_parse(const char *text, size_t len, struct crow_addr *out)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	/* inet_pton() stops at a NUL: one inside the text must not hide what follows it. */
	if (len == 0 || len >= sizeof(copy) || memchr(text, '\0', len) != NULL)
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET, copy, bytes) == 1)
		*out = crow_addr_v4(bytes);
	else if (inet_pton(AF_INET6, copy, bytes) == 1)
		*out = crow_addr_v6(bytes);
	else
		return false;
	return true;
}

static char *put_decimal(char *out, unsigned value)
{
	char digits[5];
	size_t count = 0;

	do
		digits[count++] = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	while (count > 0)
		*out++ = digits[--count];
	return out;
}

/* By hand for IPv4, since the preload library logs from signal handlers and inet_ntop() uses
 * sprintf() there. IPv6 text is only asked for where that does not matter. */
void crow_addr_format(const struct crow_addr *addr, uint16_t port, char out[CROW_ENDPOINT_TEXT])
{
	char *end = out;

	if (crow_addr_is_v4(addr)) {
		const uint8_t *bytes = crow_addr_v4_bytes(addr);

		for (int i = 0; i < 4; i++) {
			if (i > 0)
				*end++ = '.';
			end = put_decimal(end, bytes[i]);
		}
	} else {
		if (port != 0)
			*end++ = '[';
		inet_ntop(AF_INET6, addr->bytes, end, INET6_ADDRSTRLEN);
		end += strlen(end);
		if (port != 0)
			*end++ = ']';
	}
	if (port != 0) {
		*end++ = ':';
		end = put_decimal(end, port);
	}
	*end = '\0';
}

bool crow_addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct crow_addr *addr,
			     uint16_t *port)
{
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;

	if (sa == NULL || len < sizeof(sa->sa_family))
		return false;
	if (sa->sa_family == AF_INET && len >= sizeof(v4)) {
		memcpy(&v4, sa, sizeof(v4));
		*addr = crow_addr_v4(&v4.sin_addr);
		*port = ntohs(v4.sin_port);
		return true;
	}
	/* The kernel takes an IPv6 address without scope id: SIN6_LEN_RFC2133, 24 bytes. */
	if (sa->sa_family == AF_INET6 && len >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		memcpy(&v6, sa, offsetof(struct sockaddr_in6, sin6_scope_id));
		*addr = crow_addr_v6(&v6.sin6_addr);
		*port = ntohs(v6.sin6_port);
		return true;
	}
	return false;
}

socklen_t crow_addr_to_sockaddr(const struct crow_addr *addr, uint16_t port, sa_family_t family,
				struct sockaddr_storage *sa)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (family == AF_INET && crow_addr_is_v4(addr)) {
		memcpy(&v4.sin_addr, crow_addr_v4_bytes(addr), sizeof(v4.sin_addr));
		memcpy(sa, &v4, sizeof(v4));
		return sizeof(v4);
	}
	if (family == AF_INET6) {
		memcpy(&v6.sin6_addr, addr->bytes, sizeof(v6.sin6_addr));
		memcpy(sa, &v6, sizeof(v6));
		return sizeof(v6);
	}
	return 0;
}
