/*
 * Which services this process resolved last: where several have an instance at one address, that
 * tells which of them a connect() means.
 *
 * A table of 64 sets of 4 services, by hash: a process that uses hundreds of services at one
 * address may lose one of five that fall into the same set, the one resolved longest ago.
 */
#ifndef CROW_RECENT_H
#define CROW_RECENT_H

#include <stdatomic.h>
#include <stdint.h>

#define CROW_RECENT_SETS 64
#define CROW_RECENT_WAYS 4

/* Any thread writes, relaxed: each entry is a hint on its own, and one that is lost or old means a
 * choice that was possible as well. A forked child keeps them. */
struct crow_recent {
	_Atomic uint32_t last; /* the number of the last resolution */
	/* Half of the service's key, and the number of its last resolution; 0 = none. */
	_Atomic uint64_t entries[CROW_RECENT_SETS][CROW_RECENT_WAYS];
};

/* key: of the service (snapshot.h). */
void crow_recent_add(struct crow_recent *recent, uint64_t key);

/* How many resolutions ago: 0 = it was the last, UINT32_MAX = not known of. */
uint32_t crow_recent_age(const struct crow_recent *recent, uint64_t key);

#endif
