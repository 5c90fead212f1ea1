/*
 * Timers in the order in which they are due: a pairing heap that is linked through the timers
 * themselves, so that nothing is allocated and setting one cannot fail. Pure; one thread.
 *
 * Each service that is polled has one, each host that is looked up for a poll another; all else in
 * a loop needs some twenty. A poll sets its own once and libcurl's some six times: in a sorted list
 * that is 12 us with 1000 services and 520 with 10,000, here 0.3 and 0.6. It sets in O(1), and takes
 * out in O(log n) on average over many.
 */
#ifndef CROW_TIMERS_H
#define CROW_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

/* Embed it in the object that it belongs to; zero it first. */
struct crow_timer {
	int64_t due_ns; /* CLOCK_BOOTTIME; meaningful while armed */
	void (*on_due)(struct crow_timer *timer, int64_t now_ns);
	bool armed;
	/* Its heap's own. */
	uint64_t turn;             /* among those that are due at the same time */
	struct crow_timers *among; /* where it is; NULL: nowhere */
	struct crow_timer *child;  /* the first of those that are due after it */
	struct crow_timer *sibling;
	struct crow_timer *previous; /* sibling; of a first child, its parent; of the first, NULL */
};

struct crow_timers {
	struct crow_timer *first; /* the one that is due first, of those the one added first */
	uint64_t turns;
};

void crow_timers_add(struct crow_timers *timers, struct crow_timer *timer);
/* From wherever it is. */
void crow_timers_remove(struct crow_timer *timer);
/* Moves all that are due at now_ns or before to `to`, which is empty, in their order. */
void crow_timers_take_due(struct crow_timers *timers, int64_t now_ns, struct crow_timers *to);

#endif
