/*
 * When to probe what, and what follows for the table: pure but for the log and the counters. Clock
 * and randomness are passed in; connections are the caller's.
 */
#ifndef CROW_CARE_H
#define CROW_CARE_H

#include "daemon/health/book.h"
#include "daemon/health/judge.h"
#include "daemon/table.h"

struct crow_care {
	struct crow_table *table;
	struct crow_book book;
	uint64_t random;     /* the state of its sequence */
	double tokens;       /* probes that may begin at once */
	int64_t refilled_ns; /* when tokens was right */
	int64_t step_ns;     /* next step of a ramp; CROW_ENDPOINT_NEVER: none goes on */
	int64_t sweep_ns;    /* when what is long past is next forgotten */
};

/* The table is borrowed, and its configuration is asked anew each time. seed is any number. False:
 * no memory. */
bool crow_care_init(struct crow_care *care, struct crow_table *table, uint64_t seed,
		    int64_t now_ns);
void crow_care_fini(struct crow_care *care);

/* Whether a service has that instance, and it may be picked: nobody makes us connect to anything
 * else, so that only such are reported or given. */
bool crow_care_is_listed(const struct crow_service *service, const struct crow_addr *addr,
			 uint16_t port);
/* Whether a report of it would cause a probe, rather than tell what is being found out. */
bool crow_care_is_news(const struct crow_care *care, const struct crow_addr *addr, uint16_t port,
		       int64_t now_ns);
/* A program could not connect to it. Does nothing if the book is full. */
void crow_care_report(struct crow_care *care, const struct crow_addr *addr, uint16_t port,
		      int64_t now_ns);
/* DNS gave it to somebody. */
void crow_care_given(struct crow_care *care, const struct crow_addr *addr, uint16_t port,
		     int64_t now_ns);
/* The table has another configuration: without probes nobody stays out of picks. */
void crow_care_configure(struct crow_care *care, int64_t now_ns);
/* A service has another list. */
void crow_care_take_list(struct crow_care *care, struct crow_service *service, int64_t now_ns);

/* The endpoint to probe now, NULL if none is: its probe has begun, and its outcome must follow. */
struct crow_endpoint *crow_care_next(struct crow_care *care, int64_t now_ns);
void crow_care_outcome(struct crow_care *care, struct crow_endpoint *endpoint,
		       enum crow_evidence evidence, int64_t now_ns);

/* What time alone brings: steps of ramps, forgetting. Call it when crow_care_due_ns() has come,
 * then take all that crow_care_next() gives. */
void crow_care_step(struct crow_care *care, int64_t now_ns);
int64_t crow_care_due_ns(const struct crow_care *care, int64_t now_ns);

#endif
