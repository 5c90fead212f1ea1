#include "daemon/dns/host.h"

#include <endian.h>
#include <string.h>

#define V4_MAPPED 96 /* leading bits that all IPv4 addresses share */

static uint64_t load(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static struct crow_host_family *family_of(struct crow_host *host, const struct crow_addr *addr)
{
	return crow_addr_is_v4(addr) ? &host->v4 : &host->v6;
}

void crow_host_clear(struct crow_host *host)
{
	host->v4.count = host->v6.count = 0;
}

static void remove_at(struct crow_host_family *family, size_t i)
{
	family->count--;
	memmove(&family->entries[i], &family->entries[i + 1],
		(family->count - i) * sizeof(family->entries[0]));
}

void crow_host_remove(struct crow_host *host, const struct crow_host_address *address)
{
	struct crow_host_family *family = family_of(host, &address->addr);

	for (size_t i = 0; i < family->count; i++) {
		const struct crow_host_address *key = &family->entries[i].key;

		if (key->interface == address->interface && key->bits == address->bits &&
		    crow_addr_equal(&key->addr, &address->addr)) {
			remove_at(family, i);
			return;
		}
	}
}

void crow_host_add(struct crow_host *host, const struct crow_host_address *address)
{
	struct crow_host_family *family = family_of(host, &address->addr);
	bool v4 = crow_addr_is_v4(&address->addr);
	struct crow_host_entry entry = {
		.high = load(address->addr.bytes),
		.low = load(address->addr.bytes + 8),
		.shared = address->secondary ? 128 : address->bits + (v4 ? V4_MAPPED : 0u),
		.key = *address,
	};
	size_t at = 0;

	if (address->bits > (v4 ? 32 : 128))
		return;
	crow_host_remove(host, address);
	if (family->count == CROW_HOST_MAX) {
		if (family->entries[0].shared <= entry.shared)
			return;
		remove_at(family, 0);
	}
	while (at < family->count && family->entries[at].shared >= entry.shared)
		at++;
	memmove(&family->entries[at + 1], &family->entries[at],
		(family->count - at) * sizeof(entry));
	family->entries[at] = entry;
	family->count++;
}

static unsigned common_bits(const struct crow_host_entry *entry, uint64_t high, uint64_t low)
{
	if (entry->high != high)
		return (unsigned)__builtin_clzll(entry->high ^ high);
	return entry->low == low ? 128 : 64 + (unsigned)__builtin_clzll(entry->low ^ low);
}

/* The kernel sends from the address whose prefix has the destination, and to an address of its own
 * from that one; glibc compares within that prefix alone. */
static unsigned match_v4(const struct crow_host_family *family, uint64_t high, uint64_t low)
{
	unsigned found = 0;

	for (size_t i = 0; i < family->count; i++) {
		unsigned common = common_bits(&family->entries[i], high, low);

		if (common == 128)
			return 32;
		if (found == 0 && common >= family->entries[i].shared)
			found = common - V4_MAPPED;
	}
	return found;
}

static bool is_link_local(uint64_t high)
{
	return high >> 54 == 0xfe80 >> 6; /* fe80::/10 */
}

/* RFC 6724 section 5: of the addresses of one scope the kernel prefers the one that shares most
 * with the destination, and the prefix of the interface does not matter to glibc. */
static unsigned match_v6(const struct crow_host_family *family, uint64_t high, uint64_t low)
{
	unsigned most = 0;

	for (size_t i = 0; i < family->count; i++) {
		const struct crow_host_entry *entry = &family->entries[i];
		unsigned common = common_bits(entry, high, low);

		if (common > most && (common == 128 || !entry->key.secondary) &&
		    is_link_local(entry->high) == is_link_local(high))
			most = common;
	}
	return most;
}

unsigned crow_host_match(const struct crow_host *host, const struct crow_addr *destination)
{
	uint64_t high = load(destination->bytes), low = load(destination->bytes + 8);

	if (crow_addr_is_v4(destination))
		return match_v4(&host->v4, high, low);
	return match_v6(&host->v6, high, low);
}
