#include "daemon/discovery/discovery.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/discovery/demand.h"
#include "daemon/discovery/round.h"
#include "daemon/log.h"
#include "daemon/watch.h"

/* A file that changes several times at once, as when a tool touches it twice, is read once. */
#define FILE_SETTLE_NS INT64_C(10000000)

/* Polls one service of the table: its timer starts a round, whose end sets the timer. */
struct poller {
	struct crow_discovery *discovery;
	struct poller *next;
	struct crow_service *service;
	struct crow_timer timer;
	struct crow_round round;
	struct crow_file_watch *file; /* type=file, if files can be watched */
};

struct crow_discovery {
	struct crow_loop *loop;
	struct crow_table *table;
	void (*on_poll)(void *context);
	void *context;
	struct crow_fetcher *fetcher;
	struct crow_watcher *watcher; /* NULL: no file source, or no inotify */
	struct crow_origin *origins;  /* one for each source, in their order */
	size_t origin_count;
	struct poller *pollers;
	struct crow_demands demands;
};

/* arc4random(3) neither fails nor keeps a descriptor. */
static uint64_t random_number(void)
{
	uint64_t number;

	arc4random_buf(&number, sizeof(number));
	return number;
}

/* ---- one service ---- */

static void on_round(struct crow_round *round)
{
	struct poller *poller = crow_container(round, struct poller, round);
	struct crow_discovery *discovery = poller->discovery;
	uint32_t interval_ms = poller->service->source->poll_interval_ms;
	int64_t now_ns = crow_now_ns();

	if (round->poll.outcome == CROW_POLL_OK)
		crow_table_take(discovery->table, poller->service, &round->list, &round->tally,
				now_ns);
	else
		crow_table_fail(discovery->table, poller->service, round->poll.outcome,
				round->detail, round->has_tally ? &round->tally : NULL, now_ns);
	crow_timer_set(discovery->loop, &poller->timer,
		       crow_poll_next_ns(&round->poll, interval_ms, now_ns, random_number()));
	if (discovery->on_poll)
		discovery->on_poll(discovery->context);
}

static void on_due(struct crow_timer *timer, int64_t now_ns)
{
	struct poller *poller = crow_container(timer, struct poller, timer);
	int64_t when_ns = crow_poll_wake_ns(
		timer->due_ns, poller->service->source->poll_interval_ms, now_ns, random_number());

	if (when_ns > now_ns) {
		crow_timer_set(poller->discovery->loop, timer, when_ns);
		return;
	}
	if (poller->file)
		crow_file_watch_renew(poller->file);
	crow_round_start(&poller->round);
}

static void on_file_change(void *context)
{
	struct poller *poller = context;
	int64_t due_ns = crow_now_ns() + FILE_SETTLE_NS;

	if (poller->timer.armed && poller->timer.due_ns > due_ns)
		crow_timer_set(poller->discovery->loop, &poller->timer, due_ns);
}

static void watch_file(struct poller *poller)
{
	struct crow_discovery *discovery = poller->discovery;
	char *path = crow_poll_locate(NULL, poller->service->source->paths.items[0],
				      poller->service->name);

	if (path)
		poller->file =
			crow_file_watch_new(discovery->watcher, path, on_file_change, poller);
	free(path);
}

/* NULL: no memory, which the log has said. */
static struct poller *poller_new(struct crow_discovery *discovery, struct crow_service *service)
{
	struct poller *poller = calloc(1, sizeof(*poller));
	size_t index = (size_t)(service->source - discovery->table->config->sources);

	if (!poller) {
		crow_log(CROW_LOG_ERROR, "no memory to poll %s: its list stays as it is",
			 service->name);
		return NULL;
	}
	poller->discovery = discovery;
	poller->service = service;
	poller->timer.on_due = on_due;
	crow_round_init(&poller->round, &discovery->origins[index], service->name, false, on_round);
	if (service->source->type == CROW_SOURCE_FILE && discovery->watcher)
		watch_file(poller);
	poller->next = discovery->pollers;
	discovery->pollers = poller;
	return poller;
}

static void poller_free(struct poller *poller)
{
	crow_timer_clear(poller->discovery->loop, &poller->timer);
	crow_round_fini(&poller->round);
	crow_file_watch_free(poller->file);
	free(poller);
}

/* ---- all services ---- */

static bool has_files(const struct crow_config *config)
{
	for (size_t i = 0; i < config->source_count; i++)
		if (config->sources[i].type == CROW_SOURCE_FILE)
			return true;
	return false;
}

static bool make_origins(struct crow_discovery *discovery)
{
	const struct crow_config *config = discovery->table->config;

	discovery->origins = calloc(config->source_count + 1, sizeof(*discovery->origins));
	if (!discovery->origins)
		return false;
	discovery->origin_count = config->source_count;
	for (size_t i = 0; i < config->source_count; i++)
		crow_origin_init(&discovery->origins[i], &config->sources[i], discovery->fetcher);
	return true;
}

static void start_polls(struct crow_discovery *discovery)
{
	const struct crow_table *table = discovery->table;

	for (size_t i = 0; i < table->count; i++) {
		struct crow_service *service = table->services[i];
		struct poller *poller = poller_new(discovery, service);

		if (poller)
			crow_timer_set(
				discovery->loop, &poller->timer,
				crow_poll_first_ns(table->count, crow_now_ns(), random_number()));
	}
}

static void on_found(void *context, struct crow_service *service, const struct crow_round *round)
{
	struct crow_discovery *discovery = context;
	struct poller *poller = poller_new(discovery, service);

	if (!poller)
		return;
	poller->round.poll.memory = round->poll.memory;
	crow_timer_set(discovery->loop, &poller->timer,
		       crow_poll_next_ns(&round->poll, service->source->poll_interval_ms,
					 crow_now_ns(), random_number()));
}

void crow_discovery_pause(struct crow_discovery *discovery)
{
	crow_demands_pause(&discovery->demands);
	while (discovery->pollers) {
		struct poller *poller = discovery->pollers;

		discovery->pollers = poller->next;
		poller_free(poller);
	}
	crow_watcher_free(discovery->watcher);
	discovery->watcher = NULL;
	free(discovery->origins);
	discovery->origins = NULL;
	discovery->origin_count = 0;
}

/* Nothing that was learnt is kept: with a new configuration the paths may be others, and asking
 * all services once more is what somebody who reloads wants to see. */
void crow_discovery_resume(struct crow_discovery *discovery)
{
	crow_discovery_pause(discovery);
	if (!make_origins(discovery)) {
		crow_log(CROW_LOG_ERROR, "no memory to poll: all lists stay as they are");
		return;
	}
	if (has_files(discovery->table->config))
		discovery->watcher = crow_watcher_new(discovery->loop);
	start_polls(discovery);
	crow_demands_resume(&discovery->demands, discovery->origins, discovery->origin_count);
}

struct crow_discovery *crow_discovery_new(struct crow_loop *loop, struct crow_hosts *hosts,
					  struct crow_table *table, void (*on_poll)(void *context),
					  void *context)
{
	struct crow_discovery *discovery = calloc(1, sizeof(*discovery));

	if (discovery)
		discovery->fetcher = crow_fetcher_new(loop, hosts);
	if (!discovery || !discovery->fetcher) {
		crow_log(CROW_LOG_ERROR, "cannot start discovery: no memory, or libcurl failed");
		free(discovery);
		return NULL;
	}
	discovery->loop = loop;
	discovery->table = table;
	discovery->on_poll = on_poll;
	discovery->context = context;
	discovery->demands.table = table;
	discovery->demands.on_found = on_found;
	discovery->demands.context = discovery;
	crow_discovery_resume(discovery);
	return discovery;
}

void crow_discovery_free(struct crow_discovery *discovery)
{
	if (!discovery)
		return;
	crow_discovery_pause(discovery);
	crow_demands_fini(&discovery->demands);
	crow_fetcher_free(discovery->fetcher);
	free(discovery);
}

void crow_discovery_demand(struct crow_discovery *discovery, const char *name)
{
	char folded[CROW_NAME_MAX + 1];

	if (crow_name_fold(name, strlen(name), folded) > 0)
		crow_demands_ask(&discovery->demands, folded);
}
