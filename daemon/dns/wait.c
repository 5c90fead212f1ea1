#include "daemon/dns/wait.h"

#include <string.h>

#include "resolver/report.h"

/* The kernel queues few datagrams for the daemon (net.unix.max_dgram_qlen, 10 unless raised), so that
 * a burst of names fills the queue. It is empty again as soon as the daemon has had its turn. */
#define REPORT_AGAIN_NS INT64_C(10000000)

static bool is_reported(const struct crow_waits *waits, const char *name)
{
	for (size_t i = 0; i < CROW_WAITS_MAX; i++) {
		const struct crow_wait *wait = &waits->items[i];

		if (wait->used && wait->reported && strcmp(wait->wanted.name, name) == 0)
			return true;
	}
	return false;
}

/* False: nobody took it. */
static bool report(const struct crow_waits *waits, const char *name)
{
	struct crow_report wanted = {.kind = CROW_REPORT_WANTED, .name_length = strlen(name)};

	if (is_reported(waits, name))
		return true;
	memcpy(wanted.name, name, wanted.name_length + 1);
	return crow_report_send(&wanted, waits->runtime_dir);
}

static int64_t due_of(const struct crow_wait *wait, int64_t now_ns)
{
	int64_t again_ns = now_ns + REPORT_AGAIN_NS;

	return wait->reported || wait->deadline_ns < again_ns ? wait->deadline_ns : again_ns;
}

bool crow_waits_add(struct crow_waits *waits, const struct crow_query *query,
		    const struct crow_wanted *wanted, const struct crow_asker *asker,
		    int64_t now_ns)
{
	struct crow_wait *wait = waits->items;

	if (waits->count == CROW_WAITS_MAX)
		return false;
	while (wait->used)
		wait++;
	wait->reported = report(waits, wanted->name);
	wait->used = true;
	wait->query = *query;
	wait->wanted = *wanted;
	wait->asker = *asker;
	wait->deadline_ns = now_ns + (int64_t)wanted->timeout_ms * 1000000;
	waits->count++;
	if (!waits->timer.armed || waits->timer.due_ns > due_of(wait, now_ns))
		crow_timer_set(waits->loop, &waits->timer, due_of(wait, now_ns));
	return true;
}

void crow_waits_remove(struct crow_waits *waits, struct crow_wait *wait)
{
	wait->used = false;
	waits->count--;
}

void crow_waits_arm(struct crow_waits *waits, int64_t now_ns)
{
	int64_t due_ns = INT64_MAX;
	bool room = true;

	for (size_t i = 0; i < CROW_WAITS_MAX; i++) {
		struct crow_wait *wait = &waits->items[i];

		if (!wait->used)
			continue;
		if (!wait->reported && room)
			room = wait->reported = report(waits, wait->wanted.name);
		if (due_of(wait, now_ns) < due_ns)
			due_ns = due_of(wait, now_ns);
	}
	if (due_ns == INT64_MAX)
		crow_timer_clear(waits->loop, &waits->timer);
	else
		crow_timer_set(waits->loop, &waits->timer, due_ns);
}
