#include "daemon/upstream/upstreams.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/log.h"

static bool is_wildcard(const struct crow_addr *addr)
{
	static const uint8_t zero[16];

	if (crow_addr_is_v4(addr))
		return memcmp(crow_addr_v4_bytes(addr), zero, 4) == 0;
	return memcmp(addr->bytes, zero, 16) == 0;
}

/* Where the kernel connects to: "any address" as a destination is this host. */
static struct crow_addr destination_of(const struct crow_addr *addr)
{
	static const uint8_t v4[4] = {127, 0, 0, 1}, v6[16] = {[15] = 1};

	if (!is_wildcard(addr))
		return *addr;
	return crow_addr_is_v4(addr) ? crow_addr_v4(v4) : crow_addr_v6(v6);
}

static bool is_loopback(const struct crow_addr *addr)
{
	static const uint8_t v6[16] = {[15] = 1};

	if (crow_addr_is_v4(addr))
		return crow_addr_v4_bytes(addr)[0] == 127; /* all of 127/8 */
	return memcmp(addr->bytes, v6, 16) == 0;
}

static bool is_of_an_interface(const struct crow_addr *addr)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		socklen_t size = i->ifa_addr && i->ifa_addr->sa_family == AF_INET6
					 ? sizeof(struct sockaddr_in6)
					 : sizeof(struct sockaddr_in);
		struct crow_addr own;
		uint16_t port;

		found = i->ifa_addr && crow_addr_from_sockaddr(i->ifa_addr, size, &own, &port) &&
			crow_addr_equal(&own, addr);
	}
	freeifaddrs(all);
	return found;
}

bool crow_upstreams_is_own(const struct crow_listen *server, const struct crow_listens *own)
{
	struct crow_addr to = destination_of(&server->addr);

	for (size_t i = 0; i < own->count; i++) {
		const struct crow_listen *at = &own->items[i];

		if (at->port != server->port)
			continue;
		if (crow_addr_equal(&at->addr, &to))
			return true;
		if (is_wildcard(&at->addr) && crow_addr_is_v4(&at->addr) == crow_addr_is_v4(&to) &&
		    (is_loopback(&to) || is_of_an_interface(&to)))
			return true;
	}
	return false;
}

static bool is_same(const struct crow_listen *a, const struct crow_listen *b)
{
	return a->port == b->port && crow_addr_equal(&a->addr, &b->addr);
}

static const struct crow_upstream *find(const struct crow_upstreams *upstreams,
					const struct crow_listen *at)
{
	for (size_t i = 0; upstreams && i < upstreams->count; i++)
		if (is_same(&upstreams->items[i].at, at))
			return &upstreams->items[i];
	return NULL;
}

static void take_over(struct crow_upstream *to, const struct crow_upstream *from)
{
	to->queries = from->queries;
	to->answers = from->answers;
	to->timeouts = from->timeouts;
	to->failures = from->failures;
	to->smoothed_us = from->smoothed_us;
}

/* RFC 4007: a link-local address means nothing without its interface, which c-ares cannot be
 * told. */
static bool is_link_local(const struct crow_addr *addr)
{
	return addr->bytes[0] == 0xfe && (addr->bytes[1] & 0xc0) == 0x80;
}

static bool is_usable(const struct crow_upstreams *upstreams, const struct crow_listen *at,
		      const struct crow_listens *own)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&at->addr, at->port, endpoint);
	if (find(upstreams, at))
		return false;
	if (crow_upstreams_is_own(at, own)) {
		crow_log(CROW_LOG_WARNING,
			 "upstream %s is crowflyd itself: names are not forwarded to it", endpoint);
		return false;
	}
	if (is_link_local(&at->addr)) {
		crow_log(
			CROW_LOG_WARNING,
			"upstream %s is link-local, which needs an interface: give another address",
			endpoint);
		return false;
	}
	return true;
}

static void say_too_many(const struct crow_listen *at)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&at->addr, at->port, endpoint);
	crow_log(CROW_LOG_WARNING,
		 "upstream %s and those behind it are not asked: there are %d before it; name the "
		 "best ones first",
		 endpoint, CROW_UPSTREAMS_MAX);
}

struct crow_upstreams *crow_upstreams_new(const struct crow_listens *servers,
					  const struct crow_listens *own,
					  const struct crow_upstreams *before)
{
	struct crow_upstreams *upstreams = calloc(1, sizeof(*upstreams));

	if (!upstreams)
		return NULL;
	upstreams->users = 1;
	upstreams->ports = CROW_UPSTREAM_PORTS_MAX;
	for (size_t i = 0; i < servers->count; i++) {
		struct crow_upstream *upstream = &upstreams->items[upstreams->count];
		const struct crow_upstream *known = find(before, &servers->items[i]);

		if (!is_usable(upstreams, &servers->items[i], own))
			continue;
		if (upstreams->count == CROW_UPSTREAMS_MAX) {
			say_too_many(&servers->items[i]);
			break;
		}
		upstream->at = servers->items[i];
		arc4random_buf(&upstream->probe, sizeof(upstream->probe));
		if (known)
			take_over(upstream, known);
		upstreams->count++;
	}
	return upstreams;
}

struct crow_upstreams *crow_upstreams_use(struct crow_upstreams *upstreams)
{
	/* Who hands it on is a user already, so there is nothing to be ordered with. */
	atomic_fetch_add_explicit(&upstreams->users, 1, memory_order_relaxed);
	return upstreams;
}

void crow_upstreams_release(struct crow_upstreams *upstreams)
{
	/* Release: what a user did with it comes before its end; acquire: for whoever frees it. */
	if (upstreams && atomic_fetch_sub_explicit(&upstreams->users, 1, memory_order_acq_rel) == 1)
		free(upstreams);
}
