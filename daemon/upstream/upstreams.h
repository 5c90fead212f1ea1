/*
 * The servers that other names are forwarded to: a list that never changes, shared by the threads
 * that use it and freed by the last one. What the workers learn of a server is added up in it, for
 * people to see: relaxed atomics, each number right by itself, none of which decides anything but
 * looped_until_ns, which any worker may write and where a late or a lost write costs one more
 * query, and shortage_said_ns, who of them says a sentence.
 */
#ifndef CROW_UPSTREAMS_H
#define CROW_UPSTREAMS_H

#include <stdatomic.h>

#include "daemon/config.h"

/* resolv.conf(5) has 3 at most; nobody waits for a tenth one. */
#define CROW_UPSTREAMS_MAX 8

/* Source ports from which a worker asks an upstream: each is a descriptor, and a channel of c-ares's
 * with 75 KiB. */
#define CROW_UPSTREAM_PORTS_MAX 64

struct crow_upstream {
	struct crow_listen at;
	uint64_t probe; /* random: part of a name that only it is asked for; see forward.h */
	_Atomic uint64_t queries, answers, timeouts, failures;
	_Atomic uint32_t smoothed_us;    /* time to answer; 0: none yet */
	_Atomic uint32_t suspecting;     /* workers that ask it last */
	_Atomic int64_t looped_until_ns; /* it leads back to us; not asked before then */
};

struct crow_upstreams {
	_Atomic unsigned users; /* whoever comes last frees it */
	bool mixed_case;        /* ask in mixed case, and believe no reply in another */
	unsigned ports;         /* of each upstream and worker, 1 to CROW_UPSTREAM_PORTS_MAX */
	_Atomic int64_t shortage_said_ns; /* for all workers, that somebody could not be asked */
	size_t count;                     /* 0: there is nobody to ask */
	struct crow_upstream items[CROW_UPSTREAMS_MAX];
};

/* Copies up to CROW_UPSTREAMS_MAX servers, without those that are `own`; the log names who is left out.
 * The caller is the first user. What `before` (may be NULL) knows of the same servers is taken over.
 * NULL: no memory. */
struct crow_upstreams *crow_upstreams_new(const struct crow_listens *servers,
					  const struct crow_listens *own,
					  const struct crow_upstreams *before);
struct crow_upstreams *crow_upstreams_use(struct crow_upstreams *upstreams); /* returns it */
void crow_upstreams_release(struct crow_upstreams *upstreams);               /* NULL is fine */

/* Whether a query sent to `server` would arrive at one of `own`, in any spelling. Asks the kernel
 * for the addresses of the interfaces if one of `own` is a wildcard. */
bool crow_upstreams_is_own(const struct crow_listen *server, const struct crow_listens *own);

#endif
