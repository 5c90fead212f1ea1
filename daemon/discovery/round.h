/*
 * A round: one service is asked for at its source, path after path as poll.h decides, and what
 * comes is read by the rules of list.h. An origin is what the rounds of one source share.
 *
 * Polls of one source wait for each other when CROW_ROUNDS_MAX are under way, those of different
 * sources never: a source that swallows every request fills its own places alone. Rounds for
 * somebody who waits (on_demand) do not queue; demand.h bounds them.
 */
#ifndef CROW_ROUND_H
#define CROW_ROUND_H

#include "daemon/discovery/fetch.h"
#include "daemon/discovery/poll.h"

/* Of one source. 1000 services at the default rhythm, every poll of which ends by the time-out of
 * 2 s, keep 1000 * 2 / 7.5 = 267 places busy: with this many none of them is late. */
#define CROW_ROUNDS_MAX 288u

struct crow_round;

struct crow_origin {
	const struct crow_source_config *config;
	struct crow_fetcher *fetcher;
	struct crow_poll_memory memory;
	unsigned under_way; /* polls, without those on demand */
	bool filling;
	struct crow_round *first, *last; /* polls that wait for a place */
};

enum crow_round_state { CROW_ROUND_IDLE, CROW_ROUND_WAITING, CROW_ROUND_ASKING };

struct crow_round {
	struct crow_origin *origin;
	const char *service; /* borrowed */
	struct crow_poll poll;
	bool on_demand;
	int64_t deadline_ns; /* of all its requests; 0: each has the source's time-out */
	void (*done)(struct crow_round *round);

	/* For done(): the outcome is poll.outcome. */
	struct crow_list list; /* if the outcome is OK; may be moved out */
	struct crow_list_tally tally;
	bool has_tally;
	char detail[CROW_DETAIL_TEXT]; /* "URL or file: cause"; "" if the outcome is OK */

	/* The round's own. */
	enum crow_round_state state;
	struct crow_fetch *fetch;
	char *where; /* URL or file being asked */
	struct crow_round *next;
};

void crow_origin_init(struct crow_origin *origin, const struct crow_source_config *config,
		      struct crow_fetcher *fetcher);

void crow_round_init(struct crow_round *round, struct crow_origin *origin, const char *service,
		     bool on_demand, void (*done)(struct crow_round *round));
/* Cancels it, too. Polls that wait for its place are not started: those of an origin end together. */
void crow_round_fini(struct crow_round *round);

/* Of an idle round. done is called when it is over, possibly before this returns; it may start the
 * round again, or end its life. */
void crow_round_start(struct crow_round *round);

#endif
