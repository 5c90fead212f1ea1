/*
 * One ip:port as the daemon's probes see it, whichever services have it: a state machine, pure.
 *
 *   UP       nothing is known against it
 *     reported by a program -------------------> SUSPECT, probe at once, or a second after the
 *                                                last probe that a report has caused
 *     REFUSED, UNREACHABLE --------------------> DOWN, probe after the shortest wait
 *     SILENT ----------------------------------> SUSPECT, probe at once
 *   SUSPECT
 *     OK, LOCAL -------------------------------> UP
 *     SILENT, the first one -------------------> SUSPECT, probe at once
 *     SILENT again, REFUSED, UNREACHABLE ------> DOWN
 *   DOWN     whether it is out of picks is for judge.h to say
 *     OK --------------------------------------> UP
 *     everything else -------------------------> DOWN, twice the wait
 *
 * LOCAL is a failure of this host: no evidence about the other one, in any state.
 */
#ifndef CROW_ENDPOINT_H
#define CROW_ENDPOINT_H

#include "resolver/address.h"

enum crow_endpoint_state { CROW_ENDPOINT_UP, CROW_ENDPOINT_SUSPECT, CROW_ENDPOINT_DOWN };

/* How a probe ended. */
enum crow_evidence {
	CROW_EVIDENCE_NONE, /* it did not yet */
	CROW_EVIDENCE_OK,
	CROW_EVIDENCE_REFUSED,
	CROW_EVIDENCE_UNREACHABLE,
	CROW_EVIDENCE_SILENT, /* the time-out was over */
	CROW_EVIDENCE_LOCAL,  /* no descriptor, no local port, not permitted */
};

#define CROW_ENDPOINT_NEVER INT64_MAX

/* Due at once, before all that is due at a time. */
#define CROW_ENDPOINT_AT_ONCE 0

struct crow_endpoint {
	struct crow_addr addr;
	uint16_t port;
	uint8_t state;     /* enum crow_endpoint_state */
	uint8_t last;      /* enum crow_evidence: of the last probe */
	uint8_t why;       /* enum crow_evidence: that brought it down, the last time */
	uint8_t verdict;   /* enum crow_verdict: while DOWN, of the service judged last */
	uint8_t strikes;   /* time-outs in a row, while it is not DOWN */
	bool probing;      /* a probe is under way */
	int64_t since_ns;  /* of the state; 0 = since it is known */
	int64_t due_ns;    /* next probe; written by book.h alone */
	int64_t begun_ns;  /* of the probe under way, or the last one */
	int64_t probed_ns; /* when the last one ended; 0 = never */
	int64_t doubted_ns; /* when the first probe began that was not answered since the last answer */
	int64_t reported_ns; /* when a probe was last due because of a report; 0 = never */
	int64_t given_ns;    /* when DNS last gave it; 0 = never */
	int64_t admitted_ns; /* when it came (back) into picks, for the slow start; 0 = long ago */
	int64_t told_ns;     /* when anything last happened to it: what is long past is forgotten */
	uint32_t backoff_ms; /* the wait before the last probe while DOWN */
	uint32_t reports, probes, ejections;
	size_t heap_index, all_index; /* book.h's own, as the next */
	struct crow_endpoint *next;
};

struct crow_endpoint_waits {
	uint32_t min_ms, max_ms; /* between probes of an endpoint that is DOWN */
};

/* A program says that connecting failed. Returns when a probe is due for that: AT_ONCE or later, or
 * NEVER, if it is being found out anyway. */
int64_t crow_endpoint_report(struct crow_endpoint *endpoint, int64_t now_ns);

/* A probe has ended. Returns when the next one is due for the state's own sake, or NEVER. random is
 * any 32 bits: waits vary by a fifth either way. */
int64_t crow_endpoint_outcome(struct crow_endpoint *endpoint, enum crow_evidence evidence,
			      const struct crow_endpoint_waits *waits, uint32_t random,
			      int64_t now_ns);

/* It may be our own network that is at fault: whether the evidence needs a witness. */
bool crow_evidence_is_weak(enum crow_evidence evidence);
const char *crow_evidence_name(enum crow_evidence evidence);

#endif
