/*
 * The DNS responder: worker threads that answer from the published image.
 *
 * Files, from the pure to the kernel: wire.* (cursors whose errors stick), query.* (a query as a
 * value), subject.* and target.* (what a name means), reply.*, srv.* and answer.* (query -> reply);
 * rate.* and gate.* (who gets an answer); responder.* and wait.* (what a worker's transports share);
 * udp.*, frame.* and tcp.* (transports); socket.*, worker.* (a thread, its loop, its sockets), dns.c
 * (start, stop).
 */
#ifndef CROW_DNS_H
#define CROW_DNS_H

#include "daemon/inherit.h"
#include "daemon/publisher.h"
#include "daemon/upstream/upstreams.h"

struct crow_dns;

/* Sockets are bound, or inherited ones taken, first, so that a daemon started as root may drop to its
 * user in between. NULL: complaint is a sentence that names the address and the remedy. */
struct crow_dns *crow_dns_bind(const struct crow_config *config, struct crow_inherited *inherited,
			       char *complaint, size_t complaint_size);
/* Starts the workers. runtime_dir (borrowed) is where names are asked on demand. */
bool crow_dns_start(struct crow_dns *dns, struct crow_publisher *publisher,
		    const char *runtime_dir);
/* A new image is out: queries that wait for a name are tried again. Main thread. */
void crow_dns_wake(struct crow_dns *dns);
/* All but listen and workers, after a reload. False: no memory; who may ask stays as it is. Main
 * thread. */
bool crow_dns_configure(struct crow_dns *dns, const struct crow_config *config);
/* The upstreams from now on, which it becomes a user of; NULL: none. Main thread. */
void crow_dns_forward(struct crow_dns *dns, struct crow_upstreams *upstreams);
/* Those that there are: fewer than configured where descriptors are few. */
size_t crow_dns_workers(const struct crow_dns *dns);
/* Where it is bound. Borrowed. */
const struct crow_listens *crow_dns_listens(const struct crow_dns *dns);
/* Ends and joins the workers. NULL is fine. */
void crow_dns_free(struct crow_dns *dns);

#endif
