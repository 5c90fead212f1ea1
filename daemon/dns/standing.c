#include "daemon/dns/standing.h"

#include <errno.h>
#include <string.h>

#include "daemon/counters.h"
#include "daemon/log.h"

#define HOUR_NS INT64_C(3600000000000)

static void name_upstream(const struct crow_ranking *ranking, size_t upstream,
			  char endpoint[CROW_ENDPOINT_TEXT])
{
	const struct crow_listen *at = &ranking->upstreams->items[upstream].at;

	crow_addr_format(&at->addr, at->port, endpoint);
}

static void say(const struct crow_ranking *ranking, size_t upstream, enum crow_log_level level,
		const char *what)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	name_upstream(ranking, upstream, endpoint);
	crow_log(level, "upstream %s %s", endpoint, what);
}

void crow_standing_answered(struct crow_ranking *ranking, size_t upstream, int64_t took_ns)
{
	bool suspect = crow_ranking_is_suspect(ranking, upstream);

	crow_count(forward_answers);
	crow_ranking_answered(ranking, upstream, took_ns);
	if (suspect)
		say(ranking, upstream, CROW_LOG_INFO, "answers again");
}

void crow_standing_silent(struct crow_ranking *ranking, size_t upstream, uint64_t name_hash)
{
	crow_count(forward_timeouts);
	if (crow_ranking_silent(ranking, upstream, name_hash))
		say(ranking, upstream, CROW_LOG_WARNING,
		    "is silent: it is asked last, and once a second, until it answers");
}

void crow_standing_unreachable(struct crow_ranking *ranking, size_t upstream,
			       const uint64_t *name_hash)
{
	crow_count(forward_unreachable);
	atomic_fetch_add_explicit(&ranking->upstreams->items[upstream].failures, 1,
				  memory_order_relaxed);
	if (name_hash)
		crow_standing_silent(ranking, upstream, *name_hash);
}

static const char *find_remedy(int error)
{
	switch (error) {
	case EMFILE:
		return "; raise ulimit -n, or LimitNOFILE= of the service";
	case EPERM:
		return "; a firewall of this host forbids it, or its table of connections is full";
	default:
		return "";
	}
}

/* At most one of all workers gets a true, once an hour: whoever finds the time unchanged. Relaxed:
 * the number orders nothing. 0: never yet. */
static bool is_due(_Atomic int64_t *said_ns, int64_t now_ns)
{
	int64_t before_ns = atomic_load_explicit(said_ns, memory_order_relaxed);

	if (before_ns > 0 && now_ns - before_ns < HOUR_NS)
		return false;
	return atomic_compare_exchange_strong_explicit(said_ns, &before_ns, now_ns,
						       memory_order_relaxed, memory_order_relaxed);
}

void crow_standing_not_asked(struct crow_ranking *ranking, size_t upstream, int error,
			     int64_t now_ns)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_count(forward_not_asked);
	if (!is_due(&ranking->upstreams->shortage_said_ns, now_ns))
		return;
	name_upstream(ranking, upstream, endpoint);
	crow_log(CROW_LOG_WARNING, "cannot ask upstream %s, which is not its fault: %s%s", endpoint,
		 strerror(error), find_remedy(error));
}

void crow_standing_looped(struct crow_ranking *ranking, size_t upstream, int64_t now_ns)
{
	crow_count(forward_loops);
	if (crow_ranking_looped(ranking, upstream, now_ns))
		say(ranking, upstream, CROW_LOG_WARNING,
		    "forwards to crowflyd, which would be a loop: it is not asked; tried again "
		    "every 5 minutes; see [dns] upstream");
}
