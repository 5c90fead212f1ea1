#include "daemon/upstream/channel.h"

#include <ares.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/upstream/resolv_conf.h"

/* Bytes. 2000 replies of 100 bytes may come at once, each counted by the kernel with some 768 bytes
 * around it; over 64 sockets that is 24 KiB each. The kernel caps it at net.core.rmem_max. */
#define RECEIVE_BUFFER (256 << 10)

/* For each server: UDP, and TCP for replies that do not fit. */
#define LINKS 2

/* Of look-ups. A silent server is left for the next one; all of three, asked twice, are through in
 * 6 s, and none but the first is waited for by a poll of 2 s. */
#define LOOKUP_TIMEOUT_MS 700
#define LOOKUP_TRIES      2

/* A socket of c-ares's. */
struct link {
	struct crow_watch watch; /* fd -1: none */
	struct crow_channel *channel;
	uint32_t events;
};

struct crow_channel {
	ares_channel ares;
	struct crow_loop *loop;
	struct link *links;
	size_t link_count;
	size_t pending;
	int stream_fd;   /* the TCP connection opened last; -1: none */
	int error;       /* errno of c-ares's last call on a socket; 0: it went well */
	bool processing; /* c-ares is on the stack, and must not be destroyed */
	bool closing;    /* hooks are not called */
	bool drained;    /* the readable socket has given its datagram of this turn */
};

/* Of one query; c-ares hands it back once. */
struct pending {
	struct crow_channel *channel;
	crow_channel_hook *hook;
	void *context;
};

/* ---- sockets: c-ares calls these instead of the kernel ---- */

/* c-ares says ECONNREFUSED to whatever goes wrong. Returns n. */
static ssize_t note(struct crow_channel *channel, ssize_t n)
{
	channel->error = n < 0 ? errno : 0;
	return n;
}

static ares_socket_t open_socket(int family, int type, int protocol, void *context)
{
	struct crow_channel *channel = context;
	int fd = (int)note(channel, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
	int size = RECEIVE_BUFFER, on = 1;

	if (fd >= 0 && type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (fd >= 0 && type == SOCK_STREAM) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		crow_count(forward_tcp);
		channel->stream_fd = fd;
	}
	return fd;
}

static int close_socket(ares_socket_t fd, void *context)
{
	struct crow_channel *channel = context;

	if (fd == channel->stream_fd)
		channel->stream_fd = -1;
	return close(fd);
}

static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t size,
			  void *context)
{
	return (int)note(context, connect(fd, address, size));
}

/* A query by UDP is one part, which send() takes with less ado than sendmsg(). */
static ssize_t send_parts(int fd, const struct iovec *parts, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
				 .msg_iovlen = (size_t)count};

	if (count == 1)
		return send(fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* An ICMP error of an earlier datagram is reported to the next call on the socket, whatever that
 * is: it says nothing of this one, which goes out at the second try. */
static ares_ssize_t send_vector(ares_socket_t fd, const struct iovec *parts, int count,
				void *context)
{
	ssize_t n = send_parts(fd, parts, count);

	if (n < 0 && errno == ECONNREFUSED)
		n = send_parts(fd, parts, count);
	return note(context, n);
}

/* c-ares reads until there is no more, and most sockets have one datagram: the second call would
 * cost as much as the first. The loop comes back to what is left. An empty datagram, which c-ares
 * takes for the end of the socket and of all that is asked over it, is passed over. */
static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
			    struct sockaddr *from, ares_socklen_t *from_size, void *context)
{
	struct crow_channel *channel = context;
	ssize_t n;

	if (!from) /* TCP */
		return note(channel, recv(fd, buffer, size, flags));
	if (channel->drained) {
		errno = EAGAIN;
		return -1;
	}
	do
		n = note(channel, recvfrom(fd, buffer, size, flags, from, from_size));
	while (n == 0);
	channel->drained = n > 0;
	return n;
}

static const struct ares_socket_functions socket_functions = {
	.asocket = open_socket,
	.aclose = close_socket,
	.aconnect = connect_socket,
	.arecvfrom = receive,
	.asendv = send_vector,
};

/* ---- c-ares on the loop ---- */

static void process(struct crow_channel *channel, int readable_fd, int writable_fd)
{
	channel->processing = true;
	channel->error = 0;
	ares_process_fd(channel->ares, readable_fd, writable_fd);
	channel->processing = false;
}

/* RFC 7766 6.2.2: a connection over which nothing is asked is closed, for servers have few. dnsmasq
 * has 20, each held for minutes. With ARES_FLAG_STAYOPEN c-ares keeps it as it keeps the port, and
 * has no word for closing: it is made to read the end of it. */
static void hang_up(struct crow_channel *channel)
{
	int fd = channel->stream_fd;

	if (fd < 0 || channel->pending > 0)
		return;
	shutdown(fd, SHUT_RDWR);
	process(channel, fd, ARES_SOCKET_BAD);
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct link *link = crow_container(watch, struct link, watch);
	struct crow_channel *channel = link->channel;
	bool readable = events & (EPOLLIN | EPOLLERR | EPOLLHUP);

	channel->drained = false;
	process(channel, readable ? watch->fd : ARES_SOCKET_BAD,
		events & EPOLLOUT ? watch->fd : ARES_SOCKET_BAD);
	hang_up(channel);
}

static struct link *find_link(struct crow_channel *channel, int fd)
{
	for (size_t i = 0; i < channel->link_count; i++)
		if (channel->links[i].watch.fd == fd)
			return &channel->links[i];
	return NULL;
}

static void unwatch(struct crow_channel *channel, struct link *link)
{
	crow_loop_remove(channel->loop, &link->watch);
	link->watch.fd = -1;
}

/* A socket that cannot be watched is no error here: its queries run into our time-outs. */
static void watch_link(struct crow_channel *channel, int fd, uint32_t events)
{
	struct link *link = find_link(channel, -1);

	if (!link)
		return;
	link->watch.fd = fd;
	link->events = events;
	if (crow_loop_add(channel->loop, &link->watch, events) < 0)
		link->watch.fd = -1;
}

static void on_socket_state(void *context, ares_socket_t fd, int readable, int writable)
{
	struct crow_channel *channel = context;
	struct link *link = find_link(channel, fd);
	uint32_t events = (readable ? (uint32_t)EPOLLIN : 0) | (writable ? (uint32_t)EPOLLOUT : 0);

	if (events == 0) {
		if (link)
			unwatch(channel, link);
	} else if (!link) {
		watch_link(channel, fd, events);
	} else if (link->events != events) {
		link->events = events;
		crow_loop_modify(channel->loop, &link->watch, events);
	}
}

/* ---- the channel ---- */

/* From 1.31 on c-ares has a cache of its own, whose answers come before ares_send() returns, when
 * nobody could be told. It is off at 0 s. The library may be newer than the header that this is built
 * with, which then has neither the bit nor the field: hence the zeros behind what it knows. */
#ifndef ARES_OPT_QUERY_CACHE
#define ARES_OPT_QUERY_CACHE (1 << 21)
#endif
struct options {
	struct ares_options known;
	uint8_t newer[64];
};

/* What every channel has. c-ares looks options up in files and the environment unless they are
 * given, so all of them are: no server is there by accident. */
#define OPTIONS_GIVEN                                                                              \
	(ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS |                   \
	 ARES_OPT_SERVERS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS | ARES_OPT_SORTLIST |              \
	 ARES_OPT_SOCK_STATE_CB | ARES_OPT_EDNSPSZ | ARES_OPT_NOROTATE | ARES_OPT_RESOLVCONF |     \
	 ARES_OPT_QUERY_CACHE)

static bool init(struct crow_channel *channel, struct options *options)
{
	struct in_addr nobody = {0}; /* the servers are set afterwards, with their ports */
	struct ares_options *known = &options->known;

	known->servers = &nobody;
	known->nservers = 1;
	known->sock_state_cb = on_socket_state;
	known->sock_state_cb_data = channel;
	known->ednspsz = CROW_CHANNEL_REPLY_MAX;
	known->resolvconf_path = (char *)(uintptr_t) "/dev/null";
	if (ares_init_options(&channel->ares, known, OPTIONS_GIVEN) != ARES_SUCCESS)
		return false;
	ares_set_socket_functions(channel->ares, &socket_functions, channel);
	return true;
}

static bool set_servers(struct crow_channel *channel, const struct crow_listen *servers,
			size_t count)
{
	struct ares_addr_port_node nodes[CROW_UPSTREAMS_MAX] = {0};

	for (size_t i = 0; i < count; i++) {
		const struct crow_addr *addr = &servers[i].addr;

		nodes[i].next = i + 1 < count ? &nodes[i + 1] : NULL;
		nodes[i].udp_port = nodes[i].tcp_port = servers[i].port;
		nodes[i].family = crow_addr_is_v4(addr) ? AF_INET : AF_INET6;
		if (crow_addr_is_v4(addr))
			memcpy(&nodes[i].addr.addr4, crow_addr_v4_bytes(addr), 4);
		else
			memcpy(&nodes[i].addr.addr6, addr->bytes, 16);
	}
	return ares_set_servers_ports(channel->ares, count > 0 ? nodes : NULL) == ARES_SUCCESS;
}

static struct crow_channel *channel_new(struct crow_loop *loop, struct options *options,
					const struct crow_listen *servers, size_t count)
{
	struct crow_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->loop = loop;
	channel->stream_fd = -1;
	channel->link_count = LINKS * (count + 1); /* sorting addresses takes a socket, too */
	channel->links = calloc(channel->link_count, sizeof(*channel->links));
	if (channel->links)
		for (size_t i = 0; i < channel->link_count; i++)
			channel->links[i] = (struct link){
				.watch = {.fd = -1, .on_ready = on_ready},
				.channel = channel,
			};
	if (channel->links && init(channel, options) && set_servers(channel, servers, count))
		return channel;
	crow_channel_free(channel);
	return NULL;
}

struct crow_channel *crow_channel_new(struct crow_loop *loop, const struct crow_listen *server,
				      bool edns)
{
	struct options options = {
		.known.flags = ARES_FLAG_STAYOPEN | ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH |
			       ARES_FLAG_NOALIASES | (edns ? ARES_FLAG_EDNS : 0),
		.known.timeout = CROW_CHANNEL_PATIENCE_MS,
		.known.tries = 1,
		.known.ndots = 1,
		.known.lookups = (char *)(uintptr_t) "b",
	};

	return channel_new(loop, &options, server, 1);
}

struct crow_channel *crow_channel_new_lookups(struct crow_loop *loop,
					      const struct crow_resolv_conf *conf)
{
	char *domains[CROW_SEARCH_MAX];
	struct options options = {
		.known.flags = ARES_FLAG_NOALIASES,
		.known.timeout = LOOKUP_TIMEOUT_MS,
		.known.tries = LOOKUP_TRIES,
		.known.ndots = (int)conf->ndots,
		.known.domains = domains,
		.known.ndomains = (int)conf->search_count,
		/* c-ares 1.18 leaks a query that there is no server for. */
		.known.lookups = (char *)(uintptr_t)(conf->server_count > 0 ? "fb" : "f"),
	};

	for (size_t i = 0; i < conf->search_count; i++)
		domains[i] = (char *)(uintptr_t)conf->search[i];
	return channel_new(loop, &options, conf->servers, conf->server_count);
}

void crow_channel_free(struct crow_channel *channel)
{
	if (!channel)
		return;
	channel->closing = true;
	if (channel->ares)
		ares_destroy(channel->ares);
	free(channel->links);
	free(channel);
}

/* ---- queries ---- */

/* What says nothing of the server. EAGAIN: a send buffer that is full, or a connect() without a port
 * left; EPERM: a firewall of this host, or its table of connections is full. */
static bool is_shortage(int error)
{
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
	case EAGAIN:
	case EADDRNOTAVAIL:
	case EPERM:
		return true;
	default:
		return false;
	}
}

static enum crow_channel_end end_of(int status, int error)
{
	switch (status) {
	case ARES_SUCCESS:
		return CROW_CHANNEL_REPLY;
	case ARES_ETIMEOUT:
		return CROW_CHANNEL_SILENCE;
	case ARES_ENOMEM:
		return CROW_CHANNEL_SHORTAGE;
	default:
		return is_shortage(error) ? CROW_CHANNEL_SHORTAGE : CROW_CHANNEL_ERROR;
	}
}

static void on_end(void *context, int status, int timeouts, unsigned char *reply, int size)
{
	struct pending pending = *(struct pending *)context;
	int error = pending.channel->error;

	(void)timeouts;
	free(context);
	pending.channel->pending--;
	if (pending.channel->closing)
		return;
	errno = status == ARES_ENOMEM ? ENOMEM : error;
	pending.hook(pending.context, end_of(status, error), reply, size > 0 ? (size_t)size : 0);
}

void crow_channel_send(struct crow_channel *channel, const uint8_t *query, size_t size,
		       crow_channel_hook *hook, void *context)
{
	struct pending *pending = malloc(sizeof(*pending));
	bool processing = channel->processing;

	if (!pending) {
		hook(context, CROW_CHANNEL_SHORTAGE, NULL, 0);
		return;
	}
	*pending = (struct pending){.channel = channel, .hook = hook, .context = context};
	channel->pending++;
	channel->processing = true;
	ares_send(channel->ares, query, (int)size, on_end, pending);
	channel->processing = processing;
}

/* ---- look-ups ---- */

/* Of one look-up. */
struct looking {
	struct crow_channel *channel;
	crow_lookup_hook *hook;
	void *context;
};

static void take_addresses(struct crow_lookup *lookup, const struct ares_addrinfo *info)
{
	lookup->ttl_s = UINT32_MAX;
	for (const struct ares_addrinfo_node *node = info->nodes;
	     node && lookup->count < CROW_LOOKUP_ADDRESSES_MAX; node = node->ai_next) {
		uint16_t port;

		if (!crow_addr_from_sockaddr(node->ai_addr, node->ai_addrlen,
					     &lookup->addrs[lookup->count], &port))
			continue;
		lookup->count++;
		if ((uint32_t)node->ai_ttl < lookup->ttl_s)
			lookup->ttl_s = (uint32_t)node->ai_ttl;
	}
	for (const struct ares_addrinfo_cname *cname = info->cnames; cname; cname = cname->next)
		if ((uint32_t)cname->ttl < lookup->ttl_s)
			lookup->ttl_s = (uint32_t)cname->ttl;
}

static void name_end(struct crow_lookup *lookup, int status)
{
	switch (status) {
	case ARES_SUCCESS:
		lookup->end = lookup->count > 0 ? CROW_LOOKUP_FOUND : CROW_LOOKUP_NONE;
		lookup->cause = "it has no address";
		break;
	case ARES_ENOTFOUND:
		lookup->end = CROW_LOOKUP_NONE;
		lookup->cause = "there is no such name";
		break;
	case ARES_ENODATA:
		lookup->end = CROW_LOOKUP_NONE;
		lookup->cause = "it has no address";
		break;
	case ARES_ETIMEOUT:
		lookup->cause = "no answer";
		break;
	case ARES_ECONNREFUSED: /* also if every server says SERVFAIL or REFUSED */
		lookup->cause = "no server has an answer";
		break;
	default:
		lookup->cause = ares_strerror(status);
	}
}

static void on_addresses(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
	struct crow_lookup lookup = {.end = CROW_LOOKUP_FAILED};
	struct looking looking = *(struct looking *)context;

	(void)timeouts;
	free(context);
	looking.channel->pending--;
	if (info) {
		take_addresses(&lookup, info);
		ares_freeaddrinfo(info);
	}
	name_end(&lookup, status);
	if (!looking.channel->closing)
		looking.hook(looking.context, &lookup);
}

void crow_channel_lookup(struct crow_channel *channel, const char *host, crow_lookup_hook *hook,
			 void *context)
{
	static const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC,
							 .ai_socktype = SOCK_STREAM};
	struct looking *looking = malloc(sizeof(*looking));
	bool processing = channel->processing;

	if (!looking) {
		hook(context, &(struct crow_lookup){.end = CROW_LOOKUP_FAILED,
						    .cause = "there is no memory left"});
		return;
	}
	*looking = (struct looking){.channel = channel, .hook = hook, .context = context};
	channel->pending++;
	channel->processing = true;
	ares_getaddrinfo(channel->ares, host, NULL, &hints, on_addresses, looking);
	channel->processing = processing;
}

/* ---- both ---- */

void crow_channel_expire(struct crow_channel *channel)
{
	if (channel->pending == 0)
		return;
	process(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	hang_up(channel);
}

bool crow_channel_is_idle(const struct crow_channel *channel)
{
	return channel->pending == 0 && !channel->processing;
}
