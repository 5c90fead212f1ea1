/*
 * Questions in flight: what was asked of upstreams and not answered yet, each with everyone who
 * waits for it. A fixed table, for each holds memory for seconds. Pure: clock and secret are passed
 * in; nothing is sent here. One thread.
 *
 * Equal questions are one flight: the same name in any case, type, class, DO and CD.
 */
#ifndef CROW_FLIGHT_H
#define CROW_FLIGHT_H

#include "daemon/dns/query.h"
#include "daemon/dns/ranking.h"
#include "daemon/dns/wait.h"

#define CROW_FLIGHTS_MAX 4096
#define CROW_RIDERS_MAX  8192

/* A flight has so many turns of so long: a silent upstream is left for another one well within a
 * second; three turns are the 1.8 s of RFC 8767 5, after which an asker gets a stale answer; and all
 * is over in 3.5 s, for glibc and musl give up at 5. */
#define CROW_FLIGHT_TURN_NS     INT64_C(580000000)
#define CROW_FLIGHT_TURNS       6
#define CROW_FLIGHT_STALE_TURNS 3
/* The last turn only waits. */
#define CROW_FLIGHT_SENDS_MAX 5

#define CROW_FLIGHT_NONE UINT16_MAX

/* Someone who waits for a flight. */
struct crow_rider {
	uint16_t next;
	struct crow_query query; /* as he wrote it */
	struct crow_asker asker;
};

struct crow_flight {
	uint16_t next;           /* of the same bucket, or of the free ones */
	uint16_t before, behind; /* in the order of due_ns */
	uint16_t riders;         /* the first */
	uint32_t generation;     /* tells it from a later one in the same place */
	uint64_t hash;           /* of the question */
	int64_t due_ns;          /* end of the turn */
	struct crow_query query; /* as it is asked of upstreams */
	uint8_t turns, sends;
	uint16_t rcode;                /* what the last failure said; SERVFAIL until one does */
	crow_upstream_set asked;       /* ever, */
	crow_upstream_set waiting;     /* and not answered yet, */
	crow_upstream_set recent;      /* and asked in this turn */
	crow_upstream_set failed;      /* need not be asked again, */
	crow_upstream_set unreachable; /* for the network refused it: has a second chance, */
	bool retried;                  /* which was taken */
};

/* Whom to ask next: the best that was not asked yet, then one that was silent and may have lost the
 * query. CROW_RANKING_NONE: nobody, or it was sent often enough. */
size_t crow_flight_next(struct crow_flight *flight, const struct crow_ranking *ranking,
			int64_t now_ns);
/* Ends a turn. False: it was the last. */
bool crow_flight_turn(struct crow_flight *flight, const struct crow_ranking *ranking,
		      int64_t now_ns);
/* An upstream has said that it fails, and only suspects are waited for: after a turn of that the
 * failure is passed on, for they will hardly know better. */
bool crow_flight_is_decided(const struct crow_flight *flight, const struct crow_ranking *ranking);

struct crow_flights {
	struct crow_flight *items;
	struct crow_rider *riders;
	uint16_t *buckets;
	uint16_t free_flight, free_rider; /* given back; those never used are counted: */
	uint16_t flights_used, riders_used;
	uint16_t first, last; /* by due_ns */
	size_t count;
	uint64_t secret[2];
};

bool crow_flights_init(struct crow_flights *flights, const uint64_t secret[2]); /* no memory */
void crow_flights_fini(struct crow_flights *flights);

/* The flight that asks the same; NULL: none. */
struct crow_flight *crow_flights_find(struct crow_flights *flights, const struct crow_query *query);
/* A new one, whose first turn begins. NULL: the table is full. */
struct crow_flight *crow_flights_add(struct crow_flights *flights, const struct crow_query *query,
				     int64_t now_ns);
void crow_flights_remove(struct crow_flights *flights, struct crow_flight *flight);
/* False: too many wait. */
bool crow_flights_join(struct crow_flights *flights, struct crow_flight *flight,
		       const struct crow_query *query, const struct crow_asker *asker);
/* Takes a rider off; borrowed until the next join. NULL: there is none. */
struct crow_rider *crow_flights_leave(struct crow_flights *flights, struct crow_flight *flight);

/* The one whose turn ends first, if any; and one's next turn. */
struct crow_flight *crow_flights_first(struct crow_flights *flights);
void crow_flights_turn(struct crow_flights *flights, struct crow_flight *flight, int64_t now_ns);
/* Ends its turn at once: it comes first. */
void crow_flights_hurry(struct crow_flights *flights, struct crow_flight *flight, int64_t now_ns);
/* There are other upstreams from now on. */
void crow_flights_forget(struct crow_flights *flights);

uint16_t crow_flights_index(const struct crow_flights *flights, const struct crow_flight *flight);

#endif
