#include "daemon/dns/rate.h"

#define SECOND_NS INT64_C(1000000000)

static uint64_t read_bytes(const uint8_t *bytes, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* IPv4 with a bit before it: as a prefix of IPv6 that is nobody's, and it is never 0. */
static uint64_t network_of(const struct crow_addr *peer)
{
	if (crow_addr_is_v4(peer))
		return UINT64_C(1) << CROW_RATE_V4_BITS |
		       read_bytes(crow_addr_v4_bytes(peer), CROW_RATE_V4_BITS / 8);
	return read_bytes(peer->bytes, CROW_RATE_V6_BITS / 8);
}

/* The finalizer of splitmix64: each bit of the network changes half of the bits. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static struct crow_rate_bucket *find(struct crow_rate *rate, uint64_t network)
{
	struct crow_rate_bucket *set = rate->sets[mix(network ^ rate->seed) % CROW_RATE_SETS];
	struct crow_rate_bucket *fullest = set;

	for (unsigned i = 0; i < CROW_RATE_WAYS; i++) {
		if (set[i].network == network)
			return &set[i];
		if (set[i].full_ns < fullest->full_ns)
			fullest = &set[i];
	}
	*fullest = (struct crow_rate_bucket){.network = network};
	return fullest;
}

enum crow_rate_verdict crow_rate_take(struct crow_rate *rate, const struct crow_addr *peer,
				      int64_t now_ns)
{
	struct crow_rate_bucket *bucket;
	int64_t full_ns;

	if (rate->per_s == 0)
		return CROW_RATE_GIVE;
	bucket = find(rate, network_of(peer));
	full_ns = bucket->full_ns > now_ns ? bucket->full_ns : now_ns;
	full_ns += SECOND_NS / rate->per_s;
	if (full_ns - now_ns <= CROW_RATE_BURST_NS) {
		bucket->full_ns = full_ns;
		return CROW_RATE_GIVE;
	}
	return ++bucket->refused % CROW_RATE_SLIP == 0 ? CROW_RATE_TRUNCATE : CROW_RATE_DROP;
}
