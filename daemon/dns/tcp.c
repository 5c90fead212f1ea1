#include "daemon/dns/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/counters.h"
#include "daemon/dns/frame.h"

#define SECOND_NS INT64_C(1000000000)

#define CONNECTIONS_MAX 128

/* Without a whole query, or without the client taking a byte of its replies. RFC 7766 6.2.3 wants
 * seconds; a stub resolver that has more to ask asks at once. */
#define IDLE_NS (10 * SECOND_NS)
/* Without a byte in the middle of a query, which is one packet of any sane client's. */
#define PARTIAL_NS (2 * SECOND_NS)

/* Connections taken in a turn, and how long none are taken when descriptors ran out. */
#define ACCEPTS_MAX 32
#define PAUSE_NS    (SECOND_NS / 10)

#define REPLY_ROOM (CROW_FRAME_PREFIX + CROW_QUERY_TCP_MAX)
/* Two of the largest queries or about a hundred usual ones. */
#define IN_SIZE (2 * (CROW_FRAME_PREFIX + CROW_FRAME_QUERY_MAX))
/* A query is answered only while the largest reply would fit; until then nothing more is read.
 * Pages of it that were never written cost no memory. */
#define OUT_SIZE (2 * REPLY_ROOM)

struct connection {
	struct crow_watch watch; /* fd -1: free */
	struct crow_tcp *tcp;
	uint64_t ticket;
	uint32_t events;   /* what is watched for */
	unsigned waiting;  /* queries that will be answered later */
	bool finished;     /* nothing more is read: the client's end, or no way to go on */
	int64_t served_ns; /* last whole query, or late reply, or the start */
	int64_t moved_ns;  /* last byte in either direction */
	int64_t due_ns;    /* closed then */
	size_t in_used, out_used;
	uint8_t in[IN_SIZE];
	uint8_t out[OUT_SIZE];
};

struct crow_tcp {
	struct crow_responder *responder;
	const struct crow_gate *gate;
	struct crow_loop *loop;
	struct crow_timer sweep_timer; /* the earliest due_ns */
	uint64_t tickets;
	struct connection connections[CONNECTIONS_MAX];
};

static void drop(struct connection *c)
{
	crow_loop_remove(c->tcp->loop, &c->watch);
	close(c->watch.fd);
	c->watch.fd = -1;
}

/* ---- deadlines ---- */

static int64_t due_of(const struct connection *c)
{
	int64_t idle_ns = c->served_ns + IDLE_NS;
	int64_t partial_ns = c->moved_ns + PARTIAL_NS;

	if (c->out_used > 0 || c->waiting > 0)
		return c->moved_ns + IDLE_NS;
	return c->in_used > 0 && partial_ns < idle_ns ? partial_ns : idle_ns;
}

static void arm(struct crow_tcp *tcp, int64_t due_ns)
{
	if (!tcp->sweep_timer.armed || tcp->sweep_timer.due_ns > due_ns)
		crow_timer_set(tcp->loop, &tcp->sweep_timer, due_ns);
}

static void on_sweep(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_tcp *tcp = crow_container(timer, struct crow_tcp, sweep_timer);

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &tcp->connections[i];

		if (c->watch.fd < 0)
			continue;
		if (c->due_ns <= now_ns && c->waiting == 0) {
			crow_count(dns_tcp_closed_idle);
			drop(c);
			continue;
		}
		if (c->due_ns <= now_ns) /* its queries have a time-out of their own */
			c->due_ns = now_ns + IDLE_NS;
		arm(tcp, c->due_ns);
	}
}

/* ---- bytes in and out ---- */

/* False: the connection is lost. */
static bool receive(struct connection *c)
{
	ssize_t n;

	if (c->finished || c->in_used == IN_SIZE)
		return true;
	n = recv(c->watch.fd, c->in + c->in_used, IN_SIZE - c->in_used, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0) /* half-closed: what was asked is still answered */
		c->finished = true;
	c->in_used += (size_t)n;
	c->moved_ns = crow_now_ns();
	return true;
}

static bool flush(struct connection *c)
{
	ssize_t n;

	if (c->out_used == 0)
		return true;
	n = send(c->watch.fd, c->out, c->out_used, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->out_used -= (size_t)n;
	memmove(c->out, c->out + n, c->out_used);
	c->moved_ns = crow_now_ns();
	return true;
}

/* ---- queries ---- */

static void put_length(uint8_t *at, size_t size)
{
	at[0] = (uint8_t)(size >> 8);
	at[1] = (uint8_t)size;
}

/* What follows from the connection's state: what to watch for, when to give up, or its end. */
static void settle(struct connection *c)
{
	uint32_t events = 0;

	if (c->finished && c->out_used == 0 && c->waiting == 0) {
		drop(c);
		return;
	}
	if (!c->finished && c->in_used < IN_SIZE && OUT_SIZE - c->out_used >= REPLY_ROOM)
		events |= EPOLLIN;
	if (c->out_used > 0)
		events |= EPOLLOUT;
	if (events != c->events)
		crow_loop_modify(c->tcp->loop, &c->watch, events);
	c->events = events;
	c->due_ns = due_of(c);
	arm(c->tcp, c->due_ns);
}

/* A reply to a query that waited. Behind others it waits for on_ready(), which then goes on with the
 * queries that were read and had no room for replies: once all was sent, nothing would call it. */
static void deliver(const struct crow_asker *asker, const uint8_t *bytes, size_t size)
{
	struct connection *c = asker->endpoint;
	bool alone = c->out_used == 0;

	if (c->watch.fd < 0 || c->ticket != asker->ticket)
		return;
	c->waiting--;
	if (OUT_SIZE - c->out_used < CROW_FRAME_PREFIX + size) {
		drop(c); /* it has not read more than 64 KiB of replies */
		return;
	}
	put_length(c->out + c->out_used, size);
	memcpy(c->out + c->out_used + CROW_FRAME_PREFIX, bytes, size);
	c->out_used += CROW_FRAME_PREFIX + size;
	c->served_ns = crow_now_ns();
	if (!alone || flush(c))
		settle(c);
	else
		drop(c);
}

/* False: after this one nothing more is read. */
static bool answer(struct connection *c, const uint8_t *message, size_t size)
{
	struct crow_asker asker = {.deliver = deliver, .endpoint = c, .ticket = c->ticket};
	uint8_t *frame = c->out + c->out_used;
	struct crow_reply reply = {.bytes = frame + CROW_FRAME_PREFIX,
				   .capacity = CROW_QUERY_TCP_MAX};

	crow_count(dns_queries_tcp);
	switch (crow_responder_ask(c->tcp->responder, message, size, true, &asker, &reply)) {
	case CROW_EXIT_DROP:
		return false;
	case CROW_EXIT_WAIT:
		c->waiting++;
		return true;
	case CROW_EXIT_REPLY:
	case CROW_EXIT_ELSEWHERE: /* which the responder has made one of the others */
		break;
	}
	put_length(frame, reply.size);
	c->out_used += CROW_FRAME_PREFIX + reply.size;
	/* Who sends nonsense once has lost count of the frames, as likely as not. */
	return reply.rcode != CROW_RCODE_FORMERR;
}

/* Answers the whole queries that were read. True: more may be there, but the replies fill up. */
static bool answer_all(struct connection *c)
{
	struct crow_wire_reader in = {.bytes = c->in, .size = c->in_used};
	enum crow_frame frame = CROW_FRAME_WHOLE;
	const uint8_t *message;
	size_t size;
	bool room = true, sane = true;

	while (sane && (room = OUT_SIZE - c->out_used >= REPLY_ROOM)) {
		frame = crow_frame_next(&in, &message, &size);
		if (frame != CROW_FRAME_WHOLE)
			break;
		sane = answer(c, message, size);
		c->served_ns = c->moved_ns;
	}
	c->in_used -= in.at;
	memmove(c->in, c->in + in.at, c->in_used);
	if (!sane || frame == CROW_FRAME_REFUSED) {
		c->finished = true;
		c->in_used = 0;
	}
	return !room;
}

/* Reads once, then answers and sends until there is no more to answer, or no more is taken. False:
 * the connection is lost. */
static bool serve(struct connection *c)
{
	bool more;

	if (!receive(c))
		return false;
	do {
		more = answer_all(c);
		if (!flush(c))
			return false;
	} while (more && OUT_SIZE - c->out_used >= REPLY_ROOM);
	return true;
}

static void on_ready(struct crow_watch *watch, uint32_t events)
{
	struct connection *c = crow_container(watch, struct connection, watch);
	bool alive;

	/* Our own direction is never shut down, so a hang-up means a reset. */
	if (events & (EPOLLERR | EPOLLHUP)) {
		drop(c);
		return;
	}
	crow_responder_begin(c->tcp->responder);
	alive = serve(c);
	crow_responder_end(c->tcp->responder);
	if (alive)
		settle(c);
	else
		drop(c);
}

/* ---- connections ---- */

static bool is_busy(const struct connection *c)
{
	return c->waiting > 0 || c->out_used > 0;
}

/* The connection that is missed least: one that owes nothing and was served longest ago. */
static struct connection *find_idlest(struct crow_tcp *tcp)
{
	struct connection *idlest = NULL;

	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		struct connection *c = &tcp->connections[i];

		if (c->watch.fd < 0)
			continue;
		if (!idlest || is_busy(c) < is_busy(idlest) ||
		    (is_busy(c) == is_busy(idlest) && c->served_ns < idlest->served_ns))
			idlest = c;
	}
	return idlest;
}

static bool evict(struct crow_tcp *tcp)
{
	struct connection *idlest = find_idlest(tcp);

	if (!idlest)
		return false;
	crow_count(dns_tcp_closed_idle);
	drop(idlest);
	return true;
}

static struct connection *find_free(struct crow_tcp *tcp)
{
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (tcp->connections[i].watch.fd < 0)
			return &tcp->connections[i];
	return NULL;
}

static void take(struct crow_tcp *tcp, int fd)
{
	struct connection *c = find_free(tcp);

	if (!c) {
		evict(tcp);
		c = find_free(tcp);
	}
	c->watch.fd = fd;
	c->watch.on_ready = on_ready;
	c->tcp = tcp;
	c->ticket = ++tcp->tickets;
	c->events = EPOLLIN;
	c->waiting = 0;
	c->finished = false;
	c->served_ns = c->moved_ns = crow_now_ns();
	c->in_used = c->out_used = 0;
	c->due_ns = due_of(c);
	crow_count(dns_tcp_accepted);
	if (crow_loop_add(tcp->loop, &c->watch, EPOLLIN) < 0) {
		close(fd);
		c->watch.fd = -1;
		return;
	}
	arm(tcp, c->due_ns);
}

static void on_resume(struct crow_timer *timer, int64_t now_ns)
{
	struct crow_tcp_listener *listener =
		crow_container(timer, struct crow_tcp_listener, resume);

	(void)now_ns;
	crow_loop_modify(listener->tcp->loop, &listener->watch, EPOLLIN);
}

/* accept() failed for want of descriptors or memory. The client stays in the backlog and the
 * listener readable, so that going on at once would spin. */
static void relieve(struct crow_tcp_listener *listener)
{
	struct crow_loop *loop = listener->tcp->loop;

	if (evict(listener->tcp))
		return;
	crow_loop_modify(loop, &listener->watch, 0);
	crow_timer_set(loop, &listener->resume, crow_now_ns() + PAUSE_NS);
}

/* The address that was asked. False: the client is gone already. */
static bool find_own(const struct crow_tcp_listener *listener, int fd, struct crow_addr *own)
{
	struct sockaddr_storage sa;
	socklen_t size = sizeof(sa);
	uint16_t port;

	*own = listener->addr;
	if (!listener->wildcard)
		return true;
	return getsockname(fd, (struct sockaddr *)&sa, &size) == 0 &&
	       crow_addr_from_sockaddr((struct sockaddr *)&sa, size, own, &port);
}

/* Who may not ask is closed, and not told so by REFUSED: to read his query he would need a slot,
 * and so could put out somebody who may. A stub resolver goes on to its next server either way. */
static bool is_admitted(const struct crow_tcp_listener *listener, int fd,
			const struct sockaddr_storage *from, socklen_t size)
{
	struct crow_addr peer, own;
	uint16_t port;

	return crow_addr_from_sockaddr((const struct sockaddr *)from, size, &peer, &port) &&
	       find_own(listener, fd, &own) && crow_gate_admits(listener->tcp->gate, &peer, &own);
}

static void on_client(struct crow_watch *watch, uint32_t events)
{
	struct crow_tcp_listener *listener = crow_container(watch, struct crow_tcp_listener, watch);

	(void)events;
	for (int i = 0; i < ACCEPTS_MAX; i++) {
		struct sockaddr_storage sa;
		socklen_t size = sizeof(sa);
		int fd = accept4(watch->fd, (struct sockaddr *)&sa, &size,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			if (is_admitted(listener, fd, &sa, size))
				take(listener->tcp, fd);
			else
				close(fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			relieve(listener);
		return;
	}
}

struct crow_tcp *crow_tcp_new(struct crow_responder *responder, const struct crow_gate *gate,
			      struct crow_loop *loop)
{
	struct crow_tcp *tcp = calloc(1, sizeof(*tcp));

	if (!tcp)
		return NULL;
	tcp->responder = responder;
	tcp->gate = gate;
	tcp->loop = loop;
	tcp->sweep_timer.on_due = on_sweep;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		tcp->connections[i].watch.fd = -1;
	return tcp;
}

void crow_tcp_free(struct crow_tcp *tcp)
{
	if (!tcp)
		return;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++)
		if (tcp->connections[i].watch.fd >= 0)
			drop(&tcp->connections[i]);
	crow_timer_clear(tcp->loop, &tcp->sweep_timer);
	free(tcp);
}

int crow_tcp_listen(struct crow_tcp *tcp, struct crow_tcp_listener *listener)
{
	listener->tcp = tcp;
	listener->watch.on_ready = on_client;
	listener->resume.on_due = on_resume;
	/* Not EPOLLEXCLUSIVE, as in udp.c: what is exclusive cannot be modified, so that relieve() would
	 * have to take it out, and might fail to put it back. Connections are few. */
	return crow_loop_add(tcp->loop, &listener->watch, EPOLLIN);
}
