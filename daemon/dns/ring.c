#include "daemon/dns/ring.h"

#include <string.h>

#define NONE UINT32_MAX

static size_t round_up(size_t size)
{
	return (size + CROW_RING_UNIT - 1) / CROW_RING_UNIT * CROW_RING_UNIT;
}

static size_t value_at(size_t key_size)
{
	return round_up(sizeof(struct crow_ring_record) + key_size);
}

size_t crow_ring_record_size(size_t key_size, size_t value_size)
{
	return value_at(key_size) + round_up(value_size);
}

void *crow_ring_value(struct crow_ring_record *record)
{
	return (uint8_t *)record + value_at(record->key_size);
}

static struct crow_ring_record *record_at(const struct crow_ring *ring, size_t at)
{
	return (struct crow_ring_record *)(ring->bytes + at);
}

static size_t place_of(const struct crow_ring *ring, const struct crow_ring_record *record)
{
	return (size_t)((const uint8_t *)record - ring->bytes);
}

void crow_ring_init(struct crow_ring *ring, uint8_t *bytes, size_t size, uint32_t *buckets,
		    uint32_t bucket_count)
{
	size -= size % CROW_RING_UNIT;
	*ring = (struct crow_ring){
		.bytes = bytes,
		.size = size,
		.buckets = buckets,
		.bucket_mask = bucket_count - 1,
		.gap_end = size,
		.top = size,
	};
	memset(buckets, 0xff, bucket_count * sizeof(*buckets)); /* NONE */
}

/* ---- the index ---- */

static uint32_t *bucket_of(const struct crow_ring *ring, uint64_t hash)
{
	return &ring->buckets[hash & ring->bucket_mask];
}

struct crow_ring_record *crow_ring_find(const struct crow_ring *ring, uint64_t hash,
					const void *key, size_t key_size)
{
	uint32_t place = *bucket_of(ring, hash);

	while (place != NONE) {
		struct crow_ring_record *record = record_at(ring, (size_t)place * CROW_RING_UNIT);

		if (record->hash == hash && record->key_size == key_size &&
		    memcmp(record->key, key, key_size) == 0)
			return record;
		place = record->next;
	}
	return NULL;
}

/* What leads to a record: its bucket, or the record before it. */
static uint32_t *link_to(const struct crow_ring *ring, const struct crow_ring_record *record)
{
	uint32_t place = (uint32_t)(place_of(ring, record) / CROW_RING_UNIT);
	uint32_t *link = bucket_of(ring, record->hash);

	while (*link != place)
		link = &record_at(ring, (size_t)*link * CROW_RING_UNIT)->next;
	return link;
}

void crow_ring_remove(struct crow_ring *ring, struct crow_ring_record *record)
{
	*link_to(ring, record) = record->next;
	record->live = false;
}

/* ---- the hand ---- */

/* From the far side of the gap to the near side. */
static void move_over(struct crow_ring *ring, struct crow_ring_record *record)
{
	size_t size = record->size;

	*link_to(ring, record) = (uint32_t)(ring->gap_at / CROW_RING_UNIT);
	memmove(ring->bytes + ring->gap_at, record, size);
	ring->gap_at += size;
	ring->gap_end += size;
}

/* Past the last record the gap reaches to the end of the memory; if that is still too small, the
 * hand starts over, and the rest stays empty until it comes again. */
static void pass_top(struct crow_ring *ring)
{
	if (ring->gap_end < ring->size) {
		ring->gap_end = ring->top = ring->size;
	} else {
		ring->top = ring->gap_at;
		ring->gap_at = ring->gap_end = 0;
	}
}

/* Each turn moves the hand on by a record, and the records that it does not evict are few: so it
 * ends, after less than one lap of the ring more than the gap needs. */
static unsigned widen_gap(struct crow_ring *ring, size_t size)
{
	unsigned evicted = 0, moved = 0;

	while (ring->gap_end - ring->gap_at < size) {
		struct crow_ring_record *record = record_at(ring, ring->gap_end);

		if (ring->gap_end == ring->top) {
			pass_top(ring);
		} else if (!record->live) {
			ring->gap_end += record->size;
		} else if (record->used && moved < CROW_RING_MOVES_MAX) {
			record->used = false;
			moved++;
			move_over(ring, record);
		} else {
			crow_ring_remove(ring, record);
			ring->gap_end += record->size;
			evicted++;
		}
	}
	return evicted;
}

struct crow_ring_record *crow_ring_put(struct crow_ring *ring, uint64_t hash, const void *key,
				       size_t key_size, size_t value_size, unsigned *evicted)
{
	struct crow_ring_record *record = crow_ring_find(ring, hash, key, key_size);
	size_t size = crow_ring_record_size(key_size, value_size);

	*evicted = 0;
	if (record && record->size >= size)
		return record;
	if (record)
		crow_ring_remove(ring, record);
	*evicted = widen_gap(ring, size);
	record = record_at(ring, ring->gap_at);
	*record = (struct crow_ring_record){
		.size = (uint32_t)size,
		.next = *bucket_of(ring, hash),
		.hash = hash,
		.key_size = (uint16_t)key_size,
		.live = true,
	};
	memcpy(record->key, key, key_size);
	*bucket_of(ring, hash) = (uint32_t)(ring->gap_at / CROW_RING_UNIT);
	ring->gap_at += size;
	return record;
}
