/*
 * What the kernel says of this host's addresses (rtnetlink(7)), kept in a crow_host. One for each
 * worker, in its own loop: nothing is shared, so that nothing has to be locked.
 *
 * Whatever is lost (the socket's buffer overran, the list changed while it was read) is asked for
 * again from the start.
 */
#ifndef CROW_NETLINK_H
#define CROW_NETLINK_H

#include "daemon/dns/host.h"
#include "daemon/loop.h"

struct crow_netlink {
	struct crow_watch watch;
	struct crow_loop *loop;
	struct crow_host host;
	bool dumping; /* the list of all addresses is on its way */
	bool torn;    /* and it is not to be relied on: ask again when it ends */
};

/* What a datagram of the kernel said, besides what it changed in the host's addresses. */
struct crow_netlink_news {
	unsigned changes; /* addresses that came or went, those of a list not counted */
	bool ended;       /* the list ends here */
	bool torn;        /* the list is not whole: something changed meanwhile, or an error */
};

/* Opens the socket, asks for all addresses, and follows what changes. False with errno: nothing is
 * open, and nothing is known. */
bool crow_netlink_open(struct crow_netlink *netlink, struct crow_loop *loop);
void crow_netlink_close(struct crow_netlink *netlink); /* also of one that is not open */

/* Reads a datagram into host. Pure; whatever the bytes are. */
struct crow_netlink_news crow_netlink_read(struct crow_host *host, const void *bytes, size_t size);

#endif
