/*
 * Who is connected to a listening address: how many there may be, until when each must have had its
 * exchange, and who makes room for others. Pure: descriptors are numbers, and the clock is passed in.
 */
#ifndef CROW_HTTP_GUEST_H
#define CROW_HTTP_GUEST_H

#include "daemon/http/body.h"
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

/* While places are scarce, an exchange that has lasted so long gives its place up. All but two kinds
 * take milliseconds: those that wait for discovery, and those of slow readers. */
#define CROW_GUEST_PATIENCE_NS INT64_C(1000000000)

struct crow_guest {
	int fd; /* -1: a free place */
	struct crow_addr peer, own;
	int64_t since_ns; /* the connection's start, or the end of the last exchange */
	int64_t asked_ns; /* the head of a request came then; 0: none that is not answered */
	bool leaving;     /* was told to go, and will */
	void *connection; /* the owner's */
	int64_t wait_ns;  /* until when its answer may wait for discovery; 0: it does not */
	bool suspended;
	const struct crow_body *reading; /* the answer under way; NULL: none */
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
/* The head of a request is in. */
void crow_guests_ask(struct crow_guest *guest, int64_t now_ns);
/* An exchange has ended. */
void crow_guests_renew(struct crow_guest *guest, int64_t now_ns);

/* The next one whose time is up (it then is leaving), or NULL. */
struct crow_guest *crow_guests_late(struct crow_guests *guests, int64_t now_ns);

/* Who makes room for another connection: of those who ask nothing, whoever has done so for longest;
 * if all ask, the first to have asked, after CROW_GUEST_PATIENCE_NS. NULL: nobody yet. */
struct crow_guest *crow_guests_yielding(struct crow_guests *guests, int64_t now_ns);
/* Who makes room for other large answers: the first to have asked of those who read one that nobody
 * keeps. NULL: nobody. */
struct crow_guest *crow_guests_reading(struct crow_guests *guests);

/* When to look again: at the next end of an exchange's time, of waiting, or, in a full house, of
 * patience. INT64_MAX: never. */
int64_t crow_guests_next_ns(struct crow_guests *guests, int64_t now_ns);

#endif
