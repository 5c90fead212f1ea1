/*
 * A worker: a thread with its loop, its sockets and its responder. The main thread binds it,
 * starts it, pokes it and joins it; all else is the worker's own.
 */
#ifndef CROW_WORKER_H
#define CROW_WORKER_H

#include "daemon/inherit.h"
#include "daemon/publisher.h"
#include "daemon/upstream/upstreams.h"

struct crow_worker;

/* Binds sockets to all of listens, or takes inherited ones. Where a port is 0 the kernel's choice is
 * written back. shared: there will be further workers. NULL with a sentence. */
struct crow_worker *crow_worker_bind(struct crow_listens *listens, bool shared,
				     struct crow_inherited *inherited, char *complaint,
				     size_t complaint_size);
/* False with errno; the worker is then only good for freeing. */
bool crow_worker_start(struct crow_worker *worker, struct crow_publisher *publisher,
		       const char *runtime_dir, struct crow_upstreams *upstreams,
		       uint32_t cache_entries);
/* From now on; see crow_forward_offer(). Of a worker that was started. */
void crow_worker_forward(struct crow_worker *worker, struct crow_upstreams *upstreams);
/* Main thread, before the start and at a reload. False: no memory; some of it stays as it is. */
bool crow_worker_configure(struct crow_worker *worker, const struct crow_config *config);
/* Bytes that the smallest receive buffer of its UDP sockets holds. */
int crow_worker_receive_buffer(const struct crow_worker *worker);
/* Why a worker that was started knows no addresses of this host (errno), or 0. */
int crow_worker_host_error(const struct crow_worker *worker);
void crow_worker_wake(struct crow_worker *worker); /* a new image is out */
/* Ends and joins the thread, if one runs, and closes the sockets. */
void crow_worker_free(struct crow_worker *worker);

#endif
