/*
 * Who was given: how often DNS named each instance of late, across images.
 *
 * A worker marks what it puts into an answer in an array beside the image (struct crow_published),
 * one number for each instance of it. The main thread sweeps these arrays into the ledger once a
 * second, and an array for the last time before its image is freed. All but crow_given_mark() is
 * for the main thread alone.
 */
#ifndef CROW_GIVEN_H
#define CROW_GIVEN_H

#include <stdatomic.h>

#include "resolver/image.h"

struct crow_given_mark {
	/* Twice how often the instance was the pick of an answer, that is its first record; plus 1
	 * if it was in an answer at all. Any worker adds, the main thread takes it back to 0;
	 * relaxed, since each is a number of its own and orders nothing. */
	_Atomic uint32_t named;
	/* Its address, if that is of IPv4; written before the image is seen by anybody. With it here an
	 * answer takes 8 bytes of each instance instead of 36 in two places: 100,000 of these fit
	 * into a processor's cache, which the image does not. */
	uint8_t v4[4];
};

/* Marks of as many instances as an image has; nobody else may see them yet. */
void crow_given_mark_init(struct crow_given_mark *marks, const struct crow_snap_instance *instances,
			  size_t count);

/* Instance is an index into the image of the array; marks may be NULL. The second and third of an
 * answer are a load as a rule, since the bit is there: only a sweep takes it away. */
static inline void crow_given_mark(struct crow_given_mark *marks, uint32_t instance, bool first)
{
	if (marks == NULL)
		return;
	if (first)
		atomic_fetch_add_explicit(&marks[instance].named, 2, memory_order_relaxed);
	if (!(atomic_load_explicit(&marks[instance].named, memory_order_relaxed) & 1))
		atomic_fetch_or_explicit(&marks[instance].named, 1, memory_order_relaxed);
}

/* All that an answer names, its pick first. The addition comes last: a processor does nothing else
 * until the line of an atomic change is there. */
static inline void crow_given_mark_answer(struct crow_given_mark *marks, const uint32_t *instances,
					  size_t count)
{
	for (size_t i = 1; i < count; i++)
		crow_given_mark(marks, instances[i], false);
	if (count > 0)
		crow_given_mark(marks, instances[0], true);
}

/* As soon as it is known what the answer may name: with many instances their marks are far. */
static inline void crow_given_prefetch(const struct crow_given_mark *marks,
				       const uint32_t *instances, size_t count)
{
	for (size_t i = 0; marks != NULL && i < count; i++)
		__builtin_prefetch(&marks[instances[i]], 1);
}

struct crow_given;

/* Told at a sweep of each instance that was named since the last one. */
typedef void crow_given_hook(void *context, const struct crow_snap_instance *instance,
			     int64_t now_ns);

struct crow_given *crow_given_new(void); /* NULL: no memory */
void crow_given_free(struct crow_given *given);
void crow_given_watch(struct crow_given *given, crow_given_hook *on_named, void *context);

/* Takes the marks of an image over. What there is no memory for is not counted. */
void crow_given_sweep(struct crow_given *given, const struct crow_image *img,
		      struct crow_given_mark *marks, int64_t now_ns);

/* How often DNS picked that instance of that service within the last minute: whole for the minute
 * under way, and of the one before it the part that is not older than 60 s, as if its picks were
 * spread evenly. Its share is that over the sum of the service's instances. Picks of preload
 * libraries are not seen here: they are made in other processes. */
uint32_t crow_given_last_minute(const struct crow_given *given, const char *service,
				const struct crow_addr *addr, uint16_t port, int64_t now_ns);

#endif
