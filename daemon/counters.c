#include "daemon/counters.h"

struct crow_counters crow_counters;

/* What crow_counter_get() walks: the table of counters.def with the address of each number. */
static const struct {
	const char *name;
	const char *prose;
	_Atomic uint64_t *value;
} counters[] = {
#define COUNTER(name, prose) {#name, prose, &crow_counters.name},
#include "daemon/counters.def"
#undef COUNTER
};

bool crow_counter_get(size_t i, struct crow_counter_value *out)
{
	if (i >= sizeof(counters) / sizeof(counters[0]))
		return false;
	out->name = counters[i].name;
	out->prose = counters[i].prose;
	out->value = atomic_load_explicit(counters[i].value, memory_order_relaxed);
	return true;
}
