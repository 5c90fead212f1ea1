#include "preload/memo.h"

#include <stdatomic.h>

#include "preload/path.h"
#include "preload/seqlock.h"

#define ENTRIES 64

struct entry {
	_Alignas(64) struct crow_seqlock lock; /* 64 bytes: one place of memory */
	_Atomic uint32_t attempt_timeout_ms;
	_Atomic uint64_t version; /* 0 = none */
	_Atomic uint64_t addr[2];
	_Atomic uint64_t key;
	_Atomic uint64_t place; /* service, port, mapped, count */
};

static struct entry entries[ENTRIES];

static struct entry *entry_of(const struct crow_target *asked)
{
	return &entries[(crow_addr_hash(&asked->addr) ^ asked->port) % ENTRIES];
}

static uint64_t get64(const _Atomic uint64_t *from)
{
	return atomic_load_explicit(from, memory_order_acquire);
}

static void put64(_Atomic uint64_t *to, uint64_t value)
{
	atomic_store_explicit(to, value, memory_order_release);
}

static uint64_t place_of(const struct crow_decision *decision, uint16_t port)
{
	return (uint64_t)decision->service << 32 | (uint64_t)port << 16 |
	       (uint64_t)decision->mapped << 8 | decision->count;
}

CROW_HOT bool crow_memo_get(uint64_t version, const struct crow_target *asked,
			    struct crow_decision *out)
{
	struct entry *entry = entry_of(asked);
	uint32_t begun = crow_seqlock_read_begin(&entry->lock);
	uint64_t place = get64(&entry->place);
	uint64_t words[2];

	memcpy(words, asked->addr.bytes, sizeof(words));
	if (version == 0 || get64(&entry->version) != version ||
	    get64(&entry->addr[0]) != words[0] || get64(&entry->addr[1]) != words[1] ||
	    (uint16_t)(place >> 16) != asked->port)
		return false;
	out->count = (uint8_t)place;
	out->mapped = (uint8_t)(place >> 8);
	out->service = (uint32_t)(place >> 32);
	out->key = get64(&entry->key);
	out->attempt_timeout_ms =
		atomic_load_explicit(&entry->attempt_timeout_ms, memory_order_acquire);
	out->is_sole = out->is_asked = true;
	out->drawn = 1;
	out->targets[0] = *asked;
	return crow_seqlock_read_end(&entry->lock, begun);
}

static void write_entry(struct entry *entry, uint64_t version, const struct crow_target *asked,
			const struct crow_decision *decision)
{
	uint64_t words[2];

	memcpy(words, asked->addr.bytes, sizeof(words));
	put64(&entry->version, version);
	put64(&entry->addr[0], words[0]);
	put64(&entry->addr[1], words[1]);
	put64(&entry->key, decision->key);
	put64(&entry->place, place_of(decision, asked->port));
	atomic_store_explicit(&entry->attempt_timeout_ms, decision->attempt_timeout_ms,
			      memory_order_release);
}

void crow_memo_put(uint64_t version, const struct crow_target *asked,
		   const struct crow_decision *decision)
{
	struct entry *entry = entry_of(asked);
	if (version == 0 || !decision->is_sole || !decision->is_asked ||
	    !crow_seqlock_write_begin(&entry->lock))
		return;
	write_entry(entry, version, asked, decision);
	crow_seqlock_write_end(&entry->lock);
}
