#include "daemon/dns/forward.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/counters.h"
#include "daemon/dns/cache.h"
#include "daemon/dns/flight.h"
#include "daemon/dns/probe.h"
#include "daemon/dns/question.h"
#include "daemon/dns/standing.h"
#include "daemon/dns/tally.h"
#include "daemon/log.h"
#include "daemon/upstream/exchange.h"

#define SECOND_NS INT64_C(1000000000)

#define FLAG_RD          0x0100
#define RCODE_YXDOMAIN   6 /* RFC 6672 2.2: a DNAME made the name too long */
#define RCODE_HEADER_MAX 15

/* Between two looks for loops. */
#define PROBE_NS (300 * SECOND_NS)
_Static_assert(PROBE_NS < CROW_RANKING_LOOP_NS, "a loop that lasts is left out all the time");

/* Between two looks for queries whose patience is over. */
#define CHORE_NS SECOND_NS

/* Queries under way: those of every flight, and the late ones of flights that are over. */
#define ATTEMPTS_MAX (4 * CROW_FLIGHTS_MAX)

struct attempt {
	struct crow_forward *forward;
	struct attempt *next; /* of the free ones */
	int64_t sent_ns;
	uint32_t generation; /* of the flight */
	uint16_t flight;     /* CROW_FLIGHT_NONE: a probe */
	uint8_t upstream;
	bool edns;
};

struct crow_forward {
	/* Exchanged by both threads: whoever takes a list out of it is its user. Release by the
	 * main thread and acquire by the worker hand over what it points to. */
	_Atomic(struct crow_upstreams *) offered;

	struct crow_loop *loop;
	struct crow_upstreams *upstreams; /* NULL: not ours is refused */
	struct crow_exchange *exchange;
	struct crow_ranking ranking;
	struct crow_flights flights;
	struct crow_cache *cache; /* NULL: none */
	struct crow_random random;
	struct crow_timer turn_timer; /* of the first flight's turn */
	struct crow_timer chore_timer;
	int64_t probe_due_ns;
	uint64_t turn; /* rotates the answers of riders */
	struct attempt *attempts, *free_attempt;
	size_t attempts_made; /* of ATTEMPTS_MAX; memory that was never needed stays untouched */
	size_t under_way;     /* attempts */
	const struct attempt *sending; /* NULL: none. If it ends now, the sender will see that */
	bool stranded; /* a flight's query ended while another was being sent; see on_reply() */
};

/* ---- answers to riders ---- */

static bool is_an_answer(uint16_t rcode)
{
	return rcode == CROW_RCODE_NOERROR || rcode == CROW_RCODE_NXDOMAIN ||
	       rcode == RCODE_YXDOMAIN;
}

/* Whatever age it has. False: the cache knows nothing better than the failure. */
static bool answer_stale(struct crow_forward *forward, const struct crow_query *query,
			 uint64_t turn, struct crow_reply *reply, int64_t now_ns)
{
	if (!forward->cache ||
	    crow_cache_answer(forward->cache, query, now_ns, true, turn, reply) ==
		    CROW_CACHE_MISS ||
	    !is_an_answer(reply->rcode))
		return false;
	crow_count(forward_stale);
	return true;
}

/* Tells everyone who waits, and says nobody waits any more. stale: those for whom the cache has an
 * answer, however old, get that. */
static void tell(struct crow_forward *forward, struct crow_flight *flight,
		 const struct crow_message *message, bool stale, int64_t now_ns)
{
	uint8_t bytes[CROW_QUERY_TCP_MAX];
	struct crow_rider *rider;

	while ((rider = crow_flights_leave(&forward->flights, flight))) {
		struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
		uint64_t turn = forward->turn++;

		if (!stale || !answer_stale(forward, &rider->query, turn, &reply, now_ns))
			crow_message_reply(message, &rider->query, 0, 0, turn, &reply);
		crow_tally_reply(&reply);
		rider->asker.deliver(&rider->asker, reply.bytes, reply.size);
	}
}

static void keep(struct crow_forward *forward, const struct crow_flight *flight,
		 const struct crow_message *message, int64_t now_ns)
{
	if (forward->cache)
		crow_count_by(forward_evictions,
			      crow_cache_put(forward->cache, &flight->query, message, now_ns));
}

static void succeed(struct crow_forward *forward, struct crow_flight *flight,
		    const struct crow_message *message, int64_t now_ns)
{
	keep(forward, flight, message, now_ns);
	tell(forward, flight, message, false, now_ns);
	crow_flights_remove(&forward->flights, flight);
}

static void fail(struct crow_forward *forward, struct crow_flight *flight, int64_t now_ns)
{
	struct crow_message message;

	crow_message_fail(&message, flight->rcode);
	crow_count(forward_failed);
	keep(forward, flight, &message, now_ns);
	tell(forward, flight, &message, true, now_ns);
	crow_flights_remove(&forward->flights, flight);
}

/* RFC 8767 5: who has waited for so long gets what there is; the flight goes on for those who come
 * after. A second look at the cache for each is cheap beside the wait. */
static void tell_stale(struct crow_forward *forward, struct crow_flight *flight, int64_t now_ns)
{
	uint8_t bytes[CROW_QUERY_TCP_MAX];
	struct crow_reply reply = {.bytes = bytes, .capacity = sizeof(bytes)};
	struct crow_message none;

	if (!forward->cache || flight->riders == CROW_FLIGHT_NONE ||
	    crow_cache_answer(forward->cache, &flight->query, now_ns, true, 0, &reply) ==
		    CROW_CACHE_MISS)
		return;
	crow_message_fail(&none, CROW_RCODE_SERVFAIL);
	tell(forward, flight, &none, true, now_ns);
}

/* ---- queries to upstreams ---- */

static void on_reply(void *context, enum crow_channel_end end, const uint8_t *bytes, size_t size);
static void schedule_chores(struct crow_forward *forward, int64_t due_ns);

static struct attempt *attempt_new(struct crow_forward *forward)
{
	struct attempt *attempt = forward->free_attempt;

	if (attempt)
		forward->free_attempt = attempt->next;
	else if (forward->attempts_made < ATTEMPTS_MAX)
		attempt = &forward->attempts[forward->attempts_made++];
	return attempt;
}

/* flight is NULL for a probe. False: too many are under way. */
static bool send_query(struct crow_forward *forward, const struct crow_flight *flight,
		       const struct crow_query *query, size_t upstream, int64_t now_ns)
{
	uint8_t bytes[CROW_QUESTION_MAX];
	struct attempt *attempt = attempt_new(forward);
	bool edns = crow_exchange_has_edns(forward->exchange, upstream, now_ns);
	size_t size;

	if (!attempt)
		return false;
	forward->under_way++;
	*attempt = (struct attempt){
		.forward = forward,
		.sent_ns = now_ns,
		.generation = flight ? flight->generation : 0,
		.flight = flight ? crow_flights_index(&forward->flights, flight) : CROW_FLIGHT_NONE,
		.upstream = (uint8_t)upstream,
		.edns = edns,
	};
	size = crow_question_write(query, crow_random_u16(&forward->random), edns, bytes);
	crow_count(forward_queries);
	atomic_fetch_add_explicit(&forward->upstreams->items[upstream].queries, 1,
				  memory_order_relaxed);
	forward->sending = attempt;
	crow_exchange_send(forward->exchange, upstream, bytes, size, now_ns, on_reply, attempt);
	forward->sending = NULL;
	schedule_chores(forward, now_ns + CHORE_NS);
	return true;
}

static void send_flight(struct crow_forward *forward, struct crow_flight *flight, size_t upstream,
			int64_t now_ns)
{
	crow_upstream_set bit = (crow_upstream_set)(1u << upstream);

	flight->asked |= bit;
	flight->waiting |= bit;
	flight->recent |= bit;
	flight->sends++;
	if (!send_query(forward, flight, &flight->query, upstream, now_ns)) {
		flight->waiting &= (crow_upstream_set)~bit;
		flight->failed |= bit;
	}
}

static struct crow_flight *find_flight(struct crow_forward *forward, const struct attempt *attempt)
{
	struct crow_flight *flight;

	if (attempt->flight == CROW_FLIGHT_NONE)
		return NULL;
	flight = &forward->flights.items[attempt->flight];
	return flight->generation == attempt->generation ? flight : NULL;
}

/* Asks the next one, if anybody is left. */
static bool ask_next(struct crow_forward *forward, struct crow_flight *flight, int64_t now_ns)
{
	size_t upstream = crow_flight_next(flight, &forward->ranking, now_ns);

	if (upstream == CROW_RANKING_NONE)
		return false;
	send_flight(forward, flight, upstream, now_ns);
	return true;
}

/* One more real query for each upstream that may have come back. */
static void ask_suspects(struct crow_forward *forward, struct crow_flight *flight, int64_t now_ns)
{
	crow_upstream_set usable = crow_ranking_usable(&forward->ranking, now_ns);
	crow_upstream_set due = crow_ranking_probe(
		&forward->ranking, usable & (crow_upstream_set)~flight->asked, now_ns);

	for (size_t i = 0; i < forward->upstreams->count; i++)
		if (due & 1u << i)
			send_flight(forward, flight, i, now_ns);
}

/* ---- turns ---- */

static void arm(struct crow_forward *forward)
{
	const struct crow_flight *first = crow_flights_first(&forward->flights);

	if (first && (!forward->turn_timer.armed || forward->turn_timer.due_ns > first->due_ns))
		crow_timer_set(forward->loop, &forward->turn_timer, first->due_ns);
}

/* Asks until somebody is waited for; a query may fail at once, as when no route leads there. With
 * nobody left the turn ends at once, which is the timer's to see: whoever asks cannot be told
 * before he was told to wait. */
static void go_on(struct crow_forward *forward, struct crow_flight *flight, int64_t now_ns)
{
	while (!flight->waiting && ask_next(forward, flight, now_ns))
		;
	if (!flight->waiting)
		crow_flights_hurry(&forward->flights, flight, now_ns);
	arm(forward);
}

static void go_on_all(struct crow_forward *forward, int64_t now_ns)
{
	uint16_t i = forward->flights.first;

	while (i != CROW_FLIGHT_NONE) {
		struct crow_flight *flight = &forward->flights.items[i];

		i = flight->behind;
		go_on(forward, flight, now_ns);
	}
}

static void end_turn(struct crow_forward *forward, struct crow_flight *flight, int64_t now_ns)
{
	for (size_t i = 0; i < forward->upstreams->count; i++)
		if (flight->waiting & flight->recent & 1u << i)
			crow_standing_silent(&forward->ranking, i, flight->hash);
	if (!crow_flight_turn(flight, &forward->ranking, now_ns) ||
	    crow_flight_is_decided(flight, &forward->ranking)) {
		fail(forward, flight, now_ns);
		return;
	}
	crow_flights_turn(&forward->flights, flight, now_ns);
	if (flight->turns == CROW_FLIGHT_STALE_TURNS)
		tell_stale(forward, flight, now_ns);
	if (flight->turns < CROW_FLIGHT_TURNS - 1)
		ask_next(forward, flight, now_ns);
	go_on(forward, flight, now_ns);
}

static void on_turn(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_forward *forward = crow_container(timer, struct crow_forward, turn_timer);
	struct crow_flight *flight;

	while (forward->stranded) { /* each round takes some of the queries that are left to each */
		forward->stranded = false;
		go_on_all(forward, now_ns);
	}
	while ((flight = crow_flights_first(&forward->flights)) && flight->due_ns <= now_ns) {
		if (flight->waiting)
			end_turn(forward, flight, now_ns);
		else
			fail(forward, flight, now_ns);
	}
	arm(forward);
}

/* ---- replies ---- */

/* draft-vixie-dnsext-dns0x20: a reply must have the question's very case. */
static bool is_believed(const struct crow_forward *forward, const struct crow_query *query,
			const uint8_t *bytes, size_t size)
{
	if (!forward->upstreams->mixed_case)
		return true;
	return size >= CROW_WIRE_HEADER + (size_t)query->name_size &&
	       memcmp(bytes + CROW_WIRE_HEADER, query->name, query->name_size) == 0;
}

static void count_failure(uint16_t rcode)
{
	if (rcode == CROW_RCODE_SERVFAIL)
		crow_count(forward_servfail);
	else if (rcode == CROW_RCODE_REFUSED)
		crow_count(forward_refused);
	else
		crow_count(forward_otherwise);
}

/* True: that is the answer, and the flight is over. */
static bool take_reply(struct crow_forward *forward, struct crow_flight *flight,
		       const struct attempt *attempt, const uint8_t *bytes, size_t size,
		       int64_t now_ns)
{
	crow_upstream_set bit = (crow_upstream_set)(1u << attempt->upstream);
	struct crow_message message;

	if (!is_believed(forward, &flight->query, bytes, size) ||
	    !crow_message_read(&message, &flight->query, bytes, size)) {
		crow_count(forward_malformed);
		flight->failed |= bit;
		return false;
	}
	if (is_an_answer(message.rcode)) {
		succeed(forward, flight, &message, now_ns);
		return true;
	}
	if (message.rcode == CROW_RCODE_FORMERR && attempt->edns && !message.edns) {
		crow_exchange_set_edns(forward->exchange, attempt->upstream, false, now_ns);
		flight->asked &= (crow_upstream_set)~bit;
		return false;
	}
	if (message.rcode == CROW_RCODE_FORMERR) /* OPT or not, it was not that */
		crow_exchange_set_edns(forward->exchange, attempt->upstream, true, now_ns);
	count_failure(message.rcode);
	flight->failed |= bit;
	/* Without an OPT record, which the asker may not have, no more than 15 can be said. */
	flight->rcode = message.rcode <= RCODE_HEADER_MAX ? message.rcode : CROW_RCODE_SERVFAIL;
	return false;
}

static struct attempt take_attempt(struct attempt *attempt)
{
	struct attempt copy = *attempt;

	attempt->next = copy.forward->free_attempt;
	copy.forward->free_attempt = attempt;
	copy.forward->under_way--;
	return copy;
}

/* What the end of a query says of the upstream. */
static void note_end(struct crow_forward *forward, const struct attempt *attempt,
		     const struct crow_flight *flight, enum crow_channel_end end, int64_t now_ns)
{
	size_t upstream = attempt->upstream;

	switch (end) {
	case CROW_CHANNEL_REPLY:
		crow_standing_answered(&forward->ranking, upstream, now_ns - attempt->sent_ns);
		break;
	case CROW_CHANNEL_ERROR:
		crow_standing_unreachable(&forward->ranking, upstream,
					  flight ? &flight->hash : NULL);
		break;
	case CROW_CHANNEL_SHORTAGE:
		crow_standing_not_asked(&forward->ranking, upstream, errno, now_ns);
		break;
	case CROW_CHANNEL_SILENCE: /* which a turn's end has seen long ago */
		break;
	}
}

/* A server of before EDNS refuses the probe, too: sent without, it finds what loop there is. */
static void probe_again(struct crow_forward *forward, const struct attempt *probe,
			const uint8_t *bytes, size_t size, int64_t now_ns)
{
	struct crow_message message;
	struct crow_query query;

	crow_probe_make(forward->upstreams->items[probe->upstream].probe, &query);
	if (!probe->edns || !crow_message_read(&message, &query, bytes, size) ||
	    message.rcode != CROW_RCODE_FORMERR || message.edns)
		return;
	crow_exchange_set_edns(forward->exchange, probe->upstream, false, now_ns);
	send_query(forward, NULL, &query, probe->upstream, now_ns);
}

/* A query that fails as it is sent ends before crow_exchange_send() returns, and the sender goes on.
 * c-ares 1.34, unlike 1.18, may end others then, too: it closes the socket, and gives up all that is
 * under way over it. Their flights go on in the next turn of the loop: sending for them from here
 * would enter c-ares anew for each, as deep as there are flights. */
static void on_reply(void *context, enum crow_channel_end end, const uint8_t *bytes, size_t size)
{
	struct attempt *ended = context;
	struct crow_forward *forward = ended->forward;
	bool is_sent = forward->sending == ended;
	struct attempt attempt = take_attempt(ended);
	struct crow_flight *flight = find_flight(forward, &attempt);
	crow_upstream_set bit = (crow_upstream_set)(1u << attempt.upstream);
	int64_t now_ns = crow_now_ns();

	note_end(forward, &attempt, flight, end, now_ns);
	if (attempt.flight == CROW_FLIGHT_NONE && end == CROW_CHANNEL_REPLY)
		probe_again(forward, &attempt, bytes, size, now_ns);
	if (!flight)
		return;
	flight->waiting &= (crow_upstream_set)~bit;
	if (end == CROW_CHANNEL_REPLY) {
		if (take_reply(forward, flight, &attempt, bytes, size, now_ns))
			return;
	} else if (end != CROW_CHANNEL_SILENCE) {
		flight->failed |= bit;
		flight->unreachable |= bit;
	}
	if (!forward->sending) {
		go_on(forward, flight, now_ns);
	} else if (!is_sent) {
		forward->stranded = true;
		crow_timer_set(forward->loop, &forward->turn_timer, now_ns);
	}
}

/* ---- loops ---- */

static void send_probes(struct crow_forward *forward, int64_t now_ns)
{
	struct crow_query query;

	forward->probe_due_ns = now_ns + PROBE_NS;
	for (size_t i = 0; forward->upstreams && i < forward->upstreams->count; i++) {
		crow_probe_make(forward->upstreams->items[i].probe, &query);
		send_query(forward, NULL, &query, i, now_ns);
	}
	schedule_chores(forward, forward->probe_due_ns);
}

/* True: it was the name that only one of the upstreams was asked for. */
static bool take_probe(struct crow_forward *forward, const struct crow_query *query, int64_t now_ns)
{
	size_t i = crow_probe_find(forward->upstreams, query);

	if (i == CROW_UPSTREAMS_MAX)
		return false;
	crow_standing_looped(&forward->ranking, i, now_ns);
	return true;
}

static void schedule_chores(struct crow_forward *forward, int64_t due_ns)
{
	if (!forward->chore_timer.armed || forward->chore_timer.due_ns > due_ns)
		crow_timer_set(forward->loop, &forward->chore_timer, due_ns);
}

static void on_chores(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_forward *forward = crow_container(timer, struct crow_forward, chore_timer);

	if (!forward->exchange)
		return;
	crow_exchange_expire(forward->exchange);
	if (now_ns >= forward->probe_due_ns)
		send_probes(forward, now_ns);
	schedule_chores(forward,
			forward->under_way > 0 ? now_ns + CHORE_NS : forward->probe_due_ns);
}

/* ---- which upstreams ---- */

/* An offer as well: that there are none. */
static struct crow_upstreams refuse_all;

void crow_forward_offer(struct crow_forward *forward, struct crow_upstreams *upstreams)
{
	struct crow_upstreams *offer = upstreams ? crow_upstreams_use(upstreams) : &refuse_all;
	struct crow_upstreams *untaken =
		atomic_exchange_explicit(&forward->offered, offer, memory_order_acq_rel);

	if (untaken != &refuse_all)
		crow_upstreams_release(untaken);
}

static void drop_upstreams(struct crow_forward *forward)
{
	crow_exchange_free(forward->exchange); /* no attempt is referred to any more */
	forward->exchange = NULL;
	forward->free_attempt = NULL;
	forward->attempts_made = forward->under_way = 0;
	crow_ranking_fini(&forward->ranking);
	crow_upstreams_release(forward->upstreams);
	forward->upstreams = NULL;
}

void crow_forward_update(struct crow_forward *forward)
{
	struct crow_upstreams *offer =
		atomic_exchange_explicit(&forward->offered, NULL, memory_order_acq_rel);
	int64_t now_ns = crow_now_ns();

	if (!offer)
		return;
	drop_upstreams(forward);
	if (offer != &refuse_all) {
		forward->exchange = crow_exchange_new(forward->loop, offer, &forward->random);
		if (forward->exchange) {
			forward->upstreams = offer;
			crow_ranking_init(&forward->ranking, offer);
		} else {
			crow_log(CROW_LOG_ERROR, "no memory to forward names: they are refused");
			crow_upstreams_release(offer);
		}
	}
	send_probes(forward, now_ns);
	/* What is in flight is asked of the new ones, with the turns that are left. */
	crow_flights_forget(&forward->flights);
	go_on_all(forward, now_ns);
}

/* ---- questions ---- */

static uint64_t draw(void *context)
{
	return crow_random_u64(context);
}

static struct crow_flight *start(struct crow_forward *forward, const struct crow_query *query,
				 int64_t now_ns)
{
	struct crow_flight *flight = crow_flights_add(&forward->flights, query, now_ns);

	if (!flight) {
		crow_count(forward_full);
		return NULL;
	}
	if (forward->upstreams->mixed_case)
		crow_question_mix_case(&flight->query, draw, &forward->random);
	ask_next(forward, flight, now_ns);
	ask_suspects(forward, flight, now_ns);
	go_on(forward, flight, now_ns);
	return flight;
}

/* A stale answer at once: all upstreams are known to be down, or it has been waited for already.
 * One that is asked for in a flight of its own, so that a probe goes out. */
static bool is_for_now(const struct crow_forward *forward, const struct crow_flight *flight,
		       int64_t now_ns)
{
	return crow_ranking_all_down(&forward->ranking, now_ns) ||
	       (flight && flight->turns >= CROW_FLIGHT_STALE_TURNS);
}

static bool refuse(const struct crow_query *query, uint16_t rcode, struct crow_reply *reply)
{
	crow_reply_refuse(reply, query, rcode);
	crow_tally_reply(reply);
	return true;
}

/* Nobody has the answer: a flight for it, new or under way. stale: the cache has an old answer. */
static bool ask_upstreams(struct crow_forward *forward, const struct crow_query *query,
			  const struct crow_asker *asker, bool stale, uint64_t turn,
			  struct crow_reply *reply, int64_t now_ns)
{
	struct crow_flight *flight = crow_flights_find(&forward->flights, query);
	bool known = flight != NULL;

	if (!flight && crow_ranking_usable(&forward->ranking, now_ns))
		flight = start(forward, query, now_ns);
	if (stale && (!flight || is_for_now(forward, flight, now_ns)) &&
	    answer_stale(forward, query, turn, reply, now_ns)) {
		crow_tally_reply(reply);
		return true;
	}
	if (!flight)
		return refuse(query, CROW_RCODE_SERVFAIL, reply);
	if (!crow_flights_join(&forward->flights, flight, query, asker)) {
		crow_count(forward_full);
		return refuse(query, CROW_RCODE_SERVFAIL, reply);
	}
	if (known)
		crow_count(forward_coalesced);
	return false;
}

bool crow_forward_ask(struct crow_forward *forward, const struct crow_query *query,
		      const struct crow_asker *asker, uint64_t turn, struct crow_reply *reply)
{
	enum crow_cache_state state = CROW_CACHE_MISS;
	int64_t now_ns = crow_now_ns();

	if (!forward->upstreams || !crow_question_is_forwarded(query))
		return refuse(query, CROW_RCODE_REFUSED, reply);
	if (forward->cache)
		state = crow_cache_answer(forward->cache, query, now_ns, false, turn, reply);
	if (state == CROW_CACHE_FRESH) {
		crow_count(forward_hits);
		crow_tally_reply(reply);
		return true;
	}
	/* RFC 1035 4.1.1: without RD nobody is asked. What is not here is refused, for an empty
	 * answer would claim that there is nothing. */
	if (take_probe(forward, query, now_ns) || !(query->flags & FLAG_RD))
		return refuse(query, CROW_RCODE_REFUSED, reply);
	crow_count(forward_misses);
	return ask_upstreams(forward, query, asker, state == CROW_CACHE_STALE, turn, reply, now_ns);
}

/* ---- life ---- */

struct crow_forward *crow_forward_new(struct crow_loop *loop, uint32_t cache_entries)
{
	struct crow_forward *forward = calloc(1, sizeof(*forward));
	uint64_t secret[2];

	if (!forward)
		return NULL;
	forward->loop = loop;
	forward->turn_timer.on_due = on_turn;
	forward->chore_timer.on_due = on_chores;
	forward->turn = crow_random_u64(&forward->random);
	secret[0] = crow_random_u64(&forward->random);
	secret[1] = crow_random_u64(&forward->random);
	forward->attempts = calloc(ATTEMPTS_MAX, sizeof(*forward->attempts));
	if (cache_entries > 0)
		forward->cache = crow_cache_new(cache_entries, secret);
	if (crow_flights_init(&forward->flights, secret) && forward->attempts &&
	    (cache_entries == 0 || forward->cache))
		return forward;
	crow_forward_free(forward);
	return NULL;
}

void crow_forward_free(struct crow_forward *forward)
{
	if (!forward)
		return;
	crow_forward_offer(forward, NULL);
	drop_upstreams(forward);
	crow_timer_clear(forward->loop, &forward->turn_timer);
	crow_timer_clear(forward->loop, &forward->chore_timer);
	crow_flights_fini(&forward->flights);
	crow_cache_free(forward->cache);
	free(forward->attempts);
	free(forward);
}
