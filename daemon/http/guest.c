#include "daemon/http/guest.h"

#include <string.h>

#include "daemon/cidr.h"

void crow_guests_init(struct crow_guests *guests, int64_t exchange_ns)
{
	guests->count = 0;
	guests->exchange_ns = exchange_ns;
	for (size_t i = 0; i < CROW_GUESTS_MAX; i++)
		guests->items[i].fd = -1;
}

bool crow_guests_is_full(const struct crow_guests *guests)
{
	return guests->count == CROW_GUESTS_MAX;
}

bool crow_guests_admits(const struct crow_guests *guests, const struct crow_addr *peer)
{
	size_t count = 0;

	if (crow_addr_is_loopback(peer))
		return true;
	for (size_t i = 0; i < CROW_GUESTS_MAX; i++)
		count += guests->items[i].fd >= 0 && crow_addr_equal(&guests->items[i].peer, peer);
	return count < CROW_GUESTS_PER_ADDRESS;
}

struct crow_guest *crow_guests_enter(struct crow_guests *guests, int fd,
				     const struct crow_addr *peer, const struct crow_addr *own,
				     int64_t now_ns)
{
	struct crow_guest *guest = guests->items;

	while (guest->fd >= 0)
		guest++;
	*guest = (struct crow_guest){.fd = fd, .peer = *peer, .own = *own};
	guests->count++;
	crow_guests_renew(guest, now_ns);
	return guest;
}

void crow_guests_leave(struct crow_guests *guests, struct crow_guest *guest)
{
	guest->fd = -1;
	guests->count--;
}

void crow_guests_ask(struct crow_guest *guest, int64_t now_ns)
{
	guest->asked_ns = now_ns;
}

void crow_guests_renew(struct crow_guest *guest, int64_t now_ns)
{
	guest->since_ns = now_ns;
	guest->asked_ns = 0;
	guest->wait_ns = 0;
	guest->reading = NULL;
}

/* ---- who goes, and when ---- */

/* Who waits for discovery is not slow. */
static int64_t due_ns(const struct crow_guests *guests, const struct crow_guest *guest)
{
	return guest->suspended ? guest->wait_ns : guest->since_ns + guests->exchange_ns;
}

/* Since when it might make room. */
static int64_t yield_ns(const struct crow_guest *guest)
{
	return guest->asked_ns ? guest->asked_ns + CROW_GUEST_PATIENCE_NS : guest->since_ns;
}

static bool is_here(const struct crow_guest *guest)
{
	return guest->fd >= 0 && !guest->leaving;
}

struct crow_guest *crow_guests_late(struct crow_guests *guests, int64_t now_ns)
{
	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		struct crow_guest *guest = &guests->items[i];

		if (is_here(guest) && !guest->suspended && due_ns(guests, guest) <= now_ns) {
			guest->leaving = true;
			return guest;
		}
	}
	return NULL;
}

/* Whether a is to go rather than b (NULL: nobody): who asks nothing before who does. */
static bool goes_before(const struct crow_guest *a, const struct crow_guest *b)
{
	bool asks = a->asked_ns != 0;

	if (!b || asks != (b->asked_ns != 0))
		return !b || !asks;
	return yield_ns(a) < yield_ns(b);
}

struct crow_guest *crow_guests_yielding(struct crow_guests *guests, int64_t now_ns)
{
	struct crow_guest *first = NULL;

	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		struct crow_guest *guest = &guests->items[i];

		if (is_here(guest) && yield_ns(guest) <= now_ns && goes_before(guest, first))
			first = guest;
	}
	return first;
}

struct crow_guest *crow_guests_reading(struct crow_guests *guests)
{
	struct crow_guest *first = NULL;

	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		struct crow_guest *guest = &guests->items[i];

		if (is_here(guest) && guest->reading && guest->reading->shelf &&
		    !guest->reading->kept && (!first || guest->asked_ns < first->asked_ns))
			first = guest;
	}
	return first;
}

int64_t crow_guests_next_ns(struct crow_guests *guests, int64_t now_ns)
{
	bool awaited = crow_guests_is_full(guests) && !crow_guests_yielding(guests, now_ns);
	int64_t next_ns = INT64_MAX;

	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		const struct crow_guest *guest = &guests->items[i];

		if (!is_here(guest))
			continue;
		if (due_ns(guests, guest) < next_ns)
			next_ns = due_ns(guests, guest);
		if (awaited && yield_ns(guest) < next_ns)
			next_ns = yield_ns(guest);
	}
	return next_ns;
}
