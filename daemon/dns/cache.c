#include "daemon/dns/cache.h"

#include <string.h>

#include "daemon/dns/cache_entry.h"
#include "daemon/dns/siphash.h"

#define FLAG_CD 0x0010
#define NS_IN_S INT64_C(1000000000)

static int64_t in_ns(uint32_t seconds)
{
	return seconds * NS_IN_S;
}

/* ---- keys ---- */

/* No length byte is a letter: they are below 64, and 'A' is 65. */
static void fold_name(const struct crow_query *query, uint8_t *out)
{
	for (size_t i = 0; i < query->name_size; i++) {
		uint8_t byte = query->name[i];

		out[i] = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
	}
}

/* The name is the query's text, which is folded already; but that does not tell a dot from a NUL
 * inside a label, and stands for several names if it holds a NUL. Then it is the name's wire form,
 * which ends in a NUL and so is no other name's text. */
static size_t make_key(struct crow_cache_key *key, const struct crow_query *query)
{
	bool plain = memchr(query->text, '\0', query->text_size) == NULL;

	key->type = query->type;
	key->class = query->class;
	key->variant = (uint16_t)(query->dnssec_ok | (query->flags & FLAG_CD ? 2 : 0));
	if (plain)
		memcpy(key->name, query->text, query->text_size);
	else
		fold_name(query, key->name);
	return offsetof(struct crow_cache_key, name) +
	       (plain ? query->text_size : query->name_size);
}

/* ---- entries ---- */

static bool is_failure(uint16_t rcode)
{
	return rcode != CROW_RCODE_NOERROR && rcode != CROW_RCODE_NXDOMAIN;
}

static enum crow_cache_state state_of(const struct crow_cache_entry *entry, int64_t now_ns)
{
	int64_t end_ns = entry->stored_ns + in_ns(entry->ttl_s);

	if (now_ns < end_ns)
		return CROW_CACHE_FRESH;
	if (is_failure(entry->rcode) || now_ns >= end_ns + in_ns(CROW_CACHE_STALE_MAX_S))
		return CROW_CACHE_MISS;
	return CROW_CACHE_STALE;
}

static void keep(struct crow_cache_entry *entry, const struct crow_message *message, int64_t now_ns)
{
	*entry = (struct crow_cache_entry){
		.stored_ns = now_ns,
		.ttl_s = message->ttl_s,
		.rcode = message->rcode,
		.answers = message->answers,
		.authorities = message->authorities,
		.additionals = message->additionals,
		.body_size = (uint16_t)message->body_size,
		.core_size = (uint16_t)message->core_size,
		.turn_at = message->turn_at,
		.turn_size = message->turn_size,
		.turn_count = message->turn_count,
		.ttl_count = message->ttl_count,
		.authentic = message->authentic,
		.negative = message->negative,
	};
	memcpy(entry->ttl_at, message->ttl_at, message->ttl_count * sizeof(entry->ttl_at[0]));
	memcpy(entry->ttl_at + entry->ttl_count, message->body, message->body_size);
}

/* Field by field: an initializer would clear the whole of ttl_at. */
static void recall(const struct crow_cache_entry *entry, struct crow_message *message)
{
	message->rcode = entry->rcode;
	message->truncated = message->edns = false;
	message->authentic = entry->authentic;
	message->negative = entry->negative;
	message->answers = entry->answers;
	message->authorities = entry->authorities;
	message->additionals = entry->additionals;
	message->body = (const uint8_t *)(entry->ttl_at + entry->ttl_count);
	message->body_size = entry->body_size;
	message->core_size = entry->core_size;
	message->ttl_count = entry->ttl_count;
	memcpy(message->ttl_at, entry->ttl_at, entry->ttl_count * sizeof(entry->ttl_at[0]));
	message->ttl_s = entry->ttl_s;
	message->turn_at = entry->turn_at;
	message->turn_size = entry->turn_size;
	message->turn_count = entry->turn_count;
}

/* ---- the cache ---- */

static struct crow_ring_record *find(const struct crow_cache *cache, const struct crow_query *query)
{
	struct crow_cache_key key;
	size_t size = make_key(&key, query);

	return crow_ring_find(&cache->ring, crow_siphash(cache->secret, &key, size), &key, size);
}

enum crow_cache_state crow_cache_answer(struct crow_cache *cache, const struct crow_query *query,
					int64_t now_ns, bool stale_too, uint64_t turn,
					struct crow_reply *reply)
{
	struct crow_ring_record *record = find(cache, query);
	const struct crow_cache_entry *entry;
	struct crow_message message;
	enum crow_cache_state state;
	uint32_t cap_s = 0;

	if (!record)
		return CROW_CACHE_MISS;
	entry = crow_ring_value(record);
	state = state_of(entry, now_ns);
	if (state == CROW_CACHE_MISS)
		return state;
	record->used = true;
	if (state == CROW_CACHE_STALE) {
		if (!stale_too && now_ns >= entry->held_ns)
			return state;
		if (!stale_too)
			state = CROW_CACHE_FRESH;
		cap_s = CROW_CACHE_STALE_TTL_S;
	}
	recall(entry, &message);
	crow_message_reply(&message, query, (uint32_t)((now_ns - entry->stored_ns) / NS_IN_S),
			   cap_s, turn, reply);
	return state;
}

/* Whether a failure finds an answer that can still be served. That is kept, and may be served for
 * a while without asking again. */
static bool outlives(struct crow_ring_record *record, const struct crow_message *failure,
		     int64_t now_ns)
{
	struct crow_cache_entry *entry = crow_ring_value(record);

	if (is_failure(entry->rcode) || state_of(entry, now_ns) == CROW_CACHE_MISS)
		return false;
	entry->held_ns = now_ns + in_ns(failure->ttl_s);
	return true;
}

unsigned crow_cache_put(struct crow_cache *cache, const struct crow_query *query,
			const struct crow_message *message, int64_t now_ns)
{
	struct crow_ring_record *record = find(cache, query);
	struct crow_cache_key key;
	size_t size = make_key(&key, query);
	unsigned evicted;

	if (record && is_failure(message->rcode) && outlives(record, message, now_ns))
		return 0;
	if (message->ttl_s == 0 || message->body_size > CROW_CACHE_BODY_MAX) {
		/* What is kept has been overtaken, even though this cannot be kept. */
		if (record)
			crow_ring_remove(&cache->ring, record);
		return 0;
	}
	record = crow_ring_put(&cache->ring, crow_siphash(cache->secret, &key, size), &key, size,
			       sizeof(struct crow_cache_entry) +
				       message->ttl_count * sizeof(message->ttl_at[0]) +
				       message->body_size,
			       &evicted);
	keep(crow_ring_value(record), message, now_ns);
	return evicted;
}
