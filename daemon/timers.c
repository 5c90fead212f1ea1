#include "daemon/timers.h"

#include <stddef.h>

static bool is_before(const struct crow_timer *a, const struct crow_timer *b)
{
	return a->due_ns < b->due_ns || (a->due_ns == b->due_ns && a->turn < b->turn);
}

/* Makes one heap of two, each of which is a first timer or NULL. */
static struct crow_timer *meld(struct crow_timer *a, struct crow_timer *b)
{
	struct crow_timer *first, *child;

	if (!a || !b)
		return a ? a : b;
	first = is_before(b, a) ? b : a;
	child = first == a ? b : a;
	child->previous = first;
	child->sibling = first->child;
	if (child->sibling)
		child->sibling->previous = child;
	first->child = child;
	return first;
}

/* Takes a timer out of the list of its siblings; returns the next of them. */
static struct crow_timer *detach(struct crow_timer *timer)
{
	struct crow_timer *sibling = timer->sibling;

	timer->sibling = timer->previous = NULL;
	return sibling;
}

/* Makes one heap of siblings: of neighbours first, then, from the last to the first, of all. It is the
 * two passes that make the average logarithmic (Fredman et al., "The pairing heap", 1986). */
static struct crow_timer *gather(struct crow_timer *sibling)
{
	struct crow_timer *pairs = NULL, *all = NULL;

	while (sibling) {
		struct crow_timer *a = sibling, *b = detach(a), *pair;

		sibling = b ? detach(b) : NULL;
		pair = meld(a, b);
		pair->sibling = pairs;
		pairs = pair;
	}
	while (pairs) {
		struct crow_timer *pair = pairs;

		pairs = detach(pair);
		all = meld(all, pair);
	}
	return all;
}

static void insert(struct crow_timers *timers, struct crow_timer *timer)
{
	timer->among = timers;
	timer->child = timer->sibling = timer->previous = NULL;
	timers->first = meld(timers->first, timer);
}

void crow_timers_add(struct crow_timers *timers, struct crow_timer *timer)
{
	timer->turn = timers->turns++;
	insert(timers, timer);
}

void crow_timers_remove(struct crow_timer *timer)
{
	struct crow_timers *timers = timer->among;
	struct crow_timer *previous = timer->previous, *sibling = timer->sibling;
	struct crow_timer *children = gather(timer->child);

	if (!previous) {
		timers->first = children;
	} else {
		*(previous->child == timer ? &previous->child : &previous->sibling) = sibling;
		if (sibling)
			sibling->previous = previous;
		timers->first = meld(timers->first, children);
	}
	timer->among = NULL;
	timer->child = timer->sibling = timer->previous = NULL;
}

void crow_timers_take_due(struct crow_timers *timers, int64_t now_ns, struct crow_timers *to)
{
	struct crow_timer *timer;

	while ((timer = timers->first) && timer->due_ns <= now_ns) {
		crow_timers_remove(timer);
		insert(to, timer);
	}
}
