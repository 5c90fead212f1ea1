/* What the end of a poll, or a state file, does to a service of the table. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/counters.h"
#include "daemon/log.h"
#include "daemon/table.h"

#define SECOND_NS INT64_C(1000000000)

/* A wall clock that is off by more cannot be told from a list that old; bounds the arithmetic. */
#define AGE_MAX_S (INT64_C(100) * 366 * 86400)

struct difference {
	size_t came;
	size_t gone;
	size_t altered; /* the same place, another weight or label */
};

static bool is_altered(const struct crow_list *a, size_t i, const struct crow_list *b, size_t j)
{
	return a->items[i].weight != b->items[j].weight ||
	       strcmp(a->apps[a->items[i].app], b->apps[b->items[j].app]) != 0;
}

/* Which of both comes next: below 0 the old one, above 0 the new one, 0 both. */
static int compare_next(const struct crow_list *old, size_t i, const struct crow_list *new,
			size_t j)
{
	if (i == old->count)
		return 1;
	if (j == new->count)
		return -1;
	return crow_item_compare(&old->items[i], &new->items[j]);
}

typedef void gone_hook(void *context, const struct crow_item *item);

/* One walk through both, since both are sorted. on_gone may be NULL. */
static struct difference compare_lists(const struct crow_list *old, const struct crow_list *new,
				       gone_hook *on_gone, void *context)
{
	struct difference difference = {0};
	size_t i = 0, j = 0;

	while (i < old->count || j < new->count) {
		int order = compare_next(old, i, new, j);

		if (order < 0) {
			difference.gone++;
			if (on_gone)
				on_gone(context, &old->items[i]);
		} else if (order > 0) {
			difference.came++;
		} else {
			difference.altered += is_altered(old, i, new, j);
		}
		i += order <= 0;
		j += order >= 0;
	}
	return difference;
}

struct graveyard {
	struct crow_tombstone *stones;
	size_t count;
	int64_t until_ns;
};

static void bury(void *context, const struct crow_item *item)
{
	struct graveyard *graveyard = context;

	graveyard->stones[graveyard->count++] = (struct crow_tombstone){
		.addr = item->addr,
		.port = item->port,
		.until_ns = graveyard->until_ns,
	};
}

static bool holds(const struct crow_list *list, const struct crow_tombstone *tombstone)
{
	return crow_list_find(list, &tombstone->addr, tombstone->port) < list->count;
}

static void set_tombstones(struct crow_service *service, struct graveyard *graveyard)
{
	size_t excess = graveyard->count > CROW_LIST_MAX ? graveyard->count - CROW_LIST_MAX : 0;

	graveyard->count -= excess;
	memmove(graveyard->stones, graveyard->stones + excess,
		graveyard->count * sizeof(*graveyard->stones));
	free(service->tombstones);
	service->tombstones = graveyard->stones;
	service->tombstone_count = graveyard->count;
	if (graveyard->count == 0) {
		free(graveyard->stones);
		service->tombstones = NULL;
	}
}

/* The tombstones for when `list` will be the service's: those of instances that are in it again go,
 * new ones come last, so that the oldest stay in front. False: no memory, nothing has changed. */
static bool renew_tombstones(struct crow_service *service, const struct crow_list *list,
			     int64_t now_ns)
{
	struct graveyard graveyard = {.until_ns = now_ns + CROW_TOMBSTONE_NS};
	size_t most = compare_lists(&service->list, list, NULL, NULL).gone;

	most += service->tombstone_count;
	if (most == 0)
		return true;
	graveyard.stones = malloc(most * sizeof(*graveyard.stones));
	if (!graveyard.stones)
		return false;
	for (size_t i = 0; i < service->tombstone_count; i++) {
		const struct crow_tombstone *old = &service->tombstones[i];

		if (old->until_ns > now_ns && !holds(list, old))
			graveyard.stones[graveyard.count++] = *old;
	}
	compare_lists(&service->list, list, bury, &graveyard);
	set_tombstones(service, &graveyard);
	return true;
}

/*
 * A service whose list is another at every poll, or whose discovery fails at every second one, is
 * worth knowing of, but not worth a line a poll: 1000 such services would bury all else. So each
 * may say NEWS_BURST things at once and one more a minute. What is then held back is counted, and
 * said as soon as there is room again: the last line about a service is true within a minute.
 */
#define NEWS_BURST   20
#define NEWS_EACH_NS (60 * SECOND_NS)

static bool has_room(const struct crow_service *service, int64_t now_ns)
{
	return service->news_ns - now_ns <= (NEWS_BURST - 1) * NEWS_EACH_NS;
}

/* Something was held back that may be said now. */
static bool owes_news(const struct crow_service *service, int64_t now_ns)
{
	return service->unsaid > 0 && has_room(service, now_ns);
}

enum crow_log_level crow_service_news(struct crow_service *service, enum crow_log_level level,
				      int64_t now_ns)
{
	if (!has_room(service, now_ns)) {
		service->unsaid++;
		return CROW_LOG_DEBUG;
	}
	service->news_ns = (service->news_ns > now_ns ? service->news_ns : now_ns) + NEWS_EACH_NS;
	if (service->unsaid > 0)
		crow_log(level, "service %s: %u more changes until now were logged by -v alone",
			 service->name, service->unsaid);
	service->unsaid = 0;
	return level;
}

static const char *plural(size_t count)
{
	return count == 1 ? "" : "s";
}

static long long seconds(int64_t ns)
{
	return (long long)(ns > 0 ? ns / SECOND_NS : 0);
}

static void log_new_list(struct crow_service *service, const struct crow_list *list, int64_t now_ns)
{
	struct difference difference = compare_lists(&service->list, list, NULL, NULL);

	if (difference.came || difference.gone || owes_news(service, now_ns))
		crow_log(crow_service_news(service, CROW_LOG_INFO, now_ns),
			 "service %s: %zu instance%s, %zu new, %zu gone", service->name,
			 list->count, plural(list->count), difference.came, difference.gone);
	else if (difference.altered)
		crow_log(CROW_LOG_DEBUG, "service %s: %zu weight%s or label%s changed",
			 service->name, difference.altered, plural(difference.altered),
			 plural(difference.altered));
}

static void log_taken(struct crow_service *service, const struct crow_list *list, int64_t now_ns)
{
	if (service->failing_ns && service->list.count > 0)
		crow_log(crow_service_news(service, CROW_LOG_INFO, now_ns),
			 "service %s: discovery answers again: %zu instance%s "
			 "(was failing for %lld s)",
			 service->name, list->count, plural(list->count),
			 seconds(now_ns - service->failing_ns));
	else if (service->confirmed_ns == 0)
		crow_log(CROW_LOG_INFO, "service %s: %zu instance%s from source %s", service->name,
			 list->count, plural(list->count), service->source->name);
	else
		log_new_list(service, list, now_ns);
}

/* Said when a kind of correction becomes necessary that the list before did not need. */
static void log_corrections(struct crow_service *service, const struct crow_list_tally *now,
			    int64_t now_ns)
{
	const struct crow_list_tally *before = &service->tally;
	bool news = (now->dropped && !before->dropped) || (now->outside && !before->outside) ||
		    (now->merged && !before->merged) || (now->clamped && !before->clamped);
	char reason[CROW_LIST_REASON];

	if (!news)
		return;
	crow_list_explain(now, service->source->name, reason);
	crow_log(crow_service_news(service, CROW_LOG_WARNING, now_ns),
		 "service %s: of %zu items in the list %zu were dropped as bad, %zu as outside of "
		 "`accept`, %zu merged, %zu weights clamped to %u%s%s",
		 service->name, now->seen, now->dropped, now->outside, now->merged, now->clamped,
		 CROW_WEIGHT_MAX, reason[0] ? "; " : "", reason);
}

static void count_items(const struct crow_list_tally *tally)
{
	crow_count_by(items_dropped, tally->dropped);
	crow_count_by(items_outside, tally->outside);
	crow_count_by(items_merged, tally->merged);
	crow_count_by(items_clamped, tally->clamped);
}

/* Instances that stay in the list keep their shares: what was out of picks does not come back for a
 * moment because a weight elsewhere has changed. False: no memory. */
static bool carry_shares(const struct crow_service *service, const struct crow_list *list,
			 uint8_t **out)
{
	uint8_t *shares = service->list.count == 0 ? NULL : malloc(list->count);
	size_t i = 0, j = 0;

	*out = shares;
	if (shares == NULL)
		return service->list.count == 0;
	while (j < list->count) {
		int order = compare_next(&service->list, i, list, j);

		if (order >= 0)
			shares[j] = order == 0 ? crow_service_share(service, i) : CROW_SHARE_NEW;
		i += order <= 0;
		j += order >= 0;
	}
	return true;
}

static void replace_list(struct crow_service *service, struct crow_list *list, uint8_t *shares)
{
	free(service->shares);
	service->shares = shares;
	crow_list_fini(&service->list);
	service->list = *list;
	crow_list_init(list);
}

void crow_table_take(struct crow_table *table, struct crow_service *service, struct crow_list *list,
		     const struct crow_list_tally *tally, int64_t now_ns)
{
	bool changed = !crow_list_equal(&service->list, list);
	bool recovered = service->failing_ns != 0;
	uint8_t *shares = NULL;

	if (changed &&
	    (!carry_shares(service, list, &shares) || !renew_tombstones(service, list, now_ns))) {
		free(shares);
		crow_list_fini(list);
		crow_table_fail(table, service, CROW_POLL_NO_MEMORY,
				"no memory for the list that discovery sent", tally, now_ns);
		return;
	}
	crow_count(polls);
	crow_count(polls_ok);
	count_items(tally);
	log_taken(service, list, now_ns);
	log_corrections(service, tally, now_ns);
	if (changed) {
		replace_list(service, list, shares);
		service->unsaved = true;
		service->taken_ns = now_ns;
		service->taken_wall_s = time(NULL);
	}
	crow_list_fini(list);
	service->from_state = false;
	service->outcome = CROW_POLL_OK;
	service->detail[0] = '\0';
	service->polled_ns = now_ns;
	service->confirmed_ns = now_ns;
	service->failing_ns = 0;
	service->tally = *tally;
	if (changed || recovered)
		crow_table_tell(table, service, changed);
}

/* The configuration may have changed since the file was written. False: nothing to pick is left. */
static bool keep_accepted(struct crow_list *list, const struct crow_cidrs *accept)
{
	size_t kept = 0;
	bool pickable = false;

	for (size_t i = 0; i < list->count; i++) {
		if (!crow_list_accepts(accept, &list->items[i].addr))
			continue;
		pickable |= list->items[i].weight > 0;
		list->items[kept++] = list->items[i];
	}
	list->count = kept;
	return pickable;
}

static int64_t age_by_wall_clock_s(int64_t taken_wall_s)
{
	int64_t now_s = time(NULL);

	if (taken_wall_s >= now_s) /* the clock was set back since */
		return 0;
	return taken_wall_s > now_s - AGE_MAX_S ? now_s - taken_wall_s : AGE_MAX_S;
}

void crow_table_restore(struct crow_table *table, struct crow_service *service,
			struct crow_list *list, int64_t taken_wall_s, int64_t now_ns)
{
	int64_t age_s = age_by_wall_clock_s(taken_wall_s);

	if (service->list.count > 0) {
		crow_list_fini(list);
		return;
	}
	if (!keep_accepted(list, &service->source->accept)) {
		crow_log(CROW_LOG_WARNING,
			 "service %s: its state file holds no instance that source %s accepts",
			 service->name, service->source->name);
		crow_list_fini(list);
		return;
	}
	replace_list(service, list, NULL); /* nobody has judged anything yet */
	service->from_state = true;
	service->taken_wall_s = taken_wall_s;
	service->taken_ns = now_ns - age_s * SECOND_NS;
	crow_log(CROW_LOG_INFO, "service %s: %zu instance%s from its state file, %lld s old",
		 service->name, service->list.count, plural(service->list.count), (long long)age_s);
	crow_table_tell(table, service, false);
}

static void count_failure(enum crow_poll_outcome outcome)
{
	crow_count(polls);
	switch (outcome) {
	case CROW_POLL_EMPTY:
		crow_count(polls_empty);
		break;
	case CROW_POLL_STATUS:
	case CROW_POLL_UNKNOWN:
		crow_count(polls_status);
		break;
	case CROW_POLL_TIMEOUT:
		crow_count(polls_timeout);
		break;
	case CROW_POLL_CONNECT:
		crow_count(polls_connect);
		break;
	case CROW_POLL_MALFORMED:
		crow_count(polls_malformed);
		break;
	case CROW_POLL_OVERSIZE:
		crow_count(polls_oversize);
		break;
	case CROW_POLL_REFUSED:
		crow_count(polls_refused);
		break;
	case CROW_POLL_NEVER:
	case CROW_POLL_OK:
	case CROW_POLL_NO_MEMORY:
		break;
	}
}

static void log_failure(struct crow_service *service, const char *detail, int64_t now_ns)
{
	enum crow_log_level level = crow_service_news(service, CROW_LOG_WARNING, now_ns);
	int64_t good_ns = service->confirmed_ns ? service->confirmed_ns : service->taken_ns;

	if (service->list.count == 0)
		crow_log(level, "service %s: %s; there is no list yet", service->name, detail);
	else
		crow_log(level,
			 "service %s: %s; serving the last good list of %zu instance%s, %lld s old",
			 service->name, detail, service->list.count, plural(service->list.count),
			 seconds(now_ns - good_ns));
}

void crow_table_fail(struct crow_table *table, struct crow_service *service,
		     enum crow_poll_outcome outcome, const char *detail,
		     const struct crow_list_tally *tally, int64_t now_ns)
{
	bool begins = service->failing_ns == 0;

	count_failure(outcome);
	if (tally) {
		count_items(tally);
		service->tally = *tally;
	}
	if (outcome != service->outcome || owes_news(service, now_ns))
		log_failure(service, detail, now_ns);
	service->outcome = outcome;
	snprintf(service->detail, sizeof(service->detail), "%s", detail);
	service->polled_ns = now_ns;
	if (begins) {
		service->failing_ns = now_ns;
		crow_table_tell(table, service, false);
	}
}

const char *crow_poll_stroutcome(enum crow_poll_outcome outcome)
{
	switch (outcome) {
	case CROW_POLL_NEVER:
		return "never";
	case CROW_POLL_OK:
		return "ok";
	case CROW_POLL_EMPTY:
		return "empty";
	case CROW_POLL_STATUS:
		return "status";
	case CROW_POLL_UNKNOWN:
		return "unknown";
	case CROW_POLL_TIMEOUT:
		return "timeout";
	case CROW_POLL_CONNECT:
		return "connect";
	case CROW_POLL_MALFORMED:
		return "malformed";
	case CROW_POLL_OVERSIZE:
		return "oversize";
	case CROW_POLL_REFUSED:
		return "refused";
	case CROW_POLL_NO_MEMORY:
		return "no-memory";
	}
	return "unheard-of";
}
