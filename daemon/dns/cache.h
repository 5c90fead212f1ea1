/*
 * The answers of upstreams, each for as long as its TTL allows, and up to a day longer for the time
 * when no upstream answers (RFC 8767). One allocation at start; no system call and no lock after
 * that: each worker has its own cache. Times are CLOCK_BOOTTIME in ns.
 *
 * A question is its name (whatever the case), type, class, DO and CD: an asker who wants signatures
 * and one who does not get different answers.
 */
#ifndef CROW_CACHE_H
#define CROW_CACHE_H

#include "daemon/dns/message.h"
#include "daemon/dns/ring.h"

/* RFC 8767 4 and 5: a stale answer says 30 s at most, and is gone after a day. */
#define CROW_CACHE_STALE_TTL_S 30
#define CROW_CACHE_STALE_MAX_S 86400

/* Answers with more bytes of records than this are passed on and not kept. */
#define CROW_CACHE_BODY_MAX 4096

/* Memory for an entry: most answers take less, signed ones three to six times as much, and then
 * fewer fit. With the index, crow_cache_memory() is 264 to 272 bytes times `entries`. */
#define CROW_CACHE_ENTRY_SIZE 256

struct crow_cache {
	struct crow_ring ring;
	uint64_t secret[2]; /* nobody outside can make names that collide */
};

/* entries is at least 1. NULL: no memory. */
struct crow_cache *crow_cache_new(uint32_t entries, const uint64_t secret[2]);
void crow_cache_free(struct crow_cache *cache); /* NULL is fine */
size_t crow_cache_memory(uint32_t entries);     /* bytes, for the log */

enum crow_cache_state {
	CROW_CACHE_MISS,
	CROW_CACHE_FRESH, /* the reply is written: no upstream need be asked */
	CROW_CACHE_STALE, /* ask an upstream; the reply is written only if stale_too was set */
};

/* Within 5 s of a failure to refresh it (see put), a stale answer counts as fresh, unless stale_too
 * asks for it: while upstreams are down, askers need not each wait for that to be found out again. */
enum crow_cache_state crow_cache_answer(struct crow_cache *cache, const struct crow_query *query,
					int64_t now_ns, bool stale_too, uint64_t turn,
					struct crow_reply *reply);

/* Keeps what may be kept, in place of what was there; a failure never takes the place of an answer
 * that can still be served, fresh or stale. Returns how many entries were evicted for it. */
unsigned crow_cache_put(struct crow_cache *cache, const struct crow_query *query,
			const struct crow_message *message, int64_t now_ns);

#endif
