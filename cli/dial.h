/*
 * Many TCP connects at once, each with an end: who takes connections, who refuses, who is silent.
 */
#ifndef CROW_DIAL_H
#define CROW_DIAL_H

#include "resolver/address.h"

struct crow_dial {
	struct crow_addr addr;
	uint16_t port;
	int error; /* out: 0 if the connection was taken; else errno, ETIMEDOUT after timeout_ms */
};

/* Told now and then how far it got. */
typedef void crow_dial_progress(void *context, size_t done, size_t count);

/* Connects to each, and closes at once without a byte sent. */
void crow_dial_all(struct crow_dial *dials, size_t count, int timeout_ms,
		   crow_dial_progress *progress, void *context);

/* Whether this host has a route there at all, without a packet. */
bool crow_dial_has_route(const struct crow_addr *addr);

#endif
