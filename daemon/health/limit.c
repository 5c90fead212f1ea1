#include "daemon/health/limit.h"

#define SECOND_NS INT64_C(1000000000)

void crow_limit_init(struct crow_limit *limit, uint32_t per_second, uint32_t burst, uint64_t seed)
{
	*limit = (struct crow_limit){.per_second = per_second, .burst = burst, .seed = seed};
}

static struct crow_limit_slot *slot_of(struct crow_limit *limit, uint64_t sender)
{
	uint64_t hash = (sender ^ limit->seed) * 0x9E3779B97F4A7C15u;

	return &limit->slots[hash >> 56];
}

/* GCRA (ITU-T I.371): the one number says how much of the allowance is used. */
bool crow_limit_take(struct crow_limit *limit, uint64_t sender, int64_t now_ns)
{
	struct crow_limit_slot *slot = slot_of(limit, sender);
	int64_t each_ns = SECOND_NS / limit->per_second;
	int64_t full_ns = slot->full_ns > now_ns ? slot->full_ns : now_ns;

	if (slot->full_ns <= now_ns) /* whole: nobody else needs the slot */
		slot->sender = sender;
	if (full_ns - now_ns > (limit->burst - 1) * each_ns)
		return false;
	slot->full_ns = full_ns + each_ns;
	return true;
}
