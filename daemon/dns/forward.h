/*
 * Names that are not ours: from the cache, or asked of upstreams (flight.h says how long and how
 * often). A worker's own; one thread, but for crow_forward_offer().
 *
 * Which upstream: ranking.h. SERVFAIL, REFUSED, NOTIMP, FORMERR and nonsense go on to the next one;
 * the first other reply is the answer, whoever it comes from, and however late while the flight
 * lasts. If there is none, a stale answer of the cache is served, or the failure passed on.
 *
 * Loops: each upstream is asked for a name of its own that nobody else knows, at once and every few
 * minutes. If we are asked that name, the upstream leads back to us and is left out.
 */
#ifndef CROW_FORWARD_H
#define CROW_FORWARD_H

#include "daemon/dns/reply.h"
#include "daemon/dns/wait.h"
#include "daemon/upstream/upstreams.h"

struct crow_forward;

/* cache_entries: 0 for no cache. NULL: no memory. */
struct crow_forward *crow_forward_new(struct crow_loop *loop, uint32_t cache_entries);
void crow_forward_free(struct crow_forward *forward);

/* Main thread: the upstreams from now on, of which the forwarder becomes a user; NULL: names that are
 * not ours are refused. It takes them with crow_forward_update(), its own thread's. */
void crow_forward_offer(struct crow_forward *forward, struct crow_upstreams *upstreams);
void crow_forward_update(struct crow_forward *forward);

/* True: *reply is written. False: the asker is told later. turn rotates answers. */
bool crow_forward_ask(struct crow_forward *forward, const struct crow_query *query,
		      const struct crow_asker *asker, uint64_t turn, struct crow_reply *reply);

#endif
