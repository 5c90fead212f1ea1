/*
 * Who gets an answer: the networks of `allow`, as often as `rate-limit` lets them. This host is
 * never limited. A worker has its own gate, with its own copy of the rules.
 */
#ifndef CROW_GATE_H
#define CROW_GATE_H

#include "daemon/config.h"
#include "daemon/dns/rate.h"

struct crow_gate_rules;

struct crow_gate {
	/* The worker's. Those of `next` come from the main thread, which wakes the worker; each
	 * side takes what is there by an exchange, so rules have one owner at any time. The
	 * exchange releases and acquires what they hold. */
	struct crow_gate_rules *rules;
	_Atomic(struct crow_gate_rules *) next;
	struct crow_rate rate;
};

enum crow_verdict {
	CROW_VERDICT_ANSWER,
	CROW_VERDICT_DROP,
	CROW_VERDICT_TRUNCATE, /* an empty reply with TC set */
};

/* Main thread: leaves new rules for the worker to take. False: no memory, and they stay. */
bool crow_gate_configure(struct crow_gate *gate, const struct crow_config *config);
/* Worker: takes what was left. Before its thread starts, too. */
void crow_gate_update(struct crow_gate *gate);
void crow_gate_fini(struct crow_gate *gate);

/* By TCP, where an address is no mere claim: whether peer may ask at our address own. Counts those
 * who may not. */
bool crow_gate_admits(const struct crow_gate *gate, const struct crow_addr *peer,
		      const struct crow_addr *own);
/* By UDP: what is to become of one query. Counts all that are not answered. */
enum crow_verdict crow_gate_judge(struct crow_gate *gate, const struct crow_addr *peer,
				  const struct crow_addr *own, int64_t now_ns);

#endif
