#include "daemon/dns/ranking.h"

#include <string.h>

/* Of a new time in the smoothed one: RFC 6298 2.3 has an eighth. */
#define SMOOTHING 8

void crow_ranking_init(struct crow_ranking *ranking, struct crow_upstreams *upstreams)
{
	memset(ranking, 0, sizeof(*ranking));
	ranking->upstreams = upstreams;
	ranking->count = upstreams->count;
}

void crow_ranking_fini(struct crow_ranking *ranking)
{
	for (size_t i = 0; i < ranking->count; i++)
		if (crow_ranking_is_suspect(ranking, i))
			atomic_fetch_sub_explicit(&ranking->upstreams->items[i].suspecting, 1,
						  memory_order_relaxed);
	ranking->upstreams = NULL;
	ranking->count = 0;
}

bool crow_ranking_is_suspect(const struct crow_ranking *ranking, size_t upstream)
{
	return ranking->of[upstream].names == CROW_RANKING_NAMES;
}

static void smooth(_Atomic uint32_t *smoothed_us, int64_t took_ns)
{
	int64_t took_us = took_ns / 1000;
	int64_t old_us = atomic_load_explicit(smoothed_us, memory_order_relaxed);
	int64_t new_us = old_us == 0 ? took_us : old_us + (took_us - old_us) / SMOOTHING;

	/* Two workers may overwrite each other: the number is for people. */
	atomic_store_explicit(smoothed_us, (uint32_t)(new_us > 0 ? new_us : 1),
			      memory_order_relaxed);
}

void crow_ranking_answered(struct crow_ranking *ranking, size_t upstream, int64_t took_ns)
{
	struct crow_upstream *it = &ranking->upstreams->items[upstream];

	if (crow_ranking_is_suspect(ranking, upstream))
		atomic_fetch_sub_explicit(&it->suspecting, 1, memory_order_relaxed);
	ranking->of[upstream].names = 0;
	atomic_fetch_add_explicit(&it->answers, 1, memory_order_relaxed);
	smooth(&it->smoothed_us, took_ns);
}

bool crow_ranking_silent(struct crow_ranking *ranking, size_t upstream, uint64_t name_hash)
{
	struct crow_upstream *it = &ranking->upstreams->items[upstream];

	atomic_fetch_add_explicit(&it->timeouts, 1, memory_order_relaxed);
	if (crow_ranking_is_suspect(ranking, upstream))
		return false;
	for (unsigned i = 0; i < ranking->of[upstream].names; i++)
		if (ranking->of[upstream].silent_to[i] == name_hash)
			return false;
	ranking->of[upstream].silent_to[ranking->of[upstream].names++] = name_hash;
	if (!crow_ranking_is_suspect(ranking, upstream))
		return false;
	atomic_fetch_add_explicit(&it->suspecting, 1, memory_order_relaxed);
	return true;
}

bool crow_ranking_looped(struct crow_ranking *ranking, size_t upstream, int64_t now_ns)
{
	return atomic_exchange_explicit(&ranking->upstreams->items[upstream].looped_until_ns,
					now_ns + CROW_RANKING_LOOP_NS,
					memory_order_relaxed) <= now_ns;
}

crow_upstream_set crow_ranking_usable(const struct crow_ranking *ranking, int64_t now_ns)
{
	crow_upstream_set usable = 0;

	for (size_t i = 0; i < ranking->count; i++) {
		const struct crow_upstream *it = &ranking->upstreams->items[i];

		if (atomic_load_explicit(&it->looped_until_ns, memory_order_relaxed) <= now_ns)
			usable |= (crow_upstream_set)(1u << i);
	}
	return usable;
}

static crow_upstream_set suspects(const struct crow_ranking *ranking)
{
	crow_upstream_set set = 0;

	for (size_t i = 0; i < ranking->count; i++)
		if (crow_ranking_is_suspect(ranking, i))
			set |= (crow_upstream_set)(1u << i);
	return set;
}

bool crow_ranking_all_down(const struct crow_ranking *ranking, int64_t now_ns)
{
	return (crow_ranking_usable(ranking, now_ns) & ~suspects(ranking)) == 0;
}

size_t crow_ranking_choose(const struct crow_ranking *ranking, crow_upstream_set among)
{
	crow_upstream_set well = among & (crow_upstream_set)~suspects(ranking);

	if (among == 0)
		return CROW_RANKING_NONE;
	return (size_t)__builtin_ctz(well ? well : among); /* the first in the list */
}

crow_upstream_set crow_ranking_probe(struct crow_ranking *ranking, crow_upstream_set among,
				     int64_t now_ns)
{
	crow_upstream_set due = among & suspects(ranking);

	for (size_t i = 0; i < ranking->count; i++) {
		if (!(due & 1u << i))
			continue;
		if (now_ns - ranking->of[i].probed_ns < CROW_RANKING_PROBE_NS)
			due &= (crow_upstream_set) ~(1u << i);
		else
			ranking->of[i].probed_ns = now_ns;
	}
	return due;
}
