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
		count += guests->items[i].fd >= 0 &&
			 crow_addr_compare(&guests->items[i].peer, peer) == 0;
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
	crow_guests_renew(guests, guest, now_ns);
	return guest;
}

void crow_guests_leave(struct crow_guests *guests, struct crow_guest *guest)
{
	guest->fd = -1;
	guests->count--;
}

void crow_guests_renew(const struct crow_guests *guests, struct crow_guest *guest, int64_t now_ns)
{
	guest->due_ns = now_ns + guests->exchange_ns;
	guest->wait_ns = 0;
}

/* Who waits for discovery is not slow. */
static int64_t due_of(const struct crow_guest *guest)
{
	return guest->suspended ? guest->wait_ns : guest->due_ns;
}

struct crow_guest *crow_guests_late(struct crow_guests *guests, int64_t now_ns)
{
	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		struct crow_guest *guest = &guests->items[i];

		if (guest->fd >= 0 && !guest->suspended && guest->due_ns <= now_ns) {
			guest->due_ns = INT64_MAX;
			return guest;
		}
	}
	return NULL;
}

int64_t crow_guests_next_ns(const struct crow_guests *guests)
{
	int64_t next_ns = INT64_MAX;

	for (size_t i = 0; i < CROW_GUESTS_MAX; i++) {
		const struct crow_guest *guest = &guests->items[i];

		if (guest->fd >= 0 && due_of(guest) < next_ns)
			next_ns = due_of(guest);
	}
	return next_ns;
}
