#include "daemon/http/listener.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/counters.h"

/* Who finds no room sends its next SYN after 1 s (RFC 6298 2.1), and a hundred programs may ask the
 * mirror in the same moment: as many as the system allows (net.core.somaxconn). */
#define BACKLOG SOMAXCONN

/* Connections taken in a turn: each gets a first look at once, which may mean a page to write. */
#define ACCEPTS_MAX 8

#define REST_NS INT64_C(1000000000)

static void set_events(struct crow_listener *listener)
{
	bool deaf = listener->quiet || listener->rest.armed;

	crow_loop_modify(listener->loop, &listener->watch, deaf ? 0 : EPOLLIN);
}

static void on_rested(struct crow_timer *timer, int64_t now_ns)
{
	(void)now_ns;
	set_events(crow_container(timer, struct crow_listener, rest));
}

/* The client stays in the backlog, and the socket stays ready: without a rest the loop would spin
 * until somebody else closes a descriptor. */
static void take_rest(struct crow_listener *listener)
{
	crow_count(http_unaccepted);
	crow_timer_set(listener->loop, &listener->rest, crow_now_ns() + REST_NS);
	set_events(listener);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct crow_listener *listener = crow_container(watch, struct crow_listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPTS_MAX && !listener->quiet; i++) {
		int fd = accept4(watch->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			listener->quiet = !listener->on_accept(listener, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			take_rest(listener);
		if (errno != ECONNABORTED && errno != EINTR)
			break;
	}
	if (listener->quiet)
		set_events(listener);
}

void crow_listener_wake(struct crow_listener *listener)
{
	if (!listener->quiet)
		return;
	listener->quiet = false;
	set_events(listener);
}

/* ---- binding ---- */

static int open_socket(const struct crow_listen *listen_on)
{
	sa_family_t family = crow_addr_is_v4(&listen_on->addr) ? AF_INET : AF_INET6;
	struct sockaddr_storage sa;
	socklen_t length = crow_addr_to_sockaddr(&listen_on->addr, listen_on->port, family, &sa);
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1, error;

	if (fd < 0)
		return -1;
	/* Without it a restart fails while connections of the last one are in TIME_WAIT. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    bind(fd, (struct sockaddr *)&sa, length) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static const char *remedy(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program listens there; stop it, or choose another [http] listen";
	case EACCES:
	case EPERM:
		return "ports below 1024 need root or CAP_NET_BIND_SERVICE; or choose another "
		       "[http] listen";
	case EADDRNOTAVAIL:
		return "this host has no such address; choose another [http] listen";
	default:
		return "choose another [http] listen";
	}
}

bool crow_listener_open(struct crow_listener *listener, const struct crow_listen *listen_on,
			struct crow_inherited *inherited, char *complaint, size_t complaint_size)
{
	char endpoint[CROW_ENDPOINT_TEXT];

	memset(listener, 0, sizeof(*listener));
	listener->watch.fd = crow_inherited_dup(inherited, listen_on, SOCK_STREAM);
	if (listener->watch.fd < 0)
		listener->watch.fd = open_socket(listen_on);
	if (listener->watch.fd >= 0)
		return true;
	crow_addr_format(&listen_on->addr, listen_on->port, endpoint);
	snprintf(complaint, complaint_size, "cannot listen for HTTP on %s: %s; %s", endpoint,
		 strerror(errno), remedy(errno));
	return false;
}

int crow_listener_start(struct crow_listener *listener, struct crow_loop *loop,
			bool (*on_accept)(struct crow_listener *listener, int fd))
{
	listener->watch.on_ready = on_ready;
	listener->rest.on_due = on_rested;
	listener->on_accept = on_accept;
	if (crow_loop_add(loop, &listener->watch, EPOLLIN) != 0)
		return -1;
	listener->loop = loop;
	return 0;
}

void crow_listener_close(struct crow_listener *listener)
{
	if (listener->loop) {
		crow_loop_remove(listener->loop, &listener->watch);
		crow_timer_clear(listener->loop, &listener->rest);
	}
	if (listener->watch.fd >= 0)
		close(listener->watch.fd);
	listener->watch.fd = -1;
	listener->loop = NULL;
}
