/*
 * Who is connected to a listening address: how many there may be, and until when each must have had
 * its exchange. Pure: descriptors are numbers, and the clock is passed in.
 */
#ifndef CROW_HTTP_GUEST_H
#define CROW_HTTP_GUEST_H

#include "resolver/address.h"

/* People, scrapers, health checks, and the programs of this host that poll the mirror: each of the
 * last keeps a connection, and there may be a hundred workers. 16 kB of memory each. */
#define CROW_GUESTS_MAX 256u
/* From one address, unless it is loopback: a host that opens more than this leaves room for others. */
#define CROW_GUESTS_PER_ADDRESS 64u

/* From the connection's start, or the end of the last exchange, to the end of the next one: a head
 * that comes byte by byte, or an answer that is taken so, ends here. 30 s carry the largest answer,
 * 14 MB, over 4 Mbit/s. */
#define CROW_GUEST_EXCHANGE_NS (30 * INT64_C(1000000000))

struct crow_guest {
	int fd; /* -1: a free place */
	struct crow_addr peer, own;
	int64_t due_ns;
	void *connection; /* the owner's */
	int64_t wait_ns;  /* until when its answer may wait for discovery; 0: it does not */
	bool suspended;
};

struct crow_guests {
	size_t count;
	int64_t exchange_ns;
	struct crow_guest items[CROW_GUESTS_MAX];
};

void crow_guests_init(struct crow_guests *guests, int64_t exchange_ns);
bool crow_guests_is_full(const struct crow_guests *guests);
/* Whether one more from there may come in; the place is another question. */
bool crow_guests_admits(const struct crow_guests *guests, const struct crow_addr *peer);

/* There is a place. */
struct crow_guest *crow_guests_enter(struct crow_guests *guests, int fd,
				     const struct crow_addr *peer, const struct crow_addr *own,
				     int64_t now_ns);
void crow_guests_leave(struct crow_guests *guests, struct crow_guest *guest);
/* An exchange has ended. */
void crow_guests_renew(const struct crow_guests *guests, struct crow_guest *guest, int64_t now_ns);

/* The next one whose time is up (it then is not told of again), or NULL. */
struct crow_guest *crow_guests_late(struct crow_guests *guests, int64_t now_ns);
/* When to look again: at the next due, or end of waiting; INT64_MAX: never. */
int64_t crow_guests_next_ns(const struct crow_guests *guests);

#endif
