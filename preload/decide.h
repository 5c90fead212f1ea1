/*
 * What to do with a connect(): pass it through, or take it to an instance, with two more to go to
 * if that fails. Pure functions of their arguments.
 */
#ifndef CROW_DECIDE_H
#define CROW_DECIDE_H

#include "preload/recent.h"
#include "resolver/image.h"
#include "resolver/name.h"

/* Different instances in one connect(): with a third of the instances dead, three in a row are
 * dead once in 27 times; more would make the caller wait too long. */
#define CROW_TARGETS_MAX 3

struct crow_target {
	struct crow_addr addr;
	uint16_t port;
};

/* Where to go, as far as it is drawn: the other instances are not needed as a rule. */
struct crow_decision {
	uint8_t count;  /* of instances to try, at most; 0 = pass through */
	uint8_t drawn;  /* of targets */
	uint8_t mapped; /* so many more on a dual-stack socket; the caller adds them to count, or
			 * makes it 0 */
	bool is_sole;   /* no other service may have been meant */
	bool is_asked;  /* the first target is exactly what was asked for */
	struct crow_target targets[CROW_TARGETS_MAX];
	uint64_t key;     /* of the service, in every image */
	uint32_t service; /* its index in this image */
	uint32_t attempt_timeout_ms;
};

/* Where connect(asked) goes: to the instance asked for if it is up. If it is not, and if the address
 * alone does not tell which one is meant, nothing is drawn yet. Instances of asked's family alone. */
void crow_decide(const struct crow_image *img, const struct crow_target *asked,
		 const struct crow_recent *recent, struct crow_decision *out);

/* Draws the first, of the same image: the pick at the point. */
void crow_decide_first(const struct crow_image *img, const struct crow_target *asked,
		       uint64_t point, struct crow_decision *decision);

/* Draws the targets that are missing, of this image, which may be a later one: if it has fewer, they
 * are fewer. IPv4 comes after IPv6: a socket that was mapped once stays so (Linux). */
void crow_decide_others(const struct crow_image *img, const struct crow_target *asked,
			uint64_t point, struct crow_decision *decision);

/* The name of the service, borrowed from the image, which may be a later one; "" if it is gone. */
const char *crow_decide_name(const struct crow_image *img, const struct crow_target *asked,
			     const struct crow_decision *decision);

#endif
