#include "daemon/discovery/demand.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/counters.h"
#include "daemon/log.h"

#define MS_NS INT64_C(1000000)

/* The candidates are the name as it is, then with `_` for `-`. */
struct crow_demand {
	struct crow_demands *demands;
	struct crow_demand *next;
	bool dashed;         /* the second candidate's turn */
	bool failed;         /* a candidate could not be asked: the name may yet exist */
	int64_t deadline_ns; /* of both */
	char name[CROW_NAME_MAX + 1];
	char service[CROW_DEMAND_SERVICE_MAX + 1]; /* the candidate being asked */
	struct crow_round round;
};

static void ask_next(struct crow_demand *demand);

/* ---- names ---- */

/* A leading dot is refused too: with type=file the name becomes part of a path. */
static bool is_plausible(const char *name, size_t length)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyz"
					 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789._-";

	return length > 0 && length <= CROW_DEMAND_SERVICE_MAX && name[0] != '.' &&
	       strspn(name, characters) >= length;
}

bool crow_demand_service(const char *name, const char *zone, bool dashed,
			 char out[CROW_DEMAND_SERVICE_MAX + 1])
{
	size_t length = strlen(name), zone_length = strlen(zone);

	if (!crow_name_is_below(name, length, zone, zone_length) || length <= zone_length + 1)
		return false;
	length -= zone_length + 1;
	if (!is_plausible(name, length) || (dashed && !memchr(name, '-', length)))
		return false;
	memcpy(out, name, length);
	out[length] = '\0';
	for (char *c = out; dashed && (c = strchr(c, '-'));)
		*c = '_';
	return true;
}

/* The source that speaks for a name: the one with the longest on-demand zone above it (no two
 * have the same: config.h). NULL: none. */
static struct crow_origin *origin_of(const struct crow_demands *demands, const char *name)
{
	struct crow_origin *found = NULL;

	for (size_t i = 0; i < demands->origin_count; i++) {
		const struct crow_source_config *config = demands->origins[i].config;
		size_t length = strlen(config->zone);

		if (config->on_demand && strlen(name) > length &&
		    crow_name_is_below(name, strlen(name), config->zone, length) &&
		    (!found || length > strlen(found->config->zone)))
			found = &demands->origins[i];
	}
	return found;
}

/* ---- ends ---- */

static void demand_free(struct crow_demand *demand)
{
	struct crow_demands *demands = demand->demands;
	struct crow_demand **link = &demands->first;

	while (*link != demand)
		link = &(*link)->next;
	*link = demand->next;
	demands->count--;
	crow_round_fini(&demand->round);
	free(demand);
}

static void deny(struct crow_demands *demands, const char *name, bool unknown)
{
	crow_table_deny(demands->table, name, unknown ? CROW_NAME_UNKNOWN : CROW_NAME_FAILED,
			crow_now_ns() + (unknown ? CROW_DEMAND_UNKNOWN_NS : CROW_DEMAND_FAILED_NS));
}

static void end_in_vain(struct crow_demand *demand)
{
	if (demand->failed)
		crow_count(demands_failed);
	else
		crow_count(demands_unknown);
	deny(demand->demands, demand->name, !demand->failed);
	demand_free(demand);
}

static void refuse(struct crow_demands *demands, const char *name,
		   const struct crow_source_config *config)
{
	crow_count(demands_refused);
	crow_log(CROW_LOG_DEBUG,
		 "%s is not asked for: source %s has %u services already; see its max-services",
		 name, config->name, config->max_services);
	deny(demands, name, false);
}

static void end_found(struct crow_demand *demand)
{
	struct crow_demands *demands = demand->demands;
	struct crow_round *round = &demand->round;
	struct crow_service *service =
		crow_table_add(demands->table, demand->service, round->origin->config);

	if (!service) {
		refuse(demands, demand->name, round->origin->config);
	} else {
		crow_count(demands_known);
		crow_table_take(demands->table, service, &round->list, &round->tally,
				crow_now_ns());
		demands->on_found(demands->context, service, round);
	}
	demand_free(demand);
}

/* ---- asking ---- */

static void on_asked(struct crow_round *round)
{
	struct crow_demand *demand = crow_container(round, struct crow_demand, round);

	if (round->poll.outcome == CROW_POLL_OK) {
		end_found(demand);
		return;
	}
	if (round->poll.outcome != CROW_POLL_UNKNOWN && round->poll.outcome != CROW_POLL_EMPTY)
		demand->failed = true;
	crow_log(CROW_LOG_DEBUG, "%s was asked for in vain: %s", demand->name, round->detail);
	ask_next(demand);
}

/* The last thing a caller does with demand, which may be gone afterwards. */
static void ask(struct crow_demand *demand, struct crow_origin *origin)
{
	const struct crow_service *known = crow_table_find(demand->demands->table, demand->service);

	if (known && known->source == origin->config) {
		demand_free(demand); /* the next image says so */
		return;
	}
	if (known) { /* of another source, below another zone: a name is one service's */
		ask_next(demand);
		return;
	}
	crow_round_fini(&demand->round);
	crow_round_init(&demand->round, origin, demand->service, true, on_asked);
	demand->round.deadline_ns = demand->deadline_ns;
	crow_round_start(&demand->round);
}

static void ask_first(struct crow_demand *demand, struct crow_origin *origin)
{
	demand->dashed = false;
	demand->failed = false;
	demand->deadline_ns = crow_now_ns() + origin->config->timeout_ms * MS_NS;
	crow_demand_service(demand->name, origin->config->zone, false, demand->service);
	ask(demand, origin);
}

static void ask_next(struct crow_demand *demand)
{
	struct crow_origin *origin = origin_of(demand->demands, demand->name);

	if (demand->dashed ||
	    !crow_demand_service(demand->name, origin->config->zone, true, demand->service)) {
		end_in_vain(demand);
		return;
	}
	demand->dashed = true;
	ask(demand, origin);
}

static bool is_under_way(const struct crow_demands *demands, const char *name)
{
	for (const struct crow_demand *demand = demands->first; demand; demand = demand->next)
		if (strcmp(demand->name, name) == 0)
			return true;
	return false;
}

static bool is_denied(const struct crow_demands *demands, const char *name)
{
	const struct crow_denial *denial = crow_table_find_denial(demands->table, name);

	return denial && denial->until_ns > crow_now_ns();
}

/* As crow_table_add() counts, so that nothing is asked whose answer has no place. */
static bool is_full(const struct crow_demands *demands, const struct crow_source_config *config)
{
	size_t count = 0;

	for (size_t i = 0; i < demands->table->count; i++)
		count += demands->table->services[i]->source == config;
	return count >= config->max_services;
}

static void add(struct crow_demands *demands, const char *name, struct crow_origin *origin)
{
	struct crow_demand *demand = calloc(1, sizeof(*demand));

	if (!demand) {
		crow_count(demands_failed);
		deny(demands, name, false);
		return;
	}
	demand->demands = demands;
	strcpy(demand->name, name);
	demand->next = demands->first;
	demands->first = demand;
	demands->count++;
	ask_first(demand, origin);
}

void crow_demands_ask(struct crow_demands *demands, const char *name)
{
	struct crow_origin *origin = origin_of(demands, name);
	char service[CROW_DEMAND_SERVICE_MAX + 1];

	if (!origin || is_under_way(demands, name) || is_denied(demands, name))
		return;
	if (!crow_demand_service(name, origin->config->zone, false, service)) {
		crow_count(demands_unknown);
		deny(demands, name, true);
	} else if (is_full(demands, origin->config)) {
		refuse(demands, name, origin->config);
	} else if (demands->count >= CROW_DEMANDS_MAX) {
		crow_count(demands_failed);
		deny(demands, name, false);
	} else {
		add(demands, name, origin);
	}
}

/* ---- reloads ---- */

void crow_demands_pause(struct crow_demands *demands)
{
	for (struct crow_demand *demand = demands->first; demand; demand = demand->next) {
		crow_round_fini(&demand->round);
		memset(&demand->round, 0, sizeof(demand->round));
	}
	demands->origin_count = 0;
}

void crow_demands_resume(struct crow_demands *demands, struct crow_origin *origins,
			 size_t origin_count)
{
	struct crow_demand *next;

	demands->origins = origins;
	demands->origin_count = origin_count;
	for (struct crow_demand *demand = demands->first; demand; demand = next) {
		struct crow_origin *origin = origin_of(demands, demand->name);

		next = demand->next;
		if (origin)
			ask_first(demand, origin);
		else
			demand_free(demand);
	}
}

void crow_demands_fini(struct crow_demands *demands)
{
	while (demands->first)
		demand_free(demands->first);
}
