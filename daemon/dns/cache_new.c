#include <stdlib.h>

#include "daemon/dns/cache_entry.h"

/* The ring must hold the largest entry, and is a few times larger so that one such answer does
 * not clear the smallest cache. */
#define LARGEST_MIN 4

static size_t ring_size(uint32_t entries)
{
	size_t size = (size_t)entries * CROW_CACHE_ENTRY_SIZE;
	size_t largest = crow_ring_record_size(sizeof(struct crow_cache_key),
					       sizeof(struct crow_cache_entry) +
						       CROW_MESSAGE_TTLS_MAX * sizeof(uint16_t) +
						       CROW_CACHE_BODY_MAX);

	return size < LARGEST_MIN * largest ? LARGEST_MIN * largest : size;
}

/* A power of two: two to four for each entry, since twice as many small ones fit into the ring, and
 * each that shares a bucket is a cache line to look at. */
static uint32_t bucket_count(uint32_t entries)
{
	uint32_t count = 1;

	while (count / 2 < entries && count <= UINT32_MAX / 2)
		count *= 2;
	return count;
}

size_t crow_cache_memory(uint32_t entries)
{
	return sizeof(struct crow_cache) + ring_size(entries) +
	       bucket_count(entries) * sizeof(uint32_t);
}

struct crow_cache *crow_cache_new(uint32_t entries, const uint64_t secret[2])
{
	struct crow_cache *cache = malloc(crow_cache_memory(entries));
	uint8_t *bytes = (uint8_t *)(cache + 1);

	if (!cache)
		return NULL;
	cache->secret[0] = secret[0];
	cache->secret[1] = secret[1];
	crow_ring_init(&cache->ring, bytes, ring_size(entries),
		       (uint32_t *)(bytes + ring_size(entries)), bucket_count(entries));
	return cache;
}

void crow_cache_free(struct crow_cache *cache)
{
	free(cache);
}
