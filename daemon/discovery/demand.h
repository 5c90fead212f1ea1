/*
 * Names asked on demand (services=*): a name below the zone that no image has is turned into names
 * of services, which are asked for at once; the answer is a new service in the table or a denial.
 */
#ifndef CROW_DEMAND_H
#define CROW_DEMAND_H

#include "daemon/discovery/round.h"

/* The longest name of a service that is asked for, in bytes: twice the longest label of DNS, since
 * names of a group are {group}.{item}. */
#define CROW_DEMAND_SERVICE_MAX 128

/* Asked at the same time. Names come from whoever can send a query; discovery must not be flooded
 * by those who guess. */
#define CROW_DEMANDS_MAX 64u

/* How long a name stays denied: long enough to keep a loop of requests from discovery, short
 * enough for somebody who has just deployed it; and when discovery did not answer, as long as it
 * takes a client to try again. */
#define CROW_DEMAND_UNKNOWN_NS (5 * INT64_C(1000000000))
#define CROW_DEMAND_FAILED_NS  INT64_C(1000000000)

struct crow_demand;

struct crow_demands {
	struct crow_table *table;
	struct crow_origin *origins; /* one for each source */
	size_t origin_count;         /* 0: paused */
	/* A service was found and is in the table, with its first list; the round tells the rest. */
	void (*on_found)(void *context, struct crow_service *service,
			 const struct crow_round *round);
	void *context;
	struct crow_demand *first;
	unsigned count;
};

/* A folded name. Asking again while it is being asked, or is denied, does nothing. */
void crow_demands_ask(struct crow_demands *demands, const char *name);

/* Stops asking, and keeps the names; the origins may change then. */
void crow_demands_pause(struct crow_demands *demands);
/* Asks again for what was under way. */
void crow_demands_resume(struct crow_demands *demands, struct crow_origin *origins,
			 size_t origin_count);
void crow_demands_fini(struct crow_demands *demands);

/* The service that a name below zone stands for: what is before it; with dashed, each `-` as `_`.
 * False: it cannot be a service's name, or (dashed) it would be the same again. */
bool crow_demand_service(const char *name, const char *zone, bool dashed,
			 char out[CROW_DEMAND_SERVICE_MAX + 1]);

#endif
