#include "preload/recent.h"

#include <stdbool.h>

static uint64_t entry_at(const _Atomic uint64_t *entry)
{
	return atomic_load_explicit(entry, memory_order_relaxed);
}

static unsigned set_of(uint64_t key)
{
	return (unsigned)(key % CROW_RECENT_SETS);
}

static bool is_of(uint64_t entry, uint64_t key)
{
	return entry != 0 && entry >> 32 == key >> 32;
}

static uint32_t age_of(uint64_t entry, uint32_t last)
{
	return entry != 0 ? last - (uint32_t)entry : UINT32_MAX;
}

void crow_recent_add(struct crow_recent *recent, uint64_t key)
{
	_Atomic uint64_t *set = recent->entries[set_of(key)];
	uint32_t last = atomic_load_explicit(&recent->last, memory_order_relaxed);
	_Atomic uint64_t *oldest = &set[0];

	for (int i = 0; i < CROW_RECENT_WAYS; i++) {
		uint64_t entry = entry_at(&set[i]);

		if (is_of(entry, key)) {
			oldest = &set[i];
			break;
		}
		if (age_of(entry, last) > age_of(entry_at(oldest), last))
			oldest = &set[i];
	}
	/* Programs resolve the same name again and again: then nothing is written. */
	if (is_of(entry_at(oldest), key) && age_of(entry_at(oldest), last) == 0)
		return;
	last = atomic_fetch_add_explicit(&recent->last, 1, memory_order_relaxed) + 1;
	atomic_store_explicit(oldest, key >> 32 << 32 | last, memory_order_relaxed);
}

uint32_t crow_recent_age(const struct crow_recent *recent, uint64_t key)
{
	const _Atomic uint64_t *set = recent->entries[set_of(key)];
	uint32_t last = atomic_load_explicit(&recent->last, memory_order_relaxed);

	for (int i = 0; i < CROW_RECENT_WAYS; i++)
		if (is_of(entry_at(&set[i]), key))
			return age_of(entry_at(&set[i]), last);
	return UINT32_MAX;
}
