/*
 * Which upstream to ask, from what is known of their health. Pure: the clock is passed in.
 *
 * Upstreams are asked in the order of the list, as resolv.conf(5) has it. One is suspect once it
 * was silent to three different names in a row: a single name that nobody can resolve, however often
 * it is asked for, says nothing about whom it was asked of. Any answer restores it. Suspects come
 * last, and once a second one real query goes to them besides.
 */
#ifndef CROW_RANKING_H
#define CROW_RANKING_H

#include "daemon/upstream/upstreams.h"

#define CROW_RANKING_NAMES    3
#define CROW_RANKING_PROBE_NS INT64_C(1000000000)

/* An upstream that leads back to us is left out for longer than until it is looked at again. */
#define CROW_RANKING_LOOP_NS INT64_C(360000000000)

#define CROW_RANKING_NONE CROW_UPSTREAMS_MAX

/* A bit for each upstream. */
typedef uint8_t crow_upstream_set;

struct crow_ranking {
	struct crow_upstreams *upstreams; /* borrowed */
	size_t count;                     /* of them; 0 as well while there is no list */
	struct {
		uint64_t silent_to[CROW_RANKING_NAMES]; /* hashes of names, since the last answer */
		unsigned names;
		int64_t probed_ns;
	} of[CROW_UPSTREAMS_MAX];
};

/* Forgets everything. */
void crow_ranking_init(struct crow_ranking *ranking, struct crow_upstreams *upstreams);
/* What this one counted in `upstreams` as suspecting is taken back. */
void crow_ranking_fini(struct crow_ranking *ranking);

void crow_ranking_answered(struct crow_ranking *ranking, size_t upstream, int64_t took_ns);
/* True if it has just become suspect. */
bool crow_ranking_silent(struct crow_ranking *ranking, size_t upstream, uint64_t name_hash);

/* It leads back to us. True if that is news, and to no other worker: it was not known, or is so
 * again. */
bool crow_ranking_looped(struct crow_ranking *ranking, size_t upstream, int64_t now_ns);

bool crow_ranking_is_suspect(const struct crow_ranking *ranking, size_t upstream);
/* All that may be asked are suspect, or none may be. */
bool crow_ranking_all_down(const struct crow_ranking *ranking, int64_t now_ns);
/* Those that may be asked: all but loops. */
crow_upstream_set crow_ranking_usable(const struct crow_ranking *ranking, int64_t now_ns);
/* The best of `among`; CROW_RANKING_NONE if it is empty. */
size_t crow_ranking_choose(const struct crow_ranking *ranking, crow_upstream_set among);
/* The suspects among `among` whose second is over; it begins anew with this call. */
crow_upstream_set crow_ranking_probe(struct crow_ranking *ranking, crow_upstream_set among,
				     int64_t now_ns);

#endif
