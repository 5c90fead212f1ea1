/*
 * A seqlock that nobody waits for: entries of which each is a hint, so that one that is being written
 * is none, and of two writers one is lost. Safe in signal handlers. The fields are atomics: a writer
 * makes the number odd, releases each field, and makes it even again; a reader acquires each field
 * between begin and end, so that all of them are read before the number is looked at again.
 *
 * Whoever is cut off while it writes (a fork, siglongjmp) leaves the number odd: then that entry is out
 * of use.
 */
#ifndef CROW_SEQLOCK_H
#define CROW_SEQLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct crow_seqlock {
	_Atomic uint32_t number;
};

static inline uint32_t crow_seqlock_read_begin(const struct crow_seqlock *lock)
{
	return atomic_load_explicit(&lock->number, memory_order_acquire);
}

/* False: what was read since then may be of two writers, and means nothing. */
static inline bool crow_seqlock_read_end(const struct crow_seqlock *lock, uint32_t begun)
{
	return (begun & 1) == 0 &&
	       atomic_load_explicit(&lock->number, memory_order_relaxed) == begun;
}

/* False: somebody else writes. */
static inline bool crow_seqlock_write_begin(struct crow_seqlock *lock)
{
	uint32_t number = atomic_load_explicit(&lock->number, memory_order_relaxed);

	return (number & 1) == 0 &&
	       atomic_compare_exchange_strong_explicit(&lock->number, &number, number + 1,
						       memory_order_acq_rel, memory_order_relaxed);
}

static inline void crow_seqlock_write_end(struct crow_seqlock *lock)
{
	uint32_t odd = atomic_load_explicit(&lock->number, memory_order_relaxed);

	atomic_store_explicit(&lock->number, odd + 1, memory_order_release);
}

#endif
