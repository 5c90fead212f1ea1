#include "preload/vigil.h"

#include <errno.h>
#include <limits.h>

#define SECOND_NS     INT64_C(1000000000)
#define MS_NS         INT64_C(1000000)
#define TIMEOUT_MAX_S 1000000000

/* How often a result may be in doubt: each time means that some other connect was moved on while
 * this call waited, or is being moved, by a thread that may be preempted for some 10 ms: naps of
 * 0.1 ms, 0.3 s in all. In the end the program is told what the kernel says. */
#define ROUNDS_MAX 2000
#define NAP_NS     100000

void crow_vigil_open(struct crow_vigil *vigil, uint64_t activity, int64_t started_ns,
		     int64_t timeout_ns)
{
	*vigil = (struct crow_vigil){
		.since = activity,
		.activity = activity,
		.ends_at = timeout_ns == CROW_FOREVER ? CROW_FOREVER : started_ns + timeout_ns,
	};
}

int64_t crow_vigil_left_ns(const struct crow_vigil *vigil)
{
	int64_t deadline = crow_pending_deadline();
	int64_t at = vigil->ends_at;
	int64_t now;

	if (deadline != 0 && deadline < at)
		at = deadline;
	if (at == CROW_FOREVER)
		return CROW_FOREVER;
	now = crow_course_now_ns();
	return at > now ? at - now : 0;
}

static bool is_over(const struct crow_vigil *vigil)
{
	return vigil->ends_at != CROW_FOREVER && crow_course_now_ns() >= vigil->ends_at;
}

static enum crow_verdict judge(struct crow_vigil *vigil, int ready, bool failure)
{
	const struct timespec nap = {.tv_nsec = NAP_NS};
	struct crow_served served = {0};
	bool others;

	if (crow_pending_is_any(crow_pending_activity()))
		served = crow_pending_serve();
	vigil->since = vigil->activity;
	vigil->activity = crow_pending_activity();
	if (ready == 0)
		return is_over(vigil) ? CROW_VIGIL_OVER : CROW_VIGIL_AGAIN;
	others = crow_pending_changes(vigil->activity) - crow_pending_changes(vigil->since) !=
		 served.changes;
	if (!served.moved && !(failure && (served.busy || others)))
		return CROW_VIGIL_OVER;
	if (++vigil->rounds > ROUNDS_MAX)
		return CROW_VIGIL_OVER;
	if (served.busy)
		nanosleep(&nap, NULL);
	return CROW_VIGIL_DOUBTS;
}

enum crow_verdict crow_vigil_judge(struct crow_vigil *vigil, int ready, bool failure)
{
	int saved = errno;
	enum crow_verdict verdict;

	if (ready < 0)
		return CROW_VIGIL_OVER;
	verdict = judge(vigil, ready, failure);
	errno = saved;
	return verdict;
}

int64_t crow_vigil_ns_of_ms(int ms)
{
	return ms < 0 ? CROW_FOREVER : ms * MS_NS;
}

int64_t crow_vigil_ns_of(const struct timespec *ts)
{
	if (ts == NULL || ts->tv_sec > TIMEOUT_MAX_S)
		return CROW_FOREVER;
	return ts->tv_sec * SECOND_NS + ts->tv_nsec;
}

bool crow_vigil_is_valid(const struct timespec *ts)
{
	return ts == NULL || (ts->tv_sec >= 0 && ts->tv_nsec >= 0 && ts->tv_nsec < SECOND_NS);
}

int crow_vigil_ms(int64_t ns)
{
	int64_t ms;

	if (ns == CROW_FOREVER)
		return -1;
	ms = (ns + MS_NS - 1) / MS_NS;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

const struct timespec *crow_vigil_timespec(int64_t ns, struct timespec *out)
{
	*out = (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
	return ns == CROW_FOREVER ? NULL : out;
}
