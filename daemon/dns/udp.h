/*
 * The UDP transport: batches of datagrams in, batches of replies out. One thread.
 */
#ifndef CROW_UDP_H
#define CROW_UDP_H

#include "daemon/dns/gate.h"
#include "daemon/dns/responder.h"
#include "daemon/loop.h"

struct crow_udp_batch; /* buffers, shared by the sockets of a worker */

struct crow_udp_batch *crow_udp_batch_new(void); /* NULL: no memory */
void crow_udp_batch_free(struct crow_udp_batch *batch);

/* A bound, non-blocking socket. */
struct crow_udp {
	struct crow_watch watch; /* fd is the owner's to close */
	struct crow_responder *responder;
	struct crow_gate *gate;
	struct crow_udp_batch *batch;
	struct crow_addr addr; /* where it is bound */
	uint16_t port;
	bool wildcard; /* to all addresses: replies must leave from the one that was asked */
};

/* Fields but watch.on_ready are set. 0, or -1 with errno. */
int crow_udp_start(struct crow_udp *udp, struct crow_loop *loop);

#endif
