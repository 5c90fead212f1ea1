#include "daemon/dns/gate.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/counters.h"

struct crow_gate_rules {
	uint32_t per_s;
	struct crow_cidrs allow; /* of networks */
	struct crow_cidr networks[];
};

bool crow_gate_configure(struct crow_gate *gate, const struct crow_config *config)
{
	size_t count = config->dns_allow.count;
	struct crow_gate_rules *rules = malloc(sizeof(*rules) + count * sizeof(struct crow_cidr));

	if (!rules)
		return false;
	rules->per_s = config->dns_rate_limit;
	rules->allow = (struct crow_cidrs){rules->networks, count};
	if (count > 0)
		memcpy(rules->networks, config->dns_allow.items, count * sizeof(struct crow_cidr));
	free(atomic_exchange(&gate->next, rules)); /* which the worker has not taken */
	return true;
}

void crow_gate_update(struct crow_gate *gate)
{
	struct crow_gate_rules *rules = atomic_exchange(&gate->next, NULL);

	if (!rules)
		return;
	/* Never short for 8 bytes; where it fails, a seed that can be guessed is no harm to most. */
	if (!gate->rules && getrandom(&gate->rate.seed, sizeof(gate->rate.seed), GRND_NONBLOCK) < 0)
		gate->rate.seed = (uintptr_t)rules;
	free(gate->rules);
	gate->rules = rules;
	gate->rate.per_s = rules->per_s;
}

void crow_gate_fini(struct crow_gate *gate)
{
	free(gate->rules);
	free(atomic_exchange(&gate->next, NULL));
}

bool crow_gate_admits(const struct crow_gate *gate, const struct crow_addr *peer,
		      const struct crow_addr *own)
{
	if (crow_cidrs_admit(&gate->rules->allow, peer, own))
		return true;
	crow_count(dns_outside);
	return false;
}

enum crow_verdict crow_gate_judge(struct crow_gate *gate, const struct crow_addr *peer,
				  const struct crow_addr *own, int64_t now_ns)
{
	if (crow_addr_is_this_host(peer, own))
		return CROW_VERDICT_ANSWER;
	if (!crow_gate_admits(gate, peer, own))
		return CROW_VERDICT_DROP;
	switch (crow_rate_take(&gate->rate, peer, now_ns)) {
	case CROW_RATE_TRUNCATE:
		crow_count(dns_limited);
		return CROW_VERDICT_TRUNCATE;
	case CROW_RATE_DROP:
		crow_count(dns_limited);
		return CROW_VERDICT_DROP;
	default:
		return CROW_VERDICT_ANSWER;
	}
}
