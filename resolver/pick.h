/*
 * Picking by the golden-ratio sequence (Itai & Rosberg 1984; Hofri & Rosberg, IEEE Trans. IT
 * 33(3), 1987): the n-th pick is the inverse of the weights' distribution at the fraction part
 * of n times the golden ratio. A pure function of a counter: no lock, one draw a pick, and the
 * count of every instance stays within a few picks of its share, for ever.
 *
 * That holds for who takes every number. Of every 34th, say, because 34 services are asked in turn,
 * the points are a hundredth of the circle apart, and ten in a row are one instance's: so each
 * service needs a counter of its own.
 *
 * A point is a place on the circle of 2^64. Where instances must be avoided, further points are
 * drawn by a hash: taking "the next" instance would double its neighbour's load.
 */
#ifndef CROW_PICK_H
#define CROW_PICK_H

#include "resolver/image.h"

/* The point of the seq-th pick: seq * 2^64/phi mod 2^64. */
uint64_t crow_pick_point(uint64_t seq);

/* The instance (index into the image) of a service at a point, among those of the family that may
 * be picked; CROW_SNAP_NONE if there is none. */
uint32_t crow_pick_at(const struct crow_image *img, uint32_t service, enum crow_family family,
		      uint64_t point);

/* The same, but never one of the ntried indices in tried: up to 8 further draws, then a scan from
 * a hashed place. CROW_SNAP_NONE if all were tried. */
uint32_t crow_pick_other(const struct crow_image *img, uint32_t service, enum crow_family family,
			 uint64_t point, const uint32_t *tried, size_t ntried);

/* Up to max different instances into out: the pick at the point first, then of what is left each by
 * its weight. Returns how many. max is at most CROW_PICK_SEVERAL_MAX. */
#define CROW_PICK_SEVERAL_MAX 32
size_t crow_pick_several(const struct crow_image *img, uint32_t service, enum crow_family family,
			 uint64_t point, uint32_t *out, size_t max);

/* The same where count are in out already: goes on from *point, which is the pick's at first and
 * then moves. Returns how many there are then. */
size_t crow_pick_more(const struct crow_image *img, uint32_t service, enum crow_family family,
		      uint64_t *point, uint32_t *out, size_t count, size_t max);

#endif
