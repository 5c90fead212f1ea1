/*
 * What the cache writes into its ring: private to cache*.c.
 */
#ifndef CROW_CACHE_ENTRY_H
#define CROW_CACHE_ENTRY_H

#include "daemon/dns/cache.h"

struct crow_cache_key {
	uint16_t type, class;
	uint16_t variant; /* DO: 1, CD: 2 */
	uint8_t name[CROW_WIRE_NAME_MAX];
};

/* struct crow_message without what is always the same in here. */
struct crow_cache_entry {
	int64_t stored_ns;
	int64_t held_ns; /* until then it is served although it is stale */
	uint32_t ttl_s;
	uint16_t rcode;
	uint16_t answers, authorities, additionals;
	uint16_t body_size, core_size;
	uint16_t turn_at, turn_size, turn_count;
	uint16_t ttl_count;
	bool authentic, negative;
	uint16_t ttl_at[]; /* ttl_count of them, and the body behind them */
};

#endif
