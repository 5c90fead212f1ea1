/*
 * Names by which loops are found: each upstream is asked for one that holds a random number of its
 * own, "crowfly-0123456789abcdef.test", as dnsmasq does. Who is asked such a name by anybody knows
 * which upstream leads back to him. .test is nobody's (RFC 6761 6.2). Pure.
 */
#ifndef CROW_PROBE_H
#define CROW_PROBE_H

#include "daemon/dns/query.h"
#include "daemon/upstream/upstreams.h"

void crow_probe_make(uint64_t probe, struct crow_query *query);
/* Whose probe a query is; CROW_UPSTREAMS_MAX: none's. */
size_t crow_probe_find(const struct crow_upstreams *upstreams, const struct crow_query *query);

#endif
