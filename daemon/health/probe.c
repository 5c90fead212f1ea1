#include "daemon/health/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MS_NS INT64_C(1000000)

struct slot {
	struct crow_watch watch;
	struct crow_probes *probes;
	struct crow_endpoint *endpoint; /* NULL: free */
	int64_t deadline_ns;
};

struct crow_probes {
	struct crow_loop *loop;
	crow_probe_hook *on_outcome;
	void *context;
	struct crow_timer timer; /* of the earliest deadline */
	size_t count;
	struct slot slots[CROW_PROBES_MAX];
};

/* What an errno tells about the other host. What is not listed would fail to anybody (EACCES,
 * EPERM, EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL, EAGAIN, ENETDOWN...). */
static enum crow_evidence evidence_of(int error)
{
	switch (error) {
	case 0:
		return CROW_EVIDENCE_OK;
	case ECONNREFUSED:
	case ECONNRESET:
		return CROW_EVIDENCE_REFUSED;
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
		return CROW_EVIDENCE_UNREACHABLE;
	case ETIMEDOUT:
		return CROW_EVIDENCE_SILENT;
	default:
		return CROW_EVIDENCE_LOCAL;
	}
}

static void release(struct slot *slot)
{
	crow_loop_remove(slot->probes->loop, &slot->watch);
	close(slot->watch.fd);
	slot->endpoint = NULL;
	slot->probes->count--;
}

static void finish(struct slot *slot, enum crow_evidence evidence)
{
	struct crow_probes *probes = slot->probes;
	struct crow_endpoint *endpoint = slot->endpoint;

	release(slot);
	probes->on_outcome(probes->context, endpoint, evidence);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	socklen_t size = sizeof(int);
	int error = 0;

	(void)events;
	if (getsockopt(watch->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	finish(crow_container(watch, struct slot, watch), evidence_of(error));
}

/* Sets the timer to the earliest deadline; a scan of 256 costs less than to keep them in order. */
static void arm(struct crow_probes *probes)
{
	int64_t first_ns = INT64_MAX;

	for (size_t i = 0; i < CROW_PROBES_MAX; i++)
		if (probes->slots[i].endpoint != NULL && probes->slots[i].deadline_ns < first_ns)
			first_ns = probes->slots[i].deadline_ns;
	if (first_ns == INT64_MAX)
		crow_timer_clear(probes->loop, &probes->timer);
	else
		crow_timer_set(probes->loop, &probes->timer, first_ns);
}

/* The main thread may have been held up for longer than the time-out: no fault of the instance. */
static bool is_ready(const struct slot *slot)
{
	struct pollfd look = {.fd = slot->watch.fd, .events = POLLOUT};

	return poll(&look, 1, 0) > 0;
}

static void on_deadline(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_probes *probes = crow_container(timer, struct crow_probes, timer);

	for (size_t i = 0; i < CROW_PROBES_MAX; i++) {
		struct slot *slot = &probes->slots[i];

		if (slot->endpoint == NULL || slot->deadline_ns > now_ns)
			continue;
		if (is_ready(slot))
			on_ready(&slot->watch, 0);
		else
			finish(slot, CROW_EVIDENCE_SILENT);
	}
	arm(probes);
}

/* A connection in progress; its errno in negative if there is none. */
static int begin(const struct crow_endpoint *endpoint)
{
	sa_family_t family = crow_addr_is_v4(&endpoint->addr) ? AF_INET : AF_INET6;
	struct sockaddr_storage to;
	socklen_t size = crow_addr_to_sockaddr(&endpoint->addr, endpoint->port, family, &to);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int error;

	if (fd < 0)
		return -errno;
	/* The system call, since crowflyd may have the preload library, too (LD_PRELOAD of a whole
	 * container): its connect() goes round an instance that is down, and so finds it up. */
	if (syscall(SYS_connect, fd, &to, size) == 0 || errno == EINPROGRESS)
		return fd;
	error = errno;
	close(fd);
	return -error;
}

void crow_probes_start(struct crow_probes *probes, struct crow_endpoint *endpoint,
		       uint32_t timeout_ms)
{
	struct slot *slot = probes->slots;
	int fd = begin(endpoint);

	if (fd < 0) {
		probes->on_outcome(probes->context, endpoint, evidence_of(-fd));
		return;
	}
	while (slot->endpoint != NULL)
		slot++;
	*slot = (struct slot){
		.watch = {.fd = fd, .on_ready = on_ready},
		.probes = probes,
		.endpoint = endpoint,
		.deadline_ns = crow_now_ns() + timeout_ms * MS_NS,
	};
	probes->count++;
	if (crow_loop_add(probes->loop, &slot->watch, EPOLLOUT) < 0) {
		finish(slot, CROW_EVIDENCE_LOCAL);
		return;
	}
	if (!probes->timer.armed || probes->timer.due_ns > slot->deadline_ns)
		crow_timer_set(probes->loop, &probes->timer, slot->deadline_ns);
}

bool crow_probes_are_full(const struct crow_probes *probes)
{
	return probes->count == CROW_PROBES_MAX;
}

struct crow_probes *crow_probes_new(struct crow_loop *loop, crow_probe_hook *on_outcome,
				    void *context)
{
	struct crow_probes *probes = calloc(1, sizeof(*probes));

	if (probes == NULL)
		return NULL;
	probes->loop = loop;
	probes->on_outcome = on_outcome;
	probes->context = context;
	probes->timer.on_due = on_deadline;
	return probes;
}

void crow_probes_free(struct crow_probes *probes)
{
	if (probes == NULL)
		return;
	for (size_t i = 0; i < CROW_PROBES_MAX; i++)
		if (probes->slots[i].endpoint != NULL)
			release(&probes->slots[i]);
	crow_timer_clear(probes->loop, &probes->timer);
	free(probes);
}
