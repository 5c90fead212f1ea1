#include "daemon/dns/wait.h"

#include <string.h>

#include "resolver/report.h"

static bool is_wanted_already(const struct crow_waits *waits, const char *name)
{
	for (size_t i = 0; i < CROW_WAITS_MAX; i++)
		if (waits->items[i].used && strcmp(waits->items[i].wanted.name, name) == 0)
			return true;
	return false;
}

/* A report that is lost costs its askers the time-out, not more: they get SERVFAIL and retry. */
static void report(const struct crow_waits *waits, const char *name)
{
	struct crow_report wanted = {.kind = CROW_REPORT_WANTED, .name_length = strlen(name)};

	memcpy(wanted.name, name, wanted.name_length + 1);
	crow_report_send(&wanted, waits->runtime_dir);
}

bool crow_waits_add(struct crow_waits *waits, const struct crow_query *query,
		    const struct crow_wanted *wanted, const struct crow_asker *asker,
		    int64_t now_ns)
{
	struct crow_wait *wait = waits->items;

	if (waits->count == CROW_WAITS_MAX)
		return false;
	if (!is_wanted_already(waits, wanted->name))
		report(waits, wanted->name);
	while (wait->used)
		wait++;
	wait->used = true;
	wait->query = *query;
	wait->wanted = *wanted;
	wait->asker = *asker;
	wait->deadline_ns = now_ns + (int64_t)wanted->timeout_ms * 1000000;
	waits->count++;
	if (!waits->timer.armed || waits->timer.due_ns > wait->deadline_ns)
		crow_timer_set(waits->loop, &waits->timer, wait->deadline_ns);
	return true;
}

void crow_waits_remove(struct crow_waits *waits, struct crow_wait *wait)
{
	wait->used = false;
	waits->count--;
}

void crow_waits_arm(struct crow_waits *waits)
{
	int64_t due_ns = INT64_MAX;

	for (size_t i = 0; i < CROW_WAITS_MAX; i++)
		if (waits->items[i].used && waits->items[i].deadline_ns < due_ns)
			due_ns = waits->items[i].deadline_ns;
	if (due_ns == INT64_MAX)
		crow_timer_clear(waits->loop, &waits->timer);
	else
		crow_timer_set(waits->loop, &waits->timer, due_ns);
}
