/*
 * What to do with a connect(): pass it through, or take it to an instance, with two more to go to
 * if that fails. Pure functions of their arguments.
 */
#ifndef CROW_DECIDE_H
#define CROW_DECIDE_H

#include "resolver/image.h"
#include "resolver/name.h"

/* Different instances in one connect(): with a third of the instances dead, three in a row are
 * dead once in 27 times; more would make the caller wait too long. */
#define CROW_TARGETS_MAX 3

struct crow_target {
	struct crow_addr addr;
	uint16_t port;
};

/* What the kernel says of the socket (fd.h fills it). */
struct crow_socket {
	int protocol;
	bool is_stream;   /* it has TCP's options, which a raw socket of that protocol has not */
	bool fast_open;   /* TCP_FASTOPEN_CONNECT: the first bytes ride in the SYN */
	bool nonblocking; /* O_NONBLOCK */
	bool fresh;       /* neither connected nor connecting; not asked if nonblocking */
};

/* Services by key, the one whose name was resolved last first. */
struct crow_hints {
	const uint64_t *recent;
	size_t count;
};

struct crow_decision {
	uint8_t count; /* of targets; 0 = pass through */
	struct crow_target targets[CROW_TARGETS_MAX];
	uint32_t attempt_timeout_ms;
	char service[CROW_NAME_MAX + 1]; /* its name, cut to that length */
};

/* Tells services of an image apart, and stays the same from image to image. */
uint64_t crow_service_key(const struct crow_image *img, uint32_t service);

/* Whether connects of this socket may be redirected at all. */
bool crow_decide_socket(const struct crow_socket *socket);

/* Where connect(asked) goes: to the instance asked for if it is up; else, and if the address alone
 * does not tell which one is meant, to a pick at the point. Instances of asked's family alone. */
void crow_decide(const struct crow_image *img, const struct crow_target *asked,
		 const struct crow_hints *hints, uint64_t point, struct crow_decision *out);

#endif
