#include "daemon/health/health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/counters.h"
#include "daemon/health/limit.h"
#include "daemon/health/probe.h"
#include "daemon/health/ward.h"

#define SECOND_NS INT64_C(1000000000)

/* How often what DNS gave is looked at: an instance is probed within a second of the answer. */
#define SWEEP_NS SECOND_NS

/* Probes that a sender's reports may cause. A process finds three dead instances in a connect();
 * one that found 20 in a second has told enough. A user gets half of the default probe-rate, so
 * that another one's reports find room. */
#define PROCESS_PER_SECOND 10
#define PROCESS_BURST      20
#define USER_PER_SECOND    50
#define USER_BURST         50

struct crow_health {
	struct crow_loop *loop;
	struct crow_table *table;
	struct crow_publisher *publisher;
	struct crow_care care;
	struct crow_probes *probes;
	struct crow_limit processes, users;
	struct crow_timer timer; /* of what is due in care */
	struct crow_timer sweep_timer;
	crow_health_hook *on_news; /* NULL: nobody */
	void *context;
};

static void tell(const struct crow_health *health, enum crow_health_news news,
		 const struct crow_endpoint *endpoint)
{
	if (health->on_news != NULL)
		health->on_news(health->context, news, &endpoint->addr, endpoint->port);
}

void crow_health_watch(struct crow_health *health, crow_health_hook *on_news, void *context)
{
	health->on_news = on_news;
	health->context = context;
}

static void schedule(struct crow_health *health)
{
	int64_t now_ns = crow_now_ns();
	int64_t due_ns = crow_care_due_ns(&health->care, now_ns);

	/* When they are full, the next outcome makes room, and comes back here. */
	if (due_ns <= now_ns && crow_probes_are_full(health->probes))
		crow_timer_clear(health->loop, &health->timer);
	else
		crow_timer_set(health->loop, &health->timer, due_ns);
}

static void on_outcome(void *context, struct crow_endpoint *endpoint, enum crow_evidence evidence)
{
	struct crow_health *health = context;

	if (evidence == CROW_EVIDENCE_OK)
		tell(health, CROW_HEALTH_PROBE_OK, endpoint);
	else if (evidence != CROW_EVIDENCE_LOCAL)
		tell(health, CROW_HEALTH_PROBE_FAILED, endpoint);
	crow_care_outcome(&health->care, endpoint, evidence, crow_now_ns());
	schedule(health);
}

static void on_due(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_health *health = crow_container(timer, struct crow_health, timer);
	struct crow_endpoint *endpoint;

	crow_care_step(&health->care, now_ns);
	while (!crow_probes_are_full(health->probes) &&
	       (endpoint = crow_care_next(&health->care, now_ns)) != NULL)
		crow_probes_start(health->probes, endpoint,
				  health->table->config->probe_timeout_ms);
	schedule(health);
}

/* ---- hints ---- */

void crow_health_report(struct crow_health *health, const struct crow_report *report,
			const struct crow_sender *sender)
{
	const struct crow_service *service = crow_table_find(health->table, report->name);
	int64_t now_ns = crow_now_ns();
	bool news;

	if (service == NULL || !crow_care_is_listed(service, &report->addr, report->port)) {
		crow_count(reports_unknown);
		return;
	}
	news = crow_care_is_news(&health->care, &report->addr, report->port, now_ns);
	if (!news) {
		crow_count(reports_known);
	} else if (!crow_limit_take(&health->processes, (uint64_t)sender->pid, now_ns) ||
		   !crow_limit_take(&health->users, sender->uid, now_ns)) {
		crow_count(reports_limited);
		return;
	}
	crow_care_report(&health->care, &report->addr, report->port, now_ns);
	if (news)
		schedule(health);
}

static void on_named(void *context, const struct crow_snap_instance *instance, int64_t now_ns)
{
	struct crow_health *health = context;

	crow_care_given(&health->care, &instance->addr, instance->port, now_ns);
}

static void on_sweep(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_health *health = crow_container(timer, struct crow_health, sweep_timer);

	crow_publisher_sweep(health->publisher, now_ns);
	crow_timer_set(health->loop, timer, now_ns + SWEEP_NS);
	schedule(health);
}

void crow_health_take_list(struct crow_health *health, struct crow_service *service)
{
	crow_care_take_list(&health->care, service, crow_now_ns());
	schedule(health);
}

void crow_health_configure(struct crow_health *health)
{
	crow_care_configure(&health->care, crow_now_ns());
	schedule(health);
}

/* ---- for people ---- */

static const char *evidence_in_words(const struct crow_endpoint *endpoint)
{
	if (endpoint->why == CROW_EVIDENCE_SILENT)
		return "timed out twice";
	return crow_evidence_name(endpoint->why);
}

static void view_down(const struct crow_endpoint *endpoint, struct crow_health_view *out)
{
	out->state = out->share == 0 ? CROW_HEALTH_EJECTED : CROW_HEALTH_KEPT;
	if (out->state == CROW_HEALTH_EJECTED)
		snprintf(out->why, sizeof(out->why), "%s", evidence_in_words(endpoint));
	else
		snprintf(out->why, sizeof(out->why), "%s; picked all the same: %s",
			 evidence_in_words(endpoint), crow_verdict_name(endpoint->verdict));
}

void crow_health_get(const struct crow_health *health, const struct crow_service *service,
		     const struct crow_addr *addr, uint16_t port, struct crow_health_view *out)
{
	const struct crow_endpoint *endpoint = crow_book_find(&health->care.book, addr, port);
	size_t item = crow_list_find(&service->list, addr, port);

	*out = (struct crow_health_view){.state = CROW_HEALTH_UP, .share = 100, .last = ""};
	if (item < service->list.count)
		out->share = crow_service_share(service, item);
	if (endpoint == NULL)
		return;
	out->since_ns = endpoint->since_ns;
	out->last = crow_evidence_name(endpoint->last);
	out->probed_ns = endpoint->probed_ns;
	out->failovers = endpoint->reports;
	out->probes = endpoint->probes;
	out->ejections = endpoint->ejections;
	if (endpoint->state == CROW_ENDPOINT_DOWN) {
		view_down(endpoint, out);
	} else if (endpoint->state == CROW_ENDPOINT_SUSPECT) {
		out->state = CROW_HEALTH_SUSPECT;
		snprintf(out->why, sizeof(out->why), "%s",
			 endpoint->strikes > 0 ? "timed out once" : "reported by a program");
	}
}

const char *crow_health_strstate(enum crow_health_state state)
{
	switch (state) {
	case CROW_HEALTH_UP:
		return "up";
	case CROW_HEALTH_SUSPECT:
		return "suspect";
	case CROW_HEALTH_EJECTED:
		return "ejected";
	case CROW_HEALTH_KEPT:
		return "kept";
	}
	return "unknown";
}

/* ---- life ---- */

static uint64_t random_seed(void)
{
	uint64_t seed;

	/* Never short for 8 bytes, and after boot it does not block (getrandom(2)). */
	if (getrandom(&seed, sizeof(seed), 0) < 0)
		seed = (uint64_t)crow_now_ns();
	return seed;
}

struct crow_health *crow_health_new(struct crow_loop *loop, struct crow_table *table,
				    struct crow_publisher *publisher)
{
	struct crow_health *health = calloc(1, sizeof(*health));
	int64_t now_ns = crow_now_ns();

	if (health == NULL)
		return NULL;
	health->loop = loop;
	health->table = table;
	health->publisher = publisher;
	health->timer.on_due = on_due;
	health->sweep_timer.on_due = on_sweep;
	crow_limit_init(&health->processes, PROCESS_PER_SECOND, PROCESS_BURST, random_seed());
	crow_limit_init(&health->users, USER_PER_SECOND, USER_BURST, random_seed());
	health->probes = crow_probes_new(loop, on_outcome, health);
	if (health->probes == NULL ||
	    !crow_care_init(&health->care, table, random_seed(), now_ns)) {
		crow_probes_free(health->probes);
		free(health);
		return NULL;
	}
	crow_given_watch(crow_publisher_given(publisher), on_named, health);
	if (table->config->dns_listen.count > 0) /* which a reload does not change */
		crow_timer_set(loop, &health->sweep_timer, now_ns + SWEEP_NS);
	return health;
}

void crow_health_free(struct crow_health *health)
{
	if (health == NULL)
		return;
	crow_given_watch(crow_publisher_given(health->publisher), NULL, NULL);
	crow_timer_clear(health->loop, &health->timer);
	crow_timer_clear(health->loop, &health->sweep_timer);
	crow_probes_free(health->probes);
	crow_care_fini(&health->care);
	free(health);
}
