/*
 * The TCP transport (RFC 7766): a fixed table of connections in the worker's loop, so that no
 * client can take more than its slots. Queries are answered as they come, several a connection;
 * those that wait for a name are overtaken by the others.
 */
#ifndef CROW_TCP_H
#define CROW_TCP_H

#include "daemon/dns/gate.h"
#include "daemon/dns/responder.h"
#include "daemon/loop.h"

struct crow_tcp; /* the connections of a worker */

/* NULL: no memory. All are borrowed. */
struct crow_tcp *crow_tcp_new(struct crow_responder *responder, const struct crow_gate *gate,
			      struct crow_loop *loop);
void crow_tcp_free(struct crow_tcp *tcp); /* closes all connections */

/* A listening, non-blocking socket. */
struct crow_tcp_listener {
	struct crow_watch watch;  /* fd is the owner's to close */
	struct crow_timer resume; /* of accepting, after descriptors ran out */
	struct crow_tcp *tcp;
	struct crow_addr addr; /* where it is bound */
	bool wildcard;         /* to all addresses */
};

/* watch.fd, addr and wildcard are set, all else zero. 0, or -1 with errno. */
int crow_tcp_listen(struct crow_tcp *tcp, struct crow_tcp_listener *listener);

#endif
