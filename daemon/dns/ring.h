/*
 * A table of records of any size in a fixed piece of memory. Records stand one behind another in a
 * ring with one gap. A hand (CLOCK: Corbató 1968) makes the gap as wide as a new record needs: it
 * evicts what stands behind the gap, unless it was used since the hand came by last; such a record
 * is moved to the near side of the gap instead. So memory is never fragmented, what was asked for
 * once goes before what is asked for often, and the cost of a new record follows from its own size,
 * not from how much is stored.
 *
 * Pointers to records hold until the next put. No allocation, no system call.
 */
#ifndef CROW_RING_H
#define CROW_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CROW_RING_UNIT 8 /* bytes: sizes and places are multiples of it */

/* Records that one put may save from eviction: bounds its time to a few microseconds. Where more in
 * a row were used, every 33rd of them goes. */
#define CROW_RING_MOVES_MAX 32

struct crow_ring_record {
	uint32_t size; /* with this head and padding */
	uint32_t next; /* of the same bucket; where it begins, in units */
	uint64_t hash;
	uint16_t key_size;
	bool live;     /* else removed, and in the way until the hand comes */
	bool used;     /* since the hand came by */
	uint8_t key[]; /* and behind it, at the next unit, the value */
};

struct crow_ring {
	uint8_t *bytes;
	size_t size;
	uint32_t *buckets;
	uint32_t bucket_mask;
	/* Records stand in [0, gap_at) and [gap_end, top). */
	size_t gap_at, gap_end, top;
};

/* What a record takes in the ring. */
size_t crow_ring_record_size(size_t key_size, size_t value_size);

/* bytes (aligned as malloc does) holds at least one record of the largest size, below 32 GiB;
 * bucket_count is a power of two. Both are borrowed. */
void crow_ring_init(struct crow_ring *ring, uint8_t *bytes, size_t size, uint32_t *buckets,
		    uint32_t bucket_count);

/* NULL if there is none. Setting `used` is the caller's. */
struct crow_ring_record *crow_ring_find(const struct crow_ring *ring, uint64_t hash,
					const void *key, size_t key_size);
void *crow_ring_value(struct crow_ring_record *record);

/* A record for a key, with room for a value that the caller then writes: the one that the key had,
 * if it is large enough, or a new one. *evicted says how many others had to go. */
struct crow_ring_record *crow_ring_put(struct crow_ring *ring, uint64_t hash, const void *key,
				       size_t key_size, size_t value_size, unsigned *evicted);
void crow_ring_remove(struct crow_ring *ring, struct crow_ring_record *record);

#endif
