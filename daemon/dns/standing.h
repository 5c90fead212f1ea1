/*
 * What came of asking an upstream: counted, told to the ranking, and said in the log where it changes
 * how the upstream stands. One thread, the ranking's.
 */
#ifndef CROW_STANDING_H
#define CROW_STANDING_H

#include "daemon/dns/ranking.h"

void crow_standing_answered(struct crow_ranking *ranking, size_t upstream, int64_t took_ns);
void crow_standing_silent(struct crow_ranking *ranking, size_t upstream, uint64_t name_hash);
/* Refused by the network: whoever should answer is not there, which is like silence. name_hash is
 * NULL for a probe, which nobody waits for. */
void crow_standing_unreachable(struct crow_ranking *ranking, size_t upstream,
			       const uint64_t *name_hash);
/* It was not asked for want of something here, as errno says: that is nothing against the upstream.
 * Said once an hour by all workers together. */
void crow_standing_not_asked(struct crow_ranking *ranking, size_t upstream, int error,
			     int64_t now_ns);
void crow_standing_looped(struct crow_ranking *ranking, size_t upstream, int64_t now_ns);

#endif
