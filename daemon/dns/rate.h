/*
 * How many replies a network gets. A source address by UDP is a claim: who writes another's there
 * has our replies sent to that one (RFC 5358). So replies are rationed by network, in buckets that
 * fill again at the rate. Pure: the clock is passed in. One thread.
 */
#ifndef CROW_RATE_H
#define CROW_RATE_H

#include "resolver/address.h"

/* What one site holds, and so what a flood of one victim's addresses comes from: RFC 6177 gives
 * sites a /56 as a rule. */
#define CROW_RATE_V4_BITS 24
#define CROW_RATE_V6_BITS 56

/* A bucket holds what the rate gives in this time, so that hosts which start together are served. */
#define CROW_RATE_BURST_NS INT64_C(2000000000)

/* Every second reply that is not given is an empty one with TC set: no larger than the query, and
 * whoever really asked learns from it to come by TCP. */
#define CROW_RATE_SLIP 2

#define CROW_RATE_WAYS 4 /* buckets a cache line */
#define CROW_RATE_SETS 1024

struct crow_rate_bucket {
	uint64_t network : 56; /* the prefix; 0: nobody's */
	uint64_t refused : 8;  /* counts, and wraps */
	int64_t full_ns;       /* when it is full again, if nobody takes from it */
};

struct crow_rate {
	uint32_t per_s; /* 0: no limit */
	uint64_t seed;  /* random: nobody outside knows whose bucket is next to whose */
	struct crow_rate_bucket sets[CROW_RATE_SETS][CROW_RATE_WAYS];
};

enum crow_rate_verdict { CROW_RATE_GIVE, CROW_RATE_DROP, CROW_RATE_TRUNCATE };

/* Takes a reply out of the bucket of peer's network. A network without a bucket gets the one that
 * is missed least, the fullest of its set: a flood of made-up networks cannot wash out the bucket of
 * one that is over its limit. */
enum crow_rate_verdict crow_rate_take(struct crow_rate *rate, const struct crow_addr *peer,
				      int64_t now_ns);

#endif
