#include "daemon/upstream/channel.h"

#define CARES_NO_DEPRECATED /* 1.34 prefers functions that 1.18 does not have */
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
#include "daemon/upstream/envelope.h"
#include "daemon/upstream/resolv_conf.h"
#include "daemon/upstream/stream.h"
#include "daemon/upstream/veil.h"

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
	int stream_fd;              /* the TCP connection opened last; -1: none */
	struct crow_stream *stream; /* its replies; NULL: none, or those of look-ups */
	struct crow_veil *veils;    /* of what is under way */
	struct crow_veil *sending;  /* it gets the id with which c-ares sends it */
	const uint8_t *reply;       /* whose envelope was read last */
	size_t reply_size;
	int error;       /* errno of c-ares's last call on a socket; 0: it went well */
	bool looks_up;   /* replies are for c-ares to read */
	bool processing; /* c-ares is on the stack, and must not be destroyed */
	bool closing;    /* hooks are not called */
	bool drained;    /* the readable socket has given its datagram of this turn */
	uint8_t datagram[CROW_CHANNEL_REPLY_MAX + 1]; /* one byte tells that there is more */
};

/* Of one query; c-ares hands it back once. */
struct pending {
	struct crow_channel *channel;
	crow_channel_hook *hook;
	void *context;
	struct crow_veil *veil; /* NULL: the name needs none */
};

/* ---- sockets: c-ares calls these instead of the kernel ---- */

/* c-ares says ECONNREFUSED to whatever goes wrong. Returns n. */
static ssize_t note(struct crow_channel *channel, ssize_t n)
{
	channel->error = n < 0 ? errno : 0;
	return n;
}

/* 64 KiB that few channels ever need. False: no memory. */
static bool begin_stream(struct crow_channel *channel)
{
	if (channel->looks_up)
		return true;
	free(channel->stream);
	channel->stream = calloc(1, sizeof(*channel->stream));
	return channel->stream != NULL;
}

static ares_socket_t open_socket(int family, int type, int protocol, void *context)
{
	struct crow_channel *channel = context;
	int fd, size = RECEIVE_BUFFER, on = 1;

	if (type == SOCK_STREAM && !begin_stream(channel))
		return (int)note(channel, -1);
	fd = (int)note(channel, socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
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

/* By UDP. c-ares 1.34 sends it with an id of its own, and adds a cookie to the OPT record (RFC 7873),
 * which servers may take amiss, and of which an envelope says nothing: that does not leave, but is
 * reported as sent. */
static ssize_t send_query(struct crow_channel *channel, int fd, const uint8_t *query, size_t size)
{
	uint8_t bytes[CROW_ENVELOPE_MAX + CROW_ENVELOPE_OPT];
	size_t end = crow_envelope_size(query, size) + CROW_ENVELOPE_OPT;

	if (end >= size && !channel->veils)
		return send(fd, query, size, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (end > size)
		end = size;
	memcpy(bytes, query, end);
	if (end < size)
		memset(bytes + end - 2, 0, 2); /* the length of the options */
	if (channel->sending)
		crow_veil_name(channel->sending, bytes, end);
	crow_veil_lift(channel->veils, bytes, end);
	return send(fd, bytes, end, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -1 : (ssize_t)size;
}

static ssize_t send_frames(const struct crow_channel *channel, int fd, const struct iovec *parts,
			   int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
				 .msg_iovlen = (size_t)count};
	uint8_t bytes[4096]; /* ten queries at least; what is left is sent the next time */
	size_t size = 0, whole;

	if (!channel->veils)
		return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	for (int i = 0; i < count && size < sizeof(bytes); i++) {
		size_t left = sizeof(bytes) - size;
		size_t part = parts[i].iov_len < left ? parts[i].iov_len : left;

		memcpy(bytes + size, parts[i].iov_base, part);
		size += part;
	}
	whole = crow_veil_lift_frames(channel->veils, bytes, size);
	return send(fd, bytes, whole > 0 ? whole : size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* A query by UDP is one part, which send() takes with less ado than sendmsg(). Those of look-ups are
 * sent as they are. */
static ssize_t send_parts(struct crow_channel *channel, int fd, const struct iovec *parts,
			  int count)
{
	if (channel->looks_up || fd == channel->stream_fd)
		return send_frames(channel, fd, parts, count);
	return send_query(channel, fd, parts->iov_base, parts->iov_len);
}

/* An ICMP error of an earlier datagram is reported to the next call on the socket, whatever that
 * is: it says nothing of this one, which goes out at the second try. */
static ares_ssize_t send_vector(ares_socket_t fd, const struct iovec *parts, int count,
				void *context)
{
	struct crow_channel *channel = context;
	ssize_t n = send_parts(channel, fd, parts, count);

	if (n < 0 && errno == ECONNREFUSED)
		n = send_parts(channel, fd, parts, count);
	return note(channel, n);
}

static ssize_t nothing_yet(void)
{
	errno = EAGAIN;
	return -1;
}

/* c-ares is shown the envelope, and on_end() finds the reply here. */
static ssize_t receive_reply(struct crow_channel *channel, int fd, uint8_t *envelope,
			     struct sockaddr *from, ares_socklen_t *from_size)
{
	ssize_t n = note(channel, recvfrom(fd, channel->datagram, sizeof(channel->datagram), 0,
					   from, from_size));
	size_t shown;

	if (n < 0)
		return n;
	channel->drained = true;
	channel->reply = channel->datagram;
	channel->reply_size = (size_t)n;
	shown = crow_envelope_write(channel->datagram, (size_t)n, n > CROW_CHANNEL_REPLY_MAX,
				    envelope);
	return shown > 0 ? (ssize_t)shown : nothing_yet();
}

/* For look-ups. An empty datagram, which c-ares takes for the end of the socket and of all that is
 * asked over it, is passed over. */
static ssize_t receive_datagram(struct crow_channel *channel, int fd, void *buffer, size_t size,
				struct sockaddr *from, ares_socklen_t *from_size)
{
	ssize_t n;

	do
		n = note(channel, recvfrom(fd, buffer, size, 0, from, from_size));
	while (n == 0);
	channel->drained = n > 0;
	return n;
}

static ssize_t receive_stream(struct crow_channel *channel, int fd, void *buffer, size_t size)
{
	struct crow_stream *stream = channel->stream;
	ssize_t n;

	if (!stream)
		return note(channel, recv(fd, buffer, size, 0));
	n = note(channel, crow_stream_read(stream, fd, buffer, size));
	channel->reply = stream->bytes + CROW_STREAM_LENGTH;
	channel->reply_size = stream->reply_size;
	return n;
}

/* c-ares reads until there is no more, and most sockets have one datagram: the second call would
 * cost as much as the first. The loop comes back to what is left. */
static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
			    struct sockaddr *from, ares_socklen_t *from_size, void *context)
{
	struct crow_channel *channel = context;

	(void)flags; /* none; the socket does not block */
	if (!from)   /* TCP */
		return receive_stream(channel, fd, buffer, size);
	if (channel->drained)
		return nothing_yet();
	if (!channel->looks_up && size >= CROW_ENVELOPE_MAX)
		return receive_reply(channel, fd, buffer, from, from_size);
	return receive_datagram(channel, fd, buffer, size, from, from_size);
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

/* What c-ares is yet to read of an envelope, which no socket tells it. 1.18 reads the length of a
 * frame and comes back for the rest. */
static size_t unseen(const struct crow_channel *channel, int fd)
{
	return channel->stream && fd == channel->stream_fd ? crow_stream_left(channel->stream) : 0;
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct link *link = crow_container(watch, struct link, watch);
	struct crow_channel *channel = link->channel;
	bool readable = events & (EPOLLIN | EPOLLERR | EPOLLHUP);
	int fd = watch->fd;
	size_t left;

	channel->drained = false;
	process(channel, readable ? fd : ARES_SOCKET_BAD, events & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	while ((left = unseen(channel, fd)) > 0) {
		process(channel, fd, ARES_SOCKET_BAD);
		if (unseen(channel, fd) == left)
			break;
	}
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
	 ARES_OPT_SOCK_STATE_CB | ARES_OPT_NOROTATE | ARES_OPT_RESOLVCONF | ARES_OPT_QUERY_CACHE)

static bool init(struct crow_channel *channel, struct options *options)
{
	struct in_addr nobody = {0}; /* the servers are set afterwards, with their ports */
	struct ares_options *known = &options->known;

	known->servers = &nobody;
	known->nservers = 1;
	known->sock_state_cb = on_socket_state;
	known->sock_state_cb_data = channel;
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
					const struct crow_listen *servers, size_t count,
					bool looks_up)
{
	struct crow_channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->loop = loop;
	channel->looks_up = looks_up;
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

struct crow_channel *crow_channel_new(struct crow_loop *loop, const struct crow_listen *server)
{
	struct options options = {
		.known.flags = ARES_FLAG_STAYOPEN | ARES_FLAG_NOCHECKRESP | ARES_FLAG_NOSEARCH |
			       ARES_FLAG_NOALIASES,
		.known.timeout = CROW_CHANNEL_PATIENCE_MS,
		.known.tries = 1,
		.known.ndots = 1,
		.known.lookups = (char *)(uintptr_t) "b",
	};

	return channel_new(loop, &options, server, 1, false);
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
	return channel_new(loop, &options, conf->servers, conf->server_count, true);
}

void crow_channel_free(struct crow_channel *channel)
{
	if (!channel)
		return;
	channel->closing = true;
	if (channel->ares)
		ares_destroy(channel->ares);
	free(channel->stream);
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
	case ARES_ETIMEOUT:
		return CROW_CHANNEL_SILENCE;
	case ARES_ENOMEM:
		return CROW_CHANNEL_SHORTAGE;
	default:
		return is_shortage(error) ? CROW_CHANNEL_SHORTAGE : CROW_CHANNEL_ERROR;
	}
}

static void drop_veil(struct crow_channel *channel, struct crow_veil *veil)
{
	struct crow_veil **at = &channel->veils;

	while (*at && *at != veil)
		at = &(*at)->next;
	if (*at)
		*at = veil->next;
	free(veil);
}

/* What c-ares has for a reply is the envelope. */
static void on_end(void *context, int status, int timeouts, unsigned char *envelope, int size)
{
	struct pending pending = *(struct pending *)context;
	int error = pending.channel->error;

	(void)timeouts;
	(void)envelope;
	(void)size;
	free(context);
	if (pending.veil)
		drop_veil(pending.channel, pending.veil);
	pending.channel->pending--;
	if (pending.channel->closing)
		return;
	errno = status == ARES_ENOMEM ? ENOMEM : error;
	if (status == ARES_SUCCESS)
		pending.hook(pending.context, CROW_CHANNEL_REPLY, pending.channel->reply,
			     pending.channel->reply_size);
	else
		pending.hook(pending.context, end_of(status, error), NULL, 0);
}

/* False: no memory. */
static bool add_veil(struct pending *pending, const uint8_t *query, size_t size)
{
	struct crow_veil *veil = malloc(sizeof(*veil));

	if (!veil)
		return false;
	crow_veil_init(veil, query, size);
	veil->next = pending->channel->veils;
	pending->channel->veils = pending->veil = veil;
	return true;
}

void crow_channel_send(struct crow_channel *channel, const uint8_t *query, size_t size,
		       crow_channel_hook *hook, void *context)
{
	uint8_t given[CROW_ENVELOPE_MAX + CROW_ENVELOPE_OPT];
	struct pending *pending = size <= sizeof(given) ? malloc(sizeof(*pending)) : NULL;
	bool processing = channel->processing;

	if (!pending) {
		hook(context, CROW_CHANNEL_SHORTAGE, NULL, 0);
		return;
	}
	*pending = (struct pending){.channel = channel, .hook = hook, .context = context};
	memcpy(given, query, size);
	if (crow_veil_hide(given, crow_envelope_size(query, size)) &&
	    !add_veil(pending, query, size)) {
		free(pending);
		hook(context, CROW_CHANNEL_SHORTAGE, NULL, 0);
		return;
	}
	channel->pending++;
	channel->processing = true;
	channel->sending = pending->veil;
	ares_send(channel->ares, given, (int)size, on_end, pending);
	channel->sending = NULL;
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
