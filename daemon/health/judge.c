#include "daemon/health/judge.h"

#include <stdlib.h>

static int compare(const void *left, const void *right)
{
	const struct crow_down *a = left, *b = right;

	if (a->since_ns != b->since_ns)
		return a->since_ns < b->since_ns ? -1 : 1;
	return a->item < b->item ? -1 : a->item > b->item;
}

/* How much weight may be out of those who fell with all others. */
static uint64_t ramp_weight(const struct crow_case *which, int64_t now_ns)
{
	int64_t elapsed_ns = now_ns - which->regained_ns;

	if (which->fell_ns == 0 || elapsed_ns >= which->ramp_ns)
		return which->weight;
	return (uint64_t)((unsigned __int128)which->weight * (uint64_t)elapsed_ns /
			  (uint64_t)which->ramp_ns);
}

/* Down for longer than a ramp takes when all were: that one had no part in the loss. */
static bool fell_before(const struct crow_case *which, const struct crow_down *down)
{
	return down->since_ns < which->fell_ns - which->ramp_ns;
}

void crow_judge(const struct crow_case *which, struct crow_down *downs, size_t count,
		int64_t now_ns)
{
	uint64_t left = ramp_weight(which, now_ns);
	uint64_t silent = 0;

	if (count > 1)
		qsort(downs, count, sizeof(*downs), compare);
	for (size_t i = 0; i < count; i++) {
		struct crow_down *down = &downs[i];
		bool ramps = !fell_before(which, down);

		if (count == which->count)
			down->verdict = CROW_VERDICT_ALL_DOWN;
		else if (!down->witnessed)
			down->verdict = CROW_VERDICT_NO_WITNESS;
		else if (down->silent && silent > 0 && silent + down->weight > which->weight / 2)
			down->verdict = CROW_VERDICT_HALF;
		else if (ramps && down->weight > left)
			down->verdict = CROW_VERDICT_RAMP;
		else
			down->verdict = CROW_VERDICT_OUT;
		if (down->verdict != CROW_VERDICT_OUT)
			continue;
		silent += down->silent ? down->weight : 0;
		left -= ramps ? down->weight : 0;
	}
}

const char *crow_verdict_name(enum crow_verdict verdict)
{
	switch (verdict) {
	case CROW_VERDICT_OUT:
		break;
	case CROW_VERDICT_ALL_DOWN:
		return "all others are down as well";
	case CROW_VERDICT_NO_WITNESS:
		return "no other instance has answered since";
	case CROW_VERDICT_HALF:
		return "half of the weight is out by time-outs";
	case CROW_VERDICT_RAMP:
		return "after a total loss they go out step by step";
	}
	return "";
}
