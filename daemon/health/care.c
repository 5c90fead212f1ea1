/* The schedule of probes. What their outcomes mean to a service is ward.c's. */
#include "daemon/health/care.h"

#include <string.h>

#include "daemon/counters.h"
#include "daemon/health/ward.h"

#define MS_NS     INT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)

/* How long after DNS gave it an instance is probed on and on. Longer than any TTL that makes sense
 * here; a program that keeps an address for longer is one that would not ask again anyway. */
#define GIVEN_NS (60 * SECOND_NS)

/* What nothing happened to for so long is forgotten; until then people can see its history. What was
 * never down has none: reports alone, of which a user has 50 in a second, cannot fill the book. */
#define FORGET_NS       (600 * SECOND_NS)
#define FORGET_BLANK_NS (60 * SECOND_NS)

/* How often that is looked for. */
#define SWEEP_NS (60 * SECOND_NS)

/* DNS leaves room in the book for what programs report. */
#define GIVEN_MAX (CROW_BOOK_MAX / 4 * 3)

/* Others that are asked whether it is our own network. Two, should the first be dead as well. */
#define WITNESSES 2

/* Items that are looked at to find a witness. */
#define WITNESS_SCAN 64

static const struct crow_config *config_of(const struct crow_care *care)
{
	return care->table->config;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint32_t draw(struct crow_care *care)
{
	uint64_t z = care->random += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (uint32_t)(z >> 32);
}

bool crow_care_init(struct crow_care *care, struct crow_table *table, uint64_t seed, int64_t now_ns)
{
	*care = (struct crow_care){
		.table = table,
		.random = seed,
		.tokens = table->config->probe_rate,
		.refilled_ns = now_ns,
		.step_ns = CROW_ENDPOINT_NEVER,
		.sweep_ns = now_ns + SWEEP_NS,
	};
	return crow_book_init(&care->book);
}

void crow_care_fini(struct crow_care *care)
{
	crow_book_fini(&care->book);
}

/* ---- who is in the book ---- */

bool crow_care_is_listed(const struct crow_service *service, const struct crow_addr *addr,
			 uint16_t port)
{
	size_t item = crow_list_find(&service->list, addr, port);

	return item < service->list.count && service->list.items[item].weight > 0;
}

static bool is_listed(const struct crow_care *care, const struct crow_endpoint *endpoint)
{
	const struct crow_table *table = care->table;

	for (size_t i = 0; table->config->probe_rate > 0 && i < table->count; i++)
		if (crow_ward_has(table->services[i], endpoint))
			return true;
	return false;
}

static bool is_given(const struct crow_care *care, const struct crow_endpoint *endpoint,
		     int64_t now_ns)
{
	return config_of(care)->probe_interval_ms > 0 && endpoint->given_ns != 0 &&
	       now_ns - endpoint->given_ns < GIVEN_NS;
}

/* Those that left with the list before this one: the tombstones that will go last. One whose probe
 * is under way goes with its outcome. */
static void forget_gone(struct crow_care *care, const struct crow_service *service)
{
	for (size_t i = service->tombstone_count; i-- > 0;) {
		const struct crow_tombstone *stone = &service->tombstones[i];
		struct crow_endpoint *endpoint =
			crow_book_find(&care->book, &stone->addr, stone->port);

		if (stone->until_ns != service->tombstones[service->tombstone_count - 1].until_ns)
			return;
		if (endpoint != NULL && !endpoint->probing && !is_listed(care, endpoint))
			crow_book_forget(&care->book, endpoint);
	}
}

void crow_care_take_list(struct crow_care *care, struct crow_service *service, int64_t now_ns)
{
	forget_gone(care, service);
	if (config_of(care)->slow_start_ms > 0)
		crow_ward_admit(&care->book, service, now_ns);
	crow_ward_judge(care, service, now_ns);
}

void crow_care_configure(struct crow_care *care, int64_t now_ns)
{
	struct crow_book *book = &care->book;

	if (config_of(care)->probe_rate > 0)
		return;
	for (size_t i = book->count; i-- > 0;)
		if (!book->all[i]->probing)
			crow_book_forget(book, book->all[i]);
	for (size_t i = 0; i < care->table->count; i++)
		crow_ward_judge(care, care->table->services[i], now_ns);
}

/* ---- hints ---- */

bool crow_care_is_news(const struct crow_care *care, const struct crow_addr *addr, uint16_t port,
		       int64_t now_ns)
{
	const struct crow_endpoint *endpoint = crow_book_find(&care->book, addr, port);
	struct crow_endpoint as_if;

	if (endpoint == NULL)
		return true;
	as_if = *endpoint;
	return crow_endpoint_report(&as_if, now_ns) != CROW_ENDPOINT_NEVER;
}

void crow_care_report(struct crow_care *care, const struct crow_addr *addr, uint16_t port,
		      int64_t now_ns)
{
	struct crow_endpoint *endpoint = crow_book_note(&care->book, addr, port, now_ns);
	int64_t due_ns;

	if (endpoint == NULL)
		return;
	due_ns = crow_endpoint_report(endpoint, now_ns);
	if (due_ns < endpoint->due_ns)
		crow_book_set_due(&care->book, endpoint, due_ns);
}

static int64_t next_round_ns(struct crow_care *care, int64_t now_ns)
{
	int64_t interval_ns = config_of(care)->probe_interval_ms * MS_NS;

	/* Within a tenth either way: those that were given together do not stay together. */
	return now_ns + interval_ns * 9 / 10 + (int64_t)(draw(care) % 1000) * interval_ns / 5000;
}

void crow_care_given(struct crow_care *care, const struct crow_addr *addr, uint16_t port,
		     int64_t now_ns)
{
	struct crow_endpoint *endpoint;

	if (config_of(care)->probe_interval_ms == 0 || config_of(care)->probe_rate == 0)
		return;
	endpoint = crow_book_find(&care->book, addr, port);
	if (endpoint == NULL && care->book.count < GIVEN_MAX)
		endpoint = crow_book_note(&care->book, addr, port, now_ns);
	if (endpoint == NULL)
		return;
	endpoint->given_ns = now_ns;
	endpoint->told_ns = now_ns;
	if (!endpoint->probing && endpoint->due_ns == CROW_ENDPOINT_NEVER)
		crow_book_set_due(&care->book, endpoint, now_ns);
}

/* ---- probes ---- */

static double tokens_at(const struct crow_care *care, int64_t now_ns)
{
	double rate = config_of(care)->probe_rate;
	double tokens =
		care->tokens + rate * (double)(now_ns - care->refilled_ns) / (double)SECOND_NS;

	return tokens < rate ? tokens : rate;
}

/* A second's worth may begin at once. Half of it is kept for what somebody waits for: rounds over
 * what DNS gave must not hold up a report. */
static double tokens_needed(const struct crow_care *care, const struct crow_endpoint *endpoint)
{
	double half = config_of(care)->probe_rate / 2.0;

	return endpoint->due_ns == CROW_ENDPOINT_AT_ONCE ||
			       endpoint->state == CROW_ENDPOINT_SUSPECT || half < 1
		       ? 1
		       : half;
}

static bool is_wanted(const struct crow_care *care, const struct crow_endpoint *endpoint,
		      int64_t now_ns)
{
	return endpoint->state != CROW_ENDPOINT_UP || endpoint->due_ns == CROW_ENDPOINT_AT_ONCE ||
	       is_given(care, endpoint, now_ns);
}

struct crow_endpoint *crow_care_next(struct crow_care *care, int64_t now_ns)
{
	struct crow_endpoint *endpoint;

	while ((endpoint = crow_book_first(&care->book)) != NULL && endpoint->due_ns <= now_ns) {
		bool listed = is_listed(care, endpoint);
		bool wanted = listed && is_wanted(care, endpoint, now_ns);
		double tokens = tokens_at(care, now_ns);

		if (wanted && tokens < tokens_needed(care, endpoint))
			return NULL;
		crow_book_set_due(&care->book, endpoint, CROW_ENDPOINT_NEVER);
		if (!listed)
			crow_book_forget(&care->book, endpoint);
		if (!wanted)
			continue;
		care->tokens = tokens - 1;
		care->refilled_ns = now_ns;
		endpoint->probing = true;
		endpoint->begun_ns = now_ns;
		return endpoint;
	}
	return NULL;
}

/* Asks others of the service whether anybody answers. One that is known to be down is none to ask;
 * one that was asked since needs no other question. */
static void call_witnesses(struct crow_care *care, const struct crow_service *service,
			   const struct crow_endpoint *doubted, int64_t now_ns)
{
	const struct crow_list *list = &service->list;
	struct crow_ward_range range = crow_ward_range(list, crow_addr_is_v4(&doubted->addr));
	size_t size = range.end - range.begin, start = draw(care) % size;
	unsigned called = 0;

	for (size_t i = 0; i < size && i < WITNESS_SCAN && called < WITNESSES; i++) {
		const struct crow_item *item = &list->items[range.begin + (start + i) % size];
		struct crow_endpoint *other = NULL;

		if (item->weight > 0)
			other = crow_book_note(&care->book, &item->addr, item->port, now_ns);
		if (other == NULL || other == doubted || other->state == CROW_ENDPOINT_DOWN ||
		    other->due_ns == CROW_ENDPOINT_AT_ONCE ||
		    other->begun_ns > doubted->doubted_ns || other->probing)
			continue;
		crow_book_set_due(&care->book, other, CROW_ENDPOINT_AT_ONCE);
		called++;
	}
}

/* What an outcome means to one of the services that have the endpoint. */
static void tell_service(struct crow_care *care, struct crow_service *service,
			 const struct crow_endpoint *endpoint, bool changed, int64_t now_ns)
{
	bool is_v4 = crow_addr_is_v4(&endpoint->addr);
	struct crow_standing *standing = &service->standings[is_v4 ? 0 : 1];

	if (endpoint->last == CROW_EVIDENCE_OK)
		standing->answered_ns = now_ns;
	if (crow_evidence_is_weak(endpoint->last) && endpoint->doubted_ns > standing->answered_ns)
		call_witnesses(care, service, endpoint, now_ns);
	if (changed || (endpoint->last == CROW_EVIDENCE_OK && standing->waits_for_witness))
		crow_ward_judge(care, service, now_ns);
}

static void count_outcome(enum crow_evidence evidence)
{
	crow_count(probes);
	switch (evidence) {
	case CROW_EVIDENCE_NONE:
		break;
	case CROW_EVIDENCE_OK:
		crow_count(probes_ok);
		break;
	case CROW_EVIDENCE_REFUSED:
		crow_count(probes_refused);
		break;
	case CROW_EVIDENCE_UNREACHABLE:
		crow_count(probes_unreachable);
		break;
	case CROW_EVIDENCE_SILENT:
		crow_count(probes_timeout);
		break;
	case CROW_EVIDENCE_LOCAL:
		crow_count(probes_local);
		break;
	}
}

void crow_care_outcome(struct crow_care *care, struct crow_endpoint *endpoint,
		       enum crow_evidence evidence, int64_t now_ns)
{
	const struct crow_config *config = config_of(care);
	struct crow_endpoint_waits waits = {config->eject_backoff_min_ms,
					    config->eject_backoff_max_ms};
	uint8_t before = endpoint->state;
	int64_t due_ns = crow_endpoint_outcome(endpoint, evidence, &waits, draw(care), now_ns);
	bool changed = (before == CROW_ENDPOINT_DOWN) != (endpoint->state == CROW_ENDPOINT_DOWN);
	bool listed = false;

	count_outcome(evidence);
	if (due_ns == CROW_ENDPOINT_NEVER && is_given(care, endpoint, now_ns))
		due_ns = next_round_ns(care, now_ns);
	crow_book_set_due(&care->book, endpoint, due_ns);
	for (size_t i = 0; config->probe_rate > 0 && i < care->table->count; i++) {
		struct crow_service *service = care->table->services[i];

		if (!crow_ward_has(service, endpoint))
			continue;
		listed = true;
		tell_service(care, service, endpoint, changed, now_ns);
	}
	if (!listed) /* it left the list meanwhile */
		crow_book_forget(&care->book, endpoint);
}

/* ---- time ---- */

static void forget_what_is_past(struct crow_care *care, int64_t now_ns)
{
	struct crow_book *book = &care->book;

	for (size_t i = book->count; i-- > 0;) {
		struct crow_endpoint *endpoint = book->all[i];
		int64_t after_ns = endpoint->ejections > 0 ? FORGET_NS : FORGET_BLANK_NS;

		if (endpoint->state == CROW_ENDPOINT_UP && !endpoint->probing &&
		    now_ns - endpoint->told_ns >= after_ns)
			crow_book_forget(book, endpoint);
	}
	care->sweep_ns = now_ns + SWEEP_NS;
}

static void step_ramps(struct crow_care *care, int64_t now_ns)
{
	care->step_ns = CROW_ENDPOINT_NEVER;
	for (size_t i = 0; i < care->table->count; i++)
		if (crow_ward_is_ramping(care, care->table->services[i]))
			crow_ward_judge(care, care->table->services[i], now_ns);
}

void crow_care_step(struct crow_care *care, int64_t now_ns)
{
	if (now_ns >= care->step_ns)
		step_ramps(care, now_ns);
	if (now_ns >= care->sweep_ns)
		forget_what_is_past(care, now_ns);
}

/* When the first one may be probed; that it is due does not do, if there were too many of late. */
static int64_t probe_due_ns(const struct crow_care *care, int64_t now_ns)
{
	const struct crow_endpoint *first = crow_book_first(&care->book);
	double rate = config_of(care)->probe_rate, missing;
	int64_t due_ns;

	if (first == NULL || rate == 0)
		return CROW_ENDPOINT_NEVER;
	due_ns = first->due_ns > now_ns ? first->due_ns : now_ns;
	missing = tokens_needed(care, first) - tokens_at(care, due_ns);
	if (missing > 0) /* and one ns for what is lost by rounding */
		due_ns += (int64_t)(missing / rate * (double)SECOND_NS) + 1;
	return due_ns;
}

int64_t crow_care_due_ns(const struct crow_care *care, int64_t now_ns)
{
	int64_t due_ns = probe_due_ns(care, now_ns);

	if (care->step_ns < due_ns)
		due_ns = care->step_ns;
	return care->sweep_ns < due_ns ? care->sweep_ns : due_ns;
}
