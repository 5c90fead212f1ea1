#include "daemon/health/ward.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/counters.h"

#define MS_NS INT64_C(1000000)

/* Ramps go in so many steps: each is an image, and a tenth of the load is what nobody notices. */
#define STEPS 10

/* The least percentage of a slow start: with less, an instance would hardly be asked at all, and
 * have nothing to warm up by (Envoy's min_weight_percent). */
#define SLOWEST 10

struct crow_ward_range crow_ward_range(const struct crow_list *list, bool is_v4)
{
	size_t low = 0, high = list->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (crow_addr_is_v4(&list->items[middle].addr))
			low = middle + 1;
		else
			high = middle;
	}
	return is_v4 ? (struct crow_ward_range){0, low}
		     : (struct crow_ward_range){low, list->count};
}

/* The item of an endpoint that may be picked; the list's count if there is none. */
static size_t item_of(const struct crow_service *service, const struct crow_endpoint *endpoint)
{
	size_t item = crow_list_find(&service->list, &endpoint->addr, endpoint->port);

	if (item < service->list.count && service->list.items[item].weight == 0)
		return service->list.count;
	return item;
}

bool crow_ward_has(const struct crow_service *service, const struct crow_endpoint *endpoint)
{
	return item_of(service, endpoint) < service->list.count;
}

void crow_ward_admit(struct crow_book *book, const struct crow_service *service, int64_t now_ns)
{
	for (size_t i = 0; service->shares != NULL && i < service->list.count; i++) {
		const struct crow_item *item = &service->list.items[i];
		struct crow_endpoint *endpoint = NULL;

		if (service->shares[i] == CROW_SHARE_NEW)
			endpoint = crow_book_note(book, &item->addr, item->port, now_ns);
		if (endpoint != NULL)
			endpoint->admitted_ns = now_ns;
	}
}

/* ---- one family ---- */

struct family {
	struct crow_care *care;
	struct crow_service *service;
	struct crow_standing *standing;
	struct crow_case which;
	struct crow_down *downs;
	size_t down_count;
	bool is_v4;
	bool ramps; /* time alone will change something */
	uint8_t *shares;
	int64_t now_ns;
};

static struct crow_endpoint *endpoint_of(const struct family *f, size_t item)
{
	const struct crow_item *at = &f->service->list.items[item];

	return crow_book_find(&f->care->book, &at->addr, at->port);
}

static void measure(struct family *f)
{
	const struct crow_list *list = &f->service->list;
	struct crow_ward_range range = crow_ward_range(list, f->is_v4);

	for (size_t i = range.begin; i < range.end; i++) {
		f->which.count += list->items[i].weight > 0;
		f->which.weight += list->items[i].weight;
	}
}

static void gather(struct family *f)
{
	const struct crow_book *book = &f->care->book;

	for (size_t i = 0; i < book->count; i++) {
		const struct crow_endpoint *endpoint = book->all[i];
		bool weak = crow_evidence_is_weak(endpoint->why);
		size_t item;

		if (endpoint->state != CROW_ENDPOINT_DOWN ||
		    crow_addr_is_v4(&endpoint->addr) != f->is_v4)
			continue;
		item = item_of(f->service, endpoint);
		if (item == f->service->list.count)
			continue;
		f->downs[f->down_count++] = (struct crow_down){
			.item = item,
			.weight = f->service->list.items[item].weight,
			.since_ns = endpoint->since_ns,
			.silent = endpoint->why == CROW_EVIDENCE_SILENT,
			.witnessed = !weak || f->standing->answered_ns >= endpoint->doubted_ns,
		};
	}
}

static const char *family_name(const struct family *f)
{
	const struct crow_list *list = &f->service->list;
	struct crow_ward_range range = crow_ward_range(list, f->is_v4);

	if (range.end - range.begin == list->count)
		return "";
	return f->is_v4 ? "IPv4 " : "IPv6 ";
}

static const char *evidence_of(const struct crow_endpoint *endpoint)
{
	if (endpoint->why == CROW_EVIDENCE_SILENT)
		return "timed out twice";
	return crow_evidence_name(endpoint->why);
}

static void say_lost(const struct family *f)
{
	const struct crow_endpoint *endpoint = endpoint_of(f, f->downs[0].item);
	enum crow_log_level level = crow_service_news(f->service, CROW_LOG_WARNING, f->now_ns);

	crow_count(losses);
	if (f->which.count == 1)
		crow_log(level,
			 "service %s: its only %sinstance seems to be down: %s; it stays in picks",
			 f->service->name, family_name(f), evidence_of(endpoint));
	else
		crow_log(level,
			 "service %s: all %zu %sinstances seem to be down, the first: %s; all stay "
			 "in picks, and the network of this host may be the cause",
			 f->service->name, f->which.count, family_name(f), evidence_of(endpoint));
}

static void say_regained(const struct family *f)
{
	crow_log(crow_service_news(f->service, CROW_LOG_INFO, f->now_ns),
		 "service %s: %zu of %zu %sinstances answer again after a total loss of %lld ms",
		 f->service->name, f->which.count - f->down_count, f->which.count, family_name(f),
		 (long long)((f->now_ns - f->standing->lost_ns) / MS_NS));
}

/* Whether all are down, and since when; said once. */
static void follow_loss(struct family *f)
{
	struct crow_standing *standing = f->standing;
	bool lost = f->which.count > 0 && f->down_count == f->which.count;

	if (lost && standing->lost_ns == 0) {
		standing->lost_ns = f->now_ns;
		say_lost(f);
	} else if (!lost && standing->lost_ns != 0) {
		say_regained(f);
		standing->fell_ns = standing->lost_ns;
		standing->regained_ns = f->now_ns;
		standing->lost_ns = 0;
	}
	if (standing->fell_ns != 0 && f->now_ns - standing->regained_ns >= f->which.ramp_ns)
		standing->fell_ns = 0;
	f->which.fell_ns = standing->fell_ns;
	f->which.regained_ns = standing->regained_ns;
}

static void judge_downs(struct family *f)
{
	f->standing->waits_for_witness = false;
	crow_judge(&f->which, f->downs, f->down_count, f->now_ns);
	for (size_t i = 0; i < f->down_count; i++) {
		const struct crow_down *down = &f->downs[i];

		endpoint_of(f, down->item)->verdict = (uint8_t)down->verdict;
		if (down->verdict == CROW_VERDICT_OUT)
			f->shares[down->item] = 0;
		f->standing->waits_for_witness |= down->verdict == CROW_VERDICT_NO_WITNESS;
		f->ramps |= down->verdict == CROW_VERDICT_RAMP;
	}
}

/* Sets the shares of one family. Returns whether time alone will change them. */
static bool judge_family(struct crow_care *care, struct crow_service *service, bool is_v4,
			 struct crow_down *downs, uint8_t *shares, int64_t now_ns)
{
	struct family f = {
		.care = care,
		.service = service,
		.standing = &service->standings[is_v4 ? 0 : 1],
		.which.ramp_ns = care->table->config->recovery_ramp_ms * MS_NS,
		.downs = downs,
		.is_v4 = is_v4,
		.shares = shares,
		.now_ns = now_ns,
	};

	measure(&f);
	gather(&f);
	follow_loss(&f);
	judge_downs(&f);
	return f.ramps;
}

/* ---- slow start ---- */

static bool is_slow(const struct crow_endpoint *endpoint, int64_t slow_ns, int64_t now_ns)
{
	return endpoint->state != CROW_ENDPOINT_DOWN && endpoint->admitted_ns != 0 &&
	       now_ns - endpoint->admitted_ns < slow_ns;
}

/* Returns whether any has one. */
static bool set_slow_shares(const struct crow_care *care, const struct crow_service *service,
			    uint8_t *shares, int64_t now_ns)
{
	int64_t slow_ns = care->table->config->slow_start_ms * MS_NS;
	bool any = false;

	for (size_t i = 0; slow_ns > 0 && i < care->book.count; i++) {
		const struct crow_endpoint *endpoint = care->book.all[i];
		size_t item;
		int64_t percent;

		if (!is_slow(endpoint, slow_ns, now_ns))
			continue;
		item = item_of(service, endpoint);
		if (item == service->list.count)
			continue;
		percent = 100 * (now_ns - endpoint->admitted_ns) / slow_ns;
		shares[item] = (uint8_t)(percent > SLOWEST ? percent : SLOWEST);
		any = true;
	}
	return any;
}

static bool has_slow(const struct crow_care *care, const struct crow_service *service)
{
	if (care->table->config->slow_start_ms == 0 || service->shares == NULL)
		return false;
	for (size_t i = 0; i < service->list.count; i++)
		if (service->shares[i] > 0 && service->shares[i] < 100)
			return true;
	return false;
}

/* ---- the whole ---- */

static void say_changes(struct crow_care *care, struct crow_service *service, const uint8_t *shares,
			int64_t now_ns)
{
	char text[CROW_ENDPOINT_TEXT];

	for (size_t i = 0; i < service->list.count; i++) {
		const struct crow_item *item = &service->list.items[i];
		bool was_in = crow_service_share(service, i) > 0;
		const struct crow_endpoint *endpoint;

		if (was_in == (shares[i] > 0))
			continue;
		endpoint = crow_book_find(&care->book, &item->addr, item->port);
		crow_addr_format(&item->addr, item->port, text);
		if (was_in)
			crow_count(ejections);
		else
			crow_count(readmissions);
		crow_log(crow_service_news(service, CROW_LOG_INFO, now_ns),
			 "service %s: %s is %s%s", service->name, text,
			 was_in ? "out of picks: " : "in picks again",
			 was_in && endpoint != NULL ? evidence_of(endpoint) : "");
	}
}

static void plan_step(struct crow_care *care, uint32_t ramp_ms, int64_t now_ns)
{
	int64_t due_ns = now_ns + ramp_ms * MS_NS / STEPS;

	if (due_ns < care->step_ns)
		care->step_ns = due_ns;
}

void crow_ward_judge(struct crow_care *care, struct crow_service *service, int64_t now_ns)
{
	const struct crow_config *config = care->table->config;
	size_t count = service->list.count;
	uint8_t *shares = malloc(count + 1); /* one more, as malloc(0) may give NULL */
	struct crow_down *downs = malloc((care->book.count + 1) * sizeof(*downs));

	if (shares != NULL && downs != NULL) {
		bool ramps4, ramps6;

		memset(shares, 100, count);
		ramps4 = judge_family(care, service, true, downs, shares, now_ns);
		ramps6 = judge_family(care, service, false, downs, shares, now_ns);
		if (ramps4 || ramps6)
			plan_step(care, config->recovery_ramp_ms, now_ns);
		if (set_slow_shares(care, service, shares, now_ns))
			plan_step(care, config->slow_start_ms, now_ns);
		say_changes(care, service, shares, now_ns);
		crow_table_set_shares(care->table, service, shares);
		shares = NULL;
	}
	free(downs);
	free(shares);
}

bool crow_ward_is_ramping(const struct crow_care *care, const struct crow_service *service)
{
	return service->standings[0].fell_ns != 0 || service->standings[1].fell_ns != 0 ||
	       has_slow(care, service);
}
