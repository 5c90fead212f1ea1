/* The cache: which services there are, what was asked in vain, and the passing of time. What the end
 * of a poll does to a service is table_poll.c's. Main thread. */
#include "daemon/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

void crow_table_init(struct crow_table *table, crow_table_hook *on_change, void *context)
{
	memset(table, 0, sizeof(*table));
	table->on_change = on_change;
	table->context = context;
}

static void free_service(struct crow_service *service)
{
	if (!service)
		return;
	crow_list_fini(&service->list);
	free(service->shares);
	free(service->tombstones);
	free(service->name);
	free(service);
}

static struct crow_service *new_service(const char *name)
{
	struct crow_service *service = calloc(1, sizeof(*service));

	if (!service)
		return NULL;
	service->name = strdup(name);
	if (!service->name) {
		free(service);
		return NULL;
	}
	return service;
}

static void drop_denials(struct crow_table *table)
{
	free(table->denials);
	table->denials = NULL;
	table->denial_count = 0;
}

void crow_table_fini(struct crow_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		free_service(table->services[i]);
	free(table->services);
	drop_denials(table);
	crow_table_init(table, NULL, NULL);
}

void crow_table_tell(struct crow_table *table, const struct crow_service *service,
		     bool list_changed)
{
	if (table->on_change)
		table->on_change(table->context, service, list_changed);
}

/* The place of the first service whose name is not below `name`. */
static size_t lower_bound(const struct crow_table *table, const char *name)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(table->services[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct crow_service *crow_table_find(const struct crow_table *table, const char *name)
{
	size_t at = lower_bound(table, name);

	if (at == table->count || strcmp(table->services[at]->name, name) != 0)
		return NULL;
	return table->services[at];
}

static size_t count_of_source(const struct crow_table *table,
			      const struct crow_source_config *source)
{
	size_t count = 0;

	for (size_t i = 0; i < table->count; i++)
		count += table->services[i]->source == source;
	return count;
}

struct crow_service *crow_table_add(struct crow_table *table, const char *name,
				    const struct crow_source_config *source)
{
	struct crow_service *service = crow_table_find(table, name);
	struct crow_service **services;
	size_t at;

	if (service)
		return service;
	if (count_of_source(table, source) >= source->max_services)
		return NULL;
	services = realloc(table->services, (table->count + 1) * sizeof(struct crow_service *));
	if (!services)
		return NULL;
	table->services = services;
	service = new_service(name);
	if (!service)
		return NULL;
	service->source = source;
	service->config = crow_config_service(table->config, name);
	service->on_demand = true;

	at = lower_bound(table, name);
	memmove(&services[at + 1], &services[at], (table->count - at) * sizeof(*services));
	services[at] = service;
	table->count++;
	return service;
}

/* --- health ---------------------------------------------------------------------------------- */

uint8_t crow_service_share(const struct crow_service *service, size_t item)
{
	if (service->shares == NULL || service->shares[item] == CROW_SHARE_NEW)
		return 100;
	return service->shares[item];
}

static bool is_as_before(const struct crow_service *service, const uint8_t *shares)
{
	for (size_t i = 0; i < service->list.count; i++)
		if (crow_service_share(service, i) != (shares == NULL ? 100 : shares[i]))
			return false;
	return true;
}

void crow_table_set_shares(struct crow_table *table, struct crow_service *service, uint8_t *shares)
{
	bool as_before = is_as_before(service, shares);

	free(service->shares);
	service->shares = shares;
	if (!as_before)
		crow_table_tell(table, service, false);
}

/* --- a new configuration ------------------------------------------------------------------- */

/* A service as it will be. Nothing of the table changes until all of them have their memory. */
struct planned {
	const char *name;
	const struct crow_source_config *source;
	struct crow_service *service;
	size_t order;
	bool on_demand;
	bool fresh;
};

struct plan {
	struct planned *items;
	size_t count;
};

static const struct crow_source_config *find_on_demand_source(const struct crow_config *config,
							      const char *name)
{
	for (size_t i = 0; i < config->source_count; i++) {
		const struct crow_source_config *source = &config->sources[i];

		if (source->on_demand && strcmp(source->name, name) == 0)
			return source;
	}
	return NULL;
}

static void plan_add(struct plan *plan, const char *name, const struct crow_source_config *source,
		     bool on_demand)
{
	plan->items[plan->count] = (struct planned){
		.name = name,
		.source = source,
		.order = plan->count,
		.on_demand = on_demand,
	};
	plan->count++;
}

/* First what the configuration names, then what was found on demand and may stay: of two plans
 * for a name the first one holds. */
static void plan_names(struct plan *plan, const struct crow_table *table,
		       const struct crow_config *config)
{
	for (size_t i = 0; i < config->source_count; i++) {
		const struct crow_source_config *source = &config->sources[i];

		for (size_t j = 0; j < source->services.count; j++)
			plan_add(plan, source->services.items[j], source, false);
	}
	for (size_t i = 0; i < table->count; i++) {
		const struct crow_service *service = table->services[i];
		const struct crow_source_config *source =
			find_on_demand_source(config, service->source->name);

		if (service->on_demand && source)
			plan_add(plan, service->name, source, true);
	}
}

static int compare_planned(const void *left, const void *right)
{
	const struct planned *a = left, *b = right;
	int order = strcmp(a->name, b->name);

	if (order)
		return order;
	return a->order < b->order ? -1 : a->order > b->order;
}

static void plan_sort(struct plan *plan)
{
	size_t kept = 0;

	if (plan->count > 1)
		qsort(plan->items, plan->count, sizeof(*plan->items), compare_planned);
	for (size_t i = 0; i < plan->count; i++) {
		if (kept == 0 || strcmp(plan->items[kept - 1].name, plan->items[i].name) != 0)
			plan->items[kept++] = plan->items[i];
	}
	plan->count = kept;
}

static bool plan_services(struct plan *plan, const struct crow_table *table)
{
	for (size_t i = 0; i < plan->count; i++) {
		struct planned *planned = &plan->items[i];

		planned->service = crow_table_find(table, planned->name);
		if (planned->service)
			continue;
		planned->service = new_service(planned->name);
		planned->fresh = true;
		if (!planned->service)
			return false;
	}
	return true;
}

static void plan_undo(struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		if (plan->items[i].fresh)
			free_service(plan->items[i].service);
	}
	free(plan->items);
}

static bool plan_make(struct plan *plan, const struct crow_table *table,
		      const struct crow_config *config)
{
	size_t most = table->count + 1; /* one more, as calloc(0) may give NULL */

	for (size_t i = 0; i < config->source_count; i++)
		most += config->sources[i].services.count;
	plan->count = 0;
	plan->items = calloc(most, sizeof(*plan->items));
	if (!plan->items)
		return false;
	plan_names(plan, table, config);
	plan_sort(plan);
	if (plan_services(plan, table))
		return true;
	plan_undo(plan);
	return false;
}

/* Frees the services that the plan leaves out. Both are sorted by name. */
static void drop_unplanned(struct crow_table *table, const struct plan *plan)
{
	size_t next = 0;

	for (size_t i = 0; i < table->count; i++) {
		struct crow_service *service = table->services[i];

		while (next < plan->count && strcmp(plan->items[next].name, service->name) < 0)
			next++;
		if (next < plan->count && plan->items[next].service == service)
			continue;
		crow_log(CROW_LOG_INFO, "service %s: not polled any more", service->name);
		free_service(service);
	}
}

bool crow_table_configure(struct crow_table *table, const struct crow_config *config)
{
	bool first = table->config == NULL;
	struct crow_service **services;
	struct plan plan;

	if (!plan_make(&plan, table, config))
		return false;
	services = calloc(plan.count + 1, sizeof(struct crow_service *));
	if (!services) {
		plan_undo(&plan);
		return false;
	}
	drop_unplanned(table, &plan);
	for (size_t i = 0; i < plan.count; i++) {
		services[i] = plan.items[i].service;
		services[i]->source = plan.items[i].source;
		services[i]->config = crow_config_service(config, services[i]->name);
		services[i]->on_demand = plan.items[i].on_demand;
	}
	free(table->services);
	table->services = services;
	table->count = plan.count;
	table->config = config;
	free(plan.items);
	drop_denials(table); /* another source may know those names */
	if (!first)
		crow_table_tell(table, NULL, false);
	return true;
}

/* --- denials, and the passing of time -------------------------------------------------------- */

const struct crow_denial *crow_table_find_denial(const struct crow_table *table, const char *name)
{
	for (size_t i = 0; i < table->denial_count; i++) {
		if (strcmp(table->denials[i].name, name) == 0)
			return &table->denials[i];
	}
	return NULL;
}

/* The denial of that name; else a free one; else the one that would end first. */
static struct crow_denial *place_for_denial(struct crow_table *table, const char *name)
{
	struct crow_denial *first = table->denials;

	for (size_t i = 0; i < table->denial_count; i++) {
		struct crow_denial *denial = &table->denials[i];

		if (strcmp(denial->name, name) == 0)
			return denial;
		if (denial->until_ns < first->until_ns)
			first = denial;
	}
	if (table->denial_count < CROW_DENIALS_MAX)
		first = &table->denials[table->denial_count++];
	first->kind = 0; /* whatever was here is no denial any more */
	return first;
}

void crow_table_deny(struct crow_table *table, const char *name, uint16_t kind, int64_t until_ns)
{
	struct crow_denial *denial;
	bool seen;

	if (strlen(name) > CROW_NAME_MAX)
		return;
	if (!table->denials) /* whole at once: 270 kB, of which only what is used becomes memory */
		table->denials = calloc(CROW_DENIALS_MAX, sizeof(*table->denials));
	if (!table->denials)
		return;
	denial = place_for_denial(table, name);
	seen = denial->kind != kind || strcmp(denial->name, name) != 0;
	snprintf(denial->name, sizeof(denial->name), "%s", name);
	denial->kind = kind;
	denial->until_ns = until_ns;
	if (seen) /* an image does not show until when, so there is nothing new to see otherwise */
		crow_table_tell(table, NULL, false);
}

static int64_t expire_denials(struct crow_table *table, int64_t now_ns)
{
	int64_t next_ns = INT64_MAX;
	size_t kept = 0, count = table->denial_count;

	for (size_t i = 0; i < count; i++) {
		struct crow_denial *denial = &table->denials[i];

		if (denial->until_ns <= now_ns)
			continue;
		if (denial->until_ns < next_ns)
			next_ns = denial->until_ns;
		if (kept != i)
			table->denials[kept] = *denial;
		kept++;
	}
	table->denial_count = kept;
	if (kept == 0)
		drop_denials(table);
	if (kept < count)
		crow_table_tell(table, NULL, false);
	return next_ns;
}

static int64_t expire_tombstones(struct crow_table *table, struct crow_service *service,
				 int64_t now_ns)
{
	size_t gone = 0;

	while (gone < service->tombstone_count && service->tombstones[gone].until_ns <= now_ns)
		gone++;
	if (gone > 0) {
		service->tombstone_count -= gone;
		memmove(service->tombstones, service->tombstones + gone,
			service->tombstone_count * sizeof(*service->tombstones));
		crow_table_tell(table, service, false);
	}
	if (service->tombstone_count > 0)
		return service->tombstones[0].until_ns;
	free(service->tombstones);
	service->tombstones = NULL;
	return INT64_MAX;
}

int64_t crow_table_expire(struct crow_table *table, int64_t now_ns)
{
	int64_t next_ns = expire_denials(table, now_ns);

	for (size_t i = 0; i < table->count; i++) {
		int64_t due_ns = expire_tombstones(table, table->services[i], now_ns);

		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	return next_ns;
}
