#include "daemon/dns/worker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/dns/netlink.h"
#include "daemon/dns/responder.h"
#include "daemon/dns/socket.h"
#include "daemon/dns/tcp.h"
#include "daemon/dns/udp.h"
#include "daemon/log.h"

struct crow_worker {
	struct crow_loop *loop;
	struct crow_watch poke; /* an eventfd: something of what is below has changed */
	/* Written by the main thread before a poke, read after it: the eventfd orders them, so
	 * relaxed would do; the default costs nothing here. */
	_Atomic bool stopping;
	pthread_t thread;
	bool running;

	struct crow_gate gate;
	struct crow_responder responder;
	struct crow_netlink netlink;
	int host_error; /* why that knows nothing; 0: it does */
	struct crow_udp_batch *batch;
	struct crow_tcp *tcp;
	struct crow_udp *udp;                /* one for each address */
	struct crow_tcp_listener *listeners; /* likewise */
	size_t count;
};

static bool bind_all(struct crow_worker *worker, struct crow_listens *listens, bool shared,
		     struct crow_inherited *inherited, char *complaint, size_t complaint_size)
{
	for (; worker->count < listens->count; worker->count++) {
		struct crow_listen *at = &listens->items[worker->count];
		struct crow_udp *udp = &worker->udp[worker->count];
		struct crow_tcp_listener *listener = &worker->listeners[worker->count];

		udp->watch.fd = crow_dns_socket(at, SOCK_DGRAM, shared, inherited, complaint,
						complaint_size);
		if (udp->watch.fd < 0)
			return false;
		udp->addr = at->addr;
		udp->port = at->port;
		udp->wildcard = crow_addr_is_wildcard(&at->addr);
		listener->watch.fd = crow_dns_socket(at, SOCK_STREAM, shared, inherited, complaint,
						     complaint_size);
		if (listener->watch.fd < 0) {
			close(udp->watch.fd);
			return false;
		}
		listener->addr = udp->addr;
		listener->wildcard = udp->wildcard;
	}
	return true;
}

struct crow_worker *crow_worker_bind(struct crow_listens *listens, bool shared,
				     struct crow_inherited *inherited, char *complaint,
				     size_t complaint_size)
{
	struct crow_worker *worker = calloc(1, sizeof(*worker));

	if (!worker) {
		snprintf(complaint, complaint_size, "no memory for the DNS responder");
		return NULL;
	}
	worker->poke.fd = -1;
	worker->udp = calloc(listens->count, sizeof(*worker->udp));
	worker->listeners = calloc(listens->count, sizeof(*worker->listeners));
	if (!worker->udp || !worker->listeners)
		snprintf(complaint, complaint_size, "no memory for the DNS responder");
	else if (bind_all(worker, listens, shared, inherited, complaint, complaint_size))
		return worker;
	crow_worker_free(worker);
	return NULL;
}

static void on_poke(struct crow_watch *watch, uint32_t events)
{
	struct crow_worker *worker = crow_container(watch, struct crow_worker, poke);
	eventfd_t pokes;

	(void)events;
	eventfd_read(watch->fd, &pokes); /* sets it back; it may have been, and that is fine */
	if (worker->stopping) {
		crow_loop_stop(worker->loop);
		return;
	}
	crow_gate_update(&worker->gate);
	crow_forward_update(worker->responder.forward);
	crow_responder_retry(&worker->responder);
}

static bool make_parts(struct crow_worker *worker, uint32_t cache_entries)
{
	worker->loop = crow_loop_new();
	worker->batch = crow_udp_batch_new();
	worker->responder.waits.items = calloc(CROW_WAITS_MAX, sizeof(struct crow_wait));
	worker->poke.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	worker->poke.on_ready = on_poke;
	if (!worker->loop || !worker->batch || !worker->responder.waits.items ||
	    worker->poke.fd < 0)
		return false;
	worker->tcp = crow_tcp_new(&worker->responder, &worker->gate, worker->loop);
	worker->responder.forward = crow_forward_new(worker->loop, cache_entries);
	return worker->tcp && worker->responder.forward &&
	       crow_loop_add(worker->loop, &worker->poke, EPOLLIN) == 0;
}

static bool watch_sockets(struct crow_worker *worker)
{
	for (size_t i = 0; i < worker->count; i++) {
		worker->udp[i].responder = &worker->responder;
		worker->udp[i].gate = &worker->gate;
		worker->udp[i].batch = worker->batch;
		if (crow_udp_start(&worker->udp[i], worker->loop) < 0 ||
		    crow_tcp_listen(worker->tcp, &worker->listeners[i]) < 0)
			return false;
	}
	return true;
}

static void *run(void *context)
{
	struct crow_worker *worker = context;

	crow_loop_run(worker->loop);
	return NULL;
}

/* Signals are the main thread's: a worker is born with all of them blocked. */
static bool start_thread(struct crow_worker *worker)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&worker->thread, NULL, run, worker);
	worker->running = errno == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return worker->running;
}

bool crow_worker_start(struct crow_worker *worker, struct crow_publisher *publisher,
		       const char *runtime_dir, struct crow_upstreams *upstreams,
		       uint32_t cache_entries)
{
	if (!make_parts(worker, cache_entries))
		return false;
	crow_gate_update(&worker->gate);
	if (upstreams)
		crow_forward_offer(worker->responder.forward, upstreams);
	crow_forward_update(worker->responder.forward);
	crow_responder_init(&worker->responder, worker->loop, publisher, runtime_dir);
	if (crow_netlink_open(&worker->netlink, worker->loop))
		worker->responder.settings.host = &worker->netlink.host;
	else
		worker->host_error = errno;
	return watch_sockets(worker) && start_thread(worker);
}

bool crow_worker_configure(struct crow_worker *worker, const struct crow_config *config)
{
	struct crow_responder *responder = &worker->responder;

	atomic_store_explicit(&responder->ttl_s, config->dns_ttl_s, memory_order_relaxed);
	atomic_store_explicit(&responder->answers, config->dns_answers, memory_order_relaxed);
	atomic_store_explicit(&responder->https, config->dns_https, memory_order_relaxed);
	if (!crow_gate_configure(&worker->gate, config))
		return false;
	crow_worker_wake(worker);
	return true;
}

int crow_worker_receive_buffer(const struct crow_worker *worker)
{
	int least = INT_MAX;

	for (size_t i = 0; i < worker->count; i++) {
		int size = crow_dns_receive_buffer(worker->udp[i].watch.fd);

		least = size < least ? size : least;
	}
	return least;
}

int crow_worker_host_error(const struct crow_worker *worker)
{
	return worker->host_error;
}

void crow_worker_forward(struct crow_worker *worker, struct crow_upstreams *upstreams)
{
	crow_forward_offer(worker->responder.forward, upstreams);
	crow_worker_wake(worker);
}

void crow_worker_wake(struct crow_worker *worker)
{
	if (worker->running)
		eventfd_write(worker->poke.fd, 1);
}

static void join(struct crow_worker *worker)
{
	worker->stopping = true;
	crow_worker_wake(worker);
	if (!worker->running)
		return;
	pthread_join(worker->thread, NULL);
	crow_log(CROW_LOG_DEBUG, "a thread of the DNS responder ends; it took %llu queries",
		 (unsigned long long)worker->responder.taken);
}

void crow_worker_free(struct crow_worker *worker)
{
	if (!worker)
		return;
	join(worker);
	crow_forward_free(worker->responder.forward);
	crow_tcp_free(worker->tcp);
	for (size_t i = 0; i < worker->count; i++) {
		close(worker->udp[i].watch.fd);
		close(worker->listeners[i].watch.fd);
	}
	if (worker->poke.fd >= 0)
		close(worker->poke.fd);
	crow_udp_batch_free(worker->batch);
	crow_gate_fini(&worker->gate);
	crow_netlink_close(&worker->netlink);
	crow_loop_free(worker->loop);
	free(worker->responder.waits.items);
	free(worker->udp);
	free(worker->listeners);
	free(worker);
}
