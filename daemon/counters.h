/*
 * Counters (counters.def). Any thread adds, any thread reads, and none decides anything by them:
 * relaxed order is enough, each number being right by itself.
 */
#ifndef CROW_COUNTERS_H
#define CROW_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crow_counters {
#define COUNTER(name, prose) _Atomic uint64_t name;
#include "daemon/counters.def"
#undef COUNTER
};

extern struct crow_counters crow_counters;

#define crow_count(name) crow_count_by(name, 1)
#define crow_count_by(name, how_many)                                                              \
	atomic_fetch_add_explicit(&crow_counters.name, (how_many), memory_order_relaxed)

/* The i-th counter in the order of counters.def; false past the last. name, prose: static. */
struct crow_counter_value {
	const char *name;
	const char *prose;
	uint64_t value;
};
bool crow_counter_get(size_t i, struct crow_counter_value *out);

#endif
