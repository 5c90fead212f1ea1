#include "daemon/dns/flight.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/dns/siphash.h"

#define BUCKETS 8192 /* twice the flights: chains of one or two */

#define FLAG_CD 0x0010

#define NONE CROW_FLIGHT_NONE

/* ---- what is equal ---- */

static uint8_t fold(uint8_t byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
}

static uint64_t hash_of(const struct crow_flights *flights, const struct crow_query *query)
{
	struct {
		uint16_t type, class, bits;
		uint8_t name[CROW_WIRE_NAME_MAX];
	} key = {query->type,
		 query->class,
		 (uint16_t)((query->flags & FLAG_CD) | query->dnssec_ok),
		 {0}};

	for (size_t i = 0; i < query->name_size; i++)
		key.name[i] = fold(query->name[i]);
	return crow_siphash(flights->secret, &key,
			    offsetof(__typeof__(key), name) + query->name_size);
}

static bool is_same(const struct crow_query *a, const struct crow_query *b)
{
	if (a->type != b->type || a->class != b->class || a->dnssec_ok != b->dnssec_ok ||
	    (a->flags & FLAG_CD) != (b->flags & FLAG_CD) || a->name_size != b->name_size)
		return false;
	for (size_t i = 0; i < a->name_size; i++)
		if (fold(a->name[i]) != fold(b->name[i]))
			return false;
	return true;
}

/* ---- the order of turns: all turns are equally long, so that whoever begins one comes last ---- */

static void queue_in(struct crow_flights *flights, struct crow_flight *flight, uint16_t before)
{
	uint16_t index = crow_flights_index(flights, flight);
	uint16_t behind = before == NONE ? flights->first : flights->items[before].behind;

	flight->before = before;
	flight->behind = behind;
	*(before == NONE ? &flights->first : &flights->items[before].behind) = index;
	*(behind == NONE ? &flights->last : &flights->items[behind].before) = index;
}

static void queue_out(struct crow_flights *flights, struct crow_flight *flight)
{
	uint16_t before = flight->before, behind = flight->behind;

	*(before == NONE ? &flights->first : &flights->items[before].behind) = behind;
	*(behind == NONE ? &flights->last : &flights->items[behind].before) = before;
}

struct crow_flight *crow_flights_first(struct crow_flights *flights)
{
	return flights->first == NONE ? NULL : &flights->items[flights->first];
}

void crow_flights_turn(struct crow_flights *flights, struct crow_flight *flight, int64_t now_ns)
{
	queue_out(flights, flight);
	flight->due_ns = now_ns + CROW_FLIGHT_TURN_NS;
	queue_in(flights, flight, flights->last);
}

void crow_flights_hurry(struct crow_flights *flights, struct crow_flight *flight, int64_t now_ns)
{
	queue_out(flights, flight);
	flight->due_ns = now_ns;
	queue_in(flights, flight, NONE);
}

void crow_flights_forget(struct crow_flights *flights)
{
	for (uint16_t i = flights->first; i != NONE; i = flights->items[i].behind) {
		struct crow_flight *flight = &flights->items[i];

		flight->asked = flight->waiting = flight->recent = 0;
		flight->failed = flight->unreachable = 0;
		flight->retried = false;
		flight->sends = 0;
	}
}

/* ---- one flight ---- */

size_t crow_flight_next(struct crow_flight *flight, const struct crow_ranking *ranking,
			int64_t now_ns)
{
	crow_upstream_set usable = crow_ranking_usable(ranking, now_ns);

	if (flight->sends >= CROW_FLIGHT_SENDS_MAX)
		return CROW_RANKING_NONE;
	/* The network refuses a query for what another one did, too: when a channel's TCP
	 * connection is closed, c-ares gives up all that is under way in it. */
	if (!(usable & (crow_upstream_set)~flight->failed) && !flight->retried) {
		flight->retried = true;
		flight->failed &= (crow_upstream_set)~flight->unreachable;
		flight->asked &= (crow_upstream_set)~flight->unreachable;
	}
	usable &= (crow_upstream_set)~flight->failed;
	if (!(usable & (crow_upstream_set)~flight->asked))
		flight->asked = flight->waiting & flight->recent;
	return crow_ranking_choose(ranking, usable & (crow_upstream_set)~flight->asked);
}

bool crow_flight_turn(struct crow_flight *flight, const struct crow_ranking *ranking,
		      int64_t now_ns)
{
	flight->waiting &=
		crow_ranking_usable(ranking, now_ns); /* one may have turned out a loop */
	flight->recent = 0;
	return ++flight->turns < CROW_FLIGHT_TURNS;
}

bool crow_flight_is_decided(const struct crow_flight *flight, const struct crow_ranking *ranking)
{
	crow_upstream_set said = flight->failed & (crow_upstream_set)~flight->unreachable;

	for (size_t i = 0; i < ranking->count; i++)
		if (flight->waiting & 1u << i && !crow_ranking_is_suspect(ranking, i))
			return false;
	return said != 0;
}

/* ---- the table ---- */

bool crow_flights_init(struct crow_flights *flights, const uint64_t secret[2])
{
	memset(flights, 0, sizeof(*flights));
	memcpy(flights->secret, secret, sizeof(flights->secret));
	flights->items = calloc(CROW_FLIGHTS_MAX, sizeof(*flights->items));
	flights->riders = calloc(CROW_RIDERS_MAX, sizeof(*flights->riders));
	flights->buckets = malloc(BUCKETS * sizeof(*flights->buckets));
	if (!flights->items || !flights->riders || !flights->buckets)
		return false;
	memset(flights->buckets, 0xff, BUCKETS * sizeof(*flights->buckets));
	flights->free_flight = flights->free_rider = NONE;
	flights->first = flights->last = NONE;
	return true;
}

void crow_flights_fini(struct crow_flights *flights)
{
	free(flights->items);
	free(flights->riders);
	free(flights->buckets);
}

uint16_t crow_flights_index(const struct crow_flights *flights, const struct crow_flight *flight)
{
	return (uint16_t)(flight - flights->items);
}

struct crow_flight *crow_flights_find(struct crow_flights *flights, const struct crow_query *query)
{
	uint64_t hash = hash_of(flights, query);

	for (uint16_t i = flights->buckets[hash % BUCKETS]; i != NONE; i = flights->items[i].next) {
		struct crow_flight *flight = &flights->items[i];

		if (flight->hash == hash && is_same(&flight->query, query))
			return flight;
	}
	return NULL;
}

/* Memory that was never needed stays untouched. */
static uint16_t take_flight(struct crow_flights *flights)
{
	uint16_t index = flights->free_flight;

	if (index != NONE)
		flights->free_flight = flights->items[index].next;
	else if (flights->flights_used < CROW_FLIGHTS_MAX)
		index = flights->flights_used++;
	return index;
}

static uint16_t take_rider(struct crow_flights *flights)
{
	uint16_t index = flights->free_rider;

	if (index != NONE)
		flights->free_rider = flights->riders[index].next;
	else if (flights->riders_used < CROW_RIDERS_MAX)
		index = flights->riders_used++;
	return index;
}

struct crow_flight *crow_flights_add(struct crow_flights *flights, const struct crow_query *query,
				     int64_t now_ns)
{
	uint16_t index = take_flight(flights);
	struct crow_flight *flight;
	uint16_t *bucket;

	if (index == NONE)
		return NULL;
	flight = &flights->items[index];
	*flight = (struct crow_flight){
		.generation = flight->generation + 1,
		.riders = NONE,
		.hash = hash_of(flights, query),
		.due_ns = now_ns + CROW_FLIGHT_TURN_NS,
		.query = *query,
		.rcode = CROW_RCODE_SERVFAIL,
	};
	bucket = &flights->buckets[flight->hash % BUCKETS];
	flight->next = *bucket;
	*bucket = index;
	queue_in(flights, flight, flights->last);
	flights->count++;
	return flight;
}

void crow_flights_remove(struct crow_flights *flights, struct crow_flight *flight)
{
	uint16_t index = crow_flights_index(flights, flight);
	uint16_t *link = &flights->buckets[flight->hash % BUCKETS];

	while (*link != index)
		link = &flights->items[*link].next;
	*link = flight->next;
	queue_out(flights, flight);
	while (crow_flights_leave(flights, flight))
		;
	flight->generation++;
	flight->next = flights->free_flight;
	flights->free_flight = index;
	flights->count--;
}

/* ---- riders ---- */

bool crow_flights_join(struct crow_flights *flights, struct crow_flight *flight,
		       const struct crow_query *query, const struct crow_asker *asker)
{
	uint16_t index = take_rider(flights);
	struct crow_rider *rider;

	if (index == NONE)
		return false;
	rider = &flights->riders[index];
	rider->query = *query;
	rider->asker = *asker;
	rider->next = flight->riders;
	flight->riders = index;
	return true;
}

struct crow_rider *crow_flights_leave(struct crow_flights *flights, struct crow_flight *flight)
{
	uint16_t index = flight->riders;
	struct crow_rider *rider;

	if (index == NONE)
		return NULL;
	rider = &flights->riders[index];
	flight->riders = rider->next;
	rider->next = flights->free_rider;
	flights->free_rider = index;
	return rider;
}
